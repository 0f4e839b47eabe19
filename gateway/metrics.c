/* metrics: Prometheus text and the histogram. Any thread. */
#include "metrics.h"

#include "json.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *const transport_names[TRANSPORT_COUNT] = {"ws", "sse", "ndjson", "json"};

const double metrics_bucket_seconds[METRICS_BUCKETS] = {
    .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10};

/* The same bounds as numbers that an observation is compared with. */
static const int64_t bucket_ns[METRICS_BUCKETS] = {500000, 1000000, 2500000, 5000000, 10000000,
    25000000, 50000000, 100000000, 250000000, 500000000, 1000000000, 2500000000, 5000000000,
    10000000000};

void
histogram_add(struct histogram *histogram, int64_t ns, uint64_t count)
{
    size_t bucket = 0;
    while (bucket < METRICS_BUCKETS && ns > bucket_ns[bucket]) {
        bucket++;
    }
    uint64_t positive_ns = ns < 0 ? 0 : (uint64_t)ns;
    atomic_fetch_add_explicit(&histogram->buckets[bucket], count, memory_order_relaxed);
    atomic_fetch_add_explicit(&histogram->sum_ns, positive_ns * count, memory_order_relaxed);
}

void
metrics_family(struct buf *out, const char *name, const char *type, const char *help)
{
    buf_addf(out, "# HELP %s ", name);
    for (; *help != '\0'; help++) {
        if (*help == '\n') {
            BUF_LITERAL(out, "\\n");
        } else if (*help == '\\') {
            BUF_LITERAL(out, "\\\\");
        } else {
            buf_addc(out, *help);
        }
    }
    buf_addf(out, "\n# TYPE %s %s\n", name, type);
}

/* name, suffix and the labels; extra is a label of its own or "". */
static void
add_series(
    struct buf *out, const char *name, const char *suffix, const char *labels, const char *extra)
{
    buf_adds(out, name);
    buf_adds(out, suffix);
    if (*labels != '\0' || *extra != '\0') {
        buf_addc(out, '{');
        buf_adds(out, labels);
        buf_adds(out, *labels != '\0' && *extra != '\0' ? "," : "");
        buf_adds(out, extra);
        buf_addc(out, '}');
    }
    buf_addc(out, ' ');
}

/* The shorter of two forms that reads back as the same number. */
static void
add_double(struct buf *out, double value)
{
    char text[32];
    if (isnan(value)) {
        BUF_LITERAL(out, "NaN");
        return;
    }
    if (isinf(value)) {
        buf_adds(out, value < 0 ? "-Inf" : "+Inf");
        return;
    }
    snprintf(text, sizeof text, "%.15g", value);
    if (strtod(text, NULL) < value || strtod(text, NULL) > value) {
        snprintf(text, sizeof text, "%.17g", value);
    }
    buf_adds(out, text);
}

void
metrics_sample_u64(struct buf *out, const char *name, const char *labels, uint64_t value)
{
    add_series(out, name, "", labels, "");
    buf_addu64(out, value);
    buf_addc(out, '\n');
}

void
metrics_sample_double(struct buf *out, const char *name, const char *labels, double value)
{
    add_series(out, name, "", labels, "");
    add_double(out, value);
    buf_addc(out, '\n');
}

void
metrics_histogram(
    struct buf *out, const char *name, const char *labels, const struct histogram *histogram)
{
    uint64_t total = 0;
    uint64_t sum_ns = atomic_load_explicit(&histogram->sum_ns, memory_order_relaxed);
    for (size_t i = 0; i <= METRICS_BUCKETS; i++) {
        char le[40] = "le=\"+Inf\"";
        if (i < METRICS_BUCKETS) {
            snprintf(le, sizeof le, "le=\"%g\"", metrics_bucket_seconds[i]);
        }
        total += atomic_load_explicit(&histogram->buckets[i], memory_order_relaxed);
        add_series(out, name, "_bucket", labels, le);
        buf_addu64(out, total);
        buf_addc(out, '\n');
    }
    add_series(out, name, "_sum", labels, "");
    add_double(out, (double)sum_ns / 1e9);
    buf_addc(out, '\n');
    /* The count is the +Inf bucket's, though writers go on meanwhile. */
    add_series(out, name, "_count", labels, "");
    buf_addu64(out, total);
    buf_addc(out, '\n');
}

static void
add_label_unit(struct buf *out, const char *at, size_t step)
{
    if (step == 0) {
        BUF_LITERAL(out, JSON_REPLACEMENT);
    } else if (*at == '\n') {
        BUF_LITERAL(out, "\\n");
    } else {
        if (*at == '"' || *at == '\\') {
            buf_addc(out, '\\');
        }
        buf_add(out, at, step);
    }
}

void
metrics_label(struct buf *out, const char *name, const char *value)
{
    size_t left = strlen(value);
    if (out->len != 0) {
        buf_addc(out, ',');
    }
    buf_addf(out, "%s=\"", name);
    while (left != 0) {
        size_t step = json_utf8_length(value, left);
        add_label_unit(out, value, step);
        step = step == 0 ? 1 : step;
        value += step;
        left -= step;
    }
    buf_addc(out, '"');
}

const char *
metrics_stream_labels(struct buf *labels, const char *stream, const char *name, const char *value)
{
    labels->len = 0;
    metrics_label(labels, "stream", stream);
    if (name != NULL) {
        metrics_label(labels, name, value);
    }
    buf_addc(labels, '\0');
    return labels->bytes;
}
