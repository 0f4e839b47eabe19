/* session_send: what is owed, shared batches, and the steps of a session that is not LIVE. Shard
 * thread; never blocks. */
#include "session_internal.h"

#include "catchup.h"
#include "clock.h"
#include "mem.h"
#include "shard.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* Private batches sent in one go before other connections get a turn. */
#define PUMP_BUDGET 8
/* The same where each of them is compressed: that takes 30 times as long. */
#define PUMP_BUDGET_CODED 2
/* Batches between two looks at whether the live ring will do. */
#define HAND_OVER_EVERY 16
/* A rest up to this size is copied; a larger one keeps its batch alive instead. */
#define COPY_REST_BYTES 8192
/* How long a WebSocket peer may take to answer our close. */
#define CLOSE_ANSWER_MS 2000

static void
note_sent(struct session *session, size_t bytes)
{
    if (bytes > 0) {
        session->sent_ms = shard_now_ms(session->conn->shard);
        counter_add(
            &session_counters(session)->bytes_out[session_framer(session)->transport], bytes);
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
    outlet_unpin(session->feed->outlet, session->pinned);
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
            session->blocked = true;
            return false;
        }
        session->out_at = 0;
        buf_fini(&session->out); /* an idle subscriber holds no buffer */
    }
    return true;
}

/* Remember the rest of a unit. When too many large ones are owed already, the connection has to go:
 * a unit cannot be left in the middle, and memory is bounded. */
static void
owe_rest(struct session *session, struct batch *batch, size_t at, size_t end)
{
    if (end - at <= COPY_REST_BYTES) {
        buf_add(&session->out, batch->bytes.bytes + at, end - at);
    } else if (outlet_pin(session->feed->outlet, batch)) {
        session->pinned = batch;
        session->pin_at = at;
        session->pin_end = end;
    } else {
        session->why = DISCONNECT_TOO_SLOW;
        conn_kill(session->conn);
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
    struct stream_counters *counters = session_counters(session);
    session->stand = batch->units[i - 1].stand;
    session->sent_any |= records > 0;
    for (size_t k = unit; k < i && session->feed->format.coding == CODING_GZIP; k++) {
        coding_sum_append(&session->sum, &batch->units[k].sum);
    }
    if (session->limit != UINT64_MAX) {
        session->limit -= records;
    }
    counter_add(&counters->records_out[session_framer(session)->transport], records);
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
        session->blocked = true;
        i = batch_unit_at(batch, at);
        if (at > batch_unit_start(batch, i)) {
            session->settled_seq =
                (i == unit ? session->stand.seq : batch->units[i - 1].stand.seq) - 1;
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

static bool
at_head(const struct session *session)
{
    struct ring_state state;
    ring_state(stream_ring(session->feed->outlet->stream), &state);
    return session->stand.seq > state.head_seq;
}

/* A bounded read that catches up has all that the live stream had when it began. One that ends at a
 * time to come goes on there. */
static bool
caught_all(const struct session *session)
{
    struct stream *stream = session->feed->outlet->stream;
    if (session->end_id != NULL) { /* by cursors: the record was met, or is yet to come */
        return session->end_seq != 0 && session->stand.seq >= session->end_seq;
    }
    if (!catchup_ready(session) || (session->to.kind == PLACE_TIME &&
                                       shard_wall_ms(session->conn->shard) < session->to.time_ms)) {
        return false;
    }
    const struct place *end = session->to.kind == PLACE_TOKEN ? &session->to : &session->until;
    return at_head(session) && stream_reaches(stream, end) && at_head(session);
}

/* A bounded read has all that it asked for. */
static bool
complete(const struct session *session)
{
    if (session->limit == 0) {
        return true;
    }
    if (!session->bounded || session->waiting || session->table_waits || session->reading != NULL) {
        return false;
    }
    if (session->catchup != NULL) {
        return caught_all(session);
    }
    if (session->feed->outlet->on_request) {
        return false; /* its source says when it is complete */
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
        conn->deadline_ms = by < conn->deadline_ms ? by : conn->deadline_ms; /* session_end's */
    } else if (session->complete && conn->keep_alive) {
        session->over = true; /* conn_writable frees it: who called may be at work on it */
        conn_want_write(conn);
    } else {
        conn_linger(conn);
    }
}

/* A step of one that reads from a catch-up reader; now and then, and when there is nothing more, it
 * looks whether the live ring has what comes next. */
static bool
step_elsewhere(struct session *session)
{
    if (!catchup_ready(session)) {
        return false;
    }
    if (session->hello_due) {
        session_hello_late(session);
        return true;
    }
    if (++session->own_batches % HAND_OVER_EVERY == 0 && catchup_hand_over(session)) {
        return true;
    }
    return session_apply_policy(session) || session_send_next(session) ||
           catchup_hand_over(session);
}

/* A step of one whose stream a request made. Whether the source has ended is asked before whether
 * all is sent: what it committed last must not be missed. */
static bool
step_request(struct session *session)
{
    struct stream *stream = session->feed->outlet->stream;
    struct stream_health health;
    struct stream_outcome outcome;
    stream_outcome(stream, &outcome);
    if (session->hello_due) {
        stream_health(stream, &health);
        if (!health.was_up && !outcome.ended) {
            return false;
        }
        session_hello_late(session);
        return true;
    }
    if (session_apply_policy(session) || session_send_next(session)) {
        session_tell_progress(session, false);
        return true;
    }
    if (!outcome.ended || !at_head(session)) {
        return false;
    }
    session_tell_progress(session, true);
    bool failed = outcome.code != NULL;
    bool cancelled = failed && strcmp(outcome.code, STREAM_CANCELLED) == 0;
    session_end(session, &(struct ending){.why = DISCONNECT_ENDED,
                             .code = cancelled ? 4500
                                     : failed  ? 1011
                                               : 1000,
                             .reason = failed ? outcome.message : "the stream is complete",
                             .failure = outcome.code,
                             .event = cancelled ? "cancelled"
                                      : failed  ? "failed"
                                                : "end",
                             .complete = !failed});
    return true;
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
    if (session->late != LATE_NO) {
        return session_release_head(session);
    }
    if (session->table_waits) {
        session_table_open(session);
        return !session->table_waits;
    }
    if (session_table_tell_end(session)) {
        return true;
    }
    if (complete(session)) {
        session_end(session, &(struct ending){.why = DISCONNECT_ENDED,
                                 .code = 1000,
                                 .reason = "the bounded read is complete",
                                 .event = "end",
                                 .complete = true});
        return true;
    }
    if (session->solo && !session_needs_solo(session)) {
        if (session->state == SESSION_LIVE) {
            feed_leave(session->feed, session);
        }
        session->solo = false;
    }
    if (session_table_stale(session)) {
        return session_table_restart(session);
    }
    if (session->waiting || session_must_wait(session)) {
        return false; /* drops are told when the next record may go, not one by one before it */
    }
    if (session->catchup != NULL) {
        return step_elsewhere(session);
    }
    if (session->reading != NULL) {
        return session_table_step(session);
    }
    if (session->feed->outlet->on_request) {
        return step_request(session);
    }
    return (session->conflation == NULL && session_apply_policy(session)) ||
           session_send_next(session);
}

void
session_pump(struct session *session)
{
    bool coded = session->feed->format.coding != CODING_IDENTITY;
    for (int budget = coded ? PUMP_BUDGET_CODED : PUMP_BUDGET; budget > 0; budget--) {
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
            if (session->waiting) {
                return;
            }
            if (!session_owes(session) && session->state == SESSION_BEHIND &&
                !feed_join(session->feed, session)) {
                continue;
            }
            if (session->holds) {
                outlet_stale(session->feed->outlet);
            }
            return;
        }
    }
    if (session->holds) {
        outlet_stale(session->feed->outlet);
    }
    conn_want_write(session->conn);
}
