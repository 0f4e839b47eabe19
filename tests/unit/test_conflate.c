/* test_conflate: against a naive model, and that every record is counted once. */
#include "conflate.h"

#include "buf.h"
#include "unit.h"

#include <stdio.h>
#include <string.h>

#define MODEL_MAX 4096

/* What waits, as a plain list. */
struct model {
    struct item {
        uint64_t seq;
        int key; /* -1: none */
        uint64_t weight;
        uint64_t charge;
    } items[MODEL_MAX];
    size_t n;
    uint64_t merged, dropped;
};

static void
remove_at(struct model *model, size_t i)
{
    model->n--;
    memmove(&model->items[i], &model->items[i + 1], (model->n - i) * sizeof *model->items);
}

static void
model_add(struct model *model, struct item item, uint64_t max_records, uint64_t max_bytes)
{
    for (size_t i = 0; i < model->n; i++) {
        if (item.key >= 0 && model->items[i].key == item.key) {
            model->merged += model->items[i].weight;
            remove_at(model, i);
            break;
        }
    }
    model->items[model->n++] = item;
    for (;;) {
        uint64_t bytes = 0;
        for (size_t i = 0; i < model->n; i++) {
            bytes += model->items[i].charge;
        }
        if (model->n == 1 || (model->n <= max_records && bytes <= max_bytes)) {
            return;
        }
        model->dropped += model->items[0].weight;
        remove_at(model, 0);
    }
}

static struct record *
make(uint64_t seq, int key, size_t len)
{
    char text[16];
    static char data[600];
    memset(data, 'x', sizeof data);
    struct buf scratch;
    buf_init(&scratch);
    int key_len = snprintf(text, sizeof text, "key-%d", key);
    struct record_input in = {.key = key < 0 ? NULL : text,
        .key_len = (size_t)key_len,
        .data = data,
        .data_len = len,
        .time_ms = 1};
    struct record *record = record_new(&in, "AQA", 3, "{\"offset\":", 1, &scratch);
    record->seq = seq;
    buf_fini(&scratch);
    return record;
}

static struct record *
make_gap(uint64_t seq, uint64_t weight)
{
    struct buf scratch;
    buf_init(&scratch);
    struct record *record = record_new_gap("retention", weight, "AQA", "AQE", 0, 1, 1, &scratch);
    record->seq = seq;
    buf_fini(&scratch);
    return record;
}

struct totals {
    uint64_t produced, sent, merged, dropped;
};

/* Send the oldest few, as the model has them. */
static void
send_some(struct conflate *conflate, struct model *model, size_t most, struct totals *totals)
{
    struct record *records[64];
    struct conflate_dropped dropped;
    if (conflate_take_dropped(conflate, &dropped)) {
        totals->dropped += dropped.count;
        totals->merged += dropped.merged;
        ck_assert(model->n > 0 && dropped.last->seq < model->items[0].seq);
        record_unref(dropped.last);
    }
    ck_assert_uint_eq(totals->dropped, model->dropped);
    size_t n = conflate_peek(conflate, records, most, UINT64_MAX);
    ck_assert_uint_eq(n, most < model->n ? most : model->n);
    for (size_t i = 0; i < n; i++) {
        ck_assert_uint_eq(records[i]->seq, model->items[i].seq);
        totals->sent += records[i]->weight;
    }
    uint64_t before = n == 0 ? 0 : records[n - 1]->seq + 1;
    totals->merged += conflate_settle(conflate, before);
    for (; n > 0; n--) {
        remove_at(model, 0);
    }
    ck_assert(totals->merged <= model->merged);
}

static void
run(unsigned seed, int n_keys, uint64_t max_records, uint64_t max_bytes)
{
    static struct model model;
    model = (struct model){.n = 0};
    struct conflate *conflate = conflate_new(max_records, max_bytes);
    struct totals totals = {0};
    for (uint64_t seq = 1; seq <= 4000; seq++) {
        int key = rand_r(&seed) % 10 == 0 ? -1 : rand_r(&seed) % n_keys;
        bool gap = rand_r(&seed) % 50 == 0;
        struct record *record = gap ? make_gap(seq, 1 + (uint64_t)rand_r(&seed) % 5)
                                    : make(seq, key, (size_t)rand_r(&seed) % 500);
        struct item item = {seq, gap ? -1 : key, record->weight, record_charge_bytes(record)};
        totals.produced += record->weight;
        conflate_add_take(conflate, record);
        model_add(&model, item, max_records, max_bytes);
        if (rand_r(&seed) % 7 == 0) {
            send_some(conflate, &model, (size_t)rand_r(&seed) % 8, &totals);
        }
    }
    while (model.n > 0) {
        send_some(conflate, &model, 64, &totals);
    }
    ck_assert(conflate_is_empty(conflate));
    ck_assert_uint_eq(totals.merged, model.merged);
    ck_assert_uint_eq(totals.sent + totals.merged + totals.dropped, totals.produced);
    conflate_free(conflate);
}

START_TEST(it_holds_what_a_plain_list_holds_and_counts_every_record_once)
{
    for (unsigned seed = 1; seed <= 4; seed++) {
        run(seed, 20, 1000, UINT64_MAX);   /* merges */
        run(seed, 500, 100, UINT64_MAX);   /* and drops by count */
        run(seed, 500, 1000, 20000);       /* and by bytes */
        run(seed, 2000, 4000, UINT64_MAX); /* and grows */
        run(seed, 3, 1, 1);
    }
}
END_TEST

START_TEST(the_last_value_of_every_key_is_what_is_left)
{
    struct conflate *conflate = conflate_new(10000, UINT64_MAX);
    for (uint64_t seq = 1; seq <= 5000; seq++) {
        conflate_add_take(conflate, make(seq, (int)(seq % 100), 10));
    }
    struct record *records[200];
    size_t n = conflate_peek(conflate, records, 200, UINT64_MAX);
    ck_assert_uint_eq(n, 100);
    for (size_t i = 0; i < n; i++) {
        ck_assert_uint_eq(records[i]->seq, 4901 + i);
    }
    ck_assert_uint_eq(conflate_settle(conflate, 4903), 4902 - 2);
    ck_assert_uint_eq(conflate_peek(conflate, records, 200, 1), 1);
    conflate_free(conflate); /* with what waits */
}
END_TEST

UNIT_MAIN("conflate", it_holds_what_a_plain_list_holds_and_counts_every_record_once,
    the_last_value_of_every_key_is_what_is_left)
