/* sleeper: what the thread of a loop waits on: descriptors that are told apart from each other
 * elsewhere, and whoever wakes it.
 *
 * libwebsockets waits in poll(2), which looks at every connection each time: with two thousand of
 * them that is a millisecond where it waits, and with answers of models a shard is woken for every
 * few tokens. So a shard waits here, in epoll(7), and calls the library only where a descriptor has
 * news, something was asked of it, or time has passed.
 *
 * Descriptors are watched edge by edge: one look at all of them must follow each sleeper_rest that
 * says that there is news, and another where a look did not take all that there was.
 * Cost  watch: a system call; rest: one; wake: one where the thread sleeps, else none.
 * Thread  the one that sleeps, but for sleeper_wake.  Source  epoll(7). */
#ifndef HEADGATE_SLEEPER_H
#define HEADGATE_SLEEPER_H

#include "err.h"

#include <stdatomic.h>
#include <stdbool.h>

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
 * True: a watched descriptor has news. */
bool sleeper_rest(struct sleeper *sleeper, int wait_ms);

/* sleeper_take_call: whether it was woken since the last time; what was told before that wake is
 * seen now. */
bool sleeper_take_call(struct sleeper *sleeper);

#endif
