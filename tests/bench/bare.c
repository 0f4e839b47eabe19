/* bare: the limit that a fan-out server on epoll and send(2) has on this machine. One thread, no
 * protocol but the WebSocket handshake, no back-pressure: it makes a batch of records, frames it
 * once, and sends it to every client.
 *
 *   bare [--port P] [--size BYTES] [--batch B] [--rate RECORDS_PER_S] [--sndbuf BYTES]
 *
 * --rate 0 is as fast as it goes. A client whose socket is full loses that batch; the rest of a
 * batch that was sent in part goes first when there is room again. On SIGTERM one JSON line tells
 * what was sent and dropped. */
#include "../../gateway/clock.h"
#include "../../gateway/mem.h"
#include "sockets.h"

#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/tcp.h>
#include <openssl/evp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#define MAX_EVENTS 256
#define SECOND_NS INT64_C(1000000000)

struct client {
    int fd;
    bool open;  /* the handshake is done */
    char *rest; /* of a batch that was sent in part */
    size_t rest_len;
};

struct bare {
    unsigned port, batch;
    size_t size;
    int sndbuf;
    double rate;
    int epoll, listener, timer;
    struct client **clients; /* in the order of their arrival */
    size_t n_clients, cap_clients;
    uint64_t seq, sends, full, dropped_records;
    int64_t begin_ns;
    char *frames;
};

static volatile sig_atomic_t stopping;

static void
on_signal(int number)
{
    (void)number;
    stopping = 1;
}

static void
die(const char *what)
{
    fprintf(stderr, "bare: %s: %s\n", what, strerror(errno));
    exit(EXIT_FAILURE);
}

static void
watch(struct bare *bare, int fd, void *tag)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = tag};
    if (epoll_ctl(bare->epoll, EPOLL_CTL_ADD, fd, &event) != 0) {
        die("epoll_ctl");
    }
}

static void
listen_on(struct bare *bare)
{
    bare->listener = sockets_listen(&bare->port);
    if (bare->listener < 0) {
        die("listen");
    }
    printf("listening %u\n", bare->port);
    fflush(stdout);
    watch(bare, bare->listener, &bare->listener);
}

static void
accept_all(struct bare *bare)
{
    int fd;
    while ((fd = accept4(bare->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        int on = 1;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        if (bare->sndbuf != 0) {
            setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bare->sndbuf, sizeof bare->sndbuf);
        }
        if (bare->n_clients == bare->cap_clients) {
            bare->cap_clients = bare->cap_clients == 0 ? 64 : bare->cap_clients * 2;
            bare->clients = mem_realloc(bare->clients, bare->cap_clients * sizeof *bare->clients);
        }
        struct client *client = mem_calloc(1, sizeof *client);
        client->fd = fd;
        bare->clients[bare->n_clients++] = client;
        watch(bare, fd, client);
    }
}

static void
client_close(struct bare *bare, struct client *client)
{
    for (size_t i = 0; i < bare->n_clients; i++) {
        if (bare->clients[i] == client) {
            bare->clients[i] = bare->clients[--bare->n_clients];
            break;
        }
    }
    close(client->fd);
    free(client->rest);
    free(client);
}

/* RFC 6455 section 4.2.2: the accept key of the client's nonce. */
static void
accept_key(char out[64], const char *nonce, size_t len)
{
    char text[128];
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned digest_len;
    int text_len =
        snprintf(text, sizeof text, "%.*s258EAFA5-E914-47DA-95CA-C5AB0DC85B11", (int)len, nonce);
    EVP_Digest(text, (size_t)text_len, digest, &digest_len, EVP_sha1(), NULL);
    EVP_EncodeBlock((unsigned char *)out, digest, (int)digest_len);
}

/* A request comes in one piece on loopback; what a client says later is read and dropped. */
static void
client_read(struct bare *bare, struct client *client)
{
    static const char name[] = "Sec-WebSocket-Key: ";
    char request[4096], key[64], answer[256];
    ssize_t got = recv(client->fd, request, sizeof request - 1, 0);
    if (got <= 0) {
        client_close(bare, client);
        return;
    }
    if (client->open) {
        return;
    }
    request[got] = '\0';
    const char *nonce = strcasestr(request, name);
    if (nonce == NULL) {
        client_close(bare, client);
        return;
    }
    nonce += sizeof name - 1;
    accept_key(key, nonce, strcspn(nonce, "\r\n") & 63);
    int len = snprintf(answer, sizeof answer,
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Accept: %s\r\n\r\n",
        key);
    client->open = send(client->fd, answer, (size_t)len, MSG_NOSIGNAL) == len;
}

/* Records as the frames of unmasked text messages; returns the length of the batch. */
static size_t
make_batch(struct bare *bare, unsigned batch)
{
    char *at = bare->frames;
    for (unsigned i = 0; i < batch; i++) {
        *at++ = (char)0x81;
        if (bare->size < 126) {
            *at++ = (char)bare->size;
        } else {
            *at++ = 126;
            *at++ = (char)(bare->size >> 8);
            *at++ = (char)bare->size;
        }
        memset(at, 'x', bare->size);
        int len = sprintf(at, "{\"seq\":%llu,\"sent_ns\":%lld,\"pad\":\"",
            (unsigned long long)++bare->seq, (long long)clock_mono_ns());
        at[len] = 'x';
        memcpy(at + bare->size - 2, "\"}", 2);
        at += bare->size;
    }
    return (size_t)(at - bare->frames);
}

/* Returns whether nothing is left over from before. */
static bool
send_rest(struct bare *bare, struct client *client)
{
    if (client->rest_len == 0) {
        return true;
    }
    bare->sends++;
    errno = EAGAIN;
    ssize_t sent = send(client->fd, client->rest, client->rest_len, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent > 0) {
        client->rest_len -= (size_t)sent;
        memmove(client->rest, client->rest + sent, client->rest_len);
    }
    return client->rest_len == 0;
}

static void
send_batch(struct bare *bare, size_t len, unsigned batch)
{
    for (size_t i = 0; i < bare->n_clients; i++) {
        struct client *client = bare->clients[i];
        if (!client->open) {
            continue;
        }
        ssize_t sent = -1;
        if (send_rest(bare, client)) {
            bare->sends++;
            sent = send(client->fd, bare->frames, len, MSG_DONTWAIT | MSG_NOSIGNAL);
        }
        if (sent < 0) {
            bare->full += errno == EAGAIN;
            bare->dropped_records += batch;
        } else if ((size_t)sent < len) {
            client->rest_len = len - (size_t)sent;
            client->rest = mem_realloc(client->rest, client->rest_len);
            memcpy(client->rest, bare->frames + sent, client->rest_len);
        }
    }
}

/* How many records are due; the last ones of a late batch go with it. */
static unsigned
records_due(struct bare *bare)
{
    if (bare->rate <= 0) {
        return bare->batch;
    }
    double passed = (double)(clock_mono_ns() - bare->begin_ns) / (double)SECOND_NS;
    uint64_t due = (uint64_t)(passed * bare->rate);
    due -= due % bare->batch;
    return due <= bare->seq ? 0 : due - bare->seq > 4096 ? 4096 : (unsigned)(due - bare->seq);
}

static void
arm_timer(struct bare *bare)
{
    double next_s = (double)(bare->seq + bare->batch) / bare->rate;
    int64_t at_ns = bare->begin_ns + (int64_t)(next_s * (double)SECOND_NS) + 1;
    struct itimerspec when = {
        .it_value = {.tv_sec = at_ns / SECOND_NS, .tv_nsec = at_ns % SECOND_NS},
    };
    timerfd_settime(bare->timer, TFD_TIMER_ABSTIME, &when, NULL);
}

static void
serve_events(struct bare *bare)
{
    struct epoll_event events[MAX_EVENTS];
    bool waits = bare->rate > 0 || bare->n_clients == 0;
    int ready = epoll_wait(bare->epoll, events, MAX_EVENTS, waits ? 1000 : 0);
    for (int i = 0; i < ready; i++) {
        if (events[i].data.ptr == &bare->listener) {
            accept_all(bare);
        } else if (events[i].data.ptr != &bare->timer) {
            client_read(bare, events[i].data.ptr);
        }
    }
}

static void
serve(struct bare *bare)
{
    while (!stopping) {
        if (bare->rate > 0) {
            arm_timer(bare);
        }
        serve_events(bare);
        unsigned due = records_due(bare);
        if (due != 0 && bare->n_clients != 0) {
            send_batch(bare, make_batch(bare, due), due);
        } else {
            bare->seq += due;
        }
    }
}

static void
options_parse(struct bare *bare, int argc, char **argv)
{
    static const struct option long_options[] = {
        {"port", required_argument, NULL, 'p'},
        {"size", required_argument, NULL, 's'},
        {"batch", required_argument, NULL, 'b'},
        {"rate", required_argument, NULL, 'r'},
        {"sndbuf", required_argument, NULL, 'S'},
        {0},
    };
    int option;
    while ((option = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
        unsigned value = option == '?' ? 0 : (unsigned)strtoul(optarg, NULL, 10);
        switch (option) {
        case 'p':
            bare->port = value;
            break;
        case 's':
            bare->size = value < 80 ? 80 : value > UINT16_MAX ? UINT16_MAX : value;
            break;
        case 'b':
            bare->batch = value < 1 ? 1 : value > 4096 ? 4096 : value;
            break;
        case 'r':
            bare->rate = strtod(optarg, NULL);
            break;
        case 'S':
            bare->sndbuf = (int)value;
            break;
        default:
            exit(2);
        }
    }
}

int
main(int argc, char **argv)
{
    static struct bare bare = {.batch = 1, .size = 200};
    options_parse(&bare, argc, argv);
    struct sigaction action = {.sa_handler = on_signal};
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    sockets_raise_limit();
    bare.frames = mem_alloc(4096 * (bare.size + 4) + 1);
    bare.epoll = epoll_create1(EPOLL_CLOEXEC);
    bare.timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    bare.begin_ns = clock_mono_ns();
    watch(&bare, bare.timer, &bare.timer);
    listen_on(&bare);
    serve(&bare);
    printf("{\"server\":\"bare\",\"records\":%llu,\"sends\":%llu,\"full\":%llu,\"dropped\":%llu}\n",
        (unsigned long long)bare.seq, (unsigned long long)bare.sends, (unsigned long long)bare.full,
        (unsigned long long)bare.dropped_records);
    return EXIT_SUCCESS;
}
