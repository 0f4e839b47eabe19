/* generations_seek: answers that other gateways made, as the log has them: mirrors. */
#include "generations_internal.h"

#include "mem.h"
#include "stream.h"
#include "stream_answers.h"
#include "stream_source.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Of an id: what is before the chance. */
#define TIME_CHARS 8
/* Clocks of gateways differ; nobody asks for what is not made yet. */
#define AHEAD_MS (INT64_C(300) * 1000)

#define READ_NAME(name, text) text,
const char *const generation_read_names[GENERATION_READ_COUNT] = {GENERATION_READS(READ_NAME)};

/* When it was begun, in Unix milliseconds; negative: it cannot be one. */
static int64_t
time_of(const char *id)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    int64_t ms = 0;
    if (strlen(id) != GENERATION_ID_LEN || strspn(id, digits) != GENERATION_ID_LEN) {
        return -1;
    }
    for (size_t i = 0; i < TIME_CHARS; i++) {
        ms = ms * 64 + (strchr(digits, id[i]) - digits);
    }
    return ms <= clock_wall_ms() + AHEAD_MS ? ms : -1;
}

static enum generation_read
read_of(const char *code)
{
    for (int i = 0; i < GENERATION_READ_COUNT; i++) {
        if (code != NULL && strcmp(generation_read_names[i], code) == 0) {
            return (enum generation_read)i;
        }
    }
    return GENERATION_READ_WHOLE;
}

void
generation_notice_read(struct generation *generation, const char *code)
{
    struct generations_state *state = generation_counts(generation);
    enum generation_read read = generation->condemned ? GENERATION_READ_LEFT : read_of(code);
    generation->state = GENERATION_ENDED;
    generation->ended_ms = generations_now_ms();
    generation->forgets = read != GENERATION_READ_WHOLE && read != GENERATION_READ_INCOMPLETE;
    state->reading--;
    state->kept++;
    state->reads[read]++;
}

/* Its place among the readers. */
static bool
take_place(struct generations *generations, size_t stream, uint64_t most)
{
    struct generations_state *state = &generations->states[stream];
    pthread_mutex_lock(&generations->lock);
    if (state->reading >= most) {
        generations_notice_ends(generations);
    }
    bool taken = state->reading < most;
    state->reading += taken;
    pthread_mutex_unlock(&generations->lock);
    return taken;
}

/* Into the table, which has a reference of its own. */
static void
list(struct generation *generation)
{
    struct generations *all = generation->all;
    pthread_mutex_lock(&all->lock);
    generation->state = GENERATION_RUNNING;
    generation->started_ms = generation->alone_ms = generations_now_ms();
    (void)generation_ref(generation);
    TAILQ_INSERT_TAIL(&all->known, generation, link);
    LIST_INSERT_HEAD(generations_bucket(all, generation->id), generation, bucket);
    pthread_cond_signal(&all->changed);
    pthread_mutex_unlock(&all->lock);
}

static struct generation *
begin(struct generations *generations, size_t stream, const char *id, int64_t begun_ms,
    struct err *err)
{
    struct generation *generation = mem_calloc(1, sizeof *generation);
    const struct replay replay = {.kind = REPLAY_LOG, .name = id, .time_ms = begun_ms};
    generation->all = generations;
    generation->index = stream;
    generation->mirror = true;
    atomic_store(&generation->refs, 1);
    memcpy(generation->id, id, sizeof generation->id);
    generation->here = mem_calloc(generations->options.n_shards, sizeof *generation->here);
    if (generation_open(generation, &replay, err) != 0) {
        generation_unref(generation);
        return NULL;
    }
    list(generation);
    return generation;
}

/* Nobody else seeks meanwhile. */
static struct generation *
seek(struct generations *generations, size_t stream, const char *id, int64_t begun_ms,
    struct err *err)
{
    struct generation *found = generations_find(generations, stream, id);
    const struct config_stream *config = stream_config(generations->options.streams[stream]);
    struct connector_log log;
    if (found != NULL) {
        return found;
    }
    config->connector->log(config->settings, &log);
    if (!take_place(generations, stream, log.readers)) {
        err_set(err, ERR_LIMIT,
            "%" PRIu64 " answers of other gateways are read here already: that is log.readers; "
            "try again later",
            log.readers);
        return NULL;
    }
    found = begin(generations, stream, id, begun_ms, err);
    if (found == NULL) {
        pthread_mutex_lock(&generations->lock);
        generations->states[stream].reading--;
        pthread_mutex_unlock(&generations->lock);
    }
    return found;
}

struct generation *
generations_seek(struct generations *generations, size_t stream, const char *id, struct err *err)
{
    const struct config_stream *config = stream_config(generations->options.streams[stream]);
    int64_t begun_ms = time_of(id);
    if ((config->connector->capabilities & CONNECTOR_LOGS) == 0 || begun_ms < 0) {
        err_set(err, ERR_MISSING, "there is no such answer");
        return NULL;
    }
    pthread_mutex_lock(&generations->seek_lock);
    struct generation *found = seek(generations, stream, id, begun_ms, err);
    pthread_mutex_unlock(&generations->seek_lock);
    return found;
}

enum connector_alias
generations_ask_alias(struct generations *generations, size_t stream, const char *alias,
    char id[GENERATION_ID_LEN + 1])
{
    struct stream *home = generations->options.streams[stream];
    const struct connector *connector = stream_config(home)->connector;
    if ((connector->capabilities & CONNECTOR_LOGS) == 0) {
        return CONNECTOR_ALIAS_NONE;
    }
    return connector->find_alias(stream_home_source(home), alias, id, GENERATION_ID_LEN + 1);
}

/* What is told is what it was asked for; it changes once, before anybody reads it. */
static void
take_told(struct generation *generation, const struct stream_told *told)
{
    pthread_mutex_lock(&generation->all->lock);
    if (!generation->told) {
        generation->told = true;
        generation->dialect = told->dialect;
        generation->whole = told->whole;
        generation->keeps_raw = told->keeps_raw;
    }
    pthread_mutex_unlock(&generation->all->lock);
}

enum generation_sight
generation_look(struct generation *generation)
{
    struct stream_told told;
    struct stream_outcome outcome;
    if (!generation->mirror) {
        return GENERATION_READY;
    }
    stream_outcome(generation->stream, &outcome); /* first: it is told before it ends */
    if (stream_told(generation->stream, &told)) {
        take_told(generation, &told);
        return GENERATION_READY;
    }
    return !outcome.ended                                       ? GENERATION_SOUGHT
           : strcmp(outcome.code, CONNECTOR_LOG_NOT_FOUND) == 0 ? GENERATION_ABSENT
                                                                : GENERATION_UNREAD;
}

bool
generation_is_mirror(const struct generation *generation)
{
    return generation->mirror;
}
