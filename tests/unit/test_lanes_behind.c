/* test_lanes_behind: the token of a post, which may be ahead of what was read back. */
#include "lanes.h"
#include "push_queue.h"
#include "token.h"
#include "unit.h"

#include <string.h>

static void
decode(struct lanes *lanes, const struct push_place *places, size_t n, struct token *token)
{
    struct err err;
    struct buf text;
    buf_init(&text);
    lanes_behind(lanes, "topic", places, n, &text);
    ck_assert_int_eq(token_decode(text.bytes, text.len, NULL, token, &err), 0);
    buf_fini(&text);
}

static uint64_t
next_of(const struct token *token, const char *group, uint32_t partition)
{
    for (size_t i = 0; i < token->n_lanes; i++) {
        if (token->lanes[i].group == token_group_hash(group) &&
            token->lanes[i].partition == partition) {
            return token->lanes[i].next;
        }
    }
    return UINT64_MAX;
}

START_TEST(what_was_written_is_behind_and_the_rest_where_it_is)
{
    struct lanes *lanes = lanes_new(NULL);
    struct token token;
    uint32_t lane;
    ck_assert_ptr_null(lanes_add(lanes, "topic", 0, 10, &lane));
    ck_assert_ptr_null(lanes_add(lanes, "topic", 2, 20, &lane));
    ck_assert_ptr_null(lanes_add(lanes, "other", 0, 30, &lane));
    const struct push_place places[] = {{2, 25}, {1, 7}, {0, 4}};
    decode(lanes, places, 3, &token);
    ck_assert_uint_eq(token.n_lanes, 4);
    ck_assert_uint_eq(next_of(&token, "topic", 0), 4); /* read on since */
    ck_assert_uint_eq(next_of(&token, "topic", 1), 7); /* not known here yet */
    ck_assert_uint_eq(next_of(&token, "topic", 2), 25);
    ck_assert_uint_eq(next_of(&token, "other", 0), 30);
    free(token.lanes);
    ck_assert_uint_eq(lanes_next(lanes, 1), 20); /* the position itself stays */
    lanes_free(lanes);
}
END_TEST

START_TEST(a_token_that_is_ahead_is_within_the_ends)
{
    struct lanes *lanes = lanes_new(NULL);
    struct token token;
    struct lane_place *rows;
    uint32_t lane;
    ck_assert_ptr_null(lanes_add(lanes, "topic", 0, 10, &lane));
    const struct push_place place = {0, 15};
    decode(lanes, &place, 1, &token);
    const struct place here = {.kind = PLACE_TOKEN};
    const struct place from = {.kind = PLACE_TOKEN, .lanes = token.lanes, .n_lanes = token.n_lanes};
    ck_assert_uint_eq(lanes_places(lanes, &from, &here, &rows), 1);
    ck_assert(rows[0].known);
    ck_assert_uint_eq(rows[0].asked, 15);
    ck_assert_uint_eq(rows[0].end, 15);
    free(rows);
    free(token.lanes);
    lanes_free(lanes);
}
END_TEST

UNIT_MAIN("lanes_behind", what_was_written_is_behind_and_the_rest_where_it_is,
    a_token_that_is_ahead_is_within_the_ends)
