/* tail_sink: what a subscriber does with the bytes of an NDJSON stream: records go to a descriptor,
 * control messages to stderr as lines for a person, and the place to resume from is kept.
 *
 * Invariant: a record is on the output whole or not at all, and its token is kept only once it is
 * there; so whoever resumes neither repeats nor loses a record. Records that lie side by side in
 * the bytes that came are one write, without a copy. A SIGKILL may tear the last line of a file: no
 * token of it was kept or acknowledged, and the next who appends begins a line of its own.
 * Thread  whoever owns it; writing may block. */
#ifndef HEADGATE_TAIL_SINK_H
#define HEADGATE_TAIL_SINK_H

#include "buf.h"
#include "tail_lines.h"
#include "tail_stats.h"

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>

enum tail_outcome {
    TAIL_GO_ON,
    TAIL_RETRY, /* come back: why is told */
    TAIL_DONE,  /* the stream, or whoever reads or started us, ended it */
    TAIL_FATAL  /* trying again would not mend it: why is told */
};

struct tail_sink {
    int out;
    const volatile sig_atomic_t *stop;
    bool payload_only; /* print payloads, not whole messages */
    bool record_seen;  /* since tail_sink_begin */
    bool is_answer;    /* what is read is an answer of a model */
    struct tail_stats stats;
    struct tail_lines lines;
    struct buf token;    /* where to resume, NUL-terminated; empty: not known yet */
    struct buf payloads; /* scratch of payload_only */
};

void tail_sink_init(struct tail_sink *sink, int out, const volatile sig_atomic_t *stop);
void tail_sink_fini(struct tail_sink *sink);

/* tail_sink_end_torn_line: once, before the first record: ends the line that the last one who
 * appended to this file left unfinished. */
enum tail_outcome tail_sink_end_torn_line(struct tail_sink *sink);

/* tail_sink_begin: a new connection: forget the line that the last one left unfinished. */
void tail_sink_begin(struct tail_sink *sink);

/* tail_sink_take: the next bytes of the body. After anything but TAIL_GO_ON no more is to come on
 * this connection. */
enum tail_outcome tail_sink_take(struct tail_sink *sink, const char *bytes, size_t len);

/* tail_sink_say: one line on stderr. */
void tail_sink_say(const char *text);

#endif
