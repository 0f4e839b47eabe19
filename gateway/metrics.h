/* metrics: counters and gauges of the program and their Prometheus text (format 0.0.4).
 *
 * Writers add to relaxed atomics and never block; the admin thread reads them on a scrape. No label
 * holds a user or a connection. Thread  any, except where it says so. */
#ifndef HEADGATE_METRICS_H
#define HEADGATE_METRICS_H

#include "buf.h"

#include <stdatomic.h>
#include <stdint.h>

enum transport { TRANSPORT_WS, TRANSPORT_SSE, TRANSPORT_NDJSON, TRANSPORT_JSON };
#define TRANSPORT_COUNT 4
extern const char *const transport_names[TRANSPORT_COUNT];

#define METRICS_BUCKETS 14
extern const double metrics_bucket_seconds[METRICS_BUCKETS];

/* A histogram of seconds: per-bucket counts (not cumulative), the last one is +Inf. */
struct histogram {
    atomic_uint_fast64_t buckets[METRICS_BUCKETS + 1];
    atomic_uint_fast64_t sum_ns;
};

/* histogram_add: count observations of ns nanoseconds each. */
void histogram_add(struct histogram *histogram, int64_t ns, uint64_t count);

/* metrics_family: "# HELP" and "# TYPE" lines of a family; its samples follow. */
void metrics_family(struct buf *out, const char *name, const char *type, const char *help);

/* metrics_sample: one line. labels is "" or a{..} content made with metrics_label. */
void metrics_sample_u64(struct buf *out, const char *name, const char *labels, uint64_t value);
void metrics_sample_double(struct buf *out, const char *name, const char *labels, double value);
void metrics_histogram(
    struct buf *out, const char *name, const char *labels, const struct histogram *histogram);

/* metrics_label: append name="value", the value escaped, with a comma before it when out is not
 * empty. */
void metrics_label(struct buf *out, const char *name, const char *value);

/* metrics_stream_labels: stream="..", and name="value" where name is not NULL, in the place of what
 * is in labels. Returns the text, lent until labels changes. */
const char *metrics_stream_labels(
    struct buf *labels, const char *stream, const char *name, const char *value);

#endif
