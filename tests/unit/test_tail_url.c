/* test_tail_url: query parameters set in and read from a URL. */
#include "tail_url.h"
#include "unit.h"

#include <string.h>
#include <strings.h>

static void
check_built(const char *url, const struct tail_param *params, size_t n, const char *expected)
{
    struct err err = {.code = ERR_NONE};
    char *built = tail_url_build(url, params, n, &err);
    ck_assert_msg(built != NULL, "%s", err.text);
    /* libcurl versions differ in the case of %2f */
    ck_assert_msg(strcasecmp(built, expected) == 0, "%s", built);
    free(built);
}

START_TEST(parameter_is_added_and_encoded)
{
    struct tail_param from = {"from", "2026-01-31T12:00:00+01:00", false};
    check_built("http://h:1/streams/a", &from, 1,
        "http://h:1/streams/a?from=2026-01-31T12%3A00%3A00%2B01%3A00");
    struct tail_param where = {"where", "/a b==\"x&y\"", true};
    check_built("https://h/s?k=1", &where, 1, "https://h/s?k=1&where=%2Fa%20b%3D%3D%22x%26y%22");
}
END_TEST

START_TEST(single_parameter_takes_the_place_of_the_one_in_the_url)
{
    struct tail_param from = {"from", "T", false};
    check_built(
        "http://h/s?from=latest&slow=pause&from=x", &from, 1, "http://h/s?slow=pause&from=T");
    check_built("http://h/s?fr%6Fm=latest", &from, 1, "http://h/s?from=T");
    check_built("http://h/s?fromage=1&from", &from, 1, "http://h/s?fromage=1&from=T");
}
END_TEST

START_TEST(repeatable_parameter_joins_those_of_the_url)
{
    struct tail_param keys[] = {{"key", "b", true}, {"key", "c", true}};
    check_built("http://h/s?key=a", keys, 2, "http://h/s?key=a&key=b&key=c");
}
END_TEST

START_TEST(rest_of_the_query_stays)
{
    struct tail_param limit = {"limit", "3", false};
    check_built("http://h/s?a=%2f&b=x+y&&c", &limit, 1, "http://h/s?a=%2f&b=x+y&c&limit=3");
}
END_TEST

START_TEST(fragment_goes_and_http_is_the_default)
{
    check_built("http://h/s?a=1#top", NULL, 0, "http://h/s?a=1");
    check_built("localhost:8080/streams/orders", NULL, 0, "http://localhost:8080/streams/orders");
    check_built("127.0.0.1:80/s", NULL, 0, "http://127.0.0.1:80/s");
    check_built("example.org/s", NULL, 0, "http://example.org/s");
}
END_TEST

START_TEST(other_schemes_and_rubbish_are_refused)
{
    static const char *const urls[] = {
        "ftp://h/s", "file:///etc/passwd", "ws://h/s", "", "http://"};
    for (size_t i = 0; i < sizeof urls / sizeof *urls; i++) {
        struct err err = {.code = ERR_NONE};
        ck_assert_msg(tail_url_build(urls[i], NULL, 0, &err) == NULL, "%s was taken", urls[i]);
        ck_assert_int_eq(err.code, ERR_INVALID);
        ck_assert(err.text[0] != '\0');
    }
}
END_TEST

static void
check_got(const char *url, const char *name, const char *expected)
{
    char *value = tail_url_get(url, name);
    if (expected == NULL) {
        ck_assert_ptr_null(value);
    } else {
        ck_assert_ptr_nonnull(value);
        ck_assert_str_eq(value, expected);
    }
    free(value);
}

START_TEST(parameter_is_read_from_a_url)
{
    check_got("http://h/s?a=1&limit=20#x", "limit", "20");
    check_got("http://h/s?envelope=d%61ta", "envelope", "data");
    check_got("http://h/s?limit", "limit", "");
    check_got("http://h/s?limit=&a=1", "limit", "");
    check_got("http://h/s?xlimit=1", "limit", NULL);
    check_got("http://h/s#?limit=1", "limit", NULL);
    check_got("http://h/s", "limit", NULL);
}
END_TEST

UNIT_MAIN("tail_url", parameter_is_added_and_encoded,
    single_parameter_takes_the_place_of_the_one_in_the_url,
    repeatable_parameter_joins_those_of_the_url, rest_of_the_query_stays,
    fragment_goes_and_http_is_the_default, other_schemes_and_rubbish_are_refused,
    parameter_is_read_from_a_url)
