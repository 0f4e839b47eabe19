/* conn: one client connection, carried by libwebsockets as a raw socket. Reads request heads,
 * writes whole answers, and hands streamed ones to a session. Shard thread. */
#include "conn.h"

#include "conn_file.h"
#include "conn_tls.h"
#include "json.h"
#include "mem.h"
#include "session.h"
#include "shard.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <libwebsockets.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define REPLY_WRITE_MS 10000
/* A peer whose TCP has acknowledged nothing for this long is gone, not slow: zero-window probes are
 * at most two minutes apart. */
#define PEER_SILENT_MS 150000

struct conn *
conn_new(struct shard *shard, struct lws *wsi, int fd, bool tls)
{
    struct conn *conn = mem_calloc(1, sizeof *conn);
    conn->shard = shard;
    conn->wsi = wsi;
    conn->fd = fd;
    conn->tls = tls;
    conn->deadline_ms = shard_now_ms(shard) + (int64_t)shard_config(shard)->header_timeout_ms;
    shard_add(shard, conn);
    return conn;
}

void
conn_free(struct conn *conn)
{
    if (conn->session != NULL) {
        session_free(conn->session);
    }
    conn_body_free(conn);
    conn_file_end(conn);
    shard_remove(conn->shard, conn);
    buf_fini(&conn->in);
    buf_fini(&conn->out);
    buf_fini(&conn->sealed);
    free(conn);
}

ssize_t
conn_send(struct conn *conn, const void *bytes, size_t len)
{
    if (conn->dead) {
        return -1;
    }
    if (conn->tls) {
        return conn_tls_send(conn, bytes, len);
    }
    ssize_t n = send(conn->fd, bytes, len, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n >= 0) {
        conn->written_bytes += (uint64_t)n;
        return n;
    }
    if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR) {
        return 0;
    }
    conn_kill(conn);
    return -1;
}

void
conn_want_write(struct conn *conn)
{
    if (!conn->dead) {
        conn->wants_write = true;
        lws_callback_on_writable(conn->wsi);
        shard_owe(conn->shard, conn);
    }
}

void
conn_kill(struct conn *conn)
{
    if (!conn->dead) {
        conn->dead = true;
        shard_owe(conn->shard, conn);
    }
}

bool
conn_peer_is_slow(const struct conn *conn)
{
    int waiting = 0;
    struct tcp_info info;
    socklen_t len = sizeof info;
    memset(&info, 0, sizeof info);
    if (ioctl(conn->fd, SIOCOUTQ, &waiting) != 0 || waiting == 0 ||
        getsockopt(conn->fd, IPPROTO_TCP, TCP_INFO, &info, &len) != 0) {
        return false;
    }
    return info.tcpi_last_ack_recv < PEER_SILENT_MS;
}

static uint64_t
written(const struct conn *conn)
{
    return conn->tls ? conn_tls_written(conn) : conn->written_bytes;
}

bool
conn_written_bytes(const struct conn *conn, uint64_t *bytes)
{
    *bytes = written(conn);
    return conn->sealed.len == 0;
}

uint64_t
conn_acked_bytes(const struct conn *conn)
{
    int waiting = 0;
    if (conn->dead || ioctl(conn->fd, SIOCOUTQ, &waiting) != 0 || waiting < 0) {
        return 0;
    }
    uint64_t bytes = written(conn);
    return bytes - (uint64_t)waiting;
}

static void
shut_down(struct conn *conn)
{
    if (conn->tls && !conn_tls_end(conn)) {
        return; /* conn_writable tries again */
    }
    conn->deadline_ms = shard_now_ms(conn->shard) + CONN_LINGER_MS;
    if (shutdown(conn->fd, SHUT_WR) != 0) {
        conn_kill(conn);
    }
}

void
conn_linger(struct conn *conn)
{
    if (conn->state == CONN_LINGER || conn->dead) {
        return;
    }
    conn->state = CONN_LINGER;
    conn->deadline_ms = shard_now_ms(conn->shard) + REPLY_WRITE_MS;
    buf_fini(&conn->in);
    shut_down(conn);
}

void
conn_stream(struct conn *conn, struct session *session)
{
    assert(conn->state == CONN_HEAD);
    conn_file_end(conn);
    conn->state = CONN_STREAM;
    conn->keep_alive = false;
    conn->deadline_ms = 0;
    conn->session = session;
}

/* ---- whole answers ---- */

/* The answer is written and the connection stays: the next request may come. */
static void
await_request(struct conn *conn)
{
    conn->state = CONN_HEAD;
    conn->deadline_ms =
        shard_now_ms(conn->shard) + (int64_t)shard_config(conn->shard)->idle_timeout_ms;
}

static void
write_reply(struct conn *conn)
{
    size_t left = conn->out.len - conn->out_at;
    ssize_t n = left == 0 ? 0 : conn_send(conn, conn->out.bytes + conn->out_at, left);
    if (n < 0) {
        return;
    }
    conn->out_at += (size_t)n;
    if ((size_t)n < left) {
        conn_want_write(conn);
        return;
    }
    buf_fini(&conn->out);
    conn->out_at = 0;
    if (conn->has_file && !conn_file_write(conn)) {
        return;
    }
    if (!conn->keep_alive || shard_draining(conn->shard)) {
        conn_linger(conn);
        return;
    }
    await_request(conn);
}

void
conn_reply(struct conn *conn, const struct http_request *request, const struct reply *reply)
{
    struct buf *out = &conn->out;
    conn->keep_alive =
        !reply->close && request->keep_alive && (!request->has_body || request->body.at != NULL);
    buf_addf(out, "HTTP/1.1 %d %s\r\n", reply->status, http_reason_phrase(reply->status));
    if (reply->content_type != NULL) {
        buf_addf(out, "Content-Type: %s\r\n", reply->content_type);
    }
    if (reply->status != 204 && reply->status != 304) {
        uint64_t len = reply->has_file ? reply->file.left : reply->body_len;
        buf_addf(out, "Content-Length: %" PRIu64 "\r\n", len);
    }
    BUF_LITERAL(out, "X-Content-Type-Options: nosniff\r\n");
    if (reply->headers != NULL) {
        buf_adds(out, reply->headers);
    }
    if (!conn->keep_alive) {
        BUF_LITERAL(out, "Connection: close\r\n");
    } else if (request->minor == 0) {
        BUF_LITERAL(out, "Connection: keep-alive\r\n");
    }
    BUF_LITERAL(out, "\r\n");
    conn_file_begin(conn, reply);
    if (request->method == HTTP_HEAD) {
        conn_file_end(conn);
    } else {
        buf_add(out, reply->body, reply->body_len);
    }
    conn->state = CONN_REPLY;
    uint64_t patience_ms =
        conn->has_file ? shard_config(conn->shard)->write_timeout_ms : REPLY_WRITE_MS;
    conn->deadline_ms = shard_now_ms(conn->shard) + (int64_t)patience_ms;
    write_reply(conn);
}

void
conn_reply_raw(struct conn *conn, const struct buf *head, bool keep_alive)
{
    conn->keep_alive = keep_alive;
    buf_add(&conn->out, head->bytes, head->len);
    conn->state = CONN_REPLY;
    conn->deadline_ms = shard_now_ms(conn->shard) + REPLY_WRITE_MS;
    write_reply(conn);
}

void
conn_problem(struct conn *conn, const struct http_request *request, int status, const char *headers,
    const char *detail)
{
    struct buf body;
    buf_init(&body);
    BUF_LITERAL(&body, "{\"type\":\"about:blank\",\"title\":");
    const char *title = http_reason_phrase(status);
    json_add_string(&body, title, strlen(title));
    buf_addf(&body, ",\"status\":%d,\"detail\":", status);
    json_add_bytes(&body, detail, strlen(detail));
    BUF_LITERAL(&body, "}\n");
    struct reply reply = {
        .status = status,
        .content_type = "application/problem+json",
        .headers = headers,
        .body = body.bytes,
        .body_len = body.len,
    };
    conn_reply(conn, request, &reply);
    buf_fini(&body);
}

/* ---- requests ---- */

static void
refuse_head(struct conn *conn, int status, const char *reason)
{
    struct http_request request = {.method = HTTP_GET, .minor = 1, .keep_alive = false};
    conn_problem(conn, &request, status, "Cache-Control: no-store\r\n", reason);
}

static bool
reads_body(const struct conn *conn, const struct http_request *request)
{
    return request->has_body && !request->chunked && request->content_length <= HTTP_BODY_MAX &&
           shard_wants_body(conn->shard, request);
}

/* Parse one request from bytes; returns how many bytes it took, 0 when more are needed. */
static size_t
take_request(struct conn *conn, const char *bytes, size_t len)
{
    struct http_request request;
    int status;
    const char *reason;
    switch (http_parse(&request, bytes, len, &status, &reason)) {
    case HTTP_PARSE_MORE:
        return 0;
    case HTTP_PARSE_BAD:
        refuse_head(conn, status, reason);
        return len;
    case HTTP_PARSE_DONE:
        break;
    }
    request.body = (struct slice){NULL, 0};
    size_t taken = request.head_len;
    if (reads_body(conn, &request)) {
        if (len - taken < request.content_length) {
            return 0;
        }
        request.body = (struct slice){bytes + taken, (size_t)request.content_length};
        taken += (size_t)request.content_length;
    }
    shard_request(conn->shard, conn, &request);
    return conn->state == CONN_LINGER ? len : taken;
}

/* What comes while the answer is streamed is the next request: it waits for the answer's end. */
static bool
holds_next_request(const struct conn *conn)
{
    return conn->keep_alive && session_may_complete(conn->session);
}

/* The streamed answer is whole and written: the connection is free again. */
static void
leave_stream(struct conn *conn)
{
    if (conn->dead) {
        return;
    }
    if (shard_draining(conn->shard)) {
        conn_linger(conn);
        return;
    }
    struct session *session = conn->session;
    conn->session = NULL;
    session_free(session);
    await_request(conn);
    conn_serve(conn);
}

void
conn_serve(struct conn *conn)
{
    while (!conn->dead) {
        if (conn->state == CONN_BODY && conn_body_serve(conn)) {
            continue;
        }
        if (conn->state != CONN_HEAD || conn->in.len == 0) {
            break;
        }
        size_t taken = take_request(conn, conn->in.bytes, conn->in.len);
        if (taken == 0) {
            int64_t by =
                shard_now_ms(conn->shard) + (int64_t)shard_config(conn->shard)->header_timeout_ms;
            if (conn->deadline_ms > by) { /* a head has begun: later bytes do not reset its clock */
                conn->deadline_ms = by;
            }
            return;
        }
        if (conn->in.len != 0) { /* conn_linger empties it */
            buf_consume(&conn->in, taken);
        }
        if (conn->state == CONN_STREAM && conn->in.len > 0 && !holds_next_request(conn)) {
            struct buf rest = conn->in;
            buf_init(&conn->in);
            if (session_received(conn->session, rest.bytes, rest.len) != 0) {
                conn_kill(conn);
            }
            buf_fini(&rest);
        }
    }
    if (conn->in.len == 0) {
        buf_fini(&conn->in); /* an idle connection holds no buffer */
    }
}

/* Bytes for us to parse, now or once the answer before is written. False: too many. */
static bool
add_input(struct conn *conn, const char *bytes, size_t len)
{
    if (conn->in.len + len > 2 * HTTP_HEAD_MAX) {
        return false; /* pipelines far ahead of our answers */
    }
    buf_add(&conn->in, bytes, len);
    return true;
}

int
conn_received(struct conn *conn, const char *bytes, size_t len)
{
    switch (conn->state) {
    case CONN_HEAD:
    case CONN_REPLY:
        if (!add_input(conn, bytes, len)) {
            return -1;
        }
        conn_serve(conn);
        break;
    case CONN_BODY:
        if (!add_input(conn, bytes, len)) {
            return -1;
        }
        conn_body_received(conn);
        conn_serve(conn);
        break;
    case CONN_STREAM:
        if (holds_next_request(conn) ? !add_input(conn, bytes, len)
                                     : session_received(conn->session, bytes, len) != 0) {
            return -1;
        }
        break;
    case CONN_LINGER:
        break;
    }
    return conn->dead ? -1 : 0;
}

int
conn_writable(struct conn *conn)
{
    if (conn->tls && !conn_tls_flush(conn)) {
        return conn->dead ? -1 : 0;
    }
    switch (conn->state) {
    case CONN_REPLY:
        write_reply(conn);
        conn_serve(conn);
        break;
    case CONN_STREAM:
        session_pump(conn->session);
        if (conn->session->over) {
            leave_stream(conn);
        }
        break;
    case CONN_LINGER:
        if (conn->tls) {
            shut_down(conn);
        }
        break;
    case CONN_HEAD:
    case CONN_BODY:
        break;
    }
    return conn->dead ? -1 : 0;
}

void
conn_tick(struct conn *conn, int64_t now_ms)
{
    if (conn->dead) {
        return;
    }
    conn_file_tick(conn, now_ms);
    if (conn->state == CONN_BODY) {
        conn_body_tick(conn, now_ms);
    } else if (conn->deadline_ms != 0 && now_ms >= conn->deadline_ms) {
        if (conn->state == CONN_HEAD && conn->in.len > 0) {
            refuse_head(conn, 408, "the request head did not arrive in time");
        } else {
            conn_kill(conn);
        }
    } else if (conn->state == CONN_STREAM) {
        session_tick(conn->session, now_ms);
    }
}
