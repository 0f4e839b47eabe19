/* test_resume: subscribers that come back with a token of another replica, whose ring had the same
 * partitions in another order, or to a replica whose source has not answered yet. */
#include "gateway_fixture.h"

#include "clock.h"
#include "connector.h"
#include "token.h"
#include "unit.h"

#include <stdio.h>
#include <string.h>

#define EACH 20 /* records of each of the two lanes; the payload's n is lane * EACH + offset */

/* ---- a source that says nothing before the test makes it ---- */

static struct source {
    int nothing;
} silent;

static struct source *
start_silent(
    const void *settings, struct stream *stream, const struct replay *replay, struct err *err)
{
    (void)settings;
    (void)stream;
    (void)replay;
    (void)err;
    return &silent;
}

static void
ignore(struct source *source)
{
    (void)source;
}

static const struct connector silent_connector = {
    .name = "silent", .start = start_silent, .wake = ignore, .stop = ignore};

static struct gateway *
run_silent(void)
{
    struct gateway *gateway = fixture_new();
    gateway->stream_config.connector = &silent_connector;
    gateway->config.max_filters = 10;
    fixture_start(gateway);
    return gateway;
}

static void
publish(struct gateway *gateway, uint32_t lane, uint64_t from, uint64_t to)
{
    ck_assert_uint_ge(stream_room(gateway->stream), to - from);
    for (uint64_t offset = from; offset < to; offset++) {
        char payload[32], key[8];
        int key_len = snprintf(key, sizeof key, "k%d", (int)(offset % 3));
        int len = snprintf(
            payload, sizeof payload, "{\"n\":%llu}", (unsigned long long)(lane * EACH + offset));
        struct record_input in = {.lane = lane,
            .offset = offset,
            .key = key,
            .key_len = (size_t)key_len,
            .data = payload,
            .data_len = (size_t)len,
            .time_ms = -1};
        ck_assert_int_eq(stream_stage(gateway->stream, &in, clock_mono_ns()), 1);
    }
    stream_commit(gateway->stream);
}

static void
token_of(uint64_t first, uint64_t second, char *text, size_t size)
{
    struct buf token;
    buf_init(&token);
    uint32_t group = token_group_hash("t");
    struct token_lane lanes[2] = {{group, 0, first}, {group, 1, second}};
    token_encode(&token, lanes, second == 0 ? 1 : 2, NULL);
    ck_assert_uint_lt(token.len, size);
    memcpy(text, token.bytes, token.len);
    text[token.len] = '\0';
    buf_fini(&token);
}

static struct subscriber *
come(struct gateway *gateway, enum transport transport, const char *query, const char *token)
{
    static const char *const formats[] = {"ws", "sse", "ndjson"};
    char path[1024];
    struct subscriber *subscriber = subscriber_open(gateway->port, 0);
    subscriber->any_order = true;
    snprintf(path, sizeof path, "/streams/s?format=%s&from=%s%s", formats[transport], token, query);
    subscriber_get(subscriber, transport, 1, path, "");
    return subscriber;
}

/* One lane first, then the other, then both again: the token lies in the middle of each. */
static struct gateway *
run_two_lanes(void)
{
    struct gateway *gateway = run_silent();
    ck_assert_uint_eq(stream_lane_add(gateway->stream, "t", 0, 0), 0);
    ck_assert_uint_eq(stream_lane_add(gateway->stream, "t", 1, 0), 1);
    stream_source_up(gateway->stream);
    publish(gateway, 0, 0, 10);
    publish(gateway, 1, 0, EACH);
    publish(gateway, 0, 10, EACH);
    return gateway;
}

/* Come back behind each single record: whatever is missing or comes twice, an id was wrong. */
static void
come_back_behind_each(enum transport transport, const char *query)
{
    struct gateway *gateway = run_two_lanes();
    bool seen[2 * EACH] = {false};
    char token[512];
    token_of(5, 13, token, sizeof token);
    for (int left = EACH - 5 + EACH - 13; left > 0; left--) {
        struct subscriber *subscriber = come(gateway, transport, query, token);
        READ_UNTIL(subscriber, subscriber->received == 1);
        uint64_t n = subscriber->next - 1;
        ck_assert_msg(!seen[n], "record %d came twice", (int)n);
        ck_assert_msg(n < EACH ? n >= 5 : n >= EACH + 13, "record %d is older", (int)n);
        ck_assert_uint_eq(subscriber->gaps, 0);
        seen[n] = true;
        strcpy(token, subscriber->id);
        subscriber_close(subscriber);
    }
    fixture_stop(gateway);
}

START_TEST(whoever_comes_back_behind_any_record_misses_none_and_gets_none_twice)
{
    for (int transport = 0; transport < 3; transport++) {
        come_back_behind_each((enum transport)transport, "&limit=1");
    }
}
END_TEST

START_TEST(one_with_a_filter_does_too)
{
    /* Offsets with o % 3 == 1: of lane 0 behind 5, then of lane 1 behind 13, then lane 0 again. */
    static const uint64_t want[] = {7, EACH + 13, EACH + 16, EACH + 19, 10, 13, 16, 19};
    struct gateway *gateway = run_two_lanes();
    char token[512];
    token_of(5, 13, token, sizeof token);
    for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
        struct subscriber *subscriber = come(gateway, TRANSPORT_NDJSON, "&key=k1&limit=1", token);
        READ_UNTIL(subscriber, subscriber->received == 1);
        ck_assert_uint_eq(subscriber->next - 1, want[i]);
        strcpy(token, subscriber->id);
        subscriber_close(subscriber);
    }
    fixture_stop(gateway);
}
END_TEST

START_TEST(the_ids_are_the_rings_own_once_it_is_past_the_token)
{
    struct gateway *gateway = run_two_lanes();
    char token[512], want[512];
    token_of(5, 13, token, sizeof token);
    struct subscriber *subscriber = come(gateway, TRANSPORT_NDJSON, "", token);
    READ_UNTIL(subscriber, subscriber->received == EACH - 5 + EACH - 13);
    publish(gateway, 1, EACH, EACH + 1);
    READ_UNTIL(subscriber, subscriber->received == EACH - 5 + EACH - 13 + 1);
    token_of(EACH, EACH + 1, want, sizeof want);
    ck_assert_str_eq(subscriber->id, want);
    subscriber_close(subscriber);
    fixture_stop(gateway);
}
END_TEST

START_TEST(a_token_ahead_of_this_replica_waits_for_it_and_its_ids_stay_ahead)
{
    struct gateway *gateway = run_two_lanes();
    char token[512], want[512];
    stream_lane_end(gateway->stream, 1, EACH + 9); /* another replica has read them */
    token_of(5, EACH + 9, token, sizeof token);
    struct subscriber *subscriber = come(gateway, TRANSPORT_SSE, "", token);
    READ_UNTIL(subscriber, subscriber->received == EACH - 5);
    token_of(EACH, EACH + 9, want, sizeof want);
    ck_assert_str_eq(subscriber->id, want);
    publish(gateway, 1, EACH, EACH + 12);
    READ_UNTIL(subscriber, subscriber->received == EACH - 5 + 3);
    token_of(EACH, EACH + 12, want, sizeof want);
    ck_assert_str_eq(subscriber->id, want);
    subscriber_close(subscriber);
    fixture_stop(gateway);
}
END_TEST

START_TEST(a_token_waits_until_the_source_has_answered)
{
    for (int transport = 0; transport < 3; transport++) {
        struct gateway *gateway = run_silent();
        char token[512];
        token_of(90, 0, token, sizeof token);
        struct subscriber *subscriber = come(gateway, (enum transport)transport, "", token);
        WAIT_UNTIL(atomic_load(&fixture_counters(gateway)->subscribers[transport]) == 1);
        stream_lane_add(gateway->stream, "t", 0, 100);
        subscriber_poll(subscriber, 20);
        ck_assert_str_eq(subscriber->hello, "");
        stream_source_up(gateway->stream);
        READ_UNTIL(subscriber, subscriber->gaps == 1);
        ck_assert_ptr_nonnull(strstr(subscriber->hello, "\"resumed\":true"));
        ck_assert_ptr_nonnull(strstr(subscriber->gap, "\"reason\":\"expired\""));
        ck_assert_uint_eq(subscriber->lost, 10);
        publish(gateway, 0, 100, 103);
        READ_UNTIL(subscriber, subscriber->received == 3);
        subscriber_close(subscriber);
        fixture_stop(gateway);
    }
}
END_TEST

START_TEST(those_who_wait_for_the_source_may_leave_and_the_gateway_may_end)
{
    struct gateway *gateway = run_silent();
    char token[512];
    token_of(90, 0, token, sizeof token);
    struct subscriber *stays = come(gateway, TRANSPORT_SSE, "", token);
    struct subscriber *leaves = come(gateway, TRANSPORT_WS, "&slow=pause", token);
    WAIT_UNTIL(atomic_load(&fixture_counters(gateway)->subscribers[TRANSPORT_WS]) == 1 &&
               atomic_load(&fixture_counters(gateway)->subscribers[TRANSPORT_SSE]) == 1);
    subscriber_close(leaves);
    WAIT_UNTIL(atomic_load(&fixture_counters(gateway)->subscribers[TRANSPORT_WS]) == 0);
    fixture_stop(gateway);
    subscriber_close(stays);
}
END_TEST

UNIT_MAIN("resume", whoever_comes_back_behind_any_record_misses_none_and_gets_none_twice,
    one_with_a_filter_does_too, the_ids_are_the_rings_own_once_it_is_past_the_token,
    a_token_ahead_of_this_replica_waits_for_it_and_its_ids_stay_ahead,
    a_token_waits_until_the_source_has_answered,
    those_who_wait_for_the_source_may_leave_and_the_gateway_may_end)
