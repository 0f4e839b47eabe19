/* file_tail: the thread of a tail source: it looks for files, reads those that have grown, and
 * sleeps until inotify, the stream or the clock has something. */
#include "file_tail_internal.h"

#include "../gateway/clock.h"
#include "../gateway/log.h"
#include "../gateway/mem.h"
#include "../gateway/stream_source.h"
#include "wake_fd.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <unistd.h>

#define MS_NS INT64_C(1000000)
/* A directory in which much happens is not listed more often. */
#define SCAN_PAUSE_NS (10 * MS_NS)
/* Where inotify works all the same: it is help, not truth. */
#define SCAN_ANYWAY_NS (10000 * MS_NS)

static void
tell_state(struct file_tail *tail)
{
    if (tail->down[0] != '\0') {
        stream_source_down(tail->stream, tail->down);
    } else {
        stream_source_up(tail->stream);
    }
}

static void
identify_all(struct file_tail *tail)
{
    struct tailed *file;
    TAILQ_FOREACH(file, &tail->files, link)
    {
        if (file->dirty) { /* before a copy of it is looked at, held or not */
            file_follow_check(tail, file);
        }
    }
    struct tailed **found;
    size_t n = file_scan_sort(tail, &found);
    for (int rotated = 0; rotated <= 1; rotated++) { /* what is copied before its copies */
        for (size_t i = 0; i < n; i++) {
            if (found[i]->rotated == (rotated == 1)) {
                file_follow_identify(tail, found[i]);
            }
        }
    }
    free(found);
}

static void
scan(struct file_tail *tail)
{
    file_scan(tail);
    identify_all(tail);
    if (!tail->scanned) {
        file_follow_lanes(tail);
        tail->scanned = true;
    }
    tell_state(tail);
}

static void
tick(struct file_tail *tail, int64_t now)
{
    struct tailed *file, *next;
    tail->ticked_ns = now;
    for (file = TAILQ_FIRST(&tail->files); file != NULL; file = next) {
        next = TAILQ_NEXT(file, link);
        file_follow_tick(tail, file, now);
    }
}

/* True: something was read. */
static bool
read_all(struct file_tail *tail)
{
    bool any = false;
    struct tailed *file, *next;
    for (file = TAILQ_FIRST(&tail->files); file != NULL && !tail->failed; file = next) {
        next = TAILQ_NEXT(file, link);
        if (file->dirty) {
            any |= file_follow_read(tail, file);
            if (file->drains && !file->dirty) { /* others wait for it */
                file_follow_tick(tail, file, clock_mono_ns());
            }
        }
    }
    if (tail->failed) {
        stream_source_error(tail->stream, "failed");
        tell_state(tail);
    }
    return any;
}

static int64_t
poll_ns(const struct file_tail *tail)
{
    return (int64_t)tail->settings->poll_ms * MS_NS;
}

static void
rest(struct file_tail *tail, int64_t ns)
{
    struct pollfd fds[] = {
        {.fd = tail->wake_fd, .events = POLLIN}, {.fd = tail->inotify_fd, .events = POLLIN}};
    struct timespec timeout = {ns / 1000000000, ns % 1000000000};
    if (ppoll(fds, 2, &timeout, NULL) > 0 && fds[0].revents != 0) {
        (void)wake_fd_drain(tail->wake_fd);
    }
    file_scan_events(tail);
}

static int64_t
rest_ns(const struct file_tail *tail, int64_t now)
{
    int64_t until = tail->ticked_ns + poll_ns(tail);
    if (tail->scan_due && tail->scanned_ns + SCAN_PAUSE_NS < until) {
        until = tail->scanned_ns + SCAN_PAUSE_NS;
    }
    int64_t most = now + 500 * MS_NS; /* a sign of life */
    until = until < most ? until : most;
    return until > now ? until - now : 0;
}

static void *
tail_main(void *tail_)
{
    struct file_tail *tail = tail_;
    scan(tail);
    tail->ticked_ns = clock_mono_ns();
    while (!atomic_load(&tail->stopping)) {
        int64_t now = clock_mono_ns();
        stream_source_alive(tail->stream);
        if (tail->failed) {
            rest(tail, 500 * MS_NS);
            continue;
        }
        bool tick_due = now - tail->ticked_ns >= poll_ns(tail);
        int64_t scan_pause = tail->scan_due ? SCAN_PAUSE_NS : SCAN_ANYWAY_NS;
        if (now - tail->scanned_ns >= scan_pause || (tick_due && tail->remote)) {
            scan(tail);
        }
        if (tick_due) {
            tick(tail, now);
        }
        if (!tail->scan_due) { /* else something older may be there to be found */
            identify_all(tail);
        }
        rest(tail, read_all(tail) ? 0 : rest_ns(tail, clock_mono_ns()));
    }
    return NULL;
}

static void
tail_free(struct file_tail *tail)
{
    struct tailed *file;
    while ((file = TAILQ_FIRST(&tail->files)) != NULL) {
        tailed_free(tail, file);
    }
    if (tail->wake_fd >= 0) {
        close(tail->wake_fd);
    }
    if (tail->inotify_fd >= 0) {
        close(tail->inotify_fd);
    }
    for (size_t i = 0; i < tail->n_lanes; i++) {
        free((char *)(uintptr_t)tail->lanes[i].group);
    }
    file_stager_free(tail->stager);
    free(tail->lanes);
    free(tail->lane_names);
    free(tail->buffer);
    free(tail);
}

static void
take_replay(struct file_tail *tail, const struct replay *replay)
{
    tail->replays = true;
    tail->replay_kind = replay->kind;
    tail->begin_ms = replay->kind == REPLAY_TIME ? replay->time_ms : -1;
    tail->lanes = mem_calloc(replay->n_lanes + 1, sizeof *tail->lanes);
    for (size_t i = 0; i < replay->n_lanes; i++) {
        tail->lanes[i] = replay->lanes[i];
        tail->lanes[i].group = mem_strdup(replay->lanes[i].group);
    }
    tail->n_lanes = replay->n_lanes;
}

struct file_tail *
file_tail_start(const struct file_settings *settings, struct stream *stream,
    const struct replay *replay, struct err *err)
{
    struct file_tail *tail = mem_calloc(1, sizeof *tail);
    tail->settings = settings;
    tail->stream = stream;
    tail->begin_ms = -1;
    TAILQ_INIT(&tail->files);
    if (replay != NULL) {
        take_replay(tail, replay);
    }
    tail->stager = file_stager_new(settings, stream);
    tail->buffer = mem_alloc(FILE_READ_BYTES);
    tail->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    tail->inotify_fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (tail->wake_fd < 0 || tail->inotify_fd < 0) {
        err_set_errno(err, errno, "stream %s: eventfd or inotify", stream_name(stream));
        tail_free(tail);
        return NULL;
    }
    int rc = pthread_create(&tail->thread, NULL, tail_main, tail);
    if (rc != 0) {
        err_set_errno(err, rc, "source thread of stream %s", stream_name(stream));
        tail_free(tail);
        return NULL;
    }
    pthread_setname_np(tail->thread, "file");
    return tail;
}

void
file_tail_wake(struct file_tail *tail)
{
    wake_fd_raise(tail->wake_fd);
}

void
file_tail_stop(struct file_tail *tail)
{
    atomic_store(&tail->stopping, true);
    file_tail_wake(tail);
    pthread_join(tail->thread, NULL);
    tail_free(tail);
}
