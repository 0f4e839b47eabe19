/* conn_body: a request's body, passed on as it arrives. While its sink has no room the socket is
 * not read, so that TCP holds the client back. Shard thread. */
#include "conn.h"

#include "http_body.h"
#include "mem.h"
#include "shard.h"

#include <assert.h>
#include <libwebsockets.h>
#include <stdlib.h>
#include <string.h>

struct conn_body {
    struct http_body decoder;
    const struct conn_sink *sink;
    void *self;
    int minor;
    bool keep_alive; /* the request allows it */
    bool whole;
    bool blocked; /* the sink has no room: the socket is not read */
};

static void
set_deadline(struct conn *conn)
{
    const struct conn_body *body = conn->body;
    uint64_t patience_ms = shard_config(conn->shard)->body_timeout_ms;
    conn->deadline_ms =
        body->whole || body->blocked ? 0 : shard_now_ms(conn->shard) + (int64_t)patience_ms;
}

bool
conn_body_blocked(const struct conn *conn)
{
    return conn->body != NULL && conn->body->blocked;
}

static void
set_blocked(struct conn *conn, bool blocked)
{
    if (conn->body->blocked != blocked) {
        conn->body->blocked = blocked;
        lws_rx_flow_control(conn->wsi, !blocked);
        shard_owe_service(conn->shard); /* which may keep what it has read */
        shard_owe(conn->shard, conn);   /* what came meanwhile is no news any more */
    }
    set_deadline(conn);
}

/* RFC 9110 section 10.1.1: who waits for it may send the body now. */
static void
send_continue(struct conn *conn, const struct http_request *request)
{
    static const char text[] = "HTTP/1.1 100 Continue\r\n\r\n";
    if (request->minor == 1 && request->has_body && conn->in.len <= request->head_len &&
        http_header_has_token(request, "Expect", "100-continue") &&
        conn_send(conn, text, sizeof text - 1) != sizeof text - 1) {
        conn_kill(conn); /* a socket that takes nothing before its first answer */
    }
}

void
conn_take_body(
    struct conn *conn, const struct http_request *request, const struct conn_sink *sink, void *self)
{
    struct conn_body *body = mem_calloc(1, sizeof *body);
    http_body_init(&body->decoder, request);
    body->sink = sink;
    body->self = self;
    body->minor = request->minor;
    body->keep_alive = request->keep_alive;
    conn->body = body;
    conn->state = CONN_BODY;
    set_deadline(conn);
    send_continue(conn, request);
}

/* Nothing more is read, whether the sink answers at once or not. */
static void
tell_fault(struct conn *conn, int status, const char *text)
{
    set_blocked(conn, true);
    conn->body->sink->fault(conn->body->self, status, text);
}

/* How many bytes of conn->in were taken; the rest waits, or belongs to what comes next. */
static size_t
pass_on(struct conn *conn)
{
    struct conn_body *body = conn->body;
    const char *from = conn->in.len == 0 ? "" : conn->in.bytes;
    const char *at = from, *end = from + conn->in.len;
    struct slice data;
    for (;;) {
        switch (http_body_next(&body->decoder, &at, end, &data)) {
        case HTTP_BODY_MORE:
            return (size_t)(at - from);
        case HTTP_BODY_END:
            body->whole = true;
            return (size_t)(at - from);
        case HTTP_BODY_BAD:
            tell_fault(conn, 400, "the body is framed wrongly");
            return 0;
        case HTTP_BODY_DATA:
            break;
        }
        size_t taken = body->sink->take(body->self, data.at, data.len);
        if (conn->state != CONN_BODY) {
            return 0; /* it has answered: nothing more is read */
        }
        if (taken < data.len) {
            http_body_unread(&body->decoder, data.len - taken);
            set_blocked(conn, true);
            return (size_t)(data.at - from) + taken;
        }
    }
}

bool
conn_body_serve(struct conn *conn)
{
    struct conn_body *body = conn->body;
    if (body->whole || body->blocked) {
        return false;
    }
    size_t taken = pass_on(conn);
    if (conn->state != CONN_BODY) {
        return true;
    }
    if (taken > 0) {
        buf_consume(&conn->in, taken);
    }
    if (!body->whole) {
        return false;
    }
    set_deadline(conn);
    body->sink->end(body->self);
    return conn->state != CONN_BODY;
}

void
conn_body_received(struct conn *conn)
{
    set_deadline(conn);
}

void
conn_body_reply(struct conn *conn, const struct reply *reply)
{
    struct http_request request = {
        .method = HTTP_POST, .minor = conn->body->minor, .keep_alive = conn->body->keep_alive};
    struct reply whole = *reply;
    whole.close |= !conn->body->whole;
    conn_body_release(conn);
    conn_reply(conn, &request, &whole);
}

void
conn_body_release(struct conn *conn)
{
    set_blocked(conn, false);
    free(conn->body);
    conn->body = NULL;
    conn->state = CONN_HEAD;
}

void
conn_body_keep(const struct conn *conn, const struct http_request *request, struct buf *head)
{
    size_t before = (size_t)(request->method_name.at - conn->in.bytes); /* an empty line */
    buf_add(head, request->method_name.at, request->head_len - before);
}

void
conn_body_again(struct conn *conn, const struct buf *head, struct http_request *request)
{
    int status;
    const char *reason;
    enum http_parse parsed = http_parse(request, head->bytes, head->len, &status, &reason);
    assert(parsed == HTTP_PARSE_DONE); /* it was before */
    (void)parsed;
    request->body = (struct slice){NULL, 0};
    conn_body_release(conn);
}

void
conn_body_go_on(struct conn *conn)
{
    if (conn->state == CONN_BODY) {
        set_blocked(conn, false);
    }
    conn_serve(conn);
}

void
conn_body_free(struct conn *conn)
{
    if (conn->body != NULL) {
        conn->body->sink->gone(conn->body->self);
        free(conn->body);
        conn->body = NULL;
    }
}

void
conn_body_tick(struct conn *conn, int64_t now_ms)
{
    struct conn_body *body = conn->body;
    if (conn->deadline_ms != 0 && now_ms >= conn->deadline_ms) {
        tell_fault(conn, 408, "the body stopped coming");
    } else {
        body->sink->tick(body->self, now_ms);
    }
    if (conn->state != CONN_BODY) {
        conn_serve(conn);
    }
}
