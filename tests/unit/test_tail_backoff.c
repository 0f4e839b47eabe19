/* test_tail_backoff: waits between tries. */
#include "tail_backoff.h"
#include "unit.h"

START_TEST(waits_grow_to_the_bound_and_no_further)
{
    struct tail_backoff backoff;
    int64_t longest = 0;
    for (uint64_t seed = 0; seed < 200; seed++) {
        tail_backoff_init(&backoff, seed);
        ck_assert_int_le(tail_backoff_next_ms(&backoff, 0), 2 * TAIL_BACKOFF_LEAST_MS);
        for (int i = 0; i < 20; i++) {
            int64_t wait_ms = tail_backoff_next_ms(&backoff, 0);
            ck_assert_int_ge(wait_ms, TAIL_BACKOFF_LEAST_MS);
            ck_assert_int_le(wait_ms, TAIL_BACKOFF_MOST_MS);
            longest = wait_ms > longest ? wait_ms : longest;
        }
    }
    ck_assert_int_gt(longest, TAIL_BACKOFF_MOST_MS * 9 / 10);
}
END_TEST

START_TEST(seeds_spread_the_waits)
{
    int64_t waits[2];
    int same = 0;
    for (uint64_t seed = 1; seed < 100; seed++) {
        for (uint64_t i = 0; i < 2; i++) {
            struct tail_backoff backoff;
            tail_backoff_init(&backoff, seed * 1000 + i * 77777);
            for (int n = 0; n < 4; n++) {
                waits[i] = tail_backoff_next_ms(&backoff, 0);
            }
        }
        same += waits[0] == waits[1];
    }
    ck_assert_int_lt(same, 5);
}
END_TEST

START_TEST(server_s_retry_after_is_the_least)
{
    struct tail_backoff backoff;
    tail_backoff_init(&backoff, 7);
    for (int i = 0; i < 20; i++) {
        int64_t wait_ms = tail_backoff_next_ms(&backoff, 30000);
        ck_assert_int_ge(wait_ms, 30000);
        ck_assert_int_le(wait_ms, 30000 + TAIL_BACKOFF_MOST_MS);
    }
}
END_TEST

START_TEST(reset_begins_anew)
{
    struct tail_backoff backoff;
    tail_backoff_init(&backoff, 7);
    for (int i = 0; i < 20; i++) {
        tail_backoff_next_ms(&backoff, 0);
    }
    tail_backoff_reset(&backoff);
    ck_assert_int_le(tail_backoff_next_ms(&backoff, 0), 2 * TAIL_BACKOFF_LEAST_MS);
}
END_TEST

UNIT_MAIN("tail_backoff", waits_grow_to_the_bound_and_no_further, seeds_spread_the_waits,
    server_s_retry_after_is_the_least, reset_begins_anew)
