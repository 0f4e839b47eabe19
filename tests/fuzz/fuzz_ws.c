/* fuzz_ws: a client's frames. The first byte chooses how the rest is cut into pieces, and with its
 * highest bit that permessage-deflate was negotiated; whole and in pieces must give the same
 * events, texts are UTF-8 to a second judge, and nothing is held between messages. */
#include "ws.h"

#include <stdlib.h>
#include <string.h>

#define LIMIT 4096

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static void
must(int condition)
{
    if (!condition) {
        abort();
    }
}

/* UTF-8 by decoding, written apart from the parser's state machine. */
static int
is_utf8(const char *text, size_t len)
{
    static const uint32_t least[] = {0, 0x80, 0x800, 0x10000};
    for (size_t i = 0; i < len;) {
        unsigned char lead = (unsigned char)text[i++];
        size_t more = lead < 0x80       ? 0
                      : lead >> 5 == 6  ? 1
                      : lead >> 4 == 14 ? 2
                      : lead >> 3 == 30 ? 3
                                        : 9;
        if (more == 9 || more > len - i) {
            return 0;
        }
        uint32_t point = more == 0 ? lead : lead & (0x3fu >> more);
        for (size_t k = 0; k < more; k++) {
            unsigned char c = (unsigned char)text[i++];
            if ((c & 0xc0) != 0x80) {
                return 0;
            }
            point = point << 6 | (c & 0x3fu);
        }
        if (point < least[more] || point > 0x10ffff || (point >= 0xd800 && point <= 0xdfff)) {
            return 0;
        }
    }
    return 1;
}

static void
note(struct buf *log, enum ws_event event, const struct ws_parser *parser)
{
    buf_addc(log, (char)event);
    if (event == WS_CLOSE || event == WS_FAILED) {
        buf_addu64(log, (uint64_t)parser->code);
    }
    if (event == WS_FAILED) {
        must(parser->reason != NULL && parser->message.bytes == NULL);
        return;
    }
    must(parser->data != NULL && parser->data_len <= LIMIT);
    must((event != WS_TEXT && event != WS_CLOSE) || is_utf8(parser->data, parser->data_len));
    buf_add(log, parser->data, parser->data_len);
}

static void
run(const char *bytes, size_t len, size_t step, bool deflate, struct buf *log)
{
    struct ws_parser parser;
    enum ws_event event = WS_MORE;
    ws_parser_init(&parser, LIMIT);
    parser.deflate = deflate;
    for (size_t from = 0; from < len && event != WS_FAILED; from += step) {
        size_t end = len - from < step ? len : from + step;
        size_t at = from;
        while ((event = ws_parse(&parser, bytes, end, &at)) != WS_MORE) {
            note(log, event, &parser);
            if (event == WS_FAILED) {
                break;
            }
        }
        must(event == WS_FAILED || at == end);
        must(parser.message.len <= LIMIT && parser.control.len <= 125);
        if (event == WS_MORE && parser.message_opcode == 0 && !parser.in_payload) {
            must(parser.message.bytes == NULL && parser.control.bytes == NULL);
        }
    }
    ws_parser_fini(&parser);
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct buf whole, pieces;
    if (len == 0) {
        return 0;
    }
    buf_init(&whole);
    buf_init(&pieces);
    bool deflate = (bytes[0] & 0x80) != 0;
    run((const char *)bytes + 1, len - 1, len, deflate, &whole);
    run((const char *)bytes + 1, len - 1, 1 + bytes[0] % 16, deflate, &pieces);
    must(whole.len == pieces.len);
    must(whole.len == 0 || memcmp(whole.bytes, pieces.bytes, whole.len) == 0);
    buf_fini(&whole);
    buf_fini(&pieces);
    return 0;
}
