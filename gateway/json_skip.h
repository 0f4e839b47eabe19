/* json_skip: how far a JSON string goes on with bytes that need no look: the one loop that most
 * bytes of most payloads go through. Sixteen at a time where the processor has SSE2 (each x86-64
 * has), else eight; test_json_skip holds both against a loop over bytes. Reads [first, end) alone.
 * Thread  any: no state. */
#ifndef HEADGATE_JSON_SKIP_H
#define HEADGATE_JSON_SKIP_H

#include <endian.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#define JSON_ONES UINT64_C(0x0101010101010101)
#define JSON_HIGHS (JSON_ONES * 0x80)

static inline uint64_t
json_load_word(const uint8_t *at)
{
    uint64_t word;
    memcpy(&word, at, sizeof word);
    return le64toh(word); /* so that the lowest bits are the first byte everywhere */
}

/* The high bit of each byte that equals c. Bytes above the first hit may be false: a borrow. */
static inline uint64_t
json_bytes_equal(uint64_t word, uint8_t c)
{
    uint64_t diff = word ^ (JSON_ONES * c);
    return (diff - JSON_ONES) & ~diff & JSON_HIGHS;
}

/* The high bit of each byte below 0x20, quote or backslash; exact up to the first hit. */
static inline uint64_t
json_bytes_special(uint64_t word)
{
    uint64_t control = (word - JSON_ONES * 0x20) & ~word & JSON_HIGHS;
    return control | json_bytes_equal(word, '"') | json_bytes_equal(word, '\\');
}

static inline size_t
json_first_byte(uint64_t mask)
{
    return (size_t)__builtin_ctzll(mask) / 8;
}

/* json_skip_words: as json_skip_plain, on any processor. */
static inline const uint8_t *
json_skip_words(const uint8_t *at, const uint8_t *end)
{
    while (end - at >= 8) {
        uint64_t word = json_load_word(at);
        uint64_t mask = json_bytes_special(word) | (word & JSON_HIGHS);
        if (mask != 0) {
            return at + json_first_byte(mask);
        }
        at += 8;
    }
    while (at < end && *at >= 0x20 && *at < 0x80 && *at != '"' && *at != '\\') {
        at++;
    }
    return at;
}

#ifdef __SSE2__
/* A bit for each of 16 bytes that is no plain text of a string. As signed numbers, bytes from 0x80
 * on are below 0x20 too. */
static inline unsigned
json_special_16(const uint8_t *at)
{
    __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)at);
    __m128i low = _mm_cmplt_epi8(bytes, _mm_set1_epi8(0x20));
    __m128i quote = _mm_cmpeq_epi8(bytes, _mm_set1_epi8('"'));
    __m128i escape = _mm_cmpeq_epi8(bytes, _mm_set1_epi8('\\'));
    return (unsigned)_mm_movemask_epi8(_mm_or_si128(low, _mm_or_si128(quote, escape)));
}

/* json_skip_plain: the first byte from at that is not plain ASCII text of a string; end when there
 * is none. first: where the text begins, at most at. */
static inline const uint8_t *
json_skip_plain(const uint8_t *first, const uint8_t *at, const uint8_t *end)
{
    while (end - at >= 16) {
        unsigned mask = json_special_16(at);
        if (mask != 0) {
            return at + __builtin_ctz(mask);
        }
        at += 16;
    }
    if (end - first < 16) {
        return json_skip_words(at, end);
    }
    /* The last sixteen bytes of the text, without those before at. */
    unsigned mask = json_special_16(end - 16) >> (16 - (end - at));
    return mask != 0 ? at + __builtin_ctz(mask) : end;
}
#else
static inline const uint8_t *
json_skip_plain(const uint8_t *first, const uint8_t *at, const uint8_t *end)
{
    (void)first;
    return json_skip_words(at, end);
}
#endif

#endif
