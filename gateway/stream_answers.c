/* stream_answers: rows are found by name and taken by the first who needs one. Any thread. */
#include "stream_answers.h"

#include "clock.h"
#include "stream_state.h"

#include <string.h>

#define RESULT_NAME(name, text) text,
const char *const stream_log_result_names[STREAM_LOG_RESULT_COUNT] = {
    STREAM_LOG_RESULTS(RESULT_NAME)};

struct stream_answers *
stream_answers(struct stream *stream)
{
    return stream->tally->answers;
}

void
stream_answer_first(struct stream *stream, int64_t ns)
{
    struct stream_answers *answers = stream_answers(stream);
    if (answers != NULL) {
        histogram_add(&answers->first, ns, 1);
    }
}

void
stream_answer_pace(struct stream *stream, int64_t ns)
{
    struct stream_answers *answers = stream_answers(stream);
    if (answers != NULL) {
        histogram_add(&answers->pace, ns, 1);
    }
}

static struct answer_model *
row_of(struct stream_answers *answers, const char *model)
{
    for (size_t i = 0; i < STREAM_ANSWER_MODELS; i++) {
        struct answer_model *row = &answers->models[i];
        const char *there = NULL;
        if (atomic_compare_exchange_strong(&row->name, &there, model) ||
            strcmp(there, model) == 0) {
            return row;
        }
    }
    struct answer_model *last = &answers->models[STREAM_ANSWER_MODELS];
    atomic_store(&last->name, STREAM_ANSWER_OTHER);
    return last;
}

void
stream_answer_tokens(struct stream *stream, const char *model, uint64_t input, uint64_t output)
{
    struct stream_answers *answers = stream_answers(stream);
    if (answers != NULL) {
        struct answer_model *row = row_of(answers, model);
        atomic_fetch_add_explicit(&row->input, input, memory_order_relaxed);
        atomic_fetch_add_explicit(&row->output, output, memory_order_relaxed);
    }
}

void
stream_answer_status(struct stream *stream, int status)
{
    struct stream_answers *answers = stream_answers(stream);
    if (answers == NULL || status <= 0) {
        return; /* without one, headgate_source_errors_total says why */
    }
    for (size_t i = 0; i < STREAM_ANSWER_STATUSES; i++) {
        struct answer_status *row = &answers->statuses[i];
        int there = 0;
        if (atomic_compare_exchange_strong(&row->status, &there, status) || there == status) {
            atomic_fetch_add_explicit(&row->count, 1, memory_order_relaxed);
            return;
        }
    }
}

void
stream_answer_logged(struct stream *stream, enum stream_log_result result)
{
    struct stream_answers *answers = stream_answers(stream);
    if (answers != NULL) {
        atomic_fetch_add_explicit(&answers->logged[result], 1, memory_order_relaxed);
    }
}

void
stream_answer_hears(struct stream *stream, bool hears)
{
    struct stream_answers *answers = stream_answers(stream);
    if (answers != NULL) {
        atomic_store(&answers->log_hears, hears);
    }
}

void
stream_answer_aliases(struct stream *stream, bool known)
{
    struct stream_answers *answers = stream_answers(stream);
    if (answers != NULL) {
        atomic_store(&answers->log_aliases, known);
    }
}

int64_t
stream_answer_known_ms(const struct stream *stream)
{
    const struct config_generations *bounds = &stream->config->generations;
    return (int64_t)(bounds->max_time_ms + bounds->retain_ms);
}

void
stream_answer_log_clients(struct stream *stream, unsigned clients)
{
    struct stream_answers *answers = stream_answers(stream);
    if (answers != NULL) {
        atomic_store(&answers->log_clients, clients);
    }
}

void
stream_answer_told(struct stream *stream, const struct stream_told *told)
{
    pthread_mutex_lock(&stream->health_lock);
    stream->told = *told;
    stream->is_told = true;
    pthread_mutex_unlock(&stream->health_lock);
}

bool
stream_told(struct stream *stream, struct stream_told *told)
{
    pthread_mutex_lock(&stream->health_lock);
    bool is_told = stream->is_told;
    *told = stream->told;
    pthread_mutex_unlock(&stream->health_lock);
    return is_told;
}

void
stream_answer_seen(struct stream *stream)
{
    atomic_store(&stream->seen_ms, clock_mono_ns() / 1000000);
}

int64_t
stream_seen_ms(const struct stream *stream)
{
    return atomic_load(&stream->seen_ms);
}
