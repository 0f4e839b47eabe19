/* feed: encode once, send to all who stand at the same record. Shard thread; never blocks. */
#include "feed.h"

#include "generations.h"
#include "mem.h"
#include "private.h"
#include "session_durable.h"
#include "session_internal.h"
#include "shard.h"

#include <assert.h>
#include <stdlib.h>

/* Batches sent before other events of the shard get a turn. */
#define ADVANCE_BUDGET 8

void
outlet_init(struct outlet *outlet, struct shard *shard, struct stream *stream, size_t slot)
{
    *outlet = (struct outlet){.shard = shard, .stream = stream, .slot = slot};
    outlet->counters = stream_counters(stream, slot);
    TAILQ_INIT(&outlet->pausers);
    TAILQ_INIT(&outlet->conflaters);
}

static void
feed_free(struct feed *feed)
{
    assert(TAILQ_EMPTY(&feed->live) && TAILQ_EMPTY(&feed->solo));
    feed_cache_drop(feed);
    filter_unref(feed->format.filter);
    buf_fini(&feed->id);
    free(feed);
}

/* A view is no choice of a client's: there are no more of them than streams. */
static bool
is_counted(const struct format *format)
{
    return format->filter != NULL && !filter_is_view(format->filter);
}

void
outlet_fini(struct outlet *outlet)
{
    assert(outlet->n_sessions == 0 && outlet->pinned_bytes == 0);
    while (outlet->feeds != NULL) {
        struct feed *feed = outlet->feeds;
        outlet->feeds = feed->next;
        if (is_counted(&feed->format)) {
            shard_filter_release(outlet->shard);
        }
        feed_free(feed);
    }
}

static bool
same_format(const struct format *a, const struct format *b)
{
    return a->framer == b->framer && a->envelope == b->envelope && a->chunked == b->chunked &&
           a->coding == b->coding && filter_same(a->filter, b->filter);
}

struct feed *
outlet_feed(struct outlet *outlet, const struct format *format, bool moving)
{
    for (struct feed *feed = outlet->feeds; feed != NULL; feed = feed->next) {
        if (same_format(&feed->format, format)) {
            return feed;
        }
    }
    if (is_counted(format) && !shard_filter_take(outlet->shard, moving)) {
        return NULL;
    }
    struct feed *feed = mem_calloc(1, sizeof *feed);
    feed->outlet = outlet;
    feed->format = *format;
    if (format->filter != NULL) {
        filter_ref(format->filter);
    }
    feed->next = outlet->feeds;
    outlet->feeds = feed;
    TAILQ_INIT(&feed->live);
    TAILQ_INIT(&feed->solo);
    buf_init(&feed->id);
    return feed;
}

void
feed_enter(struct feed *feed)
{
    feed->n_sessions++;
}

void
feed_exit(struct feed *feed)
{
    assert(feed->n_sessions > 0 && (!feed->advancing || feed->outlet->is_private));
    if (--feed->n_sessions > 0) {
        return;
    }
    feed_cache_drop(feed); /* nobody is behind */
    if (feed->format.filter == NULL ||
        (feed->outlet->is_private && feed->outlet->generation == NULL)) {
        return;
    }
    struct feed **link = &feed->outlet->feeds;
    while (*link != feed) {
        link = &(*link)->next;
    }
    *link = feed->next;
    if (is_counted(&feed->format)) {
        shard_filter_release(feed->outlet->shard);
    }
    feed_free(feed);
}

static void
release_to_own_pace(struct feed *feed)
{
    struct session *session;
    while ((session = TAILQ_FIRST(&feed->live)) != NULL) {
        session_fall_behind(session, feed->id.bytes, feed->id.len);
        conn_want_write(session->conn);
    }
}

static void
send_batch(struct feed *feed, struct batch *batch)
{
    struct session *session, *next;
    for (session = TAILQ_FIRST(&feed->live); session != NULL; session = next) {
        next = TAILQ_NEXT(session, live_link);
        session_deliver(session, batch, 0);
    }
}

struct batch *
outlet_encode(struct outlet *outlet, const struct run *run, struct record *const *records, size_t n)
{
    struct batch *batch =
        batch_encode(run->format, run->stand, run->id_before, run->id_len, records, n, run->first);
    if (run->format->coding != CODING_IDENTITY) {
        struct coding_counters *counters = &outlet->counters->coded[run->format->coding];
        counter_add(&counters->pieces, batch->compressed);
        counter_add(&counters->from_bytes, batch->raw_bytes);
        counter_add(&counters->to_bytes, batch->bytes.len);
    }
    return batch;
}

static struct batch *
encode_next(struct feed *feed)
{
    struct record *records[BATCH_RECORDS];
    size_t n = ring_read(
        stream_ring(feed->outlet->stream), feed->stand.seq, records, BATCH_RECORDS, BATCH_BYTES);
    if (n == 0) {
        return NULL;
    }
    struct batch *batch = outlet_encode(feed->outlet,
        &(struct run){&feed->format, feed->stand, feed->id.bytes, feed->id.len, false}, records, n);
    for (size_t i = 0; i < n; i++) {
        record_unref(records[i]);
    }
    return batch;
}

static void
keep(struct feed *feed, struct batch *batch)
{
    size_t len;
    feed->stand = batch->units[batch->n_units - 1].stand;
    const char *id = batch_id(batch, batch->n_units, &len);
    feed->id.len = 0;
    buf_add(&feed->id, id, len);
    if (feed->format.filter != NULL) {
        batch_unref(batch);
        return;
    }
    feed_cache_take(feed, batch);
}

static void
pump_solos(struct feed *feed)
{
    struct session *session, *next;
    for (session = TAILQ_FIRST(&feed->solo); session != NULL; session = next) {
        next = TAILQ_NEXT(session, live_link);
        session_pump(session);
    }
}

/* A table that began anew: those who want it look for themselves. */
static void
heed_resets(struct feed *feed)
{
    const struct table *table = stream_table(feed->outlet->stream);
    uint64_t resets = table == NULL ? 0 : table_resets(table);
    if (resets != feed->resets) {
        feed->resets = resets;
        release_to_own_pace(feed);
    }
}

bool
feed_advance(struct feed *feed)
{
    if (feed->advancing) {
        return false;
    }
    feed->advancing = true;
    heed_resets(feed);
    bool more = false;
    int budget = ADVANCE_BUDGET;
    while (!TAILQ_EMPTY(&feed->live)) {
        struct batch *batch = budget-- > 0 ? encode_next(feed) : NULL;
        if (batch == NULL) {
            more = budget < 0;
            break;
        }
        send_batch(feed, batch);
        keep(feed, batch);
    }
    struct ring_state state;
    ring_state(stream_ring(feed->outlet->stream), &state);
    if (!TAILQ_EMPTY(&feed->live) && feed->stand.seq < state.tail_seq) {
        release_to_own_pace(feed); /* the shard itself was too slow: each gets its own gap */
    }
    pump_solos(feed);
    feed->advancing = false;
    return more;
}

bool
feed_join(struct feed *feed, struct session *session)
{
    if (session->solo) {
        if (session->state == SESSION_BEHIND) {
            session->state = SESSION_LIVE;
            session->blocked = false;
            TAILQ_INSERT_TAIL(&feed->solo, session, live_link);
        }
        return true;
    }
    if (!TAILQ_EMPTY(&feed->live) && feed_advance(feed)) {
        shard_wake(feed->outlet->shard);
    }
    if (session_table_stale(session)) {
        return false; /* it was heeded just now, before this one was LIVE */
    }
    bool empty = TAILQ_EMPTY(&feed->live);
    /* Behind, it reads on; ahead, it waits for a feed that is on its way: those who are LIVE there
     * must not pay for a newcomer with their bound. */
    if (!empty && session->stand.seq != feed->stand.seq) {
        return false;
    }
    if (empty) {
        feed_cache_drop(feed);
        feed->stand = session->stand;
        feed->id.len = 0;
        buf_adds(&feed->id, session->id_before);
    }
    session->state = SESSION_LIVE;
    session->blocked = false;
    free(session->id_before);
    session->id_before = NULL;
    TAILQ_INSERT_TAIL(&feed->live, session, live_link);
    return true;
}

void
feed_leave(struct feed *feed, struct session *session)
{
    assert(session->state == SESSION_LIVE);
    if (session->solo) {
        TAILQ_REMOVE(&feed->solo, session, live_link);
    } else {
        TAILQ_REMOVE(&feed->live, session, live_link);
    }
    session->state = SESSION_BEHIND;
}

uint64_t
outlet_pin_limit_bytes(const struct config_stream *config)
{
    uint64_t quarter = config->ring_bytes / 4;
    uint64_t least_useful = 4 * config->max_record_bytes;
    return quarter > least_useful ? quarter : least_useful;
}

bool
outlet_pin(struct outlet *outlet, struct batch *batch)
{
    if (batch->pins == 0) {
        uint64_t limit = outlet_pin_limit_bytes(stream_config(outlet->stream));
        if (outlet->pinned_bytes + batch->bytes.cap > limit) {
            return false;
        }
        outlet->pinned_bytes += batch->bytes.cap;
    }
    batch->pins++;
    batch_ref(batch);
    return true;
}

void
outlet_unpin(struct outlet *outlet, struct batch *batch)
{
    if (--batch->pins == 0) {
        outlet->pinned_bytes -= batch->bytes.cap;
    }
    batch_unref(batch);
}

bool
outlet_wake(struct outlet *outlet)
{
    bool more = false;
    if (outlet->n_sessions == 0) {
        return false;
    }
    for (struct feed *feed = outlet->feeds; feed != NULL; feed = feed->next) {
        more |= feed_advance(feed);
    }
    struct session *session;
    TAILQ_FOREACH(session, &outlet->conflaters, conflate_link)
    {
        session_conflate_absorb(session);
    }
    outlet->hold_stale = true;
    return more;
}

void
outlet_stale(struct outlet *outlet)
{
    outlet->hold_stale = true;
    if (outlet->generation != NULL) { /* of those the shard looks only at the ones with news */
        private_news(generation_here(outlet->generation, outlet->slot));
    }
}

static uint64_t
add_capped(uint64_t a, uint64_t b)
{
    return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

static uint64_t
least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* How far the one has come who is furthest, of those that take what comes. */
static uint64_t
furthest(const struct outlet *outlet)
{
    uint64_t seq = 0;
    for (const struct feed *feed = outlet->feeds; feed != NULL; feed = feed->next) {
        const struct session *session;
        if (!TAILQ_EMPTY(&feed->live) && feed->stand.seq - 1 > seq) {
            seq = feed->stand.seq - 1;
        }
        TAILQ_FOREACH(session, &feed->solo, live_link)
        {
            seq = session->stand.seq - 1 > seq ? session->stand.seq - 1 : seq;
        }
    }
    return seq;
}

void
outlet_hold_update(struct outlet *outlet)
{
    if (!outlet->hold_stale) {
        return;
    }
    outlet->hold_stale = false;
    struct ring_hold hold = RING_HOLD_OPEN;
    struct session *session;
    TAILQ_FOREACH(session, &outlet->pausers, pause_link)
    {
        if ((session->state == SESSION_ENDING && session->durable == NULL) ||
            session->table_waits) {
            continue; /* but what a durable one has got counts, to its end */
        }
        struct stand ring_stand = session_ring_stand(session);
        const struct stand *stand = &ring_stand;
        if (session->durable != NULL) {
            (void)durable_base(session, &ring_stand);
        }
        struct queue queue = session_queue(session);
        uint64_t sent = stand->seq - 1;
        hold.limit_seq = least(hold.limit_seq, add_capped(sent, queue.records));
        hold.resume_seq = least(hold.resume_seq, add_capped(sent, queue.records / 2));
        hold.limit_bytes = least(hold.limit_bytes, add_capped(stand->bytes, queue.bytes));
        hold.resume_bytes = least(hold.resume_bytes, add_capped(stand->bytes, queue.bytes / 2));
        uint64_t settled = session_settled(session);
        hold.settled_seq = hold.must ? least(hold.settled_seq, settled) : settled;
        hold.must = true;
    }
    if (!hold.must) {
        hold.settled_seq = furthest(outlet);
    }
    stream_hold(outlet->stream, outlet->slot, hold);
}
