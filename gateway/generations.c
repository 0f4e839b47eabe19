/* generations: the table of them and their places. One of them is in generation.c, the thread that
 * keeps them in generations_keeper.c. Knows no session. */
#include "generations_internal.h"

#include "base64.h"
#include "hash.h"
#include "mem.h"
#include "private.h"
#include "stream.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ID_BYTES 16

static const struct config_generations *
bounds_of(const struct generations *generations, size_t stream)
{
    return &stream_config(generations->options.streams[stream])->generations;
}

struct generation_bucket *
generations_bucket(struct generations *generations, const char *id)
{
    return &generations->buckets[hash_fnv1a(id, strlen(id)) % GENERATIONS_BUCKETS];
}

void
generations_notice_ends(struct generations *generations)
{
    struct generation *generation;
    TAILQ_FOREACH(generation, &generations->known, link)
    {
        if (generation->state == GENERATION_RUNNING) {
            generation_notice_end(generation);
        }
    }
}

struct generations *
generations_new(const struct generations_options *options, struct err *err)
{
    struct generations *generations = mem_calloc(1, sizeof *generations);
    pthread_condattr_t monotonic;
    generations->options = *options;
    generations->states = mem_calloc(options->n_streams + 1, sizeof *generations->states);
    TAILQ_INIT(&generations->reserved);
    TAILQ_INIT(&generations->known);
    pthread_mutex_init(&generations->seek_lock, NULL);
    pthread_mutex_init(&generations->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&generations->changed, &monotonic);
    pthread_condattr_destroy(&monotonic);
    int failed = pthread_create(&generations->keeper, NULL, generations_keep, generations);
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
        if (generation->state == GENERATION_RUNNING && !generation->mirror) {
            generation_cancel_stream(generation, GENERATION_SHUTDOWN);
        } else {
            stream_cancel(generation->stream);
        }
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
    pthread_mutex_destroy(&generations->seek_lock);
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
            n += generation->index == stream && generation->state != GENERATION_ENDED &&
                 !generation->mirror && strcmp(generation->caller, caller) == 0;
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
        generations_notice_ends(all); /* the keeper may not have looked yet */
        if (!has_place(all, generation->index, generation->caller, err)) {
            generation_counts(generation)->refused++;
            return false;
        }
    }
    TAILQ_INSERT_TAIL(&all->reserved, generation, link);
    generation_counts(generation)->running++;
    return true;
}

static bool
has_log(const struct generations *generations, size_t stream)
{
    const struct config_stream *config = stream_config(generations->options.streams[stream]);
    return (config->connector->capabilities & CONNECTOR_LOGS) != 0;
}

/* As generations_seek.c reads it: 48 bits, the highest first. */
static void
put_time(unsigned char bytes[ID_BYTES])
{
    uint64_t ms = (uint64_t)clock_wall_ms();
    for (int i = 0; i < 6; i++) {
        bytes[i] = (unsigned char)(ms >> (40 - 8 * i));
    }
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
    if (has_log(generations, stream)) {
        put_time(chance);
    }
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
    LIST_FOREACH(generation, generations_bucket(generations, id), bucket)
    {
        if (generation->index == stream && strcmp(generation->id, id) == 0) {
            found = generation_ref(generation);
            break;
        }
    }
    pthread_mutex_unlock(&generations->lock);
    return found;
}

struct generation *
generations_find_alias(struct generations *generations, size_t stream, const char *alias)
{
    struct generation *generation, *found = NULL;
    pthread_mutex_lock(&generations->lock);
    /* Of two that are called the same, the newer one. */
    TAILQ_FOREACH_REVERSE(generation, &generations->known, generation_list, link)
    {
        if (generation->index == stream && stream_has_alias(generation->stream, alias)) {
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
        /* A mirror is read on elsewhere. */
        if (!generation->mirror && generation_condemn(generation, why)) {
            generation_cancel_stream(generation, why);
        }
    }
    pthread_mutex_unlock(&generations->lock);
}

void
generations_state(struct generations *generations, size_t stream, struct generations_state *state)
{
    pthread_mutex_lock(&generations->lock);
    generations_notice_ends(generations);
    *state = generations->states[stream];
    pthread_mutex_unlock(&generations->lock);
}
