/* test_tail_message: what a line is, its token, its payload, and control messages as prose. */
#include "tail_message.h"
#include "unit.h"

#include <stdio.h>
#include <string.h>

START_TEST(line_is_told_by_its_start)
{
    static const struct {
        const char *line;
        enum tail_kind kind;
    } cases[] = {
        {"{\"id\":\"AQ\",\"time\":\"t\",\"key\":null,\"data\":1}\n", TAIL_RECORD},
        {"{\"event\":\"end\"}\n", TAIL_CONTROL},
        {"\n", TAIL_HEARTBEAT},
        {"\r\n", TAIL_HEARTBEAT},
        {"{\"specversion\":\"1.0\"}\n", TAIL_OTHER},
        {"12\n", TAIL_OTHER},
        {"{\"id\":7}\n", TAIL_OTHER},
        {"{\"id\":null,\"time\":\"t\"}\n", TAIL_RECORD},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ck_assert_int_eq(tail_message_kind(cases[i].line, strlen(cases[i].line)), cases[i].kind);
    }
}
END_TEST

START_TEST(token_is_taken_from_the_start)
{
    static const char line[] = "{\"id\":\"AQ-_9\",\"time\":\"t\"}\n";
    const char *id;
    size_t len;
    ck_assert(tail_message_id(line, sizeof line - 1, &id, &len));
    ck_assert_uint_eq(len, 5);
    ck_assert_int_eq(memcmp(id, "AQ-_9", 5), 0);
    static const char none[] = "{\"id\":null,\"time\":\"t\"}\n";
    ck_assert(!tail_message_id(none, sizeof none - 1, &id, &len));
    ck_assert(!tail_message_id("{\"id\":\"", 7, &id, &len));
    ck_assert(!tail_message_id("{\"id\":\"\"}", 9, &id, &len));
    ck_assert(!tail_message_id("{\"id\":\"cut", 10, &id, &len));
}
END_TEST

START_TEST(payload_is_the_value_of_data)
{
    static const struct {
        const char *key_and_rest, *payload;
    } cases[] = {
        {"null,\"data\":{\"a\":[1,\"}\"]}}", "{\"a\":[1,\"}\"]}"},
        {"\"k\\\"},{\",\"data\":\"x\\\\\",\"headers\":{\"a\":\"b\"}}", "\"x\\\\\""},
        {"{\"base64\":\"AA==\"},\"data\":12,\"headers\":{}}", "12"},
        {"\"k\",\"data\":null,\"tombstone\":true}", "null"},
        {"\"k\",\"data_base64\":\"AAH/\",\"headers\":{}}", "\"AAH/\""},
        {"\"\",\"data\":[]}", "[]"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char line[256];
        const char *data;
        size_t len;
        snprintf(
            line, sizeof line, "{\"id\":\"T\",\"time\":\"t\",\"key\":%s\n", cases[i].key_and_rest);
        ck_assert_msg(tail_message_payload(line, strlen(line), &data, &len), "%s", line);
        ck_assert_uint_eq(len, strlen(cases[i].payload));
        ck_assert_int_eq(memcmp(data, cases[i].payload, len), 0);
    }
}
END_TEST

START_TEST(line_without_a_payload_has_none)
{
    static const char *const lines[] = {"12\n", "{}\n", "{\"id\":\"T\"}\n", "\n", "{\"id", "{\"a\\",
        "{\"id\":\"T\",\"a\":1,\"b\":2,\"c\":3,\"data\":4}\n"};
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        /* an exact copy, so that the sanitizer sees a read past the end */
        size_t len = strlen(lines[i]);
        char *copy = malloc(len);
        memcpy(copy, lines[i], len);
        const char *data;
        size_t data_len;
        ck_assert_msg(!tail_message_payload(copy, len, &data, &data_len), "%s", lines[i]);
        free(copy);
    }
}
END_TEST

static void
check_control(const char *line, enum tail_event event, const char *token, const char *text)
{
    struct tail_control control;
    struct err err = {.code = ERR_NONE};
    ck_assert_int_eq(tail_message_control(&control, line, strlen(line), &err), 0);
    ck_assert_int_eq(control.event, event);
    ck_assert_str_eq(control.text, text);
    if (token == NULL) {
        ck_assert_ptr_null(control.token);
    } else {
        ck_assert_str_eq(control.token, token);
    }
    tail_control_fini(&control);
}

START_TEST(control_messages_read_as_prose)
{
    check_control("{\"event\":\"hello\",\"stream\":\"s\",\"from\":\"F\",\"resumed\":false,"
                  "\"reason\":\"gone\"}",
        TAIL_EVENT_HELLO, "F", "connected to s, not resumed: gone");
    check_control("{\"event\":\"hello\",\"stream\":\"orders\",\"from\":\"F\",\"resumed\":true}",
        TAIL_EVENT_HELLO, "F", "connected to orders, resumed");
    check_control(
        "{\"event\":\"gap\",\"reason\":\"slow\",\"count\":17,\"from\":\"A\",\"to\":\"B\"}",
        TAIL_EVENT_GAP, "B", "gap: 17 records were skipped (slow)");
    check_control(
        "{\"event\":\"failed\",\"code\":\"source_failed\",\"message\":\"no\\u001b[2Jbroker\"}",
        TAIL_EVENT_FAILED, NULL, "failed: no [2Jbroker");
    check_control("{\"event\":\"cancelled\",\"code\":\"cancelled\",\"message\":\"by someone\"}",
        TAIL_EVENT_CANCELLED, NULL, "cancelled: by someone");
    check_control("{\"event\":\"end\"}", TAIL_EVENT_END, NULL, "end of the stream");
    check_control("{\"event\":\"novel\"}", TAIL_EVENT_OTHER, NULL, "novel");
}
END_TEST

START_TEST(broken_control_message_is_an_error)
{
    struct tail_control control;
    struct err err = {.code = ERR_NONE};
    ck_assert_int_eq(tail_message_control(&control, "{\"event\":", 9, &err), -1);
    ck_assert_int_eq(err.code, ERR_INVALID);
}
END_TEST

static void
check_problem(long status, const char *body, const char *expected)
{
    struct buf out;
    buf_init(&out);
    tail_message_problem(&out, status, body, body == NULL ? 0 : strlen(body));
    buf_addc(&out, '\0');
    ck_assert_str_eq(out.bytes, expected);
    buf_fini(&out);
}

START_TEST(problem_reads_as_one_line)
{
    check_problem(404, "{\"title\":\"Not Found\",\"detail\":\"no stream\\nx\"}",
        "404 Not Found: no stream x");
    check_problem(400, "{\"detail\":\"from: what\"}", "400 from: what");
    check_problem(502, "<html>\nbad", "502 <html> bad");
    check_problem(500, NULL, "500");
}
END_TEST

UNIT_MAIN("tail_message", line_is_told_by_its_start, token_is_taken_from_the_start,
    payload_is_the_value_of_data, line_without_a_payload_has_none, control_messages_read_as_prose,
    broken_control_message_is_an_error, problem_reads_as_one_line)
