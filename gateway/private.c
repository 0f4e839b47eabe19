/* private: the private streams of a shard. Shard thread; the reaper's thread stops and frees. */
#include "private.h"

#include "generations.h"
#include "mem.h"
#include "reaper.h"
#include "shard.h"

#include <stdlib.h>

TAILQ_HEAD(private_list, private_stream);

struct privates {
    struct shard *shard;
    struct reaper *reaper;
    struct private_list streams;            /* their own ones, all looked at on each wake */
    struct private_list shared;             /* of generations: there may be thousands */
    _Atomic(struct generation_here *) news; /* of those; the newest first */
    TAILQ_HEAD(, private_waiter) waiters;
};

struct privates *
privates_new(struct shard *shard, struct reaper *reaper)
{
    struct privates *privates = mem_calloc(1, sizeof *privates);
    privates->shard = shard;
    privates->reaper = reaper;
    TAILQ_INIT(&privates->streams);
    TAILQ_INIT(&privates->shared);
    TAILQ_INIT(&privates->waiters);
    return privates;
}

void
private_config(struct config_stream *private_config, const struct config_stream *config,
    uint64_t ring_records, uint64_t ring_bytes)
{
    *private_config = *config;
    private_config->ring_records = ring_records;
    private_config->ring_bytes = ring_bytes + 2 * config->max_record_bytes;
    private_config->queue_records = ring_records / 2;
    private_config->queue_bytes = ring_bytes / 2;
    private_config->slow_policy = SLOW_PAUSE;
    private_config->view = VIEW_STREAM;
}

/* On the reaper's thread, or where no thread of the shard is left. */
static void
bury(void *dead)
{
    struct private_stream *stream = dead;
    stream_stop(stream->stream);
    stream_free(stream->stream);
    if (stream->budget != NULL) {
        atomic_fetch_sub(&stream->budget->used, 1);
    }
    free(stream);
}

/* On the reaper's thread: someone may wait for its place. */
static void
bury_and_tell(void *dead)
{
    struct private_stream *stream = dead;
    struct shard *shard = stream->all->shard;
    bury(stream);
    shard_wake(shard);
}

/* After it is out of the list. */
static void
forget(struct private_stream *stream)
{
    if (stream->count != NULL) {
        atomic_fetch_sub(stream->count, 1);
    }
    stream_listen(stream->stream, stream->outlet.slot, false);
    outlet_fini(&stream->outlet);
}

static void
retire(struct private_stream *stream)
{
    struct reaper *reaper = stream->all->reaper;
    TAILQ_REMOVE(&stream->all->streams, stream, link);
    forget(stream);
    stream_cancel(stream->stream);
    reaper_take(reaper, bury_and_tell, stream);
}

static bool
take_budget(struct private_budget *budget, struct err *err)
{
    if (budget == NULL) {
        return true;
    }
    if (atomic_fetch_add(&budget->used, 1) < budget->most) {
        return true;
    }
    atomic_fetch_sub(&budget->used, 1);
    err_set(err, ERR_LIMIT, "%zu such streams are open already: that is the configured limit",
        budget->most);
    return false;
}

struct private_stream *
private_open(struct privates *privates, const struct private_options *options, struct err *err)
{
    if (!take_budget(options->budget, err)) {
        return NULL;
    }
    struct private_stream *stream = mem_calloc(1, sizeof *stream);
    stream->all = privates;
    stream->home = options->home;
    stream->budget = options->budget;
    stream->count = options->count;
    stream->config = *options->config;
    stream->stream = stream_new(&stream->config, 1);
    stream_make_private(stream->stream,
        options->on_request && !options->durable ? options->home->stream : NULL,
        options->durable ? options->home->stream : NULL);
    if (options->lines) {
        stream_take_lines(stream->stream, options->lines_to);
    }
    if (options->sieve != NULL) {
        stream_sift(stream->stream, options->sieve);
    }
    stream_set_waker(stream->stream, 0, (struct stream_waker){shard_wake, privates->shard});
    stream_listen(stream->stream, 0, true);
    outlet_init(&stream->outlet, privates->shard, stream->stream, 0);
    stream->outlet.counters = options->home->counters;
    stream->outlet.is_private = true;
    stream->outlet.on_request = options->on_request;
    TAILQ_INSERT_TAIL(&privates->streams, stream, link);
    if (stream->count != NULL) {
        atomic_fetch_add(stream->count, 1);
    }
    /* Nothing may come before its first subscriber says how far the source may go. */
    stream_hold(stream->stream, 0, (struct ring_hold){.limit_seq = 0});
    stream->outlet.hold_stale = true;
    if (stream_start_at(stream->stream, options->replay, err) != 0) {
        TAILQ_REMOVE(&privates->streams, stream, link);
        forget(stream);
        bury(stream); /* it has no source: nothing to wait for */
        return NULL;
    }
    return stream;
}

/* ---- of generations ---- */

struct private_stream *
private_share(struct privates *privates, struct generation *generation, const struct outlet *home)
{
    size_t slot = shard_index(privates->shard);
    struct generation_here *here = generation_here(generation, slot);
    if (here->stream != NULL) {
        return here->stream;
    }
    struct private_stream *stream = mem_calloc(1, sizeof *stream);
    stream->all = privates;
    stream->home = home;
    stream->generation = generation_ref(generation);
    stream->stream = generation_stream(generation);
    stream_listen(stream->stream, slot, true);
    outlet_init(&stream->outlet, privates->shard, stream->stream, slot);
    stream->outlet.counters = home->counters;
    stream->outlet.is_private = stream->outlet.on_request = true;
    stream->outlet.generation = generation;
    TAILQ_INSERT_TAIL(&privates->shared, stream, link);
    here->stream = stream;
    return stream;
}

void
private_news(void *here_)
{
    struct generation_here *here = here_;
    if (!atomic_exchange(&here->has_news, true)) {
        struct privates *privates = shard_privates(here->shard);
        generation_ref(here->generation);
        here->next = atomic_load(&privates->news);
        while (!atomic_compare_exchange_weak(&privates->news, &here->next, here)) {
        }
    }
    shard_wake(here->shard);
}

/* After it is out of the list: the generation goes on, or ends, without this shard. */
static void
give_back(struct private_stream *stream)
{
    struct generation *generation = stream->generation;
    forget(stream);
    generation_here(generation, stream->outlet.slot)->stream = NULL;
    free(stream);
    generation_unref(generation);
}

static void
serve_shared(struct private_stream *stream)
{
    if (outlet_wake(&stream->outlet)) {
        private_news(generation_here(stream->generation, stream->outlet.slot));
    }
    outlet_hold_update(&stream->outlet);
    if (stream->outlet.n_sessions == 0) {
        TAILQ_REMOVE(&stream->all->shared, stream, link);
        give_back(stream);
    }
}

static void
serve_news(struct privates *privates)
{
    struct generation_here *here = atomic_exchange(&privates->news, NULL);
    while (here != NULL) {
        struct generation_here *next = here->next;
        struct generation *generation = here->generation;
        atomic_store(&here->has_news, false); /* before it is looked at: what comes now is news */
        if (here->stream != NULL) {
            serve_shared(here->stream);
        }
        generation_unref(generation);
        here = next;
    }
}

void
private_wait(struct privates *privates, struct private_waiter *waiter)
{
    TAILQ_INSERT_TAIL(&privates->waiters, waiter, link);
}

void
private_wait_end(struct privates *privates, struct private_waiter *waiter)
{
    TAILQ_REMOVE(&privates->waiters, waiter, link);
}

static void
serve_waiters(struct privates *privates)
{
    struct private_waiter *waiter, *next;
    for (waiter = TAILQ_FIRST(&privates->waiters); waiter != NULL; waiter = next) {
        next = TAILQ_NEXT(waiter, link);
        waiter->look(waiter);
    }
}

bool
privates_serve(struct privates *privates)
{
    bool more = false;
    struct private_stream *stream, *next;
    for (stream = TAILQ_FIRST(&privates->streams); stream != NULL; stream = next) {
        next = TAILQ_NEXT(stream, link);
        more |= outlet_wake(&stream->outlet);
        outlet_hold_update(&stream->outlet);
        if (stream->outlet.n_sessions == 0) {
            retire(stream);
        }
    }
    serve_waiters(privates);
    serve_news(privates);
    return more;
}

struct private_stream *
privates_first(const struct privates *privates)
{
    return TAILQ_FIRST(&privates->streams);
}

bool
privates_stale(const struct privates *privates)
{
    const struct private_stream *stream;
    TAILQ_FOREACH(stream, &privates->streams, link)
    {
        if (stream->outlet.hold_stale) {
            return true;
        }
    }
    return false;
}

void
privates_halt(struct privates *privates)
{
    struct private_stream *stream;
    TAILQ_FOREACH(stream, &privates->shared, link)
    {
        stream_listen(stream->stream, stream->outlet.slot, false);
    }
    TAILQ_FOREACH(stream, &privates->streams, link)
    {
        stream_listen(stream->stream, 0, false);
        stream_cancel(stream->stream);
    }
    TAILQ_FOREACH(stream, &privates->streams, link)
    {
        stream_stop(stream->stream);
    }
}

static void
drop_news(struct privates *privates)
{
    struct generation_here *here = atomic_exchange(&privates->news, NULL);
    while (here != NULL) {
        struct generation_here *next = here->next;
        generation_unref(here->generation);
        here = next;
    }
}

void
privates_free(struct privates *privates)
{
    if (privates == NULL) {
        return;
    }
    struct private_stream *stream;
    while ((stream = TAILQ_FIRST(&privates->streams)) != NULL) {
        TAILQ_REMOVE(&privates->streams, stream, link);
        forget(stream);
        bury(stream);
    }
    while ((stream = TAILQ_FIRST(&privates->shared)) != NULL) {
        TAILQ_REMOVE(&privates->shared, stream, link);
        give_back(stream);
    }
    drop_news(privates);
    free(privates);
}
