/* conflate: what waits for a subscriber that is too slow: of each key only the newest record.
 *
 * Records come in the order of their seq. One with a key takes the place of the one with that key
 * which waits, at the end of the queue; one without a key, and a gap record, is never merged. So
 * the queue is in the order of seq, and who was sent its oldest record lacks nothing that came
 * before: it was sent, merged into one that still waits, or dropped at the bound.
 *
 * Every record that was added is one of: waiting, sent (conflate_settle), merged, or dropped; by
 * weight the four add up, exactly. Bound: max_records waiting, and max_bytes of what they hold
 * (records, and tracks), but one record at least; beyond, the oldest is dropped. Thread  any one:
 * no lock. */
#ifndef HEADGATE_CONFLATE_H
#define HEADGATE_CONFLATE_H

#include "record.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What a waiting record costs beside itself: entry, malloc, its part of the table. */
#define CONFLATE_RECORD_BYTES 112

struct conflate;

struct conflate *conflate_new(uint64_t max_records, uint64_t max_bytes);
void conflate_free(struct conflate *conflate); /* NULL-safe */

/* conflate_add_take: seq is above that of every one before. Cost O(1), amortised; hashing the key.
 * Owns    the reference. */
void conflate_add_take(struct conflate *conflate, struct record *record);

bool conflate_is_empty(const struct conflate *conflate);

/* conflate_peek: up to max of the oldest waiting, in order, at least one if there is one and else
 * no more than max_bytes of charge. Lent until the next call that changes something. */
size_t conflate_peek(
    const struct conflate *conflate, struct record **records, size_t max, uint64_t max_bytes);

/* conflate_settle: what waits before seq was sent. Returns how many records that came before the
 * last of them were merged into newer ones and not yet told. */
uint64_t conflate_settle(struct conflate *conflate, uint64_t seq);

/* What was dropped at the bound since it was last asked, all of it older than what waits. */
struct conflate_dropped {
    uint64_t count;      /* dropped */
    uint64_t merged;     /* merged, up to the last that was dropped, and not yet told */
    struct record *last; /* the caller's reference */
};

/* conflate_take_dropped: false: nothing. Ask before each conflate_peek. */
bool conflate_take_dropped(struct conflate *conflate, struct conflate_dropped *dropped);

#endif
