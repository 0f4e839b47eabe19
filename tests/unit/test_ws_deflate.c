/* test_ws_deflate: offers of permessage-deflate, and messages that clients compress. */
#include "unit.h"
#include "ws.h"
#include "ws_deflate.h"

#include <string.h>
#include <zlib.h>

/* ---- offers ---- */

#define PLAIN                                                                                      \
    "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; "                   \
    "client_no_context_takeover\r\n"
#define WITH_15                                                                                    \
    "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; "                   \
    "client_no_context_takeover; server_max_window_bits=15\r\n"

static void
check_offer(const char *first, const char *second, const char *answer)
{
    struct http_request request = {.method = HTTP_GET};
    struct buf line;
    const char *const values[] = {first, second};
    for (size_t i = 0; i < 2 && values[i] != NULL; i++) {
        request.headers[request.n_headers++] =
            (struct http_header){{"Sec-WebSocket-Extensions", 24}, {values[i], strlen(values[i])}};
    }
    buf_init(&line);
    bool accepted = ws_deflate_accept(&request, &line);
    buf_addc(&line, '\0');
    ck_assert_msg(strcmp(line.bytes, answer) == 0, "%s: %s", first, line.bytes);
    ck_assert_int_eq(accepted, answer[0] != '\0');
    buf_fini(&line);
}

START_TEST(offers_are_accepted_or_passed_over)
{
    static const char *const cases[][2] = {
        {"permessage-deflate", PLAIN},
        {"Permessage-Deflate", PLAIN},
        {"permessage-deflate; client_max_window_bits", PLAIN},
        {"permessage-deflate;client_max_window_bits=9;server_no_context_takeover", PLAIN},
        {"permessage-deflate; client_no_context_takeover; client_max_window_bits=\"15\"", PLAIN},
        {"permessage-deflate; server_max_window_bits=15", WITH_15},
        {"permessage-deflate; server_max_window_bits=\"15\"", WITH_15},
        {"permessage-deflate; server_max_window_bits=10, permessage-deflate", PLAIN},
        {"x-webkit-deflate-frame, permessage-deflate", PLAIN},
        {"foo; a=\"b, permessage-deflate\", bar", ""},
        {"permessage-deflate; server_max_window_bits=14", ""},
        {"permessage-deflate; server_max_window_bits", ""},
        {"permessage-deflate; server_max_window_bits=16", ""},
        {"permessage-deflate; server_max_window_bits=015", ""},
        {"permessage-deflate; client_max_window_bits=7", ""},
        {"permessage-deflate; client_max_window_bits=16", ""},
        {"permessage-deflate; client_max_window_bits=", ""},
        {"permessage-deflate; client_max_window_bits=\"15", ""},
        {"permessage-deflate; server_no_context_takeover=1", ""},
        {"permessage-deflate; server_no_context_takeover; server_no_context_takeover", ""},
        {"permessage-deflate; mode=fast", ""},
        {"permessage-deflate;", ""},
        {"permessage-deflate server_no_context_takeover", ""},
        {"permessage-bzip2", ""},
        {"", ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        check_offer(cases[i][0], NULL, cases[i][1]);
    }
    check_offer("foo", "permessage-deflate", PLAIN);
}
END_TEST

/* ---- messages ---- */

static void
compress_to(struct buf *out, const char *bytes, size_t len, int flush)
{
    z_stream stream = {.zalloc = NULL};
    ck_assert_int_eq(deflateInit2(&stream, 9, Z_DEFLATED, -MAX_WBITS, 8, Z_DEFAULT_STRATEGY), Z_OK);
    size_t room = deflateBound(&stream, len) + 16;
    stream.next_in = (Bytef *)(uintptr_t)bytes;
    stream.avail_in = (uInt)len;
    stream.next_out = (Bytef *)buf_reserve(out, room);
    stream.avail_out = (uInt)room;
    ck_assert_int_ge(deflate(&stream, flush), Z_OK);
    out->len += room - stream.avail_out - (flush == Z_SYNC_FLUSH ? 4 : 0);
    deflateEnd(&stream);
}

START_TEST(message_comes_back_up_to_its_bound)
{
    char text[50000];
    for (size_t len = 0; len <= sizeof text; len = len * 3 + 1) {
        for (size_t most = len == 0 ? 0 : len - 1; most <= len + 1; most++) {
            struct buf message;
            buf_init(&message);
            memset(text, 'a' + (int)(len % 20), sizeof text);
            compress_to(&message, text, len, Z_SYNC_FLUSH);
            ck_assert_int_eq(ws_deflate_inflate(&message, most), most < len ? 1009 : 0);
            ck_assert_uint_eq(message.len, most < len ? 0 : len);
            ck_assert(message.len == 0 || memcmp(message.bytes, text, len) == 0);
            buf_fini(&message);
        }
    }
}
END_TEST

static int
inflated(const char *bytes, size_t len, const char *want)
{
    struct buf message;
    buf_init(&message);
    buf_add(&message, bytes, len);
    int code = ws_deflate_inflate(&message, 1000);
    if (code == 0) {
        ck_assert_uint_eq(message.len, strlen(want));
        ck_assert(message.len == 0 || memcmp(message.bytes, want, message.len) == 0);
    }
    buf_fini(&message);
    return code;
}
#define INFLATED(literal, want) inflated((literal), sizeof(literal) - 1, (want))

START_TEST(examples_of_the_rfc_are_understood)
{
    ck_assert_int_eq(INFLATED("\xf2\x48\xcd\xc9\xc9\x07\x00", "Hello"), 0);
    ck_assert_int_eq(INFLATED("\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00", "Hello"), 0);
    ck_assert_int_eq(INFLATED("\xf3\x48\xcd\xc9\xc9\x07\x00\x00", "Hello"), 0); /* BFINAL */
    ck_assert_int_eq(INFLATED("\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00", "Hello"), 0);
    ck_assert_int_eq(INFLATED("\x00", ""), 0);
}
END_TEST

START_TEST(what_is_not_deflate_or_not_whole_is_refused)
{
    ck_assert_int_eq(INFLATED("", ""), 1007);
    ck_assert_int_eq(INFLATED("hello", ""), 1007);
    ck_assert_int_eq(INFLATED("\xf2\x48\xcd\xc9", ""), 1007);
    ck_assert_int_eq(INFLATED("\xf2\x00\x11\x00\x00", ""), 1007); /* HellHell's reference alone */
    ck_assert_int_eq(INFLATED("\x07", ""), 1007);
    ck_assert_int_eq(
        INFLATED("\xf3\x48\xcd\xc9\xc9\x07\x00", ""), 1007); /* nothing behind BFINAL */
}
END_TEST

START_TEST(bomb_stops_at_the_bound)
{
    static char zeros[16 << 20];
    struct buf message;
    buf_init(&message);
    compress_to(&message, zeros, sizeof zeros, Z_SYNC_FLUSH);
    ck_assert_uint_lt(message.len, 20000);
    ck_assert_int_eq(ws_deflate_inflate(&message, 65536), 1009);
    ck_assert_uint_le(message.cap, 2 * 65536);
    buf_fini(&message);
}
END_TEST

/* ---- frames ---- */

#define FIN 0x80u
#define RSV1 0x40u
#define LIMIT 4096

static void
add_frame(struct buf *out, unsigned first, const char *payload, size_t len)
{
    static const unsigned char mask[4] = {1, 2, 3, 4};
    ck_assert_uint_lt(len, 65536);
    buf_addc(out, (char)first);
    if (len < 126) {
        buf_addc(out, (char)(0x80 | len));
    } else {
        buf_addc(out, (char)(0x80 | 126));
        buf_addc(out, (char)(len >> 8));
        buf_addc(out, (char)(len & 0xff));
    }
    buf_add(out, mask, 4);
    for (size_t i = 0; i < len; i++) {
        buf_addc(out, (char)((unsigned char)payload[i] ^ mask[i % 4]));
    }
}

/* The events of in, byte by byte, as "Thello|F1007 "; consumes it. */
static void
events_are(struct buf *in, bool deflate, const char *want)
{
    struct ws_parser parser;
    struct buf log;
    buf_init(&log);
    ws_parser_init(&parser, LIMIT);
    parser.deflate = deflate;
    for (size_t i = 0; i < in->len; i++) {
        size_t at = 0;
        enum ws_event event;
        while ((event = ws_parse(&parser, in->bytes + i, 1, &at)) != WS_MORE) {
            if (event == WS_FAILED) {
                buf_addf(&log, "F%d", parser.code);
                i = in->len;
                break;
            }
            buf_addc(&log, event == WS_TEXT ? 'T' : event == WS_BINARY ? 'B' : 'C');
            buf_add(&log, parser.data, parser.data_len);
            buf_addc(&log, '|');
        }
    }
    buf_addc(&log, '\0');
    ck_assert_str_eq(log.bytes, want);
    ws_parser_fini(&parser);
    buf_fini(&log);
    buf_fini(in);
}

#define HELLO "\xf2\x48\xcd\xc9\xc9\x07\x00"

START_TEST(compressed_messages_come_out_among_others)
{
    struct buf in;
    buf_init(&in);
    add_frame(&in, FIN | RSV1 | WS_OP_TEXT, HELLO, 7);
    add_frame(&in, FIN | WS_OP_TEXT, "plain", 5);
    add_frame(&in, RSV1 | WS_OP_BINARY, HELLO, 3);
    add_frame(&in, FIN | WS_OP_PING, "p", 1);
    add_frame(&in, FIN, HELLO + 3, 4);
    add_frame(&in, FIN | RSV1 | WS_OP_TEXT, "\0", 1);
    events_are(&in, true, "THello|Tplain|Cp|BHello|T|");
}
END_TEST

START_TEST(reserved_bits_stand_only_where_a_compressed_message_begins)
{
    static const struct {
        unsigned first;
        bool deflate;
    } cases[] = {{FIN | RSV1 | WS_OP_TEXT, false}, {FIN | RSV1 | WS_OP_PING, true},
        {FIN | RSV1 | WS_OP_CLOSE, true}, {FIN | 0x20 | WS_OP_TEXT, true},
        {FIN | 0x10 | RSV1 | WS_OP_TEXT, true}};
    struct buf in;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        buf_init(&in);
        add_frame(&in, cases[i].first, HELLO, 7);
        events_are(&in, cases[i].deflate, "F1002");
    }
    buf_init(&in);
    add_frame(&in, RSV1 | WS_OP_TEXT, HELLO, 3);
    add_frame(&in, FIN | RSV1, HELLO + 3, 4);
    events_are(&in, true, "F1002");
}
END_TEST

START_TEST(compressed_text_is_checked_and_bounded)
{
    static const char zeros[LIMIT + 1];
    struct buf in, message;
    buf_init(&message);
    buf_init(&in);
    compress_to(&message, "a\xff", 2, Z_SYNC_FLUSH);
    add_frame(&in, FIN | RSV1 | WS_OP_TEXT, message.bytes, message.len);
    events_are(&in, true, "F1007");
    buf_init(&in);
    message.len = 0;
    compress_to(&message, "a\xc3", 2, Z_SYNC_FLUSH);
    add_frame(&in, FIN | RSV1 | WS_OP_TEXT, message.bytes, message.len);
    events_are(&in, true, "F1007");
    buf_init(&in);
    message.len = 0;
    compress_to(&message, zeros, sizeof zeros, Z_SYNC_FLUSH);
    add_frame(&in, FIN | RSV1 | WS_OP_TEXT, message.bytes, message.len);
    events_are(&in, true, "F1009");
    buf_init(&in);
    add_frame(&in, FIN | RSV1 | WS_OP_TEXT, "hello", 5);
    events_are(&in, true, "F1007");
    buf_fini(&message);
}
END_TEST

UNIT_MAIN("ws_deflate", offers_are_accepted_or_passed_over, message_comes_back_up_to_its_bound,
    examples_of_the_rfc_are_understood, what_is_not_deflate_or_not_whole_is_refused,
    bomb_stops_at_the_bound, compressed_messages_come_out_among_others,
    reserved_bits_stand_only_where_a_compressed_message_begins,
    compressed_text_is_checked_and_bounded)
