/* run: starts and ends everything, and waits for signals in between. Main's thread. */
#include "run.h"

#include "clock.h"
#include "downloads.h"
#include "generations.h"
#include "log.h"
#include "mem.h"
#include "reaper.h"
#include "server.h"
#include "stream_answers.h"
#include "watch.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

/* The admin listener's own connections: probes and scrapes. */
#define ADMIN_CONNECTIONS 64
/* Between two looks at whether the drain is done. */
#define DRAIN_STEP_MS 20

struct running {
    struct server server;
    struct shard *admin;
    struct reaper *reaper;
    struct run_addresses addresses;
};

static void
raise_descriptor_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static void
block_signals(sigset_t *signals)
{
    sigemptyset(signals);
    sigaddset(signals, SIGTERM);
    sigaddset(signals, SIGINT);
    pthread_sigmask(SIG_BLOCK, signals, NULL);
    signal(SIGPIPE, SIG_IGN);
}

static void
make_streams(struct running *running, const struct config *config)
{
    struct server *server = &running->server;
    server->streams = mem_calloc(config->n_streams + 2, sizeof *server->streams);
    for (size_t i = 0; i < config->n_streams; i++) {
        server->streams[i] = stream_new(&config->streams[i], server->n_shards);
    }
    server->n_streams = config->n_streams;
    if (watch_is_served(config)) {
        watch_config(&server->watch, &server->downloads);
        server->streams[server->n_streams] = stream_new(&server->watch, server->n_shards);
    }
}

/* With that of those who watch downloads. */
static size_t
all_streams(const struct server *server)
{
    return server->n_streams + (server->streams[server->n_streams] == NULL ? 0 : 1);
}

static int
listen_on_all(struct running *running, struct shard *shard, uint16_t *ports, struct err *err)
{
    const struct config *config = running->server.config;
    for (size_t i = 0; i < config->n_listen; i++) {
        if (shard_listen(shard, &config->listen[i], &ports[i], err) != 0) {
            return -1;
        }
    }
    return 0;
}

static size_t
readers_of_one(const struct config *config)
{
    return (size_t)((config->catchup_readers + config->threads - 1) / config->threads);
}

static int
make_shards(struct running *running, struct err *err)
{
    struct server *server = &running->server;
    const struct config *config = server->config;
    uint16_t *ports = mem_calloc(config->n_listen + 1, sizeof *ports);
    int result = 0;
    for (size_t i = 0; i < config->threads && result == 0; i++) {
        char name[16];
        snprintf(name, sizeof name, "shard-%u", (unsigned)(i % 1000));
        struct shard_options options = {
            .config = config,
            .index = i,
            .streams = server->streams,
            .n_streams = all_streams(server),
            .handler = {serve_request, server, serve_wants_body},
            .max_connections = config->max_connections / config->threads,
            .catchup_readers = readers_of_one(config),
            .reaper = running->reaper,
            .name = name,
        };
        server->shards[i] = shard_new(&options, err);
        result =
            server->shards[i] == NULL ? -1 : listen_on_all(running, server->shards[i], ports, err);
    }
    running->addresses.public_port = ports[0];
    free(ports);
    return result;
}

static int
make_admin(struct running *running, struct err *err)
{
    struct shard_options options = {
        .config = running->server.config,
        .handler = {admin_request, &running->server, NULL},
        .max_connections = ADMIN_CONNECTIONS,
        .name = "admin",
    };
    running->admin = shard_new(&options, err);
    return running->admin == NULL ? -1
                                  : shard_listen(running->admin, &running->server.config->admin,
                                        &running->addresses.admin_port, err);
}

static int
start_all(struct running *running, struct err *err)
{
    struct server *server = &running->server;
    for (size_t i = 0; i < all_streams(server); i++) {
        if (stream_start(server->streams[i], err) != 0) {
            return -1;
        }
    }
    for (size_t i = 0; i < server->n_shards; i++) {
        if (shard_start(server->shards[i], err) != 0) {
            return -1;
        }
    }
    return shard_start(running->admin, err);
}

/* Wait for a signal, for at most ms. True when one came. */
static bool
signal_within(const sigset_t *signals, uint64_t ms)
{
    struct timespec wait = {(time_t)(ms / 1000), (long)(ms % 1000) * 1000000};
    return sigtimedwait(signals, NULL, &wait) > 0;
}

static uint64_t
open_connections(const struct server *server)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < server->n_shards; i++) {
        sum += shard_connections(server->shards[i]);
    }
    return sum;
}

static void
drain(struct running *running, const sigset_t *signals)
{
    struct server *server = &running->server;
    const struct config *config = server->config;
    atomic_store(&server->draining, true);
    log_event(LOG_INFO, "main", NULL, "draining: %llu connections",
        (unsigned long long)open_connections(server));
    bool again = config->drain_grace_ms > 0 && signal_within(signals, config->drain_grace_ms);
    for (size_t i = 0; i < server->n_shards; i++) {
        shard_drain(server->shards[i]);
    }
    int64_t timeout_ns = (int64_t)config->drain_timeout_ms * 1000000;
    int64_t until_ns = clock_mono_ns() + timeout_ns;
    while (!again && open_connections(server) > 0 && clock_mono_ns() < until_ns) {
        again = signal_within(signals, DRAIN_STEP_MS);
        if (until_ns - clock_mono_ns() < timeout_ns / 2) { /* what has not ended by itself */
            generations_cancel_all(server->generations, GENERATION_SHUTDOWN);
        }
    }
    uint64_t cut = open_connections(server);
    log_event(LOG_INFO, "main", NULL, "drained: %llu connections are cut", (unsigned long long)cut);
}

static void
end_all(struct running *running)
{
    struct server *server = &running->server;
    for (size_t i = 0; i < server->n_streams; i++) {
        if (stream_answers(server->streams[i]) == NULL) { /* their log outlives them */
            stream_stop(server->streams[i]);
        }
    }
    if (running->admin != NULL) { /* it reads the shards and streams: it goes first */
        shard_free(running->admin);
    }
    for (size_t i = 0; i < server->n_shards; i++) {
        if (server->shards[i] != NULL) {
            shard_halt(server->shards[i]);
        }
    }
    if (server->generations != NULL) { /* their sources wake shards, too */
        generations_halt(server->generations);
    }
    for (size_t i = 0; i < server->n_streams; i++) {
        stream_stop(server->streams[i]);
    }
    reaper_free(running->reaper); /* what it stops may wake a shard until it is stopped */
    for (size_t i = 0; i < server->n_shards; i++) {
        shard_free(server->shards[i]);
    }
    generations_free(server->generations);
    for (size_t i = 0; i < all_streams(server); i++) {
        stream_free(server->streams[i]);
        server->streams[i] = NULL;
    }
    downloads_free(server->downloads);
    consumers_free(server->consumers);
    free(server->durable);
    free(server->streams);
    free(server->shards);
}

int
run_config(const struct config *config, const struct run_options *options)
{
    struct running running = {.server = {
                                  .config = config,
                                  .n_shards = config->threads,
                                  .requests = {.most = (size_t)config->request_streams},
                                  .watchers = {.most = (size_t)config->download_watchers},
                                  .serve_page = options->serve_page,
                                  .started_ms = clock_wall_ms(),
                              }};
    struct err err = {.code = ERR_NONE};
    sigset_t signals;
    raise_descriptor_limit();
    block_signals(&signals);
    running.server.consumers = consumers_new();
    running.server.downloads = downloads_new();
    running.server.durable = mem_calloc(config->n_streams + 1, sizeof(struct private_budget));
    for (size_t i = 0; i < config->n_streams; i++) {
        running.server.durable[i].most = (size_t)config->streams[i].consumers_most;
    }
    running.server.shards = mem_calloc(config->threads, sizeof(struct shard *));
    make_streams(&running, config);
    int status = 1;
    const struct generations_options generations = {.streams = running.server.streams,
        .n_streams = running.server.n_streams,
        .shards = running.server.shards,
        .n_shards = running.server.n_shards};
    running.server.generations = generations_new(&generations, &err);
    if (running.server.generations == NULL || (running.reaper = reaper_new(&err)) == NULL ||
        make_shards(&running, &err) != 0 || make_admin(&running, &err) != 0 ||
        start_all(&running, &err) != 0) {
        log_event(LOG_ERROR, "main", NULL, "%s", err.text);
    } else {
        log_event(LOG_INFO, "main", NULL, "serving on port %u, admin on port %u",
            (unsigned)running.addresses.public_port, (unsigned)running.addresses.admin_port);
        if (options->ready != NULL) {
            options->ready(options->self, &running.addresses);
        }
        int got;
        while (sigwait(&signals, &got) != 0) {
        }
        drain(&running, &signals);
        status = 0;
    }
    end_all(&running);
    return status;
}
