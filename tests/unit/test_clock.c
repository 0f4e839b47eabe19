/* test_clock: RFC 3339 there and back, its bounds, and what is no time. gmtime_r is the second
 * opinion. */
#include "clock.h"

#include "unit.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define FIRST INT64_C(-62167219200000) /* 0000-01-01T00:00:00.000Z */
#define LAST INT64_C(253402300799999)  /* 9999-12-31T23:59:59.999Z */
#define NOON INT64_C(1769860800000)    /* 2026-01-31T12:00:00.000Z */

static const char *
format(int64_t unix_ms)
{
    static char text[CLOCK_TIME_LEN + 2];
    memset(text, '#', sizeof text);
    clock_format_rfc3339(text, unix_ms);
    ck_assert_msg(text[CLOCK_TIME_LEN] == '#', "it wrote too far");
    text[CLOCK_TIME_LEN] = '\0';
    return text;
}

static void
parses_to(const char *text, int64_t want)
{
    int64_t got = -1;
    ck_assert_msg(clock_parse_rfc3339(text, &got) == 0, "refused: %s", text);
    ck_assert_msg(got == want, "%s: %lld", text, (long long)got);
}

START_TEST(known_moments_are_formatted)
{
    ck_assert_str_eq(format(0), "1970-01-01T00:00:00.000Z");
    ck_assert_str_eq(format(-1), "1969-12-31T23:59:59.999Z");
    ck_assert_str_eq(format(NOON + 123), "2026-01-31T12:00:00.123Z");
    ck_assert_str_eq(format(INT64_C(951782400000)), "2000-02-29T00:00:00.000Z");
    ck_assert_str_eq(format(INT64_C(4107542400000)), "2100-03-01T00:00:00.000Z");
    ck_assert_str_eq(format(INT64_C(4107542399999)), "2100-02-28T23:59:59.999Z");
}
END_TEST

START_TEST(years_outside_four_digits_are_clamped)
{
    static const char first[] = "0000-01-01T00:00:00.000Z";
    static const char last[] = "9999-12-31T23:59:59.999Z";
    ck_assert_str_eq(format(FIRST), first);
    ck_assert_str_eq(format(FIRST - 1), first);
    ck_assert_str_eq(format(INT64_MIN), first);
    ck_assert_str_eq(format(LAST), last);
    ck_assert_str_eq(format(LAST + 1), last);
    ck_assert_str_eq(format(INT64_MAX), last);
}
END_TEST

START_TEST(every_day_of_ten_thousand_years_comes_back)
{
    /* No assertion a day: libcheck writes each to a pipe, which takes a minute here. */
    const int64_t day = INT64_C(86400000);
    for (int64_t ms = FIRST; ms <= LAST; ms += day) {
        int64_t at = ms + (ms - FIRST) / day * 7919993 % day; /* another time on each day */
        int64_t got = at + 1;
        char text[CLOCK_TIME_LEN + 1] = {0};
        clock_format_rfc3339(text, at);
        if (clock_parse_rfc3339(text, &got) != 0 || got != at) {
            ck_abort_msg("%lld became %s", (long long)at, text);
        }
    }
    parses_to(format(LAST), LAST);
}
END_TEST

START_TEST(formatting_agrees_with_gmtime)
{
    uint64_t random = 88172645463325252u;
    for (int i = 0; i < 20000; i++) {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        int64_t ms = FIRST + (int64_t)(random % (uint64_t)(LAST - FIRST));
        time_t seconds = (time_t)(ms >= 0 ? ms / 1000 : -((-ms + 999) / 1000));
        struct tm tm;
        char want[64], full[80];
        ck_assert_ptr_nonnull(gmtime_r(&seconds, &tm));
        strftime(want, sizeof want, "-%m-%dT%H:%M:%S", &tm);
        snprintf(full, sizeof full, "%04d%s.%03dZ", tm.tm_year + 1900, want,
            (int)(ms - (int64_t)seconds * 1000));
        ck_assert_str_eq(format(ms), full);
    }
}
END_TEST

START_TEST(fractions_are_cut_to_milliseconds)
{
    parses_to("2026-01-31T12:00:00Z", NOON);
    parses_to("2026-01-31T12:00:00.1Z", NOON + 100);
    parses_to("2026-01-31T12:00:00.12Z", NOON + 120);
    parses_to("2026-01-31T12:00:00.1239999999999999999999999999Z", NOON + 123);
    parses_to("2026-01-31T12:00:00.000Z", NOON);
}
END_TEST

START_TEST(offsets_are_taken_into_account)
{
    parses_to("2026-01-31T14:00:00+02:00", NOON);
    parses_to("2026-01-31T06:30:00-05:30", NOON);
    parses_to("2026-01-31T12:00:00+00:00", NOON);
    parses_to("2026-01-31T12:00:00-00:00", NOON);
    parses_to("2026-02-01T11:59:00+23:59", NOON);
    parses_to("2026-01-30T12:01:00-23:59", NOON);
    parses_to("2026-01-31T11:30:00-00:30", NOON);
    parses_to("0000-01-01T00:00:00+01:00", FIRST - 3600000);
    parses_to("9999-12-31T23:59:59.999-01:00", LAST + 3600000);
}
END_TEST

START_TEST(letters_may_be_small_and_a_space_may_divide)
{
    parses_to("2026-01-31t12:00:00z", NOON);
    parses_to("2026-01-31 12:00:00Z", NOON);
}
END_TEST

START_TEST(leap_second_is_read_as_the_one_before)
{
    parses_to("2016-12-31T23:59:60Z", INT64_C(1483228799000));
    parses_to("2016-12-31T23:59:60.5Z", INT64_C(1483228799500));
}
END_TEST

static bool
is_time(const char *text)
{
    int64_t got = 42;
    bool taken = clock_parse_rfc3339(text, &got) == 0;
    ck_assert_msg(taken || got == 42, "%s: output touched on failure", text);
    return taken;
}

START_TEST(leap_years_have_a_29th_of_february)
{
    static const struct {
        int year;
        bool leap;
    } years[] = {{0, true}, {4, true}, {100, false}, {400, true}, {1900, false}, {1996, true},
        {1999, false}, {2000, true}, {2024, true}, {2026, false}, {2100, false}, {2400, true}};
    for (size_t i = 0; i < sizeof years / sizeof *years; i++) {
        char text[64];
        snprintf(text, sizeof text, "%04d-02-29T00:00:00Z", years[i].year);
        ck_assert_msg(is_time(text) == years[i].leap, "%s", text);
    }
}
END_TEST

START_TEST(days_beyond_the_month_are_refused)
{
    static const int lengths[12] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    for (int month = 1; month <= 12; month++) {
        for (int day = 0; day <= 99; day++) {
            char text[64];
            snprintf(text, sizeof text, "2026-%02d-%02dT00:00:00Z", month, day);
            ck_assert_msg(is_time(text) == (day >= 1 && day <= lengths[month - 1]), "%s", text);
        }
    }
}
END_TEST

START_TEST(what_is_no_time_is_refused)
{
    static const char *const bad[] = {"", "Z", "now", "2026", "2026-01-31", "2026-01-31T12:00Z",
        "2026-01-31T12:00:00", "2026-01-31T12:00:00.Z", "2026-01-31T12:00:00,5Z",
        "2026-01-31T12:00:00.5", "2026-01-31T24:00:00Z", "2026-01-31T12:60:00Z",
        "2026-01-31T12:00:61Z", "2026-00-31T12:00:00Z", "2026-13-01T12:00:00Z",
        "26-01-31T12:00:00Z", "02026-01-31T12:00:00Z", "+2026-01-31T12:00:00Z",
        "-001-01-31T12:00:00Z", " 2026-01-31T12:00:00Z", "2026-01-31T12:00:00Z ",
        "2026-01-31T12:00:00Z\n", "2026-01-31T12:00:00ZZ", "2026-01-31T12:00:00 Z",
        "2026-01-31T12:00:00+2:00", "2026-01-31T12:00:00+0200", "2026-01-31T12:00:00+02",
        "2026-01-31T12:00:00+02:", "2026-01-31T12:00:00+02:0", "2026-01-31T12:00:00+24:00",
        "2026-01-31T12:00:00+02:60", "2026-01-31T12:00:00~02:00", "2026-1-31T12:00:00Z",
        "2026/01/31T12:00:00Z", "20260131T120000Z", "2026-01-31T 2:00:00Z", "2026-01-31X12:00:00Z",
        "2026-01-31T12:00:00.\xd9\xa1Z", "1769860800"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        ck_assert_msg(!is_time(bad[i]), "taken: %s", bad[i]);
    }
}
END_TEST

START_TEST(every_prefix_of_a_time_is_refused)
{
    static const char whole[] = "2026-01-31T12:00:00.123+02:00";
    for (size_t len = 0; len < sizeof whole - 1; len++) {
        /* A heap copy of exactly this length, so that the sanitizer sees any look beyond it. */
        char *part = strndup(whole, len);
        ck_assert_msg(!is_time(part), "taken: %s", part);
        free(part);
    }
    ck_assert(is_time(whole));
}
END_TEST

START_TEST(monotonic_clock_does_not_go_back)
{
    int64_t before = clock_mono_ns();
    for (int i = 0; i < 1000; i++) {
        int64_t now = clock_mono_ns();
        ck_assert(now >= before);
        before = now;
    }
    ck_assert(clock_wall_ms() > NOON - INT64_C(86400000) * 3650);
}
END_TEST

UNIT_MAIN("clock", known_moments_are_formatted, years_outside_four_digits_are_clamped,
    every_day_of_ten_thousand_years_comes_back, formatting_agrees_with_gmtime,
    fractions_are_cut_to_milliseconds, offsets_are_taken_into_account,
    letters_may_be_small_and_a_space_may_divide, leap_second_is_read_as_the_one_before,
    leap_years_have_a_29th_of_february, days_beyond_the_month_are_refused,
    what_is_no_time_is_refused, every_prefix_of_a_time_is_refused, monotonic_clock_does_not_go_back)
