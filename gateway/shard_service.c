/* shard_service: which sockets libwebsockets is shown, and when. Its own way is to poll(2) all that
 * it has at each turn: 0.2 to 1 ms for each thing that one of 3,000 clients says. So it is shown
 * the one that has news, and again until that has none. Shard thread. */
#include "shard_internal.h"

#include "conn.h"
#include "mem.h"

#include <poll.h>
#include <string.h>

#define LOOKS 4 /* at one connection, in one turn */

void
shard_add(struct shard *shard, struct conn *conn)
{
    size_t fd = (size_t)conn->fd;
    if (fd >= shard->n_by_fd) {
        size_t n = 2 * fd + 64;
        shard->by_fd = mem_realloc(shard->by_fd, n * sizeof(struct conn *));
        memset(shard->by_fd + shard->n_by_fd, 0, (n - shard->n_by_fd) * sizeof(struct conn *));
        shard->n_by_fd = n;
    }
    shard->by_fd[fd] = conn;
    TAILQ_INSERT_TAIL(&shard->conns, conn, link);
}

static void
pay(struct shard *shard, struct conn *conn)
{
    TAILQ_REMOVE(&shard->owed, conn, owed_link);
    conn->owed = false;
    shard->n_owed--;
}

void
shard_remove(struct shard *shard, struct conn *conn)
{
    if (conn->owed) {
        pay(shard, conn);
    }
    shard->by_fd[conn->fd] = NULL;
    TAILQ_REMOVE(&shard->conns, conn, link);
}

void
shard_owe(struct shard *shard, struct conn *conn)
{
    if (!conn->owed) {
        TAILQ_INSERT_TAIL(&shard->owed, conn, owed_link);
        conn->owed = true;
        shard->n_owed++;
    }
}

void
shard_owe_service(struct shard *shard)
{
    shard->owes_service = true;
}

bool
shard_is_owed(const struct shard *shard)
{
    bool owed = shard->owes_service || shard->n_owed > 0;
    for (size_t i = 0; i < shard->n_ports; i++) {
        owed |= shard->ports[i].owed;
    }
    return owed;
}

static struct conn *
by_fd(const struct shard *shard, int fd)
{
    return (size_t)fd < shard->n_by_fd ? shard->by_fd[fd] : NULL;
}

/* What OpenSSL has read beside what it was asked for is no news of the socket. */
static bool
has_news(const struct conn *conn, struct lws_pollfd *pollfd)
{
    short events = conn_body_blocked(conn) ? 0 : POLLIN;
    if (conn->wants_write) {
        events |= POLLOUT;
    }
    *pollfd = (struct lws_pollfd){.fd = conn->fd, .events = events};
    if (poll(pollfd, 1, 0) < 0) {
        pollfd->revents = 0;
    }
    if (conn->tls) {
        pollfd->revents |= events & POLLIN;
    }
    return pollfd->revents != 0;
}

static bool
shakes_hands(const struct conn *conn)
{
    const SSL *ssl = conn->tls ? lws_get_ssl(conn->wsi) : NULL;
    return ssl != NULL && !SSL_is_init_finished(ssl);
}

static void
serve(struct shard *shard, struct conn *conn)
{
    struct lws_pollfd pollfd;
    int fd = conn->fd;
    if (conn->dead) {
        lws_set_timeout(conn->wsi, PENDING_TIMEOUT_USER_OK, LWS_TO_KILL_SYNC);
        return;
    }
    if (!has_news(conn, &pollfd)) {
        return;
    }
    bool began = shakes_hands(conn);
    lws_service_fd(shard->context, &pollfd);
    /* The end of a handshake tells us nothing, and what came behind it may be there already. */
    if (began && by_fd(shard, fd) == conn && !shakes_hands(conn)) {
        shard_owe(shard, conn);
    }
}

/* Most have nothing left at the second look; who has more waits for the others. */
static void
serve_some(struct shard *shard, struct conn *conn)
{
    int fd = conn->fd;
    for (int i = 0; i < LOOKS && by_fd(shard, fd) == conn && conn->owed; i++) {
        pay(shard, conn);
        serve(shard, conn);
    }
}

static void
serve_port(struct shard *shard, struct port *port)
{
    struct lws_pollfd pollfd = {.fd = port->fd, .events = POLLIN};
    port->owed = port->wsi != NULL && poll(&pollfd, 1, 0) > 0;
    if (port->owed) {
        lws_service_fd(shard->context, &pollfd);
    }
}

void
shard_serve_news(struct shard *shard, const int *fds, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct conn *conn = by_fd(shard, fds[i]);
        if (conn != NULL) {
            shard_owe(shard, conn);
        }
        for (size_t k = 0; k < shard->n_ports; k++) {
            shard->ports[k].owed |= shard->ports[k].fd == fds[i];
        }
    }
}

void
shard_serve_owed(struct shard *shard)
{
    for (size_t i = 0; i < shard->n_ports; i++) {
        if (shard->ports[i].owed) {
            serve_port(shard, &shard->ports[i]);
        }
    }
    struct conn *conn;
    for (size_t left = shard->n_owed; left > 0 && (conn = TAILQ_FIRST(&shard->owed)) != NULL;
         left--) {
        serve_some(shard, conn);
    }
}
