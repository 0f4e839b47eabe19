/* test_token: tokens round-trip, and nothing but a token is taken. */
#include "token.h"
#include "unit.h"

#include <stdio.h>
#include <string.h>

static void
expect_round_trip(const struct token_lane *lanes, size_t n)
{
    struct buf text;
    struct token_lane *back = NULL;
    size_t n_back;
    struct err err;
    buf_init(&text);
    token_encode(&text, lanes, n);
    ck_assert_uint_le(text.len, TOKEN_MAX);
    ck_assert_int_eq(token_decode(text.bytes, text.len, &back, &n_back, &err), 0);
    ck_assert_uint_eq(n_back, n);
    for (size_t i = 0; i < n; i++) {
        ck_assert_uint_eq(back[i].group, lanes[i].group);
        ck_assert_uint_eq(back[i].partition, lanes[i].partition);
        ck_assert_uint_eq(back[i].next, lanes[i].next);
    }
    free(back);
    buf_fini(&text);
}

static void
expect_refused(const char *text, size_t len, const char *why)
{
    struct err err = {.code = ERR_NONE};
    struct token_lane *lanes = (struct token_lane *)&err;
    size_t n = 77;
    char *copy = malloc(len == 0 ? 1 : len);
    memcpy(copy, text, len);
    ck_assert_msg(token_decode(copy, len, &lanes, &n, &err) == -1, "%.*s", (int)len, text);
    free(copy);
    ck_assert_int_eq(err.code, ERR_INVALID);
    ck_assert_msg(why == NULL || strstr(err.text, why) != NULL, "%s", err.text);
    ck_assert_ptr_eq(lanes, (struct token_lane *)&err);
    ck_assert_uint_eq(n, 77);
}

START_TEST(the_group_hash_is_fnv_1a)
{
    /* The published test vectors of FNV-1a 32. */
    ck_assert_uint_eq(token_group_hash(""), 0x811c9dc5u);
    ck_assert_uint_eq(token_group_hash("a"), 0xe40c292cu);
    ck_assert_uint_eq(token_group_hash("foobar"), 0xbf9cf968u);
}
END_TEST

START_TEST(a_known_token_has_its_known_text)
{
    struct buf text;
    struct token_lane lanes[] = {{0x04030201u, 0, 42}, {0x04030201u, 2, 300}};
    buf_init(&text);
    token_encode(&text, lanes, 2);
    buf_addc(&text, '\0');
    /* 01 01 01020304 03 2b 00 ad02 */
    ck_assert_str_eq(text.bytes, "AQEBAgMEAysArQI");
    buf_fini(&text);
}
END_TEST

START_TEST(edge_positions_round_trip)
{
    struct token_lane lanes[] = {{0, 0, 0}, {0, 1, UINT64_MAX - 1}, {7, 0, 126}, {7, 1, 127},
        {7, 2, 128}, {7, 9, UINT64_C(1) << 62}, {UINT32_MAX, 2000, 1}};
    expect_round_trip(lanes, sizeof lanes / sizeof *lanes);
    expect_round_trip(lanes, 0);
}
END_TEST

START_TEST(random_positions_round_trip)
{
    unsigned seed = 11;
    for (int round = 0; round < 5000; round++) {
        struct token_lane lanes[64];
        size_t n = 0, want = (size_t)rand_r(&seed) % 64;
        uint32_t group = 0, partition = 0;
        while (n < want) {
            if (rand_r(&seed) % 4 == 0) {
                group += 1 + (uint32_t)rand_r(&seed) / 64;
                partition = 0;
            }
            uint64_t wide = (uint64_t)rand_r(&seed) << 31 | (uint64_t)rand_r(&seed);
            lanes[n++] = (struct token_lane){group, partition, wide >> rand_r(&seed) % 62};
            partition += 1 + (uint32_t)rand_r(&seed) % 3;
        }
        expect_round_trip(lanes, n);
    }
}
END_TEST

START_TEST(two_hundred_partitions_fit_well)
{
    struct token_lane lanes[600];
    struct buf text;
    buf_init(&text);
    for (uint32_t i = 0; i < 600; i++) {
        lanes[i] = (struct token_lane){9, i, UINT64_C(3000000000) + i};
    }
    token_encode(&text, lanes, 200);
    ck_assert_uint_lt(text.len, 1400);
    expect_round_trip(lanes, 600);
    buf_fini(&text);
}
END_TEST

START_TEST(a_token_cut_anywhere_is_refused)
{
    struct token_lane lanes[] = {{5, 0, 1000}, {5, 1, 70000}, {6, 3, 5}, {90, 0, 1}};
    struct buf text;
    buf_init(&text);
    for (size_t n = 1; n <= 4; n++) {
        text.len = 0;
        token_encode(&text, lanes, n);
        for (size_t len = 0; len < text.len; len++) {
            expect_refused(text.bytes, len, NULL);
        }
    }
    buf_fini(&text);
}
END_TEST

START_TEST(wrong_tokens_are_refused_with_a_reason)
{
    static const struct {
        const char *text, *why;
    } cases[] = {{"", "cut short"}, {"A", "cut short"}, {"AQ", "cut short"}, {"AgA", "version"},
        {"AAA", "version"}, {"AQA=", "character"}, {"AQ A", "character"}, {"AQ+A", "character"},
        {"AQ/A", "character"}, {"AQA\n", "character"}, {"\xC3\xA9", "character"},
        {"AQAA", "trailing"}, {"AQB", "canonical"},
        /* 01 81 00: one group, not minimal */ {"AYEA", "canonical"},
        /* 01 01 01020304 00: no partition */ {"AQEBAgMEAA", "canonical"},
        /* 01 01 01020304 01 00: the last partition is not there */ {"AQEBAgMEAQA", "canonical"},
        /* 01 01 01020304 01 8000 */ {"AQEBAgMEAYAA", "canonical"},
        /* 01 02 02000000 01 01 01000000 01 01: order */ {"AQICAAAAAQEBAAAAAQE", "canonical"},
        /* 01 02 01000000 01 01 01000000 01 01: twice */ {"AQIBAAAAAQEBAAAAAQE", "canonical"},
        /* 01 01 01000000 ffffffff0f ... */ {"AQEBAAAA_____w8B", "too many"},
        /* 01 then eleven bytes of a number */ {"Af____________8B", "64 bits"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        expect_refused(cases[i].text, strlen(cases[i].text), cases[i].why);
    }
    expect_refused("AQ\0", 3, "character");
}
END_TEST

START_TEST(a_token_over_the_bound_is_refused)
{
    char text[TOKEN_MAX + 1];
    memset(text, 'A', sizeof text);
    expect_refused(text, TOKEN_MAX + 1, "too long");
    expect_refused(text, TOKEN_MAX, "version");
}
END_TEST

START_TEST(what_is_taken_encodes_to_itself)
{
    static const char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    unsigned seed = 5;
    size_t n_taken = 0;
    struct buf again;
    buf_init(&again);
    for (int i = 0; i < 200000; i++) {
        char text[16] = "AQEBAgMEA";
        size_t len = 9 + (size_t)rand_r(&seed) % 7;
        for (size_t k = 9; k < len; k++) {
            text[k] = alphabet[(size_t)rand_r(&seed) % 64];
        }
        struct token_lane *lanes;
        size_t n;
        struct err err;
        if (token_decode(text, len, &lanes, &n, &err) == 0) {
            again.len = 0;
            token_encode(&again, lanes, n);
            ck_assert_uint_eq(again.len, len);
            ck_assert_mem_eq(again.bytes, text, len);
            free(lanes);
            n_taken++;
        }
    }
    ck_assert_uint_gt(n_taken, 100);
    buf_fini(&again);
}
END_TEST

UNIT_MAIN("token", the_group_hash_is_fnv_1a, a_known_token_has_its_known_text,
    edge_positions_round_trip, random_positions_round_trip, two_hundred_partitions_fit_well,
    a_token_cut_anywhere_is_refused, wrong_tokens_are_refused_with_a_reason,
    a_token_over_the_bound_is_refused, what_is_taken_encodes_to_itself)
