/* test_kafka: the Kafka source against librdkafka's mock cluster, with a fake stream. */
#include "kafka_bed.h"
#include "unit.h"

#include "../../connectors/kafka.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

START_TEST(records_of_four_partitions_arrive_in_order)
{
    struct kafka_bed bed;
    kafka_bed_open(&bed, 2, "orders", 4);
    kafka_bed_run_up(&bed);
    for (int p = 0; p < 4; p++) {
        kafka_bed_produce(&bed, "orders", p, 0, 2000, 20);
    }
    ck_assert(fake_stream_wait(bed.stream, fake_stream_count, 8000, KAFKA_BED_WAIT_S));
    kafka_bed_expect_whole(&bed, 0);
    ck_assert_uint_eq(fake_stream_lanes(bed.stream), 4);
    ck_assert_uint_eq(fake_stream_ups(bed.stream), 1);
    kafka_bed_close(&bed);
}
END_TEST

static void
produce_special(struct kafka_bed *bed)
{
    rd_kafka_t *producer = kafka_bed_producer(bed);
    rd_kafka_resp_err_t rc = rd_kafka_producev(producer, RD_KAFKA_V_TOPIC("orders"),
        RD_KAFKA_V_PARTITION(0), RD_KAFKA_V_KEY("k\n1", 3), RD_KAFKA_V_VALUE((char[]){"v"}, 1),
        RD_KAFKA_V_HEADER("a", "one", 3), RD_KAFKA_V_HEADER("a", "two", 3),
        RD_KAFKA_V_HEADER("none", NULL, 0), RD_KAFKA_V_TIMESTAMP(1700000000123), RD_KAFKA_V_END);
    ck_assert_int_eq(rc, 0);
    rc = rd_kafka_producev(producer, RD_KAFKA_V_TOPIC("orders"), RD_KAFKA_V_PARTITION(0),
        RD_KAFKA_V_KEY("gone", 4), RD_KAFKA_V_END);
    ck_assert_int_eq(rc, 0);
    char empty[1] = "";
    rc = rd_kafka_producev(producer, RD_KAFKA_V_TOPIC("orders"), RD_KAFKA_V_PARTITION(0),
        RD_KAFKA_V_VALUE(empty, 0), RD_KAFKA_V_END);
    ck_assert_int_eq(rc, 0);
    ck_assert_int_eq(rd_kafka_flush(producer, KAFKA_BED_WAIT_S * 1000), 0);
}

START_TEST(keys_headers_times_and_tombstones_are_kept)
{
    struct kafka_bed bed;
    kafka_bed_open(&bed, 1, "orders", 1);
    produce_special(&bed);
    kafka_bed_run(&bed);
    ck_assert(fake_stream_wait(bed.stream, fake_stream_count, 3, KAFKA_BED_WAIT_S));
    const struct fake_record *record = fake_stream_record(bed.stream, 0);
    ck_assert_str_eq(record->key, "k\n1");
    ck_assert_str_eq(record->data, "v");
    ck_assert_int_eq(record->time_ms, 1700000000123);
    ck_assert_uint_eq(record->n_headers, 3);
    ck_assert_str_eq(record->headers[0].name, "a");
    ck_assert_str_eq(record->headers[1].value, "two");
    ck_assert(record->headers[2].is_null);
    record = fake_stream_record(bed.stream, 1);
    ck_assert_str_eq(record->key, "gone");
    ck_assert_ptr_null(record->data);
    record = fake_stream_record(bed.stream, 2);
    ck_assert_ptr_null(record->key);
    ck_assert_ptr_nonnull(record->data);
    ck_assert_uint_eq(record->data_len, 0);
    kafka_bed_close(&bed);
}
END_TEST

/* NULL: a tombstone. */
static void
produce_text(struct kafka_bed *bed, const char *topic, int partition, const char *text)
{
    char copy[8192] = "";
    size_t len = 0;
    rd_kafka_t *producer = kafka_bed_producer(bed);
    if (text != NULL) {
        len = strlen(text);
        memcpy(copy, text, len);
    }
    rd_kafka_resp_err_t rc = rd_kafka_producev(producer, RD_KAFKA_V_TOPIC(topic),
        RD_KAFKA_V_PARTITION(partition), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
        RD_KAFKA_V_VALUE(text == NULL ? NULL : copy, len), RD_KAFKA_V_END);
    ck_assert_int_eq(rc, 0);
    ck_assert_int_eq(rd_kafka_flush(producer, KAFKA_BED_WAIT_S * 1000), 0);
}

/* Of fake_stream's lines each has the offset of the last one in its piece. */
START_TEST(who_takes_lines_gets_neighbours_in_one_piece_and_all_else_in_its_place)
{
    static const char *const texts[] = {"{\"n\":0}", " [1] \n", "2", "{\n}", "text", NULL, "6"};
    static const struct {
        const char *data;
        uint64_t offset;
    } expected[] = {
        {"{\"n\":0}", 2}, {"[1]", 2}, {"2", 2}, {"{\n}", 3}, {"text", 4}, {NULL, 5}, {"6", 6}};
    struct kafka_bed bed;
    char large[5000] = "\"";
    memset(large + 1, 'x', sizeof large - 3);
    large[sizeof large - 2] = '"';
    kafka_bed_open(&bed, 1, "orders", 1);
    fake_stream_set_lines(bed.stream, true);
    for (size_t i = 0; i < 7; i++) {
        produce_text(&bed, "orders", 0, texts[i]);
    }
    produce_text(&bed, "orders", 0, large);
    kafka_bed_run(&bed);
    ck_assert(fake_stream_wait(bed.stream, fake_stream_count, 8, KAFKA_BED_WAIT_S));
    bool apart = fake_stream_commits(bed.stream) > 1; /* what came later is a piece of its own */
    for (size_t i = 0; i < 7; i++) {
        const struct fake_record *record = fake_stream_record(bed.stream, i);
        ck_assert(apart || record->offset == expected[i].offset);
        if (expected[i].data == NULL) {
            ck_assert_ptr_null(record->data);
        } else {
            ck_assert_str_eq(record->data, expected[i].data);
        }
    }
    ck_assert_str_eq(fake_stream_record(bed.stream, 7)->data, large);
    ck_assert_uint_eq(fake_stream_lane(bed.stream, "orders", 0).next, 8);
    kafka_bed_close(&bed);
}
END_TEST

START_TEST(no_piece_goes_across_where_its_subscriber_ends)
{
    struct kafka_bed bed;
    char text[16];
    kafka_bed_open(&bed, 1, "orders", 1);
    fake_stream_set_lines(bed.stream, true);
    fake_stream_set_lines_cut(bed.stream, 3);
    for (int i = 0; i < 10; i++) {
        snprintf(text, sizeof text, "%d", i);
        produce_text(&bed, "orders", 0, text);
    }
    kafka_bed_run(&bed);
    ck_assert(fake_stream_wait(bed.stream, fake_stream_count, 10, KAFKA_BED_WAIT_S));
    for (size_t i = 0; i < 10; i++) {
        const struct fake_record *record = fake_stream_record(bed.stream, i);
        ck_assert_int_eq(atoi(record->data), (int)i);
        ck_assert(record->offset >= i && (record->offset < 3) == (i < 3));
    }
    kafka_bed_close(&bed);
}
END_TEST

START_TEST(records_of_keys_that_nobody_wants_are_passed_over)
{
    struct kafka_bed bed;
    kafka_bed_open(&bed, 1, "orders", 1);
    fake_stream_set_key(bed.stream, "gone");
    produce_special(&bed); /* the second of three has that key */
    kafka_bed_run(&bed);
    ck_assert(fake_stream_wait(bed.stream, fake_stream_count, 1, KAFKA_BED_WAIT_S));
    produce_special(&bed);
    ck_assert(fake_stream_wait(bed.stream, fake_stream_count, 2, KAFKA_BED_WAIT_S));
    ck_assert_uint_eq(fake_stream_record(bed.stream, 0)->offset, 1);
    ck_assert_uint_eq(fake_stream_record(bed.stream, 1)->offset, 4);
    ck_assert_str_eq(fake_stream_record(bed.stream, 1)->key, "gone");
    ck_assert_uint_eq(fake_stream_repeats(bed.stream), 0);
    kafka_bed_close(&bed);
}
END_TEST

START_TEST(lines_wait_for_room_and_none_is_missing)
{
    struct kafka_bed bed;
    char text[32];
    kafka_bed_open(&bed, 1, "orders", 2);
    fake_stream_set_lines(bed.stream, true);
    fake_stream_set_room(bed.stream, 1);
    bed.producer = kafka_bed_producer(&bed);
    for (int i = 0; i < 2000; i++) {
        int len = snprintf(text, sizeof text, i % 10 == 9 ? "no json %d" : "%d", i / 2);
        ck_assert_int_eq(rd_kafka_producev(bed.producer, RD_KAFKA_V_TOPIC("orders"),
                             RD_KAFKA_V_PARTITION(i % 2), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
                             RD_KAFKA_V_VALUE(text, (size_t)len), RD_KAFKA_V_END),
            0);
    }
    ck_assert_int_eq(rd_kafka_flush(bed.producer, KAFKA_BED_WAIT_S * 1000), 0);
    kafka_bed_run(&bed);
    ck_assert(fake_stream_wait(bed.stream, fake_stream_count, 2000, KAFKA_BED_WAIT_S));
    int next[2] = {0, 0};
    for (size_t i = 0; i < 2000; i++) {
        const struct fake_record *record = fake_stream_record(bed.stream, i);
        int n = next[record->lane]++;
        bool odd = strchr(record->data, 'j') != NULL && n % 5 == 4;
        snprintf(text, sizeof text, odd ? "no json %d" : "%d", n);
        ck_assert_str_eq(record->data, text);
    }
    ck_assert_int_eq(next[0], next[1]);
    kafka_bed_close(&bed);
}
END_TEST

START_TEST(latest_starts_at_the_end_and_a_lone_record_goes_out_alone)
{
    struct kafka_bed bed;
    kafka_bed_open(&bed, 1, "orders", 2);
    kafka_bed_produce(&bed, "orders", 0, 0, 100, 10);
    snprintf(bed.start, sizeof bed.start, "latest");
    kafka_bed_run_up(&bed);
    ck_assert_uint_eq(fake_stream_lane(bed.stream, "orders", 0).start, 100);
    ck_assert_uint_eq(fake_stream_lane(bed.stream, "orders", 1).start, 0);
    kafka_bed_produce(&bed, "orders", 0, 100, 1, 10);
    ck_assert(fake_stream_wait(bed.stream, fake_stream_count, 1, KAFKA_BED_WAIT_S));
    ck_assert_uint_eq(fake_stream_record(bed.stream, 0)->offset, 100);
    ck_assert_uint_eq(fake_stream_commits(bed.stream), 1);
    kafka_bed_close(&bed);
}
END_TEST

START_TEST(start_by_time_does_not_hang_where_the_broker_cannot_look_up_times)
{
    struct kafka_bed bed;
    kafka_bed_open(&bed, 1, "orders", 1);
    kafka_bed_produce(&bed, "orders", 0, 0, 10, 10);
    snprintf(bed.start, sizeof bed.start, "-15m");
    kafka_bed_run_up(&bed);
    ck_assert_uint_eq(fake_stream_lane(bed.stream, "orders", 0).start, 10);
    kafka_bed_close(&bed);
}
END_TEST

START_TEST(no_room_holds_the_source_and_then_nothing_is_missing)
{
    struct kafka_bed bed;
    kafka_bed_open(&bed, 1, "orders", 3);
    fake_stream_set_room(bed.stream, 0);
    kafka_bed_run_up(&bed);
    for (int p = 0; p < 3; p++) {
        kafka_bed_produce(&bed, "orders", p, 0, 3000, 100);
    }
    ck_assert_uint_eq(fake_stream_count(bed.stream), 0);
    fake_stream_set_room(bed.stream, 7);
    kafka_connector.wake(bed.source);
    ck_assert(fake_stream_wait(bed.stream, fake_stream_count, 9000, KAFKA_BED_WAIT_S));
    kafka_bed_expect_whole(&bed, 0);
    kafka_bed_close(&bed);
}
END_TEST

static size_t
end_of_orders(struct stream *stream)
{
    return (size_t)fake_stream_lane(stream, "orders", 0).end;
}

START_TEST(the_end_is_known_while_the_source_is_held)
{
    struct kafka_bed bed;
    kafka_bed_open(&bed, 1, "orders", 1);
    fake_stream_set_room(bed.stream, 0);
    kafka_bed_run_up(&bed);
    kafka_bed_produce(&bed, "orders", 0, 0, 123, 10);
    ck_assert(fake_stream_wait(bed.stream, end_of_orders, 123, KAFKA_BED_WAIT_S));
    ck_assert_uint_eq(fake_stream_count(bed.stream), 0);
    kafka_bed_close(&bed);
}
END_TEST

START_TEST(an_expression_finds_topics_that_appear_later_and_no_internal_ones)
{
    struct kafka_bed bed;
    struct err err = {0};
    char *expression[] = {(char[]){"^(or|__or)ders"}};
    kafka_bed_open(&bed, 1, "orders-a", 1);
    ck_assert_int_eq(mock_cluster_create_topic(bed.cluster, "other", 1, &err), 0);
    ck_assert_int_eq(mock_cluster_create_topic(bed.cluster, "__orders", 1, &err), 0);
    bed.settings.topics = (struct config_strings){expression, 1};
    snprintf(bed.start, sizeof bed.start, "latest");
    kafka_bed_run_up(&bed);
    ck_assert_uint_eq(fake_stream_lanes(bed.stream), 1);
    ck_assert_int_eq(mock_cluster_create_topic(bed.cluster, "orders-b", 2, &err), 0);
    kafka_bed_produce(&bed, "orders-b", 1, 0, 30, 10);
    ck_assert(fake_stream_wait(bed.stream, fake_stream_count, 30, KAFKA_BED_WAIT_S));
    ck_assert_uint_eq(fake_stream_lanes(bed.stream), 3);
    kafka_bed_expect_whole(&bed, 0);
    kafka_bed_close(&bed);
}
END_TEST

UNIT_MAIN("kafka", records_of_four_partitions_arrive_in_order,
    keys_headers_times_and_tombstones_are_kept,
    who_takes_lines_gets_neighbours_in_one_piece_and_all_else_in_its_place,
    lines_wait_for_room_and_none_is_missing, records_of_keys_that_nobody_wants_are_passed_over,
    no_piece_goes_across_where_its_subscriber_ends,
    latest_starts_at_the_end_and_a_lone_record_goes_out_alone,
    start_by_time_does_not_hang_where_the_broker_cannot_look_up_times,
    no_room_holds_the_source_and_then_nothing_is_missing, the_end_is_known_while_the_source_is_held,
    an_expression_finds_topics_that_appear_later_and_no_internal_ones)
