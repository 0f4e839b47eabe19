/* generations_keeper: the thread that sees to time: ends, grace, what is to be forgotten. It stops
 * sources, which blocks, and frees answers, which may be large, outside of the lock. */
#include "generations_internal.h"

#include "stream.h"
#include "stream_answers.h"

#include <malloc.h>
#include <time.h>

/* Between two looks of the keeper at what runs. */
#define LOOK_MS 100
/* After so long without an end memory is given back. */
#define QUIET_MS 1000
/* One that nobody has seen yet is not left by anybody: its request may just be on its way. */
#define UNSEEN_GRACE_MS 10000

/* Nobody sees it, and its policy says that it ends for that. */
static bool
is_left(const struct generation *generation, int64_t now)
{
    const struct config_generations *bounds = &generation->config.generations;
    int64_t grace_ms = (int64_t)bounds->grace_ms;
    int64_t seen_ms = stream_seen_ms(generation->stream);
    int64_t since_ms = seen_ms > generation->alone_ms ? seen_ms : generation->alone_ms;
    if (!generation->seen && grace_ms < UNSEEN_GRACE_MS) {
        grace_ms = UNSEEN_GRACE_MS;
    }
    if (generation_is_logged(generation) && grace_ms < STREAM_SEEN_MS) {
        grace_ms = STREAM_SEEN_MS;
    }
    return (bounds->left == GENERATIONS_CANCEL || generation->mirror) && generation->viewers == 0 &&
           now - since_ms >= grace_ms;
}

static void
look_at_running(struct generation *generation, int64_t now)
{
    generation_notice_end(generation);
    if (generation->state != GENERATION_RUNNING) {
        return;
    }
    bool late = now - generation->started_ms >= (int64_t)generation->config.generations.max_time_ms;
    enum generation_end why = late ? GENERATION_MAX_TIME : GENERATION_LEFT;
    if ((late || is_left(generation, now)) && generation_condemn(generation, why)) {
        generation_cancel_stream(generation, why); /* locks of its own, which never wait for ours */
    }
}

static bool
is_to_forget(const struct generation *generation, int64_t now)
{
    const struct config_generations *bounds = &generation->config.generations;
    return generation->state == GENERATION_ENDED && generation->stopped &&
           (generation->forgets || now - generation->ended_ms >= (int64_t)bounds->retain_ms ||
               generation_counts(generation)->kept > bounds->kept);
}

static void
take_out(struct generation *generation)
{
    TAILQ_REMOVE(&generation->all->known, generation, link);
    LIST_REMOVE(generation, bucket);
    generation_counts(generation)->kept--;
}

/* Those whose sources are to be stopped, and those that are known no longer. */
static void
look(struct generations *generations, struct generation_queue *to_stop,
    struct generation_queue *to_drop)
{
    int64_t now = generations_now_ms();
    struct generation *generation, *next;
    for (generation = TAILQ_FIRST(&generations->known); generation != NULL; generation = next) {
        next = TAILQ_NEXT(generation, link);
        if (generation->state == GENERATION_RUNNING) {
            look_at_running(generation, now);
        }
        if (generation->state == GENERATION_ENDED && !generation->stopped) {
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
    int64_t now = generations_now_ms();
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

void *
generations_keep(void *generations_)
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
