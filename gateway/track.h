/* track: where the records of a run stand when not each of them has a token of its own.
 *
 * Streams of many lanes have long tokens, so only some of their records (the marks) show one. A
 * track belongs to a mark and to those that follow it up to the next one: the position behind the
 * mark, and for each record after it the one lane that it moved. So the position behind any record
 * is known exactly, wherever the record is held: in the ring, in a batch, in a queue.
 *
 * Invariant: a step is written by the source thread before its record is published, and never
 * again; who holds the record may read the steps up to its own. Thread  any, but for track_step. */
#ifndef HEADGATE_TRACK_H
#define HEADGATE_TRACK_H

#include "buf.h"
#include "token.h"

#include <stddef.h>
#include <stdint.h>

/* Records of a track, its mark with them: the most that a resume repeats is one fewer. */
#define TRACK_RECORDS 64
/* At most, of as many lanes as a token holds. */
#define TRACK_BYTES_MAX (UINT64_C(16) << 10)

struct track;

/* track_new: behind a mark; rows as of token_encode, copied; keys outlive it. One reference. */
struct track *track_new(const struct token_lane *rows, size_t n, const struct token_keys *keys);
struct track *track_ref(struct track *track);
void track_unref(struct track *track); /* NULL-safe */

/* track_step: the next record moves rows[row] to next. Returns the record's step, from 1. Ask
 * track_has_room before. Thread source. */
bool track_has_room(const struct track *track);
uint32_t track_step(struct track *track, size_t row, uint64_t next);

/* track_add_token: append the token of the position behind the record at step, 0: the mark.
 * track_lanes: that position itself; the caller frees *rows. Returns the count. Cost O(lanes). */
void track_add_token(const struct track *track, uint32_t step, struct buf *out);
size_t track_lanes(const struct track *track, uint32_t step, struct token_lane **rows);

/* track_bytes: its allocation, with what malloc adds to it. */
uint64_t track_bytes(const struct track *track);

#endif
