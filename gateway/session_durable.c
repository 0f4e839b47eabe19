/* session_durable: see the header. Shard thread; never blocks. */
#include "session_durable.h"

#include "mem.h"
#include "session_internal.h"
#include "shard.h"

#include <stdlib.h>
#include <string.h>

/* How long what was sent waits for its commit without acks. */
#define READ_MS 1000

struct durable {
    struct consumer *consumer;
    uint64_t last_seq; /* the newest record, no gap, that it was sent */
    /* Without acks: */
    uint64_t settled_seq;
    bool marked; /* a mark is on its way: */
    uint64_t mark_seq, mark_bytes;
    int64_t mark_ms;
};

void
session_make_durable(struct session *session, struct consumer *consumer)
{
    session->durable = mem_calloc(1, sizeof *session->durable);
    session->durable->consumer = consumer;
    session->bounded = false; /* it has no end: what is cut is cut cleanly */
}

void
durable_free(struct durable *durable)
{
    if (durable != NULL) {
        consumer_close(durable->consumer);
        free(durable);
    }
}

const char *
durable_name(const struct session *session)
{
    return consumer_name(session->durable->consumer);
}

static void
note(struct session *session)
{
    struct durable *durable = session->durable;
    consumer_sent(durable->consumer, session->stand.seq - 1, durable->last_seq,
        shard_now_ms(session->conn->shard));
    session->feed->outlet->hold_stale = true;
}

/* A gap needs no ack: it is told, and there is nothing to process. */
void
durable_sent(struct session *session, struct record *const *records, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (records[i]->seq < session->stand.seq && !records[i]->is_gap) {
            session->durable->last_seq = records[i]->seq;
        }
    }
    note(session);
}

void
durable_passed(struct session *session)
{
    note(session);
}

uint64_t
durable_settled(struct session *session)
{
    const struct durable *durable = session->durable;
    return consumer_acks(durable->consumer) ? consumer_settled(durable->consumer)
                                            : durable->settled_seq;
}

/* What is in flight stays in the ring, and the source may go max_in_flight past what is acked. */
bool
durable_base(struct session *session, struct stand *base)
{
    if (!consumer_acks(session->durable->consumer)) {
        return false;
    }
    struct record *before;
    *base = (struct stand){.seq = consumer_settled(session->durable->consumer) + 1};
    ring_place(stream_ring(session->feed->outlet->stream), &base->seq, &base->ordinal, &base->bytes,
        &before);
    record_unref(before);
    return true;
}

const char *
durable_ack(struct session *session, const char *id)
{
    if (id == NULL) {
        return "ack: \"id\" must be the id of a record";
    }
    switch (consumer_ack(
        session->durable->consumer, id, strlen(id), shard_now_ms(session->conn->shard))) {
    case CONSUMER_ACK_DONE:
    case CONSUMER_ACK_BEFORE:
        return NULL;
    case CONSUMER_ACK_FOREIGN:
        return "ack: no record with this id is in flight on this connection";
    case CONSUMER_ACK_ABSENT:
        break;
    }
    return "ack: this subscription did not ask for ack=client";
}

/* One mark at a time: where the session stood, and how many bytes its socket had taken. Once that
 * is a second old, and the peer's TCP has acknowledged those bytes, it counts. */
static void
move_mark(struct session *session, int64_t now_ms)
{
    struct durable *durable = session->durable;
    if (durable->marked && now_ms - durable->mark_ms >= READ_MS &&
        conn_acked_bytes(session->conn) >= durable->mark_bytes) {
        durable->settled_seq = durable->mark_seq;
        durable->marked = false;
        session->feed->outlet->hold_stale = true;
    }
    if (!durable->marked && conn_written_bytes(session->conn, &durable->mark_bytes)) {
        durable->mark_seq = session_flushed(session);
        durable->mark_ms = now_ms;
        durable->marked = durable->mark_seq > durable->settled_seq;
    }
}

bool
durable_tick(struct session *session, int64_t now_ms)
{
    struct durable *durable = session->durable;
    if (!consumer_acks(durable->consumer)) {
        move_mark(session, now_ms);
        return false;
    }
    uint64_t limit_ms = stream_config(session->feed->outlet->stream)->consumer_ack_timeout_ms;
    int64_t waits_ms = consumer_waits_ms(durable->consumer, now_ms);
    return limit_ms != 0 && waits_ms > 0 && (uint64_t)waits_ms > limit_ms;
}
