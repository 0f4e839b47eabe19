/* Conditional and range requests for one file. */
#include "http_range.h"
#include "unit.h"

#include <stdio.h>
#include <string.h>

#define ETAG "\"1-2\""
#define NOON "Sat, 31 Jan 2026 12:00:00 GMT"
#define NOON_S INT64_C(1769860800)

static const struct http_version version = {ETAG, NOON_S};

static struct slice
slice(const char *text)
{
    return (struct slice){text, strlen(text)};
}

/* A request with these headers: name, value, ..., NULL. */
static struct http_request
request(const char *const *headers)
{
    struct http_request request = {.method = HTTP_GET};
    for (; *headers != NULL; headers += 2) {
        request.headers[request.n_headers++] =
            (struct http_header){slice(headers[0]), slice(headers[1])};
    }
    return request;
}

#define HEADERS(...)                                                                               \
    (const char *const[])                                                                          \
    {                                                                                              \
        __VA_ARGS__, NULL                                                                          \
    }

static void
check_condition(int expected, const char *const *headers)
{
    struct http_request of = request(headers);
    ck_assert_int_eq(http_condition(&of, &version), expected);
}

START_TEST(dates_are_written_and_read_in_all_their_forms)
{
    static const int64_t times[] = {0, 1, -1, NOON_S, INT64_C(951782400), INT64_C(4102444799)};
    char text[HTTP_DATE_LEN + 1];
    int64_t back;
    for (size_t i = 0; i < sizeof times / sizeof *times; i++) {
        http_date_format(text, times[i]);
        ck_assert_int_eq(http_date_parse(slice(text), &back), 0);
        ck_assert_int_eq(back, times[i]);
    }
    http_date_format(text, NOON_S);
    ck_assert_str_eq(text, NOON);
    http_date_format(text, INT64_MAX);
    ck_assert_str_eq(text, "Fri, 31 Dec 9999 23:59:59 GMT");
    ck_assert_int_eq(http_date_parse(slice("Saturday, 31-Jan-26 12:00:00 GMT"), &back), 0);
    ck_assert_int_eq(back, NOON_S);
    ck_assert_int_eq(http_date_parse(slice("Sat Jan 31 12:00:00 2026"), &back), 0);
    ck_assert_int_eq(back, NOON_S);
    static const char *const bad[] = {"", "x", "31 Jan 2026", NOON " ", "Sat, 31 Jan 2026 12:00:00",
        "Sat, 32 Jan 2026 12:00:00 GMT",
        "Sat, 31 Jan 2026 12:00:00 GMTxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        ck_assert_msg(http_date_parse(slice(bad[i]), &back) == -1, "%s", bad[i]);
    }
}
END_TEST

START_TEST(a_client_that_has_it_gets_304_and_one_that_expects_another_412)
{
    check_condition(200, HEADERS("Accept", "*/*"));
    check_condition(304, HEADERS("If-None-Match", ETAG));
    check_condition(304, HEADERS("if-none-match", "\"x\", W/" ETAG));
    check_condition(304, HEADERS("If-None-Match", "*"));
    check_condition(200, HEADERS("If-None-Match", "\"x\""));
    check_condition(304, HEADERS("If-Modified-Since", NOON));
    check_condition(200, HEADERS("If-Modified-Since", "Sat, 31 Jan 2026 11:59:59 GMT"));
    check_condition(200, HEADERS("If-Modified-Since", "yesterday"));
    check_condition(200, HEADERS("If-None-Match", "\"x\"", "If-Modified-Since", NOON));
    check_condition(200, HEADERS("If-Match", ETAG));
    check_condition(412, HEADERS("If-Match", "W/" ETAG));
    check_condition(412, HEADERS("If-Match", "\"x\""));
    check_condition(200, HEADERS("If-Unmodified-Since", NOON));
    check_condition(412, HEADERS("If-Unmodified-Since", "Sat, 31 Jan 2026 11:59:59 GMT"));
}
END_TEST

static void
check_range(const char *range, const char *if_range, uint64_t size, const char *expected)
{
    uint64_t first = 0, last = 0;
    char got[64] = "200";
    struct http_request of = request(
        if_range == NULL ? HEADERS("Range", range) : HEADERS("Range", range, "If-Range", if_range));
    int status = http_range(&of, &version, size, &first, &last);
    if (status == 206) {
        snprintf(got, sizeof got, "%llu-%llu", (unsigned long long)first, (unsigned long long)last);
    } else if (status == 416) {
        strcpy(got, "416");
    }
    ck_assert_msg(
        strcmp(got, expected) == 0, "%s of %llu: %s", range, (unsigned long long)size, got);
}

START_TEST(a_single_range_is_served_and_others_are_the_whole)
{
    check_range("bytes=0-0", NULL, 10, "0-0");
    check_range("BYTES=3-5", NULL, 10, "3-5");
    check_range("bytes=3-", NULL, 10, "3-9");
    check_range("bytes=3-99", NULL, 10, "3-9");
    check_range("bytes=-3", NULL, 10, "7-9");
    check_range("bytes=-99", NULL, 10, "0-9");
    check_range("bytes=10-", NULL, 10, "416");
    check_range("bytes=-0", NULL, 10, "416");
    check_range("bytes=0-", NULL, 0, "416");
    check_range("bytes=-5", NULL, 0, "416");
    check_range("bytes=3-99999999999999999999999", NULL, 10, "3-9");
    check_range("bytes=-99999999999999999999999", NULL, 10, "0-9");
    check_range("bytes=99999999999999999999999-", NULL, 10, "416");
    static const char *const whole[] = {"bytes=", "bytes=-", "bytes=5-3", "bytes=0-1,3-4",
        "lines=0-1", "bytes 0-1", "bytes=a-b", "bytes=1", "bytes=0x1-2", "bytes= 1-2",
        "bytes=1-2-3", "bytes=--1"};
    for (size_t i = 0; i < sizeof whole / sizeof *whole; i++) {
        check_range(whole[i], NULL, 10, "200");
    }
}
END_TEST

START_TEST(a_range_counts_only_of_the_version_that_the_client_has)
{
    check_range("bytes=1-2", ETAG, 10, "1-2");
    check_range("bytes=1-2", NOON, 10, "1-2");
    check_range("bytes=1-2", "W/" ETAG, 10, "200");
    check_range("bytes=1-2", "\"x\"", 10, "200");
    check_range("bytes=1-2", "Sat, 31 Jan 2026 12:00:01 GMT", 10, "200");
    check_range("bytes=1-2", "", 10, "200");
    check_range("bytes=99-", "\"x\"", 10, "200");
}
END_TEST

START_TEST(only_one_range_header_of_a_get_counts)
{
    uint64_t first, last;
    struct http_request twice = request(HEADERS("Range", "bytes=0-1", "Range", "bytes=0-2"));
    ck_assert_int_eq(http_range(&twice, &version, 10, &first, &last), 200);
    struct http_request head = request(HEADERS("Range", "bytes=0-1"));
    head.method = HTTP_HEAD;
    ck_assert_int_eq(http_range(&head, &version, 10, &first, &last), 200);
}
END_TEST

UNIT_MAIN("http_range", dates_are_written_and_read_in_all_their_forms,
    a_client_that_has_it_gets_304_and_one_that_expects_another_412,
    a_single_range_is_served_and_others_are_the_whole,
    a_range_counts_only_of_the_version_that_the_client_has, only_one_range_header_of_a_get_counts)
