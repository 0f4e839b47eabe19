/* serve_ack: POST /streams/NAME/consumers/CONSUMER/ack with {"id":TOKEN}: the cumulative ack of a
 * durable consumer whose transport goes one way. Shard thread; any shard's, not the stream's. */
#include "server.h"

#include "mem.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#define ALLOWED "POST, OPTIONS"

/* /streams/NAME/consumers/CONSUMER/ack, decoded. */
struct ack_path {
    struct slice stream, consumer;
};

static bool
split(const char *path, struct ack_path *parts)
{
    static const char before[] = "/streams/", between[] = "/consumers/", after[] = "/ack";
    if (strncmp(path, before, sizeof before - 1) != 0) {
        return false;
    }
    const char *stream = path + sizeof before - 1;
    const char *middle = strstr(stream, between);
    if (middle == NULL) {
        return false;
    }
    const char *consumer = middle + sizeof between - 1;
    size_t rest = strlen(consumer);
    if (rest <= sizeof after - 1 || strcmp(consumer + rest - (sizeof after - 1), after) != 0) {
        return false;
    }
    parts->stream = (struct slice){stream, (size_t)(middle - stream)};
    parts->consumer = (struct slice){consumer, rest - (sizeof after - 1)};
    return true;
}

bool
ack_is_path(const char *path)
{
    struct ack_path parts;
    return split(path, &parts);
}

char *
ack_parse(struct slice body, struct err *err)
{
    json_error_t error;
    json_t *root = json_loadb(body.at, body.len, JSON_REJECT_DUPLICATES, &error);
    const char *id = json_string_value(json_object_get(root, "id"));
    char *copy = NULL;
    struct token token = {.lanes = NULL};
    if (id == NULL || json_object_size(root) != 1) {
        err_set(
            err, ERR_INVALID, "the body must be a JSON object with \"id\" alone, a record's id");
    } else if (token_decode(id, strlen(id), NULL, &token, err) == 0) {
        copy = mem_strdup(id);
    }
    free(token.lanes);
    json_decref(root);
    return copy;
}

/* The stream's index; n_streams when there is none that has durable consumers. */
static size_t
find(const struct server *server, struct slice name)
{
    size_t i = 0;
    while (i < server->n_streams && (!slice_eq(name, server->config->streams[i].name) ||
                                        !server->config->streams[i].consumers_allowed)) {
        i++;
    }
    return i;
}

static void
take_ack(struct server *server, struct conn *conn, const struct http_request *request,
    const struct ack_path *parts, const char *cors)
{
    struct err err;
    size_t stream = find(server, parts->stream);
    char *id = ack_parse(request->body, &err);
    if (stream == server->n_streams) {
        conn_problem(conn, request, 404, cors, "there is no such stream with durable consumers");
    } else if (id == NULL) {
        conn_problem(conn, request, 400, cors, err.text);
    } else {
        char *name = mem_strndup(parts->consumer.at, parts->consumer.len);
        switch (consumers_ack(
            server->consumers, stream, name, id, strlen(id), shard_now_ms(conn->shard))) {
        case CONSUMER_ACK_DONE:
        case CONSUMER_ACK_BEFORE:
            conn_reply(conn, request, &(struct reply){.status = 204, .headers = cors});
            break;
        case CONSUMER_ACK_FOREIGN:
            conn_problem(conn, request, 409, cors,
                "id: no record with it is in flight on this gateway: it was not sent here, or "
                "goes to another connection now");
            break;
        case CONSUMER_ACK_ABSENT:
            conn_problem(conn, request, 404, cors,
                "no connection of this consumer that takes acks is on this gateway: send the ack "
                "to the gateway that the record came from");
            break;
        }
        free(name);
    }
    free(id);
}

static void
answer_options(struct conn *conn, const struct http_request *request, const char *cors)
{
    struct buf headers;
    buf_init(&headers);
    buf_adds(&headers, cors);
    BUF_LITERAL(&headers, "Allow: " ALLOWED "\r\n");
    if (strstr(cors, "Access-Control") != NULL) {
        BUF_LITERAL(&headers, "Access-Control-Allow-Methods: " ALLOWED "\r\n"
                              "Access-Control-Allow-Headers: Authorization, Content-Type\r\n"
                              "Access-Control-Max-Age: 600\r\n");
    }
    buf_addc(&headers, '\0');
    conn_reply(conn, request, &(struct reply){.status = 204, .headers = headers.bytes});
    buf_fini(&headers);
}

void
serve_ack(struct server *server, struct conn *conn, const struct http_request *request,
    const char *path, bool same_origin, const char *cors)
{
    struct ack_path parts;
    if (request->method == HTTP_OPTIONS) {
        answer_options(conn, request, cors);
    } else if (request->method != HTTP_POST) {
        conn_problem(conn, request, 405, "Allow: " ALLOWED "\r\n", "acks are sent with POST");
    } else if (!same_origin) {
        conn_problem(
            conn, request, 403, NULL, "this Origin may not send acks here; see cors.origins");
    } else if (request->chunked) {
        conn_problem(conn, request, 411, cors, "an ack needs a Content-Length");
    } else if (request->content_length > HTTP_BODY_MAX) {
        conn_problem(conn, request, 413, cors, "an ack is at most 8 KiB");
    } else if (split(path, &parts)) {
        take_ack(server, conn, request, &parts, cors);
    }
}
