/* downloads: see downloads.h. Any thread: a shard moves its transfers, others watch them. */
#include "downloads.h"

#include "clock.h"
#include "mem.h"
#include "stream_source.h"

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BUCKETS 256
#define KEPT_MS 60000
/* Between two looks at whether anybody watches. */
#define MOVE_MS 100

TAILQ_HEAD(watch_list, watch);

struct watched {
    LIST_ENTRY(watched) link;        /* in its bucket */
    TAILQ_ENTRY(watched) ended_link; /* in ended, while is_ended */
    char *file, *id;
    struct transfer *transfer; /* the newest that goes on; NULL: none */
    struct watch_list watchers;
    bool has_begun, is_ended;
    const char *failure; /* of the end; NULL: complete */
    char message[80];
    uint64_t done, total;
    int64_t ended_ms;
};

struct transfer {
    struct downloads *downloads;
    struct watched *watched; /* NULL: nobody can */
    int64_t told_ms;
};

LIST_HEAD(bucket, watched);
TAILQ_HEAD(ended_list, watched);

struct downloads {
    pthread_mutex_t lock;
    struct bucket buckets[BUCKETS];
    struct ended_list ended; /* the oldest first */
    size_t n_ended, n_watched;
    uint64_t seed;
    atomic_uint_fast64_t open, complete, cut, bytes;
};

struct downloads *
downloads_new(void)
{
    struct downloads *downloads = mem_calloc(1, sizeof *downloads);
    pthread_mutex_init(&downloads->lock, NULL);
    TAILQ_INIT(&downloads->ended);
    arc4random_buf(&downloads->seed, sizeof downloads->seed);
    return downloads;
}

bool
downloads_id_valid(const char *id)
{
    static const char allowed[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    size_t len = strlen(id);
    return len >= DOWNLOAD_ID_LEAST && len <= DOWNLOAD_ID_MOST && strspn(id, allowed) == len;
}

/* ---- those that are watched; all of it under the lock ---- */

static uint64_t
mix(uint64_t hash, const char *text)
{
    do {
        hash = (hash ^ (unsigned char)*text) * UINT64_C(0x9e3779b97f4a7c15);
        hash ^= hash >> 29;
    } while (*text++ != '\0');
    return hash;
}

static struct bucket *
bucket_of(struct downloads *downloads, const char *file, const char *id)
{
    return &downloads->buckets[mix(mix(downloads->seed, file), id) % BUCKETS];
}

static void
forget(struct downloads *downloads, struct watched *watched)
{
    assert(watched->transfer == NULL && TAILQ_EMPTY(&watched->watchers));
    LIST_REMOVE(watched, link);
    downloads->n_watched--;
    free(watched->file);
    free(watched->id);
    free(watched);
}

/* It is no longer kept for its end's sake. */
static void
unkeep(struct downloads *downloads, struct watched *watched)
{
    if (watched->is_ended) {
        TAILQ_REMOVE(&downloads->ended, watched, ended_link);
        downloads->n_ended--;
        watched->is_ended = watched->has_begun = false;
    }
}

static void
forget_if_idle(struct downloads *downloads, struct watched *watched)
{
    if (!watched->is_ended && watched->transfer == NULL && TAILQ_EMPTY(&watched->watchers)) {
        forget(downloads, watched);
    }
}

static void
forget_old(struct downloads *downloads, int64_t now_ms)
{
    struct watched *oldest, *next;
    for (oldest = TAILQ_FIRST(&downloads->ended);
         oldest != NULL &&
         (downloads->n_ended > DOWNLOADS_KEPT || now_ms - oldest->ended_ms > KEPT_MS);
         oldest = next) {
        next = TAILQ_NEXT(oldest, ended_link);
        unkeep(downloads, oldest);
        forget_if_idle(downloads, oldest);
    }
}

static struct watched *
find(struct downloads *downloads, const char *file, const char *id)
{
    struct watched *watched;
    LIST_FOREACH(watched, bucket_of(downloads, file, id), link)
    {
        if (strcmp(watched->id, id) == 0 && strcmp(watched->file, file) == 0) {
            break;
        }
    }
    return watched;
}

static struct watched *
find_or_make(struct downloads *downloads, const char *file, const char *id)
{
    forget_old(downloads, clock_mono_ns() / 1000000);
    struct watched *watched = find(downloads, file, id);
    if (watched == NULL) {
        watched = mem_calloc(1, sizeof *watched);
        watched->file = mem_strdup(file);
        watched->id = mem_strdup(id);
        TAILQ_INIT(&watched->watchers);
        LIST_INSERT_HEAD(bucket_of(downloads, file, id), watched, link);
        downloads->n_watched++;
    }
    return watched;
}

static void
tell(struct watched *watched, struct watch *watch)
{
    if (watched->has_begun) {
        stream_source_progress(watch->stream, watched->done, watched->total);
    }
    if (watched->is_ended) {
        stream_source_end(watch->stream, watched->failure, watched->message);
    }
}

static void
tell_all(struct watched *watched)
{
    struct watch *watch;
    TAILQ_FOREACH(watch, &watched->watchers, link)
    {
        tell(watched, watch);
    }
}

/* failure NULL: complete. */
static void
end_watched(struct downloads *downloads, struct watched *watched, const char *failure)
{
    int64_t now_ms = clock_mono_ns() / 1000000;
    unkeep(downloads, watched);
    watched->transfer = NULL;
    watched->failure = failure;
    watched->ended_ms = now_ms;
    watched->is_ended = true;
    TAILQ_INSERT_TAIL(&downloads->ended, watched, ended_link);
    downloads->n_ended++;
    tell_all(watched);
    forget_old(downloads, now_ms);
}

/* ---- transfers ---- */

struct transfer *
transfer_new(
    struct downloads *downloads, const char *file, const char *id, uint64_t done, uint64_t total)
{
    struct transfer *transfer = mem_calloc(1, sizeof *transfer);
    transfer->downloads = downloads;
    atomic_fetch_add_explicit(&downloads->open, 1, memory_order_relaxed);
    if (id != NULL) {
        pthread_mutex_lock(&downloads->lock);
        struct watched *watched = find_or_make(downloads, file, id);
        unkeep(downloads, watched);
        if (watched->transfer != NULL) { /* a resume has overtaken the news of the cut */
            watched->transfer->watched = NULL;
        }
        watched->transfer = transfer;
        watched->has_begun = true;
        watched->done = done;
        watched->total = total;
        transfer->watched = watched;
        tell_all(watched);
        pthread_mutex_unlock(&downloads->lock);
    }
    return transfer;
}

void
transfer_move(struct transfer *transfer, uint64_t sent, uint64_t done, int64_t now_ms)
{
    struct downloads *downloads = transfer->downloads;
    atomic_fetch_add_explicit(&downloads->bytes, sent, memory_order_relaxed);
    if (now_ms - transfer->told_ms < MOVE_MS) {
        return;
    }
    transfer->told_ms = now_ms;
    pthread_mutex_lock(&downloads->lock);
    if (transfer->watched != NULL && done > transfer->watched->done) {
        transfer->watched->done = done;
        tell_all(transfer->watched);
    }
    pthread_mutex_unlock(&downloads->lock);
}

void
transfer_end(struct transfer *transfer, bool complete)
{
    if (transfer == NULL) {
        return;
    }
    struct downloads *downloads = transfer->downloads;
    atomic_fetch_sub_explicit(&downloads->open, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(
        complete ? &downloads->complete : &downloads->cut, 1, memory_order_relaxed);
    pthread_mutex_lock(&downloads->lock);
    struct watched *watched = transfer->watched;
    if (watched != NULL) {
        watched->done = complete ? watched->total : watched->done;
        snprintf(watched->message, sizeof watched->message,
            "the client went away before it had all of the file");
        end_watched(downloads, watched, complete ? NULL : "client_gone");
    }
    pthread_mutex_unlock(&downloads->lock);
    free(transfer);
}

void
downloads_refuse(struct downloads *downloads, const char *file, const char *id, int status)
{
    pthread_mutex_lock(&downloads->lock);
    struct watched *watched = find(downloads, file, id);
    if (watched != NULL && watched->transfer == NULL) {
        snprintf(
            watched->message, sizeof watched->message, "the download was answered with %d", status);
        end_watched(downloads, watched, "refused");
    }
    pthread_mutex_unlock(&downloads->lock);
}

/* ---- watchers ---- */

void
downloads_watch(struct downloads *downloads, struct watch *watch, const char *file, const char *id,
    struct stream *stream)
{
    pthread_mutex_lock(&downloads->lock);
    struct watched *watched = find_or_make(downloads, file, id);
    *watch = (struct watch){.downloads = downloads, .watched = watched, .stream = stream};
    TAILQ_INSERT_TAIL(&watched->watchers, watch, link);
    tell(watched, watch);
    pthread_mutex_unlock(&downloads->lock);
}

void
downloads_unwatch(struct watch *watch)
{
    struct downloads *downloads = watch->downloads;
    pthread_mutex_lock(&downloads->lock);
    TAILQ_REMOVE(&watch->watched->watchers, watch, link);
    forget_if_idle(downloads, watch->watched);
    pthread_mutex_unlock(&downloads->lock);
}

void
downloads_state(struct downloads *downloads, struct downloads_state *state)
{
    *state = (struct downloads_state){
        .open = atomic_load_explicit(&downloads->open, memory_order_relaxed),
        .complete = atomic_load_explicit(&downloads->complete, memory_order_relaxed),
        .cut = atomic_load_explicit(&downloads->cut, memory_order_relaxed),
        .bytes = atomic_load_explicit(&downloads->bytes, memory_order_relaxed),
    };
    pthread_mutex_lock(&downloads->lock);
    state->watched = downloads->n_watched;
    pthread_mutex_unlock(&downloads->lock);
}

void
downloads_free(struct downloads *downloads)
{
    if (downloads == NULL) {
        return;
    }
    forget_old(downloads, INT64_MAX);
    assert(downloads->n_watched == 0);
    pthread_mutex_destroy(&downloads->lock);
    free(downloads);
}
