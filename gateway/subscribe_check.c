/* subscribe_check: what a request may have of a stream, and in which format. Shard thread. */
#include "subscribe_internal.h"

#include "catchup.h"
#include "feed.h"
#include "generations.h"
#include "http_encoding.h"
#include "ws.h"

#include <stdarg.h>
#include <stdio.h>

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

bool
subscribe_refuse(struct refusal *refusal, int status, const char *format, ...)
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
    *format = forced != FORMAT_AUTO ? forced : params->format;
    if (forced != FORMAT_AUTO && params->format != FORMAT_AUTO && params->format != forced) {
        return subscribe_refuse(refusal, 406, "format: this route serves one format only");
    }
    if (*format == FORMAT_AUTO) {
        *format = upgrade ? FORMAT_WS : negotiate(request);
    }
    if (*format == FORMAT_AUTO) {
        return subscribe_refuse(refusal, 406,
            "Accept: this stream is served as application/x-ndjson, text/event-stream, a WebSocket,"
            " or, when the read has an end, application/json");
    }
    if (*format == FORMAT_WS && !upgrade) {
        refusal->headers = WS_UPGRADE_LINES;
        return subscribe_refuse(refusal, 426, "format=ws needs a WebSocket handshake");
    }
    if (*format == FORMAT_JSON && !is_bounded(params) && !subscribe_on_request(config)) {
        return subscribe_refuse(refusal, 406,
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
           subscribe_refuse(refusal, 400,
               "slow, queue: this stream is made for the request alone and waits for it");
}

static bool
check_allowed(const struct config_stream *config, const struct subscription *what,
    const struct params *params, struct refusal *refusal)
{
    if (params->consumer[0] != '\0' && !config->consumers_allowed) {
        return subscribe_refuse(refusal, 400,
            "consumer: this stream has no durable consumers; GET /streams says which have");
    }
    if (subscribe_on_request(config) && params->to.kind != PLACE_NONE) {
        return subscribe_refuse(refusal, 400, "to: this stream ends by itself, or after a limit");
    }
    if (subscribe_on_request(config) && what->generation == NULL) {
        return check_own(params, refusal);
    }
    if (what->generation != NULL && !params->follow) {
        return subscribe_refuse(
            refusal, 400, "follow: an answer is read to its end, or up to a limit");
    }
    if (params->has_slow && (config->slow_allow & (1u << params->slow)) == 0) {
        return subscribe_refuse(refusal, 400,
            "slow: this stream does not allow %s; GET /streams lists what it allows",
            slow_policy_names[params->slow]);
    }
    if (params->queue_records > config->queue_records) {
        return subscribe_refuse(refusal, 400, "queue: at most %llu records on this stream",
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
        return subscribe_refuse(refusal, 400, "envelope: raw is for streams of models");
    }
    if (params->raw && what->generation != NULL && generation_is_started(what->generation) &&
        !generation_keeps_raw(what->generation)) {
        return subscribe_refuse(refusal, 400,
            "envelope: raw is kept only of answers that were asked for with envelope=raw");
    }
    return true;
}

/* Who acks needs ids. */
static bool
check_ids(const struct params *params, enum stream_format format, struct refusal *refusal)
{
    if (params->acks && params->envelope == ENVELOPE_DATA && format != FORMAT_SSE) {
        return subscribe_refuse(
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
               subscribe_refuse(refusal, 400, "snapshot: this stream is no table");
    }
    if (!params->snapshot) {
        return true;
    }
    if (params->from.kind != PLACE_LATEST && params->from.kind != PLACE_TOKEN) {
        return subscribe_refuse(refusal, 400,
            "from: a table begins at latest or at a resume token; its history is read with "
            "snapshot=false");
    }
    if (params->to.kind != PLACE_NONE && params->to.kind != PLACE_LATEST) {
        return subscribe_refuse(refusal, 400,
            "to: a table is read as it is now, with follow=false; its history with snapshot=false");
    }
    return true;
}

static bool
check_end(struct stream *stream, const struct params *params, struct refusal *refusal)
{
    const char *why =
        params->to.kind == PLACE_TOKEN ? stream_refuses_end(stream, &params->to) : NULL;
    return why == NULL || subscribe_refuse(refusal, 400, "to: %s", why);
}

/* How the answer is compressed, but for a WebSocket, which head_for asks. */
static bool
choose_coding(const struct server *server, const struct http_request *request, size_t stream,
    enum stream_format format, enum coding *coding, struct refusal *refusal)
{
    uint32_t offered = subscribe_codings(server->config, subscribe_config(server, stream));
    *coding = CODING_IDENTITY;
    if (request->minor == 0) { /* that a row of frames was cut could not be seen */
        offered &= ~CODING_BIT(CODING_ZSTD);
    }
    return format == FORMAT_WS || http_encoding_choose(request, offered, coding) ||
           subscribe_refuse(refusal, 406,
               "Accept-Encoding: it refuses identity, and nothing else that it takes is offered");
}

bool
subscribe_check_table(struct stream *stream, const struct params *params, struct refusal *refusal)
{
    struct table *table = stream_table(stream);
    struct table_state state;
    if (table == NULL || !params->snapshot) {
        return true;
    }
    table_state(table, &state);
    if (state.given_up) {
        refusal->headers = "Retry-After: 60\r\n";
        return subscribe_refuse(refusal, 503,
            "the table has more keys or bytes than its bounds; snapshot=false reads the changes");
    }
    if (!params->follow && !stream_table_loaded(stream)) {
        refusal->headers = "Retry-After: 2\r\n";
        return subscribe_refuse(refusal, 503, "the table is not loaded yet");
    }
    return true;
}

bool
subscribe_check_catchup(const struct server *server, const struct outlet *outlet,
    const struct params *params, struct refusal *refusal)
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
    return subscribe_refuse(refusal, 503,
        "from: that has left the ring, and all that read the source itself are taken");
}

bool
subscribe_check(const struct server *server, const struct http_request *request,
    const struct subscription *what, const struct params *params, enum stream_format *format,
    enum coding *coding, struct refusal *refusal)
{
    const struct config_stream *config = subscribe_config(server, what->stream);
    return choose_format(request, what->format, config, params, format, refusal) &&
           check_allowed(config, what, params, refusal) &&
           check_raw(config, what, params, refusal) && check_ids(params, *format, refusal) &&
           choose_coding(server, request, what->stream, *format, coding, refusal) &&
           check_snapshot(config, params, refusal) &&
           check_end(server->streams[what->stream], params, refusal);
}
