/* kafka_topics: the thread that asks brokers: metadata every few seconds, start offsets of what is
 * new, ranges of what fell out. Every request has a deadline of 1.5 s, so that a stop is prompt. It
 * touches no stream. */
#include "kafka_topics_internal.h"

#include "../gateway/clock.h"
#include "../gateway/log.h"
#include "../gateway/mem.h"
#include "connector.h"
#include "wake_fd.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#define NUDGE_LEAST_MS 5

void
kafka_topics_post(struct kafka_topics *topics, struct kafka_event event)
{
    struct kafka_event *copy = mem_alloc(sizeof *copy);
    *copy = event;
    copy->after = NULL;
    pthread_mutex_lock(&topics->lock);
    *topics->last_event = copy;
    topics->last_event = &copy->after;
    pthread_mutex_unlock(&topics->lock);
    wake_fd_raise(topics->wake_fd);
}

bool
kafka_topics_stopping(struct kafka_topics *topics)
{
    pthread_mutex_lock(&topics->lock);
    bool is = topics->stopping;
    pthread_mutex_unlock(&topics->lock);
    return is;
}

uint32_t
kafka_topics_epoch(struct kafka_topics *topics, const char *topic, int32_t partition)
{
    uint32_t epoch = topics->member == NULL;
    pthread_mutex_lock(&topics->lock);
    for (size_t i = 0; i < topics->n_given && epoch == 0; i++) {
        const struct given *given = &topics->given[i];
        if (given->partition == partition && strcmp(given->topic, topic) == 0) {
            epoch = given->epoch;
        }
    }
    pthread_mutex_unlock(&topics->lock);
    return epoch;
}

bool
kafka_topics_is_joined(struct kafka_topics *topics)
{
    pthread_mutex_lock(&topics->lock);
    bool is = topics->joined || topics->member == NULL;
    pthread_mutex_unlock(&topics->lock);
    return is;
}

/* Answer questions about ranges. Those that nobody can answer now are asked again, unless the
 * partition is gone: then its GONE was posted. */
static void
answer_questions(struct kafka_topics *topics, struct question *questions)
{
    while (questions != NULL) {
        struct question *question = questions;
        questions = question->after;
        struct kafka_event range = {
            .kind = KAFKA_EVENT_RANGE, .topic = question->topic, .partition = question->partition};
        if (!question->topic->present || question->partition >= question->topic->n_known) {
            free(question);
        } else if (!kafka_topics_stopping(topics) && kafka_look_range(topics, &range) == 0) {
            kafka_topics_post(topics, range);
            free(question);
        } else {
            pthread_mutex_lock(&topics->lock);
            question->after = topics->questions;
            topics->questions = question;
            pthread_mutex_unlock(&topics->lock);
        }
    }
}

static void
nudge(struct kafka_topics *topics)
{
    if (topics->leaders->cnt > 0) {
        for (int i = 0; i < topics->leaders->cnt; i++) {
            topics->leaders->elems[i].offset = RD_KAFKA_OFFSET_END;
        }
        (void)rd_kafka_offsets_for_times(topics->client, topics->leaders, KAFKA_REQUEST_MS);
    }
    topics->nudged_ns = clock_mono_ns();
}

static struct timespec
to_timespec(int64_t mono_ns)
{
    return (struct timespec){mono_ns / 1000000000, mono_ns % 1000000000};
}

static void *
topics_main(void *topics_)
{
    struct kafka_topics *topics = topics_;
    int64_t look_ns = clock_mono_ns(), ask_ns = 0;
    pthread_mutex_lock(&topics->lock);
    while (!topics->stopping) {
        int64_t now = clock_mono_ns();
        int64_t nudge_ns = topics->nudged_ns + NUDGE_LEAST_MS * 1000000;
        if (topics->nudged && now >= nudge_ns) {
            topics->nudged = false;
            pthread_mutex_unlock(&topics->lock);
            nudge(topics);
        } else if (topics->questions != NULL && now >= ask_ns) {
            struct question *questions = topics->questions;
            topics->questions = NULL;
            pthread_mutex_unlock(&topics->lock);
            answer_questions(topics, questions);
            ask_ns = clock_mono_ns() + KAFKA_RETRY_MS * INT64_C(1000000);
        } else if (topics->ends_asked) {
            topics->ends_asked = false;
            pthread_mutex_unlock(&topics->lock);
            kafka_look_ends(topics);
        } else if (topics->kicked || now >= look_ns) {
            topics->kicked = false;
            pthread_mutex_unlock(&topics->lock);
            uint64_t wait_ms = kafka_look(topics);
            look_ns = clock_mono_ns() + (int64_t)wait_ms * 1000000;
        } else {
            int64_t due = look_ns;
            due = topics->nudged && nudge_ns < due ? nudge_ns : due;
            due = topics->questions != NULL && ask_ns < due ? ask_ns : due;
            struct timespec until = to_timespec(due);
            pthread_cond_timedwait(&topics->changed, &topics->lock, &until);
            continue;
        }
        pthread_mutex_lock(&topics->lock);
    }
    pthread_mutex_unlock(&topics->lock);
    return NULL;
}

static void
topics_destroy(struct kafka_topics *topics)
{
    for (size_t i = 0; i < topics->n_known; i++) {
        rd_kafka_topic_destroy(topics->known[i]->handle);
        free(topics->known[i]->partitions);
        free(topics->known[i]->reported);
        free(topics->known[i]->name);
        free(topics->known[i]);
    }
    free(topics->known);
    for (size_t i = 0; i < topics->n_given; i++) {
        free(topics->given[i].topic);
    }
    free(topics->given);
    for (struct kafka_event *event = topics->first_event; event != NULL;) {
        struct kafka_event *after = event->after;
        free(event);
        event = after;
    }
    for (struct question *question = topics->questions; question != NULL;) {
        struct question *after = question->after;
        free(question);
        question = after;
    }
    for (size_t i = 0; i < topics->replay.n; i++) {
        free(topics->replay.lanes[i].topic);
    }
    free(topics->replay.lanes);
    rd_kafka_topic_partition_list_destroy(topics->leaders);
    kafka_wanted_fini(&topics->wanted);
    pthread_cond_destroy(&topics->changed);
    pthread_mutex_destroy(&topics->lock);
    free(topics);
}

/* A replay of lanes knows each partition's place; one of a time, or of all, is a start like those
 * of the settings. */
static void
take_replay(struct kafka_topics *topics, const struct replay *replay)
{
    switch (replay->kind) {
    case REPLAY_CURSOR: /* of other sources */
    case REPLAY_LOG:
    case REPLAY_EARLIEST:
        topics->start = (struct kafka_start){.kind = KAFKA_START_EARLIEST};
        break;
    case REPLAY_LATEST:
        topics->start = (struct kafka_start){.kind = KAFKA_START_LATEST};
        break;
    case REPLAY_TIME:
        topics->start = (struct kafka_start){KAFKA_START_TIME, replay->time_ms};
        break;
    case REPLAY_LANES:
        topics->replay.is = true;
        topics->replay.n = replay->n_lanes;
        topics->replay.lanes = mem_calloc(replay->n_lanes + 1, sizeof *topics->replay.lanes);
        for (size_t i = 0; i < replay->n_lanes; i++) {
            topics->replay.lanes[i] = (struct kafka_replay_lane){
                .topic = mem_strdup(replay->lanes[i].group),
                .partition = (int32_t)replay->lanes[i].partition,
                .next = (int64_t)replay->lanes[i].next,
            };
        }
        break;
    }
}

struct kafka_topics *
kafka_topics_start(const struct kafka_topics_options *options, struct err *err)
{
    const struct kafka_settings *settings = options->settings;
    struct kafka_topics *topics = mem_calloc(1, sizeof *topics);
    *topics = (struct kafka_topics){.client = options->client,
        .member = options->member,
        .settings = settings,
        .stream = options->stream,
        .wake_fd = options->wake_fd};
    if (kafka_start_parse(settings->start, clock_wall_ms(), &topics->start, err) != 0 ||
        kafka_wanted_init(&topics->wanted, &settings->topics, err) != 0) {
        free(topics);
        return NULL;
    }
    if (options->replay != NULL) {
        take_replay(topics, options->replay);
    }
    topics->last_event = &topics->first_event;
    topics->leaders = rd_kafka_topic_partition_list_new(0);
    pthread_mutex_init(&topics->lock, NULL);
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&topics->changed, &monotonic);
    pthread_condattr_destroy(&monotonic);
    /* Without an expression, the metadata request asks for the topics that have a handle. */
    for (size_t i = 0; i < topics->wanted.n; i++) {
        if (!topics->wanted.items[i].is_regex) {
            (void)kafka_look_topic(topics, topics->wanted.items[i].text);
        }
    }
    int rc = pthread_create(&topics->thread, NULL, topics_main, topics);
    if (rc != 0) {
        err_set_errno(err, rc, "topics thread of stream %s", options->stream);
        topics_destroy(topics);
        return NULL;
    }
    return topics;
}

struct kafka_event *
kafka_topics_take(struct kafka_topics *topics)
{
    pthread_mutex_lock(&topics->lock);
    struct kafka_event *first = topics->first_event;
    topics->first_event = NULL;
    topics->last_event = &topics->first_event;
    pthread_mutex_unlock(&topics->lock);
    return first;
}

void
kafka_topics_give(struct kafka_topics *topics, const char *topic, int32_t partition, uint32_t epoch)
{
    pthread_mutex_lock(&topics->lock);
    for (size_t i = topics->n_given; i-- > 0;) {
        struct given *given = &topics->given[i];
        if (given->partition == partition && strcmp(given->topic, topic) == 0) {
            free(given->topic);
            *given = topics->given[--topics->n_given];
        }
    }
    if (epoch != 0) {
        topics->given = mem_realloc(topics->given, (topics->n_given + 1) * sizeof *topics->given);
        topics->given[topics->n_given++] = (struct given){mem_strdup(topic), partition, epoch};
    }
    pthread_mutex_unlock(&topics->lock);
}

void
kafka_topics_joined(struct kafka_topics *topics)
{
    pthread_mutex_lock(&topics->lock);
    topics->joined = topics->kicked = true;
    pthread_cond_signal(&topics->changed);
    pthread_mutex_unlock(&topics->lock);
}

void
kafka_topics_ask_range(struct kafka_topics *topics, struct kafka_topic *topic, int32_t partition)
{
    struct question *question = mem_alloc(sizeof *question);
    pthread_mutex_lock(&topics->lock);
    *question = (struct question){topics->questions, topic, partition};
    topics->questions = question;
    pthread_cond_signal(&topics->changed);
    pthread_mutex_unlock(&topics->lock);
}

void
kafka_topics_ask_ends(struct kafka_topics *topics)
{
    pthread_mutex_lock(&topics->lock);
    topics->ends_asked = true;
    pthread_cond_signal(&topics->changed);
    pthread_mutex_unlock(&topics->lock);
}

void
kafka_topics_kick(struct kafka_topics *topics)
{
    pthread_mutex_lock(&topics->lock);
    topics->kicked = true;
    pthread_cond_signal(&topics->changed);
    pthread_mutex_unlock(&topics->lock);
}

void
kafka_topics_nudge(struct kafka_topics *topics)
{
    pthread_mutex_lock(&topics->lock);
    topics->nudged = true;
    pthread_cond_signal(&topics->changed);
    pthread_mutex_unlock(&topics->lock);
}

void
kafka_topics_halt(struct kafka_topics *topics)
{
    pthread_mutex_lock(&topics->lock);
    topics->stopping = true;
    pthread_cond_signal(&topics->changed);
    pthread_mutex_unlock(&topics->lock);
}

void
kafka_topics_join(struct kafka_topics *topics)
{
    kafka_topics_halt(topics);
    pthread_join(topics->thread, NULL);
}

struct kafka_topic *
kafka_topics_find(struct kafka_topics *topics, const char *name)
{
    struct kafka_topic *topic = NULL;
    pthread_mutex_lock(&topics->lock);
    for (size_t i = 0; i < topics->n_known && topic == NULL; i++) {
        if (strcmp(topics->known[i]->name, name) == 0) {
            topic = topics->known[i];
        }
    }
    pthread_mutex_unlock(&topics->lock);
    return topic;
}

void
kafka_topics_each(struct kafka_topics *topics, struct source *source,
    void (*f)(struct source *source, struct kafka_topic *topic, int32_t partition))
{
    for (size_t i = 0; i < topics->n_known; i++) {
        for (int32_t p = 0; p < topics->known[i]->n_partitions; p++) {
            f(source, topics->known[i], p);
        }
    }
}

void
kafka_topics_free(struct kafka_topics *topics)
{
    topics_destroy(topics);
}
