/* kafka_internal: what the units of the Kafka source share with each other and with no one else. */
#ifndef HEADGATE_KAFKA_INTERNAL_H
#define HEADGATE_KAFKA_INTERNAL_H

#include "../gateway/stream_source.h"
#include "kafka_settings.h"
#include "kafka_topics.h"

#include <pthread.h>
#include <stdatomic.h>

enum kafka_partition_state {
    KAFKA_PARTITION_IDLE,    /* no lane, or a lane that is removed */
    KAFKA_PARTITION_READING, /* librdkafka fetches it */
    KAFKA_PARTITION_ASKING   /* stopped until the topics thread says where it begins and ends */
};

/* Thread: source. */
struct kafka_partition {
    enum kafka_partition_state state;
    bool has_lane;
    uint32_t lane;
    uint64_t lost_to;    /* not 0: offsets below are lost to retention, told when there is room */
    int64_t progress_ns; /* when a record came last, or when none was owed */
};

#define KAFKA_LOG_SLOTS 16

/* Rate limits of librdkafka's log lines, by facility. */
struct kafka_log {
    pthread_mutex_t lock;
    struct {
        char facility[16];
        int64_t shown_ns;
        uint64_t suppressed;
    } slots[KAFKA_LOG_SLOTS];
};

struct source {
    const struct kafka_settings *settings;
    struct stream *stream;
    rd_kafka_t *client;
    rd_kafka_queue_t *queue; /* the records of all partitions */
    struct kafka_topics *topics;
    pthread_t thread;
    int wake_fd;  /* eventfd: room again, events, stop */
    int queue_fd; /* eventfd: librdkafka put the first record into the empty queue */
    atomic_bool stopping;
    struct kafka_log log;

    /* Of the source thread. */
    rd_kafka_message_t **batch; /* taken from librdkafka; batch_at to batch_len wait for room */
    size_t batch_at, batch_len;
    struct record_header *headers;
    size_t headers_cap;
    const char *down_reason; /* NULL while up */
    struct kafka_owed {
        struct kafka_topic *topic;
        int32_t partition;
    } * owed; /* partitions with a lost_to, for when there is room */
    size_t n_owed;
    bool backlog;        /* the queue was near a threshold of librdkafka since the last nudge */
    uint64_t mean_bytes; /* a payload's size lately */
    int64_t held_ns;     /* since when there is no room; 0: there is */
    int64_t log_oversize_ns, log_error_ns;
};

/* kafka_stats: librdkafka's statistics (JSON, every 5 s) give each lane its end offset and find
 * partitions that owe records but do not move. Thread source. */
void kafka_stats_apply(struct source *source, const char *json, size_t len);

/* kafka_restart: stop and start a partition's fetching at the stream's next offset. Thread source.
 */
void kafka_restart(struct source *source, struct kafka_topic *topic, int32_t partition);

/* kafka_may_log: true once in ten seconds for each *last_ns. */
bool kafka_may_log(int64_t *last_ns);

/* kafka_log_line: librdkafka's log_cb: one line for each facility in ten seconds, with the number
 * of those that were left out. Thread any. */
void kafka_log_line(const rd_kafka_t *client, int level, const char *facility, const char *text);

#endif
