/* push_producer: see push_producer.h. */
#include "push_producer.h"

#include "../gateway/clock.h"
#include "../gateway/log.h"
#include "../gateway/mem.h"
#include "../gateway/push_queue.h"
#include "../gateway/record_type.h"
#include "../gateway/stream_push.h"
#include "../gateway/stream_source.h"
#include "wake_fd.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#define TICK_MS 100
#define TAKE_MOST 256
#define FLUSH_MS 2000 /* of what is under way at the stop */
#define PURGE_MS 1000 /* for what was given up to come back */
#define CLOSE_MS 1500 /* for the client to close */

static const uint64_t one = 1;

struct push_producer {
    const struct push_settings *settings;
    struct stream *stream;
    struct push_queue *queue;
    rd_kafka_t *client;
    pthread_t thread;
    int wake_fd; /* eventfd: records in the queue, stop */
    int done_fd; /* eventfd: librdkafka has reports */
    atomic_bool stopping;
    atomic_bool broken; /* the client met a fatal error: a new one is made */

    /* At the end. */
    pthread_mutex_t lock;
    pthread_cond_t ended_changed;
    bool returned;         /* every record is given back: nothing of the stream is used any more */
    bool ended, abandoned; /* who is late last frees */
};

/* ---- reports of librdkafka ---- */

struct failure {
    int status;
    const char *reason; /* of push_reject_names */
};

static struct failure
failure_of(rd_kafka_resp_err_t code)
{
    switch ((int)code) {
    case RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE:
    case RD_KAFKA_RESP_ERR_RECORD_LIST_TOO_LARGE:
    case RD_KAFKA_RESP_ERR_INVALID_MSG_SIZE:
        return (struct failure){413, "too_large"};
    case RD_KAFKA_RESP_ERR__MSG_TIMED_OUT:
    case RD_KAFKA_RESP_ERR__TIMED_OUT:
    case RD_KAFKA_RESP_ERR__TRANSPORT:
    case RD_KAFKA_RESP_ERR__PURGE_QUEUE:
    case RD_KAFKA_RESP_ERR__PURGE_INFLIGHT:
        return (struct failure){503, "unavailable"};
    default: /* librdkafka has a hundred */
        return (struct failure){503, "delivery"};
    }
}

static void
fail(struct push_producer *producer, struct push_item *item, rd_kafka_resp_err_t code,
    bool maybe_written)
{
    struct failure failure = failure_of(code);
    char text[200];
    snprintf(text, sizeof text, "Kafka did not take a record: %s%s", rd_kafka_err2str(code),
        maybe_written ? "; it may have been written all the same" : "");
    stream_source_error(producer->stream, "delivery");
    log_event(LOG_WARN, "push", stream_name(producer->stream), "topic %s: a record failed: %s",
        push_settings_topic(producer->settings), rd_kafka_err2str(code));
    push_queue_fail(producer->queue, item, failure.status, failure.reason, text);
}

static void
on_report(rd_kafka_t *client, const rd_kafka_message_t *message, void *producer_)
{
    struct push_producer *producer = producer_;
    struct push_item *item = message->_private;
    (void)client;
    if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
        push_queue_done(
            producer->queue, item, (uint32_t)message->partition, (uint64_t)message->offset);
    } else {
        fail(producer, item, message->err,
            rd_kafka_message_status(message) == RD_KAFKA_MSG_STATUS_POSSIBLY_PERSISTED);
    }
}

static void
on_error(rd_kafka_t *client, int code, const char *text, void *producer_)
{
    struct push_producer *producer = producer_;
    (void)client;
    if (code == RD_KAFKA_RESP_ERR__FATAL) {
        log_event(LOG_ERROR, "push", stream_name(producer->stream),
            "the producer failed and is made again: %s", text);
        stream_source_error(producer->stream, "producer_fatal");
        atomic_store(&producer->broken, true);
    }
}

/* The reader of the same topic has the same brokers, and says what is wrong with them; the two
 * share their properties, so each is told of some that are not its. */
static void
on_log(const rd_kafka_t *client, int level, const char *facility, const char *text)
{
    (void)client;
    if (strcmp(facility, "CONFWARN") != 0) {
        log_event(level <= 3 ? LOG_WARN : LOG_DEBUG, "push", NULL, "%s: %s", facility, text);
    }
}

/* ---- the client ---- */

static int
open_client(struct push_producer *producer, struct err *err)
{
    const char *name = stream_name(producer->stream);
    rd_kafka_conf_t *conf = push_settings_producer_conf(
        producer->settings, name, stream_max_record_bytes(producer->stream), err);
    if (conf == NULL) {
        return -1;
    }
    rd_kafka_conf_set_opaque(conf, producer);
    rd_kafka_conf_set_dr_msg_cb(conf, on_report);
    rd_kafka_conf_set_error_cb(conf, on_error);
    rd_kafka_conf_set_log_cb(conf, on_log);
    char why[400];
    producer->client = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, sizeof why);
    if (producer->client == NULL) {
        rd_kafka_conf_destroy(conf);
        err_set(err, ERR_INVALID, "stream %s: %s", name, why);
        return -1;
    }
    rd_kafka_queue_t *reports = rd_kafka_queue_get_main(producer->client);
    rd_kafka_queue_io_event_enable(reports, producer->done_fd, &one, sizeof one);
    rd_kafka_queue_destroy(reports);
    return 0;
}

/* Every record that the client has comes back, as a failure where need be. */
static void
give_up(struct push_producer *producer)
{
    int64_t until_ns = clock_mono_ns() + (int64_t)PURGE_MS * 1000000;
    rd_kafka_purge(producer->client, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
    while (rd_kafka_outq_len(producer->client) > 0 && clock_mono_ns() < until_ns) {
        rd_kafka_poll(producer->client, 50);
    }
}

/* A fatal error ends an idempotent producer, not the stream. */
static void
reopen(struct push_producer *producer)
{
    struct err err;
    give_up(producer);
    rd_kafka_destroy(producer->client);
    producer->client = NULL;
    atomic_store(&producer->broken, false);
    if (open_client(producer, &err) != 0) { /* it could be made before */
        log_event(LOG_ERROR, "push", stream_name(producer->stream), "%s", err.text);
    }
}

/* ---- the thread ---- */

static rd_kafka_resp_err_t
produce(struct push_producer *producer, struct push_item *item)
{
    rd_kafka_vu_t parts[5] = {
        {.vtype = RD_KAFKA_VTYPE_TOPIC, .u.cstr = push_settings_topic(producer->settings)},
        {.vtype = RD_KAFKA_VTYPE_KEY, .u.mem = {item->key, item->key_len}},
        {.vtype = RD_KAFKA_VTYPE_VALUE, .u.mem = {item->data, item->len}}, /* not copied */
        {.vtype = RD_KAFKA_VTYPE_OPAQUE, .u.ptr = item},
    };
    size_t n = 4;
    if (item->type != NULL) {
        parts[n].vtype = RD_KAFKA_VTYPE_HEADER;
        parts[n].u.header.name = RECORD_TYPE_HEADER;
        parts[n].u.header.val = item->type;
        parts[n].u.header.size = (ssize_t)strlen(item->type);
        n++;
    }
    rd_kafka_error_t *error = rd_kafka_produceva(producer->client, parts, n);
    rd_kafka_resp_err_t code =
        error == NULL ? RD_KAFKA_RESP_ERR_NO_ERROR : rd_kafka_error_code(error);
    rd_kafka_error_destroy(error);
    return code;
}

/* Pass on what is in the queue. True: there may be more. */
static bool
produce_some(struct push_producer *producer)
{
    struct push_items items;
    struct push_item *item;
    TAILQ_INIT(&items);
    size_t n = push_queue_take(producer->queue, &items, TAKE_MOST);
    while ((item = TAILQ_FIRST(&items)) != NULL) {
        rd_kafka_resp_err_t code = produce(producer, item);
        if (code == RD_KAFKA_RESP_ERR__QUEUE_FULL) {
            break;
        }
        TAILQ_REMOVE(&items, item, link);
        if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
            fail(producer, item, code, false);
        }
    }
    bool full = !TAILQ_EMPTY(&items);
    if (n > 0) {
        /* librdkafka 2.0 at times does not wake its broker thread for what is to be sent, which
         * then goes out up to a second later. To flush wakes it. */
        rd_kafka_flush(producer->client, 0);
    }
    push_queue_untake(producer->queue, &items);
    return n == TAKE_MOST && !full;
}

static void
rest(struct push_producer *producer)
{
    struct pollfd fds[2] = {
        {.fd = producer->wake_fd, .events = POLLIN}, {.fd = producer->done_fd, .events = POLLIN}};
    if (poll(fds, 2, TICK_MS) > 0) {
        (void)wake_fd_drain(producer->wake_fd);
        (void)wake_fd_drain(producer->done_fd);
    }
}

static void
producer_free(struct push_producer *producer)
{
    close(producer->wake_fd);
    close(producer->done_fd);
    pthread_cond_destroy(&producer->ended_changed);
    pthread_mutex_destroy(&producer->lock);
    free(producer);
}

static void
close_client(struct push_producer *producer)
{
    rd_kafka_queue_t *reports = rd_kafka_queue_get_main(producer->client);
    rd_kafka_queue_io_event_enable(reports, -1, NULL, 0);
    rd_kafka_queue_destroy(reports);
    rd_kafka_destroy(producer->client);
}

/* Nothing of the stream is touched once returned is said. */
static void
finish(struct push_producer *producer)
{
    while (producer->client != NULL && produce_some(producer)) {
    }
    if (producer->client != NULL) {
        rd_kafka_flush(producer->client, FLUSH_MS);
        give_up(producer);
    }
    pthread_mutex_lock(&producer->lock);
    producer->returned = true;
    pthread_cond_signal(&producer->ended_changed);
    pthread_mutex_unlock(&producer->lock);
    if (producer->client != NULL) {
        close_client(producer);
    }
    pthread_mutex_lock(&producer->lock);
    producer->ended = true;
    bool abandoned = producer->abandoned;
    pthread_cond_signal(&producer->ended_changed);
    pthread_mutex_unlock(&producer->lock);
    if (abandoned) {
        producer_free(producer);
    }
}

static void *
producer_main(void *producer_)
{
    struct push_producer *producer = producer_;
    while (!atomic_load(&producer->stopping)) {
        if (atomic_load(&producer->broken)) {
            reopen(producer);
        }
        if (producer->client == NULL) {
            break;
        }
        rd_kafka_poll(producer->client, 0);
        if (!produce_some(producer)) {
            rest(producer);
        }
    }
    finish(producer);
    return NULL;
}

/* ---- life ---- */

struct push_producer *
push_producer_start(const struct push_settings *settings, struct stream *stream, struct err *err)
{
    struct push_producer *producer = mem_calloc(1, sizeof *producer);
    producer->settings = settings;
    producer->stream = stream;
    producer->queue = stream_push_queue(stream);
    pthread_mutex_init(&producer->lock, NULL);
    pthread_cond_init(&producer->ended_changed, NULL);
    producer->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    producer->done_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (producer->wake_fd < 0 || producer->done_fd < 0) {
        err_set_errno(err, errno, "stream %s: eventfd", stream_name(stream));
        goto fail;
    }
    if (open_client(producer, err) != 0) {
        goto fail;
    }
    int rc = pthread_create(&producer->thread, NULL, producer_main, producer);
    if (rc != 0) {
        err_set_errno(err, rc, "producer thread of stream %s", stream_name(stream));
        rd_kafka_destroy(producer->client);
        goto fail;
    }
    return producer;
fail:
    producer_free(producer);
    return NULL;
}

void
push_producer_wake(struct push_producer *producer)
{
    wake_fd_raise(producer->wake_fd);
}

void
push_producer_halt(struct push_producer *producer)
{
    atomic_store(&producer->stopping, true);
    push_producer_wake(producer);
}

void
push_producer_stop(struct push_producer *producer)
{
    struct timespec until;
    pthread_mutex_lock(&producer->lock);
    while (!producer->returned) { /* bounded by FLUSH_MS and PURGE_MS */
        pthread_cond_wait(&producer->ended_changed, &producer->lock);
    }
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += (CLOSE_MS % 1000) * 1000000L;
    until.tv_sec += CLOSE_MS / 1000 + until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    int rc = 0;
    while (!producer->ended && rc == 0) {
        rc = pthread_cond_timedwait(&producer->ended_changed, &producer->lock, &until);
    }
    bool ended = producer->ended;
    producer->abandoned = !ended;
    pthread_mutex_unlock(&producer->lock);
    if (ended) {
        pthread_join(producer->thread, NULL);
        producer_free(producer);
    } else {
        log_event(LOG_WARN, "push", NULL, "the Kafka client did not close in time; left behind");
        pthread_detach(producer->thread);
    }
}
