/* catchup: readers of a shard, who waits for them, and the handover to the live lane. Shard thread;
 * the reaper's thread only stops and frees. */
#include "catchup.h"

#include "connector.h"
#include "feed.h"
#include "lanes.h"
#include "log.h"
#include "mem.h"
#include "reaper.h"
#include "session_internal.h"
#include "shard.h"
#include "stream_internal.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define RING_RECORDS 16384
#define RING_BYTES (UINT64_C(4) << 20)

struct catchup {
    TAILQ_ENTRY(catchup) link;
    struct catchups *all;
    struct config_stream config;
    struct stream *stream;
    struct outlet outlet;
};

TAILQ_HEAD(catchup_list, catchup);

struct catchups {
    struct shard *shard;
    struct reaper *reaper;
    size_t limit;
    struct catchup_list readers;
    struct session_list waiting;
    atomic_size_t n_readers, n_waiting;
};

struct catchups *
catchups_new(struct shard *shard, size_t limit, struct reaper *reaper)
{
    struct catchups *catchups = mem_calloc(1, sizeof *catchups);
    catchups->shard = shard;
    catchups->reaper = reaper;
    catchups->limit = limit;
    TAILQ_INIT(&catchups->readers);
    TAILQ_INIT(&catchups->waiting);
    return catchups;
}

void
catchup_config(struct config_stream *private_config, const struct config_stream *config)
{
    *private_config = *config;
    private_config->ring_records = RING_RECORDS;
    private_config->ring_bytes = RING_BYTES + 2 * config->max_record_bytes;
    private_config->queue_records = RING_RECORDS / 2;
    private_config->queue_bytes = RING_BYTES / 2;
    private_config->slow_policy = SLOW_PAUSE;
}

bool
catchup_can(const struct outlet *home)
{
    const struct connector *connector = stream_config(home->stream)->connector;
    return (connector->capabilities & CONNECTOR_REPLAYS) != 0 && !stream_is_shared(home->stream) &&
           shard_catchups(home->shard) != NULL;
}

static bool
same_place(const struct place *a, const struct place *b)
{
    return a->kind == b->kind && a->time_ms == b->time_ms && a->n_lanes == b->n_lanes &&
           (a->n_lanes == 0 || memcmp(a->lanes, b->lanes, a->n_lanes * sizeof *a->lanes) == 0);
}

/* ---- readers ---- */

static void
retire(struct catchup *catchup)
{
    struct catchups *all = catchup->all;
    TAILQ_REMOVE(&all->readers, catchup, link);
    atomic_fetch_sub(&all->n_readers, 1);
    stream_listen(catchup->stream, 0, false);
    outlet_fini(&catchup->outlet);
    reaper_take(all->reaper, catchup->stream, catchup);
}

/* The lanes of the live stream with their places in from: what the connector starts at. */
static int
start_source(
    struct catchup *catchup, const struct outlet *home, const struct place *from, struct err *err)
{
    struct replay_lane *lanes = NULL;
    struct replay replay = {.kind = REPLAY_EARLIEST, .time_ms = from->time_ms};
    if (from->kind == PLACE_TIME) {
        replay.kind = REPLAY_TIME;
    } else if (from->kind == PLACE_TOKEN) {
        replay.kind = REPLAY_LANES;
        replay.n_lanes = lanes_replay(stream_lanes(home->stream), from, &lanes);
        replay.lanes = lanes;
    }
    int result = stream_start_at(catchup->stream, &replay, err);
    free(lanes);
    return result;
}

static struct catchup *
open_reader(struct catchups *catchups, const struct session *session, struct err *err)
{
    const struct outlet *home = session->home;
    struct catchup *catchup = mem_calloc(1, sizeof *catchup);
    catchup->all = catchups;
    catchup_config(&catchup->config, stream_config(home->stream));
    catchup->stream = stream_new(&catchup->config, 1);
    stream_set_waker(catchup->stream, 0, (struct stream_waker){shard_wake, catchups->shard});
    stream_listen(catchup->stream, 0, true);
    outlet_init(&catchup->outlet, catchups->shard, catchup->stream, 0);
    catchup->outlet.counters = home->counters;
    catchup->outlet.keeps_feeds = true;
    TAILQ_INSERT_TAIL(&catchups->readers, catchup, link);
    atomic_fetch_add(&catchups->n_readers, 1);
    if (start_source(catchup, home, &session->from, err) != 0) {
        retire(catchup);
        return NULL;
    }
    return catchup;
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
enter(struct session *session, struct catchup *catchup)
{
    TAILQ_REMOVE(&catchup->all->waiting, session, wait_link);
    atomic_fetch_sub(&catchup->all->n_waiting, 1);
    session->waiting = false;
    session->catchup = catchup;
    move(session, &catchup->outlet);
    session->stand = (struct stand){.seq = 1};
    session->skip_until = 0;
    session->solo = true;
    session_hold(session);
    outlet_hold_update(&catchup->outlet);
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
    struct catchup *catchup = open_reader(catchups, first, &err);
    if (catchup == NULL) {
        give_up(first, &err);
        return;
    }
    struct session *session = first;
    while (session != NULL) {
        struct session *next = TAILQ_NEXT(session, wait_link);
        if (session->home == first->home && same_place(&session->from, &first->from)) {
            enter(session, catchup);
        }
        session = next;
    }
}

bool
catchups_serve(struct catchups *catchups)
{
    bool more = false;
    struct catchup *catchup, *next;
    for (catchup = TAILQ_FIRST(&catchups->readers); catchup != NULL; catchup = next) {
        next = TAILQ_NEXT(catchup, link);
        more |= outlet_wake(&catchup->outlet);
        outlet_hold_update(&catchup->outlet);
        if (catchup->outlet.n_sessions == 0) {
            retire(catchup);
        }
    }
    while (!TAILQ_EMPTY(&catchups->waiting) && catchups_readers(catchups) < catchups->limit) {
        serve_first(catchups);
    }
    return more;
}

bool
catchups_stale(const struct catchups *catchups)
{
    const struct catchup *catchup;
    TAILQ_FOREACH(catchup, &catchups->readers, link)
    {
        if (catchup->outlet.hold_stale) {
            return true;
        }
    }
    return false;
}

void
catchups_halt(struct catchups *catchups)
{
    struct catchup *catchup;
    TAILQ_FOREACH(catchup, &catchups->readers, link)
    {
        stream_listen(catchup->stream, 0, false);
        stream_stop(catchup->stream);
    }
}

void
catchups_free(struct catchups *catchups)
{
    if (catchups == NULL) {
        return;
    }
    assert(TAILQ_EMPTY(&catchups->waiting));
    struct catchup *catchup;
    while ((catchup = TAILQ_FIRST(&catchups->readers)) != NULL) {
        TAILQ_REMOVE(&catchups->readers, catchup, link);
        outlet_fini(&catchup->outlet);
        stream_stop(catchup->stream);
        stream_free(catchup->stream);
        free(catchup);
    }
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
    return token_decode(session->id_before, strlen(session->id_before), &place->lanes,
               &place->n_lanes, &err) == 0;
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
