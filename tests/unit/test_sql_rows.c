/* Values as JSON: PostgreSQL's texts, and SQLite's values out of a database; pages along a key. */
#include "unit.h"

#include "../../connectors/sql_page.h"
#include "../../connectors/sql_pg_types.h"
#include "../../gateway/json.h"

#include <inttypes.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* ---- PostgreSQL ---- */

static const char *
pg(unsigned type, unsigned element, const char *text)
{
    static struct buf out;
    const struct sql_column column = {.type = type, .element = element, .delimiter = ','};
    out.len = 0;
    pg_add_json(&out, &column, text, strlen(text));
    size_t start, end;
    ck_assert_int_eq(json_scan(out.bytes, out.len, &start, &end), JSON_ONE_LINE);
    buf_addc(&out, '\0');
    return out.bytes;
}

START_TEST(postgres_scalars_keep_their_types)
{
    static const struct {
        unsigned type;
        const char *text, *json;
    } cases[] = {{PG_BOOL, "t", "true"}, {PG_BOOL, "f", "false"},
        {PG_INT8, "-9223372036854775808", "-9223372036854775808"}, {PG_INT4, "7", "7"},
        {PG_INT2, "-7", "-7"}, {PG_OID, "4294967295", "4294967295"}, {PG_FLOAT8, "1e+20", "1e+20"},
        {PG_FLOAT8, "NaN", "\"NaN\""}, {PG_FLOAT4, "-Infinity", "\"-Infinity\""},
        {PG_NUMERIC, "123456789012345678901234567890.0000000001",
            "123456789012345678901234567890.0000000001"},
        {PG_NUMERIC, "NaN", "\"NaN\""}, {PG_NUMERIC, "Infinity", "\"Infinity\""},
        {PG_BYTEA, "\\x00ff10", "\"AP8Q\""}, {PG_BYTEA, "\\x", "\"\""},
        {PG_JSON, " {\"a\": [1,\n 2.50]} ", "{\"a\":[1,2.50]}"},
        {PG_JSONB, "{\"a\": 1}", "{\"a\": 1}"},
        {PG_TIMESTAMPTZ, "2026-01-31 12:00:00.123456+00", "\"2026-01-31T12:00:00.123456Z\""},
        {PG_TIMESTAMP, "2026-01-31 12:00:00", "\"2026-01-31T12:00:00\""},
        {PG_TIMESTAMPTZ, "infinity", "\"infinity\""},
        {PG_TIMESTAMPTZ, "0044-03-15 00:00:00+00 BC", "\"0044-03-15 00:00:00+00 BC\""},
        {PG_TIMESTAMP, "12026-01-31 12:00:00", "\"12026-01-31 12:00:00\""},
        {PG_DATE, "2026-01-31", "\"2026-01-31\""}, {PG_TEXT, "a\"\n\x01", "\"a\\\"\\n\\u0001\""},
        {PG_UUID, "00000000-0000-4000-8000-00000000000f",
            "\"00000000-0000-4000-8000-00000000000f\""},
        {3614, "'a':1", "\"'a':1\""}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ck_assert_str_eq(pg(cases[i].type, 0, cases[i].text), cases[i].json);
    }
}
END_TEST

START_TEST(postgres_arrays_are_arrays_of_their_elements)
{
    static const struct {
        unsigned element;
        const char *text, *json;
    } cases[] = {{PG_INT4, "{}", "[]"}, {PG_INT4, "{1,NULL,-3}", "[1,null,-3]"},
        {PG_INT4, "{{1,2},{3,4}}", "[[1,2],[3,4]]"}, {PG_INT4, "[0:1]={5,6}", "[5,6]"},
        {PG_TEXT, "{a,\"NULL\",\"b,\\\"c\\\\\",\"\",\"{}\"}",
            "[\"a\",\"NULL\",\"b,\\\"c\\\\\",\"\",\"{}\"]"},
        {PG_BOOL, "{t,f}", "[true,false]"}, {PG_FLOAT8, "{1.5,NaN}", "[1.5,\"NaN\"]"},
        {PG_BYTEA, "{\"\\\\x00ff\"}", "[\"AP8=\"]"},
        {PG_TIMESTAMPTZ, "{\"2026-01-31 12:00:00+00\"}", "[\"2026-01-31T12:00:00Z\"]"},
        {PG_JSONB, "{\"{\\\"a\\\": [1, 2]}\",\"1\"}", "[{\"a\": [1, 2]},1]"},
        {PG_NUMERIC, "{1e400}", "[1e400]"},
        /* Not what an array looks like: its text. */
        {PG_INT4, "{1,2", "\"{1,2\""}, {PG_INT4, "{1}x", "\"{1}x\""}, {PG_INT4, "", "\"\""},
        {PG_INT4, "[0:1]", "\"[0:1]\""}, {PG_INT4, "{{{{{{{1}}}}}}}", "\"{{{{{{{1}}}}}}}\""}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ck_assert_str_eq(pg(1, cases[i].element, cases[i].text), cases[i].json);
    }
}
END_TEST

/* ---- SQLite ---- */

struct fixture {
    char path[64];
    struct sql_settings settings;
    struct sql_task task;
    struct sql_conn *conn;
    struct sql_query query;
    struct sql_columns columns;
    size_t keys[SQL_KEY_MAX];
    struct sql_page page;
    char *key_names[SQL_KEY_MAX];
};

static const struct sql_driver *const lite = &sql_sqlite_driver;

static void
execute(const char *path, const char *text)
{
    sqlite3 *db;
    char *message = NULL;
    ck_assert_int_eq(sqlite3_open(path, &db), SQLITE_OK);
    ck_assert_msg(sqlite3_exec(db, text, NULL, NULL, &message) == SQLITE_OK, "%s", message);
    sqlite3_close(db);
}

/* A database made by make, and query over it, prepared; key is "a" or "a,b". */
static void
set_up(struct fixture *fixture, const char *make, char *query, const char *key)
{
    *fixture = (struct fixture){.path = "/tmp/headgate-sql-XXXXXX"};
    int fd = mkstemp(fixture->path);
    ck_assert_int_ge(fd, 0);
    close(fd);
    execute(fixture->path, make);
    struct sql_settings *settings = &fixture->settings;
    *settings = (struct sql_settings){.sqlite = fixture->path,
        .query = query,
        .key = {.items = fixture->key_names},
        .page_rows = 1000,
        .page_bytes = 1 << 20,
        .connections = 1,
        .requests = 1,
        .statement_timeout_ms = 10000};
    static char names[256];
    snprintf(names, sizeof names, "%s", key);
    for (char *name = strtok(names, ","); name != NULL; name = strtok(NULL, ",")) {
        settings->key.items[settings->key.n++] = name;
    }
    struct err err = {0};
    enum sql_outcome outcome;
    ck_assert_int_eq(sql_settings_check(settings, &err), 0);
    ck_assert_int_eq(sql_task_init(&fixture->task, NULL, &err), 0);
    fixture->conn = lite->open(settings, &fixture->task, &outcome, &err);
    ck_assert_msg(fixture->conn != NULL, "%s", err.text);
    sql_settings_scan(settings, &fixture->query);
    sql_page_init(&fixture->page, lite, 1000);
}

static void
describe(struct fixture *fixture)
{
    struct buf text;
    struct err err = {0};
    buf_init(&text);
    sql_page_text(&text, &fixture->settings, &fixture->query, &(struct sql_bounds){.rows = 1});
    ck_assert_msg(
        lite->prepare(fixture->conn, &fixture->task, &(struct sql_statement){.text = text.bytes},
            &fixture->columns, &err) == SQL_DONE,
        "%s", err.text);
    buf_fini(&text);
    ck_assert_msg(sql_page_keys(&fixture->settings, &fixture->columns, fixture->keys, &err) == 0,
        "%s", err.text);
}

static void
tear_down(struct fixture *fixture)
{
    lite->close(fixture->conn);
    sql_page_fini(&fixture->page);
    sql_columns_fini(&fixture->columns);
    sql_query_fini(&fixture->query);
    sql_task_fini(&fixture->task);
    unlink(fixture->path);
}

/* The page of at most rows behind cursor (empty: the first) into the fixture's. */
static enum sql_outcome
fetch(struct fixture *fixture, const struct buf *cursor, size_t rows, size_t bytes, struct err *err)
{
    struct sql_value values[SQL_KEY_MAX];
    struct sql_statement statement = {.values = values};
    size_t n_keys = fixture->settings.key.n;
    if (cursor->len > 0) {
        ck_assert_int_eq(sql_cursor_decode(cursor->bytes, cursor->len, values, n_keys, err), 0);
        statement.n_values = n_keys;
    }
    struct buf text;
    buf_init(&text);
    sql_page_text(&text, &fixture->settings, &fixture->query,
        &(struct sql_bounds){.after = cursor->len > 0, .rows = rows + 1});
    statement.text = text.bytes;
    sql_page_reset(&fixture->page, &fixture->columns, fixture->keys, n_keys, rows, bytes);
    enum sql_outcome outcome =
        lite->run(fixture->conn, &fixture->task, &statement, &fixture->page.sink, err);
    buf_fini(&text);
    return outcome;
}

static const char *
row(const struct fixture *fixture, size_t i)
{
    static char shown[4096];
    const struct sql_page_row *found = &fixture->page.rows[i];
    snprintf(
        shown, sizeof shown, "%.*s", (int)found->json_len, fixture->page.bytes.bytes + found->json);
    return shown;
}

START_TEST(sqlite_values_keep_their_types)
{
    static char query[] = "select id, v, b, j, t from x";
    static const char *const rows[] = {
        "{\"id\":1,\"v\":null,\"b\":true,\"j\":{\"a\":[1,2.50]},\"t\":\"2026-01-31T12:00:00Z\"}",
        "{\"id\":2,\"v\":9223372036854775807,\"b\":false,\"j\":\"no "
        "json\",\"t\":\"2026-01-31T12:00:00.25Z\"}",
        "{\"id\":3,\"v\":0.1,\"b\":2,\"j\":5,\"t\":\"tomorrow\"}",
        "{\"id\":4,\"v\":1.0,\"b\":\"x\",\"j\":null,\"t\":1769860800}",
        "{\"id\":5,\"v\":\"Infinity\",\"b\":null,\"j\":null,\"t\":null}",
        "{\"id\":6,\"v\":\"-Infinity\",\"b\":null,\"j\":null,\"t\":null}",
        "{\"id\":7,\"v\":\"AP8Q\",\"b\":null,\"j\":null,\"t\":null}",
        "{\"id\":8,\"v\":\"\",\"b\":null,\"j\":null,\"t\":null}",
        "{\"id\":9,\"v\":{\"base64\":\"/2E=\"},\"b\":null,\"j\":null,\"t\":null}",
        "{\"id\":10,\"v\":\"a\\u0000b\",\"b\":null,\"j\":null,\"t\":null}",
        "{\"id\":11,\"v\":4.94065645841247e-324,\"b\":null,\"j\":null,\"t\":null}"};
    struct fixture f;
    set_up(&f,
        "create table x(id integer primary key, v, b boolean, j json, t datetime);"
        "insert into x values(1, null, 1, ' {\"a\": [1,\n2.50]}', '2026-01-31 12:00:00'),"
        "(2, 9223372036854775807, 0, 'no json', '2026-01-31 12:00:00.25'),(3, 0.1, 2, '5', "
        "'tomorrow'),"
        "(4, 1.0, 'x', null, 1769860800),(5, 9e999, null, null, null),(6, -9e999, null, null, "
        "null),"
        "(7, x'00ff10', null, null, null),(8, x'', null, null, null),"
        "(9, cast(x'ff61' as text), null, null, null),(10, cast(x'610062' as text), null, null, "
        "null),"
        "(11, 5e-324, null, null, null)",
        query, "id");
    describe(&f);
    struct err err = {0};
    struct buf start = {0};
    ck_assert_int_eq(fetch(&f, &start, 1000, 1 << 20, &err), SQL_DONE);
    ck_assert_msg(!f.page.wrong, "%s", f.page.err.text);
    ck_assert_uint_eq(f.page.n, sizeof rows / sizeof *rows);
    for (size_t i = 0; i < f.page.n; i++) {
        ck_assert_str_eq(row(&f, i), rows[i]);
    }
    tear_down(&f);
}
END_TEST

/* Walk all of it in pages; the numbers of rows seen. */
static size_t
walk(struct fixture *f, size_t rows, size_t bytes, struct buf *all)
{
    struct buf cursor = {0};
    struct err err = {0};
    size_t n = 0;
    do {
        ck_assert_msg(fetch(f, &cursor, rows, bytes, &err) == SQL_DONE, "%s", err.text);
        ck_assert_msg(!f->page.wrong, "%s", f->page.err.text);
        ck_assert(f->page.n <= rows);
        for (size_t i = 0; i < f->page.n; i++) {
            buf_adds(all, row(f, i));
            buf_addc(all, '\n');
        }
        n += f->page.n;
        if (f->page.n > 0) {
            const struct sql_page_row *last = &f->page.rows[f->page.n - 1];
            cursor.len = 0;
            buf_add(&cursor, f->page.bytes.bytes + last->cursor, last->cursor_len);
        }
    } while (f->page.more);
    buf_fini(&cursor);
    return n;
}

START_TEST(pages_of_any_size_give_the_same_rows_with_ties_in_a_composite_key)
{
    static char query[] = "select g, n, 'row ' || g || n as t from x";
    for (int order = 0; order < 2; order++) {
        struct fixture f;
        set_up(&f,
            "create table x(g text, n real, primary key(g, n));"
            "insert into x select char(97 + value % 5), (value / 5) * 0.5 from "
            "(with recursive c(value) as (select 0 union all select value + 1 from c limit 103) "
            "select value from c)",
            query, "g,n");
        f.settings.order = order;
        describe(&f);
        struct buf whole = {0};
        ck_assert_uint_eq(walk(&f, 1000, 1 << 20, &whole), 103);
        for (size_t rows = 1; rows < 30; rows += 4) {
            struct buf all = {0};
            ck_assert_uint_eq(walk(&f, rows, rows % 3 == 0 ? 100 : 1 << 20, &all), 103);
            ck_assert(all.len == whole.len && memcmp(all.bytes, whole.bytes, all.len) == 0);
            buf_fini(&all);
        }
        const char *first = order == 0 ? "{\"g\":\"a\",\"n\":0.0" : "{\"g\":\"e\",\"n\":9.5";
        ck_assert(memcmp(whole.bytes, first, strlen(first)) == 0);
        buf_fini(&whole);
        tear_down(&f);
    }
}
END_TEST

START_TEST(keys_that_cannot_order_rows_are_told)
{
    static char query[] = "select g, n from x";
    struct buf start = {0};
    struct err err = {0};
    struct fixture f;
    set_up(&f, "create table x(g, n); insert into x values (1, 1), (1, 2), (2, 3)", query, "g");
    describe(&f);
    for (size_t rows = 1; rows < 3; rows++) { /* inside of a page, and over its end */
        ck_assert_int_eq(fetch(&f, &start, rows, 1 << 20, &err), SQL_DONE);
        ck_assert(f.page.wrong);
        ck_assert_str_eq(f.page.err.text, "the key is not unique: two rows have the same one");
    }
    execute(f.path, "delete from x; insert into x values (null, 1)");
    ck_assert_int_eq(fetch(&f, &start, 10, 1 << 20, &err), SQL_DONE);
    ck_assert(f.page.wrong);
    ck_assert_str_eq(f.page.err.text, "a key column is NULL");
    tear_down(&f);
}
END_TEST

START_TEST(a_query_whose_columns_do_not_fit_is_refused)
{
    static char twice[] = "select g, n as g from x", without[] = "select n from x";
    struct err err = {0};
    for (int i = 0; i < 2; i++) {
        struct fixture f;
        set_up(&f, "create table x(g, n)", i == 0 ? twice : without, "g");
        struct buf text = {0};
        sql_page_text(&text, &f.settings, &f.query, &(struct sql_bounds){.rows = 1});
        enum sql_outcome outcome = lite->prepare(
            f.conn, &f.task, &(struct sql_statement){.text = text.bytes}, &f.columns, &err);
        if (i == 0) { /* SQLite renames the second one: "g:1" */
            ck_assert_int_eq(outcome, SQL_DONE);
            ck_assert_uint_eq(f.columns.n, 2);
            f.columns.items[1].name[1] = '\0';
            ck_assert_int_eq(sql_page_keys(&f.settings, &f.columns, f.keys, &err), -1);
            ck_assert_str_eq(err.text, "two columns are called \"g\": name them apart with AS");
        } else { /* and never takes a quoted name for a string */
            ck_assert_int_eq(outcome, SQL_FAILED);
            ck_assert_msg(strstr(err.text, "no such column: headgate.g") != NULL, "%s", err.text);
        }
        buf_fini(&text);
        tear_down(&f);
    }
}
END_TEST

static void *
stop_soon(void *task)
{
    const struct timespec soon = {0, 200000000};
    nanosleep(&soon, NULL);
    sql_task_stop(task);
    return NULL;
}

START_TEST(a_long_statement_ends_when_it_is_stopped_and_at_its_time_out)
{
    static char query[] = "with recursive c(n) as (select 1 union all select n + 1 from c) "
                          "select count(*) as n from c";
    struct err err = {0};
    struct buf start = {0};
    struct fixture f;
    set_up(&f, "create table x(n)", query, "n");
    describe(&f);
    lite->close(f.conn);
    enum sql_outcome outcome;
    f.settings.statement_timeout_ms = 100;
    f.conn = lite->open(&f.settings, &f.task, &outcome, &err);
    ck_assert_int_eq(fetch(&f, &start, 10, 1 << 20, &err), SQL_TIMEOUT);
    ck_assert_str_eq(err.text, "the statement took longer than 100 ms");
    lite->close(f.conn);
    f.settings.statement_timeout_ms = 100000;
    f.conn = lite->open(&f.settings, &f.task, &outcome, &err);
    pthread_t thread;
    ck_assert_int_eq(pthread_create(&thread, NULL, stop_soon, &f.task), 0);
    ck_assert_int_eq(fetch(&f, &start, 10, 1 << 20, &err), SQL_STOPPED);
    pthread_join(thread, NULL);
    tear_down(&f);
}
END_TEST

START_TEST(nothing_is_written_and_no_lock_is_left)
{
    static char query[] = "select n from x";
    struct err err = {0};
    struct buf start = {0};
    struct fixture f;
    set_up(&f, "create table x(n integer primary key); insert into x values (1), (2), (3)", query,
        "n");
    describe(&f);
    struct sql_page *page = &f.page;
    sql_page_reset(page, &f.columns, f.keys, 1, 10, 1 << 20);
    ck_assert_int_eq(
        lite->run(f.conn, &f.task, &(struct sql_statement){.text = "delete from x returning n"},
            &page->sink, &err),
        SQL_FAILED);
    ck_assert_int_eq(fetch(&f, &start, 1, 1 << 20, &err), SQL_DONE); /* it has had enough: 1 of 3 */
    ck_assert(page->more);
    execute(f.path, "drop table x"); /* needs every lock there is */
    ck_assert_int_eq(fetch(&f, &start, 1, 1 << 20, &err), SQL_FAILED);
    ck_assert(lite->healthy(f.conn));
    unlink(f.path);
    ck_assert(!lite->healthy(f.conn));
    tear_down(&f);
}
END_TEST

static bool (*page_row)(struct sql_sink *sink, const struct sql_row *row);
static size_t cut_short;

static bool
count_cuts(struct sql_sink *sink, const struct sql_row *row)
{
    bool more = page_row(sink, row);
    cut_short += !more;
    return more;
}

START_TEST(a_page_that_its_limit_ends_is_not_cut_short_as_one_of_too_many_bytes_is)
{
    static char query[] = "select id, v from x";
    struct fixture f;
    struct buf all = {0};
    set_up(&f,
        "create table x(id integer primary key, v); insert into x select value, 'xxxxxxxx' from "
        "(with recursive c(value) as (select 0 union all select value + 1 from c limit 100) "
        "select value from c)",
        query, "id");
    describe(&f);
    page_row = f.page.sink.row;
    f.page.sink.row = count_cuts;
    ck_assert_uint_eq(walk(&f, 10, 1 << 20, &all), 100);
    ck_assert_uint_eq(cut_short, 0);
    ck_assert_uint_eq(walk(&f, 1000, 200, &all), 100);
    ck_assert_uint_gt(cut_short, 0);
    buf_fini(&all);
    tear_down(&f);
}
END_TEST

UNIT_MAIN("sql_rows", a_page_that_its_limit_ends_is_not_cut_short_as_one_of_too_many_bytes_is,
    postgres_scalars_keep_their_types, postgres_arrays_are_arrays_of_their_elements,
    sqlite_values_keep_their_types,
    pages_of_any_size_give_the_same_rows_with_ties_in_a_composite_key,
    keys_that_cannot_order_rows_are_told, a_query_whose_columns_do_not_fit_is_refused,
    a_long_statement_ends_when_it_is_stopped_and_at_its_time_out,
    nothing_is_written_and_no_lock_is_left)
