/* mock_cluster: librdkafka's mock Kafka cluster in this process, on real ports of 127.0.0.1: for
 * the demo and for tests. Other programs can connect to it. It keeps 5 MiB a partition, cannot look
 * up by time, and does not wake a long poll: a consumer sets fetch.wait.max.ms=10 or waits half a
 * second. Thread  any, one at a time. */
#ifndef HEADGATE_MOCK_CLUSTER_H
#define HEADGATE_MOCK_CLUSTER_H

#include "../gateway/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mock_cluster;

/* mock_cluster_start: n brokers, 1 to 3. Errors NULL and err. */
struct mock_cluster *mock_cluster_start(int n_brokers, struct err *err);

/* mock_cluster_stop: NULL-safe; clients should be closed first. */
void mock_cluster_stop(struct mock_cluster *cluster);

/* mock_cluster_bootstrap: "127.0.0.1:PORT,..." lent for the cluster's life. */
const char *mock_cluster_bootstrap(const struct mock_cluster *cluster);

int mock_cluster_create_topic(
    struct mock_cluster *cluster, const char *topic, int n_partitions, struct err *err);

/* Faults. Brokers are numbered from 1; broker 0 means all of them. */
void mock_cluster_broker_down(struct mock_cluster *cluster, int broker);
void mock_cluster_broker_up(struct mock_cluster *cluster, int broker);

/* mock_cluster_leader: move a partition to broker; -1: no leader. */
void mock_cluster_leader(
    struct mock_cluster *cluster, const char *topic, int partition, int broker);

/* mock_cluster_topic_missing: metadata says that the topic does not exist, though its records stay.
 */
void mock_cluster_topic_missing(struct mock_cluster *cluster, const char *topic, bool missing);

/* mock_cluster_fetch_errors: the next n fetch requests fail with a Kafka error code; -195 (a
 * librdkafka code) cuts the connection. */
void mock_cluster_fetch_errors(struct mock_cluster *cluster, int code, size_t n);

#endif
