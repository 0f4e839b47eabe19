/* session: a subscriber's life and its sending. Policy is in session_policy.c, what it receives in
 * session_input.c. Shard thread; never blocks. */
#include "session_internal.h"

#include "clock.h"
#include "mem.h"
#include "shard.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Private batches sent in one go before other connections get a turn. */
#define PUMP_BUDGET 8
/* A rest up to this size is copied; a larger one keeps its batch alive instead. */
#define COPY_REST_BYTES 8192
/* How long a goodbye may take to be written, and a WebSocket peer to answer it. */
#define GOODBYE_MS 5000
#define CLOSE_ANSWER_MS 2000

void
session_count(struct session *session, atomic_uint_fast64_t *counter, uint64_t n)
{
    (void)session;
    atomic_fetch_add_explicit(counter, n, memory_order_relaxed);
}

static const struct framer *
framer_of(const struct session *session)
{
    return session->feed->format.framer;
}

static struct stream_counters *
counters_of(const struct session *session)
{
    return session->feed->outlet->counters;
}

bool
session_owes(const struct session *session)
{
    return session->pinned != NULL || session->out_at < session->out.len;
}

static size_t
begin_control(struct session *session)
{
    return session->feed->format.chunked ? chunk_begin(&session->out) : 0;
}

static void
end_control(struct session *session, size_t chunk)
{
    if (session->feed->format.chunked) {
        chunk_end(&session->out, chunk);
    }
}

void
session_control(struct session *session, const char *event, const struct buf *json, const char *id)
{
    struct control control = {
        .event = event,
        .json = json->bytes,
        .len = json->len,
        .id = id,
        .id_len = id == NULL ? 0 : strlen(id),
    };
    size_t chunk = begin_control(session);
    framer_of(session)->control(&session->out, &control, session->feed->format.envelope);
    end_control(session, chunk);
}

/* ---- start ---- */

static bool
needs_solo(const struct session *session)
{
    return framer_of(session)->needs_first || session->bounded || session->limit != UINT64_MAX ||
           session->stand.seq < session->skip_until;
}

static char *
token_text(const struct place *place)
{
    struct buf text;
    buf_init(&text);
    token_encode(&text, place->lanes, place->n_lanes);
    buf_addc(&text, '\0');
    return text.bytes;
}

static char *
token_before(struct stream *stream, const struct record *before)
{
    struct buf text;
    buf_init(&text);
    if (before != NULL) {
        buf_add(&text, before->text + before->id_off, before->id_len);
    } else {
        stream_token_before(stream, 1, &text);
    }
    buf_addc(&text, '\0');
    return text.bytes;
}

static void
say_hello(struct session *session, const struct stream_start *start)
{
    struct buf json;
    buf_init(&json);
    buf_addf(&json, "{\"event\":\"hello\",\"stream\":\"%s\",\"from\":\"%s\",\"resumed\":%s",
        stream_name(session->feed->outlet->stream), session->id_before,
        start->resumed ? "true" : "false");
    if (start->reason != NULL) {
        buf_addf(&json, ",\"reason\":\"%s\"", start->reason);
    }
    buf_addc(&json, '}');
    session_control(session, "hello", &json, session->id_before);
    buf_fini(&json);
}

/* Stand where `from` begins, and say so. */
static void
take_stand(struct session *session)
{
    struct stream *stream = session->feed->outlet->stream;
    struct stream_start start;
    stream_locate(stream, &session->from, &start);
    session->stand = (struct stand){start.seq, start.ordinal, start.bytes};
    session->skip_until = start.skip_until;
    char *here = token_before(stream, start.before);
    record_unref(start.before);
    session->id_before = start.resumed ? token_text(&session->from) : mem_strdup(here);
    size_t chunk = begin_control(session);
    framer_of(session)->open(&session->out);
    end_control(session, chunk);
    say_hello(session, &start);
    if (start.missed > 0) {
        session_gap(session, "expired", start.missed, session->id_before, here);
        session_count(session, &counters_of(session)->dropped[DROP_EXPIRED], start.missed);
    }
    free(here);
}

static void
take_params(struct session *session, struct params *params)
{
    const struct config_stream *config = stream_config(session->feed->outlet->stream);
    session->policy = params->has_slow ? params->slow : config->slow_policy;
    session->queue_records =
        params->queue_records != 0 ? params->queue_records : config->queue_records;
    session->queue_bytes = config->queue_bytes;
    session->limit = params->has_limit ? params->limit : UINT64_MAX;
    session->from = params->from;
    session->to = params->to;
    params->from = params->to = (struct place){.kind = PLACE_NONE};
    session->bounded = !params->follow || session->to.kind != PLACE_NONE;
    session->heartbeat_ms = params->heartbeat_ms;
}

/* A bounded read ends at its token, its time, or where the ring ends now. */
static void
find_end(struct session *session)
{
    if (!session->bounded || session->to.kind == PLACE_TOKEN || session->to.kind == PLACE_TIME) {
        return;
    }
    struct ring_state state;
    ring_state(stream_ring(session->feed->outlet->stream), &state);
    session->end_seq = state.head_seq + 1;
}

struct session *
session_new_take(
    struct conn *conn, struct feed *feed, struct params *params, const struct buf *head)
{
    struct outlet *outlet = feed->outlet;
    struct session *session = mem_calloc(1, sizeof *session);
    session->conn = conn;
    session->feed = feed;
    session->state = SESSION_BEHIND;
    session->sent_ms = shard_now_ms(conn->shard);
    buf_init(&session->out);
    buf_add(&session->out, head->bytes, head->len);
    take_params(session, params);
    take_stand(session);
    find_end(session);
    session->solo = needs_solo(session);
    if (feed->format.framer->transport == TRANSPORT_WS) {
        session->ws = mem_calloc(1, sizeof *session->ws);
        ws_parser_init(session->ws, shard_config(conn->shard)->max_message_bytes);
    }
    outlet->n_sessions++;
    stream_listen(outlet->stream, shard_index(outlet->shard), true);
    if (session->policy == SLOW_PAUSE) {
        TAILQ_INSERT_TAIL(&outlet->pausers, session, pause_link);
        outlet->hold_stale = true;
        outlet_hold_update(outlet);
    }
    session_count(session, &outlet->counters->subscribers[feed->format.framer->transport], 1);
    conn_stream(conn, session);
    return session;
}

void
session_free(struct session *session)
{
    if (session == NULL) {
        return;
    }
    struct outlet *outlet = session->feed->outlet;
    if (session->state == SESSION_LIVE) {
        feed_leave(session->feed, session);
    }
    if (session->policy == SLOW_PAUSE) {
        TAILQ_REMOVE(&outlet->pausers, session, pause_link);
        outlet->hold_stale = true;
        outlet_hold_update(outlet);
    }
    atomic_fetch_sub_explicit(
        &outlet->counters->subscribers[framer_of(session)->transport], 1, memory_order_relaxed);
    session_count(session, &outlet->counters->disconnects[session->why], 1);
    if (--outlet->n_sessions == 0) {
        stream_listen(outlet->stream, shard_index(outlet->shard), false);
    }
    if (session->ws != NULL) {
        ws_parser_fini(session->ws);
        free(session->ws);
    }
    batch_unref(session->pinned);
    buf_fini(&session->out);
    free(session->id_before);
    free(session->from.lanes);
    free(session->to.lanes);
    free(session);
}

/* ---- sending ---- */

static void
note_sent(struct session *session, size_t bytes)
{
    if (bytes > 0) {
        session->sent_ms = shard_now_ms(session->conn->shard);
        session_count(
            session, &counters_of(session)->bytes_out[framer_of(session)->transport], bytes);
    }
}

static bool
flush_pinned(struct session *session)
{
    ssize_t n = conn_send(session->conn, session->pinned->bytes.bytes + session->pin_at,
        session->pin_end - session->pin_at);
    if (n < 0) {
        return false;
    }
    note_sent(session, (size_t)n);
    session->pin_at += (size_t)n;
    if (session->pin_at < session->pin_end) {
        return false;
    }
    batch_unref(session->pinned);
    session->pinned = NULL;
    return true;
}

/* Send what is owed; false while some of it is left. */
static bool
flush(struct session *session)
{
    if (session->pinned != NULL && !flush_pinned(session)) {
        return false;
    }
    size_t left = session->out.len - session->out_at;
    if (left > 0) {
        ssize_t n = conn_send(session->conn, session->out.bytes + session->out_at, left);
        if (n < 0) {
            return false;
        }
        note_sent(session, (size_t)n);
        session->out_at += (size_t)n;
        if ((size_t)n < left) {
            return false;
        }
        session->out_at = 0;
        buf_fini(&session->out); /* an idle subscriber holds no buffer */
    }
    return true;
}

static void
owe_rest(struct session *session, struct batch *batch, size_t at, size_t end)
{
    if (end - at <= COPY_REST_BYTES) {
        buf_add(&session->out, batch->bytes.bytes + at, end - at);
    } else {
        session->pinned = batch_ref(batch);
        session->pin_at = at;
        session->pin_end = end;
    }
}

void
session_fall_behind(struct session *session, const char *id, size_t len)
{
    if (session->state == SESSION_LIVE) {
        feed_leave(session->feed, session);
    }
    free(session->id_before);
    session->id_before = mem_strndup(id, len);
}

/* Units before i are sent or owed: move the stand there and count. */
static void
stand_after(struct session *session, const struct batch *batch, size_t unit, size_t i)
{
    if (i == unit) {
        return;
    }
    uint32_t records =
        batch->units[i - 1].records - (unit == 0 ? 0 : batch->units[unit - 1].records);
    struct stream_counters *counters = counters_of(session);
    session->stand = batch->units[i - 1].stand;
    session->sent_any |= records > 0;
    if (session->limit != UINT64_MAX) {
        session->limit -= records;
    }
    session_count(session, &counters->records_out[framer_of(session)->transport], records);
    if (records > 0) {
        histogram_add(&counters->delivery, clock_mono_ns() - batch->arrival_ns, records);
    }
}

void
session_deliver(struct session *session, struct batch *batch, size_t unit)
{
    size_t start = batch_unit_start(batch, unit);
    size_t len = batch->bytes.len - start;
    ssize_t n = len == 0 ? 0 : conn_send(session->conn, batch->bytes.bytes + start, len);
    size_t id_len;
    if (n < 0) {
        const char *id = batch_id(batch, unit, &id_len);
        session_fall_behind(session, id, id_len);
        return;
    }
    note_sent(session, (size_t)n);
    size_t at = start + (size_t)n;
    size_t i = batch->n_units;
    if ((size_t)n < len) {
        i = batch_unit_at(batch, at);
        if (at > batch_unit_start(batch, i)) {
            owe_rest(session, batch, at, batch->units[i].end);
            i++;
        }
    }
    stand_after(session, batch, unit, i);
    if ((size_t)n < len || session->state != SESSION_LIVE || session->solo) {
        const char *id = batch_id(batch, i, &id_len);
        if ((size_t)n < len) {
            session_fall_behind(session, id, id_len);
            conn_want_write(session->conn);
        } else {
            free(session->id_before);
            session->id_before = mem_strndup(id, id_len);
        }
    }
}

/* ---- reading on alone ---- */

/* The first seq that this session must not read: the feed's stand if that is ahead, its own end. */
static uint64_t
read_end(const struct session *session)
{
    uint64_t end = UINT64_MAX;
    if (!session->solo && session->stand.seq < session->feed->stand.seq) {
        end = session->feed->stand.seq;
    }
    if (session->keep_end != 0 && session->keep_end < end) {
        end = session->keep_end;
    }
    if (session->end_seq != 0 && session->end_seq < end) {
        end = session->end_seq;
    }
    return end;
}

static bool
past_to(const struct session *session, const struct record *record)
{
    if (session->to.kind == PLACE_TIME) {
        return !record->is_gap && record->time_ms >= session->to.time_ms;
    }
    return session->to.kind == PLACE_TOKEN &&
           stream_wants(session->feed->outlet->stream, &session->to, record);
}

static bool
wanted(const struct session *session, const struct record *record)
{
    if (record->seq < session->skip_until && session->from.kind == PLACE_TOKEN &&
        !stream_wants(session->feed->outlet->stream, &session->from, record)) {
        return false;
    }
    return !past_to(session, record);
}

/* Keep of records[0..n) those that this session gets; the others are unreferenced. At most limit.
 */
static size_t
choose(const struct session *session, struct record **records, size_t n)
{
    size_t kept = 0;
    uint64_t left = session->limit;
    for (size_t i = 0; i < n; i++) {
        if (left > 0 && wanted(session, records[i])) {
            left -= left != UINT64_MAX && !records[i]->is_gap;
            records[kept++] = records[i];
        } else {
            record_unref(records[i]);
        }
    }
    return kept;
}

static struct stand
stand_past(const struct record *record)
{
    return (struct stand){
        record->seq + 1, record->ordinal, record->bytes_before + record_charge_bytes(record)};
}

/* Send one batch of its own from the ring. False: there is nothing to read now. */
static bool
send_own(struct session *session)
{
    struct record *records[BATCH_RECORDS];
    uint64_t end = read_end(session);
    if (session->stand.seq >= end) {
        return false;
    }
    size_t max = end - session->stand.seq < BATCH_RECORDS ? (size_t)(end - session->stand.seq)
                                                          : BATCH_RECORDS;
    size_t n = ring_read(
        stream_ring(session->feed->outlet->stream), session->stand.seq, records, max, BATCH_BYTES);
    if (n == 0) {
        return false;
    }
    struct stand past = stand_past(records[n - 1]);
    size_t kept = session->solo ? choose(session, records, n) : n;
    if (kept == 0) {
        session->stand = past;
        return true;
    }
    struct batch *batch = batch_encode(&session->feed->format, session->stand, session->id_before,
        strlen(session->id_before), records, kept, !session->sent_any);
    for (size_t i = 0; i < kept; i++) {
        record_unref(records[i]);
    }
    session_deliver(session, batch, 0);
    batch_unref(batch);
    return true;
}

static bool
send_next(struct session *session)
{
    size_t unit;
    struct batch *batch = session->solo || session->keep_end != 0
                              ? NULL
                              : feed_find(session->feed, session->stand.seq, &unit);
    if (batch != NULL) {
        session_deliver(session, batch, unit);
        return true;
    }
    return send_own(session);
}

static bool
at_head(const struct session *session)
{
    struct ring_state state;
    ring_state(stream_ring(session->feed->outlet->stream), &state);
    return session->stand.seq > state.head_seq;
}

/* A bounded read has all that it asked for. */
static bool
complete(const struct session *session)
{
    if (session->limit == 0) {
        return true;
    }
    if (!session->bounded) {
        return false;
    }
    switch (session->to.kind) {
    case PLACE_TOKEN: /* the second look: records may have come that made it reach */
        return at_head(session) && stream_reaches(session->feed->outlet->stream, &session->to) &&
               at_head(session);
    case PLACE_TIME:
        return at_head(session) && shard_wall_ms(session->conn->shard) >= session->to.time_ms;
    case PLACE_NONE:
    case PLACE_LATEST:
    case PLACE_EARLIEST:
        break;
    }
    return session->stand.seq >= session->end_seq;
}

static void
finish(struct session *session)
{
    struct conn *conn = session->conn;
    if (session->cut) {
        conn_kill(conn);
    } else if (session->ws != NULL && !session->close_received) {
        int64_t by = shard_now_ms(conn->shard) + CLOSE_ANSWER_MS;
        conn->deadline_ms =
            by < conn->deadline_ms ? by : conn->deadline_ms; /* set by session_end */
    } else {
        conn_linger(conn);
    }
}

/* One step of a session that is not LIVE. False: it waits for the socket or for records. */
static bool
step(struct session *session)
{
    if (!flush(session)) {
        conn_want_write(session->conn);
        return false;
    }
    if (session->state == SESSION_ENDING) {
        finish(session);
        return false;
    }
    if (complete(session)) {
        session_end(session, &(struct ending){.why = DISCONNECT_ENDED,
                                 .code = 1000,
                                 .reason = "the bounded read is complete",
                                 .event = "end",
                                 .complete = true});
        return true;
    }
    if (session->solo && !needs_solo(session)) {
        if (session->state == SESSION_LIVE) {
            feed_leave(session->feed, session);
        }
        session->solo = false;
    }
    return session_apply_policy(session) || send_next(session);
}

void
session_pump(struct session *session)
{
    for (int budget = PUMP_BUDGET; budget > 0; budget--) {
        if (session->conn->dead) {
            return;
        }
        if (session->state == SESSION_LIVE && !session->solo && !session_owes(session)) {
            return;
        }
        if (session->state == SESSION_LIVE && !session->solo) {
            if (!flush(session)) { /* a control message did not fit: the next record must wait */
                session_fall_behind(session, session->feed->id.bytes, session->feed->id.len);
                conn_want_write(session->conn);
            }
            return;
        }
        if (!step(session)) {
            if (!session_owes(session) && session->state == SESSION_BEHIND &&
                !feed_join(session->feed, session)) {
                continue;
            }
            session->feed->outlet->hold_stale |= session->policy == SLOW_PAUSE;
            return;
        }
    }
    session->feed->outlet->hold_stale |= session->policy == SLOW_PAUSE;
    conn_want_write(session->conn);
}

/* ---- the end ---- */

void
session_end(struct session *session, const struct ending *ending)
{
    if (session->state == SESSION_ENDING) {
        return;
    }
    if (session->state == SESSION_LIVE) {
        feed_leave(session->feed, session);
    }
    session->state = SESSION_ENDING;
    session->why = ending->why;
    const struct format *format = &session->feed->format;
    if (ending->event != NULL) {
        struct buf json;
        buf_init(&json);
        buf_addf(&json, "{\"event\":\"%s\"", ending->event);
        if (!ending->complete) {
            buf_addf(&json, ",\"reason\":\"%s\",\"code\":%d,\"message\":\"%s\"",
                disconnect_reason_names[ending->why], ending->code, ending->reason);
        }
        buf_addc(&json, '}');
        session_control(session, ending->event, &json, NULL);
        buf_fini(&json);
    }
    session->cut = format->framer->in_http_body && !ending->complete &&
                   (session->bounded || !framer_shows_control(format->framer, format->envelope));
    if (!session->cut) {
        size_t chunk = begin_control(session);
        format->framer->close(&session->out, ending->code, ending->reason);
        end_control(session, chunk);
        if (format->chunked) {
            BUF_LITERAL(&session->out, "0\r\n\r\n");
        }
    }
    session->conn->deadline_ms = shard_now_ms(session->conn->shard) + GOODBYE_MS;
    session->feed->outlet->hold_stale |= session->policy == SLOW_PAUSE;
    conn_want_write(session->conn);
}

/* ---- time ---- */

static void
heartbeat(struct session *session, int64_t now_ms)
{
    size_t chunk = begin_control(session);
    framer_of(session)->heartbeat(&session->out);
    end_control(session, chunk);
    if (session->ws != NULL && session->ping_ms == 0) {
        session->ping_ms = now_ms;
    }
    session_pump(session);
}

void
session_tick(struct session *session, int64_t now_ms)
{
    session_check_limits(session, now_ms);
    if (session->state == SESSION_ENDING || session_owes(session)) {
        return; /* a stalled client's pong is not late: our ping waits behind what it has not read
                 */
    }
    const struct config *config = shard_config(session->conn->shard);
    if (session->ping_ms != 0 && (uint64_t)(now_ms - session->ping_ms) > config->pong_timeout_ms &&
        !conn_peer_is_slow(session->conn)) {
        session->why = DISCONNECT_PONG_TIMEOUT;
        conn_kill(session->conn);
        return;
    }
    if (session->heartbeat_ms != 0 &&
        (uint64_t)(now_ms - session->sent_ms) >= session->heartbeat_ms) {
        heartbeat(session, now_ms);
    }
    if (session->bounded && session->state == SESSION_LIVE) {
        session_pump(session); /* a read up to a time ends without a further record */
    }
}
