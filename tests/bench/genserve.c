/* genserve: a model's upstream that does nothing but speak: OpenAI's chat completions, as many
 * answers at once as are asked for, each at the same rate. One thread, epoll.
 *
 *   genserve [--port P] [--rate TOKENS_PER_S] [--tokens N] [--grain US]
 *
 * A token is an event of about 300 bytes in a chunk of its own, sent by one send(2), with the
 * CLOCK_MONOTONIC time before that in its text: "~" and twenty digits. The answers' phases are
 * spread evenly over the time between two tokens, in steps of --grain. --tokens 0: an answer goes
 * on until its reader leaves; else it ends after so many, and its connection takes another request.
 * On SIGTERM one JSON line tells what was sent. */
#include "../../gateway/clock.h"
#include "../../gateway/mem.h"
#include "sockets.h"

#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <unistd.h>

#define MAX_EVENTS 256
#define SECOND_NS INT64_C(1000000000)
#define REQUEST_MAX 65536
#define DIGITS 20
#define STRIDE 61 /* a prime: neighbours in time begin far apart, and all steps get as many */

#define HEAD                                                                                       \
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
#define EVENT_BEGIN                                                                                \
    "data: {\"id\":\"chatcmpl-AbCdEfGhIjKlMnOpQrStUvWxYz012\",\"object\":"                         \
    "\"chat.completion.chunk\",\"created\":1760000000,\"model\":\"bench-2026-01-01\","             \
    "\"service_tier\":\"default\",\"system_fingerprint\":\"fp_0123456789\",\"choices\":["
#define EVENT_END "]}\n\n"
#define DELTA EVENT_BEGIN "{\"index\":0,\"delta\":{\"content\":\" "
#define TOKEN_BEGIN DELTA "~"
#define TOKEN_END "\"},\"logprobs\":null,\"finish_reason\":null}" EVENT_END
#define STOP_END "\"},\"logprobs\":null,\"finish_reason\":\"stop\"}" EVENT_END
#define FINISH DELTA STOP_END "data: [DONE]\n\n"

struct client {
    int fd;
    bool speaking;
    uint64_t left; /* tokens; of --tokens */
    char *request; /* while it comes */
    size_t request_len;
    LIST_ENTRY(client) link; /* in its step, while it is spoken to */
};
LIST_HEAD(step, client);

struct genserve {
    unsigned port, rate;
    int64_t grain_ns;
    uint64_t tokens;
    int epoll, listener;
    struct step *steps; /* one for each grain between two tokens */
    uint64_t n_steps, answers, sent, cut, late_steps;
    uint64_t done; /* steps since begin_ns */
    int64_t begin_ns;
    char token[1024], finish[1024];
    size_t token_len, finish_len, digits_at;
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
    fprintf(stderr, "genserve: %s: %s\n", what, strerror(errno));
    exit(EXIT_FAILURE);
}

static void
watch(struct genserve *serve, int fd, void *tag)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = tag};
    if (epoll_ctl(serve->epoll, EPOLL_CTL_ADD, fd, &event) != 0) {
        die("epoll_ctl");
    }
}

static void
listen_on(struct genserve *serve)
{
    serve->listener = sockets_listen(&serve->port);
    if (serve->listener < 0) {
        die("listen");
    }
    watch(serve, serve->listener, &serve->listener);
}

static void
accept_all(struct genserve *serve)
{
    int fd;
    while ((fd = accept4(serve->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        int on = 1;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        struct client *client = mem_calloc(1, sizeof *client);
        client->fd = fd;
        watch(serve, fd, client);
    }
}

static void
client_close(struct client *client)
{
    if (client->speaking) {
        LIST_REMOVE(client, link);
    }
    close(client->fd);
    free(client->request);
    free(client);
}

/* Is the request whole? It has a Content-Length. */
static bool
is_whole(const struct client *client)
{
    const char *end = strstr(client->request, "\r\n\r\n");
    const char *length = strcasestr(client->request, "\r\ncontent-length:");
    size_t body = length == NULL ? 0 : strtoul(length + strlen("\r\ncontent-length:"), NULL, 10);
    return end != NULL && client->request_len >= (size_t)(end + 4 - client->request) + body;
}

static void
client_read(struct genserve *serve, struct client *client)
{
    if (client->request == NULL) {
        client->request = mem_alloc(REQUEST_MAX + 1);
        client->request_len = 0;
    }
    ssize_t got = recv(
        client->fd, client->request + client->request_len, REQUEST_MAX - client->request_len, 0);
    if (got <= 0) {
        client_close(client);
        return;
    }
    client->request_len += (size_t)got;
    client->request[client->request_len] = '\0';
    if (client->speaking || !is_whole(client)) {
        return;
    }
    free(client->request);
    client->request = NULL;
    client->speaking = true;
    client->left = serve->tokens;
    struct step *step = &serve->steps[serve->answers++ * STRIDE % serve->n_steps];
    LIST_INSERT_HEAD(step, client, link);
    if (send(client->fd, HEAD, strlen(HEAD), MSG_NOSIGNAL) != (ssize_t)strlen(HEAD)) {
        client_close(client);
    }
}

/* The time, as the digits of the token. */
static void
stamp(struct genserve *serve)
{
    int64_t now = clock_mono_ns();
    for (size_t i = DIGITS; i-- > 0; now /= 10) {
        serve->token[serve->digits_at + i] = (char)('0' + now % 10);
    }
}

/* A reader that lags by all that its socket holds is cut: nothing is queued here. */
static void
speak(struct genserve *serve, struct client *client)
{
    bool ends = serve->tokens != 0 && client->left-- == 0;
    const char *bytes = ends ? serve->finish : serve->token;
    size_t len = ends ? serve->finish_len : serve->token_len;
    stamp(serve);
    if (send(client->fd, bytes, len, MSG_NOSIGNAL) != (ssize_t)len) {
        serve->cut++;
        client_close(client);
    } else if (ends) {
        LIST_REMOVE(client, link);
        client->speaking = false;
    } else {
        serve->sent++;
    }
}

static void
run_step(struct genserve *serve)
{
    struct client *client = LIST_FIRST(&serve->steps[serve->done++ % serve->n_steps]);
    while (client != NULL) {
        struct client *next = LIST_NEXT(client, link);
        speak(serve, client);
        client = next;
    }
}

static int64_t
due_ns(const struct genserve *serve)
{
    return serve->begin_ns + (int64_t)serve->done * serve->grain_ns;
}

/* What is due, a round of all answers at the most: who asks must be heard too. */
static void
run_due(struct genserve *serve)
{
    uint64_t most = serve->done + serve->n_steps;
    int64_t now;
    while ((now = clock_mono_ns()) >= due_ns(serve) && serve->done < most) {
        serve->late_steps += now - due_ns(serve) > SECOND_NS / 1000;
        run_step(serve);
    }
}

static void
serve_events(struct genserve *serve)
{
    struct epoll_event events[MAX_EVENTS];
    int64_t left = due_ns(serve) - clock_mono_ns();
    struct timespec wait = {.tv_nsec = left > 0 ? left : 0};
    int ready = epoll_pwait2(serve->epoll, events, MAX_EVENTS, &wait, NULL);
    for (int i = 0; i < ready; i++) {
        if (events[i].data.ptr == &serve->listener) {
            accept_all(serve);
        } else {
            client_read(serve, events[i].data.ptr);
        }
    }
}

static size_t
chunk(char *out, size_t size, const char *text, const char *behind)
{
    return (size_t)snprintf(out, size, "%zx\r\n%s\r\n%s", strlen(text), text, behind);
}

static void
make_texts(struct genserve *serve)
{
    serve->token_len =
        chunk(serve->token, sizeof serve->token, TOKEN_BEGIN "00000000000000000000" TOKEN_END, "");
    serve->digits_at = (size_t)(strchr(serve->token, '~') + 1 - serve->token);
    serve->finish_len = chunk(serve->finish, sizeof serve->finish, FINISH, "0\r\n\r\n");
}

static void
options_parse(struct genserve *serve, int argc, char **argv)
{
    static const struct option long_options[] = {
        {"port", required_argument, NULL, 'p'},
        {"rate", required_argument, NULL, 'r'},
        {"tokens", required_argument, NULL, 't'},
        {"grain", required_argument, NULL, 'g'},
        {0},
    };
    int option;
    while ((option = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
        unsigned value = option == '?' ? 0 : (unsigned)strtoul(optarg, NULL, 10);
        switch (option) {
        case 'p':
            serve->port = value;
            break;
        case 'r':
            serve->rate = value < 1 ? 1 : value;
            break;
        case 't':
            serve->tokens = value;
            break;
        case 'g':
            serve->grain_ns = value < 1 ? 1000 : (int64_t)value * 1000;
            break;
        default:
            exit(2);
        }
    }
}

int
main(int argc, char **argv)
{
    static struct genserve serve = {.rate = 50, .grain_ns = 100000};
    options_parse(&serve, argc, argv);
    struct sigaction action = {.sa_handler = on_signal};
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    sockets_raise_limit();
    prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL,
        0UL); /* steps are shorter than the usual slack of 50 us */
    serve.n_steps = (uint64_t)(SECOND_NS / serve.rate / serve.grain_ns);
    serve.n_steps = serve.n_steps < 1 ? 1 : serve.n_steps;
    serve.steps = mem_calloc(serve.n_steps, sizeof *serve.steps);
    serve.epoll = epoll_create1(EPOLL_CLOEXEC);
    make_texts(&serve);
    listen_on(&serve);
    serve.begin_ns = clock_mono_ns();
    while (!stopping) {
        run_due(&serve);
        serve_events(&serve);
    }
    printf("{\"server\":\"genserve\",\"answers\":%llu,\"tokens\":%llu,\"cut\":%llu,"
           "\"steps\":%llu,\"late_steps\":%llu}\n",
        (unsigned long long)serve.answers, (unsigned long long)serve.sent,
        (unsigned long long)serve.cut, (unsigned long long)serve.done,
        (unsigned long long)serve.late_steps);
    return EXIT_SUCCESS;
}
