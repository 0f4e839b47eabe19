/* test_session_slow: subscribers of a real shard that do not keep up, and what each policy makes of
 * them; the test plays the source. */
#include "gateway_fixture.h"
#include "unit.h"

#include <stdio.h>
#include <string.h>

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
        fixture_overrun(gateway, one->transport, one->behind + subscriber->lost, one->size);
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
    fixture_overrun(gateway, TRANSPORT_NDJSON, 300, 200);
    fixture_overrun(gateway, TRANSPORT_SSE, 300, 200);
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
        fixture_overrun(gateway, (enum transport)transport, first + 400, 200);
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
            fixture_publish_until_held(gateway, round == 2 ? MIB / 4 : 1000);
            READ_UNTIL(subscriber, subscriber->next == gateway->produced);
            WAIT_UNTIL(!fixture_held(gateway));
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
    fixture_publish_until_held(gateway, 1000);
    subscriber_close(subscriber);
    WAIT_UNTIL(!fixture_held(gateway));
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
    fixture_publish_until_held(gateway, 1000);
    fixture_overrun(gateway, TRANSPORT_NDJSON, 200, 1000); /* before its goodbye has been taken */
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

UNIT_MAIN("session_slow", a_stalled_reader_gets_gaps_that_add_up_exactly,
    drop_oldest_keeps_the_newest_and_drop_newest_the_oldest,
    a_subscriber_that_must_not_be_slow_is_sent_away,
    a_burst_beyond_the_queue_is_not_slowness_while_the_socket_takes_it,
    a_pause_subscriber_holds_the_source_until_it_catches_up,
    a_pause_subscriber_that_leaves_lets_the_source_go,
    a_pause_subscriber_holds_for_pause_limit_at_most, the_stalled_half_costs_the_others_nothing,
    whoever_comes_stalls_leaves_and_returns_can_account_for_every_record)
