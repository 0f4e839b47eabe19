/* catchup: readers of a shard, who waits for them, and the handover to the live lane. Shard thread.
 */
#include "catchup.h"

#include "connector.h"
#include "feed.h"
#include "lanes.h"
#include "log.h"
#include "mem.h"
#include "place.h"
#include "private.h"
#include "session_internal.h"
#include "shard.h"
#include "stream_internal.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define RING_RECORDS 16384
#define RING_BYTES (UINT64_C(4) << 20)

/* Places that lie no further apart than this, summed over the lanes, are read together: to pass
 * over so many records takes less than to start a reader. */
#define TOGETHER_RECORDS 262144

struct catchups {
    struct privates *privates;
    struct private_budget budget;
    struct session_list waiting;
    /* Readers; those being buried are in the budget only. n_alone: those that no one may join. */
    atomic_size_t n_shared, n_alone;
    atomic_size_t n_waiting;
};

struct catchups *
catchups_new(struct privates *privates, size_t limit)
{
    struct catchups *catchups = mem_calloc(1, sizeof *catchups);
    catchups->privates = privates;
    catchups->budget.most = limit;
    TAILQ_INIT(&catchups->waiting);
    return catchups;
}

void
catchup_config(struct config_stream *config, const struct config_stream *of)
{
    private_config(config, of, RING_RECORDS, RING_BYTES);
}

bool
catchup_can(const struct outlet *home)
{
    const struct connector *connector = stream_config(home->stream)->connector;
    return !home->on_request && (connector->capabilities & CONNECTOR_REPLAYS) != 0 &&
           !stream_is_shared(home->stream) && shard_catchups(home->shard)->budget.most > 0;
}

/* It would hold up those who share its reader: by its own wish, or it has done so. */
static bool
is_alone(const struct session *session)
{
    return session->alone || session->max_rate != 0;
}

static bool
close_by(const struct place *a, const struct place *b)
{
    return place_apart(a, b) <= TOGETHER_RECORDS;
}

/* It came before its stream's source had ever been up. */
static bool
waits_for_source(const struct session *session)
{
    return session->hello_due && session->from.kind == PLACE_TOKEN;
}

/* session, which waits, can be served by a reader that is opened for first. */
static bool
can_share(const struct session *session, const struct session *first)
{
    return session->home == first->home && !waits_for_source(session) && !is_alone(session) &&
           !is_alone(first) &&
           (place_same(&session->from, &first->from) || close_by(&session->from, &first->from));
}

/* ---- readers ---- */

/* Nothing of a record is seen but its payload, and none is chosen, counted, merged or timed. */
static bool
takes_lines(const struct session *session)
{
    const struct format *format = &session->feed->format;
    return format->framer == &framer_ndjson && format->envelope == ENVELOPE_DATA &&
           format->filter == NULL && session->limit == UINT64_MAX && session->max_rate == 0 &&
           session->policy != SLOW_CONFLATE && session->end_id == NULL && session->end_seq == 0 &&
           (session->to.kind == PLACE_NONE ? !session->bounded : session->to.n_lanes > 0);
}

static bool
same_needs(const struct session *a, const struct session *b)
{
    return place_same(&a->from, &b->from) && takes_lines(a) == takes_lines(b) &&
           (!takes_lines(a) || place_same(&a->to, &b->to)) &&
           filter_same(a->feed->format.filter, b->feed->format.filter);
}

/* first's reader need not bring more than first takes: lines in pieces (stream_takes_lines), or the
 * keys of its filter (stream_sifts). No one can join such a reader later, so no more than half of
 * the readers are such ones, and none where somebody waits who could go along with another kind. */
static bool
reads_own(const struct catchups *catchups, const struct session *first)
{
    const struct session *session;
    const struct connector *connector = stream_config(first->home->stream)->connector;
    if ((connector->capabilities & CONNECTOR_SIFTS) == 0 ||
        (!is_alone(first) && atomic_load(&catchups->n_alone) >= catchups->budget.most / 2)) {
        return false;
    }
    TAILQ_FOREACH(session, &catchups->waiting, wait_link)
    {
        if (session != first && can_share(session, first) && !same_needs(session, first)) {
            return false;
        }
    }
    return true;
}

/* A reader that starts at the lanes of the live stream with their places in from, or at from's
 * cursor. */
static struct private_stream *
open_reader(struct catchups *catchups, const struct session *first, const struct place *from,
    bool *gone, struct err *err)
{
    const struct outlet *home = first->home;
    bool own = reads_own(catchups, first), lines = own && takes_lines(first);
    struct filter *filter = first->feed->format.filter;
    struct filter *sieve = own && filter_has_keys(filter) ? filter : NULL;
    bool joinable = !lines && sieve == NULL && !is_alone(first);
    struct replay_lane *lanes = NULL;
    struct replay replay = {.kind = REPLAY_EARLIEST, .time_ms = from->time_ms};
    struct config_stream config;
    if (from->kind == PLACE_TIME) {
        replay.kind = REPLAY_TIME;
    } else if (from->kind == PLACE_TOKEN && lanes_by_cursor(stream_lanes(home->stream))) {
        replay.kind = REPLAY_CURSOR;
        replay.cursor = from->cursor;
        replay.cursor_len = from->cursor_len;
    } else if (from->kind == PLACE_TOKEN) {
        replay.kind = REPLAY_LANES;
        replay.n_lanes = lanes_replay(stream_lanes(home->stream), from, &lanes, gone);
        replay.lanes = lanes;
    }
    catchup_config(&config, stream_config(home->stream));
    struct private_stream *reader = private_open(catchups->privates,
        &(struct private_options){.config = &config,
            .home = home,
            .replay = &replay,
            .lines = lines,
            .lines_to = &first->to,
            .sieve = sieve,
            .budget = &catchups->budget,
            .count = joinable ? &catchups->n_shared : &catchups->n_alone},
        err);
    free(lanes);
    return reader;
}

static void
move(struct session *session, struct outlet *to)
{
    struct outlet *from = session->feed->outlet;
    struct format format = session->feed->format;
    session_unhold(session);
    if (--from->n_sessions == 0) {
        stream_listen(from->stream, from->slot, false);
    }
    struct feed *left = session->feed;
    session->feed = outlet_feed(to, &format, true);
    feed_enter(session->feed);
    feed_exit(left);
    to->n_sessions++;
    stream_listen(to->stream, to->slot, true);
}

static void
stop_waiting(struct session *session)
{
    struct catchups *catchups = shard_catchups(session->conn->shard);
    session->waiting = false;
    TAILQ_REMOVE(&catchups->waiting, session, wait_link);
    atomic_fetch_sub(&catchups->n_waiting, 1);
}

/* The session begins at seq of the reader's ring, from where on all is there that it asks for, and
 * perhaps more, which it passes over. If the ring has left that meanwhile, it asks again at once.
 * gone: a file was forgotten since the session was placed: the reader does not know it. */
static void
enter(struct session *session, struct private_stream *reader, uint64_t seq, bool gone)
{
    stop_waiting(session);
    if (gone && !session->hello_due) {
        session_tell_unaccounted(session);
    }
    session->catchup = reader;
    move(session, &reader->outlet);
    session->stand = (struct stand){.seq = seq};
    struct record *before;
    ring_place(stream_ring(reader->stream), &session->stand.seq, &session->stand.ordinal,
        &session->stand.bytes, &before);
    record_unref(before);
    session->stand.seq = seq;
    session->skip_until = session->from.kind == PLACE_TOKEN ? UINT64_MAX : 0;
    session->solo = true;
    session_hold(session);
    outlet_hold_update(&reader->outlet);
    session_pump(session);
}

static void
give_up(struct session *session, const struct err *err)
{
    log_event(LOG_ERROR, "catchup", stream_name(session->home->stream), "%s", err->text);
    catchup_leave(session);
    session_end(session, &(struct ending){.why = DISCONNECT_ENDED,
                             .code = 1011,
                             .reason = "the source cannot be read from there",
                             .failure = "source_failed",
                             .event = "failed"});
}

/* Where a reader for first and all who can share it begins: the smallest place in each lane. Owns:
 * the caller frees the lanes. */
static struct place
earliest_of(const struct catchups *catchups, const struct session *first)
{
    struct place from = first->from;
    if (from.n_lanes == 0) {
        return from;
    }
    from.lanes = mem_alloc(from.n_lanes * sizeof *from.lanes);
    memcpy(from.lanes, first->from.lanes, from.n_lanes * sizeof *from.lanes);
    const struct session *session;
    TAILQ_FOREACH(session, &catchups->waiting, wait_link)
    {
        if (can_share(session, first)) {
            for (size_t i = 0; i < from.n_lanes; i++) {
                uint64_t next = session->from.lanes[i].next;
                from.lanes[i].next = next < from.lanes[i].next ? next : from.lanes[i].next;
            }
        }
    }
    return from;
}

/* Open a reader for first, and let in all who can share it. Entering, one may end or ask again, but
 * none is freed. */
static void
serve(struct catchups *catchups, struct session *first)
{
    struct err err;
    struct place from = earliest_of(catchups, first);
    bool gone = false;
    struct private_stream *reader = open_reader(catchups, first, &from, &gone, &err);
    if (from.n_lanes > 0) {
        free(from.lanes);
    }
    if (reader == NULL) {
        give_up(first, &err);
        return;
    }
    const struct session *last = TAILQ_LAST(&catchups->waiting, session_list);
    struct session *session, *next;
    for (session = TAILQ_FIRST(&catchups->waiting); session != NULL; session = next) {
        next = session == last ? NULL : TAILQ_NEXT(session, wait_link);
        if (session != first && can_share(session, first)) {
            enter(session, reader, 1, gone);
        }
    }
    enter(first, reader, 1, gone);
}

/* ---- readers that run already ---- */

/* What a reader has behind it and before it: the places before its oldest record, tail_seq, and
 * behind its newest one. */
struct reach {
    uint64_t tail_seq;
    struct place tail, head;
};

static bool
place_before(struct stream *stream, uint64_t seq, struct place *place)
{
    struct buf token;
    struct err err;
    buf_init(&token);
    *place = (struct place){.kind = PLACE_TOKEN};
    bool there = stream_token_before(stream, seq, &token) &&
                 place_of_token(place, token.bytes, token.len, stream_keys(stream), &err) == 0;
    buf_fini(&token);
    return there;
}

/* False: it is no reader that others may share, or does not know yet where it begins. Owns: the
 * caller frees the lanes of both. */
static bool
take_reach(const struct catchups *catchups, struct private_stream *reader, struct reach *reach)
{
    struct ring_state ring;
    *reach = (struct reach){.tail.n_lanes = 0};
    if (reader->count != &catchups->n_shared || !stream_was_up(reader->stream)) {
        return false;
    }
    ring_state(stream_ring(reader->stream), &ring);
    reach->tail_seq = ring.tail_seq;
    return place_before(reader->stream, ring.tail_seq, &reach->tail) &&
           place_before(reader->stream, ring.head_seq + 1, &reach->head);
}

/* All that from asks for is in the reader's ring or still to come, and it does not come late. */
static bool
comes_to(const struct reach *reach, const struct place *from)
{
    uint64_t far = 0;
    if (!place_same_lanes(&reach->tail, from) || !place_same_lanes(&reach->head, from)) {
        return false;
    }
    for (size_t i = 0; i < from->n_lanes; i++) {
        uint64_t next = from->lanes[i].next, head = reach->head.lanes[i].next;
        if (reach->tail.lanes[i].next > next) {
            return false;
        }
        far += next > head ? next - head : 0;
        if (far > TOGETHER_RECORDS) {
            return false;
        }
    }
    return true;
}

/* Let in all who wait and can go with reader. One that comes too late after all waits again, behind
 * last. */
static void
join(struct catchups *catchups, struct private_stream *reader, const struct reach *reach)
{
    const struct session *last = TAILQ_LAST(&catchups->waiting, session_list);
    struct session *session, *next;
    for (session = TAILQ_FIRST(&catchups->waiting); session != NULL; session = next) {
        next = session == last ? NULL : TAILQ_NEXT(session, wait_link);
        if (session->home == reader->home && !waits_for_source(session) && !is_alone(session) &&
            comes_to(reach, &session->from)) {
            enter(session, reader, reach->tail_seq, false);
        }
    }
}

/* Who waits and can go with a reader that runs already does: after a replica was lost, its
 * subscribers come one by one. If the ring leaves one before it has read, it asks again. */
static void
join_running(struct catchups *catchups)
{
    struct private_stream *reader =
        atomic_load(&catchups->n_shared) == 0 ? NULL : privates_first(catchups->privates);
    for (; reader != NULL && !TAILQ_EMPTY(&catchups->waiting); reader = TAILQ_NEXT(reader, link)) {
        struct reach reach;
        if (take_reach(catchups, reader, &reach)) {
            join(catchups, reader, &reach);
        }
        free(reach.tail.lanes);
        free(reach.head.lanes);
    }
}

/* Those that waited for a source that is up now: most find their place in the ring, the others wait
 * on, for a reader. */
static void
place_late_ones(struct catchups *catchups)
{
    struct session *session, *next;
    for (session = TAILQ_FIRST(&catchups->waiting); session != NULL; session = next) {
        next = TAILQ_NEXT(session, wait_link);
        if (waits_for_source(session) && stream_was_up(session->home->stream)) {
            stop_waiting(session);
            session_stand_late(session);
        }
    }
}

/* The one who has waited longest. Half of the readers are not for one that would have it alone:
 * those who share them soon give them back. */
static struct session *
first_for_reader(struct catchups *catchups)
{
    size_t most = catchups->budget.most, most_alone = most > 1 ? most / 2 : most;
    bool may_be_alone = atomic_load(&catchups->n_alone) < most_alone;
    struct session *session;
    TAILQ_FOREACH(session, &catchups->waiting, wait_link)
    {
        if (!waits_for_source(session) && (may_be_alone || !is_alone(session))) {
            return session;
        }
    }
    return NULL;
}

void
catchups_serve(struct catchups *catchups)
{
    struct session *first;
    place_late_ones(catchups);
    join_running(catchups);
    while (atomic_load(&catchups->budget.used) < catchups->budget.most &&
           (first = first_for_reader(catchups)) != NULL) {
        serve(catchups, first);
    }
}

void
catchups_free(struct catchups *catchups)
{
    assert(catchups == NULL || TAILQ_EMPTY(&catchups->waiting));
    free(catchups);
}

/* ---- sessions ---- */

bool
catchup_would_wait(const struct outlet *home, const struct place *from)
{
    const struct catchups *catchups = shard_catchups(home->shard);
    const struct session *session;
    size_t taken = atomic_load(&catchups->budget.used);
    TAILQ_FOREACH(session, &catchups->waiting, wait_link)
    {
        if (session->home == home && !is_alone(session) &&
            (place_same(&session->from, from) || close_by(&session->from, from))) {
            return false; /* they share one */
        }
        taken++;
    }
    return taken >= catchups->budget.most;
}

void
catchup_ask(struct session *session)
{
    struct catchups *catchups = shard_catchups(session->conn->shard);
    if (session->catchup != NULL) {
        catchup_leave(session);
        move(session, session->home);
    }
    session->waiting = true;
    session->caught_up = false;
    TAILQ_INSERT_TAIL(&catchups->waiting, session, wait_link);
    atomic_fetch_add(&catchups->n_waiting, 1);
    shard_wake(session->conn->shard);
}

bool
catchup_ready(const struct session *session)
{
    return session->catchup != NULL && stream_was_up(session->catchup->stream);
}

void
catchup_leave(struct session *session)
{
    if (session->waiting) {
        stop_waiting(session);
    } else if (session->catchup != NULL) {
        session->catchup = NULL; /* the reader is retired when the shard serves its next wake */
        shard_wake(session->conn->shard);
    }
}

static bool
place_now(const struct session *session, struct place *place)
{
    struct err err;
    *place = (struct place){.kind = PLACE_TOKEN};
    return place_of_token(place, session->id_before, strlen(session->id_before), NULL, &err) == 0;
}

/* Whether the ring may have what comes next: its oldest record lies behind place in no lane. Cheap,
 * where stream_locate reads the whole ring to find that it has not. */
static bool
may_have(struct ring *ring, const struct place *place)
{
    struct ring_state state;
    struct record *tail;
    struct place oldest;
    ring_state(ring, &state);
    if (state.records == 0 || ring_read(ring, state.tail_seq, &tail, 1, UINT64_MAX) == 0) {
        return true;
    }
    stream_place_of(tail, &oldest);
    bool may = true;
    for (size_t i = 0, j = 0; i < oldest.n_lanes && may; i++) {
        const struct token_lane *have = &oldest.lanes[i];
        for (; j < place->n_lanes && token_lane_before(&place->lanes[j], have); j++) {
        }
        bool known = j < place->n_lanes && !token_lane_before(have, &place->lanes[j]);
        /* The tail itself is counted in its lane. */
        may = !known || place->lanes[j].next + 1 >= have->next;
    }
    free(oldest.lanes);
    record_unref(tail);
    return may;
}

bool
catchup_hand_over(struct session *session)
{
    struct place place;
    struct stream_start start;
    assert(!session_owes(session));
    if (!catchup_ready(session) || !place_now(session, &place)) {
        return false;
    }
    lanes_close_removed(stream_lanes(session->home->stream), &place);
    if (!may_have(stream_ring(session->home->stream), &place)) {
        free(place.lanes);
        return false;
    }
    stream_locate(session->home->stream, &place, &start);
    record_unref(start.before);
    if (!start.resumed || start.missed > start.gone) {
        free(place.lanes);
        return false;
    }
    if (session->state == SESSION_LIVE) {
        feed_leave(session->feed, session);
    }
    catchup_leave(session);
    move(session, session->home);
    free(session->from.lanes);
    session->from = place;
    session->stand = (struct stand){start.seq, start.ordinal, start.bytes};
    session->skip_until = start.skip_until;
    if (session->end_id != NULL) {
        session_end_by_id(session);
    }
    session_tell_gone(session, start.gone);
    session->caught_up = false; /* being behind is not its slowness yet */
    session->alone = false;
    session->solo = session_needs_solo(session);
    if (session->policy == SLOW_PAUSE) {
        session_hold(session);
        outlet_hold_update(session->home);
    }
    return true;
}

size_t
catchups_readers(const struct catchups *catchups)
{
    return atomic_load(&catchups->budget.used);
}

size_t
catchups_waiting(const struct catchups *catchups)
{
    return atomic_load(&catchups->n_waiting);
}
