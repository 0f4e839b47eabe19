/* test_push_queue: posts on their way from shards to a source. */
#include "push_queue.h"
#include "unit.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

static void
count_wake(void *count)
{
    atomic_fetch_add((atomic_int *)count, 1);
}

struct bench {
    atomic_int wakes;
    struct push_home *home;
    struct push_queue *queue;
};

static void
bench_init(struct bench *bench, uint64_t max_bytes)
{
    atomic_init(&bench->wakes, 0);
    bench->home = push_home_new(count_wake, &bench->wakes);
    bench->queue = push_queue_new(&(struct push_options){.max_bytes = max_bytes});
    push_queue_set_group(bench->queue, "g");
}

static void
bench_fini(struct bench *bench)
{
    push_queue_free(bench->queue);
    push_home_free(bench->home);
}

static struct push_post *
post_new(struct bench *bench)
{
    return push_post_new(bench->queue, bench->home, bench, NULL, NULL, 0);
}

static struct push_item *
take_one(struct bench *bench)
{
    struct push_items items;
    TAILQ_INIT(&items);
    if (push_queue_take(bench->queue, &items, 1) == 0) {
        return NULL;
    }
    return TAILQ_FIRST(&items);
}

static struct push_state
state_of(struct push_post *post)
{
    struct push_state state;
    push_post_state(post, &state);
    return state;
}

START_TEST(records_go_their_way_in_order_and_come_back_with_places)
{
    struct bench bench;
    bench_init(&bench, 1 << 20);
    struct push_post *post = push_post_new(bench.queue, bench.home, &bench, "start", "k\1", 2);
    ck_assert(push_post_offer(post, "one", 3));
    ck_assert(push_post_offer(post, "two", 3));
    ck_assert(push_post_offer(post, "", 0));
    ck_assert_uint_eq(state_of(post).pending, 3);
    ck_assert_ptr_null(push_home_take(bench.home));
    static const char *const expected[] = {"one", "two", ""};
    for (int i = 0; i < 3; i++) {
        struct push_item *item = take_one(&bench);
        ck_assert_uint_eq(item->len, strlen(expected[i]));
        ck_assert_int_eq(memcmp(item->data, expected[i], item->len), 0);
        ck_assert_str_eq(item->type, "start");
        ck_assert_int_eq(memcmp(item->key, "k\1", 2), 0);
        push_queue_done(bench.queue, item, i == 1 ? 7 : 3, 10 + (uint64_t)i);
    }
    ck_assert_ptr_null(take_one(&bench));
    ck_assert_ptr_eq(push_home_take(bench.home), post);
    ck_assert_ptr_eq(push_post_owner(post), &bench);
    struct push_state state = state_of(post);
    ck_assert_uint_eq(state.pending, 0);
    ck_assert_uint_eq(state.count, 3);
    ck_assert_int_eq(state.status, 0);
    ck_assert_str_eq(state.group, "g");
    ck_assert_uint_eq(state.n_places, 2);
    ck_assert_uint_eq(state.places[0].partition, 3);
    ck_assert_uint_eq(state.places[0].next, 13);
    ck_assert_uint_eq(state.places[1].partition, 7);
    ck_assert_uint_eq(state.places[1].next, 12);
    ck_assert_uint_eq(push_queue_pushed(bench.queue), 3);
    push_post_leave(post);
    bench_fini(&bench);
}
END_TEST

START_TEST(a_post_has_its_share_and_waits_for_room)
{
    static const char bytes[1000];
    struct bench bench;
    bench_init(&bench, 8000);
    struct push_post *post = post_new(&bench), *other = post_new(&bench);
    ck_assert(push_post_offer(post, bytes, sizeof bytes));
    ck_assert(!push_post_offer(post, bytes, sizeof bytes)); /* over its quarter */
    ck_assert(push_post_offer(other, bytes, sizeof bytes));
    struct push_item *item = take_one(&bench);
    ck_assert_ptr_eq(item->post, post);
    push_queue_done(bench.queue, item, 0, 0);
    ck_assert_ptr_eq(push_home_take(bench.home), post); /* room, and nothing under way */
    ck_assert(push_post_offer(post, bytes, sizeof bytes));
    push_post_leave(post);
    push_post_leave(other);
    bench_fini(&bench);
}
END_TEST

START_TEST(a_large_record_of_a_post_that_has_nothing_else_may_take_more)
{
    static const char bytes[6000];
    struct bench bench;
    bench_init(&bench, 8000);
    struct push_post *post = post_new(&bench), *other = post_new(&bench);
    ck_assert(push_post_offer(post, bytes, sizeof bytes));
    ck_assert(!push_post_reserve(other, 3000));
    ck_assert(!push_post_offer(other, bytes, sizeof bytes));
    push_queue_done(bench.queue, take_one(&bench), 0, 0);
    ck_assert_ptr_eq(push_home_take(bench.home), post);  /* nothing of it is under way */
    ck_assert_ptr_eq(push_home_take(bench.home), other); /* there is room */
    ck_assert(push_post_reserve(other, 7000));
    ck_assert(!push_post_reserve(post, 3000));
    ck_assert(push_post_reserve(other, 1000)); /* and who waits is told */
    ck_assert_ptr_eq(push_home_take(bench.home), post);
    ck_assert(push_post_reserve(post, 3000));
    push_post_leave(post);
    push_post_leave(other);
    bench_fini(&bench);
}
END_TEST

START_TEST(after_a_failure_the_rest_is_dropped_and_counted_out)
{
    struct bench bench;
    bench_init(&bench, 1 << 20);
    struct push_post *post = post_new(&bench), *other = post_new(&bench);
    for (int i = 0; i < 4; i++) {
        ck_assert(push_post_offer(post, "x", 1));
    }
    ck_assert(push_post_offer(other, "y", 1));
    struct push_item *first = take_one(&bench), *second = take_one(&bench);
    push_queue_fail(bench.queue, second, 413, "too_large", "why");
    ck_assert_ptr_eq(push_home_take(bench.home), post);
    ck_assert_uint_eq(state_of(post).pending, 1);
    ck_assert(!push_post_offer(post, "z", 1));
    push_queue_done(bench.queue, first, 0, 5);
    struct push_state state = state_of(post);
    ck_assert_uint_eq(state.pending, 0);
    ck_assert_uint_eq(state.count, 1);
    ck_assert_int_eq(state.status, 413);
    ck_assert_str_eq(state.reason, "too_large");
    ck_assert_str_eq(state.text, "why");
    ck_assert_uint_eq(state.n_places, 1);
    struct push_item *item = take_one(&bench);
    ck_assert_ptr_eq(item->post, other);
    push_queue_done(bench.queue, item, 0, 6);
    push_post_leave(post);
    push_post_leave(other);
    bench_fini(&bench);
}
END_TEST

START_TEST(where_a_later_record_was_done_there_is_no_place_behind_those_that_count)
{
    struct bench bench;
    bench_init(&bench, 1 << 20);
    struct push_post *post = post_new(&bench);
    ck_assert(push_post_offer(post, "a", 1) && push_post_offer(post, "b", 1));
    struct push_item *first = take_one(&bench), *second = take_one(&bench);
    push_queue_done(bench.queue, second, 1, 5);
    push_queue_fail(bench.queue, first, 503, "delivery", "");
    ck_assert_uint_eq(state_of(post).count, 0);
    ck_assert_uint_eq(state_of(post).n_places, 0);
    push_post_leave(post);
    bench_fini(&bench);
}
END_TEST

START_TEST(a_withdrawn_post_loses_what_the_source_has_not_published)
{
    struct bench bench;
    struct push_items items;
    bench_init(&bench, 1 << 20);
    struct push_post *post = post_new(&bench);
    for (int i = 0; i < 5; i++) {
        ck_assert(push_post_offer(post, "x", 1));
    }
    TAILQ_INIT(&items);
    ck_assert_uint_eq(push_queue_take(bench.queue, &items, 3), 3);
    push_post_withdraw(post);
    ck_assert_uint_eq(state_of(post).pending, 3);
    struct push_item *item = TAILQ_FIRST(&items);
    TAILQ_REMOVE(&items, item, link);
    push_queue_done(bench.queue, item, 0, 0);
    push_queue_untake(bench.queue, &items); /* there was no room after all */
    ck_assert_ptr_null(take_one(&bench));
    ck_assert_ptr_eq(push_home_take(bench.home), post);
    ck_assert_uint_eq(state_of(post).pending, 0);
    ck_assert_uint_eq(state_of(post).count, 1);
    push_post_leave(post);
    bench_fini(&bench);
}
END_TEST

START_TEST(what_is_given_back_keeps_its_place_in_the_order)
{
    struct bench bench;
    struct push_items items;
    bench_init(&bench, 1 << 20);
    struct push_post *post = post_new(&bench);
    for (int i = 0; i < 4; i++) {
        char digit = (char)('0' + i);
        ck_assert(push_post_offer(post, &digit, 1));
    }
    TAILQ_INIT(&items);
    ck_assert_uint_eq(push_queue_take(bench.queue, &items, 3), 3);
    push_queue_untake(bench.queue, &items);
    ck_assert(TAILQ_EMPTY(&items));
    for (int i = 0; i < 4; i++) {
        struct push_item *item = take_one(&bench);
        ck_assert_int_eq(item->data[0], '0' + i);
        push_queue_done(bench.queue, item, 0, (uint64_t)i);
    }
    push_post_leave(post);
    bench_fini(&bench);
}
END_TEST

START_TEST(records_of_a_client_that_left_go_their_way)
{
    struct bench bench;
    bench_init(&bench, 1 << 20);
    struct push_post *post = post_new(&bench);
    ck_assert(push_post_offer(post, "a", 1) && push_post_offer(post, "b", 1));
    struct push_item *first = take_one(&bench);
    push_post_leave(post);
    push_queue_done(bench.queue, first, 0, 0);
    ck_assert_ptr_null(push_home_take(bench.home));
    struct push_item *second = take_one(&bench);
    ck_assert_int_eq(second->data[0], 'b');
    push_queue_done(bench.queue, second, 0, 1);
    ck_assert_uint_eq(push_queue_pushed(bench.queue), 2);
    bench_fini(&bench);
}
END_TEST

/* ---- many posters and a source ---- */

#define POSTERS 4
#define POSTS 200
#define RECORDS 5

struct poster {
    struct bench *bench;
    int number;
    pthread_mutex_t lock;
    pthread_cond_t news;
    bool woken;
    struct push_home *home;
};

static void
wake_poster(void *poster_)
{
    struct poster *poster = poster_;
    pthread_mutex_lock(&poster->lock);
    poster->woken = true;
    pthread_cond_signal(&poster->news);
    pthread_mutex_unlock(&poster->lock);
}

static void
wait_news(struct poster *poster)
{
    pthread_mutex_lock(&poster->lock);
    while (!poster->woken) {
        pthread_cond_wait(&poster->news, &poster->lock);
    }
    poster->woken = false;
    pthread_mutex_unlock(&poster->lock);
    while (push_home_take(poster->home) != NULL) {
    }
}

static void *
poster_main(void *poster_)
{
    struct poster *poster = poster_;
    for (int i = 0; i < POSTS; i++) {
        struct push_post *post =
            push_post_new(poster->bench->queue, poster->home, poster, NULL, NULL, 0);
        for (int k = 0; k < RECORDS; k++) {
            int record[2] = {poster->number, i * RECORDS + k};
            while (!push_post_offer(post, record, sizeof record)) {
                wait_news(poster);
            }
        }
        struct push_state state;
        while (push_post_state(post, &state), state.pending > 0) {
            wait_news(poster);
        }
        if (i % 3 == 0) { /* nobody looks at what became of it */
            ck_assert_uint_eq(state.count, RECORDS);
        }
        push_post_leave(post);
    }
    return NULL;
}

START_TEST(many_posters_lose_nothing_and_keep_their_order)
{
    struct bench bench;
    struct poster posters[POSTERS];
    pthread_t threads[POSTERS];
    int next[POSTERS] = {0};
    bench_init(&bench, 2500); /* a few records: everyone waits now and then */
    for (int i = 0; i < POSTERS; i++) {
        struct poster *poster = &posters[i];
        *poster = (struct poster){.bench = &bench, .number = i};
        pthread_mutex_init(&poster->lock, NULL);
        pthread_cond_init(&poster->news, NULL);
        poster->home = push_home_new(wake_poster, poster);
        ck_assert_int_eq(pthread_create(&threads[i], NULL, poster_main, poster), 0);
    }
    for (int done = 0; done < POSTERS * POSTS * RECORDS;) {
        struct push_item *item = take_one(&bench);
        if (item == NULL) {
            continue;
        }
        int record[2];
        memcpy(record, item->data, sizeof record);
        ck_assert_int_eq(record[1], next[record[0]]++);
        push_queue_done(bench.queue, item, 0, (uint64_t)done++);
    }
    for (int i = 0; i < POSTERS; i++) {
        pthread_join(threads[i], NULL);
        push_home_free(posters[i].home);
        pthread_cond_destroy(&posters[i].news);
        pthread_mutex_destroy(&posters[i].lock);
    }
    bench_fini(&bench);
}
END_TEST

UNIT_MAIN("push_queue", records_go_their_way_in_order_and_come_back_with_places,
    a_post_has_its_share_and_waits_for_room,
    a_large_record_of_a_post_that_has_nothing_else_may_take_more,
    after_a_failure_the_rest_is_dropped_and_counted_out,
    where_a_later_record_was_done_there_is_no_place_behind_those_that_count,
    a_withdrawn_post_loses_what_the_source_has_not_published,
    what_is_given_back_keeps_its_place_in_the_order, records_of_a_client_that_left_go_their_way,
    many_posters_lose_nothing_and_keep_their_order)
