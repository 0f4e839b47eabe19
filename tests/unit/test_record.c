/* test_record: every envelope is one line of JSON that holds what the connector handed over. */
#include "clock.h"
#include "json.h"
#include "record.h"
#include "unit.h"

#include "buf.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#define ID "AQEBAgMEAysArQI"
#define SOURCE "{\"topic\":\"orders\",\"partition\":0,\"offset\":"

static struct record *
make(const struct record_input *in)
{
    struct buf scratch;
    buf_init(&scratch);
    struct record *record = record_new(in, ID, strlen(ID), SOURCE, 5, &scratch);
    buf_fini(&scratch);
    return record;
}

/* The envelope's text, NUL-terminated, for free(); its announced length is checked. */
static char *
text_of(const struct record *record, enum envelope envelope)
{
    struct buf out;
    buf_init(&out);
    record_add_envelope(&out, record, envelope);
    ck_assert_uint_eq(out.len, record_envelope_len(record, envelope));
    buf_addc(&out, '\0');
    return out.bytes;
}

static void
expect_text(const struct record *record, enum envelope envelope, const char *want)
{
    char *text = text_of(record, envelope);
    ck_assert_str_eq(text, want);
    free(text);
}

static struct record_input
input(const char *data)
{
    return (struct record_input){.time_ms = 1769860800123,
        .offset = 42,
        .key = "k",
        .key_len = 1,
        .data = data,
        .data_len = data == NULL ? 0 : strlen(data)};
}

#define HEAD "{\"id\":\"" ID "\",\"time\":\"2026-01-31T12:00:00.123Z\",\"key\":\"k\""
#define TAIL ",\"source\":" SOURCE "42}}"

/* One record in its three envelopes, without headers and type. */
static void
expect_data(const struct record_input *in, const char *members, const char *data)
{
    char want[1024];
    struct record *record = make(in);
    snprintf(want, sizeof want, HEAD "%s}", members);
    expect_text(record, ENVELOPE_RECORD, want);
    snprintf(want, sizeof want, HEAD "%s,\"headers\":{}" TAIL, members);
    expect_text(record, ENVELOPE_FULL, want);
    expect_text(record, ENVELOPE_DATA, data);
    record_unref(record);
}

START_TEST(json_passes_as_it_is)
{
    struct record_input in = input(" {\"b\":1e400,\"a\":12345678901234567890, \"b\":1.0}\t");
    const char *data = "{\"b\":1e400,\"a\":12345678901234567890, \"b\":1.0}";
    expect_data(&in, ",\"data\":{\"b\":1e400,\"a\":12345678901234567890, \"b\":1.0}", data);
}
END_TEST

START_TEST(json_of_several_lines_becomes_one)
{
    struct record_input in = input("{\n  \"a\": [1,\r\n 2]\n}\n");
    expect_data(&in, ",\"data\":{\"a\":[1,2]}", "{\"a\":[1,2]}");
}
END_TEST

START_TEST(text_becomes_a_string)
{
    struct record_input in = input("hello\nworld \xC3\xA9");
    expect_data(&in, ",\"data\":\"hello\\nworld \xC3\xA9\"", "\"hello\\nworld \xC3\xA9\"");
}
END_TEST

START_TEST(json_too_deep_becomes_a_string)
{
    char data[JSON_DEPTH_MAX * 2 + 3];
    memset(data, '[', JSON_DEPTH_MAX + 1);
    memset(data + JSON_DEPTH_MAX + 1, ']', JSON_DEPTH_MAX + 1);
    data[sizeof data - 1] = '\0';
    struct record_input in = input(data);
    struct record *record = make(&in);
    ck_assert_uint_eq(record->data_len, strlen(data) + 2);
    ck_assert_int_eq(record->text[record->data_off], '"');
    record_unref(record);
}
END_TEST

START_TEST(an_empty_payload_is_an_empty_string)
{
    struct record_input in = input("");
    expect_data(&in, ",\"data\":\"\"", "\"\"");
}
END_TEST

START_TEST(a_tombstone_is_marked)
{
    struct record_input in = input(NULL);
    expect_data(&in, ",\"data\":null,\"tombstone\":true", "null");
}
END_TEST

START_TEST(a_null_payload_is_no_tombstone)
{
    struct record_input in = input("null");
    expect_data(&in, ",\"data\":null", "null");
}
END_TEST

START_TEST(other_bytes_are_base64)
{
    struct record_input in = input("\xFF\n{");
    expect_data(&in, ",\"data_base64\":\"/wp7\"", "\"/wp7\"");
}
END_TEST

START_TEST(a_key_is_null_text_or_marked_bytes)
{
    struct {
        const char *key, *want;
    } cases[] = {
        {NULL, "null"}, {"", "\"\""}, {"a\r\n", "\"a\\r\\n\""}, {"\xFE", "{\"base64\":\"/g==\"}"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct record_input in = input("1");
        char want[256];
        in.key = cases[i].key;
        in.key_len = in.key == NULL ? 0 : strlen(cases[i].key);
        struct record *record = make(&in);
        snprintf(want, sizeof want,
            "{\"id\":\"" ID "\",\"time\":\"2026-01-31T12:00:00.123Z\",\"key\":%s,\"data\":1}",
            cases[i].want);
        expect_text(record, ENVELOPE_RECORD, want);
        record_unref(record);
    }
}
END_TEST

START_TEST(headers_and_type_follow_the_data)
{
    const struct record_header headers[] = {{"b", 1, "x", 1}, {"a", 1, NULL, 0},
        {"b", 1, "\xFF", 1}, {"c\n", 2, "\"", 1}, {"b", 1, NULL, 0}};
    struct record_input in = input("1");
    in.headers = headers;
    in.n_headers = sizeof headers / sizeof *headers;
    in.type = "order.made";
    struct record *record = make(&in);
#define EXTRA                                                                                      \
    ",\"headers\":{\"b\":[\"x\",{\"base64\":\"/"                                                   \
    "w==\"},null],\"a\":null,\"c\\n\":\"\\\"\"},\"type\":"                                         \
    "\"order.made\""
    expect_text(record, ENVELOPE_RECORD, HEAD ",\"data\":1" EXTRA "}");
    expect_text(record, ENVELOPE_FULL, HEAD ",\"data\":1" EXTRA TAIL);
    expect_text(record, ENVELOPE_DATA, "1");
    ck_assert_str_eq(record->type, "order.made");
    ck_assert(record->has_headers);
    record_unref(record);
}
END_TEST

START_TEST(a_type_stands_without_headers)
{
    struct record_input in = input("1");
    in.type = "t";
    struct record *record = make(&in);
    expect_text(record, ENVELOPE_RECORD, HEAD ",\"data\":1,\"type\":\"t\"}");
    expect_text(record, ENVELOPE_FULL, HEAD ",\"data\":1,\"headers\":{},\"type\":\"t\"" TAIL);
    record_unref(record);
}
END_TEST

START_TEST(names_that_differ_in_bad_bytes_are_one_member)
{
    const struct record_header headers[] = {
        {"n\xFF", 2, "1", 1}, {"n\xFE", 2, "2", 1}, {"n\xEF\xBF\xBD", 4, "3", 1}, {"n", 1, "4", 1}};
    struct record_input in = input("1");
    in.headers = headers;
    in.n_headers = 4;
    struct record *record = make(&in);
    expect_text(record, ENVELOPE_RECORD,
        HEAD ",\"data\":1,\"headers\":{\"n\xEF\xBF\xBD\":[\"1\",\"2\",\"3\"],\"n\":\"4\"}}");
    record_unref(record);
}
END_TEST

START_TEST(very_many_headers_keep_their_order)
{
    enum { N = 20000, NAMES = 100 };
    static char names[NAMES][4];
    static struct record_header headers[N];
    for (int i = 0; i < N; i++) {
        snprintf(names[i % NAMES], sizeof names[0], "%d", i % NAMES);
        headers[i] = (struct record_header){names[i % NAMES], strlen(names[i % NAMES]), "v", 1};
    }
    struct record_input in = input("1");
    in.headers = headers;
    in.n_headers = N;
    struct record *record = make(&in);
    char *text = text_of(record, ENVELOPE_RECORD);
    json_t *tree = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    json_t *object = json_object_get(tree, "headers");
    ck_assert_uint_eq(json_object_size(object), NAMES);
    ck_assert_uint_eq(json_array_size(json_object_get(object, "99")), N / NAMES);
    ck_assert_ptr_nonnull(strstr(text, "\"headers\":{\"0\":[\"v\","));
    json_decref(tree);
    free(text);
    record_unref(record);
}
END_TEST

START_TEST(without_a_time_the_arrival_counts)
{
    struct record_input in = input("1");
    struct buf scratch;
    buf_init(&scratch);
    in.time_ms = -1;
    int64_t before_ms = clock_wall_ms();
    struct record *record =
        record_new(&in, ID, strlen(ID), SOURCE, clock_mono_ns() - INT64_C(3600000000000), &scratch);
    ck_assert_int_ge(record->time_ms, before_ms - 3600000 - 1000);
    ck_assert_int_lt(record->time_ms, before_ms - 3500000);
    ck_assert(record->has_time);
    record_unref(record);
    buf_fini(&scratch);
}
END_TEST

START_TEST(the_id_slice_is_the_token)
{
    struct record_input in = input("1");
    struct record *record = make(&in);
    ck_assert_uint_eq(record->id_len, strlen(ID));
    ck_assert_mem_eq(record->text + record->id_off, ID, strlen(ID));
    ck_assert_uint_eq(record->weight, 1);
    ck_assert_uint_eq(record->offset, 42);
    ck_assert_int_eq(record->arrival_ns, 5);
    record_unref(record);
}
END_TEST

START_TEST(a_gap_shows_its_message_in_every_envelope)
{
    struct buf scratch;
    buf_init(&scratch);
    struct record *record = record_new_gap("too_large", 17, "FROM", "TO", 3, 99, 7, &scratch);
    const char *want =
        "{\"event\":\"gap\",\"reason\":\"too_large\",\"count\":17,\"from\":\"FROM\",\"to\":\"TO\"}";
    expect_text(record, ENVELOPE_RECORD, want);
    expect_text(record, ENVELOPE_DATA, want);
    expect_text(record, ENVELOPE_FULL, want);
    ck_assert(record->is_gap);
    ck_assert(!record->has_time);
    ck_assert_uint_eq(record->weight, 17);
    ck_assert_uint_eq(record->offset, 99);
    ck_assert_uint_eq(record->lane, 3);
    ck_assert_uint_eq(record->id_len, 2);
    ck_assert_mem_eq(record->text + record->id_off, "TO", 2);
    record_unref(record);
    buf_fini(&scratch);
}
END_TEST

/* Every part of copy is that of record, but for the id. */
static void
expect_copy(const struct record *record, const char *id)
{
    struct record *copy = record_with_id(record, id, strlen(id));
    char want[512], got[512];
    for (int envelope = ENVELOPE_RECORD; envelope <= ENVELOPE_FULL; envelope++) {
        struct buf a, b;
        buf_init(&a);
        buf_init(&b);
        record_add_envelope(&a, record, (enum envelope)envelope);
        record_add_envelope(&b, copy, (enum envelope)envelope);
        ck_assert_uint_eq(record_envelope_len(copy, (enum envelope)envelope), b.len);
        snprintf(want, sizeof want, "%.*s", (int)a.len, a.bytes);
        const char *old = record->is_gap ? "TO" : "ID";
        char *at = strstr(want, old);
        if (at == NULL) {
            snprintf(got, sizeof got, "%s", want);
        } else {
            snprintf(got, sizeof got, "%.*s%s%s", (int)(at - want), want, id, at + 2);
        }
        ck_assert_uint_eq(b.len, strlen(got));
        ck_assert_mem_eq(b.bytes, got, b.len);
        buf_fini(&a);
        buf_fini(&b);
    }
    ck_assert_uint_eq(copy->id_len, strlen(id));
    ck_assert_mem_eq(copy->text + copy->id_off, id, copy->id_len);
    ck_assert_uint_eq(copy->key_len, record->key_len);
    ck_assert_mem_eq(copy->text + copy->key_off, record->text + record->key_off, copy->key_len);
    ck_assert_uint_eq(copy->bytes_before + record_charge_bytes(copy),
        record->bytes_before + record_charge_bytes(record));
    if (record->type != NULL) {
        ck_assert_str_eq(copy->type, record->type);
        ck_assert_ptr_ne(copy->type, record->type);
    }
    record_unref(copy);
}

START_TEST(a_copy_with_another_id_is_the_same_else)
{
    struct buf scratch;
    buf_init(&scratch);
    struct record_header header = {.name = "h", .name_len = 1, .value = "v", .value_len = 1};
    for (int with = 0; with < 4; with++) {
        struct record_input in = input("{\"a\":[1,2]}");
        in.key = with & 1 ? "key" : NULL;
        in.key_len = with & 1 ? 3 : 0;
        in.type = with & 2 ? "kind" : NULL;
        in.headers = with & 2 ? &header : NULL;
        in.n_headers = with & 2 ? 1 : 0;
        struct record *record =
            record_new(&in, "ID", 2, "{\"topic\":\"t\",\"offset\":", 5, &scratch);
        record->bytes_before = 100000;
        expect_copy(record, "");
        expect_copy(record, "X");
        expect_copy(record, "a-much-longer-id-than-it-was");
        record_unref(record);
    }
    struct record *gap = record_new_gap("slow", 17, "FROM", "TO", 3, 99, 7, &scratch);
    gap->bytes_before = 100000;
    expect_copy(gap, "X");
    expect_copy(gap, "a-much-longer-id-than-it-was");
    record_unref(gap);
    buf_fini(&scratch);
}
END_TEST

START_TEST(references_are_counted)
{
    struct record_input in = input("1");
    struct record *record = make(&in);
    ck_assert_ptr_eq(record_ref(record), record);
    record_unref(record);
    ck_assert_uint_eq(atomic_load(&record->refs), 1);
    ck_assert_uint_ge(record_charge_bytes(record), sizeof *record + record->text_len);
    record_unref(record);
    record_unref(NULL);
}
END_TEST

static int
sextet(char c)
{
    static const char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    return (int)(strchr(alphabet, c) - alphabet);
}

/* True when the padded base64 text stands for the bytes. */
static bool
base64_is(const char *text, const void *bytes, size_t len)
{
    char out[256];
    size_t n = 0;
    for (; *text != '\0'; text += 4) {
        int pad = (text[2] == '=') + (text[3] == '=');
        int group = sextet(text[0]) << 18 | sextet(text[1]) << 12 |
                    (pad > 1 ? 0 : sextet(text[2]) << 6) | (pad > 0 ? 0 : sextet(text[3]));
        for (int i = 0; i < 3 - pad; i++) {
            out[n++] = (char)(group >> (16 - 8 * i));
        }
    }
    return n == len && memcmp(out, bytes, len) == 0;
}

/* value is a string of the bytes, or {"base64":...} of them where they are no UTF-8. */
static bool
value_is(const json_t *value, const void *bytes, size_t len)
{
    if (json_is_string(value)) {
        return json_string_length(value) == len &&
               memcmp(json_string_value(value), bytes, len) == 0;
    }
    const json_t *marked = json_object_get(value, "base64");
    return !json_utf8_valid(bytes, len) && json_object_size(value) == 1 &&
           base64_is(json_string_value(marked), bytes, len);
}

static bool
data_is(const json_t *tree, const char *bytes, size_t len)
{
    const json_t *data = json_object_get(tree, "data");
    if (data == NULL) {
        const char *text = json_string_value(json_object_get(tree, "data_base64"));
        return !json_utf8_valid(bytes, len) && base64_is(text, bytes, len);
    }
    /* jansson takes a NUL for the end of the text. */
    json_t *whole =
        memchr(bytes, '\0', len) != NULL ? NULL : json_loadb(bytes, len, JSON_DECODE_ANY, NULL);
    bool same = whole != NULL ? json_equal(whole, data) : value_is(data, bytes, len);
    json_decref(whole);
    return same;
}

/* Half of the texts are of bytes that matter to frames and to JSON. */
static size_t
random_text(unsigned *seed, char *bytes, size_t room)
{
    static const char alphabet[] = "[]{}\",:10 \n\r\t\\\x7F\xC3\xA9\xE2\x80\xA8\0x";
    size_t len = (size_t)rand_r(seed) % room;
    bool any = rand_r(seed) % 2 == 0;
    for (size_t i = 0; i < len; i++) {
        bytes[i] =
            any ? (char)rand_r(seed) : alphabet[(size_t)rand_r(seed) % (sizeof alphabet - 1)];
    }
    return len;
}

static void
expect_line(const struct record *record, enum envelope envelope)
{
    char *text = text_of(record, envelope);
    size_t len = record_envelope_len(record, envelope);
    for (size_t i = 0; i < len; i++) {
        if ((unsigned char)text[i] < 0x20 && text[i] != '\t') {
            ck_abort_msg("byte %02x in %s", text[i], text);
        }
    }
    json_t *tree =
        json_loadb(text, len, JSON_DECODE_ANY | JSON_ALLOW_NUL | JSON_REJECT_DUPLICATES, NULL);
    ck_assert_msg(tree != NULL, "%s", text);
    json_decref(tree);
    free(text);
}

/* jansson refuses NUL in a member's name, which Kafka's C strings cannot hold either. */
static size_t
random_name(unsigned *seed, char *bytes, size_t room)
{
    size_t len = random_text(seed, bytes, room);
    for (size_t i = 0; i < len; i++) {
        bytes[i] = bytes[i] == '\0' ? '\n' : bytes[i];
    }
    return len;
}

START_TEST(any_bytes_make_one_line_and_come_back)
{
    unsigned seed = 99;
    for (int i = 0; i < 20000; i++) {
        char key[8], data[24], name[2][4], value[2][8];
        struct record_header headers[2];
        struct record_input in = {.headers = headers, .n_headers = 2, .offset = 1, .key = key};
        in.data = data;
        in.key_len = random_text(&seed, key, sizeof key);
        in.data_len = random_text(&seed, data, sizeof data);
        for (size_t k = 0; k < 2; k++) {
            headers[k] = (struct record_header){name[k], random_name(&seed, name[k], 4), value[k],
                random_text(&seed, value[k], sizeof value[k])};
        }
        struct record *record = make(&in);
        expect_line(record, ENVELOPE_RECORD);
        expect_line(record, ENVELOPE_DATA);
        expect_line(record, ENVELOPE_FULL);
        char *text = text_of(record, ENVELOPE_FULL);
        json_t *tree = json_loads(text, JSON_ALLOW_NUL, NULL);
        ck_assert(value_is(json_object_get(tree, "key"), key, in.key_len));
        ck_assert_msg(data_is(tree, data, in.data_len), "%s", text);
        json_t *shown = json_object_get(tree, "headers");
        const json_t *first = json_object_iter_value(json_object_iter(shown));
        first = json_is_array(first) ? json_array_get(first, 0) : first;
        ck_assert(value_is(first, headers[0].value, headers[0].value_len));
        json_decref(tree);
        free(text);
        record_unref(record);
    }
}
END_TEST

/* What a connector has checked makes the record that an unchecked payload makes, and the one
 * without headers what the one with headers is made of. */
START_TEST(a_checked_line_is_encoded_like_any_other)
{
    static const char *const texts[] = {"{}", "[1, 2]", "\"a\\u0000\"", "-0.5e7", "null",
        "{\"a\":{\"b\":\"0123456789012345678901234567890123456789012345678901234567890123\"}}"};
    static const char *const keys[] = {NULL, "", "k", "a\"\n", "\xFF"};
    const struct record_header header = {"h", 1, "v", 1};
    for (size_t i = 0; i < sizeof texts / sizeof *texts * 5; i++) {
        struct record_input in = input(texts[i / 5]);
        in.key = keys[i % 5];
        in.key_len = in.key == NULL ? 0 : strlen(keys[i % 5]);
        in.offset = i * 12345678901;
        struct record *plain = make(&in);
        in.is_json_line = true;
        struct record *line = make(&in);
        in.headers = &header;
        in.n_headers = 1;
        struct record *headed = make(&in);
        ck_assert_uint_eq(plain->text_len, line->text_len);
        ck_assert_mem_eq(plain->text, line->text, line->text_len);
        ck_assert_uint_eq(headed->head_len, line->head_len);
        ck_assert_mem_eq(headed->text, line->text, line->head_len);
        ck_assert(headed->key_off == line->key_off && headed->key_len == line->key_len);
        ck_assert(headed->data_off == line->data_off && headed->data_len == line->data_len);
        size_t rest = line->text_len - line->type_end;
        ck_assert_uint_eq(headed->text_len - headed->type_end, rest);
        ck_assert_mem_eq(headed->text + headed->type_end, line->text + line->type_end, rest);
        record_unref(plain);
        record_unref(line);
        record_unref(headed);
    }
}
END_TEST

UNIT_MAIN("record", a_checked_line_is_encoded_like_any_other, json_passes_as_it_is,
    json_of_several_lines_becomes_one, text_becomes_a_string, json_too_deep_becomes_a_string,
    an_empty_payload_is_an_empty_string, a_tombstone_is_marked, a_null_payload_is_no_tombstone,
    other_bytes_are_base64, a_key_is_null_text_or_marked_bytes, headers_and_type_follow_the_data,
    a_type_stands_without_headers, names_that_differ_in_bad_bytes_are_one_member,
    very_many_headers_keep_their_order, without_a_time_the_arrival_counts,
    the_id_slice_is_the_token, a_gap_shows_its_message_in_every_envelope,
    a_copy_with_another_id_is_the_same_else, references_are_counted,
    any_bytes_make_one_line_and_come_back)
