/* admin_answers: the metrics of answers of models. Admin shard's thread. */
#include "admin_answers.h"

#include "generations.h"
#include "metrics.h"
#include "stream_answers.h"
#include "stream_family.h"

#include <stddef.h>
#include <stdio.h>

static bool
has_answers(struct stream *stream)
{
    return stream_answers(stream) != NULL;
}

/* field: an offset in struct generations_state. */
static uint64_t
pick_state(const struct server *server, size_t stream, size_t field, int word)
{
    struct generations_state state;
    generations_state(server->generations, stream, &state);
    return stream_family_at(&state, field, word);
}

static uint64_t
pick_hears(const struct server *server, size_t stream, size_t field, int word)
{
    (void)field;
    (void)word;
    return atomic_load(&stream_answers(server->streams[stream])->log_hears);
}

static uint64_t
pick_aliases(const struct server *server, size_t stream, size_t field, int word)
{
    (void)field;
    (void)word;
    return atomic_load(&stream_answers(server->streams[stream])->log_aliases);
}

static uint64_t
pick_clients(const struct server *server, size_t stream, size_t field, int word)
{
    (void)field;
    (void)word;
    return atomic_load(&stream_answers(server->streams[stream])->log_clients);
}

static uint64_t
pick_logged(const struct server *server, size_t stream, size_t field, int result)
{
    (void)field;
    const struct stream_answers *answers = stream_answers(server->streams[stream]);
    return atomic_load_explicit(&answers->logged[result], memory_order_relaxed);
}

static const struct stream_family families[] = {
    {.name = "headgate_generations_started_total",
        .type = "counter",
        .help = "Answers that were begun.",
        .has = has_answers,
        .pick = pick_state,
        .field = offsetof(struct generations_state, started)},
    {.name = "headgate_generations_active",
        .type = "gauge",
        .help = "Answers under way, and requests whose body is arriving.",
        .has = has_answers,
        .pick = pick_state,
        .field = offsetof(struct generations_state, running)},
    {.name = "headgate_generations_kept",
        .type = "gauge",
        .help = "Answers that have ended and can still be read.",
        .has = has_answers,
        .pick = pick_state,
        .field = offsetof(struct generations_state, kept)},
    {.name = "headgate_generations_ended_total",
        .type = "counter",
        .help =
            "Answers that ended, by how: done, failed, cancelled on request, left by all viewers, "
            "over max_time, or by a shutdown.",
        .label = "reason",
        .words = generation_end_names,
        .end = GENERATION_END_COUNT,
        .has = has_answers,
        .pick = pick_state,
        .field = offsetof(struct generations_state, ended)},
    {.name = "headgate_generations_refused_total",
        .type = "counter",
        .help = "Requests that found no place: generations.max or per_caller.",
        .has = has_answers,
        .pick = pick_state,
        .field = offsetof(struct generations_state, refused)},
    {.name = "headgate_generation_viewers",
        .type = "gauge",
        .help = "Viewers of answers now.",
        .has = has_answers,
        .pick = pick_state,
        .field = offsetof(struct generations_state, viewers)},
    {.name = "headgate_generation_joins_total",
        .type = "counter",
        .help = "Viewers that came to an answer that another request had begun, or came back.",
        .has = has_answers,
        .pick = pick_state,
        .field = offsetof(struct generations_state, joined)},
    {.name = "headgate_generation_resumes_total",
        .type = "counter",
        .help = "Those of them that went on behind a token.",
        .has = has_answers,
        .pick = pick_state,
        .field = offsetof(struct generations_state, resumed)},
    {.name = "headgate_generation_log_readers",
        .type = "gauge",
        .help = "Answers of other gateways that are read from the log now.",
        .has = has_answers,
        .pick = pick_state,
        .field = offsetof(struct generations_state, reading)},
    {.name = "headgate_generation_log_hears",
        .type = "gauge",
        .help =
            "1 while other gateways can cancel answers that are made here, and say that they are "
            "read.",
        .has = has_answers,
        .pick = pick_hears},
    {.name = "headgate_generation_log_aliases_read",
        .type = "gauge",
        .help = "1 once the ids are known that Responses upstreams gave to answers of all gateways "
                "before this one came.",
        .has = has_answers,
        .pick = pick_aliases},
    {.name = "headgate_generation_log_clients",
        .type = "gauge",
        .help = "Kafka clients that read answers of other gateways from the log: two for any "
                "number of answers, none while there are none.",
        .has = has_answers,
        .pick = pick_clients},
    {.name = "headgate_generation_log_records_total",
        .type = "counter",
        .help =
            "Records for the log of answers, by what became of them: written; failed, no broker "
            "took it in time; dropped, log.memory was full, or one before it of its answer is "
            "missing.",
        .label = "result",
        .words = stream_log_result_names,
        .end = STREAM_LOG_RESULT_COUNT,
        .has = has_answers,
        .pick = pick_logged},
    {.name = "headgate_generation_log_reads_total",
        .type = "counter",
        .help = "Answers of other gateways that were looked for in the log, by how that ended.",
        .label = "result",
        .words = generation_read_names,
        .end = GENERATION_READ_COUNT,
        .has = has_answers,
        .pick = pick_state,
        .field = offsetof(struct generations_state, reads)},
};

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
seconds(
    const struct server *server, struct buf *out, const char *name, const char *help, size_t field)
{
    struct buf labels;
    buf_init(&labels);
    metrics_family(out, name, "histogram", help);
    for (size_t i = 0; i < server->n_streams; i++) {
        const struct stream_answers *answers = stream_answers(server->streams[i]);
        if (answers != NULL) {
            const void *at = (const char *)answers + field;
            metrics_histogram(out, name,
                metrics_stream_labels(&labels, stream_name(server->streams[i]), NULL, NULL), at);
        }
    }
    buf_fini(&labels);
}

void
admin_answers(const struct server *server, struct buf *out)
{
    stream_families(server, families, sizeof families / sizeof *families, out);
    seconds(server, out, "headgate_first_token_seconds",
        "From a request to the first text, thinking or call of its answer.",
        offsetof(struct stream_answers, first));
    seconds(server, out, "headgate_output_token_seconds",
        "Of an answer, from there to its end, for each further token that its upstream counts: its "
        "inverse are tokens a second.",
        offsetof(struct stream_answers, pace));
    tokens(server, out, "headgate_input_tokens_total",
        "Tokens that upstreams read, as they say, by the configured name of the model.",
        offsetof(struct answer_model, input));
    tokens(server, out, "headgate_output_tokens_total",
        "Tokens that upstreams wrote, as they say, by the configured name of the model.",
        offsetof(struct answer_model, output));
    statuses(server, out);
}
