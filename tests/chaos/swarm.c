/* swarm: the subscribers of the chaos run, in one process and thread: each of its own kind
 * (transport, policy, filter, pace, stalls), coming and going at random, always back at either
 * replica with its last token. trace.c checks what each of them gets.
 *
 *   swarm --ports A,B [--subscribers N] [--partitions P] [--life S] [--seed N] [--settle S]
 *         [--sabotage hole|repeat|gap]
 *
 * Prints "ready" once each has had a hello. The line "finish N" on standard input ends the coming
 * and going: the topic holds N records and no more will come. When each subscriber has all of them,
 * or nobody got a record for --settle seconds, prints one JSON line. First faults go to standard
 * error as they come. Status 0: all complete, no fault. --sabotage changes what came before it is
 * checked: such a run must fail. */
#include "../e2e/sub_conn.h"
#include "trace.h"

#include <getopt.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define TURN_MS 20
#define KEYS_MOST 12
#define SABOTAGE_EVERY 499

enum filter { FILTER_NONE, FILTER_KEYS, FILTER_EQUAL, FILTER_LESS };

/* What a subscriber is like. Streams: s has every policy but pause, p has pause. */
struct kind {
    const char *name;
    const char *stream, *query;
    enum filter filter;
    bool conflates;
    unsigned max_rate; /* 0: unpaced */
    unsigned stall_ms; /* the longest; 0: it never stalls */
    int rcvbuf;        /* small ones feel a stall soon. At the end it comes back without both */
};

static const struct kind kinds[] = {
    {"all", "s", "", FILTER_NONE, false, 0, 0, 0},
    {"keys", "s", "", FILTER_KEYS, false, 0, 0, 0},
    {"equal", "s", "", FILTER_EQUAL, false, 0, 0, 0},
    {"stalling", "s", "&slow=drop_oldest", FILTER_NONE, false, 0, 5000, 65536},
    {"keys-stalling", "s", "&slow=drop_oldest", FILTER_KEYS, false, 0, 5000, 8192},
    {"newest", "s", "&slow=drop_newest", FILTER_NONE, false, 0, 5000, 65536},
    {"disconnect", "s", "&slow=disconnect", FILTER_NONE, false, 0, 5000, 65536},
    {"keys-newest", "s", "&slow=drop_newest", FILTER_KEYS, false, 0, 5000, 8192},
    {"conflate", "s", "&slow=conflate", FILTER_NONE, true, 0, 5000, 65536},
    {"sampled", "s", "&slow=conflate", FILTER_NONE, true, 300, 0, 0},
    {"keys-conflate", "s", "&slow=conflate", FILTER_KEYS, true, 0, 5000, 8192},
    {"keys-disconnect", "s", "&slow=disconnect", FILTER_KEYS, false, 0, 5000, 8192},
    {"pause", "p", "&slow=pause", FILTER_NONE, false, 0, 700, 65536},
    {"keys-pause", "p", "&slow=pause", FILTER_KEYS, false, 0, 700, 8192},
    {"paced", "s", "&slow=drop_oldest", FILTER_EQUAL, false, 100, 0, 0},
    {"less-stalling", "s", "&slow=drop_oldest", FILTER_LESS, false, 0, 5000, 65536},
};
#define KINDS (sizeof kinds / sizeof *kinds)

struct subscriber {
    const struct kind *kind;
    enum sub_transport transport;
    enum filter filter_kind;
    struct trace trace;
    struct sub_conn conn;
    char filter[KEYS_MOST * 16 + 1]; /* of the query */
    bool open, watched, slowed, faulted;
    uint64_t leave_at;                               /* records */
    int64_t connect_ms, leave_ms, stall_ms, read_ms; /* when it next does what */
};

struct swarm {
    unsigned ports[2];
    size_t n;
    unsigned partitions;
    double life_s, settle_s;
    uint64_t random;
    int sabotage; /* a trace_fault, or -1 */
    struct subscriber *subscribers;
    int epoll;
    bool finishing, over;
    uint64_t produced, refused, cut, clean, sabotaged, messages;
    uint64_t settled_records; /* that came after the last was produced, in settled_ms */
    int64_t settled_ms;
};

static struct swarm swarm = {
    .n = 200, .partitions = 12, .life_s = 10, .settle_s = 60, .random = 1, .sabotage = -1};

static int64_t
now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * INT64_C(1000) + now.tv_nsec / 1000000;
}

/* xorshift64: the same seed, the same choices. */
static unsigned
below(unsigned limit)
{
    swarm.random ^= swarm.random << 13;
    swarm.random ^= swarm.random >> 7;
    swarm.random ^= swarm.random << 17;
    return (unsigned)(swarm.random >> 33) % limit;
}

/* ---- what it asks for ---- */

static void
choose_keys(struct subscriber *sub)
{
    for (unsigned i = 0; i < KEYS_MOST; i++) {
        unsigned lane = below(swarm.partitions), key = below(TRACE_KEYS);
        if ((sub->trace.wants[lane] >> key & 1) == 0) {
            sub->trace.wants[lane] |= UINT32_C(1) << key;
            sprintf(sub->filter + strlen(sub->filter), "&key=p%uk%u", lane, key);
        }
    }
}

static void
choose_filter(struct subscriber *sub)
{
    unsigned value = below(TRACE_MODULUS - 1) + 1;
    uint32_t wants = 0;
    if (sub->filter_kind == FILTER_KEYS) {
        choose_keys(sub);
        return;
    }
    for (unsigned key = 0; key < TRACE_KEYS; key++) {
        unsigned m = key % TRACE_MODULUS;
        bool passes = sub->filter_kind == FILTER_NONE ||
                      (sub->filter_kind == FILTER_EQUAL ? m == value : m < value);
        wants |= (uint32_t)passes << key;
    }
    for (unsigned lane = 0; lane < swarm.partitions; lane++) {
        sub->trace.wants[lane] = wants;
    }
    if (sub->filter_kind != FILTER_NONE) {
        sprintf(
            sub->filter, "&where=/m%s%u", sub->filter_kind == FILTER_EQUAL ? "==" : "%3C", value);
    }
}

static void
subscriber_init(struct subscriber *sub, size_t i)
{
    sub->kind = &kinds[i % KINDS];
    /* Not i % 3: each kind meets each transport. */
    sub->transport = (enum sub_transport)((i / KINDS + i) % 3);
    sub->trace.partitions = swarm.partitions;
    sub->trace.conflates = sub->kind->conflates;
    sub->trace.keeps_all =
        strstr(sub->kind->query, "pause") != NULL || strstr(sub->kind->query, "disconnect") != NULL;
    sub->conn.fd = -1;
    /* Of each kind three, one a transport, take all that it says; the others some keys: one that
     * takes everything costs as much as twenty of those. */
    sub->filter_kind = i / KINDS < 3 ? sub->kind->filter : FILTER_KEYS;
    choose_filter(sub);
}

/* ---- messages ---- */

static void
report_fault(struct subscriber *sub)
{
    if (!sub->faulted && trace_fault_count(&sub->trace) > 0) {
        sub->faulted = true;
        fprintf(stderr, "subscriber %zd (%s, %s%s): %s\n", sub - swarm.subscribers,
            sub_transport_names[sub->transport], sub->kind->name, sub->filter,
            sub->trace.first_fault);
    }
}

/* Returns how often the message is to be given to the checker. */
static int
sabotage(char *text, size_t len)
{
    bool is_gap = len > 14 && memcmp(text, "{\"event\":\"gap\"", 14) == 0;
    bool is_record = len > 6 && memcmp(text, "{\"id\":", 6) == 0;
    if (swarm.sabotage == TRACE_GAP && is_gap) {
        char *count = memmem(text, len, "\"count\":", 8);
        count[8] = count[8] == '9' ? '8' : (char)(count[8] + 1);
        swarm.sabotaged++;
    } else if (is_record && ++swarm.messages % SABOTAGE_EVERY == 0) {
        swarm.sabotaged += swarm.sabotage != TRACE_GAP;
        return swarm.sabotage == TRACE_HOLE ? 0 : swarm.sabotage == TRACE_REPEAT ? 2 : 1;
    }
    return 1;
}

static void
take_message(void *self, const char *text, size_t len)
{
    struct subscriber *sub = self;
    if (sub->trace.records >= sub->leave_at) {
        return; /* it has gone: what is still in the buffer never came */
    }
    if (swarm.sabotage < 0) {
        trace_message(&sub->trace, text, len);
    } else {
        char *copy = strndup(text, len);
        for (int times = sabotage(copy, len); times > 0; times--) {
            trace_message(&sub->trace, copy, len);
        }
        free(copy);
    }
    report_fault(sub);
}

/* ---- coming and going ---- */

static void
watch(struct subscriber *sub, bool on)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = sub};
    if (sub->watched != on) {
        epoll_ctl(swarm.epoll, on ? EPOLL_CTL_ADD : EPOLL_CTL_DEL, sub->conn.fd, &event);
        sub->watched = on;
    }
}

static int64_t
in_ms(double seconds)
{
    return now_ms() + (int64_t)(seconds * 1000);
}

static void
come(struct subscriber *sub)
{
    char target[TRACE_TOKEN_MAX + 1024], pace[40] = "";
    if (sub->kind->max_rate != 0 && !swarm.finishing) {
        snprintf(pace, sizeof pace, "&max_rate=%u", sub->kind->max_rate);
    }
    int rcvbuf = swarm.finishing ? 0 : sub->kind->rcvbuf;
    const char *token = sub->trace.token[0] == '\0' ? "latest" : sub->trace.token;
    snprintf(target, sizeof target, "/streams/%s?envelope=full&heartbeat=1s%s%s%s&from=%s",
        sub->kind->stream, sub->kind->query, pace, sub->filter, token);
    if (sub_conn_open(&sub->conn, sub->transport, swarm.ports[below(2)], target, rcvbuf) < 0) {
        swarm.refused++;
        sub->connect_ms = in_ms(0.1 + below(200) / 1000.0);
        return;
    }
    sub->conn.taker = (struct sub_taker){take_message, sub};
    sub->open = true;
    trace_connected(&sub->trace);
    watch(sub, true);
    sub->leave_ms = in_ms(swarm.life_s * (0.1 + below(1900) / 1000.0));
    sub->stall_ms = in_ms(1 + below(4000) / 1000.0);
    sub->read_ms = 0;
    sub->slowed = pace[0] != '\0' || rcvbuf != 0;
    /* Some leave amid what they come back to: their ids must be as good as any. */
    sub->leave_at =
        !swarm.finishing && below(3) == 0 ? sub->trace.records + 1 + below(200) : UINT64_MAX;
}

static void
part(struct subscriber *sub, double away_s)
{
    watch(sub, false);
    sub_conn_close(&sub->conn);
    sub->open = false;
    sub->connect_ms = in_ms(away_s);
}

/* By its own wish: half of them with a reset, and one in eight stays away for long. */
static void
leave(struct subscriber *sub)
{
    struct linger now = {.l_onoff = 1};
    if (below(2) == 0) {
        setsockopt(sub->conn.fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    }
    part(sub, below(8) == 0 ? 2 + below(6000) / 1000.0 : below(500) / 1000.0);
}

static void
read_some(struct subscriber *sub)
{
    sub_conn_read(&sub->conn);
    if (sub->conn.bad > 0) {
        sub->trace.faults[TRACE_FORM] += sub->conn.bad;
        snprintf(sub->trace.first_fault, sizeof sub->trace.first_fault, "bytes out of form");
        sub->conn.bad = 0;
        report_fault(sub);
    }
    if (sub->conn.end == SUB_OPEN) {
        return;
    }
    bool busy = sub->conn.end == SUB_REFUSED;
    if (busy && sub->conn.status != 503) {
        sub->trace.faults[TRACE_HELLO]++;
        snprintf(sub->trace.first_fault, sizeof sub->trace.first_fault, "refused with %d",
            sub->conn.status);
        report_fault(sub);
    }
    swarm.refused += busy;
    swarm.cut += sub->conn.end == SUB_CUT;
    swarm.clean += sub->conn.end == SUB_CLEAN;
    part(sub, (busy ? 0.5 : 0.05) + below(300) / 1000.0);
}

static void
stall(struct subscriber *sub, int64_t now)
{
    if (sub->watched && !swarm.finishing && sub->kind->stall_ms > 0 && now >= sub->stall_ms) {
        watch(sub, false);
        sub->read_ms = now + below(sub->kind->stall_ms);
    } else if (!sub->watched && (now >= sub->read_ms || swarm.finishing)) {
        watch(sub, true);
        sub->stall_ms = now + 1000 + below(6000);
    }
}

static void
tend(struct subscriber *sub, int64_t now)
{
    if (!sub->open) {
        if (now >= sub->connect_ms) {
            come(sub);
        }
        return;
    }
    stall(sub, now);
    bool will = swarm.finishing ? sub->slowed : now >= sub->leave_ms;
    if (sub->trace.records >= sub->leave_at || (will && sub->trace.token[0] != '\0')) {
        leave(sub);
    }
}

/* ---- the run ---- */

static void
obey(void)
{
    char line[64] = "";
    ssize_t got = read(STDIN_FILENO, line, sizeof line - 1);
    if (got <= 0) {
        swarm.over = true;
    } else if (sscanf(line, "finish %" SCNu64, &swarm.produced) == 1) {
        swarm.finishing = true;
    }
}

static void
turn(void)
{
    struct epoll_event events[256];
    struct pollfd fds[2] = {
        {.fd = swarm.epoll, .events = POLLIN}, {.fd = STDIN_FILENO, .events = POLLIN}};
    poll(fds, 2, TURN_MS);
    if (fds[1].revents != 0) {
        obey();
    }
    int n = epoll_wait(swarm.epoll, events, 256, 0);
    for (int i = 0; i < n; i++) {
        read_some(events[i].data.ptr);
    }
    int64_t now = now_ms();
    static int64_t tended;
    if (now - tended >= TURN_MS) {
        tended = now;
        for (size_t i = 0; i < swarm.n; i++) {
            tend(&swarm.subscribers[i], now);
        }
    }
}

static bool
all_greeted(void)
{
    for (size_t i = 0; i < swarm.n; i++) {
        if (swarm.subscribers[i].trace.token[0] == '\0') {
            return false;
        }
    }
    return true;
}

static size_t
incomplete(void)
{
    size_t sum = 0;
    for (size_t i = 0; i < swarm.n; i++) {
        sum += trace_left(&swarm.subscribers[i].trace, swarm.produced) > 0;
    }
    return sum;
}

static uint64_t
all_records(void)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < swarm.n; i++) {
        sum += swarm.subscribers[i].trace.records;
    }
    return sum;
}

/* Until everyone has everything, or nobody got a record for settle_s. */
static void
settle(void)
{
    int64_t begun = now_ms(), deadline = in_ms(swarm.settle_s);
    uint64_t before = all_records(), seen = before;
    while (!swarm.over && incomplete() > 0 && now_ms() < deadline) {
        turn();
        uint64_t records = all_records();
        if (records != seen) {
            seen = records;
            deadline = in_ms(swarm.settle_s);
        }
    }
    swarm.settled_ms = now_ms() - begun;
    swarm.settled_records = seen - before;
}

static void
print_faults(void)
{
    printf("\"faults\":{");
    for (int kind = 0; kind < TRACE_FAULTS; kind++) {
        uint64_t sum = 0;
        for (size_t i = 0; i < swarm.n; i++) {
            sum += swarm.subscribers[i].trace.faults[kind];
        }
        printf("%s\"%s\":%" PRIu64, kind == 0 ? "" : ",", trace_fault_names[kind], sum);
    }
    printf("}");
}

/* By kind: what its subscribers got, so that a run in which nothing happened is seen. */
static void
print_kinds(void)
{
    printf("\"kinds\":{");
    for (size_t k = 0; k < KINDS && k < swarm.n; k++) {
        uint64_t records = 0, gaps = 0, told = 0, left = 0;
        for (size_t i = k; i < swarm.n; i += KINDS) {
            left += trace_left(&swarm.subscribers[i].trace, swarm.produced) > 0;
            records += swarm.subscribers[i].trace.records;
            gaps += swarm.subscribers[i].trace.gaps;
            told += swarm.subscribers[i].trace.told_records;
        }
        printf("%s\"%s\":{\"records\":%" PRIu64 ",\"gaps\":%" PRIu64 ",\"told\":%" PRIu64
               ",\"incomplete\":%" PRIu64 "}",
            k == 0 ? "" : ",", kinds[k].name, records, gaps, told, left);
    }
    printf("}");
}

static int
report(void)
{
    uint64_t records = 0, connections = 0, resumes = 0, faults = 0;
    size_t left = incomplete();
    for (size_t i = 0; i < swarm.n; i++) {
        struct trace *trace = &swarm.subscribers[i].trace;
        trace_finish(trace, swarm.produced);
        report_fault(&swarm.subscribers[i]);
        records += trace->records;
        connections += trace->connections;
        resumes += trace->resumes;
        faults += trace_fault_count(trace);
    }
    printf("{\"subscribers\":%zu,\"produced\":%" PRIu64 ",\"records\":%" PRIu64
           ",\"connections\":%" PRIu64 ",\"resumes\":%" PRIu64 ",\"refused\":%" PRIu64
           ",\"cut\":%" PRIu64 ",\"clean\":%" PRIu64 ",\"sabotaged\":%" PRIu64
           ",\"incomplete\":%zu,\"settled_records\":%" PRIu64 ",\"settled_s\":%.1f,",
        swarm.n, swarm.produced, records, connections, resumes, swarm.refused, swarm.cut,
        swarm.clean, swarm.sabotaged, left, swarm.settled_records, (double)swarm.settled_ms / 1000);
    print_faults();
    printf(",");
    print_kinds();
    printf("}\n");
    return faults > 0 || left > 0;
}

static void
parse(int argc, char **argv)
{
    static const struct option options[] = {{"ports", 1, NULL, 'p'}, {"subscribers", 1, NULL, 'n'},
        {"partitions", 1, NULL, 'P'}, {"life", 1, NULL, 'l'}, {"seed", 1, NULL, 's'},
        {"settle", 1, NULL, 't'}, {"sabotage", 1, NULL, 'x'}, {NULL, 0, NULL, 0}};
    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (c == 'p') {
            sscanf(optarg, "%u,%u", &swarm.ports[0], &swarm.ports[1]);
        } else if (c == 'n') {
            swarm.n = strtoul(optarg, NULL, 10);
        } else if (c == 'P') {
            swarm.partitions = (unsigned)strtoul(optarg, NULL, 10);
        } else if (c == 'l') {
            swarm.life_s = strtod(optarg, NULL);
        } else if (c == 's') {
            swarm.random = strtoull(optarg, NULL, 10) * 2654435761u + 1;
        } else if (c == 't') {
            swarm.settle_s = strtod(optarg, NULL);
        } else if (c == 'x') {
            for (int kind = 0; kind < TRACE_FAULTS; kind++) {
                swarm.sabotage =
                    strcmp(optarg, trace_fault_names[kind]) == 0 ? kind : swarm.sabotage;
            }
        } else {
            exit(2);
        }
    }
    if (swarm.ports[1] == 0 || swarm.n == 0 || swarm.partitions - 1 >= TRACE_LANES) {
        fprintf(stderr, "swarm: --ports A,B is needed, --partitions is 1 to %d\n", TRACE_LANES);
        exit(2);
    }
}

int
main(int argc, char **argv)
{
    parse(argc, argv);
    swarm.epoll = epoll_create1(EPOLL_CLOEXEC);
    swarm.subscribers = calloc(swarm.n, sizeof *swarm.subscribers);
    for (size_t i = 0; i < swarm.n; i++) {
        subscriber_init(&swarm.subscribers[i], i);
    }
    while (!swarm.over && !all_greeted()) {
        turn();
    }
    printf("ready\n");
    fflush(stdout);
    while (!swarm.over && !swarm.finishing) {
        turn();
    }
    settle();
    int failed = report();
    for (size_t i = 0; i < swarm.n; i++) {
        sub_conn_close(&swarm.subscribers[i].conn);
    }
    free(swarm.subscribers);
    return failed;
}
