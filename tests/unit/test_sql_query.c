/* The scanner of queries: what is a parameter and what only looks like one. */
#include "unit.h"

#include "../../connectors/sql_query.h"

#include <stdio.h>
#include <string.h>

/* The rewritten text, and the names with commas; "!" and the error. Lent until the next call. */
static const char *
scan(const char *text, enum sql_dialect dialect)
{
    static char shown[2048];
    struct sql_query query = {0};
    struct err err = {0};
    if (sql_query_scan(&query, text, strlen(text), dialect, &err) != 0) {
        snprintf(shown, sizeof shown, "!%s", err.text);
        return shown;
    }
    int len = snprintf(shown, sizeof shown, "%s|", query.text);
    for (size_t i = 0; i < query.n_names; i++) {
        len += snprintf(
            shown + len, sizeof shown - (size_t)len, "%s%s", i == 0 ? "" : ",", query.names[i]);
    }
    sql_query_fini(&query);
    return shown;
}

#define PG(text, wanted) ck_assert_str_eq(scan(text, SQL_POSTGRES), wanted)
#define LITE(text, wanted) ck_assert_str_eq(scan(text, SQL_SQLITE), wanted)

START_TEST(a_name_is_a_number_and_the_same_name_the_same_one)
{
    PG("select :a, :b_2, :a", "select  $1 ,  $2 ,  $1 |a,b_2");
    LITE("select :a,:b,:a", "select  ?1 , ?2 , ?1 |a,b");
    PG("select a from t where x=:x;", "select a from t where x= $1 |x");
}
END_TEST

START_TEST(what_is_quoted_stays)
{
    PG("select ':a', 'it''s :b', \":c\", :d", "select ':a', 'it''s :b', \":c\",  $1 |d");
    PG("select E'\\':a', e'\\\\', :b", "select E'\\':a', e'\\\\',  $1 |b");
    PG("select 'a\\', :b", "select 'a\\',  $1 |b"); /* no escape in a plain string */
    PG("select some_e'x', :a", "select some_e'x',  $1 |a");
    PG("select $$ :a ' $$, $t$ $$ :b $t$, :c", "select $$ :a ' $$, $t$ $$ :b $t$,  $1 |c");
    PG("select $1$ from t", "!line 1: parameters are written :name");
    PG("select a$b$c, :x", "select a$b$c,  $1 |x"); /* a dollar inside of a word opens nothing */
    LITE("select [a:b], `c:d`, ':e', \":f\", :g", "select [a:b], `c:d`, ':e', \":f\",  ?1 |g");
    LITE("select 'a\\', :b", "select 'a\\',  ?1 |b");
}
END_TEST

START_TEST(comments_stay_and_nest_only_in_postgres)
{
    PG("select 1 -- :a 'b\n, :c", "select 1 -- :a 'b\n,  $1 |c");
    PG("select 1 /* :a /* ' */ :b */ , :c", "select 1 /* :a /* ' */ :b */ ,  $1 |c");
    LITE("select 1 /* :a /* ' */ , :c", "select 1 /* :a /* ' */ ,  ?1 |c");
    PG("-- first\nselect 1 -- last", "-- first\nselect 1 -- last|");
    PG("select 1; -- behind\n/* too */ ", "select 1 -- behind\n/* too */ |");
}
END_TEST

START_TEST(casts_slices_and_operators_are_no_parameters)
{
    PG("select a::int, :b::text, (:c)::date", "select a::int,  $1 ::text, ( $2 )::date|b,c");
    PG("select a[1:2], f(x := 1), j ? 'k', j @> '{}'",
        "select a[1:2], f(x := 1), j ? 'k', j @> '{}'|");
    PG("select a[:from_i::int]", "select a[ $1 ::int]|from_i");
}
END_TEST

START_TEST(what_could_leave_the_parentheses_is_refused)
{
    PG("select 1; select 2", "!line 1: is more than one statement");
    PG("select 1) as x; drop table t; --", "!line 1: a closing parenthesis has no opening one");
    PG("select (1", "!line 1: an opening parenthesis is not closed");
    PG("select\n1;\n;", "!line 3: is more than one statement");
    PG("select 'a", "!line 1: a string does not end");
    PG("select \"a", "!line 1: a quoted name does not end");
    PG("select 1 /* a", "!line 1: a comment does not end");
    PG("select $a$ b", "!line 1: a dollar-quoted string does not end");
    PG("select E'a\\'", "!line 1: a string does not end");
    PG("", "!line 1: is empty");
    PG(" -- nothing", "!line 1: is empty");
    PG("delete from t", "!line 1: must begin with SELECT, WITH, VALUES or TABLE");
    PG("selection", "!line 1: must begin with SELECT, WITH, VALUES or TABLE");
    LITE("pragma writable_schema", "!line 1: must begin with SELECT, WITH, VALUES or TABLE");
    LITE("select ?", "!line 1: parameters are written :name");
    LITE("select ?1", "!line 1: parameters are written :name");
    LITE("select @a", "!line 1: parameters are written :name");
    LITE("select $a", "!line 1: parameters are written :name");
    LITE("select :1", "!line 1: a parameter's name is [A-Za-z_][A-Za-z0-9_]*");
    PG("select $1", "!line 1: parameters are written :name");
}
END_TEST

START_TEST(a_nul_and_too_many_names_are_refused)
{
    struct sql_query query = {0};
    struct err err = {0};
    ck_assert_int_eq(sql_query_scan(&query, "select 1\0", 9, SQL_POSTGRES, &err), -1);
    ck_assert_str_eq(err.text, "line 1: has a NUL byte");
    ck_assert_int_eq(sql_query_scan(&query, "select 1 /*\0*/", 14, SQL_POSTGRES, &err), -1);
    char text[1024] = "select 1";
    for (int i = 0; i < 65; i++) {
        snprintf(text + strlen(text), 16, ",:p%d", i);
    }
    ck_assert_str_eq(scan(text, SQL_SQLITE), "!line 1: has more than 64 parameters");
    memset(text, 'a', 100);
    memcpy(text, "select :", 8);
    text[100] = '\0';
    ck_assert_str_eq(scan(text, SQL_SQLITE), "!line 1: a parameter's name is longer than 63 bytes");
}
END_TEST

UNIT_MAIN("sql_query", a_name_is_a_number_and_the_same_name_the_same_one, what_is_quoted_stays,
    comments_stay_and_nest_only_in_postgres, casts_slices_and_operators_are_no_parameters,
    what_could_leave_the_parentheses_is_refused, a_nul_and_too_many_names_are_refused)
