/* llm: models as a source: a request's answer, event by event, as a stream that ends. A source has
 * no thread: all sources share one client (llm_http.h), whose thread decodes and publishes; the
 * last source ends it. */
#include "llm.h"

#include "../gateway/buf.h"
#include "../gateway/clock.h"
#include "../gateway/log.h"
#include "../gateway/mem.h"
#include "../gateway/stream_answers.h"
#include "../gateway/stream_source.h"
#include "llm_ask.h"
#include "llm_log_read.h"
#include "llm_publish.h"

#include <inttypes.h>
#include <jansson.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define GROUP "llm"     /* of the one lane, in tokens, where the answer has no name */
#define PARAM "request" /* the body, where it comes as a parameter */

/* One of three: an answer; with a log, the configured stream's, which has it; an answer of another
 * gateway, which is read from it. */
struct source {
    struct llm_http_user user;
    struct llm_log *log;           /* of the second */
    struct llm_log_reader *reader; /* of the third */
};

/* ---- the client that all share ---- */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct llm_http *shared; /* lock */
static size_t users;            /* lock */

static struct llm_http *
client_enter(const struct llm_settings *settings, struct err *err)
{
    pthread_mutex_lock(&lock);
    struct llm_http *client = NULL;
    if (users >= settings->requests) {
        err_set(err, ERR_LIMIT, "%" PRIu64 " answers are under way already: try again later",
            settings->requests);
    } else {
        shared = shared != NULL ? shared : llm_http_new(err);
        client = shared;
        users += client != NULL;
    }
    pthread_mutex_unlock(&lock);
    return client;
}

static void
client_leave(void)
{
    pthread_mutex_lock(&lock);
    struct llm_http *last = --users == 0 ? shared : NULL;
    shared = last != NULL ? NULL : shared;
    pthread_mutex_unlock(&lock);
    llm_http_free(last);
}

/* ---- what the client calls: its thread ---- */

static void
on_begin(struct llm_http_user *user, size_t target)
{
    const struct llm_limits limits = {.max_event_bytes = (size_t)user->settings->max_event_bytes,
        .max_answer_bytes = (size_t)user->settings->max_answer_bytes};
    const struct llm_upstream *upstream = user->routes[target].upstream;
    user->target = target;
    user->decoder = llm_decoder_new(llm_dialects[upstream->dialect], &limits);
    llm_publish_begin(user, user->routes[target].same);
}

static enum llm_http_more
on_body(struct llm_http_user *user, const char *bytes, size_t len)
{
    llm_decoder_feed(user->decoder, bytes, len);
    return llm_publish(user);
}

static void
on_tick(struct llm_http_user *user)
{
    stream_source_alive(user->stream);
}

static void
on_failed(
    struct llm_http_user *user, size_t target, int status, enum llm_code code, const char *why)
{
    stream_answer_status(user->stream, status);
    stream_source_error(user->stream, llm_code_name(code));
    log_event(LOG_WARN, "llm", stream_name(user->stream), "upstream %s: %s: %s",
        user->routes[target].upstream->name, llm_code_name(code), why);
}

static bool
on_end(struct llm_http_user *user, const struct llm_http_result *result)
{
    bool cancelled = !result->good && result->code == LLM_CANCELLED;
    if (user->ended || (cancelled && !stream_keeps_all(user->stream))) {
        return true; /* of one that had a single reader nobody reads the end */
    }
    if (user->decoder == NULL) {
        on_begin(user, result->target);
    }
    if (result->good) {
        llm_decoder_finish(user->decoder);
    } else {
        llm_decoder_fail(user->decoder, result->code, result->message);
        stream_source_retry_after(user->stream, result->after_ms);
    }
    bool told = llm_publish(user) != LLM_HTTP_FULL;
    if (cancelled && !user->ended) {
        llm_publish_failure(user, LLM_CANCELLED, result->message); /* it is not asked again */
    }
    return told || cancelled;
}

static const struct llm_http_handler handler = {
    .begin = on_begin,
    .body = on_body,
    .room = llm_publish,
    .tick = on_tick,
    .failed = on_failed,
    .end = on_end,
};

/* ---- a request ---- */

/* The body that was sent, or the parameter in its place. */
static int
find_body(const struct replay *replay, const char **body, size_t *len, struct err *err)
{
    *body = replay->body;
    *len = replay->body_len;
    for (size_t i = 0; i < replay->n_params && *body == NULL; i++) {
        *body = replay->params[i].value;
        *len = strlen(*body);
    }
    if (*body == NULL) {
        err_set(err, ERR_INVALID, PARAM ": is required: what to ask, as JSON");
        return -1;
    }
    if (replay->kind == REPLAY_LANES || replay->kind == REPLAY_TIME) {
        err_set(err, ERR_INVALID, "from: an answer is made anew for each request: it has no past");
        return -1;
    }
    return 0;
}

/* Where a body stops being JSON, for one who wrote it. */
static void
say_where(const char *body, size_t len, struct err *err)
{
    json_error_t error;
    json_t *value = json_loadb(body, len, JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);
    if (value == NULL) {
        err_set(err, ERR_INVALID, "the body must be a JSON object: line %d, column %d: %s",
            error.line, error.column, error.text);
    }
    json_decref(value);
}

static int
build_route(struct llm_route *route, struct llm_target *target, struct llm_ask *ask,
    const struct replay *replay, struct err *err)
{
    const struct llm_dialect *dialect = llm_dialects[route->upstream->dialect];
    struct buf url;
    buf_init(&url);
    buf_addf(&url, "%s%s", route->upstream->base_url, dialect->path);
    route->url = url.bytes; /* buf_addf leaves room for its NUL, and writes it */
    route->same = llm_ask_is_same(ask, dialect);
    route->headers = llm_settings_headers(
        route->upstream, &(struct llm_client){replay->headers, replay->n_headers, route->same});
    buf_init(&route->body);
    if (llm_ask_build(ask, dialect, &route->body, err) != 0) {
        return -1;
    }
    *target = (struct llm_target){.url = route->url,
        .headers = route->headers,
        .body = route->body.bytes,
        .body_len = route->body.len,
        .ca_file = route->upstream->ca_file,
        .media_type =
            dialect->framing == LLM_FRAMING_SSE ? "text/event-stream" : "application/x-ndjson"};
    return 0;
}

/* Where the request goes, in its order; an upstream that cannot be asked this fails the request, as
 * which one answers must not depend on the weather. */
static int
build_routes(
    struct llm_http_user *user, struct llm_ask *ask, const struct replay *replay, struct err *err)
{
    struct buf model;
    size_t *indexes = mem_calloc(user->settings->upstreams.n, sizeof *indexes);
    buf_init(&model);
    llm_json_text(&model, llm_json_inside(ask->model));
    buf_addc(&model, '\0');
    size_t n = llm_settings_route(user->settings, model.bytes, indexes);
    int result = 0;
    user->routes = mem_calloc(n, sizeof *user->routes);
    user->targets = mem_calloc(n, sizeof *user->targets);
    for (size_t i = 0; i < n && result == 0; i++) {
        struct llm_route *route = &user->routes[user->n_routes];
        route->upstream = llm_settings_upstream(user->settings, indexes[i]);
        const char *pattern = llm_settings_pattern(route->upstream, model.bytes);
        route->label = pattern != NULL ? pattern : STREAM_ANSWER_OTHER;
        result = build_route(route, &user->targets[user->n_routes++], ask, replay, err);
    }
    if (n == 0) {
        err_set(err, ERR_MISSING, "model: no upstream answers for '%.128s'", model.bytes);
        result = -1;
    }
    buf_fini(&model);
    free(indexes);
    return result;
}

static void
source_free(struct source *source)
{
    struct llm_http_user *user = &source->user;
    llm_http_call_free(user->call);
    llm_log_leave(user->log);
    llm_decoder_free(user->decoder);
    llm_out_free(user->out);
    llm_whole_free(user->whole);
    buf_fini(&user->object);
    for (size_t i = 0; i < user->n_routes; i++) {
        free(user->routes[i].url);
        free((void *)(uintptr_t)user->routes[i].headers); /* ours, whatever it points to */
        buf_fini(&user->routes[i].body);
    }
    free(user->routes);
    free(user->targets);
    if (user->client != NULL) {
        client_leave();
    }
    free(source);
}

static void
ask(struct llm_http_user *user, const struct replay *replay)
{
    const char *name = replay->name;
    const struct llm_settings *settings = user->settings;
    /* Whoever asks is greeted now, not when the model begins to speak. */
    user->lane = stream_lane_add(user->stream, name != NULL ? name : GROUP, 0, 0);
    stream_source_up(user->stream);
    user->asked_ns = clock_mono_ns();
    struct source *home = stream_home_source(user->stream);
    if (home != NULL && replay->name != NULL) {
        user->log = llm_log_begin(home->log, user->stream, replay->name, replay->dialect,
            replay->whole, replay->keeps_raw);
    }
    user->call = llm_http_start(user->client, &(struct llm_http_options){.targets = user->targets,
                                                  .n_targets = user->n_routes,
                                                  .times = {.connect_ms = settings->connect_ms,
                                                      .first_byte_ms = settings->first_byte_ms,
                                                      .idle_ms = settings->idle_ms,
                                                      .total_ms = settings->total_ms},
                                                  .retry = {.most = settings->retries,
                                                      .backoff_ms = settings->backoff_ms,
                                                      .backoff_most_ms = settings->backoff_most_ms,
                                                      .wait_most_ms = settings->wait_most_ms},
                                                  .handler = &handler,
                                                  .user = user});
}

/* How it is read, where an SDK asked. Its id is the answer's name, as the dialect marks its ids. */
static void
take_reader(struct llm_reader *reader, const struct replay *replay, const struct llm_ask *ask)
{
    static const char *const marks[LLM_OUT_COUNT] = {"chatcmpl-", "msg_", "resp_"};
    for (size_t i = 0; replay->dialect != NULL && i < LLM_OUT_COUNT; i++) {
        if (strcmp(llm_out_name(llm_out_dialects[i]), replay->dialect) == 0) {
            reader->dialect = llm_out_dialects[i];
            snprintf(reader->id, sizeof reader->id, "%s%s", marks[i], replay->name);
        }
    }
    reader->whole = replay->whole;
    reader->usage_chunk = ask->in.usage_chunk;
    reader->created_s = clock_wall_ms() / 1000;
}

/* From here on the source is at work. NULL and err: it is not. */
static struct source *
begin(const struct llm_settings *settings, struct stream *stream, const struct replay *replay,
    struct llm_ask *asked, struct err *err)
{
    struct source *source = mem_calloc(1, sizeof *source);
    source->user.settings = settings;
    source->user.stream = stream;
    source->user.keeps_raw = replay->keeps_raw;
    take_reader(&source->user.reader, replay, asked);
    if (build_routes(&source->user, asked, replay, err) != 0 || replay->probes ||
        (source->user.client = client_enter(settings, err)) == NULL) {
        source_free(source);
        return NULL;
    }
    ask(&source->user, replay);
    return source;
}

/* Do upstreams give answers ids that clients are shown, to ask for them again? */
static bool
has_aliases(const struct llm_settings *settings)
{
    bool has = false;
    for (size_t i = 0; i < settings->upstreams.n; i++) {
        has |= llm_dialects[llm_settings_upstream(settings, i)->dialect] == &llm_responses;
    }
    return has;
}

static struct source *
start_log(const struct llm_settings *settings, struct stream *home, struct err *err)
{
    struct source *source = mem_calloc(1, sizeof *source);
    source->log = llm_log_start(&settings->log, home, has_aliases(settings), err);
    if (source->log == NULL) {
        free(source);
        return NULL;
    }
    return source;
}

static struct source *
start_reader(struct stream *stream, const struct replay *replay)
{
    struct source *source = mem_calloc(1, sizeof *source);
    source->reader =
        llm_log_read_start(stream_home_source(stream)->log, stream, replay->name, replay->time_ms);
    return source;
}

static struct source *
start_answer(const struct llm_settings *settings, struct stream *stream,
    const struct replay *replay, struct err *err)
{
    struct llm_ask asked;
    struct source *source = NULL;
    const char *body;
    size_t len;
    if (find_body(replay, &body, &len, err) != 0) {
        return NULL;
    }
    if (len > settings->max_request_bytes) {
        err_set(err, ERR_INVALID, PARAM ": is larger than %" PRIu64 " bytes",
            settings->max_request_bytes);
        return NULL;
    }
    if (llm_ask_init(&asked, replay->dialect, body, len, settings->max_tokens, err) == 0) {
        source = begin(settings, stream, replay, &asked, err);
    } else if (llm_json_root(body, len).at == NULL) {
        say_where(body, len, err);
    }
    llm_ask_fini(&asked);
    return source;
}

static struct source *
llm_start(const void *settings, struct stream *stream, const struct replay *replay, struct err *err)
{
    return replay == NULL               ? start_log(settings, stream, err)
           : replay->kind == REPLAY_LOG ? start_reader(stream, replay)
                                        : start_answer(settings, stream, replay, err);
}

static void
llm_wake(struct source *source)
{
    if (source->user.call != NULL) { /* a reader's hub looks for itself */
        llm_http_resume(source->user.call);
    }
}

static void
llm_cancel(struct source *source)
{
    if (source->user.call != NULL) {
        llm_http_cancel(source->user.call);
    } else if (source->reader != NULL) {
        llm_log_read_cancel(source->reader);
    }
}

static void
llm_stop(struct source *source)
{
    if (source->log != NULL) {
        llm_log_stop(source->log);
        free(source);
    } else if (source->reader != NULL) {
        llm_log_read_stop(source->reader);
        free(source);
    } else {
        source_free(source);
    }
}

static bool
llm_tell_cancel(struct source *source)
{
    return source->reader != NULL && llm_log_read_tell(source->reader);
}

static enum connector_alias
llm_find_alias(struct source *source, const char *alias, char *name, size_t size)
{
    return llm_log_find_alias(source->log, alias, name, size);
}

static void
llm_log_bound(const void *settings_, struct connector_log *log)
{
    const struct llm_log_settings *settings = &((const struct llm_settings *)settings_)->log;
    *log = (struct connector_log){.bytes = llm_log_bytes(settings),
        .descriptors = llm_log_descriptors(settings),
        .readers = settings->readers};
}

static bool
llm_on_request(const void *settings)
{
    (void)settings;
    return true;
}

static const char *
llm_param(const void *settings, size_t i)
{
    (void)settings;
    return i == 0 ? PARAM : NULL;
}

static uint64_t
llm_body_bytes(const void *settings_)
{
    const struct llm_settings *settings = settings_;
    return settings->max_request_bytes;
}

/* Names, not beginnings of names. */
static const char *
llm_model(const void *settings_, size_t i)
{
    const struct llm_settings *settings = settings_;
    for (size_t u = 0; u < settings->upstreams.n; u++) {
        const struct config_strings *models = &llm_settings_upstream(settings, u)->models;
        for (size_t m = 0; m < models->n; m++) {
            const char *name = models->items[m];
            size_t len = strlen(name);
            if (len > 0 && name[len - 1] != '*' && i-- == 0) {
                return name;
            }
        }
    }
    return NULL;
}

#define COMMON                                                                                     \
    .name = "llm", .request_body_bytes = llm_body_bytes, .section = &llm_section,                  \
    .check = llm_settings_check, .memory_bound_bytes = llm_settings_memory_bytes,                  \
    .descriptor_bound = llm_settings_descriptors, .on_request = llm_on_request,                    \
    .request_param = llm_param, .model = llm_model, .start = llm_start, .wake = llm_wake,          \
    .cancel = llm_cancel, .stop = llm_stop

static const struct connector with_log = {COMMON,
    .capabilities = CONNECTOR_ANSWERS | CONNECTOR_LOGS, .log = llm_log_bound,
    .tell_cancel = llm_tell_cancel, .find_alias = llm_find_alias};

static const struct connector *
llm_variant(const void *settings_)
{
    const struct llm_settings *settings = settings_;
    return llm_log_is_set(&settings->log) ? &with_log : &llm_connector;
}

const struct connector llm_connector = {
    COMMON, .capabilities = CONNECTOR_ANSWERS, .variant = llm_variant};
