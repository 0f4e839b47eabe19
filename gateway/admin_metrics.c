/* admin_metrics: see admin_metrics.h. Admin shard's thread. */
#include "admin_metrics.h"

#include "admin_answers.h"
#include "catchup.h"
#include "downloads.h"
#include "log.h"
#include "metrics.h"
#include "stream_family.h"
#include "stream_push.h"

#include <dirent.h>
#include <stddef.h>
#include <string.h>
#include <sys/resource.h>

static uint64_t
load(const atomic_uint_fast64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

#define FAMILIES(server, rows, out)                                                                \
    stream_families(server, rows, sizeof(rows) / sizeof *(rows), out)

/* ---- what subscribers got ---- */

/* field: an offset in struct stream_counters, summed over the shards. */
static uint64_t
sum_at(const struct server *server, size_t stream, size_t field)
{
    uint64_t sum = 0;
    for (size_t shard = 0; shard < server->n_shards; shard++) {
        const char *counters = (const char *)stream_counters(server->streams[stream], shard);
        sum += load((const atomic_uint_fast64_t *)(const void *)(counters + field));
    }
    return sum;
}

/* field: of an array of counters there. */
static uint64_t
pick_sum(const struct server *server, size_t stream, size_t field, int word)
{
    return sum_at(server, stream, field + (size_t)word * sizeof(atomic_uint_fast64_t));
}

/* field: an offset in struct coding_counters. */
static uint64_t
pick_coded(const struct server *server, size_t stream, size_t field, int coding)
{
    size_t of_coding =
        offsetof(struct stream_counters, coded) + (size_t)coding * sizeof(struct coding_counters);
    return sum_at(server, stream, of_coding + field);
}

static uint64_t
pick_dropped(const struct server *server, size_t stream, size_t field, int reason)
{
    (void)field;
    return stream_dropped(server->streams[stream], (enum drop_reason)reason);
}

#define BY_TRANSPORT                                                                               \
    .label = "transport", .words = transport_names, .end = TRANSPORT_COUNT, .pick = pick_sum
#define BY_CODING                                                                                  \
    .label = "coding", .words = coding_names, .first = CODING_GZIP, .end = CODING_COUNT,           \
    .pick = pick_coded

static const struct stream_family sent[] = {
    {.name = "headgate_records_out_total",
        .type = "counter",
        .help = "Records sent to subscribers.",
        BY_TRANSPORT,
        .field = offsetof(struct stream_counters, records_out)},
    {.name = "headgate_bytes_out_total",
        .type = "counter",
        .help = "Bytes sent to subscribers.",
        BY_TRANSPORT,
        .field = offsetof(struct stream_counters, bytes_out)},
    {.name = "headgate_subscribers",
        .type = "gauge",
        .help = "Subscribers now.",
        BY_TRANSPORT,
        .field = offsetof(struct stream_counters, subscribers)},
    {.name = "headgate_compressions_total",
        .type = "counter",
        .help = "Pieces of records that were compressed, each for all subscribers of a thread that "
                "share it.",
        BY_CODING,
        .field = offsetof(struct coding_counters, pieces)},
    {.name = "headgate_compression_bytes_in_total",
        .type = "counter",
        .help = "Bytes of records before compression, those that were left as they are included.",
        BY_CODING,
        .field = offsetof(struct coding_counters, from_bytes)},
    {.name = "headgate_compression_bytes_out_total",
        .type = "counter",
        .help = "Bytes that they became, made once however many they were sent to.",
        BY_CODING,
        .field = offsetof(struct coding_counters, to_bytes)},
    {.name = "headgate_records_dropped_total",
        .type = "counter",
        .help = "Records that subscribers or the whole stream did not get, by reason; each is told "
                "in a gap.",
        .label = "reason",
        .words = drop_reason_names,
        .end = DROP_REASON_COUNT,
        .pick = pick_dropped},
    {.name = "headgate_disconnects_total",
        .type = "counter",
        .help = "Subscriptions that ended, by reason.",
        .label = "reason",
        .words = disconnect_reason_names,
        .end = DISCONNECT_REASON_COUNT,
        .pick = pick_sum,
        .field = offsetof(struct stream_counters, disconnects)},
};

/* ---- sources ---- */

static uint64_t
pick_records_in(const struct server *server, size_t stream, size_t field, int word)
{
    (void)field;
    (void)word;
    return stream_records_in(server->streams[stream]);
}

/* field: an offset in struct ring_state. */
static uint64_t
pick_ring(const struct server *server, size_t stream, size_t field, int word)
{
    struct ring_state state;
    ring_state(stream_ring(server->streams[stream]), &state);
    return stream_family_at(&state, field, word);
}

static uint64_t
pick_paused(const struct server *server, size_t stream, size_t field, int word)
{
    struct ring_state state;
    (void)field;
    (void)word;
    ring_state(stream_ring(server->streams[stream]), &state);
    return state.held;
}

static uint64_t
pick_up(const struct server *server, size_t stream, size_t field, int word)
{
    struct stream_health health;
    (void)field;
    (void)word;
    stream_health(server->streams[stream], &health);
    return health.up;
}

/* field: an offset in struct stream_sharing; 0 where there is no group. */
static uint64_t
pick_sharing(const struct server *server, size_t stream, size_t field, int word)
{
    struct stream_sharing sharing;
    stream_sharing(server->streams[stream], &sharing);
    return stream_family_at(&sharing, field, word);
}

/* field: an offset in struct consumer_counts. */
static uint64_t
pick_consumers(const struct server *server, size_t stream, size_t field, int word)
{
    struct consumer_counts counts;
    consumers_count(server->consumers, stream, &counts);
    return stream_family_at(&counts, field, word);
}

static const struct stream_family of_sources[] = {
    {.name = "headgate_records_in_total",
        .type = "counter",
        .help = "Records that came from the source.",
        .pick = pick_records_in},
    {.name = "headgate_ring_records",
        .type = "gauge",
        .help = "Records in the ring.",
        .pick = pick_ring,
        .field = offsetof(struct ring_state, records)},
    {.name = "headgate_ring_bytes",
        .type = "gauge",
        .help = "Bytes in the ring.",
        .pick = pick_ring,
        .field = offsetof(struct ring_state, bytes)},
    {.name = "headgate_source_paused",
        .type = "gauge",
        .help = "1 while a pause subscriber holds the source back.",
        .pick = pick_paused},
    {.name = "headgate_source_up",
        .type = "gauge",
        .help = "1 while the source answers.",
        .pick = pick_up},
    {.name = "headgate_source_rebalances_total",
        .type = "counter",
        .help = "How often the source's consumer group gave it partitions or took some.",
        .pick = pick_sharing,
        .field = offsetof(struct stream_sharing, shares)},
    {.name = "headgate_source_lanes",
        .type = "gauge",
        .help = "Partitions that the source's consumer group has given it.",
        .pick = pick_sharing,
        .field = offsetof(struct stream_sharing, lanes)},
    {.name = "headgate_source_commits_total",
        .type = "counter",
        .help = "Commits of the source's consumer group.",
        .pick = pick_sharing,
        .field = offsetof(struct stream_sharing, commits)},
    {.name = "headgate_consumer_connections",
        .type = "gauge",
        .help = "Connections of durable consumers.",
        .pick = pick_consumers,
        .field = offsetof(struct consumer_counts, connections)},
    {.name = "headgate_consumer_in_flight_records",
        .type = "gauge",
        .help = "Records that were sent to durable consumers with ack=client and are not acked.",
        .pick = pick_consumers,
        .field = offsetof(struct consumer_counts, in_flight)},
    {.name = "headgate_consumer_acks_total",
        .type = "counter",
        .help = "Acks of durable consumers that were taken.",
        .pick = pick_consumers,
        .field = offsetof(struct consumer_counts, acks)},
    {.name = "headgate_consumer_acks_refused_total",
        .type = "counter",
        .help = "Acks of records that were not in flight.",
        .pick = pick_consumers,
        .field = offsetof(struct consumer_counts, acks_refused)},
    {.name = "headgate_consumer_commits_total",
        .type = "counter",
        .help = "Commits of durable consumers' groups.",
        .pick = pick_sharing,
        .field = offsetof(struct stream_sharing, consumer_commits)},
    {.name = "headgate_consumer_rebalances_total",
        .type = "counter",
        .help = "How often durable consumers' groups gave a connection partitions or took some.",
        .pick = pick_sharing,
        .field = offsetof(struct stream_sharing, consumer_shares)},
};

static void
sources(const struct server *server, struct buf *out)
{
    FAMILIES(server, of_sources, out);
    metrics_family(out, "headgate_kafka_lag_records", "gauge",
        "Records of the partition that the gateway has not read yet.");
    for (size_t i = 0; i < server->n_streams; i++) {
        stream_metrics_lag(server->streams[i], out);
    }
    metrics_family(out, "headgate_file_lag_bytes", "gauge",
        "Bytes of the file that the gateway has not read yet.");
    for (size_t i = 0; i < server->n_streams; i++) {
        stream_metrics_file_lag(server->streams[i], out);
    }
    struct buf labels;
    buf_init(&labels);
    metrics_family(
        out, "headgate_source_errors_total", "counter", "Errors of the source, by reason.");
    for (size_t i = 0; i < server->n_streams; i++) {
        uint64_t count;
        const char *reason;
        for (size_t k = 0; (reason = stream_errors(server->streams[i], k, &count)) != NULL; k++) {
            metrics_sample_u64(out, "headgate_source_errors_total",
                metrics_stream_labels(&labels, stream_name(server->streams[i]), "reason", reason),
                count);
        }
    }
    buf_fini(&labels);
}

/* ---- posts and tables ---- */

static bool
takes_posts(struct stream *stream)
{
    return stream_push_queue(stream) != NULL;
}

static uint64_t
pick_pushed(const struct server *server, size_t stream, size_t field, int word)
{
    (void)field;
    (void)word;
    return push_queue_pushed(stream_push_queue(server->streams[stream]));
}

static uint64_t
pick_rejects(const struct server *server, size_t stream, size_t field, int why)
{
    (void)field;
    return push_queue_rejects(stream_push_queue(server->streams[stream]), (enum push_reject)why);
}

static const struct stream_family posts[] = {
    {.name = "headgate_pushed_records_total",
        .type = "counter",
        .help = "Records that clients posted and that are in the stream, or acknowledged by its "
                "broker.",
        .has = takes_posts,
        .pick = pick_pushed},
    {.name = "headgate_push_rejects_total",
        .type = "counter",
        .help = "Posts that were refused, by reason.",
        .label = "reason",
        .words = push_reject_names,
        .end = PUSH_REJECT_COUNT,
        .has = takes_posts,
        .pick = pick_rejects},
};

static bool
is_table(struct stream *stream)
{
    return stream_table(stream) != NULL;
}

/* field: an offset in struct table_state. */
static uint64_t
pick_table(const struct server *server, size_t stream, size_t field, int word)
{
    struct table_state state;
    table_state(stream_table(server->streams[stream]), &state);
    return stream_family_at(&state, field, word);
}

static uint64_t
pick_given_up(const struct server *server, size_t stream, size_t field, int word)
{
    struct table_state state;
    (void)field;
    (void)word;
    table_state(stream_table(server->streams[stream]), &state);
    return state.given_up;
}

#define OF_TABLES .has = is_table, .if_any = true

static const struct stream_family tables[] = {
    {.name = "headgate_table_keys",
        .type = "gauge",
        .help = "Keys in the table.",
        OF_TABLES,
        .pick = pick_table,
        .field = offsetof(struct table_state, keys)},
    {.name = "headgate_table_bytes",
        .type = "gauge",
        .help = "Bytes of the newest records of its keys.",
        OF_TABLES,
        .pick = pick_table,
        .field = offsetof(struct table_state, bytes)},
    {.name = "headgate_table_history_bytes",
        .type = "gauge",
        .help = "Bytes of what was replaced or removed and is kept for snapshots.",
        OF_TABLES,
        .pick = pick_table,
        .field = offsetof(struct table_state, history_bytes)},
    {.name = "headgate_table_snapshots",
        .type = "gauge",
        .help = "Snapshots that are being sent.",
        OF_TABLES,
        .pick = pick_table,
        .field = offsetof(struct table_state, snapshots)},
    {.name = "headgate_table_evicted_keys_total",
        .type = "counter",
        .help = "Keys that were left out at the bounds of the table.",
        OF_TABLES,
        .pick = pick_table,
        .field = offsetof(struct table_state, evicted)},
    {.name = "headgate_table_keyless_records_total",
        .type = "counter",
        .help = "Records without a key: changes that no snapshot has.",
        OF_TABLES,
        .pick = pick_table,
        .field = offsetof(struct table_state, keyless)},
    {.name = "headgate_table_snapshots_cut_total",
        .type = "counter",
        .help = "Snapshots that were given up at the bound of the history.",
        OF_TABLES,
        .pick = pick_table,
        .field = offsetof(struct table_state, cut)},
    {.name = "headgate_table_given_up",
        .type = "gauge",
        .help = "1 once the table went beyond its bounds and was given up.",
        OF_TABLES,
        .pick = pick_given_up},
};

/* ---- all ---- */

static void
delivery(const struct server *server, struct buf *out)
{
    struct buf labels;
    buf_init(&labels);
    metrics_family(out, "headgate_delivery_seconds", "histogram",
        "From a record's arrival to its write to a subscriber's socket.");
    for (size_t i = 0; i < server->n_streams; i++) {
        struct histogram sum;
        memset(&sum, 0, sizeof sum);
        for (size_t shard = 0; shard < server->n_shards; shard++) {
            const struct histogram *one = &stream_counters(server->streams[i], shard)->delivery;
            for (int b = 0; b <= METRICS_BUCKETS; b++) {
                atomic_fetch_add_explicit(
                    &sum.buckets[b], load(&one->buckets[b]), memory_order_relaxed);
            }
            atomic_fetch_add_explicit(&sum.sum_ns, load(&one->sum_ns), memory_order_relaxed);
        }
        metrics_histogram(out, "headgate_delivery_seconds",
            metrics_stream_labels(&labels, stream_name(server->streams[i]), NULL, NULL), &sum);
    }
    buf_fini(&labels);
}

static void
one_value(struct buf *out, const char *name, const char *type, const char *help, uint64_t value)
{
    metrics_family(out, name, type, help);
    metrics_sample_u64(out, name, "", value);
}

static void
downloads(const struct server *server, struct buf *out)
{
    struct downloads_state state;
    downloads_state(server->downloads, &state);
    one_value(out, "headgate_downloads", "gauge", "Downloads that go on; each has its file open.",
        state.open);
    metrics_family(out, "headgate_downloads_total", "counter",
        "Downloads that have ended: the client has all that it asked for, or went away before.");
    metrics_sample_u64(out, "headgate_downloads_total", "result=\"complete\"", state.complete);
    metrics_sample_u64(out, "headgate_downloads_total", "result=\"cut\"", state.cut);
    one_value(out, "headgate_download_bytes_total", "counter", "Bytes of files sent.", state.bytes);
    one_value(out, "headgate_download_watchers", "gauge", "Subscribers that watch a download.",
        atomic_load(&server->watchers.used));
    one_value(out, "headgate_downloads_watched", "gauge",
        "Downloads that have an id and are known: that go on, are waited for, or ended just now.",
        state.watched);
}

/* As every Prometheus client has it: without the descriptor that the count itself needs. */
static void
open_descriptors(struct buf *out)
{
    uint64_t n = 0;
    struct rlimit limit;
    DIR *directory = opendir("/proc/self/fd");
    for (struct dirent *entry; directory != NULL && (entry = readdir(directory)) != NULL;) {
        n += entry->d_name[0] != '.';
    }
    if (directory != NULL) {
        closedir(directory);
        one_value(out, "process_open_fds", "gauge", "Open file descriptors.", n - 1);
    }
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        one_value(out, "process_max_fds", "gauge", "The most that there may be.",
            (uint64_t)limit.rlim_cur);
    }
}

static void
process(const struct server *server, struct buf *out)
{
    uint64_t connections = 0;
    uint64_t refused = 0;
    for (size_t i = 0; i < server->n_shards; i++) {
        connections += shard_connections(server->shards[i]);
        refused += shard_refused(server->shards[i]);
    }
    metrics_family(
        out, "headgate_connections", "gauge", "Open connections of the public listeners.");
    metrics_sample_u64(out, "headgate_connections", "", connections);
    metrics_family(out, "headgate_connections_refused_total", "counter",
        "Connections refused at the connection limit.");
    metrics_sample_u64(out, "headgate_connections_refused_total", "", refused);
    uint64_t readers = 0;
    uint64_t waiting = 0;
    for (size_t i = 0; i < server->n_shards; i++) {
        const struct catchups *catchups = shard_catchups(server->shards[i]);
        readers += catchups == NULL ? 0 : catchups_readers(catchups);
        waiting += catchups == NULL ? 0 : catchups_waiting(catchups);
    }
    metrics_family(out, "headgate_catchup_readers", "gauge",
        "Private streams that read from a source what has left its ring.");
    metrics_sample_u64(out, "headgate_catchup_readers", "", readers);
    metrics_family(
        out, "headgate_catchup_waiting", "gauge", "Subscribers that wait for such a reader.");
    metrics_sample_u64(out, "headgate_catchup_waiting", "", waiting);
    metrics_family(out, "headgate_request_streams", "gauge",
        "Streams that requests made for themselves and that are open.");
    metrics_sample_u64(out, "headgate_request_streams", "", atomic_load(&server->requests.used));
    metrics_family(
        out, "headgate_log_lines_dropped_total", "counter", "Log lines that nobody read in time.");
    metrics_sample_u64(out, "headgate_log_lines_dropped_total", "", log_dropped_lines());
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    double cpu = (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
                 (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
    metrics_family(out, "process_cpu_seconds_total", "counter", "User and system CPU time.");
    metrics_sample_double(out, "process_cpu_seconds_total", "", cpu);
    metrics_family(out, "process_start_time_seconds", "gauge", "Start time, Unix seconds.");
    metrics_sample_double(
        out, "process_start_time_seconds", "", (double)server->started_ms / 1000.0);
}

void
admin_metrics(const struct server *server, struct buf *out)
{
    FAMILIES(server, sent, out);
    sources(server, out);
    FAMILIES(server, posts, out);
    FAMILIES(server, tables, out);
    delivery(server, out);
    downloads(server, out);
    admin_answers(server, out);
    process(server, out);
    open_descriptors(out);
}
