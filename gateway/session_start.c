/* session_start: how a session begins: where it stands, what it is greeted with, where it is to
 * end. Shard thread; never blocks. */
#include "session_internal.h"

#include "catchup.h"
#include "generations.h"
#include "lanes.h"
#include "mem.h"
#include "session_durable.h"
#include "shard.h"
#include "stream_internal.h"

#include <stdlib.h>
#include <string.h>

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
