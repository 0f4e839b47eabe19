/* session_policy: what happens to a subscriber that does not keep up. Shard thread. */
#include "session_internal.h"

#include "../connectors/connector.h"
#include "catchup.h"
#include "lanes.h"
#include "mem.h"
#include "private.h"
#include "shard.h"
#include "stream_internal.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* A filtered gap's count is exact only up to this many records and bytes: beyond, asking the filter
 * would hold up the others of the shard. */
#define COUNT_RECORDS 16384
#define COUNT_BYTES (UINT64_C(4) << 20)

/* How long one may hold up those who catch up with the same reader. */
#define SHARED_HOLD_MS 1000

static void
add_gap(struct session *session, const char *reason, uint64_t count, const char *from,
    const char *to, bool exact)
{
    struct buf json;
    buf_init(&json);
    buf_addf(&json,
        "{\"event\":\"gap\",\"reason\":\"%s\",\"count\":%llu,\"from\":\"%s\",\"to\":\"%s\"%s}",
        reason, (unsigned long long)count, from, to, exact ? "" : ",\"filtered\":true");
    session_control(session, "gap", &json, to);
    buf_fini(&json);
}

void
session_gap(
    struct session *session, const char *reason, uint64_t count, const char *from, const char *to)
{
    add_gap(session, reason, count, from, to, session->feed->format.filter == NULL);
}

void
session_gap_exact(
    struct session *session, const char *reason, uint64_t count, const char *from, const char *to)
{
    add_gap(session, reason, count, from, to, true);
}

/* How many of the records from the stand up to to a filtered session would have got. False: they
 * are no longer there, or too many to look at now. */
static bool
count_passing(const struct session *session, const struct stand *to, uint64_t *count)
{
    if (to->seq - session->stand.seq > COUNT_RECORDS ||
        to->bytes - session->stand.bytes > COUNT_BYTES) {
        return false;
    }
    uint64_t sum = 0;
    for (uint64_t seq = session->stand.seq; seq < to->seq;) {
        struct record *records[BATCH_RECORDS];
        uint64_t max = to->seq - seq < BATCH_RECORDS ? to->seq - seq : BATCH_RECORDS;
        size_t n = ring_read(
            stream_ring(session->feed->outlet->stream), seq, records, (size_t)max, UINT64_MAX);
        if (n == 0) {
            return false;
        }
        for (size_t i = 0; i < n; i++) {
            sum += session_wants(session, records[i]) ? records[i]->weight : 0;
            record_unref(records[i]);
        }
        seq += n;
    }
    *count = sum;
    return true;
}

uint64_t
session_count_skipped(const struct session *session, const struct stand *to, const char *id)
{
    if (session->stand.seq < session->skip_until || session->to.kind == PLACE_TOKEN) {
        return stream_count_wanted(
            session->feed->outlet->stream, &session->from, &session->to, session->id_before, id);
    }
    bool past_end = session->end_seq != 0 && to->seq > session->end_seq;
    return (past_end ? session->end_ordinal : to->ordinal) - session->stand.ordinal;
}

/* count_skipped is exact: no filter decides, nor differences of offsets that are no counts. */
static bool
counts_exactly(const struct session *session)
{
    bool by_offset = session->stand.seq < session->skip_until || session->to.kind == PLACE_TOKEN;
    const struct config_stream *config = stream_config(session->home->stream);
    return session->feed->format.filter == NULL &&
           !(by_offset && (config->connector->capabilities & CONNECTOR_FILES) != 0);
}

/* Move the stand to seq (or the tail, if that is later) and tell the client what it did not get. */
static bool
skip_to(struct session *session, uint64_t seq)
{
    if (session->end_seq != 0 && seq > session->end_seq) {
        seq = session->end_seq;
    }
    struct outlet *outlet = session->feed->outlet;
    struct stand to = {.seq = seq};
    struct record *before;
    ring_place(stream_ring(outlet->stream), &to.seq, &to.ordinal, &to.bytes, &before);
    assert(to.seq >= session->stand.seq);
    char *id = session_id_take(session, to.seq - 1, session_token_before(outlet->stream, before));
    record_unref(before);
    uint64_t count = session_count_skipped(session, &to, id);
    bool exact = counts_exactly(session) || count_passing(session, &to, &count);
    session->stand = to;
    if (count > 0) {
        add_gap(session, "slow", count, session->id_before, id, exact);
        counter_add(&outlet->counters->dropped[DROP_SLOW], count);
    }
    free(session->id_before);
    session->id_before = id;
    return count > 0;
}

bool
session_past_bound(const struct session *session, const struct ring_state *ring)
{
    uint64_t lag = ring->head_seq + 1 - session->stand.seq;
    return lag > session->queue_records ||
           (lag > 1 && ring->head_bytes - session->stand.bytes > session->queue_bytes);
}

static void
end_too_slow(struct session *session)
{
    session_end(session, &(struct ending){.why = DISCONNECT_TOO_SLOW,
                             .code = 4001,
                             .reason = "too slow: the queue is full",
                             .event = "closing"});
}

static bool
drop_newest(struct session *session, const struct ring_state *ring, bool over)
{
    struct ring *ring_of = stream_ring(session->feed->outlet->stream);
    if (session->stand.seq < ring->tail_seq) {
        session->keep_end = 0;
        return skip_to(session, ring->tail_seq);
    }
    if (session->keep_end == 0 && over) {
        session->keep_end = ring_keep_end(
            ring_of, session->stand.seq, session->queue_records, session->queue_bytes);
    }
    if (session->keep_end != 0 && session->stand.seq >= session->keep_end) {
        session->keep_end = 0;
        return skip_to(session, ring->head_seq + 1);
    }
    return false;
}

/* Places in the ring mean nothing any more: a bounded read ends by its position. */
static void
leave_ring(struct session *session)
{
    struct err err;
    session->end_seq = 0;
    if (session->end_id != NULL && !lanes_by_cursor(stream_lanes(session->home->stream))) {
        (void)place_of_token(&session->to, session->end_id, strlen(session->end_id), NULL, &err);
        free(session->end_id);
        session->end_id = NULL;
    }
}

/* The ring has left a subscriber that must not lose: what it needs next is read from the source. */
static bool
read_elsewhere(struct session *session)
{
    struct err err;
    struct place place = {.kind = PLACE_TOKEN};
    bool begun = !session->hello_due; /* else it still wants what it asked for at the start */
    if (begun &&
        place_of_token(&place, session->id_before, strlen(session->id_before), NULL, &err) != 0) {
        return false;
    }
    if (session->state == SESSION_LIVE) {
        feed_leave(session->feed, session);
    }
    session_unhold(session);
    if (begun) {
        free(session->from.lanes);
        session->from = place;
    }
    session->told_unaccounted = false;
    leave_ring(session);
    catchup_ask(session);
    return true;
}

bool
session_apply_policy(struct session *session)
{
    struct ring_state ring;
    ring_state(stream_ring(session->feed->outlet->stream), &ring);
    bool gone = session->stand.seq < ring.tail_seq;
    bool past = session_past_bound(session, &ring);
    /* Where its socket takes everything, a long run of records is not its slowness; but a paced one
     * waits by its own wish. */
    bool over = past && (session->blocked || session->max_rate != 0);
    if (!past && session->catchup == NULL) {
        session->caught_up = true;
    }
    if (!gone && !session->caught_up) {
        return false; /* it reads what it asked for at the start: that is not slowness */
    }
    if (gone && session->tabled &&
        (!session->caught_up || session->policy == SLOW_PAUSE ||
            session->policy == SLOW_CONFLATE)) {
        return session_table_changes(session);
    }
    /* With a reader, only one that no longer holds it can be left by its ring. */
    bool keeps = session->catchup != NULL || !session->caught_up || session->policy == SLOW_PAUSE;
    if (gone && keeps && catchup_can(session->home) && read_elsewhere(session)) {
        return true;
    }
    switch (session->catchup != NULL ? SLOW_PAUSE : session->policy) {
    case SLOW_DROP_OLDEST:
        return (gone || over) &&
               skip_to(session, ring_trim_point(stream_ring(session->feed->outlet->stream),
                                    session->queue_records, session->queue_bytes));
    case SLOW_DROP_NEWEST:
        return drop_newest(session, &ring, over);
    case SLOW_DISCONNECT:
        if (gone || over) {
            end_too_slow(session);
        }
        return gone || over;
    case SLOW_PAUSE:
        return gone && skip_to(session, ring.tail_seq);
    case SLOW_CONFLATE:
        return gone && !session_conflates(session) && skip_to(session, ring.tail_seq);
    }
    return false;
}

/* How far a session is behind the head of its ring. */
struct lag {
    uint64_t records, bytes;
};

static struct lag
lag_of(const struct session *session, const struct ring_state *ring)
{
    struct stand stand = session_ring_stand(session);
    return (struct lag){ring->head_seq + 1 - stand.seq, ring->head_bytes - stand.bytes};
}

/* Someone who goes with the same reader is well ahead of it. Where all of them are behind alike, it
 * is the machine or the network that is slow, and no one would gain by a reader more. */
static bool
holds_up_others(const struct session *session, const struct ring_state *ring, struct lag lag)
{
    const struct session *other;
    TAILQ_FOREACH(other, &session->catchup->outlet.pausers, pause_link)
    {
        struct lag theirs = lag_of(other, ring);
        if (theirs.records < lag.records / 2 && theirs.bytes < lag.bytes / 2) {
            return true;
        }
    }
    return false;
}

static void
check_hold(struct session *session, const struct ring_state *ring, int64_t now_ms)
{
    struct lag lag = lag_of(session, ring);
    struct queue queue = session_queue(session);
    bool holds = ring->held && (lag.records > queue.records / 2 || lag.bytes > queue.bytes / 2);
    if (!holds) {
        session->holding_ms = 0;
        return;
    }
    if (session->holding_ms == 0) {
        session->holding_ms = now_ms;
    }
    if (now_ms - session->holding_ms > SHARED_HOLD_MS && session->catchup != NULL &&
        holds_up_others(session, ring, lag)) {
        session->alone = true; /* once its reader's ring has left it, it gets one of its own */
        session_unhold(session);
        return;
    }
    const struct config_stream *config = stream_config(session->feed->outlet->stream);
    if ((uint64_t)(now_ms - session->holding_ms) > config->pause_limit_ms) {
        session_end(
            session, &(struct ending){.why = DISCONNECT_PAUSE_LIMIT,
                         .code = 4001,
                         .reason = "too slow: held the source back for longer than pause_limit",
                         .event = "closing"});
    }
}

/* Who has the stream to itself, or all the time, holds back no one else, but its source and its
 * place. */
static void
check_stall(struct session *session, int64_t now_ms)
{
    uint64_t limit_ms = shard_config(session->conn->shard)->request_stall_ms;
    bool waits = session_owes(session) || (session->blocked && session->state == SESSION_BEHIND);
    if (waits && (uint64_t)(now_ms - session->sent_ms) > limit_ms) {
        session_end(session, &(struct ending){.why = DISCONNECT_TOO_SLOW,
                                 .code = 4001,
                                 .reason = "too slow: took nothing for longer than requests.stall",
                                 .event = "closing"});
    }
}

void
session_check_limits(struct session *session, int64_t now_ms)
{
    bool elsewhere = session->catchup != NULL || session->waiting;
    if (session->state == SESSION_ENDING || session->table_waits ||
        (!session->holds && !session->at_leisure &&
            (session->policy != SLOW_DISCONNECT || elsewhere))) {
        return;
    }
    struct ring_state ring;
    ring_state(stream_ring(session->feed->outlet->stream), &ring);
    if (session->durable != NULL) {
        return; /* it holds back no one but itself */
    }
    const struct outlet *outlet = session->feed->outlet;
    if (session->at_leisure || (outlet->on_request && outlet->generation == NULL)) {
        check_stall(session, now_ms);
        return;
    }
    if (session->holds) {
        check_hold(session, &ring, now_ms);
    } else if (session->blocked && session->caught_up && session_past_bound(session, &ring)) {
        end_too_slow(session);
    }
}
