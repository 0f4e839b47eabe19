/* subscribe: from a request to a session: parameters, format, what the stream allows. Shard
 * thread. */
#include "server.h"

#include "feed.h"
#include "mem.h"
#include "params.h"
#include "session.h"
#include "ws.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static bool
is_bounded(const struct params *params)
{
    return params->has_limit || !params->follow || params->to.kind != PLACE_NONE;
}

struct offer {
    enum stream_format format;
    const char *type;
};

/* In the order of preference among equals: what curl gets comes first. */
static const struct offer offers[] = {
    {FORMAT_NDJSON, "application/x-ndjson"},
    {FORMAT_NDJSON, "application/ndjson"},
    {FORMAT_NDJSON, "application/jsonl"},
    {FORMAT_SSE, "text/event-stream"},
    {FORMAT_JSON, "application/json"},
};

/* The offer that Accept likes best; FORMAT_AUTO when it takes none. */
static enum stream_format
negotiate(const struct http_request *request)
{
    enum stream_format best = FORMAT_AUTO;
    int best_rank = 0;
    for (size_t i = 0; i < sizeof offers / sizeof *offers; i++) {
        int specificity = 0;
        int quality = http_accept_quality(request, offers[i].type, &specificity);
        int rank = quality * 4 + specificity;
        if (quality > 0 && rank > best_rank) {
            best = offers[i].format;
            best_rank = rank;
        }
    }
    return best;
}

struct refusal {
    int status;
    char text[600];
    const char *headers;
};

/* Fill in the refusal; always false, so that a check can return it. */
static bool __attribute__((format(printf, 3, 4)))
refuse_with(struct refusal *refusal, int status, const char *format, ...)
{
    va_list args;
    refusal->status = status;
    va_start(args, format);
    vsnprintf(refusal->text, sizeof refusal->text, format, args);
    va_end(args);
    return false;
}

static bool
choose_format(const struct http_request *request, enum stream_format forced,
    const struct params *params, enum stream_format *format, struct refusal *refusal)
{
    bool upgrade = ws_is_upgrade(request);
    *format = forced != FORMAT_AUTO ? forced : params->format;
    if (forced != FORMAT_AUTO && params->format != FORMAT_AUTO && params->format != forced) {
        return refuse_with(refusal, 406, "format: this route serves one format only");
    }
    if (*format == FORMAT_AUTO) {
        *format = upgrade ? FORMAT_WS : negotiate(request);
    }
    if (*format == FORMAT_AUTO) {
        return refuse_with(refusal, 406,
            "Accept: this stream is served as application/x-ndjson, text/event-stream, a WebSocket,"
            " or, when the read has an end, application/json");
    }
    if (*format == FORMAT_WS && !upgrade) {
        refusal->headers = WS_UPGRADE_LINES;
        return refuse_with(refusal, 426, "format=ws needs a WebSocket handshake");
    }
    if (*format == FORMAT_JSON && !is_bounded(params)) {
        return refuse_with(refusal, 406,
            "a JSON array needs an end: give follow=false, limit or to, or accept "
            "application/x-ndjson");
    }
    return true;
}

static bool
check_allowed(
    const struct config_stream *config, const struct params *params, struct refusal *refusal)
{
    if (params->has_slow && (config->slow_allow & (1u << params->slow)) == 0) {
        return refuse_with(refusal, 400,
            "slow: this stream does not allow %s; GET /streams lists what it allows",
            slow_policy_names[params->slow]);
    }
    if (params->queue_records > config->queue_records) {
        return refuse_with(refusal, 400, "queue: at most %llu records on this stream",
            (unsigned long long)config->queue_records);
    }
    return true;
}

static bool
check_end(struct stream *stream, const struct params *params, struct refusal *refusal)
{
    const char *why =
        params->to.kind == PLACE_TOKEN ? stream_refuses_end(stream, &params->to) : NULL;
    return why == NULL || refuse_with(refusal, 400, "to: %s", why);
}

static const struct framer *
framer_for(enum stream_format format)
{
    switch (format) {
    case FORMAT_WS:
        return &framer_ws;
    case FORMAT_SSE:
        return &framer_sse;
    case FORMAT_JSON:
        return &framer_json;
    case FORMAT_NDJSON:
    case FORMAT_AUTO:
        break;
    }
    return &framer_ndjson;
}

static void
refuse(struct conn *conn, const struct http_request *request, const struct refusal *refusal,
    const char *cors)
{
    struct buf headers;
    buf_init(&headers);
    buf_adds(&headers, cors);
    buf_adds(&headers, refusal->headers == NULL ? "" : refusal->headers);
    BUF_LITERAL(&headers, "Cache-Control: no-store\r\n");
    buf_addc(&headers, '\0');
    conn_problem(conn, request, refusal->status, headers.bytes, refusal->text);
    buf_fini(&headers);
}

static void
stream_head(struct buf *head, const struct http_request *request, const struct framer *framer,
    const char *cors)
{
    buf_addf(head, "HTTP/1.1 200 OK\r\nContent-Type: %s\r\n", framer->content_type);
    BUF_LITERAL(head, "Cache-Control: no-cache, no-transform\r\n"
                      "X-Accel-Buffering: no\r\n"
                      "X-Content-Type-Options: nosniff\r\n");
    buf_adds(head, cors);
    if (request->minor == 1) {
        BUF_LITERAL(head, "Transfer-Encoding: chunked\r\n");
    }
    BUF_LITERAL(head, "Connection: close\r\n\r\n");
}

static void
answer_head(struct conn *conn, const struct http_request *request, const struct framer *framer,
    const char *cors)
{
    struct buf head;
    buf_init(&head);
    stream_head(&head, request, framer, cors);
    conn_reply_raw(conn, &head);
    buf_fini(&head);
}

static bool
head_for(struct buf *head, const struct http_request *request, const struct framer *framer,
    const char *cors, struct refusal *refusal)
{
    if (framer != &framer_ws) {
        stream_head(head, request, framer, cors);
        return true;
    }
    const char *reason = NULL;
    int status = ws_handshake(request, cors, head, &reason);
    if (status == 101) {
        return true;
    }
    refusal->headers = status == 426 ? WS_UPGRADE_LINES : status == 405 ? "Allow: GET\r\n" : NULL;
    return refuse_with(refusal, status, "%s", reason);
}

static uint64_t
default_heartbeat(const struct server *server, const struct framer *framer)
{
    bool has = framer->transport == TRANSPORT_WS || framer->transport == TRANSPORT_SSE;
    return has ? server->config->heartbeat_ms : 0;
}

static void
start_session(struct server *server, struct conn *conn, const struct http_request *request,
    size_t stream, enum stream_format chosen, struct params *params, const char *cors)
{
    struct refusal refusal = {.status = 0};
    const struct framer *framer = framer_for(chosen);
    struct buf head;
    buf_init(&head);
    if (!head_for(&head, request, framer, cors, &refusal)) {
        refuse(conn, request, &refusal, cors);
        buf_fini(&head);
        return;
    }
    if (!params->has_heartbeat) {
        params->heartbeat_ms = default_heartbeat(server, framer);
    }
    struct format format = {
        .framer = framer,
        .envelope = params->envelope,
        .chunked = framer->in_http_body && request->minor == 1,
        .filter = params->filter,
    };
    struct feed *feed = outlet_feed(shard_outlet(conn->shard, stream), &format, false);
    if (feed != NULL) {
        session_pump(session_new_take(conn, feed, params, &head));
    } else {
        refusal.headers = "Retry-After: 5\r\n";
        refuse_with(&refusal, 503, "key, where: the limit of different filters is reached");
        refuse(conn, request, &refusal, cors);
    }
    buf_fini(&head);
}

static bool
was_up(struct stream *stream)
{
    struct stream_health health;
    stream_health(stream, &health);
    return health.was_up;
}

void
subscribe(struct server *server, struct conn *conn, const struct http_request *request,
    size_t stream, enum stream_format forced, const char *cors)
{
    struct params params;
    struct err err;
    enum stream_format format;
    struct refusal refusal = {.status = 0};
    if (params_parse(&params, request, shard_wall_ms(conn->shard),
            stream_keys(server->streams[stream]), &err) != 0) {
        refuse_with(&refusal, 400, "%s", err.text);
        refuse(conn, request, &refusal, cors);
    } else if (!choose_format(request, forced, &params, &format, &refusal) ||
               !check_allowed(&server->config->streams[stream], &params, &refusal) ||
               !check_end(server->streams[stream], &params, &refusal)) {
        refuse(conn, request, &refusal, cors);
    } else if (shard_draining(conn->shard)) {
        refusal.headers = "Retry-After: 1\r\n";
        refuse_with(&refusal, 503, "the gateway is going away; come back to another replica");
        refuse(conn, request, &refusal, cors);
    } else if (!params.follow && !was_up(server->streams[stream])) {
        refusal.headers = "Retry-After: 1\r\n";
        refuse_with(
            &refusal, 503, "the stream's source has not answered yet: its end is not known");
        refuse(conn, request, &refusal, cors);
    } else if (request->has_body) {
        refuse_with(&refusal, 400, "a subscription has no request body");
        refuse(conn, request, &refusal, cors);
    } else if (request->method == HTTP_HEAD) {
        answer_head(conn, request, framer_for(format), cors);
    } else {
        start_session(server, conn, request, stream, format, &params, cors);
    }
    params_fini(&params);
}
