/* test_place: which places are the same, and how far they are apart. How they are read from text is
 * in test_params. */
#include "place.h"
#include "unit.h"

static struct place
of_lanes(struct token_lane *lanes, size_t n)
{
    return (struct place){.kind = PLACE_TOKEN, .lanes = lanes, .n_lanes = n};
}

START_TEST(tokens_are_apart_by_the_offsets_between_them_in_all_lanes)
{
    struct token_lane one[] = {{7, 0, 10}, {7, 1, 300}}, two[] = {{7, 0, 15}, {7, 1, 100}};
    struct place a = of_lanes(one, 2), b = of_lanes(two, 2);
    ck_assert_uint_eq(place_apart(&a, &b), 205);
    ck_assert_uint_eq(place_apart(&b, &a), 205);
    ck_assert_uint_eq(place_apart(&a, &a), 0);
    one[0].next = one[1].next = UINT64_MAX;
    two[0].next = two[1].next = 0;
    ck_assert_uint_eq(place_apart(&a, &b), UINT64_MAX);
}
END_TEST

START_TEST(tokens_of_other_lanes_and_cursors_are_not_compared)
{
    struct token_lane one[] = {{7, 0, 10}, {7, 1, 10}}, two[] = {{7, 0, 10}, {7, 2, 10}};
    const uint8_t cursor[] = {1};
    struct place a = of_lanes(one, 2), b = of_lanes(two, 2), fewer = of_lanes(one, 1);
    struct place by_cursor = {.kind = PLACE_TOKEN, .cursor = cursor, .cursor_len = 1};
    struct place earliest = {.kind = PLACE_EARLIEST};
    ck_assert(place_same_lanes(&a, &a));
    const struct place *others[] = {&b, &fewer, &by_cursor, &earliest};
    for (size_t i = 0; i < 4; i++) {
        ck_assert(!place_same_lanes(&a, others[i]));
        ck_assert_uint_eq(place_apart(&a, others[i]), UINT64_MAX);
        ck_assert(!place_same(&a, others[i]) && place_same(others[i], others[i]));
    }
}
END_TEST

START_TEST(places_are_the_same_by_what_they_say)
{
    struct token_lane one[] = {{7, 0, 10}}, two[] = {{7, 0, 10}}, three[] = {{7, 0, 11}};
    const uint8_t cursors[2][2] = {{1, 2}, {1, 3}};
    struct place a = of_lanes(one, 1), b = of_lanes(two, 1), c = of_lanes(three, 1);
    ck_assert(place_same(&a, &b) && !place_same(&a, &c));
    struct place x = {.kind = PLACE_TOKEN, .cursor = cursors[0], .cursor_len = 2};
    struct place y = {.kind = PLACE_TOKEN, .cursor = cursors[1], .cursor_len = 2};
    ck_assert(!place_same(&x, &y));
    y.cursor_len = x.cursor_len = 1;
    ck_assert(place_same(&x, &y));
    struct place early = {.kind = PLACE_TIME, .time_ms = 1},
                 late = {.kind = PLACE_TIME, .time_ms = 2};
    ck_assert(!place_same(&early, &late) && place_same(&late, &late));
}
END_TEST

UNIT_MAIN("place", tokens_are_apart_by_the_offsets_between_them_in_all_lanes,
    tokens_of_other_lanes_and_cursors_are_not_compared, places_are_the_same_by_what_they_say)
