/* sql_pool: pools are found by their settings, which every request of a stream shares. Any thread.
 */
#include "sql_pool.h"

#include "../gateway/mem.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/queue.h>

/* Who waits for a connection, on its own stack. */
struct waiter {
    TAILQ_ENTRY(waiter) link;
    struct sql_task *task;
};

struct sql_pool {
    LIST_ENTRY(sql_pool) link;
    const struct sql_settings *settings;
    const struct sql_driver *driver;
    size_t users;  /* requests */
    size_t leased; /* connections in use, those being opened too */
    size_t limit;
    TAILQ_HEAD(waiters, waiter) waiters; /* whose turn it is comes first */
    size_t n_idle;
    struct sql_conn **idle; /* limit of them; the last one was used last */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* over all pools: rare and short */
static LIST_HEAD(sql_pools, sql_pool) pools = LIST_HEAD_INITIALIZER(pools);

static struct sql_pool *
find_or_make(const struct sql_settings *settings)
{
    struct sql_pool *pool;
    LIST_FOREACH(pool, &pools, link)
    {
        if (pool->settings == settings) {
            return pool;
        }
    }
    pool = mem_calloc(1, sizeof *pool);
    pool->settings = settings;
    pool->driver = sql_driver_of(settings);
    pool->limit = (size_t)settings->connections;
    pool->idle = mem_calloc(pool->limit, sizeof(struct sql_conn *));
    TAILQ_INIT(&pool->waiters);
    LIST_INSERT_HEAD(&pools, pool, link);
    return pool;
}

struct sql_pool *
sql_pool_enter(const struct sql_settings *settings, struct err *err)
{
    pthread_mutex_lock(&lock);
    struct sql_pool *pool = find_or_make(settings);
    if (pool->users == settings->requests) {
        pool = NULL;
        err_set(err, ERR_LIMIT, "this stream already answers %zu requests: try again later",
            (size_t)settings->requests);
    } else {
        pool->users++;
    }
    pthread_mutex_unlock(&lock);
    return pool;
}

void
sql_pool_leave(struct sql_pool *pool)
{
    if (pool == NULL) {
        return;
    }
    pthread_mutex_lock(&lock);
    bool last = --pool->users == 0;
    if (last) {
        LIST_REMOVE(pool, link);
    }
    pthread_mutex_unlock(&lock);
    if (last) {
        for (size_t i = 0; i < pool->n_idle; i++) {
            pool->driver->close(pool->idle[i]);
        }
        free(pool->idle);
        free(pool);
    }
}

/* An idle connection, or the right to open one: true. Nobody goes before who waits already. */
static bool
lease(struct sql_pool *pool, const struct waiter *self, struct sql_conn **conn)
{
    *conn = NULL;
    const struct waiter *first = TAILQ_FIRST(&pool->waiters);
    if (pool->leased == pool->limit || (first != NULL && first != self)) {
        return false;
    }
    pool->leased++;
    if (pool->n_idle > 0) {
        *conn = pool->idle[--pool->n_idle];
    }
    return true;
}

static void
wake_first(struct sql_pool *pool)
{
    struct waiter *first = TAILQ_FIRST(&pool->waiters);
    if (first != NULL && pool->leased < pool->limit) {
        sql_task_wake(first->task);
    }
}

/* With the lock held, but not while it waits. */
static enum sql_outcome
wait_turn(struct sql_pool *pool, struct sql_task *task, int64_t deadline_ns, struct sql_conn **conn)
{
    struct waiter self = {.task = task};
    if (lease(pool, &self, conn)) {
        return SQL_DONE;
    }
    enum sql_outcome outcome = SQL_DONE;
    TAILQ_INSERT_TAIL(&pool->waiters, &self, link);
    while (outcome == SQL_DONE && !lease(pool, &self, conn)) {
        pthread_mutex_unlock(&lock);
        enum sql_wait woke = sql_task_wait(task, -1, 0, deadline_ns, true);
        outcome = woke == SQL_WAIT_STOPPED ? SQL_STOPPED
                  : woke == SQL_WAIT_LATE  ? SQL_TIMEOUT
                                           : SQL_DONE;
        pthread_mutex_lock(&lock);
    }
    TAILQ_REMOVE(&pool->waiters, &self, link);
    wake_first(pool); /* there may be one more to lease */
    return outcome;
}

static void
give_up_lease(struct sql_pool *pool)
{
    pthread_mutex_lock(&lock);
    pool->leased--;
    wake_first(pool);
    pthread_mutex_unlock(&lock);
}

struct sql_conn *
sql_pool_get(struct sql_pool *pool, struct sql_task *task, int64_t deadline_ns,
    enum sql_outcome *outcome, struct err *err)
{
    struct sql_conn *conn;
    pthread_mutex_lock(&lock);
    *outcome = wait_turn(pool, task, deadline_ns, &conn);
    pthread_mutex_unlock(&lock);
    if (*outcome != SQL_DONE) {
        err_set(err, ERR_LIMIT, "all %zu connections stayed in use", pool->limit);
        return NULL;
    }
    if (conn != NULL && !pool->driver->healthy(conn)) {
        pool->driver->close(conn);
        conn = NULL;
    }
    if (conn == NULL) {
        conn = pool->driver->open(pool->settings, task, outcome, err);
    }
    if (conn == NULL) {
        give_up_lease(pool);
    }
    return conn;
}

void
sql_pool_put(struct sql_pool *pool, struct sql_conn *conn)
{
    if (!pool->driver->healthy(conn)) {
        pool->driver->close(conn);
        conn = NULL;
    }
    pthread_mutex_lock(&lock);
    pool->leased--;
    if (conn != NULL) {
        pool->idle[pool->n_idle++] = conn;
    }
    wake_first(pool);
    pthread_mutex_unlock(&lock);
}
