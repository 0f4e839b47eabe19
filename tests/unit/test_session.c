/* test_session: subscribers of a real shard on a loopback port; the test plays the source. */
#include "gateway_fixture.h"
#include "unit.h"

#include <stdio.h>
#include <string.h>

#define SMALL_RCVBUF 4096

/* Publish until a subscriber that reads nothing is behind by `behind` records. */
static void
overrun(struct gateway *gateway, enum transport transport, uint64_t behind, size_t size)
{
    int64_t until_ms = subscriber_now_ms() + PATIENCE_MS;
    while (gateway->produced - fixture_records_out(gateway, transport) < behind) {
        ck_assert_int_lt(subscriber_now_ms(), until_ms);
        fixture_publish(gateway, 10, size);
        subscriber_poll(NULL, 1);
    }
}

/* ---- slow subscribers ---- */

struct slow_case {
    enum transport transport;
    const char *query;
    size_t size;
    uint64_t behind;
};

static void
check_account(const struct slow_case *one)
{
    struct gateway *gateway = fixture_run();
    struct subscriber *subscriber =
        fixture_subscribe(gateway, one->transport, one->query, SMALL_RCVBUF);
    for (int round = 1; round <= 2; round++) {
        overrun(gateway, one->transport, one->behind + subscriber->lost, one->size);
        READ_UNTIL(subscriber, subscriber->next == gateway->produced);
        ck_assert_uint_eq(subscriber->received + subscriber->lost, gateway->produced);
        ck_assert_uint_ge(subscriber->gaps, (uint64_t)round);
        ck_assert_uint_eq(stream_dropped(gateway->stream, DROP_SLOW), subscriber->lost);
        WAIT_UNTIL(fixture_records_out(gateway, one->transport) == subscriber->received);
        fixture_publish(gateway, 3, 10); /* at the head again: whole and at once */
        READ_UNTIL(subscriber, subscriber->next == gateway->produced);
    }
    subscriber_close(subscriber);
    fixture_stop(gateway);
}

static const struct slow_case slow_cases[] = {
    {TRANSPORT_WS, "format=ws&slow=drop_oldest", 200, 300},
    {TRANSPORT_SSE, "format=sse&slow=drop_oldest", 200, 300},
    {TRANSPORT_NDJSON, "slow=drop_oldest", 200, 300},
    {TRANSPORT_WS, "format=ws&slow=drop_newest", 200, 300},
    {TRANSPORT_SSE, "format=sse&slow=drop_newest", 200, 300},
    {TRANSPORT_NDJSON, "slow=drop_newest", 200, 300},
    {TRANSPORT_NDJSON, "slow=drop_newest", 200, 900}, /* the ring has left it */
    {TRANSPORT_SSE, "format=sse&slow=drop_oldest", 200, 900},
    {TRANSPORT_WS, "format=ws&slow=drop_oldest", MIB, 8},
    {TRANSPORT_SSE, "format=sse&slow=drop_oldest", MIB, 8},
    {TRANSPORT_NDJSON, "slow=drop_oldest", MIB, 40},
    {TRANSPORT_WS, "format=ws&slow=drop_newest", MIB, 8},
    {TRANSPORT_SSE, "format=sse&slow=drop_newest", MIB, 40},
    {TRANSPORT_NDJSON, "slow=drop_newest", MIB, 8},
};

START_TEST(a_stalled_reader_gets_gaps_that_add_up_exactly)
{
    for (size_t i = 0; i < sizeof slow_cases / sizeof *slow_cases; i++) {
        check_account(&slow_cases[i]);
    }
}
END_TEST

START_TEST(drop_oldest_keeps_the_newest_and_drop_newest_the_oldest)
{
    struct gateway *gateway = fixture_run();
    struct subscriber *oldest =
        fixture_subscribe(gateway, TRANSPORT_NDJSON, "slow=drop_oldest&queue=5", SMALL_RCVBUF);
    struct subscriber *newest = fixture_subscribe(
        gateway, TRANSPORT_SSE, "format=sse&slow=drop_newest&queue=5", SMALL_RCVBUF);
    overrun(gateway, TRANSPORT_NDJSON, 300, 200);
    overrun(gateway, TRANSPORT_SSE, 300, 200);
    READ_UNTIL(oldest, oldest->next == gateway->produced);
    READ_UNTIL(newest, newest->next == gateway->produced);
    ck_assert_uint_eq(oldest->gaps, 1);
    ck_assert_ptr_nonnull(strstr(oldest->gap, "\"reason\":\"slow\""));
    ck_assert_ptr_nonnull(strstr(oldest->gap, "\"from\":\"A"));
    ck_assert_uint_ge(newest->gaps, 1);
    subscriber_close(oldest);
    subscriber_close(newest);
    fixture_stop(gateway);
}
END_TEST

START_TEST(a_subscriber_that_must_not_be_slow_is_sent_away)
{
    static const char *const queries[] = {
        "format=ws&slow=disconnect", "format=sse&slow=disconnect", "slow=disconnect"};
    struct gateway *gateway = fixture_run();
    for (int transport = 0; transport < 3; transport++) {
        struct subscriber *subscriber =
            fixture_subscribe(gateway, (enum transport)transport, queries[transport], SMALL_RCVBUF);
        uint64_t first = gateway->produced;
        fixture_publish(gateway, 5, 10); /* fast enough: nothing happens */
        READ_UNTIL(subscriber, subscriber->next == first + 5);
        overrun(gateway, (enum transport)transport, first + 400, 200);
        while (!subscriber->eof && subscriber->close_code == 0) {
            subscriber_poll(subscriber, 20);
        }
        ck_assert_uint_eq(subscriber->gaps, 0);
        ck_assert_ptr_nonnull(strstr(subscriber->last, "{\"event\":\"closing\""));
        ck_assert_ptr_nonnull(strstr(subscriber->last, "too_slow"));
        ck_assert(transport == TRANSPORT_WS ? subscriber->close_code == 4001 : subscriber->whole);
        subscriber_close(subscriber);
        WAIT_UNTIL(fixture_ended(gateway, DISCONNECT_TOO_SLOW) == (uint64_t)transport + 1);
    }
    fixture_stop(gateway);
}
END_TEST

START_TEST(a_burst_beyond_the_queue_is_not_slowness_while_the_socket_takes_it)
{
    struct gateway *gateway = fixture_run();
    struct subscriber *readers[9];
    for (int i = 0; i < 9; i++) {
        static const char *const queries[] = {
            "queue=5&slow=disconnect", "queue=5&limit=5000", "queue=5&slow=drop_newest&limit=5000"};
        readers[i] = fixture_subscribe(gateway, (enum transport)(i % 3), queries[i / 3], 0);
    }
    for (int round = 0; round < 5; round++) {
        fixture_publish(gateway, 100, 10);
        for (int i = 0; i < 9; i++) {
            READ_UNTIL(readers[i], readers[i]->next == gateway->produced);
            ck_assert_uint_eq(readers[i]->lost, 0);
        }
    }
    for (int i = 0; i < 9; i++) {
        subscriber_close(readers[i]);
    }
    fixture_stop(gateway);
}
END_TEST

/* ---- pause ---- */

static bool
held(struct gateway *gateway)
{
    struct ring_state state;
    ring_state(stream_ring(gateway->stream), &state);
    return state.held;
}

static void
publish_until_held(struct gateway *gateway, size_t size)
{
    int64_t until_ms = subscriber_now_ms() + PATIENCE_MS;
    while (!held(gateway)) {
        ck_assert_int_lt(subscriber_now_ms(), until_ms);
        fixture_publish(gateway, 20, size);
        subscriber_poll(NULL, 1);
    }
    ck_assert_uint_eq(stream_room(gateway->stream), 0);
}

START_TEST(a_pause_subscriber_holds_the_source_until_it_catches_up)
{
    static const char *const queries[] = {
        "format=ws&slow=pause&queue=20", "format=sse&slow=pause&queue=20", "slow=pause&queue=20"};
    for (int transport = 0; transport < 3; transport++) {
        struct gateway *gateway = fixture_run();
        struct subscriber *subscriber =
            fixture_subscribe(gateway, (enum transport)transport, queries[transport], SMALL_RCVBUF);
        for (int round = 0; round < 3; round++) {
            int wakes = fixture_wakes();
            publish_until_held(gateway, round == 2 ? MIB / 4 : 1000);
            READ_UNTIL(subscriber, subscriber->next == gateway->produced);
            WAIT_UNTIL(!held(gateway));
            ck_assert_int_gt(fixture_wakes(), wakes);
            ck_assert_uint_gt(stream_room(gateway->stream), 0);
        }
        ck_assert_uint_eq(subscriber->gaps, 0);
        ck_assert_uint_eq(subscriber->received, gateway->produced);
        subscriber_close(subscriber);
        fixture_stop(gateway);
    }
}
END_TEST

START_TEST(a_pause_subscriber_that_leaves_lets_the_source_go)
{
    struct gateway *gateway = fixture_run();
    struct subscriber *subscriber =
        fixture_subscribe(gateway, TRANSPORT_WS, "format=ws&slow=pause&queue=20", SMALL_RCVBUF);
    struct subscriber *other = fixture_subscribe(gateway, TRANSPORT_SSE, "format=sse", 0);
    publish_until_held(gateway, 1000);
    subscriber_close(subscriber);
    WAIT_UNTIL(!held(gateway));
    ck_assert_uint_eq(fixture_publish(gateway, 50, 10), 50);
    READ_UNTIL(other, other->next == gateway->produced);
    ck_assert_uint_eq(other->gaps, 0);
    subscriber_close(other);
    fixture_stop(gateway);
}
END_TEST

START_TEST(a_pause_subscriber_holds_for_pause_limit_at_most)
{
    struct gateway *gateway = fixture_new();
    gateway->stream_config.pause_limit_ms = 300;
    fixture_start(gateway);
    struct subscriber *subscriber =
        fixture_subscribe(gateway, TRANSPORT_NDJSON, "slow=pause&queue=20", SMALL_RCVBUF);
    publish_until_held(gateway, 1000);
    overrun(gateway, TRANSPORT_NDJSON, 200, 1000); /* before its goodbye has been taken */
    ck_assert_uint_eq(fixture_ended(gateway, DISCONNECT_PAUSE_LIMIT), 0);
    READ_UNTIL(subscriber, subscriber->eof);
    ck_assert(subscriber->whole);
    ck_assert_ptr_nonnull(strstr(subscriber->last, "pause_limit"));
    subscriber_close(subscriber);
    WAIT_UNTIL(fixture_ended(gateway, DISCONNECT_PAUSE_LIMIT) == 1);
    fixture_stop(gateway);
}
END_TEST

/* ---- many ---- */

#define MANY 50

START_TEST(the_stalled_half_costs_the_others_nothing)
{
    struct gateway *gateway = fixture_new();
    gateway->stream_config.ring_records = 4000;
    gateway->stream_config.queue_records = 3000;
    fixture_start(gateway);
    struct subscriber *many[MANY];
    for (int i = 0; i < MANY; i++) {
        char query[64];
        bool stalls = i % 2 == 0;
        enum transport transport = (enum transport)(i / 2 % 3);
        snprintf(query, sizeof query, "slow=%s&queue=%d%s",
            i % 4 == 0 ? "drop_newest" : "drop_oldest", stalls ? 10 : 3000,
            i % 10 == 3   ? "&limit=1000000"
            : i % 10 == 5 ? "&envelope=full"
                          : "");
        many[i] = fixture_subscribe(gateway, transport, query, stalls ? SMALL_RCVBUF : 0);
    }
    while (gateway->produced < 2500) {
        fixture_publish(gateway, 1 + gateway->produced % 40, gateway->produced % 700);
        for (int i = 1; i < MANY; i += 2) {
            subscriber_poll(many[i], 0);
        }
    }
    for (int i = 1; i < MANY; i += 2) {
        READ_UNTIL(many[i], many[i]->next == gateway->produced);
        ck_assert_uint_eq(many[i]->received, gateway->produced);
    }
    for (int i = 0; i < MANY; i += 2) {
        READ_UNTIL(many[i], many[i]->next == gateway->produced);
        ck_assert_uint_gt(many[i]->lost, 0);
    }
    for (int i = 0; i < MANY; i++) {
        ck_assert_uint_eq(many[i]->received + many[i]->lost, gateway->produced);
        subscriber_close(many[i]);
    }
    fixture_stop(gateway);
}
END_TEST

/* ---- clients that come, stall, leave and come back ---- */

#define GUESTS 24

struct guest {
    struct subscriber *subscriber; /* NULL: away */
    char id[512];                  /* "": it has not been here */
    uint64_t next;
    enum transport transport;
    bool ends; /* the gateway may end it: limit, disconnect */
};

static void
guest_come(struct gateway *gateway, struct guest *guest, unsigned *seed)
{
    static const char *const slows[] = {
        "drop_oldest", "drop_newest", "pause", "disconnect", "drop_oldest&limit=50"};
    char path[1024];
    int slow = rand_r(seed) % 5;
    int minor = rand_r(seed) % 4 != 0;
    guest->transport = (enum transport)(rand_r(seed) % 3);
    guest->ends = slow >= 3;
    guest->subscriber = subscriber_open(gateway->port, rand_r(seed) % 2 == 0 ? SMALL_RCVBUF : 0);
    int len = snprintf(path, sizeof path, "/streams/s?slow=%s&queue=%d%s", slows[slow],
        1 + rand_r(seed) % 100, rand_r(seed) % 6 == 0 ? "&max_rate=1000" : "");
    if (guest->id[0] != '\0') {
        snprintf(path + len, sizeof path - (size_t)len, "&from=%s", guest->id);
    } else {
        snprintf(path + len, sizeof path - (size_t)len, "&from=earliest");
        guest->subscriber->any_order = true; /* until the first record says where */
    }
    guest->subscriber->next = guest->next;
    subscriber_get(guest->subscriber, guest->transport,
        guest->transport == TRANSPORT_WS ? 1 : minor, path, "");
}

static void
guest_leave(struct guest *guest)
{
    struct subscriber *subscriber = guest->subscriber;
    /* One that began at earliest knows where it is by its first record: a gap alone does not say
     * from which record it counts. */
    bool placed = guest->id[0] != '\0' || subscriber->received > 0;
    if (placed && subscriber->id[0] != '\0') {
        snprintf(guest->id, sizeof guest->id, "%s", subscriber->id);
        guest->next = subscriber->next;
    }
    subscriber_close(subscriber);
    guest->subscriber = NULL;
}

static void
guest_read(struct guest *guest)
{
    struct subscriber *subscriber = guest->subscriber;
    subscriber_poll(subscriber, 0);
    if (subscriber->received > 0) {
        subscriber->any_order = false;
    }
    if (subscriber->eof || subscriber->close_code != 0) {
        ck_assert(guest->ends);
        guest_leave(guest);
    }
}

/* Everyone reads to the end; who was sent away comes back as long as it takes. */
static void
guest_finish(struct gateway *gateway, struct guest *guest, unsigned *seed)
{
    int64_t until_ms = subscriber_now_ms() + PATIENCE_MS;
    while (guest->subscriber == NULL || guest->subscriber->next < gateway->produced) {
        ck_assert_int_lt(subscriber_now_ms(), until_ms);
        if (guest->subscriber == NULL) {
            guest_come(gateway, guest, seed);
        }
        subscriber_poll(NULL, 1);
        guest_read(guest);
    }
    guest_leave(guest);
}

START_TEST(whoever_comes_stalls_leaves_and_returns_can_account_for_every_record)
{
    for (unsigned seed = 1; seed <= 2; seed++) {
        unsigned dice = seed;
        struct gateway *gateway = fixture_run();
        struct guest guests[GUESTS];
        memset(guests, 0, sizeof guests);
        for (int turn = 0; turn < 4000; turn++) {
            struct guest *guest = &guests[rand_r(&dice) % GUESTS];
            if (guest->subscriber == NULL) {
                guest_come(gateway, guest, &dice);
            } else if (rand_r(&dice) % 30 == 0) {
                guest_leave(guest);
            } else {
                guest_read(guest);
            }
            if (rand_r(&dice) % 3 == 0) {
                size_t size = rand_r(&dice) % 50 == 0 ? 100 * KIB : (size_t)rand_r(&dice) % 500;
                fixture_publish(gateway, 1 + (uint64_t)rand_r(&dice) % 20, size);
            }
        }
        for (int i = 0; i < GUESTS; i++) {
            guest_finish(gateway, &guests[i], &dice);
        }
        fixture_stop(gateway);
    }
}
END_TEST

/* ---- where reads begin and end ---- */

START_TEST(a_reader_resumes_where_it_left_on_every_transport)
{
    struct gateway *gateway = fixture_run();
    char query[1024], headers[1024];
    for (int transport = 0; transport < 3; transport++) {
        struct subscriber *first = fixture_subscribe(gateway, (enum transport)transport, "", 0);
        fixture_publish(gateway, 20, 30);
        READ_UNTIL(first, first->next == gateway->produced);
        snprintf(query, sizeof query, "/streams/s?from=%s", first->id);
        snprintf(headers, sizeof headers, "Last-Event-ID: %s\r\n", first->id);
        uint64_t next = first->next;
        subscriber_close(first);
        fixture_publish(gateway, 50, 30);
        struct subscriber *second = subscriber_open(gateway->port, 0);
        second->next = next;
        subscriber_get(second, (enum transport)transport, 1,
            transport == TRANSPORT_SSE ? "/streams/s" : query,
            transport == TRANSPORT_SSE ? headers : "");
        READ_UNTIL(second, second->next == gateway->produced);
        ck_assert_ptr_nonnull(strstr(second->hello, "\"resumed\":true"));
        ck_assert_uint_eq(second->received, 50);
        ck_assert_uint_eq(second->gaps, 0);
        fixture_publish(gateway, 600, 1);
        READ_UNTIL(second, second->next == gateway->produced);
        subscriber_close(second);
        second = subscriber_open(gateway->port, 0); /* the same place, which the ring has left */
        second->next = next;
        subscriber_get(second, TRANSPORT_NDJSON, 1, query, "");
        READ_UNTIL(second, second->next == gateway->produced);
        ck_assert_ptr_nonnull(strstr(second->gap, "\"reason\":\"expired\""));
        ck_assert_uint_eq(second->lost, 150);
        subscriber_close(second);
    }
    fixture_stop(gateway);
}
END_TEST

/* Read an answer that ends; the body is whole. */
static struct subscriber *
read_bounded(struct gateway *gateway, enum transport transport, const char *path, uint64_t next)
{
    struct subscriber *subscriber = subscriber_open(gateway->port, 0);
    subscriber->next = next;
    subscriber_get(subscriber, transport, 1, path, "");
    READ_UNTIL(subscriber, subscriber->whole || subscriber->eof || subscriber->close_code != 0);
    if (transport == TRANSPORT_WS) {
        ck_assert_int_eq(subscriber->close_code, 1000);
    } else {
        ck_assert(subscriber->whole);
    }
    if (transport != TRANSPORT_JSON) {
        ck_assert_str_eq(subscriber->last, "{\"event\":\"end\"}");
    }
    return subscriber;
}

START_TEST(a_bounded_read_ends_where_it_was_asked_to)
{
    struct gateway *gateway = fixture_run();
    struct subscriber *all = fixture_subscribe(gateway, TRANSPORT_NDJSON, "", 0);
    fixture_publish(gateway, 60, 20);
    READ_UNTIL(all, all->next == 60);
    char to[600];
    snprintf(to, sizeof to, "/streams/s?from=earliest&to=%s", all->id);
    fixture_publish(gateway, 30, 20);
    READ_UNTIL(all, all->next == 90);
    subscriber_close(all);
    for (int transport = 0; transport < 3; transport++) {
        enum transport one = (enum transport)transport;
        struct subscriber *reader =
            read_bounded(gateway, one, "/streams/s?from=earliest&limit=7", 0);
        ck_assert_uint_eq(reader->next, 7);
        subscriber_close(reader);
        reader = read_bounded(gateway, one, "/streams/s?from=earliest&follow=false", 0);
        ck_assert_uint_eq(reader->next, 90);
        subscriber_close(reader);
        reader = read_bounded(gateway, one, to, 0);
        ck_assert_uint_eq(reader->next, 60);
        subscriber_close(reader);
        reader = read_bounded(gateway, one, "/streams/s?follow=false", 90);
        ck_assert_uint_eq(reader->received, 0);
        subscriber_close(reader);
    }
    struct subscriber *array =
        read_bounded(gateway, TRANSPORT_JSON, "/streams/s?from=earliest&limit=2&envelope=data", 0);
    buf_addc(&array->body, '\0');
    ck_assert_str_eq(array->body.bytes, "[\n{\"n\":0,\"pad\":\"xxxxxxxxxxxxxxxxxxxx\"},\n"
                                        "{\"n\":1,\"pad\":\"xxxxxxxxxxxxxxxxxxxx\"}\n]\n");
    subscriber_close(array);
    fixture_stop(gateway);
}
END_TEST

START_TEST(a_read_up_to_a_token_that_is_to_come_waits_for_it)
{
    struct gateway *gateway = fixture_run();
    struct subscriber *probe = fixture_subscribe(gateway, TRANSPORT_NDJSON, "", 0);
    fixture_publish(gateway, 10, 5);
    READ_UNTIL(probe, probe->next == 10);
    struct token_lane row = {token_group_hash("t"), 0, 2000};
    struct buf path;
    buf_init(&path);
    buf_adds(&path, "/streams/s?from=earliest&to=");
    token_encode(&path, &row, 1, NULL);
    buf_addc(&path, '\0');
    struct subscriber *reader = subscriber_open(gateway->port, 0);
    subscriber_get(reader, TRANSPORT_SSE, 1, path.bytes, "");
    READ_UNTIL(reader, reader->next == 10);
    while (gateway->produced < 2100) {
        fixture_publish(gateway, 7, 5);
        subscriber_poll(reader, 0);
        subscriber_poll(probe, 0);
    }
    READ_UNTIL(reader, reader->whole || reader->eof);
    ck_assert(reader->whole);
    ck_assert_uint_eq(reader->next, 2000);
    ck_assert_uint_eq(reader->received + reader->lost, 2000);
    ck_assert_str_eq(reader->last, "{\"event\":\"end\"}");
    subscriber_close(reader);
    subscriber_close(probe);
    buf_fini(&path);
    fixture_stop(gateway);
}
END_TEST

START_TEST(a_loss_of_the_source_is_told_to_everyone)
{
    struct gateway *gateway = fixture_run();
    struct subscriber *readers[3];
    for (int i = 0; i < 3; i++) {
        readers[i] = fixture_subscribe(gateway, (enum transport)i, "", 0);
    }
    fixture_publish(gateway, 5, 5);
    stream_room(gateway->stream);
    stream_lost(gateway->stream, 0, 8, 4, "retention");
    stream_commit(gateway->stream);
    gateway->produced = 9;
    fixture_publish(gateway, 5, 5);
    for (int i = 0; i < 3; i++) {
        READ_UNTIL(readers[i], readers[i]->next == 14);
        ck_assert_uint_eq(readers[i]->received, 10);
        ck_assert_uint_eq(readers[i]->lost, 4);
        subscriber_close(readers[i]);
    }
    fixture_stop(gateway);
}
END_TEST

/* ---- heartbeats ---- */

START_TEST(an_idle_subscriber_hears_a_heartbeat)
{
    struct gateway *gateway = fixture_run();
    struct subscriber *readers[3];
    for (int i = 0; i < 3; i++) {
        readers[i] = fixture_subscribe(gateway, (enum transport)i, "heartbeat=1s", 0);
        readers[i]->answers_pings = true;
    }
    for (int i = 0; i < 3; i++) {
        READ_UNTIL(readers[i], readers[i]->beats >= 2);
    }
    fixture_publish(gateway, 1, 1);
    for (int i = 0; i < 3; i++) {
        READ_UNTIL(readers[i], readers[i]->next == 1);
        subscriber_close(readers[i]);
    }
    fixture_stop(gateway);
}
END_TEST

START_TEST(a_client_that_answers_no_ping_is_gone_and_one_that_does_stays)
{
    struct gateway *gateway = fixture_new();
    gateway->config.pong_timeout_ms = 500;
    fixture_start(gateway);
    struct subscriber *mute = fixture_subscribe(gateway, TRANSPORT_WS, "heartbeat=1s", 0);
    struct subscriber *polite = fixture_subscribe(gateway, TRANSPORT_WS, "heartbeat=1s", 0);
    polite->answers_pings = true;
    int64_t until_ms = subscriber_now_ms() + PATIENCE_MS;
    while (!mute->eof || polite->beats < 3) {
        ck_assert_int_lt(subscriber_now_ms(), until_ms);
        ck_assert(!polite->eof);
        subscriber_poll(mute, 0);
        subscriber_poll(polite, 10);
    }
    WAIT_UNTIL(fixture_ended(gateway, DISCONNECT_PONG_TIMEOUT) == 1);
    subscriber_close(mute);
    subscriber_close(polite);
    fixture_stop(gateway);
}
END_TEST

/* ---- what clients send ---- */

START_TEST(a_websocket_client_may_ping_and_close)
{
    struct gateway *gateway = fixture_run();
    struct subscriber *reader = fixture_subscribe(gateway, TRANSPORT_WS, "", 0);
    subscriber_frame(reader, 9, "hi", 2);
    subscriber_frame(reader, 1, "{\"op\":\"ping\"}", 13);
    READ_UNTIL(reader, reader->pongs == 2);
    subscriber_frame(reader, 8, "\x03\xe8", 2);
    READ_UNTIL(reader, reader->eof);
    ck_assert_int_eq(reader->close_code, 1000);
    subscriber_close(reader);
    WAIT_UNTIL(fixture_ended(gateway, DISCONNECT_CLIENT) == 1);
    reader = fixture_subscribe(gateway, TRANSPORT_WS, "", 0);
    subscriber_frame(reader, 1, "[]", 2);
    READ_UNTIL(reader, reader->close_code == 1008);
    subscriber_close(reader);
    reader = fixture_subscribe(gateway, TRANSPORT_WS, "", 0);
    subscriber_send(reader, "\x81\x01x", 3); /* not masked */
    READ_UNTIL(reader, reader->eof);
    ck_assert_int_eq(reader->close_code, 1002);
    subscriber_close(reader);
    WAIT_UNTIL(fixture_ended(gateway, DISCONNECT_PROTOCOL) == 2);
    fixture_stop(gateway);
}
END_TEST

START_TEST(a_flood_of_pings_from_one_who_reads_nothing_is_bounded)
{
    struct gateway *gateway = fixture_run();
    struct subscriber *reader =
        fixture_subscribe(gateway, TRANSPORT_WS, "slow=drop_oldest&queue=5", SMALL_RCVBUF);
    overrun(gateway, TRANSPORT_WS, 300, 200);
    for (int i = 0; i < 3000; i++) {
        subscriber_frame(reader, 9, "0123456789", 10);
    }
    READ_UNTIL(reader, reader->next == gateway->produced);
    ck_assert_uint_lt(reader->pongs, 3000);
    subscriber_close(reader);
    fixture_stop(gateway);
}
END_TEST

START_TEST(a_byte_after_a_streamed_request_ends_the_connection)
{
    struct gateway *gateway = fixture_run();
    struct subscriber *reader = fixture_subscribe(gateway, TRANSPORT_SSE, "", 0);
    subscriber_send(reader, "x", 1);
    READ_UNTIL(reader, reader->eof);
    ck_assert(!reader->whole);
    subscriber_close(reader);
    fixture_stop(gateway);
}
END_TEST

START_TEST(http_1_0_gets_the_bytes_without_chunks_until_the_close)
{
    struct gateway *gateway = fixture_run();
    for (int i = TRANSPORT_SSE; i <= TRANSPORT_NDJSON; i++) {
        struct subscriber *reader = subscriber_open(gateway->port, SMALL_RCVBUF);
        reader->next = gateway->produced;
        subscriber_get(reader, (enum transport)i, 0, "/streams/s", "");
        READ_UNTIL(reader, reader->hello[0] != '\0');
        ck_assert(!reader->chunked);
        overrun(gateway, (enum transport)i, gateway->produced + 300, 200);
        READ_UNTIL(reader, reader->next == gateway->produced);
        ck_assert_uint_gt(reader->lost, 0);
        subscriber_close(reader);
    }
    fixture_stop(gateway);
}
END_TEST

START_TEST(requests_in_a_row_and_all_at_once_are_answered_in_order)
{
    struct gateway *gateway = fixture_run();
    struct subscriber *reader = subscriber_open(gateway->port, 0);
    reader->transport = TRANSPORT_JSON;
    static const char list[] = "GET /streams HTTP/1.1\r\nHost: x\r\n\r\n";
    static const char unknown[] = "GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n";
    for (int i = 0; i < 3; i++) {
        subscriber_send(reader, list, sizeof list - 1);
        READ_UNTIL(
            reader, reader->body.len > 0 && reader->body.bytes[reader->body.len - 1] == '\n');
        ck_assert_int_eq(reader->status, 200);
        subscriber_again(reader);
    }
    struct buf several;
    buf_init(&several);
    for (int i = 0; i < 10; i++) {
        buf_adds(&several, i % 2 == 0 ? list : unknown);
    }
    buf_adds(&several, "GET /streams/s?from=earliest HTTP/1.1\r\nHost: x\r\n\r\n");
    fixture_publish(gateway, 3, 3);
    subscriber_send(reader, several.bytes, several.len);
    reader->status = 404; /* keep everything as it is */
    reader->head_done = true;
    static const char end[] = "\"pad\":\"xxx\"}}\n\r\n";
    READ_UNTIL(reader, reader->body.len > sizeof end &&
                           memmem(reader->body.bytes, reader->body.len, "{\"n\":2", 6) != NULL &&
                           memcmp(reader->body.bytes + reader->body.len - sizeof end + 1, end,
                               sizeof end - 1) == 0);
    size_t found = 0, missing = 0;
    for (const char *at = reader->body.bytes;
         (at = memmem(at, (size_t)(reader->body.bytes + reader->body.len - at), "HTTP/1.1 ", 9)) !=
         NULL;
         at += 9) {
        int status = atoi(at + 9);
        ck_assert_int_eq(status, found + missing == 10 || (found + missing) % 2 == 0 ? 200 : 404);
        found += status == 200;
        missing += status == 404;
    }
    ck_assert_uint_eq(found, 6);
    ck_assert_uint_eq(missing, 5);
    buf_fini(&several);
    subscriber_close(reader);
    fixture_stop(gateway);
}
END_TEST

START_TEST(a_client_beyond_the_limit_is_refused_and_others_are_served)
{
    struct gateway *gateway = fixture_new();
    gateway->config.max_connections = 2;
    fixture_start(gateway);
    struct subscriber *a = fixture_subscribe(gateway, TRANSPORT_WS, "", 0);
    struct subscriber *b = fixture_subscribe(gateway, TRANSPORT_SSE, "", 0);
    struct subscriber *c = subscriber_open(gateway->port, 0);
    READ_UNTIL(c, c->status != 0);
    ck_assert_int_eq(c->status, 503);
    subscriber_close(c);
    WAIT_UNTIL(shard_refused(gateway->shard) == 1);
    subscriber_close(a);
    WAIT_UNTIL(shard_connections(gateway->shard) == 1);
    a = fixture_subscribe(gateway, TRANSPORT_NDJSON, "", 0);
    fixture_publish(gateway, 2, 2);
    READ_UNTIL(a, a->next == 2);
    READ_UNTIL(b, b->next == 2);
    subscriber_close(a);
    subscriber_close(b);
    fixture_stop(gateway);
}
END_TEST

/* ---- the end ---- */

START_TEST(a_drain_says_goodbye_in_each_transports_way)
{
    struct gateway *gateway = fixture_run();
    struct subscriber *readers[3];
    for (int i = 0; i < 3; i++) {
        readers[i] = fixture_subscribe(gateway, (enum transport)i, "", i == 0 ? SMALL_RCVBUF : 0);
    }
    struct subscriber *bare = subscriber_open(gateway->port, 0);
    subscriber_get(
        bare, TRANSPORT_NDJSON, 1, "/streams/s?envelope=data&from=earliest&slow=pause", "");
    READ_UNTIL(bare, bare->head_done);
    struct subscriber *idle = subscriber_open(gateway->port, 0);
    WAIT_UNTIL(shard_connections(gateway->shard) == 5);
    fixture_publish(gateway, 400, 300);
    shard_drain(gateway->shard);
    for (int i = 0; i < 3; i++) {
        READ_UNTIL(readers[i], i == TRANSPORT_WS ? readers[i]->close_code : readers[i]->eof);
        ck_assert(i == TRANSPORT_WS ? readers[i]->close_code == 1001 : readers[i]->whole);
        ck_assert_ptr_nonnull(strstr(readers[i]->last, "{\"event\":\"closing\""));
        ck_assert_ptr_nonnull(strstr(readers[i]->last, "\"shutdown\""));
        subscriber_close(readers[i]);
    }
    READ_UNTIL(bare, bare->eof);
    ck_assert(!bare->whole); /* a part is not taken for the whole */
    READ_UNTIL(idle, idle->eof);
    subscriber_close(bare);
    subscriber_close(idle);
    WAIT_UNTIL(shard_connections(gateway->shard) == 0);
    ck_assert_uint_eq(fixture_ended(gateway, DISCONNECT_SHUTDOWN), 4);
    fixture_stop(gateway);
}
END_TEST

START_TEST(a_gateway_that_stops_under_load_frees_everything)
{
    struct gateway *gateway = fixture_run();
    struct subscriber *readers[9];
    for (int i = 0; i < 9; i++) {
        readers[i] = fixture_subscribe(gateway, (enum transport)(i % 3),
            i % 2 == 0 ? "slow=pause&queue=50" : "slow=drop_oldest", SMALL_RCVBUF);
    }
    publish_until_held(gateway, 50000);
    fixture_stop(gateway);
    for (int i = 0; i < 9; i++) {
        subscriber_close(readers[i]);
    }
}
END_TEST

UNIT_MAIN("session", a_stalled_reader_gets_gaps_that_add_up_exactly,
    drop_oldest_keeps_the_newest_and_drop_newest_the_oldest,
    a_subscriber_that_must_not_be_slow_is_sent_away,
    a_burst_beyond_the_queue_is_not_slowness_while_the_socket_takes_it,
    a_pause_subscriber_holds_the_source_until_it_catches_up,
    a_pause_subscriber_that_leaves_lets_the_source_go,
    a_pause_subscriber_holds_for_pause_limit_at_most, the_stalled_half_costs_the_others_nothing,
    whoever_comes_stalls_leaves_and_returns_can_account_for_every_record,
    a_reader_resumes_where_it_left_on_every_transport, a_bounded_read_ends_where_it_was_asked_to,
    a_read_up_to_a_token_that_is_to_come_waits_for_it, a_loss_of_the_source_is_told_to_everyone,
    an_idle_subscriber_hears_a_heartbeat,
    a_client_that_answers_no_ping_is_gone_and_one_that_does_stays,
    a_websocket_client_may_ping_and_close, a_flood_of_pings_from_one_who_reads_nothing_is_bounded,
    a_byte_after_a_streamed_request_ends_the_connection,
    http_1_0_gets_the_bytes_without_chunks_until_the_close,
    requests_in_a_row_and_all_at_once_are_answered_in_order,
    a_client_beyond_the_limit_is_refused_and_others_are_served,
    a_drain_says_goodbye_in_each_transports_way, a_gateway_that_stops_under_load_frees_everything)
