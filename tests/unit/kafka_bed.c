/* kafka_bed: see kafka_bed.h. */
#include "kafka_bed.h"

#include "unit.h"

#include "../../connectors/kafka.h"
#include "../../gateway/clock.h"
#include "../../gateway/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char *topic_items[] = {(char[]){"orders"}};
static struct config_pair option_items[] = {
    {(char[]){"fetch.wait.max.ms"}, (char[]){"10"}, 1, 1},
};

void
kafka_bed_open(struct kafka_bed *bed, int n_brokers, const char *topic, int n_partitions)
{
    static bool logs; /* what the log is must not change while another bed's source runs */
    struct err err = {0};
    memset(bed, 0, sizeof *bed);
    if (!logs) {
        log_init(getenv("TEST_LOG") != NULL ? LOG_DEBUG : LOG_ERROR, LOG_FORMAT_TEXT);
        logs = true;
    }
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

void
kafka_bed_run_as(struct kafka_bed *bed, const struct connector *connector, const void *settings)
{
    struct err err = {0};
    bed->connector = connector;
    bed->source = connector->start(settings, bed->stream, NULL, &err);
    ck_assert_msg(bed->source != NULL, "%s", err.text);
}

void
kafka_bed_run(struct kafka_bed *bed)
{
    kafka_bed_run_as(bed, &kafka_connector, &bed->settings);
}

void
kafka_bed_run_up(struct kafka_bed *bed)
{
    kafka_bed_run(bed);
    ck_assert(fake_stream_wait_up(bed->stream, true, KAFKA_BED_WAIT_S));
}

rd_kafka_t *
kafka_bed_producer(struct kafka_bed *bed)
{
    if (bed->producer != NULL) {
        return bed->producer;
    }
    char why[256];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set(conf, "bootstrap.servers", bed->brokers, why, sizeof why);
    rd_kafka_conf_set(conf, "linger.ms", "0", why, sizeof why);
    rd_kafka_conf_set_log_cb(conf, NULL);
    bed->producer = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, sizeof why);
    ck_assert_msg(bed->producer != NULL, "%s", why);
    return bed->producer;
}

void
kafka_bed_produce(
    struct kafka_bed *bed, const char *topic, int partition, int first, int n, size_t pad)
{
    rd_kafka_t *producer = kafka_bed_producer(bed);
    char *text = calloc(1, pad + 32);
    memset(text, 'x', pad + 31);
    for (int i = first; i < first + n; i++) {
        int head = snprintf(text, 32, "%d:", i);
        text[head] = 'x';
        rd_kafka_resp_err_t rc;
        do {
            rc = rd_kafka_producev(producer, RD_KAFKA_V_TOPIC(topic),
                RD_KAFKA_V_PARTITION(partition), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
                RD_KAFKA_V_VALUE(text, (size_t)head + pad), RD_KAFKA_V_END);
            rd_kafka_poll(producer, rc == RD_KAFKA_RESP_ERR__QUEUE_FULL ? 10 : 0);
        } while (rc == RD_KAFKA_RESP_ERR__QUEUE_FULL);
        ck_assert_int_eq(rc, 0);
    }
    free(text);
    ck_assert_int_eq(rd_kafka_flush(producer, KAFKA_BED_WAIT_S * 1000), 0);
}

void
kafka_bed_close(struct kafka_bed *bed)
{
    if (bed->source != NULL) {
        int64_t begun = clock_mono_ns();
        bed->connector->stop(bed->source);
        ck_assert_int_lt((clock_mono_ns() - begun) / 1000000000, 5);
    }
    ck_assert(!fake_stream_disorder(bed->stream));
    if (bed->producer != NULL) {
        rd_kafka_destroy(bed->producer);
    }
    mock_cluster_stop(bed->cluster);
    fake_stream_free(bed->stream);
}

void
kafka_bed_expect_whole(struct kafka_bed *bed, uint64_t first)
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
