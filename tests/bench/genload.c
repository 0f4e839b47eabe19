/* genload: ask for many answers of a model at once and read them all; print one JSON line.
 *
 *   genload --url URL --answers N [--join] [--warmup S] [--window S] [--ends] [--pid NAME=PID]...
 *           [--bench NAME] [--open-timeout S]
 *
 * URL takes a POST of OpenAI's chat completions, and answers in events. With --join each answer has
 * a second reader, over NDJSON, on the URL in the POST's Location. A token is "~" and the twenty
 * digits of the CLOCK_MONOTONIC time of its making (genserve); its latency is the time after the
 * read that had it, less that. One thread, one buffer. --ends: the window ends when all answers
 * have, and readers are then let go before the last look at memory. Resident sets are looked at
 * before the first answer, at the begin and at the end of the window, beside how many tokens an
 * answer had by then. */
#include "../../gateway/clock.h"
#include "../../gateway/mem.h"
#include "dial.h"
#include "hist.h"
#include "procstat.h"
#include "sockets.h"
#include "watched.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define READ_BYTES 65536
#define MAX_EVENTS 1024
#define MAX_DIALING 64
#define DIGITS 20
#define SECOND_NS INT64_C(1000000000)
#define BODY                                                                                       \
    "{\"model\":\"bench\",\"stream\":true,\"messages\":[{\"role\":\"user\",\"content\":"           \
    "\"Tell me a long story, please.\"}]}"

struct options {
    const char *bench, *url;
    unsigned answers;
    bool join, ends;
    double warmup_s, window_s, open_timeout_s;
    struct watched watched;
};

enum conn_state { CONN_NONE, CONN_DIALING, CONN_ASKED, CONN_OPEN, CONN_CLOSED };

/* A reader: even ones ask, the odd one behind each joins it. */
struct conn {
    int fd;
    enum conn_state state;
    unsigned char carry_len;
    char carry[DIGITS + 1]; /* a token that a read has cut, from its mark on */
    char location[128];     /* of one that joins, once it is known */
};

struct snapshot {
    int64_t at_ns;
    uint64_t tokens, asked_tokens;
    double machine_s;
    struct watched_shot processes;
};

struct genload {
    struct options options;
    struct dial_target target;
    char path[256];
    struct conn *conns;
    unsigned n_conns, dialled, dialing, open, closed;
    int epoll;
    bool sampling;
    uint64_t tokens, asked_tokens; /* of all; of those who asked */
    struct hist latency;
    char *buffer; /* READ_BYTES with DIGITS + 1 before them */
};

static void
fail(const struct genload *load, const char *what, const char *why)
{
    printf("{\"bench\":\"%s\",\"error\":\"%s: %s\",\"open\":%u}\n", load->options.bench, what, why,
        load->open);
    exit(EXIT_FAILURE);
}

/* ---- asking ---- */

static void
dial(struct genload *load, unsigned index)
{
    struct conn *conn = &load->conns[index];
    conn->fd = dial_open(&load->target, index);
    if (conn->fd < 0) {
        fail(load, "connect", strerror(errno));
    }
    conn->state = CONN_DIALING;
    struct epoll_event event = {.events = EPOLLOUT, .data.ptr = conn};
    epoll_ctl(load->epoll, EPOLL_CTL_ADD, conn->fd, &event);
    load->dialing++;
}

static void
dial_more(struct genload *load)
{
    unsigned step = load->options.join ? 2 : 1;
    while (load->dialled < load->n_conns && load->dialing < MAX_DIALING) {
        dial(load, load->dialled);
        load->dialled += step;
    }
}

static bool
asks(const struct genload *load, const struct conn *conn)
{
    return !load->options.join || (conn - load->conns) % 2 == 0;
}

static void
ask(struct genload *load, struct conn *conn)
{
    char request[1024];
    int len = asks(load, conn)
                  ? snprintf(request, sizeof request,
                        "POST %s HTTP/1.1\r\nHost: bench\r\nAccept: text/event-stream\r\n"
                        "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
                        load->path, strlen(BODY), BODY)
                  : snprintf(request, sizeof request,
                        "GET %s HTTP/1.1\r\nHost: bench\r\nAccept: application/x-ndjson\r\n\r\n",
                        conn->location);
    if (send(conn->fd, request, (size_t)len, MSG_NOSIGNAL) != len) {
        fail(load, "request", strerror(errno));
    }
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = conn};
    epoll_ctl(load->epoll, EPOLL_CTL_MOD, conn->fd, &event);
    conn->state = CONN_ASKED;
}

static void
join(struct genload *load, const struct conn *conn, const char *head)
{
    const char *location = dial_header(head, "Location");
    size_t len = location == NULL ? 0 : strcspn(location, "\r");
    struct conn *other = &load->conns[conn - load->conns + 1];
    if (len == 0 || len >= sizeof other->location) {
        fail(load, "answer", "it has no Location that fits");
    }
    memcpy(other->location, location, len);
    dial(load, (unsigned)(other - load->conns));
}

static void
take_head(struct genload *load, struct conn *conn)
{
    char head[DIAL_HEAD_MAX + 1], why[256] = "";
    enum dial_answer answer = dial_take_head(conn->fd, head, why, sizeof why);
    if (answer == DIAL_MORE) {
        return;
    }
    if (answer == DIAL_REFUSED || strncmp(head, "HTTP/1.1 200", 12) != 0) {
        fail(load, "refused", why);
    }
    conn->state = CONN_OPEN;
    load->dialing--;
    load->open++;
    if (load->options.join && asks(load, conn)) {
        join(load, conn, head);
    }
}

/* ---- reading ---- */

static void
count_token(struct genload *load, const struct conn *conn, const char *digits, int64_t now_ns)
{
    int64_t made_ns = 0;
    for (int i = 0; i < DIGITS; i++) {
        made_ns = made_ns * 10 + (digits[i] - '0');
    }
    load->tokens++;
    load->asked_tokens += asks(load, conn);
    if (load->sampling) {
        hist_add(&load->latency, now_ns > made_ns ? (uint64_t)(now_ns - made_ns) : 0);
    }
}

static void
find_tokens(struct genload *load, struct conn *conn, size_t len, int64_t now_ns)
{
    const char *at = load->buffer - conn->carry_len;
    const char *end = load->buffer + len;
    memcpy(load->buffer - conn->carry_len, conn->carry, conn->carry_len);
    conn->carry_len = 0;
    while ((at = memchr(at, '~', (size_t)(end - at))) != NULL) {
        if (end - at <= DIGITS) {
            conn->carry_len = (unsigned char)(end - at);
            memcpy(conn->carry, at, conn->carry_len);
            return;
        }
        count_token(load, conn, at + 1, now_ns);
        at += DIGITS + 1;
    }
}

static void
conn_close(struct genload *load, struct conn *conn)
{
    close(conn->fd);
    conn->state = CONN_CLOSED;
    load->closed++;
}

/* The end of a body in chunks. */
static bool
has_ended(const char *bytes, size_t len)
{
    return len >= 5 && memcmp(bytes + len - 5, "0\r\n\r\n", 5) == 0;
}

static void
conn_read(struct genload *load, struct conn *conn)
{
    ssize_t got = recv(conn->fd, load->buffer, READ_BYTES, 0);
    if (got <= 0) {
        if (got == 0 || errno != EAGAIN) {
            conn_close(load, conn);
        }
        return;
    }
    find_tokens(load, conn, (size_t)got, clock_mono_ns());
    if (load->options.ends && has_ended(load->buffer, (size_t)got)) {
        conn_close(load, conn);
    }
}

static void
conn_ready(struct genload *load, struct conn *conn)
{
    switch (conn->state) {
    case CONN_DIALING:
        ask(load, conn);
        break;
    case CONN_ASKED:
        take_head(load, conn);
        break;
    case CONN_OPEN:
        conn_read(load, conn);
        break;
    case CONN_NONE:
    case CONN_CLOSED:
        break;
    }
}

/* Until the deadline, until all are open where that is asked for, or all are closed. */
static void
run_until(struct genload *load, int64_t deadline_ns, bool until_open)
{
    struct epoll_event events[MAX_EVENTS];
    for (;;) {
        int64_t left_ns = deadline_ns - clock_mono_ns();
        bool over = until_open ? load->open == load->n_conns : load->closed == load->n_conns;
        if (left_ns <= 0 || over) {
            return;
        }
        int ready = epoll_wait(load->epoll, events, MAX_EVENTS, (int)(left_ns / 1000000) + 1);
        for (int i = 0; i < ready; i++) {
            conn_ready(load, events[i].data.ptr);
        }
        dial_more(load);
    }
}

/* ---- the report ---- */

static void
snapshot_take(const struct genload *load, struct snapshot *shot)
{
    *shot = (struct snapshot){.at_ns = clock_mono_ns(),
        .tokens = load->tokens,
        .asked_tokens = load->asked_tokens,
        .machine_s = procstat_machine_s()};
    watched_take(&load->options.watched, &shot->processes);
}

static void
report(const struct genload *load, const struct snapshot *idle, const struct snapshot *from,
    const struct snapshot *to)
{
    const struct options *options = &load->options;
    const struct hist *hist = &load->latency;
    double seconds = (double)(to->at_ns - from->at_ns) / (double)SECOND_NS;
    double answers = options->answers;
    uint64_t tokens = to->tokens - from->tokens;
    printf("{\"bench\":\"%s\",\"answers\":%u,\"connections\":%u,\"seconds\":%.3f,"
           "\"deliveries\":%llu,\"deliveries_per_s\":%.0f,\"closed\":%u",
        options->bench, options->answers, load->n_conns, seconds, (unsigned long long)tokens,
        (double)tokens / seconds, load->closed);
    hist_print(hist);
    printf(",\"machine_cores\":%.2f,\"tokens_each\":{\"open\":%.1f,\"end\":%.1f},",
        (to->machine_s - from->machine_s) / seconds, (double)from->asked_tokens / answers,
        (double)to->asked_tokens / answers);
    watched_print(&options->watched, "genload", &idle->processes, &from->processes, &to->processes);
    printf("}\n");
}

/* ---- options ---- */

static const struct option long_options[] = {
    {"bench", required_argument, NULL, 'b'},
    {"url", required_argument, NULL, 'u'},
    {"answers", required_argument, NULL, 'a'},
    {"join", no_argument, NULL, 'j'},
    {"ends", no_argument, NULL, 'e'},
    {"warmup", required_argument, NULL, 'w'},
    {"window", required_argument, NULL, 'W'},
    {"pid", required_argument, NULL, 'p'},
    {"open-timeout", required_argument, NULL, 'o'},
    {0},
};

static void
parse_option(struct options *options, int option)
{
    switch (option) {
    case 'b':
        options->bench = optarg;
        break;
    case 'u':
        options->url = optarg;
        break;
    case 'a':
        options->answers = (unsigned)strtoul(optarg, NULL, 10);
        break;
    case 'j':
        options->join = true;
        break;
    case 'e':
        options->ends = true;
        break;
    case 'w':
        options->warmup_s = strtod(optarg, NULL);
        break;
    case 'W':
        options->window_s = strtod(optarg, NULL);
        break;
    case 'p':
        watched_add(&options->watched, "genload", optarg);
        break;
    case 'o':
        options->open_timeout_s = strtod(optarg, NULL);
        break;
    default:
        exit(2);
    }
}

static void
options_parse(struct options *options, int argc, char **argv)
{
    *options = (struct options){
        .bench = "genload",
        .answers = 1,
        .warmup_s = 1,
        .window_s = 5,
        .open_timeout_s = 60,
    };
    int option;
    while ((option = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
        parse_option(options, option);
    }
    if (options->url == NULL || options->answers == 0) {
        fprintf(stderr, "genload: --url and --answers are needed\n");
        exit(2);
    }
}

static void
genload_init(struct genload *load)
{
    sockets_raise_limit();
    const char *path = strchr(load->options.url + strlen("http://"), '/');
    if (dial_target_parse(&load->target, load->options.url, SCAN_SSE, NULL) != 0 || path == NULL ||
        strlen(path) >= sizeof load->path) {
        fail(load, "url", load->options.url);
    }
    strcpy(load->path, path);
    load->n_conns = load->options.answers * (load->options.join ? 2 : 1);
    load->conns = mem_calloc(load->n_conns, sizeof *load->conns);
    load->buffer = (char *)mem_alloc(DIGITS + 1 + READ_BYTES) + DIGITS + 1;
    load->epoll = epoll_create1(EPOLL_CLOEXEC);
}

static int64_t
after(double seconds)
{
    return clock_mono_ns() + (int64_t)(seconds * (double)SECOND_NS);
}

int
main(int argc, char **argv)
{
    static struct genload load;
    static struct snapshot idle, from, to;
    options_parse(&load.options, argc, argv);
    genload_init(&load);
    snapshot_take(&load, &idle);
    dial_more(&load);
    run_until(&load, after(load.options.open_timeout_s), true);
    if (load.open != load.n_conns) {
        fail(&load, "open", "not all connections were made in time");
    }
    run_until(&load, after(load.options.warmup_s), false);
    load.sampling = true;
    snapshot_take(&load, &from);
    run_until(&load, after(load.options.window_s), false);
    load.sampling = false;
    if (load.options.ends) {
        sleep(2); /* what is freed goes back to the system a second later */
    }
    snapshot_take(&load, &to);
    report(&load, &idle, &from, &to);
    return EXIT_SUCCESS;
}
