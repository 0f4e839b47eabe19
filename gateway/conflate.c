/* conflate: the newest record of each key, in a queue and a hash table of its entries (open
 * addressing, linear probing, seeded so that keys cannot be made to collide). Counts go by running
 * sums: an entry knows how much had come up to it, so what was merged before it is what is missing.
 * One thread. */
#include "conflate.h"

#include "mem.h"
#include "track.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

struct entry {
    TAILQ_ENTRY(entry) link;
    struct record *record;
    uint64_t sum;  /* weight of all that came up to and with it */
    uint64_t hash; /* of its key */
};

struct conflate {
    TAILQ_HEAD(queue, entry) queue;
    struct entry **slots; /* entries with a key */
    size_t mask;
    size_t n_keys;
    uint64_t n;
    uint64_t bytes;
    uint64_t max_records, max_bytes;
    uint64_t seed;
    uint64_t sum;  /* weight of all that came */
    uint64_t told; /* of it, what was sent, told as merged, or told as dropped */
    uint64_t dropped;
    uint64_t dropped_sum; /* the sum of the last one dropped */
    struct record *dropped_last;
};

struct conflate *
conflate_new(uint64_t max_records, uint64_t max_bytes)
{
    assert(max_records > 0);
    struct conflate *conflate = mem_calloc(1, sizeof *conflate);
    TAILQ_INIT(&conflate->queue);
    conflate->mask = 63;
    conflate->slots = mem_calloc(conflate->mask + 1, sizeof *conflate->slots);
    conflate->max_records = max_records;
    conflate->max_bytes = max_bytes;
    arc4random_buf(&conflate->seed, sizeof conflate->seed);
    return conflate;
}

void
conflate_free(struct conflate *conflate)
{
    if (conflate == NULL) {
        return;
    }
    struct entry *entry;
    while ((entry = TAILQ_FIRST(&conflate->queue)) != NULL) {
        TAILQ_REMOVE(&conflate->queue, entry, link);
        record_unref(entry->record);
        free(entry);
    }
    record_unref(conflate->dropped_last);
    free(conflate->slots);
    free(conflate);
}

/* ---- the table ---- */

static bool
has_key(const struct record *record)
{
    return !record->is_gap && record->key_len > 0;
}

static uint64_t
mix(uint64_t a, uint64_t b)
{
    a = (a ^ b) * UINT64_C(0x9E3779B97F4A7C15);
    a ^= a >> 32;
    a *= UINT64_C(0xD6E8FEB86659FD93);
    return a ^ a >> 32;
}

static uint64_t
hash_of(const struct conflate *conflate, const struct record *record)
{
    const char *at = record->text + record->key_off;
    size_t len = record->key_len;
    uint64_t hash = mix(conflate->seed, len);
    for (; len > 0;) {
        uint64_t word = 0;
        size_t step = len < sizeof word ? len : sizeof word;
        memcpy(&word, at, step);
        hash = mix(hash, word);
        at += step;
        len -= step;
    }
    return hash;
}

static bool
same_key(const struct record *a, const struct record *b)
{
    return a->key_len == b->key_len &&
           memcmp(a->text + a->key_off, b->text + b->key_off, a->key_len) == 0;
}

/* The slot of record's key: its entry's, or the free one where that belongs. */
static size_t
slot_of(const struct conflate *conflate, const struct record *record, uint64_t hash)
{
    size_t i = hash & conflate->mask;
    while (conflate->slots[i] != NULL &&
           (conflate->slots[i]->hash != hash || !same_key(conflate->slots[i]->record, record))) {
        i = (i + 1) & conflate->mask;
    }
    return i;
}

static void
grow(struct conflate *conflate)
{
    if ((conflate->n_keys + 1) * 2 <= conflate->mask + 1) {
        return;
    }
    free(conflate->slots);
    conflate->mask = conflate->mask * 2 + 1;
    conflate->slots = mem_calloc(conflate->mask + 1, sizeof *conflate->slots);
    struct entry *entry;
    TAILQ_FOREACH(entry, &conflate->queue, link)
    {
        if (has_key(entry->record)) {
            conflate->slots[slot_of(conflate, entry->record, entry->hash)] = entry;
        }
    }
}

/* Take slot i's entry out and close the gap in the runs that go over it. */
static void
clear_slot(struct conflate *conflate, size_t i)
{
    size_t mask = conflate->mask;
    for (size_t next = (i + 1) & mask; conflate->slots[next] != NULL; next = (next + 1) & mask) {
        size_t home = conflate->slots[next]->hash & mask;
        if (((next - home) & mask) >= ((next - i) & mask)) {
            conflate->slots[i] = conflate->slots[next];
            i = next;
        }
    }
    conflate->slots[i] = NULL;
    conflate->n_keys--;
}

/* ---- the queue ---- */

/* What entry holds: its record and, of records of one track, which lie side by side in the queue,
 * the first one the track too. before: the entry before it, NULL: none. */
static uint64_t
held_bytes(const struct entry *entry, const struct entry *before)
{
    const struct track *track = entry->record->track;
    bool shares = track == NULL || (before != NULL && before->record->track == track);
    return record_own_bytes(entry->record) + (shares ? 0 : track_bytes(track));
}

/* Off the queue; the entry after it may be the first of its track then. */
static void
unlink_entry(struct conflate *conflate, struct entry *entry)
{
    const struct entry *before = TAILQ_PREV(entry, queue, link);
    const struct entry *after = TAILQ_NEXT(entry, link);
    conflate->bytes -= held_bytes(entry, before);
    if (after != NULL) {
        conflate->bytes -= held_bytes(after, entry);
        conflate->bytes += held_bytes(after, before);
    }
    TAILQ_REMOVE(&conflate->queue, entry, link);
    conflate->n--;
}

/* Take the oldest out; the caller gets its record's reference. */
static struct record *
take_oldest(struct conflate *conflate, uint64_t *sum)
{
    struct entry *entry = TAILQ_FIRST(&conflate->queue);
    /* The analyzer does not see that TAILQ_REMOVE below takes what is freed off the queue. */
    struct record *record = entry->record; /* NOLINT(clang-analyzer-unix.Malloc) */
    if (has_key(record)) {
        clear_slot(conflate, slot_of(conflate, record, entry->hash));
    }
    unlink_entry(conflate, entry);
    *sum = entry->sum;
    free(entry);
    return record;
}

static void
drop_oldest(struct conflate *conflate)
{
    struct record *record = take_oldest(conflate, &conflate->dropped_sum);
    conflate->dropped += record->weight;
    record_unref(conflate->dropped_last);
    conflate->dropped_last = record;
}

/* The entry that record goes into: that of its key, given up by the older one, or a new one. */
static struct entry *
entry_for(struct conflate *conflate, const struct record *record)
{
    if (!has_key(record)) {
        return mem_calloc(1, sizeof(struct entry));
    }
    grow(conflate);
    uint64_t hash = hash_of(conflate, record);
    size_t i = slot_of(conflate, record, hash);
    struct entry *entry = conflate->slots[i];
    if (entry != NULL) {
        unlink_entry(conflate, entry);
        record_unref(entry->record);
        return entry;
    }
    entry = conflate->slots[i] = mem_calloc(1, sizeof *entry);
    entry->hash = hash;
    conflate->n_keys++;
    return entry;
}

void
conflate_add_take(struct conflate *conflate, struct record *record)
{
    struct entry *entry = entry_for(conflate, record);
    conflate->sum += record->weight;
    entry->record = record;
    entry->sum = conflate->sum;
    TAILQ_INSERT_TAIL(&conflate->queue, entry, link);
    conflate->n++;
    conflate->bytes += held_bytes(entry, TAILQ_PREV(entry, queue, link));
    while (conflate->n > 1 &&
           (conflate->n > conflate->max_records || conflate->bytes > conflate->max_bytes)) {
        drop_oldest(conflate);
    }
}

bool
conflate_is_empty(const struct conflate *conflate)
{
    return TAILQ_EMPTY(&conflate->queue);
}

size_t
conflate_peek(
    const struct conflate *conflate, struct record **records, size_t max, uint64_t max_bytes)
{
    size_t n = 0;
    uint64_t bytes = 0;
    const struct entry *entry;
    TAILQ_FOREACH(entry, &conflate->queue, link)
    {
        bytes += record_charge_bytes(entry->record);
        if (n == max || (n > 0 && bytes > max_bytes)) {
            break;
        }
        records[n++] = entry->record;
    }
    return n;
}

uint64_t
conflate_settle(struct conflate *conflate, uint64_t seq)
{
    assert(conflate->dropped == 0);
    uint64_t sent = 0;
    uint64_t sum = conflate->told;
    const struct entry *entry;
    while ((entry = TAILQ_FIRST(&conflate->queue)) != NULL &&
           entry->record->seq < seq) { /* NOLINT(clang-analyzer-unix.Malloc): see take_oldest */
        sent += entry->record->weight;
        record_unref(take_oldest(conflate, &sum));
    }
    uint64_t merged = sum - conflate->told - sent;
    conflate->told = sum;
    return merged;
}

bool
conflate_take_dropped(struct conflate *conflate, struct conflate_dropped *dropped)
{
    if (conflate->dropped == 0) {
        return false;
    }
    *dropped = (struct conflate_dropped){
        .count = conflate->dropped,
        .merged = conflate->dropped_sum - conflate->told - conflate->dropped,
        .last = conflate->dropped_last,
    };
    conflate->told = conflate->dropped_sum;
    conflate->dropped = 0;
    conflate->dropped_last = NULL;
    return true;
}
