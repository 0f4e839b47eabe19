/* test_demo_producer: the sample records reach a broker. */
#include "clock.h"
#include "demo_producer.h"
#include "mock_cluster.h"
#include "unit.h"

#include <librdkafka/rdkafka.h>
#include <unistd.h>

/* Records in partition 0 and 1 of topic. */
static int64_t
records_in(rd_kafka_t *client, const char *topic)
{
    int64_t sum = 0;
    for (int32_t partition = 0; partition < 2; partition++) {
        int64_t low = 0, high = 0;
        rd_kafka_query_watermark_offsets(client, topic, partition, &low, &high, 1000);
        sum += high;
    }
    return sum;
}

static rd_kafka_t *
new_client(const char *brokers)
{
    char why[256];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set(conf, "bootstrap.servers", brokers, why, sizeof why);
    rd_kafka_conf_set_log_cb(conf, NULL);
    return rd_kafka_new(RD_KAFKA_CONSUMER, conf, why, sizeof why);
}

START_TEST(producer_fills_both_topics_until_it_is_stopped)
{
    struct err err = {.code = ERR_NONE};
    struct mock_cluster *cluster = mock_cluster_start(1, &err);
    ck_assert_msg(cluster != NULL, "%s", err.text);
    ck_assert_int_eq(mock_cluster_create_topic(cluster, DEMO_ORDERS_TOPIC, 2, &err), 0);
    ck_assert_int_eq(mock_cluster_create_topic(cluster, DEMO_PRICES_TOPIC, 2, &err), 0);
    struct demo_producer *producer = demo_producer_start(mock_cluster_bootstrap(cluster), &err);
    ck_assert_msg(producer != NULL, "%s", err.text);
    rd_kafka_t *client = new_client(mock_cluster_bootstrap(cluster));
    int64_t until_ns = clock_mono_ns() + INT64_C(20000000000);
    while (
        records_in(client, DEMO_ORDERS_TOPIC) < 10 || records_in(client, DEMO_PRICES_TOPIC) < 10) {
        ck_assert_msg(clock_mono_ns() < until_ns, "no records came");
        usleep(20000);
    }
    demo_producer_stop(producer);
    rd_kafka_destroy(client);
    mock_cluster_stop(cluster);
}
END_TEST

UNIT_MAIN("demo_producer", producer_fills_both_topics_until_it_is_stopped)
