/* push_settings: keys, checks and bounds of a push source. Thread init. */
#include "push_settings.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define KIB UINT64_C(1024)
#define MIB (KIB * KIB)

/* What librdkafka has of records that are on their way, beside their bytes: messages of about 300
 * bytes where ours count 128, requests that are being written, buffers of connections. */
#define PRODUCER_TIMES 3
#define PRODUCER_BYTES (UINT64_C(4) * MIB)

static const struct config_key kafka_keys[] = {
    {.name = "brokers",
        .kind = CONFIG_STRING,
        .offset = offsetof(struct push_kafka_settings, reader.brokers),
        .prose = "Bootstrap brokers, host:port separated by commas."},
    {.name = "topic",
        .kind = CONFIG_STRINGS,
        .offset = offsetof(struct push_kafka_settings, reader.topics),
        .most = 1,
        .prose = "The topic that posts are written to, and that the stream is read from. It must "
                 "be there."},
    {.name = "timeout",
        .kind = CONFIG_DURATION,
        .offset = offsetof(struct push_kafka_settings, timeout_ms),
        .least = 100,
        .most = 600000,
        .fallback = "10s",
        .prose = "How long a record may take until the broker has acknowledged it; then the post "
                 "is answered with 503."},
    {.name = "start",
        .kind = CONFIG_STRING,
        .offset = offsetof(struct push_kafka_settings, reader.start),
        .fallback = "latest",
        .prose = "Where reading begins: latest, earliest, a time ago such as -15m, or an RFC 3339 "
                 "time."},
    {.name = "discover",
        .kind = CONFIG_DURATION,
        .offset = offsetof(struct push_kafka_settings, reader.discover_ms),
        .least = 100,
        .most = 3600000,
        .fallback = "10s",
        .prose = "How often new partitions are looked for."},
    {.name = "prefetch",
        .kind = CONFIG_BYTES,
        .offset = offsetof(struct push_kafka_settings, reader.prefetch_bytes),
        .least = MIB,
        .most = UINT64_C(2047) * MIB,
        .fallback = "16MiB",
        .prose = "Payload that the Kafka client may hold ahead of the ring."},
    {.name = "session_timeout",
        .kind = CONFIG_DURATION,
        .offset = offsetof(struct push_kafka_settings, reader.session_timeout_ms),
        .least = 1000,
        .most = 1800000,
        .fallback = "45s",
        .prose = "Of durable consumers: after how long without a sign of life a connection's "
                 "partitions go to others."},
    {.name = "commit_interval",
        .kind = CONFIG_DURATION,
        .offset = offsetof(struct push_kafka_settings, reader.commit_interval_ms),
        .least = 50,
        .most = 3600000,
        .fallback = "1s",
        .prose = "How often the progress of durable consumers is committed."},
    {.name = "stall_timeout",
        .kind = CONFIG_DURATION,
        .offset = offsetof(struct push_kafka_settings, reader.stall_timeout_ms),
        .least = 1000,
        .most = 3600000,
        .fallback = "30s",
        .prose = "A partition that has records to give and gives none for so long is fetched "
                 "anew."},
    {.name = "librdkafka_options",
        .kind = CONFIG_PAIRS,
        .offset = offsetof(struct push_kafka_settings, reader.librdkafka_options),
        .most = 500,
        .prose = "Any librdkafka property, for reading and for writing: security.protocol, "
                 "compression.type, ..."},
};
static const struct config_section push_kafka_section = {
    .name = "streams.NAME.source.push.kafka",
    .size = sizeof(struct push_kafka_settings),
    .keys = kafka_keys,
    .n_keys = sizeof kafka_keys / sizeof *kafka_keys,
};

static const struct config_key keys[] = {
    {.name = "memory",
        .kind = CONFIG_BYTES,
        .offset = offsetof(struct push_settings, memory_bytes),
        .least = 64 * KIB,
        .most = UINT64_C(4096) * MIB,
        .fallback = "16MiB",
        .prose = "Records that are on their way from posts to the stream, all posts together, at "
                 "least four times max_record; one post has a quarter of it. Without room a post "
                 "is not read on."},
    {.name = "wait",
        .kind = CONFIG_DURATION,
        .offset = offsetof(struct push_settings, wait_ms),
        .least = 10,
        .most = 600000,
        .fallback = "1s",
        .prose = "How long a post may stand still because a pause subscriber holds the stream "
                 "back; then it is answered with 429. With kafka its timeout holds instead."},
    {.name = "kafka",
        .kind = CONFIG_SECTION,
        .offset = offsetof(struct push_settings, kafka),
        .child = &push_kafka_section,
        .prose = "A topic beneath the stream: posts are written there and answered once they are "
                 "acknowledged, and the stream is read from there, so that it outlives the gateway "
                 "and is the same on all of them."},
};

const struct config_section push_section = {
    .name = "streams.NAME.source.push",
    .size = sizeof(struct push_settings),
    .keys = keys,
    .n_keys = sizeof keys / sizeof *keys,
};

/* Properties that writing depends on, beside those that the reader reserves. */
static const struct {
    const char *name, *why;
} reserved[] = {
    {"enable.idempotence", "records are written once"},
    {"acks", "a post is answered once all in-sync replicas have it"},
    {"request.required.acks", "a post is answered once all in-sync replicas have it"},
    {"message.timeout.ms", "set timeout instead"},
    {"delivery.timeout.ms", "set timeout instead"},
    {"transactional.id", "posts are no transactions"},
};

static const char *
topic_of(const struct push_kafka_settings *settings)
{
    return settings->reader.topics.n == 0 ? NULL : settings->reader.topics.items[0];
}

const char *
push_settings_topic(const struct push_settings *settings)
{
    return topic_of(&settings->kafka);
}

static bool
has_option(const struct push_kafka_settings *settings, const char *name)
{
    const struct config_pairs *options = &settings->reader.librdkafka_options;
    for (size_t i = 0; i < options->n; i++) {
        if (strcasecmp(options->items[i].name, name) == 0) {
            return true;
        }
    }
    return false;
}

static int
set_row(rd_kafka_conf_t *conf, const char *name, const char *value, struct err *err)
{
    char why[400];
    if (rd_kafka_conf_set(conf, name, value, why, sizeof why) != RD_KAFKA_CONF_OK) {
        err_set(err, ERR_INVALID, "%s: %s", name, why);
        return -1;
    }
    return 0;
}

static int
set_producer(rd_kafka_conf_t *conf, const struct push_kafka_settings *settings,
    size_t max_record_bytes, struct err *err)
{
    char timeout[32], largest[32];
    snprintf(timeout, sizeof timeout, "%" PRIu64, settings->timeout_ms);
    /* Beside the payload: key, headers, and the record's own. What brokers take is theirs to say.
     */
    snprintf(largest, sizeof largest, "%zu", max_record_bytes + 64 * KIB);
    const char *const fixed[][2] = {
        {"enable.idempotence", "true"},
        {"message.timeout.ms", timeout},
        {"statistics.interval.ms", "0"},
    };
    const char *const defaults[][2] = {
        {"linger.ms", "0"}, /* many posts at once fill batches; a lone one does not wait */
        {"partitioner", "murmur2_random"}, /* as Java's clients place keys */
        {"message.max.bytes", largest},
    };
    for (size_t i = 0; i < sizeof fixed / sizeof *fixed; i++) {
        if (set_row(conf, fixed[i][0], fixed[i][1], err) != 0) {
            return -1;
        }
    }
    for (size_t i = 0; i < sizeof defaults / sizeof *defaults; i++) {
        if (!has_option(settings, defaults[i][0]) &&
            set_row(conf, defaults[i][0], defaults[i][1], err) != 0) {
            return -1;
        }
    }
    return 0;
}

rd_kafka_conf_t *
push_settings_producer_conf(const struct push_kafka_settings *settings, const char *stream,
    size_t max_record_bytes, struct err *err)
{
    rd_kafka_conf_t *conf = kafka_settings_conf(&settings->reader, stream, err);
    if (conf != NULL && set_producer(conf, settings, max_record_bytes, err) != 0) {
        rd_kafka_conf_destroy(conf);
        return NULL;
    }
    return conf;
}

static int
check_reserved(const struct push_kafka_settings *settings, struct err *err)
{
    const struct config_pairs *options = &settings->reader.librdkafka_options;
    for (size_t i = 0; i < options->n; i++) {
        for (size_t j = 0; j < sizeof reserved / sizeof *reserved; j++) {
            if (strcasecmp(options->items[i].name, reserved[j].name) == 0) {
                err->line = options->items[i].line;
                err->column = options->items[i].column;
                err_set(err, ERR_INVALID, "kafka.librdkafka_options: %s cannot be set: %s",
                    reserved[j].name, reserved[j].why);
                return -1;
            }
        }
    }
    return 0;
}

/* librdkafka checks combinations only when it makes a client; one without brokers connects to
 * nothing. */
static int
check_producer(const struct push_kafka_settings *settings, struct err *err)
{
    struct push_kafka_settings offline = *settings;
    char no_brokers[] = "";
    offline.reader.brokers = no_brokers;
    rd_kafka_conf_t *conf = push_settings_producer_conf(&offline, "check", MIB, err);
    if (conf == NULL) {
        return -1;
    }
    rd_kafka_conf_set_log_cb(conf, NULL);
    char why[400];
    rd_kafka_t *client = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, sizeof why);
    if (client == NULL) {
        rd_kafka_conf_destroy(conf);
        err_set(err, ERR_INVALID, "kafka.librdkafka_options: %s", why);
        return -1;
    }
    rd_kafka_destroy(client);
    return 0;
}

int
push_settings_check_kafka(const struct push_kafka_settings *settings, struct err *err)
{
    const struct kafka_settings *given = &settings->reader;
    const char *topic = topic_of(settings);
    if (topic == NULL && given->brokers == NULL && given->librdkafka_options.n == 0) {
        return 0;
    }
    if (topic == NULL || given->brokers == NULL) {
        err_set(err, ERR_INVALID, "kafka: needs brokers and topic");
        return -1;
    }
    if (topic[0] == '^') {
        err_set(err, ERR_INVALID, "kafka.topic: must be one topic's name");
        return -1;
    }
    if (check_reserved(settings, err) != 0 || kafka_settings_check(given, err) != 0) {
        return -1;
    }
    return check_producer(settings, err);
}

int
push_settings_check(const void *settings, struct err *err)
{
    return push_settings_check_kafka(&((const struct push_settings *)settings)->kafka, err);
}

uint64_t
push_settings_memory_bytes(const void *settings)
{
    return ((const struct push_settings *)settings)->memory_bytes;
}

uint64_t
push_settings_producer_bytes(uint64_t memory_bytes)
{
    return (1 + PRODUCER_TIMES) * memory_bytes + PRODUCER_BYTES;
}

uint64_t
push_settings_kafka_memory_bytes(const void *settings_)
{
    const struct push_settings *settings = settings_;
    return push_settings_producer_bytes(settings->memory_bytes) +
           kafka_settings_memory_bytes(&settings->kafka.reader);
}

uint64_t
push_settings_kafka_member_bytes(const void *settings_)
{
    const struct push_settings *settings = settings_;
    return kafka_settings_member_bytes(&settings->kafka.reader);
}

uint64_t
push_settings_descriptors(const void *settings)
{
    (void)settings;
    return 1;
}

uint64_t
push_settings_kafka_descriptors(const void *settings_)
{
    const struct push_settings *settings = settings_;
    return 2 * kafka_settings_descriptors(&settings->kafka.reader) + 2;
}
