/* clock: the two clocks and RFC 3339. Any thread. */
#include "clock.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>
#include <time.h>

int64_t
clock_mono_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

int64_t
clock_wall_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

#define DAY_S INT64_C(86400)
#define DAY_MS (DAY_S * 1000)

/* Days since 1970-01-01 of a proleptic Gregorian date; the era arithmetic of Howard Hinnant's
 * "chrono-compatible low-level date algorithms", public domain. */
static int64_t
days_from_civil(int64_t year, int month, int day)
{
    year -= month <= 2;
    int64_t era = (year >= 0 ? year : year - 399) / 400;
    int64_t year_of_era = year - era * 400;
    int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * 146097 + day_of_era - 719468;
}

static void
civil_from_days(int64_t days, int *year, int *month, int *day)
{
    days += 719468;
    int64_t era = (days >= 0 ? days : days - 146096) / 146097;
    int64_t day_of_era = days - era * 146097;
    int64_t year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t mp = (5 * day_of_year + 2) / 153;
    *day = (int)(day_of_year - (153 * mp + 2) / 5 + 1);
    *month = (int)(mp < 10 ? mp + 3 : mp - 9);
    *year = (int)(year_of_era + era * 400 + (*month <= 2));
}

static void
put_digits(char *out, int value, int width)
{
    for (int i = width - 1; i >= 0; i--) {
        out[i] = (char)('0' + value % 10);
        value /= 10;
    }
}

static void
format_second(char out[CLOCK_TIME_LEN], int64_t unix_s)
{
    int64_t days = unix_s / DAY_S - (unix_s % DAY_S < 0);
    int of_day = (int)(unix_s - days * DAY_S);
    int year, month, day;
    civil_from_days(days, &year, &month, &day);
    memcpy(out, "0000-00-00T00:00:00.000Z", CLOCK_TIME_LEN);
    put_digits(out, year, 4);
    put_digits(out + 5, month, 2);
    put_digits(out + 8, day, 2);
    put_digits(out + 11, of_day / 3600, 2);
    put_digits(out + 14, of_day / 60 % 60, 2);
    put_digits(out + 17, of_day % 60, 2);
}

void
clock_format_rfc3339(char out[CLOCK_TIME_LEN], int64_t unix_ms)
{
    /* Records that follow each other are mostly of the same second. */
    static _Thread_local int64_t known_s = INT64_MIN;
    static _Thread_local char known[CLOCK_TIME_LEN];
    const int64_t first = days_from_civil(0, 1, 1) * DAY_MS;
    const int64_t last = days_from_civil(10000, 1, 1) * DAY_MS - 1;
    unix_ms = unix_ms < first ? first : unix_ms > last ? last : unix_ms;
    int64_t unix_s = unix_ms / 1000 - (unix_ms % 1000 < 0);
    if (unix_s != known_s) {
        format_second(known, unix_s);
        known_s = unix_s;
    }
    memcpy(out, known, CLOCK_TIME_LEN);
    put_digits(out + 20, (int)(unix_ms - unix_s * 1000), 3);
}

/* Read width digits at **at; -1 when one is missing. */
static int
take_digits(const char **at, int width)
{
    int value = 0;
    for (int i = 0; i < width; i++) {
        if (!isdigit((unsigned char)(*at)[i])) {
            return -1;
        }
        value = value * 10 + ((*at)[i] - '0');
    }
    *at += width;
    return value;
}

static bool
take_char(const char **at, const char *any_of)
{
    if (**at == '\0' || strchr(any_of, **at) == NULL) {
        return false;
    }
    (*at)++;
    return true;
}

static int
take_fraction_ms(const char **at)
{
    int ms = 0;
    int digits = 0;
    while (isdigit((unsigned char)**at)) {
        if (digits < 3) {
            ms = ms * 10 + (**at - '0');
        }
        digits++;
        (*at)++;
    }
    for (int i = digits; i < 3; i++) {
        ms *= 10;
    }
    return digits == 0 ? -1 : ms;
}

/* The offset from UTC in minutes into *minutes; false when it is not one. */
static bool
take_zone(const char **at, int *minutes)
{
    if (take_char(at, "Zz")) {
        *minutes = 0;
        return true;
    }
    int sign = **at == '-' ? -1 : 1;
    if (!take_char(at, "+-")) {
        return false;
    }
    int hours = take_digits(at, 2);
    if (hours < 0 || hours > 23 || !take_char(at, ":")) {
        return false;
    }
    int rest = take_digits(at, 2);
    if (rest < 0 || rest > 59) {
        return false;
    }
    *minutes = sign * (hours * 60 + rest);
    return true;
}

static bool
take_date(const char **at, int64_t *days)
{
    static const int lengths[12] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int year = take_digits(at, 4);
    if (year < 0 || !take_char(at, "-")) {
        return false;
    }
    int month = take_digits(at, 2);
    if (month < 1 || month > 12 || !take_char(at, "-")) {
        return false;
    }
    int day = take_digits(at, 2);
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    if (day < 1 || day > lengths[month - 1] + (month == 2 && leap)) {
        return false;
    }
    *days = days_from_civil(year, month, day);
    return true;
}

static bool
take_time_of_day(const char **at, int *of_day_ms)
{
    int hour = take_digits(at, 2);
    if (hour < 0 || hour > 23 || !take_char(at, ":")) {
        return false;
    }
    int minute = take_digits(at, 2);
    if (minute < 0 || minute > 59 || !take_char(at, ":")) {
        return false;
    }
    int second = take_digits(at, 2);
    if (second < 0 || second > 60) {
        return false;
    }
    int ms = 0;
    if (take_char(at, ".") && (ms = take_fraction_ms(at)) < 0) {
        return false;
    }
    *of_day_ms = ((hour * 60 + minute) * 60 + (second == 60 ? 59 : second)) * 1000 + ms;
    return true;
}

int
clock_parse_rfc3339(const char *text, int64_t *unix_ms)
{
    int64_t days;
    int of_day_ms, zone_minutes;
    if (!take_date(&text, &days) || !take_char(&text, "Tt ") ||
        !take_time_of_day(&text, &of_day_ms) || !take_zone(&text, &zone_minutes) || *text != '\0') {
        return -1;
    }
    *unix_ms = days * DAY_MS + of_day_ms - (int64_t)zone_minutes * 60000;
    return 0;
}
