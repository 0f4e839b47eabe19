/* llm_server: see llm_server.h. */
#include "llm_server.h"

#include "../../gateway/mem.h"

#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define REQUESTS_MAX 4096

struct llm_server {
    const struct llm_script *scripts;
    size_t n_scripts;
    int listener;
    char url[64];
    char ca[64];
    SSL_CTX *tls;
    pthread_t thread;
    atomic_bool stopping;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    size_t n_requests, n_closed, n_live;
    atomic_size_t sent;
    char *requests[REQUESTS_MAX];
};

struct visit {
    struct llm_server *server;
    int fd;
    SSL *tls;
};

/* ---- a certificate ---- */

static void
make_certificate(struct llm_server *server)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *cert = X509_new();
    X509_set_version(cert, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(cert), 1);
    X509_gmtime_adj(X509_getm_notBefore(cert), -3600);
    X509_gmtime_adj(X509_getm_notAfter(cert), 86400);
    X509_set_pubkey(cert, key);
    X509_NAME *name = X509_get_subject_name(cert);
    X509_NAME_add_entry_by_txt(
        name, "CN", MBSTRING_ASC, (const unsigned char *)"a test of headgate", -1, -1, 0);
    X509_set_issuer_name(cert, name);
    X509_EXTENSION *alt = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, "IP:127.0.0.1");
    X509_EXTENSION *ca = X509V3_EXT_conf_nid(NULL, NULL, NID_basic_constraints, "critical,CA:TRUE");
    X509_add_ext(cert, alt, -1);
    X509_add_ext(cert, ca, -1);
    X509_EXTENSION_free(alt);
    X509_EXTENSION_free(ca);
    ck_assert_int_gt(X509_sign(cert, key, EVP_sha256()), 0);
    server->tls = SSL_CTX_new(TLS_server_method());
    ck_assert_int_eq(SSL_CTX_use_certificate(server->tls, cert), 1);
    ck_assert_int_eq(SSL_CTX_use_PrivateKey(server->tls, key), 1);
    snprintf(server->ca, sizeof server->ca, "/tmp/headgate-llm-XXXXXX");
    int fd = mkstemp(server->ca);
    ck_assert_int_ge(fd, 0);
    FILE *file = fdopen(fd, "w");
    ck_assert_int_eq(PEM_write_X509(file, cert), 1);
    fclose(file);
    X509_free(cert);
    EVP_PKEY_free(key);
}

/* ---- a connection ---- */

static long
take(struct visit *visit, char *bytes, size_t len)
{
    return visit->tls != NULL ? SSL_read(visit->tls, bytes, (int)len)
                              : (long)recv(visit->fd, bytes, len, 0);
}

static long
give(struct visit *visit, const char *bytes, size_t len)
{
    return visit->tls != NULL ? SSL_write(visit->tls, bytes, (int)len)
                              : (long)send(visit->fd, bytes, len, MSG_NOSIGNAL);
}

/* The head and Content-Length bytes; NULL: the client went before. */
static char *
read_request(struct visit *visit)
{
    size_t len = 0, cap = 1 << 16;
    char *request = mem_calloc(cap, 1);
    for (;;) {
        long got = take(visit, request + len, cap - len - 1);
        if (got <= 0) {
            free(request);
            return NULL;
        }
        len += (size_t)got;
        const char *body = strstr(request, "\r\n\r\n");
        const char *length = strcasestr(request, "\r\nContent-Length:");
        size_t want = length == NULL ? 0 : strtoul(length + 17, NULL, 10);
        if (body != NULL && len >= (size_t)(body + 4 - request) + want) {
            return request;
        }
    }
}

static const struct llm_script *
note_request(struct llm_server *server, char *request)
{
    pthread_mutex_lock(&server->lock);
    size_t n = server->n_requests++;
    ck_assert_uint_lt(n, REQUESTS_MAX);
    server->requests[n] = request;
    pthread_cond_broadcast(&server->changed);
    pthread_mutex_unlock(&server->lock);
    return &server->scripts[n < server->n_scripts ? n : server->n_scripts - 1];
}

/* false: the client has closed, or the test is over. */
static bool
play(struct visit *visit, const struct llm_script *script)
{
    for (size_t at = 0; at < script->len;) {
        size_t len = script->step > 0 ? script->step : script->len;
        len = len < script->len - at ? len : script->len - at;
        struct pollfd fd = {.fd = visit->fd, .events = POLLOUT};
        if (poll(&fd, 1, 50) == 0) {
            if (atomic_load(&visit->server->stopping)) {
                return false;
            }
            continue;
        }
        long sent = give(visit, script->bytes + at, len);
        if (sent <= 0) {
            return false;
        }
        at += (size_t)sent;
        atomic_fetch_add(&visit->server->sent, (size_t)sent);
    }
    return true;
}

static void
stall(struct visit *visit)
{
    struct llm_server *server = visit->server;
    struct pollfd fd = {.fd = visit->fd, .events = POLLIN};
    while (!atomic_load(&server->stopping) && poll(&fd, 1, 20) == 0) {
    }
    pthread_mutex_lock(&server->lock);
    server->n_closed += !atomic_load(&server->stopping);
    pthread_cond_broadcast(&server->changed);
    pthread_mutex_unlock(&server->lock);
}

static void
serve(struct visit *visit)
{
    if (visit->tls != NULL && SSL_accept(visit->tls) != 1) {
        return;
    }
    char *request = read_request(visit);
    if (request == NULL) {
        return;
    }
    const struct llm_script *script = note_request(visit->server, request);
    bool whole = play(visit, script);
    if (!whole || script->then == LLM_THEN_STALL) {
        stall(visit);
    } else if (script->then == LLM_THEN_RESET) {
        struct linger linger = {.l_onoff = 1};
        setsockopt(visit->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
    } else {
        shutdown(visit->fd, SHUT_WR);
    }
}

static void *
visit_main(void *visit_)
{
    struct visit *visit = visit_;
    struct llm_server *server = visit->server;
    serve(visit);
    SSL_free(visit->tls);
    close(visit->fd);
    free(visit);
    pthread_mutex_lock(&server->lock);
    server->n_live--;
    pthread_cond_broadcast(&server->changed);
    pthread_mutex_unlock(&server->lock);
    return NULL;
}

static void *
server_main(void *server_)
{
    struct llm_server *server = server_;
    for (;;) {
        int fd = accept(server->listener, NULL, NULL);
        if (fd < 0) {
            return NULL; /* shut down */
        }
        struct visit *visit = mem_calloc(1, sizeof *visit);
        visit->server = server;
        visit->fd = fd;
        if (server->tls != NULL) {
            visit->tls = SSL_new(server->tls);
            SSL_set_fd(visit->tls, fd);
        }
        pthread_mutex_lock(&server->lock);
        server->n_live++;
        pthread_mutex_unlock(&server->lock);
        pthread_attr_t attributes;
        pthread_t thread;
        pthread_attr_init(&attributes);
        pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
        pthread_attr_setstacksize(&attributes, (size_t)256 << 10);
        ck_assert_int_eq(pthread_create(&thread, &attributes, visit_main, visit), 0);
        pthread_attr_destroy(&attributes);
    }
}

/* ---- from outside ---- */

struct llm_server *
llm_server_new(const struct llm_script *scripts, size_t n, bool tls)
{
    struct llm_server *server = mem_calloc(1, sizeof *server);
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t len = sizeof address;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    server->scripts = scripts;
    server->n_scripts = n;
    pthread_mutex_init(&server->lock, NULL);
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&server->changed, &monotonic);
    pthread_condattr_destroy(&monotonic);
    if (tls) {
        make_certificate(server);
    }
    server->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(bind(server->listener, (struct sockaddr *)&address, len), 0);
    ck_assert_int_eq(listen(server->listener, 4096), 0);
    ck_assert_int_eq(getsockname(server->listener, (struct sockaddr *)&address, &len), 0);
    snprintf(server->url, sizeof server->url, "%s://127.0.0.1:%d", tls ? "https" : "http",
        ntohs(address.sin_port));
    ck_assert_int_eq(pthread_create(&server->thread, NULL, server_main, server), 0);
    return server;
}

void
llm_server_free(struct llm_server *server)
{
    atomic_store(&server->stopping, true);
    shutdown(server->listener, SHUT_RDWR);
    pthread_join(server->thread, NULL);
    close(server->listener);
    pthread_mutex_lock(&server->lock);
    while (server->n_live > 0) {
        pthread_cond_wait(&server->changed, &server->lock);
    }
    pthread_mutex_unlock(&server->lock);
    for (size_t i = 0; i < server->n_requests; i++) {
        free(server->requests[i]);
    }
    if (server->tls != NULL) {
        unlink(server->ca);
    }
    SSL_CTX_free(server->tls);
    pthread_cond_destroy(&server->changed);
    pthread_mutex_destroy(&server->lock);
    free(server);
}

const char *
llm_server_ca(const struct llm_server *server)
{
    return server->ca;
}

const char *
llm_server_url(const struct llm_server *server)
{
    return server->url;
}

size_t
llm_server_requests(struct llm_server *server)
{
    pthread_mutex_lock(&server->lock);
    size_t n = server->n_requests;
    pthread_mutex_unlock(&server->lock);
    return n;
}

const char *
llm_server_request(struct llm_server *server, size_t n)
{
    pthread_mutex_lock(&server->lock);
    ck_assert_uint_lt(n, server->n_requests);
    const char *request = server->requests[n];
    pthread_mutex_unlock(&server->lock);
    return request;
}

size_t
llm_server_sent(struct llm_server *server)
{
    return atomic_load(&server->sent);
}

bool
llm_server_wait_closed(struct llm_server *server, size_t n, int seconds)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += seconds;
    pthread_mutex_lock(&server->lock);
    int rc = 0;
    while (server->n_closed < n && rc == 0) {
        rc = pthread_cond_timedwait(&server->changed, &server->lock, &until);
    }
    bool closed = server->n_closed >= n;
    pthread_mutex_unlock(&server->lock);
    return closed;
}
