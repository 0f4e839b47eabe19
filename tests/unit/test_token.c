/* test_token: tokens round-trip, and nothing but a token is taken. */
#include "token.h"

#include "base64.h"
#include "config.h"
#include "token_writer.h"
#include "unit.h"

#include <stdio.h>
#include <string.h>

static void
expect_round_trip(const struct token_lane *lanes, size_t n)
{
    struct buf text;
    struct token back;
    struct err err;
    buf_init(&text);
    token_encode(&text, lanes, n, NULL);
    ck_assert_uint_le(text.len, TOKEN_MAX);
    ck_assert_int_eq(token_decode(text.bytes, text.len, NULL, &back, &err), 0);
    ck_assert_uint_eq(back.n_lanes, n);
    ck_assert_ptr_null(back.cursor);
    for (size_t i = 0; i < n; i++) {
        ck_assert_uint_eq(back.lanes[i].group, lanes[i].group);
        ck_assert_uint_eq(back.lanes[i].partition, lanes[i].partition);
        ck_assert_uint_eq(back.lanes[i].next, lanes[i].next);
    }
    free(back.lanes);
    buf_fini(&text);
}

static void
expect_refused_with(const struct token_keys *keys, const char *text, size_t len, const char *why)
{
    struct err err = {.code = ERR_NONE};
    struct token token = {.n_lanes = 77};
    char *copy = malloc(len == 0 ? 1 : len);
    memcpy(copy, text, len);
    ck_assert_msg(token_decode(copy, len, keys, &token, &err) == -1, "%.*s", (int)len, text);
    free(copy);
    ck_assert_int_eq(err.code, ERR_INVALID);
    ck_assert_msg(why == NULL || strstr(err.text, why) != NULL, "%s", err.text);
    ck_assert_uint_eq(token.n_lanes, 77);
}

static void
expect_refused(const char *text, size_t len, const char *why)
{
    expect_refused_with(NULL, text, len, why);
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
    token_encode(&text, lanes, 2, NULL);
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
    token_encode(&text, lanes, 200, NULL);
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
        token_encode(&text, lanes, n, NULL);
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
        {"AAA", "version"}, {"EQA", "version"}, {"BQA", "cut short"}, {"AQA=", "character"},
        {"AQ A", "character"}, {"AQ+A", "character"}, {"AQ/A", "character"}, {"AQA\n", "character"},
        {"\xC3\xA9", "character"}, {"AQAA", "trailing"}, {"AQB", "canonical"},
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
        struct token token;
        struct err err;
        if (token_decode(text, len, NULL, &token, &err) == 0) {
            again.len = 0;
            token_encode(&again, token.lanes, token.n_lanes, NULL);
            ck_assert_uint_eq(again.len, len);
            ck_assert_mem_eq(again.bytes, text, len);
            free(token.lanes);
            n_taken++;
        }
    }
    ck_assert_uint_gt(n_taken, 100);
    buf_fini(&again);
}
END_TEST

/* ---- signatures ---- */

static struct token_keys *
keys_of(const char *stream, bool accept_unsigned, char *first, char *second)
{
    char *items[] = {first, second};
    struct config_tokens config = {
        .keys = {items, second == NULL ? 1 : 2}, .accept_unsigned = accept_unsigned};
    return token_keys_new(&config, stream);
}

static char key_a[] = "0123456789abcdef0123456789abcdef";
static char key_b[] = "another key, of thirty-two bytes or more";
static const struct token_lane some_lanes[] = {{5, 0, 1000}, {5, 1, 70000}, {9, 3, 5}};

static void
expect_taken_with(const struct token_keys *keys, const struct buf *text)
{
    struct token token;
    struct err err = {.code = ERR_NONE};
    ck_assert_msg(token_decode(text->bytes, text->len, keys, &token, &err) == 0, "%s", err.text);
    ck_assert_uint_eq(token.n_lanes, 3);
    ck_assert_uint_eq(token.lanes[2].next, 5);
    free(token.lanes);
}

START_TEST(a_signed_token_has_its_known_text)
{
    struct token_keys *keys = keys_of("orders", false, key_a, NULL);
    struct token_lane lanes[] = {{0x04030201u, 0, 42}, {0x04030201u, 2, 300}};
    struct buf text;
    buf_init(&text);
    token_encode(&text, lanes, 2, keys);
    buf_addc(&text, '\0');
    /* 05 01 01020304 03 2b 00 ad02 and 16 bytes that Python's hmac made of it. */
    ck_assert_str_eq(text.bytes, "BQEBAgMEAysArQLkDvUvrA25GOJMLQi_UEmu");
    buf_fini(&text);
    token_keys_free(keys);
}
END_TEST

START_TEST(without_keys_nothing_is_signed)
{
    struct config_tokens none = {.accept_unsigned = true};
    ck_assert_ptr_null(token_keys_new(NULL, "orders"));
    ck_assert_ptr_null(token_keys_new(&none, "orders"));
    token_keys_free(NULL);
}
END_TEST

START_TEST(a_signed_token_is_taken_at_its_stream_only)
{
    struct token_keys *keys = keys_of("orders", false, key_a, NULL);
    struct token_keys *other = keys_of("order", false, key_a, NULL);
    struct buf text;
    buf_init(&text);
    token_encode(&text, some_lanes, 3, keys);
    expect_taken_with(keys, &text);
    expect_taken_with(NULL, &text); /* where there are no keys the form is all that counts */
    expect_refused_with(other, text.bytes, text.len, "signature");
    buf_fini(&text);
    token_keys_free(keys);
    token_keys_free(other);
}
END_TEST

START_TEST(no_bit_of_a_signed_token_can_be_changed)
{
    static const char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    struct token_keys *keys = keys_of("orders", false, key_a, key_b);
    struct buf text;
    buf_init(&text);
    token_encode(&text, some_lanes, 3, keys);
    for (size_t i = 0; i < text.len; i++) {
        for (const char *c = alphabet; *c != '\0'; c++) {
            char was = text.bytes[i];
            text.bytes[i] = *c;
            if (*c != was) {
                expect_refused_with(keys, text.bytes, text.len, NULL);
            }
            text.bytes[i] = was;
        }
        expect_refused_with(keys, text.bytes, i, NULL);
    }
    expect_taken_with(keys, &text);
    buf_fini(&text);
    token_keys_free(keys);
}
END_TEST

START_TEST(keys_can_be_rotated)
{
    struct token_keys *old = keys_of("s", false, key_a, NULL);
    struct token_keys *added = keys_of("s", false, key_a, key_b);
    struct token_keys *turned = keys_of("s", false, key_b, key_a);
    struct token_keys *alone = keys_of("s", false, key_b, NULL);
    struct buf by_a, by_b;
    buf_init(&by_a);
    buf_init(&by_b);
    token_encode(&by_a, some_lanes, 3, added);
    token_encode(&by_b, some_lanes, 3, turned);
    expect_taken_with(old, &by_a);
    expect_taken_with(added, &by_b);
    expect_taken_with(turned, &by_a);
    expect_taken_with(alone, &by_b);
    expect_refused_with(old, by_b.bytes, by_b.len, "signature");
    expect_refused_with(alone, by_a.bytes, by_a.len, "signature");
    buf_fini(&by_a);
    buf_fini(&by_b);
    token_keys_free(old);
    token_keys_free(added);
    token_keys_free(turned);
    token_keys_free(alone);
}
END_TEST

START_TEST(an_unsigned_token_is_taken_only_where_the_keys_say_so)
{
    struct token_keys *strict = keys_of("s", false, key_a, NULL);
    struct token_keys *lenient = keys_of("s", true, key_a, NULL);
    struct buf text;
    buf_init(&text);
    token_encode(&text, some_lanes, 3, NULL);
    expect_refused_with(strict, text.bytes, text.len, "not signed");
    expect_taken_with(lenient, &text);
    text.len = 0;
    token_encode(&text, some_lanes, 3, lenient);
    text.bytes[text.len - 2] ^= 1;
    expect_refused_with(lenient, text.bytes, text.len, NULL);
    buf_fini(&text);
    token_keys_free(strict);
    token_keys_free(lenient);
}
END_TEST

/* ---- cursors ---- */

START_TEST(cursors_round_trip)
{
    uint8_t cursor[TOKEN_CURSOR_MAX];
    struct token_keys *keys = keys_of("s", false, key_a, NULL);
    struct buf text;
    buf_init(&text);
    for (size_t i = 0; i < sizeof cursor; i++) {
        cursor[i] = (uint8_t)(i * 7);
    }
    for (size_t len = 0; len <= sizeof cursor; len++) {
        const struct token_keys *with = len % 2 == 0 ? keys : NULL;
        struct token back;
        struct err err;
        text.len = 0;
        token_encode_cursor(&text, cursor, len, with);
        ck_assert_int_eq(token_decode(text.bytes, text.len, with, &back, &err), 0);
        ck_assert_uint_eq(back.n_lanes, 0);
        ck_assert_uint_eq(back.cursor_len, len);
        ck_assert_ptr_nonnull(back.cursor);
        ck_assert(memcmp(back.cursor, cursor, len) == 0);
        free(back.lanes);
    }
    buf_fini(&text);
    token_keys_free(keys);
}
END_TEST

START_TEST(a_cursor_over_its_bound_is_refused)
{
    uint8_t raw[1 + TOKEN_CURSOR_MAX + 1] = {0x09};
    char text[BASE64_LEN(sizeof raw)];
    size_t len = base64_url_encode(text, raw, sizeof raw);
    expect_refused(text, len, "too long");
}
END_TEST

/* ---- a position that moves ---- */

static void
expect_same_text(struct token_writer *writer, const struct token_lane *lanes, size_t n,
    size_t moved, const struct token_keys *keys)
{
    struct buf got, expected;
    buf_init(&got);
    buf_init(&expected);
    buf_adds(&got, "before");
    buf_adds(&expected, "before");
    token_writer_add(writer, &got, lanes, n, moved, keys);
    token_encode(&expected, lanes, n, keys);
    ck_assert_msg(got.len == expected.len && memcmp(got.bytes, expected.bytes, got.len) == 0,
        "%.*s is not %.*s", (int)got.len, got.bytes, (int)expected.len, expected.bytes);
    buf_fini(&got);
    buf_fini(&expected);
}

/* Steps of one, leaps over the lengths of a place, back to an older one, and at times another lane
 * behind the writer's back. */
static void
move_about(struct token_lane *lanes, size_t n, const struct token_keys *keys)
{
    struct token_writer writer = {.n = 0};
    unsigned random = 1;
    expect_same_text(&writer, lanes, n, 0, keys);
    for (int i = 0; i < 3000; i++) {
        random = random * 1103515245u + 12345u;
        size_t moved = (random >> 8) % n;
        uint64_t *next = &lanes[moved].next;
        *next = i % 97 == 0 ? *next * 128 + 127 : i % 89 == 0 ? 0 : *next + random % 3;
        *next = *next > UINT64_MAX / 256 ? 5 : *next;
        if (i % 61 == 0) {
            lanes[(moved + 1) % n].next++;
        }
        expect_same_text(&writer, lanes, n, moved, keys);
    }
    lanes[n - 1].partition++; /* the same places of other lanes */
    expect_same_text(&writer, lanes, n, 0, keys);
    expect_same_text(&writer, lanes, n - 1, 0, keys);
    expect_same_text(&writer, lanes, n, n - 1, keys);
    expect_same_text(&writer, lanes, 0, 0, keys);
    token_writer_fini(&writer);
}

START_TEST(a_writer_of_moving_positions_writes_what_is_encoded_anew)
{
    struct token_keys *keys = keys_of("s", false, key_a, NULL);
    struct token_lane one[] = {{9, 0, 0}};
    struct token_lane some[] = {{7, 0, 0}, {7, 1, 126}, {7, 4, 16382}, {9, 0, 1}, {9, 11, 3},
        {1u << 31, 2, UINT64_C(1) << 40}};
    move_about(one, 1, NULL);
    move_about(one, 1, keys);
    move_about(some, sizeof some / sizeof *some, NULL);
    move_about(some, sizeof some / sizeof *some, keys);
    token_keys_free(keys);
}
END_TEST

UNIT_MAIN("token", the_group_hash_is_fnv_1a, a_known_token_has_its_known_text,
    edge_positions_round_trip, random_positions_round_trip, two_hundred_partitions_fit_well,
    a_token_cut_anywhere_is_refused, wrong_tokens_are_refused_with_a_reason,
    a_token_over_the_bound_is_refused, what_is_taken_encodes_to_itself,
    a_signed_token_has_its_known_text, without_keys_nothing_is_signed,
    a_signed_token_is_taken_at_its_stream_only, no_bit_of_a_signed_token_can_be_changed,
    keys_can_be_rotated, an_unsigned_token_is_taken_only_where_the_keys_say_so, cursors_round_trip,
    a_cursor_over_its_bound_is_refused, a_writer_of_moving_positions_writes_what_is_encoded_anew)
