/* kafka_producer: see kafka_producer.h. */
#include "kafka_producer.h"

#include "../gateway/clock.h"
#include "../gateway/log.h"
#include "../gateway/mem.h"
#include "wake_fd.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#define TICK_MS 100
#define FLUSH_MS 2000 /* of what is under way at the stop */
#define PURGE_MS 1000 /* for what was given up to come back */
#define CLOSE_MS 1500 /* for the client to close */

static const uint64_t one = 1;

struct kafka_producer {
    struct kafka_producer_user user;
    void *self;
    rd_kafka_t *client;
    pthread_t thread;
    int wake_fd; /* eventfd: something to produce, stop */
    int done_fd; /* eventfd: librdkafka has reports */
    atomic_bool stopping;
    atomic_bool broken; /* the client met a fatal error: a new one is made */

    /* At the end. */
    pthread_mutex_t lock;
    pthread_cond_t ended_changed;
    bool returned;         /* every report is given: the user is not used any more */
    bool ended, abandoned; /* who is late last frees */
};

/* ---- the client ---- */

static void
on_report(rd_kafka_t *client, const rd_kafka_message_t *message, void *producer_)
{
    struct kafka_producer *producer = producer_;
    (void)client;
    producer->user.report(producer->self, message);
}

static void
on_error(rd_kafka_t *client, int code, const char *text, void *producer_)
{
    struct kafka_producer *producer = producer_;
    (void)client;
    if (code == RD_KAFKA_RESP_ERR__FATAL) {
        producer->user.broke(producer->self, text);
        atomic_store(&producer->broken, true);
    }
}

/* Readers of the same topic have the same brokers, and say what is wrong with them; the two share
 * their properties, so each is told of some that are not its. */
static void
on_log(const rd_kafka_t *client, int level, const char *facility, const char *text)
{
    (void)client;
    if (strcmp(facility, "CONFWARN") != 0) {
        log_event(
            level <= 3 ? LOG_WARN : LOG_DEBUG, "kafka", NULL, "producer: %s: %s", facility, text);
    }
}

static int
open_client(struct kafka_producer *producer, struct err *err)
{
    rd_kafka_conf_t *conf = producer->user.conf(producer->self, err);
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
        err_set(err, ERR_INVALID, "stream %s: %s", producer->user.name, why);
        return -1;
    }
    rd_kafka_queue_t *reports = rd_kafka_queue_get_main(producer->client);
    rd_kafka_queue_io_event_enable(reports, producer->done_fd, &one, sizeof one);
    rd_kafka_queue_destroy(reports);
    return 0;
}

/* Every record that the client has comes back, as a failure where need be. */
static void
give_up(struct kafka_producer *producer)
{
    int64_t until_ns = clock_mono_ns() + (int64_t)PURGE_MS * 1000000;
    rd_kafka_purge(producer->client, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
    while (rd_kafka_outq_len(producer->client) > 0 && clock_mono_ns() < until_ns) {
        rd_kafka_poll(producer->client, 50);
    }
}

/* A fatal error ends an idempotent producer, not the stream. */
static void
reopen(struct kafka_producer *producer)
{
    struct err err;
    give_up(producer);
    rd_kafka_destroy(producer->client);
    producer->client = NULL;
    atomic_store(&producer->broken, false);
    if (open_client(producer, &err) != 0) { /* it could be made before */
        log_event(LOG_ERROR, producer->user.component, producer->user.name, "%s", err.text);
    }
}

/* ---- the thread ---- */

static void
rest(struct kafka_producer *producer)
{
    struct pollfd fds[2] = {
        {.fd = producer->wake_fd, .events = POLLIN}, {.fd = producer->done_fd, .events = POLLIN}};
    if (poll(fds, 2, TICK_MS) > 0) {
        (void)wake_fd_drain(producer->wake_fd);
        (void)wake_fd_drain(producer->done_fd);
    }
}

static void
producer_free(struct kafka_producer *producer)
{
    close(producer->wake_fd);
    close(producer->done_fd);
    pthread_cond_destroy(&producer->ended_changed);
    pthread_mutex_destroy(&producer->lock);
    free(producer);
}

static void
close_client(struct kafka_producer *producer)
{
    rd_kafka_queue_t *reports = rd_kafka_queue_get_main(producer->client);
    rd_kafka_queue_io_event_enable(reports, -1, NULL, 0);
    rd_kafka_queue_destroy(reports);
    rd_kafka_destroy(producer->client);
}

/* Nothing of the stream is touched once returned is said. */
static void
finish(struct kafka_producer *producer)
{
    while (producer->client != NULL && producer->user.produce(producer->self, producer->client)) {
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
    struct kafka_producer *producer = producer_;
    while (!atomic_load(&producer->stopping)) {
        if (atomic_load(&producer->broken)) {
            reopen(producer);
        }
        if (producer->client == NULL) {
            break;
        }
        rd_kafka_poll(producer->client, 0);
        if (!producer->user.produce(producer->self, producer->client)) {
            rest(producer);
        }
    }
    finish(producer);
    return NULL;
}

/* ---- life ---- */

struct kafka_producer *
kafka_producer_start(const struct kafka_producer_user *user, void *self, struct err *err)
{
    struct kafka_producer *producer = mem_calloc(1, sizeof *producer);
    producer->user = *user;
    producer->self = self;
    pthread_mutex_init(&producer->lock, NULL);
    pthread_cond_init(&producer->ended_changed, NULL);
    producer->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    producer->done_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (producer->wake_fd < 0 || producer->done_fd < 0) {
        err_set_errno(err, errno, "stream %s: eventfd", user->name);
        goto fail;
    }
    if (open_client(producer, err) != 0) {
        goto fail;
    }
    int rc = pthread_create(&producer->thread, NULL, producer_main, producer);
    if (rc != 0) {
        err_set_errno(err, rc, "producer thread of stream %s", user->name);
        rd_kafka_destroy(producer->client);
        goto fail;
    }
    return producer;
fail:
    producer_free(producer);
    return NULL;
}

void
kafka_producer_wake(struct kafka_producer *producer)
{
    wake_fd_raise(producer->wake_fd);
}

void
kafka_producer_halt(struct kafka_producer *producer)
{
    atomic_store(&producer->stopping, true);
    kafka_producer_wake(producer);
}

void
kafka_producer_stop(struct kafka_producer *producer)
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
        log_event(LOG_WARN, producer->user.component, NULL,
            "the Kafka client did not close in time; left behind");
        pthread_detach(producer->thread);
    }
}
