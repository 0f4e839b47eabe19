/* The keys of a database source: what check() refuses, how a request's parameters are bound, and
 * how many requests a pool takes. */
#include "unit.h"

#include "../../connectors/sql_pool.h"
#include "../../connectors/sql_settings.h"

#include <string.h>

static char key_name[] = "id", query_text[] = "select id from t where a = :a and b > :b";
static char *key_items[] = {key_name};
static char name_a[] = "a", name_b[] = "b", name_c[] = "c", type_text[] = "text",
            type_integer[] = "integer", path[] = "/nowhere.db", five[] = "5";

static struct config_pair params[] = {
    {.name = name_a, .value = type_text}, {.name = name_b, .value = type_integer}};
static struct config_pair defaults[] = {{.name = name_b, .value = five}};

static struct sql_settings
good(void)
{
    return (struct sql_settings){.sqlite = path,
        .query = query_text,
        .key = {key_items, 1},
        .params = {params, 2},
        .defaults = {defaults, 1},
        .page_rows = 10,
        .page_bytes = 65536,
        .connections = 1,
        .requests = 2};
}

static const char *
complaint(const struct sql_settings *settings)
{
    static struct err err;
    err = (struct err){0};
    return sql_settings_check(settings, &err) == 0 ? "" : err.text;
}

START_TEST(settings_that_do_not_go_together_are_refused_by_name)
{
    struct sql_settings settings = good();
    ck_assert_str_eq(complaint(&settings), "");
    settings.postgres = path;
    ck_assert_str_eq(complaint(&settings), "exactly one of postgres and sqlite must be given");
    settings = good();
    settings.listen = name_a;
    ck_assert_str_eq(complaint(&settings), "listen: only PostgreSQL notifies");
    settings = good();
    settings.settle_ms = 1;
    ck_assert_str_eq(complaint(&settings), "settle: only with follow: true");
    settings = good();
    settings.progress = SQL_PROGRESS_ESTIMATE;
    ck_assert_str_eq(
        complaint(&settings), "progress: only PostgreSQL has an estimate; SQLite can count");
    settings = good();
    settings.follow = true;
    ck_assert_str_eq(complaint(&settings),
        "defaults: 'a' needs one: with follow there is no request to give it");
    settings.order = 1;
    ck_assert_str_eq(complaint(&settings), "order: follow goes along an ascending key");
}
END_TEST

START_TEST(parameters_must_be_declared_used_and_named_well)
{
    struct sql_settings settings = good();
    settings.params.n = 1;
    settings.defaults.n = 0;
    ck_assert_str_eq(complaint(&settings), "query: :b is not in params");
    struct config_pair more[3] = {params[0], params[1], {.name = name_c, .value = type_text}};
    settings = good();
    settings.params = (struct config_pairs){more, 3};
    ck_assert_str_eq(complaint(&settings), "params: the query has no :c");
    static char from[] = "from", odd[] = "a-b", blob[] = "blob", wrong[] = "five";
    more[2].name = from;
    ck_assert_str_eq(complaint(&settings),
        "params: 'from' has a meaning of its own in a request: call it otherwise");
    more[2].name = odd;
    ck_assert_str_eq(
        complaint(&settings), "params: 'a-b' is no name: [A-Za-z_][A-Za-z0-9_]*, at most 63");
    more[2] = (struct config_pair){.name = name_a, .value = blob};
    more[0] = more[2];
    ck_assert(strstr(complaint(&settings), "params: a: 'blob' is none of text, integer") != NULL);
    settings = good();
    struct config_pair other[] = {{.name = name_b, .value = wrong}};
    settings.defaults.items = other;
    ck_assert_str_eq(complaint(&settings), "defaults: b: must be a whole number of 64 bits");
    other[0].name = name_c;
    ck_assert_str_eq(complaint(&settings), "defaults: 'c' is not in params");
}
END_TEST

START_TEST(a_request_gives_declared_parameters_once_each)
{
    struct sql_settings settings = good();
    struct sql_query query;
    struct sql_value values[SQL_PARAMS_MAX];
    struct err err = {0};
    sql_settings_scan(&settings, &query);
    const struct sql_given given[] = {{"a", "' or 1=1 --"}, {"b", "7"}, {"b", "8"}, {"id", "1"}};
    ck_assert_int_eq(sql_settings_bind(&settings, &query, given, 2, values, &err), 0);
    ck_assert_str_eq(values[0].bytes, "' or 1=1 --");
    ck_assert_int_eq(values[1].integer, 7);
    ck_assert_int_eq(sql_settings_bind(&settings, &query, given, 1, values, &err), 0);
    ck_assert_int_eq(values[1].integer, 5);
    ck_assert_int_eq(sql_settings_bind(&settings, &query, given + 1, 1, values, &err), -1);
    ck_assert_str_eq(err.text, "a: is required");
    ck_assert_int_eq(sql_settings_bind(&settings, &query, given, 3, values, &err), -1);
    ck_assert_str_eq(err.text, "b: given more than once");
    ck_assert_int_eq(sql_settings_bind(&settings, &query, given + 3, 1, values, &err), -1);
    ck_assert_str_eq(err.text, "id: no such parameter");
    const struct sql_given wrong[] = {{"a", "x"}, {"b", "1; drop table t"}};
    ck_assert_int_eq(sql_settings_bind(&settings, &query, wrong, 2, values, &err), -1);
    ck_assert_str_eq(err.text, "b: must be a whole number of 64 bits");
    sql_query_fini(&query);
}
END_TEST

START_TEST(a_pool_takes_so_many_requests_and_no_more)
{
    struct sql_settings settings = good();
    struct err err = {0};
    struct sql_pool *first = sql_pool_enter(&settings, &err);
    struct sql_pool *second = sql_pool_enter(&settings, &err);
    ck_assert(first != NULL && first == second);
    ck_assert(sql_pool_enter(&settings, &err) == NULL);
    ck_assert_int_eq(err.code, ERR_LIMIT);
    sql_pool_leave(second);
    second = sql_pool_enter(&settings, &err);
    ck_assert(second == first);
    sql_pool_leave(second);
    sql_pool_leave(first);
}
END_TEST

UNIT_MAIN("sql_settings", settings_that_do_not_go_together_are_refused_by_name,
    parameters_must_be_declared_used_and_named_well, a_request_gives_declared_parameters_once_each,
    a_pool_takes_so_many_requests_and_no_more)
