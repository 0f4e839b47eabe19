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
#include "track.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* Headers up to this many are put in order on the stack. */
#define FIELDS_ON_STACK 32

/* One header and its place in the object: the values of a repeated name stand in one array, where
 * the name stood first. */
struct field {
    const struct record_header *header;
    size_t next;   /* the next header of the same name; SIZE_MAX: none */
    bool repeated; /* not the first of its name */
};

/* What a name's next bytes become in the output: itself or U+FFFD. Returns what it takes of it. */
static size_t
name_step(const char *at, size_t len, const char **shown, size_t *shown_len)
{
    size_t step = json_utf8_length(at, len);
    *shown = step == 0 ? JSON_REPLACEMENT : at;
    *shown_len = step == 0 ? sizeof JSON_REPLACEMENT - 1 : step;
    return step == 0 ? 1 : step;
}

/* Orders names by what is shown of them: two that differ only in bad bytes are one member. */
static int
compare_names(const struct record_header *a, const struct record_header *b)
{
    size_t at_a = 0, at_b = 0;
    while (at_a < a->name_len && at_b < b->name_len) {
        const char *shown_a, *shown_b;
        size_t len_a, len_b;
        at_a += name_step(a->name + at_a, a->name_len - at_a, &shown_a, &len_a);
        at_b += name_step(b->name + at_b, b->name_len - at_b, &shown_b, &len_b);
        int order = memcmp(shown_a, shown_b, len_a < len_b ? len_a : len_b);
        if (order != 0) {
            return order;
        }
        if (len_a != len_b) {
            return len_a < len_b ? -1 : 1;
        }
    }
    return (at_a < a->name_len) - (at_b < b->name_len);
}

static int
compare_fields(const void *left, const void *right)
{
    const struct field *a = *(const struct field *const *)left;
    const struct field *b = *(const struct field *const *)right;
    int order = compare_names(a->header, b->header);
    return order != 0 ? order : (a->header > b->header) - (a->header < b->header);
}

/* Links the headers of the same name. Sorted, not compared pair by pair: a producer may send as
 * many headers as fit into a message. order is room for n pointers. */
static void
link_fields(
    struct field *fields, struct field **order, const struct record_header *headers, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        fields[i] = (struct field){&headers[i], SIZE_MAX, false};
        order[i] = &fields[i];
    }
    qsort(order, n, sizeof *order, compare_fields);
    for (size_t i = 1; i < n; i++) {
        if (compare_names(order[i - 1]->header, order[i]->header) == 0) {
            order[i - 1]->next = (size_t)(order[i] - fields);
            order[i]->repeated = true;
        }
    }
}

static void
add_header_value(struct buf *out, const struct record_header *header)
{
    if (header->value == NULL) {
        BUF_LITERAL(out, "null");
    } else {
        json_add_bytes(out, header->value, header->value_len);
    }
}

/* "name":value or "name":[value,...], with a comma before it when it is not the first. */
static void
add_field(struct buf *out, const struct field *fields, const struct field *field, bool first)
{
    if (!first) {
        buf_addc(out, ',');
    }
    json_add_lossy(out, field->header->name, field->header->name_len);
    buf_addc(out, ':');
    if (field->next == SIZE_MAX) {
        add_header_value(out, field->header);
        return;
    }
    buf_addc(out, '[');
    for (;;) {
        add_header_value(out, field->header);
        if (field->next == SIZE_MAX) {
            break;
        }
        buf_addc(out, ',');
        field = &fields[field->next];
    }
    buf_addc(out, ']');
}

static void
add_headers(struct buf *out, const struct record_header *headers, size_t n)
{
    struct field fields_on_stack[FIELDS_ON_STACK];
    struct field *order_on_stack[FIELDS_ON_STACK];
    bool many = n > FIELDS_ON_STACK;
    struct field *fields = many ? mem_calloc(n, sizeof *fields) : fields_on_stack;
    struct field **order = many ? mem_calloc(n, sizeof *order) : order_on_stack;
    BUF_LITERAL(out, ",\"headers\":{");
    link_fields(fields, order, headers, n);
    for (size_t i = 0; i < n; i++) {
        if (!fields[i].repeated) {
            add_field(out, fields, &fields[i], i == 0);
        }
    }
    buf_addc(out, '}');
    if (many) {
        free(order);
        free(fields);
    }
}

/* Appends ,"data":D or ,"data_base64":"..." and says where D is. */
static void
add_data(struct buf *out, const struct record_input *in, struct record *record)
{
    size_t start = 0, end = 0;
    enum json_kind kind = JSON_NOT;
    if (in->data != NULL) {
        kind = json_scan(in->data, in->data_len, &start, &end);
    }
    record->data_is_json = kind != JSON_NOT;
    record->is_tombstone = in->data == NULL;
    bool text = in->data == NULL || kind != JSON_NOT || json_utf8_valid(in->data, in->data_len);
    buf_adds(out, text ? ",\"data\":" : ",\"data_base64\":");
    size_t off = out->len;
    if (in->data == NULL) {
        BUF_LITERAL(out, "null");
    } else if (kind == JSON_ONE_LINE) {
        buf_add(out, (const char *)in->data + start, end - start);
    } else if (kind == JSON_MULTILINE) {
        json_compact(out, (const char *)in->data + start, end - start);
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
add_head(struct buf *out, const struct record_input *in, const char *id, size_t id_len,
    struct record *record)
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
    add_data(out, in, record);
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

struct record *
record_new(const struct record_input *in, const char *id, size_t id_len, const char *source_prefix,
    int64_t arrival_ns, struct buf *scratch)
{
    struct record fields = {.has_headers = in->n_headers != 0,
        .has_time = true,
        .lane = in->lane,
        .offset = in->offset,
        .first = in->offset,
        .weight = 1,
        .time_ms = in->time_ms >= 0 ? in->time_ms : wall_ms_of(arrival_ns),
        .arrival_ns = arrival_ns};
    scratch->len = 0;
    add_head(scratch, in, id, id_len, &fields);
    if (in->n_headers == 0) {
        BUF_LITERAL(scratch, ",\"headers\":{}");
    } else {
        add_headers(scratch, in->headers, in->n_headers);
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
