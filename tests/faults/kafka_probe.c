/* kafka_probe: runs the Kafka source alone, with a fake stream, against any cluster, and says what
 * the source said to the stream. For measuring and for faults of a real broker. kafka_probe BROKERS
 * TOPIC START COUNT SECONDS [NAME=VALUE...] Ends after COUNT records (0: no end) or SECONDS. One
 * JSON line: records, seconds from the first commit to the last, and what became of each lane.
 * room=N, prefetch=BYTES, hold=SECONDS and cost=NANOSECONDS (a
 * record) are its own; latency=1 reads payloads as CLOCK_MONOTONIC nanoseconds in decimal. */
#include "../../connectors/kafka.h"
#include "../../connectors/kafka_settings.h"
#include "../../gateway/clock.h"
#include "../../gateway/log.h"
#include "../unit/fake_stream.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#define OPTIONS_MOST 32

struct probe {
    struct kafka_settings settings;
    struct config_pair options[OPTIONS_MOST];
    char *topics[1];
    size_t room, hold_s;
    int64_t cost_ns;
    bool latency; /* payloads are CLOCK_MONOTONIC nanoseconds in decimal */
};

static void
take_option(struct probe *probe, char *text)
{
    char *value = strchr(text, '=');
    if (value == NULL || probe->settings.librdkafka_options.n == OPTIONS_MOST) {
        return;
    }
    *value++ = '\0';
    if (strcmp(text, "room") == 0) {
        probe->room = strtoull(value, NULL, 10);
    } else if (strcmp(text, "prefetch") == 0) {
        probe->settings.prefetch_bytes = strtoull(value, NULL, 10);
    } else if (strcmp(text, "hold") == 0) {
        probe->hold_s = strtoull(value, NULL, 10);
    } else if (strcmp(text, "cost") == 0) {
        probe->cost_ns = strtoll(value, NULL, 10);
    } else if (strcmp(text, "latency") == 0) {
        probe->latency = true;
    } else {
        probe->options[probe->settings.librdkafka_options.n++] =
            (struct config_pair){text, value, 0, 0};
    }
}

static void
nap(long ms)
{
    nanosleep(&(struct timespec){ms / 1000, ms % 1000 * 1000000}, NULL);
}

static void
report(struct stream *stream, const char *topic, double seconds)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    size_t count = fake_stream_count(stream);
    printf("{\"records\":%zu,\"seconds\":%.3f,\"rate\":%.0f,\"commits\":%zu,\"repeats\":%zu,"
           "\"ups\":%zu,\"downs\":%zu,\"disorder\":%s,\"rss_kb\":%ld,\"cpu_s\":%.2f,\"lanes\":[",
        count, seconds, (double)count / seconds, fake_stream_commits(stream),
        fake_stream_repeats(stream), fake_stream_ups(stream), fake_stream_downs(stream),
        fake_stream_disorder(stream) ? "true" : "false", usage.ru_maxrss,
        (double)usage.ru_utime.tv_sec + (double)usage.ru_utime.tv_usec / 1e6);
    for (uint32_t i = 0; i < fake_stream_lanes(stream); i++) {
        struct fake_lane lane = fake_stream_lane(stream, topic, i);
        printf("%s{\"partition\":%" PRIu32 ",\"start\":%" PRIu64 ",\"next\":%" PRIu64
               ",\"end\":%" PRIu64 ",\"lost\":%" PRIu64 ",\"resets\":%d,\"removed\":%s}",
            i == 0 ? "" : ",", i, lane.start, lane.next, lane.end, lane.lost, lane.resets,
            lane.removed ? "true" : "false");
    }
    printf("]}\n");
}

static int
by_value(const void *a_, const void *b_)
{
    int64_t a = *(const int64_t *)a_, b = *(const int64_t *)b_;
    return (a > b) - (a < b);
}

/* From what the producer wrote into the payload to the source's arrival. */
static void
report_latency(struct stream *stream)
{
    size_t n = fake_stream_count(stream);
    int64_t *ns = calloc(n + 1, sizeof *ns);
    for (size_t i = 0; i < n; i++) {
        const struct fake_record *record = fake_stream_record(stream, i);
        ns[i] = record->arrival_ns - strtoll(record->data, NULL, 10);
    }
    qsort(ns, n, sizeof *ns, by_value);
    if (n > 0) {
        printf("{\"latency_us\":{\"p50\":%" PRId64 ",\"p90\":%" PRId64 ",\"p99\":%" PRId64
               ",\"max\":%" PRId64 "}}\n",
            ns[n / 2] / 1000, ns[n * 9 / 10] / 1000, ns[n * 99 / 100] / 1000, ns[n - 1] / 1000);
    }
    free(ns);
}

static double
watch(struct stream *stream, size_t count, long seconds)
{
    int64_t begun = clock_mono_ns(), first = 0, last = 0;
    size_t before = 0;
    while (
        clock_mono_ns() - begun < seconds * INT64_C(1000000000) && (count == 0 || before < count)) {
        size_t now = fake_stream_count(stream);
        if (now != before) {
            last = clock_mono_ns();
            first = first == 0 ? last : first;
            before = now;
        }
        nap(1);
    }
    return last > first ? (double)(last - first) / 1e9 : 1e-9;
}

int
main(int argc, char **argv)
{
    static struct probe probe;
    struct err err = {0};
    if (argc < 6) {
        return 2;
    }
    log_init(LOG_INFO, LOG_FORMAT_TEXT);
    probe.topics[0] = argv[2];
    probe.room = 1024;
    probe.settings = (struct kafka_settings){.brokers = argv[1],
        .topics = {probe.topics, 1},
        .start = argv[3],
        .discover_ms = 1000,
        .session_timeout_ms = 45000, /* librdkafka compares it also where there is no group */
        .stall_timeout_ms = 30000,
        .prefetch_bytes = 16 << 20,
        .librdkafka_options = {probe.options, 0}};
    for (int i = 6; i < argc; i++) {
        take_option(&probe, argv[i]);
    }
    struct stream *stream = fake_stream_new(probe.hold_s > 0 ? 0 : probe.room, 1 << 20);
    if (!probe.latency) {
        fake_stream_discard(stream);
    }
    fake_stream_set_cost(stream, probe.cost_ns);
    struct source *source = kafka_connector.start(&probe.settings, stream, NULL, &err);
    if (source == NULL) {
        fprintf(stderr, "%s\n", err.text);
        return 1;
    }
    nap((long)probe.hold_s * 1000);
    fake_stream_set_room(stream, probe.room);
    kafka_connector.wake(source);
    double seconds = watch(stream, strtoull(argv[4], NULL, 10), strtol(argv[5], NULL, 10));
    kafka_connector.stop(source);
    report(stream, argv[2], seconds);
    if (probe.latency) {
        report_latency(stream);
    }
    fake_stream_free(stream);
    return 0;
}
