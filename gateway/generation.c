/* generation: one answer: from its start to its end, and who sees it. */
#include "generations_internal.h"

#include "mem.h"
#include "private.h"
#include "stream.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* A ring's slots are bounded by what the smallest record takes. */
#define RECORD_LEAST_BYTES 128

#define END_NAME(name, text) text,
const char *const generation_end_names[GENERATION_END_COUNT] = {GENERATION_ENDS(END_NAME)};

/* What viewers are told of one that was ended from here. */
struct verdict {
    const char *code, *message;
};
static const struct verdict verdicts[GENERATION_END_COUNT] = {
    [GENERATION_CANCELLED] = {STREAM_CANCELLED, "the answer was cancelled"},
    [GENERATION_LEFT] = {STREAM_CANCELLED, "the answer was cancelled: nobody was there to see it"},
    [GENERATION_MAX_TIME] = {"timeout", "the answer took longer than generations.max_time"},
    [GENERATION_SHUTDOWN] = {"shutdown", "the gateway is going away: this answer ends here, and "
                                         "cannot be resumed elsewhere"},
};

void
generation_config(struct config_stream *config, const struct config_stream *of)
{
    *config = *of;
    config->keeps_all = true;
    config->ring_bytes = of->generations.bytes + STREAM_KEEP_SLACK(of);
    config->ring_records = of->generations.bytes / RECORD_LEAST_BYTES;
    config->view = VIEW_STREAM;
}

/* ---- ends ---- */

/* Has its source told its end? Then it has ended, and its place is free. */
void
generation_notice_end(struct generation *generation)
{
    struct generations_state *state = generation_counts(generation);
    struct stream_outcome outcome;
    stream_outcome(generation->stream, &outcome);
    if (!outcome.ended) {
        return;
    }
    if (generation->mirror) {
        generation_notice_read(generation, outcome.code);
        return;
    }
    enum generation_end end = outcome.code == NULL ? GENERATION_DONE : GENERATION_FAILED;
    if (outcome.code != NULL && strcmp(outcome.code, STREAM_CANCELLED) == 0) {
        end = GENERATION_CANCELLED; /* at another gateway, or upstream */
    }
    if (outcome.code != NULL && generation->condemned &&
        strcmp(outcome.code, verdicts[generation->why].code) == 0) {
        end = generation->why;
    }
    generation->state = GENERATION_ENDED;
    generation->ended_ms = generations_now_ms();
    state->running--;
    state->kept++;
    state->ended[end]++;
}

/* True: it has just been condemned, and its stream is to be cancelled, outside of the lock. */
bool
generation_condemn(struct generation *generation, enum generation_end why)
{
    bool first = generation->state == GENERATION_RUNNING && !generation->condemned;
    if (first) {
        generation->condemned = true;
        generation->why = why;
    }
    return first;
}

void
generation_cancel_stream(struct generation *generation, enum generation_end why)
{
    assert(verdicts[why].code != NULL);
    stream_cancel_as(generation->stream, verdicts[why].code, verdicts[why].message);
}

/* ---- life ---- */

static void
list(struct generation *generation)
{
    struct generations *all = generation->all;
    pthread_mutex_lock(&all->lock);
    generation->state = GENERATION_RUNNING;
    generation->started_ms = generation->alone_ms = generations_now_ms();
    TAILQ_REMOVE(&all->reserved, generation, link);
    bool first = TAILQ_EMPTY(&all->known);
    (void)generation_ref(generation); /* the table's */
    TAILQ_INSERT_TAIL(&all->known, generation, link);
    LIST_INSERT_HEAD(generations_bucket(all, generation->id), generation, bucket);
    generation_counts(generation)->started++;
    if (first) {
        pthread_cond_signal(&all->changed);
    }
    pthread_mutex_unlock(&all->lock);
}

int
generation_open(struct generation *generation, const struct replay *replay, struct err *err)
{
    const struct generations_options *options = &generation->all->options;
    struct stream *home = options->streams[generation->index];
    assert(generation->stream == NULL);
    generation_config(&generation->config, stream_config(home));
    struct stream *stream = stream_new(&generation->config, options->n_shards);
    stream_make_private(stream, home, NULL);
    for (size_t i = 0; i < options->n_shards; i++) {
        struct generation_here *here = &generation->here[i];
        here->generation = generation;
        here->shard = options->shards[i];
        stream_set_waker(stream, i, (struct stream_waker){private_news, here});
    }
    if (stream_start_at(stream, replay, err) != 0) {
        stream_free(stream);
        return -1;
    }
    generation->stream = stream;
    return 0;
}

int
generation_start(struct generation *generation, const struct generation_ask *ask, struct err *err)
{
    const struct replay replay = {.kind = REPLAY_EARLIEST,
        .name = generation->id,
        .body = ask->body,
        .body_len = ask->len,
        .dialect = ask->dialect,
        .whole = ask->whole,
        .keeps_raw = ask->keeps_raw,
        .headers = ask->headers,
        .n_headers = ask->n_headers};
    if (generation_open(generation, &replay, err) != 0) {
        return -1;
    }
    generation->dialect = ask->dialect;
    generation->whole = ask->whole;
    generation->keeps_raw = ask->keeps_raw;
    list(generation);
    return 0;
}

const char *
generation_dialect(const struct generation *generation)
{
    return generation->dialect == NULL ? "" : generation->dialect;
}

bool
generation_is_whole(const struct generation *generation)
{
    return generation->whole;
}

bool
generation_keeps_raw(const struct generation *generation)
{
    return generation->keeps_raw;
}

static void
release_place(struct generation *generation)
{
    pthread_mutex_lock(&generation->all->lock);
    TAILQ_REMOVE(&generation->all->reserved, generation, link);
    generation_counts(generation)->running--;
    pthread_mutex_unlock(&generation->all->lock);
}

struct generation *
generation_ref(struct generation *generation)
{
    atomic_fetch_add(&generation->refs, 1);
    return generation;
}

void
generation_unref(struct generation *generation)
{
    if (generation == NULL || atomic_fetch_sub(&generation->refs, 1) > 1) {
        return;
    }
    if (generation->stream == NULL && !generation->mirror) {
        release_place(generation);
    }
    stream_free(generation->stream);
    free(generation->here);
    free(generation);
}

const char *
generation_id(const struct generation *generation)
{
    return generation->id;
}

size_t
generation_stream_index(const struct generation *generation)
{
    return generation->index;
}

struct stream *
generation_stream(struct generation *generation)
{
    assert(generation->stream != NULL);
    return generation->stream;
}

bool
generation_is_started(const struct generation *generation)
{
    return generation->stream != NULL;
}

void
generation_cancel(struct generation *generation, enum generation_end why)
{
    pthread_mutex_lock(&generation->all->lock);
    bool first = generation_condemn(generation, why);
    pthread_mutex_unlock(&generation->all->lock);
    if (first) {
        generation_cancel_stream(generation, why);
    }
}

bool
generation_stop(struct generation *generation)
{
    struct stream_outcome outcome;
    if (!generation->mirror) {
        generation_cancel(generation, GENERATION_CANCELLED);
        return true;
    }
    stream_outcome(generation->stream, &outcome);
    return outcome.ended || stream_tell_cancel(generation->stream);
}

struct generation_here *
generation_here(struct generation *generation, size_t shard)
{
    return &generation->here[shard];
}

void
generation_enter(struct generation *generation, bool resumed)
{
    struct generations_state *state = generation_counts(generation);
    pthread_mutex_lock(&generation->all->lock);
    generation->viewers++;
    state->viewers++;
    state->joined += generation->seen;
    state->resumed += resumed;
    generation->seen = true;
    pthread_mutex_unlock(&generation->all->lock);
}

void
generation_leave(struct generation *generation)
{
    const struct config_generations *bounds = &generation->config.generations;
    pthread_mutex_lock(&generation->all->lock);
    bool last = --generation->viewers == 0;
    generation_counts(generation)->viewers--;
    generation->alone_ms = generations_now_ms();
    pthread_mutex_unlock(&generation->all->lock);
    if (last && bounds->left == GENERATIONS_CANCEL && bounds->grace_ms == 0 &&
        !generation_is_logged(generation)) {
        generation_cancel(generation, GENERATION_LEFT);
    }
}
