/* push_settings: the configuration of a source whose records clients post, and of the Kafka topic
 * that may lie beneath it. Thread init. */
#ifndef HEADGATE_PUSH_SETTINGS_H
#define HEADGATE_PUSH_SETTINGS_H

#include "kafka_settings.h"

struct push_kafka_settings {
    uint64_t timeout_ms;          /* until a record is acknowledged */
    struct kafka_settings reader; /* of one topic; none: there is no Kafka beneath */
};

struct push_settings {
    uint64_t memory_bytes; /* of records on their way */
    uint64_t wait_ms;      /* that a post may stand still */
    struct push_kafka_settings kafka;
};

extern const struct config_section push_section;

int push_settings_check(const void *settings, struct err *err);

/* push_settings_topic: NULL: there is no Kafka beneath. */
const char *push_settings_topic(const struct push_settings *settings);

/* push_settings_producer_conf: the configuration of the client that writes, callbacks excepted.
 * Owns the caller gets it.  Errors NULL and err. */
rd_kafka_conf_t *push_settings_producer_conf(const struct push_kafka_settings *settings,
    const char *stream, size_t max_record_bytes, struct err *err);

/* push_settings_check_kafka: of the part that says where to write to. push_settings_producer_bytes:
 * the most that writing takes where memory_bytes of records are on their way. */
int push_settings_check_kafka(const struct push_kafka_settings *settings, struct err *err);
uint64_t push_settings_producer_bytes(uint64_t memory_bytes);

uint64_t push_settings_memory_bytes(const void *settings);
uint64_t push_settings_kafka_memory_bytes(const void *settings);
uint64_t push_settings_kafka_member_bytes(const void *settings);
uint64_t push_settings_descriptors(const void *settings);
uint64_t push_settings_kafka_descriptors(const void *settings);

#endif
