/* kafka_internal: what the units of the Kafka source share with each other and with no one else. */
#ifndef HEADGATE_KAFKA_INTERNAL_H
#define HEADGATE_KAFKA_INTERNAL_H

#include "../gateway/stream_source.h"
#include "kafka_group.h"
#include "kafka_lines.h"
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
    int64_t left_at;     /* what was committed when the group took it away; negative: nothing */
    uint32_t epoch;      /* the rebalance that its lane was found in; 1 without a group */
    uint64_t lost_to;    /* not 0: offsets below are lost to retention, told when there is room */
    int64_t progress_ns; /* when a record came last, or when none was owed */
    uint64_t next_seen;  /* what the statistics before found next in the lane */
    unsigned quiet;      /* how many of them in a row found the same */
    uint64_t told_end;   /* the end that a broker told when it was asked; 0: not asked */
};

#define KAFKA_BATCH_MOST 1000 /* records */
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
    struct kafka_settings own_settings; /* of a durable consumer's: settings points here */
    struct stream *stream;
    rd_kafka_t *client;
    rd_kafka_queue_t *queue; /* the records of all partitions */
    struct kafka_topics *topics;
    struct kafka_group *group; /* NULL: it reads all partitions */
    bool catches_up;           /* a reader of what a ring has left */
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
    struct kafka_lines *lines; /* NULL: the stream takes records */
    bool sifts;                /* see stream_sifts */
    const char *down_reason;   /* NULL while up */
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

/* kafka_lanes_apply: do what the topics thread found. Thread source, as all of kafka_lane. */
void kafka_lanes_apply(struct source *source);

/* kafka_lanes_tell_losses: what retention took, each partition's in one place of room. */
void kafka_lanes_tell_losses(struct source *source, size_t room);

/* kafka_lane_partition: the row of a partition; lent until the next call with a higher partition.
 */
struct kafka_partition *kafka_lane_partition(struct kafka_topic *topic, int32_t partition);

/* kafka_lane_stop: fetch it no more, and let go of its records that wait for room.
 * kafka_lane_restart: then fetch it from the stream's next offset. */
void kafka_lane_stop(struct source *source, struct kafka_topic *topic, int32_t partition);
void kafka_lane_restart(struct source *source, struct kafka_topic *topic, int32_t partition);

/* kafka_lane_give_up: it is no longer ours to read. committed: as far as the group knows. */
void kafka_lane_give_up(
    struct source *source, struct kafka_topic *topic, int32_t partition, int64_t committed);

/* kafka_records_take: move what there is and what there is room for. true: go on at once, there may
 * be more. kafka_records_drop: free what was taken from librdkafka and not staged. */
bool kafka_records_take(struct source *source);
void kafka_records_drop(struct source *source);

/* kafka_stats_apply: librdkafka's statistics (JSON, every 5 s) give each lane its end offset and
 * find partitions that owe records but do not move. Thread source. */
void kafka_stats_apply(struct source *source, const char *json, size_t len);

/* kafka_may_log: true once in ten seconds for each *last_ns. */
bool kafka_may_log(int64_t *last_ns);

/* kafka_log_line: librdkafka's log_cb: one line for each facility in ten seconds, with the number
 * of those that were left out. Thread any. */
void kafka_log_line(const rd_kafka_t *client, int level, const char *facility, const char *text);

#endif
