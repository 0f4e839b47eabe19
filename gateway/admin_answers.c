/* admin_answers: the metrics of answers of models. Admin shard's thread. */
#include "admin_answers.h"

#include "generations.h"
#include "metrics.h"
#include "stream_answers.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

/* One family of what generations_state says; field is an offset in struct generations_state. */
static void
by_state(const struct server *server, struct buf *out, const char *name, const char *type,
    const char *help, size_t field)
{
    struct buf labels;
    buf_init(&labels);
    metrics_family(out, name, type, help);
    for (size_t i = 0; i < server->n_streams; i++) {
        if (stream_answers(server->streams[i]) != NULL) {
            struct generations_state state;
            uint64_t value;
            generations_state(server->generations, i, &state);
            memcpy(&value, (const char *)&state + field, sizeof value);
            metrics_sample_u64(out, name,
                metrics_stream_labels(&labels, stream_name(server->streams[i]), NULL, NULL), value);
        }
    }
    buf_fini(&labels);
}

static void
ends(const struct server *server, struct buf *out)
{
    struct buf labels;
    buf_init(&labels);
    metrics_family(out, "headgate_generations_ended_total", "counter",
        "Answers that ended, by how: done, failed, cancelled on request, left by all viewers, over "
        "max_time, or by a shutdown.");
    for (size_t i = 0; i < server->n_streams; i++) {
        struct generations_state state;
        if (stream_answers(server->streams[i]) == NULL) {
            continue;
        }
        generations_state(server->generations, i, &state);
        for (int end = 0; end < GENERATION_END_COUNT; end++) {
            metrics_sample_u64(out, "headgate_generations_ended_total",
                metrics_stream_labels(
                    &labels, stream_name(server->streams[i]), "reason", generation_end_names[end]),
                state.ended[end]);
        }
    }
    buf_fini(&labels);
}

static void
log_records(const struct server *server, struct buf *out)
{
    struct buf labels;
    buf_init(&labels);
    metrics_family(out, "headgate_generation_log_records_total", "counter",
        "Records for the log of answers, by what became of them: written; failed, no broker took "
        "it in time; dropped, log.memory was full, or one before it of its answer is missing.");
    for (size_t i = 0; i < server->n_streams; i++) {
        const struct stream_answers *answers = stream_answers(server->streams[i]);
        for (int result = 0; answers != NULL && result < STREAM_LOG_RESULT_COUNT; result++) {
            metrics_sample_u64(out, "headgate_generation_log_records_total",
                metrics_stream_labels(&labels, stream_name(server->streams[i]), "result",
                    stream_log_result_names[result]),
                atomic_load_explicit(&answers->logged[result], memory_order_relaxed));
        }
    }
    buf_fini(&labels);
}

static void
log_hears(const struct server *server, struct buf *out)
{
    struct buf labels;
    buf_init(&labels);
    metrics_family(out, "headgate_generation_log_hears", "gauge",
        "1 while other gateways can cancel answers that are made here, and say that they are "
        "read.");
    for (size_t i = 0; i < server->n_streams; i++) {
        const struct stream_answers *answers = stream_answers(server->streams[i]);
        if (answers != NULL) {
            metrics_sample_u64(out, "headgate_generation_log_hears",
                metrics_stream_labels(&labels, stream_name(server->streams[i]), NULL, NULL),
                atomic_load(&answers->log_hears));
        }
    }
    buf_fini(&labels);
}

static void
log_clients(const struct server *server, struct buf *out)
{
    struct buf labels;
    buf_init(&labels);
    metrics_family(out, "headgate_generation_log_clients", "gauge",
        "Kafka clients that read answers of other gateways from the log: two for any number of "
        "answers, none while there are none.");
    for (size_t i = 0; i < server->n_streams; i++) {
        const struct stream_answers *answers = stream_answers(server->streams[i]);
        if (answers != NULL) {
            metrics_sample_u64(out, "headgate_generation_log_clients",
                metrics_stream_labels(&labels, stream_name(server->streams[i]), NULL, NULL),
                atomic_load(&answers->log_clients));
        }
    }
    buf_fini(&labels);
}

static void
log_reads(const struct server *server, struct buf *out)
{
    struct buf labels;
    buf_init(&labels);
    metrics_family(out, "headgate_generation_log_reads_total", "counter",
        "Answers of other gateways that were looked for in the log, by how that ended.");
    for (size_t i = 0; i < server->n_streams; i++) {
        struct generations_state state;
        if (stream_answers(server->streams[i]) == NULL) {
            continue;
        }
        generations_state(server->generations, i, &state);
        for (int read = 0; read < GENERATION_READ_COUNT; read++) {
            metrics_sample_u64(out, "headgate_generation_log_reads_total",
                metrics_stream_labels(&labels, stream_name(server->streams[i]), "result",
                    generation_read_names[read]),
                state.reads[read]);
        }
    }
    buf_fini(&labels);
}

/* Input or output tokens; field is an offset in struct answer_model. */
static void
tokens(
    const struct server *server, struct buf *out, const char *name, const char *help, size_t field)
{
    struct buf labels;
    buf_init(&labels);
    metrics_family(out, name, "counter", help);
    for (size_t i = 0; i < server->n_streams; i++) {
        const struct stream_answers *answers = stream_answers(server->streams[i]);
        for (size_t k = 0; answers != NULL && k <= STREAM_ANSWER_MODELS; k++) {
            const struct answer_model *row = &answers->models[k];
            const char *model = atomic_load(&row->name);
            if (model != NULL) {
                const void *at = (const char *)row + field;
                metrics_sample_u64(out, name,
                    metrics_stream_labels(&labels, stream_name(server->streams[i]), "model", model),
                    atomic_load_explicit((const atomic_uint_fast64_t *)at, memory_order_relaxed));
            }
        }
    }
    buf_fini(&labels);
}

static void
statuses(const struct server *server, struct buf *out)
{
    struct buf labels;
    buf_init(&labels);
    metrics_family(out, "headgate_upstream_errors_total", "counter",
        "Answers of upstreams that were refusals, by HTTP status, those that were asked again "
        "included.");
    for (size_t i = 0; i < server->n_streams; i++) {
        const struct stream_answers *answers = stream_answers(server->streams[i]);
        for (size_t k = 0; answers != NULL && k < STREAM_ANSWER_STATUSES; k++) {
            char text[16];
            int status = atomic_load(&answers->statuses[k].status);
            if (status != 0) {
                snprintf(text, sizeof text, "%d", status);
                metrics_sample_u64(out, "headgate_upstream_errors_total",
                    metrics_stream_labels(&labels, stream_name(server->streams[i]), "status", text),
                    atomic_load_explicit(&answers->statuses[k].count, memory_order_relaxed));
            }
        }
    }
    buf_fini(&labels);
}

static void
first_tokens(const struct server *server, struct buf *out)
{
    struct buf labels;
    buf_init(&labels);
    metrics_family(out, "headgate_first_token_seconds", "histogram",
        "From a request to the first text, thinking or call of its answer.");
    for (size_t i = 0; i < server->n_streams; i++) {
        const struct stream_answers *answers = stream_answers(server->streams[i]);
        if (answers != NULL) {
            metrics_histogram(out, "headgate_first_token_seconds",
                metrics_stream_labels(&labels, stream_name(server->streams[i]), NULL, NULL),
                &answers->first);
        }
    }
    buf_fini(&labels);
}

void
admin_answers(const struct server *server, struct buf *out)
{
    by_state(server, out, "headgate_generations_started_total", "counter",
        "Answers that were begun.", offsetof(struct generations_state, started));
    by_state(server, out, "headgate_generations_active", "gauge",
        "Answers under way, and requests whose body is arriving.",
        offsetof(struct generations_state, running));
    by_state(server, out, "headgate_generations_kept", "gauge",
        "Answers that have ended and can still be read.", offsetof(struct generations_state, kept));
    ends(server, out);
    by_state(server, out, "headgate_generations_refused_total", "counter",
        "Requests that found no place: generations.max or per_caller.",
        offsetof(struct generations_state, refused));
    by_state(server, out, "headgate_generation_viewers", "gauge", "Viewers of answers now.",
        offsetof(struct generations_state, viewers));
    by_state(server, out, "headgate_generation_joins_total", "counter",
        "Viewers that came to an answer that another request had begun, or came back.",
        offsetof(struct generations_state, joined));
    by_state(server, out, "headgate_generation_resumes_total", "counter",
        "Those of them that went on behind a token.", offsetof(struct generations_state, resumed));
    by_state(server, out, "headgate_generation_log_readers", "gauge",
        "Answers of other gateways that are read from the log now.",
        offsetof(struct generations_state, reading));
    log_hears(server, out);
    log_clients(server, out);
    log_records(server, out);
    log_reads(server, out);
    first_tokens(server, out);
    tokens(server, out, "headgate_input_tokens_total",
        "Tokens that upstreams read, as they say, by the configured name of the model.",
        offsetof(struct answer_model, input));
    tokens(server, out, "headgate_output_tokens_total",
        "Tokens that upstreams wrote, as they say, by the configured name of the model.",
        offsetof(struct answer_model, output));
    statuses(server, out);
}
