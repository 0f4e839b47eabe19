/* tail_stats: counts of what a subscriber received, and the line that tells of them.
 * Thread  whoever owns it. */
#ifndef HEADGATE_TAIL_STATS_H
#define HEADGATE_TAIL_STATS_H

#include "buf.h"

#include <stdint.h>

struct tail_stats {
    uint64_t records;
    uint64_t bytes; /* of the records' lines */
    uint64_t gaps;
    uint64_t missed; /* records that the gaps counted */
    uint64_t connects;
    int64_t start_ns, last_ns;
    uint64_t last_records, last_bytes;
};

void tail_stats_init(struct tail_stats *stats, int64_t now_ns);

/* tail_stats_line: append the rates since the last line and the totals; begins a new interval. */
void tail_stats_line(struct tail_stats *stats, int64_t now_ns, struct buf *out);

/* tail_stats_summary: append the totals and the mean rates since the start. */
void tail_stats_summary(const struct tail_stats *stats, int64_t now_ns, struct buf *out);

#endif
