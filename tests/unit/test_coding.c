/* test_coding: pieces of compressed bodies, judged by the libraries' own decoders; their memory. */
#include "batch.h"
#include "mem.h"
#include "unit.h"
#include "ws.h"

#include <malloc.h>
#include <stdio.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

#define LEAST 100
#define PIECES 24

static struct coder *
coder_at(int level)
{
    return coder_new(&(struct coding_options){.level = level, .least_bytes = LEAST});
}

/* Text that compresses, of len bytes; with noise it does not. */
static void
fill(struct buf *out, size_t len, unsigned seed, bool noise)
{
    char line[128];
    size_t end = out->len + len;
    for (unsigned i = 0; out->len < end; i++) {
        if (noise) {
            buf_addc(out, (char)rand_r(&seed));
        } else {
            int n = snprintf(line, sizeof line, "{\"id\":%u,\"name\":\"of %d\",\"on\":true}\n",
                seed + i, rand_r(&seed) % 1000);
            buf_add(out, line, (size_t)n < end - out->len ? (size_t)n : end - out->len);
        }
    }
}

/* ---- decoders that are given piece after piece ---- */

struct decoder {
    enum coding coding;
    z_stream zlib;
    ZSTD_DStream *zstd;
    struct buf out;
    bool ended; /* of gzip: its trailer was there, and right */
};

static void
decoder_init(struct decoder *decoder, enum coding coding)
{
    *decoder = (struct decoder){.coding = coding, .zstd = ZSTD_createDStream()};
    ck_assert_int_eq(inflateInit2(&decoder->zlib, 16 + MAX_WBITS), Z_OK);
    buf_init(&decoder->out);
}

static void
decoder_fini(struct decoder *decoder)
{
    inflateEnd(&decoder->zlib);
    ZSTD_freeDStream(decoder->zstd);
    buf_fini(&decoder->out);
}

static void
decode_gzip(struct decoder *decoder, const char *bytes, size_t len)
{
    decoder->zlib.next_in = (Bytef *)(uintptr_t)bytes;
    decoder->zlib.avail_in = (uInt)len;
    while (decoder->zlib.avail_in > 0) {
        decoder->zlib.next_out = (Bytef *)buf_reserve(&decoder->out, 65536);
        decoder->zlib.avail_out = 65536;
        int result = inflate(&decoder->zlib, Z_SYNC_FLUSH);
        decoder->out.len += 65536 - decoder->zlib.avail_out;
        ck_assert_msg(result == Z_OK || result == Z_STREAM_END, "%s", decoder->zlib.msg);
        decoder->ended = result == Z_STREAM_END;
        ck_assert(!decoder->ended || decoder->zlib.avail_in == 0);
    }
}

static void
decode_zstd(struct decoder *decoder, const char *bytes, size_t len)
{
    ZSTD_inBuffer in = {bytes, len, 0};
    while (in.pos < in.size) {
        ZSTD_outBuffer out = {buf_reserve(&decoder->out, 65536), 65536, 0};
        size_t result = ZSTD_decompressStream(decoder->zstd, &out, &in);
        ck_assert_msg(!ZSTD_isError(result), "%s", ZSTD_getErrorName(result));
        decoder->out.len += out.pos;
    }
}

static void
decode(struct decoder *decoder, const struct buf *bytes)
{
    if (decoder->coding == CODING_GZIP) {
        decode_gzip(decoder, bytes->bytes, bytes->len);
    } else {
        decode_zstd(decoder, bytes->bytes, bytes->len);
    }
}

/* ---- pieces ---- */

struct piece {
    struct buf raw, coded;
    struct coding_sum sum;
};

/* Of all sizes from one byte on; every third is noise. */
static void
make_pieces(struct piece *pieces, enum coding coding, int level)
{
    struct coder *coder = coder_at(level);
    for (unsigned i = 0; i < PIECES; i++) {
        size_t len = i % 4 == 3 ? 100000u * i : 1u + i * i * 37u;
        buf_init(&pieces[i].raw);
        buf_init(&pieces[i].coded);
        fill(&pieces[i].raw, len, i, i % 3 == 2);
        buf_add(coder_raw(coder), pieces[i].raw.bytes, len);
        bool compressed = coder_add(coder, coding, &pieces[i].coded);
        ck_assert(!compressed || (len >= LEAST && len <= CODING_MOST_BYTES));
        ck_assert_int_eq(compressed, pieces[i].coded.len < len + 6 && i % 3 != 2 && len >= LEAST &&
                                         len <= CODING_MOST_BYTES);
        /* What is stored costs five bytes a block of gzip, twelve a frame of zstd. */
        ck_assert_uint_le(pieces[i].coded.len, len + 12 * (1 + len / 65535));
        pieces[i].sum = coding_sum_of(pieces[i].raw.bytes, len);
    }
    coder_free(coder);
}

static void
free_pieces(struct piece *pieces)
{
    for (unsigned i = 0; i < PIECES; i++) {
        buf_fini(&pieces[i].raw);
        buf_fini(&pieces[i].coded);
    }
}

/* A body of some of the pieces in any order: each is shown whole when it has come. */
static void
check_body(const struct piece *pieces, enum coding coding, unsigned seed)
{
    struct decoder decoder;
    struct coding_sum sum = {.len = 0};
    struct buf part;
    buf_init(&part);
    decoder_init(&decoder, coding);
    coding_open(coding, &part);
    decode(&decoder, &part);
    for (int n = 0; n < 12; n++) {
        const struct piece *piece = &pieces[rand_r(&seed) % PIECES];
        size_t before = decoder.out.len;
        decode(&decoder, &piece->coded);
        ck_assert_uint_eq(decoder.out.len - before, piece->raw.len);
        ck_assert_mem_eq(decoder.out.bytes + before, piece->raw.bytes, piece->raw.len);
        coding_sum_append(&sum, &piece->sum);
    }
    ck_assert(!decoder.ended); /* it would be taken for whole */
    part.len = 0;
    coding_close(coding, &sum, &part);
    decode(&decoder, &part);
    ck_assert_int_eq(decoder.ended, coding == CODING_GZIP);
    buf_fini(&part);
    decoder_fini(&decoder);
}

START_TEST(any_row_of_pieces_is_a_body_and_each_is_shown_at_once)
{
    static const enum coding codings[] = {CODING_GZIP, CODING_ZSTD};
    static const int levels[] = {1, 4, 9};
    static struct piece pieces[PIECES];
    for (size_t c = 0; c < 2; c++) {
        for (size_t level = 0; level < 3; level++) {
            make_pieces(pieces, codings[c], levels[level]);
            for (unsigned seed = 0; seed < 4; seed++) {
                check_body(pieces, codings[c], seed);
            }
            free_pieces(pieces);
        }
    }
}
END_TEST

START_TEST(empty_body_is_a_whole_one)
{
    struct decoder decoder;
    struct coding_sum sum = {.len = 0};
    struct buf body;
    buf_init(&body);
    decoder_init(&decoder, CODING_GZIP);
    coding_open(CODING_GZIP, &body);
    coding_close(CODING_GZIP, &sum, &body);
    decode(&decoder, &body);
    ck_assert(decoder.ended);
    ck_assert_uint_eq(decoder.out.len, 0);
    decoder_fini(&decoder);
    buf_fini(&body);
}
END_TEST

/* ---- messages ---- */

static void
frame(struct buf *out, const struct buf *payload)
{
    unsigned char head[WS_FRAME_HEAD_MAX];
    buf_add(out, head, ws_frame_head(head, WS_OP_TEXT, payload->len));
    buf_add(out, payload->bytes, payload->len);
}

/* The payload of a frame that has rsv1, inflated by itself. */
static void
inflate_frame(const struct buf *coded, size_t head_len, struct buf *out)
{
    z_stream stream = {.zalloc = NULL};
    struct buf in;
    buf_init(&in);
    buf_add(&in, coded->bytes + head_len, coded->len - head_len);
    BUF_LITERAL(&in, "\0\0\xff\xff");
    ck_assert_int_eq(inflateInit2(&stream, -MAX_WBITS), Z_OK);
    stream.next_in = (Bytef *)in.bytes;
    stream.avail_in = (uInt)in.len;
    stream.next_out = (Bytef *)buf_reserve(out, 1 << 21);
    stream.avail_out = 1 << 21;
    ck_assert_int_eq(inflate(&stream, Z_SYNC_FLUSH), Z_OK);
    out->len += (1 << 21) - stream.avail_out;
    inflateEnd(&stream);
    buf_fini(&in);
}

static void
check_message(struct coder *coder, size_t len, bool noise)
{
    struct buf payload, coded, back;
    unsigned char head[WS_FRAME_HEAD_MAX];
    buf_init(&payload);
    buf_init(&coded);
    buf_init(&back);
    fill(&payload, len, 3, noise);
    frame(coder_raw(coder), &payload);
    bool compressed = coder_add(coder, CODING_MESSAGE, &coded);
    size_t plain = ws_frame_head(head, WS_OP_TEXT, len) + len;
    ck_assert_int_eq(compressed, !noise && plain >= LEAST && plain <= CODING_MOST_BYTES);
    if (compressed) {
        unsigned short_len = (unsigned char)coded.bytes[1];
        size_t head_len = short_len < 126 ? 2 : short_len == 126 ? 4 : 10;
        ck_assert_uint_eq((unsigned char)coded.bytes[0], 0xc1);
        ck_assert_uint_lt(coded.len, plain);
        ck_assert_uint_eq(head_len, ws_frame_head(head, WS_OP_TEXT, coded.len - head_len));
        ck_assert_mem_eq(coded.bytes + 1, head + 1, head_len - 1);
        inflate_frame(&coded, head_len, &back);
        ck_assert_uint_eq(back.len, len);
        ck_assert_mem_eq(back.bytes, payload.bytes, len);
    } else {
        ck_assert_uint_eq((unsigned char)coded.bytes[0], 0x81);
        ck_assert_uint_eq(coded.len, plain);
    }
    buf_fini(&payload);
    buf_fini(&coded);
    buf_fini(&back);
}

START_TEST(message_is_one_frame_compressed_only_where_that_is_smaller)
{
    static const size_t sizes[] = {1, 90, 125, 126, 200, 1000, 65535, 65536, 900000, 1500000};
    struct coder *coder = coder_at(4);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        check_message(coder, sizes[i], false);
        check_message(coder, sizes[i], true);
    }
    coder_free(coder);
}
END_TEST

/* ---- batches ---- */

#define RECORDS 400

static void
make_records(struct record **records, struct buf *scratch)
{
    for (unsigned i = 0; i < RECORDS; i++) {
        struct buf data;
        buf_init(&data);
        fill(&data, 1 + i % 50 * 9, i, false);
        struct record_input in = {.data = data.bytes, .data_len = data.len, .time_ms = 1};
        records[i] = i % 40 == 7 ? record_new_gap("retention", 3, "a", "b", 0, 1, 1, scratch)
                                 : record_new(&in, "id", 2, "{\"topic\":\"t\"", 1, scratch);
        records[i]->seq = i + 1;
        records[i]->ordinal = i + 1;
        buf_fini(&data);
    }
}

/* The bytes of unit i without its chunk; of a body that has none, all of them. */
static void
content_of(const struct batch *batch, size_t i, bool chunked, struct buf *out)
{
    size_t begin = batch_unit_start(batch, i) + (chunked ? 10 : 0);
    out->len = 0;
    if (batch->units[i].end > batch_unit_start(batch, i)) {
        buf_add(out, batch->bytes.bytes + begin, batch->units[i].end - begin - (chunked ? 2 : 0));
    }
}

/* A coded batch says what the plain one says, unit by unit; the sum of its units is right. */
static void
check_batch(struct record **records, struct format format, const struct batch *plain_of)
{
    struct decoder decoder;
    struct coding_sum sum = {.len = 0};
    struct buf part;
    buf_init(&part);
    decoder_init(&decoder, format.coding);
    struct batch *batch =
        batch_encode(&format, (struct stand){1, 0, 0}, "a", 1, records, RECORDS, false);
    coding_open(format.coding, &part);
    decode(&decoder, &part);
    for (size_t i = 0; i < batch->n_units; i++) {
        content_of(batch, i, format.chunked, &part);
        decode(&decoder, &part);
        coding_sum_append(&sum, &batch->units[i].sum);
    }
    ck_assert_uint_eq(decoder.out.len, plain_of->bytes.len);
    ck_assert_mem_eq(decoder.out.bytes, plain_of->bytes.bytes, decoder.out.len);
    ck_assert_uint_eq(batch->raw_bytes, plain_of->bytes.len);
    ck_assert_uint_eq(
        batch->units[batch->n_units - 1].records, plain_of->units[plain_of->n_units - 1].records);
    /* Small records share pieces, as many as make one of some 6 KiB. */
    ck_assert_uint_ge(batch->n_units, batch->raw_bytes / (CODING_PIECE_MOST + 1000) + 1);
    ck_assert_uint_le(batch->n_units, batch->raw_bytes / (2 * CODING_PIECE_BYTES) + 1);
    ck_assert_uint_eq(batch->compressed, batch->n_units);
    part.len = 0;
    coding_close(format.coding, &sum, &part);
    decode(&decoder, &part);
    ck_assert_int_eq(decoder.ended, format.coding == CODING_GZIP);
    batch_unref(batch);
    decoder_fini(&decoder);
    buf_fini(&part);
}

START_TEST(coded_batch_says_what_the_plain_one_says)
{
    static const struct framer *const framers[] = {&framer_sse, &framer_ndjson};
    struct record *records[RECORDS];
    struct coder *coder = coder_at(4);
    struct buf scratch;
    buf_init(&scratch);
    make_records(records, &scratch);
    for (unsigned i = 0; i < 16; i++) {
        struct format format = {.framer = framers[i % 2],
            .envelope = i / 2 % 2 == 0 ? ENVELOPE_RECORD : ENVELOPE_DATA,
            .coder = coder};
        struct batch *plain =
            batch_encode(&format, (struct stand){1, 0, 0}, "a", 1, records, RECORDS, false);
        format.chunked = i / 4 % 2 == 0;
        format.coding = i / 8 == 0 ? CODING_GZIP : CODING_ZSTD;
        check_batch(records, format, plain);
        batch_unref(plain);
    }
    for (unsigned i = 0; i < RECORDS; i++) {
        record_unref(records[i]);
    }
    coder_free(coder);
    buf_fini(&scratch);
}
END_TEST

START_TEST(pieces_are_as_large_as_the_last_ratio_makes_useful)
{
    struct coder *coder = coder_at(1);
    struct buf out;
    buf_init(&out);
    ck_assert_uint_eq(coder_piece_bytes(coder, CODING_GZIP), CODING_PIECE_MOST);
    for (int noise = 1; noise >= 0; noise--) {
        fill(coder_raw(coder), 20000, 1, noise == 1);
        ck_assert_int_eq(coder_add(coder, CODING_GZIP, &out), noise == 0);
        size_t bytes = coder_piece_bytes(coder, CODING_GZIP);
        ck_assert(noise == 1 ? bytes == CODING_PIECE_BYTES : bytes > 2 * CODING_PIECE_BYTES);
        ck_assert_uint_le(bytes, CODING_PIECE_MOST);
        buf_add(coder_raw(coder), "small", 5);
        coder_add(coder, CODING_GZIP, &out);
        ck_assert_uint_eq(coder_piece_bytes(coder, CODING_GZIP), bytes);
    }
    ck_assert_uint_eq(coder_piece_bytes(coder, CODING_ZSTD), CODING_PIECE_MOST);
    buf_fini(&out);
    coder_free(coder);
}
END_TEST

START_TEST(gap_that_is_not_shown_makes_no_piece)
{
    struct coder *coder = coder_at(4);
    struct buf scratch;
    buf_init(&scratch);
    struct record *gap = record_new_gap("retention", 3, "a", "b", 0, 1, 1, &scratch);
    struct format format = {.framer = &framer_ndjson,
        .envelope = ENVELOPE_DATA,
        .chunked = true,
        .coding = CODING_GZIP,
        .coder = coder};
    struct batch *batch = batch_encode(&format, (struct stand){1, 0, 0}, "a", 1, &gap, 1, false);
    ck_assert_uint_eq(batch->bytes.len, 0);
    ck_assert_uint_eq(batch->n_units, 1);
    batch_unref(batch);
    record_unref(gap);
    coder_free(coder);
    buf_fini(&scratch);
}
END_TEST

/* ---- memory ---- */

static size_t
in_use(void)
{
    struct mallinfo2 info = mallinfo2(); /* a sanitizer's allocator says 0 */
    return info.uordblks + info.hblkhd;
}

START_TEST(coder_holds_no_more_than_it_says)
{
    struct coder *coder = coder_at(9);
    struct buf out;
    size_t before = in_use();
    buf_init(&out);
    for (int coding = CODING_GZIP; coding < CODING_COUNT; coding++) {
        for (size_t len = 1000; len < CODING_MOST_BYTES; len *= 10) {
            struct buf payload;
            buf_init(&payload);
            fill(&payload, len, 1, false);
            frame(coder_raw(coder), &payload);
            ck_assert(coder_add(coder, (enum coding)coding, &out));
            buf_fini(&payload);
        }
    }
    buf_fini(&out);
    ck_assert_uint_le(in_use(), before + CODING_STATE_BYTES);
    coder_free(coder);
}
END_TEST

UNIT_MAIN("coding", any_row_of_pieces_is_a_body_and_each_is_shown_at_once,
    empty_body_is_a_whole_one, message_is_one_frame_compressed_only_where_that_is_smaller,
    coded_batch_says_what_the_plain_one_says, pieces_are_as_large_as_the_last_ratio_makes_useful,
    gap_that_is_not_shown_makes_no_piece, coder_holds_no_more_than_it_says)
