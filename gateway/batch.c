/* batch: encodes runs of records and answers where a partly sent one was cut. Shard thread. */
#include "batch.h"

#include "mem.h"
#include "track.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* Small records share a chunk up to this size: enough to make the 12 bytes around it cheap, and so
 * little that a stalled connection, which owes the rest of it, holds next to nothing. */
#define CHUNK_BYTES 4096

/* A chunk's size is written before its content is known: eight hex digits, leading zeros are valid
 * (RFC 9112 section 7.1). */
#define CHUNK_HEAD 10

/* The digits of a chunk's size, and what follows them. */
static void
write_chunk_head(char *at, size_t len)
{
    for (size_t i = 8; i-- > 0; len >>= 4) {
        at[i] = "0123456789abcdef"[len & 15];
    }
    at[8] = '\r';
    at[9] = '\n';
}

size_t
chunk_begin(struct buf *out)
{
    size_t begin = out->len;
    BUF_LITERAL(out, "00000000\r\n");
    return begin;
}

void
chunk_end(struct buf *out, size_t begin)
{
    size_t len = out->len - begin - CHUNK_HEAD;
    if (len == 0) { /* a chunk of size 0 would end the body */
        out->len = begin;
        return;
    }
    write_chunk_head(out->bytes + begin, len);
    BUF_LITERAL(out, "\r\n");
}

static bool
is_coded_body(const struct format *format)
{
    return format->coding == CODING_GZIP || format->coding == CODING_ZSTD;
}

size_t
piece_begin(const struct format *format, struct buf *out)
{
    return format->chunked ? chunk_begin(out) : out->len;
}

void
piece_end(const struct format *format, struct buf *out, size_t begin, struct coding_sum *sum)
{
    size_t content = begin + (format->chunked ? CHUNK_HEAD : 0);
    if (is_coded_body(format) && out->len > content) {
        struct coding_sum piece = coding_sum_of(out->bytes + content, out->len - content);
        coding_sum_append(sum, &piece);
        buf_add(coder_raw(format->coder), out->bytes + content, out->len - content);
        out->len = content;
        coder_add(format->coder, format->coding, out);
    }
    if (format->chunked) {
        chunk_end(out, begin);
    }
}

void
body_open(const struct format *format, struct buf *out)
{
    size_t chunk = format->chunked ? chunk_begin(out) : 0;
    coding_open(format->coding, out);
    if (format->chunked) {
        chunk_end(out, chunk);
    }
}

void
body_close(const struct format *format, struct buf *out, const struct coding_sum *sum)
{
    size_t chunk = format->chunked ? chunk_begin(out) : 0;
    coding_close(format->coding, sum, out);
    if (format->chunked) {
        chunk_end(out, chunk);
    }
}

/* The track of the unit before unit i. */
static struct track *
track_before(const struct batch *batch, size_t i)
{
    return i == 0 ? NULL : batch->units[i - 1].track;
}

static void
add_unit(struct batch *batch, const struct record *last, uint32_t records)
{
    if (batch->n_units == batch->cap_units) {
        batch->cap_units = batch->cap_units == 0 ? 16 : batch->cap_units * 2;
        batch->units = mem_realloc(batch->units, batch->cap_units * sizeof *batch->units);
    }
    struct track *track = NULL;
    if (last->id_len > 0) {
        buf_add(&batch->ids, last->text + last->id_off, last->id_len);
    } else {
        track = last->track;
        if (track_before(batch, batch->n_units) != track) {
            track_ref(track);
        }
    }
    batch->units[batch->n_units++] = (struct unit){
        .track = track,
        .step = last->step,
        .end = (uint32_t)batch->bytes.len,
        .id_end = (uint32_t)batch->ids.len,
        .records = records,
        .stand = {last->seq + 1, last->ordinal, last->bytes_before + record_charge_bytes(last)},
    };
}

/* The records of a unit, framed in coder_raw, as one piece of batch. */
static struct coding_sum
add_coded(struct batch *batch, const struct format *format, struct buf *raw)
{
    struct coding_sum sum = {.len = 0};
    size_t chunk = format->chunked ? chunk_begin(&batch->bytes) : 0;
    if (format->coding == CODING_GZIP) {
        sum = coding_sum_of(raw->bytes, raw->len);
    }
    batch->raw_bytes += raw->len;
    if (raw->len > 0) { /* NDJSON shows no gaps with envelope=data */
        batch->compressed += coder_add(format->coder, format->coding, &batch->bytes);
    }
    if (format->chunked) {
        chunk_end(&batch->bytes, chunk);
    }
    return sum;
}

/* A unit that records are framed into: those of a coded format before they are compressed. */
struct work {
    struct buf *into;
    size_t begin;
    bool open;
};

static void
begin_unit(struct work *work, struct batch *batch, const struct format *format)
{
    bool coded = format->coding != CODING_IDENTITY;
    work->into = coded ? coder_raw(format->coder) : &batch->bytes;
    work->begin = format->chunked && !coded ? chunk_begin(work->into) : work->into->len;
    work->open = true;
}

static void
end_unit(struct work *work, struct batch *batch, const struct format *format,
    const struct record *last, uint32_t records)
{
    struct coding_sum sum = {.len = 0};
    if (work->open && format->coding != CODING_IDENTITY) {
        sum = add_coded(batch, format, work->into);
    } else if (work->open && format->chunked) {
        chunk_end(&batch->bytes, work->begin);
    }
    work->open = false;
    add_unit(batch, last, records);
    batch->units[batch->n_units - 1].sum = sum;
}

static bool
shows(const struct format *format, const struct record *record)
{
    return format->filter == NULL || filter_passes(format->filter, record);
}

static bool
is_full(const struct work *work, const struct format *format)
{
    size_t len = work->into->len - work->begin;
    if (is_coded_body(format)) {
        return len >= coder_piece_bytes(format->coder, format->coding);
    }
    return !format->chunked || len >= CHUNK_BYTES;
}

/* Is it a block that is to go out as it stands? It belongs to the one subscriber of its stream. */
static bool
is_lent(const struct format *format, struct record *const *records, size_t n)
{
    return n == 1 && record_has_frame(records[0]) && format->framer == &framer_ndjson &&
           format->coding == CODING_IDENTITY;
}

/* The block's lines are the batch, in its memory. */
static void
lend(struct batch *batch, const struct format *format, struct record *record)
{
    static_assert(RECORD_FRAME_BEFORE == CHUNK_HEAD && RECORD_FRAME_AFTER == 3, "a chunk's frame");
    char *begin = record->text + record->data_off, *end = begin + record->data_len;
    *end++ = '\n';
    if (format->chunked) {
        begin -= CHUNK_HEAD;
        write_chunk_head(begin, (size_t)record->data_len + 1);
        *end++ = '\r';
        *end++ = '\n';
    }
    size_t len = (size_t)(end - begin);
    batch->lines = record_ref(record);
    batch->bytes = (struct buf){begin, len, len};
    batch->arrival_ns = record->arrival_ns;
    add_unit(batch, record, (uint32_t)record->weight);
}

struct batch *
batch_encode(const struct format *format, struct stand stand, const char *id_before, size_t id_len,
    struct record *const *records, size_t n, bool first)
{
    assert(n > 0);
    struct batch *batch = mem_calloc(1, sizeof *batch);
    batch->refs = 1;
    batch->stand = stand;
    buf_add(&batch->ids, id_before, id_len);
    batch->first_id_end = (uint32_t)id_len;
    if (is_lent(format, records, n)) {
        lend(batch, format, records[0]);
        return batch;
    }
    uint32_t count = 0;
    struct work work = {.open = false};
    for (size_t i = 0; i < n; i++) {
        if (!shows(format, records[i])) {
            continue;
        }
        if (work.open && is_full(&work, format)) {
            end_unit(&work, batch, format, records[i - 1], count);
        }
        if (!work.open) {
            begin_unit(&work, batch, format);
        }
        if (batch->arrival_ns == 0) {
            batch->arrival_ns = records[i]->arrival_ns;
        }
        format->framer->record(work.into, records[i], format->envelope, first && count == 0);
        count += records[i]->is_gap ? 0 : (uint32_t)records[i]->weight;
    }
    end_unit(&work, batch, format, records[n - 1], count);
    return batch;
}

struct batch *
batch_ref(struct batch *batch)
{
    batch->refs++;
    return batch;
}

void
batch_unref(struct batch *batch)
{
    if (batch != NULL && --batch->refs == 0) {
        if (batch->lines != NULL) {
            record_unref(batch->lines);
        } else {
            buf_fini(&batch->bytes);
        }
        buf_fini(&batch->ids);
        buf_fini(&batch->made);
        for (size_t i = 0; i < batch->n_units; i++) {
            if (batch->units[i].track != track_before(batch, i)) {
                track_unref(batch->units[i].track);
            }
        }
        free(batch->units);
        free(batch);
    }
}

size_t
batch_unit_at(const struct batch *batch, size_t at)
{
    size_t low = 0;
    size_t high = batch->n_units;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (batch->units[middle].end > at) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return low;
}

static uint64_t
seq_before(const struct batch *batch, size_t i)
{
    return i == 0 ? batch->stand.seq : batch->units[i - 1].stand.seq;
}

/* The first unit that begins at seq or beyond; n_units: none. */
static size_t
first_from(const struct batch *batch, uint64_t seq)
{
    size_t low = 0;
    size_t high = batch->n_units;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (seq_before(batch, middle) >= seq) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return low;
}

size_t
batch_unit_from(const struct batch *batch, uint64_t seq)
{
    size_t unit = first_from(batch, seq);
    return unit < batch->n_units && seq_before(batch, unit) == seq ? unit : batch->n_units;
}

uint64_t
batch_unit_beyond(const struct batch *batch, uint64_t seq)
{
    size_t unit = first_from(batch, seq + 1);
    return unit < batch->n_units ? seq_before(batch, unit) : UINT64_MAX;
}

size_t
batch_unit_start(const struct batch *batch, size_t i)
{
    return i == 0 ? 0 : batch->units[i - 1].end;
}

const char *
batch_id(struct batch *batch, size_t i, size_t *len)
{
    if (i == 0) {
        *len = batch->first_id_end;
        return batch->ids.bytes;
    }
    const struct unit *unit = &batch->units[i - 1];
    if (unit->track != NULL) {
        batch->made.len = 0;
        track_add_token(unit->track, unit->step, &batch->made);
        *len = batch->made.len;
        return batch->made.bytes;
    }
    size_t begin = i == 1 ? batch->first_id_end : batch->units[i - 2].id_end;
    *len = unit->id_end - begin;
    return batch->ids.bytes + begin;
}
