/* file_pace: see file_pace.h. One thread at a time. */
#include "file_pace.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define SECOND_NS 1e9
/* What a late wake-up may catch up with. */
#define BURST_NS INT64_C(20000000)
#define PER_SECOND_MAX 1e7
#define SPEED_MAX 1e6
#define WAIT_MAX_NS 2e18 /* 63 years */
#define SPEED_MIN 1e-3

static bool
take_number(const char *text, double least, double most, double *number, const char **rest)
{
    char *end;
    if (*text < '0' || *text > '9') { /* no sign, space, infinity */
        return false;
    }
    *number = strtod(text, &end);
    *rest = end;
    return isfinite(*number) && *number >= least && *number <= most;
}

int
file_pace_rate(struct file_pace *pace, const char *text, struct err *err)
{
    double number;
    const char *unit = "";
    bool good = take_number(text, 1e-6, PER_SECOND_MAX, &number, &unit);
    double seconds = strcmp(unit, "") == 0 || strcmp(unit, "/s") == 0 ? 1
                     : strcmp(unit, "/m") == 0                        ? 60
                     : strcmp(unit, "/h") == 0                        ? 3600
                                                                      : 0;
    if (!good || seconds == 0) {
        err_set(err, ERR_INVALID, "rate: must be as 1000/s, 10/m or 5/h");
        return -1;
    }
    pace->per_second = number / seconds;
    return 0;
}

int
file_pace_speed(struct file_pace *pace, const char *text, struct err *err)
{
    double number;
    const char *rest = "";
    if (!take_number(text, SPEED_MIN, SPEED_MAX, &number, &rest) || *rest != '\0') {
        err_set(err, ERR_INVALID, "speed: must be a number from 0.001 to 1000000");
        return -1;
    }
    pace->speed = number;
    return 0;
}

int64_t
file_pace_due(struct file_pace *pace, int64_t time_ms, int64_t now_ns)
{
    if (pace->per_second > 0) {
        return pace->next_ns;
    }
    if (pace->speed <= 0 || time_ms < 0) {
        return now_ns;
    }
    if (!pace->begun) {
        pace->begun = true;
        pace->begun_ms = time_ms;
        pace->begun_ns = now_ns;
    }
    double wait_ns = (double)(time_ms - pace->begun_ms) * 1e6 / pace->speed;
    wait_ns = wait_ns < WAIT_MAX_NS ? wait_ns : WAIT_MAX_NS;
    return wait_ns <= 0 ? now_ns : pace->begun_ns + (int64_t)wait_ns;
}

void
file_pace_sent(struct file_pace *pace, int64_t now_ns)
{
    if (pace->per_second > 0) {
        int64_t oldest = now_ns - BURST_NS;
        int64_t from = pace->next_ns > oldest ? pace->next_ns : oldest;
        pace->next_ns = from + (int64_t)(SECOND_NS / pace->per_second);
    }
}

void
file_pace_held(struct file_pace *pace, int64_t ns)
{
    pace->begun_ns += ns;
}
