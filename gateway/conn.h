/* conn: one client connection: its socket, what is read and not yet parsed, what is to be written,
 * and its deadline.
 *
 * libwebsockets carries it as a raw socket (and does TLS); HTTP and WebSocket are ours, see
 * DESIGN.md. Life: HEAD (reading a request) -> REPLY (a whole answer being written) -> HEAD again
 * or LINGER (written, shut down, waiting for the peer's FIN so that it is not met by a reset); or
 * HEAD -> STREAM (a session owns the connection) -> LINGER, or HEAD again where the streamed answer
 * came to its whole end; or HEAD -> BODY (a body goes to a sink as it arrives) -> REPLY. It is
 * freed only in the close callback of libwebsockets. conn_kill() asks for that and may be called
 * from anywhere on the shard, also twice.  Thread  shard. */
#ifndef HEADGATE_CONN_H
#define HEADGATE_CONN_H

#include "buf.h"
#include "http.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/types.h>

struct conn_body;
struct lws;
struct session;
struct shard;
struct transfer;

/* How long a finished connection waits for the peer's FIN, so that unread input does not make the
 * kernel answer with a reset that overtakes our last bytes. */
#define CONN_LINGER_MS 2000

/* A part of an open regular file. */
struct conn_file {
    int fd;
    uint64_t at, left;
};

enum conn_state { CONN_HEAD, CONN_BODY, CONN_REPLY, CONN_STREAM, CONN_LINGER };

struct conn {
    TAILQ_ENTRY(conn) link;      /* in the shard's list */
    TAILQ_ENTRY(conn) owed_link; /* among those that it looks at next, while owed */
    bool owed;
    struct shard *shard;
    struct lws *wsi;
    int fd;
    enum conn_state state;
    bool tls;
    bool dead;           /* conn_kill was called, or the socket failed */
    bool wants_write;    /* conn_writable is to be called */
    bool keep_alive;     /* after the answer, read the next request */
    int64_t deadline_ms; /* shard time at which it is killed; 0: none */
    struct buf in;
    struct buf out; /* of a reply */
    size_t out_at;
    uint64_t written_bytes; /* clear text: that the socket has taken */
    bool has_file;          /* the reply's body is file, behind what is in out */
    struct conn_file file;
    struct transfer *transfer; /* of that file, until the client has it all; NULL: none */
    uint64_t unacked_bytes;    /* of it, as of the last tick */
    struct buf sealed;         /* TLS: handed to OpenSSL and not yet in the socket */
    struct session *session;   /* while CONN_STREAM */
    struct conn_body *body;    /* while CONN_BODY; conn_body.c */
};

/* conn_new: for an accepted, non-blocking socket that libwebsockets has adopted as wsi. */
struct conn *conn_new(struct shard *shard, struct lws *wsi, int fd, bool tls);
void conn_free(struct conn *conn); /* the socket is closed by libwebsockets */

/* conn_send: as much of bytes as the socket takes now: 0 to len, or -1 when it is dead. Blocks no.
 */
ssize_t conn_send(struct conn *conn, const void *bytes, size_t len);
/* conn_want_write: call conn_writable once when the socket takes bytes again. */
void conn_want_write(struct conn *conn);
void conn_kill(struct conn *conn);
/* conn_peer_is_slow: bytes wait in the kernel and the peer's TCP still answers: it reads too slowly
 * to have seen our ping, it is not gone. */
bool conn_peer_is_slow(const struct conn *conn);

/* conn_written_bytes: how many bytes the socket has taken, of all that conn_send has; false while
 * some are still in between. conn_acked_bytes: how many of them the peer's TCP has acknowledged. */
bool conn_written_bytes(const struct conn *conn, uint64_t *bytes);
uint64_t conn_acked_bytes(const struct conn *conn);

/* conn_received, conn_writable: from the event loop. -1: close it now. */
int conn_received(struct conn *conn, const char *bytes, size_t len);
int conn_writable(struct conn *conn);
/* conn_tick: deadlines and the session's timers; every 250 ms. */
void conn_tick(struct conn *conn, int64_t now_ms);

/* conn_reply: answer the current request whole: status line, headers (each ended by CRLF, may be
 * ""), Content-Length, body (left out for HEAD). Then keep-alive or close, as the request and
 * keep_alive say. */
struct reply {
    int status;
    const char *content_type; /* NULL: no body */
    const char *headers;      /* extra header lines */
    const char *body;
    size_t body_len;
    bool close;    /* close although the request would let it live */
    bool has_file; /* the body is file in place of body: sent as the peer takes it, at most
                      timeouts.write without progress. Owned: closed on every outcome */
    struct conn_file file;
    struct transfer *transfer; /* of a file. Owned: ended on every outcome */
};
void conn_reply(struct conn *conn, const struct http_request *request, const struct reply *reply);

/* Who takes a request's body as it arrives. Each of these but gone may answer the request
 * (conn_body_reply), and the sink is told nothing more then. */
struct conn_sink {
    /* take: the next bytes of the body. Returns how many it took: fewer where it has no room, and
     * then nothing more is read until conn_body_go_on. */
    size_t (*take)(void *self, const char *bytes, size_t len);
    void (*end)(void *self); /* the body is whole */
    /* fault: it will not get whole: 400, framed wrongly; 408, nothing came for timeouts.body. */
    void (*fault)(void *self, int status, const char *text);
    void (*tick)(void *self, int64_t now_ms);
    void (*gone)(void *self); /* the connection has ended without an answer */
};

/* conn_take_body: the body of request, whose head is parsed, goes to the sink. The request need not
 * outlive the call. */
void conn_take_body(struct conn *conn, const struct http_request *request,
    const struct conn_sink *sink, void *self);

/* conn_body_reply: answer it. A body that is not whole yet is read no further, and the connection
 * closes. conn_body_go_on: the sink has room again, or has answered outside of take, end and fault:
 * go on with what is there. */
void conn_body_reply(struct conn *conn, const struct reply *reply);
void conn_body_go_on(struct conn *conn);

/* conn_body_release: its sink is told nothing more; it answers the request as if it had come
 * without a body: by conn_reply, conn_problem or conn_stream. With the body set in the request
 * (http_request.body) where it was whole: else the connection closes. */
void conn_body_release(struct conn *conn);

/* conn_body_keep: append the head of request as it came. conn_body_again: conn_body_release, and
 * request is what such a head says, without a body; it points into head. */
void conn_body_keep(const struct conn *conn, const struct http_request *request, struct buf *head);
void conn_body_again(struct conn *conn, const struct buf *head, struct http_request *request);

/* Of conn.c, for conn_body.c and it alone. conn_body_serve: pass on what is in conn->in; false when
 * nothing more is to be done with it now. conn_body_received: bytes came. */
bool conn_body_serve(struct conn *conn);
void conn_body_received(struct conn *conn);
void conn_body_free(struct conn *conn);
void conn_body_tick(struct conn *conn, int64_t now_ms);
/* conn_body_blocked: nothing is read now. */
bool conn_body_blocked(const struct conn *conn);
/* conn_serve: serve the whole requests in conn->in, one after the other, while each is answered at
 * once. */
void conn_serve(struct conn *conn);

/* conn_problem: an RFC 9457 application/problem+json answer; detail says what and where. */
void conn_problem(struct conn *conn, const struct http_request *request, int status,
    const char *headers, const char *detail);

/* conn_reply_raw: head is a whole response without a body; keep_alive: the connection lives on, as
 * head says. */
void conn_reply_raw(struct conn *conn, const struct buf *head, bool keep_alive);

/* conn_stream: the connection is session's from now on, and ends with it; who sets keep_alive now
 * has told the client so: it may send its next request once the answer is complete. */
void conn_stream(struct conn *conn, struct session *session);

/* conn_linger: everything is written: shut down our side and wait shortly for the peer's. */
void conn_linger(struct conn *conn);

#endif
