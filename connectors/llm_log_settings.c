/* llm_log_settings: keys, checks and bounds of the log of a source of models. Thread init. */
#include "llm_log_settings.h"

#include "llm_log_alias.h"
#include "llm_log_hub.h"

#include <stdio.h>
#include <strings.h>

#define KIB UINT64_C(1024)
#define MIB (KIB * KIB)
#define PREFETCH_BYTES (UINT64_C(1) * MIB) /* of a client that reads */
#define SESSION_MS 45000 /* there is no group; librdkafka compares it all the same */

static const struct config_key kafka_keys[] = {
    {.name = "brokers",
        .kind = CONFIG_STRING,
        .offset = offsetof(struct push_kafka_settings, reader.brokers),
        .prose = "Bootstrap brokers, host:port separated by commas."},
    {.name = "topic",
        .kind = CONFIG_STRINGS,
        .offset = offsetof(struct push_kafka_settings, reader.topics),
        .most = 1,
        .prose = "The topic that answers are written to, the same on all gateways, and no other "
                 "stream's. It must be there, and keep records for longer than an answer is to be "
                 "read."},
    {.name = "timeout",
        .kind = CONFIG_DURATION,
        .offset = offsetof(struct push_kafka_settings, timeout_ms),
        .least = 100,
        .most = 600000,
        .fallback = "10s",
        .prose = "How long a record may take until the broker has acknowledged it; then the rest "
                 "of its answer is not written."},
    {.name = "librdkafka_options",
        .kind = CONFIG_PAIRS,
        .offset = offsetof(struct push_kafka_settings, reader.librdkafka_options),
        .most = 500,
        .prose = "Any librdkafka property, for reading and for writing: security.protocol, "
                 "compression.type, ..."},
};

static const struct config_section kafka_keys_section = {
    .name = "streams.NAME.source.llm.log.kafka",
    .size = sizeof(struct push_kafka_settings),
    .keys = kafka_keys,
    .n_keys = sizeof kafka_keys / sizeof *kafka_keys,
};

static const struct config_key keys[] = {
    {.name = "kafka",
        .kind = CONFIG_SECTION,
        .offset = offsetof(struct llm_log_settings, kafka),
        .child = &kafka_keys_section,
        .prose = "The topic. None: answers can be read only at the gateway that made them."},
    {.name = "memory",
        .kind = CONFIG_BYTES,
        .offset = offsetof(struct llm_log_settings, memory_bytes),
        .least = 64 * KIB,
        .most = UINT64_C(4096) * MIB,
        .fallback = "16MiB",
        .prose = "Records that no broker has acknowledged yet, of all answers together. An answer "
                 "that finds no room is not written further; who reads it here sees all of it."},
    {.name = "silence",
        .kind = CONFIG_DURATION,
        .offset = offsetof(struct llm_log_settings, silence_ms),
        .least = 500,
        .most = 600000,
        .fallback = "15s",
        .prose = "An answer of which nothing was written for so long has lost its gateway: its "
                 "readers elsewhere are told that it failed, as gateway_lost. A gateway says three "
                 "times in this time that it is there. The same on all gateways."},
    {.name = "readers",
        .kind = CONFIG_COUNT,
        .offset = offsetof(struct llm_log_settings, readers),
        .least = 1,
        .most = 10000,
        .fallback = "16",
        .prose = "Answers of other gateways that are read here at once, each for all of its "
                 "viewers; a further one gets 503 with Retry-After."},
    {.name = "aliases",
        .kind = CONFIG_COUNT,
        .offset = offsetof(struct llm_log_settings, aliases),
        .least = 1,
        .most = 1000000,
        .fallback = "20000",
        .prose = "Answers of all gateways that are known here by the id that an OpenAI Responses "
                 "upstream gave: the latest, 300 bytes each at the most. Let it be more than are "
                 "begun in generations.retain."},
};

const struct config_section llm_log_section = {
    .name = "streams.NAME.source.llm.log",
    .size = sizeof(struct llm_log_settings),
    .keys = keys,
    .n_keys = sizeof keys / sizeof *keys,
};

bool
llm_log_is_set(const struct llm_log_settings *settings)
{
    return settings->kafka.reader.topics.n > 0;
}

const char *
llm_log_topic(const struct llm_log_settings *settings)
{
    return settings->kafka.reader.topics.items[0];
}

void
llm_log_kafka(const struct llm_log_settings *settings, struct push_kafka_settings *kafka)
{
    static char start[] = "earliest";
    *kafka = settings->kafka;
    kafka->reader.start = start;
    kafka->reader.prefetch_bytes = PREFETCH_BYTES;
    kafka->reader.session_timeout_ms = SESSION_MS;
    kafka->reader.small = true;
}

int
llm_log_settings_check(const struct llm_log_settings *settings, struct err *err)
{
    struct push_kafka_settings kafka;
    char text[sizeof err->text];
    const struct config_pairs *options = &settings->kafka.reader.librdkafka_options;
    for (size_t i = 0; i < options->n; i++) {
        if (strcasecmp(options->items[i].name, "partitioner") == 0) {
            err->line = options->items[i].line;
            err->column = options->items[i].column;
            err_set(err, ERR_INVALID,
                "log: kafka.librdkafka_options: partitioner cannot be set: where an answer lies "
                "must follow from its id");
            return -1;
        }
    }
    llm_log_kafka(settings, &kafka);
    if (push_settings_check_kafka(&kafka, err) == 0) {
        return 0;
    }
    snprintf(text, sizeof text, "%s", err->text);
    err_set(err, err->code, "log: %s", text);
    return -1;
}

/* Of a client that reads. */
static uint64_t
reading_bytes(const struct llm_log_settings *settings)
{
    struct push_kafka_settings kafka;
    llm_log_kafka(settings, &kafka);
    return kafka_settings_memory_bytes(&kafka.reader);
}

static uint64_t
client_descriptors(const struct llm_log_settings *settings)
{
    struct push_kafka_settings kafka;
    llm_log_kafka(settings, &kafka);
    return kafka_settings_descriptors(&kafka.reader) + 1;
}

/* What is said to this gateway: now, and what was said before it came. */
#define EAR_CLIENTS UINT64_C(2)

/* Writing, what is said to this gateway, and what others made. */
uint64_t
llm_log_bytes(const struct llm_log_settings *settings)
{
    return push_settings_producer_bytes(settings->memory_bytes) +
           llm_log_aliases_bytes(settings->aliases) +
           (EAR_CLIENTS + LLM_LOG_HUB_CLIENTS) * reading_bytes(settings);
}

uint64_t
llm_log_descriptors(const struct llm_log_settings *settings)
{
    return (1 + EAR_CLIENTS + LLM_LOG_HUB_CLIENTS) * client_descriptors(settings) + 2 +
           LLM_LOG_HUB_DESCRIPTORS;
}
