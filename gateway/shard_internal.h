/* shard_internal: what shard.c (the loop), shard_accept.c (listening sockets) and shard_service.c
 * (which sockets libwebsockets is shown) share. Shard thread, but where it says init. */
#ifndef HEADGATE_SHARD_INTERNAL_H
#define HEADGATE_SHARD_INTERNAL_H

#include "feed.h"
#include "shard.h"
#include "sleeper.h"

#include <libwebsockets.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdatomic.h>

TAILQ_HEAD(conn_list, conn);

struct port {
    struct lws_vhost *vhost;
    struct lws *wsi; /* the listening socket; NULL once closed */
    int fd;
    bool tls;
    bool owed; /* clients may wait */
};

struct shard {
    const struct config *config;
    size_t index;
    char name[16];
    struct handler handler;
    struct outlet *outlets;
    size_t n_outlets;
    struct privates *privates; /* NULL on the admin's shard */
    struct catchups *catchups; /* NULL where nothing is caught up */
    struct push_home *pushes;  /* posts with news */
    struct coder *coder;
    struct lws_log *lws_log;
    struct lws_context *context;
    struct lws_vhost *vhost; /* clear text */
    SSL_CTX *client_tls;     /* of the TLS vhosts; never used */
    struct port *ports;
    size_t n_ports;
    struct conn_list conns; /* whose tick is due first: foremost */
    struct conn_list owed;  /* to be looked at without a rest before */
    size_t n_owed;
    struct conn **by_fd; /* NULL: that is none of a connection */
    size_t n_by_fd;
    struct session_list paced;
    uint64_t n_filters; /* filtered feeds of all outlets */
    struct sleeper sleeper;
    bool owes_service; /* libwebsockets is to look at all its descriptors and timers now */
    int64_t tick_at_ns, pace_at_ns, service_at_ns;
    uint64_t max_connections;
    int spare;
    uint64_t refused_local;
    int64_t now_ms;
    bool draining;
    pthread_t thread;
    bool running, halted;
    atomic_bool drain_asked, stop_asked;
    atomic_uint_fast64_t connections, refused;
    atomic_int_fast64_t alive_ns;
};

/* Of all vhosts of a shard: the first one is that of raw sockets. */
extern const struct lws_protocols shard_protocols[];

/* shard_watch_ports: let the loop see clients that wait; no port is added after that. Errors -1 and
 * err. Thread init. */
int shard_watch_ports(struct shard *shard, struct err *err);

/* shard_is_owed: a look must come before a rest. shard_serve_news: look at those that sleeper_rest
 * told of. shard_serve_owed: at those that are owed, once. */
bool shard_is_owed(const struct shard *shard);
void shard_serve_news(struct shard *shard, const int *fds, size_t n);
void shard_serve_owed(struct shard *shard);

/* shard_accept: take those that wait at port, up to a budget. */
void shard_accept(struct shard *shard, const struct port *port);

/* shard_forget_listener: the library has closed wsi. */
void shard_forget_listener(struct shard *shard, const struct lws *wsi);

#endif
