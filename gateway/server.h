/* server: what the handlers of the public and of the admin listener share: the configuration, the
 * streams and the shards. Owned by run.c; read-only for the handlers but for `draining`.
 * Thread  any. */
#ifndef HEADGATE_SERVER_H
#define HEADGATE_SERVER_H

#include "config.h"
#include "conn.h"
#include "consumer.h"
#include "params.h"
#include "private.h"
#include "shard.h"
#include "stream.h"

#include <stdatomic.h>
#include <stdbool.h>

struct server {
    const struct config *config;
    struct stream **streams; /* by their index in config->streams; with a download route, behind
                                them that of those who watch downloads */
    size_t n_streams;        /* configured ones */
    struct shard **shards;   /* service threads, without the admin's */
    size_t n_shards;
    struct consumers *consumers;    /* durable subscribers */
    struct private_budget *durable; /* of each stream */
    struct private_budget requests; /* streams that requests make */
    struct generations *generations;
    struct downloads *downloads;
    struct config_stream watch;     /* what the stream of those who watch them is made of */
    struct private_budget watchers; /* and theirs */
    bool serve_page;                /* the demo page at / */
    int64_t started_ms;             /* Unix milliseconds */
    atomic_bool draining;           /* SIGTERM came */
};

/* serve_request: the public listener (a handler's request function; self is a struct server). */
void serve_request(void *self, struct conn *conn, const struct http_request *request);

/* serve_wants_body: it is an ack, whose body is to be read first. */
bool serve_wants_body(const struct http_request *request);

/* serve_ack: answer a request whose decoded path ack_is_path. ack_parse: the id in an ack's body.
 * Owns: the caller frees it. Errors NULL and err. */
bool ack_is_path(const char *path);
char *ack_parse(struct slice body, struct err *err);
void serve_ack(struct server *server, struct conn *conn, const struct http_request *request,
    const char *path, bool same_origin, const char *cors);

/* admin_request: the admin listener: /metrics, /livez, /readyz, /healthz. */
void admin_request(void *self, struct conn *conn, const struct http_request *request);

/* What a path stands for. */
struct subscription {
    size_t stream;
    enum stream_format format;        /* the route's, or FORMAT_AUTO */
    const struct config_route *route; /* whose {NAME} parts are parameters; NULL: none */
    const char *path;                 /* as it was matched, decoded */
    const char *file;                 /* of the download whose progress it is; NULL: none */
    struct generation *generation; /* that is joined; or, if it is not started, asked for with body.
                                      Lent. NULL: none */
    struct slice body;
    bool is_sdk;     /* an SDK asks, and reads: enum sdk_dialect (framer_sdk.h) */
    int sdk_dialect; /* with is_sdk */
};

/* subscribe: answer a GET or HEAD of a stream, or a POST whose body has come: negotiate, check, and
 * make a session. cors: header lines for the answer. */
void subscribe(struct server *server, struct conn *conn, const struct http_request *request,
    const struct subscription *what, const char *cors);

/* request_config: the configuration of a private stream that a request makes of the stream of.
 * Thread any. */
void request_config(struct config_stream *config, const struct config_stream *of);

/* route_matches: path is one of route's. route_params: the parts of path that stand for variables
 * of the route become parameters. Errors -1 and err. */
bool route_matches(const struct config_route *route, const char *path);
int route_params(
    const struct config_route *route, const char *path, struct params *params, struct err *err);

/* origin_headers: into out the Vary line, and the CORS lines for the request's Origin. False: the
 * Origin is neither this host nor configured; a WebSocket from there is refused. */
bool origin_headers(
    const struct config *config, const struct http_request *request, struct buf *out);

#endif
