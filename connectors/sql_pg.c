/* sql_pg: the PostgreSQL driver: statements, rows, notifications. The task's thread.
 *
 * Every statement is sent with its values apart (PQsendQueryParams) and planned anew: the plan then
 * fits the values, LIMIT is a number that the planner sees, and a pooler between us and the server
 * need not know of prepared statements. It is autocommitted, so no transaction outlives it. */
#include "sql_pg_conn.h"
#include "sql_pg_types.h"

#include "../gateway/clock.h"
#include "../gateway/mem.h"

#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

struct sql_row {
    const PGresult *result;
};

#define VALUES_MAX (SQL_PARAMS_MAX + 2 * SQL_KEY_MAX)

/* Values as libpq wants them. */
struct binding {
    Oid types[VALUES_MAX];
    const char *texts[VALUES_MAX];
    int lengths[VALUES_MAX];
    int formats[VALUES_MAX];
    char numbers[VALUES_MAX][32];
    struct buf copies; /* of texts that do not end with NUL */
    size_t offsets[VALUES_MAX];
    int n;
};

static Oid
oid_of(enum sql_type type)
{
    static const Oid oids[] = {[SQL_TYPE_TEXT] = PG_TEXT,
        [SQL_TYPE_INTEGER] = PG_INT8,
        [SQL_TYPE_NUMBER] = PG_NUMERIC,
        [SQL_TYPE_BOOLEAN] = PG_BOOL,
        [SQL_TYPE_TIMESTAMP] = PG_TIMESTAMPTZ,
        [SQL_TYPE_DATE] = PG_DATE,
        [SQL_TYPE_UUID] = PG_UUID,
        [SQL_TYPE_ANY] = 0};
    return oids[type];
}

/* A text with a NUL would be cut there: it can only come from a token that was made up. */
static int
bind_bytes(struct binding *binding, size_t i, const struct sql_value *value, struct err *err)
{
    if (memchr(value->bytes, '\0', value->len) != NULL) {
        err_set(err, ERR_INVALID, "a value has a NUL byte");
        return -1;
    }
    binding->offsets[i] = binding->copies.len;
    buf_add(&binding->copies, value->bytes, value->len);
    buf_addc(&binding->copies, '\0');
    return 0;
}

static int
bind_one(struct binding *binding, size_t i, const struct sql_value *value, struct err *err)
{
    binding->types[i] = oid_of(value->type);
    binding->offsets[i] = SIZE_MAX;
    switch (value->kind) {
    case SQL_INTEGER:
        snprintf(binding->numbers[i], sizeof binding->numbers[i], "%" PRId64, value->integer);
        binding->texts[i] = binding->numbers[i];
        return 0;
    case SQL_REAL:
        snprintf(binding->numbers[i], sizeof binding->numbers[i], "%.17g", value->real);
        binding->texts[i] = binding->numbers[i];
        return 0;
    case SQL_TEXT:
    case SQL_BLOB:
        return bind_bytes(binding, i, value, err);
    case SQL_NULL:
        break;
    }
    binding->texts[i] = NULL;
    return 0;
}

static int
bind_all(struct binding *binding, const struct sql_statement *statement, struct err *err)
{
    buf_init(&binding->copies);
    binding->n = (int)statement->n_values;
    for (size_t i = 0; i < statement->n_values; i++) {
        if (bind_one(binding, i, &statement->values[i], err) != 0) {
            buf_fini(&binding->copies);
            return -1;
        }
    }
    for (size_t i = 0; i < statement->n_values; i++) {
        if (binding->offsets[i] != SIZE_MAX) { /* now that copies does not move any more */
            binding->texts[i] = binding->copies.bytes + binding->offsets[i];
        }
    }
    return 0;
}

/* ---- what a statement gives ---- */

static void
copy_columns(const PGresult *described, struct sql_columns *columns)
{
    columns->n = (size_t)PQnfields(described);
    columns->items = mem_calloc(columns->n, sizeof *columns->items);
    for (size_t i = 0; i < columns->n; i++) {
        struct sql_column *column = &columns->items[i];
        column->name = mem_strdup(PQfname(described, (int)i));
        column->type = PQftype(described, (int)i);
        column->delimiter = ',';
    }
}

/* An array of a type of the user's: what its elements are, a domain's base type behind them. */
static enum sql_outcome
look_up(struct sql_conn *conn, struct sql_task *task, struct sql_column *column, struct err *err)
{
    char type[16];
    const char *const values[] = {type};
    snprintf(type, sizeof type, "%u", column->type);
    PGresult *result = NULL;
    enum sql_outcome outcome = pg_simple(conn, task,
        PQsendQueryParams(conn->pg,
            "SELECT coalesce(nullif(e.typbasetype, 0), e.oid), e.typdelim FROM pg_type t"
            " JOIN pg_type e ON e.oid = t.typelem WHERE t.oid = $1::text::oid AND t.typlen = -1"
            " AND t.typcategory = 'A'",
            1, NULL, values, NULL, NULL, 0),
        &result, err);
    if (outcome == SQL_DONE && PQntuples(result) == 1) {
        column->element = (unsigned)strtoul(PQgetvalue(result, 0, 0), NULL, 10);
        column->delimiter = PQgetvalue(result, 0, 1)[0];
    }
    PQclear(result);
    return outcome;
}

static enum sql_outcome
pg_prepare(struct sql_conn *conn, struct sql_task *task, const struct sql_statement *statement,
    struct sql_columns *columns, struct err *err)
{
    Oid types[VALUES_MAX];
    for (size_t i = 0; i < statement->n_values; i++) {
        types[i] = oid_of(statement->values[i].type);
    }
    PGresult *described = NULL;
    enum sql_outcome outcome = pg_simple(conn, task,
        PQsendPrepare(conn->pg, "", statement->text, (int)statement->n_values, types), NULL, err);
    if (outcome == SQL_DONE) {
        outcome = pg_simple(conn, task, PQsendDescribePrepared(conn->pg, ""), &described, err);
    }
    if (outcome != SQL_DONE) {
        return outcome;
    }
    copy_columns(described, columns);
    PQclear(described);
    for (size_t i = 0; outcome == SQL_DONE && i < columns->n; i++) {
        struct sql_column *column = &columns->items[i];
        if (!pg_type_known(column->type, &column->element)) {
            outcome = look_up(conn, task, column, err);
        }
    }
    if (outcome != SQL_DONE) {
        sql_columns_fini(columns);
    }
    return outcome;
}

/* ---- rows ---- */

/* In single-row mode each row is a result; an empty one ends them. */
static enum sql_outcome
take_rows(struct sql_conn *conn, struct sql_task *task, struct sql_sink *sink, struct err *err)
{
    int64_t deadline = pg_deadline(conn);
    PGresult *result;
    enum sql_outcome outcome;
    bool more = true;
    while (
        (outcome = pg_result(conn, task, deadline, &result, err)) == SQL_DONE && result != NULL) {
        if (PQresultStatus(result) == PGRES_SINGLE_TUPLE) {
            const struct sql_row row = {result};
            more = sink->row(sink, &row);
        }
        PQclear(result);
        if (!more) {
            pg_drop_rest(conn, task);
            return SQL_DONE;
        }
    }
    return outcome;
}

static enum sql_outcome
pg_run(struct sql_conn *conn, struct sql_task *task, const struct sql_statement *statement,
    struct sql_sink *sink, struct err *err)
{
    struct binding binding;
    if (bind_all(&binding, statement, err) != 0) {
        return SQL_FAILED;
    }
    int sent = PQsendQueryParams(
        conn->pg, statement->text, binding.n, binding.types, binding.texts, NULL, NULL, 0);
    buf_fini(&binding.copies);
    if (!sent || !PQsetSingleRowMode(conn->pg)) {
        conn->broken = true;
        err_set(err, ERR_REMOTE, "the connection is gone");
        return SQL_LOST;
    }
    return take_rows(conn, task, sink, err);
}

static size_t
pg_width(const struct sql_row *row)
{
    return (size_t)PQnfields(row->result);
}

static void
pg_value(const struct sql_row *row, size_t i, struct sql_value *value)
{
    *value = (struct sql_value){.type = SQL_TYPE_ANY};
    if (PQgetisnull(row->result, 0, (int)i)) {
        return;
    }
    value->kind = SQL_TEXT;
    value->bytes = PQgetvalue(row->result, 0, (int)i);
    value->len = (size_t)PQgetlength(row->result, 0, (int)i);
    Oid type = PQftype(row->result, (int)i);
    if (type == PG_INT8 || type == PG_INT4 || type == PG_INT2) {
        value->kind = SQL_INTEGER;
        value->integer = strtoll(value->bytes, NULL, 10);
    }
}

static void
pg_row_json(const struct sql_row *row, size_t i, const struct sql_column *column, struct buf *out)
{
    if (PQgetisnull(row->result, 0, (int)i)) {
        BUF_LITERAL(out, "null");
        return;
    }
    pg_add_json(out, column, PQgetvalue(row->result, 0, (int)i),
        (size_t)PQgetlength(row->result, 0, (int)i));
}

/* ---- notifications ---- */

static enum sql_outcome
pg_listen(struct sql_conn *conn, struct sql_task *task, const char *channel, struct err *err)
{
    char *quoted = PQescapeIdentifier(conn->pg, channel, strlen(channel));
    if (quoted == NULL) {
        err_set(err, ERR_INVALID, "the channel's name is not UTF-8");
        return SQL_FAILED;
    }
    struct buf text;
    buf_init(&text);
    BUF_LITERAL(&text, "LISTEN ");
    buf_adds(&text, quoted);
    buf_addc(&text, '\0');
    PQfreemem(quoted);
    enum sql_outcome outcome = pg_simple(conn, task, PQsendQuery(conn->pg, text.bytes), NULL, err);
    buf_fini(&text);
    return outcome;
}

/* All that have come; they all say the same. */
static bool
notified(struct sql_conn *conn)
{
    bool any = false;
    PGnotify *notify;
    while ((notify = PQnotifies(conn->pg)) != NULL) {
        any = true;
        PQfreemem(notify);
    }
    return any;
}

static enum sql_outcome
pg_wait(struct sql_conn *conn, struct sql_task *task, int64_t deadline_ns, struct err *err)
{
    while (!notified(conn)) {
        switch (sql_task_wait(task, PQsocket(conn->pg), POLLIN, deadline_ns, true)) {
        case SQL_WAIT_READY:
            if (!PQconsumeInput(conn->pg)) {
                conn->broken = true;
                err_set(err, ERR_REMOTE, "the server has closed the connection");
                return SQL_LOST;
            }
            break;
        case SQL_WAIT_STOPPED:
            return SQL_STOPPED;
        case SQL_WAIT_WOKEN:
        case SQL_WAIT_LATE:
            return SQL_DONE;
        }
    }
    return SQL_DONE;
}

/* A server that was restarted meanwhile has closed the socket, which then is readable. */
static bool
pg_healthy(const struct sql_conn *conn)
{
    struct pollfd fd = {.fd = PQsocket(conn->pg), .events = POLLIN};
    return !conn->broken && PQstatus(conn->pg) == CONNECTION_OK &&
           PQtransactionStatus(conn->pg) == PQTRANS_IDLE && poll(&fd, 1, 0) == 0;
}

const struct sql_driver sql_postgres_driver = {
    .name = "postgres",
    .dialect = SQL_POSTGRES,
    .open = pg_open,
    .prepare = pg_prepare,
    .run = pg_run,
    .width = pg_width,
    .value = pg_value,
    .add_json = pg_row_json,
    .listen = pg_listen,
    .wait = pg_wait,
    .healthy = pg_healthy,
    .close = pg_close,
};
