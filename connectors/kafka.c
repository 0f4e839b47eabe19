/* kafka: a Kafka source: every partition of its topics, or its share of them in a consumer group
 * (kafka_group.c).
 *
 * Its thread is the one that publishes into the stream. It takes from librdkafka's queue what the
 * stream has room for, never more, and serves librdkafka's callbacks meanwhile. What blocks
 * (metadata, offset look-ups) is done by kafka_topics on another thread. */
#include "kafka_internal.h"

#include "../gateway/clock.h"
#include "../gateway/log.h"
#include "../gateway/mem.h"
#include "kafka.h"
#include "wake_fd.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define TICK_MS 100
#define STOP_MS 4000

static const uint64_t one = 1;

/* Sleep until records come, a wake, or the tick. While there is no room the queue's descriptor is
 * left out: it would stay readable. librdkafka writes it when an empty queue gets its first record;
 * kafka_records_take() has drained the queue whenever we sleep with room. */
static void
rest(struct source *source)
{
    struct pollfd fds[2] = {
        {.fd = source->wake_fd, .events = POLLIN},
        {.fd = source->held_ns == 0 ? source->queue_fd : -1, .events = POLLIN},
    };
    if (poll(fds, 2, TICK_MS) > 0) {
        if (fds[0].revents != 0) {
            (void)wake_fd_drain(source->wake_fd);
        }
        if (fds[1].revents != 0) {
            (void)wake_fd_drain(source->queue_fd);
        }
    }
}

/* A reader of what the ring has left takes what the processors have over: the live subscribers go
 * first. Linux has a priority for each thread. */
#define CATCH_UP_NICE 5

static void
yield_to_live(void)
{
    id_t self = (id_t)gettid();
    (void)setpriority(PRIO_PROCESS, self, getpriority(PRIO_PROCESS, self) + CATCH_UP_NICE);
}

static rd_kafka_resp_err_t
on_thread_start(rd_kafka_t *client, rd_kafka_thread_type_t kind, const char *name, void *opaque)
{
    (void)client;
    (void)kind;
    (void)name;
    (void)opaque;
    yield_to_live();
    return RD_KAFKA_RESP_ERR_NO_ERROR;
}

static rd_kafka_resp_err_t
on_new(rd_kafka_t *client, const rd_kafka_conf_t *conf, void *opaque, char *why, size_t size)
{
    (void)conf;
    (void)opaque;
    (void)why;
    (void)size;
    return rd_kafka_interceptor_add_on_thread_start(client, "headgate", on_thread_start, NULL);
}

static void *
source_main(void *source_)
{
    struct source *source = source_;
    if (source->catches_up) {
        yield_to_live();
    }
    while (!atomic_load(&source->stopping)) {
        rd_kafka_poll(source->client, 0);
        if (source->group != NULL) {
            kafka_group_serve(source);
        }
        kafka_lanes_apply(source);
        stream_source_alive(source->stream);
        if (!kafka_records_take(source)) {
            rest(source);
        }
    }
    if (source->group != NULL) {
        kafka_group_leave(source);
    }
    return NULL;
}

static void
on_error(rd_kafka_t *client, int code, const char *text, void *source_)
{
    struct source *source = source_;
    (void)client;
    (void)text; /* the log callback has it too */
    const char *reason = "broker";
    if (code == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN) {
        reason = "all_brokers_down";
        kafka_topics_kick(source->topics); /* its answer, or none, is what counts */
    } else if (code == RD_KAFKA_RESP_ERR__AUTHENTICATION || code == RD_KAFKA_RESP_ERR__SSL) {
        reason = "authentication";
    }
    stream_source_error(source->stream, reason);
}

static int
on_stats(rd_kafka_t *client, char *json, size_t len, void *source)
{
    (void)client;
    kafka_stats_apply(source, json, len);
    return 0; /* librdkafka frees the text */
}

static void
source_free(struct source *source)
{
    pthread_mutex_destroy(&source->log.lock);
    if (source->wake_fd >= 0) {
        close(source->wake_fd);
    }
    if (source->queue_fd >= 0) {
        close(source->queue_fd);
    }
    free(source->batch);
    free(source->headers);
    kafka_lines_free(source->lines);
    free(source->owed);
    free(source);
}

static int
open_client(struct source *source, struct err *err)
{
    rd_kafka_conf_t *conf = kafka_settings_conf(source->settings, stream_name(source->stream), err);
    if (conf == NULL) {
        return -1;
    }
    rd_kafka_conf_set_opaque(conf, source);
    rd_kafka_conf_set_log_cb(conf, kafka_log_line);
    rd_kafka_conf_set_error_cb(conf, on_error);
    rd_kafka_conf_set_stats_cb(conf, on_stats);
    if (source->catches_up) {
        (void)rd_kafka_conf_interceptor_add_on_new(conf, "headgate", on_new, NULL);
    }
    char why[400];
    source->client = rd_kafka_new(RD_KAFKA_CONSUMER, conf, why, sizeof why);
    if (source->client == NULL) {
        rd_kafka_conf_destroy(conf);
        err_set(err, ERR_INVALID, "stream %s: %s", stream_name(source->stream), why);
        return -1;
    }
    source->queue = rd_kafka_queue_new(source->client);
    rd_kafka_queue_io_event_enable(source->queue, source->queue_fd, &one, sizeof one);
    return 0;
}

/* Everything of librdkafka, in the order that lets rd_kafka_destroy end: fetching stopped, requests
 * over, topic handles and queues gone. */
static void
close_client(struct source *source)
{
    if (source->topics != NULL) {
        kafka_topics_join(source->topics);
        kafka_records_drop(source);
        kafka_topics_each(source->topics, source, kafka_lane_stop);
        kafka_topics_free(source->topics);
    }
    kafka_group_close(source->group);
    if (source->queue != NULL) {
        rd_kafka_queue_io_event_enable(source->queue, -1, NULL, 0);
        rd_kafka_queue_destroy(source->queue);
    }
    if (source->client != NULL) {
        rd_kafka_destroy(source->client);
    }
}

/* Which group the source is a member of: its settings', or the one of a replay. False: none. */
static bool
member_of(
    const struct kafka_settings *settings, const struct replay *replay, struct kafka_member *member)
{
    *member = (struct kafka_member){
        .group = settings->group,
        .instance_id = settings->group_instance_id,
        .session_timeout_ms = settings->session_timeout_ms,
    };
    if (replay != NULL) { /* a private stream is no second member of the configured group */
        member->group = replay->group;
        member->instance_id = NULL;
    }
    return member->group != NULL;
}

static struct source *
kafka_start(
    const void *settings, struct stream *stream, const struct replay *replay, struct err *err)
{
    struct source *source = mem_calloc(1, sizeof *source);
    source->settings = settings;
    source->stream = stream;
    source->catches_up = stream_is_private(stream) && replay->group == NULL;
    if (replay != NULL && replay->group != NULL) { /* one of many, each for one subscriber */
        kafka_settings_small(settings, &source->own_settings);
        source->settings = &source->own_settings;
    }
    source->batch = mem_calloc(KAFKA_BATCH_MOST, sizeof *source->batch);
    source->sifts = stream_sifts(stream);
    source->lines = stream_takes_lines(stream) ? kafka_lines_new(stream) : NULL;
    source->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    source->queue_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    pthread_mutex_init(&source->log.lock, NULL);
    if (source->wake_fd < 0 || source->queue_fd < 0) {
        err_set_errno(err, errno, "stream %s: eventfd", stream_name(stream));
        goto fail;
    }
    if (open_client(source, err) != 0) {
        goto fail;
    }
    struct kafka_member member;
    bool grouped = member_of(source->settings, replay, &member);
    if (grouped && (source->group = kafka_group_open(source, &member, err)) == NULL) {
        goto fail;
    }
    const struct kafka_topics_options options = {
        .client = source->client,
        .member = grouped ? kafka_group_client(source->group) : NULL,
        .settings = source->settings,
        .stream = stream_name(stream),
        .replay = replay,
        .wake_fd = source->wake_fd,
    };
    source->topics = kafka_topics_start(&options, err);
    if (source->topics == NULL || (grouped && kafka_group_join(source, err) != 0)) {
        goto fail;
    }
    int rc = pthread_create(&source->thread, NULL, source_main, source);
    if (rc != 0) {
        err_set_errno(err, rc, "source thread of stream %s", stream_name(stream));
        goto fail;
    }
    pthread_setname_np(source->thread, "kafka");
    return source;
fail:
    close_client(source);
    source_free(source);
    return NULL;
}

static void
kafka_wake(struct source *source)
{
    wake_fd_raise(source->wake_fd);
}

/* The client is closed on a thread of its own: rd_kafka_destroy waits for threads that may hang in
 * the resolver or in a SASL plugin, and a shutdown must not. Who is late last frees. */
struct closing {
    struct source *source;
    pthread_mutex_t lock;
    pthread_cond_t done_changed;
    bool done, abandoned;
};

static void
closing_free(struct closing *closing)
{
    pthread_cond_destroy(&closing->done_changed);
    pthread_mutex_destroy(&closing->lock);
    source_free(closing->source);
    free(closing);
}

static void *
closing_main(void *closing_)
{
    struct closing *closing = closing_;
    close_client(closing->source);
    pthread_mutex_lock(&closing->lock);
    closing->done = true;
    bool abandoned = closing->abandoned;
    pthread_cond_signal(&closing->done_changed);
    pthread_mutex_unlock(&closing->lock);
    if (abandoned) {
        closing_free(closing);
    }
    return NULL;
}

static bool
wait_done(struct closing *closing)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += STOP_MS / 1000;
    pthread_mutex_lock(&closing->lock);
    int rc = 0;
    while (!closing->done && rc == 0) {
        rc = pthread_cond_timedwait(&closing->done_changed, &closing->lock, &until);
    }
    bool done = closing->done;
    closing->abandoned = !done;
    pthread_mutex_unlock(&closing->lock);
    return done;
}

/* The threads end by themselves from here on; to close the client waits until stop. */
static void
kafka_cancel(struct source *source)
{
    atomic_store(&source->stopping, true);
    kafka_topics_halt(source->topics);
    kafka_wake(source);
}

static void
kafka_stop(struct source *source)
{
    kafka_cancel(source);
    pthread_join(source->thread, NULL);
    struct closing *closing = mem_calloc(1, sizeof *closing);
    closing->source = source;
    pthread_mutex_init(&closing->lock, NULL);
    pthread_cond_init(&closing->done_changed, NULL);
    pthread_t thread;
    if (pthread_create(&thread, NULL, closing_main, closing) != 0) {
        close_client(source);
        closing_free(closing);
    } else if (wait_done(closing)) {
        pthread_join(thread, NULL);
        closing_free(closing);
    } else {
        log_event(LOG_WARN, "kafka", NULL, "the Kafka client did not close in time; left behind");
        pthread_detach(thread);
    }
}

const struct connector kafka_connector = {
    .name = "kafka",
    .section = &kafka_section,
    .check = kafka_settings_check,
    .memory_bound_bytes = kafka_settings_memory_bytes,
    .member_bound_bytes = kafka_settings_member_bytes,
    .descriptor_bound = kafka_settings_descriptors,
    .capabilities = CONNECTOR_REPLAYS | CONNECTOR_GROUPS | CONNECTOR_SIFTS,
    .shares = kafka_settings_shares,
    .start = kafka_start,
    .wake = kafka_wake,
    .cancel = kafka_cancel,
    .stop = kafka_stop,
};
