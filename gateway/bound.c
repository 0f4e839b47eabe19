/* bound: computes and prints the bounds that headgate check shows. Any thread. */
#include "bound.h"

#include "../connectors/connector.h"
#include "catchup.h"
#include "conflate.h"
#include "downloads.h"
#include "durable.h"
#include "feed.h"
#include "generations.h"
#include "server.h"
#include "track.h"
#include "watch.h"

#include <inttypes.h>
#include <string.h>
#include <sys/resource.h>

/* Of a service thread: event loop, wake, a spare for when there are no more. Of the process: 64
 * connections to the admin listener, the log, signals, files. */
#define THREAD_DESCRIPTORS UINT64_C(8)
#define PROCESS_DESCRIPTORS UINT64_C(128)

static uint64_t
add(uint64_t a, uint64_t b)
{
    return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

static uint64_t
multiply(uint64_t a, uint64_t b)
{
    return b != 0 && a > UINT64_MAX / b ? UINT64_MAX : a * b;
}

static uint64_t
larger_of(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static uint64_t
smaller_of(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

uint64_t
bound_stream_bytes(const struct config_stream *stream)
{
    uint64_t bytes = multiply(stream->ring_records, BOUND_SLOT_BYTES);
    bytes = add(bytes, stream->ring_bytes);
    bytes = add(bytes, multiply(2, stream->max_record_bytes));
    if (stream->view == VIEW_TABLE) {
        bytes = add(bytes, add(stream->table_bytes, stream->table_history_bytes));
        bytes = add(bytes, multiply(2, stream->max_record_bytes));
    }
    return add(bytes, stream->connector->memory_bound_bytes(stream->settings));
}

static bool
is_on_request(const struct config_stream *stream)
{
    return connector_on_request(stream->connector, stream->settings);
}

static bool
makes_answers(const struct config_stream *stream)
{
    return (stream->connector->capabilities & CONNECTOR_ANSWERS) != 0;
}

static uint64_t
thread_bytes_of(const struct config_stream *stream)
{
    return add(outlet_cache_limit_bytes(stream), outlet_pin_limit_bytes(stream));
}

/* Of one thread: what compresses, what is in work, and a client's message while it is inflated. */
static uint64_t
coding_bytes(const struct config *config)
{
    uint64_t largest = 0;
    for (size_t i = 0; i < config->n_streams; i++) {
        if (config->streams[i].compressed) {
            largest = larger_of(largest, config->streams[i].max_record_bytes);
        }
    }
    if (largest == 0 || config->codings == 0) {
        return 0;
    }
    uint64_t work = larger_of(largest, config->max_message_bytes);
    return add(CODING_STATE_BYTES, multiply(2, work));
}

/* What waits for one subscriber that conflates, on the stream where that is most. */
static uint64_t
conflate_bytes(const struct config *config)
{
    uint64_t most = 0;
    for (size_t i = 0; i < config->n_streams; i++) {
        const struct config_stream *stream = &config->streams[i];
        if ((stream->slow_allow & (UINT32_C(1) << SLOW_CONFLATE)) != 0) {
            uint64_t bytes = add(stream->queue_bytes, stream->max_record_bytes);
            bytes = add(bytes, TRACK_BYTES_MAX);
            most =
                larger_of(most, add(bytes, multiply(stream->conflate_keys, CONFLATE_RECORD_BYTES)));
        }
    }
    return most;
}

static uint64_t
connection_bytes(const struct config *config)
{
    uint64_t bytes = BOUND_CONNECTION_BYTES + BOUND_LEFTOVER_BYTES;
    for (size_t i = 0; i < config->n_listen; i++) {
        if (config->listen[i].tls_cert != NULL) {
            bytes += BOUND_TLS_BYTES;
            break;
        }
    }
    bytes = add(bytes, conflate_bytes(config));
    bytes = add(bytes, watch_is_served(config) ? DOWNLOADS_WATCHED_BYTES : 0);
    return add(bytes, larger_of(config->max_message_bytes, BOUND_HEAD_BYTES));
}

/* Of the log of answers, and of those of other gateways that are read from it. */
static bool
has_log(const struct config_stream *stream, struct connector_log *log)
{
    bool has = (stream->connector->capabilities & CONNECTOR_LOGS) != 0;
    if (has) {
        stream->connector->log(stream->settings, log);
    }
    return has;
}

static uint64_t
log_descriptors(const struct config_stream *stream)
{
    struct connector_log log;
    return has_log(stream, &log) ? log.descriptors : 0;
}

/* kept: what an answer's own stream takes. */
static uint64_t
log_bytes(const struct config_stream *stream, uint64_t kept)
{
    struct connector_log log;
    uint64_t batch = multiply(2, stream->max_record_bytes);
    return has_log(stream, &log) ? add(log.bytes, multiply(log.readers, add(kept, batch))) : 0;
}

/* All but the connections. */
static uint64_t
fixed_descriptors(const struct config *config)
{
    uint64_t reader = 0; /* of a catch-up that has files open */
    uint64_t n = multiply(config->threads, add(config->n_listen, THREAD_DESCRIPTORS));
    n = add(n, PROCESS_DESCRIPTORS);
    for (size_t i = 0; i < config->n_streams; i++) {
        const struct config_stream *stream = &config->streams[i];
        uint64_t sources = is_on_request(stream) ? config->request_streams : 1;
        sources = add(sources, makes_answers(stream) ? stream->generations.most : 0);
        n = add(n, log_descriptors(stream));
        uint64_t each = stream->connector->descriptor_bound(stream->settings);
        n = add(n, multiply(sources, each));
        if (stream->consumers_allowed) { /* a client to read and one to be a member */
            n = add(n, multiply(stream->consumers_most, multiply(2, each)));
        }
        if ((stream->connector->capabilities & CONNECTOR_FILES) != 0 && !is_on_request(stream)) {
            reader = larger_of(reader, each);
        }
    }
    return add(n, multiply(config->catchup_readers, reader));
}

/* A download has its file open. */
static uint64_t
connection_descriptors(const struct config *config)
{
    for (size_t i = 0; i < config->n_routes; i++) {
        if (config->routes[i].kind == ROUTE_DOWNLOAD) {
            return 2;
        }
    }
    return 1;
}

static uint64_t
catchup_bytes(const struct config *config)
{
    uint64_t largest = 0;
    for (size_t i = 0; i < config->n_streams; i++) {
        if ((config->streams[i].connector->capabilities & CONNECTOR_REPLAYS) != 0) {
            struct config_stream private_config;
            catchup_config(&private_config, &config->streams[i]);
            largest = larger_of(largest, bound_stream_bytes(&private_config));
        }
    }
    return multiply(config->catchup_readers, largest);
}

static uint64_t
requests_bytes(const struct config *config)
{
    uint64_t largest = 0;
    for (size_t i = 0; i < config->n_streams; i++) {
        if (is_on_request(&config->streams[i])) {
            struct config_stream made;
            request_config(&made, &config->streams[i]);
            /* One batch in work, and one that its subscriber stalled in. */
            uint64_t batches = multiply(2, larger_of(BOUND_BATCH_BYTES, made.max_record_bytes));
            largest = larger_of(largest, add(bound_stream_bytes(&made), batches));
        }
    }
    return multiply(config->request_streams, largest);
}

/* What connections that stalled inside large records of answers keep: no more than each answer's
 * outlets allow, and no more than one batch a connection. */
static uint64_t
answers_pinned_bytes(const struct config *config, const struct config_stream *made)
{
    uint64_t n = multiply(add(made->generations.most, made->generations.kept), config->threads);
    uint64_t batch = larger_of(BOUND_BATCH_BYTES, multiply(2, made->max_record_bytes));
    return smaller_of(
        multiply(n, outlet_pin_limit_bytes(made)), multiply(config->max_connections, batch));
}

/* Of an answer that an SDK asked for: what is said in its dialect, and kept to be said again, each
 * at most a record. */
static uint64_t
sdk_bytes(const struct config *config, const struct config_stream *stream)
{
    for (size_t i = 0; i < config->n_routes; i++) {
        const struct config_route *route = &config->routes[i];
        bool sdk = route->kind == ROUTE_OPENAI || route->kind == ROUTE_ANTHROPIC;
        if (sdk && route->stream != NULL && strcmp(route->stream, stream->name) == 0) {
            return multiply(4, stream->max_record_bytes);
        }
    }
    return 0;
}

/* Of all answers of one stream: those under way, with their sources and the bodies that they are
 * made of, and those that have ended. */
static uint64_t
answers_bytes(const struct config *config, const struct config_stream *stream)
{
    struct config_stream made;
    generation_config(&made, stream);
    uint64_t kept = add(multiply(made.ring_records, BOUND_SLOT_BYTES), made.ring_bytes);
    kept = add(kept, BOUND_ANSWER_BYTES);
    uint64_t body = multiply(2, stream->connector->request_body_bytes(stream->settings));
    uint64_t running = add(add(kept, body), multiply(2, made.max_record_bytes));
    running = add(running, stream->connector->memory_bound_bytes(stream->settings));
    running = add(running, sdk_bytes(config, stream));
    uint64_t bytes = multiply(made.generations.most, running);
    bytes = add(bytes, multiply(made.generations.kept, kept));
    bytes = add(bytes, log_bytes(stream, kept));
    return add(bytes, answers_pinned_bytes(config, &made));
}

static uint64_t
generations_bytes(const struct config *config)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < config->n_streams; i++) {
        if (makes_answers(&config->streams[i])) {
            sum = add(sum, answers_bytes(config, &config->streams[i]));
        }
    }
    return sum;
}

/* Those who watch downloads, what is kept of those that have ended; a download's own is the
 * connection's. */
static uint64_t
downloads_bytes(const struct config *config)
{
    return watch_is_served(config) ? add(multiply(config->download_watchers, watch_bound_bytes()),
                                         multiply(DOWNLOADS_KEPT, DOWNLOADS_WATCHED_BYTES))
                                   : 0;
}

/* Of all durable consumers' private streams. */
static uint64_t
consumers_bytes(const struct config *config)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < config->n_streams; i++) {
        const struct config_stream *stream = &config->streams[i];
        if (stream->consumers_allowed && stream->connector->member_bound_bytes != NULL) {
            struct config_stream made;
            durable_config(&made, stream);
            uint64_t bytes = multiply(made.ring_records, BOUND_SLOT_BYTES);
            bytes = add(bytes, add(made.ring_bytes, multiply(2, made.max_record_bytes)));
            bytes = add(bytes, stream->connector->member_bound_bytes(stream->settings));
            /* One batch in work, and one that its subscriber stalled in. */
            bytes = add(bytes, multiply(2, larger_of(BOUND_BATCH_BYTES, made.max_record_bytes)));
            sum = add(sum, multiply(stream->consumers_most, bytes));
        }
    }
    return sum;
}

void
bound_compute(struct bound *bound, const struct config *config)
{
    *bound = (struct bound){.base_bytes = BOUND_BASE_BYTES};
    for (size_t i = 0; i < config->n_streams; i++) {
        const struct config_stream *stream = &config->streams[i];
        if (is_on_request(stream)) {
            continue; /* it has a ring only in what requests make of it */
        }
        bound->streams_bytes = add(bound->streams_bytes, bound_stream_bytes(stream));
        bound->threads_bytes =
            add(bound->threads_bytes, multiply(config->threads, thread_bytes_of(stream)));
    }
    bound->catchup_bytes = catchup_bytes(config);
    bound->requests_bytes = add(requests_bytes(config), downloads_bytes(config));
    bound->consumers_bytes = consumers_bytes(config);
    bound->generations_bytes = generations_bytes(config);
    bound->threads_bytes = add(bound->threads_bytes,
        multiply(config->threads,
            add(coding_bytes(config), multiply(config->max_filters, BOUND_FILTER_BYTES))));
    bound->connections_bytes = multiply(config->max_connections, connection_bytes(config));
    bound->kernel_bytes = multiply(config->max_connections, multiply(2, config->send_buffer_bytes));
    bound->total_bytes = add(add(bound->base_bytes, bound->streams_bytes),
        add(add(add(bound->threads_bytes, bound->catchup_bytes),
                add(bound->requests_bytes, bound->consumers_bytes)),
            add(bound->generations_bytes, bound->connections_bytes)));
    bound->descriptors = add(fixed_descriptors(config),
        multiply(config->max_connections, connection_descriptors(config)));
}

uint64_t
bound_descriptor_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_max == RLIM_INFINITY) {
        return UINT64_MAX;
    }
    return limit.rlim_max;
}

uint64_t
bound_auto_connections(const struct config *config, uint64_t descriptor_limit)
{
    uint64_t fixed = fixed_descriptors(config);
    uint64_t left = descriptor_limit <= fixed ? 0 : descriptor_limit - fixed;
    left /= connection_descriptors(config);
    return larger_of(smaller_of(left, BOUND_AUTO_CONNECTIONS), config->threads);
}

static void
print_bytes(FILE *out, const char *what, uint64_t bytes, const char *note)
{
    fprintf(out, "  %-34s %12.1f MiB%s%s\n", what, (double)bytes / 1048576.0,
        note[0] == '\0' ? "" : "  ", note);
}

static void
print_memory(const struct bound *bound, const struct config *config, FILE *out)
{
    char note[160];
    fprintf(out, "memory, at most:\n");
    print_bytes(out, "process", bound->base_bytes, "");
    for (size_t i = 0; i < config->n_streams; i++) {
        const struct config_stream *stream = &config->streams[i];
        char what[160];
        if (is_on_request(stream)) {
            continue;
        }
        snprintf(what, sizeof what, "stream %s", stream->name);
        print_bytes(out, what, bound_stream_bytes(stream),
            stream->view == VIEW_TABLE ? "ring, table, records in work, source"
                                       : "ring, records in work, source");
    }
    snprintf(note, sizeof note,
        "%" PRIu64 " threads, encoded batches of %zu streams, %" PRIu64 " filters", config->threads,
        config->n_streams, config->max_filters);
    print_bytes(out, "threads", bound->threads_bytes, note);
    snprintf(note, sizeof note, "%" PRIu64 " readers", config->catchup_readers);
    print_bytes(out, "catch-up", bound->catchup_bytes, note);
    if (bound->requests_bytes > 0) {
        snprintf(note, sizeof note, "%" PRIu64 " streams of requests%s", config->request_streams,
            watch_is_served(config) ? ", who watches downloads" : "");
        print_bytes(out, "requests", bound->requests_bytes, note);
    }
    if (bound->generations_bytes > 0) {
        print_bytes(out, "answers of models", bound->generations_bytes,
            "generations.max and .kept of each stream");
    }
    if (bound->consumers_bytes > 0) {
        print_bytes(
            out, "durable consumers", bound->consumers_bytes, "consumers.max of each stream");
    }
    snprintf(note, sizeof note, "%" PRIu64 " of %.1f KiB", config->max_connections,
        (double)connection_bytes(config) / 1024.0);
    print_bytes(out, "connections", bound->connections_bytes, note);
    print_bytes(out, "total", bound->total_bytes, "");
    print_bytes(out, "kernel socket buffers", bound->kernel_bytes, "beside the total");
}

void
bound_print(
    const struct bound *bound, const struct config *config, uint64_t descriptor_limit, FILE *out)
{
    print_memory(bound, config, out);
    fprintf(out, "descriptors, at most:\n  %-34s %12" PRIu64 "\n", "total", bound->descriptors);
    if (bound->descriptors > descriptor_limit) {
        fprintf(out,
            "warning: that is more than RLIMIT_NOFILE allows (%" PRIu64
            "): raise it, or lower limits.connections\n",
            descriptor_limit);
    }
}
