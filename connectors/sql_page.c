/* sql_page: see the header. The walk's thread. */
#include "sql_page.h"

#include "../gateway/json.h"
#include "../gateway/mem.h"

#include <stdlib.h>
#include <string.h>

/* A buffer that one large page has grown is given back. */
#define BYTES_KEEP (UINT64_C(1) << 20)

static void
add_column(struct buf *out, const char *name)
{
    BUF_LITERAL(out, "headgate.\"");
    for (; *name != '\0'; name++) {
        buf_adds(out, *name == '"' ? "\"" : "");
        buf_addc(out, *name);
    }
    buf_addc(out, '"');
}

static void
add_columns(
    struct buf *out, const struct sql_settings *settings, const char *behind, const char *between)
{
    for (size_t i = 0; i < settings->key.n; i++) {
        buf_adds(out, i == 0 ? "" : between);
        add_column(out, settings->key.items[i]);
        buf_adds(out, behind);
    }
}

/* ("a", "b") > ($3, $4): a row comparison, which an index on (a, b) answers. */
static void
add_compare(struct buf *out, const struct sql_settings *settings, const struct sql_query *query,
    const char *operator, size_t first)
{
    bool one = settings->key.n == 1;
    buf_adds(out, one ? "" : "(");
    add_columns(out, settings, "", ", ");
    buf_addf(out, "%s %s %s", one ? "" : ")", operator, one ? "" : "(");
    for (size_t i = 0; i < settings->key.n; i++) {
        buf_addf(out, settings->postgres != NULL ? "%s$%zu" : "%s?%zu", i == 0 ? "" : ", ",
            query->n_names + first + i + 1);
    }
    buf_adds(out, one ? "" : ")");
}

/* The newline ends a comment at the query's end. */
static void
add_from(struct buf *out, const struct sql_query *query)
{
    BUF_LITERAL(out, " FROM (");
    buf_adds(out, query->text);
    BUF_LITERAL(out, "\n) AS headgate");
}

void
sql_page_text(struct buf *out, const struct sql_settings *settings, const struct sql_query *query,
    const struct sql_bounds *bounds)
{
    bool down = settings->order != 0;
    BUF_LITERAL(out, "SELECT *");
    add_from(out, query);
    if (bounds->after) {
        BUF_LITERAL(out, " WHERE ");
        add_compare(out, settings, query, down ? "<" : ">", 0);
    }
    if (bounds->until) {
        buf_adds(out, bounds->after ? " AND " : " WHERE ");
        add_compare(out, settings, query, down ? ">=" : "<=", bounds->after ? settings->key.n : 0);
    }
    BUF_LITERAL(out, " ORDER BY ");
    add_columns(out, settings, down ? " DESC" : "", ", ");
    buf_addf(out, " LIMIT %zu", bounds->rows);
    buf_addc(out, '\0');
}

void
sql_newest_text(struct buf *out, const struct sql_settings *settings, const struct sql_query *query)
{
    BUF_LITERAL(out, "SELECT ");
    add_columns(out, settings, "", ", ");
    add_from(out, query);
    BUF_LITERAL(out, " WHERE ");
    add_column(out, settings->key.items[0]);
    BUF_LITERAL(out, " IS NOT NULL ORDER BY ");
    add_columns(out, settings, " DESC", ", ");
    BUF_LITERAL(out, " LIMIT 1");
    buf_addc(out, '\0');
}

void
sql_nulls_text(struct buf *out, const struct sql_settings *settings, const struct sql_query *query)
{
    BUF_LITERAL(out, "SELECT 1");
    add_from(out, query);
    BUF_LITERAL(out, " WHERE ");
    add_columns(out, settings, " IS NULL", " OR ");
    BUF_LITERAL(out, " LIMIT 1");
    buf_addc(out, '\0');
}

void
sql_count_text(struct buf *out, const struct sql_settings *settings, const struct sql_query *query,
    bool after, bool count)
{
    buf_adds(out, count ? "SELECT count(*)" : "SELECT *");
    add_from(out, query);
    if (after) {
        BUF_LITERAL(out, " WHERE ");
        add_compare(out, settings, query, settings->order != 0 ? "<" : ">", 0);
    }
    buf_addc(out, '\0');
}

static int
check_names(const struct sql_columns *columns, struct err *err)
{
    for (size_t i = 0; i < columns->n; i++) {
        for (size_t j = 0; j < i; j++) {
            if (strcmp(columns->items[i].name, columns->items[j].name) == 0) {
                err_set(err, ERR_INVALID,
                    "two columns are called \"%.64s\": name them apart with AS",
                    columns->items[i].name);
                return -1;
            }
        }
    }
    return 0;
}

int
sql_page_keys(const struct sql_settings *settings, const struct sql_columns *columns,
    size_t keys[SQL_KEY_MAX], struct err *err)
{
    if (check_names(columns, err) != 0) {
        return -1;
    }
    for (size_t i = 0; i < settings->key.n; i++) {
        size_t j = 0;
        while (j < columns->n && strcmp(columns->items[j].name, settings->key.items[i]) != 0) {
            j++;
        }
        if (j == columns->n) {
            err_set(err, ERR_INVALID, "the query's result has no key column \"%.64s\"",
                settings->key.items[i]);
            return -1;
        }
        keys[i] = j;
    }
    return 0;
}

static void
add_json(struct sql_page *page, const struct sql_row *row)
{
    struct buf *out = &page->bytes;
    for (size_t i = 0; i < page->columns->n; i++) {
        const struct sql_column *column = &page->columns->items[i];
        buf_addc(out, i == 0 ? '{' : ',');
        json_add_lossy(out, column->name, strlen(column->name));
        buf_addc(out, ':');
        page->driver->add_json(row, i, column, out);
    }
    buf_addc(out, '}');
}

static bool
refuse(struct sql_page *page)
{
    page->wrong = true;
    return false;
}

/* The cursor goes behind the rows so far; it is kept only when the row is. */
static int
add_cursor(struct sql_page *page, const struct sql_row *row, struct sql_page_row *out)
{
    struct sql_value values[SQL_KEY_MAX];
    for (size_t i = 0; i < page->n_keys; i++) {
        page->driver->value(row, page->keys[i], &values[i]);
    }
    out->cursor = page->bytes.len;
    int result = sql_cursor_encode(&page->bytes, values, page->n_keys, &page->err);
    out->cursor_len = page->bytes.len - out->cursor;
    return result;
}

static bool
same_key(const struct sql_page *page, const struct sql_page_row *a, const struct sql_page_row *b)
{
    const char *bytes = page->bytes.bytes;
    return a->cursor_len == b->cursor_len &&
           memcmp(bytes + a->cursor, bytes + b->cursor, a->cursor_len) == 0;
}

static bool
page_row(struct sql_sink *sink, const struct sql_row *row)
{
    struct sql_page *page = (struct sql_page *)sink;
    if (page->driver->width(row) != page->columns->n) {
        err_set(&page->err, ERR_REMOTE, "the query's columns have changed");
        return refuse(page);
    }
    struct sql_page_row found;
    if (add_cursor(page, row, &found) != 0) {
        return refuse(page);
    }
    if (page->n > 0 && same_key(page, &page->rows[page->n - 1], &found)) {
        err_set(&page->err, ERR_INVALID, "the key is not unique: two rows have the same one");
        return refuse(page);
    }
    bool last = page->n == page->most_rows; /* the LIMIT's: the statement is over */
    if (last || (page->n > 0 && page->bytes.len >= page->most_bytes)) {
        page->bytes.len = found.cursor;
        page->more = true;
        return last; /* else it is cancelled, which for PostgreSQL is another connection */
    }
    found.json = page->bytes.len;
    add_json(page, row);
    found.json_len = page->bytes.len - found.json;
    page->rows[page->n++] = found;
    return true;
}

void
sql_page_init(struct sql_page *page, const struct sql_driver *driver, size_t rows)
{
    *page = (struct sql_page){.sink = {.row = page_row}, .driver = driver};
    page->rows = mem_calloc(rows, sizeof *page->rows);
    buf_init(&page->bytes);
}

void
sql_page_fini(struct sql_page *page)
{
    free(page->rows);
    buf_fini(&page->bytes);
}

void
sql_page_reset(struct sql_page *page, const struct sql_columns *columns, const size_t *keys,
    size_t n_keys, size_t most_rows, size_t most_bytes)
{
    if (page->bytes.cap > BYTES_KEEP) {
        buf_fini(&page->bytes);
    }
    page->bytes.len = 0;
    page->columns = columns;
    page->keys = keys;
    page->n_keys = n_keys;
    page->most_rows = most_rows;
    page->most_bytes = most_bytes;
    page->n = page->taken = 0;
    page->more = page->wrong = false;
}
