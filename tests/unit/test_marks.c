/* test_marks: a stream of many lanes, where only some records show an id: where each of them stands
 * is known all the same. */
#include "batch.h"
#include "clock.h"
#include "conflate.h"
#include "lanes.h"
#include "params.h"
#include "stream.h"
#include "token.h"
#include "track.h"
#include "unit.h"

#include <stdio.h>
#include <string.h>

#define LANES 200
#define RECORDS 3000

/* What the test knows: the position behind each record, counted from 0: where the stream began. */
static uint64_t model[RECORDS + 1][LANES];

static struct stream *
make_stream(uint64_t ring_records, uint32_t lanes)
{
    static char name[] = "s";
    static struct config_stream config;
    config = (struct config_stream){.name = name,
        .ring_records = ring_records,
        .ring_bytes = UINT64_C(64) << 20,
        .max_record_bytes = 100000,
        .queue_records = ring_records,
        .queue_bytes = UINT64_C(1) << 20};
    struct stream *stream = stream_new(&config, 1);
    for (uint32_t lane = 0; lane < lanes; lane++) {
        ck_assert_uint_eq(stream_lane_add(stream, "t", lane, 1000000), lane);
    }
    return stream;
}

static void
publish(struct stream *stream, uint32_t lane, size_t size, int64_t arrival_ns)
{
    static char payload[100000];
    memset(payload, '7', sizeof payload);
    struct record_input in = {
        .lane = lane, .offset = stream_lane_next(stream, lane), .data = payload, .data_len = size};
    ck_assert_uint_gt(stream_room(stream), 0);
    ck_assert_int_eq(stream_stage(stream, &in, arrival_ns), 1);
    stream_commit(stream);
}

static struct place
place_before(struct stream *stream, uint64_t seq)
{
    struct buf text;
    struct place place;
    struct err err;
    buf_init(&text);
    ck_assert(stream_token_before(stream, seq, &text));
    ck_assert_int_eq(place_of_token(&place, text.bytes, text.len, stream_keys(stream), &err), 0);
    buf_fini(&text);
    return place;
}

static bool
shows_id(struct stream *stream, uint64_t seq)
{
    struct record *record = ring_peek_ref(stream_ring(stream), seq);
    ck_assert_ptr_nonnull(record);
    bool shows = record->id_len > 0;
    static const char none[] = "{\"id\":null,\"time\":\"";
    ck_assert(shows || memcmp(record->text, none, sizeof none - 1) == 0);
    record_unref(record);
    return shows;
}

/* Records of lanes in an order of their own, some lost; the model says where each stands. */
static void
fill(struct stream *stream, unsigned seed)
{
    for (uint32_t lane = 0; lane < LANES; lane++) {
        model[0][lane] = 1000000;
    }
    for (uint64_t i = 1; i <= RECORDS; i++) {
        uint32_t lane = (uint32_t)rand_r(&seed) % LANES;
        memcpy(model[i], model[i - 1], sizeof model[i]);
        if (rand_r(&seed) % 100 == 0) {
            stream_room(stream);
            stream_lost(stream, lane, model[i][lane], 1, "too_large");
            stream_commit(stream);
        } else {
            publish(stream, lane, 10 + (size_t)rand_r(&seed) % 300, (int64_t)i);
        }
        model[i][lane]++;
    }
}

START_TEST(a_position_is_known_behind_every_record)
{
    struct stream *stream = make_stream(1000, LANES);
    fill(stream, 3);
    for (uint64_t seq = RECORDS - 999; seq <= RECORDS + 1; seq++) {
        struct place place = place_before(stream, seq);
        struct stream_start start;
        ck_assert_uint_eq(place.n_lanes, LANES);
        for (uint32_t lane = 0; lane < LANES; lane++) {
            ck_assert_uint_eq(place.lanes[lane].next, model[seq - 1][lane]);
        }
        stream_locate(stream, &place, &start);
        ck_assert(start.resumed);
        ck_assert_uint_eq(start.seq, seq);
        ck_assert_uint_eq(start.missed, 0);
        record_unref(start.before);
        free(place.lanes);
    }
    stream_free(stream);
}
END_TEST

START_TEST(a_resume_repeats_fewer_records_than_a_track_has)
{
    struct stream *stream = make_stream(RECORDS, LANES);
    fill(stream, 4);
    uint64_t run = 0, marks = 0;
    for (uint64_t seq = 1; seq <= RECORDS; seq++) {
        bool shows = shows_id(stream, seq);
        run = shows ? 1 : run + 1;
        marks += shows;
        ck_assert_uint_le(run, TRACK_RECORDS);
    }
    ck_assert(shows_id(stream, 1));
    ck_assert_uint_lt(marks, RECORDS / 20); /* and a loss is always one */
    stream_free(stream);
}
END_TEST

START_TEST(large_and_rare_records_show_their_ids)
{
    struct stream *stream = make_stream(RECORDS, LANES);
    int64_t now = clock_mono_ns();
    for (uint32_t i = 1; i <= 20;
         i++) { /* 16 times the token's length is less than the large one */
        publish(stream, i, 30000, now);
        ck_assert(shows_id(stream, 2 * i - 1));
        publish(stream, i, 10, now);
        ck_assert(!shows_id(stream, 2 * i));
    }
    for (uint32_t i = 0; i < 5; i++) { /* more than a second apart */
        now += INT64_C(1100000000);
        publish(stream, i, 10, now);
        ck_assert(shows_id(stream, 41 + i));
    }
    publish(stream, 7, 10, now + 1000);
    ck_assert(!shows_id(stream, 46));
    stream_free(stream);
}
END_TEST

START_TEST(a_stream_of_few_lanes_shows_every_id)
{
    struct stream *stream = make_stream(RECORDS, LANES_FEW);
    for (uint32_t i = 0; i < 500; i++) {
        publish(stream, i % LANES_FEW, 10, 1);
        ck_assert(shows_id(stream, i + 1));
    }
    uint32_t lane = stream_lane_add(stream, "t", LANES_FEW, 0);
    publish(stream, lane, 10, 1);
    publish(stream, 0, 10, 1);
    ck_assert(shows_id(stream, 501) && !shows_id(stream, 502));
    stream_free(stream);
}
END_TEST

START_TEST(a_new_lane_and_a_reset_begin_a_run)
{
    struct stream *stream = make_stream(RECORDS, LANES);
    publish(stream, 0, 10, 1);
    publish(stream, 1, 10, 1);
    ck_assert(!shows_id(stream, 2));
    uint32_t lane = stream_lane_add(stream, "a group before t in no order", 0, 5);
    publish(stream, 2, 10, 1);
    ck_assert(shows_id(stream, 3));
    publish(stream, lane, 10, 1);
    struct place place = place_before(stream, 5);
    ck_assert_uint_eq(place.n_lanes, LANES + 1);
    free(place.lanes);
    stream_lane_reset(stream, 0, 0); /* seq 5 */
    publish(stream, 0, 10, 1);
    ck_assert(!shows_id(stream, 6));
    place = place_before(stream, 7);
    struct stream_start start;
    stream_locate(stream, &place, &start);
    ck_assert(start.resumed);
    ck_assert_uint_eq(start.seq, 7);
    record_unref(start.before);
    free(place.lanes);
    stream_free(stream);
}
END_TEST

START_TEST(what_is_held_is_charged)
{
    struct stream *stream = make_stream(RECORDS, LANES);
    struct stream *few = make_stream(RECORDS, 1);
    struct ring_state many_state, few_state;
    for (uint32_t i = 0; i < 1000; i++) {
        publish(stream, i % LANES, 200, 1);
        publish(few, 0, 200, 1);
    }
    ring_state(stream_ring(stream), &many_state);
    ring_state(stream_ring(few), &few_state);
    ck_assert_uint_gt(many_state.bytes, 1000 / 64 * LANES * sizeof(struct token_lane));
    /* A token on each record would be 900 bytes more for each. */
    ck_assert_uint_lt(many_state.bytes, few_state.bytes + 1000 * 150);
    stream_free(stream);
    stream_free(few);
}
END_TEST

START_TEST(a_batch_knows_where_each_of_its_units_stands)
{
    struct stream *stream = make_stream(RECORDS, LANES);
    fill(stream, 5);
    struct record *records[500];
    size_t n = ring_read(stream_ring(stream), 100, records, 500, UINT64_MAX);
    ck_assert_uint_eq(n, 500);
    struct format format = {.framer = &framer_ws};
    struct stand stand = {100, 0, 0};
    struct batch *batch = batch_encode(&format, stand, "before", 6, records, n, false);
    for (size_t i = 0; i < n; i++) {
        record_unref(records[i]);
    }
    stream_free(stream); /* nothing is left but what the batch holds */
    ck_assert_uint_eq(batch->n_units, 500);
    for (size_t i = 1; i <= batch->n_units; i++) {
        size_t len;
        struct place place;
        struct err err;
        const char *id = batch_id(batch, i, &len);
        ck_assert_int_eq(place_of_token(&place, id, len, NULL, &err), 0);
        for (uint32_t lane = 0; lane < LANES; lane++) {
            ck_assert_uint_eq(place.lanes[lane].next, model[99 + i][lane]);
        }
        free(place.lanes);
    }
    batch_unref(batch);
}
END_TEST

/* What the oldest n waiting hold: records, and each track once. */
static uint64_t
held(struct record *const *records, size_t n)
{
    uint64_t bytes = 0;
    const struct track *last = NULL;
    for (size_t i = 0; i < n; i++) {
        const struct track *track = records[i]->track;
        bytes += record_own_bytes(records[i]);
        bytes += track != NULL && track != last ? track_bytes(track) : 0;
        last = track;
    }
    return bytes;
}

START_TEST(a_conflation_is_bounded_with_the_tracks_that_it_keeps)
{
    enum { KEYS = 300, MOST = 60000 };
    static struct record *waiting[RECORDS];
    struct stream *stream = make_stream(RECORDS, LANES);
    struct conflate *conflate = conflate_new(RECORDS, MOST);
    struct conflate_dropped dropped;
    unsigned seed = 6, drops = 0;
    for (uint64_t seq = 1; seq <= RECORDS; seq++) {
        char key[16];
        unsigned spread = seq % 64 == 0 ? KEYS : 3; /* some stay behind, one in many tracks */
        int len = snprintf(key, sizeof key, "%d", rand_r(&seed) % (int)spread);
        struct record_input in = {.offset = stream_lane_next(stream, 0),
            .data = "1",
            .data_len = 1,
            .key = key,
            .key_len = (size_t)len};
        ck_assert_uint_gt(stream_room(stream), 0);
        stream_stage(stream, &in, 1);
        stream_commit(stream);
        conflate_add_take(conflate, ring_peek_ref(stream_ring(stream), seq));
        size_t n = conflate_peek(conflate, waiting, RECORDS, UINT64_MAX);
        ck_assert_uint_le(held(waiting, n), MOST);
        if (conflate_take_dropped(conflate, &dropped)) {
            memmove(waiting + 1, waiting, n * sizeof *waiting);
            waiting[0] = dropped.last;
            ck_assert_uint_gt(held(waiting, n + 1), MOST); /* there was no room for it */
            record_unref(dropped.last);
            drops++;
        }
    }
    ck_assert_uint_gt(drops, 0);
    conflate_free(conflate);
    stream_free(stream);
}
END_TEST

UNIT_MAIN("marks", a_position_is_known_behind_every_record,
    a_resume_repeats_fewer_records_than_a_track_has, large_and_rare_records_show_their_ids,
    a_stream_of_few_lanes_shows_every_id, a_new_lane_and_a_reset_begin_a_run,
    what_is_held_is_charged, a_batch_knows_where_each_of_its_units_stands,
    a_conflation_is_bounded_with_the_tracks_that_it_keeps)
