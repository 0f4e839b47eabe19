/* log_limit: keeps one recurring event from flooding the log.
 *
 * A kind of line is its component, stream and printf format. LOG_LIMIT_LINES of a kind pass in a
 * window of LOG_LIMIT_NS that starts with its first line; the rest of the window is counted and
 * told in one report. More kinds at once than there are slots are not limited.
 * Thread  whoever holds the log's lock.  Cost  a walk over the slots. */
#ifndef HEADGATE_LOG_LIMIT_H
#define HEADGATE_LOG_LIMIT_H

#include "log.h"

#include <stdbool.h>
#include <stdint.h>

#define LOG_LIMIT_LINES 20
#define LOG_LIMIT_NS INT64_C(10000000000)
#define LOG_LIMIT_SLOTS 64

/* What is said about a kind of line: copies, so that nothing has to live on. */
struct log_limit_kind {
    uint64_t hash; /* 0: a free slot */
    enum log_level level;
    char component[32];
    char stream[64];   /* "": none */
    char message[160]; /* the last line that was left out */
};

struct log_limit {
    struct log_limit_slot {
        struct log_limit_kind kind;
        int64_t since_ns;
        uint64_t lines; /* in this window, those left out too */
    } slots[LOG_LIMIT_SLOTS];
};

/* log_limit_pass: true when the line may be written. Take the reports first. */
bool log_limit_pass(struct log_limit *limit, int64_t now_ns, enum log_level level,
    const char *component, const char *stream, const char *format, const char *message);

/* log_limit_report: ends one window that is over; true and its kind and how many lines it left out.
 * Call it until it is false. */
bool log_limit_report(
    struct log_limit *limit, int64_t now_ns, struct log_limit_kind *kind, uint64_t *left_out);

#endif
