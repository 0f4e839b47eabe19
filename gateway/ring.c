/* ring: a bounded window of records under one mutex. Knows nothing of streams or subscribers. */
#include "ring.h"

#include "mem.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>

/* The charge stands beside the pointer: to evict a record, nobody looks at its memory, which is
 * long out of the caches, under the lock. */
struct slot {
    struct record *record;
    uint64_t charge;
};

struct ring {
    pthread_mutex_t lock;
    struct slot *slots; /* slot of seq s is s & mask; pages are touched as the ring fills */
    uint64_t mask;
    uint64_t max_records, max_bytes;
    uint64_t tail_seq, head_seq;
    uint64_t bytes;
    uint64_t head_bytes, head_ordinal;
    struct record *before_tail; /* the last one evicted: names the end of a gap */
    struct ring_hold *holds;
    size_t n_holds;
    bool held;
    uint64_t settled_seq;
};

/* What ring_new_small begins with. */
#define SMALL_SLOTS 64

static struct ring *
make(uint64_t max_records, uint64_t max_bytes, size_t n_holds, uint64_t slots)
{
    assert(max_records > 0 && n_holds > 0);
    struct ring *ring = mem_calloc(1, sizeof *ring);
    pthread_mutex_init(&ring->lock, NULL);
    ring->slots = mem_calloc(slots, sizeof *ring->slots);
    ring->mask = slots - 1;
    ring->max_records = max_records;
    ring->max_bytes = max_bytes;
    ring->tail_seq = 1;
    ring->holds = mem_calloc(n_holds, sizeof *ring->holds);
    ring->n_holds = n_holds;
    for (size_t i = 0; i < n_holds; i++) {
        ring->holds[i] = RING_HOLD_OPEN;
    }
    return ring;
}

struct ring *
ring_new(uint64_t max_records, uint64_t max_bytes, size_t n_holds)
{
    uint64_t slots = 1;
    while (slots < max_records) {
        slots *= 2;
    }
    return make(max_records, max_bytes, n_holds, slots);
}

struct ring *
ring_new_small(uint64_t max_records, uint64_t max_bytes, size_t n_holds)
{
    return make(max_records, max_bytes, n_holds, SMALL_SLOTS);
}

void
ring_free(struct ring *ring)
{
    if (ring == NULL) {
        return;
    }
    for (uint64_t seq = ring->tail_seq; seq <= ring->head_seq; seq++) {
        record_unref(ring->slots[seq & ring->mask].record);
    }
    record_unref(ring->before_tail);
    pthread_mutex_destroy(&ring->lock);
    free(ring->holds);
    free(ring->slots);
    free(ring);
}

static struct record *
at(const struct ring *ring, uint64_t seq)
{
    return ring->slots[seq & ring->mask].record;
}

/* A record that the next few steps come to was written by another core: let it be on its way. */
#define FETCH_AHEAD 8

static void
fetch_ahead(const struct ring *ring, uint64_t seq)
{
    if (seq + FETCH_AHEAD <= ring->head_seq) {
        __builtin_prefetch(at(ring, seq + FETCH_AHEAD), 1);
    }
}

/* Take the oldest record out; returns the one that before_tail gives up, to be freed unlocked. */
static struct record *
evict_one(struct ring *ring)
{
    const struct slot *oldest = &ring->slots[ring->tail_seq & ring->mask];
    struct record *given_up = ring->before_tail;
    ring->bytes -= oldest->charge;
    ring->before_tail = oldest->record;
    fetch_ahead(ring, ring->tail_seq); /* it will be given up, and freed */
    ring->tail_seq++;
    return given_up;
}

static uint64_t
count(const struct ring *ring)
{
    return ring->head_seq + 1 - ring->tail_seq;
}

static bool
must_evict(const struct ring *ring, uint64_t charge)
{
    return count(ring) > 0 &&
           (count(ring) + 1 > ring->max_records || ring->bytes + charge > ring->max_bytes);
}

/* Every slot is taken, and there may be more records: of ring_new_small alone. */
static void
grow(struct ring *ring)
{
    uint64_t slots = 2 * (ring->mask + 1);
    struct slot *old = ring->slots;
    ring->slots = mem_calloc(slots, sizeof *ring->slots);
    for (uint64_t seq = ring->tail_seq; seq <= ring->head_seq; seq++) {
        ring->slots[seq & (slots - 1)] = old[seq & ring->mask];
    }
    ring->mask = slots - 1;
    free(old);
}

static void
push(struct ring *ring, struct record *record, uint64_t charge)
{
    if (count(ring) > ring->mask) {
        grow(ring);
    }
    ring->head_seq++;
    record->seq = ring->head_seq;
    record->bytes_before = ring->head_bytes;
    ring->head_ordinal += record->weight;
    record->ordinal = ring->head_ordinal;
    ring->head_bytes += charge;
    ring->bytes += charge;
    ring->slots[ring->head_seq & ring->mask] = (struct slot){record, charge};
}

#define EVICT_BATCH 256

void
ring_append_take(struct ring *ring, struct record *const *records, size_t n)
{
    size_t i = 0;
    while (i < n) {
        struct record *gone[EVICT_BATCH];
        size_t n_gone = 0;
        pthread_mutex_lock(&ring->lock);
        while (i < n && n_gone < EVICT_BATCH) {
            uint64_t charge = record_charge_bytes(records[i]);
            if (must_evict(ring, charge)) {
                gone[n_gone++] = evict_one(ring);
            } else {
                push(ring, records[i++], charge);
            }
        }
        pthread_mutex_unlock(&ring->lock);
        for (size_t k = 0; k < n_gone; k++) {
            record_unref(gone[k]);
        }
    }
}

void
ring_state(struct ring *ring, struct ring_state *state)
{
    pthread_mutex_lock(&ring->lock);
    *state = (struct ring_state){
        .tail_seq = ring->tail_seq,
        .head_seq = ring->head_seq,
        .records = count(ring),
        .bytes = ring->bytes,
        .head_bytes = ring->head_bytes,
        .head_ordinal = ring->head_ordinal,
        .held = ring->held,
    };
    pthread_mutex_unlock(&ring->lock);
}

size_t
ring_read(struct ring *ring, uint64_t from, struct record **records, size_t max, uint64_t max_bytes)
{
    size_t n = 0;
    uint64_t bytes = 0;
    pthread_mutex_lock(&ring->lock);
    if (from >= ring->tail_seq) {
        for (uint64_t seq = from; seq <= ring->head_seq && n < max; seq++) {
            const struct slot *slot = &ring->slots[seq & ring->mask];
            bytes += slot->charge;
            if (n > 0 && bytes > max_bytes) {
                break;
            }
            fetch_ahead(ring, seq);
            records[n++] = record_ref(slot->record);
        }
    }
    pthread_mutex_unlock(&ring->lock);
    return n;
}

static struct record *
peek_ref(struct ring *ring, uint64_t seq)
{
    if (seq >= ring->tail_seq && seq <= ring->head_seq) {
        return record_ref(at(ring, seq));
    }
    if (ring->before_tail != NULL && seq + 1 == ring->tail_seq) {
        return record_ref(ring->before_tail);
    }
    return NULL;
}

struct record *
ring_peek_ref(struct ring *ring, uint64_t seq)
{
    pthread_mutex_lock(&ring->lock);
    struct record *record = peek_ref(ring, seq);
    pthread_mutex_unlock(&ring->lock);
    return record;
}

void
ring_place(
    struct ring *ring, uint64_t *seq, uint64_t *ordinal, uint64_t *bytes, struct record **before)
{
    pthread_mutex_lock(&ring->lock);
    if (*seq < ring->tail_seq) {
        *seq = ring->tail_seq;
    }
    if (*seq > ring->head_seq) {
        *seq = ring->head_seq + 1;
        *ordinal = ring->head_ordinal;
        *bytes = ring->head_bytes;
    } else {
        const struct record *record = at(ring, *seq);
        *ordinal = record->ordinal - record->weight;
        *bytes = record->bytes_before;
    }
    *before = *seq > 1 ? peek_ref(ring, *seq - 1) : NULL;
    pthread_mutex_unlock(&ring->lock);
}

/* The first seq in [low, high) whose bytes_before is at least bytes; high when there is none. */
static uint64_t
first_with_bytes(const struct ring *ring, uint64_t low, uint64_t high, uint64_t bytes)
{
    while (low < high) {
        uint64_t middle = low + (high - low) / 2;
        if (at(ring, middle)->bytes_before >= bytes) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return low;
}

uint64_t
ring_trim_point(struct ring *ring, uint64_t queue_records, uint64_t queue_bytes)
{
    pthread_mutex_lock(&ring->lock);
    uint64_t low = ring->tail_seq;
    if (ring->head_seq >= queue_records && ring->head_seq - queue_records + 1 > low) {
        low = ring->head_seq - queue_records + 1;
    }
    uint64_t floor_bytes = ring->head_bytes > queue_bytes ? ring->head_bytes - queue_bytes : 0;
    if (low < ring->head_seq) {
        low = first_with_bytes(ring, low, ring->head_seq, floor_bytes);
    }
    pthread_mutex_unlock(&ring->lock);
    return low;
}

uint64_t
ring_keep_end(struct ring *ring, uint64_t from, uint64_t queue_records, uint64_t queue_bytes)
{
    pthread_mutex_lock(&ring->lock);
    if (from < ring->tail_seq) { /* the tail moved on since the caller looked */
        from = ring->tail_seq;
    }
    uint64_t end = ring->head_seq + 1;
    if (from < end) {
        if (end - from > queue_records) {
            end = from + queue_records;
        }
        /* Record s fits while bytes_before(s + 1) - bytes_before(from) <= queue_bytes. */
        uint64_t last = at(ring, from)->bytes_before + queue_bytes;
        uint64_t over = first_with_bytes(ring, from + 1, end, last + 1);
        uint64_t end_bytes = end > ring->head_seq ? ring->head_bytes : at(ring, end)->bytes_before;
        if (end_bytes > last) {
            end = over - 1 > from ? over - 1 : from + 1;
        }
    }
    pthread_mutex_unlock(&ring->lock);
    return end;
}

uint64_t
ring_find_time(struct ring *ring, int64_t time_ms)
{
    pthread_mutex_lock(&ring->lock);
    uint64_t seq = ring->tail_seq;
    while (seq <= ring->head_seq && (at(ring, seq)->is_gap || at(ring, seq)->time_ms < time_ms)) {
        seq++;
    }
    pthread_mutex_unlock(&ring->lock);
    return seq;
}

static bool
reaches_limit(const struct ring *ring, const struct ring_hold *hold)
{
    return ring->head_seq >= hold->limit_seq || ring->head_bytes >= hold->limit_bytes;
}

static bool
above_resume(const struct ring *ring, const struct ring_hold *hold)
{
    return ring->head_seq > hold->resume_seq || ring->head_bytes > hold->resume_bytes;
}

static bool
still_held(const struct ring *ring)
{
    for (size_t i = 0; i < ring->n_holds; i++) {
        if (above_resume(ring, &ring->holds[i])) {
            return true;
        }
    }
    return false;
}

static void
settle(struct ring *ring)
{
    bool must = false;
    uint64_t all = UINT64_MAX, any = 0;
    for (size_t i = 0; i < ring->n_holds; i++) {
        const struct ring_hold *hold = &ring->holds[i];
        must |= hold->must;
        all = hold->must && hold->settled_seq < all ? hold->settled_seq : all;
        any = hold->settled_seq > any ? hold->settled_seq : any;
    }
    uint64_t settled = must ? all : any;
    ring->settled_seq = settled > ring->settled_seq ? settled : ring->settled_seq;
}

bool
ring_hold_set(struct ring *ring, size_t slot, struct ring_hold hold)
{
    assert(slot < ring->n_holds);
    pthread_mutex_lock(&ring->lock);
    ring->holds[slot] = hold;
    settle(ring);
    bool released = ring->held && !still_held(ring);
    if (released) {
        ring->held = false;
    }
    pthread_mutex_unlock(&ring->lock);
    return released;
}

uint64_t
ring_settled(struct ring *ring)
{
    pthread_mutex_lock(&ring->lock);
    uint64_t seq = ring->settled_seq;
    pthread_mutex_unlock(&ring->lock);
    return seq;
}

static uint64_t
least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

uint64_t
ring_room(struct ring *ring, uint64_t *bytes)
{
    uint64_t records = ring->max_records;
    *bytes = ring->max_bytes;
    pthread_mutex_lock(&ring->lock);
    for (size_t i = 0; i < ring->n_holds && !ring->held; i++) {
        const struct ring_hold *hold = &ring->holds[i];
        if (reaches_limit(ring, hold)) {
            ring->held = true;
        } else {
            records = least(records, hold->limit_seq - ring->head_seq);
            *bytes = least(*bytes, hold->limit_bytes - ring->head_bytes);
        }
    }
    if (ring->held) {
        records = *bytes = 0;
    }
    pthread_mutex_unlock(&ring->lock);
    return records;
}
