/* test_stream: what a source publishes, and where subscribers begin in it. */
#include "clock.h"
#include "connector.h"
#include "filter.h"
#include "lanes.h"
#include "mem.h"
#include "stream.h"
#include "stream_internal.h"
#include "unit.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

/* ---- a connector that the test plays ---- */

struct source {
    int wakes;
};

static struct source played;

static struct source *
start_played(
    const void *settings, struct stream *stream, const struct replay *replay, struct err *err)
{
    (void)replay;
    (void)settings;
    (void)stream;
    (void)err;
    return &played;
}

static void
wake_played(struct source *source)
{
    source->wakes++;
}

static void
stop_played(struct source *source)
{
    (void)source;
}

static const struct connector connector = {
    .name = "played", .start = start_played, .wake = wake_played, .stop = stop_played};

static struct stream *
make_stream(uint64_t ring_records)
{
    static struct config_stream config;
    static char name[] = "s";
    config = (struct config_stream){.name = name,
        .connector = &connector,
        .ring_records = ring_records,
        .ring_bytes = UINT64_C(1) << 40,
        .max_record_bytes = 1000,
        .queue_records = 100,
        .queue_bytes = UINT64_C(1) << 30};
    return stream_new(&config, 2);
}

static int
stage(struct stream *stream, uint32_t lane, uint64_t offset)
{
    struct record_input in = {
        .lane = lane, .offset = offset, .time_ms = (int64_t)offset, .data = "1", .data_len = 1};
    return stream_stage(stream, &in, clock_mono_ns());
}

static void
publish(struct stream *stream, uint32_t lane, uint64_t offset)
{
    ck_assert_uint_gt(stream_room(stream), 0);
    ck_assert_int_eq(stage(stream, lane, offset), 1);
    stream_commit(stream);
}

static struct place
place_of_text(const char *text, size_t len)
{
    struct place place;
    struct err err;
    ck_assert_int_eq(place_of_token(&place, text, len, NULL, &err), 0);
    return place;
}

static struct place
place_after(struct stream *stream, uint64_t seq)
{
    struct buf text;
    buf_init(&text);
    ck_assert(stream_token_before(stream, seq + 1, &text));
    struct place place = place_of_text(text.bytes, text.len);
    buf_fini(&text);
    return place;
}

/* The next offset of lane i at place; 0 when the token does not have it (lanes start at 0 here). */
static uint64_t
next_in(const struct place *place, uint32_t partition)
{
    for (size_t i = 0; i < place->n_lanes; i++) {
        if (place->lanes[i].partition == partition) {
            return place->lanes[i].next;
        }
    }
    return 0;
}

static struct ring_state
state_of(struct stream *stream)
{
    struct ring_state state;
    ring_state(stream_ring(stream), &state);
    return state;
}

/* ---- publishing ---- */

START_TEST(what_is_staged_shows_at_the_commit)
{
    struct stream *stream = make_stream(10);
    ck_assert_uint_eq(stream_lane_add(stream, "t", 0, 5), 0);
    ck_assert_uint_eq(stream_room(stream), 10);
    ck_assert_int_eq(stage(stream, 0, 4), 0);
    ck_assert_int_eq(stage(stream, 0, 5), 1);
    ck_assert_int_eq(stage(stream, 0, 5), 0);
    ck_assert_int_eq(stage(stream, 0, 7), 1);
    ck_assert_uint_eq(state_of(stream).head_seq, 0);
    stream_commit(stream);
    ck_assert_uint_eq(state_of(stream).head_seq, 2);
    ck_assert_uint_eq(state_of(stream).head_ordinal, 2);
    ck_assert_uint_eq(stream_records_in(stream), 2);
    ck_assert_uint_eq(stream_dropped(stream, DROP_REPEAT), 2);
    ck_assert_uint_eq(stream_lane_next(stream, 0), 8);
    stream_room(stream);
    stage(stream, 0, 9); /* never committed: freed with the stream */
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
    struct stream *stream = make_stream(10);
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
    ck_assert_int_eq(stage(stream, 0, 1), 1);
    stream_commit(stream);
    ck_assert_uint_eq(state_of(stream).head_seq, 1); /* its token says it all */
    expect_token_at(stream, 1, 2, 4);
    stream_room(stream);
    ck_assert_int_eq(stage(stream, 0, 2), 1);
    ck_assert(stream_pass_over(stream, 0, 3, "kk", 2));
    ck_assert(stream_pass_over(stream, 1, 4, "", 0));
    ck_assert(!stream_pass_over(stream, 1, 4, "", 0)); /* a repeat is not passed over twice */
    stream_commit(stream);
    ck_assert_uint_eq(state_of(stream).head_seq, 3);
    expect_token_at(stream, 2, 3, 4);
    expect_token_at(stream, 3, 4, 5);
    struct record *told = ring_peek_ref(stream_ring(stream), 3);
    ck_assert(!filter_passes(filter, told));
    ck_assert_uint_eq(told->weight, 2);
    record_unref(told);
    stream_commit(stream);
    ck_assert_uint_eq(state_of(stream).head_seq, 3);
    filter_unref(filter);
    stream_free(stream);
}
END_TEST

/* Many wanted ones, so that a commit comes in their midst: it must not tell more than is there. */
START_TEST(a_position_that_is_told_is_never_ahead_of_what_is_staged)
{
    struct stream *stream = make_stream(4096);
    struct filter *filter = filter_of_key("k");
    stream_sift(stream, filter);
    ck_assert_uint_eq(stream_lane_add(stream, "t", 0, 0), 0);
    ck_assert_uint_eq(stream_lane_add(stream, "t", 1, 0), 1);
    uint64_t offset = 0;
    for (int commits = 0; commits < 3; commits++) {
        for (size_t room = stream_room(stream); room > 0; room--) {
            ck_assert(stream_pass_over(stream, 0, offset++, NULL, 0));
            ck_assert_int_eq(stage(stream, 0, offset++), 1);
        }
        ck_assert(stream_pass_over(stream, 0, offset++, NULL, 0));
        stream_commit(stream);
    }
    uint64_t next = 0;
    for (uint64_t seq = 1; seq <= state_of(stream).head_seq; seq++) {
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
    struct stream *stream = make_stream(10);
    stream_lane_add(stream, "t", 0, 0);
    publish(stream, 0, 0);
    stream_room(stream);
    stream_lost(stream, 0, 9, 9, "retention");
    stream_lost(stream, 0, 9, 9, "retention"); /* a repeat */
    stage(stream, 0, 10);
    stream_commit(stream);
    ck_assert_uint_eq(state_of(stream).head_seq, 3);
    ck_assert_uint_eq(state_of(stream).head_ordinal, 11);
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
    struct stream *stream = make_stream(8000);
    stream_lane_add(stream, "t", 0, 0);
    stream_hold(stream, 0, (struct ring_hold){1, UINT64_MAX, 0, UINT64_MAX, false, 0});
    ck_assert_uint_eq(stream_room(stream), 1);
    ck_assert_int_eq(stage(stream, 0, 0), 1);
    ck_assert_int_eq(stage(stream, 0, 1), -1);
    ck_assert_uint_eq(stream_lane_next(stream, 0), 1);
    for (uint64_t offset = 1; offset < 3000; offset++) {
        stream_lost(stream, 0, offset, 1, "too_large");
    }
    ck_assert_int_eq(stage(stream, 0, 3000), -1);
    stream_commit(stream);
    ck_assert_uint_eq(state_of(stream).head_seq, 3000);
    ck_assert_uint_eq(state_of(stream).head_ordinal, 3000);
    ck_assert_uint_eq(stream_room(stream), 0);
    stream_free(stream);
}
END_TEST

START_TEST(a_record_that_finds_no_bytes_left_is_not_taken)
{
    struct stream *stream = make_stream(100);
    stream_lane_add(stream, "t", 0, 0);
    stream_hold(stream, 1, (struct ring_hold){UINT64_MAX, 300, UINT64_MAX, 150, false, 0});
    ck_assert_uint_eq(stream_room(stream), 100);
    uint64_t n = 0;
    while (stage(stream, 0, n) == 1) {
        n++;
    }
    ck_assert_uint_gt(n, 0);
    ck_assert_uint_lt(n, 4);
    ck_assert_uint_eq(stream_lane_next(stream, 0), n);
    stream_commit(stream);
    ck_assert_uint_eq(stream_room(stream), 0);
    stream_hold(stream, 1, RING_HOLD_OPEN);
    publish(stream, 0, n);
    stream_free(stream);
}
END_TEST

static void
expect_too_large(struct stream *stream, const struct record_input *in)
{
    uint64_t seq = state_of(stream).head_seq + 1;
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
    struct stream *stream = make_stream(100);
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
    struct stream *stream = make_stream(10);
    ck_assert_uint_eq(stream_lane_add(stream, "costarring", 0, 0), 0);
    ck_assert_uint_eq(stream_lane_add(stream, "liquid", 0, 0), STREAM_LANE_REFUSED);
    ck_assert_uint_eq(stream_lane_add(stream, "costarring", 1, 0), 1);
    publish(stream, 1, 0);
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
    struct stream *stream = make_stream(10);
    int wakes[2] = {0, 0};
    for (size_t i = 0; i < 2; i++) {
        stream_set_waker(stream, i, (struct stream_waker){count_wake, &wakes[i]});
    }
    stream_lane_add(stream, "t", 0, 0);
    publish(stream, 0, 0);
    stream_listen(stream, 1, true);
    publish(stream, 0, 1);
    stream_commit(stream); /* nothing staged: no wake */
    stream_listen(stream, 1, false);
    publish(stream, 0, 2);
    ck_assert_int_eq(wakes[0], 0);
    ck_assert_int_eq(wakes[1], 1);
    stream_free(stream);
}
END_TEST

START_TEST(a_held_source_is_woken_when_it_may_go_on_and_not_after_its_end)
{
    struct stream *stream = make_stream(10);
    struct err err;
    played.wakes = 0;
    ck_assert_int_eq(stream_start(stream, &err), 0);
    stream_lane_add(stream, "t", 0, 0);
    stream_hold(stream, 0, (struct ring_hold){1, UINT64_MAX, 0, UINT64_MAX, false, 0});
    publish(stream, 0, 0);
    ck_assert_uint_eq(stream_room(stream), 0);
    stream_hold(stream, 0, RING_HOLD_OPEN);
    stream_hold(stream, 0, RING_HOLD_OPEN);
    ck_assert_int_eq(played.wakes, 1);
    stream_hold(stream, 0, (struct ring_hold){1, UINT64_MAX, 0, UINT64_MAX, false, 0});
    ck_assert_uint_eq(stream_room(stream), 0);
    stream_stop(stream);
    stream_stop(stream);
    stream_hold(stream, 0, RING_HOLD_OPEN);
    ck_assert_int_eq(played.wakes, 1);
    stream_free(stream);
}
END_TEST

START_TEST(health_and_errors_are_told)
{
    struct stream *stream = make_stream(10);
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

/* ---- where subscribers begin ---- */

static struct stream_start
locate(struct stream *stream, const struct place *from)
{
    struct stream_start start;
    stream_locate(stream, from, &start);
    ck_assert(start.before == NULL || start.before->seq == start.seq - 1);
    return start;
}

static uint64_t
located_seq(struct stream *stream, enum place_kind kind, int64_t time_ms)
{
    struct place from = {.kind = kind, .time_ms = time_ms};
    struct stream_start start = locate(stream, &from);
    ck_assert_uint_eq(start.missed, 0);
    ck_assert_uint_eq(start.skip_until, 0);
    ck_assert(!start.resumed && start.reason == NULL);
    record_unref(start.before);
    return start.seq;
}

START_TEST(latest_earliest_and_a_time_choose_where_to_start)
{
    struct stream *stream = make_stream(10);
    stream_lane_add(stream, "t", 0, 0);
    ck_assert_uint_eq(located_seq(stream, PLACE_LATEST, 0), 1);
    ck_assert_uint_eq(located_seq(stream, PLACE_EARLIEST, 0), 1);
    ck_assert_uint_eq(located_seq(stream, PLACE_TIME, 5), 1);
    for (uint64_t offset = 1; offset <= 15; offset++) {
        publish(stream, 0, offset); /* seq == offset == time */
    }
    ck_assert_uint_eq(located_seq(stream, PLACE_LATEST, 0), 16);
    ck_assert_uint_eq(located_seq(stream, PLACE_EARLIEST, 0), 6);
    ck_assert_uint_eq(located_seq(stream, PLACE_TIME, 0), 6);
    ck_assert_uint_eq(located_seq(stream, PLACE_TIME, 12), 12);
    ck_assert_uint_eq(located_seq(stream, PLACE_TIME, 99), 16);
    stream_free(stream);
}
END_TEST

START_TEST(the_token_before_a_record_is_there_as_long_as_the_record_is)
{
    struct stream *stream = make_stream(3);
    struct buf token;
    buf_init(&token);
    ck_assert(stream_token_before(stream, 1, &token)); /* no lane yet */
    stream_lane_add(stream, "t", 0, 7);
    token.len = 0;
    ck_assert(stream_token_before(stream, 1, &token));
    struct place place = place_of_text(token.bytes, token.len);
    ck_assert_uint_eq(next_in(&place, 0), 7);
    free(place.lanes);
    for (uint64_t offset = 7; offset < 17; offset++) {
        publish(stream, 0, offset);
    }
    for (uint64_t seq = 8; seq <= 11; seq++) {
        place = place_after(stream, seq - 1);
        ck_assert_uint_eq(next_in(&place, 0), seq + 6);
        free(place.lanes);
    }
    ck_assert(!stream_token_before(stream, 7, &token));
    buf_fini(&token);
    stream_free(stream);
}
END_TEST

#define LANES 4
#define EACH 60

/* What every replica reads: EACH records a lane, in an order of its own. lost: some are losses. */
static void
fill(struct stream *stream, unsigned seed, uint64_t records, bool lost)
{
    uint64_t next[LANES] = {0};
    for (uint32_t lane = 0; lane < LANES; lane++) {
        uint32_t index = stream_lane_add(stream, "t", lane, 0);
        stream_lane_end(stream, index, EACH);
    }
    for (uint64_t i = 0; i < records;) {
        uint32_t lane = (uint32_t)rand_r(&seed) % LANES;
        if (next[lane] == EACH) {
            continue;
        }
        stream_room(stream);
        if (lost && rand_r(&seed) % 10 == 0) {
            stream_lost(stream, lane, next[lane]++, 1, "too_large");
        } else {
            stage(stream, lane, next[lane]++);
        }
        stream_commit(stream);
        i++;
    }
}

/* What a subscriber that resumes at from is sent, and what it missed, is what it has not seen. */
static void
expect_exact(struct stream *stream, const struct place *from, const struct stream_start *start)
{
    struct ring_state state = state_of(stream);
    uint64_t next[LANES], sent = 0, owed = 0;
    for (uint32_t lane = 0; lane < LANES; lane++) {
        next[lane] = next_in(from, lane);
        uint64_t there = stream_lane_next(stream, lane);
        owed += there > next[lane] ? there - next[lane] : 0;
    }
    for (uint64_t seq = start->seq; seq <= state.head_seq; seq++) {
        struct record *record = ring_peek_ref(stream_ring(stream), seq);
        ck_assert_ptr_nonnull(record);
        if (seq >= start->skip_until || stream_wants(stream, from, record)) {
            ck_assert_uint_ge(record->offset, next[record->lane]);
            next[record->lane] = record->offset + 1;
            sent++;
        }
        record_unref(record);
    }
    ck_assert_uint_eq(sent + start->missed, owed);
}

static void
expect_resume_everywhere(struct stream *tokens, struct stream *stream)
{
    struct ring_state state = state_of(tokens);
    for (uint64_t seq = state.tail_seq - 1; seq <= state.head_seq; seq++) {
        struct place from = place_after(tokens, seq);
        struct stream_start start = locate(stream, &from);
        ck_assert_msg(start.resumed, "%s", start.reason);
        expect_exact(stream, &from, &start);
        if (tokens == stream) {
            ck_assert_uint_eq(start.seq, seq + 1);
            ck_assert_uint_eq(start.missed, 0);
        }
        record_unref(start.before);
        free(from.lanes);
    }
}

/* A file's lane: offsets are where its lines end. */
static uint32_t
add_file(struct stream *stream, const char *id)
{
    uint32_t lane = stream_lane_add(stream, id, 0, 0);
    stream_lane_file(stream, lane, "/log", 0);
    return lane;
}

START_TEST(offsets_with_holes_miss_nothing_at_every_record)
{
    struct stream *stream = make_stream(1000);
    uint32_t a = add_file(stream, "a"), b = add_file(stream, "b");
    for (uint64_t i = 1; i <= 100; i++) {
        publish(stream, i % 3 == 0 ? b : a, i * 7);
        if (i % 10 == 0) {
            stream_room(stream);
            stream_lost(stream, a, i * 7 + 3, 1, "malformed");
            stream_commit(stream);
        }
    }
    struct ring_state state = state_of(stream);
    for (uint64_t seq = 1; seq <= state.head_seq; seq++) {
        struct place from = place_after(stream, seq);
        struct stream_start start = locate(stream, &from);
        ck_assert(start.resumed && !start.elsewhere && !start.unaccounted);
        ck_assert_uint_eq(start.seq, seq + 1);
        ck_assert_uint_eq(start.missed, 0);
        record_unref(start.before);
        free(from.lanes);
    }
    stream_free(stream);
}
END_TEST

START_TEST(a_file_that_is_gone_is_forgotten_with_its_last_record)
{
    struct stream *stream = make_stream(10);
    uint32_t a = add_file(stream, "a"), b = add_file(stream, "b");
    publish(stream, a, 10);
    struct place half = place_after(stream, 1);
    publish(stream, a, 20);
    struct place whole = place_after(stream, 2);
    stream_lane_remove(stream, a);
    for (uint64_t i = 1; i <= 20; i++) {
        publish(stream, b, i * 10);
        struct place place = place_after(stream, i + 2);
        /* The record just before the tail is kept too; the one that pushed it out has the row. */
        ck_assert_uint_eq(place.n_lanes, i <= 11 ? 2 : 1);
        free(place.lanes);
    }
    struct stream_start start = locate(stream, &whole);
    ck_assert(start.resumed && !start.unaccounted && start.elsewhere);
    record_unref(start.before);
    start = locate(stream, &half);
    ck_assert(start.resumed && start.unaccounted);
    record_unref(start.before);
    ck_assert_uint_eq(add_file(stream, "c"), a);
    free(half.lanes);
    free(whole.lanes);
    stream_free(stream);
}
END_TEST

START_TEST(a_token_of_this_replica_resumes_exactly_at_every_record)
{
    for (unsigned seed = 1; seed <= 5; seed++) {
        struct stream *stream = make_stream(1000);
        fill(stream, seed, LANES * EACH, seed % 2 == 0);
        expect_resume_everywhere(stream, stream);
        stream_free(stream);
    }
}
END_TEST

START_TEST(a_token_of_another_replica_resumes_exactly_at_every_record)
{
    for (unsigned seed = 1; seed <= 5; seed++) {
        struct stream *other = make_stream(1000), *stream = make_stream(1000);
        fill(other, seed, LANES * EACH, seed % 2 == 0);
        fill(stream, seed + 77, LANES * EACH, seed % 2 == 0);
        expect_resume_everywhere(other, stream);
        stream_free(other);
        stream_free(stream);
    }
}
END_TEST

START_TEST(what_the_ring_no_longer_holds_is_counted_as_missed)
{
    for (unsigned seed = 1; seed <= 5; seed++) {
        struct stream *other = make_stream(1000), *stream = make_stream(30 + seed * 10);
        fill(other, seed, LANES * EACH, seed % 2 == 0);
        fill(stream, seed + 77, LANES * EACH, seed % 2 == 0);
        expect_resume_everywhere(other, stream);
        stream_free(other);
        stream_free(stream);
    }
}
END_TEST

static uint64_t
count_naively(struct stream *stream, const struct place *from, const struct place *to,
    uint64_t after, uint64_t upto)
{
    uint64_t sum = 0;
    for (uint64_t seq = after + 1; seq <= upto; seq++) {
        struct record *record = ring_peek_ref(stream_ring(stream), seq);
        sum += (from->kind != PLACE_TOKEN || stream_wants(stream, from, record)) &&
               (to->kind != PLACE_TOKEN || !stream_wants(stream, to, record));
        record_unref(record);
    }
    return sum;
}

START_TEST(what_a_client_was_to_get_between_two_records_is_counted)
{
    unsigned seed = 21;
    struct stream *other = make_stream(1000), *stream = make_stream(1000);
    fill(other, 1, LANES * EACH, false);
    fill(stream, 2, LANES * EACH, true);
    for (int round = 0; round < 300; round++) {
        const uint64_t all = LANES * EACH;
        uint64_t after = (uint64_t)rand_r(&seed) % all, from_seq = (uint64_t)rand_r(&seed) % all;
        uint64_t upto = after + (uint64_t)rand_r(&seed) % (all - after);
        struct place from = place_after(other, from_seq), none = {.kind = PLACE_NONE};
        struct place to = place_after(other, from_seq + (uint64_t)rand_r(&seed) % (all - from_seq));
        const struct place *begin = round % 3 == 0 ? &none : &from;
        const struct place *end = round % 2 == 0 ? &none : &to;
        struct buf ids[2];
        for (int i = 0; i < 2; i++) {
            buf_init(&ids[i]);
            stream_token_before(stream, (i == 0 ? after : upto) + 1, &ids[i]);
            buf_addc(&ids[i], '\0');
        }
        ck_assert_uint_eq(stream_count_wanted(stream, begin, end, ids[0].bytes, ids[1].bytes),
            count_naively(stream, begin, end, after, upto));
        buf_fini(&ids[0]);
        buf_fini(&ids[1]);
        free(from.lanes);
        free(to.lanes);
    }
    stream_free(other);
    stream_free(stream);
}
END_TEST

START_TEST(a_token_that_is_ahead_of_this_replica_is_honoured)
{
    for (unsigned seed = 1; seed <= 5; seed++) {
        struct stream *other = make_stream(1000), *stream = make_stream(1000);
        fill(other, seed, LANES * EACH, false);
        fill(stream, seed + 77, LANES * EACH / 3, false);
        expect_resume_everywhere(other, stream);
        struct place from = place_after(other, LANES * EACH);
        struct stream_start start = locate(stream, &from);
        ck_assert_uint_eq(start.seq, state_of(stream).head_seq + 1);
        ck_assert_uint_eq(start.skip_until, UINT64_MAX);
        for (uint32_t lane = 0; lane < LANES; lane++) {
            for (uint64_t o = stream_lane_next(stream, lane); o < EACH + 3; o++) {
                publish(stream, lane, o);
                struct record *record =
                    ring_peek_ref(stream_ring(stream), state_of(stream).head_seq);
                ck_assert_int_eq(stream_wants(stream, &from, record), o >= EACH);
                record_unref(record);
            }
        }
        record_unref(start.before);
        free(from.lanes);
        stream_free(other);
        stream_free(stream);
    }
}
END_TEST

START_TEST(a_record_that_is_only_staged_is_not_yet_there)
{
    struct stream *stream = make_stream(100);
    for (uint32_t lane = 0; lane < LANES; lane++) {
        stream_lane_add(stream, "t", lane, 0);
    }
    publish(stream, 0, 0);
    struct place at_head = place_after(stream, 1);
    stream_room(stream);
    ck_assert_int_eq(stage(stream, 0, 1), 1);
    struct token_lane rows[] = {{token_group_hash("t"), 0, 2}};
    struct place staged = {.kind = PLACE_TOKEN, .lanes = rows, .n_lanes = 1};
    struct stream_start start = locate(stream, &staged);
    ck_assert_uint_eq(start.seq, 2);
    ck_assert_uint_eq(start.skip_until, UINT64_MAX); /* else it would come twice */
    record_unref(start.before);
    ck_assert(!stream_reaches(stream, &staged));
    start = locate(stream, &at_head);
    ck_assert_uint_eq(start.seq, 2);
    ck_assert_uint_eq(start.missed, 0);
    record_unref(start.before);
    ck_assert(stream_reaches(stream, &at_head));
    stream_commit(stream);
    ck_assert(stream_reaches(stream, &staged));
    start = locate(stream, &at_head);
    expect_exact(stream, &at_head, &start);
    record_unref(start.before);
    free(at_head.lanes);
    stream_free(stream);
}
END_TEST

START_TEST(a_token_from_before_there_were_lanes_wants_all_of_them)
{
    struct stream *stream = make_stream(5);
    struct place from = place_after(stream, 0);
    ck_assert_uint_eq(from.n_lanes, 0);
    stream_lane_add(stream, "t", 0, 0);
    for (uint64_t offset = 0; offset < 8; offset++) {
        publish(stream, 0, offset);
    }
    struct stream_start start = locate(stream, &from);
    ck_assert(start.resumed);
    ck_assert_uint_eq(start.seq, 4);
    ck_assert_uint_eq(start.missed, 3);
    record_unref(start.before);
    free(from.lanes);
    stream_free(stream);
}
END_TEST

static void
expect_refused(struct stream *stream, const struct place *from, const char *why)
{
    struct stream_start start = locate(stream, from);
    ck_assert(!start.resumed);
    ck_assert_ptr_nonnull(start.reason);
    ck_assert_ptr_nonnull(strstr(start.reason, why));
    ck_assert_uint_eq(start.seq, state_of(stream).head_seq + 1);
    ck_assert_uint_eq(start.missed, 0);
    record_unref(start.before);
}

START_TEST(a_token_that_cannot_be_honoured_says_why)
{
    struct stream *stream = make_stream(100);
    stream_lane_add(stream, "t", 0, 0);
    for (uint64_t offset = 0; offset < 8; offset++) {
        publish(stream, 0, offset);
    }
    struct token_lane rows[] = {{token_group_hash("t"), 0, 9}};
    struct place from = {.kind = PLACE_TOKEN, .lanes = rows, .n_lanes = 1};
    expect_refused(stream, &from, "past the end");
    stream_lane_end(stream, 0, 9);
    struct stream_start start = locate(stream, &from);
    ck_assert(start.resumed);
    record_unref(start.before);
    rows[0].group = token_group_hash("u");
    expect_refused(stream, &from, "another stream");
    rows[0] = (struct token_lane){token_group_hash("t"), 0, 8};
    stream_lane_reset(stream, 0, 0);
    expect_refused(stream, &from, "past the end");
    publish(stream, 0, 0);
    struct place anew = place_after(stream, 9);
    start = locate(stream, &anew);
    ck_assert(start.resumed);
    ck_assert_uint_eq(start.seq, 10);
    record_unref(start.before);
    free(anew.lanes);
    stream_free(stream);
}
END_TEST

START_TEST(what_is_missed_of_a_lane_that_is_no_more_is_nowhere_else)
{
    struct stream *stream = make_stream(4);
    stream_lane_add(stream, "t", 0, 0);
    stream_lane_add(stream, "t", 1, 0);
    struct place from = place_after(stream, 0);
    publish(stream, 0, 0);
    publish(stream, 0, 1);
    stream_lane_remove(stream, 0);
    for (uint64_t offset = 0; offset < 3; offset++) {
        publish(stream, 1, offset);
    }
    struct stream_start start = locate(stream, &from); /* one of the two is still in the ring */
    ck_assert(start.resumed && !start.elsewhere);
    ck_assert_uint_eq(start.missed, 1);
    ck_assert_uint_eq(start.gone, 1);
    ck_assert_uint_eq(start.seq, 2);
    record_unref(start.before);
    struct place closed = {.kind = PLACE_TOKEN, .lanes = malloc(sizeof *closed.lanes)};
    closed.lanes[closed.n_lanes++] = from.lanes[1];
    lanes_close_removed(stream_lanes(stream), &closed); /* a reader never knew lane 0 */
    ck_assert_uint_eq(closed.n_lanes, 2);
    start = locate(stream, &closed);
    ck_assert_uint_eq(start.missed, 0);
    ck_assert_uint_eq(start.seq, 3);
    record_unref(start.before);
    free(closed.lanes);
    free(from.lanes);
    stream_free(stream);
}
END_TEST

/* ---- a ring that moves on while it is searched ---- */

struct race {
    struct stream *stream;
    atomic_bool done;
};

static void *
publisher(void *arg)
{
    struct race *race = arg;
    uint64_t next[LANES] = {0};
    unsigned seed = 9;
    while (!atomic_load(&race->done)) {
        size_t room = stream_room(race->stream);
        for (size_t i = 0; i < 5 && i < room; i++) {
            uint32_t lane = (uint32_t)rand_r(&seed) % LANES;
            stage(race->stream, lane, next[lane]++);
        }
        stream_commit(race->stream);
    }
    return NULL;
}

/* All that lies before the start and was not seen is missed, no more and no less. */
static void
expect_exact_start(const struct place *from, const struct stream_start *start)
{
    struct place at;
    uint64_t unseen = 0;
    stream_place_of(start->before, &at);
    for (uint32_t lane = 0; lane < LANES; lane++) {
        uint64_t next = next_in(&at, lane), asked = next_in(from, lane);
        unseen += next > asked ? next - asked : 0;
    }
    ck_assert_uint_eq(start->missed, unseen);
    ck_assert(start->before == NULL || start->ordinal == start->before->ordinal);
    free(at.lanes);
}

START_TEST(a_resume_is_exact_while_the_ring_moves_on)
{
    struct race race = {.stream = make_stream(64)};
    pthread_t thread;
    for (uint32_t lane = 0; lane < LANES; lane++) {
        stream_lane_add(race.stream, "t", lane, 0);
    }
    struct place from = place_after(race.stream, 0);
    pthread_create(&thread, NULL, publisher, &race);
    for (int round = 0; round < 1500; round++) {
        struct stream_start start = locate(race.stream, &from);
        ck_assert_msg(start.resumed, "%s", start.reason);
        expect_exact_start(&from, &start);
        if (round % 3 != 0 && start.before != NULL) { /* else the same token, ever older */
            free(from.lanes);
            stream_place_of(start.before, &from);
        }
        record_unref(start.before);
    }
    atomic_store(&race.done, true);
    pthread_join(thread, NULL);
    free(from.lanes);
    stream_free(race.stream);
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
    struct stream *stream = make_stream(10);
    stream_lane_add(stream, "t", 0, 5);
    stream_lane_add(stream, "t", 1, 7);
    stream_settle(stream);
    ck_assert_uint_eq(stream_lane_settled(stream, 0), 5);
    publish(stream, 0, 5);
    publish(stream, 1, 9);
    publish(stream, 0, 8);
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
    struct stream *stream = make_stream(10);
    stream_lane_add(stream, "t", 0, 0);
    publish(stream, 0, 100);
    publish(stream, 0, 101);
    settle_to(stream, 1);
    ck_assert_uint_eq(stream_lane_settled(stream, 0), 101);
    stream_lane_remove(stream, 0);
    stream_lane_add(stream, "t", 0, 50); /* another reader had it, and it comes back */
    ck_assert_uint_eq(stream_lane_settled(stream, 0), 50);
    settle_to(stream, 2);
    ck_assert_uint_eq(stream_lane_settled(stream, 0), 50);
    publish(stream, 0, 50);
    settle_to(stream, 3);
    ck_assert_uint_eq(stream_lane_settled(stream, 0), 51);
    stream_lane_reset(stream, 0, 0);
    ck_assert_uint_eq(stream_lane_settled(stream, 0), 0);
    publish(stream, 0, 0);
    settle_to(stream, 5);
    ck_assert_uint_eq(stream_lane_settled(stream, 0), 1);
    stream_free(stream);
}
END_TEST

/* The ring has 90 to 99 once, the lane is taken up again at 95, and nothing has come since. */
START_TEST(a_resume_finds_what_was_read_before_a_lane_was_taken_up_again)
{
    struct stream *stream = make_stream(20);
    struct stream_start start;
    stream_lane_add(stream, "t", 0, 90);
    for (uint64_t offset = 90; offset < 100; offset++) {
        publish(stream, 0, offset);
    }
    struct place from = place_after(stream, 3);
    stream_lane_remove(stream, 0);
    stream_lane_add(stream, "t", 0, 95);
    stream_locate(stream, &from, &start);
    record_unref(start.before);
    ck_assert(start.resumed);
    ck_assert_uint_eq(start.seq, 4);
    ck_assert_uint_eq(start.missed, 0);
    free(from.lanes);
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
    latest_earliest_and_a_time_choose_where_to_start,
    the_token_before_a_record_is_there_as_long_as_the_record_is,
    offsets_with_holes_miss_nothing_at_every_record,
    a_file_that_is_gone_is_forgotten_with_its_last_record,
    a_token_of_this_replica_resumes_exactly_at_every_record,
    a_token_of_another_replica_resumes_exactly_at_every_record,
    what_the_ring_no_longer_holds_is_counted_as_missed,
    what_a_client_was_to_get_between_two_records_is_counted,
    a_token_that_is_ahead_of_this_replica_is_honoured,
    a_record_that_is_only_staged_is_not_yet_there,
    a_token_from_before_there_were_lanes_wants_all_of_them,
    a_token_that_cannot_be_honoured_says_why,
    what_is_missed_of_a_lane_that_is_no_more_is_nowhere_else,
    a_resume_is_exact_while_the_ring_moves_on, a_lane_is_settled_up_to_what_the_settled_record_says,
    what_a_former_life_of_a_lane_settled_does_not_count,
    a_resume_finds_what_was_read_before_a_lane_was_taken_up_again)
