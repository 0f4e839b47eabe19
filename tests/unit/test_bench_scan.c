/* The benchmark's scanner counts what was sent however the bytes are cut: a load generator that
 * miscounts lies for every server. It is no part of the library, so it is compiled in here. */
#include "../bench/hist.c"
#include "../bench/scan.c"

#include "unit.h"

#include <stdio.h>

#define RECORD "{\"seq\":1,\"sent_ns\":1000,\"pad\":\"x\"}"
#define GAP "{\"event\":\"gap\",\"reason\":\"slow\",\"count\":17,\"from\":\"a\",\"to\":\"b\"}"

static struct hist latency;

/* Feed text in pieces of step bytes. */
static struct scan_tally
scan_in_steps(enum scan_kind kind, bool chunked, const char *text, size_t len, size_t step)
{
    struct scan scan;
    struct scan_tally tally = {.sample_every = 1, .now_ns = 3000, .latency = &latency};
    char *buffer = (char *)mem_alloc(SCAN_CARRY_MAX + len) + SCAN_CARRY_MAX;
    latency = (struct hist){0};
    scan_init(&scan, kind, chunked);
    for (size_t at = 0; at < len; at += step) {
        size_t n = len - at < step ? len - at : step;
        memcpy(buffer, text + at, n);
        scan_feed(&scan, buffer, n, &tally);
    }
    scan_fini(&scan);
    free(buffer - SCAN_CARRY_MAX);
    return tally;
}

static size_t
add_frame(char *out, int opcode, const char *text)
{
    size_t len = strlen(text);
    out[0] = (char)(0x80 | opcode);
    if (len < 126) {
        out[1] = (char)len;
        memcpy(out + 2, text, len);
        return 2 + len;
    }
    out[1] = 126;
    out[2] = (char)(len >> 8);
    out[3] = (char)len;
    memcpy(out + 4, text, len);
    return 4 + len;
}

START_TEST(websocket_messages_are_counted_however_reads_cut_them)
{
    char text[2048], big[400];
    size_t len = add_frame(text, 1, "{\"event\":\"hello\",\"stream\":\"s\"}");
    snprintf(big, sizeof big, "{\"sent_ns\":1000,\"pad\":\"%0300d\"}", 0);
    for (int i = 0; i < 3; i++) {
        len += add_frame(text + len, 1, RECORD);
        len += add_frame(text + len, 1, big);
    }
    len += add_frame(text + len, 9, "are you there");
    len += add_frame(text + len, 1, GAP);
    len += add_frame(text + len, 1, "");
    for (size_t step = 1; step <= len; step++) {
        struct scan_tally tally = scan_in_steps(SCAN_WS, false, text, len, step);
        ck_assert_uint_eq(tally.messages, 7);
        ck_assert_uint_eq(tally.control, 2);
        ck_assert_uint_eq(tally.gaps, 1);
        ck_assert_uint_eq(tally.gap_records, 17);
        ck_assert_uint_eq(tally.pings, 1);
        ck_assert_uint_eq(latency.count, 6);
        ck_assert_uint_eq(latency.max_ns, 2000);
    }
}
END_TEST

static size_t
chunk_up(char *out, const char *body, size_t chunk)
{
    size_t at = 0;
    for (size_t left = strlen(body); left > 0;) {
        size_t n = left < chunk ? left : chunk;
        at += (size_t)sprintf(out + at, "%08zx\r\n%.*s\r\n", n, (int)n, body);
        body += n;
        left -= n;
    }
    return at + (size_t)sprintf(out + at, "0\r\n\r\n");
}

START_TEST(lines_are_counted_however_chunks_and_reads_cut_them)
{
    static const char body[] =
        "{\"event\":\"hello\"}\n" RECORD "\n\n" RECORD "\n" GAP "\n" RECORD "\n";
    static char text[16384];
    for (size_t chunk = 1; chunk < sizeof body; chunk += 3) {
        size_t len = chunk_up(text, body, chunk);
        for (size_t step = 1; step <= len; step += 1 + step / 16) {
            struct scan_tally tally = scan_in_steps(SCAN_NDJSON, true, text, len, step);
            ck_assert_uint_eq(tally.messages, 3);
            ck_assert_uint_eq(tally.control, 2);
            ck_assert_uint_eq(tally.gap_records, 17);
            ck_assert_uint_eq(tally.pings, 1);
            ck_assert_uint_eq(latency.count, 3);
        }
    }
}
END_TEST

START_TEST(events_are_counted_apart_from_comments_and_control_events)
{
    static const char body[] =
        "retry: 1000\n\nevent: hello\ndata: {\"event\":\"hello\"}\n\n: still here\n\n"
        "id: a\ndata: " RECORD "\n\nevent: gap\ndata: " GAP "\n\nid: b\ndata: " RECORD "\n\n";
    for (size_t step = 1; step < sizeof body; step++) {
        struct scan_tally tally = scan_in_steps(SCAN_SSE, false, body, sizeof body - 1, step);
        ck_assert_uint_eq(tally.messages, 2);
        ck_assert_uint_eq(tally.control, 2);
        ck_assert_uint_eq(tally.gap_records, 17);
        ck_assert_uint_eq(tally.pings, 1);
    }
}
END_TEST

START_TEST(percentiles_are_at_most_three_percent_above)
{
    struct hist hist = {0};
    for (uint64_t ns = 1; ns <= 1000000; ns++) {
        hist_add(&hist, ns);
    }
    static const unsigned permilles[] = {1, 500, 900, 990, 999};
    for (size_t i = 0; i < sizeof permilles / sizeof *permilles; i++) {
        double exact = permilles[i] * 1000.0;
        double got = (double)hist_percentile_ns(&hist, permilles[i]);
        ck_assert(got >= exact && got <= exact * 1.033);
    }
    ck_assert_uint_eq(hist_percentile_ns(&hist, 1000), 1000000);
}
END_TEST

UNIT_MAIN("bench_scan", websocket_messages_are_counted_however_reads_cut_them,
    lines_are_counted_however_chunks_and_reads_cut_them,
    events_are_counted_apart_from_comments_and_control_events,
    percentiles_are_at_most_three_percent_above)
