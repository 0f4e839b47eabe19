/* session: a subscriber's life: how it begins, what it is told, how it ends. Sending is in
 * session_send.c, reading from the ring alone in session_read.c, policy in session_policy.c, what
 * it receives in session_input.c. Shard thread; never blocks. */
#include "session_internal.h"

#include "catchup.h"
#include "generations.h"
#include "json.h"
#include "lanes.h"
#include "mem.h"
#include "private.h"
#include "session_durable.h"
#include "shard.h"
#include "stream_internal.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* How long a goodbye may take to be written. */
#define GOODBYE_MS 5000
/* How often progress is told at the most. */
#define PROGRESS_MS 250

bool
session_owes(const struct session *session)
{
    return session->pinned != NULL || session->out_at < session->out.len;
}

size_t
session_begin_control(struct session *session)
{
    return piece_begin(&session->feed->format, &session->out);
}

void
session_end_control(struct session *session, size_t piece)
{
    piece_end(&session->feed->format, &session->out, piece, &session->sum);
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
    size_t chunk = session_begin_control(session);
    session_framer(session)->control(&session->out, &control, session->feed->format.envelope);
    session_end_control(session, chunk);
}
/* ---- start ---- */

bool
session_needs_solo(const struct session *session)
{
    return session_framer(session)->needs_first || session->bounded || session->max_rate != 0 ||
           session->catchup != NULL || session->feed->outlet->on_request ||
           session->limit != UINT64_MAX || session->stand.seq < session->skip_until ||
           session->table_waits || session->reading != NULL || session_table_stale(session);
}

/* The token of where it asked to begin. */
char *
session_from_text(const struct session *session)
{
    struct buf text;
    buf_init(&text);
    place_add_token(&text, &session->from, stream_keys(session->home->stream));
    buf_addc(&text, '\0');
    return text.bytes;
}

char *
session_token_before(struct stream *stream, const struct record *before)
{
    struct buf text;
    if (before != NULL) {
        return record_id(before);
    }
    buf_init(&text);
    stream_token_before(stream, 1, &text);
    buf_addc(&text, '\0');
    return text.bytes;
}

void
session_say_hello(struct session *session, const struct stream_start *start, bool snapshot)
{
    struct buf json;
    buf_init(&json);
    buf_addf(&json, "{\"event\":\"hello\",\"stream\":\"%s\",\"from\":\"%s\",\"resumed\":%s",
        stream_name(session->feed->outlet->stream), session->id_before,
        start->resumed ? "true" : "false");
    if (session->durable != NULL) {
        buf_addf(&json, ",\"consumer\":\"%s\"", durable_name(session));
    }
    if (session->feed->outlet->generation != NULL) {
        buf_addf(&json, ",\"generation\":\"%s\"", generation_id(session->feed->outlet->generation));
    }
    if (start->reason != NULL) {
        buf_addf(&json, ",\"reason\":\"%s\"", start->reason);
    }
    buf_adds(&json, snapshot ? ",\"snapshot\":true}" : "}");
    session_control(session, "hello", &json, session->id_before);
    buf_fini(&json);
    session->hello_due = false;
}

void
session_hello_late(struct session *session)
{
    struct buf token;
    buf_init(&token);
    stream_token_before(session->feed->outlet->stream, 1, &token);
    buf_addc(&token, '\0');
    free(session->id_before);
    session->id_before = token.bytes;
    const char *anew = stream_anew(session->feed->outlet->stream);
    bool resumed = session->durable != NULL ? stream_resumed(session->feed->outlet->stream)
                                            : session->from.kind == PLACE_TOKEN && anew == NULL;
    session_say_hello(session,
        &(struct stream_start){
            .resumed = resumed,
            .reason = anew,
        },
        false);
}

/* The position of the live stream as it is now: where a bounded read that catches up ends. */
static struct place
position_now(struct session *session)
{
    struct err err;
    struct buf token;
    struct place place = {.kind = PLACE_TOKEN};
    buf_init(&token);
    lanes_token(stream_lanes(session->home->stream), &token);
    (void)place_of_token(&place, token.bytes, token.len, NULL, &err);
    buf_fini(&token);
    return place;
}

void
session_tell_gone(struct session *session, uint64_t count)
{
    if (count > 0) {
        session_gap(session, "expired", count, session->id_before, session->id_before);
        counter_add(&session_counters(session)->dropped[DROP_EXPIRED], count);
    }
}

/* What it asks for is not in the ring but may be in the source: wait for a reader of that. */
static void
go_elsewhere(struct session *session, uint64_t gone)
{
    session->hello_due = session->from.kind != PLACE_TOKEN;
    session->id_before = session->hello_due ? mem_strdup("") : session_from_text(session);
    if (!session->hello_due) {
        session_say_hello(session, &(struct stream_start){.resumed = true}, false);
        session_tell_gone(session, gone);
    }
    if (session->bounded) {
        session->until = position_now(session);
    }
    catchup_ask(session);
}

static void
tell_unaccounted(struct session *session, const struct stream_start *start)
{
    if (start->unaccounted && start->reason == NULL) {
        session_tell_unaccounted(session);
    }
}

void
session_tell_unaccounted(struct session *session)
{
    if (!session->told_unaccounted) {
        session->told_unaccounted = true;
        session_gap_exact(session, "reset", 0, session->id_before, session->id_before);
    }
}

/* It has the stream to itself, from its beginning, which is told once the source knows it. */
static void
begin_request(struct session *session)
{
    session->hello_due = true;
    session->id_before = mem_strdup("");
    session->stand = (struct stand){.seq = 1};
}

/* The token is not of this answer. All of the answer is there, and it is told that nothing of it is
 * known to be had. */
static void
begin_anew(struct session *session, struct stream_start *start)
{
    const char *reason = start->reason;
    record_unref(start->before);
    free(session->from.lanes);
    session->from = (struct place){.kind = PLACE_EARLIEST};
    stream_locate(session->feed->outlet->stream, &session->from, start);
    start->reason = reason;
}

/* Stand where `from` begins, and say so. */
static void
take_stand(struct session *session)
{
    struct stream *stream = session->feed->outlet->stream;
    struct stream_start start;
    stream_locate(stream, &session->from, &start);
    if (session->feed->outlet->generation != NULL && !start.resumed &&
        session->from.kind == PLACE_TOKEN) {
        begin_anew(session, &start);
    }
    if (start.elsewhere && catchup_can(session->home)) {
        record_unref(start.before);
        go_elsewhere(session, start.gone);
        tell_unaccounted(session, &start);
        return;
    }
    session->stand = (struct stand){start.seq, start.ordinal, start.bytes};
    session->skip_until = start.skip_until;
    char *here = session_token_before(stream, start.before);
    record_unref(start.before);
    session->id_before = start.resumed ? session_from_text(session) : mem_strdup(here);
    session_say_hello(session, &start, false);
    tell_unaccounted(session, &start);
    if (start.missed > 0) {
        session_gap(session, "expired", start.missed, session->id_before, here);
        counter_add(&session_counters(session)->dropped[DROP_EXPIRED], start.missed);
    }
    free(here);
}

/* A token says nothing of a source that has not answered yet: where its lanes begin here, and what
 * lies between, is not known. Its hello waits for that. */
static bool
wait_for_source(struct session *session)
{
    if (stream_was_up(session->home->stream) || session->from.kind != PLACE_TOKEN ||
        (session->from.n_lanes == 0 && session->from.cursor == NULL) ||
        stream_is_shared(session->home->stream)) {
        return false;
    }
    session->hello_due = true;
    session->id_before = mem_strdup("");
    catchup_ask(session);
    return true;
}

/* A stream of a request ends, and its failure must be seen: its body is cut short then like that of
 * a bounded read. */
static void
open_body(struct session *session)
{
    body_open(&session->feed->format, &session->out);
    size_t chunk = session_begin_control(session);
    session_framer(session)->open(&session->out);
    session_end_control(session, chunk);
    session->bounded |= session->feed->outlet->on_request;
    if (session->feed->outlet->generation != NULL) {
        take_stand(session);
    } else if (session->feed->outlet->on_request) {
        begin_request(session);
    } else if (session->tabled) {
        session_table_open(session);
    } else if (!wait_for_source(session)) {
        take_stand(session);
    }
}

static void
take_params(struct session *session, struct params *params)
{
    const struct config_stream *config = stream_config(session->feed->outlet->stream);
    session->at_leisure = session->feed->outlet->generation != NULL && !params->has_slow;
    session->policy = params->has_slow      ? params->slow
                      : session->at_leisure ? SLOW_PAUSE
                                            : config->slow_policy;
    session->queue_records =
        params->queue_records != 0 ? params->queue_records : config->queue_records;
    session->queue_bytes = config->queue_bytes;
    session->limit = params->has_limit ? params->limit : UINT64_MAX;
    session->from = params->from;
    session->to = params->to;
    params->from = params->to = (struct place){.kind = PLACE_NONE};
    session->bounded = !params->follow || session->to.kind != PLACE_NONE;
    session->tabled = config->view == VIEW_TABLE && params->snapshot;
    session->heartbeat_ms = params->heartbeat_ms;
    session->max_rate = params->max_rate;
}

void
session_end_by_id(struct session *session)
{
    struct place place;
    struct err err;
    struct stream_start end = {.resumed = false};
    if (place_of_token(&place, session->end_id, strlen(session->end_id), NULL, &err) == 0) {
        stream_locate(session->home->stream, &place, &end);
        record_unref(end.before);
        free(place.lanes);
    }
    bool ahead = end.resumed && end.seq > session->stand.seq;
    session->end_seq = ahead ? end.seq : session->stand.seq;
    session->end_ordinal = ahead ? end.ordinal : session->stand.ordinal;
}

static char *
text_of(struct buf *text)
{
    buf_addc(text, '\0');
    return text->bytes;
}

/* A cursor cannot be compared with a record, only found: the end is the record of that id. */
static void
end_at_cursor(struct session *session)
{
    struct buf id;
    buf_init(&id);
    stream_add_place(session->home->stream, &session->to, &id);
    session->end_id = text_of(&id);
    free(session->to.lanes);
    session->to = (struct place){.kind = PLACE_NONE};
    if (!session->waiting) {
        session_end_by_id(session);
    }
}

/* A bounded read ends at its token, its time, or where the ring ends now. */
static void
find_end(struct session *session)
{
    bool by_cursor = lanes_by_cursor(stream_lanes(session->home->stream));
    if (session->reading != NULL ||          /* it ends where its snapshot does */
        session->feed->outlet->on_request || /* its source says when it is complete */
        (session->hello_due && session->from.kind == PLACE_TOKEN)) { /* it asks again, once up */
        return;
    }
    if (session->bounded && session->to.kind == PLACE_TOKEN && by_cursor) {
        end_at_cursor(session);
    }
    if (!session->bounded || session->end_id != NULL || session->to.kind == PLACE_TOKEN ||
        session->to.kind == PLACE_TIME) {
        return;
    }
    if (session->waiting && !by_cursor) { /* places in the ring mean nothing to it */
        session->to = position_now(session);
        return;
    }
    struct stand end = {.seq = UINT64_MAX};
    struct record *before;
    ring_place(stream_ring(session->home->stream), &end.seq, &end.ordinal, &end.bytes, &before);
    session->end_id = session_token_before(session->home->stream, before);
    record_unref(before);
    if (!session->waiting) {
        session->end_seq = end.seq;
        session->end_ordinal = end.ordinal;
    }
}

struct queue
session_queue(const struct session *session)
{
    if (session->catchup != NULL) {
        const struct config_stream *config = stream_config(session->feed->outlet->stream);
        return (struct queue){config->queue_records, config->queue_bytes};
    }
    return (struct queue){session->queue_records, session->queue_bytes};
}

uint64_t
session_flushed(struct session *session)
{
    if (!session_owes(session)) {
        session->settled_seq = session->stand.seq - 1;
    }
    return session->settled_seq;
}

uint64_t
session_settled(struct session *session)
{
    return session->durable != NULL ? durable_settled(session) : session_flushed(session);
}

void
session_hold(struct session *session)
{
    struct outlet *outlet = session->feed->outlet;
    if (!session->holds) {
        TAILQ_INSERT_TAIL(&outlet->pausers, session, pause_link);
        session->holds = true;
        outlet->hold_stale = true;
    }
}

void
session_unhold(struct session *session)
{
    struct outlet *outlet = session->feed->outlet;
    if (session->holds) {
        TAILQ_REMOVE(&outlet->pausers, session, pause_link);
        session->holds = false;
        outlet->hold_stale = true;
    }
}

void
session_stand_late(struct session *session)
{
    session->hello_due = false;
    free(session->id_before);
    session->id_before = NULL;
    take_stand(session);
    find_end(session);
    session->solo = session_needs_solo(session);
    if (session->policy == SLOW_PAUSE && !session->waiting) {
        session_hold(session);
        outlet_hold_update(session->home);
    }
    session_pump(session);
}

struct session *
session_new_take(
    struct conn *conn, struct feed *feed, struct params *params, const struct buf *head)
{
    struct outlet *outlet = feed->outlet;
    struct session *session = mem_calloc(1, sizeof *session);
    session->conn = conn;
    session->feed = feed;
    session->home = outlet;
    session->state = SESSION_BEHIND;
    session->sent_ms = shard_now_ms(conn->shard);
    buf_init(&session->out);
    buf_add(&session->out, head->bytes, head->len);
    take_params(session, params);
    open_body(session);
    session->settled_seq = session->stand.seq == 0 ? 0 : session->stand.seq - 1;
    find_end(session);
    session->solo = session_needs_solo(session);
    if (feed->format.framer->transport == TRANSPORT_WS) {
        session->ws = mem_calloc(1, sizeof *session->ws);
        ws_parser_init(session->ws, shard_config(conn->shard)->max_message_bytes);
        session->ws->deflate = feed->format.coding == CODING_MESSAGE;
    }
    feed_enter(feed);
    outlet->n_sessions++;
    stream_listen(outlet->stream, outlet->slot, true);
    if (outlet->generation != NULL) {
        generation_enter(outlet->generation, session->from.kind == PLACE_TOKEN);
    }
    if (session->policy == SLOW_PAUSE && !session->waiting && !session->at_leisure) {
        session_hold(session);
        outlet_hold_update(outlet);
    } else if (session->policy == SLOW_CONFLATE) {
        TAILQ_INSERT_TAIL(&outlet->conflaters, session, conflate_link);
    }
    if (session->max_rate != 0) {
        shard_pace(conn->shard, session);
    }
    counter_add(&outlet->counters->subscribers[feed->format.framer->transport], 1);
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
    outlet->hold_stale |= session->holds;
    outlet_hold_update(outlet); /* what it has got counts, also after it is gone */
    session_unhold(session);
    outlet_hold_update(outlet);
    catchup_leave(session);
    if (session->policy == SLOW_CONFLATE) {
        TAILQ_REMOVE(&session->home->conflaters, session, conflate_link);
    }
    session_conflate_fini(session);
    durable_free(session->durable);
    session_table_fini(session);
    if (session->max_rate != 0) {
        shard_unpace(session->conn->shard, session);
    }
    atomic_fetch_sub_explicit(&outlet->counters->subscribers[session_framer(session)->transport], 1,
        memory_order_relaxed);
    counter_add(&outlet->counters->disconnects[session->why], 1);
    if (outlet->generation != NULL) {
        generation_leave(outlet->generation);
    }
    if (--outlet->n_sessions == 0) {
        stream_listen(outlet->stream, outlet->slot, false);
        if (outlet->generation != NULL) {
            private_news(generation_here(outlet->generation, outlet->slot)); /* given back there */
        } else if (outlet->is_private) {
            shard_wake(outlet->shard); /* it is retired there */
        }
    }
    if (session->ws != NULL) {
        ws_parser_fini(session->ws);
        free(session->ws);
    }
    if (session->pinned != NULL) {
        outlet_unpin(outlet, session->pinned);
    }
    buf_fini(&session->out);
    buf_fini(&session->head);
    free(session->id_before);
    free(session->end_id);
    free(session->from.lanes);
    free(session->to.lanes);
    free(session->until.lanes);
    feed_exit(session->feed);
    free(session);
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
    session_table_fini(session);
    const struct format *format = &session->feed->format;
    bool refused = session->late != LATE_NO;
    if (refused) {
        session_refuse_late(session, ending);
    } else if (ending->event != NULL) {
        struct buf json;
        buf_init(&json);
        buf_addf(&json, "{\"event\":\"%s\"", ending->event);
        if (ending->failure != NULL) {
            buf_addf(&json, ",\"code\":\"%s\",\"message\":", ending->failure);
            json_add_lossy(&json, ending->reason, strlen(ending->reason));
        } else if (!ending->complete) {
            buf_addf(&json, ",\"reason\":\"%s\",\"code\":%d,\"message\":\"%s\"",
                disconnect_reason_names[ending->why], ending->code, ending->reason);
        }
        buf_addc(&json, '}');
        session_control(session, ending->event, &json, NULL);
        buf_fini(&json);
    }
    session->cut = format->framer->in_http_body && !ending->complete &&
                   !format->framer->tells_failure && !refused &&
                   (session->bounded || !framer_shows_control(format->framer, format->envelope));
    if (!session->cut && !refused) {
        size_t chunk = session_begin_control(session);
        format->framer->close(&session->out, ending->code, ending->reason);
        session_end_control(session, chunk);
        body_close(format, &session->out, &session->sum);
        if (format->chunked) {
            BUF_LITERAL(&session->out, "0\r\n\r\n");
        }
    }
    session->conn->deadline_ms = shard_now_ms(session->conn->shard) + GOODBYE_MS;
    if (session->holds) {
        outlet_stale(session->feed->outlet);
    }
    conn_want_write(session->conn);
}

/* ---- time ---- */

/* What a filter passed over moved the position of a quiet stream, and of many lanes the last record
 * may have had no id: the client is told where to come back to, once for each place. False: nothing
 * to tell. */
static bool
add_position(struct session *session)
{
    const struct feed *feed = session->feed;
    if (session->hello_due || session->stand.seq == session->told_seq ||
        (feed->format.filter == NULL && !lanes_sparse(stream_lanes(session->home->stream)))) {
        return false;
    }
    bool shared = session->state == SESSION_LIVE && !session->solo;
    const char *id = shared ? feed->id.bytes : session->id_before;
    size_t before = session->out.len;
    feed->format.framer->position(
        &session->out, id, shared ? feed->id.len : strlen(id), feed->format.envelope);
    session->told_seq = session->stand.seq;
    return session->out.len > before;
}

void
session_tell_progress(struct session *session, bool last)
{
    struct progress_mark mark;
    int64_t now_ms = shard_now_ms(session->conn->shard);
    if (!stream_progress(session->feed->outlet->stream, session->stand.seq, &mark) ||
        mark.seq < session->told.seq || mark.done == session->told.done ||
        (!last && now_ms - session->told_ms < PROGRESS_MS)) {
        return;
    }
    struct buf json;
    buf_init(&json);
    buf_addf(&json, "{\"event\":\"progress\",\"done\":%llu,\"total\":%llu}",
        (unsigned long long)mark.done, (unsigned long long)mark.total);
    session_control(session, "progress", &json, NULL);
    buf_fini(&json);
    session->told = mark;
    session->told_ms = now_ms;
}

static void
heartbeat(struct session *session, int64_t now_ms)
{
    size_t chunk = session_begin_control(session);
    bool told = add_position(session);
    if (!told || session->ws != NULL) { /* a ping is for its pong */
        session_framer(session)->heartbeat(&session->out);
    }
    session_end_control(session, chunk);
    if (session->ws != NULL && session->ping_ms == 0) {
        session->ping_ms = now_ms;
    }
    session_pump(session);
}

void
session_tick(struct session *session, int64_t now_ms)
{
    session_check_limits(session, now_ms);
    if (session->durable != NULL && durable_tick(session, now_ms)) {
        session_end(session, &(struct ending){.why = DISCONNECT_ACK_TIMEOUT,
                                 .code = 4001,
                                 .reason = "no ack came within ack_timeout",
                                 .event = "closing"});
    }
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
    if (session->heartbeat_ms != 0 && session->late == LATE_NO &&
        (uint64_t)(now_ms - session->sent_ms) >= session->heartbeat_ms) {
        heartbeat(session, now_ms);
    }
    if (session->feed->outlet->on_request && !session->hello_due) {
        session_tell_progress(session, false);
    }
    if ((session->bounded || session->catchup != NULL || session->table_waits) &&
        session->state == SESSION_LIVE) {
        session_pump(session); /* a read up to a time ends without a further record */
    }
}
