/* sql_task: what every wait of a database source's thread has in common: it ends when the source is
 * stopped, it has a deadline, and the stream hears that the thread lives.
 *
 * A resolver cannot be interrupted. Between sql_task_block and sql_task_unblock the thread touches
 * nothing but its own: whoever stops the task may then leave it behind (sql_task_abandon), and it
 * frees itself. Thread  source, except where it says any. */
#ifndef HEADGATE_SQL_TASK_H
#define HEADGATE_SQL_TASK_H

#include "../gateway/err.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct stream;

struct sql_task {
    struct stream *stream; /* told about once a second that the thread lives; NULL: nobody */
    atomic_bool stopped;
    int stop_fd; /* an eventfd, readable once stopped */
    int wake_fd; /* an eventfd: there is room again */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool blocked, ended, abandoned; /* lock */
};

/* What became of something that was waited for. */
enum sql_wait { SQL_WAIT_READY, SQL_WAIT_WOKEN, SQL_WAIT_LATE, SQL_WAIT_STOPPED };

/* sql_task_init: Errors -1 and err: no descriptors left. Thread init. */
int sql_task_init(struct sql_task *task, struct stream *stream, struct err *err);
void sql_task_fini(struct sql_task *task);

/* sql_task_wait: until fd (-1: none) is ready for events of poll(2), or deadline_ns of
 * CLOCK_MONOTONIC has passed, or the task is stopped; with woken, also until sql_task_wake. */
enum sql_wait sql_task_wait(
    struct sql_task *task, int fd, short events, int64_t deadline_ns, bool woken);

/* sql_task_alive: tell the stream; for loops that do not wait. */
void sql_task_alive(struct sql_task *task);

bool sql_task_stopped(const struct sql_task *task); /* any */
void sql_task_stop(struct sql_task *task);          /* any */
void sql_task_wake(struct sql_task *task);          /* any */

/* sql_task_block, _unblock: around a call that may hang. unblock is false when the task was
 * abandoned meanwhile: neither stream nor settings may be touched any more. */
void sql_task_block(struct sql_task *task);
bool sql_task_unblock(struct sql_task *task);

/* sql_task_end: the thread's last call; true when it was abandoned: it then frees its source. */
bool sql_task_end(struct sql_task *task);

/* sql_task_abandon: wait for the end of a stopped task; after a few seconds one that is blocked is
 * left behind: true. Thread any. Blocks. */
bool sql_task_abandon(struct sql_task *task);

#endif
