/* admin: the admin listener: metrics and health, never on the public port. Runs on the admin shard;
 * reads what other threads publish by atomics and short locks. */
#include "server.h"

#include "admin_metrics.h"
#include "clock.h"

#include <stdio.h>
#include <string.h>

/* ---- metrics ---- */

static void
send_metrics(const struct server *server, struct conn *conn, const struct http_request *request)
{
    struct buf out;
    buf_init(&out);
    admin_metrics(server, &out);
    conn_reply(conn, request,
        &(struct reply){.status = 200,
            .content_type = "text/plain; version=0.0.4; charset=utf-8",
            .body = out.bytes,
            .body_len = out.len});
    buf_fini(&out);
}

/* ---- health ---- */

/* One line a check, kube-apiserver's way: "[+]name ok" or "[-]name failed: why". */
static bool
check(struct buf *out, const char *name, bool good, const char *why)
{
    buf_addf(out, good ? "[+]%s ok\n" : "[-]%s failed: %s\n", name, why);
    return good;
}

static bool
moves(const struct server *server, int64_t alive_ns)
{
    return clock_mono_ns() - alive_ns < (int64_t)server->config->live_limit_ms * 1000000;
}

static bool
live_checks(const struct server *server, struct buf *out)
{
    bool good = true;
    for (size_t i = 0; i < server->n_shards; i++) {
        good &= check(out, shard_name(server->shards[i]),
            moves(server, shard_alive_ns(server->shards[i])), "its loop makes no progress");
    }
    for (size_t i = 0; i < server->n_streams; i++) {
        struct stream_health health;
        stream_health(server->streams[i], &health);
        char name[192];
        snprintf(name, sizeof name, "source/%s", stream_name(server->streams[i]));
        good &= check(out, name, moves(server, health.alive_ns), "its thread makes no progress");
    }
    return good;
}

static bool
ready_checks(const struct server *server, struct buf *out)
{
    bool good = check(out, "not-draining", !atomic_load(&server->draining), "shutting down");
    for (size_t i = 0; i < server->n_streams; i++) {
        struct stream_health health;
        stream_health(server->streams[i], &health);
        char name[192];
        snprintf(name, sizeof name, "source/%s", stream_name(server->streams[i]));
        if (server->config->streams[i].required) {
            good &= check(out, name, health.up, health.why);
        } else if (health.up) {
            check(out, name, true, "");
        } else {
            buf_addf(out, "[!]%s down (not required): %s\n", name, health.why);
        }
    }
    return good;
}

static void
send_health(struct conn *conn, const struct http_request *request, bool good,
    const struct buf *checks, const char *name)
{
    struct buf body;
    buf_init(&body);
    if (!good || slice_eq(request->query, "verbose")) {
        buf_add(&body, checks->bytes, checks->len);
        buf_addf(&body, "%s check %s\n", name, good ? "passed" : "failed");
    } else {
        BUF_LITERAL(&body, "ok\n");
    }
    conn_reply(conn, request,
        &(struct reply){.status = good ? 200 : 503,
            .content_type = "text/plain; charset=utf-8",
            .headers = "Cache-Control: no-store\r\n",
            .body = body.bytes,
            .body_len = body.len});
    buf_fini(&body);
}

static void
answer(const struct server *server, struct conn *conn, const struct http_request *request)
{
    struct buf checks;
    buf_init(&checks);
    if (slice_eq(request->path, "/metrics")) {
        send_metrics(server, conn, request);
    } else if (slice_eq(request->path, "/livez")) {
        bool good = live_checks(server, &checks);
        send_health(conn, request, good, &checks, "livez");
    } else if (slice_eq(request->path, "/readyz") || slice_eq(request->path, "/healthz")) {
        bool good = ready_checks(server, &checks);
        send_health(conn, request, good, &checks, "readyz");
    } else {
        conn_problem(conn, request, 404, NULL,
            "the admin listener serves /metrics, /livez, /readyz and /healthz");
    }
    buf_fini(&checks);
}

void
admin_request(void *self, struct conn *conn, const struct http_request *request)
{
    if (request->method == HTTP_GET || request->method == HTTP_HEAD) {
        answer(self, conn, request);
    } else {
        conn_problem(
            conn, request, 405, "Allow: GET, HEAD\r\n", "only GET and HEAD are served here");
    }
}
