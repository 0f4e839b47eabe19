/* subscribe_open: streams that a request has for itself: made for it, a durable consumer's, an
 * answer's. Shard thread. */
#include "subscribe_internal.h"

#include "durable.h"
#include "feed.h"
#include "generations.h"
#include "mem.h"
#include "private.h"
#include "shard.h"

#include <stdlib.h>

/* Of such a stream's ring; the source waits for what is not sent. */
#define REQUEST_RING_RECORDS 4096
#define REQUEST_RING_BYTES (UINT64_C(1) << 20)

void
request_config(struct config_stream *config, const struct config_stream *of)
{
    private_config(config, of, REQUEST_RING_RECORDS, REQUEST_RING_BYTES);
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

/* What the source of a request is given. */
struct given {
    struct replay replay;
    struct replay_lane *lanes;
    struct request_param *own;
};

static void
given_init(struct given *given, const struct params *params)
{
    replay_of(params, &given->replay, &given->lanes);
    given->own = mem_calloc(params->n_own + 1, sizeof *given->own);
    for (size_t i = 0; i < params->n_own; i++) {
        given->own[i] = (struct request_param){params->own[i].name, params->own[i].value};
    }
    given->replay.keeps_raw = params->raw;
    given->replay.params = given->own;
    given->replay.n_params = params->n_own;
}

static void
given_fini(struct given *given)
{
    free(given->lanes);
    free(given->own);
}

static void
refuse_start(struct refusal *refusal, const struct err *err)
{
    subscribe_refuse(refusal, status_of(err->code), "%s", err->text);
    refusal->headers = refusal->status == 503 ? "Retry-After: 5\r\n" : NULL;
}

/* Make the stream that the request asks for. NULL: refusal says why not. */
static struct private_stream *
open_request(struct server *server, struct conn *conn, size_t stream, const struct params *params,
    const struct framer *framer, struct refusal *refusal)
{
    struct config_stream config;
    struct given given;
    struct err err = {.code = ERR_NONE};
    bool watches = stream == server->n_streams;
    if (watches) {
        config = server->watch;
    } else {
        request_config(&config, subscribe_config(server, stream));
    }
    given_init(&given, params);
    struct private_stream *made = private_open(shard_privates(conn->shard),
        &(struct private_options){
            .config = &config,
            .home = shard_outlet(conn->shard, stream),
            .replay = &given.replay,
            .on_request = true,
            .lines = wants_lines(params, framer),
            .budget = watches ? &server->watchers : &server->requests,
        },
        &err);
    if (made == NULL) {
        refuse_start(refusal, &err);
    }
    given_fini(&given);
    return made;
}

bool
subscribe_probe(struct server *server, const struct subscription *what, const struct params *params,
    struct refusal *refusal)
{
    if (what->generation != NULL || what->stream == server->n_streams) {
        return true;
    }
    const struct config_stream *config = subscribe_config(server, what->stream);
    if (!subscribe_on_request(config)) {
        return true;
    }
    struct given given;
    struct err err = {.code = ERR_NONE};
    given_init(&given, params);
    given.replay.probes = true;
    (void)config->connector->start(
        config->settings, server->streams[what->stream], &given.replay, &err);
    given_fini(&given);
    if (err.code != ERR_NONE) {
        refuse_start(refusal, &err);
    }
    return err.code == ERR_NONE;
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
    subscribe_refuse(refusal, err.code == ERR_LIMIT ? 429 : status_of(err.code), "%s", err.text);
    bool later = refusal->status == 429 || refusal->status == 503;
    refusal->headers = later ? "Retry-After: 2\r\n" : NULL;
    return NULL;
}

struct private_stream *
subscribe_open(struct server *server, struct conn *conn, const struct subscription *what,
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
        subscribe_refuse(refusal, status_of(err.code), "consumer: %s", err.text);
        refusal->headers = refusal->status == 503 ? "Retry-After: 5\r\n" : NULL;
    }
    return made;
}
