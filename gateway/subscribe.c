/* subscribe: from a request to a session: parameters, format, what the stream allows. Shard
 * thread. */
#include "server.h"

#include "catchup.h"
#include "connector.h"
#include "durable.h"
#include "feed.h"
#include "generations.h"
#include "http_encoding.h"
#include "mem.h"
#include "params.h"
#include "session.h"
#include "watch.h"
#include "ws.h"
#include "ws_deflate.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Of such a stream's ring; the source waits for what is not sent. */
#define REQUEST_RING_RECORDS 4096
#define REQUEST_RING_BYTES (UINT64_C(1) << 20)

void
request_config(struct config_stream *config, const struct config_stream *of)
{
    private_config(config, of, REQUEST_RING_RECORDS, REQUEST_RING_BYTES);
}

static bool
is_on_request(const struct config_stream *config)
{
    return connector_on_request(config->connector, config->settings);
}

/* The configuration of a stream by its index; of those who watch downloads, too. */
static const struct config_stream *
config_of(const struct server *server, size_t stream)
{
    return stream_config(server->streams[stream]);
}

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

/* The offer that Accept likes best; FORMAT_AUTO when it takes none. An array that would have no end
 * is behind all others: a client's default may name JSON first, and take anything. */
static enum stream_format
negotiate(const struct http_request *request, bool has_end)
{
    enum stream_format best = FORMAT_AUTO;
    int best_rank = 0;
    for (size_t i = 0; i < sizeof offers / sizeof *offers; i++) {
        int specificity = 0;
        int quality = http_accept_quality(request, offers[i].type, &specificity);
        int rank = offers[i].format == FORMAT_JSON && !has_end ? 1 : quality * 4 + specificity;
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
    const struct config_stream *config, const struct params *params, enum stream_format *format,
    struct refusal *refusal)
{
    bool upgrade = ws_is_upgrade(request);
    bool has_end = is_bounded(params) || is_on_request(config);
    *format = forced != FORMAT_AUTO ? forced : params->format;
    if (forced != FORMAT_AUTO && params->format != FORMAT_AUTO && params->format != forced) {
        return refuse_with(refusal, 406, "format: this route serves one format only");
    }
    if (*format == FORMAT_AUTO) {
        *format = upgrade ? FORMAT_WS : negotiate(request, has_end);
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
    if (*format == FORMAT_JSON && !has_end) {
        return refuse_with(refusal, 406,
            "a JSON array needs an end: give follow=false, limit or to, or accept "
            "application/x-ndjson");
    }
    return true;
}

/* Of a stream that is made for the request alone: it has one reader, and waits for it. */
static bool
check_own(const struct params *params, struct refusal *refusal)
{
    return ((!params->has_slow || params->slow == SLOW_PAUSE) && params->queue_records == 0) ||
           refuse_with(refusal, 400,
               "slow, queue: this stream is made for the request alone and waits for it");
}

static bool
check_allowed(const struct config_stream *config, const struct subscription *what,
    const struct params *params, struct refusal *refusal)
{
    if (params->consumer[0] != '\0' && !config->consumers_allowed) {
        return refuse_with(refusal, 400,
            "consumer: this stream has no durable consumers; GET /streams says which have");
    }
    if (is_on_request(config) && params->to.kind != PLACE_NONE) {
        return refuse_with(refusal, 400, "to: this stream ends by itself, or after a limit");
    }
    if (is_on_request(config) && what->generation == NULL) {
        return check_own(params, refusal);
    }
    if (what->generation != NULL && !params->follow) {
        return refuse_with(refusal, 400, "follow: an answer is read to its end, or up to a limit");
    }
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

/* What came from upstream is kept only of an answer of which that was asked. */
static bool
check_raw(const struct config_stream *config, const struct subscription *what,
    const struct params *params, struct refusal *refusal)
{
    if (params->raw && (config->connector->capabilities & CONNECTOR_ANSWERS) == 0) {
        return refuse_with(refusal, 400, "envelope: raw is for streams of models");
    }
    if (params->raw && what->generation != NULL && generation_is_started(what->generation) &&
        !generation_keeps_raw(what->generation)) {
        return refuse_with(refusal, 400,
            "envelope: raw is kept only of answers that were asked for with envelope=raw");
    }
    return true;
}

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

/* Who acks needs ids. */
static bool
check_ids(const struct params *params, enum stream_format format, struct refusal *refusal)
{
    if (params->acks && params->envelope == ENVELOPE_DATA && format != FORMAT_SSE) {
        return refuse_with(
            refusal, 400, "envelope: data has no ids here, and ack=client needs them");
    }
    return true;
}

/* What a subscriber of a table can ask for with a snapshot. */
static bool
check_snapshot(
    const struct config_stream *config, const struct params *params, struct refusal *refusal)
{
    if (config->view != VIEW_TABLE) {
        return !params->has_snapshot || !params->snapshot ||
               refuse_with(refusal, 400, "snapshot: this stream is no table");
    }
    if (!params->snapshot) {
        return true;
    }
    if (params->from.kind != PLACE_LATEST && params->from.kind != PLACE_TOKEN) {
        return refuse_with(refusal, 400,
            "from: a table begins at latest or at a resume token; its history is read with "
            "snapshot=false");
    }
    if (params->to.kind != PLACE_NONE && params->to.kind != PLACE_LATEST) {
        return refuse_with(refusal, 400,
            "to: a table is read as it is now, with follow=false; its history with snapshot=false");
    }
    return true;
}

/* The table is there to be read. */
static bool
check_table(struct stream *stream, const struct params *params, struct refusal *refusal)
{
    struct table *table = stream_table(stream);
    struct table_state state;
    if (table == NULL || !params->snapshot) {
        return true;
    }
    table_state(table, &state);
    if (state.given_up) {
        refusal->headers = "Retry-After: 60\r\n";
        return refuse_with(refusal, 503,
            "the table has more keys or bytes than its bounds; snapshot=false reads the changes");
    }
    if (!params->follow && !stream_table_loaded(stream)) {
        refusal->headers = "Retry-After: 2\r\n";
        return refuse_with(refusal, 503, "the table is not loaded yet");
    }
    return true;
}

/* With catchup.full: refuse, nobody new waits for a reader. */
static bool
check_catchup(const struct server *server, const struct outlet *outlet, const struct params *params,
    struct refusal *refusal)
{
    bool tabled = stream_table(outlet->stream) != NULL && params->snapshot;
    if (server->config->catchup_full != CATCHUP_FULL_REFUSE || tabled || !catchup_can(outlet) ||
        !catchup_would_wait(outlet, &params->from)) {
        return true;
    }
    struct stream_start start;
    stream_locate(outlet->stream, &params->from, &start);
    record_unref(start.before);
    if (!start.elsewhere) {
        return true;
    }
    refusal->headers = "Retry-After: 5\r\n";
    return refuse_with(refusal, 503,
        "from: that has left the ring, and all that read the source itself are taken");
}

static bool
check_end(struct stream *stream, const struct params *params, struct refusal *refusal)
{
    const char *why =
        params->to.kind == PLACE_TOKEN ? stream_refuses_end(stream, &params->to) : NULL;
    return why == NULL || refuse_with(refusal, 400, "to: %s", why);
}

/* What of the configuration may be used for the stream, as CODING_BITs. */
static uint32_t
offered_codings(const struct config *config, const struct config_stream *stream)
{
    return stream->compressed ? config->codings << CODING_GZIP : 0;
}

/* How the answer is compressed, but for a WebSocket, which head_for asks. */
static bool
choose_coding(const struct server *server, const struct http_request *request, size_t stream,
    enum stream_format format, enum coding *coding, struct refusal *refusal)
{
    uint32_t offered = offered_codings(server->config, config_of(server, stream));
    *coding = CODING_IDENTITY;
    if (request->minor == 0) { /* that a row of frames was cut could not be seen */
        offered &= ~CODING_BIT(CODING_ZSTD);
    }
    return format == FORMAT_WS || http_encoding_choose(request, offered, coding) ||
           refuse_with(refusal, 406,
               "Accept-Encoding: it refuses identity, and nothing else that it takes is offered");
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
    return refuse_with(refusal, status, "%s", reason);
}

static uint64_t
default_heartbeat(const struct server *server, const struct framer *framer)
{
    bool has = framer->transport == TRANSPORT_WS || framer->transport == TRANSPORT_SSE;
    return has ? server->config->heartbeat_ms : 0;
}

static int
status_of(enum err_code code)
{
    switch (code) {
    case ERR_INVALID:
        return 400;
    case ERR_MISSING:
        return 404;
    case ERR_LIMIT:
    case ERR_REMOTE:
        return 503;
    case ERR_SYSTEM:
    case ERR_NONE:
        break;
    }
    return 500;
}

/* What the source of a request is to begin at. rows is the caller's to free. */
static void
replay_of(const struct params *params, struct replay *replay, struct replay_lane **rows)
{
    const struct place *from = &params->from;
    struct replay_lane *lanes = mem_calloc(from->n_lanes + 1, sizeof *lanes);
    for (size_t i = 0; i < from->n_lanes; i++) {
        const struct token_lane *lane = &from->lanes[i];
        lanes[i] = (struct replay_lane){
            .group_hash = lane->group, .partition = lane->partition, .next = lane->next};
    }
    *rows = lanes;
    *replay = (struct replay){
        .kind = from->kind == PLACE_TIME    ? REPLAY_TIME
                : from->kind != PLACE_TOKEN ? REPLAY_EARLIEST
                : from->cursor != NULL      ? REPLAY_CURSOR
                                            : REPLAY_LANES,
        .time_ms = from->time_ms,
        .lanes = lanes,
        .n_lanes = from->n_lanes,
        .cursor = from->cursor,
        .cursor_len = from->cursor_len,
    };
}

/* Nothing of a record is seen but its payload, and none is chosen, counted or timed. */
static bool
wants_lines(const struct params *params, const struct framer *framer)
{
    return framer == &framer_ndjson && params->envelope == ENVELOPE_DATA &&
           params->filter == NULL && !params->has_limit && params->max_rate == 0;
}

/* Make the stream that the request asks for. NULL: refusal says why not. */
static struct private_stream *
open_request(struct server *server, struct conn *conn, size_t stream, const struct params *params,
    const struct framer *framer, struct refusal *refusal)
{
    struct config_stream config;
    struct replay replay;
    struct replay_lane *lanes;
    struct request_param *own = mem_calloc(params->n_own + 1, sizeof *own);
    struct err err = {.code = ERR_NONE};
    bool watches = stream == server->n_streams;
    if (watches) {
        config = server->watch;
    } else {
        request_config(&config, config_of(server, stream));
    }
    replay_of(params, &replay, &lanes);
    for (size_t i = 0; i < params->n_own; i++) {
        own[i] = (struct request_param){params->own[i].name, params->own[i].value};
    }
    replay.keeps_raw = params->raw;
    replay.params = own;
    replay.n_params = params->n_own;
    struct private_stream *made = private_open(shard_privates(conn->shard),
        &(struct private_options){
            .config = &config,
            .home = shard_outlet(conn->shard, stream),
            .replay = &replay,
            .on_request = true,
            .lines = wants_lines(params, framer),
            .budget = watches ? &server->watchers : &server->requests,
        },
        &err);
    if (made == NULL) {
        refuse_with(refusal, status_of(err.code), "%s", err.text);
        refusal->headers = refusal->status == 503 ? "Retry-After: 5\r\n" : NULL;
    }
    free(lanes);
    free(own);
    return made;
}

/* What this shard has of an answer, which is asked for now where it is not under way yet. */
static struct private_stream *
open_generation(struct conn *conn, const struct subscription *what, const struct params *params,
    struct refusal *refusal)
{
    struct err err = {.code = ERR_NONE};
    const struct generation_ask ask = {
        .body = what->body.at, .len = what->body.len, .keeps_raw = params->raw};
    if (generation_is_started(what->generation) ||
        generation_start(what->generation, &ask, &err) == 0) {
        return private_share(
            shard_privates(conn->shard), what->generation, shard_outlet(conn->shard, what->stream));
    }
    refuse_with(refusal, err.code == ERR_LIMIT ? 429 : status_of(err.code), "%s", err.text);
    bool later = refusal->status == 429 || refusal->status == 503;
    refusal->headers = later ? "Retry-After: 2\r\n" : NULL;
    return NULL;
}

/* The private stream of a durable consumer, or of a request. NULL: refusal says why not. */
static struct private_stream *
open_own(struct server *server, struct conn *conn, const struct subscription *what,
    const struct params *params, const struct framer *framer, struct refusal *refusal)
{
    size_t stream = what->stream;
    struct err err = {.code = ERR_NONE};
    if (what->generation != NULL) {
        return open_generation(conn, what, params, refusal);
    }
    if (params->consumer[0] == '\0') {
        return open_request(server, conn, stream, params, framer, refusal);
    }
    struct private_stream *made = durable_open(server, conn, stream, params, &err);
    if (made == NULL) {
        refuse_with(refusal, status_of(err.code), "consumer: %s", err.text);
        refusal->headers = refusal->status == 503 ? "Retry-After: 5\r\n" : NULL;
    }
    return made;
}

/* Header lines of an answer's own, behind cors: where it is to be found again. */
static void
add_lines(struct buf *lines, const struct server *server, const struct subscription *what,
    const char *cors)
{
    buf_adds(lines, cors);
    if (what->generation != NULL) {
        const char *id = generation_id(what->generation);
        const char *name = config_of(server, what->stream)->name;
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
    uint32_t offered = offered_codings(server->config, config_of(server, what->stream));
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
    if (params->filter != NULL && config_of(server, stream)->view == VIEW_TABLE) {
        filter_keep_tombstones(params->filter);
    }
    choose_view(params, what);
    format->filter = params->filter;
    struct outlet *outlet = shard_outlet(conn->shard, stream);
    struct private_stream *made = NULL;
    if (params->consumer[0] != '\0' || is_on_request(config_of(server, stream))) {
        made = open_own(server, conn, what, params, format->framer, &refusal);
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
        refuse_with(&refusal, 503, "key, where: the limit of different filters is reached");
        refuse(conn, request, &refusal, cors);
    }
    buf_fini(&head);
}

static int
parse_params(struct params *params, const struct server *server, struct conn *conn,
    const struct http_request *request, const struct subscription *what, struct err *err)
{
    const struct config_stream *config = config_of(server, what->stream);
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
    const struct config_stream *config = config_of(server, stream);
    struct params params;
    struct err err;
    enum stream_format chosen;
    enum coding coding;
    struct refusal refusal = {.status = 0};
    if (parse_params(&params, server, conn, request, what, &err) != 0) {
        refuse_with(&refusal, 400, "%s", err.text);
        refuse(conn, request, &refusal, cors);
    } else if (!choose_format(request, what->format, config, &params, &chosen, &refusal) ||
               !check_allowed(config, what, &params, &refusal) ||
               !check_raw(config, what, &params, &refusal) ||
               !check_ids(&params, chosen, &refusal) ||
               !choose_coding(server, request, stream, chosen, &coding, &refusal) ||
               !check_snapshot(config, &params, &refusal) ||
               !check_end(server->streams[stream], &params, &refusal)) {
        refuse(conn, request, &refusal, cors);
    } else if (shard_draining(conn->shard)) {
        refusal.headers = "Retry-After: 1\r\n";
        refuse_with(&refusal, 503, "the gateway is going away; come back to another replica");
        refuse(conn, request, &refusal, cors);
    } else if (!params.follow && !stream_was_up(server->streams[stream])) {
        refusal.headers = "Retry-After: 1\r\n";
        refuse_with(
            &refusal, 503, "the stream's source has not answered yet: its end is not known");
        refuse(conn, request, &refusal, cors);
    } else if (!check_table(server->streams[stream], &params, &refusal)) {
        refuse(conn, request, &refusal, cors);
    } else if (request->has_body && what->body.at == NULL) {
        refuse_with(&refusal, 400, "a subscription has no request body");
        refuse(conn, request, &refusal, cors);
    } else if (request->method == HTTP_HEAD && chosen != FORMAT_WS) {
        struct format format = format_of(conn, request, chosen, coding);
        probe(server, conn, request, what, &format, cors);
    } else if (!check_catchup(server, shard_outlet(conn->shard, stream), &params, &refusal)) {
        refuse(conn, request, &refusal, cors);
    } else {
        struct format format = format_of(conn, request, chosen, coding);
        format.envelope = params.envelope;
        start_session(server, conn, request, what, &format, &params, cors);
    }
    params_fini(&params);
}
