/* The checker of the chaos run finds every hole, repeat and wrong gap: each test takes a run
 * without a fault, changes one thing in it and names the fault that must come of it. The checker is
 * no part of the library, so it is compiled in here. */
#include "../chaos/trace.c"

#include "unit.h"

#define PARTITIONS 3

static struct trace trace;

static void
begin(uint32_t wants, bool conflates)
{
    trace = (struct trace){.partitions = PARTITIONS, .conflates = conflates};
    for (unsigned lane = 0; lane < PARTITIONS; lane++) {
        trace.wants[lane] = wants;
    }
    trace_connected(&trace);
}

struct place3 {
    uint64_t next[PARTITIONS];
};

static const char *
token_at(struct place3 place)
{
    static char texts[4][128];
    static int turn;
    struct token_lane lanes[PARTITIONS];
    struct buf token;
    char *text = texts[turn++ % 4];
    buf_init(&token);
    for (uint32_t lane = 0; lane < PARTITIONS; lane++) {
        lanes[lane] = (struct token_lane){7, lane, place.next[lane]};
    }
    token_encode(&token, lanes, PARTITIONS, NULL);
    memcpy(text, token.bytes, token.len);
    text[token.len] = '\0';
    buf_fini(&token);
    return text;
}

static void
say(const char *format, ...)
{
    char text[600];
    va_list args;
    va_start(args, format);
    int len = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    trace_message(&trace, text, (size_t)len);
}

static void
hello(struct place3 at, bool resumed)
{
    say("{\"event\":\"hello\",\"stream\":\"s\",\"from\":\"%s\",\"resumed\":%s}", token_at(at),
        resumed ? "true" : "false");
}

/* A record as it was produced, with the id of the position `id`. */
static void
record_with(unsigned lane, unsigned offset, struct place3 id)
{
    say("{\"id\":\"%s\",\"time\":\"t\",\"key\":\"p%uk%u\",\"data\":{\"n\":%u,\"m\":%u,\"pad\":\"\"}"
        ","
        "\"headers\":{},\"source\":{\"topic\":\"t\",\"partition\":%u,\"offset\":%u}}",
        token_at(id), lane, offset % TRACE_KEYS, offset * PARTITIONS + lane, offset % TRACE_MODULUS,
        lane, offset);
}

static void
gap(const char *reason, unsigned count, struct place3 from, struct place3 to, const char *more)
{
    say("{\"event\":\"gap\",\"reason\":\"%s\",\"count\":%u,\"from\":\"%s\",\"to\":\"%s\"%s}",
        reason, count, token_at(from), token_at(to), more);
}

#define AT(a, b, c) ((struct place3){{a, b, c}})

/* Only this fault, so often. */
static void
expect(enum trace_fault kind, uint64_t count)
{
    for (int other = 0; other < TRACE_FAULTS; other++) {
        ck_assert_msg(trace.faults[other] == (other == (int)kind ? count : 0), "%s: %d; %s",
            trace_fault_names[other], (int)trace.faults[other], trace.first_fault);
    }
}

static void
expect_none(void)
{
    expect(TRACE_FORM, 0);
}

START_TEST(a_run_without_a_fault_has_none)
{
    begin(TRACE_ALL, false);
    hello(AT(5, 5, 5), false);
    record_with(0, 5, AT(6, 5, 5));
    record_with(2, 5, AT(6, 5, 6));
    gap("slow", 7, AT(6, 5, 6), AT(8, 9, 7), "");
    record_with(1, 9, AT(8, 10, 7));
    ck_assert_uint_eq(trace_left(&trace, 30), 2 + 0 + 3);
    trace_connected(&trace);
    hello(AT(8, 10, 7), true);
    record_with(0, 8, AT(9, 10, 7));
    record_with(0, 9, AT(10, 10, 7));
    gap("slow", 3, AT(10, 10, 7), AT(10, 10, 10), "");
    expect_none();
    ck_assert_uint_eq(trace_left(&trace, 30), 0);
    trace_finish(&trace, 30);
    expect_none();
    ck_assert_uint_eq(trace.records, 5);
    ck_assert_uint_eq(trace.told_records, 10);
    ck_assert_uint_eq(trace.resumes, 1);
}
END_TEST

START_TEST(a_record_that_did_not_come_is_a_hole)
{
    begin(TRACE_ALL, false);
    hello(AT(5, 5, 5), false);
    record_with(0, 6, AT(7, 5, 5));
    expect(TRACE_HOLE, 1);
}
END_TEST

START_TEST(a_record_that_did_not_come_before_a_reconnect_is_a_hole)
{
    begin(TRACE_ALL, false);
    hello(AT(5, 5, 5), false);
    record_with(0, 5, AT(6, 5, 5));
    trace_connected(&trace);
    hello(AT(6, 5, 5), true);
    record_with(0, 7, AT(8, 5, 5));
    expect(TRACE_HOLE, 1);
}
END_TEST

START_TEST(the_last_records_missing_are_a_hole)
{
    begin(TRACE_ALL, false);
    hello(AT(9, 10, 10), false);
    trace_finish(&trace, 30);
    expect(TRACE_HOLE, 1);
}
END_TEST

START_TEST(a_record_twice_is_a_repeat_on_one_connection_and_on_two)
{
    begin(TRACE_ALL, false);
    hello(AT(5, 5, 5), false);
    record_with(0, 5, AT(6, 5, 5));
    record_with(0, 5, AT(6, 5, 5));
    expect(TRACE_REPEAT, 1);
    trace_connected(&trace);
    hello(AT(6, 5, 5), true);
    record_with(0, 5, AT(6, 5, 5));
    expect(TRACE_REPEAT, 2);
}
END_TEST

START_TEST(a_record_that_a_gap_had_told_is_a_repeat)
{
    begin(TRACE_ALL, false);
    hello(AT(5, 5, 5), false);
    gap("slow", 2, AT(5, 5, 5), AT(7, 5, 5), "");
    record_with(0, 6, AT(7, 5, 5));
    expect(TRACE_REPEAT, 1);
}
END_TEST

START_TEST(a_gap_that_counts_one_too_many_or_too_few_is_wrong)
{
    for (unsigned count = 1; count <= 3; count++) {
        begin(TRACE_ALL, false);
        hello(AT(5, 5, 5), false);
        gap("slow", count, AT(5, 5, 5), AT(6, 5, 6), "");
        expect(TRACE_GAP, count != 2);
    }
}
END_TEST

START_TEST(a_gap_whose_range_is_not_what_is_missing_is_wrong)
{
    begin(TRACE_ALL, false);
    hello(AT(5, 5, 5), false);
    gap("slow", 3, AT(6, 5, 5), AT(8, 5, 5), "");
    expect(TRACE_GAP, 1);
    begin(TRACE_ALL, false);
    hello(AT(5, 5, 5), false);
    gap("slow", 3, AT(4, 5, 5), AT(8, 5, 5), "");
    expect(TRACE_GAP, 1);
}
END_TEST

START_TEST(a_gap_of_one_that_is_to_lose_nothing_is_wrong)
{
    begin(TRACE_ALL, false);
    trace.keeps_all = true;
    hello(AT(5, 5, 5), false);
    gap("slow", 1, AT(5, 5, 5), AT(6, 5, 5), "");
    expect(TRACE_GAP, 1);
}
END_TEST

START_TEST(a_gap_may_count_all_where_a_filter_is_and_says_so)
{
    begin(1u << 5, false); /* offsets 5, 25, ... */
    hello(AT(0, 0, 0), false);
    gap("slow", 1, AT(0, 0, 0), AT(10, 0, 0), "");
    expect_none();
    gap("slow", 30, AT(10, 0, 0), AT(40, 0, 0), ",\"filtered\":true");
    expect_none();
    gap("slow", 31, AT(40, 0, 0), AT(70, 0, 0), ",\"filtered\":true");
    expect(TRACE_GAP, 1);
    begin(TRACE_ALL, false);
    hello(AT(0, 0, 0), false);
    gap("slow", 10, AT(0, 0, 0), AT(10, 0, 0), ",\"filtered\":true");
    expect(TRACE_GAP, 1);
}
END_TEST

START_TEST(what_a_filter_passes_over_is_no_hole_and_what_it_lets_through_is)
{
    begin(1u << 5, false);
    hello(AT(0, 0, 0), false);
    record_with(0, 5, AT(6, 3, 2));
    record_with(0, 25, AT(26, 4, 4));
    say("{\"event\":\"position\",\"id\":\"%s\"}", token_at(AT(40, 5, 5)));
    expect_none();
    record_with(1, 25, AT(40, 26, 5));
    expect(TRACE_HOLE, 1);
}
END_TEST

START_TEST(a_record_that_the_filter_excludes_is_found)
{
    begin(1u << 5, false);
    hello(AT(0, 0, 0), false);
    record_with(0, 6, AT(7, 0, 0));
    ck_assert_uint_eq(trace.faults[TRACE_CONTENT], 1);
}
END_TEST

START_TEST(an_id_that_leads_back_or_ahead_is_found)
{
    begin(TRACE_ALL, false);
    hello(AT(5, 5, 5), false);
    record_with(0, 5, AT(6, 4, 5));
    expect(TRACE_TOKEN, 1);
    begin(TRACE_ALL, false);
    hello(AT(5, 5, 5), false);
    record_with(0, 5, AT(6, 6, 5));
    expect(TRACE_TOKEN, 1);
    begin(1u << 5, false);
    hello(AT(0, 0, 0), false);
    say("{\"event\":\"position\",\"id\":\"%s\"}", token_at(AT(40, 5, 6)));
    expect(TRACE_TOKEN, 2); /* offsets 5 and 25 of partition 0, 5 of partition 2: two partitions */
}
END_TEST

START_TEST(a_resume_that_is_not_honoured_is_found)
{
    begin(TRACE_ALL, false);
    hello(AT(5, 5, 5), false);
    trace_connected(&trace);
    hello(AT(5, 5, 5), false);
    expect(TRACE_HELLO, 1);
    trace_connected(&trace);
    hello(AT(5, 5, 6), true);
    expect(TRACE_HELLO, 2);
    record_with(0, 5, AT(6, 5, 5));
    trace_connected(&trace);
    hello(AT(5, 5, 5), true);
    expect(TRACE_HELLO, 3);
}
END_TEST

START_TEST(another_payload_is_found)
{
    begin(TRACE_ALL, false);
    hello(AT(5, 5, 5), false);
    say("{\"id\":\"%s\",\"time\":\"t\",\"key\":\"p0k5\",\"data\":{\"n\":16,\"m\":1},\"headers\":{},"
        "\"source\":{\"topic\":\"t\",\"partition\":0,\"offset\":5}}",
        token_at(AT(6, 5, 5)));
    expect(TRACE_CONTENT, 1);
}
END_TEST

START_TEST(what_is_no_message_is_found)
{
    begin(TRACE_ALL, false);
    say("{\"event\":\"closing\"}"); /* before the hello */
    hello(AT(5, 5, 5), false);
    hello(AT(5, 5, 5), true);
    say("{\"event\":\"failed\",\"code\":\"x\"}");
    say("{\"id\":\"");
    expect(TRACE_FORM, 4);
}
END_TEST

START_TEST(conflation_accounts_for_what_it_merged)
{
    begin(TRACE_ALL, true);
    hello(AT(0, 0, 0), false);
    record_with(0, 21, AT(22, 1, 0)); /* 21 and 1 before it are merged */
    gap("conflated", 22, AT(0, 0, 0), AT(22, 1, 0), "");
    expect_none();
    record_with(1, 2, AT(22, 3, 0));
    gap("conflated", 2, AT(22, 1, 0), AT(22, 3, 0), "");
    expect(TRACE_GAP, 1);
}
END_TEST

START_TEST(conflation_that_keeps_the_last_value_back_is_found)
{
    begin(TRACE_ALL, true);
    hello(AT(0, 10, 10), false);
    for (unsigned offset = 0; offset < 9; offset++) {
        record_with(0, offset, AT(offset + 1, 10, 10));
    }
    gap("conflated", 1, AT(9, 10, 10), AT(10, 10, 10), "");
    expect_none();
    trace_finish(&trace, 30);
    expect(TRACE_STALE, 1);
}
END_TEST

START_TEST(conflation_that_never_tells_is_incomplete)
{
    begin(TRACE_ALL, true);
    hello(AT(0, 10, 10), false);
    record_with(0, 9, AT(10, 10, 10));
    ck_assert_uint_eq(trace_left(&trace, 30), 9);
    trace_finish(&trace, 30);
    expect(TRACE_HOLE, 1);
}
END_TEST

UNIT_MAIN("chaos_trace", a_run_without_a_fault_has_none, a_record_that_did_not_come_is_a_hole,
    a_record_that_did_not_come_before_a_reconnect_is_a_hole, the_last_records_missing_are_a_hole,
    a_record_twice_is_a_repeat_on_one_connection_and_on_two,
    a_record_that_a_gap_had_told_is_a_repeat, a_gap_that_counts_one_too_many_or_too_few_is_wrong,
    a_gap_whose_range_is_not_what_is_missing_is_wrong,
    a_gap_of_one_that_is_to_lose_nothing_is_wrong,
    a_gap_may_count_all_where_a_filter_is_and_says_so,
    what_a_filter_passes_over_is_no_hole_and_what_it_lets_through_is,
    a_record_that_the_filter_excludes_is_found, an_id_that_leads_back_or_ahead_is_found,
    a_resume_that_is_not_honoured_is_found, another_payload_is_found, what_is_no_message_is_found,
    conflation_accounts_for_what_it_merged, conflation_that_keeps_the_last_value_back_is_found,
    conflation_that_never_tells_is_incomplete)
