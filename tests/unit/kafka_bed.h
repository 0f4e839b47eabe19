/* kafka_bed: a Kafka source, or another that has one beneath, between librdkafka's mock cluster and
 * a fake stream. */
#ifndef HEADGATE_KAFKA_BED_H
#define HEADGATE_KAFKA_BED_H

#include "fake_stream.h"

#include "../../connectors/connector.h"
#include "../../connectors/kafka_settings.h"
#include "../../connectors/mock_cluster.h"
#include "../../connectors/push_settings.h"

#include <librdkafka/rdkafka.h>

#define KAFKA_BED_WAIT_S 30

struct kafka_bed {
    struct mock_cluster *cluster;
    struct stream *stream;
    struct kafka_settings settings;
    struct push_settings push; /* of a push source, with settings in it */
    char brokers[256];
    char start[64];
    const struct connector *connector;
    struct source *source;
    rd_kafka_t *producer;
};

/* kafka_bed_open: a cluster of so many brokers, with topic, unless it is NULL; settings to read
 * "orders" from its earliest record. kafka_bed_close: stops the source, within seconds, and checks
 * that it broke no rule of the stream's. */
void kafka_bed_open(struct kafka_bed *bed, int n_brokers, const char *topic, int n_partitions);
void kafka_bed_close(struct kafka_bed *bed);

/* kafka_bed_run: start a Kafka source with settings. kafka_bed_run_up: and wait until it is up.
 * kafka_bed_run_as: another connector. */
void kafka_bed_run(struct kafka_bed *bed);
void kafka_bed_run_up(struct kafka_bed *bed);
void kafka_bed_run_as(
    struct kafka_bed *bed, const struct connector *connector, const void *settings);

/* kafka_bed_producer: lent, made where there is none. kafka_bed_produce: n records from the
 * first-th on, as "N:xxx" with pad bytes behind the number, acknowledged. */
rd_kafka_t *kafka_bed_producer(struct kafka_bed *bed);
void kafka_bed_produce(
    struct kafka_bed *bed, const char *topic, int partition, int first, int n, size_t pad);

/* kafka_bed_expect_whole: every lane's records are in order, without a hole, from first on. */
void kafka_bed_expect_whole(struct kafka_bed *bed, uint64_t first);

#endif
