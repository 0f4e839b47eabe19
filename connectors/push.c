/* push: publishes what clients post, from the stream's push queue. One thread, which is the
 * stream's source thread: however many shards post, records come one after the other.
 *
 * Offsets count from 0 in each life of the process, so each life is a lane group of its own name:
 * a token of a life before is told apart, not taken for a place in this one. */
#include "push.h"

#include "../gateway/clock.h"
#include "../gateway/mem.h"
#include "../gateway/push_queue.h"
#include "../gateway/stream_push.h"
#include "../gateway/stream_source.h"
#include "push_settings.h"
#include "wake_fd.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define TICK_MS 100
#define TAKE_MOST 256

struct source {
    struct stream *stream;
    struct push_queue *queue;
    pthread_t thread;
    atomic_bool stopping;
    int wake_fd;
    char group[32];
    /* Of the thread. */
    uint32_t lane;
    uint64_t next;
};

static bool
stage(struct source *source, const struct push_item *item, int64_t now_ns)
{
    const struct record_input in = {.lane = source->lane,
        .offset = source->next,
        .time_ms = -1,
        .key = item->key,
        .key_len = item->key_len,
        .data = item->data,
        .data_len = item->len,
        .type = item->type};
    return stream_stage(source->stream, &in, now_ns) >= 0;
}

/* Publish what there is room for. False: there is none, or nothing to publish. */
static bool
publish(struct source *source)
{
    struct push_items taken, staged;
    struct push_item *item;
    TAILQ_INIT(&taken);
    TAILQ_INIT(&staged);
    size_t room = stream_room(source->stream);
    size_t n = push_queue_take(source->queue, &taken, room < TAKE_MOST ? room : TAKE_MOST);
    int64_t now_ns = clock_mono_ns();
    uint64_t first = source->next;
    while ((item = TAILQ_FIRST(&taken)) != NULL && stage(source, item, now_ns)) {
        TAILQ_REMOVE(&taken, item, link);
        TAILQ_INSERT_TAIL(&staged, item, link);
        source->next++;
    }
    stream_commit(source->stream);
    /* Only now is it there for whoever is told so. */
    while ((item = TAILQ_FIRST(&staged)) != NULL) {
        TAILQ_REMOVE(&staged, item, link);
        push_queue_done(source->queue, item, 0, first++);
    }
    push_queue_untake(source->queue, &taken);
    return n > 0;
}

static void
rest(struct source *source)
{
    struct pollfd fd = {.fd = source->wake_fd, .events = POLLIN};
    if (poll(&fd, 1, TICK_MS) > 0) {
        (void)wake_fd_drain(source->wake_fd);
    }
}

static void *
source_main(void *source_)
{
    struct source *source = source_;
    source->lane = stream_lane_add(source->stream, source->group, 0, 0);
    stream_source_up(source->stream);
    while (!atomic_load(&source->stopping)) {
        stream_source_alive(source->stream);
        if (!publish(source)) {
            rest(source);
        }
    }
    return NULL;
}

static struct source *
push_start(
    const void *settings, struct stream *stream, const struct replay *replay, struct err *err)
{
    (void)settings; /* the queue has them */
    (void)replay;   /* nothing is kept */
    struct source *source = mem_calloc(1, sizeof *source);
    uint64_t life;
    arc4random_buf(&life, sizeof life);
    snprintf(source->group, sizeof source->group, "push-%016" PRIx64, life);
    source->stream = stream;
    source->queue = stream_push_queue(stream);
    push_queue_set_group(source->queue, source->group);
    source->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (source->wake_fd < 0) {
        err_set_errno(err, errno, "stream %s: eventfd", stream_name(stream));
        free(source);
        return NULL;
    }
    int rc = pthread_create(&source->thread, NULL, source_main, source);
    if (rc != 0) {
        err_set_errno(err, rc, "source thread of stream %s", stream_name(stream));
        close(source->wake_fd);
        free(source);
        return NULL;
    }
    return source;
}

static void
push_wake(struct source *source)
{
    wake_fd_raise(source->wake_fd);
}

static void
push_stop(struct source *source)
{
    atomic_store(&source->stopping, true);
    push_wake(source);
    pthread_join(source->thread, NULL);
    close(source->wake_fd);
    free(source);
}

static void
push_takes_posts(const void *settings_, struct push_options *options)
{
    const struct push_settings *settings = settings_;
    *options = (struct push_options){
        .max_bytes = settings->memory_bytes, .patience_ms = settings->wait_ms};
}

static const struct connector *
push_variant(const void *settings_)
{
    const struct push_settings *settings = settings_;
    return push_settings_topic(settings) == NULL ? &push_connector : &push_kafka_connector;
}

const struct connector push_connector = {
    .name = "push",
    .section = &push_section,
    .check = push_settings_check,
    .memory_bound_bytes = push_settings_memory_bytes,
    .descriptor_bound = push_settings_descriptors,
    .variant = push_variant,
    .takes_posts = push_takes_posts,
    .start = push_start,
    .wake = push_wake,
    .stop = push_stop,
};
