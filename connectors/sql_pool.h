/* sql_pool: the connections that the requests of one configured source share, a page at a time, and
 * how many requests there are. Thread any. */
#ifndef HEADGATE_SQL_POOL_H
#define HEADGATE_SQL_POOL_H

#include "sql_driver.h"

struct sql_pool;

/* sql_pool_enter: the pool of settings, made when there is none. Errors NULL and err (ERR_LIMIT):
 * settings->requests have entered. Blocks no. */
struct sql_pool *sql_pool_enter(const struct sql_settings *settings, struct err *err);

/* sql_pool_leave: with the last one the idle connections are closed. NULL-safe. */
void sql_pool_leave(struct sql_pool *pool);

/* sql_pool_get: an idle connection, or a new one, or one that another request gives back before the
 * deadline. Errors NULL, *outcome (never SQL_DONE) and err. Thread the task's. Blocks. */
struct sql_conn *sql_pool_get(struct sql_pool *pool, struct sql_task *task, int64_t deadline_ns,
    enum sql_outcome *outcome, struct err *err);

/* sql_pool_put: what sql_pool_get gave; one that is not healthy is closed. */
void sql_pool_put(struct sql_pool *pool, struct sql_conn *conn);

#endif
