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
    for (size_t i = 8; i-- > 0; len >>= 4) {
        out->bytes[begin + i] = "0123456789abcdef"[len & 15];
    }
    BUF_LITERAL(out, "\r\n");
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

/* format: NULL where no unit was opened. */
static void
end_unit(struct batch *batch, const struct format *format, size_t begin, const struct record *last,
    uint32_t records)
{
    if (format != NULL && format->chunked) {
        chunk_end(&batch->bytes, begin);
    }
    add_unit(batch, last, records);
}

static bool
shows(const struct format *format, const struct record *record)
{
    return format->filter == NULL || filter_passes(format->filter, record);
}

static bool
is_full(const struct batch *batch, const struct format *format, size_t begin)
{
    return !format->chunked || batch->bytes.len - begin >= CHUNK_BYTES;
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
    uint32_t count = 0;
    size_t begin = 0;
    bool open = false;
    for (size_t i = 0; i < n; i++) {
        if (!shows(format, records[i])) {
            continue;
        }
        if (open && is_full(batch, format, begin)) {
            end_unit(batch, format, begin, records[i - 1], count);
            open = false;
        }
        if (!open) {
            begin = format->chunked ? chunk_begin(&batch->bytes) : batch->bytes.len;
            open = true;
        }
        if (batch->arrival_ns == 0) {
            batch->arrival_ns = records[i]->arrival_ns;
        }
        format->framer->record(&batch->bytes, records[i], format->envelope, first && count == 0);
        count += records[i]->is_gap ? 0 : (uint32_t)records[i]->weight;
    }
    end_unit(batch, open ? format : NULL, begin, records[n - 1], count);
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
        buf_fini(&batch->bytes);
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

size_t
batch_unit_from(const struct batch *batch, uint64_t seq)
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
    return low < batch->n_units && seq_before(batch, low) == seq ? low : batch->n_units;
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
