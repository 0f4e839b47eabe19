/* llm_settings: keys, checks and bounds of a source of models; routing by the model's name. */
#include "llm_settings.h"

#include <curl/curl.h>
#include <stdlib.h>
#include <string.h>

#define KIB UINT64_C(1024)
#define MIB (KIB * KIB)
#define UPSTREAMS_MAX 64
#define CALL_BYTES (UINT64_C(96) * KIB) /* libcurl's handle, its buffers, a connection over TLS */
#define DAY_MS 86400000

static const struct config_key upstream_keys[] = {
    {.name = "name",
        .kind = CONFIG_STRING,
        .offset = offsetof(struct llm_upstream, name),
        .required = true,
        .prose = "What the log and the metrics call it."},
    {.name = "dialect",
        .kind = CONFIG_ENUM,
        .offset = offsetof(struct llm_upstream, dialect),
        .choices = llm_dialect_names,
        .fallback = "openai",
        .prose =
            "What it speaks: anthropic (Messages), openai (Chat Completions, also that of vLLM, "
            "llama.cpp and others), responses (OpenAI's Responses), ollama (/api/chat)."},
    {.name = "base_url",
        .kind = CONFIG_STRING,
        .offset = offsetof(struct llm_upstream, base_url),
        .required = true,
        .prose = "Where it is, as its own SDK takes it: https://api.anthropic.com, "
                 "https://api.openai.com/v1, http://localhost:11434. https certificates are "
                 "verified."},
    {.name = "key",
        .kind = CONFIG_SECRET,
        .offset = offsetof(struct llm_upstream, key),
        .prose = "Its API key, best as ${VAR} or ${file:/path}. It is never logged."},
    {.name = "client_key",
        .kind = CONFIG_BOOL,
        .offset = offsetof(struct llm_upstream, client_key),
        .fallback = "false",
        .prose = "Without key: it is sent the client's own, which routes of kind openai and "
                 "anthropic take as an SDK sends it."},
    {.name = "models",
        .kind = CONFIG_STRINGS,
        .offset = offsetof(struct llm_upstream, models),
        .most = 256,
        .prose = "The models that it answers for: names, or beginnings of names with a * behind. "
                 "None: any model."},
    {.name = "headers",
        .kind = CONFIG_PAIRS,
        .offset = offsetof(struct llm_upstream, headers),
        .most = 32,
        .prose = "Headers that each request to it has beside those of its dialect, or in place of "
                 "them: anthropic-version, anthropic-beta, OpenAI-Organization."},
    {.name = "ca_file",
        .kind = CONFIG_STRING,
        .offset = offsetof(struct llm_upstream, ca_file),
        .prose =
            "A PEM file of certificates that its own is verified by, in place of the system's."},
};

static const struct config_section upstream_section = {
    .name = "streams.NAME.source.llm.upstreams",
    .size = sizeof(struct llm_upstream),
    .keys = upstream_keys,
    .n_keys = sizeof upstream_keys / sizeof *upstream_keys,
};

static const struct config_key timeout_keys[] = {
    {.name = "connect",
        .kind = CONFIG_DURATION,
        .offset = offsetof(struct llm_settings, connect_ms),
        .least = 100,
        .most = 300000,
        .fallback = "10s",
        .prose = "To look up the name, to connect and for TLS; of each attempt."},
    {.name = "first_byte",
        .kind = CONFIG_DURATION,
        .offset = offsetof(struct llm_settings, first_byte_ms),
        .least = 100,
        .most = DAY_MS,
        .fallback = "2m",
        .prose = "From the start of an attempt to the first byte of the answer's body."},
    {.name = "idle",
        .kind = CONFIG_DURATION,
        .offset = offsetof(struct llm_settings, idle_ms),
        .least = 100,
        .most = DAY_MS,
        .fallback = "2m",
        .prose = "Without a byte from the upstream in the middle of an answer. Time in which the "
                 "answer's reader holds it up does not count."},
    {.name = "total",
        .kind = CONFIG_DURATION,
        .offset = offsetof(struct llm_settings, total_ms),
        .least = 1000,
        .most = DAY_MS,
        .fallback = "15m",
        .prose = "For an answer as a whole, all attempts and waits in it."},
};

static const struct config_section timeouts_section = {
    .name = "streams.NAME.source.llm.timeouts",
    .size = sizeof(struct llm_settings),
    .keys = timeout_keys,
    .n_keys = sizeof timeout_keys / sizeof *timeout_keys,
};

static const struct config_key retry_keys[] = {
    {.name = "most",
        .kind = CONFIG_COUNT,
        .offset = offsetof(struct llm_settings, retries),
        .most = 10,
        .fallback = "2",
        .prose = "Attempts beyond the first at each upstream, before the first byte of an answer; "
                 "then the next upstream for the model is tried."},
    {.name = "backoff",
        .kind = CONFIG_DURATION,
        .offset = offsetof(struct llm_settings, backoff_ms),
        .least = 1,
        .most = 60000,
        .fallback = "500ms",
        .prose = "Before the second attempt where the upstream does not say when; it doubles, and "
                 "up to a quarter is taken off at random."},
    {.name = "backoff_most",
        .kind = CONFIG_DURATION,
        .offset = offsetof(struct llm_settings, backoff_most_ms),
        .least = 1,
        .most = 600000,
        .fallback = "8s",
        .prose = "What it doubles up to."},
    {.name = "wait_most",
        .kind = CONFIG_DURATION,
        .offset = offsetof(struct llm_settings, wait_most_ms),
        .most = 600000,
        .fallback = "60s",
        .prose = "An upstream that asks for more with retry-after is not waited for."},
};

static const struct config_section retries_section = {
    .name = "streams.NAME.source.llm.retries",
    .size = sizeof(struct llm_settings),
    .keys = retry_keys,
    .n_keys = sizeof retry_keys / sizeof *retry_keys,
};

static const struct config_key keys[] = {
    {.name = "upstreams",
        .kind = CONFIG_SECTIONS,
        .offset = offsetof(struct llm_settings, upstreams),
        .least = 1,
        .most = UPSTREAMS_MAX,
        .required = true,
        .child = &upstream_section,
        .prose = "Where models are. The first that answers for a request's model gets it; those "
                 "behind it are its fallbacks, in their order, before the first byte alone."},
    {.name = "timeouts",
        .kind = CONFIG_SECTION,
        .child = &timeouts_section,
        .prose = "How long an upstream may take."},
    {.name = "retries",
        .kind = CONFIG_SECTION,
        .child = &retries_section,
        .prose = "When it is asked again."},
    {.name = "max_tokens",
        .kind = CONFIG_COUNT,
        .offset = offsetof(struct llm_settings, max_tokens),
        .least = 1,
        .most = 100000000,
        .fallback = "4096",
        .prose = "max_tokens for upstreams that must be told one, where the request has none."},
    {.name = "event",
        .kind = CONFIG_BYTES,
        .offset = offsetof(struct llm_settings, max_event_bytes),
        .least = 4 * KIB,
        .most = 64 * MIB,
        .fallback = "1MiB",
        .prose = "The largest event that an upstream may send; beyond it the answer fails."},
    {.name = "answer",
        .kind = CONFIG_BYTES,
        .offset = offsetof(struct llm_settings, max_answer_bytes),
        .least = 64 * KIB,
        .most = 1024 * MIB,
        .fallback = "8MiB",
        .prose = "The largest answer, as events of this stream; beyond it, it fails."},
    {.name = "request",
        .kind = CONFIG_BYTES,
        .offset = offsetof(struct llm_settings, max_request_bytes),
        .least = 1 * KIB,
        .most = 64 * MIB,
        .fallback = "1MiB",
        .prose = "The largest request."},
    {.name = "requests",
        .kind = CONFIG_COUNT,
        .offset = offsetof(struct llm_settings, requests),
        .least = 1,
        .most = 100000,
        .fallback = "256",
        .prose = "Answers at once; a further request gets 503 with Retry-After."},
    {.name = "log",
        .kind = CONFIG_SECTION,
        .offset = offsetof(struct llm_settings, log),
        .child = &llm_log_section,
        .prose = "Where answers are written to as they come, so that every gateway with the same "
                 "log serves all of them, and one that dies leaves what it had."},
};

const struct config_section llm_section = {
    .name = "streams.NAME.source.llm",
    .size = sizeof(struct llm_settings),
    .keys = keys,
    .n_keys = sizeof keys / sizeof *keys,
};

const struct llm_upstream *
llm_settings_upstream(const struct llm_settings *settings, size_t i)
{
    return &((const struct llm_upstream *)settings->upstreams.items)[i];
}

/* ---- checks ---- */

static int
refuse(const struct llm_upstream *upstream, const char *what, struct err *err)
{
    err_set(err, ERR_INVALID, "upstreams: %.64s: %s", upstream->name, what);
    return -1;
}

/* http or https, a host, nothing behind the path; no user or password, which would be a secret. */
static const char *
url_fault(const char *text)
{
    const char *fault = NULL;
    char *scheme = NULL, *user = NULL, *query = NULL, *fragment = NULL;
    CURLU *url = curl_url();
    if (curl_url_set(url, CURLUPART_URL, text, 0) != CURLUE_OK ||
        curl_url_get(url, CURLUPART_SCHEME, &scheme, 0) != CURLUE_OK ||
        (strcmp(scheme, "http") != 0 && strcmp(scheme, "https") != 0)) {
        fault = "base_url: must be a URL that begins with https:// or http://";
    } else if (curl_url_get(url, CURLUPART_USER, &user, 0) == CURLUE_OK) {
        fault = "base_url: must not have a user or a password: there is key";
    } else if (curl_url_get(url, CURLUPART_QUERY, &query, 0) == CURLUE_OK ||
               curl_url_get(url, CURLUPART_FRAGMENT, &fragment, 0) == CURLUE_OK) {
        fault = "base_url: must end with its path";
    } else if (text[strlen(text) - 1] == '/') {
        fault = "base_url: must not end with a slash";
    }
    curl_free(scheme);
    curl_free(user);
    curl_free(query);
    curl_free(fragment);
    curl_url_cleanup(url);
    return fault;
}

/* A line of its own would be another header. */
static bool
is_header_text(const char *text)
{
    for (const char *at = text; *at != '\0'; at++) {
        if ((unsigned char)*at < ' ' || *at == 0x7f) {
            return false;
        }
    }
    return true;
}

static int
check_headers(const struct llm_upstream *upstream, struct err *err)
{
    if (upstream->key != NULL && (upstream->key[0] == '\0' || !is_header_text(upstream->key))) {
        return refuse(upstream, "key: must be one line of text", err);
    }
    for (size_t i = 0; i < upstream->headers.n; i++) {
        const char *name = upstream->headers.items[i].name;
        size_t len =
            strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_");
        if (len == 0 || name[len] != '\0' || !is_header_text(upstream->headers.items[i].value)) {
            return refuse(upstream,
                "headers: a name has letters, digits, - and _, a value is one "
                "line",
                err);
        }
    }
    return 0;
}

static int
check_upstream(const struct llm_settings *settings, size_t i, struct err *err)
{
    const struct llm_upstream *upstream = llm_settings_upstream(settings, i);
    const char *fault = url_fault(upstream->base_url);
    if (fault != NULL) {
        return refuse(upstream, fault, err);
    }
    for (size_t j = 0; j < i; j++) {
        if (strcmp(llm_settings_upstream(settings, j)->name, upstream->name) == 0) {
            return refuse(upstream, "name: is there twice", err);
        }
    }
    return check_headers(upstream, err);
}

int
llm_settings_check(const void *settings_, struct err *err)
{
    const struct llm_settings *settings = settings_;
    for (size_t i = 0; i < settings->upstreams.n; i++) {
        if (check_upstream(settings, i, err) != 0) {
            return -1;
        }
    }
    if (settings->max_answer_bytes < settings->max_event_bytes) {
        err_set(err, ERR_INVALID, "answer: is less than event");
        return -1;
    }
    return llm_log_settings_check(&settings->log, err);
}

/* Of one answer. The request is there as it came, as its targets have it (each in its dialect), an
 * event while it is parsed, tool calls until they are whole; buffers double as they grow. */
uint64_t
llm_settings_memory_bytes(const void *settings_)
{
    const struct llm_settings *settings = settings_;
    return CALL_BYTES + settings->max_request_bytes * (1 + 2 * settings->upstreams.n) +
           6 * settings->max_event_bytes + 2 * settings->max_answer_bytes;
}

/* A connection, and of one that is being made two. */
uint64_t
llm_settings_descriptors(const void *settings)
{
    (void)settings;
    return 2;
}

/* ---- routing ---- */

const char *
llm_settings_pattern(const struct llm_upstream *upstream, const char *model)
{
    for (size_t i = 0; i < upstream->models.n; i++) {
        const char *name = upstream->models.items[i];
        size_t len = strlen(name);
        bool prefix = len > 0 && name[len - 1] == '*';
        if (prefix ? strncmp(name, model, len - 1) == 0 : strcmp(name, model) == 0) {
            return name;
        }
    }
    return NULL;
}

static bool
answers_for(const struct llm_upstream *upstream, const char *model)
{
    return upstream->models.n == 0 || llm_settings_pattern(upstream, model) != NULL;
}

size_t
llm_settings_route(const struct llm_settings *settings, const char *model, size_t *indexes)
{
    size_t n = 0;
    for (size_t i = 0; i < settings->upstreams.n; i++) {
        if (answers_for(llm_settings_upstream(settings, i), model)) {
            indexes[n++] = i;
        }
    }
    return n;
}
