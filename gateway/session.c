/* session: a subscriber's life: what it is told, how it ends. How it begins is in session_start.c,
 * sending in session_send.c, reading from the ring alone in session_read.c, policy in
 * session_policy.c, what it receives in session_input.c. Shard thread; never blocks. */
#include "session_internal.h"

#include "catchup.h"
#include "generations.h"
#include "json.h"
#include "lanes.h"
#include "private.h"
#include "session_durable.h"
#include "shard.h"
#include "stream_internal.h"

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
    uint64_t done, total;
    int64_t now_ms = shard_now_ms(session->conn->shard);
    if (!stream_progress(session->feed->outlet->stream, &done, &total) ||
        done == session->told_done || (!last && now_ms - session->told_ms < PROGRESS_MS)) {
        return;
    }
    struct buf json;
    buf_init(&json);
    buf_addf(&json, "{\"event\":\"progress\",\"done\":%llu,\"total\":%llu}",
        (unsigned long long)done, (unsigned long long)total);
    session_control(session, "progress", &json, NULL);
    buf_fini(&json);
    session->told_done = done;
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
