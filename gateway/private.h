/* private: a stream that one shard has for itself: a source of its own, a small ring, subscribers
 * of this shard alone. Catch-up readers are private streams, and so is what a request makes: a
 * file's replay, a walk over a table.
 *
 * It is retired once it has no subscriber any more: its source is asked to end at once, and the
 * reaper waits for that.
 * Thread  shard, except where it says otherwise. */
#ifndef HEADGATE_PRIVATE_H
#define HEADGATE_PRIVATE_H

#include "config.h"
#include "err.h"
#include "feed.h"
#include "stream.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/queue.h>

struct generation;
struct reaper;
struct replay;
struct shard;

/* How many there may be at once, over all shards; one that is being buried still counts. */
struct private_budget {
    atomic_size_t used;
    size_t most;
};

struct privates;

struct private_stream {
    TAILQ_ENTRY(private_stream) link; /* in all */
    struct privates *all;
    const struct outlet *home;     /* of the configured stream on this shard */
    struct private_budget *budget; /* NULL: not counted */
    atomic_size_t *count;          /* of those that are not being buried; NULL: not counted */
    struct generation *generation; /* whose stream it is, with a reference; NULL: it is its own */
    struct config_stream config;   /* of its own one */
    struct stream *stream;
    struct outlet outlet;
};

struct privates *privates_new(struct shard *shard, struct reaper *reaper);
/* privates_free: no session may be left; every one is stopped here. NULL-safe. Thread init, once
 * the shard's thread has ended. Blocks. */
void privates_free(struct privates *privates);

/* privates_halt: stop all sources; nothing is published any more. Thread init, once the shard's
 * thread has ended. Blocks. */
void privates_halt(struct privates *privates);

/* privates_serve: on a wake: pass on what they brought, retire those that nobody needs. True when
 * there is more to do. */
bool privates_serve(struct privates *privates);

/* privates_first: the oldest that is not retired; the next ones by TAILQ_NEXT(, link). NULL: none.
 */
struct private_stream *privates_first(const struct privates *privates);

/* privates_stale: one's hold must be computed again (see outlet_hold_update). */
bool privates_stale(const struct privates *privates);

/* What private_open makes. */
struct private_options {
    const struct config_stream *config; /* copied; what it points to outlives the stream */
    const struct outlet *home;          /* of the configured stream on this shard: its counters */
    const struct replay *replay;        /* for the source; lent for the call */
    bool on_request;                    /* as outlet.on_request; counted as the home stream's */
    bool lines;                         /* see stream_takes_lines */
    const struct place *lines_to;       /* see stream_take_lines */
    struct filter *sieve;               /* NULL, or see stream_sifts */
    bool durable; /* its records are not the home stream's, but its errors and its group are */
    struct private_budget *budget; /* NULL: unlimited */
    atomic_size_t *count;          /* kept at the number of such streams; NULL: not. Outlives
                                      the shard's privates */
};

/* private_open: a stream whose source begins at once. Without a subscriber it is retired on the
 * next wake: the caller enters one, or calls shard_wake. Errors NULL and err: ERR_LIMIT when the
 * budget is used up, else what the connector says. */
struct private_stream *private_open(
    struct privates *privates, const struct private_options *options, struct err *err);

/* private_share: what this shard has of generation, which is started; made where it has nothing
 * yet. home: of the configured stream on this shard. As with private_open: the caller enters a
 * subscriber. */
struct private_stream *private_share(
    struct privates *privates, struct generation *generation, const struct outlet *home);

/* private_news: the stream of a generation has news for the shard of here, a struct
 * generation_here: privates_serve will look at what that has of it, and at no other's. Thread any
 * that sees to it that the generation lives for the length of the call. */
void private_news(void *here);

/* Who waits for what a stream says: looked at on each wake of the shard, until it is ended. Its
 * callback may end it, and no other one. */
struct private_waiter {
    TAILQ_ENTRY(private_waiter) link;
    void (*look)(struct private_waiter *waiter);
};
void private_wait(struct privates *privates, struct private_waiter *waiter);
void private_wait_end(struct privates *privates, struct private_waiter *waiter);

/* private_config: the configuration of a private stream of config, with a ring and a queue of fixed
 * size; memory is bounded by them. */
void private_config(struct config_stream *private_config, const struct config_stream *config,
    uint64_t ring_records, uint64_t ring_bytes);

#endif
