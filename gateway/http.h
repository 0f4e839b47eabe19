/* http: HTTP/1.x request heads from untrusted clients, strictly, and response heads.
 *
 * We parse ourselves because what Debian 12's libwebsockets lets through (CL with TE, two Hosts,
 * bare LF, Upgrade: h2c, CONNECT into raw mode, a use-after-free on a second Upgrade) cannot all be
 * refused from its callbacks; see gateway/DESIGN.md. RFC 9112; anything it says a server may or
 * must reject is rejected. No allocation: slices point into the caller's bytes. Thread any. */
#ifndef HEADGATE_HTTP_H
#define HEADGATE_HTTP_H

#include "buf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HTTP_HEAD_MAX 16384  /* bytes of a request head, request line included: 431 beyond */
#define HTTP_TARGET_MAX 8192 /* 414 beyond */
#define HTTP_BODY_MAX 8192   /* of a body that is read at all: 413 beyond */
#define HTTP_HEADERS_MAX 100 /* 431 beyond */

struct slice {
    const char *at;
    size_t len;
};

enum http_method {
    HTTP_GET,
    HTTP_HEAD,
    HTTP_OPTIONS,
    HTTP_POST,
    HTTP_PUT,
    HTTP_DELETE,
    HTTP_PATCH,
    HTTP_CONNECT,
    HTTP_TRACE,
    HTTP_METHOD_OTHER /* a valid token that is none of these: 501 */
};

struct http_header {
    struct slice name;  /* as sent */
    struct slice value; /* trimmed */
};

struct http_request {
    enum http_method method;
    struct slice method_name;
    struct slice
        path; /* still percent-encoded; starts with '/', or "*" for OPTIONS; of CONNECT host:port */
    struct slice query; /* without '?'; at is NULL when there is none */
    int minor;          /* HTTP/1.minor: 0 or 1 */
    struct http_header headers[HTTP_HEADERS_MAX];
    size_t n_headers;
    bool keep_alive; /* what the request allows */
    bool has_body;   /* Transfer-Encoding: chunked, or Content-Length above 0 */
    bool chunked;
    uint64_t content_length;
    size_t head_len;   /* bytes of the head, the empty line included */
    struct slice body; /* where a handler wants it: whole; at is NULL when it was not read */
};

enum http_parse {
    HTTP_PARSE_MORE, /* not yet a whole head */
    HTTP_PARSE_DONE,
    HTTP_PARSE_BAD /* answer *status (400, 414, 431, 501, 505) with reason, then close */
};

/* http_parse: look at bytes[0..len) from its start. O(len) a call; MORE is never returned once len
 * reaches HTTP_HEAD_MAX. One CRLF before the request line is skipped. Rejected with 400: bare LF or
 * CR, NUL, obs-fold, space before the colon, no Host or two on 1.1, an invalid Host, a repeated or
 * malformed Content-Length, Content-Length with Transfer-Encoding, Transfer-Encoding on 1.0, a
 * control, non-ASCII or '#' byte in the target. 501: a Transfer-Encoding other than "chunked".
 * 505: not HTTP/1.x. Of an absolute-form target the path is kept.
 * On BAD *status and *reason (a literal) are set; a fault is told as soon as its line is whole.
 * request is whole only after DONE. */
enum http_parse http_parse(
    struct http_request *request, const char *bytes, size_t len, int *status, const char **reason);

/* http_header: the value of the first header of that name (case-insensitive), at NULL if none. */
struct slice http_header(const struct http_request *request, const char *name);
/* http_header_count: how often the header occurs. */
size_t http_header_count(const struct http_request *request, const char *name);
/* http_header_has_token: true when a comma-separated list header (all its occurrences) has the
 * token, case-insensitive. */
bool http_header_has_token(const struct http_request *request, const char *name, const char *token);

/* http_list_next: cut the next member that is not empty off a comma-separated list, trimmed. */
bool http_list_next(struct slice *list, struct slice *member);

/* http_percent_decode: into out (which has room for in.len bytes); plus_is_space for query strings.
 * Returns the length, or -1 for a broken escape or a NUL. */
ptrdiff_t http_percent_decode(struct slice in, char *out, bool plus_is_space);

bool slice_eq(struct slice slice, const char *text);        /* exact */
bool slice_eq_nocase(struct slice slice, const char *text); /* ASCII case folded */

/* http_reason_phrase: "Not Found" for 404; "" when not known. */
const char *http_reason_phrase(int status);

/* http_accept_quality: the quality, 0 to 1000, that the Accept headers give to a media type such as
 * "text/event-stream", by the most specific range that matches (RFC 9110 section 12.5.1). Without
 * an Accept header, or with an empty one, it is 1000; malformed members are ignored. *specificity
 * is set to 3 for an exact match, 2 for a subtype wildcard, 1 for a full wildcard or no header, 0
 * for no match. */
int http_accept_quality(const struct http_request *request, const char *type, int *specificity);

#endif
