/* test_catchup: subscribers that the ring has left, and the readers that they share. The test is
 * every source, and moves a reader's ring on between two steps of the shard: ring_place is wrapped
 * (WRAPS in the Makefile), which a shard calls right before a subscriber stands in a reader. */
#include "clock.h"
#include "connector.h"
#include "gateway_fixture.h"
#include "mem.h"
#include "token.h"
#include "unit.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#define LIVE_FIRST 1000000 /* of the live stream: all before it is read from the source */
#define PAD 1000
#define SOURCES 4

/* ---- sources, one for each reader, that publish when they are told to ---- */

struct source {
    struct stream *stream;
    uint64_t next;
};

static struct source readers[SOURCES];
static atomic_size_t n_readers;

static struct source *
start_told(
    const void *settings, struct stream *stream, const struct replay *replay, struct err *err)
{
    static struct source live;
    struct source *source = &live;
    uint64_t next = LIVE_FIRST;
    size_t n = atomic_load(&n_readers);
    (void)settings;
    (void)err;
    if (replay != NULL) {
        source = &readers[n];
        next = replay->lanes[0].next;
    }
    *source = (struct source){stream, next};
    stream_lane_add(stream, "t", 0, next);
    stream_source_up(stream);
    atomic_store(&n_readers, replay == NULL ? n : n + 1);
    return source;
}

static void
ignore(struct source *source)
{
    (void)source;
}

static const struct connector told = {.name = "told",
    .capabilities = CONNECTOR_REPLAYS,
    .start = start_told,
    .wake = ignore,
    .stop = ignore};

/* As many as there is room for, up to most. */
static void
publish(struct source *source, uint64_t most)
{
    char data[PAD + 64];
    size_t room = stream_room(source->stream);
    for (uint64_t n = 0; n < most && room > 0; n++, room--) {
        int len = snprintf(data, sizeof data, "{\"n\":%llu,\"pad\":\"%*s\"}",
            (unsigned long long)source->next, PAD, "");
        struct record_input in = {.offset = source->next,
            .data = data,
            .data_len = (size_t)len,
            .time_ms = (int64_t)source->next};
        if (stream_stage(source->stream, &in, clock_mono_ns()) != 1) {
            break;
        }
        source->next++;
    }
    stream_commit(source->stream);
}

static struct ring_state
state_of(struct stream *stream)
{
    struct ring_state state;
    ring_state(stream_ring(stream), &state);
    return state;
}

/* ---- what happens meanwhile ---- */

static atomic_bool moves_on;          /* at the next step: the first reader brings what it may */
static atomic_uint_fast64_t moved_to; /* the oldest record that its ring has after that */

void __real_ring_place(
    struct ring *ring, uint64_t *seq, uint64_t *ordinal, uint64_t *bytes, struct record **before);
void __wrap_ring_place(
    struct ring *ring, uint64_t *seq, uint64_t *ordinal, uint64_t *bytes, struct record **before);

void
__wrap_ring_place(
    struct ring *ring, uint64_t *seq, uint64_t *ordinal, uint64_t *bytes, struct record **before)
{
    if (atomic_load(&moves_on) && ring == stream_ring(readers[0].stream)) {
        publish(&readers[0], UINT64_MAX);
        atomic_store(&moved_to, state_of(readers[0].stream).tail_seq);
        atomic_store(&moves_on, false);
    }
    __real_ring_place(ring, seq, ordinal, bytes, before);
}

/* ---- subscribers ---- */

static struct gateway *
run_gateway(void)
{
    struct gateway *gateway = fixture_new();
    gateway->stream_config.connector = &told;
    gateway->stream_config.max_record_bytes = 4096;
    gateway->catchup_readers = 2;
    fixture_start(gateway);
    return gateway;
}

/* One that must be sent the records from next on. */
static struct subscriber *
come(struct gateway *gateway, enum transport transport, uint64_t next)
{
    static const char *const formats[] = {"ws", "sse", "ndjson"};
    char path[256];
    struct token_lane lane = {token_group_hash("t"), 0, next};
    struct buf token;
    buf_init(&token);
    token_encode(&token, &lane, 1, NULL);
    snprintf(path, sizeof path, "/streams/s?format=%s&from=%.*s", formats[transport],
        (int)token.len, token.bytes);
    buf_fini(&token);
    struct subscriber *subscriber = subscriber_open(gateway->port, 0);
    subscriber->next = next;
    subscriber_get(subscriber, transport, 1, path, "");
    return subscriber;
}

/* Until its ring has so many bytes of what subscriber has read. */
static void
fill(struct source *reader, struct subscriber *subscriber, uint64_t bytes)
{
    while (state_of(reader->stream).bytes < bytes) {
        publish(reader, 50);
        READ_UNTIL(subscriber, subscriber->next == reader->next);
    }
}

static void
join_while_it_moves_on(enum transport transport)
{
    atomic_store(&n_readers, 0);
    struct gateway *gateway = run_gateway();
    struct subscriber *first = come(gateway, TRANSPORT_NDJSON, 1);
    WAIT_UNTIL(atomic_load(&n_readers) == 1);
    fill(&readers[0], first, 3 * MIB); /* of 4; the first one's queue is 2 */
    struct subscriber *joins = come(gateway, transport, 10);
    READ_UNTIL(joins, joins->next == readers[0].next);
    ck_assert_uint_eq(atomic_load(&n_readers), 1);

    atomic_store(&moves_on, true);
    struct subscriber *late = come(gateway, transport, 10);
    WAIT_UNTIL(!atomic_load(&moves_on));
    ck_assert_uint_gt(atomic_load(&moved_to), 10); /* what it asks for has left the ring */
    WAIT_UNTIL(atomic_load(&n_readers) == 2);
    ck_assert_uint_eq(readers[1].next, 10);
    publish(&readers[1], 20);
    READ_UNTIL(late, late->next == 30);
    READ_UNTIL(first, first->next == readers[0].next);
    READ_UNTIL(joins, joins->next == readers[0].next);
    ck_assert_uint_eq(first->gaps + joins->gaps + late->gaps, 0);
    subscriber_close(first);
    subscriber_close(joins);
    subscriber_close(late);
    fixture_stop(gateway);
}

START_TEST(one_that_joins_a_reader_whose_ring_leaves_it_meanwhile_gets_one_that_begins_at_its_place)
{
    for (int transport = 0; transport < 3; transport++) {
        join_while_it_moves_on((enum transport)transport);
    }
}
END_TEST

UNIT_MAIN("catchup",
    one_that_joins_a_reader_whose_ring_leaves_it_meanwhile_gets_one_that_begins_at_its_place)
