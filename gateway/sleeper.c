/* sleeper: see sleeper.h. The eventfd is watched by edges too, so nobody reads it: each write is an
 * edge of its own. */
#include "sleeper.h"

#include <errno.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* Further ones are woken at once. */
#define HELD_MAX 64

static _Thread_local struct {
    bool on;
    size_t n;
    struct sleeper *sleepers[HELD_MAX];
} held;

int
sleeper_init(struct sleeper *sleeper, struct err *err)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLET};
    atomic_init(&sleeper->called, false);
    atomic_init(&sleeper->asleep, false);
    sleeper->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    sleeper->wake_fd = event.data.fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (sleeper->epoll_fd < 0 || sleeper->wake_fd < 0 ||
        epoll_ctl(sleeper->epoll_fd, EPOLL_CTL_ADD, sleeper->wake_fd, &event) != 0) {
        err_set_errno(err, errno, "what a service thread waits on");
        return -1;
    }
    return 0;
}

void
sleeper_fini(struct sleeper *sleeper)
{
    if (sleeper->epoll_fd >= 0) {
        close(sleeper->epoll_fd);
    }
    if (sleeper->wake_fd >= 0) {
        close(sleeper->wake_fd);
    }
    sleeper->epoll_fd = sleeper->wake_fd = -1;
}

int
sleeper_watch(struct sleeper *sleeper, int fd)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.fd = fd};
    return epoll_ctl(sleeper->epoll_fd, EPOLL_CTL_ADD, fd, &event);
}

/* False: there is no room for it. */
static bool
hold(struct sleeper *sleeper)
{
    for (size_t i = 0; i < held.n; i++) {
        if (held.sleepers[i] == sleeper) {
            return true;
        }
    }
    if (held.n == HELD_MAX) {
        return false;
    }
    held.sleepers[held.n++] = sleeper;
    return true;
}

void
sleeper_hold_wakes(void)
{
    held.on = true;
}

void
sleeper_release_wakes(void)
{
    held.on = false;
    for (size_t i = 0; i < held.n; i++) {
        sleeper_wake(held.sleepers[i]);
    }
    held.n = 0;
}

/* Whoever calls first looks whether it sleeps; it says that it does before it looks whether it was
 * called. So one of the two sees the other. */
void
sleeper_wake(struct sleeper *sleeper)
{
    if (held.on && hold(sleeper)) {
        return;
    }
    if (!atomic_exchange(&sleeper->called, true) && atomic_load(&sleeper->asleep)) {
        const uint64_t one = 1;
        ssize_t ignored = write(sleeper->wake_fd, &one, sizeof one);
        (void)ignored; /* it fails after 2^64 writes */
    }
}

size_t
sleeper_rest(struct sleeper *sleeper, int wait_ms, int fds[static SLEEPER_NEWS_MAX])
{
    struct epoll_event events[SLEEPER_NEWS_MAX];
    size_t n_fds = 0;
    atomic_store(&sleeper->asleep, true);
    int n = epoll_wait(
        sleeper->epoll_fd, events, SLEEPER_NEWS_MAX, atomic_load(&sleeper->called) ? 0 : wait_ms);
    atomic_store(&sleeper->asleep, false);
    for (int i = 0; i < n; i++) {
        if (events[i].data.fd != sleeper->wake_fd) {
            fds[n_fds++] = events[i].data.fd;
        }
    }
    return n_fds;
}

bool
sleeper_take_call(struct sleeper *sleeper)
{
    return atomic_exchange(&sleeper->called, false);
}
