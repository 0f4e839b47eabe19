/* record: encodes what a connector hands over into the text of every envelope. Any thread.
 *
 * The text is made in the caller's scratch buffer and copied into one exact allocation, because a
 * ring holds records for long and a buffer's slack would be charged to nobody. */
#include "record.h"

#include "buf.h"
#include "clock.h"
#include "cloudevent.h"
#include "json.h"
#include "mem.h"
#include "record_headers.h"
#include "track.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* What the payload is, and where the value in it begins and ends. */
struct payload {
    enum json_kind kind;
    size_t start, end;
};

static struct payload
look_at(const struct record_input *in)
{
    struct payload payload = {JSON_NOT, 0, 0};
    if (in->is_json_line) {
        payload = (struct payload){JSON_ONE_LINE, 0, in->data_len};
    } else if (in->data != NULL) {
        payload.kind = json_scan(in->data, in->data_len, &payload.start, &payload.end);
    }
    return payload;
}

/* Appends ,"data":D or ,"data_base64":"..." and says where D is. */
static void
add_data(struct buf *out, const struct record_input *in, const struct payload *payload,
    struct record *record)
{
    enum json_kind kind = payload->kind;
    const char *value = kind == JSON_NOT ? in->data : (const char *)in->data + payload->start;
    size_t len = payload->end - payload->start;
    record->data_is_json = kind != JSON_NOT;
    record->is_tombstone = in->data == NULL;
    bool text = in->data == NULL || kind != JSON_NOT || json_utf8_valid(in->data, in->data_len);
    buf_adds(out, text ? ",\"data\":" : ",\"data_base64\":");
    size_t off = out->len;
    if (in->data == NULL) {
        BUF_LITERAL(out, "null");
    } else if (kind == JSON_ONE_LINE) {
        buf_add(out, value, len);
    } else if (kind == JSON_MULTILINE) {
        json_compact(out, value, len);
    } else if (text) {
        json_add_string(out, in->data, in->data_len);
    } else {
        json_add_base64(out, in->data, in->data_len);
    }
    record->data_off = (uint32_t)off;
    record->data_len = (uint32_t)(out->len - off);
    if (in->data == NULL) {
        BUF_LITERAL(out, ",\"tombstone\":true");
    }
}

static void
add_head(struct buf *out, const struct record_input *in, const struct payload *payload,
    const char *id, size_t id_len, struct record *record)
{
    if (id_len == 0) {
        BUF_LITERAL(out, "{\"id\":null,\"time\":\"");
    } else {
        BUF_LITERAL(out, "{\"id\":\"");
        record->id_off = (uint16_t)out->len;
        record->id_len = (uint32_t)id_len;
        buf_add(out, id, id_len);
        BUF_LITERAL(out, "\",\"time\":\"");
    }
    clock_format_rfc3339(buf_reserve(out, CLOCK_TIME_LEN), record->time_ms);
    out->len += CLOCK_TIME_LEN;
    BUF_LITERAL(out, "\",\"key\":");
    record->key_off = (uint32_t)out->len;
    if (in->key == NULL) {
        BUF_LITERAL(out, "null");
    } else {
        json_add_bytes(out, in->key, in->key_len);
        record->key_len = (uint32_t)out->len - record->key_off;
    }
    add_data(out, in, payload, record);
    record->head_len = (uint32_t)out->len;
}

/* The wall clock's time of a moment of the monotonic clock. */
static int64_t
wall_ms_of(int64_t mono_ns)
{
    return clock_wall_ms() - (clock_mono_ns() - mono_ns) / 1000000;
}

/* One allocation: the struct, the text and behind it the type with its NUL. */
static struct record *
allocate(const struct record *fields, const struct buf *text, const char *type)
{
    assert(text->len <= UINT32_MAX);
    size_t type_size = type == NULL ? 0 : strlen(type) + 1;
    struct record *record = mem_alloc(sizeof *record + text->len + type_size);
    memcpy(record, fields, sizeof *record);
    atomic_init(&record->refs, 1);
    memcpy(record->text, text->bytes, text->len);
    record->text_len = (uint32_t)text->len;
    if (type != NULL) {
        record->type = memcpy(record->text + text->len, type, type_size);
    }
    return record;
}

/* ---- what most records are: one line of JSON, no headers, no type ----
 *
 * Their length is known before, so they are written where they stay. */

#define KEY_MARK "\",\"key\":"
#define DATA_MARK ",\"data\":"
#define SOURCE_MARK ",\"source\":"
#define NO_HEADERS ",\"headers\":{}"
#define NO_ID "{\"id\":null,\"time\":\""
#define ID_MARK "{\"id\":\""
#define TIME_MARK "\",\"time\":\""

static char *
put(char *to, const void *bytes, size_t len)
{
    memcpy(to, bytes, len);
    return to + len;
}

#define PUT(to, literal) put((to), (literal), sizeof(literal) - 1)

static struct record *
new_line(const struct record *fields, const struct record_input *in, const struct payload *payload,
    const char *id, size_t id_len, const char *source_prefix, struct buf *scratch)
{
    scratch->len = 0;
    buf_addu64(scratch, in->offset);
    size_t digits = scratch->len;
    if (in->key == NULL) {
        BUF_LITERAL(scratch, "null");
    } else {
        json_add_bytes(scratch, in->key, in->key_len);
    }
    size_t key = scratch->len - digits, prefix = strlen(source_prefix);
    size_t data = payload->end - payload->start;
    size_t fixed = sizeof KEY_MARK DATA_MARK NO_HEADERS SOURCE_MARK "}" - 1 + CLOCK_TIME_LEN;
    size_t head = id_len == 0 ? sizeof NO_ID - 1 : sizeof ID_MARK TIME_MARK - 1 + id_len;
    size_t len = head + fixed + key + data + prefix + digits;
    assert(len <= UINT32_MAX);
    struct record *record = mem_alloc(sizeof *record + len);
    *record = *fields;
    atomic_init(&record->refs, 1);
    record->text_len = (uint32_t)len;
    record->data_is_json = true;
    char *at = record->text;
    if (id_len == 0) {
        at = PUT(at, NO_ID);
    } else {
        at = put(PUT(at, ID_MARK), id, id_len);
        at = PUT(at, TIME_MARK);
        record->id_off = sizeof ID_MARK - 1;
        record->id_len = (uint32_t)id_len;
    }
    clock_format_rfc3339(at, record->time_ms);
    at = PUT(at + CLOCK_TIME_LEN, KEY_MARK);
    record->key_off = (uint32_t)(at - record->text);
    record->key_len = in->key == NULL ? 0 : (uint32_t)key;
    at = PUT(put(at, scratch->bytes + digits, key), DATA_MARK);
    record->data_off = (uint32_t)(at - record->text);
    record->data_len = (uint32_t)data;
    at = put(at, (const char *)in->data + payload->start, data);
    record->head_len = (uint32_t)(at - record->text);
    at = PUT(at, NO_HEADERS);
    record->headers_end = record->type_end = (uint32_t)(at - record->text);
    at = put(PUT(at, SOURCE_MARK), source_prefix, prefix);
    at = PUT(put(at, scratch->bytes, digits), "}");
    assert(at == record->text + len);
    return record;
}

struct record *
record_new(const struct record_input *in, const char *id, size_t id_len, const char *source_prefix,
    int64_t arrival_ns, struct buf *scratch)
{
    struct record fields = {.has_headers = in->n_headers != 0,
        .has_time = true,
        .views = (uint8_t)in->views,
        .lane = in->lane,
        .offset = in->offset,
        .first = in->offset,
        .weight = 1,
        .time_ms = in->time_ms >= 0 ? in->time_ms : wall_ms_of(arrival_ns),
        .arrival_ns = arrival_ns};
    const struct payload payload = look_at(in);
    if (payload.kind == JSON_ONE_LINE && in->n_headers == 0 && in->type == NULL) {
        return new_line(&fields, in, &payload, id, id_len, source_prefix, scratch);
    }
    scratch->len = 0;
    add_head(scratch, in, &payload, id, id_len, &fields);
    if (in->n_headers == 0) {
        BUF_LITERAL(scratch, ",\"headers\":{}");
    } else {
        record_add_headers(scratch, in->headers, in->n_headers);
    }
    fields.headers_end = (uint32_t)scratch->len;
    if (in->type != NULL) {
        BUF_LITERAL(scratch, ",\"type\":");
        json_add_string(scratch, in->type, strlen(in->type));
    }
    fields.type_end = (uint32_t)scratch->len;
    BUF_LITERAL(scratch, ",\"source\":");
    buf_adds(scratch, source_prefix);
    buf_addu64(scratch, in->offset);
    buf_addc(scratch, '}');
    return allocate(&fields, scratch, in->type);
}

/* All but refs and the lengths of text of several lines, which begin at data_off. */
static void
fill_lines(struct record *record, const struct record_lines *lines, size_t id_len, size_t data_off,
    uint64_t first, int64_t arrival_ns)
{
    uint32_t end = (uint32_t)(data_off + lines->len);
    *record = (struct record){.is_lines = true,
        .has_time = true,
        .data_is_json = true,
        .id_len = (uint32_t)id_len,
        .lane = lines->lane,
        .offset = lines->last_offset,
        .first = first,
        .weight = lines->count,
        .time_ms = wall_ms_of(arrival_ns),
        .arrival_ns = arrival_ns,
        .data_off = (uint32_t)data_off,
        .data_len = (uint32_t)lines->len,
        .head_len = end,
        .headers_end = end,
        .type_end = end};
    atomic_init(&record->refs, 1);
}

struct record *
record_new_lines(const struct record_lines *lines, const char *id, size_t id_len, uint64_t first,
    int64_t arrival_ns)
{
    size_t len = id_len + lines->len;
    assert(len <= UINT32_MAX && id_len > 0);
    struct record *record = mem_alloc(sizeof *record + len);
    fill_lines(record, lines, id_len, id_len, first, arrival_ns);
    record->text_len = (uint32_t)len;
    memcpy(record->text, id, id_len);
    memcpy(record->text + id_len, lines->bytes, lines->len);
    return record;
}

#define BLOCK_DATA (RECORD_BLOCK_ID_MAX + RECORD_FRAME_BEFORE)

struct record *
record_block_new(size_t size)
{
    size_t len = BLOCK_DATA + size + RECORD_FRAME_AFTER;
    assert(len <= UINT32_MAX);
    struct record *block = mem_alloc(sizeof *block + len);
    block->text_len = (uint32_t)len;
    return block;
}

char *
record_block_bytes(struct record *block)
{
    return block->text + BLOCK_DATA;
}

void
record_block_finish(struct record *block, const struct record_lines *lines, const char *id,
    size_t id_len, uint64_t first, int64_t arrival_ns)
{
    uint32_t len = block->text_len; /* all of it is charged */
    assert(lines->bytes == record_block_bytes(block) && id_len > 0 &&
           id_len <= RECORD_BLOCK_ID_MAX && lines->len <= len - BLOCK_DATA - RECORD_FRAME_AFTER);
    fill_lines(block, lines, id_len, BLOCK_DATA, first, arrival_ns);
    block->text_len = len;
    memcpy(block->text, id, id_len);
}

void
record_block_free(struct record *block)
{
    free(block);
}

bool
record_has_frame(const struct record *record)
{
    return record->is_lines && record->data_off >= record->id_len + RECORD_FRAME_BEFORE;
}

static struct record *
new_gap(struct record fields, const char *reason, const char *from, const char *to, const char *end,
    struct buf *scratch)
{
    scratch->len = 0;
    BUF_LITERAL(scratch, "{\"event\":\"gap\",\"reason\":");
    json_add_string(scratch, reason, strlen(reason));
    BUF_LITERAL(scratch, ",\"count\":");
    buf_addu64(scratch, fields.weight);
    BUF_LITERAL(scratch, ",\"from\":\"");
    buf_adds(scratch, from);
    BUF_LITERAL(scratch, "\",\"to\":\"");
    assert(scratch->len <= UINT16_MAX);
    fields.id_off = (uint16_t)scratch->len;
    fields.id_len = (uint32_t)strlen(to);
    buf_adds(scratch, to);
    buf_adds(scratch, end);
    fields.data_len = fields.head_len = (uint32_t)scratch->len;
    fields.headers_end = fields.type_end = fields.head_len;
    return allocate(&fields, scratch, NULL);
}

/* A gap that is wider than its lane's offsets begins at the start. */
static uint64_t
first_of_gap(uint64_t last_offset, uint64_t count)
{
    return count > last_offset ? 0 : last_offset + 1 - count;
}

struct record *
record_new_gap(const char *reason, uint64_t count, const char *from, const char *to, uint32_t lane,
    uint64_t last_offset, int64_t arrival_ns, struct buf *scratch)
{
    struct record fields = {.is_gap = true,
        .lane = lane,
        .offset = last_offset,
        .first = first_of_gap(last_offset, count),
        .weight = count,
        .arrival_ns = arrival_ns};
    return new_gap(fields, reason, from, to, "\"}", scratch);
}

struct record *
record_new_gap_filtered(const char *reason, uint64_t count, const char *from, const char *to,
    uint32_t lane, uint64_t last_offset, int64_t arrival_ns, struct buf *scratch)
{
    struct record fields = {.is_gap = true,
        .lane = lane,
        .offset = last_offset,
        .first = first_of_gap(last_offset, count),
        .weight = count,
        .arrival_ns = arrival_ns};
    return new_gap(fields, reason, from, to, "\",\"filtered\":true}", scratch);
}

struct record *
record_with_track_take(const struct record *record, struct track *track)
{
    size_t type_size = record->type == NULL ? 0 : strlen(record->type) + 1;
    size_t size = sizeof *record + record->text_len + type_size;
    struct record *copy = memcpy(mem_alloc(size), record, size);
    atomic_init(&copy->refs, 1);
    copy->type = record->type == NULL ? NULL : copy->text + copy->text_len;
    record_set_track_take(copy, track, 0);
    copy->bytes_before += record_charge_bytes(record) - record_charge_bytes(copy);
    return copy;
}

struct record *
record_with_id(const struct record *record, const char *id, size_t len)
{
    size_t type_size = record->type == NULL ? 0 : strlen(record->type) + 1;
    size_t behind = (size_t)record->id_off + record->id_len; /* where the rest begins */
    size_t rest = record->text_len - behind + type_size;
    uint32_t grown = (uint32_t)(len - record->id_len); /* modulo 2^32, as the sums below */
    struct record *copy = mem_alloc(sizeof *copy + record->id_off + len + rest);
    memcpy(copy, record, sizeof *copy + record->id_off);
    atomic_init(&copy->refs, 1);
    memcpy(copy->text + copy->id_off, id, len);
    memcpy(copy->text + copy->id_off + len, record->text + behind, rest);
    copy->id_len = (uint32_t)len;
    copy->track = NULL; /* it shows where it stands */
    copy->step = 0;
    if (record->is_gap) {
        copy->data_len += grown;
    } else {
        copy->key_off += grown;
        copy->data_off += grown;
    }
    copy->head_len += grown;
    copy->headers_end += grown;
    copy->type_end += grown;
    copy->text_len += grown;
    copy->type = record->type == NULL ? NULL : copy->text + copy->text_len;
    /* The ring counts the original: both end at the same sum. */
    copy->bytes_before += record_charge_bytes(record) - record_charge_bytes(copy);
    return copy;
}

struct record *
record_ref(struct record *record)
{
    atomic_fetch_add_explicit(&record->refs, 1, memory_order_relaxed);
    return record;
}

void
record_unref(struct record *record)
{
    if (record != NULL && atomic_fetch_sub_explicit(&record->refs, 1, memory_order_acq_rel) == 1) {
        track_unref(record->track);
        free(record);
    }
}

void
record_set_track_take(struct record *record, struct track *track, uint32_t step)
{
    record->track = track;
    record->step = step;
}

void
record_add_id(struct buf *out, const struct record *record)
{
    if (record->id_len > 0) {
        buf_add(out, record->text + record->id_off, record->id_len);
    } else {
        track_add_token(record->track, record->step, out);
    }
}

char *
record_id(const struct record *record)
{
    struct buf id;
    buf_init(&id);
    record_add_id(&id, record);
    buf_addc(&id, '\0');
    return id.bytes;
}

bool
record_has_id(const struct record *record, const char *id, size_t len)
{
    return record->id_len == len && memcmp(record->text + record->id_off, id, len) == 0;
}

uint64_t
record_charge_bytes(const struct record *record)
{
    bool marks = record->track != NULL && record->step == 0;
    return record_own_bytes(record) + (marks ? track_bytes(record->track) : 0);
}

uint64_t
record_own_bytes(const struct record *record)
{
    size_t type_size = record->type == NULL ? 0 : strlen(record->type) + 1;
    size_t size = sizeof *record + record->text_len + type_size;
    return (size + sizeof(size_t) + 15) / 16 * 16; /* glibc's header and alignment */
}

void
record_add_envelope(struct buf *out, const struct record *record, enum envelope envelope)
{
    if (record->is_gap) {
        buf_add(out, record->text, record->text_len);
        return;
    }
    assert(!record->is_lines || envelope == ENVELOPE_DATA);
    switch (envelope) {
    case ENVELOPE_DATA:
        buf_add(out, record->text + record->data_off, record->data_len);
        return;
    case ENVELOPE_FULL:
        buf_add(out, record->text, record->text_len);
        break;
    case ENVELOPE_CLOUDEVENTS:
        cloudevent_add(out, record);
        return;
    case ENVELOPE_RECORD:
        if (record->has_headers) {
            buf_add(out, record->text, record->type_end);
        } else {
            buf_add(out, record->text, record->head_len);
            buf_add(
                out, record->text + record->headers_end, record->type_end - record->headers_end);
        }
        break;
    }
    buf_addc(out, '}');
}

size_t
record_envelope_len(const struct record *record, enum envelope envelope)
{
    if (record->is_gap) {
        return record->text_len;
    }
    switch (envelope) {
    case ENVELOPE_DATA:
        return record->data_len;
    case ENVELOPE_FULL:
        return (size_t)record->text_len + 1;
    case ENVELOPE_RECORD:
    case ENVELOPE_CLOUDEVENTS:
        break;
    }
    assert(envelope == ENVELOPE_RECORD);
    size_t skipped = record->has_headers ? 0 : record->headers_end - record->head_len;
    return record->type_end - skipped + 1;
}
