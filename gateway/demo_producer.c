/* demo_producer: the sample records' way into Kafka. One thread of its own; it sleeps between
 * ticks of 20 ms and produces what has become due. */
#include "demo_producer.h"

#include "clock.h"
#include "demo_sample.h"
#include "mem.h"

#include <errno.h>
#include <librdkafka/rdkafka.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define TICK_NS 20000000

struct demo_producer {
    rd_kafka_t *kafka;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake; /* on CLOCK_MONOTONIC */
    bool stopping;       /* under lock */
    struct demo_sample sample;
    struct buf key, json;
};

static void
produce(struct demo_producer *producer, const char *topic)
{
    /* A full queue loses a sample: it is made up, and the gateway never saw it. */
    rd_kafka_producev(producer->kafka, RD_KAFKA_V_TOPIC(topic),
        RD_KAFKA_V_KEY(producer->key.bytes, producer->key.len),
        RD_KAFKA_V_VALUE(producer->json.bytes, producer->json.len),
        RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_END);
}

/* Sleep a tick; false once it is to stop. */
static bool
wait_tick(struct demo_producer *producer)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += TICK_NS;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    pthread_mutex_lock(&producer->lock);
    while (!producer->stopping &&
           pthread_cond_timedwait(&producer->wake, &producer->lock, &until) != ETIMEDOUT) {
    }
    bool go_on = !producer->stopping;
    pthread_mutex_unlock(&producer->lock);
    return go_on;
}

/* What is produced: how much of it when, and how it is made up. */
static const struct {
    const char *topic;
    uint64_t (*due)(int64_t elapsed_ms);
    void (*make)(struct demo_sample *sample, struct buf *key, struct buf *json);
} kinds[] = {
    {DEMO_ORDERS_TOPIC, demo_sample_orders_due, demo_sample_order},
    {DEMO_PRICES_TOPIC, demo_sample_prices_due, demo_sample_price},
};
#define N_KINDS (sizeof kinds / sizeof *kinds)

static void *
producer_thread(void *self)
{
    struct demo_producer *producer = self;
    int64_t start_ns = clock_mono_ns();
    uint64_t made[N_KINDS] = {0};
    while (wait_tick(producer)) {
        int64_t elapsed_ms = (clock_mono_ns() - start_ns) / 1000000;
        for (size_t i = 0; i < N_KINDS; i++) {
            for (; made[i] < kinds[i].due(elapsed_ms); made[i]++) {
                kinds[i].make(&producer->sample, &producer->key, &producer->json);
                produce(producer, kinds[i].topic);
            }
        }
        rd_kafka_poll(producer->kafka, 0);
    }
    rd_kafka_flush(producer->kafka, 500);
    return NULL;
}

/* A broker in the same process goes away with it: its last words are no news. */
static void
drop_log(const rd_kafka_t *kafka, int level, const char *facility, const char *text)
{
    (void)kafka, (void)level, (void)facility, (void)text;
}

static rd_kafka_t *
new_kafka(const char *brokers, struct err *err)
{
    static const char *const options[][2] = {{"client.id", "headgate-demo"}, {"linger.ms", "5"},
        {"partitioner", "murmur2_random"}, {"broker.address.family", "v4"}};
    char text[256];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set_log_cb(conf, drop_log);
    bool set = rd_kafka_conf_set(conf, "bootstrap.servers", brokers, text, sizeof text) ==
               RD_KAFKA_CONF_OK;
    for (size_t i = 0; set && i < sizeof options / sizeof *options; i++) {
        set = rd_kafka_conf_set(conf, options[i][0], options[i][1], text, sizeof text) ==
              RD_KAFKA_CONF_OK;
    }
    rd_kafka_t *kafka = set ? rd_kafka_new(RD_KAFKA_PRODUCER, conf, text, sizeof text) : NULL;
    if (kafka == NULL) {
        rd_kafka_conf_destroy(conf); /* rd_kafka_new takes it on success only */
        err_set(err, ERR_REMOTE, "the sample producer cannot start: %s", text);
    }
    return kafka;
}

static void
init_wake(struct demo_producer *producer)
{
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&producer->wake, &attributes);
    pthread_condattr_destroy(&attributes);
    pthread_mutex_init(&producer->lock, NULL);
}

static void
producer_free(struct demo_producer *producer)
{
    rd_kafka_destroy(producer->kafka);
    pthread_cond_destroy(&producer->wake);
    pthread_mutex_destroy(&producer->lock);
    buf_fini(&producer->key);
    buf_fini(&producer->json);
    free(producer);
}

struct demo_producer *
demo_producer_start(const char *brokers, struct err *err)
{
    rd_kafka_t *kafka = new_kafka(brokers, err);
    if (kafka == NULL) {
        return NULL;
    }
    struct demo_producer *producer = mem_calloc(1, sizeof *producer);
    producer->kafka = kafka;
    init_wake(producer);
    demo_sample_init(&producer->sample, (uint64_t)clock_wall_ms());
    buf_init(&producer->key);
    buf_init(&producer->json);
    int failed = pthread_create(&producer->thread, NULL, producer_thread, producer);
    if (failed != 0) {
        err_set_errno(err, failed, "the sample producer's thread");
        producer_free(producer);
        return NULL;
    }
    return producer;
}

void
demo_producer_stop(struct demo_producer *producer)
{
    if (producer == NULL) {
        return;
    }
    pthread_mutex_lock(&producer->lock);
    producer->stopping = true;
    pthread_cond_signal(&producer->wake);
    pthread_mutex_unlock(&producer->lock);
    pthread_join(producer->thread, NULL);
    producer_free(producer);
}
