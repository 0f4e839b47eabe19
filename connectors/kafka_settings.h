/* kafka_settings: the configuration of a Kafka source: its keys, what the key table cannot check,
 * and the librdkafka configuration that it makes. Makes no connection. Thread init. */
#ifndef HEADGATE_KAFKA_SETTINGS_H
#define HEADGATE_KAFKA_SETTINGS_H

#include "../gateway/config.h"
#include "../gateway/config_table.h"

#include <librdkafka/rdkafka.h>
#include <regex.h>
#include <stdint.h>

struct kafka_settings {
    char *brokers;                /* bootstrap addresses, host:port separated by commas */
    struct config_strings topics; /* names, or regular expressions that start with ^ */
    char *start;                  /* as written; kafka_start_parse reads it */
    uint64_t discover_ms;         /* how often new topics and partitions are looked for */
    uint64_t prefetch_bytes;      /* payload that librdkafka may hold ahead of the ring */
    char *group;                  /* NULL: every partition, no consumer group */
    char *group_instance_id;      /* NULL: dynamic membership */
    uint64_t session_timeout_ms;  /* of the group */
    uint64_t commit_interval_ms;
    uint64_t stall_timeout_ms; /* how long a partition that owes records may be silent */
    struct config_pairs librdkafka_options;
    bool small; /* no key: of a durable consumer's source; see kafka_settings_small */
};

extern const struct config_section kafka_section;

enum kafka_start_kind { KAFKA_START_LATEST, KAFKA_START_EARLIEST, KAFKA_START_TIME };

struct kafka_start {
    enum kafka_start_kind kind;
    int64_t unix_ms; /* of KAFKA_START_TIME */
};

/* kafka_start_parse: latest | earliest | -15m (units ms, s, m, h, d; before now_unix_ms) | RFC
 * 3339. Errors -1 and err. */
int kafka_start_parse(
    const char *text, int64_t now_unix_ms, struct kafka_start *start, struct err *err);

/* kafka_settings_check: the connector's check(): topics, expressions, every librdkafka property by
 * librdkafka itself, and the configuration as a whole (a certificate that is not there). */
int kafka_settings_check(const void *settings, struct err *err);

/* kafka_settings_shares: the source is a member of a consumer group. */
bool kafka_settings_shares(const void *settings);

/* kafka_settings_small: the same settings for one of many sources of a stream, which reads ahead
 * less. What they point to is shared. */
void kafka_settings_small(const struct kafka_settings *settings, struct kafka_settings *small);

uint64_t kafka_settings_member_bytes(const void *settings);
uint64_t kafka_settings_memory_bytes(const void *settings);
uint64_t kafka_settings_descriptors(const void *settings);

/* kafka_settings_conf: the configuration of the client, callbacks excepted.
 * Owns the caller gets it.  Errors NULL and err, with the line of the property at fault. */
rd_kafka_conf_t *kafka_settings_conf(
    const struct kafka_settings *settings, const char *stream, struct err *err);

/* Membership in a consumer group. */
struct kafka_member {
    const char *group;
    const char *instance_id; /* NULL: dynamic */
    uint64_t session_timeout_ms;
};

/* kafka_settings_member_conf: the same for the client that is the member: it fetches nothing. */
rd_kafka_conf_t *kafka_settings_member_conf(const struct kafka_settings *settings,
    const char *stream, const struct kafka_member *member, struct err *err);

/* A compiled set of topic names and expressions. */
struct kafka_wanted {
    size_t n;
    struct kafka_wanted_topic {
        const char *text; /* lent by the settings */
        bool is_regex;
        regex_t regex;
    } * items;
    bool any_regex;
};

/* kafka_wanted_init: Errors -1 and err; nothing is left to free then. */
int kafka_wanted_init(
    struct kafka_wanted *wanted, const struct config_strings *topics, struct err *err);
void kafka_wanted_fini(struct kafka_wanted *wanted);

/* kafka_wanted_match: named literally, or matched. Names that start with __ (Kafka's own topics)
 * are matched only by an expression that spells the underscores: ^__ . */
bool kafka_wanted_match(const struct kafka_wanted *wanted, const char *topic);

#endif
