/* generations: the table of them, their places, and the keeper. Knows no session. */
#include "generations.h"

#include "base64.h"
#include "clock.h"
#include "connector.h"
#include "mem.h"
#include "private.h"
#include "stream.h"

#include <assert.h>
#include <inttypes.h>
#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <time.h>

#define BUCKETS 1024 /* a power of two */
/* Between two looks of the keeper at what runs. */
#define LOOK_MS 100
/* After so long without an end memory is given back. */
#define QUIET_MS 1000
/* One that nobody has seen yet is not left by anybody: its request may just be on its way. */
#define UNSEEN_GRACE_MS 10000
/* A ring's slots are bounded by what the smallest record takes. */
#define RECORD_LEAST_BYTES 128
#define ID_BYTES 16

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

enum state { RESERVED, RUNNING, ENDED };

TAILQ_HEAD(generation_list, generation);
LIST_HEAD(generation_bucket, generation);

struct generation {
    struct generations *all;
    size_t index; /* of its stream, in the configuration */
    char id[GENERATION_ID_LEN + 1];
    char caller[GENERATION_CALLER_MAX + 1];
    atomic_uint refs;
    struct config_stream config;
    struct stream *stream;
    struct generation_here *here; /* one a shard */
    /* Under the table's lock. */
    TAILQ_ENTRY(generation) link;   /* while RESERVED in reserved, then in known */
    LIST_ENTRY(generation) bucket;  /* while it is known */
    STAILQ_ENTRY(generation) leave; /* while the keeper has taken it out, or stops its source */
    enum state state;
    bool stopped; /* its source is no more */
    bool condemned;
    enum generation_end why; /* if condemned */
    bool seen;
    size_t viewers;
    int64_t started_ms, alone_ms, ended_ms;
};

STAILQ_HEAD(generation_queue, generation);

struct generations {
    struct generations_options options;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    pthread_t keeper;
    bool keeping, ending;
    int64_t
        freed_ms; /* the keeper's: when sources or answers were freed last; 0: all is given back */
    struct generation_list reserved, known; /* known: in the order of their starts */
    struct generation_bucket buckets[BUCKETS];
    struct generations_state *states; /* one a stream */
};

static int64_t
now_ms(void)
{
    return clock_mono_ns() / 1000000;
}

static const struct config_generations *
bounds_of(const struct generations *generations, size_t stream)
{
    return &stream_config(generations->options.streams[stream])->generations;
}

static struct generations_state *
state_of(const struct generation *generation)
{
    return &generation->all->states[generation->index];
}

static struct generation_bucket *
bucket_of(struct generations *generations, const char *id)
{
    uint32_t hash = 2166136261u; /* FNV-1a; ids are chance */
    for (; *id != '\0'; id++) {
        hash = (hash ^ (unsigned char)*id) * 16777619u;
    }
    return &generations->buckets[hash % BUCKETS];
}

void
generation_config(struct config_stream *config, const struct config_stream *of)
{
    *config = *of;
    config->keeps_all = true;
    config->ring_bytes = of->generations.bytes + STREAM_KEEP_SLACK(of);
    config->ring_records = of->generations.bytes / RECORD_LEAST_BYTES;
    config->view = VIEW_STREAM;
}

/* ---- ends: under the lock ---- */

/* Has its source told its end? Then it has ended, and its place is free. */
static void
notice_end(struct generation *generation)
{
    struct generations_state *state = state_of(generation);
    struct stream_outcome outcome;
    stream_outcome(generation->stream, &outcome);
    if (!outcome.ended) {
        return;
    }
    enum generation_end end = outcome.code == NULL ? GENERATION_DONE : GENERATION_FAILED;
    if (outcome.code != NULL && generation->condemned &&
        strcmp(outcome.code, verdicts[generation->why].code) == 0) {
        end = generation->why;
    }
    generation->state = ENDED;
    generation->ended_ms = now_ms();
    state->running--;
    state->kept++;
    state->ended[end]++;
}

static void
notice_ends(struct generations *generations)
{
    struct generation *generation;
    TAILQ_FOREACH(generation, &generations->known, link)
    {
        if (generation->state == RUNNING) {
            notice_end(generation);
        }
    }
}

/* True: it has just been condemned, and its stream is to be cancelled, outside of the lock. */
static bool
condemn(struct generation *generation, enum generation_end why)
{
    bool first = generation->state == RUNNING && !generation->condemned;
    if (first) {
        generation->condemned = true;
        generation->why = why;
    }
    return first;
}

static void
cancel_stream(struct generation *generation, enum generation_end why)
{
    assert(verdicts[why].code != NULL);
    stream_cancel_as(generation->stream, verdicts[why].code, verdicts[why].message);
}

/* ---- the keeper ---- */

/* Nobody sees it, and its policy says that it ends for that. */
static bool
is_left(const struct generation *generation, int64_t now)
{
    const struct config_generations *bounds = &generation->config.generations;
    int64_t grace_ms = (int64_t)bounds->grace_ms;
    if (!generation->seen && grace_ms < UNSEEN_GRACE_MS) {
        grace_ms = UNSEEN_GRACE_MS;
    }
    return bounds->left == GENERATIONS_CANCEL && generation->viewers == 0 &&
           now - generation->alone_ms >= grace_ms;
}

static void
look_at_running(struct generation *generation, int64_t now)
{
    notice_end(generation);
    if (generation->state != RUNNING) {
        return;
    }
    bool late = now - generation->started_ms >= (int64_t)generation->config.generations.max_time_ms;
    enum generation_end why = late ? GENERATION_MAX_TIME : GENERATION_LEFT;
    if ((late || is_left(generation, now)) && condemn(generation, why)) {
        cancel_stream(generation, why); /* locks of its own, which never wait for ours */
    }
}

static bool
is_to_forget(const struct generation *generation, int64_t now)
{
    const struct config_generations *bounds = &generation->config.generations;
    return generation->state == ENDED && generation->stopped &&
           (now - generation->ended_ms >= (int64_t)bounds->retain_ms ||
               state_of(generation)->kept > bounds->kept);
}

static void
take_out(struct generation *generation)
{
    TAILQ_REMOVE(&generation->all->known, generation, link);
    LIST_REMOVE(generation, bucket);
    state_of(generation)->kept--;
}

/* Those whose sources are to be stopped, and those that are known no longer. */
static void
look(struct generations *generations, struct generation_queue *to_stop,
    struct generation_queue *to_drop)
{
    int64_t now = now_ms();
    struct generation *generation, *next;
    for (generation = TAILQ_FIRST(&generations->known); generation != NULL; generation = next) {
        next = TAILQ_NEXT(generation, link);
        if (generation->state == RUNNING) {
            look_at_running(generation, now);
        }
        if (generation->state == ENDED && !generation->stopped) {
            generation->stopped = true;
            STAILQ_INSERT_TAIL(to_stop, generation, leave);
        } else if (is_to_forget(generation, now)) {
            take_out(generation);
            STAILQ_INSERT_TAIL(to_drop, generation, leave);
        }
    }
}

static void
rest(struct generations *generations)
{
    struct timespec until;
    if (TAILQ_EMPTY(&generations->known) && generations->freed_ms == 0) {
        pthread_cond_wait(&generations->changed, &generations->lock);
        return;
    }
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += LOOK_MS * 1000000L;
    until.tv_sec += until.tv_nsec / 1000000000L;
    until.tv_nsec %= 1000000000L;
    pthread_cond_timedwait(&generations->changed, &generations->lock, &until);
}

/* Not under the lock. Only the keeper takes them out of the table: those to be stopped stay. */
static void
clear_away(struct generations *generations, struct generation_queue *to_stop,
    struct generation_queue *to_drop)
{
    struct generation *generation;
    int64_t now = now_ms();
    if (!STAILQ_EMPTY(to_stop) || !STAILQ_EMPTY(to_drop)) {
        generations->freed_ms = now;
    }
    STAILQ_FOREACH(generation, to_stop, leave)
    {
        stream_stop(generation->stream);
    }
    while ((generation = STAILQ_FIRST(to_drop)) != NULL) {
        STAILQ_REMOVE_HEAD(to_drop, leave);
        generation_unref(generation);
    }
    if (generations->freed_ms != 0 && now - generations->freed_ms >= QUIET_MS) {
        malloc_trim(
            0); /* what was allocated on many threads stays with the process, see reaper.c */
        generations->freed_ms = 0;
    }
}

static void *
keep(void *generations_)
{
    struct generations *generations = generations_;
    pthread_mutex_lock(&generations->lock);
    while (!generations->ending) {
        struct generation_queue to_stop, to_drop;
        STAILQ_INIT(&to_stop);
        STAILQ_INIT(&to_drop);
        look(generations, &to_stop, &to_drop);
        pthread_mutex_unlock(&generations->lock);
        clear_away(generations, &to_stop, &to_drop);
        pthread_mutex_lock(&generations->lock);
        if (!generations->ending) {
            rest(generations);
        }
    }
    pthread_mutex_unlock(&generations->lock);
    return NULL;
}

/* ---- the table ---- */

struct generations *
generations_new(const struct generations_options *options, struct err *err)
{
    struct generations *generations = mem_calloc(1, sizeof *generations);
    pthread_condattr_t monotonic;
    generations->options = *options;
    generations->states = mem_calloc(options->n_streams + 1, sizeof *generations->states);
    TAILQ_INIT(&generations->reserved);
    TAILQ_INIT(&generations->known);
    pthread_mutex_init(&generations->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&generations->changed, &monotonic);
    pthread_condattr_destroy(&monotonic);
    int failed = pthread_create(&generations->keeper, NULL, keep, generations);
    if (failed != 0) {
        err_set_errno(err, failed, "cannot start the thread that keeps generations");
        generations_free(generations);
        return NULL;
    }
    pthread_setname_np(generations->keeper, "generations");
    generations->keeping = true;
    return generations;
}

void
generations_halt(struct generations *generations)
{
    if (!generations->keeping) {
        return;
    }
    pthread_mutex_lock(&generations->lock);
    generations->ending = true;
    pthread_cond_signal(&generations->changed);
    pthread_mutex_unlock(&generations->lock);
    pthread_join(generations->keeper, NULL);
    generations->keeping = false;
    struct generation *generation;
    TAILQ_FOREACH(generation, &generations->known, link)
    {
        stream_cancel(generation->stream);
    }
    TAILQ_FOREACH(generation, &generations->known, link)
    {
        stream_stop(generation->stream);
    }
}

void
generations_free(struct generations *generations)
{
    if (generations == NULL) {
        return;
    }
    generations_halt(generations);
    struct generation *generation;
    while ((generation = TAILQ_FIRST(&generations->known)) != NULL) {
        TAILQ_REMOVE(&generations->known, generation, link);
        generation_unref(generation);
    }
    assert(TAILQ_EMPTY(&generations->reserved));
    pthread_cond_destroy(&generations->changed);
    pthread_mutex_destroy(&generations->lock);
    free(generations->states);
    free(generations);
}

static uint64_t
count_of_caller(const struct generations *generations, size_t stream, const char *caller)
{
    const struct generation_list *const lists[] = {&generations->reserved, &generations->known};
    uint64_t n = 0;
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        const struct generation *generation;
        TAILQ_FOREACH(generation, lists[i], link)
        {
            n += generation->index == stream && generation->state != ENDED &&
                 strcmp(generation->caller, caller) == 0;
        }
    }
    return n;
}

/* Under the lock. */
static bool
has_place(const struct generations *generations, size_t stream, const char *caller, struct err *err)
{
    const struct config_generations *bounds = bounds_of(generations, stream);
    if (generations->states[stream].running >= bounds->most) {
        err_set(err, ERR_LIMIT,
            "%" PRIu64 " answers are under way already: that is generations.max; try again later",
            bounds->most);
        return false;
    }
    if (bounds->most_caller != 0 &&
        count_of_caller(generations, stream, caller) >= bounds->most_caller) {
        err_set(err, ERR_LIMIT,
            "%" PRIu64 " answers are under way for this address already: that is "
            "generations.per_caller; try again later",
            bounds->most_caller);
        return false;
    }
    return true;
}

/* Under the lock: a place, if there is one. */
static bool
take_place(struct generation *generation, struct err *err)
{
    struct generations *all = generation->all;
    if (!has_place(all, generation->index, generation->caller, err)) {
        notice_ends(all); /* the keeper may not have looked yet */
        if (!has_place(all, generation->index, generation->caller, err)) {
            state_of(generation)->refused++;
            return false;
        }
    }
    TAILQ_INSERT_TAIL(&all->reserved, generation, link);
    state_of(generation)->running++;
    return true;
}

struct generation *
generations_reserve(
    struct generations *generations, size_t stream, const char *caller, struct err *err)
{
    unsigned char chance[ID_BYTES];
    struct generation *generation = mem_calloc(1, sizeof *generation);
    generation->all = generations;
    generation->index = stream;
    atomic_store(&generation->refs, 1);
    snprintf(generation->caller, sizeof generation->caller, "%s", caller);
    arc4random_buf(chance, sizeof chance);
    generation->id[base64_url_encode(generation->id, chance, sizeof chance)] = '\0';
    pthread_mutex_lock(&generations->lock);
    bool taken = take_place(generation, err);
    pthread_mutex_unlock(&generations->lock);
    if (!taken) {
        free(generation);
        return NULL;
    }
    generation->here = mem_calloc(generations->options.n_shards, sizeof *generation->here);
    return generation;
}

struct generation *
generations_find(struct generations *generations, size_t stream, const char *id)
{
    struct generation *generation, *found = NULL;
    pthread_mutex_lock(&generations->lock);
    LIST_FOREACH(generation, bucket_of(generations, id), bucket)
    {
        if (generation->index == stream && strcmp(generation->id, id) == 0) {
            found = generation_ref(generation);
            break;
        }
    }
    pthread_mutex_unlock(&generations->lock);
    return found;
}

void
generations_cancel_all(struct generations *generations, enum generation_end why)
{
    struct generation *generation;
    pthread_mutex_lock(&generations->lock);
    TAILQ_FOREACH(generation, &generations->known, link)
    {
        if (condemn(generation, why)) {
            cancel_stream(generation, why);
        }
    }
    pthread_mutex_unlock(&generations->lock);
}

void
generations_state(struct generations *generations, size_t stream, struct generations_state *state)
{
    pthread_mutex_lock(&generations->lock);
    notice_ends(generations);
    *state = generations->states[stream];
    pthread_mutex_unlock(&generations->lock);
}

/* ---- one of them ---- */

static void
list(struct generation *generation)
{
    struct generations *all = generation->all;
    pthread_mutex_lock(&all->lock);
    generation->state = RUNNING;
    generation->started_ms = generation->alone_ms = now_ms();
    TAILQ_REMOVE(&all->reserved, generation, link);
    bool first = TAILQ_EMPTY(&all->known);
    (void)generation_ref(generation); /* the table's */
    TAILQ_INSERT_TAIL(&all->known, generation, link);
    LIST_INSERT_HEAD(bucket_of(all, generation->id), generation, bucket);
    state_of(generation)->started++;
    if (first) {
        pthread_cond_signal(&all->changed);
    }
    pthread_mutex_unlock(&all->lock);
}

int
generation_start(struct generation *generation, const void *body, size_t len, struct err *err)
{
    const struct generations_options *options = &generation->all->options;
    struct stream *home = options->streams[generation->index];
    const struct replay replay = {
        .kind = REPLAY_EARLIEST, .name = generation->id, .body = body, .body_len = len};
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
    if (stream_start_at(stream, &replay, err) != 0) {
        stream_free(stream);
        return -1;
    }
    generation->stream = stream;
    list(generation);
    return 0;
}

static void
release_place(struct generation *generation)
{
    pthread_mutex_lock(&generation->all->lock);
    TAILQ_REMOVE(&generation->all->reserved, generation, link);
    state_of(generation)->running--;
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
    if (generation->stream == NULL) {
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
    bool first = condemn(generation, why);
    pthread_mutex_unlock(&generation->all->lock);
    if (first) {
        cancel_stream(generation, why);
    }
}

struct generation_here *
generation_here(struct generation *generation, size_t shard)
{
    return &generation->here[shard];
}

void
generation_enter(struct generation *generation, bool resumed)
{
    struct generations_state *state = state_of(generation);
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
    state_of(generation)->viewers--;
    generation->alone_ms = now_ms();
    pthread_mutex_unlock(&generation->all->lock);
    if (last && bounds->left == GENERATIONS_CANCEL && bounds->grace_ms == 0) {
        generation_cancel(generation, GENERATION_LEFT);
    }
}
