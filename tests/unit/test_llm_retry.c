/* Whether and when an upstream is asked again. */
#include "unit.h"

#include "../../connectors/llm_retry.h"

#include <string.h>

static const struct llm_retry_policy policy = {
    .most = 2, .backoff_ms = 500, .backoff_most_ms = 8000, .wait_most_ms = 60000};
#define NOW 1700000000 /* Tue, 14 Nov 2023 22:13:20 GMT */

static struct llm_retry_hints
hints_of(const char *one, const char *one_value, const char *two, const char *two_value)
{
    struct llm_retry_hints hints = LLM_RETRY_NO_HINTS;
    llm_retry_header(&hints, one, strlen(one), one_value, strlen(one_value), NOW);
    llm_retry_header(&hints, two, strlen(two), two_value, strlen(two_value), NOW);
    return hints;
}

static int64_t
after(const char *name, const char *value)
{
    return hints_of(name, value, "date", "x").after_ms;
}

START_TEST(retry_after_is_seconds_milliseconds_or_a_date)
{
    ck_assert_int_eq(after("Retry-After", "3"), 3000);
    ck_assert_int_eq(after("retry-after", "0.5"), 500);
    ck_assert_int_eq(after("retry-after", "0"), 0);
    ck_assert_int_eq(after("Retry-After", "Tue, 14 Nov 2023 22:13:30 GMT"), 10000);
    ck_assert_int_eq(after("Retry-After", "Tue, 14 Nov 2023 22:13:10 GMT"), 0);
    ck_assert_int_eq(after("retry-after-ms", "120"), 120);
}
END_TEST

START_TEST(what_cannot_be_read_says_nothing)
{
    ck_assert_int_eq(after("retry-after", "soon"), -1);
    ck_assert_int_eq(after("retry-after", "-1"), -1);
    ck_assert_int_eq(after("retry-after", "nan"), -1);
    ck_assert_int_eq(after("retry-after", "1e300"), -1);
    ck_assert_int_eq(after("retry-after", ""), -1);
    ck_assert_int_eq(after("retry-after-ms", "1x"), -1);
    ck_assert_int_eq(after("retry-after-m", "1"), -1);
    ck_assert_int_eq(
        after("retry-after", "11111111111111111111111111111111111111111111111111111111111111111"),
        -1);
}
END_TEST

START_TEST(milliseconds_win_in_either_order)
{
    ck_assert_int_eq(hints_of("retry-after", "9", "retry-after-ms", "50").after_ms, 50);
    ck_assert_int_eq(hints_of("retry-after-ms", "50", "retry-after", "9").after_ms, 50);
}
END_TEST

START_TEST(the_upstream_decides_where_it_says_so)
{
    static const int again[] = {408, 409, 429, 500, 502, 503, 529};
    static const int never[] = {400, 401, 403, 404, 413, 422};
    struct llm_retry_hints none = LLM_RETRY_NO_HINTS;
    struct llm_retry_hints yes = hints_of("x-should-retry", "true", "", "");
    struct llm_retry_hints no = hints_of("X-Should-Retry", "false", "", "");
    for (size_t i = 0; i < sizeof again / sizeof *again; i++) {
        ck_assert(llm_retry_status(again[i], &none));
        ck_assert(!llm_retry_status(again[i], &no));
    }
    for (size_t i = 0; i < sizeof never / sizeof *never; i++) {
        ck_assert(!llm_retry_status(never[i], &none));
        ck_assert(llm_retry_status(never[i], &yes));
    }
    ck_assert_int_eq(hints_of("x-should-retry", "maybe", "", "").should, -1);
}
END_TEST

START_TEST(the_backoff_doubles_up_to_its_bound_less_a_quarter_at_random)
{
    struct llm_retry_hints none = LLM_RETRY_NO_HINTS;
    ck_assert_int_eq(llm_retry_wait_ms(&policy, &none, 1, 0), 500);
    ck_assert_int_eq(llm_retry_wait_ms(&policy, &none, 2, 0), 1000);
    ck_assert_int_eq(llm_retry_wait_ms(&policy, &none, 5, 0), 8000);
    ck_assert_int_eq(llm_retry_wait_ms(&policy, &none, 1000000000, 0), 8000);
    ck_assert_int_eq(llm_retry_wait_ms(&policy, &none, 1, 1), 375);
    ck_assert_int_eq(llm_retry_wait_ms(&policy, &none, 9, 1), 6000);
}
END_TEST

START_TEST(who_wants_to_be_left_alone_for_long_is)
{
    struct llm_retry_hints hints = hints_of("retry-after", "60", "", "");
    ck_assert_int_eq(llm_retry_wait_ms(&policy, &hints, 1, 1), 60000);
    hints = hints_of("retry-after", "61", "", "");
    ck_assert_int_eq(llm_retry_wait_ms(&policy, &hints, 1, 1), -1);
}
END_TEST

UNIT_MAIN("llm_retry", retry_after_is_seconds_milliseconds_or_a_date,
    what_cannot_be_read_says_nothing, milliseconds_win_in_either_order,
    the_upstream_decides_where_it_says_so,
    the_backoff_doubles_up_to_its_bound_less_a_quarter_at_random,
    who_wants_to_be_left_alone_for_long_is)
