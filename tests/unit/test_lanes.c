/* test_lanes: the position vector, its tokens, and what may become a lane. */
#include "connector.h"
#include "lanes.h"
#include "mem.h"
#include "token.h"
#include "unit.h"

#include <stdio.h>
#include <string.h>

static uint32_t
add(struct lanes *lanes, const char *group, uint32_t partition, uint64_t next)
{
    uint32_t lane = UINT32_MAX;
    const char *why = lanes_add(lanes, group, partition, next, &lane);
    ck_assert_msg(why == NULL, "%s", why);
    return lane;
}

static struct place
place_of(const char *text, size_t len)
{
    struct place place;
    struct err err;
    ck_assert_int_eq(place_of_token(&place, text, len, NULL, &err), 0);
    return place;
}

static struct place
now(struct lanes *lanes)
{
    struct buf token;
    buf_init(&token);
    lanes_token(lanes, &token);
    struct place place = place_of(token.bytes, token.len);
    buf_fini(&token);
    return place;
}

static bool
advance(struct lanes *lanes, uint32_t lane, uint64_t offset)
{
    struct buf token;
    buf_init(&token);
    const char *prefix = lanes_advance(lanes, lane, offset, &token);
    ck_assert_int_eq(prefix != NULL, token.len > 0);
    buf_fini(&token);
    return prefix != NULL;
}

static const struct place here_now = {.kind = PLACE_NONE};

START_TEST(rows_are_sorted_whatever_the_order_of_adding)
{
    unsigned seed = 5;
    for (int round = 0; round < 50; round++) {
        struct lanes *lanes = lanes_new(NULL);
        uint64_t next[40];
        char group[40][8];
        uint32_t partition[40];
        uint32_t n = 0;
        while (n < 40) {
            snprintf(group[n], sizeof group[n], "g%d", rand_r(&seed) % 5);
            partition[n] = (uint32_t)rand_r(&seed) % 30;
            bool there = false;
            for (uint32_t i = 0; i < n; i++) {
                there |= strcmp(group[i], group[n]) == 0 && partition[i] == partition[n];
            }
            if (!there) {
                next[n] = (uint64_t)rand_r(&seed);
                ck_assert_uint_eq(add(lanes, group[n], partition[n], next[n]), n);
                n++;
            }
        }
        struct place place = now(lanes);
        ck_assert_uint_eq(place.n_lanes, 40);
        for (uint32_t i = 0; i < 40; i++) {
            ck_assert_uint_eq(lanes_next(lanes, i), next[i]);
            bool met = false;
            for (size_t k = 0; k < 40; k++) {
                met |= place.lanes[k].group == token_group_hash(group[i]) &&
                       place.lanes[k].partition == partition[i] && place.lanes[k].next == next[i];
            }
            ck_assert(met);
        }
        free(place.lanes);
        lanes_free(lanes);
    }
    lanes_free(NULL);
}
END_TEST

START_TEST(an_offset_below_the_next_one_is_a_repeat)
{
    struct lanes *lanes = lanes_new(NULL);
    uint32_t lane = add(lanes, "t", 0, 10);
    ck_assert(!advance(lanes, lane, 9));
    ck_assert_uint_eq(lanes_next(lanes, lane), 10);
    ck_assert(advance(lanes, lane, 10));
    ck_assert(!advance(lanes, lane, 10));
    ck_assert(advance(lanes, lane, 15)); /* offsets may jump */
    ck_assert_uint_eq(lanes_next(lanes, lane), 16);
    lanes_free(lanes);
}
END_TEST

START_TEST(the_source_text_names_topic_and_partition)
{
    struct lanes *lanes = lanes_new(NULL);
    uint32_t lane = add(lanes, "a\"b", 7, 0);
    struct buf token;
    buf_init(&token);
    ck_assert_str_eq(
        lanes_advance(lanes, lane, 0, &token), "{\"topic\":\"a\\\"b\",\"partition\":7,\"offset\":");
    buf_fini(&token);
    lanes_free(lanes);
}
END_TEST

START_TEST(the_start_token_is_where_every_lane_began)
{
    struct lanes *lanes = lanes_new(NULL);
    uint32_t a = add(lanes, "t", 0, 10);
    uint32_t b = add(lanes, "t", 1, 20);
    advance(lanes, a, 12);
    advance(lanes, b, 20);
    struct buf token;
    buf_init(&token);
    lanes_start_token(lanes, &token);
    struct place place = place_of(token.bytes, token.len);
    ck_assert_uint_eq(place.lanes[0].next, 10);
    ck_assert_uint_eq(place.lanes[1].next, 20);
    free(place.lanes);
    buf_fini(&token);
    lanes_free(lanes);
}
END_TEST

START_TEST(a_reset_lane_starts_anew_and_a_removed_one_keeps_its_place)
{
    struct lanes *lanes = lanes_new(NULL);
    uint32_t a = add(lanes, "t", 0, 10);
    uint32_t b = add(lanes, "t", 1, 0);
    advance(lanes, a, 500);
    struct place before = now(lanes);
    lanes_reset(lanes, a, 3);
    ck_assert_uint_eq(lanes_next(lanes, a), 3);
    struct lane_place *places;
    ck_assert_uint_eq(lanes_places(lanes, &before, &here_now, &places), 2);
    ck_assert_uint_eq(places[a].asked, 501);
    ck_assert_uint_eq(places[a].end, 3);
    ck_assert_uint_eq(places[a].start, 3);
    free(places);
    lanes_remove(lanes, b);
    lanes_places(lanes, &before, &here_now, &places);
    ck_assert(places[b].removed);
    free(places);
    ck_assert_uint_eq(add(lanes, "t", 1, 40), b); /* revived under its index */
    ck_assert_uint_eq(lanes_next(lanes, b), 40);
    lanes_places(lanes, &before, &here_now, &places);
    ck_assert(!places[b].removed);
    free(places);
    free(before.lanes);
    lanes_free(lanes);
}
END_TEST

START_TEST(a_subscriber_wants_what_its_token_does_not_know)
{
    struct lanes *lanes = lanes_new(NULL);
    uint32_t a = add(lanes, "t", 0, 10);
    struct place from = now(lanes);
    uint32_t b = add(lanes, "t", 1, 5);
    ck_assert(!lanes_wants(lanes, &from, a, 9));
    ck_assert(lanes_wants(lanes, &from, a, 10));
    ck_assert(lanes_wants(lanes, &from, b, 0));
    free(from.lanes);
    lanes_free(lanes);
}
END_TEST

START_TEST(a_place_is_reached_when_every_lane_that_is_there_has_come_to_it)
{
    struct lanes *lanes = lanes_new(NULL);
    uint32_t a = add(lanes, "t", 0, 0);
    uint32_t b = add(lanes, "t", 1, 0);
    add(lanes, "unknown to the token", 0, 0);
    struct token_lane rows[] = {{token_group_hash("t"), 0, 5}, {token_group_hash("t"), 1, 1}};
    struct place to = {.kind = PLACE_TOKEN, .lanes = rows, .n_lanes = 2};
    ck_assert(!lanes_reach(lanes, &to, &here_now));
    advance(lanes, a, 4);
    ck_assert(!lanes_reach(lanes, &to, &here_now));
    struct place here = now(lanes);
    advance(lanes, b, 0);
    ck_assert(lanes_reach(lanes, &to, &here_now));
    ck_assert(!lanes_reach(lanes, &to, &here)); /* the record at b is staged only */
    lanes_remove(lanes, b);
    ck_assert(lanes_reach(lanes, &to, &here)); /* nothing more comes from it */
    free(here.lanes);
    lanes_free(lanes);
}
END_TEST

START_TEST(places_are_told_as_of_a_committed_record)
{
    struct lanes *lanes = lanes_new(NULL);
    uint32_t a = add(lanes, "t", 0, 10);
    advance(lanes, a, 12);
    struct place here = now(lanes);
    uint32_t b = add(lanes, "t", 1, 7);
    advance(lanes, a, 20);
    advance(lanes, b, 9);
    lanes_set_end(lanes, a, 99);
    struct lane_place *places;
    ck_assert_uint_eq(lanes_places(lanes, &here, &here, &places), 2);
    ck_assert(places[a].known && !places[b].known);
    ck_assert_uint_eq(places[a].asked, 13);
    ck_assert_uint_eq(places[a].next, 13);
    ck_assert_uint_eq(places[a].end, 99);
    ck_assert_uint_eq(places[b].asked, 7);
    ck_assert_uint_eq(places[b].next, 7); /* it appeared after here */
    ck_assert_uint_eq(places[b].end, 10);
    free(places);
    lanes_reset(lanes, a, 2);
    lanes_places(lanes, &here, &here, &places);
    ck_assert_uint_eq(places[a].next, 2);
    free(places);
    free(here.lanes);
    lanes_free(lanes);
}
END_TEST

/* Two names with the same 32-bit FNV-1a: a known pair. */
START_TEST(a_topic_whose_name_collides_with_another_is_refused)
{
    ck_assert_uint_eq(token_group_hash("costarring"), token_group_hash("liquid"));
    struct lanes *lanes = lanes_new(NULL);
    uint32_t lane = 77;
    add(lanes, "costarring", 0, 0);
    ck_assert_ptr_nonnull(lanes_add(lanes, "liquid", 0, 0, &lane));
    ck_assert_ptr_nonnull(lanes_add(lanes, "liquid", 1, 0, &lane));
    ck_assert_uint_eq(lane, 77);
    ck_assert_uint_eq(add(lanes, "costarring", 1, 0), 1);
    struct place place = now(lanes);
    ck_assert_uint_eq(place.n_lanes, 2);
    free(place.lanes);
    lanes_free(lanes);
}
END_TEST

START_TEST(as_many_lanes_are_taken_as_every_token_of_theirs_can_hold)
{
    struct lanes *lanes = lanes_new(NULL);
    uint32_t n = 0, lane;
    while (n < 2000 && lanes_add(lanes, n % 2 == 0 ? "even" : "odd", n / 2, n, &lane) == NULL) {
        ck_assert_uint_eq(lane, n++);
    }
    ck_assert_uint_ge(n, 880);
    ck_assert_uint_lt(n, 1000);
    for (uint32_t i = 0; i < n; i++) {
        advance(lanes, i, UINT64_C(4000000000000));
    }
    struct place place = now(lanes); /* it decodes: no longer than TOKEN_MAX */
    ck_assert_uint_eq(place.n_lanes, n);
    free(place.lanes);
    ck_assert_uint_eq(add(lanes, "even", 3, 0), 6); /* those that are there can come again */
    lanes_free(lanes);
}
END_TEST

START_TEST(a_partition_number_that_no_token_holds_is_refused)
{
    struct lanes *lanes = lanes_new(NULL);
    uint32_t lane;
    ck_assert_ptr_nonnull(lanes_add(lanes, "t", TOKEN_PARTITION_LIMIT, 0, &lane));
    ck_assert_ptr_nonnull(lanes_add(lanes, "t", UINT32_MAX, 0, &lane));
    ck_assert_ptr_nonnull(lanes_add(lanes, "t", 90000, 0, &lane)); /* holes take room too */
    ck_assert_uint_eq(add(lanes, "t", 4000, 0), 0);
    lanes_free(lanes);
}
END_TEST

START_TEST(the_lag_is_told_for_each_lane_that_is_there)
{
    struct lanes *lanes = lanes_new(NULL);
    uint32_t a = add(lanes, "t", 0, 10);
    uint32_t b = add(lanes, "t", 1, 10);
    lanes_set_end(lanes, a, 25);
    lanes_remove(lanes, b);
    struct buf out;
    buf_init(&out);
    lanes_metrics_lag(lanes, "s", &out);
    buf_addc(&out, '\0');
    ck_assert_str_eq(
        out.bytes, "headgate_kafka_lag_records{stream=\"s\",topic=\"t\",partition=\"0\"} 15\n");
    buf_fini(&out);
    lanes_free(lanes);
}
END_TEST

/* A lane that is a file, read up to next. */
static uint32_t
add_file(struct lanes *lanes, const char *id, const char *path, uint64_t next)
{
    uint32_t lane = add(lanes, id, 0, 0);
    lanes_set_file(lanes, lane, path, 0);
    ck_assert(advance(lanes, lane, next - 1));
    return lane;
}

START_TEST(a_file_that_is_gone_leaves_the_tokens_and_its_end_is_known)
{
    struct lanes *lanes = lanes_new(NULL);
    uint32_t a = add_file(lanes, "a", "/log", 100);
    uint32_t b = add_file(lanes, "b", "/log", 50);
    struct place before = now(lanes);
    ck_assert(lanes_remove(lanes, a));
    lanes_forget(lanes, a);
    lanes_forget(lanes, a);
    struct place after = now(lanes);
    ck_assert_uint_eq(before.n_lanes, 2);
    ck_assert_uint_eq(after.n_lanes, 1);
    ck_assert_uint_eq(after.lanes[0].group, token_group_hash("b"));
    ck_assert_uint_eq(after.lanes[0].next, 50);
    bool known = false;
    ck_assert(!lanes_unaccounted(lanes, &after, &known));
    ck_assert(!known);
    ck_assert(!lanes_unaccounted(lanes, &before, &known)); /* it had seen all of it */
    ck_assert(known);
    for (size_t i = 0; i < before.n_lanes; i++) {
        before.lanes[i].next = 49;
    }
    ck_assert(lanes_unaccounted(lanes, &before, &known));
    ck_assert_uint_eq(add(lanes, "c", 0, 0), a); /* the index is given to another */
    ck_assert(advance(lanes, b, 50));
    free(before.lanes);
    free(after.lanes);
    lanes_free(lanes);
}
END_TEST

START_TEST(lanes_that_come_and_go_leave_nothing_behind)
{
    struct lanes *lanes = lanes_new(NULL);
    for (int i = 0; i < 3000; i++) {
        char id[16];
        snprintf(id, sizeof id, "f%d", i);
        uint32_t lane = add_file(lanes, id, "/log", 10);
        ck_assert_uint_lt(lane, 2);
        ck_assert(!lanes_is_untouched(lanes, lane));
        ck_assert(lanes_remove(lanes, lane));
        ck_assert(lanes_is_removed(lanes, lane));
        lanes_forget(lanes, lane);
    }
    struct place place = now(lanes);
    ck_assert_uint_eq(place.n_lanes, 0);
    free(place.lanes);
    struct replay_lane *rows;
    ck_assert_uint_eq(lanes_replay(lanes, &(struct place){.kind = PLACE_TOKEN}, &rows, NULL), 0);
    free(rows);
    lanes_free(lanes);
}
END_TEST

START_TEST(what_a_token_does_not_know_of_a_file_begins_at_its_origin)
{
    struct lanes *lanes = lanes_new(NULL);
    uint32_t lane = add(lanes, "copy", 0, 70);
    lanes_set_file(lanes, lane, "/log.1", 70);
    (void)add_file(lanes, "b", "/log", 50);
    struct replay_lane *rows;
    size_t n = lanes_replay(lanes, &(struct place){.kind = PLACE_TOKEN}, &rows, NULL);
    ck_assert_uint_eq(n, 2);
    for (size_t i = 0; i < n; i++) {
        bool copy = strcmp(rows[i].group, "copy") == 0;
        ck_assert_uint_eq(rows[i].next, copy ? 70 : 0);
        ck_assert_uint_eq(rows[i].end, copy ? 70 : 50);
    }
    free(rows);
    lanes_free(lanes);
}
END_TEST

START_TEST(the_lag_of_files_is_told_once_a_path)
{
    struct lanes *lanes = lanes_new(NULL);
    uint32_t a = add_file(lanes, "a", "/log", 100);
    uint32_t b = add_file(lanes, "b", "/log", 50);
    uint32_t c = add_file(lanes, "c", "/other", 5);
    struct buf out;
    buf_init(&out);
    lanes_set_end(lanes, a, 110);
    lanes_set_end(lanes, b, 57);
    lanes_remove(lanes, c);
    lanes_metrics_file_lag(lanes, "s", &out);
    lanes_metrics_lag(lanes, "s", &out);
    buf_addc(&out, '\0');
    ck_assert_str_eq(out.bytes, "headgate_file_lag_bytes{stream=\"s\",file=\"/log\"} 17\n");
    buf_fini(&out);
    lanes_free(lanes);
}
END_TEST

START_TEST(a_reset_ends_what_a_token_holds_back)
{
    uint32_t lane[2];
    struct lanes *lanes = lanes_new(NULL);
    struct token_lane rows[2] = {{token_group_hash("t"), 0, 8}, {token_group_hash("t"), 1, 5}};
    struct place from = {.kind = PLACE_TOKEN, .lanes = rows, .n_lanes = 2};
    ck_assert_ptr_null(lanes_add(lanes, "t", 0, 0, &lane[0]));
    ck_assert_ptr_null(lanes_add(lanes, "t", 1, 0, &lane[1]));
    ck_assert(!lanes_wants(lanes, &from, lane[0], 7));
    lanes_start_over(lanes, &from, lane[0]);
    ck_assert(lanes_wants(lanes, &from, lane[0], 0));
    ck_assert(!lanes_wants(lanes, &from, lane[1], 4));
    lanes_free(lanes);
}
END_TEST

UNIT_MAIN("lanes", a_reset_ends_what_a_token_holds_back,
    a_file_that_is_gone_leaves_the_tokens_and_its_end_is_known,
    lanes_that_come_and_go_leave_nothing_behind,
    what_a_token_does_not_know_of_a_file_begins_at_its_origin, the_lag_of_files_is_told_once_a_path,
    rows_are_sorted_whatever_the_order_of_adding, an_offset_below_the_next_one_is_a_repeat,
    the_source_text_names_topic_and_partition, the_start_token_is_where_every_lane_began,
    a_reset_lane_starts_anew_and_a_removed_one_keeps_its_place,
    a_subscriber_wants_what_its_token_does_not_know,
    a_place_is_reached_when_every_lane_that_is_there_has_come_to_it,
    places_are_told_as_of_a_committed_record, a_topic_whose_name_collides_with_another_is_refused,
    as_many_lanes_are_taken_as_every_token_of_theirs_can_hold,
    a_partition_number_that_no_token_holds_is_refused, the_lag_is_told_for_each_lane_that_is_there)
