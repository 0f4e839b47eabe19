/* batch: a run of records encoded once in one format, shared by every subscriber that needs it.
 *
 * A batch is cut into units: the smallest pieces that a connection can be left in the middle of. A
 * unit is one frame (WebSocket), or one HTTP chunk of a few small records, or one compressed piece.
 * When a socket takes only part of a batch, the rest of the current unit must follow; everything
 * after it is still free to be dropped. Each unit knows where a subscriber stands that has all of
 * it. Thread  shard: a batch belongs to one shard and its reference count is plain. */
#ifndef HEADGATE_BATCH_H
#define HEADGATE_BATCH_H

#include "buf.h"
#include "coding.h"
#include "filter.h"
#include "framer.h"
#include "record.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What the bytes of a batch depend on; equal formats share. */
struct format {
    const struct framer *framer;
    enum envelope envelope;
    bool chunked;          /* HTTP/1.1 chunks around it */
    struct filter *filter; /* NULL: every record */
    enum coding coding;    /* of what is around the records */
    struct coder *coder;   /* the shard's; not used where coding is CODING_IDENTITY */
};

/* Where a subscriber stands: everything before seq is sent to it or accounted for. */
struct stand {
    uint64_t seq;     /* next record */
    uint64_t ordinal; /* produced records before it */
    uint64_t bytes;   /* charged bytes before it */
};

struct unit {
    uint32_t end;          /* offset in bytes of its end */
    uint32_t id_end;       /* end of its id in ids; it starts where the unit before ends */
    uint32_t step;         /* in track: where its id is not in ids */
    uint32_t records;      /* records (not gaps) from the batch's start to its end */
    struct stand stand;    /* after it */
    struct coding_sum sum; /* of gzip: its uncompressed bytes */
    struct track
        *track; /* NULL: its id is in ids. A reference, but not if the unit before has it */
};

struct batch {
    unsigned refs;
    unsigned pins;      /* connections that owe the rest of a large unit of it; see outlet_pin */
    struct stand stand; /* before it */
    struct buf bytes;
    struct record *lines; /* whose memory bytes is then, see record_block_new; else NULL */
    struct buf ids;  /* the id before the batch, then one for each unit's end that has no track */
    struct buf made; /* the last id that was made of a track */
    uint32_t first_id_end;
    struct unit *units;
    size_t n_units, cap_units;
    int64_t arrival_ns;  /* of the first record in it */
    uint32_t compressed; /* pieces; of a coded one */
    uint64_t raw_bytes;  /* before compression; of a coded one */
};

/* batch_encode: n >= 1 consecutive records from stand on, those that format's filter passes. A unit
 * ends behind the records that the filter passed over after it, so a batch's end is always past the
 * last record; where none passed, the batch is one unit without a byte. id_before is the token at
 * stand. first: nothing was sent before (JSON arrays). Cost: one copy of each record's text, none
 * of a block's. Returns a batch with one reference. */
struct batch *batch_encode(const struct format *format, struct stand stand, const char *id_before,
    size_t id_len, struct record *const *records, size_t n, bool first);

struct batch *batch_ref(struct batch *batch);
void batch_unref(struct batch *batch); /* NULL-safe */

/* batch_unit_at: the index of the unit that holds byte offset at (< bytes.len). O(log units). */
size_t batch_unit_at(const struct batch *batch, size_t at);

/* batch_unit_from: the index of the unit that begins at seq, or n_units when none does. */
size_t batch_unit_from(const struct batch *batch, uint64_t seq);

/* batch_unit_beyond: the least seq beyond seq at which a unit begins; UINT64_MAX: none. */
uint64_t batch_unit_beyond(const struct batch *batch, uint64_t seq);

/* batch_unit_start: offset of unit i's first byte. */
size_t batch_unit_start(const struct batch *batch, size_t i);

/* batch_id: the id at the start of unit i (i up to n_units: the end of the batch). Lent until the
 * next call. Cost O(1), O(lanes) where the record before it shows none. */
const char *batch_id(struct batch *batch, size_t i, size_t *len);

/* chunk_begin and chunk_end put an HTTP/1.1 chunk around what is appended between them. */
size_t chunk_begin(struct buf *out);
void chunk_end(struct buf *out, size_t begin);

/* piece_begin and piece_end: what is appended between them becomes one piece of a body in format: a
 * chunk where it has chunks, compressed where it is. piece_end adds its bytes to sum. Messages of a
 * WebSocket stay as they are. */
size_t piece_begin(const struct format *format, struct buf *out);
void piece_end(const struct format *format, struct buf *out, size_t begin, struct coding_sum *sum);

/* body_open, body_close: what a coded body has before and behind all pieces; sum is of all pieces.
 */
void body_open(const struct format *format, struct buf *out);
void body_close(const struct format *format, struct buf *out, const struct coding_sum *sum);

#endif
