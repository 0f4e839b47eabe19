/* feed: on one shard, the subscribers of one stream that take the same bytes. It encodes each run
 * of new records once and sends it to all who are LIVE; the newest batches are kept for those who
 * are just behind.
 *
 * An outlet is what a shard has of one stream: its feeds, its pause subscribers and its counters.
 * Invariant: every LIVE session's stand equals the feed's stand whenever feed_advance is not
 * running. Thread  shard. */
#ifndef HEADGATE_FEED_H
#define HEADGATE_FEED_H

#include "batch.h"
#include "session.h"

#define FEED_CACHE 4
#define FEED_BEHIND 16 /* 1 MiB of records: the default slow.queue.bytes */
#define BATCH_RECORDS 512
#define BATCH_BYTES (64u * 1024u)

struct generation;
struct outlet;

TAILQ_HEAD(session_list, session);

struct feed {
    struct feed *next; /* in the outlet */
    struct outlet *outlet;
    struct format format; /* with a reference of its filter */
    size_t n_sessions;    /* in any state; a filtered feed is freed with the last */
    struct stand stand;   /* where its LIVE sessions are */
    struct buf id;        /* the token at stand */
    struct session_list live;
    struct session_list solo;        /* LIVE too, but each pumped by itself */
    struct batch *cache[FEED_CACHE]; /* empty in a filtered feed: there may be many of them */
    unsigned cache_at;
    struct batch *behind[FEED_BEHIND]; /* of a coded feed: what those who are behind read */
    unsigned behind_at;
    bool advancing;
    uint64_t resets; /* of the stream's table, that its LIVE sessions know of */
};

struct outlet {
    struct shard *shard;
    struct stream *stream;
    size_t slot; /* which of the stream's hold slots and wakers is this shard's */
    struct stream_counters *counters;
    struct feed *feeds;
    struct session_list pausers;
    struct session_list conflaters;
    size_t n_sessions;
    bool is_private; /* a private stream's: filtered feeds too are freed only with it */
    bool on_request; /* of a stream that a request made: who subscribes begins at its beginning,
                        and ends with it */
    struct generation *generation; /* on_request: who subscribes begins where it likes, and others
                                      do too; NULL: it has the stream to itself */
    uint64_t pinned_bytes;         /* of batches that stalled connections keep alive */
    uint64_t cached_bytes;         /* of those that its feeds keep */
    bool hold_stale;               /* the hold must be computed again before the shard sleeps */
};

void outlet_init(struct outlet *outlet, struct shard *shard, struct stream *stream, size_t slot);
void outlet_fini(struct outlet *outlet); /* no session may be left */

/* outlet_feed: the feed of format, made when there is none. NULL: it has a filter, and the shard
 * holds limits.filters filtered feeds already. A filtered feed is the caller's to feed_enter at
 * once: it lives only while it has sessions. */
struct feed *outlet_feed(struct outlet *outlet, const struct format *format, bool moving);

/* outlet_encode: batch_encode, counted where it compresses. */
struct run {
    const struct format *format;
    struct stand stand;
    const char *id_before; /* the token at stand */
    size_t id_len;
    bool first;
};
struct batch *outlet_encode(
    struct outlet *outlet, const struct run *run, struct record *const *records, size_t n);

/* outlet_cache_limit_bytes: what the feeds of one outlet keep of batches at most, whatever formats
 * there are; beyond, what a feed sent last is not kept, and who is just behind reads for itself. */
uint64_t outlet_cache_limit_bytes(const struct config_stream *config);

/* feed_enter, feed_exit: a session begins on it, and is gone from it. feed_exit may free feed. */
void feed_enter(struct feed *feed);
void feed_exit(struct feed *feed);

/* outlet_pin: keep batch alive for a connection that stalled inside a large unit of it. What all of
 * them keep is bounded by outlet_pin_limit_bytes; beyond, nothing is pinned and false is returned.
 */
bool outlet_pin(struct outlet *outlet, struct batch *batch);
void outlet_unpin(struct outlet *outlet, struct batch *batch);
uint64_t outlet_pin_limit_bytes(const struct config_stream *config);

/* outlet_wake: records may have come. Returns true when there is more to do than was done. */
bool outlet_wake(struct outlet *outlet);

/* outlet_stale: what holds its source back has changed: outlet_hold_update is due before the shard
 * sleeps. */
void outlet_stale(struct outlet *outlet);

/* outlet_hold_update: tell the source how far it may go, if that changed. */
void outlet_hold_update(struct outlet *outlet);

/* feed_advance: send what is new to the LIVE sessions. True when it stopped at its budget. */
bool feed_advance(struct feed *feed);

/* feed_join: session has everything up to its stand in its socket: make it LIVE if the feed stands
 * there, or can be made to. False: it must read on by itself first. */
bool feed_join(struct feed *feed, struct session *session);
void feed_leave(struct feed *feed, struct session *session);

/* feed_cache_take: keep the batch that was sent last; consumed. feed_cache_drop: keep none. */
void feed_cache_take(struct feed *feed, struct batch *batch);
void feed_cache_drop(struct feed *feed);

/* feed_keep_behind: batch, which one read by itself, is for others too who come there: compressing
 * it is dear. feed_next_kept: the least seq beyond seq at which a unit of a kept batch begins;
 * UINT64_MAX: none. Who reads no further meets it, and those who are behind go on together. Both do
 * nothing for feeds that are not coded, or are filtered. */
void feed_keep_behind(struct feed *feed, struct batch *batch);
uint64_t feed_next_kept(const struct feed *feed, uint64_t seq);

/* feed_find: a cached batch with a unit that begins at seq, and which. NULL: none. Lent. */
struct batch *feed_find(struct feed *feed, uint64_t seq, size_t *unit);

#endif
