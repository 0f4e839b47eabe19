/* ring: the newest records of one stream, bounded in records and bytes, read by every shard.
 *
 * One source thread appends; readers hold a sequence number, not a place: who asks for what is gone
 * is told where the ring begins. Sequence numbers start at 1, grow by one and are never reused.
 *
 * Holds. A shard that has `pause` subscribers says how far the source may go for the slowest of
 * them (one hold a shard). While the head has reached a hold, ring_room() is 0, and it stays so
 * until every hold's resume mark is passed (hysteresis).
 *
 * Invariant: tail <= head + 1; sum of charges == bytes; records <= max_records, and bytes <=
 * max_bytes unless a single record is larger than that. Lock: one mutex, held for short copies
 * only; records are freed outside of it. */
#ifndef HEADGATE_RING_H
#define HEADGATE_RING_H

#include "record.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ring;

/* ring_new: holds slots 0..n_holds-1 exist and are open. Errors none. Thread init. */
struct ring *ring_new(uint64_t max_records, uint64_t max_bytes, size_t n_holds);
/* ring_new_small: the same, whose own table grows as it fills: there may be thousands of such. */
struct ring *ring_new_small(uint64_t max_records, uint64_t max_bytes, size_t n_holds);
void ring_free(struct ring *ring); /* NULL-safe; no reader may be left. Thread init. */

/* ring_append_take: append n records in order, evicting from the tail what exceeds the bounds. Sets
 * seq, ordinal and bytes_before of each.
 * Owns  consumes one reference of each.  Thread source.  Blocks no.  Cost O(n + evicted). */
void ring_append_take(struct ring *ring, struct record *const *records, size_t n);

/* Where the ring stands, in one consistent look. */
struct ring_state {
    uint64_t tail_seq; /* oldest record there is; head_seq + 1 when empty */
    uint64_t head_seq; /* newest record ever appended; 0: none yet */
    uint64_t records;
    uint64_t bytes;
    uint64_t head_bytes;   /* charged bytes of all records ever appended */
    uint64_t head_ordinal; /* produced records up to the head */
    bool held;             /* the source is held back */
};
void ring_state(struct ring *ring, struct ring_state *state); /* any */

/* ring_read: up to max records from seq from on, in order, at least one if there is one and else no
 * more than max_bytes of charge. from below the tail reads nothing. Owns    the caller unrefs each
 * record.  Thread any.  Cost O(records).  Returns the count. */
size_t ring_read(
    struct ring *ring, uint64_t from, struct record **records, size_t max, uint64_t max_bytes);

/* ring_peek_ref: the record at seq with a reference, or NULL. The record just before the tail is
 * kept too, so that a gap that ends at the tail can name its end. Thread any. */
struct record *ring_peek_ref(struct ring *ring, uint64_t seq);

/* ring_place: what a subscriber that begins at *seq needs to know. *seq is moved into
 * tail..head + 1; *ordinal and *bytes are the counts before it; *before (may be NULL when *seq is
 * 1) is the record before it, with a reference. O(1). any. */
void ring_place(
    struct ring *ring, uint64_t *seq, uint64_t *ordinal, uint64_t *bytes, struct record **before);

/* ring_trim_point: the oldest seq s from which at most queue_records records and queue_bytes bytes
 * remain up to the head, but at least the newest record; never below the tail. O(log n). any. */
uint64_t ring_trim_point(struct ring *ring, uint64_t queue_records, uint64_t queue_bytes);

/* ring_keep_end: the first seq after from that no longer fits a queue of those bounds that begins
 * at from, or at the tail if that is later; at least from + 1. O(log n). any. */
uint64_t ring_keep_end(
    struct ring *ring, uint64_t from, uint64_t queue_records, uint64_t queue_bytes);

/* ring_find_time: the oldest seq whose time is >= time_ms, head + 1 when there is none. O(n). any.
 */
uint64_t ring_find_time(struct ring *ring, int64_t time_ms);

/* A shard's hold: the source may append while the head is below limit_seq and the head's bytes are
 * below limit_bytes; held, it goes on when it is at or below both resume marks. */
struct ring_hold {
    uint64_t limit_seq, limit_bytes;
    uint64_t resume_seq, resume_bytes;
    bool must; /* the shard has subscribers that must not lose */
    /* Up to here all was sent, or counted in a gap: to each of those; where the shard has none of
     * them, to one subscriber at least. 0: to nobody. */
    uint64_t settled_seq;
};
#define RING_HOLD_OPEN                                                                             \
    ((struct ring_hold){UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX, false, 0})

/* ring_hold_set: replace slot's hold. Returns true when this let a held source go: the caller then
 * wakes it. Thread shard (each slot has one writer). */
bool ring_hold_set(struct ring *ring, size_t slot, struct ring_hold hold);

/* ring_settled: up to which record all was sent or counted: the least of the shards that have
 * subscribers that must not lose, else the furthest of all. It never goes back. O(slots). any. */
uint64_t ring_settled(struct ring *ring);

/* ring_room: records that may be appended now, and into *bytes how many bytes of charge; both 0
 * while held. The last record may go over *bytes: what matters is that there was room before it.
 * Thread source. */
uint64_t ring_room(struct ring *ring, uint64_t *bytes);

#endif
