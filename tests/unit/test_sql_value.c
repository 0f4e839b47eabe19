/* Cursors there and back, parameters' values, the settle queue. */
#include "unit.h"

#include "../../connectors/sql_settle.h"
#include "../../connectors/sql_value.h"

#include <string.h>

static struct sql_value
text_value(const char *text, size_t len)
{
    return (struct sql_value){.kind = SQL_TEXT, .bytes = text, .len = len};
}

START_TEST(a_cursor_comes_back_as_the_values_that_it_was_made_of)
{
    const struct sql_value values[] = {{.kind = SQL_INTEGER, .integer = INT64_MIN},
        {.kind = SQL_INTEGER, .integer = INT64_MAX}, {.kind = SQL_INTEGER, .integer = -1},
        {.kind = SQL_REAL, .real = -0.5}, text_value("", 0), text_value("a\0\xff", 3),
        {.kind = SQL_BLOB, .bytes = "xyz", .len = 3}};
    const size_t n = sizeof values / sizeof *values;
    struct buf cursor;
    struct err err = {0};
    struct sql_value again[SQL_KEY_MAX];
    buf_init(&cursor);
    ck_assert_int_eq(sql_cursor_encode(&cursor, values, n, &err), 0);
    ck_assert_int_eq(sql_cursor_decode(cursor.bytes, cursor.len, again, n, &err), 0);
    for (size_t i = 0; i < n; i++) {
        ck_assert_int_eq(again[i].kind, values[i].kind);
        ck_assert_int_eq(again[i].integer, values[i].integer);
        ck_assert(again[i].real == values[i].real);
        ck_assert_uint_eq(again[i].len, values[i].len);
        ck_assert(
            values[i].len == 0 || memcmp(again[i].bytes, values[i].bytes, values[i].len) == 0);
        ck_assert_int_eq(again[i].type, SQL_TYPE_ANY);
    }
    /* Neither cut short, nor with a byte more, nor for another number of columns. */
    for (size_t len = 0; len < cursor.len; len++) {
        ck_assert_int_eq(sql_cursor_decode(cursor.bytes, len, again, n, &err), -1);
    }
    ck_assert_int_eq(sql_cursor_decode(cursor.bytes, cursor.len, again, n - 1, &err), -1);
    buf_addc(&cursor, 0);
    ck_assert_int_eq(sql_cursor_decode(cursor.bytes, cursor.len, again, n, &err), -1);
    buf_fini(&cursor);
}
END_TEST

START_TEST(a_key_that_is_null_or_too_long_makes_no_cursor)
{
    static char longest[SQL_CURSOR_MAX];
    struct buf cursor;
    struct err err = {0};
    struct sql_value again;
    buf_init(&cursor);
    memset(longest, 'k', sizeof longest);
    const struct sql_value null = {.kind = SQL_NULL};
    ck_assert_int_eq(sql_cursor_encode(&cursor, &null, 1, &err), -1);
    ck_assert_str_eq(err.text, "a key column is NULL");
    const struct sql_value fits = text_value(longest, SQL_CURSOR_MAX - 5);
    ck_assert_int_eq(sql_cursor_encode(&cursor, &fits, 1, &err), 0);
    ck_assert_uint_eq(cursor.len, SQL_CURSOR_MAX);
    ck_assert_int_eq(sql_cursor_decode(cursor.bytes, cursor.len, &again, 1, &err), 0);
    cursor.len = 0;
    const struct sql_value one_more = text_value(longest, SQL_CURSOR_MAX - 4);
    ck_assert_int_eq(sql_cursor_encode(&cursor, &one_more, 1, &err), -1);
    ck_assert_uint_eq(cursor.len, 0);
    ck_assert_str_eq(err.text, "the key is longer than 512 bytes");
    buf_fini(&cursor);
}
END_TEST

START_TEST(a_made_up_cursor_is_refused)
{
    static const struct {
        const char *bytes;
        size_t len;
    } bad[] = {{"\x02\x01i\x02", 4}, {"\x01\x01x\x02", 4}, {"\x01\x01i\x82\x00", 5},
        {"\x01\x01t\x05"
         "ab",
            6},
        {"\x01\x01t\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"
         "ab",
            15},
        {"\x01\x01i\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f", 13},
        {"\x01\x01r\x7f\xf8\0\0\0\0\0\0", 11}, {"\x01\x01r\x7f", 4}, {"\x01", 1}, {"", 0}};
    struct sql_value value;
    struct err err = {0};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        ck_assert_int_eq(sql_cursor_decode(bad[i].bytes, bad[i].len, &value, 1, &err), -1);
    }
    ck_assert_int_eq(sql_cursor_decode("\x01\x01i\x03", 4, &value, 1, &err), 0);
    ck_assert_int_eq(value.integer, -2);
}
END_TEST

START_TEST(parameters_are_of_their_type_or_refused)
{
    static const struct {
        enum sql_type type;
        const char *text;
        int result;
    } cases[] = {{SQL_TYPE_INTEGER, "-9223372036854775808", 0}, {SQL_TYPE_INTEGER, "0", 0},
        {SQL_TYPE_INTEGER, "9223372036854775808", -1}, {SQL_TYPE_INTEGER, " 1", -1},
        {SQL_TYPE_INTEGER, "1 or 1=1", -1}, {SQL_TYPE_INTEGER, "", -1},
        {SQL_TYPE_INTEGER, "+1", -1}, {SQL_TYPE_INTEGER, "1.0", -1}, {SQL_TYPE_NUMBER, "-1.5e3", 0},
        {SQL_TYPE_NUMBER, "NaN", -1}, {SQL_TYPE_NUMBER, "1,5", -1}, {SQL_TYPE_NUMBER, "true", -1},
        {SQL_TYPE_NUMBER, "[1]", -1}, {SQL_TYPE_BOOLEAN, "true", 0}, {SQL_TYPE_BOOLEAN, "0", 0},
        {SQL_TYPE_BOOLEAN, "yes", -1}, {SQL_TYPE_TIMESTAMP, "2026-01-31T12:00:00+02:00", 0},
        {SQL_TYPE_TIMESTAMP, "2026-01-31", -1}, {SQL_TYPE_TIMESTAMP, "now", -1},
        {SQL_TYPE_DATE, "2026-02-28", 0}, {SQL_TYPE_DATE, "2026-02-30", -1},
        {SQL_TYPE_DATE, "today", -1}, {SQL_TYPE_DATE, "2026-2-28x", -1},
        {SQL_TYPE_UUID, "00000000-0000-4000-8000-00000000000f", 0},
        {SQL_TYPE_UUID, "00000000-0000-4000-8000-00000000000", -1},
        {SQL_TYPE_UUID, "00000000-0000-4000-8000-00000000000g", -1},
        {SQL_TYPE_TEXT, "'; drop table t; --", 0}, {SQL_TYPE_TEXT, "", 0},
        {SQL_TYPE_TEXT, "\xff", -1}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct sql_value value = {.kind = SQL_NULL};
        struct err err = {0};
        ck_assert_msg(
            sql_value_parse(&value, cases[i].type, cases[i].text, &err) == cases[i].result,
            "%s as %s", cases[i].text, sql_type_names[cases[i].type]);
        ck_assert(cases[i].result == 0 || strncmp(err.text, "must be ", 8) == 0);
        ck_assert(cases[i].result == 0 || value.kind == SQL_NULL);
    }
}
END_TEST

static void
add_sample(struct sql_settle *settle, const char *key, int64_t now_ns)
{
    struct buf cursor;
    buf_init(&cursor);
    buf_adds(&cursor, key);
    sql_settle_add(settle, &cursor, now_ns);
    buf_fini(&cursor);
}

START_TEST(a_key_settles_only_after_its_time)
{
    struct sql_settle settle;
    struct buf until;
    buf_init(&until);
    sql_settle_init(&settle, 800);
    ck_assert_int_eq(sql_settle_due(&settle, 5000), 5000);
    add_sample(&settle, "a", 1000);
    add_sample(&settle, "b", 1050); /* too soon behind the last one: later */
    add_sample(&settle, "b", 1100);
    add_sample(&settle, "b", 1300); /* the same key: it keeps its first time */
    ck_assert_uint_eq(settle.n, 2);
    ck_assert(!sql_settle_bound(&settle, &until, 1799));
    ck_assert_int_eq(sql_settle_due(&settle, 5000), 1800);
    ck_assert(sql_settle_bound(&settle, &until, 1850));
    ck_assert(until.len == 1 && until.bytes[0] == 'a');
    ck_assert(!sql_settle_bound(&settle, &until, 1850));
    for (int i = 0; i < 20; i++) { /* never more than it holds, never beyond what it saw */
        add_sample(&settle, i % 2 == 0 ? "c" : "d", 2000 + 100 * i);
    }
    ck_assert_uint_eq(settle.n, SQL_SETTLE_SAMPLES);
    ck_assert(sql_settle_bound(&settle, &until, 1000000));
    ck_assert_uint_eq(settle.n, 0);
    sql_settle_fini(&settle);
    buf_fini(&until);
}
END_TEST

UNIT_MAIN("sql_value", a_cursor_comes_back_as_the_values_that_it_was_made_of,
    a_key_that_is_null_or_too_long_makes_no_cursor, a_made_up_cursor_is_refused,
    parameters_are_of_their_type_or_refused, a_key_settles_only_after_its_time)
