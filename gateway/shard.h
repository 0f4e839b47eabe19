/* shard: one service thread: its own event loop (a libwebsockets context), listening sockets,
 * connections and outlets. Shards share nothing but the streams' rings.
 *
 * Every listening socket is made by shard_listen with SO_REUSEPORT, one for each shard, and
 * accepted by us, so that a connection limit and a lack of descriptors are met by a refusal and not
 * by a spin. Thread  init for new, listen, start, drain, stop, free; shard for the rest, unless it
 * says any. */
#ifndef HEADGATE_SHARD_H
#define HEADGATE_SHARD_H

#include "config.h"
#include "conn.h"
#include "err.h"
#include "stream.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct catchups;
struct coder;
struct privates;
struct push_home;
struct feed;
struct outlet;
struct reaper;
struct session;
struct shard;

/* What a shard serves: the public streams, or the admin listener. */
struct handler {
    /* request: answer request on conn by conn_reply, conn_problem or conn_stream. A body is read
     * only where wants_body says so, and then up to HTTP_BODY_MAX; else the request is answered and
     * closed. wants_body NULL: never. */
    void (*request)(void *self, struct conn *conn, const struct http_request *request);
    void *self;
    bool (*wants_body)(const struct http_request *request);
};

struct shard_options {
    const struct config *config;
    size_t index;
    struct stream *const *streams; /* outlets are made for these; may be none */
    size_t n_streams;
    struct handler handler;
    uint64_t max_connections;
    size_t catchup_readers; /* at most; 0: none */
    struct reaper *reaper;  /* for those; outlives the shard's thread */
    const char *name;       /* "shard-0": for logs and the thread's name */
};

/* shard_new: errors NULL and err. */
struct shard *shard_new(const struct shard_options *options, struct err *err);

/* shard_listen: serve on address. With port 0 the kernel chooses and *port says which; several
 * shards then pass that port. Errors -1 and err ("listen 0.0.0.0:8080: Address already in use"). */
int shard_listen(
    struct shard *shard, const struct config_listen *listen, uint16_t *port, struct err *err);

int shard_start(struct shard *shard, struct err *err); /* the thread runs */

/* shard_drain: stop accepting, say goodbye to every subscriber, close idle connections. any. */
void shard_drain(struct shard *shard);
/* shard_connections: open now. any. */
uint64_t shard_connections(const struct shard *shard);
/* shard_refused: connections refused at the limit. any. */
uint64_t shard_refused(const struct shard *shard);
/* shard_alive_ns: monotonic time of its loop's last tick. any. */
int64_t shard_alive_ns(const struct shard *shard);
const char *shard_name(const struct shard *shard); /* any */

/* shard_halt: end the thread and every catch-up reader: nobody wakes the shard any more.
 * shard_stop: then cut the connections that are left. */
void shard_halt(struct shard *shard);
void shard_stop(struct shard *shard);
void shard_free(struct shard *shard); /* NULL-safe; after stop */

/* shard_wake: streams have news. One pending wake is enough. any. Blocks no. */
void shard_wake(void *shard);

size_t shard_index(const struct shard *shard);
const struct config *shard_config(const struct shard *shard);
int64_t shard_now_ms(const struct shard *shard);  /* monotonic, as of the last event */
int64_t shard_wall_ms(const struct shard *shard); /* Unix milliseconds */
bool shard_draining(const struct shard *shard);

/* shard_request: pass a parsed request to the handler. */
void shard_request(struct shard *shard, struct conn *conn, const struct http_request *request);
bool shard_wants_body(const struct shard *shard, const struct http_request *request);

/* shard_outlet: of the stream with that index in options.streams. */
struct outlet *shard_outlet(struct shard *shard, size_t stream);

/* shard_filter_take: room for one more filtered feed; false: limits.filters are there already. A
 * session that moves to another lane with its filter is never refused. */
bool shard_filter_take(struct shard *shard, bool moving);
void shard_filter_release(struct shard *shard);

/* shard_pace, shard_unpace: a paced session is pumped every few milliseconds. */
void shard_pace(struct shard *shard, struct session *session);
void shard_unpace(struct shard *shard, struct session *session);

/* shard_coder: compresses for all of the shard's sessions. */
struct coder *shard_coder(struct shard *shard);

/* shard_privates: its private streams; NULL on the admin's shard. */
struct privates *shard_privates(struct shard *shard);

/* shard_pushes: its posts that have news. */
struct push_home *shard_pushes(struct shard *shard);

/* shard_catchups: who waits for what the rings do not hold, and its readers. */
struct catchups *shard_catchups(struct shard *shard);

/* shard_owe: conn is to be written, closed, or read again: it is looked at without a rest before.
 * shard_owe_service: libwebsockets looks at all that it has then, which costs more the more that
 * is: where it keeps something for later. */
void shard_owe(struct shard *shard, struct conn *conn);
void shard_owe_service(struct shard *shard);

/* shard_add, shard_remove: a connection's place in the shard's lists. */
void shard_add(struct shard *shard, struct conn *conn);
void shard_remove(struct shard *shard, struct conn *conn);

#endif
