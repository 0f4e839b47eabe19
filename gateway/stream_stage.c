/* stream_stage: records on their way into the ring: staged one by one, shown together. All of it is
 * the source thread's. */
#include "stream_state.h"

#include "clock.h"
#include "filter.h"
#include "json.h"
#include "lanes.h"
#include "track.h"

#include <assert.h>
#include <string.h>

/* What the encoding buffer may keep from one commit to the next. */
#define SCRATCH_KEEP (256 * 1024)

static void lose(struct stream *stream, uint32_t lane, uint64_t last_offset, uint64_t count,
    const char *reason, const struct record_input *in);

static void
stage(struct stream *stream, struct record *record)
{
    uint64_t charge = record_charge_bytes(record);
    stream->passed = 0; /* its token is behind them */
    if (stream->n_staged == STREAM_STAGE_MAX) {
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

void
stream_end_run(struct stream *stream)
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
void
stream_stage_mark(struct stream *stream, struct record *record)
{
    stream_end_run(stream);
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
            &stream_source_counters(stream)->dropped[DROP_REPEAT], 1, memory_order_relaxed);
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
        stream_stage_mark(stream, record);
    }
    return 1;
}

bool
stream_takes_lines(const struct stream *stream)
{
    return stream->takes_lines;
}

uint64_t
stream_lines_cut(const struct stream *stream, uint32_t lane)
{
    return lanes_cut(stream->lanes, &stream->lines_to, lane);
}

/* Move the position behind lines; their token is in stream->token. Returns where it was. */
static uint64_t
pass_lines(struct stream *stream, const struct record_lines *lines)
{
    uint64_t first = lanes_next(stream->lanes, lines->lane);
    assert(stream->takes_lines && lines->last_offset >= first);
    stream->token.len = 0;
    (void)lanes_advance(stream->lanes, lines->lane, lines->last_offset, &stream->token);
    return first;
}

int
stream_stage_lines(struct stream *stream, const struct record_lines *lines, int64_t arrival_ns)
{
    if (stream->room_records == 0 || stream->room_bytes == 0) {
        return -1;
    }
    uint64_t first = pass_lines(stream, lines);
    stream_stage_mark(
        stream, record_new_lines(lines, stream->token.bytes, stream->token.len, first, arrival_ns));
    return 1;
}

int
stream_stage_block(struct stream *stream, struct record **block, const struct record_lines *lines,
    int64_t arrival_ns)
{
    if (stream->room_records == 0 || stream->room_bytes == 0) {
        return -1;
    }
    uint64_t first = pass_lines(stream, lines);
    const char *id = stream->token.bytes;
    size_t id_len = stream->token.len;
    struct record *record = *block;
    *block = NULL;
    if (id_len <= RECORD_BLOCK_ID_MAX) {
        record_block_finish(record, lines, id, id_len, first, arrival_ns);
        stream_stage_mark(stream, record);
    } else {
        stream_stage_mark(stream, record_new_lines(lines, id, id_len, first, arrival_ns));
        record_block_free(record);
    }
    return 1;
}

/* ---- what nobody wants ---- */

bool
stream_sifts(const struct stream *stream)
{
    return stream->sieve != NULL;
}

static bool
is_wanted(struct stream *stream, const void *key, size_t key_len)
{
    struct buf *json = &stream->scratch;
    json->len = 0;
    if (key == NULL) {
        return false;
    }
    json_add_bytes(json, key, key_len);
    return filter_passes_key(stream->sieve, json->bytes, json->len);
}

bool
stream_pass_over(
    struct stream *stream, uint32_t lane, uint64_t offset, const void *key, size_t key_len)
{
    if (is_wanted(stream, key, key_len) ||
        lanes_advance(stream->lanes, lane, offset, NULL) == NULL) {
        return false;
    }
    stream_end_run(stream); /* its track knows nothing of this */
    stream->passed++;
    stream->passed_lane = lane;
    return true;
}

/* The position behind what was passed over, which stands in the ring as a record that shows nothing
 * and that the filter refuses: it has no key. */
static void
stage_passed(struct stream *stream)
{
    if (stream->passed == 0) {
        return;
    }
    uint64_t next = lanes_next(stream->lanes, stream->passed_lane);
    const struct record_lines none = {.lane = stream->passed_lane,
        .last_offset = next - 1,
        .count = stream->passed,
        .bytes = "",
        .len = 0};
    stream->token.len = 0;
    lanes_token(stream->lanes, &stream->token);
    stream_stage_mark(stream,
        record_new_lines(&none, stream->token.bytes, stream->token.len, next, clock_mono_ns()));
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
        stream_stage_mark(stream, gap);
        atomic_fetch_add_explicit(&stream_source_counters(stream)->dropped[drop_reason_of(reason)],
            count, memory_order_relaxed);
    }
    buf_fini(&from);
}

void
stream_lost(
    struct stream *stream, uint32_t lane, uint64_t last_offset, uint64_t count, const char *reason)
{
    lose(stream, lane, last_offset, count, reason, NULL);
}

void
stream_wake_listeners(struct stream *stream)
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
    stage_passed(stream);
    if (stream->n_staged == 0) {
        return;
    }
    uint64_t records = 0;
    for (size_t i = 0; i < stream->n_staged; i++) {
        records += stream->staged[i]->is_gap ? 0 : stream->staged[i]->weight;
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
    stream_forget_ended(stream);
    stream_wake_listeners(stream);
}
