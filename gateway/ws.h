/* ws: the WebSocket protocol, server side (RFC 6455): the opening handshake and the frames of a
 * client. Frames to the client are made by framer_ws.c. Strict: unmasked frames, reserved bits and
 * opcodes, fragmented or long control frames, bad close codes and invalid UTF-8 end the connection
 * with the code that the RFC gives. Thread  the shard that owns the connection. */
#ifndef HEADGATE_WS_H
#define HEADGATE_WS_H

#include "buf.h"
#include "http.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ws_is_upgrade: the request asks for a WebSocket (Upgrade has "websocket"). */
bool ws_is_upgrade(const struct http_request *request);

/* ws_handshake: check the request and append the 101 response head with extra header lines (each
 * ended by CRLF; may be ""). The subprotocol "headgate.v1.json" is answered when it is offered.
 * Returns 101, or the status to refuse with (400, 405, 426) and *reason; nothing is appended then.
 * The refusal of 426 must carry WS_UPGRADE_LINES (RFC 6455 section 4.4, RFC 9110 section 15.5.22),
 * that of 405 "Allow: GET". A request that ws_is_upgrade does not take, "Upgrade: h2c" for one, is
 * answered as an ordinary one. */
#define WS_UPGRADE_LINES                                                                           \
    "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
int ws_handshake(
    const struct http_request *request, const char *extra, struct buf *out, const char **reason);

enum ws_event {
    WS_MORE,   /* the bytes are used up: call again with more */
    WS_TEXT,   /* a whole text message is in data */
    WS_BINARY, /* a whole binary message is in data */
    WS_PING,   /* data is the payload to pong */
    WS_PONG,
    WS_CLOSE, /* the peer's close; code is its code or 1005; data its reason; later bytes are
                 swallowed */
    WS_FAILED /* protocol error: send a close with code and reason, then end */
};

struct ws_parser {
    uint64_t max_message_bytes; /* 1009 beyond, before it is buffered */
    struct buf message;         /* the message so far */
    struct buf control;         /* the control frame so far */
    uint64_t remaining;         /* payload bytes left of the frame */
    unsigned char head[14];
    unsigned head_len, head_need;
    unsigned char mask[4];
    unsigned mask_at;
    unsigned char opcode;         /* of the frame */
    unsigned char message_opcode; /* of the fragmented message, 0 when none is open */
    bool fin;
    bool deflate;    /* permessage-deflate was negotiated: set by the owner after ws_parser_init */
    bool compressed; /* the message is: its UTF-8 is checked once it is whole */
    bool in_payload;
    bool failed;
    bool closed; /* WS_CLOSE was told */
    uint32_t utf8_state;
    int code;           /* of WS_CLOSE and WS_FAILED */
    const char *reason; /* literal, of WS_FAILED */
    const char *data;   /* of the event: lent until the next call */
    size_t data_len;
};

void ws_parser_init(struct ws_parser *parser, uint64_t max_message_bytes);
void ws_parser_fini(struct ws_parser *parser);

/* ws_parse: take bytes[*at..len), advance *at, and return the next event. Call it again until
 * WS_MORE: that call takes back what the event lent. After WS_FAILED it only returns that again.
 * A compressed message counts as what it becomes; it is inflated at its end (ws_deflate.h), and is
 * never larger than max_message_bytes on the way.
 * Holds no more than max_message_bytes + 125 bytes (twice that in allocations, as they double);
 * after WS_MORE between messages none. O(bytes). */
enum ws_event ws_parse(struct ws_parser *parser, const char *bytes, size_t len, size_t *at);

/* ws_frame_head: write the head of an unmasked final frame; returns its length, 2 to 10. */
#define WS_FRAME_HEAD_MAX 10
size_t ws_frame_head(unsigned char out[WS_FRAME_HEAD_MAX], unsigned opcode, uint64_t len);

/* ws_add_close: append a close frame. reason is cut to 123 bytes at a UTF-8 boundary; code 1005,
 * what WS_CLOSE tells for a close without a code, makes one without a code. */
void ws_add_close(struct buf *out, int code, const char *reason);

#define WS_OP_TEXT 1u
#define WS_OP_BINARY 2u
#define WS_OP_CLOSE 8u
#define WS_OP_PING 9u
#define WS_OP_PONG 10u

#endif
