/* token: resume tokens as token.h describes them. Any thread; no state.
 *
 * Exactly one text stands for a position: varints are minimal, the last partition of a group is one
 * that is there, unused bits are zero. So tokens can be compared as text, and a decoded token
 * encodes to itself. */
#include "token.h"

#include "base64.h"
#include "hash.h"
#include "mem.h"

#include <assert.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define VERSION 0x01
#define SIGNED 0x04
#define CURSOR 0x08
#define VARINT_MAX 10
#define RAW_MAX (TOKEN_MAX / 4 * 3)

uint32_t
token_group_hash(const char *name)
{
    return hash_fnv1a(name, strlen(name));
}

static uint8_t *
put_varint(uint8_t *to, uint64_t value)
{
    for (; value >= 0x80; value >>= 7) {
        *to++ = (uint8_t)(value | 0x80);
    }
    *to++ = (uint8_t)value;
    return to;
}

static uint8_t *
put_hash(uint8_t *to, uint32_t hash)
{
    for (int i = 0; i < 4; i++) {
        *to++ = (uint8_t)(hash >> 8 * i);
    }
    return to;
}

/* How many of the lanes, from the first one on, are of the first one's group. */
static size_t
group_length(const struct token_lane *lanes, size_t n)
{
    size_t len = 1;
    while (len < n && lanes[len].group == lanes[0].group) {
        assert(lanes[len].partition > lanes[len - 1].partition);
        len++;
    }
    assert(len == n || lanes[len].group > lanes[0].group);
    assert(lanes[len - 1].partition < TOKEN_PARTITION_LIMIT);
    return len;
}

/* at, where it is not NULL: where in raw each lane's place begins. */
static uint8_t *
put_group(uint8_t *raw, uint8_t *to, const struct token_lane *lanes, size_t n, uint32_t *at)
{
    uint32_t partition = 0;
    to = put_hash(to, lanes[0].group);
    to = put_varint(to, (uint64_t)lanes[n - 1].partition + 1);
    for (size_t i = 0; i < n; i++, partition++) {
        for (; partition < lanes[i].partition; partition++) {
            *to++ = 0;
        }
        assert(lanes[i].next != UINT64_MAX);
        if (at != NULL) {
            at[i] = (uint32_t)(to - raw);
        }
        to = put_varint(to, lanes[i].next + 1);
    }
    return to;
}

static size_t
count_groups(const struct token_lane *lanes, size_t n)
{
    size_t groups = 0;
    for (size_t i = 0; i < n; groups++) {
        i += group_length(lanes + i, n - i);
    }
    return groups;
}

static uint8_t
first_byte(const struct token_keys *keys)
{
    return (uint8_t)(VERSION | (keys == NULL ? 0 : SIGNED));
}

size_t
token_raw_bound(const struct token_lane *lanes, size_t n)
{
    size_t bound = 1 + VARINT_MAX;
    for (size_t i = 0; i < n;) {
        size_t len = group_length(lanes + i, n - i);
        size_t partitions = (size_t)lanes[i + len - 1].partition + 1;
        bound += 4 + VARINT_MAX + (partitions - len) + len * VARINT_MAX;
        i += len;
    }
    return bound;
}

size_t
token_raw(uint8_t *raw, const struct token_lane *lanes, size_t n, const struct token_keys *keys,
    uint32_t *at)
{
    raw[0] = first_byte(keys);
    uint8_t *to = put_varint(raw + 1, count_groups(lanes, n));
    for (size_t i = 0; i < n;) {
        size_t len = group_length(lanes + i, n - i);
        to = put_group(raw, to, lanes + i, len, at == NULL ? NULL : at + i);
        i += len;
    }
    return (size_t)(to - raw);
}

size_t
token_raw_move(uint8_t *raw, size_t room, uint64_t next)
{
    uint8_t bytes[VARINT_MAX];
    size_t len = (size_t)(put_varint(bytes, next + 1) - bytes);
    if (len != room) {
        return 0;
    }
    memcpy(raw, bytes, len);
    return len;
}

/* Room for the text of bound bytes and a code. The raw bytes lie behind it, so that neither needs
 * memory of its own. */
static uint8_t *
begin(struct buf *out, size_t bound)
{
    bound += TOKEN_MAC_BYTES;
    return (uint8_t *)buf_reserve(out, BASE64_LEN(bound) + bound) + BASE64_LEN(bound);
}

/* What is from raw up to to, signed, becomes text at the end of out. */
static void
finish(struct buf *out, uint8_t *raw, uint8_t *to, const struct token_keys *keys)
{
    size_t len = (size_t)(to - raw);
    if (keys != NULL) {
        token_keys_sign(keys, raw, len, to);
        len += TOKEN_MAC_BYTES;
    }
    out->len += base64_url_encode(out->bytes + out->len, raw, len);
}

void
token_encode(
    struct buf *out, const struct token_lane *lanes, size_t n, const struct token_keys *keys)
{
    uint8_t *raw = begin(out, token_raw_bound(lanes, n));
    finish(out, raw, raw + token_raw(raw, lanes, n, keys, NULL), keys);
}

void
token_encode_cursor(struct buf *out, const void *cursor, size_t len, const struct token_keys *keys)
{
    assert(len <= TOKEN_CURSOR_MAX);
    uint8_t *raw = begin(out, 1 + len);
    raw[0] = first_byte(keys) | CURSOR;
    if (len > 0) {
        memcpy(raw + 1, cursor, len);
    }
    finish(out, raw, raw + 1 + len, keys);
}

/* The six bits of a character of the URL-safe alphabet, or -1. */
static int
sextet(char c)
{
    if (c >= 'A' && c <= 'Z') {
        return c - 'A';
    }
    if (c >= 'a' && c <= 'z') {
        return c - 'a' + 26;
    }
    if (c >= '0' && c <= '9') {
        return c - '0' + 52;
    }
    return c == '-' ? 62 : c == '_' ? 63 : -1;
}

/* Decodes text into raw, which has room for RAW_MAX bytes; NULL or what is wrong. */
static const char *
decode_text(const char *text, size_t len, uint8_t *raw, size_t *raw_len)
{
    uint32_t bits = 0;
    unsigned n_bits = 0;
    size_t n = 0;
    if (len > TOKEN_MAX) {
        return "too long";
    }
    for (size_t i = 0; i < len; i++) {
        int value = sextet(text[i]);
        if (value < 0) {
            return "a character that is not base64url";
        }
        bits = bits << 6 | (uint32_t)value;
        n_bits += 6;
        if (n_bits >= 8) {
            n_bits -= 8;
            raw[n++] = (uint8_t)(bits >> n_bits);
            bits &= (UINT32_C(1) << n_bits) - 1;
        }
    }
    if (n_bits == 6) {
        return "cut short";
    }
    if (bits != 0) {
        return "not in its canonical form";
    }
    *raw_len = n;
    return NULL;
}

struct reader {
    const uint8_t *at;
    const uint8_t *end;
    struct token_lane *lanes;
    size_t n;
};

static const char *
take_varint(struct reader *reader, uint64_t *value)
{
    uint64_t sum = 0;
    for (unsigned shift = 0; reader->at < reader->end; shift += 7) {
        uint8_t byte = *reader->at++;
        if (shift == 63 && byte > 1) {
            return "a number over 64 bits";
        }
        sum |= (uint64_t)(byte & 0x7F) << shift;
        if (byte < 0x80) {
            *value = sum;
            return byte == 0 && shift != 0 ? "not in its canonical form" : NULL;
        }
    }
    return "cut short";
}

/* The partitions of one group. Each takes a byte at least, which bounds the loop. */
static const char *
take_partitions(struct reader *reader, uint32_t group)
{
    uint64_t partitions, next = 0;
    const char *wrong = take_varint(reader, &partitions);
    if (wrong != NULL) {
        return wrong;
    }
    if (partitions > TOKEN_PARTITION_LIMIT) {
        return "too many partitions";
    }
    for (uint32_t partition = 0; partition < partitions; partition++) {
        wrong = take_varint(reader, &next);
        if (wrong != NULL) {
            return wrong;
        }
        if (next != 0) {
            reader->lanes[reader->n++] = (struct token_lane){group, partition, next - 1};
        }
    }
    return next == 0 ? "not in its canonical form" : NULL;
}

static const char *
take_groups(struct reader *reader, uint64_t groups)
{
    uint32_t last = 0;
    for (uint64_t i = 0; i < groups; i++) {
        if (reader->end - reader->at < 4) {
            return "cut short";
        }
        uint32_t group = 0;
        for (int k = 0; k < 4; k++) {
            group |= (uint32_t)*reader->at++ << 8 * k;
        }
        if (i != 0 && group <= last) {
            return "not in its canonical form";
        }
        last = group;
        const char *wrong = take_partitions(reader, group);
        if (wrong != NULL) {
            return wrong;
        }
    }
    return reader->at == reader->end ? NULL : "trailing bytes";
}

/* Look at the code at the end of raw, which is not empty, and take it off *len. */
static const char *
take_signature(const uint8_t *raw, size_t *len, const struct token_keys *keys)
{
    if ((raw[0] & SIGNED) == 0) {
        return keys == NULL || token_keys_take_unsigned(keys) ? NULL : "it is not signed";
    }
    if (*len < 1 + TOKEN_MAC_BYTES) {
        return "cut short";
    }
    *len -= TOKEN_MAC_BYTES;
    return keys == NULL || token_keys_verify(keys, raw, *len, raw + *len)
               ? NULL
               : "its signature is not of this stream";
}

static const char *
take_cursor(struct token *token, const uint8_t *at, size_t len)
{
    if (len > TOKEN_CURSOR_MAX) {
        return "too long";
    }
    token->lanes = mem_alloc(len + 1);
    token->cursor = memcpy(token->lanes, at, len);
    token->cursor_len = len;
    return NULL;
}

static const char *
take_lanes(struct token *token, const uint8_t *at, size_t len)
{
    struct reader reader = {at, at + len, mem_calloc(len + 1, sizeof *reader.lanes), 0};
    uint64_t groups;
    const char *wrong = take_varint(&reader, &groups);
    if (wrong == NULL) {
        wrong = take_groups(&reader, groups);
    }
    if (wrong != NULL) {
        free(reader.lanes);
        return wrong;
    }
    token->lanes = mem_realloc(reader.lanes, (reader.n + 1) * sizeof *reader.lanes);
    token->n_lanes = reader.n;
    return NULL;
}

static const char *
take_token(struct token *token, const char *text, size_t text_len, const struct token_keys *keys)
{
    uint8_t raw[RAW_MAX] = {0};
    size_t len = 0;
    const char *wrong = decode_text(text, text_len, raw, &len);
    if (wrong != NULL || len == 0) {
        return wrong != NULL ? wrong : "cut short";
    }
    if ((raw[0] & ~(SIGNED | CURSOR)) != VERSION) {
        return "unknown version";
    }
    wrong = take_signature(raw, &len, keys);
    if (wrong != NULL) {
        return wrong;
    }
    return (raw[0] & CURSOR) != 0 ? take_cursor(token, raw + 1, len - 1)
                                  : take_lanes(token, raw + 1, len - 1);
}

int
token_decode(const char *text, size_t len, const struct token_keys *keys, struct token *token,
    struct err *err)
{
    struct token got = {.lanes = NULL};
    const char *wrong = take_token(&got, text, len, keys);
    if (wrong != NULL) {
        err_set(err, ERR_INVALID, "not a resume token: %s", wrong);
        return -1;
    }
    *token = got;
    return 0;
}
