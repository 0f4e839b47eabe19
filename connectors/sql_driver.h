/* sql_driver: what the database source asks of a database: open, prepare, run, listen, close. One
 * const struct a database. Every call belongs to the thread of the task, blocks at most until the
 * deadline, and ends within a tenth of a second once the task is stopped: the query is then
 * cancelled in the database too, and the connection good for nothing but close. No transaction is
 * open between calls. */
#ifndef HEADGATE_SQL_DRIVER_H
#define HEADGATE_SQL_DRIVER_H

#include "../gateway/buf.h"
#include "../gateway/err.h"
#include "sql_query.h"
#include "sql_settings.h"
#include "sql_task.h"
#include "sql_value.h"

#include <stdbool.h>
#include <stddef.h>

/* A connection and a row: each driver defines its own; others see only pointers. */
struct sql_conn;
struct sql_row;

#define SQL_COLUMNS_MAX 1664 /* PostgreSQL's own bound (MaxTupleAttributeNumber) */

/* One column of a query's result. */
struct sql_column {
    char *name;
    unsigned type,
        element;    /* the driver's: what a value is turned into; of an array its elements */
    char delimiter; /* between an array's elements */
};
struct sql_columns {
    struct sql_column *items;
    size_t n;
};
void sql_columns_fini(struct sql_columns *columns); /* zeroed afterwards */

enum sql_outcome {
    SQL_DONE,    /* all rows were passed on, or row() has had enough */
    SQL_STOPPED, /* the task was stopped */
    SQL_TIMEOUT, /* the deadline, or the database's own statement time-out, has passed */
    SQL_LOST,    /* the connection is gone, or the database says: try again */
    SQL_FAILED   /* the database refuses the query or its values: err says why */
};

/* What to run. text has its placeholders numbered from 1; values[i] is placeholder i + 1. */
struct sql_statement {
    const char *text;
    const struct sql_value *values;
    size_t n_values;
};

/* Where rows go: row() is called for each, and says whether it wants more. */
struct sql_sink {
    bool (*row)(struct sql_sink *sink, const struct sql_row *row);
};

struct sql_driver {
    const char *name; /* "postgres", "sqlite" */
    enum sql_dialect dialect;

    /* open: Errors NULL, *outcome (never SQL_DONE) and err, without secrets. */
    struct sql_conn *(*open)(const struct sql_settings *settings, struct sql_task *task,
        enum sql_outcome *outcome, struct err *err);

    /* prepare: what a statement will give, without running it. Owns *columns, of zeroed memory, is
     * the caller's on SQL_DONE. */
    enum sql_outcome (*prepare)(struct sql_conn *conn, struct sql_task *task,
        const struct sql_statement *statement, struct sql_columns *columns, struct err *err);

    /* run: in a transaction of its own, which is over when it returns. */
    enum sql_outcome (*run)(struct sql_conn *conn, struct sql_task *task,
        const struct sql_statement *statement, struct sql_sink *sink, struct err *err);

    /* Of the row that sink->row was given: how many values it has; one as it is, lent; one as JSON,
     * appended, turned as its column says. */
    size_t (*width)(const struct sql_row *row);
    void (*value)(const struct sql_row *row, size_t i, struct sql_value *value);
    void (*add_json)(
        const struct sql_row *row, size_t i, const struct sql_column *column, struct buf *out);

    /* listen: wake up by notifications of a channel. Only where settings->listen is given. */
    enum sql_outcome (*listen)(
        struct sql_conn *conn, struct sql_task *task, const char *channel, struct err *err);

    /* wait: until the deadline, sql_task_wake or a notification: SQL_DONE. SQL_LOST as soon as the
     * connection is seen to be gone. */
    enum sql_outcome (*wait)(
        struct sql_conn *conn, struct sql_task *task, int64_t deadline_ns, struct err *err);

    /* healthy: the connection can be used again. */
    bool (*healthy)(const struct sql_conn *conn);
    void (*close)(struct sql_conn *conn); /* NULL-safe */
};

extern const struct sql_driver sql_postgres_driver;
extern const struct sql_driver sql_sqlite_driver;

/* sql_driver_of: the one that the settings name. */
const struct sql_driver *sql_driver_of(const struct sql_settings *settings);

#endif
