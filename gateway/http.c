/* http: the request head, line by line, so that a fault is answered as soon as its line is there.
 * Any thread. What bodies hold and who may ask is not decided here. */
#include "http.h"

#include "http_target.h"

#include <string.h>

/* One parse in progress. */
struct reader {
    const char *bytes;
    size_t end; /* no further than HTTP_HEAD_MAX */
    size_t at;
    bool at_limit; /* end is HTTP_HEAD_MAX: more bytes cannot help */
    int status;
    const char *reason;
};

static char
fold(char c)
{
    return (char)(c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c);
}

bool
slice_eq(struct slice slice, const char *text)
{
    return slice.len == strlen(text) && memcmp(slice.at, text, slice.len) == 0;
}

bool
slice_eq_nocase(struct slice slice, const char *text)
{
    if (slice.len != strlen(text)) {
        return false;
    }
    for (size_t i = 0; i < slice.len; i++) {
        if (fold(slice.at[i]) != fold(text[i])) {
            return false;
        }
    }
    return true;
}

static bool
is_token_char(char c)
{
    return (c >= '0' && c <= '9') || (fold(c) >= 'a' && fold(c) <= 'z') ||
           (c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

static size_t
token_len(struct slice text)
{
    size_t len = 0;
    while (len < text.len && is_token_char(text.at[len])) {
        len++;
    }
    return len;
}

static bool
is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static struct slice
trim(struct slice text)
{
    while (text.len != 0 && is_blank(text.at[0])) {
        text.at++;
        text.len--;
    }
    while (text.len != 0 && is_blank(text.at[text.len - 1])) {
        text.len--;
    }
    return text;
}

static enum http_parse
refuse(struct reader *reader, int status, const char *reason)
{
    reader->status = status;
    reader->reason = reason;
    return HTTP_PARSE_BAD;
}

/* The next line without its CRLF. Control bytes are refused here, so that a bare CR, a bare LF or a
 * NUL is found even in a line that never ends. */
static enum http_parse
take_line(struct reader *reader, struct slice *line)
{
    for (size_t i = reader->at; i < reader->end; i++) {
        unsigned char c = (unsigned char)reader->bytes[i];
        if (c == '\r') {
            if (i + 1 == reader->end) {
                return HTTP_PARSE_MORE;
            }
            if (reader->bytes[i + 1] != '\n') {
                return refuse(reader, 400, "bare CR in the head");
            }
            *line = (struct slice){reader->bytes + reader->at, i - reader->at};
            reader->at = i + 2;
            return HTTP_PARSE_DONE;
        }
        if ((c < 0x20 && c != '\t') || c == 0x7f) {
            return refuse(reader, 400, "control byte in the head");
        }
    }
    return HTTP_PARSE_MORE;
}

static enum http_method
method_of(struct slice name)
{
    static const char *const names[] = {
        "GET", "HEAD", "OPTIONS", "POST", "PUT", "DELETE", "PATCH", "CONNECT", "TRACE"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (slice_eq(name, names[i])) {
            return (enum http_method)i;
        }
    }
    return HTTP_METHOD_OTHER;
}

static bool
is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static enum http_parse
parse_version(struct reader *reader, struct http_request *request, struct slice version)
{
    if (version.len != 8 || memcmp(version.at, "HTTP/", 5) != 0 || !is_digit(version.at[5]) ||
        version.at[6] != '.' || !is_digit(version.at[7])) {
        return refuse(reader, 400, "invalid HTTP version");
    }
    if (version.at[5] != '1') {
        return refuse(reader, 505, "only HTTP/1.1 and HTTP/1.0 are served");
    }
    request->minor = version.at[7] == '0' ? 0 : 1;
    return HTTP_PARSE_DONE;
}

static enum http_parse
parse_request_line(struct reader *reader, struct http_request *request, struct slice line)
{
    size_t method = token_len(line);
    if (method == 0 || method == line.len || line.at[method] != ' ') {
        return refuse(reader, 400, "invalid request line");
    }
    request->method_name = (struct slice){line.at, method};
    request->method = method_of(request->method_name);
    struct slice rest = {line.at + method + 1, line.len - method - 1};
    const char *space = memchr(rest.at, ' ', rest.len);
    size_t target_len = space == NULL ? rest.len : (size_t)(space - rest.at);
    if (target_len > HTTP_TARGET_MAX) {
        return refuse(reader, 414, "request target too long");
    }
    if (space == NULL || target_len == 0) {
        return refuse(reader, 400, "invalid request line");
    }
    struct slice version = {space + 1, rest.len - target_len - 1};
    enum http_parse got = parse_version(reader, request, version);
    if (got != HTTP_PARSE_DONE) {
        return got;
    }
    const char *fault = http_target_parse(request, (struct slice){rest.at, target_len});
    return fault == NULL ? HTTP_PARSE_DONE : refuse(reader, 400, fault);
}

/* A request line that is not whole yet: what can be said of it already. */
static enum http_parse
look_at_partial_request_line(struct reader *reader)
{
    struct slice part = {reader->bytes + reader->at, reader->end - reader->at};
    size_t method = token_len(part);
    if (part.len != 0 && (method == 0 || (method < part.len && part.at[method] != ' ')) &&
        part.at[0] != '\r') {
        return refuse(reader, 400, "invalid request line");
    }
    if (reader->at_limit || (method < part.len && part.len - method > HTTP_TARGET_MAX + 64)) {
        return refuse(reader, 414, "request line too long");
    }
    return HTTP_PARSE_MORE;
}

static enum http_parse
take_request_line(struct reader *reader, struct http_request *request)
{
    struct slice line;
    if (reader->end >= 2 && reader->bytes[0] == '\r' && reader->bytes[1] == '\n') {
        reader->at = 2;
    }
    enum http_parse got = take_line(reader, &line);
    switch (got) {
    case HTTP_PARSE_MORE:
        return look_at_partial_request_line(reader);
    case HTTP_PARSE_BAD:
        return got;
    case HTTP_PARSE_DONE:
        break;
    }
    return parse_request_line(reader, request, line);
}

static enum http_parse
add_header(struct reader *reader, struct http_request *request, struct slice line)
{
    if (is_blank(line.at[0])) {
        return refuse(reader, 400, "folded header line");
    }
    size_t name = token_len(line);
    if (name == 0 || name == line.len || line.at[name] != ':') {
        return refuse(reader, 400, "invalid header line");
    }
    if (request->n_headers == HTTP_HEADERS_MAX) {
        return refuse(reader, 431, "too many headers");
    }
    struct http_header *header = &request->headers[request->n_headers++];
    header->name = (struct slice){line.at, name};
    header->value = trim((struct slice){line.at + name + 1, line.len - name - 1});
    return HTTP_PARSE_DONE;
}

static enum http_parse
take_headers(struct reader *reader, struct http_request *request)
{
    for (;;) {
        struct slice line;
        enum http_parse got = take_line(reader, &line);
        if (got == HTTP_PARSE_MORE && reader->at_limit) {
            return refuse(reader, 431, "head too long");
        }
        if (got != HTTP_PARSE_DONE) {
            return got;
        }
        if (line.len == 0) {
            return HTTP_PARSE_DONE;
        }
        got = add_header(reader, request, line);
        if (got != HTTP_PARSE_DONE) {
            return got;
        }
    }
}

static enum http_parse
check_host(struct reader *reader, const struct http_request *request)
{
    size_t count = http_header_count(request, "Host");
    if (count > 1) {
        return refuse(reader, 400, "more than one Host header");
    }
    if (count == 0) {
        return request->minor == 0 ? HTTP_PARSE_DONE : refuse(reader, 400, "no Host header");
    }
    return http_target_host_valid(http_header(request, "Host"))
               ? HTTP_PARSE_DONE
               : refuse(reader, 400, "invalid Host header");
}

static bool
parse_length(struct slice digits, uint64_t *value)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < digits.len; i++) {
        if (!is_digit(digits.at[i])) {
            return false;
        }
        unsigned digit = (unsigned)(digits.at[i] - '0');
        if (sum > (UINT64_MAX - digit) / 10) {
            return false;
        }
        sum = sum * 10 + digit;
    }
    *value = sum;
    return digits.len != 0;
}

/* RFC 9112 section 6: whatever two parsers could frame differently is refused. */
static enum http_parse
check_body(struct reader *reader, struct http_request *request)
{
    size_t codings = http_header_count(request, "Transfer-Encoding");
    size_t lengths = http_header_count(request, "Content-Length");
    if (lengths > 1) {
        return refuse(reader, 400, "more than one Content-Length header");
    }
    if (lengths == 1 &&
        !parse_length(http_header(request, "Content-Length"), &request->content_length)) {
        return refuse(reader, 400, "invalid Content-Length");
    }
    if (codings != 0) {
        if (lengths != 0) {
            return refuse(reader, 400, "Content-Length with Transfer-Encoding");
        }
        if (request->minor == 0) {
            return refuse(reader, 400, "Transfer-Encoding in HTTP/1.0");
        }
        if (codings > 1) {
            return refuse(reader, 400, "more than one Transfer-Encoding header");
        }
        if (!slice_eq_nocase(http_header(request, "Transfer-Encoding"), "chunked")) {
            return refuse(reader, 501, "only the chunked transfer coding is served");
        }
        request->chunked = true;
    }
    request->has_body = request->chunked || request->content_length > 0;
    return HTTP_PARSE_DONE;
}

static bool
may_keep_alive(const struct http_request *request)
{
    if (request->method == HTTP_CONNECT || http_header_has_token(request, "Connection", "close")) {
        return false;
    }
    return request->minor == 1 || http_header_has_token(request, "Connection", "keep-alive");
}

static enum http_parse
parse_head(struct reader *reader, struct http_request *request)
{
    enum http_parse got = take_request_line(reader, request);
    if (got == HTTP_PARSE_DONE) {
        got = take_headers(reader, request);
    }
    if (got == HTTP_PARSE_DONE) {
        got = check_host(reader, request);
    }
    if (got == HTTP_PARSE_DONE) {
        got = check_body(reader, request);
    }
    return got;
}

enum http_parse
http_parse(
    struct http_request *request, const char *bytes, size_t len, int *status, const char **reason)
{
    struct reader reader = {.bytes = bytes, .end = len, .at_limit = len >= HTTP_HEAD_MAX};
    if (reader.at_limit) {
        reader.end = HTTP_HEAD_MAX;
    }
    request->n_headers = 0;
    request->content_length = 0;
    request->chunked = false;
    request->has_body = false;
    enum http_parse got = parse_head(&reader, request);
    if (got == HTTP_PARSE_BAD) {
        *status = reader.status;
        *reason = reader.reason;
    } else if (got == HTTP_PARSE_DONE) {
        request->keep_alive = may_keep_alive(request);
        request->head_len = reader.at;
    }
    return got;
}

struct slice
http_header(const struct http_request *request, const char *name)
{
    for (size_t i = 0; i < request->n_headers; i++) {
        if (slice_eq_nocase(request->headers[i].name, name)) {
            return request->headers[i].value;
        }
    }
    return (struct slice){NULL, 0};
}

size_t
http_header_count(const struct http_request *request, const char *name)
{
    size_t count = 0;
    for (size_t i = 0; i < request->n_headers; i++) {
        count += slice_eq_nocase(request->headers[i].name, name);
    }
    return count;
}

bool
http_list_next(struct slice *list, struct slice *member)
{
    while (list->len != 0) {
        const char *comma = memchr(list->at, ',', list->len);
        size_t len = comma == NULL ? list->len : (size_t)(comma - list->at);
        size_t used = comma == NULL ? len : len + 1;
        *member = trim((struct slice){list->at, len});
        list->at += used;
        list->len -= used;
        if (member->len != 0) {
            return true;
        }
    }
    return false;
}

bool
http_header_has_token(const struct http_request *request, const char *name, const char *token)
{
    for (size_t i = 0; i < request->n_headers; i++) {
        struct slice list = request->headers[i].value;
        struct slice member;
        if (!slice_eq_nocase(request->headers[i].name, name)) {
            continue;
        }
        while (http_list_next(&list, &member)) {
            if (slice_eq_nocase(member, token)) {
                return true;
            }
        }
    }
    return false;
}
