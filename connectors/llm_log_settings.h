/* llm_log_settings: what a source of models is told of the log of its answers. Thread init. */
#ifndef HEADGATE_LLM_LOG_SETTINGS_H
#define HEADGATE_LLM_LOG_SETTINGS_H

#include "push_settings.h"

struct llm_log_settings {
    struct push_kafka_settings kafka; /* of one topic; none: there is no log. See llm_log_kafka */
    uint64_t memory_bytes;            /* of records on their way */
    uint64_t silence_ms;              /* after which an answer's gateway is taken for dead */
    uint64_t readers;                 /* answers of others that are read at once */
    uint64_t aliases;                 /* answers that are known by what their upstreams call them */
};

extern const struct config_section llm_log_section; /* of struct llm_log_settings */

bool llm_log_is_set(const struct llm_log_settings *settings);
int llm_log_settings_check(const struct llm_log_settings *settings, struct err *err);

/* llm_log_kafka: the same with what has no key of its own. What it points to is shared. */
void llm_log_kafka(const struct llm_log_settings *settings, struct push_kafka_settings *kafka);
const char *llm_log_topic(const struct llm_log_settings *settings);

/* Of the log, beside the streams of its answers. */
uint64_t llm_log_bytes(const struct llm_log_settings *settings);
uint64_t llm_log_descriptors(const struct llm_log_settings *settings);

#endif
