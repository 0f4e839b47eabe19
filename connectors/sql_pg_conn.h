/* sql_pg_conn: a PostgreSQL connection whose waits are a task's: libpq without its blocking calls
 * (PostgreSQL manual 34.4), with cancellation. Thread  the task's. */
#ifndef HEADGATE_SQL_PG_CONN_H
#define HEADGATE_SQL_PG_CONN_H

#include "sql_driver.h"

#include <libpq-fe.h>

struct sql_conn {
    PGconn *pg;
    uint64_t timeout_ms; /* of one statement */
    bool broken;         /* a query may still be running on it: only to be closed */
};

/* pg_open: connected, and the session set up. Errors NULL, *outcome and err, without secrets. */
struct sql_conn *pg_open(const struct sql_settings *settings, struct sql_task *task,
    enum sql_outcome *outcome, struct err *err);
void pg_close(struct sql_conn *conn); /* NULL-safe */

/* pg_deadline: of a statement that begins now; a little later than the server's own. */
int64_t pg_deadline(const struct sql_conn *conn);

/* pg_result: the next result of what was sent; NULL with SQL_DONE when there is none left. An error
 * result, a lost connection and a stop are outcomes: nothing more will come then.
 * Owns the caller clears *result. */
enum sql_outcome pg_result(struct sql_conn *conn, struct sql_task *task, int64_t deadline_ns,
    PGresult **result, struct err *err);

/* pg_simple: run what was sent (sent: what libpq's function returned) to its end; the last result
 * is *result, NULL: not wanted. */
enum sql_outcome pg_simple(
    struct sql_conn *conn, struct sql_task *task, int sent, PGresult **result, struct err *err);

/* pg_cancel: ask the server to give up what runs. Waits at most a second or so. */
void pg_cancel(struct sql_conn *conn);

/* pg_drop_rest: cancel, and take what is left until the connection is idle again; else broken. */
void pg_drop_rest(struct sql_conn *conn, struct sql_task *task);

#endif
