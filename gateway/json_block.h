/* json_block: where in the next 64 bytes of a JSON text a string cannot simply go on, as bits: the
 * scanner (json_scan.c) finds the ends of strings by counting zeros in a register, without waiting
 * for memory at each of them. And the same of digits, for one number.
 *
 * With SSE2, which each x86-64 has, 16 bytes at a time; elsewhere 8. test_json_block holds both
 * against a look at each byte. Reads nothing outside of the text. Thread  any: no state. */
#ifndef HEADGATE_JSON_BLOCK_H
#define HEADGATE_JSON_BLOCK_H

#include <endian.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#define JSON_BLOCK_BYTES 64
#define JSON_ONES UINT64_C(0x0101010101010101)

struct json_block {
    const uint8_t *base;
    uint64_t special; /* bit i: base[i] is '"', '\\', below 0x20 or above 0x7F, or lies behind the
                         text's end */
};

static inline uint64_t
json_load_word(const uint8_t *at)
{
    uint64_t word;
    memcpy(&word, at, sizeof word);
    return le64toh(word); /* so that the lowest bits are the first byte everywhere */
}

/* The high bit of each byte that is 0. */
static inline uint64_t
json_zero_bytes(uint64_t word)
{
    const uint64_t low = JSON_ONES * 0x7F;
    return ~(((word & low) + low) | word | low);
}

/* The high bits of the eight bytes, together. */
static inline uint64_t
json_gather_bits(uint64_t highs)
{
    return (highs >> 7) * UINT64_C(0x0102040810204080) >> 56;
}

/* json_special_words: struct json_block's bits of the 64 bytes at at, on any processor. */
static inline uint64_t
json_special_words(const uint8_t *at)
{
    uint64_t bits = 0;
    for (unsigned i = 0; i < JSON_BLOCK_BYTES; i += 8) {
        uint64_t word = json_load_word(at + i);
        uint64_t special = json_zero_bytes(word & JSON_ONES * 0xE0) | (word & JSON_ONES * 0x80) |
                           json_zero_bytes(word ^ JSON_ONES * '"') |
                           json_zero_bytes(word ^ JSON_ONES * '\\');
        bits |= json_gather_bits(special) << i;
    }
    return bits;
}

/* json_others: bit i: at[i] is no digit, of JSON_DIGITS_BYTES. json_others_word: of eight bytes. */
static inline unsigned
json_others_word(const uint8_t *at)
{
    uint64_t moved = json_load_word(at) ^ JSON_ONES * '0'; /* digits are 0 to 9 */
    uint64_t over = (moved & JSON_ONES * 0x0F) + JSON_ONES * 6;
    return (unsigned)json_gather_bits(json_zero_bytes((moved | over) & JSON_ONES * 0xF0)) ^ 0xFF;
}

#ifdef __SSE2__
#define JSON_DIGITS_BYTES 16

static inline __m128i
json_load_16(const uint8_t *at)
{
    return _mm_loadu_si128((const __m128i *)(const void *)at);
}

/* As signed numbers, bytes from 0x80 on are below 0x20 too. */
static inline uint64_t
json_special_16(const uint8_t *at)
{
    __m128i bytes = json_load_16(at);
    __m128i low = _mm_cmplt_epi8(bytes, _mm_set1_epi8(0x20));
    __m128i quote = _mm_cmpeq_epi8(bytes, _mm_set1_epi8('"'));
    __m128i escape = _mm_cmpeq_epi8(bytes, _mm_set1_epi8('\\'));
    return (unsigned)_mm_movemask_epi8(_mm_or_si128(low, _mm_or_si128(quote, escape)));
}

/* json_same: len bytes at at are those at text; 16 more are readable behind both. */
static inline bool
json_same(const uint8_t *at, const uint8_t *text, size_t len)
{
    for (;; at += 16, text += 16, len -= 16) {
        __m128i same = _mm_cmpeq_epi8(json_load_16(at), json_load_16(text));
        unsigned others = ~(unsigned)_mm_movemask_epi8(same) & 0xFFFF;
        if (len <= 16) {
            return (others & ((1u << len) - 1)) == 0;
        }
        if (others != 0) {
            return false;
        }
    }
}

static inline uint64_t
json_special(const uint8_t *at)
{
    return json_special_16(at) | json_special_16(at + 16) << 16 | json_special_16(at + 32) << 32 |
           json_special_16(at + 48) << 48;
}

static inline unsigned
json_others(const uint8_t *at)
{
    __m128i moved = _mm_add_epi8(json_load_16(at), _mm_set1_epi8(0x50)); /* '0' is -128 now */
    return (unsigned)_mm_movemask_epi8(_mm_cmpgt_epi8(moved, _mm_set1_epi8(-128 + 9)));
}
#else
#define JSON_DIGITS_BYTES 8

static inline bool
json_same(const uint8_t *at, const uint8_t *text, size_t len)
{
    return memcmp(at, text, len) == 0;
}

static inline uint64_t
json_special(const uint8_t *at)
{
    return json_special_words(at);
}

static inline unsigned
json_others(const uint8_t *at)
{
    return json_others_word(at);
}
#endif

/* Of the text's last bytes, fewer than 64. */
static inline uint64_t
json_special_last(const uint8_t *first, const uint8_t *base, const uint8_t *end)
{
    size_t left = (size_t)(end - base);
    uint64_t bits = 0;
    if (end - first < JSON_BLOCK_BYTES) {
        uint8_t bytes[JSON_BLOCK_BYTES] = {0};
        memcpy(bytes, base, left);
        bits = json_special(bytes);
    } else if (left > 0) { /* those before base are shifted away */
        bits = json_special(end - JSON_BLOCK_BYTES) >> (JSON_BLOCK_BYTES - left);
    }
    return bits | UINT64_MAX << left;
}

/* json_block_load: of the text [first, end), what is from base on, base <= end. */
static inline void
json_block_load(
    struct json_block *block, const uint8_t *first, const uint8_t *base, const uint8_t *end)
{
    block->base = base;
    block->special =
        end - base >= JSON_BLOCK_BYTES ? json_special(base) : json_special_last(first, base, end);
}

#endif
