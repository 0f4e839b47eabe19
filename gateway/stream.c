/* stream: ties a source to its ring and to the shards that read it: its life, and what subscribers
 * ask of it. Health and counters are anyone's. Lanes and tokens are in lanes.c. */
#include "stream_state.h"

#include "clock.h"
#include "filter.h"
#include "lanes.h"
#include "log.h"
#include "mem.h"
#include "push_queue.h"
#include "stream_answers.h"
#include "track.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REASON_NAME(name, text) text,
const char *const drop_reason_names[DROP_REASON_COUNT] = {DROP_REASONS(REASON_NAME)};
const char *const disconnect_reason_names[DISCONNECT_REASON_COUNT] = {
    DISCONNECT_REASONS(REASON_NAME)};

struct stream *
stream_new(const struct config_stream *config, size_t n_shards)
{
    struct stream *stream = mem_calloc(1, sizeof *stream);
    stream->config = config;
    stream->ring = config->keeps_all
                       ? ring_new_small(config->ring_records, config->ring_bytes, n_shards)
                       : ring_new(config->ring_records, config->ring_bytes, n_shards);
    stream->keys = token_keys_new(config->tokens, config->name);
    stream->lanes = lanes_new(stream->keys);
    if (config->view == VIEW_TABLE) {
        stream->table = table_new(&(struct table_limits){.keys = config->table_keys,
            .bytes = config->table_bytes,
            .history_bytes = config->table_history_bytes,
            .evict = config->table_full == TABLE_FULL_EVICT});
    }
    stream->n_shards = n_shards;
    stream->tally = stream;
    stream->counters = mem_calloc_aligned(n_shards + 1, sizeof *stream->counters);
    stream->listeners = mem_calloc(n_shards, sizeof *stream->listeners);
    buf_init(&stream->scratch);
    buf_init(&stream->token);
    pthread_mutex_init(&stream->source_lock, NULL);
    pthread_mutex_init(&stream->health_lock, NULL);
    snprintf(stream->health.why, sizeof stream->health.why, "not yet connected");
    atomic_store(&stream->alive_ns, clock_mono_ns());
    return stream;
}

void
stream_set_waker(struct stream *stream, size_t shard, struct stream_waker waker)
{
    stream->listeners[shard].waker = waker;
}

void
stream_make_private(struct stream *stream, struct stream *tally, struct stream *group_tally)
{
    stream->is_private = true;
    stream->tally = tally != NULL ? tally : stream;
    stream->group_tally = group_tally;
}

void
stream_take_lines(struct stream *stream, const struct place *to)
{
    stream->takes_lines = true;
    if (to != NULL && to->n_lanes > 0) {
        size_t size = to->n_lanes * sizeof *to->lanes;
        stream->lines_to = *to;
        stream->lines_to.lanes = memcpy(mem_alloc(size), to->lanes, size);
    }
}

void
stream_sift(struct stream *stream, struct filter *filter)
{
    stream->sieve = filter_ref(filter);
}

int
stream_start_at(struct stream *stream, const struct replay *replay, struct err *err)
{
    atomic_store(&stream->alive_ns, clock_mono_ns());
    struct source *source =
        stream->config->connector->start(stream->config->settings, stream, replay, err);
    stream->source = source;
    return source == NULL ? -1 : 0;
}

int
stream_start(struct stream *stream, struct err *err)
{
    static const struct replay from_the_beginning = {.kind = REPLAY_EARLIEST};
    const struct connector *connector = stream->config->connector;
    if (connector_on_request(connector, stream->config->settings)) {
        stream->health = (struct stream_health){.up = true, .was_up = true, .on_request = true};
        if ((connector->capabilities & CONNECTOR_ANSWERS) != 0) {
            stream->answers = mem_calloc(1, sizeof *stream->answers);
        }
        return (connector->capabilities & CONNECTOR_LOGS) != 0 ? stream_start_at(stream, NULL, err)
                                                               : 0;
    }
    struct push_options pushes;
    if (connector->takes_posts != NULL) {
        connector->takes_posts(stream->config->settings, &pushes);
        stream->pushes = push_queue_new(&pushes);
    }
    return stream_start_at(stream, stream->table == NULL ? NULL : &from_the_beginning, err);
}

void
stream_cancel(struct stream *stream)
{
    const struct connector *connector = stream->config->connector;
    pthread_mutex_lock(&stream->source_lock);
    if (stream->source != NULL && connector->cancel != NULL) {
        connector->cancel(stream->source);
    }
    pthread_mutex_unlock(&stream->source_lock);
}

void
stream_cancel_as(struct stream *stream, const char *code, const char *message)
{
    pthread_mutex_lock(&stream->health_lock);
    if (stream->verdict.code == NULL) {
        stream->verdict.code = code;
        snprintf(stream->verdict.message, sizeof stream->verdict.message, "%s", message);
    }
    pthread_mutex_unlock(&stream->health_lock);
    stream_cancel(stream);
}

bool
stream_tell_cancel(struct stream *stream)
{
    const struct connector *connector = stream->config->connector;
    bool told = false;
    pthread_mutex_lock(&stream->source_lock);
    if (stream->source != NULL && connector->tell_cancel != NULL) {
        told = connector->tell_cancel(stream->source);
    }
    pthread_mutex_unlock(&stream->source_lock);
    return told;
}

void
stream_stop(struct stream *stream)
{
    pthread_mutex_lock(&stream->source_lock);
    struct source *source = stream->source;
    stream->source = NULL;
    pthread_mutex_unlock(&stream->source_lock);
    if (source != NULL) {
        stream->config->connector->stop(source);
    }
}

void
stream_free(struct stream *stream)
{
    if (stream == NULL) {
        return;
    }
    assert(stream->source == NULL);
    for (size_t i = 0; i < stream->n_staged; i++) {
        record_unref(stream->staged[i]);
    }
    filter_unref(stream->sieve);
    push_queue_free(stream->pushes);
    free(stream->answers);
    ring_free(stream->ring);
    lanes_free(stream->lanes);
    free(stream->ended);
    table_free(stream->table);
    token_keys_free(stream->keys);
    buf_fini(&stream->scratch);
    buf_fini(&stream->token);
    free(stream->settled.lanes);
    free(stream->lines_to.lanes);
    free(stream->progress);
    track_unref(stream->marks.track);
    pthread_mutex_destroy(&stream->source_lock);
    pthread_mutex_destroy(&stream->health_lock);
    free(stream->listeners);
    free(stream->counters);
    free(stream);
}

const struct config_stream *
stream_config(const struct stream *stream)
{
    return stream->config;
}

const char *
stream_name(const struct stream *stream)
{
    return stream->config->name;
}

struct ring *
stream_ring(struct stream *stream)
{
    return stream->ring;
}

const struct token_keys *
stream_keys(const struct stream *stream)
{
    return stream->keys;
}

struct stream_counters *
stream_counters(struct stream *stream, size_t shard)
{
    assert(shard < stream->n_shards);
    return &stream->counters[shard];
}

struct lanes *
stream_lanes(struct stream *stream)
{
    return stream->lanes;
}

struct table *
stream_table(struct stream *stream)
{
    return stream->table;
}

/* ---- the subscribers' side ---- */

void
stream_listen(struct stream *stream, size_t shard, bool on)
{
    atomic_store(&stream->listeners[shard].on, on);
}

void
stream_hold(struct stream *stream, size_t shard, struct ring_hold hold)
{
    if (ring_hold_set(stream->ring, shard, hold)) {
        pthread_mutex_lock(&stream->source_lock);
        if (stream->source != NULL) {
            stream->config->connector->wake(stream->source);
        }
        pthread_mutex_unlock(&stream->source_lock);
    }
}

bool
stream_token_before(struct stream *stream, uint64_t seq, struct buf *out)
{
    struct ring_state state;
    ring_state(stream->ring, &state);
    if (state.head_seq == 0 || seq <= 1) {
        lanes_start_token(stream->lanes, out);
        return seq >= state.tail_seq;
    }
    struct record *record = ring_peek_ref(stream->ring, seq - 1);
    if (record != NULL) {
        record_add_id(out, record);
        record_unref(record);
    }
    return record != NULL;
}

void
stream_health(struct stream *stream, struct stream_health *health)
{
    pthread_mutex_lock(&stream->health_lock);
    *health = stream->health;
    pthread_mutex_unlock(&stream->health_lock);
    health->alive_ns = health->on_request
                           ? clock_mono_ns() /* it has no thread that could be stuck */
                           : atomic_load_explicit(&stream->alive_ns, memory_order_relaxed);
}

bool
stream_was_up(struct stream *stream)
{
    struct stream_health health;
    stream_health(stream, &health);
    return health.was_up;
}

void
stream_outcome(struct stream *stream, struct stream_outcome *outcome)
{
    *outcome = (struct stream_outcome){.ended = false};
    if (atomic_load(&stream->has_ended)) {
        pthread_mutex_lock(&stream->health_lock);
        *outcome = stream->outcome;
        pthread_mutex_unlock(&stream->health_lock);
    }
}

bool
stream_progress(struct stream *stream, uint64_t next_seq, struct progress_mark *mark)
{
    if (!atomic_load(&stream->has_progress)) {
        return false;
    }
    pthread_mutex_lock(&stream->health_lock);
    size_t n = stream->n_progress;
    while (n > 0 && stream->progress[n - 1].seq >= next_seq) {
        n--;
    }
    if (n > 0) {
        *mark = stream->progress[n - 1];
    }
    pthread_mutex_unlock(&stream->health_lock);
    return n > 0;
}

const char *
stream_anew(struct stream *stream)
{
    pthread_mutex_lock(&stream->health_lock);
    const char *reason = stream->anew;
    pthread_mutex_unlock(&stream->health_lock);
    return reason;
}

bool
stream_wants(struct stream *stream, const struct place *from, const struct record *record)
{
    return lanes_wants(stream->lanes, from, record->lane, record->offset);
}

/* The committed position. Owns: the caller frees here->lanes. */
static void
place_here(struct stream *stream, struct place *here)
{
    uint64_t seq = UINT64_MAX, ordinal, bytes;
    struct record *newest;
    ring_place(stream->ring, &seq, &ordinal, &bytes, &newest);
    stream_place_of(newest, here);
    record_unref(newest);
}

bool
stream_table_loaded(struct stream *stream)
{
    struct place here;
    if (atomic_load(&stream->loaded)) {
        return true;
    }
    if (!stream_was_up(stream)) {
        return false;
    }
    place_here(stream, &here);
    bool loaded = lanes_loaded(stream->lanes, &here);
    free(here.lanes);
    if (loaded && !atomic_exchange(&stream->loaded, true)) {
        log_event(LOG_INFO, "table", stream_name(stream), "the table is loaded");
    }
    return loaded;
}

bool
stream_reaches(struct stream *stream, const struct place *to)
{
    struct place here;
    place_here(stream, &here);
    bool reaches = lanes_reach(stream->lanes, to, &here);
    free(here.lanes);
    return reaches;
}

void
stream_metrics_lag(struct stream *stream, struct buf *out)
{
    lanes_metrics_lag(stream->lanes, stream_name(stream), out);
}

void
stream_metrics_file_lag(struct stream *stream, struct buf *out)
{
    lanes_metrics_file_lag(stream->lanes, stream_name(stream), out);
}

uint64_t
stream_records_in(const struct stream *stream)
{
    return atomic_load_explicit(&stream->records_in, memory_order_relaxed);
}

uint64_t
stream_dropped(const struct stream *stream, enum drop_reason reason)
{
    uint64_t sum = 0;
    for (size_t i = 0; i <= stream->n_shards; i++) {
        sum += atomic_load_explicit(&stream->counters[i].dropped[reason], memory_order_relaxed);
    }
    return sum;
}

const char *
stream_errors(const struct stream *stream, size_t i, uint64_t *count)
{
    if (i >= STREAM_ERROR_REASONS_MAX) {
        return NULL;
    }
    *count = atomic_load_explicit(&stream->errors[i].count, memory_order_relaxed);
    return atomic_load(&stream->errors[i].reason);
}
