/* test_pace: a token bucket. */
#include "pace.h"
#include "unit.h"

/* What goes in seconds when it is asked every step_ms and everything allowed is sent. */
static uint64_t
run(uint64_t rate, int64_t seconds, int64_t step_ms)
{
    struct pace pace;
    uint64_t sent = 0;
    pace_init(&pace, rate, 0);
    for (int64_t now_ms = 0; now_ms < seconds * 1000; now_ms += step_ms) {
        uint64_t allowed = pace_allows(&pace, now_ms);
        pace_spend(&pace, allowed);
        sent += allowed;
    }
    return sent;
}

START_TEST(rate_is_kept_whatever_the_steps)
{
    static const uint64_t rates[] = {1, 3, 5, 100, 1000000};
    static const int64_t steps_ms[] = {1, 7, 50, 250};
    for (size_t i = 0; i < sizeof rates / sizeof *rates; i++) {
        for (size_t j = 0; j < sizeof steps_ms / sizeof *steps_ms; j++) {
            uint64_t sent = run(rates[i], 60, steps_ms[j]);
            ck_assert_uint_le(sent, rates[i] * 60 + rates[i] / 4 + 1);
            ck_assert_uint_ge(sent, rates[i] * 59);
        }
    }
}
END_TEST

START_TEST(idle_time_gives_one_burst_and_no_more)
{
    struct pace pace;
    pace_init(&pace, 100, 0);
    ck_assert_uint_eq(pace_allows(&pace, INT64_C(1) << 40), 26);
    pace_spend(&pace, 26);
    ck_assert_uint_eq(pace_allows(&pace, INT64_C(1) << 40), 0);
    ck_assert_uint_eq(pace_allows(&pace, (INT64_C(1) << 40) + 10), 1);
}
END_TEST

START_TEST(rate_zero_is_unpaced)
{
    struct pace pace;
    pace_init(&pace, 0, 0);
    pace_spend(&pace, 1000);
    ck_assert_uint_eq(pace_allows(&pace, 1), UINT64_MAX);
}
END_TEST

UNIT_MAIN("pace", rate_is_kept_whatever_the_steps, idle_time_gives_one_burst_and_no_more,
    rate_zero_is_unpaced)
