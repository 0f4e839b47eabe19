/* sub: many subscribers in one process, for the end-to-end tests that need speed or numbers.
 *
 * Prints "ready" once each has its hello, then reads until each has --expect records (delivered
 * and counted in gaps), or all ended, or the time is over; then one JSON line a subscriber.
 * Lines on standard input: "read": those that --stall start to read; "report": print now, end.
 * Exit status 0 when every subscriber reached --expect without an order error. */
#include "sub_conn.h"

#include <getopt.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

struct sub {
    struct sub_conn *conns;
    size_t n;
    size_t per_transport[3];
    unsigned port;
    const char *target;
    uint64_t expect;
    double timeout_s;
    bool stall; /* read nothing after the hello, until told */
    bool ended; /* told to report */
    int epoll;
};

static double
now_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static bool
conn_done(const struct sub *sub, const struct sub_conn *conn)
{
    return conn->end != SUB_OPEN ||
           (sub->expect > 0 && conn->records + conn->gap_records >= sub->expect);
}

static void
watch(struct sub *sub, size_t i)
{
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = i};
    epoll_ctl(sub->epoll, EPOLL_CTL_ADD, sub->conns[i].fd, &event);
}

static void
unwatch(struct sub *sub, size_t i)
{
    epoll_ctl(sub->epoll, EPOLL_CTL_DEL, sub->conns[i].fd, NULL);
}

static int
open_all(struct sub *sub)
{
    size_t i = 0;
    for (unsigned transport = 0; transport < 3; transport++) {
        for (size_t k = 0; k < sub->per_transport[transport]; k++, i++) {
            if (sub_conn_open(&sub->conns[i], transport, sub->port, sub->target, 0) < 0) {
                perror("sub: connect");
                return -1;
            }
            watch(sub, i);
        }
    }
    return 0;
}

static void
obey(struct sub *sub)
{
    char line[64] = "";
    ssize_t got = read(STDIN_FILENO, line, sizeof(line) - 1);
    if (got <= 0 || strstr(line, "report")) {
        sub->ended = true;
    } else if (strstr(line, "read") && sub->stall) {
        sub->stall = false;
        for (size_t i = 0; i < sub->n; i++) {
            if (sub->conns[i].end == SUB_OPEN) {
                watch(sub, i);
            }
        }
    }
}

/* Reads every connection that has something; wait_ms at most. */
static void
turn(struct sub *sub, int wait_ms, bool for_hello)
{
    struct epoll_event events[256];
    struct pollfd fds[2] = {
        {.fd = sub->epoll, .events = POLLIN}, {.fd = STDIN_FILENO, .events = POLLIN}};

    poll(fds, 2, wait_ms);
    if (fds[1].revents) {
        obey(sub);
    }
    int n = epoll_wait(sub->epoll, events, 256, 0);
    for (int k = 0; k < n; k++) {
        size_t i = (size_t)events[k].data.u64;
        struct sub_conn *conn = &sub->conns[i];
        sub_conn_read(conn);
        if (conn->end != SUB_OPEN || (for_hello && sub->stall && conn->has_hello)) {
            unwatch(sub, i);
        }
    }
}

static bool
all_have_hello(const struct sub *sub)
{
    for (size_t i = 0; i < sub->n; i++) {
        if (!sub->conns[i].has_hello && sub->conns[i].end == SUB_OPEN) {
            return false;
        }
    }
    return true;
}

static bool
all_done(const struct sub *sub)
{
    for (size_t i = 0; i < sub->n; i++) {
        if (!conn_done(sub, &sub->conns[i])) {
            return false;
        }
    }
    return true;
}

static void
report(const struct sub *sub, double seconds)
{
    for (size_t i = 0; i < sub->n; i++) {
        const struct sub_conn *conn = &sub->conns[i];
        printf("{\"transport\":\"%s\",\"end\":\"%s\",\"status\":%d,\"close\":%d,\"records\":%ju,"
               "\"gaps\":%ju,\"gap_records\":%ju,\"reason\":\"%s\",\"holes\":%ju,"
               "\"order_errors\":%ju,\"bad\":%ju,\"seconds\":%.3f,\"lanes\":{",
            sub_transport_names[conn->transport], sub_end_names[conn->end], conn->status,
            conn->close_code, (uintmax_t)conn->records, (uintmax_t)conn->gaps,
            (uintmax_t)conn->gap_records, conn->last_reason, (uintmax_t)conn->holes,
            (uintmax_t)conn->order_errors, (uintmax_t)conn->bad, seconds);
        const char *comma = "";
        for (unsigned p = 0; p < SUB_LANES; p++) {
            if (conn->lanes[p].first < 0) {
                continue;
            }
            printf("%s\"%u\":[%jd,%jd]", comma, p, (intmax_t)conn->lanes[p].first,
                (intmax_t)conn->lanes[p].last);
            comma = ",";
        }
        printf("}}\n");
    }
}

static int
verdict(const struct sub *sub)
{
    for (size_t i = 0; i < sub->n; i++) {
        const struct sub_conn *conn = &sub->conns[i];
        if (conn->order_errors || conn->bad ||
            (sub->expect > 0 && conn->records + conn->gap_records < sub->expect)) {
            return 1;
        }
    }
    return 0;
}

static int
usage(void)
{
    fprintf(stderr, "usage: sub --port PORT --target PATH?QUERY [--ws N] [--sse N] [--ndjson N]\n"
                    "           [--expect RECORDS] [--timeout SECONDS] [--stall]\n");
    return 2;
}

static int
parse(struct sub *sub, int argc, char **argv)
{
    static const struct option options[] = {{"ws", 1, NULL, 'w'}, {"sse", 1, NULL, 's'},
        {"ndjson", 1, NULL, 'n'}, {"port", 1, NULL, 'p'}, {"target", 1, NULL, 't'},
        {"expect", 1, NULL, 'e'}, {"timeout", 1, NULL, 'o'}, {"stall", 0, NULL, 'l'},
        {NULL, 0, NULL, 0}};
    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (c == 'w') {
            sub->per_transport[SUB_WS] = strtoul(optarg, NULL, 10);
        } else if (c == 's') {
            sub->per_transport[SUB_SSE] = strtoul(optarg, NULL, 10);
        } else if (c == 'n') {
            sub->per_transport[SUB_NDJSON] = strtoul(optarg, NULL, 10);
        } else if (c == 'p') {
            sub->port = (unsigned)strtoul(optarg, NULL, 10);
        } else if (c == 't') {
            sub->target = optarg;
        } else if (c == 'e') {
            sub->expect = strtoull(optarg, NULL, 10);
        } else if (c == 'o') {
            sub->timeout_s = strtod(optarg, NULL);
        } else if (c == 'l') {
            sub->stall = true;
        } else {
            return -1;
        }
    }
    sub->n = sub->per_transport[0] + sub->per_transport[1] + sub->per_transport[2];
    return sub->port && sub->target && sub->n ? 0 : -1;
}

static void
raise_descriptor_limit(void)
{
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

int
main(int argc, char **argv)
{
    struct sub sub = {.timeout_s = 60};

    if (parse(&sub, argc, argv) < 0) {
        return usage();
    }
    raise_descriptor_limit();
    sub.epoll = epoll_create1(EPOLL_CLOEXEC);
    sub.conns = calloc(sub.n, sizeof(*sub.conns));
    if (sub.epoll < 0 || !sub.conns || open_all(&sub) < 0) {
        return 1;
    }

    double start = now_s(), deadline = start + sub.timeout_s;
    while (!sub.ended && !all_have_hello(&sub) && now_s() < deadline) {
        turn(&sub, 100, true);
    }
    printf("ready\n");
    fflush(stdout);

    while (!sub.ended && !all_done(&sub) && now_s() < deadline) {
        turn(&sub, 100, false);
    }
    report(&sub, now_s() - start);
    int failed = verdict(&sub);
    for (size_t i = 0; i < sub.n; i++) {
        sub_conn_close(&sub.conns[i]);
    }
    free(sub.conns);
    return failed;
}
