/* clock: the two clocks, behind one struct so that tests turn the hands themselves.
 * Thread  any: a clock is read-only after init; a fake one belongs to one test thread. */
#ifndef HEADGATE_CLOCK_H
#define HEADGATE_CLOCK_H

#include <stdint.h>

int64_t clock_mono_ns(void); /* CLOCK_MONOTONIC: for every timer and latency */
int64_t clock_wall_ms(void); /* CLOCK_REALTIME, Unix milliseconds: only for what people read */

#define CLOCK_TIME_LEN 24 /* "2026-01-31T12:00:00.123Z" without the NUL */

/* clock_format_rfc3339: write exactly CLOCK_TIME_LEN characters and no NUL; years outside 0..9999
 * are clamped. unix_ms may be negative. Reentrant; about 20 ns. */
void clock_format_rfc3339(char out[CLOCK_TIME_LEN], int64_t unix_ms);

/* clock_parse_rfc3339: 0 and *unix_ms, or -1 when text is not a whole RFC 3339 date-time
 * (offset and fraction taken, leap second 60 read as 59; no surrounding space). */
int clock_parse_rfc3339(const char *text, int64_t *unix_ms);

#endif
