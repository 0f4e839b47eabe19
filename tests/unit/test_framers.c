/* test_framers: the bytes of each transport, byte for byte. */
#include "framer.h"
#include "unit.h"
#include "ws.h"

#include <stdio.h>
#include <string.h>

static const struct framer *const framers[] = {
    &framer_ws, &framer_sse, &framer_ndjson, &framer_json};

static struct record *
make(const struct record_input *in)
{
    struct buf scratch;
    buf_init(&scratch);
    struct record *record =
        record_new(in, "AQA", 3, "{\"topic\":\"t\",\"partition\":0,\"offset\":", 1, &scratch);
    buf_fini(&scratch);
    return record;
}

static struct record *
make_data(const char *data)
{
    struct record_input in = {.data = data, .data_len = strlen(data), .time_ms = 0};
    return make(&in);
}

static struct record *
make_gap(void)
{
    struct buf scratch;
    buf_init(&scratch);
    struct record *record = record_new_gap("too_large", 2, "AQA", "AQE", 0, 1, 1, &scratch);
    buf_fini(&scratch);
    return record;
}

/* What framer writes for record, NUL-terminated, in a buffer that the next call overwrites. */
static const char *
framed(const struct framer *framer, const struct record *record, enum envelope envelope, bool first)
{
    static char text[1024];
    struct buf out;
    buf_init(&out);
    framer->record(&out, record, envelope, first);
    ck_assert_uint_lt(out.len, sizeof text);
    if (out.len > 0) {
        memcpy(text, out.bytes, out.len);
    }
    text[out.len] = '\0';
    buf_fini(&out);
    return text;
}

#define GAP                                                                                        \
    "{\"event\":\"gap\",\"reason\":\"too_large\",\"count\":2,\"from\":\"AQA\",\"to\":\"AQE\"}"
#define RECORD "{\"id\":\"AQA\",\"time\":\"1970-01-01T00:00:00.000Z\",\"key\":null,\"data\":7}"

START_TEST(ndjson_is_one_object_a_line)
{
    struct record *record = make_data("7");
    struct record *gap = make_gap();
    ck_assert_str_eq(framed(&framer_ndjson, record, ENVELOPE_RECORD, true), RECORD "\n");
    ck_assert_str_eq(framed(&framer_ndjson, record, ENVELOPE_DATA, false), "7\n");
    ck_assert_str_eq(framed(&framer_ndjson, gap, ENVELOPE_RECORD, false), GAP "\n");
    ck_assert_str_eq(framed(&framer_ndjson, gap, ENVELOPE_DATA, false), "");
    record_unref(record);
    record_unref(gap);
}
END_TEST

START_TEST(an_event_has_its_id_and_a_name_only_where_it_has_a_type)
{
    struct record *record = make_data("7");
    struct record *gap = make_gap();
    struct record_input in = {.data = "7", .data_len = 1, .time_ms = 0, .type = "order.paid"};
    struct record *typed = make(&in);
    ck_assert_str_eq(
        framed(&framer_sse, record, ENVELOPE_RECORD, true), "id: AQA\ndata: " RECORD "\n\n");
    ck_assert_str_eq(framed(&framer_sse, record, ENVELOPE_DATA, false), "id: AQA\ndata: 7\n\n");
    ck_assert_str_eq(
        framed(&framer_sse, gap, ENVELOPE_DATA, false), "event: gap\nid: AQE\ndata: " GAP "\n\n");
    ck_assert_str_eq(framed(&framer_sse, typed, ENVELOPE_DATA, false),
        "event: order.paid\nid: AQA\ndata: 7\n\n");
    record_unref(record);
    record_unref(gap);
    record_unref(typed);
}
END_TEST

START_TEST(no_byte_of_a_record_can_break_a_line)
{
    struct record_header header = {"a\nb\r", 4, "v\nid: x\n\n", 9};
    struct record_input in = {.key = "k\n\r\0\xff", .key_len = 5, .time_ms = 0};
    in.data = "x\r\n\ndata: forged\n\n";
    in.data_len = strlen(in.data);
    in.headers = &header;
    in.n_headers = 1;
    struct record *record = make(&in);
    for (int envelope = 0; envelope < ENVELOPE_COUNT; envelope++) {
        const char *text = framed(&framer_sse, record, (enum envelope)envelope, false);
        ck_assert_ptr_null(strchr(text, '\r'));
        const char *line = strchr(text, '\n'); /* behind the id */
        const char *end = strchr(line + 1, '\n');
        ck_assert_str_eq(end, "\n\n");
        text = framed(&framer_ndjson, record, (enum envelope)envelope, false);
        ck_assert_ptr_null(strchr(text, '\r'));
        ck_assert_str_eq(strchr(text, '\n'), "\n");
    }
    record_unref(record);
}
END_TEST

START_TEST(a_json_array_opens_parts_and_closes)
{
    struct record *record = make_data("7");
    struct record *gap = make_gap();
    struct buf out;
    buf_init(&out);
    framer_json.open(&out);
    framer_json.record(&out, gap, ENVELOPE_DATA, true);
    framer_json.record(&out, record, ENVELOPE_DATA, true);
    framer_json.record(&out, record, ENVELOPE_DATA, false);
    framer_json.record(&out, gap, ENVELOPE_DATA, false);
    framer_json.heartbeat(&out);
    framer_json.close(&out, 1000, "");
    buf_addc(&out, '\0');
    ck_assert_str_eq(out.bytes, "[\n7,\n7\n]\n");
    buf_fini(&out);
    record_unref(record);
    record_unref(gap);
}
END_TEST

static void
expect_frame(const struct buf *out, unsigned opcode, const char *payload, size_t len)
{
    const unsigned char *at = (const unsigned char *)out->bytes;
    ck_assert_uint_eq(at[0], 0x80u | opcode);
    size_t head = len < 126 ? 2 : len < 65536 ? 4 : 10;
    ck_assert_uint_eq(out->len, head + len);
    uint64_t told = at[1];
    for (size_t i = 2; i < head; i++) {
        told = (i == 2 ? 0 : told << 8) | at[i];
    }
    ck_assert_uint_eq(told, len);
    if (len > 0) {
        ck_assert_mem_eq(out->bytes + head, payload, len);
    }
}

START_TEST(a_frame_holds_one_text_message_of_any_length)
{
    static const size_t sizes[] = {1, 125, 126, 127, 65535, 65536, 200000};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        size_t size = sizes[i] + 2;
        char *data = malloc(size);
        memset(data, 'x', size);
        data[0] = data[size - 1] = '"';
        struct record_input in = {.data = data, .data_len = size, .time_ms = 0};
        struct record *record = make(&in);
        struct buf out;
        buf_init(&out);
        framer_ws.record(&out, record, ENVELOPE_DATA, false);
        expect_frame(&out, WS_OP_TEXT, data, size);
        buf_fini(&out);
        record_unref(record);
        free(data);
    }
}
END_TEST

START_TEST(heartbeats_are_a_ping_a_comment_and_an_empty_line)
{
    static const char *const want[] = {"\x89", ":\n\n", "\n", ""};
    for (size_t i = 0; i < 4; i++) {
        struct buf out;
        buf_init(&out);
        framers[i]->heartbeat(&out);
        if (i == 0) {
            expect_frame(&out, WS_OP_PING, "", 0);
        }
        buf_addc(&out, '\0');
        ck_assert_str_eq(out.bytes, want[i]);
        buf_fini(&out);
    }
}
END_TEST

START_TEST(a_control_message_goes_where_there_is_a_place_for_it)
{
    static const char json[] = "{\"event\":\"hello\"}";
    struct control control = {"hello", json, sizeof json - 1, "AQA", 3};
    for (size_t i = 0; i < 4; i++) {
        for (int envelope = 0; envelope < ENVELOPE_COUNT; envelope++) {
            struct buf out;
            buf_init(&out);
            framers[i]->control(&out, &control, (enum envelope)envelope);
            ck_assert_int_eq(
                out.len > 0, framer_shows_control(framers[i], (enum envelope)envelope));
            if (i == 0) {
                expect_frame(&out, WS_OP_TEXT, json, sizeof json - 1);
            }
            buf_fini(&out);
        }
    }
    struct buf out;
    buf_init(&out);
    framer_sse.control(&out, &control, ENVELOPE_RECORD);
    control.id = NULL;
    framer_sse.control(&out, &control, ENVELOPE_DATA);
    framer_ndjson.control(&out, &control, ENVELOPE_FULL);
    buf_addc(&out, '\0');
    ck_assert_str_eq(out.bytes, "event: hello\nid: AQA\ndata: {\"event\":\"hello\"}\n\n"
                                "event: hello\ndata: {\"event\":\"hello\"}\n\n"
                                "{\"event\":\"hello\"}\n");
    buf_fini(&out);
}
END_TEST

START_TEST(each_transport_opens_and_closes_in_its_way)
{
    struct buf out;
    buf_init(&out);
    framer_sse.open(&out);
    unsigned retry_ms = 0;
    int end = 0;
    buf_addc(&out, '\0');
    ck_assert_int_eq(sscanf(out.bytes, "retry: %u\n\n%n", &retry_ms, &end), 1);
    ck_assert_uint_eq((size_t)end + 1, out.len);
    ck_assert_uint_ge(retry_ms, 1000);
    ck_assert_uint_lt(retry_ms, 3000);
    out.len = 0;
    framer_ws.open(&out);
    framer_ndjson.open(&out);
    framer_ndjson.close(&out, 1001, "gone");
    framer_sse.close(&out, 1001, "gone");
    ck_assert_uint_eq(out.len, 0);
    framer_ws.close(&out, 1001, "gone");
    expect_frame(&out, WS_OP_CLOSE, "\x03\xe9gone", 6);
    buf_fini(&out);
}
END_TEST

UNIT_MAIN("framers", ndjson_is_one_object_a_line,
    an_event_has_its_id_and_a_name_only_where_it_has_a_type, no_byte_of_a_record_can_break_a_line,
    a_json_array_opens_parts_and_closes, a_frame_holds_one_text_message_of_any_length,
    heartbeats_are_a_ping_a_comment_and_an_empty_line,
    a_control_message_goes_where_there_is_a_place_for_it,
    each_transport_opens_and_closes_in_its_way)
