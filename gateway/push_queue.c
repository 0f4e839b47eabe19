/* push_queue: see push_queue.h. */
#include "push_queue.h"

#include "mem.h"

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One post's part of the bound. */
#define SHARES 4
/* What an item takes beside its struct and its bytes: malloc's own. */
#define ITEM_SPARE 32
#define NONE UINT64_MAX

#define REJECT_NAME(name, text) text,
const char *const push_reject_names[PUSH_REJECT_COUNT] = {PUSH_REJECTS(REJECT_NAME)};

TAILQ_HEAD(push_posts, push_post);

struct push_home {
    pthread_mutex_t lock;
    struct push_posts ready;
    void (*wake)(void *shard);
    void *shard;
};

struct push_post {
    struct push_queue *queue;
    struct push_home *home;
    void *owner;
    char *type, *key;
    size_t key_len;
    TAILQ_ENTRY(push_post) ready_link;
    bool is_ready; /* under the home's lock, as ready_link */

    /* Under the queue's lock. */
    TAILQ_ENTRY(push_post) waiting_link;
    bool is_waiting, is_left;
    bool is_over;      /* it takes no more, and what the source gives back of it is dropped */
    uint64_t bytes;    /* that it has of the bound */
    uint64_t reserved; /* of these, for what is still arriving */
    uint64_t offered, pending;
    uint64_t first_lost; /* the first that failed or was dropped; NONE */
    uint64_t last_done;  /* the largest number that is done; NONE */
    int status;
    const char *reason;
    char text[200];
    struct push_place *places;
    size_t n_places;
};

struct push_queue {
    struct push_options options;
    char *group;
    pthread_mutex_t lock;
    struct push_items items;
    struct push_posts waiting;
    uint64_t used;
    atomic_uint_fast64_t pushed, rejects[PUSH_REJECT_COUNT];
};

/* ---- homes ---- */

struct push_home *
push_home_new(void (*wake)(void *shard), void *shard)
{
    struct push_home *home = mem_calloc(1, sizeof *home);
    pthread_mutex_init(&home->lock, NULL);
    TAILQ_INIT(&home->ready);
    home->wake = wake;
    home->shard = shard;
    return home;
}

void
push_home_free(struct push_home *home)
{
    if (home != NULL) {
        assert(TAILQ_EMPTY(&home->ready));
        pthread_mutex_destroy(&home->lock);
        free(home);
    }
}

struct push_post *
push_home_take(struct push_home *home)
{
    pthread_mutex_lock(&home->lock);
    struct push_post *post = TAILQ_FIRST(&home->ready);
    if (post != NULL) {
        TAILQ_REMOVE(&home->ready, post, ready_link);
        post->is_ready = false;
    }
    pthread_mutex_unlock(&home->lock);
    return post;
}

/* Under the queue's lock. */
static void
tell(struct push_post *post)
{
    struct push_home *home = post->home;
    if (post->is_left) {
        return;
    }
    pthread_mutex_lock(&home->lock);
    if (!post->is_ready) {
        post->is_ready = true;
        TAILQ_INSERT_TAIL(&home->ready, post, ready_link);
        home->wake(home->shard);
    }
    pthread_mutex_unlock(&home->lock);
}

/* ---- life ---- */

struct push_queue *
push_queue_new(const struct push_options *options)
{
    struct push_queue *queue = mem_calloc(1, sizeof *queue);
    queue->options = *options;
    pthread_mutex_init(&queue->lock, NULL);
    TAILQ_INIT(&queue->items);
    TAILQ_INIT(&queue->waiting);
    return queue;
}

static void
free_post(struct push_post *post)
{
    free(post->places);
    free(post->type);
    free(post->key);
    free(post);
}

/* Under the lock: item is over, whatever became of it. Its post may be gone then. */
static void
settle(struct push_queue *queue, struct push_item *item)
{
    struct push_post *post = item->post;
    assert(post->pending > 0 && post->bytes >= item->charge && queue->used >= item->charge);
    post->pending--;
    post->bytes -= item->charge;
    queue->used -= item->charge;
    free(item);
    if (post->is_left && post->pending == 0) {
        free_post(post);
    }
}

void
push_queue_free(struct push_queue *queue)
{
    if (queue == NULL) {
        return;
    }
    struct push_item *item;
    while ((item = TAILQ_FIRST(&queue->items)) != NULL) {
        TAILQ_REMOVE(&queue->items, item, link);
        settle(queue, item);
    }
    assert(TAILQ_EMPTY(&queue->waiting) && queue->used == 0);
    pthread_mutex_destroy(&queue->lock);
    free(queue->group);
    free(queue);
}

const struct push_options *
push_queue_options(const struct push_queue *queue)
{
    return &queue->options;
}

void
push_queue_set_group(struct push_queue *queue, const char *group)
{
    pthread_mutex_lock(&queue->lock);
    assert(queue->group == NULL);
    queue->group = mem_strdup(group);
    pthread_mutex_unlock(&queue->lock);
}

/* ---- the shard's side ---- */

struct push_post *
push_post_new(struct push_queue *queue, struct push_home *home, void *owner, const char *type,
    const char *key, size_t key_len)
{
    struct push_post *post = mem_calloc(1, sizeof *post);
    post->queue = queue;
    post->home = home;
    post->owner = owner;
    post->type = type == NULL ? NULL : mem_strdup(type);
    if (key != NULL) {
        post->key = mem_strndup(key, key_len);
        post->key_len = key_len;
    }
    post->first_lost = post->last_done = NONE;
    return post;
}

void *
push_post_owner(const struct push_post *post)
{
    return post->owner;
}

/* Under the lock. */
static void
wait_not(struct push_post *post)
{
    if (post->is_waiting) {
        post->is_waiting = false;
        TAILQ_REMOVE(&post->queue->waiting, post, waiting_link);
    }
}

/* Under the lock, after bytes were given back. */
static void
tell_waiting(struct push_queue *queue)
{
    struct push_post *post;
    while ((post = TAILQ_FIRST(&queue->waiting)) != NULL) {
        wait_not(post);
        tell(post);
    }
}

/* Under the lock: a post may have more bytes. */
static bool
has_room(const struct push_post *post, uint64_t more)
{
    const struct push_queue *queue = post->queue;
    uint64_t share = queue->options.max_bytes / SHARES;
    return more <= queue->options.max_bytes - queue->used &&
           (post->pending == 0 || post->bytes + more <= share);
}

static void
wait_for_room(struct push_post *post)
{
    if (!post->is_waiting) {
        post->is_waiting = true;
        TAILQ_INSERT_TAIL(&post->queue->waiting, post, waiting_link);
    }
}

/* Under the lock. */
static bool
reserve(struct push_post *post, uint64_t bytes)
{
    struct push_queue *queue = post->queue;
    if (bytes > post->reserved && !has_room(post, bytes - post->reserved)) {
        wait_for_room(post);
        return false;
    }
    /* Not of one that waits itself: it gives back only what it could not use, and two that tell
     * each other so would never rest. */
    bool tells = bytes < post->reserved && !post->is_waiting;
    if (bytes > post->reserved) {
        wait_not(post);
    }
    queue->used += bytes - post->reserved; /* modulo 2^64, as the next */
    post->bytes += bytes - post->reserved;
    post->reserved = bytes;
    if (tells) {
        tell_waiting(queue);
    }
    return true;
}

bool
push_post_reserve(struct push_post *post, uint64_t bytes)
{
    pthread_mutex_lock(&post->queue->lock);
    bool done = reserve(post, bytes);
    pthread_mutex_unlock(&post->queue->lock);
    return done;
}

void
push_post_leave(struct push_post *post)
{
    struct push_queue *queue = post->queue;
    struct push_home *home = post->home;
    pthread_mutex_lock(&queue->lock);
    wait_not(post);
    (void)reserve(post, 0);
    post->is_left = true; /* tell() looks at it under this lock */
    pthread_mutex_lock(&home->lock);
    if (post->is_ready) {
        TAILQ_REMOVE(&home->ready, post, ready_link);
    }
    pthread_mutex_unlock(&home->lock);
    bool over = post->pending == 0;
    pthread_mutex_unlock(&queue->lock);
    if (over) {
        free_post(post);
    }
}

static void
lose(struct push_post *post, uint64_t number)
{
    post->first_lost = number < post->first_lost ? number : post->first_lost;
}

/* Under the lock: drop what the source has not taken of the post. Who calls it has a record of the
 * post, or the post itself, so that it stays. */
static void
drop_rest(struct push_post *post)
{
    struct push_queue *queue = post->queue;
    struct push_item *item, *next;
    post->is_over = true;
    for (item = TAILQ_FIRST(&queue->items); item != NULL; item = next) {
        next = TAILQ_NEXT(item, link);
        if (item->post == post) {
            lose(post, item->number);
            TAILQ_REMOVE(&queue->items, item, link);
            assert(post->pending > 1 || !post->is_left);
            settle(queue, item);
        }
    }
}

bool
push_post_offer(struct push_post *post, const void *data, size_t len)
{
    struct push_queue *queue = post->queue;
    uint64_t charge = sizeof(struct push_item) + len + ITEM_SPARE;
    pthread_mutex_lock(&queue->lock);
    bool takes = !post->is_over && has_room(post, charge);
    if (takes) {
        wait_not(post);
        post->pending++; /* so that the post and the room stay while the record is copied */
        post->bytes += charge;
        queue->used += charge;
    } else if (!post->is_over) {
        wait_for_room(post);
    }
    pthread_mutex_unlock(&queue->lock);
    if (!takes) {
        return false;
    }
    struct push_item *item = mem_alloc(sizeof *item + len);
    item->post = post;
    item->charge = charge;
    item->number = post->offered;
    item->type = post->type;
    item->key = post->key;
    item->key_len = post->key_len;
    item->len = len;
    if (len > 0) {
        memcpy(item->data, data, len);
    }
    pthread_mutex_lock(&queue->lock);
    post->offered++;
    TAILQ_INSERT_TAIL(&queue->items, item, link);
    if (post->is_over) { /* a record before it has failed since */
        drop_rest(post);
    }
    pthread_mutex_unlock(&queue->lock);
    return true;
}

void
push_post_withdraw(struct push_post *post)
{
    pthread_mutex_lock(&post->queue->lock);
    wait_not(post);
    drop_rest(post);
    tell_waiting(post->queue);
    pthread_mutex_unlock(&post->queue->lock);
}

void
push_post_state(struct push_post *post, struct push_state *state)
{
    pthread_mutex_lock(&post->queue->lock);
    uint64_t count = post->first_lost < post->offered ? post->first_lost : post->offered;
    /* Where a later record was done all the same, no place is right behind the last that counts. */
    bool exact = post->last_done != NONE && post->last_done < count;
    *state = (struct push_state){
        .offered = post->offered,
        .pending = post->pending,
        .count = count,
        .status = post->status,
        .reason = post->reason,
        .places = post->places,
        .n_places = exact ? post->n_places : 0,
        .group = post->queue->group,
    };
    snprintf(state->text, sizeof state->text, "%s", post->text);
    pthread_mutex_unlock(&post->queue->lock);
}

/* ---- the source's side ---- */

size_t
push_queue_take(struct push_queue *queue, struct push_items *items, size_t most)
{
    size_t n = 0;
    pthread_mutex_lock(&queue->lock);
    for (; n < most && !TAILQ_EMPTY(&queue->items); n++) {
        struct push_item *item = TAILQ_FIRST(&queue->items);
        TAILQ_REMOVE(&queue->items, item, link);
        TAILQ_INSERT_TAIL(items, item, link);
    }
    pthread_mutex_unlock(&queue->lock);
    return n;
}

/* Under the lock: the item is over, and whoever waits for that is told. */
static void
give_back(struct push_queue *queue, struct push_item *item)
{
    struct push_post *post = item->post;
    bool last = post->pending == 1;
    if (last || post->status != 0) {
        tell(post);
    }
    settle(queue, item);
    tell_waiting(queue);
}

void
push_queue_untake(struct push_queue *queue, struct push_items *items)
{
    struct push_item *item;
    pthread_mutex_lock(&queue->lock);
    while ((item = TAILQ_LAST(items, push_items)) != NULL) {
        TAILQ_REMOVE(items, item, link);
        if (item->post->is_over) {
            lose(item->post, item->number);
            give_back(queue, item);
        } else {
            TAILQ_INSERT_HEAD(&queue->items, item, link);
        }
    }
    pthread_mutex_unlock(&queue->lock);
}

/* Under the lock. */
static void
note_place(struct push_post *post, uint32_t partition, uint64_t next)
{
    for (size_t i = 0; i < post->n_places; i++) {
        struct push_place *place = &post->places[i];
        if (place->partition == partition) {
            place->next = next > place->next ? next : place->next;
            return;
        }
    }
    post->places = mem_realloc(post->places, (post->n_places + 1) * sizeof *post->places);
    post->places[post->n_places++] = (struct push_place){partition, next};
}

void
push_queue_done(
    struct push_queue *queue, struct push_item *item, uint32_t partition, uint64_t offset)
{
    struct push_post *post = item->post;
    pthread_mutex_lock(&queue->lock);
    if (post->last_done == NONE || item->number > post->last_done) {
        post->last_done = item->number;
    }
    note_place(post, partition, offset + 1);
    give_back(queue, item);
    pthread_mutex_unlock(&queue->lock);
    atomic_fetch_add_explicit(&queue->pushed, 1, memory_order_relaxed);
}

void
push_queue_fail(struct push_queue *queue, struct push_item *item, int status, const char *reason,
    const char *text)
{
    struct push_post *post = item->post;
    pthread_mutex_lock(&queue->lock);
    if (item->number < post->first_lost) {
        post->first_lost = item->number;
        post->status = status;
        post->reason = reason;
        snprintf(post->text, sizeof post->text, "%s", text);
    }
    drop_rest(post); /* item itself keeps the post */
    give_back(queue, item);
    pthread_mutex_unlock(&queue->lock);
}

/* ---- counting ---- */

void
push_queue_reject(struct push_queue *queue, enum push_reject why)
{
    atomic_fetch_add_explicit(&queue->rejects[why], 1, memory_order_relaxed);
}

uint64_t
push_queue_rejects(const struct push_queue *queue, enum push_reject why)
{
    return atomic_load_explicit(&queue->rejects[why], memory_order_relaxed);
}

uint64_t
push_queue_pushed(const struct push_queue *queue)
{
    return atomic_load_explicit(&queue->pushed, memory_order_relaxed);
}
