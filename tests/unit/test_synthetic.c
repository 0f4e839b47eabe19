/* The synthetic source, with a fake stream. */
#include "fake_stream.h"
#include "unit.h"

#include "../../connectors/synthetic.h"
#include "../../gateway/clock.h"
#include "../../gateway/token.h"

#include <inttypes.h>
#include <jansson.h>
#include <string.h>

#define WAIT_S 30

static struct source *
start(const struct synthetic_settings *settings, struct stream *stream)
{
    struct err err = {0};
    ck_assert_int_eq(synthetic_connector.check(settings, &err), 0);
    struct source *source = synthetic_connector.start(settings, stream, NULL, &err);
    ck_assert_msg(source != NULL, "%s", err.text);
    return source;
}

START_TEST(records_are_numbered_json_of_the_size_asked_for)
{
    struct synthetic_settings settings = {
        .size = 200, .batch = 7, .partitions = 3, .count = 1000, .keys = 2};
    struct stream *stream = fake_stream_new(100, 1 << 20);
    struct source *source = start(&settings, stream);
    ck_assert(fake_stream_wait(stream, fake_stream_count, 1000, WAIT_S));
    for (size_t i = 0; i < 1000; i++) {
        const struct fake_record *record = fake_stream_record(stream, i);
        json_error_t error;
        json_t *object = json_loadb(record->data, record->data_len, 0, &error);
        ck_assert_msg(object != NULL, "%s", error.text);
        ck_assert_uint_eq((uint64_t)json_integer_value(json_object_get(object, "n")), i);
        ck_assert_int_gt(json_integer_value(json_object_get(object, "sent_ns")), 0);
        json_decref(object);
        ck_assert_uint_eq(record->data_len, 200);
        ck_assert_uint_eq(record->lane, i % 3);
        ck_assert_uint_eq(record->offset, i / 3);
        ck_assert_str_eq(record->key, i % 2 == 0 ? "key-0" : "key-1");
    }
    synthetic_connector.stop(source);
    ck_assert_uint_eq(fake_stream_count(stream), 1000);
    ck_assert(fake_stream_is_up(stream));
    ck_assert(!fake_stream_disorder(stream));
    fake_stream_free(stream);
}
END_TEST

START_TEST(no_room_holds_it_and_a_wake_lets_it_go_on_without_a_hole)
{
    struct synthetic_settings settings = {.size = 100, .batch = 1, .partitions = 1, .count = 500};
    struct stream *stream = fake_stream_new(0, 1 << 20);
    struct source *source = start(&settings, stream);
    ck_assert(fake_stream_wait_up(stream, true, WAIT_S));
    ck_assert_uint_eq(fake_stream_count(stream), 0);
    fake_stream_set_room(stream, 3);
    synthetic_connector.wake(source);
    ck_assert(fake_stream_wait(stream, fake_stream_count, 500, WAIT_S));
    for (size_t i = 0; i < 500; i++) {
        ck_assert_uint_eq(fake_stream_record(stream, i)->offset, i);
    }
    synthetic_connector.stop(source);
    fake_stream_free(stream);
}
END_TEST

START_TEST(a_rate_is_kept_from_above)
{
    struct synthetic_settings settings = {.rate = 200, .size = 100, .batch = 1, .partitions = 1};
    struct stream *stream = fake_stream_new(100, 1 << 20);
    int64_t begun = clock_mono_ns();
    struct source *source = start(&settings, stream);
    ck_assert(fake_stream_wait(stream, fake_stream_count, 50, WAIT_S));
    synthetic_connector.stop(source);
    double elapsed = (double)(clock_mono_ns() - begun) / 1e9;
    ck_assert_uint_le(fake_stream_count(stream), (uint64_t)(elapsed * 200) + 1);
    fake_stream_free(stream);
}
END_TEST

START_TEST(a_size_over_the_streams_maximum_is_a_counted_loss)
{
    struct synthetic_settings settings = {.size = 5000, .batch = 1, .partitions = 1, .count = 10};
    struct stream *stream = fake_stream_new(100, 1000);
    struct source *source = start(&settings, stream);
    ck_assert(fake_stream_wait_end(stream, "synthetic", 0, 10, WAIT_S));
    synthetic_connector.stop(source);
    ck_assert_uint_eq(fake_stream_lane(stream, "synthetic", 0).lost, 10);
    ck_assert_uint_eq(fake_stream_count(stream), 0);
    fake_stream_free(stream);
}
END_TEST

static struct fake_outcome
run_request(const struct synthetic_settings *settings, const struct replay *replay, uint64_t n)
{
    struct err err = {0};
    struct stream *stream = fake_stream_new(100, 1000);
    struct source *source = synthetic_connector.start(settings, stream, replay, &err);
    ck_assert_msg(source != NULL, "%s", err.text);
    struct fake_outcome outcome = fake_stream_wait_outcome(stream, WAIT_S);
    ck_assert(outcome.ended);
    ck_assert_uint_eq(fake_stream_count(stream), n);
    synthetic_connector.stop(source);
    fake_stream_free(stream);
    return outcome;
}

START_TEST(a_request_has_it_to_its_end_or_from_a_token_on)
{
    struct synthetic_settings settings = {
        .size = 100, .batch = 7, .partitions = 3, .count = 100, .on_request = true};
    struct request_param param = {"count", "10"};
    struct replay replay = {.kind = REPLAY_EARLIEST};
    struct fake_outcome outcome = run_request(&settings, &replay, 100);
    ck_assert_ptr_null(outcome.failure);
    ck_assert_uint_eq(outcome.done, 100);
    ck_assert_uint_eq(outcome.total, 100);
    replay.params = &param;
    replay.n_params = 1;
    run_request(&settings, &replay, 10);
    struct replay_lane lanes[3];
    for (uint32_t i = 0; i < 3; i++) {
        lanes[i] = (struct replay_lane){
            .group_hash = token_group_hash("synthetic"), .partition = i, .next = 1 + (i == 0)};
    }
    replay.kind = REPLAY_LANES;
    replay.lanes = lanes;
    replay.n_lanes = 3;
    run_request(&settings, &replay, 6); /* 2 + 1 + 1 of the 10 were there */
    lanes[1].next = 3;                  /* no place where it ever stands */
    struct err err = {0};
    ck_assert_ptr_null(synthetic_connector.start(&settings, NULL, &replay, &err));
    ck_assert_int_eq(err.code, ERR_INVALID);
}
END_TEST

START_TEST(it_fails_where_it_is_told_to)
{
    struct synthetic_settings settings = {.size = 100,
        .batch = 1,
        .partitions = 1,
        .count = 100,
        .on_request = true,
        .fail_after = 5};
    struct replay replay = {.kind = REPLAY_EARLIEST};
    ck_assert_str_eq(run_request(&settings, &replay, 5).failure, "source_failed");
}
END_TEST

START_TEST(settings_that_contradict_are_refused)
{
    struct err err = {0};
    struct synthetic_settings settings = {.on_request = true};
    ck_assert_int_eq(synthetic_connector.check(&settings, &err), -1);
    settings = (struct synthetic_settings){.fail_after = 1};
    ck_assert_int_eq(synthetic_connector.check(&settings, &err), -1);
}
END_TEST

UNIT_MAIN("synthetic", a_request_has_it_to_its_end_or_from_a_token_on, it_fails_where_it_is_told_to,
    settings_that_contradict_are_refused, records_are_numbered_json_of_the_size_asked_for,
    no_room_holds_it_and_a_wake_lets_it_go_on_without_a_hole, a_rate_is_kept_from_above,
    a_size_over_the_streams_maximum_is_a_counted_loss)
