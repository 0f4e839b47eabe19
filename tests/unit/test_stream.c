/* test_stream: what a source publishes, and what of it may be committed. */
#include "clock.h"
#include "filter.h"
#include "lanes.h"
#include "mem.h"
#include "played_stream.h"
#include "stream_internal.h"
#include "unit.h"

#include <stdio.h>
#include <string.h>

/* ---- publishing ---- */

START_TEST(what_is_staged_shows_at_the_commit)
{
    struct stream *stream = played_stream(10);
    ck_assert_uint_eq(stream_lane_add(stream, "t", 0, 5), 0);
    ck_assert_uint_eq(stream_room(stream), 10);
    ck_assert_int_eq(played_stage(stream, 0, 4), 0);
    ck_assert_int_eq(played_stage(stream, 0, 5), 1);
    ck_assert_int_eq(played_stage(stream, 0, 5), 0);
    ck_assert_int_eq(played_stage(stream, 0, 7), 1);
    ck_assert_uint_eq(played_state(stream).head_seq, 0);
    stream_commit(stream);
    ck_assert_uint_eq(played_state(stream).head_seq, 2);
    ck_assert_uint_eq(played_state(stream).head_ordinal, 2);
    ck_assert_uint_eq(stream_records_in(stream), 2);
    ck_assert_uint_eq(stream_dropped(stream, DROP_REPEAT), 2);
    ck_assert_uint_eq(stream_lane_next(stream, 0), 8);
    stream_room(stream);
    played_stage(stream, 0, 9); /* never committed: freed with the stream */
    stream_free(stream);
    stream_free(NULL);
}
END_TEST

/* ---- keys that nobody wants ---- */

static struct filter *
filter_of_key(const char *key)
{
    struct err err;
    struct filter *filter = filter_new();
    ck_assert_int_eq(filter_add_key(filter, key, strlen(key), &err), 0);
    filter_seal(filter);
    return filter;
}

static void
expect_token_at(struct stream *stream, uint64_t seq, uint64_t first, uint64_t second)
{
    struct buf got, expected;
    const struct token_lane lanes[] = {
        {token_group_hash("t"), 0, first}, {token_group_hash("t"), 1, second}};
    struct record *record = ring_peek_ref(stream_ring(stream), seq);
    ck_assert_ptr_nonnull(record);
    buf_init(&got);
    buf_init(&expected);
    record_add_id(&got, record);
    token_encode(&expected, lanes, 2, NULL);
    ck_assert_uint_eq(got.len, expected.len);
    ck_assert(memcmp(got.bytes, expected.bytes, got.len) == 0);
    record_unref(record);
    buf_fini(&got);
    buf_fini(&expected);
}

START_TEST(what_is_passed_over_moves_the_position_and_is_told_once_a_commit)
{
    struct stream *stream = played_stream(10);
    struct filter *filter = filter_of_key("k");
    ck_assert(!stream_sifts(stream));
    stream_sift(stream, filter);
    ck_assert(stream_sifts(stream));
    ck_assert_uint_eq(stream_lane_add(stream, "t", 0, 0), 0);
    ck_assert_uint_eq(stream_lane_add(stream, "t", 1, 0), 1);
    stream_room(stream);
    ck_assert(stream_pass_over(stream, 0, 0, "other", 5));
    ck_assert(stream_pass_over(stream, 1, 3, NULL, 0));
    ck_assert(!stream_pass_over(stream, 0, 1, "k", 1));
    ck_assert_int_eq(played_stage(stream, 0, 1), 1);
    stream_commit(stream);
    ck_assert_uint_eq(played_state(stream).head_seq, 1); /* its token says it all */
    expect_token_at(stream, 1, 2, 4);
    stream_room(stream);
    ck_assert_int_eq(played_stage(stream, 0, 2), 1);
    ck_assert(stream_pass_over(stream, 0, 3, "kk", 2));
    ck_assert(stream_pass_over(stream, 1, 4, "", 0));
    ck_assert(!stream_pass_over(stream, 1, 4, "", 0)); /* a repeat is not passed over twice */
    stream_commit(stream);
    ck_assert_uint_eq(played_state(stream).head_seq, 3);
    expect_token_at(stream, 2, 3, 4);
    expect_token_at(stream, 3, 4, 5);
    struct record *told = ring_peek_ref(stream_ring(stream), 3);
    ck_assert(!filter_passes(filter, told));
    ck_assert_uint_eq(told->weight, 2);
    record_unref(told);
    stream_commit(stream);
    ck_assert_uint_eq(played_state(stream).head_seq, 3);
    filter_unref(filter);
    stream_free(stream);
}
END_TEST

/* Many wanted ones, so that a commit comes in their midst: it must not tell more than is there. */
START_TEST(a_position_that_is_told_is_never_ahead_of_what_is_staged)
{
    struct stream *stream = played_stream(4096);
    struct filter *filter = filter_of_key("k");
    stream_sift(stream, filter);
    ck_assert_uint_eq(stream_lane_add(stream, "t", 0, 0), 0);
    ck_assert_uint_eq(stream_lane_add(stream, "t", 1, 0), 1);
    uint64_t offset = 0;
    for (int commits = 0; commits < 3; commits++) {
        for (size_t room = stream_room(stream); room > 0; room--) {
            ck_assert(stream_pass_over(stream, 0, offset++, NULL, 0));
            ck_assert_int_eq(played_stage(stream, 0, offset++), 1);
        }
        ck_assert(stream_pass_over(stream, 0, offset++, NULL, 0));
        stream_commit(stream);
    }
    uint64_t next = 0;
    for (uint64_t seq = 1; seq <= played_state(stream).head_seq; seq++) {
        struct record *record = ring_peek_ref(stream_ring(stream), seq);
        ck_assert_uint_gt(record->offset + 1, next);
        next = record->offset + 1;
        expect_token_at(stream, seq, next, 0);
        record_unref(record);
    }
    ck_assert_uint_eq(next, offset);
    filter_unref(filter);
    stream_free(stream);
}
END_TEST

START_TEST(a_loss_takes_a_place_and_its_count_is_produced)
{
    struct stream *stream = played_stream(10);
    stream_lane_add(stream, "t", 0, 0);
    played_publish(stream, 0, 0);
    stream_room(stream);
    stream_lost(stream, 0, 9, 9, "retention");
    stream_lost(stream, 0, 9, 9, "retention"); /* a repeat */
    played_stage(stream, 0, 10);
    stream_commit(stream);
    ck_assert_uint_eq(played_state(stream).head_seq, 3);
    ck_assert_uint_eq(played_state(stream).head_ordinal, 11);
    ck_assert_uint_eq(stream_dropped(stream, DROP_RETENTION), 9);
    ck_assert_uint_eq(stream_records_in(stream), 2);
    struct record *gap = ring_peek_ref(stream_ring(stream), 2);
    struct record *before = ring_peek_ref(stream_ring(stream), 1);
    char want[256];
    snprintf(want, sizeof want,
        "{\"event\":\"gap\",\"reason\":\"retention\",\"count\":9,\"from\":\"%.*s\",\"to\":\"%.*"
        "s\"}",
        (int)before->id_len, before->text + before->id_off, (int)gap->id_len,
        gap->text + gap->id_off);
    ck_assert_int_eq((int)gap->text_len, (int)strlen(want));
    ck_assert_mem_eq(gap->text, want, gap->text_len);
    record_unref(gap);
    record_unref(before);
    stream_free(stream);
}
END_TEST

START_TEST(losses_are_told_though_no_room_is_left)
{
    struct stream *stream = played_stream(8000);
    stream_lane_add(stream, "t", 0, 0);
    stream_hold(stream, 0, (struct ring_hold){1, UINT64_MAX, 0, UINT64_MAX, false, 0});
    ck_assert_uint_eq(stream_room(stream), 1);
    ck_assert_int_eq(played_stage(stream, 0, 0), 1);
    ck_assert_int_eq(played_stage(stream, 0, 1), -1);
    ck_assert_uint_eq(stream_lane_next(stream, 0), 1);
    for (uint64_t offset = 1; offset < 3000; offset++) {
        stream_lost(stream, 0, offset, 1, "too_large");
    }
    ck_assert_int_eq(played_stage(stream, 0, 3000), -1);
    stream_commit(stream);
    ck_assert_uint_eq(played_state(stream).head_seq, 3000);
    ck_assert_uint_eq(played_state(stream).head_ordinal, 3000);
    ck_assert_uint_eq(stream_room(stream), 0);
    stream_free(stream);
}
END_TEST

START_TEST(a_record_that_finds_no_bytes_left_is_not_taken)
{
    struct stream *stream = played_stream(100);
    stream_lane_add(stream, "t", 0, 0);
    stream_hold(stream, 1, (struct ring_hold){UINT64_MAX, 300, UINT64_MAX, 150, false, 0});
    ck_assert_uint_eq(stream_room(stream), 100);
    uint64_t n = 0;
    while (played_stage(stream, 0, n) == 1) {
        n++;
    }
    ck_assert_uint_gt(n, 0);
    ck_assert_uint_lt(n, 4);
    ck_assert_uint_eq(stream_lane_next(stream, 0), n);
    stream_commit(stream);
    ck_assert_uint_eq(stream_room(stream), 0);
    stream_hold(stream, 1, RING_HOLD_OPEN);
    played_publish(stream, 0, n);
    stream_free(stream);
}
END_TEST

static void
expect_too_large(struct stream *stream, const struct record_input *in)
{
    uint64_t seq = played_state(stream).head_seq + 1;
    ck_assert_uint_gt(stream_room(stream), 0);
    ck_assert_int_eq(stream_stage(stream, in, 1), 1);
    ck_assert_int_eq(stream_stage(stream, in, 1), 0);
    stream_commit(stream);
    struct record *record = ring_peek_ref(stream_ring(stream), seq);
    ck_assert(record->is_gap);
    ck_assert_uint_eq(record->weight, 1);
    record_unref(record);
    ck_assert_uint_eq(stream_dropped(stream, DROP_TOO_LARGE), seq);
}

START_TEST(a_record_that_is_too_large_is_a_loss_wherever_its_bytes_are)
{
    struct stream *stream = played_stream(100);
    stream_lane_add(stream, "t", 0, 0);
    size_t most = STREAM_KEY_HEADERS_MAX;
    char *bytes = mem_calloc(1, most + 1);
    memset(bytes, 'x', most + 1);
    struct record_input in = {.offset = 0, .data = bytes, .data_len = 1001};
    expect_too_large(stream, &in);
    in = (struct record_input){.offset = 1, .key = bytes, .key_len = most + 1};
    expect_too_large(stream, &in);
    struct record_header headers[2] = {{bytes, most / 2, bytes, most / 2}, {bytes, 1, NULL, 0}};
    in = (struct record_input){.offset = 2, .headers = headers, .n_headers = 2};
    expect_too_large(stream, &in);
    headers[1] = (struct record_header){"", 0, bytes, SIZE_MAX};
    in.offset = 3;
    expect_too_large(stream, &in);
    in = (struct record_input){.offset = 4, .data = bytes, .data_len = 1000};
    in.key = bytes;
    in.key_len = most;
    stream_room(stream);
    ck_assert_int_eq(stream_stage(stream, &in, 1), 1);
    stream_commit(stream);
    ck_assert_uint_eq(stream_records_in(stream), 1);
    free(bytes);
    stream_free(stream);
}
END_TEST

START_TEST(a_lane_that_tokens_cannot_tell_apart_is_refused)
{
    struct stream *stream = played_stream(10);
    ck_assert_uint_eq(stream_lane_add(stream, "costarring", 0, 0), 0);
    ck_assert_uint_eq(stream_lane_add(stream, "liquid", 0, 0), STREAM_LANE_REFUSED);
    ck_assert_uint_eq(stream_lane_add(stream, "costarring", 1, 0), 1);
    played_publish(stream, 1, 0);
    stream_free(stream);
}
END_TEST

static void
count_wake(void *shard)
{
    ++*(int *)shard;
}

START_TEST(a_commit_wakes_the_shards_that_listen)
{
    struct stream *stream = played_stream(10);
    int wakes[2] = {0, 0};
    for (size_t i = 0; i < 2; i++) {
        stream_set_waker(stream, i, (struct stream_waker){count_wake, &wakes[i]});
    }
    stream_lane_add(stream, "t", 0, 0);
    played_publish(stream, 0, 0);
    stream_listen(stream, 1, true);
    played_publish(stream, 0, 1);
    stream_commit(stream); /* nothing staged: no wake */
    stream_listen(stream, 1, false);
    played_publish(stream, 0, 2);
    ck_assert_int_eq(wakes[0], 0);
    ck_assert_int_eq(wakes[1], 1);
    stream_free(stream);
}
END_TEST

START_TEST(a_held_source_is_woken_when_it_may_go_on_and_not_after_its_end)
{
    struct stream *stream = played_stream(10);
    struct err err;
    int wakes = played_wakes();
    ck_assert_int_eq(stream_start(stream, &err), 0);
    stream_lane_add(stream, "t", 0, 0);
    stream_hold(stream, 0, (struct ring_hold){1, UINT64_MAX, 0, UINT64_MAX, false, 0});
    played_publish(stream, 0, 0);
    ck_assert_uint_eq(stream_room(stream), 0);
    stream_hold(stream, 0, RING_HOLD_OPEN);
    stream_hold(stream, 0, RING_HOLD_OPEN);
    ck_assert_int_eq(played_wakes(), wakes + 1);
    stream_hold(stream, 0, (struct ring_hold){1, UINT64_MAX, 0, UINT64_MAX, false, 0});
    ck_assert_uint_eq(stream_room(stream), 0);
    stream_stop(stream);
    stream_stop(stream);
    stream_hold(stream, 0, RING_HOLD_OPEN);
    ck_assert_int_eq(played_wakes(), wakes + 1);
    stream_free(stream);
}
END_TEST

START_TEST(health_and_errors_are_told)
{
    struct stream *stream = played_stream(10);
    struct stream_health health;
    stream_health(stream, &health);
    ck_assert(!health.up && !health.was_up && health.why[0] != '\0');
    stream_source_up(stream);
    stream_source_down(stream, "no broker");
    stream_source_alive(stream);
    stream_health(stream, &health);
    ck_assert(!health.up && health.was_up);
    ck_assert_str_eq(health.why, "no broker");
    stream_source_error(stream, "a");
    stream_source_error(stream, "b");
    stream_source_error(stream, "a");
    uint64_t count;
    ck_assert_str_eq(stream_errors(stream, 0, &count), "a");
    ck_assert_uint_eq(count, 2);
    ck_assert_str_eq(stream_errors(stream, 1, &count), "b");
    ck_assert_ptr_null(stream_errors(stream, 2, &count));
    ck_assert_ptr_null(stream_errors(stream, 16, &count));
    stream_free(stream);
}
END_TEST

/* ---- what may be committed ---- */

static void
settle_to(struct stream *stream, uint64_t seq)
{
    struct ring_hold open = RING_HOLD_OPEN;
    open.must = true;
    open.settled_seq = seq;
    stream_hold(stream, 0, open);
    stream_settle(stream);
}

START_TEST(a_lane_is_settled_up_to_what_the_settled_record_says)
{
    struct stream *stream = played_stream(10);
    stream_lane_add(stream, "t", 0, 5);
    stream_lane_add(stream, "t", 1, 7);
    stream_settle(stream);
    ck_assert_uint_eq(stream_lane_settled(stream, 0), 5);
    played_publish(stream, 0, 5);
    played_publish(stream, 1, 9);
    played_publish(stream, 0, 8);
    ck_assert_uint_eq(stream_lane_settled(stream, 1), 7);
    settle_to(stream, 2);
    ck_assert_uint_eq(stream_lane_settled(stream, 0), 6);
    ck_assert_uint_eq(stream_lane_settled(stream, 1), 10);
    settle_to(stream, 3);
    ck_assert_uint_eq(stream_lane_settled(stream, 0), 9);
    stream_free(stream);
}
END_TEST

START_TEST(what_a_former_life_of_a_lane_settled_does_not_count)
{
    struct stream *stream = played_stream(10);
    stream_lane_add(stream, "t", 0, 0);
    played_publish(stream, 0, 100);
    played_publish(stream, 0, 101);
    settle_to(stream, 1);
    ck_assert_uint_eq(stream_lane_settled(stream, 0), 101);
    stream_lane_remove(stream, 0);
    stream_lane_add(stream, "t", 0, 50); /* another reader had it, and it comes back */
    ck_assert_uint_eq(stream_lane_settled(stream, 0), 50);
    settle_to(stream, 2);
    ck_assert_uint_eq(stream_lane_settled(stream, 0), 50);
    played_publish(stream, 0, 50);
    settle_to(stream, 3);
    ck_assert_uint_eq(stream_lane_settled(stream, 0), 51);
    stream_lane_reset(stream, 0, 0);
    ck_assert_uint_eq(stream_lane_settled(stream, 0), 0);
    played_publish(stream, 0, 0);
    settle_to(stream, 5);
    ck_assert_uint_eq(stream_lane_settled(stream, 0), 1);
    stream_free(stream);
}
END_TEST

UNIT_MAIN("stream", what_is_staged_shows_at_the_commit,
    what_is_passed_over_moves_the_position_and_is_told_once_a_commit,
    a_position_that_is_told_is_never_ahead_of_what_is_staged,
    a_loss_takes_a_place_and_its_count_is_produced, losses_are_told_though_no_room_is_left,
    a_record_that_finds_no_bytes_left_is_not_taken,
    a_record_that_is_too_large_is_a_loss_wherever_its_bytes_are,
    a_lane_that_tokens_cannot_tell_apart_is_refused, a_commit_wakes_the_shards_that_listen,
    a_held_source_is_woken_when_it_may_go_on_and_not_after_its_end, health_and_errors_are_told,
    a_lane_is_settled_up_to_what_the_settled_record_says,
    what_a_former_life_of_a_lane_settled_does_not_count)
