/* test_push_request: what a post says besides its body, and which names events may have. */
#include "push_request.h"
#include "unit.h"

#include "buf.h"

#include <string.h>

/* Parse a POST with this query and these header lines; the status. */
static int
parse(struct push_request *push, const char *query, const char *headers, struct err *err)
{
    struct http_request request;
    struct buf text;
    const char *reason;
    int status = 0;
    buf_init(&text);
    buf_addf(&text, "POST /streams/s%s HTTP/1.1\r\nHost: h\r\n%s\r\n", query, headers);
    ck_assert_int_eq(http_parse(&request, text.bytes, text.len, &status, &reason), HTTP_PARSE_DONE);
    status = push_request_parse(push, &request, err);
    buf_fini(&text);
    return status;
}

START_TEST(event_and_key_are_taken)
{
    struct push_request push;
    struct err err;
    ck_assert_int_eq(parse(&push, "?event=llm.token-1_a&key=a%20b+c%C3%A9", "", &err), 0);
    ck_assert_str_eq(push.type, "llm.token-1_a");
    ck_assert_uint_eq(push.key_len, 7);
    ck_assert_int_eq(memcmp(push.key, "a b c\xC3\xA9", 7), 0);
    push_request_fini(&push);
    ck_assert_int_eq(parse(&push, "?key=", "", &err), 0);
    ck_assert_ptr_nonnull(push.key);
    ck_assert_uint_eq(push.key_len, 0);
    push_request_fini(&push);
    ck_assert_int_eq(parse(&push, "", "", &err), 0);
    ck_assert_str_eq(push.type, "");
    ck_assert_ptr_null(push.key);
    push_request_fini(&push);
}
END_TEST

START_TEST(other_parameters_are_refused)
{
    static const char *const queries[] = {"?event", "?event=", "?event=a&event=b", "?key=a&key=b",
        "?colour=red", "?Event=a", "?key=%00", "?key=%g1", "?event=1a", "?event=a%0ab",
        "?event=a%20b", "?event=hello", "?event=gap", "?event=end", "?event=failed",
        "?event=snapshot_end", "?event=closing", "?event=position", "?event=pong", "?event=error",
        "?event=open"};
    for (size_t i = 0; i < sizeof queries / sizeof *queries; i++) {
        struct push_request push;
        struct err err;
        ck_assert_msg(parse(&push, queries[i], "", &err) == 400, "%s", queries[i]);
        push_request_fini(&push);
    }
}
END_TEST

START_TEST(names_are_decoded_and_what_is_unknown_is_named)
{
    struct push_request push;
    struct err err;
    ck_assert_int_eq(parse(&push, "?%65vent=a", "", &err), 0);
    ck_assert_str_eq(push.type, "a");
    push_request_fini(&push);
    ck_assert_int_eq(parse(&push, "?c%0Aolour=red", "", &err), 400);
    ck_assert_str_eq(err.text, "c?olour: unknown parameter; a post takes event and key");
    push_request_fini(&push);
    ck_assert_int_eq(parse(&push, "?%zz=red", "", &err), 400);
    push_request_fini(&push);
}
END_TEST

START_TEST(names_of_events)
{
    char name[RECORD_TYPE_MAX + 2];
    memset(name, 'a', sizeof name);
    ck_assert_ptr_null(record_type_fault(name, RECORD_TYPE_MAX));
    ck_assert_ptr_nonnull(record_type_fault(name, RECORD_TYPE_MAX + 1));
    ck_assert_ptr_null(record_type_fault("progress", 8));
    ck_assert_ptr_null(record_type_fault("Hello", 5));
    ck_assert_ptr_null(record_type_fault("hello.", 6));
    ck_assert_ptr_nonnull(record_type_fault("a\0b", 3));
    ck_assert_ptr_nonnull(record_type_fault("a\nb", 3));
}
END_TEST

START_TEST(media_types)
{
    static const struct {
        const char *type;
        int syntax; /* -1: refused */
    } rows[] = {{"application/json", PUSH_JSON}, {"Application/JSON; charset=utf-8", PUSH_JSON},
        {"application/cloudevents+json", PUSH_JSON}, {"application/x-ndjson", PUSH_NDJSON},
        {"application/ndjson ; a=b", PUSH_NDJSON}, {"application/jsonl", PUSH_NDJSON},
        {"text/plain", PUSH_BYTES}, {"application/octet-stream", PUSH_BYTES}, {"", PUSH_BYTES},
        {"application/x-www-form-urlencoded", -1}, {"multipart/form-data; boundary=x", -1},
        {"json", -1}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        enum push_syntax syntax = PUSH_BYTES;
        struct err err;
        int got =
            push_request_syntax((struct slice){rows[i].type, strlen(rows[i].type)}, &syntax, &err);
        ck_assert_int_eq(got == 0 ? (int)syntax : -1, rows[i].syntax);
    }
}
END_TEST

START_TEST(compressed_bodies_are_refused)
{
    struct push_request push;
    struct err err;
    ck_assert_int_eq(parse(&push, "", "Content-Encoding: gzip\r\n", &err), 415);
    ck_assert_int_eq(parse(&push, "", "Content-Encoding: identity\r\n", &err), 0);
    ck_assert_int_eq(parse(&push, "", "Content-Type: a/b\r\nContent-Type: c/d\r\n", &err), 400);
}
END_TEST

UNIT_MAIN("push_request", event_and_key_are_taken, other_parameters_are_refused,
    names_are_decoded_and_what_is_unknown_is_named, names_of_events, media_types,
    compressed_bodies_are_refused)
