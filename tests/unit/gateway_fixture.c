/* gateway_fixture: a gateway of one stream and one shard in this process. */
#include "gateway_fixture.h"

#include "clock.h"
#include "connector.h"
#include "downloads.h"
#include "feed.h"
#include "mem.h"
#include "reaper.h"
#include "unit.h"

#include <stdio.h>
#include <string.h>

/* ---- a source that the test plays ---- */

struct source {
    atomic_int wakes;
};

static struct source played;

int
fixture_wakes(void)
{
    return atomic_load(&played.wakes);
}

static struct source *
start_played(
    const void *settings, struct stream *stream, const struct replay *replay, struct err *err)
{
    (void)replay;
    (void)settings;
    (void)err;
    stream_lane_add(stream, "t", 0, 0);
    stream_source_up(stream);
    return &played;
}

static void
wake_played(struct source *source)
{
    atomic_fetch_add(&source->wakes, 1);
}

static void
stop_played(struct source *source)
{
    (void)source;
}

static const struct connector connector = {
    .name = "played", .start = start_played, .wake = wake_played, .stop = stop_played};

/* ---- the gateway ---- */

struct gateway *
fixture_new(void)
{
    static char name[] = "s", host[] = "127.0.0.1";
    struct gateway *gateway = mem_calloc(1, sizeof *gateway);
    gateway->stream_config = (struct config_stream){.name = name,
        .connector = &connector,
        .ring_records = 500,
        .ring_bytes = 32 * MIB,
        .max_record_bytes = 2 * MIB,
        .slow_policy = SLOW_DROP_OLDEST,
        .queue_records = 100,
        .queue_bytes = 4 * MIB,
        .slow_allow = UINT32_MAX,
        .pause_limit_ms = 600000};
    gateway->listen.host = host;
    gateway->config = (struct config){.threads = 1,
        .max_connections = 200,
        .send_buffer_bytes = 16 * KIB,
        .header_timeout_ms = 10000,
        .idle_timeout_ms = 10000,
        .heartbeat_ms = 600000,
        .pong_timeout_ms = 600000,
        .max_message_bytes = 4096,
        .streams = &gateway->stream_config,
        .n_streams = 1};
    return gateway;
}

void
fixture_start(struct gateway *gateway)
{
    struct err err = {.code = ERR_NONE};
    gateway->stream = stream_new(&gateway->stream_config, 1);
    if (gateway->catchup_readers > 0) {
        gateway->reaper = reaper_new(&err);
        ck_assert_msg(gateway->reaper != NULL, "%s", err.text);
    }
    gateway->server = (struct server){.config = &gateway->config,
        .streams = &gateway->stream,
        .n_streams = 1,
        .shards = &gateway->shard,
        .n_shards = 1,
        .consumers = consumers_new(),
        .downloads = downloads_new()};
    struct shard_options options = {.config = &gateway->config,
        .streams = &gateway->stream,
        .n_streams = 1,
        .handler = {serve_request, &gateway->server, serve_wants_body},
        .max_connections = gateway->config.max_connections,
        .catchup_readers = gateway->catchup_readers,
        .reaper = gateway->reaper,
        .name = "shard-0"};
    gateway->shard = shard_new(&options, &err);
    ck_assert_msg(gateway->shard != NULL, "%s", err.text);
    ck_assert_int_eq(shard_listen(gateway->shard, &gateway->listen, &gateway->port, &err), 0);
    ck_assert_int_eq(stream_start(gateway->stream, &err), 0);
    ck_assert_int_eq(shard_start(gateway->shard, &err), 0);
}

struct gateway *
fixture_run(void)
{
    struct gateway *gateway = fixture_new();
    fixture_start(gateway);
    return gateway;
}

void
fixture_stop(struct gateway *gateway)
{
    shard_halt(gateway->shard);
    stream_stop(gateway->stream);
    reaper_free(gateway->reaper); /* what it stops may wake the shard */
    shard_free(gateway->shard);
    stream_free(gateway->stream);
    consumers_free(gateway->server.consumers);
    downloads_free(gateway->server.downloads);
    free(gateway);
}

struct stream_counters *
fixture_counters(struct gateway *gateway)
{
    return stream_counters(gateway->stream, 0);
}

uint64_t
fixture_records_out(struct gateway *gateway, enum transport transport)
{
    return atomic_load(&fixture_counters(gateway)->records_out[transport]);
}

uint64_t
fixture_ended(struct gateway *gateway, enum disconnect_reason reason)
{
    return atomic_load(&fixture_counters(gateway)->disconnects[reason]);
}

uint64_t
fixture_publish(struct gateway *gateway, uint64_t count, size_t size)
{
    static char payload[MIB + 64];
    uint64_t done = 0;
    while (done < count) {
        size_t room = stream_room(gateway->stream);
        if (room == 0) {
            break;
        }
        for (; done < count && room > 0; room--) {
            int len = snprintf(payload, sizeof payload, "{\"n\":%llu,\"pad\":\"",
                (unsigned long long)gateway->produced);
            memset(payload + len, 'x', size);
            memcpy(payload + (size_t)len + size, "\"}", 2);
            struct record_input in = {.offset = gateway->produced,
                .data = payload,
                .data_len = (size_t)len + size + 2,
                .time_ms = -1};
            if (stream_stage(gateway->stream, &in, clock_mono_ns()) != 1) {
                break;
            }
            gateway->produced++;
            done++;
        }
        stream_commit(gateway->stream);
    }
    return done;
}

void
fixture_overrun(struct gateway *gateway, enum transport transport, uint64_t behind, size_t size)
{
    int64_t until_ms = subscriber_now_ms() + PATIENCE_MS;
    while (gateway->produced - fixture_records_out(gateway, transport) < behind) {
        ck_assert_int_lt(subscriber_now_ms(), until_ms);
        fixture_publish(gateway, 10, size);
        subscriber_poll(NULL, 1);
    }
}

bool
fixture_held(struct gateway *gateway)
{
    struct ring_state state;
    ring_state(stream_ring(gateway->stream), &state);
    return state.held;
}

void
fixture_publish_until_held(struct gateway *gateway, size_t size)
{
    int64_t until_ms = subscriber_now_ms() + PATIENCE_MS;
    while (!fixture_held(gateway)) {
        ck_assert_int_lt(subscriber_now_ms(), until_ms);
        fixture_publish(gateway, 20, size);
        subscriber_poll(NULL, 1);
    }
    ck_assert_uint_eq(stream_room(gateway->stream), 0);
}

struct subscriber *
fixture_subscribe(
    struct gateway *gateway, enum transport transport, const char *query, int receive_bytes)
{
    char path[1024];
    struct subscriber *subscriber = subscriber_open(gateway->port, receive_bytes);
    snprintf(path, sizeof path, "/streams/s?%s", query);
    subscriber->next = gateway->produced;
    subscriber_get(subscriber, transport, 1, path, "");
    READ_UNTIL(subscriber, subscriber->hello[0] != '\0');
    return subscriber;
}
