/* sql_walk: see the header. The source's thread. */
#include "sql_walk.h"

#include "../gateway/clock.h"
#include "../gateway/json.h"
#include "../gateway/mem.h"
#include "../gateway/stream_source.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define COMMIT_BATCH 256 /* rows that are shown to the subscribers at once */

void
sql_columns_fini(struct sql_columns *columns)
{
    for (size_t i = 0; i < columns->n; i++) {
        free(columns->items[i].name);
    }
    free(columns->items);
    *columns = (struct sql_columns){0};
}

void
sql_walk_init(struct sql_walk *walk, const struct sql_settings *settings,
    struct sql_query *query_taken, const struct sql_value *params)
{
    *walk = (struct sql_walk){.settings = settings, .driver = sql_driver_of(settings)};
    walk->query = *query_taken;
    *query_taken = (struct sql_query){0};
    memcpy(walk->params, params, walk->query.n_names * sizeof *params);
    walk->rows = (size_t)settings->page_rows;
    sql_page_init(&walk->page, walk->driver, walk->rows);
    buf_init(&walk->position);
    buf_init(&walk->until);
    buf_init(&walk->scratch);
}

void
sql_walk_fini(struct sql_walk *walk)
{
    sql_walk_drop(walk);
    sql_page_fini(&walk->page);
    sql_columns_fini(&walk->columns);
    sql_query_fini(&walk->query);
    buf_fini(&walk->position);
    buf_fini(&walk->until);
    buf_fini(&walk->scratch);
}

/* ---- a connection for one call ---- */

static enum sql_outcome
borrow(struct sql_walk *walk, struct err *err)
{
    if (walk->conn != NULL) {
        return SQL_DONE;
    }
    enum sql_outcome outcome = SQL_DONE;
    if (walk->pool != NULL) {
        int64_t deadline =
            clock_mono_ns() + (int64_t)walk->settings->statement_timeout_ms * 1000000;
        walk->conn = sql_pool_get(walk->pool, walk->task, deadline, &outcome, err);
    } else {
        walk->conn = walk->driver->open(walk->settings, walk->task, &outcome, err);
    }
    return outcome;
}

static enum sql_outcome
give_back(struct sql_walk *walk, enum sql_outcome outcome)
{
    if (walk->pool != NULL && walk->conn != NULL) {
        sql_pool_put(walk->pool, walk->conn);
        walk->conn = NULL;
    } else if (outcome != SQL_DONE) {
        sql_walk_drop(walk);
    }
    return outcome;
}

void
sql_walk_drop(struct sql_walk *walk)
{
    if (walk->conn != NULL) {
        walk->driver->close(walk->conn);
        walk->conn = NULL;
    }
}

/* The values of a statement: the query's own, then those of cursors. */
static enum sql_outcome
add_cursor_values(struct sql_walk *walk, const struct buf *cursor, struct sql_statement *statement,
    struct sql_value *values, struct err *err)
{
    if (cursor->len == 0) {
        return SQL_DONE;
    }
    size_t n = walk->settings->key.n;
    if (sql_cursor_decode(cursor->bytes, cursor->len, values + statement->n_values, n, err) != 0) {
        return SQL_FAILED;
    }
    statement->n_values += n;
    return SQL_DONE;
}

#define STATEMENT_VALUES (SQL_PARAMS_MAX + 2 * SQL_KEY_MAX)

static enum sql_outcome
fill_values(struct sql_walk *walk, struct sql_statement *statement,
    struct sql_value values[STATEMENT_VALUES], bool until, struct err *err)
{
    statement->values = values;
    statement->n_values = walk->query.n_names;
    memcpy(values, walk->params, statement->n_values * sizeof *values);
    enum sql_outcome outcome = add_cursor_values(walk, &walk->position, statement, values, err);
    if (outcome == SQL_DONE && until) {
        outcome = add_cursor_values(walk, &walk->until, statement, values, err);
    }
    return outcome;
}

/* ---- what the query gives ---- */

static enum sql_outcome
describe(struct sql_walk *walk, struct err *err)
{
    struct buf text;
    buf_init(&text);
    sql_page_text(&text, walk->settings, &walk->query, &(struct sql_bounds){.rows = 1});
    const struct sql_statement statement = {text.bytes, walk->params, walk->query.n_names};
    sql_columns_fini(&walk->columns);
    enum sql_outcome outcome =
        walk->driver->prepare(walk->conn, walk->task, &statement, &walk->columns, err);
    buf_fini(&text);
    if (outcome == SQL_DONE &&
        sql_page_keys(walk->settings, &walk->columns, walk->keys, err) != 0) {
        outcome = SQL_FAILED;
    }
    return outcome;
}

enum sql_outcome
sql_walk_open(struct sql_walk *walk, struct err *err)
{
    enum sql_outcome outcome = borrow(walk, err);
    if (outcome == SQL_DONE && walk->pool == NULL && walk->settings->listen != NULL) {
        outcome = walk->driver->listen(walk->conn, walk->task, walk->settings->listen, err);
    }
    if (outcome == SQL_DONE) {
        outcome = describe(walk, err);
    }
    return give_back(walk, outcome);
}

/* ---- pages ---- */

static enum sql_outcome
run_page(struct sql_walk *walk, struct err *err)
{
    struct sql_value values[STATEMENT_VALUES];
    struct sql_statement statement;
    enum sql_outcome outcome = fill_values(walk, &statement, values, true, err);
    if (outcome != SQL_DONE) {
        return outcome;
    }
    sql_page_reset(&walk->page, &walk->columns, walk->keys, walk->settings->key.n, walk->rows,
        (size_t)walk->settings->page_bytes);
    const struct sql_bounds bounds = {
        .after = walk->position.len > 0, .until = walk->until.len > 0, .rows = walk->rows + 1};
    walk->scratch.len = 0;
    sql_page_text(&walk->scratch, walk->settings, &walk->query, &bounds);
    statement.text = walk->scratch.bytes;
    return walk->driver->run(walk->conn, walk->task, &statement, &walk->page.sink, err);
}

/* Rows so large that a page ends early are asked for in smaller numbers: what is thrown away behind
 * it has to be read all the same. */
static void
adapt_rows(struct sql_walk *walk)
{
    size_t most = (size_t)walk->settings->page_rows;
    if (walk->page.more && walk->page.n < walk->rows) {
        walk->rows = walk->page.n + walk->page.n / 4 + 1;
    } else if (walk->rows < most) {
        walk->rows *= 2;
    }
    walk->rows = walk->rows < most ? walk->rows : most;
}

enum sql_outcome
sql_walk_fetch(struct sql_walk *walk, struct err *err)
{
    enum sql_outcome outcome = borrow(walk, err);
    if (outcome == SQL_DONE) {
        outcome = run_page(walk, err);
    }
    if (outcome == SQL_DONE && walk->page.wrong) {
        *err = walk->page.err;
        outcome = SQL_FAILED;
    }
    if (outcome != SQL_DONE) {
        walk->page.n = 0; /* a part of a page is none */
    } else {
        adapt_rows(walk);
    }
    return give_back(walk, outcome);
}

/* The record's key: the value of a key of one column, else a JSON array of them. */
static void
add_key(struct buf *out, const struct sql_value *values, size_t n)
{
    if (n == 1 && (values[0].kind == SQL_TEXT || values[0].kind == SQL_BLOB)) {
        buf_add(out, values[0].bytes, values[0].len);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        buf_adds(out, n == 1 ? "" : i == 0 ? "[" : ",");
        if (values[i].kind == SQL_INTEGER) {
            buf_addf(out, "%" PRId64, values[i].integer);
        } else if (values[i].kind == SQL_REAL) {
            buf_addf(out, "%.17g", values[i].real);
        } else {
            json_add_lossy(out, values[i].bytes, values[i].len);
        }
    }
    buf_adds(out, n == 1 ? "" : "]");
}

static bool
stage_row(struct sql_walk *walk, const struct sql_page_row *row, int64_t now_ns)
{
    const char *bytes = walk->page.bytes.bytes;
    struct sql_value values[SQL_KEY_MAX];
    struct err err;
    walk->scratch.len = 0;
    if (sql_cursor_decode(
            bytes + row->cursor, row->cursor_len, values, walk->settings->key.n, &err) != 0) {
        abort(); /* sql_page.c has made it */
    }
    add_key(&walk->scratch, values, walk->settings->key.n);
    struct record_input in = {.lane = walk->lane,
        .offset = walk->offset,
        .time_ms = -1,
        .key = walk->scratch.bytes,
        .key_len = walk->scratch.len,
        .data = bytes + row->json,
        .data_len = row->json_len,
        .cursor = bytes + row->cursor,
        .cursor_len = row->cursor_len};
    return stream_stage(walk->stream, &in, now_ns) >= 0;
}

bool
sql_walk_stage(struct sql_walk *walk)
{
    struct sql_page *page = &walk->page;
    const struct sql_page_row *row = NULL;
    while (page->taken < page->n) {
        size_t room = stream_room(walk->stream);
        size_t n = room < COMMIT_BATCH ? room : COMMIT_BATCH;
        bool staged = n > 0;
        int64_t now = clock_mono_ns();
        while (staged && n-- > 0 && page->taken < page->n) {
            staged = stage_row(walk, &page->rows[page->taken], now);
            if (staged) {
                row = &page->rows[page->taken++];
                walk->offset++;
            }
        }
        stream_commit(walk->stream);
        if (!staged) {
            break;
        }
    }
    if (row != NULL) {
        walk->position.len = 0;
        buf_add(&walk->position, page->bytes.bytes + row->cursor, row->cursor_len);
    }
    return page->taken == page->n;
}

/* ---- single answers ---- */

struct answer {
    struct sql_sink sink; /* first */
    const struct sql_driver *driver;
    struct buf *cursor; /* of n values; NULL: text is wanted */
    size_t n;
    struct buf text;
    int64_t integer;
    struct err err;
    bool wrong;
};

static bool
take_answer(struct sql_sink *sink, const struct sql_row *row)
{
    struct answer *answer = (struct answer *)sink;
    struct sql_value values[SQL_KEY_MAX];
    for (size_t i = 0; i < answer->n; i++) {
        answer->driver->value(row, i, &values[i]);
    }
    if (answer->cursor != NULL) {
        answer->wrong = sql_cursor_encode(answer->cursor, values, answer->n, &answer->err) != 0;
    } else if (values[0].kind == SQL_INTEGER) {
        answer->integer = values[0].integer;
    } else if (values[0].kind == SQL_TEXT) {
        buf_add(&answer->text, values[0].bytes, values[0].len);
    }
    return true; /* there is one row, or a few short ones */
}

static enum sql_outcome
ask(struct sql_walk *walk, const struct sql_statement *statement, struct answer *answer,
    struct err *err)
{
    answer->sink.row = take_answer;
    answer->driver = walk->driver;
    enum sql_outcome outcome = borrow(walk, err);
    if (outcome == SQL_DONE) {
        outcome = walk->driver->run(walk->conn, walk->task, statement, &answer->sink, err);
    }
    if (outcome == SQL_DONE && answer->wrong) {
        *err = answer->err;
        outcome = SQL_FAILED;
    }
    return give_back(walk, outcome);
}

enum sql_outcome
sql_walk_newest(struct sql_walk *walk, struct buf *cursor, struct err *err)
{
    struct buf text;
    buf_init(&text);
    sql_newest_text(&text, walk->settings, &walk->query);
    const struct sql_statement statement = {text.bytes, walk->params, walk->query.n_names};
    struct answer answer = {.cursor = cursor, .n = walk->settings->key.n};
    cursor->len = 0;
    enum sql_outcome outcome = ask(walk, &statement, &answer, err);
    buf_fini(&text);
    return outcome;
}

/* "Plan Rows" of the topmost node, which comes first. */
static uint64_t
plan_rows(const struct buf *plan)
{
    static const char name[] = "\"Plan Rows\":";
    const char *found =
        plan->len == 0 ? NULL : memmem(plan->bytes, plan->len, name, sizeof name - 1);
    return found == NULL ? 0 : strtoull(found + sizeof name - 1, NULL, 10);
}

enum sql_outcome
sql_walk_total(struct sql_walk *walk, uint64_t *total, struct err *err)
{
    struct sql_value values[STATEMENT_VALUES];
    struct sql_statement statement;
    enum sql_outcome outcome = fill_values(walk, &statement, values, false, err);
    if (outcome != SQL_DONE) {
        return outcome;
    }
    struct answer answer = {.n = 1};
    struct buf text;
    buf_init(&text);
    buf_init(&answer.text);
    bool estimate = walk->settings->progress == SQL_PROGRESS_ESTIMATE;
    if (estimate) {
        BUF_LITERAL(&text, "EXPLAIN (FORMAT JSON) ");
    }
    sql_count_text(&text, walk->settings, &walk->query, walk->position.len > 0, !estimate);
    statement.text = text.bytes;
    outcome = ask(walk, &statement, &answer, err);
    if (outcome == SQL_DONE) {
        buf_addc(&answer.text, '\0');
        *total = estimate ? plan_rows(&answer.text) : (uint64_t)answer.integer;
    }
    buf_fini(&text);
    buf_fini(&answer.text);
    return outcome;
}

enum sql_outcome
sql_walk_wait(struct sql_walk *walk, int64_t deadline_ns, struct err *err)
{
    return give_back(walk, walk->driver->wait(walk->conn, walk->task, deadline_ns, err));
}
