/* sql_page: the statements that walk a query by its key, and the rows of one page.
 *
 * Keyset pagination: a page is the first rows behind a key, in its order, so that each page costs
 * the same wherever it lies, and rows that come or go do not move the others. One row more than
 * wanted is asked for: it tells whether there are more, and that the key is unique. Thread  the
 * walk's. */
#ifndef HEADGATE_SQL_PAGE_H
#define HEADGATE_SQL_PAGE_H

#include "sql_driver.h"

/* What a page's statement is made of. The placeholders are the query's own, then those of after,
 * then those of until; each has a value for each key column. */
struct sql_bounds {
    bool after, until; /* behind a key; up to and with a key */
    size_t rows;       /* LIMIT */
};

/* sql_page_text: the statement, with a NUL at its end. sql_newest_text: the last key's columns;
 * sql_count_text: all rows, behind a key where after says so, or their count(*). */
void sql_page_text(struct buf *out, const struct sql_settings *settings,
    const struct sql_query *query, const struct sql_bounds *bounds);
void sql_newest_text(
    struct buf *out, const struct sql_settings *settings, const struct sql_query *query);
void sql_count_text(struct buf *out, const struct sql_settings *settings,
    const struct sql_query *query, bool after, bool count);

/* sql_page_keys: columns[i] of the result is key column i. Errors -1 and err: not there, or two
 * columns of one name. */
int sql_page_keys(const struct sql_settings *settings, const struct sql_columns *columns,
    size_t keys[SQL_KEY_MAX], struct err *err);

struct sql_page_row {
    size_t json, json_len, cursor, cursor_len; /* slices of bytes */
};

/* A page being filled and then taken. */
struct sql_page {
    struct sql_sink sink; /* first: run() fills it */
    const struct sql_driver *driver;
    const struct sql_columns *columns; /* lent */
    const size_t *keys;
    size_t n_keys;
    size_t most_rows, most_bytes;
    struct buf bytes;
    struct sql_page_row *rows; /* most_rows of them */
    size_t n, taken;
    bool more;  /* there was a row behind the last one */
    bool wrong; /* err says why: the key is NULL, too long, or not unique; other columns */
    struct err err;
};

/* sql_page_init: rows is the most that one page will ever have. */
void sql_page_init(struct sql_page *page, const struct sql_driver *driver, size_t rows);
void sql_page_fini(struct sql_page *page);

/* sql_page_reset: empty, for rows of columns; keys are lent. */
void sql_page_reset(struct sql_page *page, const struct sql_columns *columns, const size_t *keys,
    size_t n_keys, size_t most_rows, size_t most_bytes);

#endif
