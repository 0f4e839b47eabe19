/* durable: joins the groups of durable consumers. Shard thread. */
#include "durable.h"

#include "connector.h"
#include "lanes.h"
#include "session_durable.h"
#include "stream_internal.h"

#include <stdlib.h>

/* In flight, or read ahead; the ring has room for twice that. */
#define IN_FLIGHT_BYTES (UINT64_C(4) << 20)

void
durable_config(struct config_stream *config, const struct config_stream *of)
{
    private_config(config, of, 2 * of->consumer_in_flight, 2 * IN_FLIGHT_BYTES);
}

/* Where the consumer begins in partitions that it has no commit in. */
static enum replay_kind
begin_at(const struct place *from)
{
    switch (from->kind) {
    case PLACE_EARLIEST:
        return REPLAY_EARLIEST;
    case PLACE_TIME:
        return REPLAY_TIME;
    case PLACE_TOKEN:
        return REPLAY_LANES;
    case PLACE_NONE:
    case PLACE_LATEST:
        break;
    }
    return REPLAY_LATEST;
}

struct private_stream *
durable_open(struct server *server, struct conn *conn, size_t stream, const struct params *params,
    struct err *err)
{
    struct config_stream config;
    struct replay_lane *lanes = NULL;
    const struct outlet *home = shard_outlet(conn->shard, stream);
    char *group = consumer_group(&server->config->streams[stream], params->consumer);
    struct replay replay = {
        .kind = begin_at(&params->from), .time_ms = params->from.time_ms, .group = group};
    if (replay.kind == REPLAY_LANES) {
        replay.n_lanes = lanes_replay(stream_lanes(home->stream), &params->from, &lanes, NULL);
        replay.lanes = lanes;
    }
    durable_config(&config, &server->config->streams[stream]);
    struct private_stream *made = private_open(shard_privates(conn->shard),
        &(struct private_options){
            .config = &config,
            .home = home,
            .replay = &replay,
            .on_request = true,
            .durable = true,
            .budget = &server->durable[stream],
        },
        err);
    free(lanes);
    free(group);
    return made;
}

void
durable_enter(struct server *server, struct session *session, size_t stream,
    const struct private_stream *made, const char *name, bool acks)
{
    session_make_durable(
        session, consumer_open(server->consumers, &(struct consumer_options){
                                                      .stream = stream,
                                                      .name = name,
                                                      .acks = acks,
                                                      .ring = stream_ring(made->stream),
                                                      .wake = shard_wake,
                                                      .shard = session->conn->shard,
                                                  }));
}
