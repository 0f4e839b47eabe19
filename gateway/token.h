/* token: resume tokens. A position in every lane of a stream as a short URL-safe string.
 *
 * Bytes before base64url (RFC 4648 section 5, no padding):
 *   version 0x01
 *   varint T: topics (or files)
 *   T times: 4 bytes little-endian FNV-1a of the lane group's name, varint P: partitions,
 *            P times: varint next offset + 1, or 0 for a partition that is not in the token
 * Groups are in the order of their hash, partitions from 0, the last one of a group is in the
 * token. A token is at most TOKEN_MAX characters (about 890 partitions): a longer one is encoded,
 * but no decoder takes it, so lanes_add refuses what could make one. Thread  any: no state. */
#ifndef HEADGATE_TOKEN_H
#define HEADGATE_TOKEN_H

#include "buf.h"
#include "err.h"

#include <stddef.h>
#include <stdint.h>

/* A from= of this length fits HTTP_TARGET_MAX with a route and other parameters, and beside it a
 * Last-Event-ID fits HTTP_HEAD_MAX. */
#define TOKEN_MAX 7168
#define TOKEN_PARTITION_LIMIT 100000 /* partitions are below it */

/* One lane's place: the next offset to read from partition of group. */
struct token_lane {
    uint32_t group; /* token_group_hash of the topic's or file's name */
    uint32_t partition;
    uint64_t next;
};

/* token_group_hash: FNV-1a, 32 bits, of a lane group's name. */
uint32_t token_group_hash(const char *name);

/* token_encode: append the token of n lanes, which are sorted by (group, partition), unique, and
 * partition < TOKEN_PARTITION_LIMIT. Cost O(n), about 10 ns a lane. */
void token_encode(struct buf *out, const struct token_lane *lanes, size_t n);

/* token_decode: parse text[0..len) from an untrusted client.
 * Owns    *lanes is the caller's to free on success.
 * Errors  -1 and err: wrong characters, wrong version, cut short, trailing bytes, not canonical,
 *         over the bounds. */
int token_decode(
    const char *text, size_t len, struct token_lane **lanes, size_t *n, struct err *err);

#endif
