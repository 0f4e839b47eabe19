/* sql_task: waits of a database source's thread, and its end. */
#include "sql_task.h"

#include "../gateway/clock.h"
#include "../gateway/stream_source.h"
#include "wake_fd.h"

#include <errno.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#define ALIVE_NS INT64_C(250000000)
#define ABANDON_NS INT64_C(3000000000)

int
sql_task_init(struct sql_task *task, struct stream *stream, struct err *err)
{
    *task = (struct sql_task){.stream = stream};
    task->stop_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    task->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (task->stop_fd < 0 || task->wake_fd < 0) {
        err_set_errno(err, errno, "eventfd");
        sql_task_fini(task);
        return -1;
    }
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&task->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    pthread_mutex_init(&task->lock, NULL);
    return 0;
}

void
sql_task_fini(struct sql_task *task)
{
    if (task->stop_fd >= 0 && task->wake_fd >= 0) {
        pthread_mutex_destroy(&task->lock);
        pthread_cond_destroy(&task->changed);
    }
    if (task->stop_fd >= 0) {
        close(task->stop_fd);
    }
    if (task->wake_fd >= 0) {
        close(task->wake_fd);
    }
    task->stop_fd = task->wake_fd = -1;
}

void
sql_task_alive(struct sql_task *task)
{
    if (task->stream != NULL) {
        stream_source_alive(task->stream);
    }
}

bool
sql_task_stopped(const struct sql_task *task)
{
    return atomic_load(&task->stopped);
}

void
sql_task_stop(struct sql_task *task)
{
    atomic_store(&task->stopped, true);
    wake_fd_raise(task->stop_fd);
}

void
sql_task_wake(struct sql_task *task)
{
    wake_fd_raise(task->wake_fd);
}

/* One poll(2) of at most ALIVE_NS; -1 when the deadline has passed before. */
static int
poll_once(struct pollfd *fds, nfds_t n, int64_t deadline_ns)
{
    int64_t left = deadline_ns - clock_mono_ns();
    if (left <= 0) {
        return poll(fds, n, 0) > 0 ? 1 : -1;
    }
    left = left < ALIVE_NS ? left : ALIVE_NS;
    struct timespec timeout = {left / 1000000000, left % 1000000000};
    return ppoll(fds, n, &timeout, NULL) > 0;
}

enum sql_wait
sql_task_wait(struct sql_task *task, int fd, short events, int64_t deadline_ns, bool woken)
{
    for (;;) {
        struct pollfd fds[] = {{.fd = task->stop_fd, .events = POLLIN},
            {.fd = woken ? task->wake_fd : -1, .events = POLLIN}, {.fd = fd, .events = events}};
        int found = poll_once(fds, 3, deadline_ns);
        if (sql_task_stopped(task)) {
            return SQL_WAIT_STOPPED;
        }
        sql_task_alive(task);
        if (found < 0) {
            return SQL_WAIT_LATE;
        }
        if (found > 0 && fds[2].revents != 0) {
            return SQL_WAIT_READY;
        }
        if (found > 0 && fds[1].revents != 0) {
            if (wake_fd_drain(task->wake_fd)) {
                return SQL_WAIT_WOKEN;
            }
        }
    }
}

void
sql_task_block(struct sql_task *task)
{
    pthread_mutex_lock(&task->lock);
    task->blocked = true;
    pthread_cond_broadcast(&task->changed);
    pthread_mutex_unlock(&task->lock);
}

bool
sql_task_unblock(struct sql_task *task)
{
    pthread_mutex_lock(&task->lock);
    task->blocked = false;
    bool abandoned = task->abandoned;
    if (abandoned) {
        task->stream = NULL;
    }
    pthread_mutex_unlock(&task->lock);
    return !abandoned;
}

bool
sql_task_end(struct sql_task *task)
{
    pthread_mutex_lock(&task->lock);
    task->ended = true;
    bool abandoned = task->abandoned;
    pthread_cond_broadcast(&task->changed);
    pthread_mutex_unlock(&task->lock);
    return abandoned;
}

bool
sql_task_abandon(struct sql_task *task)
{
    int64_t until = clock_mono_ns() + ABANDON_NS;
    struct timespec deadline = {until / 1000000000, until % 1000000000};
    pthread_mutex_lock(&task->lock);
    int late = 0;
    while (!task->ended && !(late != 0 && task->blocked)) {
        late = late != 0 ? late : pthread_cond_timedwait(&task->changed, &task->lock, &deadline);
        if (late != 0 && !task->ended && !task->blocked) {
            pthread_cond_wait(&task->changed, &task->lock);
        }
    }
    task->abandoned = !task->ended;
    bool abandoned = task->abandoned;
    pthread_mutex_unlock(&task->lock);
    return abandoned;
}
