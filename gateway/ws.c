/* ws: the frames of a client, byte by byte (RFC 6455 section 5), and heads and close frames for it.
 * The thread of the connection. permessage-deflate is the only extension there may be, so all other
 * reserved bits are a fault. */
#include "ws.h"

#include "ws_deflate.h"

#include <assert.h>
#include <string.h>

#define OP_CONTINUATION 0u
#define CONTROL_MAX 125u
#define RSV1 0x40u

/* One step of UTF-8 (RFC 3629 section 4). The state is 0 between characters, else the count of
 * continuation bytes to come in the low byte and the bounds of the next one above it: so overlongs,
 * surrogates and what is beyond U+10FFFF fail at the byte that shows it. */
static bool
utf8_step(uint32_t *state, unsigned char c)
{
    uint32_t need = *state & 0xff;
    if (need != 0) {
        if (c < (*state >> 8 & 0xff) || c > (*state >> 16 & 0xff)) {
            return false;
        }
        *state = need == 1 ? 0 : (0xbf8000u | (need - 1));
        return true;
    }
    if (c < 0x80) {
        return true;
    }
    if (c < 0xc2 || c > 0xf4) {
        return false;
    }
    uint32_t low = c == 0xe0 ? 0xa0 : c == 0xf0 ? 0x90 : 0x80;
    uint32_t high = c == 0xed ? 0x9f : c == 0xf4 ? 0x8f : 0xbf;
    need = c < 0xe0 ? 1 : c < 0xf0 ? 2 : 3;
    *state = high << 16 | low << 8 | need;
    return true;
}

static bool
utf8_feed(uint32_t *state, const char *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (!utf8_step(state, (unsigned char)bytes[i])) {
            return false;
        }
    }
    return true;
}

void
ws_parser_init(struct ws_parser *parser, uint64_t max_message_bytes)
{
    *parser = (struct ws_parser){.max_message_bytes = max_message_bytes, .head_need = 2};
    buf_init(&parser->message);
    buf_init(&parser->control);
}

void
ws_parser_fini(struct ws_parser *parser)
{
    buf_fini(&parser->message);
    buf_fini(&parser->control);
}

static enum ws_event
fail(struct ws_parser *parser, int code, const char *reason)
{
    ws_parser_fini(parser);
    parser->failed = true;
    parser->code = code;
    parser->reason = reason;
    parser->data = NULL;
    parser->data_len = 0;
    return WS_FAILED;
}

static enum ws_event
deliver(struct ws_parser *parser, enum ws_event event, const char *data, size_t len)
{
    parser->data = data == NULL ? "" : data;
    parser->data_len = len;
    return event;
}

/* Take back what the last event lent: nothing is kept for a next message that may never come. */
static void
release(struct ws_parser *parser)
{
    if (parser->data != NULL) {
        parser->data = NULL;
        parser->data_len = 0;
        buf_fini(&parser->control);
        if (parser->message_opcode == 0) {
            buf_fini(&parser->message);
        }
    }
}

static bool
is_control(const struct ws_parser *parser)
{
    return (parser->opcode & 8) != 0;
}

/* The first two bytes. WS_MORE: nothing wrong so far. */
static enum ws_event
check_first_bytes(struct ws_parser *parser)
{
    unsigned first = parser->head[0];
    unsigned second = parser->head[1];
    unsigned len = second & 0x7f;
    unsigned opcode = first & 0x0f;
    parser->fin = (first & 0x80) != 0;
    parser->opcode = (unsigned char)opcode;
    bool begins = opcode == WS_OP_TEXT || opcode == WS_OP_BINARY; /* RFC 7692 section 6.1 */
    if ((first & (parser->deflate && begins ? 0x70 & ~RSV1 : 0x70)) != 0) {
        return fail(parser, 1002, "reserved bits are set");
    }
    if (opcode > WS_OP_PONG || (opcode > WS_OP_BINARY && opcode < WS_OP_CLOSE)) {
        return fail(parser, 1002, "unknown opcode");
    }
    if ((second & 0x80) == 0) {
        return fail(parser, 1002, "frame is not masked");
    }
    if (is_control(parser)) {
        if (!parser->fin) {
            return fail(parser, 1002, "fragmented control frame");
        }
        if (len > CONTROL_MAX) {
            return fail(parser, 1002, "control frame too long");
        }
    } else if (opcode == OP_CONTINUATION && parser->message_opcode == 0) {
        return fail(parser, 1002, "continuation of no message");
    } else if (opcode != OP_CONTINUATION && parser->message_opcode != 0) {
        return fail(parser, 1002, "new message inside a fragmented one");
    }
    parser->head_need = 6 + (len == 126 ? 2 : len == 127 ? 8 : 0);
    return WS_MORE;
}

/* The payload length; false when it is not in its shortest form or has the top bit set. */
static bool
payload_len(const struct ws_parser *parser, uint64_t *len)
{
    unsigned bytes = parser->head_need - 6;
    uint64_t value = parser->head[1] & 0x7f;
    if (bytes != 0) {
        value = 0;
        for (unsigned i = 0; i < bytes; i++) {
            value = value << 8 | parser->head[2 + i];
        }
    }
    *len = value;
    return bytes == 0 || (bytes == 2 ? value > CONTROL_MAX : value > 0xffff && value >> 63 == 0);
}

/* The head is whole. The limit is checked against the announced length, before a byte of it is
 * held. */
static enum ws_event
begin_payload(struct ws_parser *parser)
{
    if (!payload_len(parser, &parser->remaining)) {
        return fail(parser, 1002, "invalid frame length");
    }
    if (!is_control(parser)) {
        if (parser->message.len > parser->max_message_bytes ||
            parser->remaining > parser->max_message_bytes - parser->message.len) {
            return fail(parser, 1009, "message too big");
        }
        if (parser->opcode != OP_CONTINUATION) {
            parser->message_opcode = parser->opcode;
            parser->compressed = (parser->head[0] & RSV1) != 0;
            parser->utf8_state = 0;
        }
    }
    memcpy(parser->mask, parser->head + parser->head_need - 4, 4);
    parser->mask_at = 0;
    parser->in_payload = true;
    parser->head_len = 0;
    parser->head_need = 2;
    return WS_MORE;
}

static enum ws_event
take_head(struct ws_parser *parser, const char *bytes, size_t len, size_t *at)
{
    while (*at < len) {
        parser->head[parser->head_len++] = (unsigned char)bytes[(*at)++];
        if (parser->head_len == 2 && check_first_bytes(parser) == WS_FAILED) {
            return WS_FAILED;
        }
        if (parser->head_len == parser->head_need) {
            return begin_payload(parser);
        }
    }
    return WS_MORE;
}

static enum ws_event
take_payload(struct ws_parser *parser, const char *bytes, size_t len, size_t *at)
{
    size_t n = len - *at;
    if (n > parser->remaining) {
        n = (size_t)parser->remaining;
    }
    assert(n != 0);
    struct buf *into = is_control(parser) ? &parser->control : &parser->message;
    char *out = buf_reserve(into, n);
    for (size_t i = 0; i < n; i++) {
        out[i] = (char)((unsigned char)bytes[*at + i] ^ parser->mask[(parser->mask_at + i) & 3]);
    }
    into->len += n;
    *at += n;
    parser->mask_at = (unsigned)((parser->mask_at + n) & 3);
    parser->remaining -= n;
    if (!is_control(parser) && parser->message_opcode == WS_OP_TEXT && !parser->compressed &&
        !utf8_feed(&parser->utf8_state, out, n)) {
        return fail(parser, 1007, "text is not UTF-8");
    }
    return WS_MORE;
}

/* What may stand in a close frame: RFC 6455 section 7.4 and the IANA registry. 1004 to 1006 and
 * 1015 are reserved, 1012 to 1014 were registered later. */
static bool
close_code_valid(int code)
{
    return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) ||
           (code >= 3000 && code <= 4999);
}

static enum ws_event
finish_close(struct ws_parser *parser)
{
    const struct buf *control = &parser->control;
    if (control->len == 0) {
        parser->code = 1005;
        parser->closed = true;
        return deliver(parser, WS_CLOSE, NULL, 0);
    }
    if (control->len == 1) {
        return fail(parser, 1002, "close frame with half a code");
    }
    int code = (unsigned char)control->bytes[0] << 8 | (unsigned char)control->bytes[1];
    if (!close_code_valid(code)) {
        return fail(parser, 1002, "invalid close code");
    }
    uint32_t state = 0;
    if (!utf8_feed(&state, control->bytes + 2, control->len - 2) || state != 0) {
        return fail(parser, 1007, "close reason is not UTF-8");
    }
    parser->code = code;
    parser->closed = true;
    return deliver(parser, WS_CLOSE, control->bytes + 2, control->len - 2);
}

/* The message is whole. WS_MORE: nothing is wrong with it. */
static enum ws_event
inflate_message(struct ws_parser *parser)
{
    struct buf *message = &parser->message;
    switch (ws_deflate_inflate(message, parser->max_message_bytes)) {
    case 0:
        break;
    case 1009:
        return fail(parser, 1009, "message too big");
    default:
        return fail(parser, 1007, "message is not deflate");
    }
    if (parser->message_opcode == WS_OP_TEXT &&
        !utf8_feed(&parser->utf8_state, message->bytes, message->len)) {
        return fail(parser, 1007, "text is not UTF-8");
    }
    return WS_MORE;
}

static enum ws_event
finish_frame(struct ws_parser *parser)
{
    parser->in_payload = false;
    if (is_control(parser)) {
        if (parser->opcode == WS_OP_CLOSE) {
            return finish_close(parser);
        }
        return deliver(parser, parser->opcode == WS_OP_PING ? WS_PING : WS_PONG,
            parser->control.bytes, parser->control.len);
    }
    if (!parser->fin) {
        return WS_MORE;
    }
    bool text = parser->message_opcode == WS_OP_TEXT;
    if (parser->compressed && inflate_message(parser) == WS_FAILED) {
        return WS_FAILED;
    }
    if (text && parser->utf8_state != 0) {
        return fail(parser, 1007, "text ends inside a character");
    }
    parser->message_opcode = 0;
    return deliver(parser, text ? WS_TEXT : WS_BINARY, parser->message.bytes, parser->message.len);
}

enum ws_event
ws_parse(struct ws_parser *parser, const char *bytes, size_t len, size_t *at)
{
    assert(*at <= len);
    if (parser->failed) {
        return WS_FAILED;
    }
    release(parser);
    if (parser->closed) {
        *at = len;
        return WS_MORE;
    }
    while (*at < len) {
        enum ws_event event = parser->in_payload ? take_payload(parser, bytes, len, at)
                                                 : take_head(parser, bytes, len, at);
        if (event == WS_MORE && parser->in_payload && parser->remaining == 0) {
            event = finish_frame(parser);
        }
        if (event != WS_MORE) {
            return event;
        }
    }
    return WS_MORE;
}

size_t
ws_frame_head(unsigned char out[WS_FRAME_HEAD_MAX], unsigned opcode, uint64_t len)
{
    unsigned bytes = len <= CONTROL_MAX ? 0 : len <= 0xffff ? 2 : 8;
    out[0] = (unsigned char)(0x80 | opcode);
    out[1] = (unsigned char)(bytes == 0 ? len : bytes == 2 ? 126 : 127);
    for (unsigned i = 0; i < bytes; i++) {
        out[2 + i] = (unsigned char)(len >> (8 * (bytes - 1 - i)));
    }
    return 2 + bytes;
}

void
ws_add_close(struct buf *out, int code, const char *reason)
{
    unsigned char head[WS_FRAME_HEAD_MAX];
    if (code == 1005) {
        buf_add(out, head, ws_frame_head(head, WS_OP_CLOSE, 0));
        return;
    }
    size_t len = strlen(reason);
    if (len > CONTROL_MAX - 2) {
        len = CONTROL_MAX - 2;
        while (len != 0 && ((unsigned char)reason[len] & 0xc0) == 0x80) {
            len--;
        }
    }
    buf_add(out, head, ws_frame_head(head, WS_OP_CLOSE, len + 2));
    buf_addc(out, (char)(code >> 8));
    buf_addc(out, (char)(code & 0xff));
    buf_add(out, reason, len);
}
