/* The parser of upstream event streams: the vectors of WPT's eventsource/format-* and of the SDKs'
 * own suites, each whole and cut at every byte. */
#include "unit.h"

#include "../../connectors/llm_sse.h"

#include <string.h>

#define MOST 65536

/* Each event as TYPE(DATA)[ID]; "!" where a bound was passed. */
static void
show(struct buf *out, struct llm_sse *sse, const char *bytes, size_t len)
{
    struct llm_sse_event event;
    struct err err;
    const char *end = bytes + len;
    for (;;) {
        switch (llm_sse_next(sse, &bytes, end, &event, &err)) {
        case LLM_SSE_EVENT:
            buf_add(out, event.type, event.type_len);
            buf_addc(out, '(');
            buf_add(out, event.data, event.data_len);
            buf_addc(out, ')');
            if (event.id_len > 0) {
                buf_addc(out, '[');
                buf_add(out, event.id, event.id_len);
                buf_addc(out, ']');
            }
            break;
        case LLM_SSE_MORE:
            ck_assert_ptr_eq(bytes, end);
            return;
        case LLM_SSE_FAILED:
            buf_addc(out, '!');
            return;
        }
    }
}

static void
check_same(const struct buf *shown, const char *wanted, size_t wanted_len)
{
    ck_assert_uint_eq(shown->len, wanted_len);
    ck_assert_mem_eq(shown->bytes == NULL ? "" : shown->bytes, wanted, wanted_len);
}

/* In pieces: of step bytes each (0: whole), or cut once, at cut. A copy of each piece, so that the
 * sanitizer sees any look beyond it. */
static void
show_cut(
    struct buf *out, struct llm_sse *sse, const char *text, size_t len, size_t step, size_t cut)
{
    for (size_t from = 0; from < len;) {
        size_t to = step > 0 ? from + step : from < cut ? cut : len;
        to = to < len ? to : len;
        char *piece = malloc(to - from);
        memcpy(piece, text + from, to - from);
        show(out, sse, piece, to - from);
        free(piece);
        from = to;
    }
}

static void
check_events(const char *text, size_t len, const char *wanted, size_t wanted_len)
{
    for (size_t cut = 0; cut <= len; cut++) {
        for (size_t step = 0; step <= (cut == 0 ? 3 : 0); step++) {
            struct llm_sse sse;
            struct buf shown;
            buf_init(&shown);
            llm_sse_init(&sse, MOST);
            show_cut(&shown, &sse, text, len, step, cut);
            check_same(&shown, wanted, wanted_len);
            llm_sse_fini(&sse);
            buf_fini(&shown);
        }
    }
}

#define EVENTS(text, wanted) check_events(text, sizeof(text) - 1, wanted, sizeof(wanted) - 1)

START_TEST(lines_end_at_cr_lf_and_both)
{
    EVENTS("data:test\r\ndata\ndata:test\r\n\r", "message(test\n\ntest)");
    EVENTS("data: A\r\ndata: B\r\ndata: C\r\n\r\n", "message(A\nB\nC)");
    EVENTS("data:a\r\rdata:b\n\ndata:c\r\n\r\n", "message(a)message(b)message(c)");
    EVENTS("data:a\n\r\ndata:b\r\n\n", "message(a)message(b)");
}
END_TEST

START_TEST(an_event_that_ends_in_cr_cr_does_not_wait)
{
    struct llm_sse sse;
    struct buf shown;
    buf_init(&shown);
    llm_sse_init(&sse, MOST);
    show(&shown, &sse, "data:a\r\r", 8);
    check_same(&shown, "message(a)", 10);
    show(&shown, &sse, "\ndata:b\r\r", 9);
    check_same(&shown, "message(a)message(b)", 20);
    llm_sse_fini(&sse);
    buf_fini(&shown);
}
END_TEST

START_TEST(fields_are_parsed_as_the_standard_says)
{
    EVENTS("data:\0\ndata:  2\rData:1\ndata\0:2\ndata:1\r\0data:4\nda-ta:3\rdata_5\ndata:3\r"
           "data:\r\n data:32\ndata:4\n\n",
        "message(\0\n 2\n1\n3\n\n4)");
    EVENTS("data:\ttest\rdata: \ndata:test\n\n", "message(\ttest\n\ntest)");
    EVENTS("data:{\"x\":1}\n\n", "message({\"x\":1})");
    EVENTS("data: [DONE] \n\ndata: behind\n\n", "message([DONE] )message(behind)");
    EVENTS("data: a\\n\\nb\n\n", "message(a\\n\\nb)");
}
END_TEST

START_TEST(one_bom_at_the_beginning_is_none_of_the_stream)
{
    EVENTS("\xEF\xBB\xBF"
           "data:1\n\ndata:2\n\n",
        "message(1)message(2)");
    EVENTS("\xEF\xBB\xBF\xEF\xBB\xBF"
           "data:1\n\ndata:2\n\n",
        "message(2)");
    EVENTS("data:1\n\n\xEF\xBB\xBF"
           "data:2\n\ndata:3\n\n",
        "message(1)message(3)");
    EVENTS("\xEF\xBB\xBF\ndata:1\n\n", "message(1)");
}
END_TEST

#define X50 "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
START_TEST(comments_are_passed_over)
{
    EVENTS("data:1\r:\0\n:\r\ndata:2\n:" X50 X50 X50 "\rdata:3\n:data:fail\r:" X50 X50 X50
           "\ndata:4\n\n",
        "message(1\n2\n3\n4)");
    EVENTS(": OPENROUTER PROCESSING\n\ndata:a\n\n: ping - 2026-01-01\n\n: hb\ndata:b\n\n",
        "message(a)message(b)");
}
END_TEST

START_TEST(an_event_without_data_is_none)
{
    EVENTS("event: foo\n\ndata:a\n\n", "message(a)");
    EVENTS("event: foo\ndata:a\n\ndata:b\n\n", "foo(a)message(b)");
    EVENTS("event:\ndata:a\n\n", "message(a)");
    EVENTS("data:\n\ndata\ndata\n\ndata:test\n\n", "message()message(\n)message(test)");
    EVENTS("\n\n\r\n\rdata:x\n\n\n\n", "message(x)");
}
END_TEST

START_TEST(an_event_that_the_end_cuts_off_is_none)
{
    EVENTS("retry:1000\ndata:test1\n\nid:test\ndata:test2", "message(test1)");
    EVENTS("data:a\n\ndata:b\n", "message(a)");
}
END_TEST

START_TEST(the_id_stays_until_another_comes)
{
    EVENTS("id:1\0\ndata:x\n\n", "message(x)");
    EVENTS("id: 7\ndata:x\n\ndata:y\n\nid\ndata:z\n\n", "message(x)[7]message(y)[7]message(z)");
    EVENTS("id:\xE2\x80\xA6\ndata:x\n\n", "message(x)[\xE2\x80\xA6]");
}
END_TEST

START_TEST(retry_takes_digits_alone)
{
    static const char text[] = "retry:1000\nretry:2000x\nretry:\nretry:99999999999999999999\n\n";
    struct llm_sse sse;
    struct buf shown;
    buf_init(&shown);
    llm_sse_init(&sse, MOST);
    ck_assert_int_eq(sse.retry_ms, -1);
    show(&shown, &sse, text, sizeof text - 1);
    ck_assert_int_eq(sse.retry_ms, 1000);
    llm_sse_fini(&sse);
    buf_fini(&shown);
}
END_TEST

START_TEST(text_is_utf8_wherever_it_is_cut)
{
    EVENTS("data:\xD0\xB8\xD0\xB7\xD0\xB2\xD0\xB5\xD1\x81\xD1\x82\xD0\xBD\xD0\xB8\n\n",
        "message(\xD0\xB8\xD0\xB7\xD0\xB2\xD0\xB5\xD1\x81\xD1\x82\xD0\xBD\xD0\xB8)");
    EVENTS("data:\xF0\x9F\x98\x80\n\n", "message(\xF0\x9F\x98\x80)");
    /* No ends of lines: U+2028, U+2029, U+0085, vertical tab. */
    EVENTS("data:a\xE2\x80\xA8"
           "b\xE2\x80\xA9"
           "c\xC2\x85"
           "d\x0B"
           "e\n\n",
        "message(a\xE2\x80\xA8"
        "b\xE2\x80\xA9"
        "c\xC2\x85"
        "d\x0B"
        "e)");
    EVENTS("data:a\xFF"
           "b\xC3\ndata:\xE2\x82\n\n",
        "message(a\xEF\xBF\xBD"
        "b\xEF\xBF\xBD\n\xEF\xBF\xBD\xEF\xBF\xBD)");
}
END_TEST

START_TEST(what_the_end_cut_off_can_be_asked_for)
{
    struct llm_sse sse;
    struct buf shown;
    size_t len;
    buf_init(&shown);
    llm_sse_init(&sse, MOST);
    show(&shown, &sse, "data: a\n\ndata: [DONE]", 21);
    const char *rest = llm_sse_rest(&sse, &len);
    ck_assert_uint_eq(len, 6);
    ck_assert_mem_eq(rest, "[DONE]", 6);
    (void)llm_sse_rest(&sse, &len);
    ck_assert_uint_eq(len, 0);
    llm_sse_fini(&sse);
    buf_fini(&shown);
}
END_TEST

/* Of max bytes is taken, of one more is not, and nothing is taken after that. */
static void
check_bound(const char *before, size_t line_len, size_t max, bool good)
{
    struct llm_sse sse;
    struct llm_sse_event event;
    struct err err = {0};
    struct buf text;
    buf_init(&text);
    buf_adds(&text, before);
    for (size_t i = 0; i < line_len; i++) {
        buf_addc(&text, 'x');
    }
    buf_adds(&text, "\n\n");
    for (size_t step = 1; step <= text.len; step += text.len - 1) {
        enum llm_sse_result result = LLM_SSE_MORE;
        llm_sse_init(&sse, max);
        for (size_t from = 0; from < text.len && result == LLM_SSE_MORE; from += step) {
            const char *at = text.bytes + from;
            const char *end =
                at + step <= text.bytes + text.len ? at + step : text.bytes + text.len;
            result = llm_sse_next(&sse, &at, end, &event, &err);
        }
        ck_assert_int_eq(result, good ? LLM_SSE_EVENT : LLM_SSE_FAILED);
        const char *more = "data:y\n\n";
        if (!good) {
            ck_assert_int_eq(err.code, ERR_LIMIT);
            ck_assert_ptr_nonnull(strstr(err.text, "longer than 64 bytes"));
            ck_assert_int_eq(llm_sse_next(&sse, &more, more + 8, &event, &err), LLM_SSE_FAILED);
        }
        llm_sse_fini(&sse);
    }
    buf_fini(&text);
}

START_TEST(a_line_and_an_event_are_bounded)
{
    check_bound("data:", 59, 64, true);
    check_bound("data:", 60, 64, false);
    check_bound("data:12345678\ndata:12345678\ndata:", 46, 64, true);
    check_bound("data:12345678\ndata:12345678\ndata:", 47, 64, false);
}
END_TEST

/* 8 MiB in pieces of 7 bytes: a parser that looks at what it holds again would not end. */
START_TEST(a_large_event_in_small_pieces_takes_linear_time)
{
    struct llm_sse sse;
    struct llm_sse_event event = {0};
    struct err err;
    const size_t total = (size_t)8 << 20;
    const char *at = "data:";
    llm_sse_init(&sse, total + 64);
    ck_assert_int_eq(llm_sse_next(&sse, &at, at + 5, &event, &err), LLM_SSE_MORE);
    for (size_t sent = 0; sent < total; sent += 7) {
        at = "0123456";
        ck_assert_int_eq(llm_sse_next(&sse, &at, at + 7, &event, &err), LLM_SSE_MORE);
    }
    at = "\n\n";
    ck_assert_int_eq(llm_sse_next(&sse, &at, at + 2, &event, &err), LLM_SSE_EVENT);
    ck_assert_uint_eq(event.data_len, (total + 6) / 7 * 7);
    llm_sse_fini(&sse);
}
END_TEST

UNIT_MAIN("llm_sse", lines_end_at_cr_lf_and_both, an_event_that_ends_in_cr_cr_does_not_wait,
    fields_are_parsed_as_the_standard_says, one_bom_at_the_beginning_is_none_of_the_stream,
    comments_are_passed_over, an_event_without_data_is_none, an_event_that_the_end_cuts_off_is_none,
    the_id_stays_until_another_comes, retry_takes_digits_alone, text_is_utf8_wherever_it_is_cut,
    what_the_end_cut_off_can_be_asked_for, a_line_and_an_event_are_bounded,
    a_large_event_in_small_pieces_takes_linear_time)
