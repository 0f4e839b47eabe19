/* generations_internal: what generation.c (one of them), generations.c (the table) and
 * generations_keeper.c (the thread) share with no one else. */
#ifndef HEADGATE_GENERATIONS_INTERNAL_H
#define HEADGATE_GENERATIONS_INTERNAL_H

#include "clock.h"
#include "connector.h"
#include "generations.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/queue.h>

#define GENERATIONS_BUCKETS 1024

enum generation_state { GENERATION_RESERVED, GENERATION_RUNNING, GENERATION_ENDED };

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
    const char *dialect;          /* as it was asked for; NULL: in none of an SDK's */
    bool whole, keeps_raw;        /* with that */
    bool mirror;                  /* read from the log; the two before are known once it is told */
    struct generation_here *here; /* one a shard */
    /* Under the table's lock. */
    TAILQ_ENTRY(generation) link;   /* while RESERVED in reserved, then in known */
    LIST_ENTRY(generation) bucket;  /* while it is known */
    STAILQ_ENTRY(generation) leave; /* while the keeper has taken it out, or stops its source */
    enum generation_state state;
    bool stopped; /* its source is no more */
    bool told;    /* of a mirror: it was found */
    bool forgets; /* once it is stopped: what is known of it here is not all, or nothing */
    bool condemned;
    enum generation_end why; /* if condemned */
    bool seen;
    size_t viewers;
    int64_t started_ms, alone_ms, ended_ms;
};

STAILQ_HEAD(generation_queue, generation);

struct generations {
    struct generations_options options;
    pthread_mutex_t seek_lock; /* taken before lock: one seeks at a time */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    pthread_t keeper;
    bool keeping, ending;
    int64_t freed_ms; /* the keeper's: when something was freed last; 0: all is given back */
    struct generation_list reserved, known; /* known: in the order of their starts */
    struct generation_bucket buckets[GENERATIONS_BUCKETS];
    struct generations_state *states; /* one a stream */
};

/* Under the table's lock. generation_notice_end: if its source has told its end it has ended, and
 * its place is free; of all of them. generation_condemn: true: it is now, and is to be cancelled by
 * generation_cancel_stream, which may also be called without the lock. */
void generation_notice_end(struct generation *generation);
void generations_notice_ends(struct generations *generations);
bool generation_condemn(struct generation *generation, enum generation_end why);
void generation_cancel_stream(struct generation *generation, enum generation_end why);

struct generation_bucket *generations_bucket(struct generations *generations, const char *id);

/* generation_notice_read: the same of a mirror whose stream has ended with that code. */
void generation_notice_read(struct generation *generation, const char *code);

/* generation_is_logged: others may see it elsewhere, and need time to say so (STREAM_SEEN_MS). */
static inline bool
generation_is_logged(const struct generation *generation)
{
    return (generation->config.connector->capabilities & CONNECTOR_LOGS) != 0;
}

/* generation_open: its stream, with the source that replay says. Errors -1 and err. */
struct replay;
int generation_open(struct generation *generation, const struct replay *replay, struct err *err);

/* generations_keep: the keeper's thread. */
void *generations_keep(void *generations);

static inline int64_t
generations_now_ms(void)
{
    return clock_mono_ns() / 1000000;
}

static inline struct generations_state *
generation_counts(const struct generation *generation)
{
    return &generation->all->states[generation->index];
}

#endif
