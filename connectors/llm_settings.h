/* llm_settings: what a source of models is told in the configuration, and which upstreams a request
 * goes to. Thread init; llm_settings_route any. */
#ifndef HEADGATE_LLM_SETTINGS_H
#define HEADGATE_LLM_SETTINGS_H

#include "../gateway/config.h"
#include "../gateway/config_table.h"
#include "connector.h"
#include "llm_dialect.h"
#include "llm_http.h"
#include "llm_log_settings.h"

struct llm_upstream {
    char *name, *base_url;
    char *key; /* NULL: none is sent, or the client's */
    bool client_key;
    char *ca_file;
    int dialect;                  /* an index of llm_dialects */
    struct config_strings models; /* names, or beginnings with a * behind; none: any */
    struct config_pairs headers;
};

struct llm_settings {
    struct config_sections upstreams; /* of struct llm_upstream */
    uint64_t connect_ms, first_byte_ms, idle_ms, total_ms;
    uint64_t retries, backoff_ms, backoff_most_ms, wait_most_ms;
    uint64_t max_tokens;
    uint64_t max_event_bytes, max_answer_bytes, max_request_bytes;
    uint64_t requests;
    struct llm_log_settings log;
};

extern const struct config_section llm_section;

int llm_settings_check(const void *settings, struct err *err);
uint64_t llm_settings_memory_bytes(const void *settings);
uint64_t llm_settings_descriptors(const void *settings);

const struct llm_upstream *llm_settings_upstream(const struct llm_settings *settings, size_t i);

/* llm_settings_route: the upstreams for a model (text), the one to begin with first: those that
 * name it, in the order of the file. Returns how many; indexes holds settings->upstreams.n. */
size_t llm_settings_route(const struct llm_settings *settings, const char *model, size_t *indexes);

/* llm_settings_pattern: the name, or beginning of one, in upstream's models that model is meant by;
 * NULL: none. Lent. */
const char *llm_settings_pattern(const struct llm_upstream *upstream, const char *model);

/* What a client said in its request's head, with lower-case names; of an SDK's. */
struct llm_client {
    const struct request_param *headers;
    size_t n;
    bool same; /* it speaks what the upstream does: all of it means something there */
};

/* llm_settings_headers: "name: value" of each header that upstream gets, its key among them, as one
 * allocation with NULL at its end. What the configuration says goes before what the client said.
 * Owns: the caller's, free(3). */
const char *const *llm_settings_headers(
    const struct llm_upstream *upstream, const struct llm_client *client);

#endif
