/* session_conflate: a slow or paced subscriber that gets of each key the newest record. While it
 * keeps up it is like any other; what waits when it does not goes from the ring into a conflate,
 * which it is sent from until nothing is left. Two places then: stand, up to which all is sent or
 * told, and the conflation's, up to which the ring was read. Shard thread; never blocks. */
#include "session_internal.h"

#include "conflate.h"
#include "mem.h"

#include <stdlib.h>
#include <string.h>

struct conflation {
    struct conflate *waiting;
    struct stand stand;
    struct record *last; /* before stand; NULL: nothing was read yet */
};

static void
end_conflation(struct session *session)
{
    if (session->conflation != NULL) {
        conflate_free(session->conflation->waiting);
        record_unref(session->conflation->last);
        free(session->conflation);
        session->conflation = NULL;
    }
}

void
session_conflate_fini(struct session *session)
{
    end_conflation(session);
}

/* The ring went on without us: what it lost is a gap in its place. */
static bool
add_hole(struct session *session)
{
    struct conflation *conflation = session->conflation;
    struct stand to = {.seq = conflation->stand.seq};
    struct record *before;
    ring_place(
        stream_ring(session->feed->outlet->stream), &to.seq, &to.ordinal, &to.bytes, &before);
    if (to.seq == conflation->stand.seq || before == NULL) {
        record_unref(before);
        return false;
    }
    struct buf scratch;
    buf_init(&scratch);
    char *from = conflation->last == NULL ? mem_strdup(session->id_before)
                                          : session_id_of(session, conflation->last);
    char *id = session_id_of(session, before);
    uint64_t count = to.ordinal - conflation->stand.ordinal;
    struct record *hole = session->feed->format.filter == NULL
                              ? record_new_gap("slow", count, from, id, before->lane,
                                    before->offset, before->arrival_ns, &scratch)
                              : record_new_gap_filtered("slow", count, from, id, before->lane,
                                    before->offset, before->arrival_ns, &scratch);
    hole->seq = to.seq - 1;
    hole->ordinal = to.ordinal;
    hole->bytes_before = to.bytes - record_charge_bytes(hole);
    conflate_add_take(conflation->waiting, hole);
    counter_add(&session_counters(session)->dropped[DROP_SLOW], count);
    record_unref(conflation->last);
    conflation->last = before;
    conflation->stand = to;
    free(from);
    free(id);
    buf_fini(&scratch);
    return true;
}

/* Read the ring up to its head. */
static void
absorb(struct session *session)
{
    struct conflation *conflation = session->conflation;
    struct ring *ring = stream_ring(session->feed->outlet->stream);
    struct record *records[BATCH_RECORDS];
    for (;;) {
        size_t n = ring_read(ring, conflation->stand.seq, records, BATCH_RECORDS, UINT64_MAX);
        if (n == 0) {
            if (add_hole(session)) {
                continue;
            }
            return;
        }
        const struct record *last = records[n - 1];
        conflation->stand = (struct stand){
            last->seq + 1, last->ordinal, last->bytes_before + record_charge_bytes(last)};
        record_unref(conflation->last);
        conflation->last = record_ref(records[n - 1]);
        for (size_t i = 0; i < n; i++) {
            session_pass_reset(session, records[i]);
            if (session_wants(session, records[i])) {
                conflate_add_take(conflation->waiting, session_record_take(session, records[i]));
            } else {
                record_unref(records[i]);
            }
        }
    }
}

bool
session_conflates(struct session *session)
{
    if (session->conflation != NULL) {
        return true;
    }
    if (session->waiting || session->catchup != NULL || session->table_waits ||
        session->reading != NULL) {
        return false; /* it reads what it asked for at the start */
    }
    if (session->policy != SLOW_CONFLATE || session->bounded || session->state == SESSION_ENDING ||
        (session->state == SESSION_LIVE && !session->solo)) {
        return false;
    }
    struct ring_state ring;
    ring_state(stream_ring(session->feed->outlet->stream), &ring);
    uint64_t lag = ring.head_seq + 1 - session->stand.seq;
    bool paced = session->max_rate != 0 && lag > 1;
    bool slow = session->caught_up && session->blocked && session_past_bound(session, &ring);
    if (!paced && !slow) {
        return false;
    }
    const struct config_stream *config = stream_config(session->feed->outlet->stream);
    session->conflation = mem_calloc(1, sizeof *session->conflation);
    session->conflation->waiting = conflate_new(config->conflate_keys, session->queue_bytes);
    session->conflation->stand = session->stand;
    return true;
}

void
session_conflate_absorb(struct session *session)
{
    if (session->state != SESSION_ENDING && session_conflates(session)) {
        absorb(session);
    }
}

static void
tell(struct session *session, const char *reason, enum drop_reason drop, uint64_t count,
    const char *from, const char *to)
{
    if (count > 0) {
        session_gap_exact(session, reason, count, from, to);
        counter_add(&session_counters(session)->dropped[drop], count);
    }
}

/* What was dropped at the bound is older than all that waits: it is told first. */
static void
tell_dropped(struct session *session)
{
    struct conflate_dropped dropped;
    if (!conflate_take_dropped(session->conflation->waiting, &dropped)) {
        return;
    }
    char *to = record_id(dropped.last);
    tell(session, "slow", DROP_SLOW, dropped.count, session->id_before, to);
    tell(session, "conflated", DROP_CONFLATED, dropped.merged, session->id_before, to);
    session->stand = (struct stand){dropped.last->seq + 1, dropped.last->ordinal,
        dropped.last->bytes_before + record_charge_bytes(dropped.last)};
    free(session->id_before);
    session->id_before = to;
    record_unref(dropped.last);
}

/* Nothing waits: it stands where the ring was read to. */
static void
catch_up(struct session *session)
{
    const struct conflation *conflation = session->conflation;
    if (conflation->last != NULL && conflation->stand.seq > session->stand.seq) {
        session->stand = conflation->stand;
        free(session->id_before);
        session->id_before = session_id_of(session, conflation->last);
    }
    end_conflation(session);
}

/* The merged ones are told behind the records that came after them: who comes back with the gap's
 * token has those. */
uint64_t
session_conflate_send(struct session *session, uint64_t most)
{
    absorb(session);
    tell_dropped(session);
    if (session_owes(session)) {
        return 0; /* the gap goes first */
    }
    struct conflate *waiting = session->conflation->waiting;
    if (conflate_is_empty(waiting)) {
        catch_up(session);
        return 0;
    }
    struct record *records[BATCH_RECORDS];
    size_t max = most < BATCH_RECORDS ? (size_t)most : BATCH_RECORDS;
    size_t n = conflate_peek(waiting, records, max, BATCH_BYTES);
    struct format format = session->feed->format;
    format.filter = NULL; /* absorb has asked it */
    struct batch *batch = session_encode(session, &format, records, n);
    uint64_t before = session->stand.seq;
    char *from = mem_strdup(session->id_before);
    session_deliver(session, batch, 0);
    batch_unref(batch);
    if (session->stand.seq != before) {
        uint64_t merged = conflate_settle(waiting, session->stand.seq);
        tell(session, "conflated", DROP_CONFLATED, merged, from, session->id_before);
    }
    free(from);
    return session->stand.seq != before ? n : 0;
}
