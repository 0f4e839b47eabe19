/* fake_stream_probes: what a test does with a fake stream, and waits for. */
#include "fake_stream_internal.h"

#include "../../gateway/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct stream *
fake_stream_new(size_t room, size_t max_record_bytes)
{
    struct stream *stream = mem_calloc(1, sizeof *stream);
    pthread_mutex_init(&stream->lock, NULL);
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&stream->changed, &monotonic);
    pthread_condattr_destroy(&monotonic);
    stream->room = room;
    stream->max_record_bytes = max_record_bytes;
    return stream;
}

void
fake_stream_free(struct stream *stream)
{
    for (size_t i = 0; i < stream->n_records + stream->n_staged && !stream->discard; i++) {
        free(stream->records[i].key);
        free(stream->records[i].data);
    }
    free(stream->records);
    pthread_cond_destroy(&stream->changed);
    pthread_mutex_destroy(&stream->lock);
    free(stream);
}

void
fake_stream_set_room(struct stream *stream, size_t room)
{
    pthread_mutex_lock(&stream->lock);
    stream->room = room;
    fake_stream_unlock(stream);
}

void
fake_stream_discard(struct stream *stream)
{
    stream->discard = true;
}

void
fake_stream_set_cost(struct stream *stream, int64_t ns)
{
    stream->cost_ns = ns;
}

void
fake_stream_set_alone(struct stream *stream, bool alone)
{
    pthread_mutex_lock(&stream->lock);
    stream->alone = alone;
    fake_stream_unlock(stream);
}

void
fake_stream_set_settling(struct stream *stream, bool settling)
{
    pthread_mutex_lock(&stream->lock);
    stream->unsettled = !settling;
    fake_stream_unlock(stream);
}

void
fake_stream_set_lines_cut(struct stream *stream, uint64_t offset)
{
    stream->lines_cut = offset;
}

void
fake_stream_set_key(struct stream *stream, const char *key)
{
    snprintf(stream->key, sizeof stream->key, "%s", key);
}

void
fake_stream_set_lines(struct stream *stream, bool lines)
{
    pthread_mutex_lock(&stream->lock);
    stream->lines = lines;
    stream->lines_cut = UINT64_MAX;
    fake_stream_unlock(stream);
}

#define GETTER(type, name, field)                                                                  \
    type name(struct stream *stream)                                                               \
    {                                                                                              \
        pthread_mutex_lock(&stream->lock);                                                         \
        type value = stream->field;                                                                \
        pthread_mutex_unlock(&stream->lock);                                                       \
        return value;                                                                              \
    }

GETTER(size_t, fake_stream_count, n_records)
GETTER(size_t, fake_stream_lanes, n_lanes)
GETTER(size_t, fake_stream_commits, commits)
GETTER(size_t, fake_stream_repeats, repeats)
GETTER(size_t, fake_stream_ups, ups)
GETTER(size_t, fake_stream_downs, downs)
GETTER(size_t, fake_stream_shares, shares)
GETTER(size_t, fake_stream_shared_lanes, shared_lanes)
GETTER(size_t, fake_stream_source_commits, source_commits)
GETTER(bool, fake_stream_is_up, up)
GETTER(bool, fake_stream_disorder, disorder)

static size_t
error_count(struct stream *stream, const char *reason)
{
    for (size_t i = 0; i < FAKE_REASONS && stream->errors[i].reason != NULL; i++) {
        if (strcmp(stream->errors[i].reason, reason) == 0) {
            return stream->errors[i].count;
        }
    }
    return 0;
}

size_t
fake_stream_errors(struct stream *stream, const char *reason)
{
    pthread_mutex_lock(&stream->lock);
    size_t count = error_count(stream, reason);
    pthread_mutex_unlock(&stream->lock);
    return count;
}

const struct fake_record *
fake_stream_record(struct stream *stream, size_t i)
{
    return &stream->records[i];
}

struct fake_lane
fake_stream_lane(struct stream *stream, const char *group, uint32_t partition)
{
    pthread_mutex_lock(&stream->lock);
    struct fake_lane *lane = fake_stream_find_lane(stream, group, partition);
    struct fake_lane copy = lane == NULL ? (struct fake_lane){.removed = true} : *lane;
    pthread_mutex_unlock(&stream->lock);
    return copy;
}

static struct timespec
deadline(int seconds)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += seconds;
    return until;
}

bool
fake_stream_wait(
    struct stream *stream, size_t (*what)(struct stream *stream), size_t n, int seconds)
{
    struct timespec until = deadline(seconds);
    int rc = 0;
    while (what(stream) < n && rc == 0) {
        struct timespec soon = deadline(0);
        soon.tv_nsec += 20000000;
        soon.tv_sec += soon.tv_nsec / 1000000000;
        soon.tv_nsec %= 1000000000;
        pthread_mutex_lock(&stream->lock);
        pthread_cond_timedwait(&stream->changed, &stream->lock, &soon);
        pthread_mutex_unlock(&stream->lock);
        rc = soon.tv_sec > until.tv_sec;
    }
    return what(stream) >= n;
}

bool
fake_stream_wait_up(struct stream *stream, bool up, int seconds)
{
    struct timespec until = deadline(seconds);
    pthread_mutex_lock(&stream->lock);
    int rc = 0;
    while (stream->up != up && rc == 0) {
        rc = pthread_cond_timedwait(&stream->changed, &stream->lock, &until);
    }
    bool is = stream->up == up;
    pthread_mutex_unlock(&stream->lock);
    return is;
}

struct fake_outcome
fake_stream_wait_outcome(struct stream *stream, int seconds)
{
    struct timespec until = deadline(seconds);
    pthread_mutex_lock(&stream->lock);
    int rc = 0;
    while (!stream->ended && rc == 0) {
        rc = pthread_cond_timedwait(&stream->changed, &stream->lock, &until);
    }
    struct fake_outcome outcome = {.ended = stream->ended,
        .failure = stream->failure,
        .anew = stream->anew,
        .done = stream->done,
        .total = stream->total};
    pthread_mutex_unlock(&stream->lock);
    return outcome;
}

bool
fake_stream_wait_error(struct stream *stream, const char *reason, int seconds)
{
    struct timespec until = deadline(seconds);
    pthread_mutex_lock(&stream->lock);
    int rc = 0;
    while (error_count(stream, reason) == 0 && rc == 0) {
        rc = pthread_cond_timedwait(&stream->changed, &stream->lock, &until);
    }
    bool is = error_count(stream, reason) != 0;
    pthread_mutex_unlock(&stream->lock);
    return is;
}

bool
fake_stream_wait_end(
    struct stream *stream, const char *group, uint32_t partition, uint64_t next, int seconds)
{
    struct timespec until = deadline(seconds);
    pthread_mutex_lock(&stream->lock);
    int rc = 0;
    struct fake_lane *lane;
    while (
        ((lane = fake_stream_find_lane(stream, group, partition)) == NULL || lane->next < next) &&
        rc == 0) {
        rc = pthread_cond_timedwait(&stream->changed, &stream->lock, &until);
    }
    bool is = lane != NULL && lane->next >= next;
    pthread_mutex_unlock(&stream->lock);
    return is;
}
