/* test_kafka_faults: the Kafka source while brokers, leaders, topics and records go and come back.
 */
#include "kafka_bed.h"
#include "unit.h"

#include "../../connectors/kafka.h"
#include "../../connectors/kafka_internal.h"
#include "../../connectors/push.h"
#include "../../gateway/clock.h"

#include <stdio.h>
#include <string.h>

/* As a fault of librdkafka would: it fetches no more, and so learns of no more. */
static void
fall_silent(struct kafka_bed *bed, const struct source *source)
{
    kafka_bed_produce(bed, "orders", 0, 0, 10, 20);
    kafka_bed_produce(bed, "orders", 1, 0, 10, 20);
    ck_assert(fake_stream_wait(bed->stream, fake_stream_count, 20, KAFKA_BED_WAIT_S));
    rd_kafka_topic_t *orders = rd_kafka_topic_new(source->client, "orders", NULL);
    ck_assert_int_eq(rd_kafka_consume_stop(orders, 1), 0);
    rd_kafka_topic_destroy(orders);
    kafka_bed_produce(bed, "orders", 0, 10, 10, 20);
    kafka_bed_produce(bed, "orders", 1, 10, 10, 20);
}

static void
expect_fetched_anew(struct kafka_bed *bed)
{
    ck_assert(fake_stream_wait(bed->stream, fake_stream_count, 40, 2 * KAFKA_BED_WAIT_S));
    kafka_bed_expect_whole(bed, 0);
    ck_assert_uint_eq(fake_stream_errors(bed->stream, "stalled"), 1);
}

/* Of a topic's own source and of a push source's reader, which is that source's first member. */
START_TEST(a_partition_that_falls_silent_is_fetched_anew)
{
    struct kafka_bed own, push;
    struct source *reader;
    kafka_bed_open(&own, 1, "orders", 2);
    own.settings.stall_timeout_ms = 1000;
    kafka_bed_run(&own);
    kafka_bed_open(&push, 1, "orders", 2);
    push.push = (struct push_settings){.kafka = {.timeout_ms = 10000, .reader = push.settings}};
    push.push.kafka.reader.stall_timeout_ms = 1000;
    kafka_bed_run_as(&push, &push_kafka_connector, &push.push);
    memcpy(&reader, push.source, sizeof reader);
    fall_silent(&own, own.source);
    fall_silent(&push, reader);
    expect_fetched_anew(&own);
    expect_fetched_anew(&push);
    kafka_bed_close(&own);
    kafka_bed_close(&push);
}
END_TEST

START_TEST(a_broker_that_is_down_at_the_start_is_waited_for)
{
    struct kafka_bed bed;
    kafka_bed_open(&bed, 1, "orders", 1);
    kafka_bed_produce(&bed, "orders", 0, 0, 10, 10);
    mock_cluster_broker_down(bed.cluster, 0);
    kafka_bed_run(&bed);
    ck_assert(fake_stream_wait_error(bed.stream, "unreachable", KAFKA_BED_WAIT_S));
    ck_assert(!fake_stream_is_up(bed.stream));
    mock_cluster_broker_up(bed.cluster, 0);
    ck_assert(fake_stream_wait_up(bed.stream, true, KAFKA_BED_WAIT_S));
    ck_assert(fake_stream_wait(bed.stream, fake_stream_count, 10, KAFKA_BED_WAIT_S));
    ck_assert_uint_eq(fake_stream_errors(bed.stream, "unreachable"), 1);
    kafka_bed_close(&bed);
}
END_TEST

START_TEST(brokers_that_go_and_come_back_are_told_once_each_and_lose_nothing)
{
    struct kafka_bed bed;
    kafka_bed_open(&bed, 2, "orders", 4);
    kafka_bed_run_up(&bed);
    kafka_bed_produce(&bed, "orders", 0, 0, 100, 10);
    mock_cluster_broker_down(bed.cluster, 0);
    ck_assert(fake_stream_wait_up(bed.stream, false, KAFKA_BED_WAIT_S));
    mock_cluster_broker_up(bed.cluster, 0);
    ck_assert(fake_stream_wait_up(bed.stream, true, KAFKA_BED_WAIT_S));
    for (int p = 0; p < 4; p++) {
        kafka_bed_produce(&bed, "orders", p, 100, 100, 10);
    }
    ck_assert(fake_stream_wait(bed.stream, fake_stream_count, 500, KAFKA_BED_WAIT_S));
    kafka_bed_expect_whole(&bed, 0);
    ck_assert_uint_eq(fake_stream_ups(bed.stream), 2);
    ck_assert_uint_eq(fake_stream_downs(bed.stream), 1);
    kafka_bed_close(&bed);
}
END_TEST

START_TEST(stop_is_prompt_while_brokers_are_down)
{
    struct kafka_bed bed;
    kafka_bed_open(&bed, 2, "orders", 4);
    kafka_bed_run_up(&bed);
    mock_cluster_broker_down(bed.cluster, 0);
    ck_assert(fake_stream_wait_up(bed.stream, false, KAFKA_BED_WAIT_S));
    kafka_bed_close(&bed);
}
END_TEST

START_TEST(a_leader_that_moves_loses_nothing)
{
    struct kafka_bed bed;
    kafka_bed_open(&bed, 3, "orders", 2);
    kafka_bed_run_up(&bed);
    for (int round = 0; round < 5; round++) {
        mock_cluster_leader(bed.cluster, "orders", 0, round % 3 + 1);
        mock_cluster_leader(bed.cluster, "orders", 1, (round + 1) % 3 + 1);
        kafka_bed_produce(&bed, "orders", 0, round * 100, 100, 10);
        kafka_bed_produce(&bed, "orders", 1, round * 100, 100, 10);
    }
    ck_assert(fake_stream_wait(bed.stream, fake_stream_count, 1000, KAFKA_BED_WAIT_S));
    kafka_bed_expect_whole(&bed, 0);
    kafka_bed_close(&bed);
}
END_TEST

START_TEST(failed_fetches_lose_nothing)
{
    struct kafka_bed bed;
    kafka_bed_open(&bed, 1, "orders", 1);
    kafka_bed_run_up(&bed);
    mock_cluster_fetch_errors(bed.cluster, RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION, 2);
    kafka_bed_produce(&bed, "orders", 0, 0, 100, 10);
    mock_cluster_fetch_errors(bed.cluster, RD_KAFKA_RESP_ERR__TRANSPORT, 2);
    kafka_bed_produce(&bed, "orders", 0, 100, 100, 10);
    mock_cluster_fetch_errors(bed.cluster, RD_KAFKA_RESP_ERR_KAFKA_STORAGE_ERROR, 2);
    kafka_bed_produce(&bed, "orders", 0, 200, 100, 10);
    ck_assert(fake_stream_wait(bed.stream, fake_stream_count, 300, KAFKA_BED_WAIT_S));
    kafka_bed_expect_whole(&bed, 0);
    kafka_bed_close(&bed);
}
END_TEST

START_TEST(records_that_retention_deleted_are_counted_as_lost)
{
    struct kafka_bed bed;
    kafka_bed_open(&bed, 1, "orders", 1);
    bed.settings.prefetch_bytes = 1 << 20;
    fake_stream_set_room(bed.stream, 0);
    kafka_bed_run_up(&bed);
    kafka_bed_produce(&bed, "orders", 0, 0, 14000, 1000); /* the cluster keeps 5 MiB of these 14 */
    fake_stream_set_room(bed.stream, 1000);
    kafka_connector.wake(bed.source);
    ck_assert(fake_stream_wait_end(bed.stream, "orders", 0, 14000, KAFKA_BED_WAIT_S));
    struct fake_lane lane = fake_stream_lane(bed.stream, "orders", 0);
    ck_assert_uint_gt(lane.lost, 0);
    ck_assert_str_eq(lane.lost_reason, "retention");
    ck_assert(fake_stream_wait(bed.stream, fake_stream_count, 14000 - lane.lost, KAFKA_BED_WAIT_S));
    ck_assert_uint_eq(fake_stream_errors(bed.stream, "retention"), 1);
    ck_assert_int_eq(lane.resets, 0);
    kafka_bed_close(&bed);
}
END_TEST

START_TEST(a_payload_over_the_maximum_is_a_counted_loss)
{
    struct kafka_bed bed;
    kafka_bed_open(&bed, 1, "orders", 1);
    fake_stream_free(bed.stream);
    bed.stream = fake_stream_new(1000, 1000);
    kafka_bed_produce(&bed, "orders", 0, 0, 1, 10);
    kafka_bed_produce(&bed, "orders", 0, 1, 1, 5000);
    kafka_bed_produce(&bed, "orders", 0, 2, 1, 10);
    kafka_bed_run(&bed);
    ck_assert(fake_stream_wait(bed.stream, fake_stream_count, 2, KAFKA_BED_WAIT_S));
    ck_assert_uint_eq(fake_stream_record(bed.stream, 1)->offset, 2);
    struct fake_lane lane = fake_stream_lane(bed.stream, "orders", 0);
    ck_assert_uint_eq(lane.lost, 1);
    ck_assert_str_eq(lane.lost_reason, "too_large");
    ck_assert_uint_eq(fake_stream_errors(bed.stream, "too_large"), 1);
    kafka_bed_close(&bed);
}
END_TEST

START_TEST(a_topic_that_is_not_there_yet_is_read_from_its_beginning_when_it_comes)
{
    struct kafka_bed bed;
    kafka_bed_open(&bed, 1, "orders", 2);
    mock_cluster_topic_missing(bed.cluster, "orders", true);
    snprintf(bed.start, sizeof bed.start, "latest");
    kafka_bed_run(&bed);
    ck_assert(fake_stream_wait_error(bed.stream, "topic_missing", KAFKA_BED_WAIT_S));
    ck_assert(!fake_stream_is_up(bed.stream));
    mock_cluster_topic_missing(bed.cluster, "orders", false);
    kafka_bed_produce(&bed, "orders", 1, 0, 50, 10);
    ck_assert(fake_stream_wait_up(bed.stream, true, KAFKA_BED_WAIT_S));
    ck_assert(fake_stream_wait(bed.stream, fake_stream_count, 50, KAFKA_BED_WAIT_S));
    kafka_bed_expect_whole(&bed, 0);
    kafka_bed_close(&bed);
}
END_TEST

static size_t
orders_removed(struct stream *stream)
{
    return fake_stream_lane(stream, "orders", 0).removed;
}

START_TEST(a_topic_that_goes_and_comes_back_starts_anew)
{
    struct kafka_bed bed;
    kafka_bed_open(&bed, 1, "orders", 1);
    kafka_bed_produce(&bed, "orders", 0, 0, 20, 10);
    kafka_bed_run(&bed);
    ck_assert(fake_stream_wait(bed.stream, fake_stream_count, 20, KAFKA_BED_WAIT_S));
    mock_cluster_topic_missing(bed.cluster, "orders", true);
    ck_assert(fake_stream_wait_up(bed.stream, false, KAFKA_BED_WAIT_S));
    ck_assert(fake_stream_wait(bed.stream, orders_removed, 1, KAFKA_BED_WAIT_S));
    mock_cluster_topic_missing(bed.cluster, "orders", false);
    ck_assert(fake_stream_wait(bed.stream, fake_stream_count, 40, KAFKA_BED_WAIT_S));
    ck_assert_int_eq(fake_stream_lane(bed.stream, "orders", 0).resets, 1);
    ck_assert_uint_eq(fake_stream_record(bed.stream, 20)->offset, 0);
    kafka_bed_close(&bed);
}
END_TEST

UNIT_MAIN("kafka_faults", a_partition_that_falls_silent_is_fetched_anew,
    a_broker_that_is_down_at_the_start_is_waited_for,
    brokers_that_go_and_come_back_are_told_once_each_and_lose_nothing,
    stop_is_prompt_while_brokers_are_down, a_leader_that_moves_loses_nothing,
    failed_fetches_lose_nothing, records_that_retention_deleted_are_counted_as_lost,
    a_payload_over_the_maximum_is_a_counted_loss,
    a_topic_that_is_not_there_yet_is_read_from_its_beginning_when_it_comes,
    a_topic_that_goes_and_comes_back_starts_anew)
