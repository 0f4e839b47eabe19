/* stream_source: what the source says of its lanes and of itself. */
#include "stream_state.h"

#include "clock.h"
#include "lanes.h"
#include "log.h"
#include "mem.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RETRY_AFTER_MOST_MS (INT64_C(86400) * 1000)

bool
stream_is_private(const struct stream *stream)
{
    return stream->is_private;
}

size_t
stream_max_record_bytes(const struct stream *stream)
{
    return (size_t)stream->config->max_record_bytes;
}

bool
stream_keeps_all(const struct stream *stream)
{
    return stream->config->keeps_all;
}

uint64_t
stream_max_tokens(const struct stream *stream)
{
    return stream->config->keeps_all ? stream->config->generations.max_tokens : UINT64_MAX;
}

static uint64_t
least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* What is left of a ring that must lose nothing: the last record may be larger than it. */
static void
left_for_good(struct stream *stream, uint64_t *records, uint64_t *bytes)
{
    const struct config_stream *config = stream->config;
    uint64_t most = config->ring_bytes - STREAM_KEEP_SLACK(config);
    struct ring_state state;
    ring_state(stream->ring, &state);
    *records = config->ring_records - least(state.records, config->ring_records);
    *bytes = most - least(state.bytes, most);
}

bool
stream_is_full(struct stream *stream)
{
    uint64_t records = 1, bytes = 1;
    if (stream->config->keeps_all) {
        left_for_good(stream, &records, &bytes);
    }
    return records == 0 || bytes == 0;
}

size_t
stream_room(struct stream *stream)
{
    assert(stream->n_staged == 0);
    stream->room_records = ring_room(stream->ring, &stream->room_bytes);
    if (stream->config->keeps_all) {
        uint64_t records, bytes;
        left_for_good(stream, &records, &bytes);
        bool none = records == 0 || bytes == 0;
        stream->room_records = none ? 0 : least(stream->room_records, records);
        stream->room_bytes = none ? 0 : least(stream->room_bytes, bytes);
    }
    if (stream->room_records > STREAM_STAGE_MAX) {
        stream->room_records = STREAM_STAGE_MAX;
    }
    return (size_t)stream->room_records;
}

/* The lane begins behind what is in the ring and what is staged for it. */
static void
mark_lane(struct stream *stream, uint32_t lane)
{
    struct ring_state state;
    ring_state(stream->ring, &state);
    lanes_mark(stream->lanes, lane, state.head_seq + stream->n_staged);
}

uint32_t
stream_lane_add(struct stream *stream, const char *group, uint32_t partition, uint64_t next)
{
    uint32_t lane = STREAM_LANE_REFUSED;
    const char *why = lanes_add(stream->lanes, group, partition, next, &lane);
    stream_end_run(stream);
    if (why != NULL) {
        log_event(LOG_ERROR, "source", stream_name(stream), "%s partition %u is not read: %s",
            group, partition, why);
    } else {
        mark_lane(stream, lane);
    }
    return lane;
}

void
stream_lane_file(struct stream *stream, uint32_t lane, const char *path, uint64_t origin)
{
    lanes_set_file(stream->lanes, lane, path, origin);
}

void
stream_cursor_start(struct stream *stream, const void *cursor, size_t len)
{
    lanes_begin_cursor(stream->lanes, cursor, len);
}

void
stream_lane_reset(struct stream *stream, uint32_t lane, uint64_t next)
{
    struct buf from;
    buf_init(&from);
    lanes_token(stream->lanes, &from);
    buf_addc(&from, '\0');
    lanes_reset(stream->lanes, lane, next);
    mark_lane(stream, lane);
    if (stream->table != NULL) {
        table_announce_reset(stream->table);
    }
    stream->token.len = 0;
    lanes_token(stream->lanes, &stream->token);
    buf_addc(&stream->token, '\0');
    stream_stage_mark(stream, record_new_gap("reset", 0, from.bytes, stream->token.bytes, lane,
                                  next == 0 ? 0 : next - 1, clock_mono_ns(), &stream->scratch));
    stream_commit(stream);
    buf_fini(&from);
}

void
stream_lane_resume(struct stream *stream, uint32_t lane)
{
    lanes_resume(stream->lanes, lane);
}

void
stream_lane_remove(struct stream *stream, uint32_t lane)
{
    if (!lanes_remove(stream->lanes, lane)) {
        return;
    }
    struct ring_state ring;
    stream_commit(stream);
    ring_state(stream->ring, &ring);
    stream->ended = mem_realloc(stream->ended, (stream->n_ended + 1) * sizeof *stream->ended);
    stream->ended[stream->n_ended++] = (struct ended){lane, ring.head_seq};
    stream_forget_ended(stream);
}

/* The ring keeps one record before its tail too. */
void
stream_forget_ended(struct stream *stream)
{
    struct ring_state ring;
    size_t kept = 0;
    if (stream->n_ended == 0) {
        return;
    }
    ring_state(stream->ring, &ring);
    for (size_t i = 0; i < stream->n_ended; i++) {
        const struct ended ended = stream->ended[i];
        if (ring.tail_seq > ended.last_seq + 1 || lanes_is_untouched(stream->lanes, ended.lane)) {
            stream_end_run(stream); /* a run knows lanes by their rows */
            lanes_forget(stream->lanes, ended.lane);
        } else if (lanes_is_removed(stream->lanes, ended.lane)) {
            stream->ended[kept++] = ended;
        }
    }
    stream->n_ended = kept;
}

void
stream_lane_end(struct stream *stream, uint32_t lane, uint64_t end_offset)
{
    lanes_set_end(stream->lanes, lane, end_offset);
}

void
stream_settle(struct stream *stream)
{
    uint64_t seq = ring_settled(stream->ring);
    struct record *record = seq == stream->settled_seq ? NULL : ring_peek_ref(stream->ring, seq);
    if (record != NULL) {
        struct place place;
        stream_place_of(record, &place);
        record_unref(record);
        free(stream->settled.lanes);
        stream->settled = place;
        stream->settled_seq = seq;
    }
}

uint64_t
stream_lane_settled(const struct stream *stream, uint32_t lane)
{
    return lanes_settled(stream->lanes, lane, &stream->settled, stream->settled_seq);
}

bool
stream_has_subscribers(const struct stream *stream)
{
    for (size_t i = 0; i < stream->n_shards; i++) {
        if (atomic_load(&stream->listeners[i].on)) {
            return true;
        }
    }
    return false;
}

void
stream_source_shared(struct stream *stream, size_t lanes)
{
    if (stream->group_tally != NULL) {
        atomic_fetch_add_explicit(&stream->group_tally->consumer_shares, 1, memory_order_relaxed);
        return;
    }
    atomic_fetch_add_explicit(&stream->shares, 1, memory_order_relaxed);
    atomic_store_explicit(&stream->shared_lanes, lanes, memory_order_relaxed);
}

void
stream_source_committed(struct stream *stream)
{
    struct stream *of = stream->group_tally;
    atomic_fetch_add_explicit(
        of != NULL ? &of->consumer_commits : &stream->commits, 1, memory_order_relaxed);
}

void
stream_sharing(const struct stream *stream, struct stream_sharing *sharing)
{
    *sharing = (struct stream_sharing){
        .shares = atomic_load_explicit(&stream->shares, memory_order_relaxed),
        .lanes = atomic_load_explicit(&stream->shared_lanes, memory_order_relaxed),
        .commits = atomic_load_explicit(&stream->commits, memory_order_relaxed),
        .consumer_shares = atomic_load_explicit(&stream->consumer_shares, memory_order_relaxed),
        .consumer_commits = atomic_load_explicit(&stream->consumer_commits, memory_order_relaxed),
    };
}

bool
stream_is_shared(const struct stream *stream)
{
    const struct connector *connector = stream->config->connector;
    return connector->shares != NULL && connector->shares(stream->config->settings);
}

uint64_t
stream_lane_next(const struct stream *stream, uint32_t lane)
{
    return lanes_next(stream->lanes, lane);
}

void
stream_source_up(struct stream *stream)
{
    pthread_mutex_lock(&stream->health_lock);
    bool changed = !stream->health.up;
    stream->health.up = stream->health.was_up = true;
    stream->health.why[0] = '\0';
    pthread_mutex_unlock(&stream->health_lock);
    if (changed) {
        log_event(stream->is_private ? LOG_DEBUG : LOG_INFO, "source", stream_name(stream),
            "source is up");
        stream_wake_listeners(stream); /* subscribers may wait to be told where it begins */
    }
}

void
stream_source_down(struct stream *stream, const char *why)
{
    pthread_mutex_lock(&stream->health_lock);
    bool changed = stream->health.up || strcmp(stream->health.why, why) != 0;
    stream->health.up = false;
    snprintf(stream->health.why, sizeof stream->health.why, "%s", why);
    pthread_mutex_unlock(&stream->health_lock);
    if (changed) {
        log_event(stream->is_private ? LOG_DEBUG : LOG_WARN, "source", stream_name(stream),
            "source is down: %s", why);
    }
}

void
stream_source_anew(struct stream *stream, const char *reason)
{
    pthread_mutex_lock(&stream->health_lock);
    stream->anew = reason;
    pthread_mutex_unlock(&stream->health_lock);
}

void
stream_source_resumed(struct stream *stream)
{
    atomic_store(&stream->resumed, true);
}

bool
stream_resumed(const struct stream *stream)
{
    return atomic_load(&stream->resumed);
}

/* A subscriber is told how far its own records are, not what waits for it in the ring. Of marks
 * that are long past every other one is enough. */
void
stream_source_progress(struct stream *stream, uint64_t done, uint64_t total)
{
    struct ring_state ring;
    ring_state(stream->ring, &ring);
    pthread_mutex_lock(&stream->health_lock);
    if (stream->progress == NULL) {
        stream->progress = mem_calloc(STREAM_PROGRESS_MARKS, sizeof *stream->progress);
    }
    struct progress_mark *marks = stream->progress;
    size_t n = stream->n_progress;
    if (n > 0 && marks[n - 1].seq == ring.head_seq) {
        n--;
    } else if (n == STREAM_PROGRESS_MARKS) {
        n /= 2;
        for (size_t i = 0; i < n; i++) {
            marks[i] = marks[2 * i + 1];
        }
    }
    marks[n] = (struct progress_mark){ring.head_seq, done, total};
    stream->n_progress = n + 1;
    pthread_mutex_unlock(&stream->health_lock);
    atomic_store(&stream->has_progress, true);
}

void
stream_source_retry_after(struct stream *stream, int64_t after_ms)
{
    pthread_mutex_lock(&stream->health_lock);
    if (!stream->outcome.ended && after_ms > 0) {
        stream->outcome.retry_after_ms =
            after_ms < RETRY_AFTER_MOST_MS ? after_ms : RETRY_AFTER_MOST_MS;
    }
    pthread_mutex_unlock(&stream->health_lock);
}

void
stream_source_end(struct stream *stream, const char *code, const char *message)
{
    pthread_mutex_lock(&stream->health_lock);
    bool first = !stream->outcome.ended;
    bool cancelled = code != NULL && strcmp(code, STREAM_CANCELLED) == 0;
    if (first && cancelled && stream->verdict.code != NULL) {
        code = stream->verdict.code;
        message = stream->verdict.message;
    }
    if (first) {
        stream->outcome.ended = true;
        stream->outcome.code = code;
        snprintf(stream->outcome.message, sizeof stream->outcome.message, "%s",
            message == NULL ? "" : message);
    }
    pthread_mutex_unlock(&stream->health_lock);
    if (first && code != NULL) {
        log_event(cancelled ? LOG_DEBUG : LOG_WARN, "source", stream_name(stream),
            "a stream of a request failed: %s: %s", code, message);
    }
    atomic_store(&stream->has_ended, true);
    stream_wake_listeners(stream);
}

void
stream_source_error(struct stream *stream, const char *reason)
{
    struct stream *of = stream->group_tally != NULL ? stream->group_tally : stream->tally;
    for (size_t i = 0; i < STREAM_ERROR_REASONS_MAX; i++) {
        struct error_count *error = &of->errors[i];
        const char *there = NULL;
        if (atomic_compare_exchange_strong(&error->reason, &there, reason) ||
            strcmp(there, reason) == 0) {
            atomic_fetch_add_explicit(&error->count, 1, memory_order_relaxed);
            return;
        }
    }
    assert(!"a source has more than STREAM_ERROR_REASONS_MAX error reasons");
}

void
stream_source_alive(struct stream *stream)
{
    atomic_store_explicit(&stream->alive_ns, clock_mono_ns(), memory_order_relaxed);
}

struct source *
stream_home_source(const struct stream *stream)
{
    return stream->tally->source;
}

void
stream_source_alias(struct stream *stream, const char *alias)
{
    pthread_mutex_lock(&stream->health_lock);
    snprintf(stream->alias, sizeof stream->alias, "%s", alias);
    pthread_mutex_unlock(&stream->health_lock);
}

bool
stream_has_alias(struct stream *stream, const char *alias)
{
    pthread_mutex_lock(&stream->health_lock);
    bool has = stream->alias[0] != '\0' && strcmp(stream->alias, alias) == 0;
    pthread_mutex_unlock(&stream->health_lock);
    return has;
}
