/* stream: ties a source to its ring and to the shards that read it. Publishing is the source
 * thread's; health and counters are anyone's. Lanes and tokens are in lanes.c. */
#include "stream_internal.h"

#include "clock.h"
#include "connector.h"
#include "lanes.h"
#include "log.h"
#include "mem.h"
#include "track.h"

#include <assert.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REASON_NAME(name, text) text,
const char *const drop_reason_names[DROP_REASON_COUNT] = {DROP_REASONS(REASON_NAME)};
const char *const disconnect_reason_names[DISCONNECT_REASON_COUNT] = {
    DISCONNECT_REASONS(REASON_NAME)};

#define STAGE_MAX 1024
/* What the encoding buffer may keep from one commit to the next. */
#define SCRATCH_KEEP (256 * 1024)
#define ERROR_REASONS_MAX 16

struct error_count {
    _Atomic(const char *) reason;
    atomic_uint_fast64_t count;
};

struct listener {
    struct stream_waker waker;
    atomic_bool on;
};

/* A removed lane of a file, and the newest record that may be one of its. */
struct ended {
    uint32_t lane;
    uint64_t last_seq;
};

/* Of a stream of many lanes: the run of records that the next one may go on without an id. */
struct marks {
    struct track *track; /* NULL: the next record is a mark */
    uint64_t bytes;      /* of payloads since the mark */
    uint64_t bytes_most;
    int64_t until_ns;
};

struct stream {
    const struct config_stream *config;
    struct ring *ring;
    struct token_keys *keys;
    struct lanes *lanes;
    struct table *table; /* NULL: it is none */
    atomic_bool loaded;
    pthread_mutex_t source_lock; /* shards may want to wake a source that is being stopped */
    struct source *source;

    /* The source thread's own: what waits for the next commit. */
    struct record *staged[STAGE_MAX];
    size_t n_staged;
    uint64_t room_records, room_bytes;
    struct buf scratch;
    struct buf token;
    uint64_t settled_seq; /* of the last stream_settle */
    struct place settled; /* what the record settled_seq says */
    struct ended *ended;  /* lanes to forget */
    size_t n_ended;
    struct marks marks;

    struct stream_counters *counters; /* one a shard, and the source's last */
    struct listener *listeners;
    size_t n_shards;
    atomic_uint_fast64_t records_in, shares, shared_lanes, commits;
    atomic_uint_fast64_t consumer_shares, consumer_commits;
    struct error_count errors[ERROR_REASONS_MAX];

    bool is_private;
    atomic_bool resumed;
    struct stream *tally; /* whose records, errors and losses its own are: itself, or another's */
    struct stream *group_tally; /* of a durable consumer: the stream that it is of; else NULL */

    pthread_mutex_t health_lock;
    struct stream_health health;
    struct stream_outcome outcome; /* under health_lock, like the two below */
    const char *anew;
    uint64_t done, total;
    atomic_bool has_progress, has_ended;
    atomic_int_fast64_t alive_ns;
};

struct stream *
stream_new(const struct config_stream *config, size_t n_shards)
{
    struct stream *stream = mem_calloc(1, sizeof *stream);
    stream->config = config;
    stream->ring = ring_new(config->ring_records, config->ring_bytes, n_shards);
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
        return 0;
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
    ring_free(stream->ring);
    lanes_free(stream->lanes);
    free(stream->ended);
    table_free(stream->table);
    token_keys_free(stream->keys);
    buf_fini(&stream->scratch);
    buf_fini(&stream->token);
    free(stream->settled.lanes);
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

static struct stream_counters *
source_counters(struct stream *stream)
{
    return &stream->tally->counters[stream->tally->n_shards];
}

/* ---- the source's side ---- */

static void stage(struct stream *stream, struct record *record);
static void end_run(struct stream *stream);
static void stage_mark(struct stream *stream, struct record *record);
static void wake_listeners(struct stream *stream);
static void forget_ended(struct stream *stream);
static void lose(struct stream *stream, uint32_t lane, uint64_t last_offset, uint64_t count,
    const char *reason, const struct record_input *in);

size_t
stream_max_record_bytes(const struct stream *stream)
{
    return (size_t)stream->config->max_record_bytes;
}

size_t
stream_room(struct stream *stream)
{
    assert(stream->n_staged == 0);
    stream->room_records = ring_room(stream->ring, &stream->room_bytes);
    if (stream->room_records > STAGE_MAX) {
        stream->room_records = STAGE_MAX;
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
    end_run(stream);
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
    stage_mark(stream, record_new_gap("reset", 0, from.bytes, stream->token.bytes, lane,
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
    forget_ended(stream);
}

/* The ring keeps one record before its tail too. */
static void
forget_ended(struct stream *stream)
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
            end_run(stream); /* a run knows lanes by their rows */
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

static void
stage(struct stream *stream, struct record *record)
{
    uint64_t charge = record_charge_bytes(record);
    if (stream->n_staged == STAGE_MAX) {
        stream_commit(stream);
    }
    stream->staged[stream->n_staged++] = record;
    stream->room_records -= stream->room_records > 0;
    stream->room_bytes -= charge < stream->room_bytes ? charge : stream->room_bytes;
}

/* ---- ids of many lanes ----
 *
 * In a stream of more than LANES_FEW lanes a token is longer than many a record. So a mark has one,
 * and the next mark comes before TRACK_RECORDS records, before MARK_TIMES its length in payloads,
 * or after MARK_NS, whichever is first: a resume repeats fewer than TRACK_RECORDS small records,
 * ids are a small part of the bytes, and a stream of a record a second has an id on each. */
#define MARK_TIMES 16
#define MARK_NS INT64_C(1000000000)

static void
end_run(struct stream *stream)
{
    track_unref(stream->marks.track);
    stream->marks.track = NULL;
}

static bool
goes_on(const struct stream *stream, const struct record_input *in, int64_t arrival_ns)
{
    const struct marks *marks = &stream->marks;
    return stream->group_tally == NULL && /* a durable consumer acks ids: each record has one */
           marks->track != NULL && track_has_room(marks->track) &&
           marks->bytes + in->data_len < marks->bytes_most && arrival_ns < marks->until_ns;
}

/* record has an id; in a stream of many lanes a run begins with it. */
static void
stage_mark(struct stream *stream, struct record *record)
{
    end_run(stream);
    if (lanes_many(stream->lanes)) {
        stream->marks = (struct marks){.track = lanes_track(stream->lanes),
            .bytes_most = MARK_TIMES * record->id_len,
            .until_ns = record->arrival_ns + MARK_NS};
        record_set_track_take(record, track_ref(stream->marks.track), 0);
    }
    stage(stream, record);
}

static void
stage_follower(struct stream *stream, struct record *record)
{
    struct track *track = track_ref(stream->marks.track);
    record_set_track_take(record, track, lanes_follow(stream->lanes, track, record->lane));
    stream->marks.bytes += record->data_len;
    stage(stream, record);
}

static bool
is_too_large(const struct stream *stream, const struct record_input *in)
{
    size_t left = STREAM_KEY_HEADERS_MAX;
    if (in->data_len > stream_max_record_bytes(stream) || in->key_len > left ||
        in->cursor_len > TOKEN_CURSOR_MAX) {
        return true;
    }
    left -= in->key_len;
    for (size_t i = 0; i < in->n_headers; i++) {
        const struct record_header *header = &in->headers[i];
        if (header->name_len > left || header->value_len > left - header->name_len) {
            return true;
        }
        left -= header->name_len + header->value_len;
    }
    return false;
}

/* The position is that of in, if it has one that a token holds. */
static void
move_cursor(struct stream *stream, const struct record_input *in)
{
    if (in->cursor != NULL && in->cursor_len <= TOKEN_CURSOR_MAX) {
        lanes_move_cursor(stream->lanes, in->cursor, in->cursor_len);
    }
}

int
stream_stage(struct stream *stream, const struct record_input *in, int64_t arrival_ns)
{
    if (stream->room_records == 0 || stream->room_bytes == 0) {
        return -1;
    }
    uint64_t first = lanes_next(stream->lanes, in->lane);
    if (in->offset < first) {
        atomic_fetch_add_explicit(
            &source_counters(stream)->dropped[DROP_REPEAT], 1, memory_order_relaxed);
        return 0;
    }
    if (is_too_large(stream, in)) {
        lose(stream, in->lane, in->offset, 1, "too_large", in);
        return 1;
    }
    move_cursor(stream, in);
    bool follows = goes_on(stream, in, arrival_ns);
    stream->token.len = 0;
    const char *prefix =
        lanes_advance(stream->lanes, in->lane, in->offset, follows ? NULL : &stream->token);
    struct record *record = record_new(
        in, stream->token.bytes, stream->token.len, prefix, arrival_ns, &stream->scratch);
    record->first = first;
    if (follows) {
        stage_follower(stream, record);
    } else {
        stage_mark(stream, record);
    }
    return 1;
}

static enum drop_reason
drop_reason_of(const char *reason)
{
    for (int i = 0; i < DROP_REASON_COUNT; i++) {
        if (strcmp(drop_reason_names[i], reason) == 0) {
            return (enum drop_reason)i;
        }
    }
    assert(!"a source names a reason that is no row of DROP_REASONS");
    return DROP_TOO_LARGE;
}

/* in: the record that is lost, whose cursor is the position then; NULL: there is none. */
static void
lose(struct stream *stream, uint32_t lane, uint64_t last_offset, uint64_t count, const char *reason,
    const struct record_input *in)
{
    assert(count > 0);
    struct buf from;
    buf_init(&from);
    lanes_token(stream->lanes, &from);
    buf_addc(&from, '\0');
    if (in != NULL) {
        move_cursor(stream, in);
    }
    stream->token.len = 0;
    uint64_t first = lanes_next(stream->lanes, lane);
    if (lanes_advance(stream->lanes, lane, last_offset, &stream->token) != NULL) {
        buf_addc(&stream->token, '\0');
        struct record *gap = record_new_gap(reason, count, from.bytes, stream->token.bytes, lane,
            last_offset, clock_mono_ns(), &stream->scratch);
        gap->first = first;
        stage_mark(stream, gap);
        atomic_fetch_add_explicit(
            &source_counters(stream)->dropped[drop_reason_of(reason)], count, memory_order_relaxed);
    }
    buf_fini(&from);
}

void
stream_lost(
    struct stream *stream, uint32_t lane, uint64_t last_offset, uint64_t count, const char *reason)
{
    lose(stream, lane, last_offset, count, reason, NULL);
}

static void
wake_listeners(struct stream *stream)
{
    for (size_t i = 0; i < stream->n_shards; i++) {
        struct listener *listener = &stream->listeners[i];
        if (atomic_load(&listener->on)) {
            listener->waker.wake(listener->waker.shard);
        }
    }
}

void
stream_commit(struct stream *stream)
{
    if (stream->n_staged == 0) {
        return;
    }
    uint64_t records = 0;
    for (size_t i = 0; i < stream->n_staged; i++) {
        records += !stream->staged[i]->is_gap;
        if (stream->table != NULL) {
            record_ref(stream->staged[i]);
        }
    }
    ring_append_take(stream->ring, stream->staged, stream->n_staged);
    if (stream->table != NULL) {
        table_apply_take(stream->table, stream->staged, stream->n_staged);
    }
    stream->n_staged = 0;
    if (stream->scratch.cap > SCRATCH_KEEP) { /* the last large record may have been the only one */
        buf_fini(&stream->scratch);
    }
    atomic_fetch_add_explicit(&stream->tally->records_in, records, memory_order_relaxed);
    forget_ended(stream);
    wake_listeners(stream);
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
        wake_listeners(stream); /* subscribers may wait to be told where it begins */
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

void
stream_source_progress(struct stream *stream, uint64_t done, uint64_t total)
{
    pthread_mutex_lock(&stream->health_lock);
    stream->done = done;
    stream->total = total;
    pthread_mutex_unlock(&stream->health_lock);
    atomic_store(&stream->has_progress, true);
}

void
stream_source_end(struct stream *stream, const char *code, const char *message)
{
    pthread_mutex_lock(&stream->health_lock);
    bool first = !stream->outcome.ended;
    if (first) {
        stream->outcome.ended = true;
        stream->outcome.code = code;
        snprintf(stream->outcome.message, sizeof stream->outcome.message, "%s",
            message == NULL ? "" : message);
    }
    pthread_mutex_unlock(&stream->health_lock);
    if (first && code != NULL) {
        log_event(LOG_WARN, "source", stream_name(stream), "a stream of a request failed: %s: %s",
            code, message);
    }
    atomic_store(&stream->has_ended, true);
    wake_listeners(stream);
}

void
stream_source_error(struct stream *stream, const char *reason)
{
    struct stream *of = stream->group_tally != NULL ? stream->group_tally : stream->tally;
    for (size_t i = 0; i < ERROR_REASONS_MAX; i++) {
        struct error_count *error = &of->errors[i];
        const char *there = NULL;
        if (atomic_compare_exchange_strong(&error->reason, &there, reason) ||
            strcmp(there, reason) == 0) {
            atomic_fetch_add_explicit(&error->count, 1, memory_order_relaxed);
            return;
        }
    }
    assert(!"a source has more than ERROR_REASONS_MAX error reasons");
}

void
stream_source_alive(struct stream *stream)
{
    atomic_store_explicit(&stream->alive_ns, clock_mono_ns(), memory_order_relaxed);
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
stream_progress(struct stream *stream, uint64_t *done, uint64_t *total)
{
    if (!atomic_load(&stream->has_progress)) {
        return false;
    }
    pthread_mutex_lock(&stream->health_lock);
    *done = stream->done;
    *total = stream->total;
    pthread_mutex_unlock(&stream->health_lock);
    return true;
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
    struct stream_health health;
    struct place here;
    if (atomic_load(&stream->loaded)) {
        return true;
    }
    stream_health(stream, &health);
    if (!health.was_up) {
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
    if (i >= ERROR_REASONS_MAX) {
        return NULL;
    }
    *count = atomic_load_explicit(&stream->errors[i].count, memory_order_relaxed);
    return atomic_load(&stream->errors[i].reason);
}
