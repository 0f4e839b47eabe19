/* serve: the public listener: which path is what. Subscriptions are made in subscribe.c. Shard
 * thread. */
#include "server.h"

#include "connector.h"
#include "download.h"
#include "generate.h"
#include "json.h"
#include "mem.h"
#include "page.h"
#include "push_serve.h"
#include "sdk.h"
#include "seek.h"
#include "watch.h"
#include "ws.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

static const char allowed_without[] = "GET, HEAD, OPTIONS";
static const char allowed_with_posts[] = "GET, HEAD, OPTIONS, POST";
static const char allowed_of_answer[] = "DELETE, GET, HEAD, OPTIONS";
static const char allowed_of_sdk[] = "GET, OPTIONS, POST";

enum target_kind {
    TARGET_NONE,
    TARGET_LIST,
    TARGET_STREAM,
    TARGET_ANSWER, /* of a model: /streams/NAME/ID */
    TARGET_SDK,
    TARGET_DOWNLOAD,
    TARGET_PAGE
};

struct target {
    enum target_kind kind;
    struct subscription stream;
    const struct page_file *page;
    char *file;     /* owned: of a download that is watched */
    const char *id; /* of an answer */
    struct sdk_target sdk;
};

static bool
find_stream(const struct server *server, const char *name, size_t *index)
{
    for (size_t i = 0; i < server->n_streams; i++) {
        if (strcmp(server->config->streams[i].name, name) == 0) {
            *index = i;
            return true;
        }
    }
    return false;
}

/* NAME/ID, an answer of the stream NAME. */
static bool
find_answer(const struct server *server, const char *path, struct target *target)
{
    const char *slash = strchr(path, '/');
    char *name = slash == NULL ? NULL : mem_strndup(path, (size_t)(slash - path));
    bool found = name != NULL && strchr(slash + 1, '/') == NULL &&
                 find_stream(server, name, &target->stream.stream) &&
                 generate_takes(server, target->stream.stream);
    if (found) {
        target->kind = TARGET_ANSWER;
        target->id = slash + 1;
    }
    free(name);
    return found;
}

/* The download whose progress path is. The caller frees target->file. */
static void
find_watch(const struct server *server, const char *path, struct target *target)
{
    size_t len = watch_path(path);
    char *file = len == 0 ? NULL : mem_strndup(path, len);
    for (size_t i = 0; file != NULL && i < server->config->n_routes; i++) {
        const struct config_route *route = &server->config->routes[i];
        if (route->kind == ROUTE_DOWNLOAD && route_matches(route, file)) {
            target->kind = TARGET_STREAM;
            target->stream.stream = server->n_streams;
            target->stream.file = target->file = file;
            return;
        }
    }
    free(file);
}

static struct target
find_target(const struct server *server, const struct http_request *request, const char *path)
{
    static const char prefix[] = "/streams/";
    struct target target = {.kind = TARGET_NONE, .stream.path = path};
    if (strcmp(path, "/streams") == 0) {
        target.kind = TARGET_LIST;
    } else if (strncmp(path, prefix, sizeof prefix - 1) == 0) {
        if (find_stream(server, path + sizeof prefix - 1, &target.stream.stream)) {
            target.kind = TARGET_STREAM;
        } else {
            (void)find_answer(server, path + sizeof prefix - 1, &target);
        }
    }
    for (size_t i = 0; i < server->config->n_routes && target.kind == TARGET_NONE; i++) {
        const struct config_route *route = &server->config->routes[i];
        if (route->kind == ROUTE_DOWNLOAD && route_matches(route, path)) {
            target.kind = TARGET_DOWNLOAD;
            target.stream.route = route;
        } else if (route->kind == ROUTE_STREAM && route_matches(route, path) &&
                   find_stream(server, route->stream, &target.stream.stream)) {
            target.kind = TARGET_STREAM;
            target.stream.format = route->format;
            target.stream.route = route;
        } else if ((route->kind == ROUTE_OPENAI || route->kind == ROUTE_ANTHROPIC) &&
                   sdk_find(route, request, path, &target.sdk) &&
                   find_stream(server, route->stream, &target.stream.stream)) {
            target.kind = TARGET_SDK;
        }
    }
    if (target.kind == TARGET_NONE) {
        find_watch(server, path, &target);
    }
    for (size_t i = 0; server->serve_page && i < page_files_n && target.kind == TARGET_NONE; i++) {
        if (strcmp(page_files[i].path, path) == 0) {
            target.kind = TARGET_PAGE;
            target.page = &page_files[i];
        }
    }
    return target;
}

bool
origin_headers(const struct config *config, const struct http_request *request, struct buf *out)
{
    struct slice origin = http_header(request, "Origin");
    buf_adds(out, config->cors_origins.n > 0 ? "Vary: Accept, Accept-Encoding, Origin\r\n"
                                             : "Vary: Accept, Accept-Encoding\r\n");
    if (origin.at == NULL) {
        return true;
    }
    bool any = false;
    bool listed = false;
    for (size_t i = 0; i < config->cors_origins.n; i++) {
        any |= strcmp(config->cors_origins.items[i], "*") == 0;
        listed |= slice_eq_nocase(origin, config->cors_origins.items[i]);
    }
    if (listed || any) {
        BUF_LITERAL(out, "Access-Control-Allow-Origin: ");
        if (listed) {
            buf_add(out, origin.at, origin.len);
        } else {
            buf_addc(out, '*');
        }
        BUF_LITERAL(out, "\r\nAccess-Control-Expose-Headers: Accept-Ranges, Content-Disposition, "
                         "Content-Range, ETag, Headgate-Stream, Location, Retry-After, "
                         "x-request-id\r\n");
        return true;
    }
    struct slice host = http_header(request, "Host");
    const char *after = memmem(origin.at, origin.len, "://", 3);
    size_t skip = after == NULL ? 0 : (size_t)(after - origin.at) + 3;
    return host.at != NULL && origin.len - skip == host.len &&
           strncasecmp(origin.at + skip, host.at, host.len) == 0;
}

/* Every request has the stream to itself: it has no ring yet. */
static void
add_request(const struct config_stream *config, struct buf *body)
{
    const struct connector *connector = config->connector;
    const char *name = NULL;
    BUF_LITERAL(body, "\"on_request\":true,\"parameters\":[");
    for (size_t i = 0; connector->request_param != NULL &&
                       (name = connector->request_param(config->settings, i)) != NULL;
         i++) {
        buf_adds(body, i == 0 ? "" : ",");
        json_add_lossy(body, name, strlen(name));
    }
    BUF_LITERAL(body, "]}");
}

static void
add_stream(const struct server *server, size_t i, struct buf *body)
{
    const struct config_stream *config = &server->config->streams[i];
    struct stream_health health;
    struct ring_state ring;
    stream_health(server->streams[i], &health);
    ring_state(stream_ring(server->streams[i]), &ring);
    buf_adds(body, i == 0 ? "" : ",");
    buf_addf(body, "{\"name\":\"%s\",\"path\":\"/streams/%s\",\"source\":\"%s\",\"up\":%s,",
        config->name, config->name, config->connector->name, health.up ? "true" : "false");
    buf_addf(body,
        "\"formats\":[\"ws\",\"sse\",\"ndjson\",\"json\"],\"slow\":{\"policy\":\"%s\",\"allow\":[",
        slow_policy_names[health.on_request ? SLOW_PAUSE : config->slow_policy]);
    const char *comma = "";
    uint32_t allow = health.on_request ? 1u << SLOW_PAUSE : config->slow_allow;
    for (int policy = 0; policy < SLOW_POLICY_COUNT; policy++) {
        if (allow & (1u << policy)) {
            buf_addf(body, "%s\"%s\"", comma, slow_policy_names[policy]);
            comma = ",";
        }
    }
    buf_addf(body, "],\"queue\":{\"records\":%llu,\"bytes\":%llu}},",
        (unsigned long long)config->queue_records, (unsigned long long)config->queue_bytes);
    if (config->consumers_allowed) {
        BUF_LITERAL(body, "\"consumers\":true,");
    }
    if (config->connector->takes_posts != NULL) {
        BUF_LITERAL(body, "\"posts\":true,");
    }
    if (generate_takes(server, i)) {
        BUF_LITERAL(body, "\"answers\":true,");
    }
    if (health.on_request) {
        add_request(config, body);
        return;
    }
    if (config->view == VIEW_TABLE) {
        struct table_state table;
        table_state(stream_table(server->streams[i]), &table);
        buf_addf(body, "\"view\":\"table\",\"table\":{\"loaded\":%s,\"keys\":%llu},",
            stream_table_loaded(server->streams[i]) ? "true" : "false",
            (unsigned long long)table.keys);
    }
    buf_addf(body, "\"ring\":{\"records\":%llu,\"bytes\":%llu}}", (unsigned long long)ring.records,
        (unsigned long long)ring.bytes);
}

static void
list_streams(const struct server *server, struct conn *conn, const struct http_request *request,
    const char *cors)
{
    if (request->query.at != NULL && request->query.len > 0) {
        conn_problem(conn, request, 400, cors, "/streams takes no parameters");
        return;
    }
    struct buf body, headers;
    buf_init(&body);
    buf_init(&headers);
    buf_adds(&headers, cors);
    BUF_LITERAL(&headers, "Cache-Control: no-store\r\n");
    buf_addc(&headers, '\0');
    BUF_LITERAL(&body, "{\"streams\":[");
    for (size_t i = 0; i < server->n_streams; i++) {
        add_stream(server, i, &body);
    }
    BUF_LITERAL(&body, "]}\n");
    conn_reply(conn, request,
        &(struct reply){.status = 200,
            .content_type = "application/json",
            .headers = headers.bytes,
            .body = body.bytes,
            .body_len = body.len});
    buf_fini(&headers);
    buf_fini(&body);
}

static void
send_page(struct conn *conn, const struct http_request *request, const struct page_file *page)
{
    conn_reply(conn, request,
        &(struct reply){.status = 200,
            .content_type = page->type,
            .headers = "Cache-Control: no-cache\r\n"
                       "Content-Security-Policy: " PAGE_CSP "\r\n",
            .body = (const char *)page->bytes,
            .body_len = page->len});
}

/* Which headers a page may send. Those of the SDKs are many and change: there it is those that the
 * preflight asks for, where they are names. */
static struct slice
allowed_headers(const struct http_request *request, const char *allowed)
{
    static const char ours[] = "Accept, Authorization, Cache-Control, Content-Type, If-Match, "
                               "If-Modified-Since, If-None-Match, If-Range, If-Unmodified-Since, "
                               "Last-Event-ID, Range";
    struct slice asked = http_header(request, "access-control-request-headers");
    bool names = allowed == allowed_of_sdk && asked.at != NULL;
    for (size_t i = 0; i < asked.len && names; i++) {
        names = isalnum((unsigned char)asked.at[i]) || strchr("-_, ", asked.at[i]) != NULL;
    }
    return names ? asked : (struct slice){ours, sizeof ours - 1};
}

static void
answer_options(
    struct conn *conn, const struct http_request *request, const char *allowed, const char *cors)
{
    struct slice may = allowed_headers(request, allowed);
    struct buf headers;
    buf_init(&headers);
    buf_adds(&headers, cors);
    buf_addf(&headers, "Allow: %s\r\n", allowed);
    if (strstr(cors, "Access-Control") != NULL) {
        buf_addf(&headers, "Access-Control-Allow-Methods: %s\r\n", allowed);
        buf_addf(&headers, "Access-Control-Allow-Headers: %.*s\r\n", (int)may.len, may.at);
        BUF_LITERAL(&headers, "Access-Control-Max-Age: 600\r\n");
    }
    buf_addc(&headers, '\0');
    conn_reply(conn, request, &(struct reply){.status = 204, .headers = headers.bytes});
    buf_fini(&headers);
}

/* The path, decoded and NUL-terminated; NULL when it cannot be one of ours. The caller frees. */
static char *
decoded_path(const struct http_request *request)
{
    char *path = mem_alloc(request->path.len + 1);
    ptrdiff_t len = http_percent_decode(request->path, path, false);
    if (len < 0) {
        free(path);
        return NULL;
    }
    path[len] = '\0';
    return path;
}

bool
serve_wants_body(const struct http_request *request)
{
    char *path = request->method == HTTP_POST ? decoded_path(request) : NULL;
    bool wants = path != NULL && ack_is_path(path);
    free(path);
    return wants;
}

static void
join_answer(struct server *server, struct conn *conn, const struct http_request *request,
    const struct target *target, const char *cors)
{
    seek(server, conn, request, &target->stream,
        &(struct seek_options){.id = target->id, .then = subscribe, .cors = cors});
}

static void
answer_target(struct server *server, struct conn *conn, const struct http_request *request,
    const struct target *target, const char *cors)
{
    switch (target->kind) {
    case TARGET_NONE:
        conn_problem(conn, request, 404, cors, "no such stream or route; GET /streams lists them");
        break;
    case TARGET_LIST:
        list_streams(server, conn, request, cors);
        break;
    case TARGET_STREAM:
        subscribe(server, conn, request, &target->stream, cors);
        break;
    case TARGET_ANSWER:
        join_answer(server, conn, request, target, cors);
        break;
    case TARGET_SDK:
        break; /* dispatch has served it */
    case TARGET_DOWNLOAD:
        download(server->downloads, conn, request, target->stream.route, target->stream.path, cors);
        break;
    case TARGET_PAGE:
        send_page(conn, request, target->page);
        break;
    }
}

static void
refuse_method(
    struct conn *conn, const struct http_request *request, const char *allowed, const char *cors)
{
    struct buf headers;
    buf_init(&headers);
    buf_addf(&headers, "%sAllow: %s\r\n", cors, allowed);
    buf_addc(&headers, '\0');
    conn_problem(conn, request, 405, headers.bytes,
        allowed == allowed_with_posts  ? "only GET, HEAD, OPTIONS and POST are served here"
        : allowed == allowed_of_answer ? "only GET, HEAD, OPTIONS and DELETE are served here"
                                       : "only GET, HEAD and OPTIONS are served here");
    buf_fini(&headers);
}

/* A method that no path has. */
static bool
is_served_nowhere(enum http_method method)
{
    return method == HTTP_CONNECT || method == HTTP_TRACE || method == HTTP_METHOD_OTHER;
}

static void
dispatch(struct server *server, struct conn *conn, const struct http_request *request,
    const char *path, bool same_origin, const char *cors)
{
    struct target target = find_target(server, request, path);
    bool asks = target.kind == TARGET_STREAM && target.file == NULL &&
                generate_takes(server, target.stream.stream);
    bool posts = target.kind == TARGET_STREAM && push_serve_takes(server, target.stream.stream);
    const char *allowed = posts || asks                  ? allowed_with_posts
                          : target.kind == TARGET_ANSWER ? allowed_of_answer
                          : target.kind == TARGET_SDK    ? allowed_of_sdk
                                                         : allowed_without;
    if (target.kind == TARGET_NONE && !is_served_nowhere(request->method) &&
        strcmp(path, "*") != 0) {
        answer_target(server, conn, request, &target, cors); /* whatever is asked of it */
        return;
    }
    if (target.kind == TARGET_SDK && request->method != HTTP_OPTIONS) {
        sdk_serve(server, conn, request, &target.sdk, &target.stream, same_origin, cors);
        return;
    }
    switch (request->method) {
    case HTTP_GET:
    case HTTP_HEAD:
        answer_target(server, conn, request, &target, cors);
        break;
    case HTTP_OPTIONS:
        answer_options(conn, request, allowed, cors);
        break;
    case HTTP_METHOD_OTHER:
        conn_problem(conn, request, 501, cors, "this method is not known here");
        break;
    case HTTP_POST:
        if (posts) {
            push_serve(server, conn, request, target.stream.stream, same_origin, cors);
        } else if (asks) {
            generate(server, conn, request, &target.stream, same_origin, cors);
        } else {
            refuse_method(conn, request, allowed, cors);
        }
        break;
    case HTTP_DELETE:
        if (target.kind == TARGET_ANSWER) {
            generate_delete(server, conn, request, &target.stream, target.id, same_origin, cors);
            break;
        }
        refuse_method(conn, request, allowed, cors);
        break;
    case HTTP_PUT:
    case HTTP_PATCH:
    case HTTP_CONNECT:
    case HTTP_TRACE:
        refuse_method(conn, request, allowed, cors);
        break;
    }
    free(target.file);
}

void
serve_request(void *self, struct conn *conn, const struct http_request *request)
{
    struct server *server = self;
    struct buf cors;
    buf_init(&cors);
    bool same_origin = origin_headers(server->config, request, &cors);
    buf_addc(&cors, '\0');
    char *path = decoded_path(request);
    if (path == NULL) {
        conn_problem(conn, request, 400, cors.bytes, "the path has a broken percent-escape");
    } else if (!same_origin && ws_is_upgrade(request)) {
        conn_problem(conn, request, 403, NULL,
            "this Origin may not open a WebSocket here; see cors.origins");
    } else if (ack_is_path(path)) {
        serve_ack(server, conn, request, path, same_origin, cors.bytes);
    } else {
        dispatch(server, conn, request, path, same_origin, cors.bytes);
    }
    free(path);
    buf_fini(&cors);
}
