/* The Kafka source as a member of a consumer group, against librdkafka's mock cluster, with fake
 * streams. A join takes the mock three seconds. */
#include "fake_stream.h"
#include "unit.h"

#include "../../connectors/connector.h"
#include "../../connectors/kafka.h"
#include "../../connectors/kafka_settings.h"
#include "../../connectors/mock_cluster.h"
#include "../../gateway/clock.h"
#include "../../gateway/log.h"

#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define WAIT_S 40
#define GROUP "workers"

static char *topic_items[] = {(char[]){"orders"}};
static struct config_pair option_items[] = {
    {(char[]){"fetch.wait.max.ms"}, (char[]){"10"}, 1, 1},
    {(char[]){"max.poll.interval.ms"}, (char[]){"6000"}, 1, 1},
};

struct member {
    struct stream *stream;
    struct kafka_settings settings;
    struct source *source;
};

struct bed {
    struct mock_cluster *cluster;
    rd_kafka_t *client; /* produces, and asks for commits */
    char brokers[256];
};

static rd_kafka_t *
client_new(const char *brokers, rd_kafka_type_t type)
{
    char why[256];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set(conf, "bootstrap.servers", brokers, why, sizeof why);
    if (type == RD_KAFKA_CONSUMER) {
        rd_kafka_conf_set(conf, "group.id", GROUP, why, sizeof why);
    } else {
        rd_kafka_conf_set(conf, "linger.ms", "0", why, sizeof why);
    }
    rd_kafka_conf_set_log_cb(conf, NULL);
    rd_kafka_t *client = rd_kafka_new(type, conf, why, sizeof why);
    ck_assert_msg(client != NULL, "%s", why);
    return client;
}

static void
bed_open(struct bed *bed, int n_partitions)
{
    struct err err = {0};
    log_init(getenv("TEST_LOG") != NULL ? LOG_DEBUG : LOG_ERROR, LOG_FORMAT_TEXT);
    bed->cluster = mock_cluster_start(1, &err);
    ck_assert_msg(bed->cluster != NULL, "%s", err.text);
    ck_assert_int_eq(mock_cluster_create_topic(bed->cluster, "orders", n_partitions, &err), 0);
    snprintf(bed->brokers, sizeof bed->brokers, "%s", mock_cluster_bootstrap(bed->cluster));
    bed->client = client_new(bed->brokers, RD_KAFKA_PRODUCER);
}

static void
bed_close(struct bed *bed)
{
    rd_kafka_destroy(bed->client);
    mock_cluster_stop(bed->cluster);
}

static void
produce(struct bed *bed, int partition, int n)
{
    for (int i = 0; i < n; i++) {
        ck_assert_int_eq(
            rd_kafka_producev(bed->client, RD_KAFKA_V_TOPIC("orders"),
                RD_KAFKA_V_PARTITION(partition), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
                RD_KAFKA_V_VALUE((char[]){"v"}, 1), RD_KAFKA_V_END),
            0);
    }
    ck_assert_int_eq(rd_kafka_flush(bed->client, WAIT_S * 1000), 0);
}

/* What the group has committed of a partition, asked as any tool would; -1001: nothing. */
static int64_t
committed(struct bed *bed, int partition)
{
    rd_kafka_t *client = client_new(bed->brokers, RD_KAFKA_CONSUMER);
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, "orders", partition);
    ck_assert_int_eq(rd_kafka_committed(client, list, 10000), 0);
    int64_t offset = list->elems[0].offset;
    rd_kafka_topic_partition_list_destroy(list);
    rd_kafka_destroy(client);
    return offset;
}

static void
expect_committed(struct bed *bed, int partition, int64_t offset)
{
    int64_t got = -1, until_ns = clock_mono_ns() + WAIT_S * INT64_C(1000000000);
    while (clock_mono_ns() < until_ns && (got = committed(bed, partition)) != offset) {
        nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL);
    }
    ck_assert_int_eq(got, offset);
}

static void
member_prepare(struct member *member, struct bed *bed, const char *start)
{
    static char group[] = GROUP;
    static char starts[2][16];
    char *text = starts[strcmp(start, "latest") == 0];
    snprintf(text, sizeof starts[0], "%s", start);
    *member = (struct member){.settings = {.brokers = bed->brokers,
                                  .topics = {topic_items, 1},
                                  .start = text,
                                  .discover_ms = 200,
                                  .prefetch_bytes = 16 << 20,
                                  .group = group,
                                  .session_timeout_ms = 6000,
                                  .commit_interval_ms = 100,
                                  .stall_timeout_ms = 30000,
                                  .librdkafka_options = {option_items, 2}}};
    member->stream = fake_stream_new(1000, 1 << 20);
}

static void
member_start(struct member *member)
{
    struct err err = {0};
    member->source = kafka_connector.start(&member->settings, member->stream, NULL, &err);
    ck_assert_msg(member->source != NULL, "%s", err.text);
}

static void
member_open(struct member *member, struct bed *bed, const char *start)
{
    member_prepare(member, bed, start);
    member_start(member);
    ck_assert(fake_stream_wait_up(member->stream, true, WAIT_S));
}

static void
member_close(struct member *member)
{
    int64_t begun = clock_mono_ns();
    kafka_connector.stop(member->source);
    ck_assert_int_lt((clock_mono_ns() - begun) / 1000000000, 5);
    ck_assert(!fake_stream_disorder(member->stream));
    fake_stream_free(member->stream);
}

START_TEST(a_lone_member_reads_all_and_commits_what_was_settled)
{
    struct bed bed;
    struct member one;
    bed_open(&bed, 3);
    member_open(&one, &bed, "earliest");
    for (int p = 0; p < 3; p++) {
        produce(&bed, p, 100);
    }
    ck_assert(fake_stream_wait(one.stream, fake_stream_count, 300, WAIT_S));
    for (int p = 0; p < 3; p++) {
        expect_committed(&bed, p, 100);
    }
    ck_assert_uint_eq(fake_stream_shared_lanes(one.stream), 3);
    ck_assert_uint_ge(fake_stream_source_commits(one.stream), 1);
    member_close(&one);
    bed_close(&bed);
}
END_TEST

START_TEST(what_is_not_settled_is_not_committed_and_comes_again)
{
    struct bed bed;
    struct member one;
    bed_open(&bed, 1);
    produce(&bed, 0, 50);
    member_open(&one, &bed, "earliest");
    ck_assert(fake_stream_wait(one.stream, fake_stream_count, 50, WAIT_S));
    expect_committed(&bed, 0, 50);
    fake_stream_set_settling(one.stream, false);
    produce(&bed, 0, 30);
    ck_assert(fake_stream_wait(one.stream, fake_stream_count, 80, WAIT_S));
    member_close(&one);
    ck_assert_int_eq(committed(&bed, 0), 50);
    member_open(&one, &bed, "latest");
    ck_assert(fake_stream_wait(one.stream, fake_stream_count, 30, WAIT_S));
    ck_assert_uint_eq(fake_stream_record(one.stream, 0)->offset, 50);
    member_close(&one);
    ck_assert_int_eq(committed(&bed, 0), 80);
    bed_close(&bed);
}
END_TEST

START_TEST(where_a_group_begins_is_committed_before_its_first_record)
{
    struct bed bed;
    struct member one;
    bed_open(&bed, 2);
    produce(&bed, 0, 10);
    member_open(&one, &bed, "latest");
    expect_committed(&bed, 0, 10);
    expect_committed(&bed, 1, 0);
    member_close(&one);
    produce(&bed, 0, 5);
    produce(&bed, 1, 5);
    member_open(&one, &bed, "latest");
    ck_assert(fake_stream_wait(one.stream, fake_stream_count, 10, WAIT_S));
    ck_assert_uint_eq(fake_stream_lane(one.stream, "orders", 0).start, 10);
    ck_assert_uint_eq(fake_stream_lane(one.stream, "orders", 1).start, 0);
    member_close(&one);
    bed_close(&bed);
}
END_TEST

static size_t
lanes_present(struct stream *stream)
{
    size_t n = 0;
    for (uint32_t p = 0; p < 4; p++) {
        n += !fake_stream_lane(stream, "orders", p).removed;
    }
    return n;
}

static size_t
lanes_absent(struct stream *stream)
{
    return 4 - lanes_present(stream);
}

/* The mock cluster takes no commit while a group is rebalanced; Kafka does. */
static void
expect_all_committed(struct bed *bed, int64_t offset)
{
    for (int p = 0; p < 4; p++) {
        expect_committed(bed, p, offset);
    }
}

START_TEST(two_members_share_the_partitions_and_the_one_that_is_left_takes_over)
{
    struct bed bed;
    struct member one, two;
    bed_open(&bed, 4);
    member_open(&one, &bed, "earliest");
    for (int p = 0; p < 4; p++) {
        produce(&bed, p, 10);
    }
    ck_assert(fake_stream_wait(one.stream, fake_stream_count, 40, WAIT_S));
    expect_all_committed(&bed, 10);
    member_prepare(&two, &bed, "earliest");
    member_start(&two);
    ck_assert(fake_stream_wait(two.stream, lanes_present, 2, WAIT_S));
    ck_assert(fake_stream_wait(one.stream, lanes_absent, 2, WAIT_S));
    ck_assert(fake_stream_wait(one.stream, lanes_present, 2, WAIT_S));
    for (int p = 0; p < 4; p++) {
        produce(&bed, p, 10);
    }
    ck_assert(fake_stream_wait(one.stream, fake_stream_count, 60, WAIT_S));
    ck_assert(fake_stream_wait(two.stream, fake_stream_count, 20, WAIT_S));
    ck_assert_uint_eq(fake_stream_count(two.stream), 20);
    ck_assert_uint_eq(fake_stream_record(two.stream, 0)->offset, 10);
    expect_all_committed(&bed, 20);
    member_close(&two);
    ck_assert(fake_stream_wait(one.stream, lanes_present, 4, WAIT_S));
    for (int p = 0; p < 4; p++) {
        produce(&bed, p, 10);
    }
    ck_assert(fake_stream_wait(one.stream, fake_stream_count, 100, WAIT_S));
    ck_assert_uint_eq(fake_stream_count(one.stream), 100);
    for (uint32_t p = 0; p < 4; p++) {
        ck_assert_int_eq(fake_stream_lane(one.stream, "orders", p).resets, 0);
    }
    member_close(&one);
    expect_all_committed(&bed, 30);
    bed_close(&bed);
}
END_TEST

START_TEST(a_lane_that_comes_back_goes_on_where_nobody_else_has_moved_on)
{
    struct bed bed;
    struct member one, two;
    bed_open(&bed, 1);
    produce(&bed, 0, 10);
    member_open(&one, &bed, "earliest");
    ck_assert(fake_stream_wait(one.stream, fake_stream_count, 10, WAIT_S));
    expect_committed(&bed, 0, 10);
    fake_stream_set_settling(one.stream, false);
    produce(&bed, 0, 10); /* read, and not settled */
    ck_assert(fake_stream_wait(one.stream, fake_stream_count, 20, WAIT_S));
    member_prepare(&two, &bed, "earliest"); /* its coming takes the partition away for a while */
    fake_stream_set_alone(two.stream, true);
    member_start(&two);
    ck_assert(fake_stream_wait(two.stream, fake_stream_shares, 1, WAIT_S));
    member_close(&two);
    produce(&bed, 0, 1);
    ck_assert(fake_stream_wait(one.stream, fake_stream_count, 21, WAIT_S));
    ck_assert_uint_eq(fake_stream_record(one.stream, 20)->offset, 20);
    ck_assert_int_eq(committed(&bed, 0), 10);
    fake_stream_set_settling(one.stream, true);
    expect_committed(&bed, 0, 21);
    member_close(&one);
    bed_close(&bed);
}
END_TEST

/* No room for longer than max.poll.interval.ms (6 s) and the session (6 s). */
START_TEST(a_source_that_is_held_for_long_stays_a_member)
{
    struct bed bed;
    struct member one;
    bed_open(&bed, 2);
    member_open(&one, &bed, "earliest");
    fake_stream_set_room(one.stream, 0);
    produce(&bed, 0, 2000);
    nanosleep(&(struct timespec){.tv_sec = 9}, NULL);
    ck_assert_uint_eq(fake_stream_count(one.stream), 0);
    fake_stream_set_room(one.stream, 100);
    kafka_connector.wake(one.source);
    ck_assert(fake_stream_wait(one.stream, fake_stream_count, 2000, WAIT_S));
    ck_assert_uint_eq(fake_stream_shares(one.stream), 1);
    expect_committed(&bed, 0, 2000);
    member_close(&one);
    bed_close(&bed);
}
END_TEST

START_TEST(without_subscribers_records_stay_in_the_broker)
{
    struct bed bed;
    struct member one;
    bed_open(&bed, 1);
    member_prepare(&one, &bed, "earliest");
    fake_stream_set_alone(one.stream, true);
    member_start(&one);
    ck_assert(fake_stream_wait_up(one.stream, true, WAIT_S));
    produce(&bed, 0, 10);
    expect_committed(&bed, 0, 0);
    ck_assert_uint_eq(fake_stream_count(one.stream), 0);
    fake_stream_set_alone(one.stream, false);
    ck_assert(fake_stream_wait(one.stream, fake_stream_count, 10, WAIT_S));
    member_close(&one);
    bed_close(&bed);
}
END_TEST

START_TEST(a_member_of_a_replay_begins_at_its_place_only_where_nothing_is_committed)
{
    struct bed bed;
    struct member one;
    struct err err = {0};
    bed_open(&bed, 1);
    produce(&bed, 0, 10);
    struct replay_lane lane = {.group = "orders", .next = 4};
    struct replay replay = {.kind = REPLAY_LANES, .lanes = &lane, .n_lanes = 1, .group = GROUP};
    for (size_t round = 0; round < 2; round++) {
        member_prepare(&one, &bed, "latest");
        one.settings.group = NULL;
        one.source = kafka_connector.start(&one.settings, one.stream, &replay, &err);
        ck_assert_msg(one.source != NULL, "%s", err.text);
        ck_assert(fake_stream_wait_up(one.stream, true, WAIT_S));
        if (round == 0) {
            ck_assert(fake_stream_wait(one.stream, fake_stream_count, 6, WAIT_S));
            ck_assert_uint_eq(fake_stream_record(one.stream, 0)->offset, 4);
        } else {
            ck_assert_uint_eq(fake_stream_lane(one.stream, "orders", 0).start, 10);
        }
        member_close(&one);
    }
    bed_close(&bed);
}
END_TEST

UNIT_MAIN("kafka_group", a_lone_member_reads_all_and_commits_what_was_settled,
    what_is_not_settled_is_not_committed_and_comes_again,
    where_a_group_begins_is_committed_before_its_first_record,
    two_members_share_the_partitions_and_the_one_that_is_left_takes_over,
    a_lane_that_comes_back_goes_on_where_nobody_else_has_moved_on,
    a_source_that_is_held_for_long_stays_a_member, without_subscribers_records_stay_in_the_broker,
    a_member_of_a_replay_begins_at_its_place_only_where_nothing_is_committed)
