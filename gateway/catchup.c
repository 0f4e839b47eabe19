/* catchup: readers of a shard, who waits for them, and the handover to the live lane. Shard thread.
 */
#include "catchup.h"

#include "connector.h"
#include "feed.h"
#include "lanes.h"
#include "log.h"
#include "mem.h"
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

struct catchups {
    struct privates *privates;
    size_t limit;
    struct session_list waiting;
    atomic_size_t n_readers, n_waiting;
};

struct catchups *
catchups_new(struct privates *privates, size_t limit)
{
    struct catchups *catchups = mem_calloc(1, sizeof *catchups);
    catchups->privates = privates;
    catchups->limit = limit;
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
           shard_catchups(home->shard) != NULL;
}

static bool
same_cursor(const struct place *a, const struct place *b)
{
    if (a->cursor == NULL || b->cursor == NULL) {
        return a->cursor == b->cursor;
    }
    return a->cursor_len == b->cursor_len && memcmp(a->cursor, b->cursor, a->cursor_len) == 0;
}

static bool
same_place(const struct place *a, const struct place *b)
{
    return a->kind == b->kind && a->time_ms == b->time_ms && a->n_lanes == b->n_lanes &&
           (a->n_lanes == 0 || memcmp(a->lanes, b->lanes, a->n_lanes * sizeof *a->lanes) == 0) &&
           same_cursor(a, b);
}

/* ---- readers ---- */

/* A reader that starts at the lanes of the live stream with their places in from, or at from's
 * cursor. */
static struct private_stream *
open_reader(struct catchups *catchups, const struct session *session, struct err *err)
{
    const struct outlet *home = session->home;
    const struct place *from = &session->from;
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
        replay.n_lanes = lanes_replay(stream_lanes(home->stream), from, &lanes);
        replay.lanes = lanes;
    }
    catchup_config(&config, stream_config(home->stream));
    struct private_stream *reader = private_open(catchups->privates,
        &(struct private_options){
            .config = &config, .home = home, .replay = &replay, .count = &catchups->n_readers},
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
enter(struct catchups *catchups, struct session *session, struct private_stream *reader)
{
    TAILQ_REMOVE(&catchups->waiting, session, wait_link);
    atomic_fetch_sub(&catchups->n_waiting, 1);
    session->waiting = false;
    session->catchup = reader;
    move(session, &reader->outlet);
    session->stand = (struct stand){.seq = 1};
    session->skip_until = 0;
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

/* Open a reader for the one who has waited longest, and let in all who wait for the same place. */
static void
serve_first(struct catchups *catchups)
{
    struct session *first = TAILQ_FIRST(&catchups->waiting);
    struct err err;
    struct private_stream *reader = open_reader(catchups, first, &err);
    if (reader == NULL) {
        give_up(first, &err);
        return;
    }
    struct session *session = first;
    while (session != NULL) {
        struct session *next = TAILQ_NEXT(session, wait_link);
        if (session->home == first->home && same_place(&session->from, &first->from)) {
            enter(catchups, session, reader);
        }
        session = next;
    }
}

void
catchups_serve(struct catchups *catchups)
{
    while (!TAILQ_EMPTY(&catchups->waiting) && catchups_readers(catchups) < catchups->limit) {
        serve_first(catchups);
    }
}

void
catchups_free(struct catchups *catchups)
{
    assert(catchups == NULL || TAILQ_EMPTY(&catchups->waiting));
    free(catchups);
}

/* ---- sessions ---- */

void
catchup_ask(struct session *session)
{
    struct catchups *catchups = shard_catchups(session->conn->shard);
    session->waiting = true;
    TAILQ_INSERT_TAIL(&catchups->waiting, session, wait_link);
    atomic_fetch_add(&catchups->n_waiting, 1);
    shard_wake(session->conn->shard);
}

bool
catchup_ready(const struct session *session)
{
    struct stream_health health;
    if (session->catchup == NULL) {
        return false;
    }
    stream_health(session->catchup->stream, &health);
    return health.was_up;
}

void
catchup_leave(struct session *session)
{
    if (session->waiting) {
        struct catchups *catchups = shard_catchups(session->conn->shard);
        session->waiting = false;
        TAILQ_REMOVE(&catchups->waiting, session, wait_link);
        atomic_fetch_sub(&catchups->n_waiting, 1);
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

bool
catchup_hand_over(struct session *session)
{
    struct place place;
    struct stream_start start;
    assert(!session_owes(session));
    if (!catchup_ready(session) || !place_now(session, &place)) {
        return false;
    }
    stream_locate(session->home->stream, &place, &start);
    record_unref(start.before);
    if (!start.resumed || start.missed > 0) {
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
    session->caught_up = false; /* being behind is not its slowness yet */
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
    return atomic_load(&catchups->n_readers);
}

size_t
catchups_waiting(const struct catchups *catchups)
{
    return atomic_load(&catchups->n_waiting);
}
