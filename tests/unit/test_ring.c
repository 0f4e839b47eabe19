/* test_ring: the bounded window of records, against a model that keeps everything. */
#include "buf.h"
#include "mem.h"
#include "ring.h"
#include "unit.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

/* A record with n bytes of payload, or, with weight, a gap of that weight. */
static struct record *
make(size_t n, uint64_t weight, int64_t time_ms)
{
    static const char text[4096];
    char data[4096 + 2];
    struct buf scratch;
    buf_init(&scratch);
    struct record *record;
    if (weight > 0) {
        record = record_new_gap("too_large", weight, "A", "B", 0, 1, 1, &scratch);
    } else {
        memset(data, 'x', n + 2);
        data[0] = data[n + 1] = '"';
        ck_assert_uint_le(n, sizeof text);
        struct record_input in = {.data = data, .data_len = n + 2, .time_ms = time_ms};
        record = record_new(&in, "A", 1, "{\"offset\":", 1, &scratch);
    }
    buf_fini(&scratch);
    return record;
}

static void
append(struct ring *ring, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct record *record = make(10, 0, 0);
        ring_append_take(ring, &record, 1);
    }
}

START_TEST(an_empty_ring_begins_at_one)
{
    struct ring *ring = ring_new(4, 1000000, 1);
    struct ring_state state;
    ring_state(ring, &state);
    ck_assert_uint_eq(state.tail_seq, 1);
    ck_assert_uint_eq(state.head_seq, 0);
    ck_assert_uint_eq(state.records, 0);
    uint64_t seq = 77, ordinal = 9, bytes = 9;
    struct record *before = (struct record *)&state;
    ring_place(ring, &seq, &ordinal, &bytes, &before);
    ck_assert_uint_eq(seq, 1);
    ck_assert_uint_eq(ordinal, 0);
    ck_assert_uint_eq(bytes, 0);
    ck_assert_ptr_null(before);
    struct record *none;
    ck_assert_uint_eq(ring_read(ring, 1, &none, 1, 1000), 0);
    ck_assert_ptr_null(ring_peek_ref(ring, 0));
    ck_assert_ptr_null(ring_peek_ref(ring, 1));
    ck_assert_uint_eq(ring_trim_point(ring, 1, 1), 1);
    ck_assert_uint_eq(ring_keep_end(ring, 1, 5, 5), 1);
    ck_assert_uint_eq(ring_find_time(ring, 0), 1);
    ring_free(ring);
    ring_free(NULL);
}
END_TEST

START_TEST(records_beyond_the_count_are_evicted_and_the_last_one_can_be_peeked)
{
    struct ring *ring = ring_new(5, 1000000, 1);
    append(ring, 12);
    struct ring_state state;
    ring_state(ring, &state);
    ck_assert_uint_eq(state.tail_seq, 8);
    ck_assert_uint_eq(state.head_seq, 12);
    ck_assert_uint_eq(state.records, 5);
    struct record *record = ring_peek_ref(ring, 7);
    ck_assert_ptr_nonnull(record);
    ck_assert_uint_eq(record->seq, 7);
    record_unref(record);
    ck_assert_ptr_null(ring_peek_ref(ring, 6));
    ck_assert_ptr_null(ring_peek_ref(ring, 13));
    struct record *read[8];
    ck_assert_uint_eq(ring_read(ring, 7, read, 8, UINT64_MAX), 0);
    ck_assert_uint_eq(ring_read(ring, 8, read, 8, UINT64_MAX), 5);
    for (size_t i = 0; i < 5; i++) {
        ck_assert_uint_eq(read[i]->seq, 8 + i);
        record_unref(read[i]);
    }
    ring_free(ring);
}
END_TEST

START_TEST(a_record_larger_than_the_ring_stands_alone_in_it)
{
    struct record *small = make(10, 0, 0);
    struct ring *ring = ring_new(100, record_charge_bytes(small) * 3, 1);
    record_unref(small);
    append(ring, 3);
    struct record *large = make(4000, 0, 0);
    uint64_t charge = record_charge_bytes(large);
    ring_append_take(ring, &large, 1);
    struct ring_state state;
    ring_state(ring, &state);
    ck_assert_uint_eq(state.records, 1);
    ck_assert_uint_eq(state.bytes, charge);
    append(ring, 1);
    ring_state(ring, &state);
    ck_assert_uint_eq(state.records, 1);
    ck_assert_uint_eq(state.head_seq, 5);
    ring_free(ring);
}
END_TEST

START_TEST(a_read_takes_one_record_whatever_its_size)
{
    struct ring *ring = ring_new(10, 1000000, 1);
    append(ring, 4);
    struct record *read[4];
    ck_assert_uint_eq(ring_read(ring, 2, read, 4, 1), 1);
    uint64_t charge = record_charge_bytes(read[0]);
    record_unref(read[0]);
    ck_assert_uint_eq(ring_read(ring, 2, read, 4, charge * 2), 2);
    record_unref(read[0]);
    record_unref(read[1]);
    ring_free(ring);
}
END_TEST

/* ---- the model: every record ever, with its charge and weight ---- */

#define MODEL_MAX 3000

struct model {
    uint64_t charge[MODEL_MAX + 1], weight[MODEL_MAX + 1];
    int64_t time_ms[MODEL_MAX + 1];
    bool gap[MODEL_MAX + 1];
    uint64_t tail, head;
    uint64_t max_records, max_bytes;
};

static uint64_t
sum(const uint64_t *values, uint64_t from, uint64_t to)
{
    uint64_t total = 0;
    for (uint64_t seq = from; seq <= to; seq++) {
        total += values[seq];
    }
    return total;
}

static void
model_append(struct model *model, const struct record *record)
{
    uint64_t seq = ++model->head;
    model->charge[seq] = record_charge_bytes(record);
    model->weight[seq] = record->weight;
    model->time_ms[seq] = record->time_ms;
    model->gap[seq] = record->is_gap;
    while (model->tail < model->head &&
           (model->head + 1 - model->tail > model->max_records ||
               sum(model->charge, model->tail, model->head) > model->max_bytes)) {
        model->tail++;
    }
}

static uint64_t
model_trim(const struct model *model, uint64_t queue_records, uint64_t queue_bytes)
{
    for (uint64_t seq = model->tail; seq < model->head; seq++) {
        if (model->head + 1 - seq <= queue_records &&
            sum(model->charge, seq, model->head) <= queue_bytes) {
            return seq;
        }
    }
    return model->head > model->tail ? model->head : model->tail;
}

static uint64_t
model_keep_end(
    const struct model *model, uint64_t from, uint64_t queue_records, uint64_t queue_bytes)
{
    uint64_t seq = from;
    while (seq <= model->head && seq - from < queue_records &&
           sum(model->charge, from, seq) <= queue_bytes) {
        seq++;
    }
    return seq == from && from <= model->head ? from + 1 : seq;
}

static uint64_t
model_find_time(const struct model *model, int64_t time_ms)
{
    uint64_t seq = model->tail;
    while (seq <= model->head && (model->gap[seq] || model->time_ms[seq] < time_ms)) {
        seq++;
    }
    return seq;
}

static void
compare_place(struct ring *ring, const struct model *model, uint64_t want)
{
    uint64_t seq = want, ordinal, bytes;
    struct record *before;
    ring_place(ring, &seq, &ordinal, &bytes, &before);
    uint64_t expect = want < model->tail ? model->tail : want;
    expect = expect > model->head ? model->head + 1 : expect;
    ck_assert_uint_eq(seq, expect);
    ck_assert_uint_eq(ordinal, sum(model->weight, 1, seq - 1));
    ck_assert_uint_eq(bytes, sum(model->charge, 1, seq - 1));
    ck_assert_int_eq(before != NULL, seq > 1);
    ck_assert(before == NULL || before->seq == seq - 1);
    record_unref(before);
}

static void
compare_all(struct ring *ring, const struct model *model, unsigned *seed)
{
    struct ring_state state;
    ring_state(ring, &state);
    ck_assert_uint_eq(state.tail_seq, model->tail);
    ck_assert_uint_eq(state.head_seq, model->head);
    ck_assert_uint_eq(state.bytes, sum(model->charge, model->tail, model->head));
    ck_assert_uint_eq(state.head_bytes, sum(model->charge, 1, model->head));
    ck_assert_uint_eq(state.head_ordinal, sum(model->weight, 1, model->head));
    uint64_t queue_records = 1 + (uint64_t)rand_r(seed) % 40;
    uint64_t queue_bytes = (uint64_t)rand_r(seed) % 20000;
    ck_assert_uint_eq(ring_trim_point(ring, queue_records, queue_bytes),
        model_trim(model, queue_records, queue_bytes));
    uint64_t from = model->tail + (uint64_t)rand_r(seed) % (model->head + 2 - model->tail);
    ck_assert_uint_eq(ring_keep_end(ring, from, queue_records, queue_bytes),
        model_keep_end(model, from, queue_records, queue_bytes));
    ck_assert_uint_eq(ring_keep_end(ring, model->tail - 1, queue_records, queue_bytes),
        model_keep_end(model, model->tail, queue_records, queue_bytes));
    int64_t time_ms = rand_r(seed) % 100;
    ck_assert_uint_eq(ring_find_time(ring, time_ms), model_find_time(model, time_ms));
    compare_place(ring, model, (uint64_t)rand_r(seed) % (model->head + 3));
    compare_place(ring, model, UINT64_MAX);
}

START_TEST(the_ring_agrees_with_a_model_that_keeps_everything)
{
    for (unsigned round = 0; round < 12; round++) {
        unsigned seed = 100 + round;
        struct model *model = mem_calloc(1, sizeof *model);
        model->tail = 1;
        model->max_records = 1 + (uint64_t)rand_r(&seed) % 50;
        model->max_bytes = 500 + (uint64_t)rand_r(&seed) % 30000;
        struct ring *ring = ring_new(model->max_records, model->max_bytes, 1);
        while (model->head + 8 < MODEL_MAX / 4) {
            struct record *records[8];
            size_t n = 1 + (size_t)rand_r(&seed) % 8;
            for (size_t i = 0; i < n; i++) {
                uint64_t weight = rand_r(&seed) % 9 == 0 ? 1 + (uint64_t)rand_r(&seed) % 50 : 0;
                size_t size = rand_r(&seed) % 7 == 0 ? 3000 : (size_t)rand_r(&seed) % 200;
                records[i] = make(size, weight, rand_r(&seed) % 100);
                model_append(model, records[i]);
            }
            ring_append_take(ring, records, n);
            compare_all(ring, model, &seed);
        }
        ring_free(ring);
        free(model);
    }
}
END_TEST

START_TEST(a_long_append_evicts_more_than_fits_one_lock)
{
    struct ring *ring = ring_new(1000, 1000000000, 1);
    struct record *records[1000];
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < 1000; i++) {
            records[i] = make(1, 0, 0);
        }
        ring_append_take(ring, records, 1000);
    }
    struct ring_state state;
    ring_state(ring, &state);
    ck_assert_uint_eq(state.tail_seq, 1001);
    ck_assert_uint_eq(state.records, 1000);
    ring_free(ring);
}
END_TEST

/* ---- holds ---- */

static struct ring_hold
hold(uint64_t limit_seq, uint64_t resume_seq)
{
    return (struct ring_hold){limit_seq, UINT64_MAX, resume_seq, UINT64_MAX, false, 0};
}

START_TEST(a_held_ring_stays_held_until_every_resume_mark_is_passed)
{
    struct ring *ring = ring_new(100, 1000000, 2);
    uint64_t bytes;
    struct ring_state state;
    ck_assert_uint_eq(ring_room(ring, &bytes), 100);
    ck_assert(!ring_hold_set(ring, 0, hold(10, 5)));
    ck_assert(!ring_hold_set(ring, 1, hold(12, 6)));
    ck_assert_uint_eq(ring_room(ring, &bytes), 10);
    append(ring, 9);
    ck_assert_uint_eq(ring_room(ring, &bytes), 1);
    append(ring, 1);
    ring_state(ring, &state);
    ck_assert(!state.held); /* nobody has asked yet */
    ck_assert_uint_eq(ring_room(ring, &bytes), 0);
    ck_assert_uint_eq(bytes, 0);
    ring_state(ring, &state);
    ck_assert(state.held);
    ck_assert(!ring_hold_set(ring, 0, hold(14, 9))); /* room, but above the resume mark */
    ck_assert_uint_eq(ring_room(ring, &bytes), 0);
    ck_assert(!ring_hold_set(ring, 0, hold(15, 10))); /* the other one still holds */
    ck_assert(ring_hold_set(ring, 1, hold(16, 10)));
    ck_assert_uint_eq(ring_room(ring, &bytes), 5);
    ring_free(ring);
}
END_TEST

START_TEST(a_hold_in_bytes_holds_and_an_open_one_lets_go)
{
    struct ring *ring = ring_new(100, 1000000, 1);
    append(ring, 1);
    struct ring_state state;
    ring_state(ring, &state);
    uint64_t one = state.head_bytes, bytes;
    ring_hold_set(ring, 0, (struct ring_hold){UINT64_MAX, one * 3, UINT64_MAX, one, false, 0});
    ck_assert_uint_eq(ring_room(ring, &bytes), 100);
    ck_assert_uint_eq(bytes, one * 2);
    append(ring, 2);
    ck_assert_uint_eq(ring_room(ring, &bytes), 0);
    ck_assert(ring_hold_set(ring, 0, RING_HOLD_OPEN));
    ck_assert(!ring_hold_set(ring, 0, RING_HOLD_OPEN));
    ck_assert_uint_eq(ring_room(ring, &bytes), 100);
    ring_free(ring);
}
END_TEST

/* ---- one writer, many readers ---- */

#define THREADS 3
#define APPENDS 4000

struct shared {
    struct ring *ring;
    atomic_bool done;
};

/* Reads on from where it is; what is gone is accounted for by ordinals. */
static void *
reader(void *arg)
{
    struct shared *shared = arg;
    uint64_t seq = 1, seen = 0, skipped = 0, ordinal = 0;
    for (;;) {
        bool done = atomic_load(&shared->done);
        struct record *records[16];
        size_t n = ring_read(shared->ring, seq, records, 16, 10000);
        for (size_t i = 0; i < n; i++) {
            ck_assert_uint_eq(records[i]->seq, seq++);
            ck_assert_uint_eq(records[i]->ordinal, ordinal + records[i]->weight);
            ordinal = records[i]->ordinal;
            seen += records[i]->weight;
            record_unref(records[i]);
        }
        if (n > 0) {
            continue;
        }
        uint64_t to = seq, at, bytes;
        struct record *before;
        ring_place(shared->ring, &to, &at, &bytes, &before);
        ck_assert(before == NULL || before->seq == to - 1);
        record_unref(before);
        if (to == seq && done) {
            break;
        }
        skipped += at - ordinal;
        ordinal = at;
        seq = to;
        uint64_t trim = ring_trim_point(shared->ring, 10, 10000);
        ck_assert_uint_ge(trim, 1);
        ck_assert_uint_gt(ring_keep_end(shared->ring, trim, 10, 1000), 0);
    }
    ck_assert_uint_eq(seen + skipped, ordinal);
    return (void *)(uintptr_t)ordinal;
}

static void *
holder(void *arg)
{
    struct shared *shared = arg;
    while (!atomic_load(&shared->done)) {
        struct ring_state state;
        ring_state(shared->ring, &state);
        ck_assert_uint_le(state.tail_seq, state.head_seq + 1);
        ring_hold_set(shared->ring, 0, hold(state.head_seq + 8, state.head_seq + 4));
    }
    ring_hold_set(shared->ring, 0, RING_HOLD_OPEN);
    return NULL;
}

START_TEST(readers_on_other_threads_account_for_every_record)
{
    struct shared shared = {.ring = ring_new(32, 8000, 1)};
    pthread_t threads[THREADS], hold_thread;
    for (int i = 0; i < THREADS; i++) {
        pthread_create(&threads[i], NULL, reader, &shared);
    }
    pthread_create(&hold_thread, NULL, holder, &shared);
    uint64_t produced = 0;
    for (unsigned i = 0, seed = 3; i < APPENDS; i++) {
        struct record *records[3];
        uint64_t bytes;
        (void)ring_room(shared.ring, &bytes);
        size_t n = 1 + (size_t)rand_r(&seed) % 3;
        for (size_t k = 0; k < n; k++) {
            records[k] = make((size_t)rand_r(&seed) % 300, rand_r(&seed) % 20 == 0 ? 5 : 0, 0);
            produced += records[k]->weight;
        }
        ring_append_take(shared.ring, records, n);
    }
    atomic_store(&shared.done, true);
    for (int i = 0; i < THREADS; i++) {
        void *ordinal;
        pthread_join(threads[i], &ordinal);
        ck_assert_uint_eq((uintptr_t)ordinal, produced);
    }
    pthread_join(hold_thread, NULL);
    ring_free(shared.ring);
}
END_TEST

static uint64_t
settled_after(struct ring *ring, size_t slot, bool must, uint64_t seq)
{
    struct ring_hold open = RING_HOLD_OPEN;
    open.must = must;
    open.settled_seq = seq;
    ring_hold_set(ring, slot, open);
    return ring_settled(ring);
}

START_TEST(settled_is_the_slowest_that_must_not_lose_else_the_furthest)
{
    struct ring *ring = ring_new(100, 1000000, 3);
    append(ring, 50);
    ck_assert_uint_eq(ring_settled(ring), 0);
    ck_assert_uint_eq(settled_after(ring, 0, false, 7), 7);
    ck_assert_uint_eq(settled_after(ring, 1, false, 9), 9);
    ck_assert_uint_eq(settled_after(ring, 2, true, 11), 11);
    ck_assert_uint_eq(settled_after(ring, 0, false, 20), 11);
    ck_assert_uint_eq(settled_after(ring, 1, true, 14), 11);
    ck_assert_uint_eq(settled_after(ring, 2, true, 13), 13);
    ck_assert_uint_eq(
        settled_after(ring, 1, true, 5), 13); /* one that began late takes nothing back */
    ck_assert_uint_eq(settled_after(ring, 1, true, 30), 13);
    ck_assert_uint_eq(settled_after(ring, 2, false, 0), 30);
    ring_free(ring);
}
END_TEST

START_TEST(a_small_ring_grows_and_is_like_any_other)
{
    struct ring *ring = ring_new_small(300, 1000000, 1);
    append(ring, 50);
    append(ring, 200);
    for (uint64_t seq = 1; seq <= 250; seq++) {
        struct record *record;
        ck_assert_uint_eq(ring_read(ring, seq, &record, 1, 1000), 1);
        ck_assert_uint_eq(record->seq, seq);
        record_unref(record);
    }
    append(ring, 100); /* beyond its bound it evicts */
    struct ring_state state;
    ring_state(ring, &state);
    ck_assert_uint_eq(state.records, 300);
    ck_assert_uint_eq(state.tail_seq, 51);
    struct record *oldest;
    ck_assert_uint_eq(ring_read(ring, 51, &oldest, 1, 1000), 1);
    ck_assert_uint_eq(oldest->seq, 51);
    record_unref(oldest);
    ring_free(ring);
}
END_TEST

UNIT_MAIN("ring", a_small_ring_grows_and_is_like_any_other, an_empty_ring_begins_at_one,
    records_beyond_the_count_are_evicted_and_the_last_one_can_be_peeked,
    a_record_larger_than_the_ring_stands_alone_in_it, a_read_takes_one_record_whatever_its_size,
    the_ring_agrees_with_a_model_that_keeps_everything,
    a_long_append_evicts_more_than_fits_one_lock,
    a_held_ring_stays_held_until_every_resume_mark_is_passed,
    a_hold_in_bytes_holds_and_an_open_one_lets_go,
    settled_is_the_slowest_that_must_not_lose_else_the_furthest,
    readers_on_other_threads_account_for_every_record)
