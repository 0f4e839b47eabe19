/* file_pace: when the next record of a replay is due: as fast as it goes, at a rate, or at the
 * pace at which the records were recorded. Time that the stream had no room is not made up for.
 * Thread  one at a time. */
#ifndef HEADGATE_FILE_PACE_H
#define HEADGATE_FILE_PACE_H

#include "../gateway/err.h"

#include <stdbool.h>
#include <stdint.h>

struct file_pace {
    double per_second; /* 0: no rate */
    double speed;      /* 0: not by time */
    bool begun;        /* a record has set the clock */
    int64_t begun_ms;  /* the time of that record */
    int64_t begun_ns;  /* and when it was due */
    int64_t next_ns;   /* by the rate: when the next one is */
};

/* file_pace_rate: text as 1000/s, 10/m, 5/h, or a number a second. file_pace_speed: a factor.
 * Errors -1 and err. */
int file_pace_rate(struct file_pace *pace, const char *text, struct err *err);
int file_pace_speed(struct file_pace *pace, const char *text, struct err *err);

/* file_pace_due: when, on the monotonic clock, a record of time_ms (-1: none is known) is due, as
 * seen at now_ns; now_ns or earlier: now. */
int64_t file_pace_due(struct file_pace *pace, int64_t time_ms, int64_t now_ns);

/* file_pace_sent: it was staged at now_ns. */
void file_pace_sent(struct file_pace *pace, int64_t now_ns);

/* file_pace_held: the stream had no room for so long. */
void file_pace_held(struct file_pace *pace, int64_t ns);

#endif
