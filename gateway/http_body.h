/* http_body: the body of a request as it arrives: a Content-Length's bytes, or chunks (RFC 9112
 * section 7.1), from untrusted clients, strictly. Nothing is held: slices point into the caller's
 * bytes. Chunk extensions and trailers are read and passed over, HTTP_BODY_EXTRA_MAX bytes of them
 * a chunk at the most. Thread  any. */
#ifndef HEADGATE_HTTP_BODY_H
#define HEADGATE_HTTP_BODY_H

#include "http.h"

#include <stdbool.h>
#include <stdint.h>

#define HTTP_BODY_EXTRA_MAX 1024

enum http_body_state {
    HTTP_BODY_LENGTH, /* left bytes of a Content-Length */
    HTTP_BODY_SIZE,   /* a chunk's size */
    HTTP_BODY_EXTENSION,
    HTTP_BODY_SIZE_LF,
    HTTP_BODY_CHUNK, /* left bytes of one */
    HTTP_BODY_CHUNK_CR,
    HTTP_BODY_CHUNK_LF,
    HTTP_BODY_TRAILER_START, /* of a line */
    HTTP_BODY_TRAILER,
    HTTP_BODY_TRAILER_LF,
    HTTP_BODY_LAST_LF,
    HTTP_BODY_DONE,
    HTTP_BODY_BROKEN
};

struct http_body {
    enum http_body_state state;
    uint64_t left;
    unsigned digits; /* of a chunk's size so far */
    bool last;       /* the size was 0 */
    size_t extra;    /* bytes of extensions and trailers since the last data */
};

enum http_body_got {
    HTTP_BODY_MORE, /* all bytes are taken, the body goes on */
    HTTP_BODY_DATA, /* a piece of the body's content is in *data */
    HTTP_BODY_END,  /* the body is whole; what is left belongs to the next request */
    HTTP_BODY_BAD   /* it is framed wrongly: 400, and nothing behind it can be trusted */
};

/* http_body_init: of a request whose head is parsed; without a body it ends at once. */
void http_body_init(struct http_body *body, const struct http_request *request);

/* http_body_next: read from *at on and move it behind what was taken. *data, with DATA, ends at
 * *at and is never empty. */
enum http_body_got http_body_next(
    struct http_body *body, const char **at, const char *end, struct slice *data);

/* http_body_unread: the last len bytes of the data that was just given were not wanted yet: they
 * come again. The caller moves its place back. */
void http_body_unread(struct http_body *body, size_t len);

#endif
