/* tail_stats: rates of a subscriber. No thread of its own. */
#include "tail_stats.h"

#include <inttypes.h>

void
tail_stats_init(struct tail_stats *stats, int64_t now_ns)
{
    *stats = (struct tail_stats){.start_ns = now_ns, .last_ns = now_ns};
}

static void
add_rates(struct buf *out, uint64_t records, uint64_t bytes, int64_t ns)
{
    double seconds = ns > 0 ? (double)ns / 1e9 : 1.0;
    buf_addf(
        out, "%.0f records/s  %.2f MB/s", (double)records / seconds, (double)bytes / seconds / 1e6);
}

static void
add_totals(struct buf *out, const struct tail_stats *stats)
{
    buf_addf(out, "  total %" PRIu64 "  gaps %" PRIu64, stats->records, stats->gaps);
    if (stats->missed != 0) {
        buf_addf(out, " (%" PRIu64 " missed)", stats->missed);
    }
    if (stats->connects > 1) {
        buf_addf(out, "  reconnects %" PRIu64, stats->connects - 1);
    }
}

void
tail_stats_line(struct tail_stats *stats, int64_t now_ns, struct buf *out)
{
    add_rates(out, stats->records - stats->last_records, stats->bytes - stats->last_bytes,
        now_ns - stats->last_ns);
    add_totals(out, stats);
    stats->last_ns = now_ns;
    stats->last_records = stats->records;
    stats->last_bytes = stats->bytes;
}

void
tail_stats_summary(const struct tail_stats *stats, int64_t now_ns, struct buf *out)
{
    int64_t ns = now_ns - stats->start_ns;
    buf_addf(out, "%.1f s  mean ", (double)ns / 1e9);
    add_rates(out, stats->records, stats->bytes, ns);
    add_totals(out, stats);
}
