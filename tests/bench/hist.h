/* hist: a histogram of nanoseconds in fixed memory. 32 steps an octave: a percentile read from it
 * is at most 3 % above the true one. No allocation, no lock; one thread. */
#ifndef HEADGATE_BENCH_HIST_H
#define HEADGATE_BENCH_HIST_H

#include <stdint.h>

#define HIST_BUCKETS (60 * 32)

struct hist {
    uint64_t count;
    uint64_t max_ns;
    uint64_t buckets[HIST_BUCKETS];
};

void hist_add(struct hist *hist, uint64_t ns);

/* hist_percentile_ns: the upper edge of the bucket that holds the value at permille/10 percent; 0
 * when empty. */
uint64_t hist_percentile_ns(const struct hist *hist, unsigned permille);

/* hist_print: to standard output, as JSON members from p50_us to max_us, each behind a comma. */
void hist_print(const struct hist *hist);

#endif
