/* mock_cluster: owns a producer instance, which librdkafka's mock cluster needs for its
 * book-keeping. */
#include "mock_cluster.h"

#include "../gateway/mem.h"

#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
#include <stdlib.h>

#define FETCH_API 1

struct mock_cluster {
    rd_kafka_t *client;
    rd_kafka_mock_cluster_t *mock;
    int n_brokers;
};

struct mock_cluster *
mock_cluster_start(int n_brokers, struct err *err)
{
    char why[256];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set_log_cb(conf, NULL); /* it has no brokers of its own, and would say so */
    struct mock_cluster *cluster = mem_calloc(1, sizeof *cluster);
    cluster->n_brokers = n_brokers;
    cluster->client = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, sizeof why);
    if (cluster->client == NULL) {
        rd_kafka_conf_destroy(conf);
        err_set(err, ERR_SYSTEM, "embedded Kafka cluster: %s", why);
        free(cluster);
        return NULL;
    }
    cluster->mock = rd_kafka_mock_cluster_new(cluster->client, n_brokers);
    if (cluster->mock == NULL) {
        err_set(
            err, ERR_SYSTEM, "embedded Kafka cluster: no port or memory for %d brokers", n_brokers);
        rd_kafka_destroy(cluster->client);
        free(cluster);
        return NULL;
    }
    return cluster;
}

void
mock_cluster_stop(struct mock_cluster *cluster)
{
    if (cluster != NULL) {
        rd_kafka_mock_cluster_destroy(cluster->mock);
        rd_kafka_destroy(cluster->client);
        free(cluster);
    }
}

const char *
mock_cluster_bootstrap(const struct mock_cluster *cluster)
{
    return rd_kafka_mock_cluster_bootstraps(cluster->mock);
}

int
mock_cluster_create_topic(
    struct mock_cluster *cluster, const char *topic, int n_partitions, struct err *err)
{
    rd_kafka_resp_err_t rc =
        rd_kafka_mock_topic_create(cluster->mock, topic, n_partitions, cluster->n_brokers);
    if (rc != RD_KAFKA_RESP_ERR_NO_ERROR) {
        err_set(err, ERR_INVALID, "topic %s: %s", topic, rd_kafka_err2str(rc));
        return -1;
    }
    return 0;
}

void
mock_cluster_broker_down(struct mock_cluster *cluster, int broker)
{
    rd_kafka_mock_broker_set_down(cluster->mock, broker == 0 ? -1 : broker);
}

void
mock_cluster_broker_up(struct mock_cluster *cluster, int broker)
{
    rd_kafka_mock_broker_set_up(cluster->mock, broker == 0 ? -1 : broker);
}

void
mock_cluster_leader(struct mock_cluster *cluster, const char *topic, int partition, int broker)
{
    rd_kafka_mock_partition_set_leader(cluster->mock, topic, partition, broker);
}

void
mock_cluster_topic_missing(struct mock_cluster *cluster, const char *topic, bool missing)
{
    rd_kafka_mock_topic_set_error(cluster->mock, topic,
        missing ? RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART : RD_KAFKA_RESP_ERR_NO_ERROR);
}

void
mock_cluster_fetch_errors(struct mock_cluster *cluster, int code, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        rd_kafka_mock_push_request_errors(cluster->mock, FETCH_API, 1, (rd_kafka_resp_err_t)code);
    }
}
