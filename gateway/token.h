/* token: resume tokens. A stream's position as a short URL-safe string: the next offset of every
 * lane or, where the source has no offsets, a cursor: bytes that only the source understands.
 *
 * Bytes before base64url (RFC 4648 section 5, no padding):
 *   first byte: bits 0 and 1 the version, 1; bit 2: signed; bit 3: a cursor; the others 0
 *   of lanes:   varint T: topics (or files), then T times:
 *               4 bytes little-endian FNV-1a of the lane group's name, varint P: partitions,
 *               P times: varint next offset + 1, or 0 for a partition that is not in the token
 *   of a cursor: its bytes, TOKEN_CURSOR_MAX at the most
 *   signed:     TOKEN_MAC_BYTES of a code over all bytes before and the stream's name, see
 *               token_keys.h
 * Groups are in the order of their hash, partitions from 0, the last one of a group is in the
 * token. So exactly one text of a key stands for a position, its first character is A, B, C or D,
 * and tokens of before there were signatures and cursors are of this form. A token is at most
 * TOKEN_MAX characters (about 890 partitions): a longer one is encoded, but no decoder takes it, so
 * lanes_add refuses what could make one. Thread  any: no state. */
#ifndef HEADGATE_TOKEN_H
#define HEADGATE_TOKEN_H

#include "buf.h"
#include "err.h"
#include "token_keys.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A from= of this length fits HTTP_TARGET_MAX with a route and other parameters, and beside it a
 * Last-Event-ID fits HTTP_HEAD_MAX. */
#define TOKEN_MAX 7168
#define TOKEN_PARTITION_LIMIT 100000 /* partitions are below it */
#define TOKEN_CURSOR_MAX 512

/* One lane's place: the next offset to read from partition of group. */
struct token_lane {
    uint32_t group; /* token_group_hash of the topic's or file's name */
    uint32_t partition;
    uint64_t next;
};

/* token_lane_before: the order of lanes in a token. */
static inline bool
token_lane_before(const struct token_lane *a, const struct token_lane *b)
{
    return a->group != b->group ? a->group < b->group : a->partition < b->partition;
}

/* token_group_hash: FNV-1a, 32 bits, of a lane group's name. */
uint32_t token_group_hash(const char *name);

/* token_encode: append the token of n lanes, which are sorted by (group, partition), unique, and
 * partition < TOKEN_PARTITION_LIMIT; signed with the first of keys, NULL: not signed. Cost O(n),
 * about 10 ns a lane, and the signature's. */
void token_encode(
    struct buf *out, const struct token_lane *lanes, size_t n, const struct token_keys *keys);

/* token_encode_cursor: the same of a cursor of at most TOKEN_CURSOR_MAX bytes. */
void token_encode_cursor(
    struct buf *out, const void *cursor, size_t len, const struct token_keys *keys);

/* What token_encode makes its text of, for who keeps it (token_writer.h). token_raw_bound: how many
 * bytes it is at most. token_raw: write it, without the code; at[i] is set to where the place of
 * lane i begins, where at is not NULL. Returns the length. token_raw_move: a place that takes room
 * bytes becomes next; 0, and nothing is written: it takes more or fewer. */
size_t token_raw_bound(const struct token_lane *lanes, size_t n);
size_t token_raw(uint8_t *raw, const struct token_lane *lanes, size_t n,
    const struct token_keys *keys, uint32_t *at);
size_t token_raw_move(uint8_t *raw, size_t room, uint64_t next);

/* What a token says. */
struct token {
    struct token_lane *lanes; /* owned: one allocation, in which cursor lies too; never NULL */
    size_t n_lanes;           /* 0 of a cursor */
    const uint8_t *cursor;    /* NULL: a token of lanes */
    size_t cursor_len;
};

/* token_decode: parse text[0..len) from an untrusted client. With keys it must be signed by one of
 * them, or unsigned where they take that. NULL: its form alone is checked, signed or not, which is
 * also for our own text.
 * Owns    token->lanes is the caller's to free on success.
 * Errors  -1 and err: wrong characters, wrong version, cut short, trailing bytes, not canonical,
 *         over the bounds; not signed, signed by none of keys. */
int token_decode(const char *text, size_t len, const struct token_keys *keys, struct token *token,
    struct err *err);

#endif
