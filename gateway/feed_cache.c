/* feed_cache: the batches that a feed keeps for those who are just behind, and their bound. Shard
 * thread; never blocks. */
#include "feed.h"

/* The caches of an outlet: as many batches as the formats have that are not compressed. */
#define CACHED_BATCHES UINT64_C(80)
#define CACHED_BATCH_BYTES (UINT64_C(256) << 10)

static void
uncache(struct feed *feed, struct batch **slot)
{
    if (*slot != NULL) {
        feed->outlet->cached_bytes -= (*slot)->bytes.cap;
        batch_unref(*slot);
        *slot = NULL;
    }
}

void
feed_cache_drop(struct feed *feed)
{
    for (unsigned i = 0; i < FEED_CACHE; i++) {
        uncache(feed, &feed->cache[i]);
    }
    for (unsigned i = 0; i < FEED_BEHIND; i++) {
        uncache(feed, &feed->behind[i]);
    }
}

/* Room for bytes more in the outlet's caches: what those keep that send to no one goes first. */
static bool
make_room(const struct feed *feed, size_t bytes)
{
    struct outlet *outlet = feed->outlet;
    uint64_t limit = outlet_cache_limit_bytes(stream_config(outlet->stream));
    for (struct feed *other = outlet->feeds; other != NULL; other = other->next) {
        if (outlet->cached_bytes + bytes <= limit) {
            break;
        }
        if (other != feed && TAILQ_EMPTY(&other->live)) {
            feed_cache_drop(other);
        }
    }
    return outlet->cached_bytes + bytes <= limit;
}

/* Into one of the feed's slots, if there is room. */
static void
put_take(struct feed *feed, struct batch **slot, struct batch *batch)
{
    uncache(feed, slot);
    if (!make_room(feed, batch->bytes.cap)) {
        batch_unref(batch);
        return;
    }
    feed->outlet->cached_bytes += batch->bytes.cap;
    *slot = batch;
}

void
feed_cache_take(struct feed *feed, struct batch *batch)
{
    put_take(feed, &feed->cache[feed->cache_at], batch);
    feed->cache_at = (feed->cache_at + 1) % FEED_CACHE;
}

static bool
keeps_behind(const struct feed *feed)
{
    return feed->format.coding != CODING_IDENTITY && feed->format.filter == NULL;
}

void
feed_keep_behind(struct feed *feed, struct batch *batch)
{
    if (keeps_behind(feed)) {
        put_take(feed, &feed->behind[feed->behind_at], batch_ref(batch));
        feed->behind_at = (feed->behind_at + 1) % FEED_BEHIND;
    }
}

uint64_t
feed_next_kept(const struct feed *feed, uint64_t seq)
{
    uint64_t next = UINT64_MAX;
    for (unsigned i = 0; i < FEED_CACHE + FEED_BEHIND && keeps_behind(feed); i++) {
        const struct batch *batch = i < FEED_CACHE ? feed->cache[i] : feed->behind[i - FEED_CACHE];
        uint64_t at = batch == NULL ? UINT64_MAX : batch_unit_beyond(batch, seq);
        next = at < next ? at : next;
    }
    return next;
}

struct batch *
feed_find(struct feed *feed, uint64_t seq, size_t *unit)
{
    for (unsigned i = 0; i < FEED_CACHE + FEED_BEHIND; i++) {
        struct batch *batch = i < FEED_CACHE ? feed->cache[i] : feed->behind[i - FEED_CACHE];
        if (batch != NULL && seq >= batch->stand.seq) {
            *unit = batch_unit_from(batch, seq);
            if (*unit < batch->n_units) {
                return batch;
            }
        }
    }
    return NULL;
}

uint64_t
outlet_cache_limit_bytes(const struct config_stream *config)
{
    uint64_t largest = config->max_record_bytes;
    return CACHED_BATCHES * (largest > CACHED_BATCH_BYTES ? largest : CACHED_BATCH_BYTES);
}
