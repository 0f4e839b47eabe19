/* hist: a log-linear histogram. The bucket is found by the top bit and the five bits below it. */
#include "hist.h"

#include <stdio.h>

static unsigned
bucket_of(uint64_t ns)
{
    if (ns < 32) {
        return (unsigned)ns;
    }
    unsigned octave = 63 - (unsigned)__builtin_clzll(ns);
    return 32 * (octave - 4) + (unsigned)((ns >> (octave - 5)) & 31);
}

static uint64_t
upper_edge_ns(unsigned bucket)
{
    if (bucket < 32) {
        return bucket;
    }
    unsigned shift = bucket / 32 - 1;
    return ((UINT64_C(32) + bucket % 32 + 1) << shift) - 1;
}

void
hist_add(struct hist *hist, uint64_t ns)
{
    hist->buckets[bucket_of(ns)]++;
    hist->count++;
    if (ns > hist->max_ns) {
        hist->max_ns = ns;
    }
}

uint64_t
hist_percentile_ns(const struct hist *hist, unsigned permille)
{
    if (hist->count == 0) {
        return 0;
    }
    uint64_t rank = (hist->count * permille + 999) / 1000;
    uint64_t seen = 0;
    for (unsigned i = 0; i < HIST_BUCKETS; i++) {
        seen += hist->buckets[i];
        if (seen >= rank && seen != 0) {
            uint64_t edge = upper_edge_ns(i);
            return edge < hist->max_ns ? edge : hist->max_ns;
        }
    }
    return hist->max_ns;
}

static double
microseconds(const struct hist *hist, unsigned permille)
{
    return (double)hist_percentile_ns(hist, permille) / 1000;
}

void
hist_print(const struct hist *hist)
{
    printf(",\"p50_us\":%.1f,\"p90_us\":%.1f,\"p99_us\":%.1f,\"p999_us\":%.1f,\"max_us\":%.1f",
        microseconds(hist, 500), microseconds(hist, 900), microseconds(hist, 990),
        microseconds(hist, 999), (double)hist->max_ns / 1000);
}
