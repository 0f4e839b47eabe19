/* listener: listening sockets. Init and shard threads; never blocks. */
#include "listener.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define BACKLOG 1024
#define KEEPALIVE_IDLE_S 60
#define KEEPALIVE_INTERVAL_S 15
#define KEEPALIVE_COUNT 4

struct address {
    struct sockaddr_storage storage;
    socklen_t len;
};

static int
make_address(
    const struct config_listen *listen, uint16_t port, struct address *address, struct err *err)
{
    memset(address, 0, sizeof *address);
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&address->storage;
    struct sockaddr_in *v4 = (struct sockaddr_in *)&address->storage;
    const char *host = listen->host == NULL ? "::" : listen->host;
    if (inet_pton(AF_INET, host, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons(port);
        address->len = sizeof *v4;
        return 0;
    }
    if (inet_pton(AF_INET6, host, &v6->sin6_addr) == 1) {
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons(port);
        address->len = sizeof *v6;
        return 0;
    }
    err_set(err, ERR_INVALID, "listen %s: not a numeric address", host);
    return -1;
}

static int
bound_socket(const struct address *address, bool share_port, bool both_families)
{
    const int on = 1;
    const int off = 0;
    int fd = socket(address->storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        return -1;
    }
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (share_port) {
        setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
    }
    if (address->storage.ss_family == AF_INET6) {
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, both_families ? &off : &on, sizeof on);
    }
    if (bind(fd, (const struct sockaddr *)&address->storage, address->len) != 0) {
        int why = errno;
        close(fd);
        errno = why;
        return -1;
    }
    return fd;
}

static uint16_t
port_of(int fd)
{
    struct address bound = {.len = sizeof bound.storage};
    getsockname(fd, (struct sockaddr *)&bound.storage, &bound.len);
    return ntohs(bound.storage.ss_family == AF_INET6
                     ? ((const struct sockaddr_in6 *)&bound.storage)->sin6_port
                     : ((const struct sockaddr_in *)&bound.storage)->sin_port);
}

/* The first socket for an address is probed without SO_REUSEPORT: else a second gateway on the same
 * port would start without a word and take half of the connections. */
static int
probe(const struct address *address, bool both)
{
    int fd = bound_socket(address, false, both);
    if (fd < 0) {
        return -1;
    }
    close(fd);
    return 0;
}

int
listener_open(const struct config_listen *config, uint16_t *port, struct err *err)
{
    struct address address;
    bool both = config->host == NULL;
    bool first = *port == 0;
    uint16_t want = *port != 0 ? *port : config->port;
    if (make_address(config, want, &address, err) != 0) {
        return -1;
    }
    int fd = -1;
    if ((first && want != 0 && probe(&address, both) != 0) ||
        (fd = bound_socket(&address, true, both)) < 0 || listen(fd, BACKLOG) != 0) {
        int why = errno;
        if (fd >= 0) {
            close(fd);
        }
        err_set_errno(err, why, "listen %s port %u", config->host == NULL ? "*" : config->host,
            (unsigned)want);
        return -1;
    }
    *port = port_of(fd);
    return fd;
}

int
listener_spare(void)
{
    return open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static void
set_options(int fd, uint64_t send_buffer_bytes)
{
    const int on = 1;
    const int idle = KEEPALIVE_IDLE_S;
    const int interval = KEEPALIVE_INTERVAL_S;
    const int count = KEEPALIVE_COUNT;
    int buffer = (int)send_buffer_bytes;
    /* Without a bound a reader that is stuck holds 4 MB of kernel memory. */
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &buffer, sizeof buffer);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof interval);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof count);
}

/* Errors after which the client still waits in the backlog. */
static bool
is_shortage(int error)
{
    return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM;
}

/* Give *spare up to get rid of one client. 0; or -1 when there is none after all (EMFILE comes
 * before a look at the backlog), or LISTENER_STARVED when that did not help. */
static int
refuse_one(int fd, int *spare, uint64_t *refused)
{
    close(*spare);
    int client = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
    int why = errno;
    if (client >= 0) {
        close(client);
        ++*refused;
    }
    *spare = listener_spare();
    return client >= 0 ? 0 : is_shortage(why) ? LISTENER_STARVED : -1;
}

int
listener_accept(int fd, uint64_t send_buffer_bytes, int *spare, uint64_t *refused)
{
    if (*spare < 0) { /* another thread was quicker the last time */
        *spare = listener_spare();
    }
    for (;;) {
        int client = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (client >= 0) {
            set_options(client, send_buffer_bytes);
            return client;
        }
        if (errno == EINTR || errno == ECONNABORTED) {
            continue;
        }
        if (!is_shortage(errno)) {
            return -1;
        }
        int refusal = *spare < 0 ? LISTENER_STARVED : refuse_one(fd, spare, refused);
        if (refusal != 0) {
            return refusal;
        }
    }
}
