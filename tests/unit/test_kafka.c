/* The Kafka source against librdkafka's mock cluster, with a fake stream. */
#include "fake_stream.h"
#include "unit.h"

#include "../../connectors/connector.h"
#include "../../connectors/kafka.h"
#include "../../connectors/kafka_internal.h"
#include "../../connectors/kafka_settings.h"
#include "../../connectors/mock_cluster.h"
#include "../../gateway/clock.h"
#include "../../gateway/log.h"

#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WAIT_S 30

static char *topic_items[] = {(char[]){"orders"}};
static struct config_pair option_items[] = {
    {(char[]){"fetch.wait.max.ms"}, (char[]){"10"}, 1, 1},
};

struct bed {
    struct mock_cluster *cluster;
    struct stream *stream;
    struct kafka_settings settings;
    char brokers[256];
    char start[64];
    struct source *source;
    rd_kafka_t *producer;
};

static void
bed_open(struct bed *bed, int n_brokers, const char *topic, int n_partitions)
{
    struct err err = {0};
    memset(bed, 0, sizeof *bed);
    log_init(getenv("TEST_LOG") != NULL ? LOG_DEBUG : LOG_ERROR, LOG_FORMAT_TEXT);
    bed->cluster = mock_cluster_start(n_brokers, &err);
    ck_assert_msg(bed->cluster != NULL, "%s", err.text);
    if (topic != NULL) {
        ck_assert_int_eq(mock_cluster_create_topic(bed->cluster, topic, n_partitions, &err), 0);
    }
    snprintf(bed->brokers, sizeof bed->brokers, "%s", mock_cluster_bootstrap(bed->cluster));
    snprintf(bed->start, sizeof bed->start, "earliest");
    bed->settings = (struct kafka_settings){.brokers = bed->brokers,
        .topics = {topic_items, 1},
        .start = bed->start,
        .discover_ms = 200,
        .prefetch_bytes = 16 << 20,
        .session_timeout_ms = 45000,
        .stall_timeout_ms = 30000,
        .librdkafka_options = {option_items, 1}};
    bed->stream = fake_stream_new(1000, 1 << 20);
}

static void
bed_run(struct bed *bed)
{
    struct err err = {0};
    bed->source = kafka_connector.start(&bed->settings, bed->stream, NULL, &err);
    ck_assert_msg(bed->source != NULL, "%s", err.text);
}

static rd_kafka_t *
producer_new(const char *brokers)
{
    char why[256];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set(conf, "bootstrap.servers", brokers, why, sizeof why);
    rd_kafka_conf_set(conf, "linger.ms", "0", why, sizeof why);
    rd_kafka_conf_set_log_cb(conf, NULL);
    rd_kafka_t *producer = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, sizeof why);
    ck_assert_msg(producer != NULL, "%s", why);
    return producer;
}

static void
produce(struct bed *bed, const char *topic, int partition, int first, int n, size_t pad)
{
    if (bed->producer == NULL) {
        bed->producer = producer_new(bed->brokers);
    }
    char *text = calloc(1, pad + 32);
    memset(text, 'x', pad + 31);
    for (int i = first; i < first + n; i++) {
        int head = snprintf(text, 32, "%d:", i);
        text[head] = 'x';
        rd_kafka_resp_err_t rc;
        do {
            rc = rd_kafka_producev(bed->producer, RD_KAFKA_V_TOPIC(topic),
                RD_KAFKA_V_PARTITION(partition), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
                RD_KAFKA_V_VALUE(text, (size_t)head + pad), RD_KAFKA_V_END);
            rd_kafka_poll(bed->producer, rc == RD_KAFKA_RESP_ERR__QUEUE_FULL ? 10 : 0);
        } while (rc == RD_KAFKA_RESP_ERR__QUEUE_FULL);
        ck_assert_int_eq(rc, 0);
    }
    free(text);
    ck_assert_int_eq(rd_kafka_flush(bed->producer, WAIT_S * 1000), 0);
}

static void
bed_close(struct bed *bed)
{
    if (bed->source != NULL) {
        int64_t begun = clock_mono_ns();
        kafka_connector.stop(bed->source);
        ck_assert_int_lt((clock_mono_ns() - begun) / 1000000000, 5);
    }
    ck_assert(!fake_stream_disorder(bed->stream));
    if (bed->producer != NULL) {
        rd_kafka_destroy(bed->producer);
    }
    mock_cluster_stop(bed->cluster);
    fake_stream_free(bed->stream);
}

/* Every lane's records are in order, without a hole, from first on. Returns the count. */
static void
expect_whole(struct bed *bed, uint64_t first)
{
    uint64_t next[FAKE_LANES];
    for (size_t i = 0; i < FAKE_LANES; i++) {
        next[i] = first;
    }
    for (size_t i = 0; i < fake_stream_count(bed->stream); i++) {
        const struct fake_record *record = fake_stream_record(bed->stream, i);
        ck_assert_uint_eq(record->offset, next[record->lane]);
        next[record->lane]++;
    }
}

START_TEST(records_of_four_partitions_arrive_in_order)
{
    struct bed bed;
    bed_open(&bed, 2, "orders", 4);
    bed_run(&bed);
    ck_assert(fake_stream_wait_up(bed.stream, true, WAIT_S));
    for (int p = 0; p < 4; p++) {
        produce(&bed, "orders", p, 0, 2000, 20);
    }
    ck_assert(fake_stream_wait(bed.stream, fake_stream_count, 8000, WAIT_S));
    expect_whole(&bed, 0);
    ck_assert_uint_eq(fake_stream_lanes(bed.stream), 4);
    ck_assert_uint_eq(fake_stream_ups(bed.stream), 1);
    bed_close(&bed);
}
END_TEST

static void
produce_special(struct bed *bed)
{
    if (bed->producer == NULL) {
        bed->producer = producer_new(bed->brokers);
    }
    rd_kafka_resp_err_t rc = rd_kafka_producev(bed->producer, RD_KAFKA_V_TOPIC("orders"),
        RD_KAFKA_V_PARTITION(0), RD_KAFKA_V_KEY("k\n1", 3), RD_KAFKA_V_VALUE((char[]){"v"}, 1),
        RD_KAFKA_V_HEADER("a", "one", 3), RD_KAFKA_V_HEADER("a", "two", 3),
        RD_KAFKA_V_HEADER("none", NULL, 0), RD_KAFKA_V_TIMESTAMP(1700000000123), RD_KAFKA_V_END);
    ck_assert_int_eq(rc, 0);
    rc = rd_kafka_producev(bed->producer, RD_KAFKA_V_TOPIC("orders"), RD_KAFKA_V_PARTITION(0),
        RD_KAFKA_V_KEY("gone", 4), RD_KAFKA_V_END);
    ck_assert_int_eq(rc, 0);
    char empty[1] = "";
    rc = rd_kafka_producev(bed->producer, RD_KAFKA_V_TOPIC("orders"), RD_KAFKA_V_PARTITION(0),
        RD_KAFKA_V_VALUE(empty, 0), RD_KAFKA_V_END);
    ck_assert_int_eq(rc, 0);
    ck_assert_int_eq(rd_kafka_flush(bed->producer, WAIT_S * 1000), 0);
}

START_TEST(keys_headers_times_and_tombstones_are_kept)
{
    struct bed bed;
    bed_open(&bed, 1, "orders", 1);
    produce_special(&bed);
    bed_run(&bed);
    ck_assert(fake_stream_wait(bed.stream, fake_stream_count, 3, WAIT_S));
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
    bed_close(&bed);
}
END_TEST

/* NULL: a tombstone. */
static void
produce_text(struct bed *bed, const char *topic, int partition, const char *text)
{
    char copy[8192] = "";
    size_t len = 0;
    if (bed->producer == NULL) {
        bed->producer = producer_new(bed->brokers);
    }
    if (text != NULL) {
        len = strlen(text);
        memcpy(copy, text, len);
    }
    rd_kafka_resp_err_t rc = rd_kafka_producev(bed->producer, RD_KAFKA_V_TOPIC(topic),
        RD_KAFKA_V_PARTITION(partition), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
        RD_KAFKA_V_VALUE(text == NULL ? NULL : copy, len), RD_KAFKA_V_END);
    ck_assert_int_eq(rc, 0);
    ck_assert_int_eq(rd_kafka_flush(bed->producer, WAIT_S * 1000), 0);
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
    struct bed bed;
    char large[5000] = "\"";
    memset(large + 1, 'x', sizeof large - 3);
    large[sizeof large - 2] = '"';
    bed_open(&bed, 1, "orders", 1);
    fake_stream_set_lines(bed.stream, true);
    for (size_t i = 0; i < 7; i++) {
        produce_text(&bed, "orders", 0, texts[i]);
    }
    produce_text(&bed, "orders", 0, large);
    bed_run(&bed);
    ck_assert(fake_stream_wait(bed.stream, fake_stream_count, 8, WAIT_S));
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
    bed_close(&bed);
}
END_TEST

START_TEST(no_piece_goes_across_where_its_subscriber_ends)
{
    struct bed bed;
    char text[16];
    bed_open(&bed, 1, "orders", 1);
    fake_stream_set_lines(bed.stream, true);
    fake_stream_set_lines_cut(bed.stream, 3);
    for (int i = 0; i < 10; i++) {
        snprintf(text, sizeof text, "%d", i);
        produce_text(&bed, "orders", 0, text);
    }
    bed_run(&bed);
    ck_assert(fake_stream_wait(bed.stream, fake_stream_count, 10, WAIT_S));
    for (size_t i = 0; i < 10; i++) {
        const struct fake_record *record = fake_stream_record(bed.stream, i);
        ck_assert_int_eq(atoi(record->data), (int)i);
        ck_assert(record->offset >= i && (record->offset < 3) == (i < 3));
    }
    bed_close(&bed);
}
END_TEST

START_TEST(records_of_keys_that_nobody_wants_are_passed_over)
{
    struct bed bed;
    bed_open(&bed, 1, "orders", 1);
    fake_stream_set_key(bed.stream, "gone");
    produce_special(&bed); /* the second of three has that key */
    bed_run(&bed);
    ck_assert(fake_stream_wait(bed.stream, fake_stream_count, 1, WAIT_S));
    produce_special(&bed);
    ck_assert(fake_stream_wait(bed.stream, fake_stream_count, 2, WAIT_S));
    ck_assert_uint_eq(fake_stream_record(bed.stream, 0)->offset, 1);
    ck_assert_uint_eq(fake_stream_record(bed.stream, 1)->offset, 4);
    ck_assert_str_eq(fake_stream_record(bed.stream, 1)->key, "gone");
    ck_assert_uint_eq(fake_stream_repeats(bed.stream), 0);
    bed_close(&bed);
}
END_TEST

START_TEST(lines_wait_for_room_and_none_is_missing)
{
    struct bed bed;
    char text[32];
    bed_open(&bed, 1, "orders", 2);
    fake_stream_set_lines(bed.stream, true);
    fake_stream_set_room(bed.stream, 1);
    bed.producer = producer_new(bed.brokers);
    for (int i = 0; i < 2000; i++) {
        int len = snprintf(text, sizeof text, i % 10 == 9 ? "no json %d" : "%d", i / 2);
        ck_assert_int_eq(rd_kafka_producev(bed.producer, RD_KAFKA_V_TOPIC("orders"),
                             RD_KAFKA_V_PARTITION(i % 2), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
                             RD_KAFKA_V_VALUE(text, (size_t)len), RD_KAFKA_V_END),
            0);
    }
    ck_assert_int_eq(rd_kafka_flush(bed.producer, WAIT_S * 1000), 0);
    bed_run(&bed);
    ck_assert(fake_stream_wait(bed.stream, fake_stream_count, 2000, WAIT_S));
    int next[2] = {0, 0};
    for (size_t i = 0; i < 2000; i++) {
        const struct fake_record *record = fake_stream_record(bed.stream, i);
        int n = next[record->lane]++;
        bool odd = strchr(record->data, 'j') != NULL && n % 5 == 4;
        snprintf(text, sizeof text, odd ? "no json %d" : "%d", n);
        ck_assert_str_eq(record->data, text);
    }
    ck_assert_int_eq(next[0], next[1]);
    bed_close(&bed);
}
END_TEST

START_TEST(latest_starts_at_the_end_and_a_lone_record_goes_out_alone)
{
    struct bed bed;
    bed_open(&bed, 1, "orders", 2);
    produce(&bed, "orders", 0, 0, 100, 10);
    snprintf(bed.start, sizeof bed.start, "latest");
    bed_run(&bed);
    ck_assert(fake_stream_wait_up(bed.stream, true, WAIT_S));
    ck_assert_uint_eq(fake_stream_lane(bed.stream, "orders", 0).start, 100);
    ck_assert_uint_eq(fake_stream_lane(bed.stream, "orders", 1).start, 0);
    produce(&bed, "orders", 0, 100, 1, 10);
    ck_assert(fake_stream_wait(bed.stream, fake_stream_count, 1, WAIT_S));
    ck_assert_uint_eq(fake_stream_record(bed.stream, 0)->offset, 100);
    ck_assert_uint_eq(fake_stream_commits(bed.stream), 1);
    bed_close(&bed);
}
END_TEST

START_TEST(start_by_time_does_not_hang_where_the_broker_cannot_look_up_times)
{
    struct bed bed;
    bed_open(&bed, 1, "orders", 1);
    produce(&bed, "orders", 0, 0, 10, 10);
    snprintf(bed.start, sizeof bed.start, "-15m");
    bed_run(&bed);
    ck_assert(fake_stream_wait_up(bed.stream, true, WAIT_S));
    ck_assert_uint_eq(fake_stream_lane(bed.stream, "orders", 0).start, 10);
    bed_close(&bed);
}
END_TEST

START_TEST(no_room_holds_the_source_and_then_nothing_is_missing)
{
    struct bed bed;
    bed_open(&bed, 1, "orders", 3);
    fake_stream_set_room(bed.stream, 0);
    bed_run(&bed);
    ck_assert(fake_stream_wait_up(bed.stream, true, WAIT_S));
    for (int p = 0; p < 3; p++) {
        produce(&bed, "orders", p, 0, 3000, 100);
    }
    ck_assert_uint_eq(fake_stream_count(bed.stream), 0);
    fake_stream_set_room(bed.stream, 7);
    kafka_connector.wake(bed.source);
    ck_assert(fake_stream_wait(bed.stream, fake_stream_count, 9000, WAIT_S));
    expect_whole(&bed, 0);
    bed_close(&bed);
}
END_TEST

static size_t
end_of_orders(struct stream *stream)
{
    return (size_t)fake_stream_lane(stream, "orders", 0).end;
}

START_TEST(the_end_is_known_while_the_source_is_held)
{
    struct bed bed;
    bed_open(&bed, 1, "orders", 1);
    fake_stream_set_room(bed.stream, 0);
    bed_run(&bed);
    ck_assert(fake_stream_wait_up(bed.stream, true, WAIT_S));
    produce(&bed, "orders", 0, 0, 123, 10);
    ck_assert(fake_stream_wait(bed.stream, end_of_orders, 123, WAIT_S));
    ck_assert_uint_eq(fake_stream_count(bed.stream), 0);
    bed_close(&bed);
}
END_TEST

/* As a fault of librdkafka would: it fetches no more, and so learns of no more. */
START_TEST(a_partition_that_falls_silent_is_fetched_anew)
{
    struct bed bed;
    bed_open(&bed, 1, "orders", 2);
    bed.settings.stall_timeout_ms = 1000;
    bed_run(&bed);
    produce(&bed, "orders", 0, 0, 10, 20);
    produce(&bed, "orders", 1, 0, 10, 20);
    ck_assert(fake_stream_wait(bed.stream, fake_stream_count, 20, WAIT_S));
    rd_kafka_topic_t *orders = rd_kafka_topic_new(bed.source->client, "orders", NULL);
    ck_assert_int_eq(rd_kafka_consume_stop(orders, 1), 0);
    rd_kafka_topic_destroy(orders);
    produce(&bed, "orders", 0, 10, 10, 20);
    produce(&bed, "orders", 1, 10, 10, 20);
    ck_assert(fake_stream_wait(bed.stream, fake_stream_count, 40, 2 * WAIT_S));
    expect_whole(&bed, 0);
    ck_assert_uint_eq(fake_stream_errors(bed.stream, "stalled"), 1);
    bed_close(&bed);
}
END_TEST

START_TEST(a_broker_that_is_down_at_the_start_is_waited_for)
{
    struct bed bed;
    bed_open(&bed, 1, "orders", 1);
    produce(&bed, "orders", 0, 0, 10, 10);
    mock_cluster_broker_down(bed.cluster, 0);
    bed_run(&bed);
    ck_assert(fake_stream_wait_error(bed.stream, "unreachable", WAIT_S));
    ck_assert(!fake_stream_is_up(bed.stream));
    mock_cluster_broker_up(bed.cluster, 0);
    ck_assert(fake_stream_wait_up(bed.stream, true, WAIT_S));
    ck_assert(fake_stream_wait(bed.stream, fake_stream_count, 10, WAIT_S));
    ck_assert_uint_eq(fake_stream_errors(bed.stream, "unreachable"), 1);
    bed_close(&bed);
}
END_TEST

START_TEST(brokers_that_go_and_come_back_are_told_once_each_and_lose_nothing)
{
    struct bed bed;
    bed_open(&bed, 2, "orders", 4);
    bed_run(&bed);
    ck_assert(fake_stream_wait_up(bed.stream, true, WAIT_S));
    produce(&bed, "orders", 0, 0, 100, 10);
    mock_cluster_broker_down(bed.cluster, 0);
    ck_assert(fake_stream_wait_up(bed.stream, false, WAIT_S));
    mock_cluster_broker_up(bed.cluster, 0);
    ck_assert(fake_stream_wait_up(bed.stream, true, WAIT_S));
    for (int p = 0; p < 4; p++) {
        produce(&bed, "orders", p, 100, 100, 10);
    }
    ck_assert(fake_stream_wait(bed.stream, fake_stream_count, 500, WAIT_S));
    expect_whole(&bed, 0);
    ck_assert_uint_eq(fake_stream_ups(bed.stream), 2);
    ck_assert_uint_eq(fake_stream_downs(bed.stream), 1);
    bed_close(&bed);
}
END_TEST

START_TEST(stop_is_prompt_while_brokers_are_down)
{
    struct bed bed;
    bed_open(&bed, 2, "orders", 4);
    bed_run(&bed);
    ck_assert(fake_stream_wait_up(bed.stream, true, WAIT_S));
    mock_cluster_broker_down(bed.cluster, 0);
    ck_assert(fake_stream_wait_up(bed.stream, false, WAIT_S));
    bed_close(&bed);
}
END_TEST

START_TEST(a_leader_that_moves_loses_nothing)
{
    struct bed bed;
    bed_open(&bed, 3, "orders", 2);
    bed_run(&bed);
    ck_assert(fake_stream_wait_up(bed.stream, true, WAIT_S));
    for (int round = 0; round < 5; round++) {
        mock_cluster_leader(bed.cluster, "orders", 0, round % 3 + 1);
        mock_cluster_leader(bed.cluster, "orders", 1, (round + 1) % 3 + 1);
        produce(&bed, "orders", 0, round * 100, 100, 10);
        produce(&bed, "orders", 1, round * 100, 100, 10);
    }
    ck_assert(fake_stream_wait(bed.stream, fake_stream_count, 1000, WAIT_S));
    expect_whole(&bed, 0);
    bed_close(&bed);
}
END_TEST

START_TEST(failed_fetches_lose_nothing)
{
    struct bed bed;
    bed_open(&bed, 1, "orders", 1);
    bed_run(&bed);
    ck_assert(fake_stream_wait_up(bed.stream, true, WAIT_S));
    mock_cluster_fetch_errors(bed.cluster, RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION, 2);
    produce(&bed, "orders", 0, 0, 100, 10);
    mock_cluster_fetch_errors(bed.cluster, RD_KAFKA_RESP_ERR__TRANSPORT, 2);
    produce(&bed, "orders", 0, 100, 100, 10);
    mock_cluster_fetch_errors(bed.cluster, RD_KAFKA_RESP_ERR_KAFKA_STORAGE_ERROR, 2);
    produce(&bed, "orders", 0, 200, 100, 10);
    ck_assert(fake_stream_wait(bed.stream, fake_stream_count, 300, WAIT_S));
    expect_whole(&bed, 0);
    bed_close(&bed);
}
END_TEST

START_TEST(records_that_retention_deleted_are_counted_as_lost)
{
    struct bed bed;
    bed_open(&bed, 1, "orders", 1);
    bed.settings.prefetch_bytes = 1 << 20;
    fake_stream_set_room(bed.stream, 0);
    bed_run(&bed);
    ck_assert(fake_stream_wait_up(bed.stream, true, WAIT_S));
    produce(&bed, "orders", 0, 0, 14000, 1000); /* the cluster keeps 5 MiB of these 14 */
    fake_stream_set_room(bed.stream, 1000);
    kafka_connector.wake(bed.source);
    ck_assert(fake_stream_wait_end(bed.stream, "orders", 0, 14000, WAIT_S));
    struct fake_lane lane = fake_stream_lane(bed.stream, "orders", 0);
    ck_assert_uint_gt(lane.lost, 0);
    ck_assert_str_eq(lane.lost_reason, "retention");
    ck_assert(fake_stream_wait(bed.stream, fake_stream_count, 14000 - lane.lost, WAIT_S));
    ck_assert_uint_eq(fake_stream_errors(bed.stream, "retention"), 1);
    ck_assert_int_eq(lane.resets, 0);
    bed_close(&bed);
}
END_TEST

START_TEST(a_payload_over_the_maximum_is_a_counted_loss)
{
    struct bed bed;
    bed_open(&bed, 1, "orders", 1);
    fake_stream_free(bed.stream);
    bed.stream = fake_stream_new(1000, 1000);
    produce(&bed, "orders", 0, 0, 1, 10);
    produce(&bed, "orders", 0, 1, 1, 5000);
    produce(&bed, "orders", 0, 2, 1, 10);
    bed_run(&bed);
    ck_assert(fake_stream_wait(bed.stream, fake_stream_count, 2, WAIT_S));
    ck_assert_uint_eq(fake_stream_record(bed.stream, 1)->offset, 2);
    struct fake_lane lane = fake_stream_lane(bed.stream, "orders", 0);
    ck_assert_uint_eq(lane.lost, 1);
    ck_assert_str_eq(lane.lost_reason, "too_large");
    ck_assert_uint_eq(fake_stream_errors(bed.stream, "too_large"), 1);
    bed_close(&bed);
}
END_TEST

START_TEST(a_topic_that_is_not_there_yet_is_read_from_its_beginning_when_it_comes)
{
    struct bed bed;
    bed_open(&bed, 1, "orders", 2);
    mock_cluster_topic_missing(bed.cluster, "orders", true);
    snprintf(bed.start, sizeof bed.start, "latest");
    bed_run(&bed);
    ck_assert(fake_stream_wait_error(bed.stream, "topic_missing", WAIT_S));
    ck_assert(!fake_stream_is_up(bed.stream));
    mock_cluster_topic_missing(bed.cluster, "orders", false);
    produce(&bed, "orders", 1, 0, 50, 10);
    ck_assert(fake_stream_wait_up(bed.stream, true, WAIT_S));
    ck_assert(fake_stream_wait(bed.stream, fake_stream_count, 50, WAIT_S));
    expect_whole(&bed, 0);
    bed_close(&bed);
}
END_TEST

START_TEST(a_topic_that_goes_and_comes_back_starts_anew)
{
    struct bed bed;
    bed_open(&bed, 1, "orders", 1);
    produce(&bed, "orders", 0, 0, 20, 10);
    bed_run(&bed);
    ck_assert(fake_stream_wait(bed.stream, fake_stream_count, 20, WAIT_S));
    mock_cluster_topic_missing(bed.cluster, "orders", true);
    ck_assert(fake_stream_wait_up(bed.stream, false, WAIT_S));
    ck_assert(fake_stream_lane(bed.stream, "orders", 0).removed);
    mock_cluster_topic_missing(bed.cluster, "orders", false);
    ck_assert(fake_stream_wait(bed.stream, fake_stream_count, 40, WAIT_S));
    ck_assert_int_eq(fake_stream_lane(bed.stream, "orders", 0).resets, 1);
    ck_assert_uint_eq(fake_stream_record(bed.stream, 20)->offset, 0);
    bed_close(&bed);
}
END_TEST

START_TEST(an_expression_finds_topics_that_appear_later_and_no_internal_ones)
{
    struct bed bed;
    struct err err = {0};
    char *expression[] = {(char[]){"^(or|__or)ders"}};
    bed_open(&bed, 1, "orders-a", 1);
    ck_assert_int_eq(mock_cluster_create_topic(bed.cluster, "other", 1, &err), 0);
    ck_assert_int_eq(mock_cluster_create_topic(bed.cluster, "__orders", 1, &err), 0);
    bed.settings.topics = (struct config_strings){expression, 1};
    snprintf(bed.start, sizeof bed.start, "latest");
    bed_run(&bed);
    ck_assert(fake_stream_wait_up(bed.stream, true, WAIT_S));
    ck_assert_uint_eq(fake_stream_lanes(bed.stream), 1);
    ck_assert_int_eq(mock_cluster_create_topic(bed.cluster, "orders-b", 2, &err), 0);
    produce(&bed, "orders-b", 1, 0, 30, 10);
    ck_assert(fake_stream_wait(bed.stream, fake_stream_count, 30, WAIT_S));
    ck_assert_uint_eq(fake_stream_lanes(bed.stream), 3);
    expect_whole(&bed, 0);
    bed_close(&bed);
}
END_TEST

static int
check_option(const char *name, const char *value, struct err *err)
{
    char name_copy[64], value_copy[64], brokers[] = "127.0.0.1:1", start[] = "latest";
    snprintf(name_copy, sizeof name_copy, "%s", name);
    snprintf(value_copy, sizeof value_copy, "%s", value);
    struct config_pair pair = {name_copy, value_copy, 7, 9};
    struct kafka_settings settings = {.brokers = brokers,
        .topics = {topic_items, 1},
        .start = start,
        .prefetch_bytes = 16 << 20,
        .session_timeout_ms = 45000,
        .stall_timeout_ms = 30000,
        .commit_interval_ms = 1000,
        .librdkafka_options = {&pair, 1}};
    *err = (struct err){0};
    return kafka_connector.check(&settings, err);
}

START_TEST(librdkafka_itself_judges_its_options_and_some_are_reserved)
{
    struct err err;
    ck_assert_int_eq(check_option("client.rack", "a", &err), 0);
    ck_assert_int_eq(check_option("no.such.thing", "a", &err), -1);
    ck_assert_ptr_nonnull(strstr(err.text, "No such configuration property"));
    ck_assert_int_eq(err.line, 7);
    ck_assert_int_eq(check_option("fetch.wait.max.ms", "many", &err), -1);
    ck_assert_int_eq(check_option("enable.auto.commit", "true", &err), -1);
    ck_assert_ptr_nonnull(strstr(err.text, "cannot be set"));
    ck_assert_int_eq(check_option("ssl.ca.location", "/nowhere/ca.pem", &err), 0);
}
END_TEST

START_TEST(topics_are_names_or_expressions)
{
    struct err err = {0};
    char *items[] = {(char[]){"^(a"}, (char[]){"b/c"}, (char[]){"ok-1.2_3"}};
    struct kafka_wanted wanted;
    ck_assert_int_eq(kafka_wanted_init(&wanted, &(struct config_strings){items, 1}, &err), -1);
    ck_assert_int_eq(kafka_wanted_init(&wanted, &(struct config_strings){items + 1, 1}, &err), -1);
    ck_assert_int_eq(kafka_wanted_init(&wanted, &(struct config_strings){items + 2, 1}, &err), 0);
    kafka_wanted_fini(&wanted);
}
END_TEST

START_TEST(starts_are_words_times_ago_and_times)
{
    struct err err = {0};
    struct kafka_start start;
    ck_assert_int_eq(kafka_start_parse("latest", 1000, &start, &err), 0);
    ck_assert_int_eq(start.kind, KAFKA_START_LATEST);
    ck_assert_int_eq(kafka_start_parse("earliest", 1000, &start, &err), 0);
    ck_assert_int_eq(start.kind, KAFKA_START_EARLIEST);
    ck_assert_int_eq(kafka_start_parse("-15m", 1000000, &start, &err), 0);
    ck_assert_int_eq(start.kind, KAFKA_START_TIME);
    ck_assert_int_eq(start.unix_ms, 100000);
    ck_assert_int_eq(kafka_start_parse("-250ms", 1000, &start, &err), 0);
    ck_assert_int_eq(start.unix_ms, 750);
    ck_assert_int_eq(kafka_start_parse("1970-01-01T00:00:01Z", 0, &start, &err), 0);
    ck_assert_int_eq(start.unix_ms, 1000);
    const char *const wrong[] = {
        "", "now", "15m", "-15", "-m", "-15w", "--1m", "-99999999999999999999d", "2026-01-31"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        ck_assert_int_eq(kafka_start_parse(wrong[i], 1000, &start, &err), -1);
    }
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
    a_partition_that_falls_silent_is_fetched_anew, a_broker_that_is_down_at_the_start_is_waited_for,
    brokers_that_go_and_come_back_are_told_once_each_and_lose_nothing,
    stop_is_prompt_while_brokers_are_down, a_leader_that_moves_loses_nothing,
    failed_fetches_lose_nothing, records_that_retention_deleted_are_counted_as_lost,
    a_payload_over_the_maximum_is_a_counted_loss,
    a_topic_that_is_not_there_yet_is_read_from_its_beginning_when_it_comes,
    a_topic_that_goes_and_comes_back_starts_anew,
    an_expression_finds_topics_that_appear_later_and_no_internal_ones,
    librdkafka_itself_judges_its_options_and_some_are_reserved, topics_are_names_or_expressions,
    starts_are_words_times_ago_and_times)
