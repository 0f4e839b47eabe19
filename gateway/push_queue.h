/* push_queue: what clients post to a stream, on its way from the shards to the source.
 *
 *   shard: parses a body --offer--> queue --take--> source: publishes or produces
 *     ^                                                |
 *     '---- push_home_take: its posts that have news <-' done, failed
 *
 * One post is one request: its records go the way in their order. Bounded: the records that are
 * offered and neither done nor failed, and what shards have reserved for records that are still
 * arriving, are max_bytes together at the most; one post has a quarter of it at the most, so that
 * a long one does not shut out the others. Whoever finds no room waits for news.
 *
 * Failing. After the first record of a post that fails, what the source has not taken of it is
 * dropped: count is of the records before the first that failed, so a client knows where to go on.
 *
 * Locks: the queue's, then a home's; both are held for short steps only. Thread  any, unless it
 * says otherwise: shard means the thread that made the post. */
#ifndef HEADGATE_PUSH_QUEUE_H
#define HEADGATE_PUSH_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

struct push_queue;
struct push_post;

/* The posts of one shard that have news. */
struct push_home;
/* push_home_new: wake(shard) is called from any thread when a post has news; cheap, never blocks.
 * Thread init. push_home_free: NULL-safe; no post may be left, nor a source that runs. */
struct push_home *push_home_new(void (*wake)(void *shard), void *shard);
void push_home_free(struct push_home *home);

/* push_home_take: a post that has news, or NULL. Thread shard. */
struct push_post *push_home_take(struct push_home *home);

/* A record on its way. The source reads it, and gives it back to the queue. */
struct push_item {
    TAILQ_ENTRY(push_item) link;
    struct push_post *post;
    uint64_t charge;
    uint64_t number;  /* in its post, from 0 */
    const char *type; /* NULL: none; NUL-terminated. Lent by the post, like key */
    char *key;        /* NULL: none */
    size_t key_len;
    size_t len;
    char data[];
};

struct push_options {
    uint64_t max_bytes;
    uint64_t patience_ms; /* how long a post may stand still before it is refused */
    bool durable;         /* what is done is kept upstream: without room it is 503, not 429 */
};

struct push_queue *push_queue_new(const struct push_options *options);
void push_queue_free(struct push_queue *queue); /* NULL-safe; the source has ended */
const struct push_options *push_queue_options(const struct push_queue *queue);

/* push_queue_set_group: of the lanes that records go to; copied. Once, before the first is done. */
void push_queue_set_group(struct push_queue *queue, const char *group);

/* ---- the shard's side ---- */

/* push_post_new: type and key (NULL: none) are of all its records, copied. owner: for the caller.
 * push_post_leave: the shard wants to know no more of it; what the queue has goes its way, unless
 * the post has failed. Thread shard. */
struct push_post *push_post_new(struct push_queue *queue, struct push_home *home, void *owner,
    const char *type, const char *key, size_t key_len);
void push_post_leave(struct push_post *post);
void *push_post_owner(const struct push_post *post);

/* push_post_reserve: the shard holds so many bytes of a record that is still arriving, instead of
 * what it reserved before. False: there is no room for more; news will come when there may be. */
bool push_post_reserve(struct push_post *post, uint64_t bytes);

/* push_post_offer: a record, copied. False: no room, as above. The caller then wakes the source. */
bool push_post_offer(struct push_post *post, const void *data, size_t len);

/* push_post_withdraw: it stood still for too long: what the source has not taken is dropped, and
 * nothing more is taken. What is left of it then is with the source, and news comes of that. */
void push_post_withdraw(struct push_post *post);

/* How a post stands. A place is where in a lane its last record is. */
struct push_place {
    uint32_t partition;
    uint64_t next; /* the offset behind it */
};
struct push_state {
    uint64_t offered;
    uint64_t pending;   /* offered, neither done nor failed */
    uint64_t count;     /* done, before the first that failed */
    int status;         /* 0: none failed; else the HTTP status, and why: */
    const char *reason; /* a literal, of the metrics */
    char text[200];
    const struct push_place *places; /* of what is done; lent until the post is left */
    size_t n_places;
    const char *group;
};
/* push_post_state: places may be read only while nothing is pending. Thread shard. */
void push_post_state(struct push_post *post, struct push_state *state);

/* ---- the source's side; thread source ---- */

TAILQ_HEAD(push_items, push_item);

/* push_queue_take: up to most of the oldest to the end of items; they are the source's until they
 * are given back. Returns how many. push_queue_untake: all of items go back to where they were. */
size_t push_queue_take(struct push_queue *queue, struct push_items *items, size_t most);
void push_queue_untake(struct push_queue *queue, struct push_items *items);

/* push_queue_done: the record is at offset of partition; item is freed. push_queue_fail: it is not:
 * status is the answer's, reason a literal, text copied. */
void push_queue_done(
    struct push_queue *queue, struct push_item *item, uint32_t partition, uint64_t offset);
void push_queue_fail(struct push_queue *queue, struct push_item *item, int status,
    const char *reason, const char *text);

/* ---- counting ---- */

/* Why posts were refused: headgate_push_rejects_total. */
#define PUSH_REJECTS(X)                                                                            \
    X(INVALID, "invalid")         /* parameters, headers, framing */                               \
    X(TYPE, "type")               /* a media type or coding that is not taken */                   \
    X(ORIGIN, "origin")           /* a page of another origin */                                   \
    X(MALFORMED, "malformed")     /* not the JSON that it says it is */                            \
    X(TOO_LARGE, "too_large")     /* a record over max_record, or over the broker's bound */       \
    X(HELD, "held")               /* a pause subscriber holds the stream back, or no room */       \
    X(UNAVAILABLE, "unavailable") /* the source is not up, or does not answer in time */           \
    X(STALLED, "stalled")         /* the body stopped coming */                                    \
    X(DELIVERY, "delivery")       /* the broker refused a record */
#define PUSH_REJECT_ENUM(name, text) PUSH_REJECT_##name,
enum push_reject { PUSH_REJECTS(PUSH_REJECT_ENUM) PUSH_REJECT_COUNT };
#undef PUSH_REJECT_ENUM
extern const char *const push_reject_names[PUSH_REJECT_COUNT];

/* push_queue_reject: count a request that was not answered with 202. any. */
void push_queue_reject(struct push_queue *queue, enum push_reject why);
uint64_t push_queue_rejects(const struct push_queue *queue, enum push_reject why);
/* push_queue_pushed: records that are done. any. */
uint64_t push_queue_pushed(const struct push_queue *queue);

#endif
