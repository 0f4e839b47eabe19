/* kafka_topics: which partitions there are and from which offset each is read, asked of the brokers
 * on a thread of its own, because librdkafka's metadata and offset requests block: the data path
 * never waits for them.
 *
 * It knows topics, not lanes. What it finds goes to the source thread as events, in order; what the
 * source thread wants to know (is this offset still there?) comes back as a question.
 * Thread  start and stop: init; take, ask and kick: the source thread. */
#ifndef HEADGATE_KAFKA_TOPICS_H
#define HEADGATE_KAFKA_TOPICS_H

#include "kafka_settings.h"

#include <librdkafka/rdkafka.h>
#include <stdbool.h>
#include <stdint.h>

struct replay;
struct source;
struct kafka_partition; /* the source thread's; see kafka_internal.h */

/* A topic that was seen once; kept until the stop, so that messages can point to it. */
struct kafka_topic {
    char *name;
    rd_kafka_topic_t *handle; /* its opaque is this struct */
    /* Of the topics thread. */
    bool present; /* it exists, as far as the last answers say */
    bool late;    /* it was not there when the brokers first answered: read from its beginning */
    int missed;   /* answers in a row without it */
    int32_t n_initial; /* partitions when it was seen first; later ones are read from offset 0 */
    int32_t n_known;
    uint32_t *reported; /* n_known of them: the epoch of the FOUND that was posted; 0: none */
    /* Of the source thread. */
    struct kafka_partition *partitions;
    int32_t n_partitions;
};

enum kafka_event_kind {
    KAFKA_EVENT_FOUND,     /* a partition to be read from next on; anew if it was GONE before */
    KAFKA_EVENT_GONE,      /* a partition that is no more */
    KAFKA_EVENT_RANGE,     /* the answer to kafka_topics_ask_range */
    KAFKA_EVENT_END,       /* high: the answer to kafka_topics_ask_ends, one a partition */
    KAFKA_EVENT_READY,     /* a broker answers and every wanted partition was reported */
    KAFKA_EVENT_NOT_READY, /* why says what is missing */
};

struct kafka_event {
    struct kafka_event *after;
    enum kafka_event_kind kind;
    struct kafka_topic *topic;
    int32_t partition;
    int64_t next;       /* FOUND: where to begin */
    uint32_t epoch;     /* FOUND: as kafka_topics_give said; 1 without a group */
    bool committed;     /* FOUND: next is the group's own commit */
    int64_t low, high;  /* FOUND, RANGE: the first offset that is there, and the end */
    const char *reason; /* NOT_READY: a literal for the error counter */
    char why[160];      /* NOT_READY */
};

struct kafka_topics;

/* kafka_topics_start: all but replay, which is copied, outlives it. Errors NULL and err. */
struct kafka_topics_options {
    rd_kafka_t *client;
    rd_kafka_t *member; /* of a group: only what kafka_topics_give says is looked for. NULL: all */
    const struct kafka_settings *settings;
    const char *stream;
    const struct replay *replay; /* NULL: the settings' start */
    int wake_fd;                 /* an eventfd that is written after an event was queued */
};
struct kafka_topics *kafka_topics_start(
    const struct kafka_topics_options *options, struct err *err);

/* kafka_topics_give: the group gave us the partition (epoch, from 1), or took it away (0).
 * kafka_topics_joined: it has said what is ours, be it nothing; look now. */
void kafka_topics_give(
    struct kafka_topics *topics, const char *topic, int32_t partition, uint32_t epoch);
void kafka_topics_joined(struct kafka_topics *topics);

/* kafka_topics_take: the events so far, oldest first, or NULL; the caller frees each. */
struct kafka_event *kafka_topics_take(struct kafka_topics *topics);

/* kafka_topics_ask_range: where does this partition begin and end? Asked until it is known. */
void kafka_topics_ask_range(
    struct kafka_topics *topics, struct kafka_topic *topic, int32_t partition);

/* kafka_topics_ask_ends: where do all partitions end? Once, if it can be had now. */
void kafka_topics_ask_ends(struct kafka_topics *topics);

/* kafka_topics_kick: look again now, not at the next turn. */
void kafka_topics_kick(struct kafka_topics *topics);

/* kafka_topics_nudge: have every broker thread of the client look again whether it may fetch. Up to
 * librdkafka 2.1 a fetcher that met its threshold sleeps up to a second, however soon the queue was
 * emptied; any request to the broker wakes it. Rate-limited here. */
void kafka_topics_nudge(struct kafka_topics *topics);

/* kafka_topics_find: a topic by name; NULL when it was never seen. Thread source. */
struct kafka_topic *kafka_topics_find(struct kafka_topics *topics, const char *name);

/* kafka_topics_halt: ask the thread to end; does not wait. kafka_topics_join waits: a request in
 * flight ends after 1.5 s at most. */
void kafka_topics_halt(struct kafka_topics *topics);
void kafka_topics_join(struct kafka_topics *topics);

/* kafka_topics_each: call f for each partition that the source thread knows. Only once both threads
 * have ended. */
void kafka_topics_each(struct kafka_topics *topics, struct source *source,
    void (*f)(struct source *source, struct kafka_topic *topic, int32_t partition));

/* kafka_topics_free: after the join; frees the topics and their handles. */
void kafka_topics_free(struct kafka_topics *topics);

#endif
