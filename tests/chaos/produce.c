/* produce: the records of the chaos run, at a steady rate: number n goes to partition n % P as its
 * offset n / P, whatever happens to the broker (idempotent, no time-out), so that every record is
 * known by its place; trace.h says what is in it.
 *
 *   produce BROKERS TOPIC PARTITIONS RATE [FIRST]
 *
 * FIRST: numbers begin there, not at 0; so many records are in the topic. "sent_ns" in a payload is
 * for tests/bench: CLOCK_MONOTONIC when it was made.
 *
 * Ends at end of file on standard input: sends what is left and prints how many there are. A record
 * at another offset than its own ends it with status 1: the run would say nothing. */
#include "trace.h"

#include <inttypes.h>
#include <librdkafka/rdkafka.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define TICK_MS 5
#define FLUSH_MS 60000

static double
now_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void
fail(const char *why)
{
    fprintf(stderr, "produce: %s\n", why);
    exit(1);
}

struct producer {
    rd_kafka_t *kafka;
    const char *topic;
    uint64_t partitions;
    uint64_t n; /* records handed to librdkafka */
};

static void
delivered(rd_kafka_t *kafka, const rd_kafka_message_t *message, void *opaque)
{
    (void)kafka;
    const struct producer *producer = opaque;
    uint64_t n = (uint64_t)(uintptr_t)message->_private;
    if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
        fail(rd_kafka_err2str(message->err));
    }
    if ((uint64_t)message->offset != n / producer->partitions) {
        fprintf(
            stderr, "produce: number %" PRIu64 " is at offset %" PRId64 "\n", n, message->offset);
        fail("the topic is not what the checker expects");
    }
}

static void
configure(struct producer *producer, const char *brokers)
{
    static const char *const options[][2] = {{"enable.idempotence", "true"},
        {"message.timeout.ms", "0"}, {"linger.ms", "5"}, {"reconnect.backoff.max.ms", "500"},
        {"queue.buffering.max.messages", "2000000"}, {"log_level", "0"}};
    char why[256];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set(conf, "bootstrap.servers", brokers, why, sizeof why);
    for (size_t i = 0; i < sizeof options / sizeof *options; i++) {
        if (rd_kafka_conf_set(conf, options[i][0], options[i][1], why, sizeof why) !=
            RD_KAFKA_CONF_OK) {
            fail(why);
        }
    }
    rd_kafka_conf_set_opaque(conf, producer);
    rd_kafka_conf_set_dr_msg_cb(conf, delivered);
    producer->kafka = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, sizeof why);
    if (producer->kafka == NULL) {
        fail(why);
    }
}

static void
produce_one(struct producer *producer)
{
    char key[32], payload[160];
    uint64_t n = producer->n++;
    uint64_t partition = n % producer->partitions, offset = n / producer->partitions;
    int key_len =
        snprintf(key, sizeof key, "p%" PRIu64 "k%" PRIu64, partition, offset % TRACE_KEYS);
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    int len = snprintf(payload, sizeof payload,
        "{\"n\":%" PRIu64 ",\"m\":%" PRIu64 ",\"sent_ns\":%lld,\"pad\":\"%060d\"}", n,
        offset % TRACE_MODULUS, now.tv_sec * 1000000000LL + now.tv_nsec, 0);
    rd_kafka_resp_err_t err = rd_kafka_producev(producer->kafka, RD_KAFKA_V_TOPIC(producer->topic),
        RD_KAFKA_V_PARTITION((int32_t)partition), RD_KAFKA_V_KEY(key, (size_t)key_len),
        RD_KAFKA_V_VALUE(payload, (size_t)len), RD_KAFKA_V_OPAQUE((void *)(uintptr_t)n),
        RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_END);
    if (err != RD_KAFKA_RESP_ERR_NO_ERROR) {
        fail(rd_kafka_err2str(err));
    }
}

static bool
told_to_end(void)
{
    struct pollfd in = {.fd = STDIN_FILENO, .events = POLLIN};
    char byte;
    return poll(&in, 1, TICK_MS) > 0 && read(STDIN_FILENO, &byte, 1) == 0;
}

int
main(int argc, char **argv)
{
    if (argc != 5 && argc != 6) {
        return 2;
    }
    struct producer producer = {.topic = argv[2], .partitions = strtoull(argv[3], NULL, 10)};
    double rate = strtod(argv[4], NULL), start = now_s();
    uint64_t first = argc == 6 ? strtoull(argv[5], NULL, 10) : 0;
    producer.n = first;
    configure(&producer, argv[1]);
    while (!told_to_end()) {
        uint64_t due = first + (uint64_t)((now_s() - start) * rate);
        while (producer.n < due) {
            produce_one(&producer);
        }
        rd_kafka_poll(producer.kafka, 0);
    }
    if (rd_kafka_flush(producer.kafka, FLUSH_MS) != RD_KAFKA_RESP_ERR_NO_ERROR) {
        fail("not all is delivered");
    }
    printf("%" PRIu64 "\n", producer.n);
    rd_kafka_destroy(producer.kafka);
    return 0;
}
