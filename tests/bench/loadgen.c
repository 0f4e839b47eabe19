/* loadgen: open many subscribers on loopback, read as fast as one thread can, print one JSON line.
 *
 *   loadgen --url URL... [--transport ws|ndjson|sse] [--connections N] [--stalled N] [--warmup S]
 * [--window S]
 *           [--sample N] [--until N] [--pid NAME=PID]... [--header LINE] [--bench NAME]
 * [--open-timeout S]
 *
 * Messages are counted where they are read, in one buffer that stays in the cache; see scan.h. The
 * latency of a message is the CLOCK_MONOTONIC time after the read that had it, less the "sent_ns"
 * in it. Of N connections, the stalled ones do their handshake and never read again. --until ends
 * the window when N messages have come, counted from the first. Of several URLs the connections
 * take turns, and {n} in one is the connection's number. --live-within MS ends the window, and says
 * how long it took from the first dial on, once every connection has had a message that is no older
 * than that; it wants --sample 1. SIGTERM ends the window too. */
#include "../../gateway/clock.h"
#include "../../gateway/mem.h"
#include "dial.h"
#include "scan.h"
#include "sockets.h"
#include "watched.h"

#include <errno.h>
#include <getopt.h>
#include <linux/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define READ_BYTES 131072
#define MAX_URLS 64
#define MAX_EVENTS 1024
#define MAX_DIALING 128
#define SECOND_NS INT64_C(1000000000)

static volatile sig_atomic_t told_to_end;

static void
on_term(int number)
{
    (void)number;
    told_to_end = 1;
}

struct options {
    const char *bench, *header;
    const char *urls[MAX_URLS];
    unsigned n_urls;
    int64_t live_within_ns; /* 0: not asked for */
    enum scan_kind kind;
    unsigned connections, stalled;
    double warmup_s, window_s, open_timeout_s;
    uint64_t sample, until;
    struct watched watched;
};

enum conn_state { CONN_DIALING, CONN_ASKED, CONN_OPEN, CONN_STALLED, CONN_CLOSED };

struct conn {
    int fd;
    enum conn_state state;
    bool live; /* it had a message that was new */
    struct scan scan;
};

struct snapshot {
    int64_t at_ns;
    struct scan_tally tally;
    uint64_t segments;
    struct watched_shot processes;
};

struct loadgen {
    struct options options;
    struct dial_target targets[MAX_URLS];
    struct conn *conns;
    int epoll;
    unsigned dialled, dialing, open, closed, live;
    int64_t began_ns, all_live_ns; /* the first dial; when the last one became live */
    struct scan_tally tally;
    struct hist latency;
    int64_t first_ns; /* when the first message came */
    char *buffer;     /* READ_BYTES with SCAN_CARRY_MAX before them */
};

static void
fail(const struct loadgen *gen, const char *what, const char *why)
{
    printf("{\"bench\":\"%s\",\"error\":\"%s: %s\",\"open\":%u}\n", gen->options.bench, what, why,
        gen->open);
    exit(EXIT_FAILURE);
}

static const struct dial_target *
target_of(const struct loadgen *gen, size_t index)
{
    return &gen->targets[index % gen->options.n_urls];
}

static void
conn_close(struct loadgen *gen, struct conn *conn)
{
    close(conn->fd);
    conn->fd = -1;
    conn->state = CONN_CLOSED;
    scan_fini(&conn->scan);
    gen->closed++;
}

static void
dial_more(struct loadgen *gen)
{
    while (gen->dialled < gen->options.connections && gen->dialing < MAX_DIALING) {
        struct conn *conn = &gen->conns[gen->dialled];
        conn->fd = dial_open(target_of(gen, gen->dialled), gen->dialled);
        if (conn->fd < 0) {
            fail(gen, "connect", strerror(errno));
        }
        conn->state = CONN_DIALING;
        struct epoll_event event = {.events = EPOLLOUT, .data.ptr = conn};
        epoll_ctl(gen->epoll, EPOLL_CTL_ADD, conn->fd, &event);
        gen->dialled++;
        gen->dialing++;
    }
}

/* The request with its {n} filled in. Returns its length. */
static size_t
put_number(const struct dial_target *target, size_t number, char *out, size_t size)
{
    const char *mark = strstr(target->request, "{n}");
    int before = mark == NULL ? (int)target->request_len : (int)(mark - target->request);
    int len = mark == NULL
                  ? snprintf(out, size, "%.*s", before, target->request)
                  : snprintf(out, size, "%.*s%zu%s", before, target->request, number, mark + 3);
    return (size_t)len;
}

static void
ask(struct loadgen *gen, struct conn *conn)
{
    char request[sizeof gen->targets[0].request + 16];
    size_t index = (size_t)(conn - gen->conns);
    size_t len = put_number(target_of(gen, index), index, request, sizeof request);
    ssize_t sent = send(conn->fd, request, len, MSG_NOSIGNAL);
    if (sent != (ssize_t)len) {
        fail(gen, "request", sent < 0 ? strerror(errno) : "cut short");
    }
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = conn};
    epoll_ctl(gen->epoll, EPOLL_CTL_MOD, conn->fd, &event);
    conn->state = CONN_ASKED;
}

/* Stalled connections lie evenly among the others: a server that goes through its subscribers in
 * order meets both. */
static bool
is_to_stall(const struct options *options, size_t index)
{
    uint64_t before = (uint64_t)index * options->stalled / options->connections;
    uint64_t after = (uint64_t)(index + 1) * options->stalled / options->connections;
    return after != before;
}

static void
take_answer(struct loadgen *gen, struct conn *conn)
{
    bool chunked = false;
    char why[256] = "";
    enum dial_answer answer =
        dial_take_answer(conn->fd, target_of(gen, 0), &chunked, why, sizeof why);
    if (answer == DIAL_MORE) {
        return;
    }
    if (answer == DIAL_REFUSED) {
        fail(gen, "refused", why);
    }
    gen->dialing--;
    gen->open++;
    scan_init(&conn->scan, gen->options.kind, chunked);
    conn->state = CONN_OPEN;
    if (is_to_stall(&gen->options, (size_t)(conn - gen->conns))) {
        epoll_ctl(gen->epoll, EPOLL_CTL_DEL, conn->fd, NULL);
        conn->state = CONN_STALLED;
    }
}

/* A masked pong (RFC 6455 section 5.3); the mask is zero, which leaves the payload as it is. */
static void
send_pong(struct conn *conn)
{
    unsigned char frame[6 + 125] = {0x8a, (unsigned char)(0x80 | conn->scan.ping_len)};
    memcpy(frame + 6, conn->scan.ping, conn->scan.ping_len);
    ssize_t sent = send(conn->fd, frame, 6 + conn->scan.ping_len, MSG_NOSIGNAL | MSG_DONTWAIT);
    (void)sent; /* what is lost here shows as a closed connection */
}

static void
look_if_live(struct loadgen *gen, struct conn *conn)
{
    int64_t sent_ns = gen->tally.last_sent_ns;
    if (!conn->live && sent_ns > 0 && gen->tally.now_ns - sent_ns <= gen->options.live_within_ns) {
        conn->live = true;
        gen->live++;
        gen->all_live_ns = gen->tally.now_ns;
    }
}

static void
conn_read(struct loadgen *gen, struct conn *conn)
{
    ssize_t got = recv(conn->fd, gen->buffer, READ_BYTES, 0);
    if (got <= 0) {
        if (got == 0 || errno != EAGAIN) {
            conn_close(gen, conn);
        }
        return;
    }
    gen->tally.now_ns = clock_mono_ns();
    gen->tally.last_sent_ns = -1;
    scan_feed(&conn->scan, gen->buffer, (size_t)got, &gen->tally);
    look_if_live(gen, conn);
    if (conn->scan.ping != NULL && conn->scan.ping_len <= 125) {
        send_pong(conn);
    }
    if (conn->scan.closed) {
        conn_close(gen, conn);
    }
}

static void
conn_ready(struct loadgen *gen, struct conn *conn)
{
    switch (conn->state) {
    case CONN_DIALING:
        ask(gen, conn);
        break;
    case CONN_ASKED:
        take_answer(gen, conn);
        break;
    case CONN_OPEN:
        conn_read(gen, conn);
        break;
    case CONN_STALLED:
    case CONN_CLOSED:
        break;
    }
}

static bool
is_complete(const struct loadgen *gen)
{
    return gen->open != 0 &&
           (told_to_end || gen->closed == gen->open || gen->live == gen->options.connections ||
               (gen->options.until != 0 && gen->tally.messages >= gen->options.until));
}

/* Serve the connections until the deadline, until all are open where that is asked for, or until no
 * more can come. */
static void
run_until(struct loadgen *gen, int64_t deadline_ns, bool until_open)
{
    struct epoll_event events[MAX_EVENTS];
    for (;;) {
        int64_t left_ns = deadline_ns - clock_mono_ns();
        if (left_ns <= 0 || is_complete(gen) ||
            (until_open && gen->open == gen->options.connections)) {
            return;
        }
        int ready = epoll_wait(gen->epoll, events, MAX_EVENTS, (int)(left_ns / 1000000) + 1);
        for (int i = 0; i < ready; i++) {
            conn_ready(gen, events[i].data.ptr);
        }
        if (gen->first_ns == 0 && gen->tally.messages != 0) {
            gen->first_ns = gen->tally.now_ns;
        }
        if (gen->dialled < gen->options.connections) {
            dial_more(gen);
        }
    }
}

/* TCP segments with data that came in: on loopback, where a segment holds 64 KiB, about one for
 * each write of the server while it keeps up with itself. */
static uint64_t
count_segments(const struct loadgen *gen)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < gen->dialled; i++) {
        struct tcp_info info = {0};
        socklen_t len = sizeof info;
        if (gen->conns[i].state == CONN_OPEN &&
            getsockopt(gen->conns[i].fd, IPPROTO_TCP, TCP_INFO, &info, &len) == 0) {
            sum += info.tcpi_data_segs_in;
        }
    }
    return sum;
}

static void
snapshot_take(struct loadgen *gen, struct snapshot *shot)
{
    *shot = (struct snapshot){.at_ns = clock_mono_ns(), .tally = gen->tally};
    shot->segments = count_segments(gen);
    watched_take(&gen->options.watched, &shot->processes);
}

static void
report(const struct loadgen *gen, const struct snapshot *idle, const struct snapshot *from,
    const struct snapshot *to)
{
    static const char *const names[] = {
        [SCAN_WS] = "ws", [SCAN_NDJSON] = "ndjson", [SCAN_SSE] = "sse"};
    const struct options *options = &gen->options;
    bool counting = options->until != 0;
    double seconds =
        (double)(to->at_ns - (counting ? gen->first_ns : from->at_ns)) / (double)SECOND_NS;
    uint64_t messages = to->tally.messages - (counting ? 0 : from->tally.messages);
    uint64_t bytes = to->tally.message_bytes - (counting ? 0 : from->tally.message_bytes);
    uint64_t segments = to->segments - from->segments;
    printf(
        "{\"bench\":\"%s\",\"transport\":\"%s\",\"connections\":%u,\"stalled\":%u,\"seconds\":%.3f,"
        "\"deliveries\":%llu,\"deliveries_per_s\":%.0f,\"megabytes_per_s\":%.1f,\"mean_bytes\":%."
        "1f",
        options->bench, names[options->kind], options->connections, options->stalled, seconds,
        (unsigned long long)messages, (double)messages / seconds, (double)bytes / seconds / 1e6,
        messages == 0 ? 0 : (double)bytes / (double)messages);
    printf(",\"records_per_segment\":%.1f,\"gaps\":%llu,\"gap_records\":%llu,\"control\":%llu,"
           "\"pings\":%llu,\"closed\":%u",
        segments == 0 ? 0 : (double)messages / (double)segments,
        (unsigned long long)(to->tally.gaps - from->tally.gaps),
        (unsigned long long)(to->tally.gap_records - from->tally.gap_records),
        (unsigned long long)to->tally.control, (unsigned long long)to->tally.pings, gen->closed);
    if (options->live_within_ns != 0) {
        printf(",\"live\":%u,\"all_live_s\":%.3f", gen->live,
            (double)(gen->all_live_ns - gen->began_ns) / (double)SECOND_NS);
    }
    if (gen->latency.count != 0) {
        printf(",\"samples\":%llu", (unsigned long long)gen->latency.count);
        hist_print(&gen->latency);
    }
    printf(",");
    watched_print(&options->watched, "loadgen", &idle->processes, &from->processes, &to->processes);
    printf("}\n");
}

static enum scan_kind
parse_transport(const char *text)
{
    return strcmp(text, "sse") == 0      ? SCAN_SSE
           : strcmp(text, "ndjson") == 0 ? SCAN_NDJSON
                                         : SCAN_WS;
}

static unsigned
parse_count(const char *text)
{
    return (unsigned)strtoul(text, NULL, 10);
}

static const struct option long_options[] = {
    {"bench", required_argument, NULL, 'b'},
    {"url", required_argument, NULL, 'u'},
    {"header", required_argument, NULL, 'H'},
    {"transport", required_argument, NULL, 't'},
    {"connections", required_argument, NULL, 'c'},
    {"stalled", required_argument, NULL, 's'},
    {"warmup", required_argument, NULL, 'w'},
    {"window", required_argument, NULL, 'W'},
    {"sample", required_argument, NULL, 'n'},
    {"until", required_argument, NULL, 'U'},
    {"pid", required_argument, NULL, 'p'},
    {"open-timeout", required_argument, NULL, 'o'},
    {"live-within", required_argument, NULL, 'l'},
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
        if (options->n_urls == MAX_URLS) {
            fprintf(stderr, "loadgen: at most %d URLs\n", MAX_URLS);
            exit(2);
        }
        options->urls[options->n_urls++] = optarg;
        break;
    case 'H':
        options->header = optarg;
        break;
    case 't':
        options->kind = parse_transport(optarg);
        break;
    case 'c':
        options->connections = parse_count(optarg);
        break;
    case 's':
        options->stalled = parse_count(optarg);
        break;
    case 'w':
        options->warmup_s = strtod(optarg, NULL);
        break;
    case 'W':
        options->window_s = strtod(optarg, NULL);
        break;
    case 'n':
        options->sample = strtoull(optarg, NULL, 10);
        break;
    case 'U':
        options->until = strtoull(optarg, NULL, 10);
        break;
    case 'p':
        watched_add(&options->watched, "loadgen", optarg);
        break;
    case 'o':
        options->open_timeout_s = strtod(optarg, NULL);
        break;
    case 'l':
        options->live_within_ns = (int64_t)(strtod(optarg, NULL) * 1e6);
        break;
    default:
        exit(2);
    }
}

static void
options_parse(struct options *options, int argc, char **argv)
{
    *options = (struct options){
        .bench = "loadgen",
        .connections = 1,
        .warmup_s = 1,
        .window_s = 5,
        .open_timeout_s = 60,
    };
    int option;
    while ((option = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
        parse_option(options, option);
    }
    if (options->n_urls == 0 || options->connections == 0 ||
        options->stalled > options->connections) {
        fprintf(stderr, "loadgen: --url is needed, and no more stalled than there are\n");
        exit(2);
    }
}

static void
loadgen_init(struct loadgen *gen)
{
    sockets_raise_limit();
    gen->tally.sample_every = gen->options.sample;
    gen->conns = mem_calloc(gen->options.connections, sizeof *gen->conns);
    gen->buffer = (char *)mem_alloc(SCAN_CARRY_MAX + READ_BYTES) + SCAN_CARRY_MAX;
    gen->epoll = epoll_create1(EPOLL_CLOEXEC);
}

static int64_t
after(double seconds)
{
    return clock_mono_ns() + (int64_t)(seconds * (double)SECOND_NS);
}

int
main(int argc, char **argv)
{
    static struct loadgen gen;
    static struct snapshot idle, from, to;
    options_parse(&gen.options, argc, argv);
    const struct options *options = &gen.options;
    for (unsigned i = 0; i < options->n_urls; i++) {
        if (dial_target_parse(&gen.targets[i], options->urls[i], options->kind, options->header) !=
            0) {
            fail(&gen, "url", options->urls[i]);
        }
    }
    signal(SIGTERM, on_term);
    loadgen_init(&gen);
    gen.began_ns = clock_mono_ns();
    gen.tally.latency = options->live_within_ns == 0 ? NULL : &gen.latency;
    snapshot_take(&gen, &idle);
    dial_more(&gen);
    run_until(&gen, after(options->open_timeout_s), true);
    if (gen.open != options->connections) {
        fail(&gen, "open", "not all connections were made in time");
    }
    fprintf(stderr, "open %u\n", gen.open);
    run_until(&gen, after(options->warmup_s), false);
    gen.tally.latency = &gen.latency;
    snapshot_take(&gen, &from);
    run_until(&gen, after(options->window_s), false);
    snapshot_take(&gen, &to);
    report(&gen, &idle, &from, &to);
    return EXIT_SUCCESS;
}
