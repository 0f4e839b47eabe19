/* played_stream: see played_stream.h. */
#include "played_stream.h"

#include "clock.h"
#include "connector.h"
#include "unit.h"

#include <stdio.h>

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

struct stream *
played_stream(uint64_t ring_records)
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

int
played_stage(struct stream *stream, uint32_t lane, uint64_t offset)
{
    struct record_input in = {
        .lane = lane, .offset = offset, .time_ms = (int64_t)offset, .data = "1", .data_len = 1};
    return stream_stage(stream, &in, clock_mono_ns());
}

void
played_publish(struct stream *stream, uint32_t lane, uint64_t offset)
{
    ck_assert_uint_gt(stream_room(stream), 0);
    ck_assert_int_eq(played_stage(stream, lane, offset), 1);
    stream_commit(stream);
}

struct place
played_place_of(const char *text, size_t len)
{
    struct place place;
    struct err err;
    ck_assert_int_eq(place_of_token(&place, text, len, NULL, &err), 0);
    return place;
}

struct place
played_place_after(struct stream *stream, uint64_t seq)
{
    struct buf text;
    buf_init(&text);
    ck_assert(stream_token_before(stream, seq + 1, &text));
    struct place place = played_place_of(text.bytes, text.len);
    buf_fini(&text);
    return place;
}

/* The next offset of lane i at place; 0 when the token does not have it (lanes start at 0 here). */
uint64_t
played_next_in(const struct place *place, uint32_t partition)
{
    for (size_t i = 0; i < place->n_lanes; i++) {
        if (place->lanes[i].partition == partition) {
            return place->lanes[i].next;
        }
    }
    return 0;
}

struct ring_state
played_state(struct stream *stream)
{
    struct ring_state state;
    ring_state(stream_ring(stream), &state);
    return state;
}

int
played_wakes(void)
{
    return played.wakes;
}
