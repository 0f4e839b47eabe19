/* fuzz_http: a request head and its helpers. Beyond memory errors it checks what http.h promises:
 * slices inside the input, no MORE at the limit, and a BAD prefix never becoming good. */
#include "http.h"
#include "ws.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static void
must(int condition)
{
    if (!condition) {
        abort();
    }
}

static void
inside(struct slice slice, const char *bytes, size_t len)
{
    must(slice.len == 0 || (slice.at >= bytes && slice.at + slice.len <= bytes + len));
}

static void
check_request(const struct http_request *request, const char *bytes, size_t len)
{
    static const char *const types[] = {"text/event-stream", "application/x-ndjson"};
    char decoded[HTTP_TARGET_MAX];
    int specificity = -1;
    must(request->head_len <= len && request->head_len <= HTTP_HEAD_MAX);
    must(request->n_headers <= HTTP_HEADERS_MAX);
    if (!slice_eq(request->path, "/")) { /* of an absolute target it may be a literal */
        inside(request->path, bytes, request->head_len);
    }
    inside(request->query, bytes, request->head_len);
    must(request->path.len <= HTTP_TARGET_MAX && request->query.len <= HTTP_TARGET_MAX);
    must(!(request->chunked && request->content_length != 0));
    for (size_t i = 0; i < request->n_headers; i++) {
        inside(request->headers[i].name, bytes, request->head_len);
        inside(request->headers[i].value, bytes, request->head_len);
        must(memchr(request->headers[i].value.at, '\n', request->headers[i].value.len) == NULL);
    }
    must(http_percent_decode(request->path, decoded, false) <= (ptrdiff_t)request->path.len);
    must(http_percent_decode(request->query, decoded, true) <= (ptrdiff_t)request->query.len);
    for (size_t i = 0; i < 2; i++) {
        int quality = http_accept_quality(request, types[i], &specificity);
        must(quality >= 0 && quality <= 1000 && specificity >= 0 && specificity <= 3);
    }
}

static void
check_handshake(const struct http_request *request)
{
    struct buf out;
    const char *reason = NULL;
    buf_init(&out);
    int status = ws_handshake(request, "", &out, &reason);
    must(status == 101 || (out.len == 0 && reason != NULL));
    must(status != 101 || (request->method == HTTP_GET && ws_is_upgrade(request)));
    buf_fini(&out);
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    static struct http_request request;
    const char *text = (const char *)bytes;
    const char *reason = NULL;
    int status = 0;
    enum http_parse whole = http_parse(&request, text, len, &status, &reason);
    must(whole != HTTP_PARSE_MORE || len < HTTP_HEAD_MAX);
    if (whole == HTTP_PARSE_DONE) {
        check_request(&request, text, len);
        check_handshake(&request);
    } else if (whole == HTTP_PARSE_BAD) {
        must(reason != NULL);
        must(status == 400 || status == 414 || status == 431 || status == 501 || status == 505);
    }
    enum http_parse half = http_parse(&request, text, len / 2, &status, &reason);
    must(half != HTTP_PARSE_BAD || whole == HTTP_PARSE_BAD);
    must(half != HTTP_PARSE_DONE || whole == HTTP_PARSE_DONE);
    return 0;
}
