/* test_cursor: a stream whose positions are cursors. Its source is a table that grows: each row has
 * a key of its own, which only the source can order. */
#include "catchup.h"
#include "clock.h"
#include "connector.h"
#include "gateway_fixture.h"
#include "mem.h"
#include "params.h"
#include "shard.h"
#include "unit.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define FIRST_LIVE 10 /* rows before it were there when the live stream began */

/* ---- the table ---- */

static atomic_uint_fast64_t rows;

struct key {
    char bytes[16];
    size_t len;
};

/* Neither text nor of one length nor growing: order is the table's affair. */
static struct key
key_of(uint64_t row)
{
    struct key key = {.bytes = {(char)~row, 0, (char)(row >> 8), '"'}, .len = 4 + row % 7};
    memset(key.bytes + 4, 'k', row % 7);
    return key;
}

static uint64_t
row_after(const void *cursor, size_t len)
{
    for (uint64_t row = 0; len > 0; row++) {
        struct key key = key_of(row);
        ck_assert_uint_lt(row, atomic_load(&rows));
        if (key.len == len && memcmp(key.bytes, cursor, len) == 0) {
            return row + 1;
        }
    }
    return 0;
}

static int
stage_row(struct stream *stream, uint64_t row, uint64_t offset, size_t pad)
{
    char data[256];
    struct key key = key_of(row);
    int len = snprintf(
        data, sizeof data, "{\"n\":%llu,\"pad\":\"%*s\"}", (unsigned long long)row, (int)pad, "");
    struct record_input in = {.offset = offset,
        .time_ms = 1000 + (int64_t)row,
        .data = data,
        .data_len = (size_t)len,
        .cursor = key.bytes,
        .cursor_len = key.len};
    return stream_stage(stream, &in, clock_mono_ns());
}

struct source {
    struct stream *stream;
    uint64_t next, offset;
    atomic_bool stopping;
    pthread_t thread;
};

static void *
read_table(void *self)
{
    struct source *source = self;
    while (!atomic_load(&source->stopping)) {
        uint64_t there = atomic_load(&rows);
        size_t room = source->next < there ? stream_room(source->stream) : 0;
        for (; room > 0 && source->next < there; room--) {
            if (stage_row(source->stream, source->next, source->offset, 0) == -1) {
                break;
            }
            source->next++;
            source->offset++;
        }
        stream_commit(source->stream);
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    return NULL;
}

static struct source *
start_table(
    const void *settings, struct stream *stream, const struct replay *replay, struct err *err)
{
    (void)settings, (void)err;
    struct source *source = mem_calloc(1, sizeof *source);
    source->stream = stream;
    if (replay == NULL) {
        source->next = FIRST_LIVE;
    } else {
        ck_assert(replay->kind == REPLAY_CURSOR || replay->kind == REPLAY_EARLIEST);
        source->next = row_after(replay->cursor, replay->cursor_len);
    }
    struct key before = key_of(source->next - 1);
    stream_lane_add(stream, "rows", 0, 0);
    stream_cursor_start(stream, before.bytes, source->next == 0 ? 0 : before.len);
    stream_source_up(stream);
    ck_assert_int_eq(pthread_create(&source->thread, NULL, read_table, source), 0);
    return source;
}

static void
wake_table(struct source *source)
{
    (void)source;
}

static void
stop_table(struct source *source)
{
    atomic_store(&source->stopping, true);
    pthread_join(source->thread, NULL);
    free(source);
}

static const struct connector table = {.name = "table",
    .capabilities = CONNECTOR_REPLAYS,
    .start = start_table,
    .wake = wake_table,
    .stop = stop_table};

/* ---- the stream alone ---- */

static struct stream *
make_stream(uint64_t ring_records)
{
    static char name[] = "s";
    static struct config_stream config;
    config = (struct config_stream){.name = name,
        .ring_records = ring_records,
        .ring_bytes = MIB,
        .max_record_bytes = 100,
        .queue_records = ring_records,
        .queue_bytes = MIB};
    struct stream *stream = stream_new(&config, 1);
    struct key start = key_of(9);
    stream_lane_add(stream, "rows", 0, 0);
    stream_cursor_start(stream, start.bytes, start.len);
    return stream;
}

static void
publish(struct stream *stream, uint64_t row, size_t pad)
{
    ck_assert_uint_gt(stream_room(stream), 0);
    ck_assert_int_eq(stage_row(stream, row, row, pad), 1);
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
    ck_assert_int_eq(place_of_token(&place, text.bytes, text.len, NULL, &err), 0);
    buf_fini(&text);
    return place;
}

static struct stream_start
locate(struct stream *stream, const struct place *from)
{
    struct stream_start start;
    stream_locate(stream, from, &start);
    record_unref(start.before);
    return start;
}

START_TEST(every_record_has_its_cursor_as_its_token)
{
    struct stream *stream = make_stream(100);
    for (uint64_t row = 10; row < 40; row++) {
        publish(stream, row, row == 20 ? 90 : 0); /* one is too large: its gap has the cursor */
    }
    for (uint64_t seq = 1; seq <= 31; seq++) {
        struct place place = place_before(stream, seq);
        struct key key = key_of(seq + 8);
        ck_assert_uint_eq(place.cursor_len, key.len);
        ck_assert_mem_eq(place.cursor, key.bytes, key.len);
        struct stream_start start = locate(stream, &place);
        ck_assert(start.resumed && !start.elsewhere);
        ck_assert_uint_eq(start.seq, seq);
        ck_assert_uint_eq(start.missed + start.skip_until, 0);
        free(place.lanes);
    }
    stream_free(stream);
}
END_TEST

START_TEST(a_cursor_that_the_ring_does_not_hold_is_elsewhere)
{
    struct stream *stream = make_stream(16);
    struct place start_place = place_before(stream, 1);
    for (uint64_t row = 10; row < 100; row++) {
        publish(stream, row, 0);
    }
    struct key old = key_of(30);
    struct place from = {
        .kind = PLACE_TOKEN, .cursor = (const uint8_t *)old.bytes, .cursor_len = old.len};
    const struct place *gone[] = {&from, &start_place};
    for (size_t i = 0; i < 2; i++) {
        struct stream_start start = locate(stream, gone[i]);
        ck_assert(!start.resumed && start.elsewhere);
        ck_assert_str_eq(start.reason, "the token's place is not in the ring");
        ck_assert_uint_eq(start.seq, 91);
        ck_assert_str_eq(stream_refuses_end(stream, gone[i]), start.reason);
    }
    free(start_place.lanes);
    stream_free(stream);
}
END_TEST

START_TEST(tokens_of_lanes_and_of_cursors_do_not_mix)
{
    static char name[] = "t";
    static struct config_stream config;
    config = (struct config_stream){
        .name = name, .ring_records = 16, .ring_bytes = MIB, .max_record_bytes = 100};
    struct stream *by_lanes = stream_new(&config, 1);
    struct stream *by_cursor = make_stream(16);
    stream_lane_add(by_lanes, "rows", 0, 0);
    struct token_lane row = {token_group_hash("rows"), 0, 0};
    struct place lanes = {.kind = PLACE_TOKEN, .lanes = &row, .n_lanes = 1};
    struct place cursor = place_before(by_cursor, 1);
    struct place neither = {.kind = PLACE_TOKEN};
    ck_assert_str_eq(locate(by_lanes, &cursor).reason, "the token is of another stream");
    ck_assert_str_eq(locate(by_cursor, &lanes).reason, "the token is of another stream");
    ck_assert_str_eq(stream_refuses_end(by_lanes, &cursor), "the token is of another stream");
    ck_assert(locate(by_cursor, &neither).resumed); /* given before it had a position */
    free(cursor.lanes);
    stream_free(by_lanes);
    stream_free(by_cursor);
}
END_TEST

START_TEST(a_cursor_over_its_bound_makes_a_record_too_large)
{
    struct stream *stream = make_stream(16);
    static const char cursor[TOKEN_CURSOR_MAX + 1];
    for (uint64_t i = 0; i < 2; i++) {
        struct record_input in = {.offset = i,
            .data = "1",
            .data_len = 1,
            .cursor = cursor,
            .cursor_len = TOKEN_CURSOR_MAX + i};
        ck_assert_uint_gt(stream_room(stream), 0);
        ck_assert_int_eq(stream_stage(stream, &in, clock_mono_ns()), 1);
        stream_commit(stream);
        struct record *record = ring_peek_ref(stream_ring(stream), i + 1);
        ck_assert_int_eq(record->is_gap, i == 1);
        record_unref(record);
    }
    struct place place = place_before(stream, 3); /* the gap left the position where it was */
    ck_assert_uint_eq(place.cursor_len, TOKEN_CURSOR_MAX);
    free(place.lanes);
    stream_free(stream);
}
END_TEST

/* ---- subscribers ---- */

static struct gateway *gateway;

static void
run_gateway(void)
{
    atomic_store(&rows, FIRST_LIVE);
    gateway = fixture_new();
    gateway->stream_config.connector = &table;
    gateway->catchup_readers = 2;
    fixture_start(gateway);
}

static void
stop_gateway(void)
{
    fixture_stop(gateway);
}

/* A subscriber that must be sent the rows from next on. */
static struct subscriber *
read_rows(enum transport transport, uint64_t next, const char *format, ...)
{
    char path[1024] = "/streams/s?";
    va_list args;
    va_start(args, format);
    vsnprintf(path + strlen(path), sizeof path - strlen(path), format, args);
    va_end(args);
    struct subscriber *subscriber = subscriber_open(gateway->port, 0);
    subscriber->next = next;
    subscriber_get(subscriber, transport, 1, path, "");
    return subscriber;
}

static void
add_rows(uint64_t n)
{
    atomic_fetch_add(&rows, n);
    WAIT_UNTIL(stream_records_in(gateway->stream) == atomic_load(&rows) - FIRST_LIVE);
}

static void
token_behind(uint64_t row, char token[64])
{
    struct buf text;
    struct key key = key_of(row);
    buf_init(&text);
    token_encode_cursor(&text, key.bytes, key.len, NULL);
    snprintf(token, 64, "%.*s", (int)text.len, text.bytes);
    buf_fini(&text);
}

START_TEST(a_subscriber_resumes_by_its_cursor_on_every_transport)
{
    run_gateway();
    for (int i = 0; i < 3; i++) {
        uint64_t first = atomic_load(&rows);
        struct subscriber *one = read_rows((enum transport)i, first, "");
        READ_UNTIL(one, one->hello[0] != '\0');
        add_rows(50);
        READ_UNTIL(one, one->next == first + 50);
        char token[64];
        token_behind(first + 20, token);
        struct subscriber *again = read_rows((enum transport)i, first + 21, "from=%s", token);
        READ_UNTIL(again, again->next == first + 50);
        ck_assert_ptr_nonnull(strstr(again->hello, "\"resumed\":true"));
        ck_assert_ptr_nonnull(strstr(again->hello, token));
        subscriber_close(one);
        subscriber_close(again);
    }
    stop_gateway();
}
END_TEST

START_TEST(what_has_left_the_ring_is_read_from_the_source_and_handed_over)
{
    char token[64];
    run_gateway();
    add_rows(3000); /* the ring holds 500 */
    token_behind(3, token);
    for (int i = 0; i < 3; i++) {
        struct subscriber *one = read_rows((enum transport)i, 4, "from=%s", token);
        struct subscriber *all = read_rows((enum transport)i, 0, "from=earliest");
        READ_UNTIL(one, one->next == atomic_load(&rows));
        READ_UNTIL(all, all->next == atomic_load(&rows));
        WAIT_UNTIL(catchups_readers(shard_catchups(gateway->shard)) == 0);
        add_rows(10); /* from the live ring */
        READ_UNTIL(one, one->next == atomic_load(&rows));
        READ_UNTIL(all, all->next == atomic_load(&rows));
        ck_assert_ptr_nonnull(strstr(one->hello, "\"resumed\":true"));
        ck_assert_uint_eq(one->lost + all->lost, 0);
        subscriber_close(one);
        subscriber_close(all);
    }
    stop_gateway();
}
END_TEST

START_TEST(a_bounded_read_ends_at_its_cursor)
{
    char from[64], to[64];
    run_gateway();
    add_rows(3000);
    /* where it begins, and where it ends: a token, or what is there */
    static const struct {
        uint64_t after, last;
        bool by_token;
    } cases[] = {{2900, 2950, true}, {5, 2950, true}, {5, 0, false}, {2900, 0, false},
        {2950, 2950, true}, {2960, 2950, true}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        token_behind(cases[i].after, from);
        uint64_t last = cases[i].by_token ? cases[i].last : atomic_load(&rows) - 1;
        token_behind(last, to);
        uint64_t next = cases[i].after + 1;
        uint64_t end = last + 1 > next ? last + 1 : next;
        struct subscriber *reader = read_rows(TRANSPORT_NDJSON, next, "from=%s&%s%s", from,
            cases[i].by_token ? "to=" : "follow=false", cases[i].by_token ? to : "");
        READ_UNTIL(reader, reader->whole || reader->eof);
        ck_assert(reader->whole);
        ck_assert_uint_eq(reader->next, end);
        ck_assert_str_eq(reader->last, "{\"event\":\"end\"}");
        subscriber_close(reader);
        add_rows(3);
    }
    stop_gateway();
}
END_TEST

START_TEST(an_end_that_is_not_in_the_ring_is_refused)
{
    char token[64];
    run_gateway();
    add_rows(1000);
    token_behind(3, token);
    struct subscriber *reader = read_rows(TRANSPORT_NDJSON, 0, "from=earliest&to=%s", token);
    READ_UNTIL(reader, reader->status != 0);
    ck_assert_int_eq(reader->status, 400);
    subscriber_close(reader);
    stop_gateway();
}
END_TEST

UNIT_MAIN("cursor", every_record_has_its_cursor_as_its_token,
    a_cursor_that_the_ring_does_not_hold_is_elsewhere, tokens_of_lanes_and_of_cursors_do_not_mix,
    a_cursor_over_its_bound_makes_a_record_too_large,
    a_subscriber_resumes_by_its_cursor_on_every_transport,
    what_has_left_the_ring_is_read_from_the_source_and_handed_over,
    a_bounded_read_ends_at_its_cursor, an_end_that_is_not_in_the_ring_is_refused)
