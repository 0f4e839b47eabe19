/* sql_walk: reads a query page by page along its key, into a stream. Thread  the source's. */
#ifndef HEADGATE_SQL_WALK_H
#define HEADGATE_SQL_WALK_H

#include "sql_page.h"
#include "sql_pool.h"

struct sql_walk {
    const struct sql_settings *settings;
    const struct sql_driver *driver;
    struct sql_task *task;
    struct stream *stream;
    struct sql_pool *pool; /* a connection a page; NULL: conn is kept */
    struct sql_conn *conn;
    struct sql_query query;
    struct sql_value params[SQL_PARAMS_MAX];
    struct sql_columns columns;
    size_t keys[SQL_KEY_MAX];
    struct sql_page page;
    size_t rows;         /* to ask for: fewer than settings say while they are large */
    struct buf position; /* the cursor of the last row that was staged; empty: before the first */
    struct buf until;    /* no row beyond this key is asked for; empty: all */
    struct buf scratch;
    uint32_t lane;
    uint64_t offset; /* of the next row in its lane */
};

/* sql_walk_init: query (taken) and params, which are its values, as sql_settings_bind gives them.
 */
void sql_walk_init(struct sql_walk *walk, const struct sql_settings *settings,
    struct sql_query *query_taken, const struct sql_value *params);
void sql_walk_fini(struct sql_walk *walk);

/* The following borrow a connection where there is a pool. On SQL_LOST it is closed, and they can
 * be called again; SQL_FAILED is a mistake in query, key or parameters, and err says which.
 *
 * sql_walk_open: connect, see what the query gives, and with follow listen. */
enum sql_outcome sql_walk_open(struct sql_walk *walk, struct err *err);

/* sql_walk_fetch: the page behind the position into walk->page, which has been taken whole. */
enum sql_outcome sql_walk_fetch(struct sql_walk *walk, struct err *err);

/* sql_walk_newest: the cursor of the last key that there is; empty without rows. */
enum sql_outcome sql_walk_newest(struct sql_walk *walk, struct buf *cursor, struct err *err);

/* sql_walk_total: how many rows lie behind the position, counted or estimated as settings say. */
enum sql_outcome sql_walk_total(struct sql_walk *walk, uint64_t *total, struct err *err);

/* sql_walk_wait: see sql_driver.wait; needs a kept connection. sql_walk_drop: close that. */
enum sql_outcome sql_walk_wait(struct sql_walk *walk, int64_t deadline_ns, struct err *err);
void sql_walk_drop(struct sql_walk *walk);

/* sql_walk_stage: rows of the page into the stream while there is room, committed. True when all
 * are taken. */
bool sql_walk_stage(struct sql_walk *walk);

#endif
