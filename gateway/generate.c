/* generate: see generate.h. An asking is what this shard knows of such a POST while its body
 * arrives: it has its place among the generations from the head on, so no more bodies are held than
 * there may be answers. Shard thread. */
#include "generate.h"

#include "connector.h"
#include "generations.h"
#include "mem.h"
#include "push_request.h"
#include "sdk.h"
#include "seek.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

struct asking {
    struct server *server;
    struct conn *conn;
    struct generation *generation;
    struct subscription what;
    struct buf head; /* of the request, as it came */
    struct buf body;
    size_t most_bytes;
    char *path, *cors;
};

bool
generate_takes(const struct server *server, size_t stream)
{
    const struct connector *connector = stream_config(server->streams[stream])->connector;
    return (connector->capabilities & CONNECTOR_ANSWERS) != 0;
}

static void
asking_free(void *self)
{
    struct asking *asking = self;
    generation_unref(asking->generation);
    buf_fini(&asking->head);
    buf_fini(&asking->body);
    free(asking->path);
    free(asking->cors);
    free(asking);
}

void
generate_refuse(struct conn *conn, const struct http_request *request,
    const struct subscription *what, int status, const char *cors, const char *text)
{
    struct buf headers;
    buf_init(&headers);
    buf_adds(&headers, cors);
    buf_adds(&headers, status == 429 || status == 503 ? "Retry-After: 2\r\n" : "");
    buf_adds(&headers, what->is_sdk ? "" : "Cache-Control: no-store\r\n");
    buf_addc(&headers, '\0');
    if (what->is_sdk) {
        sdk_refuse(conn, request, (enum sdk_dialect)what->sdk_dialect, status, headers.bytes, text);
    } else {
        conn_problem(conn, request, status, headers.bytes, text);
    }
    buf_fini(&headers);
}

/* ---- the body ---- */

static size_t
take(void *self, const char *bytes, size_t len)
{
    struct asking *asking = self;
    if (len <= asking->most_bytes - asking->body.len) {
        buf_add(&asking->body, bytes, len);
        return len;
    }
    struct http_request request;
    char text[96];
    snprintf(text, sizeof text, "the body is larger than %zu bytes", asking->most_bytes);
    conn_body_again(asking->conn, &asking->head, &request);
    generate_refuse(asking->conn, &request, &asking->what, 413, asking->cors, text);
    asking_free(asking);
    return len;
}

static void
end(void *self)
{
    struct asking *asking = self;
    struct http_request request;
    conn_body_again(asking->conn, &asking->head, &request);
    request.body =
        (struct slice){asking->body.len == 0 ? "" : asking->body.bytes, asking->body.len};
    asking->what.body = request.body;
    (asking->what.is_sdk ? sdk_begin : subscribe)(
        asking->server, asking->conn, &request, &asking->what, asking->cors);
    asking_free(asking);
}

static void
fault(void *self, int status, const char *text)
{
    struct asking *asking = self;
    struct http_request request;
    conn_body_again(asking->conn, &asking->head, &request);
    generate_refuse(asking->conn, &request, &asking->what, status, asking->cors, text);
    asking_free(asking);
}

static void
tick(void *self, int64_t at_ms)
{
    (void)self;
    (void)at_ms;
}

static const struct conn_sink sink = {take, end, fault, tick, asking_free};

/* ---- the request ---- */

/* Whose places it takes: what the client's address says. */
static void
name_caller(const struct conn *conn, char name[GENERATION_CALLER_MAX + 1])
{
    struct sockaddr_storage address = {0};
    socklen_t len = sizeof address;
    name[0] = '\0';
    if (getpeername(conn->fd, (struct sockaddr *)&address, &len) != 0) {
        return;
    }
    if (address.ss_family == AF_INET) {
        struct sockaddr_in in;
        memcpy(&in, &address, sizeof in);
        (void)inet_ntop(AF_INET, &in.sin_addr, name, GENERATION_CALLER_MAX);
    } else if (address.ss_family == AF_INET6) {
        struct sockaddr_in6 in6;
        memcpy(&in6, &address, sizeof in6);
        (void)inet_ntop(AF_INET6, &in6.sin6_addr, name, GENERATION_CALLER_MAX);
    }
}

/* 0, or the status of the refusal. */
static int
check_head(const struct conn *conn, const struct http_request *request, bool same_origin,
    uint64_t most_bytes, struct err *err)
{
    enum push_syntax syntax;
    struct slice type = http_header(request, "Content-Type");
    struct slice coding = http_header(request, "Content-Encoding");
    if (!same_origin) {
        err_set(err, ERR_INVALID, "this Origin may not ask here; see cors.origins");
        return 403;
    }
    if (shard_draining(conn->shard)) {
        err_set(err, ERR_LIMIT, "the gateway is going away; go to another replica");
        return 503;
    }
    if (coding.len > 0 && !slice_eq_nocase(coding, "identity")) {
        err_set(err, ERR_INVALID, "Content-Encoding: the body is taken as it is, not compressed");
        return 415;
    }
    if (type.len > 0 && (push_request_syntax(type, &syntax, err) != 0 || syntax != PUSH_JSON)) {
        err_set(err, ERR_INVALID, "Content-Type: must be application/json, or absent");
        return 415;
    }
    if (!request->chunked && request->content_length > most_bytes) {
        err_set(err, ERR_INVALID, "the body is larger than %" PRIu64 " bytes", most_bytes);
        return 413;
    }
    return 0;
}

static void
begin(struct server *server, struct conn *conn, const struct http_request *request,
    const struct subscription *what, struct generation *generation, const char *cors)
{
    const struct config_stream *config = stream_config(server->streams[what->stream]);
    struct asking *asking = mem_calloc(1, sizeof *asking);
    asking->server = server;
    asking->conn = conn;
    asking->generation = generation;
    asking->most_bytes = (size_t)config->connector->request_body_bytes(config->settings);
    asking->path = mem_strdup(what->path);
    asking->cors = mem_strdup(cors);
    asking->what = *what;
    asking->what.path = asking->path;
    asking->what.generation = generation;
    buf_init(&asking->body);
    buf_init(&asking->head);
    conn_body_keep(conn, request, &asking->head);
    conn_take_body(conn, request, &sink, asking);
}

void
generate(struct server *server, struct conn *conn, const struct http_request *request,
    const struct subscription *what, bool same_origin, const char *cors)
{
    const struct config_stream *config = stream_config(server->streams[what->stream]);
    struct err err = {.code = ERR_NONE};
    char caller[GENERATION_CALLER_MAX + 1];
    int status = check_head(
        conn, request, same_origin, config->connector->request_body_bytes(config->settings), &err);
    struct generation *generation = NULL;
    if (status == 0) {
        name_caller(conn, caller);
        generation = generations_reserve(server->generations, what->stream, caller, &err);
        status = generation == NULL ? 429 : 0;
    }
    if (status != 0) {
        generate_refuse(conn, request, what, status, same_origin ? cors : "", err.text);
        return;
    }
    begin(server, conn, request, what, generation, cors);
}

/* ---- one that is there ---- */

static void
cancel_found(struct server *server, struct conn *conn, const struct http_request *request,
    const struct subscription *what, const char *cors)
{
    (void)server;
    if (generation_stop(what->generation)) {
        conn_reply(conn, request, &(struct reply){.status = 204, .headers = cors});
    } else {
        generate_refuse(conn, request, what, 503, cors,
            "another gateway makes this answer, and does not hear what is said to it now; try "
            "again, or there");
    }
}

void
generate_delete(struct server *server, struct conn *conn, const struct http_request *request,
    const struct subscription *what, const char *id, bool same_origin, const char *cors)
{
    if (!same_origin) {
        generate_refuse(
            conn, request, what, 403, "", "this Origin may not cancel here; see cors.origins");
        return;
    }
    seek(server, conn, request, what,
        &(struct seek_options){.id = id, .then = cancel_found, .cors = cors});
}
