/* shard_accept: a shard's listening sockets: opening them, accepting within limits, TLS. Shard
 * thread once it runs. */
#include "shard_internal.h"

#include "listener.h"
#include "lws_log.h"
#include "mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* Connections accepted in one go before others get a turn. */
#define ACCEPT_BUDGET 64
/* With clients waiting that can be neither accepted nor refused the listening socket stays
 * readable: without a rest poll(2) would spin. Subscribers are served in between. */
#define STARVED_REST_NS 5000000

#define FULL_BODY                                                                                  \
    "{\"type\":\"about:blank\",\"title\":\"Service Unavailable\",\"status\":503,"                  \
    "\"detail\":\"the connection limit is reached\"}\n"

static void
refuse_full(struct shard *shard, const struct port *port, int fd)
{
    if (!port->tls) {
        char answer[512];
        int len = snprintf(answer, sizeof answer,
            "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/problem+json\r\n"
            "Content-Length: %zu\r\nRetry-After: 5\r\nConnection: close\r\n\r\n%s",
            sizeof FULL_BODY - 1, FULL_BODY);
        /* A request that is left unread would make close() send a reset, which may overtake it. */
        char unread[4096];
        for (int i = 0; i < 8 && recv(fd, unread, sizeof unread, MSG_DONTWAIT) > 0; i++) {
        }
        ssize_t ignored = send(fd, answer, (size_t)len, MSG_NOSIGNAL);
        (void)ignored;
        shutdown(fd, SHUT_WR);
    }
    close(fd);
    shard->refused_local++;
}

static void
adopt(struct shard *shard, const struct port *port, int fd)
{
    if (sleeper_watch(&shard->sleeper, fd) != 0) {
        close(fd);
        return;
    }
    lws_adoption_type type = port->tls ? LWS_ADOPT_SOCKET | LWS_ADOPT_ALLOW_SSL : LWS_ADOPT_SOCKET;
    lws_sock_file_fd_type descriptor = {.sockfd = fd};
    struct lws *wsi =
        lws_adopt_descriptor_vhost(port->vhost, type, descriptor, shard_protocols[0].name, NULL);
    if (wsi != NULL) {
        lws_set_opaque_user_data(wsi, conn_new(shard, wsi, fd, port->tls));
        atomic_fetch_add_explicit(&shard->connections, 1, memory_order_relaxed);
    }
}

void
shard_accept(struct shard *shard, const struct port *port)
{
    for (int i = 0; i < ACCEPT_BUDGET; i++) {
        int fd = listener_accept(
            port->fd, shard->config->send_buffer_bytes, &shard->spare, &shard->refused_local);
        if (fd == LISTENER_STARVED) {
            nanosleep(&(struct timespec){.tv_nsec = STARVED_REST_NS}, NULL);
        }
        if (fd < 0) {
            break;
        }
        if (atomic_load_explicit(&shard->connections, memory_order_relaxed) >=
            shard->max_connections) {
            refuse_full(shard, port, fd);
        } else {
            adopt(shard, port, fd);
        }
    }
    atomic_store_explicit(&shard->refused, shard->refused_local, memory_order_relaxed);
}

void
shard_forget_listener(struct shard *shard, const struct lws *wsi)
{
    for (size_t i = 0; i < shard->n_ports; i++) {
        if (shard->ports[i].wsi == wsi) {
            shard->ports[i].wsi = NULL;
        }
    }
}

static struct lws_vhost *
tls_vhost(struct shard *shard, const struct config_listen *config, struct err *err)
{
    char name[32];
    snprintf(name, sizeof name, "tls-%zu", shard->n_ports);
    /* Without one libwebsockets makes a client's context too, with all authorities of the system,
     * and with several contexts in a process it does not find it again to free it. */
    if (shard->client_tls == NULL) {
        shard->client_tls = SSL_CTX_new(TLS_client_method());
    }
    struct lws_context_creation_info info = {
        .port = CONTEXT_PORT_NO_LISTEN_SERVER,
        .protocols = shard_protocols,
        .options = LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT,
        .provided_client_ssl_ctx = shard->client_tls,
        .ssl_cert_filepath = config->tls_cert,
        .ssl_private_key_filepath = config->tls_key,
        .alpn = "http/1.1",
        .vhost_name = name,
    };
    lws_log_use(shard->lws_log, &info);
    struct lws_vhost *vhost = lws_create_vhost(shard->context, &info);
    if (vhost == NULL) {
        err_set(err, ERR_INVALID, "listen: cannot use the certificate %s with the key %s",
            config->tls_cert, config->tls_key);
    }
    return vhost;
}

int
shard_listen(
    struct shard *shard, const struct config_listen *listen, uint16_t *port, struct err *err)
{
    struct lws_vhost *vhost = shard->vhost;
    if (listen->tls_cert != NULL && (vhost = tls_vhost(shard, listen, err)) == NULL) {
        return -1;
    }
    int fd = listener_open(listen, port, err);
    if (fd < 0) {
        return -1;
    }
    shard->ports = mem_realloc(shard->ports, (shard->n_ports + 1) * sizeof *shard->ports);
    shard->ports[shard->n_ports++] =
        (struct port){.vhost = vhost, .fd = fd, .tls = listen->tls_cert != NULL};
    return 0;
}

/* The ports array no longer moves: the library may point into it. */
int
shard_watch_ports(struct shard *shard, struct err *err)
{
    for (size_t i = 0; i < shard->n_ports; i++) {
        struct port *port = &shard->ports[i];
        lws_sock_file_fd_type descriptor = {.filefd = port->fd};
        port->wsi = lws_adopt_descriptor_vhost(
            shard->vhost, LWS_ADOPT_RAW_FILE_DESC, descriptor, shard_protocols[0].name, NULL);
        if (port->wsi == NULL || sleeper_watch(&shard->sleeper, port->fd) != 0) {
            err_set(err, ERR_SYSTEM, "%s: cannot watch a listening socket", shard->name);
            return -1;
        }
        lws_set_opaque_user_data(port->wsi, port);
    }
    return 0;
}
