/* sdk: see sdk.h. Shard thread. */
#include "sdk.h"

#include "connector.h"
#include "filter.h"
#include "generate.h"
#include "generations.h"
#include "json.h"
#include "llm_in.h"
#include "mem.h"
#include "seek.h"
#include "session.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ID_PREFIX "resp_"

/* ---- paths ---- */

/* What is behind the route's path; NULL: path is not beneath it. */
static const char *
behind(const struct config_route *route, const char *path)
{
    size_t len = strlen(route->path);
    len -= route->path[len - 1] == '/';
    return strncmp(path, route->path, len) == 0 && path[len] == '/' ? path + len : NULL;
}

/* responses/ID, with or without /cancel behind. */
static void
find_response(const char *rest, struct sdk_target *target)
{
    size_t len = strcspn(rest, "/");
    target->id = (struct slice){rest, len};
    target->endpoint = len == 0                             ? SDK_NO_ENDPOINT
                       : rest[len] == '\0'                  ? SDK_RESPONSE
                       : strcmp(rest + len, "/cancel") == 0 ? SDK_CANCEL
                                                            : SDK_NO_ENDPOINT;
}

bool
sdk_find(const struct config_route *route, const struct http_request *request, const char *path,
    struct sdk_target *target)
{
    static const char responses[] = "/responses";
    const char *rest = behind(route, path);
    bool anthropic = route->kind == ROUTE_ANTHROPIC;
    *target =
        (struct sdk_target){.route = route, .dialect = anthropic ? SDK_ANTHROPIC : SDK_OPENAI};
    if (rest == NULL) {
        return false;
    }
    /* Both kinds may stand at one place: who asks says which it is. */
    bool versioned = http_header(request, "anthropic-version").at != NULL;
    bool meant = versioned == anthropic || request->method == HTTP_OPTIONS; /* says it only later */
    if (strcmp(rest, anthropic ? "/v1/models" : "/models") == 0 && meant) {
        target->endpoint = SDK_MODELS;
    } else if (strcmp(rest, anthropic ? "/v1/messages" : "/chat/completions") == 0) {
        target->endpoint = SDK_ASK;
    } else if (!anthropic && strncmp(rest, responses, sizeof responses - 1) == 0) {
        const char *id = rest + sizeof responses - 1;
        target->dialect = SDK_RESPONSES;
        if (*id == '\0') {
            target->endpoint = SDK_ASK;
        } else if (*id == '/') {
            find_response(id + 1, target);
        }
    }
    return target->endpoint != SDK_NO_ENDPOINT;
}

/* ---- answers ---- */

static void
reply(struct conn *conn, const struct http_request *request, int status, const char *headers,
    const struct buf *body)
{
    struct buf lines;
    buf_init(&lines);
    buf_adds(&lines, headers);
    BUF_LITERAL(&lines, "Cache-Control: no-store\r\n");
    buf_addc(&lines, '\0');
    conn_reply(conn, request,
        &(struct reply){.status = status,
            .content_type = "application/json",
            .headers = lines.bytes,
            .body = body->bytes,
            .body_len = body->len});
    buf_fini(&lines);
}

void
sdk_refuse(struct conn *conn, const struct http_request *request, enum sdk_dialect dialect,
    int status, const char *headers, const char *text)
{
    struct buf body;
    buf_init(&body);
    sdk_error(dialect, &body, status, text);
    reply(conn, request, status, headers, &body);
    buf_fini(&body);
}

/* ---- reading an answer ---- */

/* What the client gets, and from where on. */
struct reading_options {
    enum sdk_dialect dialect;
    bool whole;
    const char *after; /* the sequence_number that it has; NULL: none */
};

/* Returns the lines of head that an error in its place has too. */
static struct slice
add_head(struct buf *head, const struct server *server, const struct http_request *request,
    const struct subscription *what, const struct framer *framer, const char *cors)
{
    const char *id = generation_id(what->generation);
    buf_addf(head,
        "HTTP/1.1 200 OK\r\nContent-Type: %s\r\nCache-Control: no-cache, no-transform\r\n"
        "X-Accel-Buffering: no\r\n",
        framer->content_type);
    size_t from = head->len;
    buf_addf(head,
        "X-Content-Type-Options: nosniff\r\n"
        "request-id: %s\r\nx-request-id: %s\r\nHeadgate-Stream: /streams/%s/%s\r\n%s",
        id, id, server->config->streams[what->stream].name, id, cors);
    size_t to = head->len;
    buf_adds(head, request->minor == 1 ? "Transfer-Encoding: chunked\r\n" : "");
    BUF_LITERAL(head, "Connection: close\r\n\r\n");
    return (struct slice){head->bytes + from, to - from};
}

static struct filter *
make_filter(const char *after)
{
    struct filter *filter = filter_new();
    if (after != NULL) {
        struct buf where;
        struct err err;
        buf_init(&where);
        buf_addf(&where, "/sequence_number>%s", after);
        (void)filter_add_where(filter, where.bytes, where.len, &err); /* digits: it is good */
        buf_fini(&where);
    }
    filter_seal(filter);
    filter_set_view(filter, RECORD_VIEW_CLIENT);
    return filter;
}

/* conn reads what->generation, which is started. */
static void
read_answer(struct server *server, struct conn *conn, const struct http_request *request,
    const struct subscription *what, const struct reading_options *options, const char *cors)
{
    const struct framer *framer = framer_sdk(options->dialect, options->whole);
    struct params params = {.from = {.kind = PLACE_EARLIEST},
        .follow = true,
        .snapshot = true,
        .heartbeat_ms = server->config->heartbeat_ms,
        .filter = make_filter(options->after)};
    const struct format format = {.framer = framer,
        .envelope = ENVELOPE_DATA,
        .chunked = request->minor == 1,
        .filter = params.filter,
        .coder = shard_coder(conn->shard)};
    struct private_stream *made = private_share(
        shard_privates(conn->shard), what->generation, shard_outlet(conn->shard, what->stream));
    struct feed *feed = outlet_feed(&made->outlet, &format, false);
    if (feed == NULL) {
        sdk_refuse(conn, request, options->dialect, 503, "Retry-After: 5\r\n",
            "starting_after: the limit of different filters is reached");
    } else {
        struct buf head, none;
        buf_init(&head);
        buf_init(&none);
        struct slice shared = add_head(&head, server, request, what, framer, cors);
        struct session *session = session_new_take(conn, feed, &params, &none);
        session_hold_head_take(session, &head, shared, options->whole);
        session_pump(session);
    }
    params_fini(&params);
}

/* ---- asking ---- */

#define PASSED_COUNT 7
static const char *const passed[PASSED_COUNT] = {"anthropic-version", "anthropic-beta", "x-api-key",
    "authorization", "openai-organization", "openai-project", "openai-beta"};

/* What of the request's headers an upstream may be told; rows' values are the caller's to free. */
static size_t
take_headers(const struct http_request *request, struct request_param *rows)
{
    size_t n = 0;
    for (size_t i = 0; i < PASSED_COUNT; i++) {
        struct slice value = http_header(request, passed[i]);
        if (value.at != NULL) {
            rows[n++] = (struct request_param){passed[i], mem_strndup(value.at, value.len)};
        }
    }
    return n;
}

static int
status_of(enum err_code code)
{
    return code == ERR_INVALID ? 400 : code == ERR_MISSING ? 404 : code == ERR_SYSTEM ? 500 : 429;
}

void
sdk_begin(struct server *server, struct conn *conn, const struct http_request *request,
    const struct subscription *what, const char *cors)
{
    struct llm_in in;
    struct err err = {.code = ERR_NONE};
    struct request_param headers[PASSED_COUNT];
    enum sdk_dialect dialect = (enum sdk_dialect)what->sdk_dialect;
    if (llm_in_look(&in, what->body.at, what->body.len, &err) != 0) {
        sdk_refuse(conn, request, dialect, 400, cors, err.text);
        return;
    }
    const struct generation_ask ask = {.body = what->body.at,
        .len = what->body.len,
        .dialect = sdk_dialect_names[dialect],
        .whole = !in.stream,
        .headers = headers,
        .n_headers = take_headers(request, headers)};
    if (generation_start(what->generation, &ask, &err) != 0) {
        sdk_refuse(conn, request, dialect, status_of(err.code), cors, err.text);
    } else {
        read_answer(server, conn, request, what,
            &(struct reading_options){.dialect = dialect, .whole = !in.stream}, cors);
    }
    for (size_t i = 0; i < ask.n_headers; i++) {
        free((void *)(uintptr_t)headers[i].value); /* ours */
    }
}

/* ---- answers that are there ---- */

/* The id as this gateway gives it, without its prefix. */
static size_t
prefix_of(struct slice id)
{
    size_t len = sizeof ID_PREFIX - 1;
    return id.len > len && memcmp(id.at, ID_PREFIX, len) == 0 ? len : 0;
}

/* The value of a parameter, which is passed over where it is of no use here. */
static struct slice
find_param(const struct http_request *request, const char *name)
{
    const char *at = request->query.at;
    const char *end = at + request->query.len;
    size_t len = strlen(name);
    while (at != NULL && at < end) {
        const char *and = memchr(at, '&', (size_t)(end - at));
        const char *stop = and == NULL ? end : and;
        if ((size_t)(stop - at) > len && memcmp(at, name, len) == 0 && at[len] == '=') {
            return (struct slice){at + len + 1, (size_t)(stop - at) - len - 1};
        }
        at = stop + (and != NULL);
    }
    return (struct slice){NULL, 0};
}

static bool
is_number(struct slice text)
{
    bool good = text.len > 0 && text.len < 16;
    for (size_t i = 0; i < text.len; i++) {
        good &= text.at[i] >= '0' && text.at[i] <= '9';
    }
    return good;
}

/* GET responses/ID: an answer in the form that it was asked in. */
static void
resume(struct server *server, struct conn *conn, const struct http_request *request,
    const struct subscription *what, const char *cors)
{
    struct slice streamed = find_param(request, "stream");
    struct slice after = find_param(request, "starting_after");
    bool stream = streamed.at != NULL && slice_eq_nocase(streamed, "true");
    bool whole = generation_is_whole(what->generation);
    if (strcmp(generation_dialect(what->generation), sdk_dialect_names[SDK_RESPONSES]) != 0) {
        sdk_refuse(conn, request, SDK_RESPONSES, 404, cors,
            "this answer was not asked for as a response; see its Headgate-Stream");
    } else if (stream == whole) {
        sdk_refuse(conn, request, SDK_RESPONSES, 400, cors,
            whole ? "stream: this answer was asked for as one object"
                  : "stream: this answer was asked for as a stream, and is read with stream=true");
    } else if (after.at != NULL && (whole || !is_number(after))) {
        sdk_refuse(
            conn, request, SDK_RESPONSES, 400, cors, "starting_after: must be a sequence_number");
    } else {
        char *number = after.at == NULL ? NULL : mem_strndup(after.at, after.len);
        read_answer(server, conn, request, what,
            &(struct reading_options){.dialect = SDK_RESPONSES, .whole = whole, .after = number},
            cors);
        free(number);
    }
}

/* POST responses/ID/cancel: what is told of it is its state. id: as the client calls it. */
static void
cancel(struct conn *conn, const struct http_request *request, struct slice id,
    struct generation *generation, const char *cors)
{
    struct stream_outcome outcome;
    struct buf body;
    stream_outcome(generation_stream(generation), &outcome);
    if (!generation_stop(generation)) {
        sdk_refuse(conn, request, SDK_RESPONSES, 503, "Retry-After: 2\r\n",
            "another gateway makes this response, and does not hear what is said to it now");
        return;
    }
    const char *status =
        !outcome.ended || (outcome.code != NULL && strcmp(outcome.code, STREAM_CANCELLED) == 0)
            ? "cancelled"
        : outcome.code != NULL ? "failed"
                               : "completed";
    buf_init(&body);
    BUF_LITERAL(&body, "{\"id\":");
    json_add_lossy(&body, id.at, id.len);
    buf_addf(&body,
        ",\"object\":\"response\",\"created_at\":%lld,\"status\":\"%s\",\"error\":null,"
        "\"incomplete_details\":null,\"instructions\":null,\"metadata\":{},\"model\":\"\","
        "\"output\":[],\"parallel_tool_calls\":true,\"temperature\":null,\"tool_choice\":\"auto\","
        "\"tools\":[],\"top_p\":null,\"usage\":null}",
        (long long)(shard_wall_ms(conn->shard) / 1000), status);
    reply(conn, request, 200, cors, &body);
    buf_fini(&body);
}

static void
list_models(const struct server *server, struct conn *conn, const struct http_request *request,
    const struct sdk_target *target, size_t stream, const char *cors)
{
    const struct config_stream *config = &server->config->streams[stream];
    const char *name = NULL;
    struct buf body;
    buf_init(&body);
    bool anthropic = target->dialect == SDK_ANTHROPIC;
    buf_adds(&body, anthropic ? "{\"data\":[" : "{\"object\":\"list\",\"data\":[");
    for (size_t i = 0; (name = config->connector->model(config->settings, i)) != NULL; i++) {
        buf_adds(&body, i > 0 ? ",{\"id\":" : "{\"id\":");
        json_add_lossy(&body, name, strlen(name));
        if (anthropic) {
            BUF_LITERAL(&body, ",\"type\":\"model\",\"created_at\":\"1970-01-01T00:00:00Z\","
                               "\"display_name\":");
            json_add_lossy(&body, name, strlen(name));
            buf_addc(&body, '}');
        } else {
            BUF_LITERAL(&body, ",\"object\":\"model\",\"created\":0,\"owned_by\":\"headgate\"}");
        }
    }
    buf_adds(&body, anthropic ? "],\"has_more\":false,\"first_id\":null,\"last_id\":null}" : "]}");
    reply(conn, request, 200, cors, &body);
    buf_fini(&body);
}

/* Of a path .../ID/cancel: what the client calls it. */
static struct slice
called(struct slice path)
{
    size_t end = path.len - (sizeof "/cancel" - 1), at = end;
    while (at > 0 && path.at[at - 1] != '/') {
        at--;
    }
    return (struct slice){path.at + at, end - at};
}

static void
cancel_found(struct server *server, struct conn *conn, const struct http_request *request,
    const struct subscription *what, const char *cors)
{
    (void)server;
    cancel(conn, request, called(request->path), what->generation, cors);
}

static void
serve_response(struct server *server, struct conn *conn, const struct http_request *request,
    const struct sdk_target *target, const struct subscription *what, const char *cors)
{
    bool cancels = target->endpoint == SDK_CANCEL;
    struct subscription found = *what;
    char *text = mem_strndup(target->id.at, target->id.len);
    found.is_sdk = true;
    found.sdk_dialect = SDK_RESPONSES;
    /* As the upstream calls it: here what was made here is known first. */
    found.generation = generations_find_alias(server->generations, what->stream, text);
    if (found.generation == NULL) {
        seek(server, conn, request, &found,
            &(struct seek_options){.id = text + prefix_of(target->id),
                .alias = text,
                .then = cancels ? cancel_found : resume,
                .cors = cors});
    } else if (cancels) {
        cancel(conn, request, target->id, found.generation, cors);
    } else {
        resume(server, conn, request, &found, cors);
    }
    generation_unref(found.generation);
    free(text);
}

void
sdk_serve(struct server *server, struct conn *conn, const struct http_request *request,
    const struct sdk_target *target, const struct subscription *what, bool same_origin,
    const char *cors)
{
    bool posts = target->endpoint == SDK_ASK || target->endpoint == SDK_CANCEL;
    if (request->method != (posts ? HTTP_POST : HTTP_GET)) {
        sdk_refuse(conn, request, target->dialect, 405,
            posts ? "Allow: POST\r\n" : "Allow: GET\r\n", "this method is not served here");
    } else if (target->endpoint == SDK_MODELS) {
        list_models(server, conn, request, target, what->stream, cors);
    } else if (target->endpoint == SDK_ASK) {
        struct subscription asked = *what;
        asked.is_sdk = true;
        asked.sdk_dialect = (int)target->dialect;
        generate(server, conn, request, &asked, same_origin, cors);
    } else if (!same_origin) {
        sdk_refuse(conn, request, target->dialect, 403, "", "this Origin may not ask here");
    } else {
        serve_response(server, conn, request, target, what, cors);
    }
}
