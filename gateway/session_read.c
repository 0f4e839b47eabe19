/* session_read: a session reads on by itself from the ring: filters of a resume, ends of a bounded
 * read, a rate. Shard thread; never blocks. */
#include "session_internal.h"

#include "clock.h"
#include "mem.h"
#include "session_durable.h"
#include "shard.h"

#include <stdlib.h>
#include <string.h>

/* The first seq that this session must not read: the feed's stand if that is ahead, its own end. */
static uint64_t
read_end(const struct session *session)
{
    uint64_t end = UINT64_MAX;
    if (!session->solo && session->stand.seq < session->feed->stand.seq) {
        end = session->feed->stand.seq;
    }
    if (!session->solo && session->keep_end == 0) {
        uint64_t kept = feed_next_kept(session->feed, session->stand.seq);
        end = kept < end ? kept : end;
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

bool
session_wants(const struct session *session, const struct record *record)
{
    if (record->seq < session->skip_until && session->from.kind == PLACE_TOKEN &&
        !stream_wants(session->feed->outlet->stream, &session->from, record)) {
        return false;
    }
    const struct filter *filter = session->feed->format.filter;
    return !past_to(session, record) && (filter == NULL || filter_passes(filter, record));
}

#define SECOND_NS INT64_C(1000000000)

/* How many records a paced session may send now: what its rate has let through since pace_ns, but
 * no more than a fiftieth of a second's worth, so that a pause is not made up for in a burst. */
static uint64_t
may_send(const struct session *session)
{
    if (session->max_rate == 0) {
        return UINT64_MAX;
    }
    int64_t now = clock_mono_ns();
    if (now < session->pace_ns) {
        return 0;
    }
    uint64_t due = 1 + (uint64_t)(now - session->pace_ns) / (SECOND_NS / session->max_rate);
    uint64_t most = session->max_rate / 50 + 1;
    return due < most ? due : most;
}

bool
session_must_wait(const struct session *session)
{
    return may_send(session) == 0;
}

static void
pace(struct session *session, uint64_t sent)
{
    if (session->max_rate != 0 && sent > 0) {
        int64_t interval = SECOND_NS / (int64_t)session->max_rate;
        int64_t oldest = clock_mono_ns() - (int64_t)(session->max_rate / 50 + 1) * interval;
        int64_t from = session->pace_ns > oldest ? session->pace_ns : oldest;
        session->pace_ns = from + (int64_t)sent * interval;
    }
}

/* Of a read by cursors that catches up: is record the one that it ends with? */
static bool
is_its_end(const struct session *session, const struct record *record)
{
    return session->catchup != NULL && session->end_id != NULL && session->end_seq == 0 &&
           record_has_id(record, session->end_id, strlen(session->end_id));
}

/* Keep of records[0..n) those that this session gets, at most left; the others are unreferenced. */
static size_t
choose(struct session *session, struct record **records, size_t n, uint64_t left)
{
    size_t kept = 0;
    for (size_t i = 0; i < n; i++) {
        if (is_its_end(session, records[i])) {
            session->end_seq = records[i]->seq + 1;
        }
        session_pass_reset(session, records[i]);
        bool past = session->end_seq != 0 && records[i]->seq >= session->end_seq;
        if (left > 0 && !past && session_wants(session, records[i])) {
            left -= left != UINT64_MAX && !records[i]->is_gap;
            records[kept++] = session_record_take(session, records[i]);
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

/* Nothing up to and with last is for this session: stand behind it. */
static void
pass_over(struct session *session, const struct record *last)
{
    session->stand = stand_past(last);
    if (session->to.kind == PLACE_NONE) {
        free(session->id_before);
        session->id_before = session_id_of(session, last);
    }
}

struct batch *
session_encode(
    struct session *session, const struct format *format, struct record *const *records, size_t n)
{
    return outlet_encode(session->feed->outlet,
        &(struct run){
            .format = format,
            .stand = session->stand,
            .id_before = session->id_before,
            .id_len = strlen(session->id_before),
            .first = !session->sent_any,
        },
        records, n);
}

uint64_t
session_send_records(struct session *session, struct record **records, size_t n)
{
    uint64_t left = may_send(session);
    left = left < session->limit ? left : session->limit;
    struct record *last = record_ref(records[n - 1]);
    size_t kept = choose(session, records, n, left);
    uint64_t sent = 0;
    if (kept == 0) {
        pass_over(session, last);
        record_unref(last);
        return 0;
    }
    record_unref(last);
    struct format format = session->feed->format;
    format.filter = NULL; /* choose has asked it */
    struct batch *batch = session_encode(session, &format, records, kept);
    session_deliver(session, batch, 0);
    for (size_t i = 0; i < kept; i++) {
        sent += !records[i]->is_gap && records[i]->seq < session->stand.seq;
        record_unref(records[i]);
    }
    pace(session, kept);
    batch_unref(batch);
    return sent;
}

/* Send one batch of its own from the ring. False: there is nothing to read now. */
static bool
send_own(struct session *session)
{
    struct record *records[BATCH_RECORDS];
    uint64_t end = read_end(session);
    uint64_t left = may_send(session);
    if (session->stand.seq >= end || left == 0) {
        return false;
    }
    left = left < session->limit ? left : session->limit;
    size_t max = end - session->stand.seq < BATCH_RECORDS ? (size_t)(end - session->stand.seq)
                                                          : BATCH_RECORDS;
    size_t n = ring_read(
        stream_ring(session->feed->outlet->stream), session->stand.seq, records, max, BATCH_BYTES);
    if (n == 0) {
        return false;
    }
    struct record *last = record_ref(records[n - 1]);
    size_t kept = session->solo ? choose(session, records, n, left) : n;
    if (kept == 0) {
        pass_over(session, last);
        record_unref(last);
        if (session->durable != NULL) {
            durable_passed(session);
        }
        return true;
    }
    record_unref(last);
    struct format format = session->feed->format;
    if (session->solo) {
        format.filter = NULL; /* choose has asked it */
    }
    struct batch *batch = session_encode(session, &format, records, kept);
    if (!session->solo && session->sent_any) { /* before that its id is that of its request */
        feed_keep_behind(session->feed, batch);
    }
    if (session->durable != NULL) {
        durable_sending(session, records[kept - 1]);
    }
    session_deliver(session, batch, 0);
    if (session->durable != NULL) {
        durable_sent(session, records, kept);
    }
    for (size_t i = 0; i < kept; i++) {
        record_unref(records[i]);
    }
    pace(session, kept);
    batch_unref(batch);
    return true;
}

static bool
send_conflated(struct session *session)
{
    uint64_t left = may_send(session);
    left = left < session->limit ? left : session->limit;
    pace(session, session_conflate_send(session, left));
    return true;
}

bool
session_send_next(struct session *session)
{
    if (session_conflates(session)) {
        return send_conflated(session);
    }
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
