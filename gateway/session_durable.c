/* session_durable: see the header. Shard thread; never blocks. */
#include "session_durable.h"

#include "mem.h"
#include "session_internal.h"
#include "shard.h"

#include <stdlib.h>
#include <string.h>

/* How long what was sent waits for its commit without acks. */
#define READ_MS 500
/* A tick each: enough to have one that old always, and some more while TCP is slow. */
#define MARKS 4

struct durable {
    struct consumer *consumer;
    uint64_t last_seq; /* the newest record, no gap, that it was sent */
    /* Without acks: */
    uint64_t settled_seq;
    struct mark { /* where it stood, and how many bytes its socket had taken */
        uint64_t seq, bytes;
        int64_t at_ms;
    } marks[MARKS];
    size_t n_marks;
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

void
durable_sending(struct session *session, const struct record *last)
{
    consumer_sending(session->durable->consumer, last->seq);
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

/* The newest mark that is old enough, and whose bytes the peer's TCP has acknowledged, counts. */
static void
take_marks(struct session *session, int64_t now_ms)
{
    struct durable *durable = session->durable;
    uint64_t acked = conn_acked_bytes(session->conn);
    size_t taken = 0;
    while (taken < durable->n_marks && now_ms - durable->marks[taken].at_ms >= READ_MS &&
           acked >= durable->marks[taken].bytes) {
        durable->settled_seq = durable->marks[taken++].seq;
    }
    if (taken > 0) {
        durable->n_marks -= taken;
        memmove(durable->marks, durable->marks + taken, durable->n_marks * sizeof *durable->marks);
        session->feed->outlet->hold_stale = true;
    }
}

static void
move_marks(struct session *session, int64_t now_ms)
{
    struct durable *durable = session->durable;
    struct mark mark = {.seq = session_flushed(session), .at_ms = now_ms};
    take_marks(session, now_ms);
    uint64_t last =
        durable->n_marks == 0 ? durable->settled_seq : durable->marks[durable->n_marks - 1].seq;
    if (durable->n_marks < MARKS && mark.seq > last &&
        conn_written_bytes(session->conn, &mark.bytes)) {
        durable->marks[durable->n_marks++] = mark;
    }
}

bool
durable_tick(struct session *session, int64_t now_ms)
{
    struct durable *durable = session->durable;
    if (!consumer_acks(durable->consumer)) {
        move_marks(session, now_ms);
        return false;
    }
    uint64_t limit_ms = stream_config(session->feed->outlet->stream)->consumer_ack_timeout_ms;
    int64_t waits_ms = consumer_waits_ms(durable->consumer, now_ms);
    return limit_ms != 0 && waits_ms > 0 && (uint64_t)waits_ms > limit_ms;
}
