/* coding: compressed bodies and WebSocket messages, made once for all who share them.
 *
 * A body is a row of pieces. Each is compressed by itself, with no reference to what was sent
 * before, and ends at a byte that a decoder shows everything up to: so a piece can be shared, left
 * out, or followed by any other, whatever the connection was sent before. Of gzip (RFC 1952) a
 * piece is some blocks of one deflate stream that a connection begins with a head and ends with a
 * trailer; its checksum is combined from those of the pieces. Of zstd (RFC 8878) a piece is a
 * frame. Of permessage-deflate (RFC 7692) it is one message, without context takeover. Thread
 * shard: a coder belongs to one; the functions on sums are for any. */
#ifndef HEADGATE_CODING_H
#define HEADGATE_CODING_H

#include "buf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum coding { CODING_IDENTITY, CODING_GZIP, CODING_ZSTD, CODING_MESSAGE };
#define CODING_COUNT 4
/* "identity", "gzip", "zstd", "permessage-deflate". */
extern const char *const coding_names[CODING_COUNT];

/* How: from the configuration. */
struct coding_options {
    int level;            /* 1 to 9 */
    uint64_t least_bytes; /* a smaller piece is not compressed */
};

/* A larger piece is not compressed either: it would hold up the others of the shard. */
#define CODING_MOST_BYTES (UINT64_C(1) << 20)
/* Small records share a piece: as much as the last ratio makes CODING_PIECE_BYTES of, at most
 * CODING_PIECE_MOST. A connection that stalls owes the rest of one. */
#define CODING_PIECE_BYTES 6144u
#define CODING_PIECE_MOST (32u * 1024u)
/* What a coder holds, at most, beside the piece in work. */
#define CODING_STATE_BYTES (UINT64_C(5) << 20)

struct coder;
struct coder *coder_new(const struct coding_options *options);
void coder_free(struct coder *coder); /* NULL-safe */

/* coder_piece_bytes: how much to compress together. */
size_t coder_piece_bytes(const struct coder *coder, enum coding coding);

/* coder_raw: an empty buffer for what coder_add is to compress; lent until then. */
struct buf *coder_raw(struct coder *coder);

/* coder_add: append the content of coder_raw (not empty) to out as one piece, and let go of it. Of
 * CODING_MESSAGE the content is one whole text frame, and so is the piece. What is too small or too
 * large, or does not become smaller, is put into the form of a piece as it is: then false.
 * Blocks no; O(bytes): some 10 ms for the largest. */
bool coder_add(struct coder *coder, enum coding coding, struct buf *out);

/* The uncompressed bytes of a piece, or of a body so far. Zeroed: none, as of a unit without one.
 */
struct coding_sum {
    uint32_t crc;
    uint32_t len; /* modulo 2^32, as gzip has it */
    uint32_t op;  /* of a piece: what appending it does to a checksum (zlib's crc32_combine_gen) */
};

/* coding_sum_of: of a piece. coding_sum_append: piece comes behind sum. */
struct coding_sum coding_sum_of(const char *bytes, size_t len);
void coding_sum_append(struct coding_sum *sum, const struct coding_sum *piece);

/* coding_open, coding_close: what is before all pieces of a body, and after them. May be nothing.
 */
void coding_open(enum coding coding, struct buf *out);
void coding_close(enum coding coding, const struct coding_sum *sum, struct buf *out);

#endif
