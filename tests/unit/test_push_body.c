/* test_push_body: bodies as they arrive, split anywhere: chunks, lines, values. */
#include "http_body.h"
#include "mem.h"
#include "push_body.h"
#include "unit.h"

#include "buf.h"

#include <stdio.h>
#include <string.h>

/* What a body comes to: its records between bars, then how it ended. */
static void
add_got(struct buf *out, enum push_got got, const struct push_body *body, struct slice record)
{
    switch (got) {
    case PUSH_MORE:
        break;
    case PUSH_RECORD:
        buf_add(out, record.at, record.len);
        buf_addf(out, "|%d|", (int)body->line);
        break;
    case PUSH_BAD:
        buf_addf(out, "bad %d", (int)body->line);
        break;
    case PUSH_TOO_LARGE:
        buf_addf(out, "large %d", (int)body->line);
        break;
    }
}

/* Feed len bytes in pieces of piece bytes, each from a place of its own that is gone afterwards;
 * with again, each record is refused once, as where there is no room. */
static const char *
records_of(enum push_syntax syntax, size_t max, const char *text, size_t len, size_t piece,
    bool again, struct buf *out)
{
    struct push_body body;
    struct slice record;
    enum push_got got = PUSH_MORE;
    push_body_init(&body, syntax, max);
    out->len = 0;
    for (size_t from = 0; from < len && got <= PUSH_RECORD; from += piece) {
        size_t n = len - from < piece ? len - from : piece;
        char *copy = mem_alloc(n);
        memcpy(copy, text + from, n);
        const char *at = copy;
        bool refused = false;
        do {
            size_t need = push_body_need(&body, (size_t)(copy + n - at));
            got = push_body_next(&body, &at, copy + n, &record);
            ck_assert_uint_le(body.cap, need);
            size_t back = 0;
            if (got == PUSH_RECORD && again && !refused) {
                refused = true;
                back = push_body_unread(&body);
                at -= back;
            }
            if (back == 0) {
                refused = false;
                add_got(out, got, &body, record);
            }
        } while (got == PUSH_RECORD);
        ck_assert(got != PUSH_MORE || at == copy + n);
        free(copy);
    }
    if (got == PUSH_MORE) {
        got = push_body_finish(&body, &record);
        add_got(out, got, &body, record);
    }
    push_body_fini(&body);
    buf_addc(out, '\0');
    return out->bytes;
}

static void
comes_to(enum push_syntax syntax, size_t max, const char *text, const char *expected)
{
    struct buf out;
    buf_init(&out);
    size_t len = strlen(text);
    for (size_t piece = 1; piece <= len + 1; piece++) {
        ck_assert_str_eq(records_of(syntax, max, text, len, piece, false, &out), expected);
        ck_assert_str_eq(records_of(syntax, max, text, len, piece, true, &out), expected);
    }
    buf_fini(&out);
}

START_TEST(lines_are_records_however_they_are_split)
{
    comes_to(PUSH_NDJSON, 100, "{\"a\":1}\n[2]\n3\n", "{\"a\":1}|1|[2]|2|3|3|");
    comes_to(PUSH_NDJSON, 100, "1\r\n\n  \n\t\r\n2", "1|1|2|5|");
    comes_to(PUSH_NDJSON, 100, "\xEF\xBB\xBF{\"a\":1}\n \"b\" \n", "{\"a\":1}|1|\"b\"|2|");
    comes_to(PUSH_NDJSON, 100, "", "");
    comes_to(PUSH_NDJSON, 100, "\n\n", "");
}
END_TEST

START_TEST(a_bad_line_is_named_and_ends_the_body)
{
    comes_to(PUSH_NDJSON, 100, "1\n{\"a\":\n3\n", "1|1|bad 2");
    comes_to(PUSH_NDJSON, 100, "1\n\n1 2\n", "1|1|bad 3");
    comes_to(PUSH_NDJSON, 100, "nul", "bad 1");
    comes_to(PUSH_NDJSON, 100,
        "1\n\xEF\xBB\xBF"
        "2\n",
        "1|1|bad 2");
}
END_TEST

START_TEST(a_record_over_the_bound_is_told_before_it_has_ended)
{
    comes_to(PUSH_NDJSON, 5, "12345\n123456\n1\n", "12345|1|large 2");
    comes_to(PUSH_NDJSON, 5, "12345\r\n1\n", "12345|1|1|2|");
    comes_to(PUSH_NDJSON, 5, "1\n12345678901234567890", "1|1|large 2");
    comes_to(PUSH_JSON, 5, "123456", "large 1");
    comes_to(PUSH_BYTES, 5, "123456", "large 1");
    comes_to(PUSH_BYTES, 5, "12345", "12345|1|");
}
END_TEST

START_TEST(a_body_of_json_is_one_record)
{
    comes_to(PUSH_JSON, 100, " {\n\"a\":\n[1]}\n ", "{\n\"a\":\n[1]}|1|");
    comes_to(PUSH_JSON, 100, "[{\"a\":1},{\"a\":2}]", "[{\"a\":1},{\"a\":2}]|1|");
    comes_to(PUSH_JSON, 100, "1\n2", "bad 1");
    comes_to(PUSH_JSON, 100, "", "bad 1");
}
END_TEST

START_TEST(other_bodies_are_one_record_as_they_are)
{
    comes_to(PUSH_BYTES, 100, "a\r\n\xff b\n", "a\r\n\xff b\n|1|");
    comes_to(PUSH_BYTES, 100, "", "|1|");
}
END_TEST

/* ---- the framing ---- */

static const char *
decoded(const char *text, size_t len, bool chunked, uint64_t length, size_t piece, bool halves,
    struct buf *out)
{
    const struct http_request request = {.chunked = chunked, .content_length = length};
    struct http_body body;
    struct slice data;
    enum http_body_got got = HTTP_BODY_MORE;
    size_t at_len = 0;
    http_body_init(&body, &request);
    out->len = 0;
    while (at_len < len && got == HTTP_BODY_MORE) {
        size_t n = len - at_len < piece ? len - at_len : piece;
        const char *at = text + at_len, *end = at + n;
        while ((got = http_body_next(&body, &at, end, &data)) == HTTP_BODY_DATA) {
            ck_assert_uint_gt(data.len, 0);
            size_t half = halves ? (data.len + 1) / 2 : data.len;
            buf_add(out, data.at, half);
            http_body_unread(&body, data.len - half);
            at -= data.len - half;
        }
        at_len = (size_t)(at - text);
    }
    buf_adds(out, got == HTTP_BODY_END ? "|end" : got == HTTP_BODY_BAD ? "|bad" : "|more");
    if (got == HTTP_BODY_END) {
        buf_addf(out, " %zu", len - at_len);
    }
    buf_addc(out, '\0');
    return out->bytes;
}

static void
decodes_to(const char *text, bool chunked, uint64_t length, const char *expected)
{
    struct buf out;
    buf_init(&out);
    size_t len = strlen(text);
    for (size_t piece = 1; piece <= len; piece++) {
        ck_assert_str_eq(decoded(text, len, chunked, length, piece, false, &out), expected);
        ck_assert_str_eq(decoded(text, len, chunked, length, piece, true, &out), expected);
    }
    buf_fini(&out);
}

START_TEST(a_length_is_counted)
{
    decodes_to("hello", false, 5, "hello|end 0");
    decodes_to("helloGET /", false, 5, "hello|end 5");
    decodes_to("hel", false, 5, "hel|more");
    decodes_to("GET /", false, 0, "|end 5");
}
END_TEST

START_TEST(chunks_are_put_together)
{
    decodes_to("5\r\nhello\r\n0\r\n\r\n", true, 0, "hello|end 0");
    decodes_to("2;a=\"b\"\r\nhe\r\n0003\r\nllo\r\n0\r\n\r\nGET", true, 0, "hello|end 3");
    decodes_to("a \r\n0123456789\r\n0\r\nA: b\r\nC: d\r\n\r\n", true, 0, "0123456789|end 0");
    decodes_to("A\r\n0123456789\r\n0\r\n", true, 0, "0123456789|more");
}
END_TEST

START_TEST(chunks_framed_wrongly_are_refused)
{
    decodes_to("\r\n", true, 0, "|bad");
    decodes_to("x\r\n", true, 0, "|bad");
    decodes_to(" 5\r\nhello\r\n", true, 0, "|bad");
    decodes_to("5\nhello\r\n", true, 0, "|bad");
    decodes_to("5\r\nhelloo\r\n", true, 0, "hello|bad");
    decodes_to("5\r\nhello\n0\r\n\r\n", true, 0, "hello|bad");
    decodes_to("-1\r\n", true, 0, "|bad");
    decodes_to("0x5\r\nhello\r\n", true, 0, "|bad");
    decodes_to("1000000000000000\r\n", true, 0, "|bad");
    decodes_to("5;\n\r\nhello", true, 0, "|bad");
    decodes_to("0\r\nA: b\n\r\n", true, 0, "|bad");
}
END_TEST

START_TEST(extensions_and_trailers_are_bounded)
{
    struct buf text, out;
    buf_init(&text);
    buf_init(&out);
    buf_adds(&text, "1;");
    for (int i = 0; i < HTTP_BODY_EXTRA_MAX; i++) {
        buf_addc(&text, 'x');
    }
    buf_adds(&text, "\r\na\r\n0\r\n\r\n");
    ck_assert_str_eq(decoded(text.bytes, text.len, true, 0, text.len, false, &out), "|bad");
    buf_fini(&text);
    buf_fini(&out);
}
END_TEST

UNIT_MAIN("push_body", lines_are_records_however_they_are_split,
    a_bad_line_is_named_and_ends_the_body, a_record_over_the_bound_is_told_before_it_has_ended,
    a_body_of_json_is_one_record, other_bodies_are_one_record_as_they_are, a_length_is_counted,
    chunks_are_put_together, chunks_framed_wrongly_are_refused, extensions_and_trailers_are_bounded)
