/* admin_metrics: see admin_metrics.h. Admin shard's thread. */
#include "admin_metrics.h"

#include "admin_answers.h"
#include "catchup.h"
#include "downloads.h"
#include "log.h"
#include "metrics.h"
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

/* One family with a sample for each stream and transport, summed over the shards. field is an
 * offset of an array by transport in struct stream_counters. */
static void
by_transport(const struct server *server, struct buf *out, const char *name, size_t field)
{
    struct buf labels;
    buf_init(&labels);
    for (size_t i = 0; i < server->n_streams; i++) {
        for (int transport = 0; transport < TRANSPORT_COUNT; transport++) {
            uint64_t sum = 0;
            for (size_t shard = 0; shard < server->n_shards; shard++) {
                const char *counters = (const char *)stream_counters(server->streams[i], shard);
                sum += load(
                    (const atomic_uint_fast64_t *)(const void *)(counters + field) + transport);
            }
            metrics_sample_u64(out, name,
                metrics_stream_labels(&labels, stream_name(server->streams[i]), "transport",
                    transport_names[transport]),
                sum);
        }
    }
    buf_fini(&labels);
}

/* One family of what was compressed; field is an offset in struct coding_counters. */
static void
by_coding(
    const struct server *server, struct buf *out, const char *name, const char *help, size_t field)
{
    struct buf labels;
    buf_init(&labels);
    metrics_family(out, name, "counter", help);
    for (size_t i = 0; i < server->n_streams; i++) {
        for (int coding = CODING_GZIP; coding < CODING_COUNT; coding++) {
            uint64_t sum = 0;
            for (size_t shard = 0; shard < server->n_shards; shard++) {
                const char *counters =
                    (const char *)&stream_counters(server->streams[i], shard)->coded[coding];
                sum += load((const atomic_uint_fast64_t *)(const void *)(counters + field));
            }
            metrics_sample_u64(out, name,
                metrics_stream_labels(
                    &labels, stream_name(server->streams[i]), "coding", coding_names[coding]),
                sum);
        }
    }
    buf_fini(&labels);
}

static void
compression(const struct server *server, struct buf *out)
{
    by_coding(server, out, "headgate_compressions_total",
        "Pieces of records that were compressed, each for all subscribers of a thread that share "
        "it.",
        offsetof(struct coding_counters, pieces));
    by_coding(server, out, "headgate_compression_bytes_in_total",
        "Bytes of records before compression, those that were left as they are included.",
        offsetof(struct coding_counters, from_bytes));
    by_coding(server, out, "headgate_compression_bytes_out_total",
        "Bytes that they became, made once however many they were sent to.",
        offsetof(struct coding_counters, to_bytes));
}

static void
drops_and_disconnects(const struct server *server, struct buf *out)
{
    struct buf labels;
    buf_init(&labels);
    metrics_family(out, "headgate_records_dropped_total", "counter",
        "Records that subscribers or the whole stream did not get, by reason; each is told in a "
        "gap.");
    for (size_t i = 0; i < server->n_streams; i++) {
        for (int reason = 0; reason < DROP_REASON_COUNT; reason++) {
            metrics_sample_u64(out, "headgate_records_dropped_total",
                metrics_stream_labels(
                    &labels, stream_name(server->streams[i]), "reason", drop_reason_names[reason]),
                stream_dropped(server->streams[i], (enum drop_reason)reason));
        }
    }
    metrics_family(
        out, "headgate_disconnects_total", "counter", "Subscriptions that ended, by reason.");
    for (size_t i = 0; i < server->n_streams; i++) {
        for (int reason = 0; reason < DISCONNECT_REASON_COUNT; reason++) {
            uint64_t sum = 0;
            for (size_t shard = 0; shard < server->n_shards; shard++) {
                sum += load(&stream_counters(server->streams[i], shard)->disconnects[reason]);
            }
            metrics_sample_u64(out, "headgate_disconnects_total",
                metrics_stream_labels(&labels, stream_name(server->streams[i]), "reason",
                    disconnect_reason_names[reason]),
                sum);
        }
    }
    buf_fini(&labels);
}

/* What one stream says of itself, picked by a function, as a family of one sample a stream. */
static void
by_stream(const struct server *server, struct buf *out, const char *name, const char *type,
    const char *help, uint64_t (*pick)(struct stream *stream))
{
    struct buf labels;
    buf_init(&labels);
    metrics_family(out, name, type, help);
    for (size_t i = 0; i < server->n_streams; i++) {
        metrics_sample_u64(out, name,
            metrics_stream_labels(&labels, stream_name(server->streams[i]), NULL, NULL),
            pick(server->streams[i]));
    }
    buf_fini(&labels);
}

static uint64_t
pick_records_in(struct stream *stream)
{
    return stream_records_in(stream);
}

static struct ring_state
ring_of(struct stream *stream)
{
    struct ring_state state;
    ring_state(stream_ring(stream), &state);
    return state;
}

static uint64_t
pick_ring_records(struct stream *stream)
{
    return ring_of(stream).records;
}

static uint64_t
pick_ring_bytes(struct stream *stream)
{
    return ring_of(stream).bytes;
}

static uint64_t
pick_paused(struct stream *stream)
{
    return ring_of(stream).held;
}

static uint64_t
pick_up(struct stream *stream)
{
    struct stream_health health;
    stream_health(stream, &health);
    return health.up;
}

static struct stream_sharing
sharing_of(struct stream *stream)
{
    struct stream_sharing sharing;
    stream_sharing(stream, &sharing);
    return sharing;
}

static uint64_t
pick_rebalances(struct stream *stream)
{
    return sharing_of(stream).shares;
}

static uint64_t
pick_lanes(struct stream *stream)
{
    return sharing_of(stream).lanes;
}

static uint64_t
pick_commits(struct stream *stream)
{
    return sharing_of(stream).commits;
}

static uint64_t
pick_consumer_rebalances(struct stream *stream)
{
    return sharing_of(stream).consumer_shares;
}

static uint64_t
pick_consumer_commits(struct stream *stream)
{
    return sharing_of(stream).consumer_commits;
}

/* One family of what consumers_count says; field is an offset in struct consumer_counts. */
static void
by_consumers(const struct server *server, struct buf *out, const char *name, const char *type,
    const char *help, size_t field)
{
    struct buf labels;
    buf_init(&labels);
    metrics_family(out, name, type, help);
    for (size_t i = 0; i < server->n_streams; i++) {
        struct consumer_counts counts;
        consumers_count(server->consumers, i, &counts);
        const char *at = (const char *)&counts + field;
        uint64_t value;
        memcpy(&value, at, sizeof value);
        metrics_sample_u64(out, name,
            metrics_stream_labels(&labels, stream_name(server->streams[i]), NULL, NULL), value);
    }
    buf_fini(&labels);
}

static void
durable(const struct server *server, struct buf *out)
{
    by_consumers(server, out, "headgate_consumer_connections", "gauge",
        "Connections of durable consumers.", offsetof(struct consumer_counts, connections));
    by_consumers(server, out, "headgate_consumer_in_flight_records", "gauge",
        "Records that were sent to durable consumers with ack=client and are not acked.",
        offsetof(struct consumer_counts, in_flight));
    by_consumers(server, out, "headgate_consumer_acks_total", "counter",
        "Acks of durable consumers that were taken.", offsetof(struct consumer_counts, acks));
    by_consumers(server, out, "headgate_consumer_acks_refused_total", "counter",
        "Acks of records that were not in flight.", offsetof(struct consumer_counts, acks_refused));
    by_stream(server, out, "headgate_consumer_commits_total", "counter",
        "Commits of durable consumers' groups.", pick_consumer_commits);
    by_stream(server, out, "headgate_consumer_rebalances_total", "counter",
        "How often durable consumers' groups gave a connection partitions or took some.",
        pick_consumer_rebalances);
}

/* What a consumer group as the source does; 0 where there is none. */
static void
sharing(const struct server *server, struct buf *out)
{
    by_stream(server, out, "headgate_source_rebalances_total", "counter",
        "How often the source's consumer group gave it partitions or took some.", pick_rebalances);
    by_stream(server, out, "headgate_source_lanes", "gauge",
        "Partitions that the source's consumer group has given it.", pick_lanes);
    by_stream(server, out, "headgate_source_commits_total", "counter",
        "Commits of the source's consumer group.", pick_commits);
}

static void
sources(const struct server *server, struct buf *out)
{
    by_stream(server, out, "headgate_records_in_total", "counter",
        "Records that came from the source.", pick_records_in);
    by_stream(
        server, out, "headgate_ring_records", "gauge", "Records in the ring.", pick_ring_records);
    by_stream(server, out, "headgate_ring_bytes", "gauge", "Bytes in the ring.", pick_ring_bytes);
    by_stream(server, out, "headgate_source_paused", "gauge",
        "1 while a pause subscriber holds the source back.", pick_paused);
    by_stream(server, out, "headgate_source_up", "gauge", "1 while the source answers.", pick_up);
    sharing(server, out);
    durable(server, out);
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

/* Of the streams that are tables. */
static void
of_tables(const struct server *server, struct buf *out, const char *name, const char *type,
    const char *help, uint64_t (*pick)(const struct table_state *state))
{
    struct buf labels;
    bool any = false;
    buf_init(&labels);
    for (size_t i = 0; i < server->n_streams; i++) {
        struct table *table = stream_table(server->streams[i]);
        if (table == NULL) {
            continue;
        }
        if (!any) {
            metrics_family(out, name, type, help);
            any = true;
        }
        struct table_state state;
        table_state(table, &state);
        metrics_sample_u64(out, name,
            metrics_stream_labels(&labels, stream_name(server->streams[i]), NULL, NULL),
            pick(&state));
    }
    buf_fini(&labels);
}

/* A function that picks a member. */
#define PICK(member)                                                                               \
    static uint64_t pick_table_##member(const struct table_state *state)                           \
    {                                                                                              \
        return state->member;                                                                      \
    }
PICK(keys)
PICK(bytes)
PICK(history_bytes)
PICK(snapshots)
PICK(evicted)
PICK(keyless)
PICK(cut)
PICK(given_up)
#undef PICK

static void
tables(const struct server *server, struct buf *out)
{
    of_tables(server, out, "headgate_table_keys", "gauge", "Keys in the table.", pick_table_keys);
    of_tables(server, out, "headgate_table_bytes", "gauge",
        "Bytes of the newest records of its keys.", pick_table_bytes);
    of_tables(server, out, "headgate_table_history_bytes", "gauge",
        "Bytes of what was replaced or removed and is kept for snapshots.",
        pick_table_history_bytes);
    of_tables(server, out, "headgate_table_snapshots", "gauge", "Snapshots that are being sent.",
        pick_table_snapshots);
    of_tables(server, out, "headgate_table_evicted_keys_total", "counter",
        "Keys that were left out at the bounds of the table.", pick_table_evicted);
    of_tables(server, out, "headgate_table_keyless_records_total", "counter",
        "Records without a key: changes that no snapshot has.", pick_table_keyless);
    of_tables(server, out, "headgate_table_snapshots_cut_total", "counter",
        "Snapshots that were given up at the bound of the history.", pick_table_cut);
    of_tables(server, out, "headgate_table_given_up", "gauge",
        "1 once the table went beyond its bounds and was given up.", pick_table_given_up);
}

/* Of the streams that take posts. */
static void
posts(const struct server *server, struct buf *out)
{
    struct buf labels;
    buf_init(&labels);
    metrics_family(out, "headgate_pushed_records_total", "counter",
        "Records that clients posted and that are in the stream, or acknowledged by its broker.");
    for (size_t i = 0; i < server->n_streams; i++) {
        const struct push_queue *queue = stream_push_queue(server->streams[i]);
        if (queue != NULL) {
            metrics_sample_u64(out, "headgate_pushed_records_total",
                metrics_stream_labels(&labels, stream_name(server->streams[i]), NULL, NULL),
                push_queue_pushed(queue));
        }
    }
    metrics_family(
        out, "headgate_push_rejects_total", "counter", "Posts that were refused, by reason.");
    for (size_t i = 0; i < server->n_streams; i++) {
        const struct push_queue *queue = stream_push_queue(server->streams[i]);
        for (int why = 0; queue != NULL && why < PUSH_REJECT_COUNT; why++) {
            metrics_sample_u64(out, "headgate_push_rejects_total",
                metrics_stream_labels(
                    &labels, stream_name(server->streams[i]), "reason", push_reject_names[why]),
                push_queue_rejects(queue, (enum push_reject)why));
        }
    }
    buf_fini(&labels);
}

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
    metrics_family(out, "headgate_records_out_total", "counter", "Records sent to subscribers.");
    by_transport(
        server, out, "headgate_records_out_total", offsetof(struct stream_counters, records_out));
    metrics_family(out, "headgate_bytes_out_total", "counter", "Bytes sent to subscribers.");
    by_transport(
        server, out, "headgate_bytes_out_total", offsetof(struct stream_counters, bytes_out));
    metrics_family(out, "headgate_subscribers", "gauge", "Subscribers now.");
    by_transport(
        server, out, "headgate_subscribers", offsetof(struct stream_counters, subscribers));
    compression(server, out);
    drops_and_disconnects(server, out);
    sources(server, out);
    posts(server, out);
    tables(server, out);
    delivery(server, out);
    downloads(server, out);
    admin_answers(server, out);
    process(server, out);
    open_descriptors(out);
}
