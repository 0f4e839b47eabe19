/* A replay that passes lines on in one piece gives the records that it gives one by one. */
#include "fake_stream.h"
#include "unit.h"

#include "../../connectors/connector.h"
#include "../../connectors/file_bulk.h"
#include "../../connectors/file_replay.h"
#include "../../gateway/buf.h"
#include "../../gateway/err.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define MAX_RECORD 100000

/* Lines of every kind, some cut by the end of a read. */
static void
add_line(struct buf *file, unsigned *seed)
{
    static const char *const odd[] = {"", " ", "\r", "none", "{\"a\":1}\r", " [1, 2]\t", "[1,\r2]",
        "\"\xFF\"", "null", "\"\"", "\xEF\xBB\xBF{}"};
    int kind = rand_r(seed) % 40;
    size_t n = kind == 0   ? (size_t)rand_r(seed) % 20000
               : kind == 1 ? (size_t)rand_r(seed) % (2 * MAX_RECORD)
                           : (size_t)rand_r(seed) % 300;
    if (kind > 1 && kind < 10) {
        buf_adds(file, odd[(size_t)rand_r(seed) % (sizeof odd / sizeof *odd)]);
    } else {
        buf_adds(file, "{\"pad\":\"");
        memset(buf_reserve(file, n), 'x', n);
        file->len += n;
        buf_adds(file, "\"}");
    }
    buf_addc(file, '\n');
}

static void
write_file(const char *path, const struct buf *bytes)
{
    FILE *file = fopen(path, "wb");
    ck_assert_ptr_nonnull(file);
    ck_assert_uint_eq(fwrite(bytes->bytes, 1, bytes->len, file), bytes->len);
    ck_assert_int_eq(fclose(file), 0);
}

static struct stream *
replay(const char *path, enum file_format format, size_t room, bool lines, size_t *lost)
{
    char *paths[] = {(char *)(uintptr_t)path};
    struct file_settings settings = {
        .mode = FILE_REPLAY, .format = (int)format, .max_files = 10, .paths = {paths, 1}};
    const struct replay from = {.kind = REPLAY_EARLIEST};
    struct err err;
    struct stream *stream = fake_stream_new(room, MAX_RECORD);
    fake_stream_set_lines(stream, lines);
    struct file_replay *made = file_replay_start(&settings, stream, &from, &err);
    ck_assert_msg(made != NULL, "%s", err.text);
    struct fake_outcome outcome = fake_stream_wait_outcome(stream, 60);
    ck_assert(outcome.ended && outcome.failure == NULL);
    file_replay_stop(made);
    ck_assert(!fake_stream_disorder(stream));
    *lost = fake_stream_errors(stream, "malformed") + fake_stream_errors(stream, "too_large");
    return stream;
}

static void
expect_same(const char *path, enum file_format format, size_t room)
{
    size_t lost_one, lost_many;
    struct stream *one = replay(path, format, 1000, false, &lost_one);
    struct stream *many = replay(path, format, room, true, &lost_many);
    ck_assert_uint_eq(lost_one, lost_many);
    ck_assert_uint_gt(fake_stream_count(one), 100);
    ck_assert_uint_eq(fake_stream_count(one), fake_stream_count(many));
    for (size_t i = 0; i < fake_stream_count(one); i++) {
        const struct fake_record *a = fake_stream_record(one, i);
        const struct fake_record *b = fake_stream_record(many, i);
        if (a->data_len != b->data_len || memcmp(a->data, b->data, a->data_len) != 0 ||
            a->offset > b->offset) {
            ck_abort_msg("record %zu: %.80s, %.80s", i, a->data, b->data);
        }
    }
    fake_stream_free(one);
    fake_stream_free(many);
}

START_TEST(lines_in_one_piece_are_the_records_one_by_one)
{
    static const enum file_format formats[] = {FILE_NDJSON, FILE_TEXT, FILE_CSV};
    char path[] = "/tmp/headgate-bulk-XXXXXX";
    close(mkstemp(path));
    for (unsigned round = 0; round < 12; round++) {
        unsigned seed = round;
        struct buf file;
        buf_init(&file);
        bool csv = formats[round % 3] == FILE_CSV;
        buf_adds(&file, csv ? "number,text\n" : "");
        for (int i = 0; i < 2000; i++) {
            if (csv) {
                buf_addf(&file, "%d,\"%.*s\"\"\"\n", i, rand_r(&seed) % 40,
                    "some text of some length, with commas");
            } else {
                add_line(&file, &seed);
            }
        }
        file.len -= round % 2; /* the last line has no end */
        write_file(path, &file);
        expect_same(path, formats[round % 3], 1 + round * round);
        buf_fini(&file);
    }
    unlink(path);
}
END_TEST

START_TEST(only_neighbours_are_gathered_and_only_so_many)
{
    static char chunk[3 * FILE_BULK_BYTES];
    struct file_lines bulk = {.count = 0};
    memset(chunk, '1', sizeof chunk);
    chunk[2] = chunk[5] = '\n';
    ck_assert(file_bulk_add(&bulk, &(struct file_item){.data = chunk, .len = 2, .end = 3}));
    ck_assert(file_bulk_add(&bulk, &(struct file_item){.data = chunk + 3, .len = 2, .end = 6}));
    ck_assert_uint_eq(bulk.len, 5);
    ck_assert_uint_eq(bulk.count, 2);
    ck_assert_uint_eq(bulk.end, 6);
    ck_assert(!file_bulk_add(&bulk, &(struct file_item){.data = chunk + 7, .len = 1, .end = 8}));
    ck_assert(!file_bulk_add(
        &bulk, &(struct file_item){.data = chunk + 6, .len = FILE_BULK_BYTES - 5, .end = 5000}));
    ck_assert(file_bulk_add(
        &bulk, &(struct file_item){.data = chunk + 6, .len = FILE_BULK_BYTES - 6, .end = 5000}));
    bulk.count = 0;
    ck_assert(file_bulk_add(
        &bulk, &(struct file_item){.data = chunk + 6, .len = 2 * FILE_BULK_BYTES, .end = 9000}));
    ck_assert(!file_bulk_add(&bulk,
        &(struct file_item){.data = chunk + 7 + 2 * FILE_BULK_BYTES, .len = 1, .end = 9002}));
}
END_TEST

UNIT_MAIN("file_bulk", lines_in_one_piece_are_the_records_one_by_one,
    only_neighbours_are_gathered_and_only_so_many)
