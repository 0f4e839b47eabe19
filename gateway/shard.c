/* shard: a service thread around one libwebsockets context. libwebsockets gives the event loop, raw
 * sockets, TLS and timers; this file, shard_accept.c and conn.c are all that calls it. */
#include "shard_internal.h"

#include "catchup.h"
#include "clock.h"
#include "coding.h"
#include "generations.h"
#include "listener.h"
#include "lws_log.h"
#include "mem.h"
#include "private.h"
#include "push_queue.h"
#include "push_serve.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define TICK_NS INT64_C(250000000)
/* Of more connections a part is looked at at a time: what comes for others does not wait for all.
 */
#define TICK_PART 64
#define TICK_PARTS_MAX 64
/* How often libwebsockets looks at time-outs of its own, and at all descriptors with that. */
#define SERVICE_NS INT64_C(1000000000)
/* The grain of max_rate. */
#define PACE_NS INT64_C(5000000)
/* Descriptors of a context that are not connections: its wake pipe, listeners, a spare. */
#define OWN_DESCRIPTORS 32

/* A raw socket's user pointer is its conn, a listening one's is its port: told apart by callback.
 */
static int on_event(
    struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in, size_t len);

const struct lws_protocols shard_protocols[] = {
    {.name = "headgate", .callback = on_event, .rx_buffer_size = 16384, .tx_packet_size = 65536},
    {.name = NULL},
};

static void
update_now(struct shard *shard)
{
    shard->now_ms = clock_mono_ns() / 1000000;
}

/* ---- events ---- */

static void
drain(struct shard *shard)
{
    shard->draining = true;
    for (size_t i = 0; i < shard->n_ports; i++) {
        if (shard->ports[i].wsi != NULL) {
            lws_set_timeout(shard->ports[i].wsi, PENDING_TIMEOUT_USER_OK, LWS_TO_KILL_SYNC);
        }
    }
    struct conn *conn, *next;
    for (conn = TAILQ_FIRST(&shard->conns); conn != NULL; conn = next) {
        next = TAILQ_NEXT(conn, link);
        const struct generation *answer =
            conn->state == CONN_STREAM ? conn->session->feed->outlet->generation : NULL;
        if (answer != NULL && !generation_is_mirror(answer)) {
            continue; /* no other replica makes that answer: it may still end by itself, see run.c
                       */
        }
        if (conn->state == CONN_STREAM) {
            session_end(conn->session, &(struct ending){.why = DISCONNECT_SHUTDOWN,
                                           .code = 1001,
                                           .reason = "the gateway is going away",
                                           .event = "closing"});
        } else if (conn->state == CONN_HEAD && conn->in.len == 0) {
            conn_kill(conn);
        }
    }
}

static void
serve_wake(struct shard *shard)
{
    if (sleeper_take_call(&shard->sleeper)) {
        bool more = false;
        for (size_t i = 0; i < shard->n_outlets; i++) {
            more |= outlet_wake(&shard->outlets[i]);
        }
        if (shard->privates != NULL) {
            more |= privates_serve(shard->privates);
        }
        catchups_serve(shard->catchups);
        push_serve_news(shard->pushes);
        if (more) {
            shard_wake(shard);
        }
    }
    if (atomic_load(&shard->drain_asked) && !shard->draining) {
        drain(shard);
    }
    for (size_t i = 0; i < shard->n_outlets; i++) {
        outlet_hold_update(&shard->outlets[i]);
    }
}

/* After an event of one connection: what it changed for the source is settled once for all of this
 * turn of the loop, by a wake that comes when the turn is over. */
static int
settle(struct shard *shard, int result)
{
    bool stale = shard->privates != NULL && privates_stale(shard->privates);
    for (size_t i = 0; i < shard->n_outlets && !stale; i++) {
        stale = shard->outlets[i].hold_stale;
    }
    if (stale) {
        shard_wake(shard);
    }
    return result;
}

static void
tick(struct shard *shard)
{
    int64_t now = clock_mono_ns();
    size_t n = atomic_load_explicit(&shard->connections, memory_order_relaxed);
    size_t parts = n / TICK_PART < TICK_PARTS_MAX ? n / TICK_PART + 1 : TICK_PARTS_MAX;
    shard->tick_at_ns = now + TICK_NS / (int64_t)parts;
    atomic_store_explicit(&shard->alive_ns, now, memory_order_relaxed);
    struct conn *conn;
    for (size_t left = (n + parts - 1) / parts;
         left > 0 && (conn = TAILQ_FIRST(&shard->conns)) != NULL; left--) {
        TAILQ_REMOVE(&shard->conns, conn, link); /* it may be gone afterwards */
        TAILQ_INSERT_TAIL(&shard->conns, conn, link);
        conn_tick(conn, shard->now_ms);
    }
    (void)settle(shard, 0);
    if (now >= shard->service_at_ns) {
        shard->service_at_ns = now + SERVICE_NS;
        shard_owe_service(shard);
    }
}

static void
pace(struct shard *shard)
{
    shard->pace_at_ns = INT64_MAX;
    struct session *session, *next;
    for (session = TAILQ_FIRST(&shard->paced); session != NULL; session = next) {
        next = TAILQ_NEXT(session, pace_link);
        session_pump(session);
    }
    (void)settle(shard, 0);
    if (!TAILQ_EMPTY(&shard->paced)) {
        shard->pace_at_ns = clock_mono_ns() + PACE_NS;
    }
}

static int
on_raw_event(
    struct shard *shard, struct conn *conn, enum lws_callback_reasons reason, void *in, size_t len)
{
    if (conn == NULL) {
        return 0;
    }
    update_now(shard);
    shard_owe(shard, conn); /* there may be more than the library has taken */
    if (reason == LWS_CALLBACK_RAW_RX) {
        if (conn->tls) { /* libwebsockets leaves its handshake time-out running on raw sockets */
            lws_set_timeout(conn->wsi, NO_PENDING_TIMEOUT, 0);
        }
        return settle(shard, conn_received(conn, in, len));
    }
    if (reason == LWS_CALLBACK_RAW_WRITEABLE) {
        conn->wants_write = false;
        return settle(shard, conn_writable(conn));
    }
    lws_set_opaque_user_data(conn->wsi, NULL);
    conn->dead = true; /* nothing sends on it any more */
    conn_free(conn);
    atomic_fetch_sub_explicit(&shard->connections, 1, memory_order_relaxed);
    return settle(shard, 0);
}

static int
on_event(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in, size_t len)
{
    (void)user;
    struct lws_context *context = lws_get_context(wsi);
    struct shard *shard = context == NULL ? NULL : lws_context_user(context);
    if (shard == NULL) {
        return 0; /* the context is being made or destroyed */
    }
    /* The library has a hundred reasons; raw sockets and files know these. */
    switch ((int)reason) {
    case LWS_CALLBACK_RAW_RX:
    case LWS_CALLBACK_RAW_WRITEABLE:
    case LWS_CALLBACK_RAW_CLOSE:
        return on_raw_event(shard, lws_get_opaque_user_data(wsi), reason, in, len);
    case LWS_CALLBACK_RAW_RX_FILE:
        update_now(shard);
        shard_accept(shard, lws_get_opaque_user_data(wsi));
        return 0;
    case LWS_CALLBACK_RAW_CLOSE_FILE:
        shard_forget_listener(shard, wsi);
        return 0;
    default:
        return 0;
    }
}

/* ---- life ---- */

struct shard *
shard_new(const struct shard_options *options, struct err *err)
{
    struct shard *shard = mem_calloc(1, sizeof *shard);
    shard->config = options->config;
    shard->index = options->index;
    shard->handler = options->handler;
    shard->max_connections = options->max_connections;
    snprintf(shard->name, sizeof shard->name, "%s", options->name);
    TAILQ_INIT(&shard->conns);
    TAILQ_INIT(&shard->owed);
    TAILQ_INIT(&shard->paced);
    shard->coder = coder_new(&(struct coding_options){
        .level = (int)options->config->compression_level,
        .least_bytes = options->config->compression_least_bytes,
    });
    shard->spare = listener_spare();
    shard->pace_at_ns = INT64_MAX;
    shard->owes_service = true;
    shard->pushes = push_home_new(shard_wake, shard);
    update_now(shard);
    if (sleeper_init(&shard->sleeper, err) != 0) {
        shard_free(shard);
        return NULL;
    }
    struct lws_context_creation_info info = {
        .port = CONTEXT_PORT_NO_LISTEN_SERVER,
        .protocols = shard_protocols,
        .options = LWS_SERVER_OPTION_EXPLICIT_VHOSTS | LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT,
        .user = shard,
        .fd_limit_per_thread = (unsigned)(options->max_connections + OWN_DESCRIPTORS),
        .vhost_name = "clear",
    };
    shard->lws_log = lws_log_new();
    lws_log_use(shard->lws_log, &info);
    shard->context = lws_create_context(&info);
    info.options = 0;
    shard->vhost = shard->context == NULL ? NULL : lws_create_vhost(shard->context, &info);
    if (shard->vhost == NULL) {
        err_set(err, ERR_SYSTEM, "%s: libwebsockets cannot make its context", shard->name);
        shard_free(shard);
        return NULL;
    }
    shard->outlets = mem_calloc(options->n_streams + 1, sizeof *shard->outlets);
    shard->n_outlets = options->n_streams;
    for (size_t i = 0; i < options->n_streams; i++) {
        outlet_init(&shard->outlets[i], shard, options->streams[i], shard->index);
        stream_set_waker(
            options->streams[i], shard->index, (struct stream_waker){shard_wake, shard});
    }
    if (options->reaper != NULL) {
        shard->privates = privates_new(shard, options->reaper);
    }
    shard->catchups = catchups_new(shard->privates, options->catchup_readers);
    return shard;
}

static int
rest_ms(const struct shard *shard)
{
    int64_t due = shard->tick_at_ns < shard->pace_at_ns ? shard->tick_at_ns : shard->pace_at_ns;
    int64_t left = due - clock_mono_ns();
    return left <= 0 ? 0 : (int)(left / 1000000) + 1;
}

static void
run_timers(struct shard *shard)
{
    int64_t now = clock_mono_ns();
    if (now >= shard->tick_at_ns) {
        tick(shard);
    }
    if (now >= shard->pace_at_ns) {
        pace(shard);
    }
}

/* One turn of the loop. Errors -1, as of lws_service. */
static int
turn(struct shard *shard)
{
    int fds[SLEEPER_NEWS_MAX];
    size_t n = sleeper_rest(&shard->sleeper, shard_is_owed(shard) ? 0 : rest_ms(shard), fds);
    update_now(shard);
    serve_wake(shard);
    run_timers(shard);
    shard_serve_news(shard, fds, n);
    shard_serve_owed(shard);
    if (!shard->owes_service) {
        return 0;
    }
    shard->owes_service = false;
    return lws_service(shard->context, -1); /* without waiting */
}

static void *
run(void *arg)
{
    struct shard *shard = arg;
    while (!atomic_load(&shard->stop_asked) && turn(shard) >= 0) {
    }
    return NULL;
}

int
shard_start(struct shard *shard, struct err *err)
{
    if (shard_watch_ports(shard, err) != 0) {
        return -1;
    }
    atomic_store(&shard->alive_ns, clock_mono_ns());
    shard->running = true;
    int failed = pthread_create(&shard->thread, NULL, run, shard);
    if (failed != 0) {
        shard->running = false;
        err_set_errno(err, failed, "%s: cannot start its thread", shard->name);
        return -1;
    }
    pthread_setname_np(shard->thread, shard->name);
    return 0;
}

void
shard_drain(struct shard *shard)
{
    atomic_store(&shard->drain_asked, true);
    sleeper_wake(&shard->sleeper);
}

void
shard_halt(struct shard *shard)
{
    if (shard->running && !shard->halted) {
        atomic_store(&shard->stop_asked, true);
        sleeper_wake(&shard->sleeper);
        pthread_join(shard->thread, NULL);
        shard->halted = true;
        if (shard->privates != NULL) {
            privates_halt(shard->privates);
        }
    }
}

void
shard_stop(struct shard *shard)
{
    shard_halt(shard);
    if (shard->context != NULL) {
        lws_context_destroy(shard->context); /* closes and frees every connection */
        shard->context = NULL;
        shard->running = false;
    }
}

void
shard_free(struct shard *shard)
{
    if (shard == NULL) {
        return;
    }
    shard_stop(shard);
    privates_free(shard->privates);
    catchups_free(shard->catchups);
    push_home_free(shard->pushes);
    for (size_t i = 0; i < shard->n_outlets; i++) {
        outlet_fini(&shard->outlets[i]);
    }
    if (shard->spare >= 0) {
        close(shard->spare);
    }
    SSL_CTX_free(shard->client_tls);
    coder_free(shard->coder);
    sleeper_fini(&shard->sleeper);
    free(shard->outlets);
    free(shard->ports);
    free(shard->by_fd);
    lws_log_free(shard->lws_log);
    free(shard);
}

void
shard_wake(void *arg)
{
    struct shard *shard = arg;
    sleeper_wake(&shard->sleeper);
}

void
shard_request(struct shard *shard, struct conn *conn, const struct http_request *request)
{
    shard->handler.request(shard->handler.self, conn, request);
}

bool
shard_wants_body(const struct shard *shard, const struct http_request *request)
{
    return shard->handler.wants_body != NULL && shard->handler.wants_body(request);
}

bool
shard_filter_take(struct shard *shard, bool moving)
{
    if (!moving && shard->n_filters >= shard->config->max_filters) {
        return false;
    }
    shard->n_filters++;
    return true;
}

void
shard_filter_release(struct shard *shard)
{
    shard->n_filters--;
}

void
shard_pace(struct shard *shard, struct session *session)
{
    if (TAILQ_EMPTY(&shard->paced)) {
        shard->pace_at_ns = clock_mono_ns() + PACE_NS;
    }
    TAILQ_INSERT_TAIL(&shard->paced, session, pace_link);
}

void
shard_unpace(struct shard *shard, struct session *session)
{
    TAILQ_REMOVE(&shard->paced, session, pace_link);
}

struct coder *
shard_coder(struct shard *shard)
{
    return shard->coder;
}

struct privates *
shard_privates(struct shard *shard)
{
    return shard->privates;
}

struct push_home *
shard_pushes(struct shard *shard)
{
    return shard->pushes;
}

struct catchups *
shard_catchups(struct shard *shard)
{
    return shard->catchups;
}

struct outlet *
shard_outlet(struct shard *shard, size_t stream)
{
    assert(stream < shard->n_outlets);
    return &shard->outlets[stream];
}

size_t
shard_index(const struct shard *shard)
{
    return shard->index;
}

const char *
shard_name(const struct shard *shard)
{
    return shard->name;
}

const struct config *
shard_config(const struct shard *shard)
{
    return shard->config;
}

int64_t
shard_now_ms(const struct shard *shard)
{
    return shard->now_ms;
}

int64_t
shard_wall_ms(const struct shard *shard)
{
    (void)shard;
    return clock_wall_ms();
}

bool
shard_draining(const struct shard *shard)
{
    return shard->draining;
}

uint64_t
shard_connections(const struct shard *shard)
{
    return atomic_load_explicit(&shard->connections, memory_order_relaxed);
}

uint64_t
shard_refused(const struct shard *shard)
{
    return atomic_load_explicit(&shard->refused, memory_order_relaxed);
}

int64_t
shard_alive_ns(const struct shard *shard)
{
    return atomic_load_explicit(&shard->alive_ns, memory_order_relaxed);
}
