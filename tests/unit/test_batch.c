/* test_batch: what is encoded once for many, and where it was cut. */
#include "batch.h"
#include "mem.h"
#include "unit.h"

#include <stdio.h>
#include <string.h>

#define RECORDS 40
#define FIRST_SEQ 11
#define FIRST_ORDINAL 100
#define FIRST_BYTES 5000

/* Records as a ring would number them: of all sizes, a gap here and there. */
struct run {
    struct record *records[RECORDS];
    char ids[RECORDS + 1][8]; /* ids[i] is before record i */
    struct stand stand[RECORDS + 1];
    uint64_t delivered[RECORDS + 1]; /* records without gaps before i */
};

static struct record *
make(unsigned *seed, const char *before, const char *id)
{
    char data[9000];
    struct buf scratch;
    buf_init(&scratch);
    struct record *record;
    if (rand_r(seed) % 6 == 0) {
        record = record_new_gap(
            "retention", 1 + (uint64_t)rand_r(seed) % 9, before, id, 0, 1, 1, &scratch);
    } else {
        size_t len = (size_t)rand_r(seed) % (rand_r(seed) % 5 == 0 ? 8000 : 300);
        memset(data, 'x', sizeof data);
        struct record_input in = {.data = data, .data_len = len, .time_ms = 1};
        record = record_new(
            &in, id, strlen(id), "{\"topic\":\"t\",\"partition\":0,\"offset\":", 1, &scratch);
    }
    buf_fini(&scratch);
    return record;
}

static void
run_init(struct run *run, unsigned seed)
{
    run->stand[0] = (struct stand){FIRST_SEQ, FIRST_ORDINAL, FIRST_BYTES};
    run->delivered[0] = 0;
    snprintf(run->ids[0], sizeof run->ids[0], "id");
    for (size_t i = 0; i < RECORDS; i++) {
        /* Ids of all lengths. */
        snprintf(run->ids[i + 1], sizeof run->ids[i + 1], "%.*s%zu", (int)(i % 4), "abcd", i);
        struct record *record = make(&seed, run->ids[i], run->ids[i + 1]);
        record->seq = run->stand[i].seq;
        record->ordinal = run->stand[i].ordinal + record->weight;
        record->bytes_before = run->stand[i].bytes;
        run->records[i] = record;
        run->delivered[i + 1] = run->delivered[i] + !record->is_gap;
        run->stand[i + 1] = (struct stand){
            record->seq + 1, record->ordinal, record->bytes_before + record_charge_bytes(record)};
    }
}

static void
run_fini(struct run *run)
{
    for (size_t i = 0; i < RECORDS; i++) {
        record_unref(run->records[i]);
    }
}

static struct batch *
encode(struct run *run, const struct format *format, size_t n)
{
    return batch_encode(
        format, run->stand[0], run->ids[0], strlen(run->ids[0]), run->records, n, false);
}

/* ---- an independent reader of a chunked body (RFC 9112 section 7.1) ---- */

/* The size line at *at, moved on behind it; SIZE_MAX when it is not there whole. */
static size_t
chunk_size(const struct buf *body, size_t *at)
{
    size_t size = 0;
    size_t i = *at;
    for (; i < body->len && body->bytes[i] != '\r'; i++) {
        const char *digit = strchr("0123456789abcdef", body->bytes[i]);
        ck_assert_ptr_nonnull(digit);
        size = size * 16 + (size_t)(digit - "0123456789abcdef");
    }
    ck_assert(i > *at && i + 1 < body->len && body->bytes[i + 1] == '\n');
    *at = i + 2;
    return size;
}

/* Append the content of whole chunks to content; ends where body ends, between two chunks. */
static void
unchunk(const struct buf *body, struct buf *content)
{
    for (size_t at = 0; at < body->len;) {
        size_t size = chunk_size(body, &at);
        ck_assert_uint_gt(size, 0); /* it would end the body */
        ck_assert_uint_le(at + size + 2, body->len);
        buf_add(content, body->bytes + at, size);
        at += size;
        ck_assert_mem_eq(body->bytes + at, "\r\n", 2);
        at += 2;
    }
}

/* ---- properties ---- */

static const struct framer *const framers[] = {&framer_ws, &framer_sse, &framer_ndjson};

/* Calls check for each format there is. */
static void
for_each_format(void (*check)(const struct format *format, unsigned seed))
{
    for (size_t f = 0; f < 3; f++) {
        for (int envelope = 0; envelope < ENVELOPE_COUNT; envelope++) {
            for (int chunked = 0; chunked <= (framers[f]->in_http_body ? 1 : 0); chunked++) {
                struct format format = {.framer = framers[f],
                    .envelope = (enum envelope)envelope,
                    .chunked = chunked == 1};
                for (unsigned seed = 1; seed <= 3; seed++) {
                    check(&format, seed);
                }
            }
        }
    }
}

static void
check_content(const struct format *format, unsigned seed)
{
    struct run run;
    run_init(&run, seed);
    struct batch *batch = encode(&run, format, RECORDS);
    struct buf want, got;
    buf_init(&want);
    buf_init(&got);
    for (size_t i = 0; i < RECORDS; i++) {
        format->framer->record(&want, run.records[i], format->envelope, false);
    }
    if (format->chunked) {
        unchunk(&batch->bytes, &got);
    } else {
        buf_add(&got, batch->bytes.bytes, batch->bytes.len);
    }
    ck_assert_uint_eq(got.len, want.len);
    ck_assert_mem_eq(got.bytes, want.bytes, want.len);
    buf_fini(&want);
    buf_fini(&got);
    batch_unref(batch);
    run_fini(&run);
}

START_TEST(a_batch_is_its_records_one_after_the_other)
{
    for_each_format(check_content);
}
END_TEST

/* The record index that unit i ends before, by its stand; everything about it must agree. */
static size_t
check_unit(const struct run *run, struct batch *batch, size_t i)
{
    const struct unit *unit = &batch->units[i];
    ck_assert_uint_ge(unit->stand.seq, FIRST_SEQ + 1);
    size_t record = (size_t)(unit->stand.seq - FIRST_SEQ);
    ck_assert_uint_le(record, RECORDS);
    ck_assert_uint_eq(unit->stand.ordinal, run->stand[record].ordinal);
    ck_assert_uint_eq(unit->stand.bytes, run->stand[record].bytes);
    ck_assert_uint_eq(unit->records, run->delivered[record]);
    size_t len;
    const char *id = batch_id(batch, i + 1, &len);
    ck_assert_uint_eq(len, strlen(run->ids[record]));
    ck_assert_mem_eq(id, run->ids[record], len);
    return record;
}

/* The bytes of unit i are those of the records between its two stands. */
static void
check_unit_bytes(const struct run *run, const struct format *format, const struct batch *batch,
    size_t i, size_t from, size_t to)
{
    struct buf want, got, raw = {.len = 0};
    buf_init(&want);
    buf_init(&got);
    for (size_t k = from; k < to; k++) {
        format->framer->record(&want, run->records[k], format->envelope, false);
    }
    size_t start = batch_unit_start(batch, i);
    buf_add(&raw, batch->bytes.bytes + start, batch->units[i].end - start);
    if (format->chunked) {
        unchunk(&raw, &got);
    } else {
        buf_add(&got, raw.bytes, raw.len);
    }
    ck_assert_uint_eq(got.len, want.len);
    if (want.len > 0) {
        ck_assert_mem_eq(got.bytes, want.bytes, want.len);
    }
    buf_fini(&raw);
    buf_fini(&got);
    buf_fini(&want);
}

static void
check_cuts(const struct format *format, unsigned seed)
{
    struct run run;
    run_init(&run, seed);
    struct batch *batch = encode(&run, format, RECORDS);
    size_t len, record = 0;
    const char *id = batch_id(batch, 0, &len);
    ck_assert_uint_eq(len, strlen(run.ids[0]));
    ck_assert_mem_eq(id, run.ids[0], len);
    for (size_t i = 0; i < batch->n_units; i++) {
        ck_assert_uint_eq(batch_unit_from(batch, FIRST_SEQ + record), i);
        for (size_t at = batch_unit_start(batch, i); at < batch->units[i].end; at++) {
            ck_assert_uint_eq(batch_unit_at(batch, at), i);
        }
        size_t next = check_unit(&run, batch, i);
        ck_assert_uint_gt(next, record);
        for (size_t k = record + 1; k < next; k++) {
            ck_assert_uint_eq(batch_unit_from(batch, FIRST_SEQ + k), batch->n_units);
        }
        check_unit_bytes(&run, format, batch, i, record, next);
        record = next;
    }
    ck_assert_uint_eq(record, RECORDS);
    ck_assert_uint_eq(batch->units[batch->n_units - 1].end, batch->bytes.len);
    ck_assert_uint_eq(batch_unit_from(batch, FIRST_SEQ + RECORDS), batch->n_units);
    ck_assert_uint_eq(batch_unit_from(batch, FIRST_SEQ - 1), batch->n_units);
    batch_unref(batch);
    run_fini(&run);
}

START_TEST(a_cut_at_every_byte_gives_the_right_unit_stand_and_id)
{
    for_each_format(check_cuts);
}
END_TEST

START_TEST(a_frame_is_a_unit_and_a_chunk_holds_a_few_small_records)
{
    struct run run;
    run_init(&run, 4);
    struct format ws = {.framer = &framer_ws, .envelope = ENVELOPE_RECORD, .chunked = false};
    struct batch *batch = encode(&run, &ws, RECORDS);
    ck_assert_uint_eq(batch->n_units, RECORDS);
    batch_unref(batch);
    struct format ndjson = {.framer = &framer_ndjson, .envelope = ENVELOPE_RECORD, .chunked = true};
    batch = encode(&run, &ndjson, RECORDS);
    ck_assert_uint_lt(batch->n_units, RECORDS);
    for (size_t i = 0; i < batch->n_units; i++) {
        ck_assert_uint_lt(batch->units[i].end - batch_unit_start(batch, i), 4096 + 16384);
    }
    batch_unref(batch_ref(batch));
    batch_unref(batch);
    batch_unref(NULL);
    run_fini(&run);
}
END_TEST

START_TEST(a_gap_that_a_transport_has_no_place_for_leaves_no_byte)
{
    struct buf scratch;
    buf_init(&scratch);
    struct record *gap = record_new_gap("too_large", 3, "a", "b", 0, 1, 1, &scratch);
    gap->seq = 5;
    gap->ordinal = 9;
    struct format format = {.framer = &framer_ndjson, .envelope = ENVELOPE_DATA, .chunked = true};
    struct batch *batch = batch_encode(&format, (struct stand){5, 6, 0}, "a", 1, &gap, 1, false);
    ck_assert_uint_eq(batch->bytes.len, 0); /* not the chunk that ends the body */
    ck_assert_uint_eq(batch->n_units, 1);
    ck_assert_uint_eq(batch->units[0].records, 0);
    ck_assert_uint_eq(batch->units[0].stand.seq, 6);
    ck_assert_uint_eq(batch->units[0].stand.ordinal, 9);
    batch_unref(batch);
    record_unref(gap);
    buf_fini(&scratch);
}
END_TEST

START_TEST(only_the_first_record_of_an_array_has_no_comma_before_it)
{
    struct run run;
    run_init(&run, 5);
    struct format json = {.framer = &framer_json, .envelope = ENVELOPE_RECORD, .chunked = false};
    struct batch *batch = batch_encode(&json, run.stand[0], "i", 1, run.records, RECORDS, true);
    ck_assert_int_eq(batch->bytes.bytes[0], '\n');
    size_t commas = 0;
    for (size_t i = 0; i + 1 < batch->bytes.len; i++) {
        commas += memcmp(batch->bytes.bytes + i, ",\n", 2) == 0;
    }
    ck_assert_uint_eq(commas, run.delivered[RECORDS] - 1);
    batch_unref(batch);
    batch = batch_encode(&json, run.stand[0], "i", 1, run.records, RECORDS, false);
    ck_assert_int_eq(batch->bytes.bytes[0], ',');
    batch_unref(batch);
    run_fini(&run);
}
END_TEST

START_TEST(a_batch_stands_behind_what_its_filter_passed_over)
{
    struct err err;
    struct buf scratch;
    buf_init(&scratch);
    for (unsigned seed = 1; seed <= 40; seed++) {
        unsigned state = seed;
        struct record *records[RECORDS];
        size_t passing = 0;
        for (size_t i = 0; i < RECORDS; i++) {
            const char *key = (unsigned)rand_r(&state) % (seed % 5 + 1) == 0 ? "a" : "b";
            struct record_input in = {
                .key = key, .key_len = 1, .data = "{}", .data_len = 2, .time_ms = 1};
            char id[8];
            size_t id_len = (size_t)snprintf(id, sizeof id, "i%zu", i);
            records[i] = record_new(
                &in, id, id_len, "{\"topic\":\"t\",\"partition\":0,\"offset\":", 1, &scratch);
            records[i]->seq = FIRST_SEQ + i;
            records[i]->ordinal = FIRST_ORDINAL + 1 + i;
            passing += *key == 'a';
        }
        struct format format = {.framer = &framer_ndjson,
            .envelope = ENVELOPE_RECORD,
            .chunked = seed % 2 == 0,
            .filter = filter_new()};
        ck_assert_int_eq(filter_add_key(format.filter, "a", 1, &err), 0);
        filter_seal(format.filter);
        struct stand stand = {FIRST_SEQ, FIRST_ORDINAL, FIRST_BYTES};
        struct batch *batch = batch_encode(&format, stand, "id", 2, records, RECORDS, false);
        const struct unit *last = &batch->units[batch->n_units - 1];
        ck_assert_uint_eq(last->stand.seq, FIRST_SEQ + RECORDS);
        ck_assert_uint_eq(last->stand.ordinal, FIRST_ORDINAL + RECORDS);
        ck_assert_uint_eq(last->records, passing);
        ck_assert_uint_eq(last->end, batch->bytes.len);
        ck_assert(passing > 0 || (batch->bytes.len == 0 && batch->n_units == 1));
        size_t id_len;
        const char *id = batch_id(batch, batch->n_units, &id_len);
        ck_assert(id_len == 3 && memcmp(id, "i39", 3) == 0);
        batch_unref(batch);
        filter_unref(format.filter);
        for (size_t i = 0; i < RECORDS; i++) {
            record_unref(records[i]);
        }
    }
    buf_fini(&scratch);
}
END_TEST

START_TEST(lines_are_counted_one_by_one_and_stand_behind_the_last)
{
    const struct format format = {
        .framer = &framer_ndjson, .envelope = ENVELOPE_DATA, .chunked = true};
    static const char text[] = "{\"a\":1}\n[2]\nnull";
    const struct record_lines lines = {0, 30, 3, text, sizeof text - 1};
    struct record *record = record_new_lines(&lines, "behind", 6, 10, 5);
    ck_assert_uint_eq(record->first, 10);
    ck_assert_uint_eq(record->offset, 30);
    ck_assert(record_has_id(record, "behind", 6));
    record->seq = 7;
    record->ordinal = 9;
    struct batch *batch =
        batch_encode(&format, (struct stand){.seq = 7}, "before", 6, &record, 1, false);
    size_t len;
    ck_assert_uint_eq(batch->n_units, 1);
    ck_assert_uint_eq(batch->units[0].records, 3);
    ck_assert_uint_eq(batch->units[0].stand.ordinal, 9);
    ck_assert_int_eq(memcmp(batch_id(batch, 1, &len), "behind", 6), 0);
    buf_addc(&batch->bytes, '\0');
    ck_assert_str_eq(batch->bytes.bytes, "00000011\r\n{\"a\":1}\n[2]\nnull\n\r\n");
    batch_unref(batch);
    record_unref(record);
}
END_TEST

START_TEST(a_block_goes_out_from_where_its_lines_were_read_into)
{
    static const char text[] = "{\"a\":1}\n[2]\nnull";
    struct format format = {.framer = &framer_ndjson, .envelope = ENVELOPE_DATA};
    static const char *const expected[] = {
        "{\"a\":1}\n[2]\nnull\n", "00000011\r\n{\"a\":1}\n[2]\nnull\n\r\n"};
    for (int chunked = 0; chunked < 2; chunked++) {
        struct record *block = record_block_new(sizeof text - 1);
        char *bytes = memcpy(record_block_bytes(block), text, sizeof text - 1);
        const struct record_lines lines = {0, 30, 3, bytes, sizeof text - 1};
        format.chunked = chunked != 0;
        record_block_finish(block, &lines, "behind", 6, 10, 5);
        ck_assert(record_has_frame(block) && record_has_id(block, "behind", 6));
        ck_assert_uint_eq(block->first, 10);
        for (int again = 0; again < 2; again++) { /* who could not send it encodes it anew */
            struct batch *batch =
                batch_encode(&format, (struct stand){.seq = 7}, "before", 6, &block, 1, false);
            size_t len;
            ck_assert_uint_eq(batch->n_units, 1);
            ck_assert_uint_eq(batch->units[0].records, 3);
            ck_assert_uint_eq(batch->units[0].end, batch->bytes.len);
            ck_assert_int_eq(memcmp(batch_id(batch, 1, &len), "behind", 6), 0);
            ck_assert_uint_eq(batch->bytes.len, strlen(expected[chunked]));
            ck_assert_int_eq(memcmp(batch->bytes.bytes, expected[chunked], batch->bytes.len), 0);
            ck_assert(batch->bytes.bytes + 10 * chunked == bytes);
            batch_unref(batch);
        }
        record_unref(block);
    }
}
END_TEST

UNIT_MAIN("batch", a_batch_is_its_records_one_after_the_other,
    a_cut_at_every_byte_gives_the_right_unit_stand_and_id,
    a_frame_is_a_unit_and_a_chunk_holds_a_few_small_records,
    a_gap_that_a_transport_has_no_place_for_leaves_no_byte,
    only_the_first_record_of_an_array_has_no_comma_before_it,
    a_batch_stands_behind_what_its_filter_passed_over,
    lines_are_counted_one_by_one_and_stand_behind_the_last,
    a_block_goes_out_from_where_its_lines_were_read_into)
