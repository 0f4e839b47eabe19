/* subscribe: from a request to a session: parameters, the head of the answer, its feed. Shard
 * thread. */
#include "subscribe_internal.h"

#include "durable.h"
#include "feed.h"
#include "generations.h"
#include "http_encoding.h"
#include "private.h"
#include "session.h"
#include "shard.h"
#include "watch.h"
#include "ws.h"
#include "ws_deflate.h"

/* Of an answer that is told in several ways, the one that is wanted. */
static void
choose_view(struct params *params, const struct subscription *what)
{
    bool several = params->raw || (what->generation != NULL &&
                                      (generation_keeps_raw(what->generation) ||
                                          generation_dialect(what->generation)[0] != '\0'));
    if (!several) {
        return;
    }
    if (params->filter == NULL) {
        params->filter = filter_new();
        filter_seal(params->filter);
    }
    filter_set_view(params->filter, params->raw ? RECORD_VIEW_UPSTREAM : RECORD_VIEW_EVENTS);
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

static struct format
format_of(const struct conn *conn, const struct http_request *request, enum stream_format chosen,
    enum coding coding)
{
    const struct framer *framer = framer_for(chosen);
    return (struct format){
        .framer = framer,
        .chunked = framer->in_http_body && request->minor == 1,
        .coding = coding,
        .coder = shard_coder(conn->shard),
    };
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

/* Where chunks show the end of a body, the connection outlives it. */
static bool
keeps_alive(const struct http_request *request, const struct format *format)
{
    return request->keep_alive && format->chunked;
}

static void
stream_head(struct buf *head, const struct http_request *request, const struct format *format,
    const char *cors)
{
    buf_addf(head, "HTTP/1.1 200 OK\r\nContent-Type: %s\r\n", format->framer->content_type);
    if (format->coding != CODING_IDENTITY) {
        buf_addf(head, "Content-Encoding: %s\r\n", coding_names[format->coding]);
    }
    BUF_LITERAL(head, "Cache-Control: no-cache, no-transform\r\n"
                      "X-Accel-Buffering: no\r\n"
                      "X-Content-Type-Options: nosniff\r\n");
    buf_adds(head, cors);
    if (request->minor == 1) {
        BUF_LITERAL(head, "Transfer-Encoding: chunked\r\n");
    }
    if (!keeps_alive(request, format)) {
        BUF_LITERAL(head, "Connection: close\r\n");
    }
    BUF_LITERAL(head, "\r\n");
}

static void
answer_head(struct conn *conn, const struct http_request *request, const struct format *format,
    const char *cors)
{
    struct buf head;
    buf_init(&head);
    stream_head(&head, request, format, cors);
    conn_reply_raw(conn, &head, keeps_alive(request, format));
    buf_fini(&head);
}

/* The head of a WebSocket's answer; offered, a set of CODING_BITs, may make format's coding
 * CODING_MESSAGE. */
static bool
ws_head(struct buf *head, const struct http_request *request, struct format *format,
    uint32_t offered, const char *cors, struct refusal *refusal)
{
    const char *reason = NULL;
    struct buf lines;
    buf_init(&lines);
    buf_adds(&lines, cors);
    if ((offered & CODING_BIT(CODING_MESSAGE)) != 0 && ws_deflate_accept(request, &lines)) {
        format->coding = CODING_MESSAGE;
    }
    buf_addc(&lines, '\0');
    int status = ws_handshake(request, lines.bytes, head, &reason);
    buf_fini(&lines);
    if (status == 101) {
        return true;
    }
    refusal->headers = status == 426 ? WS_UPGRADE_LINES : status == 405 ? "Allow: GET\r\n" : NULL;
    return subscribe_refuse(refusal, status, "%s", reason);
}

static uint64_t
default_heartbeat(const struct server *server, const struct framer *framer)
{
    bool has = framer->transport == TRANSPORT_WS || framer->transport == TRANSPORT_SSE;
    return has ? server->config->heartbeat_ms : 0;
}

/* Header lines of an answer's own, behind cors: where it is to be found again. */
static void
add_lines(struct buf *lines, const struct server *server, const struct subscription *what,
    const char *cors)
{
    buf_adds(lines, cors);
    if (what->generation != NULL) {
        const char *id = generation_id(what->generation);
        const char *name = subscribe_config(server, what->stream)->name;
        buf_addf(lines, "Headgate-Stream: /streams/%s/%s\r\n", name, id);
        if (!generation_is_started(what->generation)) {
            buf_addf(lines, "Location: /streams/%s/%s\r\n", name, id);
        }
    }
    buf_addc(lines, '\0');
}

/* The head of the answer; false: it has been refused. */
static bool
make_head(struct buf *head, const struct server *server, struct conn *conn,
    const struct http_request *request, const struct subscription *what, struct format *format,
    const char *cors)
{
    struct refusal refusal = {.status = 0};
    uint32_t offered = subscribe_codings(server->config, subscribe_config(server, what->stream));
    struct buf lines;
    buf_init(&lines);
    add_lines(&lines, server, what, cors);
    bool good = true;
    if (format->framer != &framer_ws) {
        stream_head(head, request, format, lines.bytes);
    } else {
        good = ws_head(head, request, format, offered, lines.bytes, &refusal);
    }
    buf_fini(&lines);
    if (!good) {
        refuse(conn, request, &refusal, cors);
    }
    return good;
}

static void
start_session(struct server *server, struct conn *conn, const struct http_request *request,
    const struct subscription *what, struct format *format, struct params *params, const char *cors)
{
    struct refusal refusal = {.status = 0};
    size_t stream = what->stream;
    struct buf head;
    buf_init(&head);
    if (!make_head(&head, server, conn, request, what, format, cors)) {
        buf_fini(&head);
        return;
    }
    if (!params->has_heartbeat) {
        params->heartbeat_ms = default_heartbeat(server, format->framer);
    }
    if (params->filter != NULL && subscribe_config(server, stream)->view == VIEW_TABLE) {
        filter_keep_tombstones(params->filter);
    }
    choose_view(params, what);
    format->filter = params->filter;
    struct outlet *outlet = shard_outlet(conn->shard, stream);
    struct private_stream *made = NULL;
    if (params->consumer[0] != '\0' || subscribe_on_request(subscribe_config(server, stream))) {
        made = subscribe_open(server, conn, what, params, format->framer, &refusal);
        if (made == NULL) {
            refuse(conn, request, &refusal, cors);
            buf_fini(&head);
            return;
        }
        outlet = &made->outlet;
    }
    struct feed *feed =
        outlet_feed(outlet, format, outlet->is_private && outlet->generation == NULL);
    if (feed != NULL) {
        struct session *session = session_new_take(conn, feed, params, &head);
        conn->keep_alive = keeps_alive(request, format);
        if (params->consumer[0] != '\0') {
            durable_enter(server, session, stream, made, params->consumer, params->acks);
        }
        session_pump(session);
    } else {
        refusal.headers = "Retry-After: 5\r\n";
        subscribe_refuse(&refusal, 503, "key, where: the limit of different filters is reached");
        refuse(conn, request, &refusal, cors);
    }
    buf_fini(&head);
}

static int
parse_params(struct params *params, const struct server *server, struct conn *conn,
    const struct http_request *request, const struct subscription *what, struct err *err)
{
    const struct config_stream *config = subscribe_config(server, what->stream);
    const struct params_scope scope = {
        .now_ms = shard_wall_ms(conn->shard),
        .keys = stream_keys(server->streams[what->stream]),
        .own = {what->generation != NULL ? NULL : config->connector->request_param,
            config->settings},
        .from_earliest = what->generation != NULL,
    };
    if (params_parse(params, request, &scope, err) != 0) {
        return -1;
    }
    if (what->file != NULL) {
        return params_add_own(params, WATCH_FILE, what->file, err);
    }
    if (what->route == NULL) {
        return 0;
    }
    if (!params->has_envelope) {
        params->envelope = (enum envelope)what->route->envelope;
    }
    return what->generation != NULL ? 0 : route_params(what->route, what->path, params, err);
}

static bool
probes(const struct http_request *request, enum stream_format chosen)
{
    return request->method == HTTP_HEAD && chosen != FORMAT_WS;
}

/* HEAD: what GET would begin with. */
static void
probe(const struct server *server, struct conn *conn, const struct http_request *request,
    const struct subscription *what, const struct format *format, const char *cors)
{
    struct buf lines;
    buf_init(&lines);
    add_lines(&lines, server, what, cors);
    answer_head(conn, request, format, lines.bytes);
    buf_fini(&lines);
}

void
subscribe(struct server *server, struct conn *conn, const struct http_request *request,
    const struct subscription *what, const char *cors)
{
    size_t stream = what->stream;
    struct params params;
    struct err err;
    enum stream_format chosen;
    enum coding coding;
    struct refusal refusal = {.status = 0};
    if (parse_params(&params, server, conn, request, what, &err) != 0) {
        subscribe_refuse(&refusal, 400, "%s", err.text);
        refuse(conn, request, &refusal, cors);
    } else if (!subscribe_check(server, request, what, &params, &chosen, &coding, &refusal)) {
        refuse(conn, request, &refusal, cors);
    } else if (shard_draining(conn->shard)) {
        refusal.headers = "Retry-After: 1\r\n";
        subscribe_refuse(&refusal, 503, "the gateway is going away; come back to another replica");
        refuse(conn, request, &refusal, cors);
    } else if (!params.follow && !stream_was_up(server->streams[stream])) {
        refusal.headers = "Retry-After: 1\r\n";
        subscribe_refuse(
            &refusal, 503, "the stream's source has not answered yet: its end is not known");
        refuse(conn, request, &refusal, cors);
    } else if (!subscribe_check_table(server->streams[stream], &params, &refusal)) {
        refuse(conn, request, &refusal, cors);
    } else if (request->has_body && what->body.at == NULL) {
        subscribe_refuse(&refusal, 400, "a subscription has no request body");
        refuse(conn, request, &refusal, cors);
    } else if (probes(request, chosen) && !subscribe_probe(server, what, &params, &refusal)) {
        refuse(conn, request, &refusal, cors);
    } else if (probes(request, chosen)) {
        struct format format = format_of(conn, request, chosen, coding);
        probe(server, conn, request, what, &format, cors);
    } else if (!subscribe_check_catchup(
                   server, shard_outlet(conn->shard, stream), &params, &refusal)) {
        refuse(conn, request, &refusal, cors);
    } else {
        struct format format = format_of(conn, request, chosen, coding);
        format.envelope = params.envelope;
        start_session(server, conn, request, what, &format, &params, cors);
    }
    params_fini(&params);
}
