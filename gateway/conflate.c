/* conflate: the newest record of each key, in a queue and a hash table of its entries. Counts go by
 * running sums: an entry knows how much had come up to it, so what was merged before it is what is
 * missing. One thread. */
#include "conflate.h"

#include "keytable.h"
#include "mem.h"
#include "track.h"

#include <assert.h>
#include <stdlib.h>
#include <sys/queue.h>

struct entry {
    struct keyed keyed; /* first: what the table of keys gives back */
    TAILQ_ENTRY(entry) link;
    uint64_t sum; /* weight of all that came up to and with it */
};

struct conflate {
    TAILQ_HEAD(queue, entry) queue;
    struct keytable keys; /* entries with a key */
    uint64_t n;
    uint64_t bytes;
    uint64_t max_records, max_bytes;
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
    keytable_init(&conflate->keys);
    conflate->max_records = max_records;
    conflate->max_bytes = max_bytes;
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
        record_unref(entry->keyed.record);
        free(entry);
    }
    record_unref(conflate->dropped_last);
    keytable_fini(&conflate->keys);
    free(conflate);
}

/* ---- the queue ---- */

/* What entry holds: its record and, of records of one track, which lie side by side in the queue,
 * the first one the track too. before: the entry before it, NULL: none. */
static uint64_t
held_bytes(const struct entry *entry, const struct entry *before)
{
    const struct track *track = entry->keyed.record->track;
    bool shares = track == NULL || (before != NULL && before->keyed.record->track == track);
    return record_own_bytes(entry->keyed.record) + (shares ? 0 : track_bytes(track));
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
    struct record *record = entry->keyed.record; /* NOLINT(clang-analyzer-unix.Malloc) */
    if (keytable_has_key(record)) {
        keytable_remove(&conflate->keys, &entry->keyed);
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
entry_for(struct conflate *conflate, struct record *record)
{
    struct keyed key = {.record = record};
    bool has_key = keytable_has_key(record);
    if (has_key) {
        key.hash = keytable_hash(&conflate->keys, record);
        struct entry *there = (struct entry *)keytable_find(&conflate->keys, record, key.hash);
        if (there != NULL) {
            unlink_entry(conflate, there);
            record_unref(there->keyed.record);
            there->keyed.record = record;
            return there;
        }
    }
    struct entry *entry = mem_calloc(1, sizeof *entry);
    entry->keyed = key;
    if (has_key) {
        keytable_put(&conflate->keys, &entry->keyed);
    }
    return entry;
}

void
conflate_add_take(struct conflate *conflate, struct record *record)
{
    struct entry *entry = entry_for(conflate, record);
    conflate->sum += record->weight;
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
        bytes += record_charge_bytes(entry->keyed.record);
        if (n == max || (n > 0 && bytes > max_bytes)) {
            break;
        }
        records[n++] = entry->keyed.record;
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
    while (
        (entry = TAILQ_FIRST(&conflate->queue)) != NULL &&
        entry->keyed.record->seq < seq) { /* NOLINT(clang-analyzer-unix.Malloc): see take_oldest */
        sent += entry->keyed.record->weight;
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
