/* json_block: where in the next 64 bytes of a JSON text a string cannot simply go on, and which of
 * them are digits, as bits. The scanner (json.c) then finds the ends of strings and numbers by
 * counting zeros in a register, without waiting for memory at each of them.
 *
 * With SSE2, which each x86-64 has, 16 bytes at a time; elsewhere 8. test_json_block holds both
 * against a look at each byte. Reads nothing outside of the text. Thread  any: no state. */
#ifndef HEADGATE_JSON_BLOCK_H
#define HEADGATE_JSON_BLOCK_H

#include <endian.h>
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
    uint64_t others;  /* bit i: base[i] is no digit, or lies behind the text's end */
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

/* json_mark_words: fill in the bits of the 64 bytes at at, on any processor. */
static inline void
json_mark_words(struct json_block *block, const uint8_t *at)
{
    block->special = block->others = 0;
    for (unsigned i = 0; i < JSON_BLOCK_BYTES; i += 8) {
        uint64_t word = json_load_word(at + i);
        uint64_t special = json_zero_bytes(word & JSON_ONES * 0xE0) | (word & JSON_ONES * 0x80) |
                           json_zero_bytes(word ^ JSON_ONES * '"') |
                           json_zero_bytes(word ^ JSON_ONES * '\\');
        uint64_t moved = word ^ JSON_ONES * '0'; /* digits are 0 to 9 */
        uint64_t over = (moved & JSON_ONES * 0x0F) + JSON_ONES * 6;
        uint64_t digits = json_zero_bytes((moved | over) & JSON_ONES * 0xF0);
        block->special |= json_gather_bits(special) << i;
        block->others |= (json_gather_bits(digits) ^ 0xFF) << i;
    }
}

#ifdef __SSE2__
/* As signed numbers, bytes from 0x80 on are below 0x20 too. */
static inline uint64_t
json_special_16(__m128i bytes)
{
    __m128i low = _mm_cmplt_epi8(bytes, _mm_set1_epi8(0x20));
    __m128i quote = _mm_cmpeq_epi8(bytes, _mm_set1_epi8('"'));
    __m128i escape = _mm_cmpeq_epi8(bytes, _mm_set1_epi8('\\'));
    return (unsigned)_mm_movemask_epi8(_mm_or_si128(low, _mm_or_si128(quote, escape)));
}

static inline uint64_t
json_others_16(__m128i bytes)
{
    __m128i moved = _mm_add_epi8(bytes, _mm_set1_epi8(0x50)); /* '0' is -128 now */
    return (unsigned)_mm_movemask_epi8(_mm_cmpgt_epi8(moved, _mm_set1_epi8(-128 + 9)));
}

static inline void
json_mark(struct json_block *block, const uint8_t *at)
{
    block->special = block->others = 0;
    for (unsigned i = 0; i < JSON_BLOCK_BYTES; i += 16) {
        __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)(at + i));
        block->special |= json_special_16(bytes) << i;
        block->others |= json_others_16(bytes) << i;
    }
}
#else
static inline void
json_mark(struct json_block *block, const uint8_t *at)
{
    json_mark_words(block, at);
}
#endif

/* The text's last bytes, fewer than 64. */
static inline void
json_block_load_last(struct json_block *block, const uint8_t *first, const uint8_t *end)
{
    size_t left = (size_t)(end - block->base);
    uint8_t bytes[JSON_BLOCK_BYTES] = {0};
    if (end - first >= JSON_BLOCK_BYTES) { /* those before base are shifted away */
        json_mark(block, end - JSON_BLOCK_BYTES);
        block->special = left == 0 ? 0 : block->special >> (JSON_BLOCK_BYTES - left);
        block->others = left == 0 ? 0 : block->others >> (JSON_BLOCK_BYTES - left);
    } else {
        memcpy(bytes, block->base, left);
        json_mark(block, bytes);
    }
    block->special |= UINT64_MAX << left;
    block->others |= UINT64_MAX << left;
}

/* json_block_load: of the text [first, end), what is from base on, base <= end. */
static inline void
json_block_load(
    struct json_block *block, const uint8_t *first, const uint8_t *base, const uint8_t *end)
{
    block->base = base;
    if (end - base >= JSON_BLOCK_BYTES) {
        json_mark(block, base);
    } else {
        json_block_load_last(block, first, end);
    }
}

#endif
