/* test_json_block: the fast loops against a look at each byte, for every length and place. */
#include "json_block.h"
#include "unit.h"

#include <stdbool.h>
#include <string.h>

static void
expect(uint64_t bits, const uint8_t *base, const uint8_t *end, const char *what)
{
    for (size_t i = 0; i < JSON_BLOCK_BYTES; i++) {
        const uint8_t *at = base + i;
        bool over = at >= end;
        bool special = over || *at < 0x20 || *at > 0x7F || *at == '"' || *at == '\\';
        if (((bits >> i & 1) != 0) != special) {
            ck_abort_msg("%s, byte %zu: %02x", what, i, over ? 0u : *at);
        }
    }
}

static void
expect_digits(const uint8_t *at)
{
    unsigned others = json_others(at), word = json_others_word(at);
    for (size_t i = 0; i < JSON_DIGITS_BYTES; i++) {
        bool other = at[i] < '0' || at[i] > '9';
        if (((others >> i & 1) != 0) != other || (i < 8 && ((word >> i & 1) != 0) != other)) {
            ck_abort_msg("digits, byte %zu: %02x", i, at[i]);
        }
    }
}

/* In memory of exactly that size, so that a sanitizer sees what is read beside it. */
static void
check(const uint8_t *bytes, size_t len)
{
    uint8_t *copy = malloc(len == 0 ? 1 : len);
    const uint8_t *end = copy + len;
    struct json_block block;
    if (len > 0) {
        memcpy(copy, bytes, len);
    }
    for (size_t from = 0; from <= len; from++) {
        json_block_load(&block, copy, copy + from, end);
        ck_assert_ptr_eq(block.base, copy + from);
        expect(block.special, copy + from, end, "block");
        if (len - from >= JSON_BLOCK_BYTES) {
            expect(json_special_words(copy + from), copy + from, end, "words");
        }
        if (len - from >= JSON_DIGITS_BYTES) {
            expect_digits(copy + from);
        }
    }
    free(copy);
}

START_TEST(each_byte_is_known_at_each_place)
{
    uint8_t bytes[JSON_BLOCK_BYTES];
    for (unsigned c = 0; c < 256; c++) {
        for (size_t at = 0; at < sizeof bytes; at++) {
            memset(bytes, at % 2 == 0 ? 'a' : '7', sizeof bytes);
            bytes[at] = (uint8_t)c;
            expect(json_special(bytes), bytes, bytes + sizeof bytes, "block");
            expect(json_special_words(bytes), bytes, bytes + sizeof bytes, "words");
            expect_digits(bytes);
        }
    }
}
END_TEST

START_TEST(random_bytes_of_every_length_are_known)
{
    unsigned seed = 11;
    uint8_t bytes[3 * JSON_BLOCK_BYTES];
    for (size_t len = 0; len <= sizeof bytes; len++) {
        for (int round = 0; round < 20; round++) {
            for (size_t i = 0; i < len; i++) {
                bytes[i] = (uint8_t)(rand_r(&seed) >> 4);
            }
            check(bytes, len);
        }
    }
}
END_TEST

UNIT_MAIN("json_block", each_byte_is_known_at_each_place, random_bytes_of_every_length_are_known)
