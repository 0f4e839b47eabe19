/* test_ws: the opening handshake, client frames whole and at every split, and the frames we make.
 */
#include "ws.h"

#include "unit.h"

#include <stdio.h>
#include <string.h>

#define LIMIT 100000

/* --- handshake --- */

static struct http_request request;
static struct buf out;
static const char *reason;

static int
handshake(const char *method_version, const char *headers, const char *extra)
{
    static char head[4096];
    const char *why;
    int status = 0;
    int len = snprintf(head, sizeof head, "%s\r\nHost: a\r\n%s\r\n", method_version, headers);
    ck_assert_int_eq(http_parse(&request, head, (size_t)len, &status, &why), HTTP_PARSE_DONE);
    buf_fini(&out);
    reason = NULL;
    return ws_handshake(&request, extra, &out, &reason);
}

#define GET "GET /s HTTP/1.1"
#define UP "Connection: Upgrade\r\nUpgrade: websocket\r\n"
#define VERSION "Sec-WebSocket-Version: 13\r\n"
#define KEY "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"

static void
answer_is(const char *want)
{
    ck_assert_uint_eq(out.len, strlen(want));
    ck_assert_mem_eq(out.bytes, want, out.len);
    buf_fini(&out);
}

START_TEST(handshake_of_the_rfc_gets_its_accept_value)
{
    ck_assert_int_eq(handshake(GET, UP VERSION KEY, ""), 101);
    ck_assert(ws_is_upgrade(&request));
    answer_is("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
              "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n");
}
END_TEST

START_TEST(offered_subprotocol_is_answered_with_extra_lines)
{
    ck_assert_int_eq(
        handshake(GET,
            "connection: keep-alive, upgrade\r\nUpgrade: WebSocket\r\n" VERSION KEY
            "Sec-WebSocket-Protocol: a, b\r\nSec-WebSocket-Protocol: headgate.v1.json\r\n"
            "Sec-WebSocket-Extensions: permessage-deflate\r\n",
            "X-A: b\r\n"),
        101);
    answer_is("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
              "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
              "Sec-WebSocket-Protocol: headgate.v1.json\r\nX-A: b\r\n\r\n");
}
END_TEST

START_TEST(subprotocol_of_another_case_or_name_is_not_answered)
{
    ck_assert_int_eq(
        handshake(GET, UP VERSION KEY "Sec-WebSocket-Protocol: Headgate.v1.json, x\r\n", ""), 101);
    ck_assert_ptr_null(memmem(out.bytes, out.len, "Protocol:", 9));
    buf_fini(&out);
}
END_TEST

START_TEST(keys_may_use_the_whole_alphabet)
{
    ck_assert_int_eq(
        handshake(GET, UP VERSION "Sec-WebSocket-Key: AZaz09+/mMnN5678bByYgA==\r\n", ""), 101);
    buf_fini(&out);
    ck_assert_int_eq(
        handshake(GET, UP VERSION "Sec-WebSocket-Key: AZaz09-_mMnN5678bByYgA==\r\n", ""), 400);
}
END_TEST

START_TEST(faulty_handshakes_are_refused_and_append_nothing)
{
    static const struct {
        const char *line, *headers;
        int status;
    } cases[] = {
        {"POST /s HTTP/1.1", UP VERSION KEY, 405},
        {"HEAD /s HTTP/1.1", UP VERSION KEY, 405},
        {"GET /s HTTP/1.0", UP VERSION KEY, 400},
        {GET, "Upgrade: websocket\r\n" VERSION KEY, 400},
        {GET, "Connection: close\r\nUpgrade: websocket\r\n" VERSION KEY, 400},
        {GET, "Connection: upgraded\r\nUpgrade: websocket\r\n" VERSION KEY, 400},
        {GET, "Connection: Upgrade\r\nUpgrade: websocket, h2c\r\n" VERSION KEY, 400},
        {GET, UP "Upgrade: websocket\r\n" VERSION KEY, 400},
        {GET, "Connection: Upgrade\r\nUpgrade: h2c\r\n" VERSION KEY, 400},
        {GET, UP "Content-Length: 3\r\n" VERSION KEY, 400},
        {GET, UP KEY, 426},
        {GET, UP KEY "Sec-WebSocket-Version: 99\r\n", 426},
        {GET, UP KEY "Sec-WebSocket-Version: 8, 13\r\n", 426},
        {GET, UP KEY VERSION VERSION, 426},
        {GET, UP KEY "Sec-WebSocket-Version: 013\r\n", 426},
        {GET, UP VERSION, 400},
        {GET, UP VERSION KEY KEY, 400},
        {GET, UP VERSION "Sec-WebSocket-Key:\r\n", 400},
        {GET, UP VERSION "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ\r\n", 400},
        {GET, UP VERSION "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=\r\n", 400},
        {GET, UP VERSION "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQA=\r\n", 400},
        {GET, UP VERSION "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=A\r\n", 400},
        {GET, UP VERSION "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQAA\r\n", 400},
        {GET, UP VERSION "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25j*Q==\r\n", 400},
        {GET, UP VERSION "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==AAAA\r\n", 400},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int status = handshake(cases[i].line, cases[i].headers, "");
        ck_assert_msg(status == cases[i].status, "case %zu: %d", i, status);
        ck_assert_uint_eq(out.len, 0);
        ck_assert_ptr_nonnull(reason);
    }
}
END_TEST

START_TEST(other_upgrades_are_no_websocket)
{
    handshake(GET, "Connection: Upgrade\r\nUpgrade: h2c\r\n", "");
    ck_assert(!ws_is_upgrade(&request));
    handshake(GET, "Connection: Upgrade\r\nUpgrade: websockets\r\n", "");
    ck_assert(!ws_is_upgrade(&request));
    handshake(GET, "", "");
    ck_assert(!ws_is_upgrade(&request));
}
END_TEST

/* --- frames --- */

/* Append a masked frame: first is the first byte, payload may be NULL for len bytes of 'x'. */
static void
add_frame(struct buf *to, unsigned first, const char *payload, size_t len)
{
    static const unsigned char mask[4] = {0x37, 0xfa, 0x21, 0x3d};
    unsigned char head[WS_FRAME_HEAD_MAX];
    size_t n = ws_frame_head(head, WS_OP_TEXT, len);
    head[0] = (unsigned char)first;
    head[1] |= 0x80;
    buf_add(to, head, n);
    buf_add(to, mask, 4);
    for (size_t i = 0; i < len; i++) {
        buf_addc(to, (char)((unsigned char)(payload == NULL ? 'x' : payload[i]) ^ mask[i & 3]));
    }
}

#define FIN 0x80u

/* Feed bytes in pieces and write down the events: "T5:hello", "F1002" and so on, one after another.
 */
static void
note(struct buf *log, enum ws_event event, const struct ws_parser *parser)
{
    static const char letters[] = {'?', 'T', 'B', 'I', 'O', 'C', 'F'};
    buf_addf(log, "%c", letters[event]);
    if (event == WS_CLOSE || event == WS_FAILED) {
        buf_addf(log, "%d", parser->code);
    }
    if (event == WS_FAILED) {
        ck_assert_ptr_nonnull(parser->reason);
    } else {
        ck_assert_ptr_nonnull(parser->data);
        buf_addf(log, "%zu:", parser->data_len);
        buf_add(log, parser->data, parser->data_len < 64 ? parser->data_len : 64);
    }
    buf_addc(log, ' ');
}

/* Feed one piece from a heap copy of its own, so that the sanitizer sees any look beyond it. */
static bool
feed(struct ws_parser *parser, struct buf *log, const char *bytes, size_t len)
{
    char *copy = malloc(len == 0 ? 1 : len);
    size_t at = 0;
    enum ws_event event;
    memcpy(copy, bytes, len);
    while ((event = ws_parse(parser, copy, len, &at)) != WS_MORE) {
        note(log, event, parser);
        if (event == WS_FAILED) {
            break;
        }
    }
    if (event == WS_MORE) {
        ck_assert_uint_eq(at, len);
    }
    free(copy);
    return event == WS_MORE;
}

static void
run(const struct buf *in, size_t split, size_t step, const char *want)
{
    struct ws_parser parser;
    struct buf log;
    bool alive;
    ws_parser_init(&parser, LIMIT);
    buf_init(&log);
    alive = feed(&parser, &log, in->bytes, split);
    for (size_t at = split; alive && at < in->len; at += step) {
        alive = feed(&parser, &log, in->bytes + at, in->len - at < step ? in->len - at : step);
    }
    ck_assert_msg(
        log.len == strlen(want) && memcmp(log.bytes == NULL ? "" : log.bytes, want, log.len) == 0,
        "split at %zu by %zu: got %.*s, want %s", split, step, (int)log.len,
        log.bytes == NULL ? "" : log.bytes, want);
    if (alive && parser.message_opcode == 0 && parser.head_len == 0 && !parser.in_payload) {
        ck_assert_ptr_null(parser.message.bytes);
        ck_assert_ptr_null(parser.control.bytes);
    }
    ws_parser_fini(&parser);
    buf_fini(&log);
}

/* Whole, in two pieces at every place, and byte by byte. Consumes in. */
static void
events_are(struct buf *in, const char *want)
{
    if (in->len <= 4096) {
        for (size_t split = 0; split <= in->len; split++) {
            run(in, split, in->len + 1, want);
        }
    }
    run(in, 0, 1, want);
    run(in, in->len, 1, want);
    buf_fini(in);
}

START_TEST(messages_and_control_frames_come_out_at_any_split)
{
    struct buf in;
    buf_init(&in);
    add_frame(&in, FIN | WS_OP_TEXT, "hello", 5);
    add_frame(&in, FIN | WS_OP_TEXT, "", 0);
    add_frame(&in, FIN | WS_OP_BINARY, "\377\376", 2);
    add_frame(&in, FIN | WS_OP_PING, "p", 1);
    add_frame(&in, FIN | WS_OP_PONG, "", 0);
    add_frame(&in, FIN | WS_OP_TEXT, "\316\272\341\275\271\360\237\230\200", 9);
    add_frame(&in, FIN | WS_OP_CLOSE, "\003\350bye", 5);
    events_are(&in,
        "T5:hello T0: B2:\377\376 I1:p O0: T9:\316\272\341\275\271\360\237\230\200 C10003:bye ");
}
END_TEST

START_TEST(control_frames_interleave_with_fragments)
{
    struct buf in;
    buf_init(&in);
    add_frame(&in, WS_OP_TEXT, "ab", 2);
    add_frame(&in, FIN | WS_OP_PING, "1", 1);
    add_frame(&in, 0, "", 0);
    add_frame(&in, FIN | WS_OP_PONG, "2", 1);
    add_frame(&in, 0, "c\316", 2);
    add_frame(&in, FIN | WS_OP_PING, NULL, 125);
    add_frame(&in, FIN, "\272", 1);
    add_frame(&in, FIN | WS_OP_BINARY, "z", 1);
    events_are(&in,
        "I1:1 O1:2 I125:xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx "
        "T5:abc\316\272 B1:z ");
}
END_TEST

START_TEST(all_three_length_forms_are_read)
{
    static const size_t lens[] = {125, 126, 127, 1000, 65535, 65536, LIMIT};
    for (size_t i = 0; i < sizeof lens / sizeof *lens; i++) {
        struct buf in;
        char want[128];
        buf_init(&in);
        add_frame(&in, FIN | WS_OP_BINARY, NULL, lens[i]);
        snprintf(want, sizeof want, "B%zu:%.64s ", lens[i],
            "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx");
        events_are(&in, want);
    }
}
END_TEST

static void
raw_is(const char *bytes, size_t len, const char *want)
{
    struct buf in;
    buf_init(&in);
    buf_add(&in, bytes, len);
    events_are(&in, want);
}
#define RAW(literal, want) raw_is(literal, sizeof(literal) - 1, want)

START_TEST(broken_heads_end_the_connection)
{
    RAW("\x81\x01z", "F1002 "); /* not masked */
    RAW("\x81\x00", "F1002 ");  /* not masked, empty */
    RAW("\xc1\x80", "F1002 ");  /* RSV1 */
    RAW("\xa1\x80", "F1002 ");  /* RSV2 */
    RAW("\x91\x80", "F1002 ");  /* RSV3 */
    RAW("\x83\x80", "F1002 ");  /* reserved opcodes */
    RAW("\x87\x80", "F1002 ");
    RAW("\x8b\x80", "F1002 ");
    RAW("\x8f\x80", "F1002 ");
    RAW("\x80\x80", "F1002 "); /* continuation of nothing */
    RAW("\x09\x80", "F1002 "); /* fragmented ping */
    RAW("\x08\x80", "F1002 "); /* fragmented close */
    RAW("\x89\xfe", "F1002 "); /* long ping */
    RAW("\x88\xff", "F1002 "); /* long close */
    RAW("\x81\xfe\x00\x7d"
        "mask",
        "F1002 "); /* length not in its shortest form */
    RAW("\x81\xff\0\0\0\0\0\0\xff\xff"
        "mask",
        "F1002 ");
    RAW("\x81\xff\x80\0\0\0\0\0\0\0"
        "mask",
        "F1002 ");
}
END_TEST

START_TEST(huge_length_is_refused_from_the_head)
{
    RAW("\x82\xff\0\0\x01\0\0\0\0\0mask", "F1009 "); /* 1 TiB */
    RAW("\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xffmask", "F1009 ");
    RAW("\x82\xff\0\0\0\0\0\x01\x86\xa1mask", "F1009 "); /* LIMIT + 1 */
}
END_TEST

START_TEST(fragments_together_are_bounded)
{
    struct buf in;
    buf_init(&in);
    add_frame(&in, WS_OP_BINARY, NULL, 60000);
    add_frame(&in, 0, NULL, 40000);
    add_frame(&in, FIN, NULL, 1);
    run(&in, in.len, 1, "F1009 ");
    run(&in, 0, 997, "F1009 ");
    buf_fini(&in);
}
END_TEST

START_TEST(message_of_exactly_the_limit_may_end_with_an_empty_fragment)
{
    struct buf in;
    char want[128];
    buf_init(&in);
    add_frame(&in, WS_OP_BINARY, NULL, LIMIT);
    add_frame(&in, FIN, "", 0);
    snprintf(want, sizeof want, "B%d:%.64s ", LIMIT,
        "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx");
    run(&in, 0, 997, want);
    buf_fini(&in);
}
END_TEST

START_TEST(many_empty_fragments_cost_no_memory)
{
    struct ws_parser parser;
    struct buf frame;
    size_t at = 0;
    ws_parser_init(&parser, LIMIT);
    buf_init(&frame);
    add_frame(&frame, WS_OP_TEXT, "", 0);
    ck_assert_int_eq(ws_parse(&parser, frame.bytes, frame.len, &at), WS_MORE);
    buf_fini(&frame);
    add_frame(&frame, 0, "", 0);
    for (int i = 0; i < 300000; i++) {
        at = 0;
        ck_assert_int_eq(ws_parse(&parser, frame.bytes, frame.len, &at), WS_MORE);
    }
    ck_assert_ptr_null(parser.message.bytes);
    buf_fini(&frame);
    ws_parser_fini(&parser);
}
END_TEST

START_TEST(announced_bytes_are_not_allocated_before_they_come)
{
    struct ws_parser parser;
    size_t at = 0;
    ws_parser_init(&parser, UINT64_MAX);
    ck_assert_int_eq(ws_parse(&parser, "\x82\xff\0\0\x01\0\0\0\0\0maskx", 15, &at), WS_MORE);
    ck_assert_uint_eq(at, 15);
    ck_assert_uint_lt(parser.message.cap, 1024);
    ws_parser_fini(&parser);
}
END_TEST

START_TEST(data_frames_must_fit_the_open_message)
{
    struct buf in;
    buf_init(&in);
    add_frame(&in, WS_OP_TEXT, "a", 1);
    add_frame(&in, FIN | WS_OP_TEXT, "b", 1);
    events_are(&in, "F1002 ");
    add_frame(&in, FIN | WS_OP_TEXT, "a", 1);
    add_frame(&in, FIN, "b", 1);
    events_are(&in, "T1:a F1002 ");
}
END_TEST

static void
text_is(const char *bytes, size_t len, bool valid)
{
    struct buf in;
    char want[96];
    buf_init(&in);
    add_frame(&in, FIN | WS_OP_TEXT, bytes, len);
    snprintf(want, sizeof want, valid ? "T%zu:%.*s " : "F1007 ", len, (int)len, bytes);
    events_are(&in, want);
}
#define TEXT(literal, valid) text_is(literal, sizeof(literal) - 1, valid)

START_TEST(text_must_be_utf8)
{
    TEXT("\x7f", true);
    TEXT("\xc2\x80", true);
    TEXT("\xdf\xbf", true);
    TEXT("\xe0\xa0\x80", true);
    TEXT("\xed\x9f\xbf", true);
    TEXT("\xee\x80\x80", true);
    TEXT("\xef\xbf\xbf", true);
    TEXT("\xf0\x90\x80\x80", true);
    TEXT("\xf4\x8f\xbf\xbf", true);
    TEXT("\x80", false);
    TEXT("\xbf", false);
    TEXT("\xc0\x80", false);
    TEXT("\xc1\xbf", false);
    TEXT("\xc2", false);
    TEXT("\xc2\x41", false);
    TEXT("\xe0\x9f\xbf", false);
    TEXT("\xed\xa0\x80", false);
    TEXT("\xed\xbf\xbf", false);
    TEXT("\xe1\x80", false);
    TEXT("\xe1\x80\xc0", false);
    TEXT("\xf0\x8f\xbf\xbf", false);
    TEXT("\xf0\x90\x80", false);
    TEXT("\xf4\x90\x80\x80", false);
    TEXT("\xf5\x80\x80\x80", false);
    TEXT("\xfe", false);
    TEXT("\xff", false);
}
END_TEST

START_TEST(bad_utf8_fails_before_the_frame_ends)
{
    struct ws_parser parser;
    struct buf in;
    size_t at = 0;
    buf_init(&in);
    add_frame(&in, WS_OP_TEXT, "ab\xed\xa0yyyyyyy", 11);
    ws_parser_init(&parser, LIMIT);
    ck_assert_int_eq(ws_parse(&parser, in.bytes, 6 + 4, &at), WS_FAILED);
    ck_assert_int_eq(parser.code, 1007);
    ck_assert_int_eq(ws_parse(&parser, in.bytes, in.len, &at), WS_FAILED);
    ck_assert_int_eq(parser.code, 1007);
    ck_assert_ptr_null(parser.message.bytes);
    ws_parser_fini(&parser);
    buf_fini(&in);
}
END_TEST

START_TEST(binary_messages_may_hold_any_bytes_after_text)
{
    struct buf in;
    buf_init(&in);
    add_frame(&in, FIN | WS_OP_TEXT, "a", 1);
    add_frame(&in, WS_OP_BINARY, "\xff", 1);
    add_frame(&in, FIN, "\xc0", 1);
    add_frame(&in, FIN | WS_OP_TEXT, "b", 1);
    events_are(&in, "T1:a B2:\xff\xc0 T1:b ");
}
END_TEST

START_TEST(close_codes_are_checked)
{
    for (unsigned code = 0; code < 65536; code += code < 5200 ? 1 : 997) {
        struct buf in;
        char payload[2] = {(char)(code >> 8), (char)(code & 0xff)};
        char want[32];
        bool valid =
            (code >= 1000 && code <= 1014 && code != 1004 && code != 1005 && code != 1006) ||
            (code >= 3000 && code <= 4999);
        buf_init(&in);
        add_frame(&in, FIN | WS_OP_CLOSE, payload, 2);
        snprintf(want, sizeof want, valid ? "C%u0: " : "F1002 ", code);
        run(&in, in.len, 1, want);
        buf_fini(&in);
    }
}
END_TEST

START_TEST(close_payloads_are_checked)
{
    struct buf in;
    buf_init(&in);
    add_frame(&in, FIN | WS_OP_CLOSE, "", 0);
    events_are(&in, "C10050: ");
    add_frame(&in, FIN | WS_OP_CLOSE, "\x03", 1);
    events_are(&in, "F1002 ");
    add_frame(&in, FIN | WS_OP_CLOSE, "\x03\xe8\xff", 3);
    events_are(&in, "F1007 ");
    add_frame(&in, FIN | WS_OP_CLOSE, "\x03\xe8\xc2", 3);
    events_are(&in, "F1007 ");
}
END_TEST

START_TEST(bytes_after_a_close_are_swallowed)
{
    struct buf in;
    buf_init(&in);
    add_frame(&in, FIN | WS_OP_CLOSE, "\x03\xe8", 2);
    add_frame(&in, FIN | WS_OP_TEXT, "late", 4);
    buf_adds(&in, "\x01garbage");
    events_are(&in, "C10000: ");
}
END_TEST

/* --- frames that we make --- */

START_TEST(frame_heads_use_the_shortest_form)
{
    unsigned char head[WS_FRAME_HEAD_MAX];
    ck_assert_uint_eq(ws_frame_head(head, WS_OP_TEXT, 0), 2);
    ck_assert_mem_eq(head, "\x81\x00", 2);
    ck_assert_uint_eq(ws_frame_head(head, WS_OP_PING, 125), 2);
    ck_assert_mem_eq(head, "\x89\x7d", 2);
    ck_assert_uint_eq(ws_frame_head(head, WS_OP_BINARY, 126), 4);
    ck_assert_mem_eq(head, "\x82\x7e\x00\x7e", 4);
    ck_assert_uint_eq(ws_frame_head(head, WS_OP_TEXT, 65535), 4);
    ck_assert_mem_eq(head, "\x81\x7e\xff\xff", 4);
    ck_assert_uint_eq(ws_frame_head(head, WS_OP_TEXT, 65536), 10);
    ck_assert_mem_eq(head, "\x81\x7f\0\0\0\0\0\x01\0\0", 10);
    ck_assert_uint_eq(ws_frame_head(head, WS_OP_TEXT, UINT64_C(0x0102030405060708)), 10);
    ck_assert_mem_eq(head, "\x81\x7f\x01\x02\x03\x04\x05\x06\x07\x08", 10);
}
END_TEST

START_TEST(close_reasons_are_cut_at_a_character)
{
    struct buf close;
    char text[200];
    buf_init(&close);
    ws_add_close(&close, 4001, "too slow");
    ck_assert_uint_eq(close.len, 12);
    ck_assert_mem_eq(close.bytes, "\x88\x0a\x0f\xa1too slow", 12);
    buf_fini(&close);
    ws_add_close(&close, 1005, "not sent");
    ck_assert_uint_eq(close.len, 2);
    ck_assert_mem_eq(close.bytes, "\x88\x00", 2);
    buf_fini(&close);
    for (size_t lead = 120; lead <= 124; lead++) {
        memset(text, 'a', lead);
        strcpy(text + lead, "\xf0\x9f\x98\x80zzz");
        ws_add_close(&close, 1000, text);
        size_t kept = lead > 123 ? 123 : lead;
        ck_assert_uint_eq(close.len, 4 + kept);
        ck_assert_uint_eq((unsigned char)close.bytes[1], 2 + kept);
        buf_fini(&close);
    }
    memset(text, 'a', 123);
    text[123] = '\0';
    ws_add_close(&close, 1000, text);
    ck_assert_uint_eq(close.len, 127);
    buf_fini(&close);
}
END_TEST

UNIT_MAIN("ws", handshake_of_the_rfc_gets_its_accept_value,
    offered_subprotocol_is_answered_with_extra_lines,
    subprotocol_of_another_case_or_name_is_not_answered, keys_may_use_the_whole_alphabet,
    faulty_handshakes_are_refused_and_append_nothing, other_upgrades_are_no_websocket,
    messages_and_control_frames_come_out_at_any_split, control_frames_interleave_with_fragments,
    all_three_length_forms_are_read, broken_heads_end_the_connection,
    huge_length_is_refused_from_the_head, fragments_together_are_bounded,
    message_of_exactly_the_limit_may_end_with_an_empty_fragment,
    many_empty_fragments_cost_no_memory, announced_bytes_are_not_allocated_before_they_come,
    data_frames_must_fit_the_open_message, text_must_be_utf8, bad_utf8_fails_before_the_frame_ends,
    binary_messages_may_hold_any_bytes_after_text, close_codes_are_checked,
    close_payloads_are_checked, bytes_after_a_close_are_swallowed,
    frame_heads_use_the_shortest_form, close_reasons_are_cut_at_a_character)
