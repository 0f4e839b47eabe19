/* test_metrics: the text is what Prometheus reads; promtool agrees where it is installed. */
#include "metrics.h"
#include "unit.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const char *
text_of(struct buf *buf)
{
    buf_addc(buf, '\0');
    buf->len--;
    return buf->bytes;
}

START_TEST(a_family_escapes_its_help)
{
    struct buf out;
    buf_init(&out);
    metrics_family(&out, "headgate_x_total", "counter", "a\\b\nc \"d\"");
    ck_assert_str_eq(text_of(&out),
        "# HELP headgate_x_total a\\\\b\\nc \"d\"\n# TYPE headgate_x_total counter\n");
    buf_fini(&out);
}
END_TEST

START_TEST(labels_are_joined_and_escaped)
{
    struct buf labels;
    buf_init(&labels);
    metrics_label(&labels, "stream", "a\"b\\c\nd\xFF\xC3\xA9");
    metrics_label(&labels, "transport", transport_names[TRANSPORT_NDJSON]);
    ck_assert_str_eq(
        text_of(&labels), "stream=\"a\\\"b\\\\c\\nd\xEF\xBF\xBD\xC3\xA9\",transport=\"ndjson\"");
    buf_fini(&labels);
}
END_TEST

START_TEST(samples_show_numbers_exactly)
{
    struct buf out;
    buf_init(&out);
    metrics_sample_u64(&out, "a", "", UINT64_MAX);
    metrics_sample_u64(&out, "a", "x=\"y\"", 0);
    metrics_sample_double(&out, "b", "", 0.1);
    metrics_sample_double(&out, "b", "", 1.0 / 3);
    metrics_sample_double(&out, "b", "", -1e300);
    metrics_sample_double(&out, "b", "", (double)INFINITY);
    metrics_sample_double(&out, "b", "", -(double)INFINITY);
    metrics_sample_double(&out, "b", "", (double)NAN);
    ck_assert_str_eq(text_of(&out),
        "a 18446744073709551615\na{x=\"y\"} 0\nb 0.1\nb 0.33333333333333331\nb -1e+300\nb +Inf\n"
        "b -Inf\nb NaN\n");
    buf_fini(&out);
}
END_TEST

START_TEST(an_observation_on_a_bound_counts_below_it)
{
    struct histogram histogram = {0};
    histogram_add(&histogram, -5, 1);
    histogram_add(&histogram, 500000, 1);
    histogram_add(&histogram, 500001, 1);
    histogram_add(&histogram, INT64_C(10000000000), 1);
    histogram_add(&histogram, INT64_C(10000000001), 3);
    ck_assert_uint_eq(atomic_load(&histogram.buckets[0]), 2);
    ck_assert_uint_eq(atomic_load(&histogram.buckets[1]), 1);
    ck_assert_uint_eq(atomic_load(&histogram.buckets[METRICS_BUCKETS - 1]), 1);
    ck_assert_uint_eq(atomic_load(&histogram.buckets[METRICS_BUCKETS]), 3);
    ck_assert_uint_eq(atomic_load(&histogram.sum_ns), UINT64_C(40001000004));
}
END_TEST

START_TEST(each_bound_in_seconds_is_the_one_that_counts)
{
    for (size_t i = 0; i < METRICS_BUCKETS; i++) {
        struct histogram histogram = {0};
        int64_t bound_ns = (int64_t)llround(metrics_bucket_seconds[i] * 1e9);
        histogram_add(&histogram, bound_ns, 1);
        histogram_add(&histogram, bound_ns + 1, 1);
        ck_assert_uint_eq(atomic_load(&histogram.buckets[i]), 1);
        ck_assert_uint_eq(atomic_load(&histogram.buckets[i + 1]), 1);
    }
}
END_TEST

START_TEST(a_histogram_is_cumulative)
{
    struct histogram histogram = {0};
    struct buf out;
    buf_init(&out);
    histogram_add(&histogram, 2000000, 2);
    histogram_add(&histogram, INT64_C(60000000000), 1);
    metrics_histogram(&out, "h", "s=\"t\"", &histogram);
    const char *text = text_of(&out);
    ck_assert_ptr_nonnull(strstr(text, "h_bucket{s=\"t\",le=\"0.001\"} 0\n"));
    ck_assert_ptr_nonnull(strstr(text, "h_bucket{s=\"t\",le=\"0.0025\"} 2\n"));
    ck_assert_ptr_nonnull(strstr(text, "h_bucket{s=\"t\",le=\"10\"} 2\n"));
    ck_assert_ptr_nonnull(strstr(text, "h_bucket{s=\"t\",le=\"+Inf\"} 3\n"));
    ck_assert_ptr_nonnull(strstr(text, "h_sum{s=\"t\"} 60.004\nh_count{s=\"t\"} 3\n"));
    buf_fini(&out);
}
END_TEST

START_TEST(promtool_finds_nothing_wrong)
{
    if (system("command -v promtool >/dev/null 2>&1") != 0) {
        return;
    }
    struct histogram histogram = {0};
    struct buf out, labels;
    buf_init(&out);
    buf_init(&labels);
    histogram_add(&histogram, 3, 3);
    metrics_label(&labels, "stream", "orders \"\\\n\t\xFF");
    metrics_family(&out, "headgate_records_in_total", "counter", "Records.\nAll \\ of them.");
    metrics_sample_u64(&out, "headgate_records_in_total", text_of(&labels), 5);
    metrics_family(&out, "headgate_lag", "gauge", "Lag.");
    metrics_sample_double(&out, "headgate_lag", text_of(&labels), -0.25);
    metrics_family(&out, "headgate_delivery_seconds", "histogram", "Delivery.");
    metrics_histogram(&out, "headgate_delivery_seconds", text_of(&labels), &histogram);
    FILE *promtool = popen("promtool check metrics", "w");
    ck_assert_uint_eq(fwrite(out.bytes, 1, out.len, promtool), out.len);
    ck_assert_int_eq(pclose(promtool), 0);
    buf_fini(&labels);
    buf_fini(&out);
}
END_TEST

UNIT_MAIN("metrics", a_family_escapes_its_help, labels_are_joined_and_escaped,
    samples_show_numbers_exactly, an_observation_on_a_bound_counts_below_it,
    each_bound_in_seconds_is_the_one_that_counts, a_histogram_is_cumulative,
    promtool_finds_nothing_wrong)
