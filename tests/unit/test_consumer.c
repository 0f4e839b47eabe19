/* test_consumer: acks of durable consumers: cumulative, only for what is in flight, to the right
 * connection. */
#include "consumer.h"
#include "lanes.h"
#include "mem.h"
#include "ring.h"
#include "server.h"
#include "unit.h"

#include <stdio.h>
#include <string.h>

/* A connection with a ring of its own, of one lane. */
struct side {
    struct ring *ring;
    struct lanes *lanes;
    struct consumer *consumer;
    uint32_t lane;
    int wakes;
};

static struct consumers *all;

static void
count_wake(void *side_)
{
    struct side *side = side_;
    side->wakes++;
}

static void
side_open(struct side *side, const char *name, uint32_t partition, bool acks)
{
    *side = (struct side){.ring = ring_new(1024, 1 << 20, 1), .lanes = lanes_new(NULL)};
    ck_assert_ptr_null(lanes_add(side->lanes, "t", partition, 0, &side->lane));
    side->consumer = consumer_open(all, &(struct consumer_options){.stream = 2,
                                            .name = name,
                                            .acks = acks,
                                            .ring = side->ring,
                                            .wake = count_wake,
                                            .shard = side});
}

static void
side_close(struct side *side)
{
    consumer_close(side->consumer);
    ring_free(side->ring);
    lanes_free(side->lanes);
}

static void
publish(struct side *side, size_t n)
{
    struct buf id, scratch;
    buf_init(&id);
    buf_init(&scratch);
    for (size_t i = 0; i < n; i++) {
        uint64_t offset = lanes_next(side->lanes, side->lane);
        id.len = 0;
        const char *prefix = lanes_advance(side->lanes, side->lane, offset, &id);
        struct record_input in = {.lane = side->lane, .offset = offset, .data = "1", .data_len = 1};
        struct record *record = record_new(&in, id.bytes, id.len, prefix, 1, &scratch);
        ring_append_take(side->ring, &record, 1);
    }
    buf_fini(&id);
    buf_fini(&scratch);
}

/* The id of a record; the caller frees it. */
static char *
id_of(struct side *side, uint64_t seq)
{
    struct record *record = ring_peek_ref(side->ring, seq);
    char *id = mem_strndup(record->text + record->id_off, record->id_len);
    record_unref(record);
    return id;
}

static enum consumer_ack
ack(struct side *side, uint64_t seq, int64_t now_ms)
{
    char *id = id_of(side, seq);
    enum consumer_ack result = consumer_ack(side->consumer, id, strlen(id), now_ms);
    free(id);
    return result;
}

static enum consumer_ack
post(struct side *side, uint64_t seq, size_t stream, const char *name)
{
    char *id = id_of(side, seq);
    enum consumer_ack result = consumers_ack(all, stream, name, id, strlen(id), 1);
    free(id);
    return result;
}

static uint64_t
in_flight(void)
{
    struct consumer_counts counts;
    consumers_count(all, 2, &counts);
    return counts.in_flight;
}

START_TEST(an_ack_is_cumulative_and_wakes_the_shard)
{
    struct side one;
    all = consumers_new();
    side_open(&one, "c", 0, true);
    publish(&one, 10);
    consumer_sent(one.consumer, 10, 10, 5);
    ck_assert_uint_eq(consumer_settled(one.consumer), 0);
    ck_assert_uint_eq(in_flight(), 10);
    ck_assert_int_eq(ack(&one, 4, 6), CONSUMER_ACK_DONE);
    ck_assert_uint_eq(consumer_settled(one.consumer), 4);
    ck_assert_int_eq(one.wakes, 1);
    ck_assert_int_eq(ack(&one, 10, 6), CONSUMER_ACK_DONE);
    ck_assert_uint_eq(consumer_settled(one.consumer), 10);
    ck_assert_uint_eq(in_flight(), 0);
    side_close(&one);
    consumers_free(all);
}
END_TEST

START_TEST(an_old_ack_does_nothing_and_one_of_what_was_not_sent_is_refused)
{
    struct side one;
    struct consumer_counts counts;
    all = consumers_new();
    side_open(&one, "c", 0, true);
    publish(&one, 10);
    consumer_sent(one.consumer, 6, 6, 5);
    ck_assert_int_eq(ack(&one, 7, 6), CONSUMER_ACK_FOREIGN);
    ck_assert_int_eq(ack(&one, 5, 6), CONSUMER_ACK_DONE);
    ck_assert_int_eq(ack(&one, 5, 6), CONSUMER_ACK_BEFORE);
    ck_assert_int_eq(ack(&one, 2, 6), CONSUMER_ACK_BEFORE);
    ck_assert_int_eq(ack(&one, 7, 6), CONSUMER_ACK_FOREIGN);
    ck_assert_uint_eq(consumer_settled(one.consumer), 5);
    consumers_count(all, 2, &counts);
    ck_assert_uint_eq(counts.acks, 1);
    ck_assert_uint_eq(counts.acks_refused, 2);
    side_close(&one);
    consumers_free(all);
}
END_TEST

/* The client has the record, and its ack is served by another thread, before the shard goes on. */
START_TEST(an_ack_that_overtakes_the_shard_is_taken_and_counts_once_the_record_is_sent)
{
    struct side one;
    all = consumers_new();
    side_open(&one, "c", 0, true);
    publish(&one, 10);
    consumer_sent(one.consumer, 4, 4, 5);
    consumer_sending(one.consumer, 8);
    ck_assert_int_eq(ack(&one, 8, 6), CONSUMER_ACK_DONE);
    ck_assert_int_eq(ack(&one, 9, 6), CONSUMER_ACK_FOREIGN);
    ck_assert_uint_eq(consumer_settled(one.consumer), 4);
    consumer_sent(one.consumer, 6, 6, 7); /* the socket took no more */
    ck_assert_uint_eq(consumer_settled(one.consumer), 6);
    consumer_sent(one.consumer, 10, 10, 8);
    ck_assert_uint_eq(consumer_settled(one.consumer), 8);
    ck_assert_uint_eq(in_flight(), 2);
    side_close(&one);
    consumers_free(all);
}
END_TEST

START_TEST(a_forged_token_acks_nothing)
{
    struct side one;
    struct buf forged;
    all = consumers_new();
    side_open(&one, "c", 0, true);
    publish(&one, 5);
    consumer_sent(one.consumer, 5, 5, 5);
    const struct token_lane far = {token_group_hash("t"), 0, 1000000};
    const struct token_lane other = {token_group_hash("u"), 0, 1};
    buf_init(&forged);
    token_encode(&forged, &far, 1, NULL);
    ck_assert_int_eq(consumer_ack(one.consumer, forged.bytes, forged.len, 6), CONSUMER_ACK_FOREIGN);
    forged.len = 0;
    token_encode(&forged, &other, 1, NULL);
    ck_assert_int_eq(ack(&one, 1, 6), CONSUMER_ACK_DONE);
    ck_assert_int_eq(consumer_ack(one.consumer, forged.bytes, forged.len, 6), CONSUMER_ACK_FOREIGN);
    ck_assert_int_eq(consumer_ack(one.consumer, "x", 1, 6), CONSUMER_ACK_FOREIGN);
    ck_assert_uint_eq(consumer_settled(one.consumer), 1);
    buf_fini(&forged);
    side_close(&one);
    consumers_free(all);
}
END_TEST

START_TEST(a_post_finds_the_connection_that_has_the_record)
{
    struct side one, two, silent;
    all = consumers_new();
    side_open(&one, "c", 0, true);
    side_open(&two, "c", 1, true);
    side_open(&silent, "quiet", 2, false);
    publish(&one, 3);
    publish(&two, 3);
    publish(&silent, 3);
    consumer_sent(one.consumer, 3, 3, 5);
    consumer_sent(two.consumer, 3, 3, 5);
    consumer_sent(silent.consumer, 3, 3, 5);
    ck_assert_int_eq(post(&two, 2, 2, "c"), CONSUMER_ACK_DONE);
    ck_assert_uint_eq(consumer_settled(one.consumer), 0);
    ck_assert_uint_eq(consumer_settled(two.consumer), 2);
    ck_assert_int_eq(post(&two, 2, 2, "d"), CONSUMER_ACK_ABSENT);
    ck_assert_int_eq(post(&two, 2, 1, "c"), CONSUMER_ACK_ABSENT);
    ck_assert_int_eq(post(&silent, 2, 2, "quiet"), CONSUMER_ACK_ABSENT);
    ck_assert_int_eq(post(&silent, 2, 2, "c"), CONSUMER_ACK_FOREIGN);
    side_close(&one);
    side_close(&two);
    side_close(&silent);
    consumers_free(all);
}
END_TEST

START_TEST(what_a_filter_passed_over_behind_the_last_record_needs_no_ack)
{
    struct side one;
    all = consumers_new();
    side_open(&one, "c", 0, true);
    publish(&one, 100);
    consumer_sent(one.consumer, 50, 0, 5); /* nothing of it was for the client */
    ck_assert_uint_eq(consumer_settled(one.consumer), 50);
    ck_assert_int_eq(consumer_waits_ms(one.consumer, 9), 0);
    consumer_sent(one.consumer, 80, 60, 5);
    ck_assert_uint_eq(consumer_settled(one.consumer), 50);
    ck_assert_int_eq(ack(&one, 60, 6), CONSUMER_ACK_DONE);
    ck_assert_uint_eq(consumer_settled(one.consumer), 80);
    side_close(&one);
    consumers_free(all);
}
END_TEST

START_TEST(a_client_that_owes_an_ack_is_timed_from_the_last_that_it_gave)
{
    struct side one;
    all = consumers_new();
    side_open(&one, "c", 0, true);
    publish(&one, 10);
    consumer_sent(one.consumer, 5, 5, 1000);
    consumer_sent(one.consumer, 10, 10, 2000);
    ck_assert_int_eq(consumer_waits_ms(one.consumer, 4000), 3000);
    ck_assert_int_eq(ack(&one, 3, 5000), CONSUMER_ACK_DONE);
    ck_assert_int_eq(consumer_waits_ms(one.consumer, 5500), 500);
    ck_assert_int_eq(ack(&one, 10, 6000), CONSUMER_ACK_DONE);
    ck_assert_int_eq(consumer_waits_ms(one.consumer, 9000), 0);
    side_close(&one);
    consumers_free(all);
}
END_TEST

START_TEST(a_group_is_made_of_the_template)
{
    struct config_stream config = {
        .name = (char[]){"orders"}, .consumer_group = (char[]){"a-{stream}.{consumer}-{x}"}};
    char *group = consumer_group(&config, "billing");
    ck_assert_str_eq(group, "a-orders.billing-{x}");
    free(group);
    ck_assert(consumer_name_valid("a.B-9_"));
    ck_assert(!consumer_name_valid(""));
    ck_assert(!consumer_name_valid("a/b"));
    ck_assert(!consumer_name_valid("{stream}"));
    ck_assert(
        !consumer_name_valid("12345678901234567890123456789012345678901234567890123456789012345"));
}
END_TEST

START_TEST(an_ack_is_an_object_with_an_id_alone)
{
    struct err err;
    const char good[] = "{\"id\":\"AQA\"}";
    char *id = ack_parse((struct slice){good, sizeof good - 1}, &err);
    ck_assert_str_eq(id, "AQA");
    free(id);
    const char *const bad[] = {"", "AQA", "[]", "{}", "{\"id\":1}", "{\"id\":\"x\"}",
        "{\"id\":\"AQA\",\"more\":1}", "{\"id\":\"AQA\",\"id\":\"AQA\"}", "{\"id\":\"AQA\"}x"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        ck_assert_msg(
            ack_parse((struct slice){bad[i], strlen(bad[i])}, &err) == NULL, "%s", bad[i]);
    }
    ck_assert(ack_is_path("/streams/s/consumers/c/ack"));
    ck_assert(!ack_is_path("/streams/s/consumers//ack"));
    ck_assert(!ack_is_path("/streams/s/consumers/c/ack/"));
    ck_assert(!ack_is_path("/streams/s/ack"));
    ck_assert(!ack_is_path("/streams/s"));
}
END_TEST

UNIT_MAIN("consumer", an_ack_is_cumulative_and_wakes_the_shard,
    an_old_ack_does_nothing_and_one_of_what_was_not_sent_is_refused, a_forged_token_acks_nothing,
    an_ack_that_overtakes_the_shard_is_taken_and_counts_once_the_record_is_sent,
    a_post_finds_the_connection_that_has_the_record,
    what_a_filter_passed_over_behind_the_last_record_needs_no_ack,
    a_client_that_owes_an_ack_is_timed_from_the_last_that_it_gave, a_group_is_made_of_the_template,
    an_ack_is_an_object_with_an_id_alone)
