/* test_sleeper: no wake is lost, and no edge. */
#include "sleeper.h"

#include "unit.h"

#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <sys/socket.h>
#include <unistd.h>

#define LONG_MS 60000
#define WAKES 20000

static struct sleeper sleeper;
static int news[SLEEPER_NEWS_MAX];

static void
setup(void)
{
    struct err err;
    ck_assert_int_eq(sleeper_init(&sleeper, &err), 0);
}

static void
pair(int fds[2])
{
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    ck_assert_int_eq(sleeper_watch(&sleeper, fds[0]), 0);
    ck_assert(sleeper_rest(&sleeper, LONG_MS, news)); /* it is writable */
    ck_assert(!sleeper_rest(&sleeper, 0, news));
}

START_TEST(a_call_before_a_rest_ends_it)
{
    setup();
    sleeper_wake(&sleeper);
    sleeper_wake(&sleeper);
    ck_assert(!sleeper_rest(&sleeper, LONG_MS, news));
    ck_assert(sleeper_take_call(&sleeper));
    ck_assert(!sleeper_take_call(&sleeper));
    ck_assert(!sleeper_rest(&sleeper, 0, news));
    sleeper_fini(&sleeper);
}
END_TEST

START_TEST(what_is_written_to_a_watched_descriptor_is_news_once)
{
    int fds[2];
    setup();
    pair(fds);
    for (int i = 0; i < 3; i++) { /* nobody reads: each is an edge all the same */
        ck_assert_int_eq(write(fds[1], "x", 1), 1);
        ck_assert(sleeper_rest(&sleeper, LONG_MS, news));
        ck_assert(!sleeper_rest(&sleeper, 0, news));
    }
    ck_assert(!sleeper_take_call(&sleeper));
    close(fds[1]);
    ck_assert(sleeper_rest(&sleeper, LONG_MS, news)); /* its end */
    close(fds[0]);
    ck_assert(!sleeper_rest(&sleeper, 0, news));
    sleeper_fini(&sleeper);
}
END_TEST

START_TEST(room_in_a_full_socket_is_news)
{
    int fds[2];
    char bytes[4096] = {0};
    setup();
    pair(fds);
    while (send(fds[0], bytes, sizeof bytes, MSG_DONTWAIT) > 0) {
    }
    (void)sleeper_rest(&sleeper, 0, news); /* what came of filling it */
    while (recv(fds[1], bytes, sizeof bytes, MSG_DONTWAIT) > 0) {
    }
    ck_assert(sleeper_rest(&sleeper, LONG_MS, news));
    ck_assert_int_gt(send(fds[0], bytes, sizeof bytes, MSG_DONTWAIT), 0);
    close(fds[0]);
    close(fds[1]);
    sleeper_fini(&sleeper);
}
END_TEST

static atomic_int said, heard;

static void *
say(void *unused)
{
    (void)unused;
    for (int i = 1; i <= WAKES; i++) {
        atomic_store(&said, i);
        sleeper_wake(&sleeper);
        while (i % 2 == 0 && atomic_load(&heard) < i) { /* half of them meet one that sleeps */
            sched_yield();
        }
    }
    return NULL;
}

START_TEST(no_wake_is_lost_between_two_threads)
{
    pthread_t speaker;
    setup();
    ck_assert_int_eq(pthread_create(&speaker, NULL, say, NULL), 0);
    while (atomic_load(&heard) < WAKES) { /* a lost one is met by the time-out of the test */
        (void)sleeper_rest(&sleeper, -1, news);
        if (sleeper_take_call(&sleeper)) {
            atomic_store(&heard, atomic_load(&said));
        }
    }
    pthread_join(speaker, NULL);
    sleeper_fini(&sleeper);
}
END_TEST

START_TEST(held_wakes_come_once_they_are_released)
{
    static struct sleeper others[100]; /* more than are held */
    struct err err = {.code = ERR_NONE};
    setup();
    sleeper_hold_wakes();
    sleeper_wake(&sleeper);
    sleeper_wake(&sleeper);
    ck_assert(!sleeper_take_call(&sleeper));
    for (size_t i = 0; i < 100; i++) {
        ck_assert_int_eq(sleeper_init(&others[i], &err), 0);
        sleeper_wake(&others[i]);
    }
    sleeper_release_wakes();
    ck_assert(sleeper_take_call(&sleeper));
    for (size_t i = 0; i < 100; i++) {
        ck_assert(sleeper_take_call(&others[i]));
        sleeper_fini(&others[i]);
    }
    sleeper_release_wakes(); /* nobody is woken twice */
    ck_assert(!sleeper_take_call(&sleeper));
    sleeper_wake(&sleeper); /* and none is held any more */
    ck_assert(sleeper_take_call(&sleeper));
    sleeper_fini(&sleeper);
}
END_TEST

UNIT_MAIN("sleeper", a_call_before_a_rest_ends_it, held_wakes_come_once_they_are_released,
    what_is_written_to_a_watched_descriptor_is_news_once, room_in_a_full_socket_is_news,
    no_wake_is_lost_between_two_threads)
