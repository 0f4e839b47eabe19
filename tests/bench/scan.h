/* scan: count the messages in what a server sends over WebSocket, NDJSON or SSE, without copying
 * them.
 *
 * A scanner looks at the head of each message only, at its whole text when it is due as a latency
 * sample or is a control message. What is cut by the end of a read is kept (at most SCAN_CARRY_MAX
 * bytes) and put in front of the next one: the caller leaves SCAN_CARRY_MAX writable bytes before
 * its buffer. One thread. */
#ifndef HEADGATE_BENCH_SCAN_H
#define HEADGATE_BENCH_SCAN_H

#include "hist.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SCAN_CARRY_MAX 16384

enum scan_kind { SCAN_WS, SCAN_NDJSON, SCAN_SSE };

/* What all scanners of a run have seen together. */
struct scan_tally {
    uint64_t messages;
    uint64_t message_bytes;
    uint64_t control; /* hello, gap, end: not counted as messages */
    uint64_t gaps;
    uint64_t gap_records; /* the sum of the gaps' counts */
    uint64_t pings;
    uint64_t closes;
    uint64_t sample_every; /* one message in so many is a latency sample; 0: none */
    uint64_t until_sample;
    int64_t now_ns;       /* when the bytes being scanned were read: CLOCK_MONOTONIC */
    int64_t last_sent_ns; /* "sent_ns" of the last sample, for who wants to know how new it is */
    struct hist *latency; /* NULL: samples are not taken (warm-up) */
};

struct scan {
    enum scan_kind kind;
    bool chunked;        /* the body is in HTTP/1.1 chunks */
    bool long_line;      /* in a line whose beginning was let go */
    bool event_has_data; /* SSE: the event so far */
    bool event_is_control;
    unsigned char chunk_state;
    uint64_t skip; /* WebSocket: payload bytes of the frame still to come */
    uint64_t chunk_left;
    char *carry;
    size_t carry_len;
    const char *ping; /* payload of the last ping of this feed, lent until the next; NULL: none */
    size_t ping_len;
    bool closed;       /* a close frame or the last chunk came */
    uint64_t messages; /* of this connection */
};

void scan_init(struct scan *scan, enum scan_kind kind, bool chunked);
void scan_fini(struct scan *scan);

/* scan_feed: take len bytes. bytes[-SCAN_CARRY_MAX..len) may be overwritten. */
void scan_feed(struct scan *scan, char *bytes, size_t len, struct scan_tally *tally);

#endif
