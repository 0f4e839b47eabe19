/* ws_handshake: the opening handshake (RFC 6455 section 4.2). No thread, no state. */
#include "ws.h"

#include <openssl/evp.h>
#include <string.h>

#define SUBPROTOCOL "headgate.v1.json"
#define KEY_LEN 24 /* 16 bytes in base64 */

bool
ws_is_upgrade(const struct http_request *request)
{
    return http_header_has_token(request, "Upgrade", "websocket");
}

/* 22 characters carry the 16 bytes, "==" pads them. The unused bits of the last one are not
 * checked: the RFC asks only that it decodes to 16 bytes. */
static bool
key_valid(struct slice key)
{
    if (key.len != KEY_LEN || key.at[22] != '=' || key.at[23] != '=') {
        return false;
    }
    for (size_t i = 0; i < 22; i++) {
        char c = key.at[i];
        if (!((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
                c == '+' || c == '/')) {
            return false;
        }
    }
    return true;
}

static bool
single_value_is(const struct http_request *request, const char *name, const char *value)
{
    return http_header_count(request, name) == 1 &&
           slice_eq_nocase(http_header(request, name), value);
}

/* The status to refuse with, 101 when there is nothing to refuse. */
static int
check(const struct http_request *request, const char **reason)
{
    if (request->method != HTTP_GET) {
        *reason = "a WebSocket is opened with GET";
        return 405;
    }
    if (request->minor != 1) {
        *reason = "a WebSocket needs HTTP/1.1";
        return 400;
    }
    if (request->has_body) {
        *reason = "a WebSocket request has no body";
        return 400;
    }
    if (!http_header_has_token(request, "Connection", "upgrade")) {
        *reason = "the Connection header lacks \"upgrade\": a proxy may have removed it";
        return 400;
    }
    if (!single_value_is(request, "Upgrade", "websocket")) {
        *reason = "the Upgrade header must be \"websocket\" alone";
        return 400;
    }
    if (!single_value_is(request, "Sec-WebSocket-Version", "13")) {
        *reason = "only Sec-WebSocket-Version 13 is served";
        return 426;
    }
    if (http_header_count(request, "Sec-WebSocket-Key") != 1 ||
        !key_valid(http_header(request, "Sec-WebSocket-Key"))) {
        *reason = "Sec-WebSocket-Key must be 16 bytes in base64, once";
        return 400;
    }
    return 101;
}

/* Subprotocols are compared with case (RFC 6455 section 11.3.4), unlike other tokens. */
static bool
offers_subprotocol(const struct http_request *request)
{
    for (size_t i = 0; i < request->n_headers; i++) {
        struct slice list = request->headers[i].value;
        struct slice member;
        if (!slice_eq_nocase(request->headers[i].name, "Sec-WebSocket-Protocol")) {
            continue;
        }
        while (http_list_next(&list, &member)) {
            if (slice_eq(member, SUBPROTOCOL)) {
                return true;
            }
        }
    }
    return false;
}

static void
add_accept(struct buf *out, struct slice key)
{
    static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    unsigned char text[KEY_LEN + sizeof guid - 1];
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned digest_len = 0;
    unsigned char base64[4 * ((EVP_MAX_MD_SIZE + 2) / 3) + 1];
    memcpy(text, key.at, KEY_LEN);
    memcpy(text + KEY_LEN, guid, sizeof guid - 1);
    if (EVP_Digest(text, sizeof text, digest, &digest_len, EVP_sha1(), NULL) != 1) {
        /* A crypto policy without SHA-1: the client then sees a wrong accept value and closes. */
        digest_len = 0;
    }
    int len = EVP_EncodeBlock(base64, digest, (int)digest_len);
    buf_add(out, base64, (size_t)len);
}

int
ws_handshake(
    const struct http_request *request, const char *extra, struct buf *out, const char **reason)
{
    int status = check(request, reason);
    if (status != 101) {
        return status;
    }
    BUF_LITERAL(out, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                     "Connection: Upgrade\r\nSec-WebSocket-Accept: ");
    add_accept(out, http_header(request, "Sec-WebSocket-Key"));
    BUF_LITERAL(out, "\r\n");
    if (offers_subprotocol(request)) {
        BUF_LITERAL(out, "Sec-WebSocket-Protocol: " SUBPROTOCOL "\r\n");
    }
    buf_adds(out, extra);
    BUF_LITERAL(out, "\r\n");
    return 101;
}
