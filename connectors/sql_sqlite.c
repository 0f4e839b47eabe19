/* sql_sqlite: the SQLite driver. The task's thread; the library's progress handler looks every few
 * thousand steps of its machine whether the task is stopped or the statement is late, so no other
 * thread needs the handle. The database is opened for reading only, and no statement is left in the
 * middle, so no lock is held between pages and a writer's checkpoint is not held up. */
#include "sql_driver.h"

#include "../gateway/clock.h"
#include "../gateway/json.h"
#include "../gateway/mem.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <poll.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#define STEPS 4000 /* of the virtual machine between two looks: well under a millisecond */
#define BUSY_NS INT64_C(5000000)

/* What a column was declared as, where that says more than its values do. */
enum declared { DECLARED_NOTHING, DECLARED_BOOLEAN, DECLARED_JSON, DECLARED_TIME };

struct sql_conn {
    sqlite3 *db;
    char *path;
    dev_t device;
    ino_t inode;
    uint64_t timeout_ms;
    bool broken;
    struct sql_task *task; /* of the statement that runs */
    int64_t deadline_ns;
};

struct sql_row {
    sqlite3_stmt *statement;
};

static int
must_end(void *conn_)
{
    const struct sql_conn *conn = conn_;
    sql_task_alive(conn->task);
    return sql_task_stopped(conn->task) || clock_mono_ns() >= conn->deadline_ns;
}

/* A writer has the lock: a little later, until it is late. */
static int
on_busy(void *conn_, int times)
{
    struct sql_conn *conn = conn_;
    (void)times;
    int64_t now = clock_mono_ns();
    if (now >= conn->deadline_ns) {
        return 0;
    }
    return sql_task_wait(conn->task, -1, 0, now + BUSY_NS, false) != SQL_WAIT_STOPPED;
}

static void
begin(struct sql_conn *conn, struct sql_task *task)
{
    conn->task = task;
    conn->deadline_ns = clock_mono_ns() + (int64_t)conn->timeout_ms * 1000000;
}

static enum sql_outcome
fail(struct sql_conn *conn, int code, struct err *err)
{
    switch (code & 0xff) {
    case SQLITE_INTERRUPT:
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        err_set(err, ERR_REMOTE, "the statement took longer than %" PRIu64 " ms", conn->timeout_ms);
        return sql_task_stopped(conn->task) ? SQL_STOPPED : SQL_TIMEOUT;
    case SQLITE_CANTOPEN:
    case SQLITE_IOERR:
        conn->broken = true;
        err_set(err, ERR_REMOTE, "%s", sqlite3_errmsg(conn->db));
        return SQL_LOST;
    default:
        err_set(err, ERR_REMOTE, "%s", sqlite3_errmsg(conn->db));
        return SQL_FAILED;
    }
}

/* ---- open and close ---- */

static void
sqlite_close(struct sql_conn *conn)
{
    if (conn != NULL) {
        (void)sqlite3_close_v2(conn->db);
        free(conn->path);
        free(conn);
    }
}

static enum sql_outcome
set_up(struct sql_conn *conn, struct err *err)
{
    struct stat found;
    if (stat(conn->path, &found) != 0) {
        err_set_errno(err, errno, "%s", conn->path);
        return SQL_LOST;
    }
    conn->device = found.st_dev;
    conn->inode = found.st_ino;
    int rc =
        sqlite3_open_v2(conn->path, &conn->db, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX, NULL);
    if (rc == SQLITE_OK) {
        sqlite3_progress_handler(conn->db, STEPS, must_end, conn);
        sqlite3_busy_handler(conn->db, on_busy, conn);
        rc = sqlite3_exec(conn->db,
            "PRAGMA query_only = 1; PRAGMA trusted_schema = 0; PRAGMA cache_size = -2048", NULL,
            NULL, NULL);
    }
    return rc == SQLITE_OK ? SQL_DONE : fail(conn, rc, err);
}

static struct sql_conn *
sqlite_open(const struct sql_settings *settings, struct sql_task *task, enum sql_outcome *outcome,
    struct err *err)
{
    struct sql_conn *conn = mem_calloc(1, sizeof *conn);
    conn->path = mem_strdup(settings->sqlite);
    conn->timeout_ms = settings->statement_timeout_ms;
    begin(conn, task);
    *outcome = set_up(conn, err);
    if (*outcome != SQL_DONE) {
        sqlite_close(conn);
        return NULL;
    }
    return conn;
}

/* The file has been replaced by another: the old one would be read for ever. */
static bool
same_file(const struct sql_conn *conn)
{
    struct stat found;
    return stat(conn->path, &found) == 0 && found.st_dev == conn->device &&
           found.st_ino == conn->inode;
}

static bool
sqlite_healthy(const struct sql_conn *conn)
{
    return !conn->broken && same_file(conn);
}

/* ---- statements ---- */

static enum sql_outcome
compile(struct sql_conn *conn, const struct sql_statement *statement, sqlite3_stmt **compiled,
    struct err *err)
{
    int rc = sqlite3_prepare_v2(conn->db, statement->text, -1, compiled, NULL);
    if (rc != SQLITE_OK) {
        return fail(conn, rc, err);
    }
    if (!sqlite3_stmt_readonly(*compiled)) {
        (void)sqlite3_finalize(*compiled);
        err_set(err, ERR_INVALID, "the query writes");
        return SQL_FAILED;
    }
    return SQL_DONE;
}

static int
bind_one(sqlite3_stmt *compiled, int i, const struct sql_value *value)
{
    switch (value->kind) {
    case SQL_NULL:
        break;
    case SQL_INTEGER:
        return sqlite3_bind_int64(compiled, i, value->integer);
    case SQL_REAL:
        return sqlite3_bind_double(compiled, i, value->real);
    case SQL_TEXT:
        if (value->type == SQL_TYPE_NUMBER) {
            return sqlite3_bind_double(compiled, i, strtod(value->bytes, NULL));
        }
        return sqlite3_bind_text64(
            compiled, i, value->bytes, value->len, SQLITE_STATIC, SQLITE_UTF8);
    case SQL_BLOB:
        return sqlite3_bind_blob64(compiled, i, value->bytes, value->len, SQLITE_STATIC);
    }
    return sqlite3_bind_null(compiled, i);
}

static enum sql_outcome
bind_all(struct sql_conn *conn, sqlite3_stmt *compiled, const struct sql_statement *statement,
    struct err *err)
{
    for (size_t i = 0; i < statement->n_values; i++) {
        int rc = bind_one(compiled, (int)i + 1, &statement->values[i]);
        if (rc != SQLITE_OK) {
            return fail(conn, rc, err);
        }
    }
    return SQL_DONE;
}

static unsigned
declared_as(const char *type)
{
    static const struct {
        const char *word;
        enum declared as;
    } words[] = {{"bool", DECLARED_BOOLEAN}, {"boolean", DECLARED_BOOLEAN}, {"json", DECLARED_JSON},
        {"jsonb", DECLARED_JSON}, {"datetime", DECLARED_TIME}, {"timestamp", DECLARED_TIME},
        {"timestamptz", DECLARED_TIME}};
    for (size_t i = 0; type != NULL && i < sizeof words / sizeof *words; i++) {
        if (strcasecmp(type, words[i].word) == 0) {
            return words[i].as;
        }
    }
    return DECLARED_NOTHING;
}

static enum sql_outcome
sqlite_prepare(struct sql_conn *conn, struct sql_task *task, const struct sql_statement *statement,
    struct sql_columns *columns, struct err *err)
{
    sqlite3_stmt *compiled;
    begin(conn, task);
    enum sql_outcome outcome = compile(conn, statement, &compiled, err);
    if (outcome != SQL_DONE) {
        return outcome;
    }
    columns->n = (size_t)sqlite3_column_count(compiled);
    columns->items = mem_calloc(columns->n, sizeof *columns->items);
    for (size_t i = 0; i < columns->n; i++) {
        columns->items[i].name = mem_strdup(sqlite3_column_name(compiled, (int)i));
        columns->items[i].type = declared_as(sqlite3_column_decltype(compiled, (int)i));
    }
    (void)sqlite3_finalize(compiled);
    return SQL_DONE;
}

static enum sql_outcome
take_rows(struct sql_conn *conn, sqlite3_stmt *compiled, struct sql_sink *sink, struct err *err)
{
    const struct sql_row row = {compiled};
    int rc;
    while ((rc = sqlite3_step(compiled)) == SQLITE_ROW) {
        if (!sink->row(sink, &row)) {
            return SQL_DONE;
        }
    }
    return rc == SQLITE_DONE ? SQL_DONE : fail(conn, rc, err);
}

static enum sql_outcome
sqlite_run(struct sql_conn *conn, struct sql_task *task, const struct sql_statement *statement,
    struct sql_sink *sink, struct err *err)
{
    sqlite3_stmt *compiled;
    begin(conn, task);
    enum sql_outcome outcome = compile(conn, statement, &compiled, err);
    if (outcome != SQL_DONE) {
        return outcome;
    }
    outcome = bind_all(conn, compiled, statement, err);
    if (outcome == SQL_DONE) {
        outcome = take_rows(conn, compiled, sink, err);
    }
    (void)sqlite3_finalize(compiled);
    return outcome;
}

/* ---- values ---- */

static size_t
sqlite_width(const struct sql_row *row)
{
    return (size_t)sqlite3_column_count(row->statement);
}

static void
sqlite_value(const struct sql_row *row, size_t i_, struct sql_value *value)
{
    int i = (int)i_;
    *value = (struct sql_value){.type = SQL_TYPE_ANY};
    switch (sqlite3_column_type(row->statement, i)) {
    case SQLITE_INTEGER:
        value->kind = SQL_INTEGER;
        value->integer = sqlite3_column_int64(row->statement, i);
        break;
    case SQLITE_FLOAT:
        value->kind = SQL_REAL;
        value->real = sqlite3_column_double(row->statement, i);
        break;
    case SQLITE_TEXT:
        value->kind = SQL_TEXT;
        value->bytes = (const char *)sqlite3_column_text(row->statement, i);
        break;
    case SQLITE_BLOB:
        value->kind = SQL_BLOB;
        value->bytes = sqlite3_column_blob(row->statement, i);
        break;
    default:
        break;
    }
    if (value->kind == SQL_TEXT || value->kind == SQL_BLOB) {
        value->len = (size_t)sqlite3_column_bytes(row->statement, i);
        value->bytes = value->bytes == NULL ? "" : value->bytes; /* an empty one may be NULL */
    }
}

/* The shortest text that reads as the same double, and as no integer. */
static void
add_real(struct buf *out, double real)
{
    if (isinf(real)) {
        buf_adds(out, real < 0 ? "\"-Infinity\"" : "\"Infinity\"");
        return;
    }
    char text[40];
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, real);
        if (strtod(text, NULL) == real) {
            break;
        }
    }
    buf_adds(out, text);
    buf_adds(out, strpbrk(text, ".e") == NULL ? ".0" : "");
}

/* 2026-01-31 12:00:00.5, which SQLite's functions make and mean as UTC. */
static bool
is_sqlite_time(const char *text, size_t len)
{
    static const char shape[] = "dddd-dd-dd dd:dd:dd";
    for (size_t i = 0; i < sizeof shape - 1; i++) {
        bool digit = i < len && text[i] >= '0' && text[i] <= '9';
        if (i >= len || (shape[i] == 'd' ? !digit : text[i] != shape[i])) {
            return false;
        }
    }
    size_t fraction = sizeof shape - 1;
    if (fraction == len) {
        return true;
    }
    return text[fraction] == '.' && len > fraction + 1 &&
           strspn(text + fraction + 1, "0123456789") == len - fraction - 1;
}

static void
add_text(struct buf *out, const struct sql_value *value, unsigned declared)
{
    size_t start, end;
    enum json_kind kind =
        declared == DECLARED_JSON ? json_scan(value->bytes, value->len, &start, &end) : JSON_NOT;
    if (kind == JSON_ONE_LINE) {
        buf_add(out, value->bytes + start, end - start);
    } else if (kind == JSON_MULTILINE) {
        json_compact(out, value->bytes, value->len);
    } else if (declared == DECLARED_TIME && is_sqlite_time(value->bytes, value->len)) {
        buf_addc(out, '"');
        buf_add(out, value->bytes, 10);
        buf_addc(out, 'T');
        buf_add(out, value->bytes + 11, value->len - 11);
        BUF_LITERAL(out, "Z\"");
    } else {
        json_add_bytes(out, value->bytes, value->len);
    }
}

static void
sqlite_add_json(
    const struct sql_row *row, size_t i, const struct sql_column *column, struct buf *out)
{
    struct sql_value value;
    sqlite_value(row, i, &value);
    switch (value.kind) {
    case SQL_NULL:
        BUF_LITERAL(out, "null");
        break;
    case SQL_INTEGER:
        if (column->type == DECLARED_BOOLEAN && (value.integer == 0 || value.integer == 1)) {
            buf_adds(out, value.integer == 1 ? "true" : "false");
        } else {
            buf_addf(out, "%" PRId64, value.integer);
        }
        break;
    case SQL_REAL:
        add_real(out, value.real);
        break;
    case SQL_TEXT:
        add_text(out, &value, column->type);
        break;
    case SQL_BLOB:
        json_add_base64(out, value.bytes, value.len);
        break;
    }
}

/* ---- following ---- */

static enum sql_outcome
sqlite_listen(struct sql_conn *conn, struct sql_task *task, const char *channel, struct err *err)
{
    (void)conn;
    (void)task;
    err_set(err, ERR_INVALID, "listen: %s: SQLite does not notify", channel);
    return SQL_FAILED;
}

static enum sql_outcome
sqlite_wait(struct sql_conn *conn, struct sql_task *task, int64_t deadline_ns, struct err *err)
{
    if (sql_task_wait(task, -1, 0, deadline_ns, true) == SQL_WAIT_STOPPED) {
        return SQL_STOPPED;
    }
    if (!same_file(conn)) {
        conn->broken = true;
        err_set(err, ERR_REMOTE, "%s has been replaced", conn->path);
        return SQL_LOST;
    }
    return SQL_DONE;
}

const struct sql_driver sql_sqlite_driver = {
    .name = "sqlite",
    .dialect = SQL_SQLITE,
    .open = sqlite_open,
    .prepare = sqlite_prepare,
    .run = sqlite_run,
    .width = sqlite_width,
    .value = sqlite_value,
    .add_json = sqlite_add_json,
    .listen = sqlite_listen,
    .wait = sqlite_wait,
    .healthy = sqlite_healthy,
    .close = sqlite_close,
};
