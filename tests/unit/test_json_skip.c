/* test_json_skip: the fast loops against a loop over bytes, at every place and length. */
#include "json_skip.h"
#include "unit.h"

#include <string.h>

static const uint8_t *
skip_bytes(const uint8_t *at, const uint8_t *end)
{
    while (at < end && *at >= 0x20 && *at < 0x80 && *at != '"' && *at != '\\') {
        at++;
    }
    return at;
}

/* In memory of exactly that size, so that a sanitizer sees what is read beside it. */
static void
check(const uint8_t *bytes, size_t len, size_t from)
{
    uint8_t *copy = malloc(len == 0 ? 1 : len);
    memcpy(copy, bytes, len);
    const uint8_t *want = skip_bytes(copy + from, copy + len);
    const uint8_t *words = json_skip_words(copy + from, copy + len);
    const uint8_t *plain = json_skip_plain(copy, copy + from, copy + len);
    if (words != want || plain != want) {
        ck_abort_msg("of %zu bytes from %zu: %td, words %td, plain %td", len, from, want - copy,
            words - copy, plain - copy);
    }
    free(copy);
}

START_TEST(each_byte_is_found_at_each_place)
{
    uint8_t bytes[40];
    for (unsigned c = 0; c < 256; c++) {
        for (size_t at = 0; at < sizeof bytes; at++) {
            memset(bytes, 'a', sizeof bytes);
            bytes[at] = (uint8_t)c;
            check(bytes, sizeof bytes, 0);
            check(bytes, at + 1, at);
        }
    }
}
END_TEST

START_TEST(what_lies_before_the_place_is_not_found)
{
    uint8_t bytes[48];
    memset(bytes, '"', sizeof bytes);
    for (size_t len = 0; len <= sizeof bytes; len++) {
        for (size_t from = 0; from <= len; from++) {
            memset(bytes, '"', from);
            memset(bytes + from, 'x', sizeof bytes - from);
            check(bytes, len, from);
        }
    }
}
END_TEST

START_TEST(random_bytes_are_skipped_alike)
{
    static const char alphabet[] = "abcdefghijklmnopqrstuvwxyz0123456789 ,:{}\"\\\n\x7F\x80\xC3";
    unsigned seed = 11;
    uint8_t bytes[100];
    for (int i = 0; i < 200000; i++) {
        size_t len = (size_t)rand_r(&seed) % sizeof bytes;
        size_t from = len == 0 ? 0 : (size_t)rand_r(&seed) % (len + 1);
        for (size_t k = 0; k < len; k++) {
            bytes[k] = (uint8_t)alphabet[(size_t)rand_r(&seed) % (sizeof alphabet - 1)];
        }
        check(bytes, len, from);
    }
}
END_TEST

UNIT_MAIN("json_skip", each_byte_is_found_at_each_place, what_lies_before_the_place_is_not_found,
    random_bytes_are_skipped_alike)
