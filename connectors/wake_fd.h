/* wake_fd: a source's thread sleeps in poll() on an eventfd that others write: there is room again,
 * there are events, stop. Thread  raise any, drain the one that sleeps.  Blocks  no, as the
 * descriptor is made with EFD_NONBLOCK.  Errors  none that matter: a counter that is full means
 * that the sleeper is awake, an empty one that another look had it. */
#ifndef HEADGATE_WAKE_FD_H
#define HEADGATE_WAKE_FD_H

#include <stdbool.h>
#include <stdint.h>
#include <unistd.h>

static inline void
wake_fd_raise(int fd)
{
    const uint64_t one = 1;
    if (write(fd, &one, sizeof one) != sizeof one) {
        return;
    }
}

/* wake_fd_drain: whether it had been raised. */
static inline bool
wake_fd_drain(int fd)
{
    uint64_t count;
    return read(fd, &count, sizeof count) == sizeof count;
}

#endif
