/* kafka_topics_internal: what the thread (kafka_topics.c) and its questions to brokers
 * (kafka_look.c) share with each other and with no one else. */
#ifndef HEADGATE_KAFKA_TOPICS_INTERNAL_H
#define HEADGATE_KAFKA_TOPICS_INTERNAL_H

#include "kafka_topics.h"

#include <pthread.h>

#define KAFKA_REQUEST_MS 1500 /* the deadline of one request: what a stop may have to wait for */
#define KAFKA_RETRY_MS 500

struct question {
    struct question *after;
    struct kafka_topic *topic;
    int32_t partition;
};

/* A partition that the group gave us. */
struct given {
    char *topic;
    int32_t partition;
    uint32_t epoch;
};

struct kafka_topics {
    rd_kafka_t *client;
    rd_kafka_t *member; /* NULL: no group */
    const struct kafka_settings *settings;
    const char *stream;
    int wake_fd;
    struct kafka_wanted wanted;
    struct kafka_start start;
    struct kafka_replay { /* of a private stream: where to begin instead */
        bool is;
        size_t n; /* lanes; others begin at 0 */
        struct kafka_replay_lane {
            char *topic;
            int32_t partition;
            int64_t next;
        } * lanes;
    } replay;
    pthread_t thread;

    pthread_mutex_t lock; /* guards from here to stopping */
    pthread_cond_t changed;
    struct kafka_event *first_event, **last_event;
    struct question *questions;
    bool kicked;
    bool nudged;
    bool ends_asked;
    bool stopping;
    bool joined;
    struct given *given;
    size_t n_given;

    /* Changed by the thread alone, under the lock. */
    struct kafka_topic **known;
    size_t n_known;
    /* Of the thread alone. */
    bool answered;                            /* a broker has answered once */
    rd_kafka_topic_partition_list_t *leaders; /* one partition for each broker that leads any */
    int64_t nudged_ns;
};

/* kafka_topics_post: queue an event for the source thread and wake it. */
void kafka_topics_post(struct kafka_topics *topics, struct kafka_event event);

bool kafka_topics_stopping(struct kafka_topics *topics);

/* kafka_topics_epoch: in which epoch the partition is ours; 0: it is not. Always 1 without a group.
 * kafka_topics_is_joined: the group has said what is ours; true without one. */
uint32_t kafka_topics_epoch(struct kafka_topics *topics, const char *topic, int32_t partition);
bool kafka_topics_is_joined(struct kafka_topics *topics);

/* kafka_look_topic: the topic's row, made if there is none. NULL when librdkafka refuses the name.
 */
struct kafka_topic *kafka_look_topic(struct kafka_topics *topics, const char *name);

/* kafka_look: ask for metadata once and post what changed. Returns the milliseconds until the next
 * look. Thread topics. Blocks for a few requests. */
uint64_t kafka_look(struct kafka_topics *topics);

/* kafka_look_ends: post the end of every partition that was reported. Thread topics. Blocks. */
void kafka_look_ends(struct kafka_topics *topics);

/* kafka_look_range: fill in low and high of a partition. -1: not known now. Thread topics. Blocks.
 */
int kafka_look_range(struct kafka_topics *topics, struct kafka_event *range);

#endif
