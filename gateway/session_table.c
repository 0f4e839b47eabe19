/* session_table: a subscriber of a stream with view: table: first the newest record of each key,
 * then changes. It reads a snapshot of the table, whose records come in the order of seq, and goes
 * on in the ring where the snapshot ends. When the ring has left it before it has caught up, the
 * table tells it what changed since. Shard thread; never blocks. */
#include "session_internal.h"

#include "catchup.h"
#include "mem.h"
#include "shard.h"

#include <stdlib.h>
#include <string.h>

struct reading {
    struct table_snapshot *snapshot;
    bool changes;  /* since where it stood, not all keys */
    char *from;    /* changes: the token there */
    uint64_t owed; /* changes: the records since then that were for it */
    uint64_t sent;
};

static struct table *
table_of(const struct session *session)
{
    return stream_table(session->home->stream);
}

static void
end_reading(struct session *session)
{
    if (session->reading != NULL) {
        table_snapshot_free(session->reading->snapshot);
        free(session->reading->from);
        free(session->reading);
        session->reading = NULL;
    }
}

void
session_table_fini(struct session *session)
{
    end_reading(session);
}

struct stand
session_ring_stand(const struct session *session)
{
    if (session->reading == NULL) {
        return session->stand;
    }
    const struct table_place *place = table_snapshot_place(session->reading->snapshot);
    return (struct stand){place->seq, place->ordinal, place->bytes};
}

static void
end_given_up(struct session *session)
{
    session_end(session, &(struct ending){.why = DISCONNECT_ENDED,
                             .code = 1011,
                             .reason = "the table has more keys or bytes than its bounds",
                             .failure = "table_full",
                             .event = "failed"});
}

static void
end_behind(struct session *session)
{
    session_end(session, &(struct ending){.why = DISCONNECT_TOO_SLOW,
                             .code = 4001,
                             .reason = "too slow: the table has moved on; come back for a new one",
                             .event = "closing"});
}

/* Read all keys from now on; the token is that of the beginning: only who has all of them may come
 * back behind it. False: there is no table. */
static bool
read_all(struct session *session)
{
    struct table_snapshot *snapshot = table_snapshot_new(table_of(session), 0);
    if (snapshot == NULL) {
        return false;
    }
    const struct table_place *place = table_snapshot_place(snapshot);
    end_reading(session);
    session->reading = mem_calloc(1, sizeof *session->reading);
    session->reading->snapshot = snapshot;
    session->resets = place->resets;
    session->stand = (struct stand){.seq = 1};
    session->skip_until = 0;
    session->snapshot_seq = 0;
    session->caught_up = false;
    session->keep_end = 0;
    session->solo = true;
    free(session->id_before);
    session->id_before = session_token_before(session->home->stream, NULL);
    if (session->bounded) {
        session->end_seq = place->seq;
        session->end_ordinal = place->ordinal;
    }
    return true;
}

/* A token that the ring can honour needs no snapshot. */
static bool
resume(struct session *session, const char **reason)
{
    struct stream_start start;
    uint64_t reset_seq;
    uint64_t resets = table_applied_resets(table_of(session), &reset_seq);
    stream_locate(session->home->stream, &session->from, &start);
    record_unref(start.before);
    if (!start.resumed) {
        *reason = start.reason;
        return false;
    }
    if (start.missed > 0 || start.seq <= reset_seq) {
        *reason = start.missed > 0 ? "what came after the token has left the ring"
                                   : "the source began anew after the token";
        return false;
    }
    session->stand = (struct stand){start.seq, start.ordinal, start.bytes};
    session->skip_until = start.skip_until;
    session->resets = resets;
    free(session->id_before);
    session->id_before = session_from_text(session);
    return true;
}

/* For who resumes: where it has what there is now. */
static void
mark_head(struct session *session)
{
    struct ring_state state;
    ring_state(stream_ring(session->home->stream), &state);
    session->snapshot_seq = state.head_seq + 1;
}

void
session_table_open(struct session *session)
{
    struct stream_start start = {.resumed = false};
    session->table_waits = !stream_table_loaded(session->home->stream);
    if (session->table_waits) {
        session->hello_due = true;
        session->solo = true;
        session->id_before = session->id_before == NULL ? mem_strdup("") : session->id_before;
        return;
    }
    if (session->from.kind == PLACE_TOKEN && resume(session, &start.reason)) {
        start.resumed = true;
        session_say_hello(session, &start, false);
        mark_head(session);
    } else if (read_all(session)) {
        session_say_hello(session, &start, true);
    } else {
        free(session->id_before);
        session->id_before = session_token_before(session->home->stream, NULL);
        session_say_hello(session, &start, false);
        end_given_up(session);
    }
}

/* The client has to forget what it has: all of it comes again. */
static void
begin_anew(struct session *session)
{
    char *before = mem_strdup(session->id_before);
    session_conflate_fini(session);
    if (!read_all(session)) {
        end_given_up(session);
    } else {
        session_gap_exact(session, "reset", 0, before, session->id_before);
    }
    free(before);
}

/* What the client is told of a place of the table. */
static char *
id_at(struct session *session, const struct table_place *place)
{
    return session_id_take(
        session, place->seq - 1, session_token_before(session->home->stream, place->last));
}

bool
session_table_stale(const struct session *session)
{
    return session->tabled && !session->table_waits &&
           session->resets != table_resets(table_of(session));
}

bool
session_table_changes(struct session *session)
{
    struct table_snapshot *snapshot = table_snapshot_new(table_of(session), session->stand.seq);
    if (snapshot == NULL) {
        end_behind(session);
        return true;
    }
    struct reading *reading = mem_calloc(1, sizeof *reading);
    const struct table_place *place = table_snapshot_place(snapshot);
    struct stand to = {place->seq, place->ordinal, place->bytes};
    char *id = id_at(session, place);
    *reading = (struct reading){.snapshot = snapshot,
        .changes = true,
        .from = mem_strdup(session->id_before),
        .owed = session_count_skipped(session, &to, id)};
    free(id);
    session->reading = reading;
    session->solo = true;
    return true;
}

static void
say_end(struct session *session, bool complete)
{
    struct buf json;
    buf_init(&json);
    buf_addf(&json, "{\"event\":\"snapshot_end\",\"id\":\"%s\"%s}", session->id_before,
        complete ? "" : ",\"complete\":false");
    session_control(session, "snapshot_end", &json, session->id_before);
    buf_fini(&json);
}

/* All of it is sent: stand in the ring behind it. */
static void
finish(struct session *session)
{
    const struct reading *reading = session->reading;
    const struct table_place *place = table_snapshot_place(reading->snapshot);
    session->stand = (struct stand){place->seq, place->ordinal, place->bytes};
    if (place->last != NULL) {
        free(session->id_before);
        session->id_before = id_at(session, place);
    }
    if (!reading->changes) {
        say_end(session, place->evicted == 0);
    } else if (reading->owed > reading->sent) {
        uint64_t merged = reading->owed - reading->sent;
        session_gap(session, "conflated", merged, reading->from, session->id_before);
        counter_add(&session_counters(session)->dropped[DROP_CONFLATED], merged);
    }
    end_reading(session);
}

bool
session_table_tell_end(struct session *session)
{
    if (session->snapshot_seq == 0 || session->reading != NULL ||
        session->stand.seq < session->snapshot_seq) {
        return false;
    }
    session->snapshot_seq = 0;
    say_end(session, true);
    return true;
}

bool
session_table_step(struct session *session)
{
    struct record *records[BATCH_RECORDS];
    size_t n;
    switch (table_snapshot_read(
        session->reading->snapshot, session->stand.seq, records, BATCH_RECORDS, BATCH_BYTES, &n)) {
    case TABLE_CUT:
        end_behind(session);
        return true;
    case TABLE_DONE:
        finish(session);
        return true;
    case TABLE_MORE:
        break;
    }
    if (n > 0) {
        uint64_t sent = session_send_records(session, records, n);
        session->reading->sent += sent;
    }
    return true;
}

bool
session_table_restart(struct session *session)
{
    uint64_t seq;
    session->solo = true;
    if (table_applied_resets(table_of(session), &seq) == session->resets) {
        return false; /* announced, and not yet there: its commit wakes this shard */
    }
    begin_anew(session);
    return true;
}
