/* http_body: see http_body.h. One byte at a time between pieces of content, which are skipped
 * whole. */
#include "http_body.h"

#define DIGITS_MAX 15 /* of a chunk's size: it cannot overflow */

void
http_body_init(struct http_body *body, const struct http_request *request)
{
    *body = (struct http_body){.state = HTTP_BODY_LENGTH, .left = request->content_length};
    if (request->chunked) {
        body->state = HTTP_BODY_SIZE;
    } else if (request->content_length == 0) {
        body->state = HTTP_BODY_DONE;
    }
}

static int
hex_value(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static enum http_body_state
take_size(struct http_body *body, char c)
{
    int value = hex_value(c);
    if (value >= 0) {
        if (++body->digits > DIGITS_MAX) {
            return HTTP_BODY_BROKEN;
        }
        body->left = body->left * 16 + (uint64_t)value;
        return HTTP_BODY_SIZE;
    }
    if (body->digits == 0) {
        return HTTP_BODY_BROKEN;
    }
    body->last = body->left == 0;
    return c == '\r'                           ? HTTP_BODY_SIZE_LF
           : c == ';' || c == ' ' || c == '\t' ? HTTP_BODY_EXTENSION
                                               : HTTP_BODY_BROKEN;
}

/* Of an extension or a trailer, up to its CR. */
static enum http_body_state
take_extra(struct http_body *body, char c, enum http_body_state here, enum http_body_state feed)
{
    if (++body->extra > HTTP_BODY_EXTRA_MAX) {
        return HTTP_BODY_BROKEN;
    }
    if (c == '\r') {
        return feed;
    }
    bool control = ((unsigned char)c < 0x20 && c != '\t') || c == 0x7f;
    return control ? HTTP_BODY_BROKEN : here;
}

static enum http_body_state
take_feed(char c, enum http_body_state next)
{
    return c == '\n' ? next : HTTP_BODY_BROKEN;
}

static enum http_body_state
begin_size(struct http_body *body)
{
    body->left = 0;
    body->digits = 0;
    return HTTP_BODY_SIZE;
}

/* What a byte outside of content leads to. */
static enum http_body_state
take_byte(struct http_body *body, char c)
{
    switch (body->state) {
    case HTTP_BODY_SIZE:
        return take_size(body, c);
    case HTTP_BODY_EXTENSION:
        return take_extra(body, c, HTTP_BODY_EXTENSION, HTTP_BODY_SIZE_LF);
    case HTTP_BODY_SIZE_LF:
        return take_feed(c, body->last ? HTTP_BODY_TRAILER_START : HTTP_BODY_CHUNK);
    case HTTP_BODY_CHUNK_CR:
        return c == '\r' ? HTTP_BODY_CHUNK_LF : HTTP_BODY_BROKEN;
    case HTTP_BODY_CHUNK_LF:
        return c == '\n' ? begin_size(body) : HTTP_BODY_BROKEN;
    case HTTP_BODY_TRAILER_START:
        return c == '\r' ? HTTP_BODY_LAST_LF
                         : take_extra(body, c, HTTP_BODY_TRAILER, HTTP_BODY_BROKEN);
    case HTTP_BODY_TRAILER:
        return take_extra(body, c, HTTP_BODY_TRAILER, HTTP_BODY_TRAILER_LF);
    case HTTP_BODY_TRAILER_LF:
        return take_feed(c, HTTP_BODY_TRAILER_START);
    case HTTP_BODY_LAST_LF:
        return take_feed(c, HTTP_BODY_DONE);
    case HTTP_BODY_LENGTH:
    case HTTP_BODY_CHUNK:
    case HTTP_BODY_DONE:
    case HTTP_BODY_BROKEN:
        break;
    }
    return HTTP_BODY_BROKEN;
}

static enum http_body_got
take_content(struct http_body *body, const char **at, const char *end, struct slice *data)
{
    uint64_t there = (uint64_t)(end - *at);
    size_t len = (size_t)(there < body->left ? there : body->left);
    *data = (struct slice){*at, len};
    *at += len;
    body->left -= len;
    body->extra = 0;
    if (body->left == 0) {
        body->state = body->state == HTTP_BODY_LENGTH ? HTTP_BODY_DONE : HTTP_BODY_CHUNK_CR;
    }
    return HTTP_BODY_DATA;
}

enum http_body_got
http_body_next(struct http_body *body, const char **at, const char *end, struct slice *data)
{
    for (;;) {
        if (body->state == HTTP_BODY_DONE) {
            return HTTP_BODY_END;
        }
        if (body->state == HTTP_BODY_BROKEN) {
            return HTTP_BODY_BAD;
        }
        if (*at == end) {
            return HTTP_BODY_MORE;
        }
        if (body->state == HTTP_BODY_LENGTH || body->state == HTTP_BODY_CHUNK) {
            return take_content(body, at, end, data);
        }
        body->state = take_byte(body, *(*at)++);
    }
}

void
http_body_unread(struct http_body *body, size_t len)
{
    if (len > 0) {
        body->left += len;
        body->state = body->state == HTTP_BODY_DONE || body->state == HTTP_BODY_LENGTH
                          ? HTTP_BODY_LENGTH
                          : HTTP_BODY_CHUNK;
    }
}
