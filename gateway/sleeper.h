/* sleeper: what the thread of a loop waits on: descriptors, and whoever wakes it.
 *
 * libwebsockets waits in poll(2), which looks at every connection each time: with two thousand of
 * them that is a millisecond, and a shard is woken for every few tokens of a model's answer, and
 * for each thing that a client sends. So a shard waits here, in epoll(7), and shows the library the
 * one connection that has news (shard_service.c).
 *
 * Descriptors are watched edge by edge: whoever is told of one looks at it until nothing is left.
 * Cost  watch: a system call; rest: one; wake: one where the thread sleeps, else none.
 * Thread  the one that sleeps, but for sleeper_wake.  Source  epoll(7). */
#ifndef HEADGATE_SLEEPER_H
#define HEADGATE_SLEEPER_H

#include "err.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

struct sleeper {
    int epoll_fd, wake_fd;
    atomic_bool called, asleep;
};

/* sleeper_init: errors -1 and err; sleeper_fini may be called all the same. Thread init. */
int sleeper_init(struct sleeper *sleeper, struct err *err);
void sleeper_fini(struct sleeper *sleeper);

/* sleeper_watch: fd has news when it becomes readable or writable; until it is closed. Errors -1
 * and errno. */
int sleeper_watch(struct sleeper *sleeper, int fd);

/* sleeper_wake: the next rest, or the one under way, ends at once. One pending call is enough. any.
 * Blocks no. */
void sleeper_wake(struct sleeper *sleeper);

/* sleeper_hold_wakes: the wakes of this thread wait for sleeper_release_wakes, so that a sleeper
 * which is told of many things is woken once; each of them outlives that. Thread any, for itself.
 */
void sleeper_hold_wakes(void);
void sleeper_release_wakes(void);

/* sleeper_rest: wait for news, for a call that is not taken yet, or for so long (-1: for ever).
 * Returns how many of fds are set to watched descriptors that have news; one that was closed since
 * may be among them. Further ones come with the next rest. */
#define SLEEPER_NEWS_MAX 64
size_t sleeper_rest(struct sleeper *sleeper, int wait_ms, int fds[static SLEEPER_NEWS_MAX]);

/* sleeper_take_call: whether it was woken since the last time; what was told before that wake is
 * seen now. */
bool sleeper_take_call(struct sleeper *sleeper);

#endif
