/* stage: what a record costs between its source and the ring, by the number of partitions and with
 * or without token keys. Prints one JSON line a case; see BENCHMARKS.md. */
#include "clock.h"
#include "config.h"
#include "stream.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define RECORDS 400000
#define PAYLOAD 200

/* Median of the rounds, each of which fills the ring anew. */
#define ROUNDS 5

/* The thread's own time: other programs' is not in it. */
static int64_t
cpu_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static int
compare(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

static void
fill(struct stream *stream, uint32_t partitions, uint64_t first)
{
    char payload[PAYLOAD];
    memset(payload, '7', sizeof payload);
    for (uint64_t i = 0; i < RECORDS;) {
        size_t room = stream_room(stream);
        int64_t now = clock_mono_ns();
        for (; room > 0 && i < RECORDS; room--, i++) {
            /* As Kafka brings them: some of one partition, then some of the next. */
            uint32_t lane = (uint32_t)(i / 16 % partitions);
            struct record_input in = {.lane = lane,
                .offset = first + i,
                .time_ms = 1,
                .data = payload,
                .data_len = sizeof payload};
            if (stream_stage(stream, &in, now) != 1) {
                abort();
            }
        }
        stream_commit(stream);
    }
}

static void
measure(uint32_t partitions, const struct config_tokens *tokens)
{
    char name[] = "s";
    struct config_stream config = {.name = name,
        .ring_records = 65536,
        .ring_bytes = UINT64_C(1) << 30,
        .max_record_bytes = 1 << 20,
        .tokens = tokens};
    struct stream *stream = stream_new(&config, 1);
    for (uint32_t i = 0; i < partitions; i++) {
        stream_lane_add(stream, "orders", i, 3000000);
    }
    double ns[ROUNDS];
    fill(stream, partitions, 4000000);
    for (uint64_t round = 0; round < ROUNDS; round++) {
        int64_t start = cpu_ns();
        fill(stream, partitions, 5000000 + round * RECORDS);
        ns[round] = (double)(cpu_ns() - start) / RECORDS;
    }
    qsort(ns, ROUNDS, sizeof *ns, compare);
    struct ring_state state;
    ring_state(stream_ring(stream), &state);
    uint64_t wire = 0;
    for (uint64_t seq = state.tail_seq; seq <= state.head_seq; seq++) {
        struct record *record = ring_peek_ref(stream_ring(stream), seq);
        wire += record_envelope_len(record, ENVELOPE_RECORD);
        record_unref(record);
    }
    printf("{\"bench\":\"stage\",\"partitions\":%u,\"signed\":%s,\"ns_a_record\":%.0f,"
           "\"ring_bytes_a_record\":%.0f,\"message_bytes\":%.0f}\n",
        partitions, tokens->keys.n > 0 ? "true" : "false", ns[ROUNDS / 2],
        (double)state.bytes / (double)state.records, (double)wire / (double)state.records);
    stream_free(stream);
}

int
main(void)
{
    static char key[] = "0123456789abcdef0123456789abcdef";
    char *keys[] = {key};
    const struct config_tokens with_key = {.keys = {keys, 1}};
    const struct config_tokens without = {.keys = {NULL, 0}};
    static const uint32_t partitions[] = {1, 12, 32, 33, 200, 800};
    for (size_t i = 0; i < sizeof partitions / sizeof *partitions; i++) {
        measure(partitions[i], &without);
        measure(partitions[i], &with_key);
    }
    return 0;
}
