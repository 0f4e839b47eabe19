/* test_http: request heads, whole and broken, the helpers around them, and Accept. */
#include "http.h"

#include "unit.h"

#include <stdio.h>
#include <string.h>

static struct http_request request;

static enum http_parse
parse_len(const char *bytes, size_t len, int *status)
{
    const char *reason = NULL;
    /* A copy of exactly len bytes, so that the sanitizer sees any look beyond them. */
    char *copy = malloc(len == 0 ? 1 : len);
    static char kept[4 * HTTP_HEAD_MAX];
    memcpy(copy, bytes, len);
    *status = 0;
    enum http_parse got = http_parse(&request, copy, len, status, &reason);
    if (got == HTTP_PARSE_BAD) {
        ck_assert_ptr_nonnull(reason);
    }
    free(copy);
    if (got == HTTP_PARSE_DONE) {
        memcpy(kept, bytes, len);
        ck_assert_int_eq(http_parse(&request, kept, len, status, &reason), HTTP_PARSE_DONE);
    }
    return got;
}

static void
must_parse(const char *bytes)
{
    int status;
    ck_assert_msg(
        parse_len(bytes, strlen(bytes), &status) == HTTP_PARSE_DONE, "refused: %s", bytes);
}

#define HOST "Host: a\r\n"
#define G "GET / HTTP/1.1\r\n"

struct bad {
    const char *head;
    int status;
    size_t len; /* 0: strlen */
};

#define NUL_CASE(text, code)                                                                       \
    {                                                                                              \
        text, code, sizeof(text) - 1                                                               \
    }

static const struct bad bads[] = {
    /* lines and bytes */
    {"GET / HTTP/1.1\nHost: a\r\n\r\n", 400, 0},
    {"GET / HTTP/1.1\r\nHost: a\n\r\n", 400, 0},
    {"GET / HTTP/1.1\r\nHost: a\r\n\n", 400, 0},
    {"GET / HTTP/1.1\rHost: a\r\n\r\n", 400, 0},
    {G "Host: a\rX: y\r\n\r\n", 400, 0},
    {G HOST "X: a\r\r\n\r\n", 400, 0},
    {"\r\n\r\n" G HOST "\r\n", 400, 0},
    {"\n" G HOST "\r\n", 400, 0},
    {" " G HOST "\r\n", 400, 0},
    NUL_CASE(G HOST "X: a\0b\r\n\r\n", 400),
    NUL_CASE("GET /\0 HTTP/1.1\r\n" HOST "\r\n", 400),
    NUL_CASE("GET / HTTP/1.1\r\nHo\0st: a\r\n\r\n", 400),
    {G HOST "X: a\001\r\n\r\n", 400, 0},
    {G HOST "X: \177\r\n\r\n", 400, 0},
    {G HOST "X: \033[31m\r\n\r\n", 400, 0},
    {"\026\003\001\002", 400, 0},
    /* request line */
    {"GET\r\n" HOST "\r\n", 400, 0},
    {"GET /\r\n" HOST "\r\n", 400, 0},
    {"GET  / HTTP/1.1\r\n" HOST "\r\n", 400, 0},
    {"GET /  HTTP/1.1\r\n" HOST "\r\n", 400, 0},
    {"GET / HTTP/1.1 \r\n" HOST "\r\n", 400, 0},
    {"GET\t/\tHTTP/1.1\r\n" HOST "\r\n", 400, 0},
    {"GET / a HTTP/1.1\r\n" HOST "\r\n", 400, 0},
    {"G@T / HTTP/1.1\r\n" HOST "\r\n", 400, 0},
    {"G\303\211T / HTTP/1.1\r\n" HOST "\r\n", 400, 0},
    {": / HTTP/1.1\r\n" HOST "\r\n", 400, 0},
    {"GET / HTTP/1.1x\r\n" HOST "\r\n", 400, 0},
    {"GET / http/1.1\r\n" HOST "\r\n", 400, 0},
    {"GET / HTTP/11\r\n" HOST "\r\n", 400, 0},
    {"GET / HTTP/1x1\r\n" HOST "\r\n", 400, 0},
    {"GET / HTTP/1.x\r\n" HOST "\r\n", 400, 0},
    {"GET / HTTP/1.\r\n" HOST "\r\n", 400, 0},
    {"GET / HTTP/1.10\r\n" HOST "\r\n", 400, 0},
    {"GET / HTTP/a.1\r\n" HOST "\r\n", 400, 0},
    {"GET / HTTP/0.9\r\n" HOST "\r\n", 505, 0},
    {"GET / HTTP/2.0\r\n" HOST "\r\n", 505, 0},
    {"GET / HTTP/3.0\r\n" HOST "\r\n", 505, 0},
    {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, 0},
    /* target */
    {"GET a HTTP/1.1\r\n" HOST "\r\n", 400, 0},
    {"GET * HTTP/1.1\r\n" HOST "\r\n", 400, 0},
    {"OPTIONS ** HTTP/1.1\r\n" HOST "\r\n", 400, 0},
    {"GET /#x HTTP/1.1\r\n" HOST "\r\n", 400, 0},
    {"GET /?a#x HTTP/1.1\r\n" HOST "\r\n", 400, 0},
    {"GET /\303\244 HTTP/1.1\r\n" HOST "\r\n", 400, 0},
    {"GET /\tx HTTP/1.1\r\n" HOST "\r\n", 400, 0},
    {"GET /\177 HTTP/1.1\r\n" HOST "\r\n", 400, 0},
    {"GET ftp://a/ HTTP/1.1\r\n" HOST "\r\n", 400, 0},
    {"GET http:/a HTTP/1.1\r\n" HOST "\r\n", 400, 0},
    {"GET http:// HTTP/1.1\r\n" HOST "\r\n", 400, 0},
    {"GET http:///x HTTP/1.1\r\n" HOST "\r\n", 400, 0},
    {"GET http://u:p@a/ HTTP/1.1\r\n" HOST "\r\n", 400, 0},
    {"GET http://a:99999/ HTTP/1.1\r\n" HOST "\r\n", 400, 0},
    {"GET a:80 HTTP/1.1\r\n" HOST "\r\n", 400, 0},
    {"CONNECT / HTTP/1.1\r\n" HOST "\r\n", 400, 0},
    {"CONNECT a HTTP/1.1\r\n" HOST "\r\n", 400, 0},
    {"CONNECT a: HTTP/1.1\r\n" HOST "\r\n", 400, 0},
    /* header lines */
    {G "Host : a\r\n\r\n", 400, 0},
    {G HOST "X : a\r\n\r\n", 400, 0},
    {G HOST "X\t: a\r\n\r\n", 400, 0},
    {G HOST "X\r\n\r\n", 400, 0},
    {G HOST ": a\r\n\r\n", 400, 0},
    {G HOST "X Y: a\r\n\r\n", 400, 0},
    {G HOST "X(Y): a\r\n\r\n", 400, 0},
    {G HOST "\303\244: a\r\n\r\n", 400, 0},
    {G HOST "X: a\r\n b\r\n\r\n", 400, 0},
    {G HOST "X: a\r\n\tb\r\n\r\n", 400, 0},
    {G " Host: a\r\n\r\n", 400, 0},
    {G HOST " \r\n\r\n", 400, 0},
    /* Host */
    {G "\r\n", 400, 0},
    {G "X: y\r\n\r\n", 400, 0},
    {G HOST HOST "\r\n", 400, 0},
    {G HOST "host: b\r\n\r\n", 400, 0},
    {"GET / HTTP/1.0\r\n" HOST HOST "\r\n", 400, 0},
    {"GET http://a/ HTTP/1.1\r\n\r\n", 400, 0},
    {G "Host:\r\n\r\n", 400, 0},
    {G "Host: a b\r\n\r\n", 400, 0},
    {G "Host: a,b\r\n\r\n", 400, 0},
    {G "Host: a/b\r\n\r\n", 400, 0},
    {G "Host: a@b\r\n\r\n", 400, 0},
    {G "Host: a:b\r\n\r\n", 400, 0},
    {G "Host: a:80:80\r\n\r\n", 400, 0},
    {G "Host: a:65536\r\n\r\n", 400, 0},
    {G "Host: a:-1\r\n\r\n", 400, 0},
    {G "Host: :80\r\n\r\n", 400, 0},
    {G "Host: [::1\r\n\r\n", 400, 0},
    {G "Host: [::g]\r\n\r\n", 400, 0},
    {G "Host: []\r\n\r\n", 400, 0},
    {G "Host: [::1]x\r\n\r\n", 400, 0},
    {G "Host: ::1\r\n\r\n", 400, 0},
    {G "Host: \303\244\r\n\r\n", 400, 0},
    /* framing of the body */
    {G HOST "Content-Length: 1\r\nContent-Length: 1\r\n\r\n", 400, 0},
    {G HOST "Content-Length: 1\r\nContent-Length: 2\r\n\r\n", 400, 0},
    {G HOST "Content-Length: 5, 5\r\n\r\n", 400, 0},
    {G HOST "Content-Length: -1\r\n\r\n", 400, 0},
    {G HOST "Content-Length: +5\r\n\r\n", 400, 0},
    {G HOST "Content-Length: 0x5\r\n\r\n", 400, 0},
    {G HOST "Content-Length: 1 2\r\n\r\n", 400, 0},
    {G HOST "Content-Length:\r\n\r\n", 400, 0},
    {G HOST "Content-Length: a\r\n\r\n", 400, 0},
    {G HOST "Content-Length: 1.0\r\n\r\n", 400, 0},
    {G HOST "Content-Length: 18446744073709551616\r\n\r\n", 400, 0},
    {G HOST "Content-Length: 99999999999999999999999999\r\n\r\n", 400, 0},
    {G HOST "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n", 400, 0},
    {G HOST "Transfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n", 400, 0},
    {"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400, 0},
    {G HOST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", 400, 0},
    {G HOST "Transfer-Encoding: gzip\r\n\r\n", 501, 0},
    {G HOST "Transfer-Encoding: gzip, chunked\r\n\r\n", 501, 0},
    {G HOST "Transfer-Encoding: identity\r\n\r\n", 501, 0},
    {G HOST "Transfer-Encoding: xchunked\r\n\r\n", 501, 0},
    {G HOST "Transfer-Encoding: chunked;x=1\r\n\r\n", 501, 0},
    {G HOST "Transfer-Encoding:\r\n\r\n", 501, 0},
};

START_TEST(malformed_heads_get_their_status)
{
    ck_assert_uint_ge(sizeof bads / sizeof *bads, 60);
    for (size_t i = 0; i < sizeof bads / sizeof *bads; i++) {
        int status;
        size_t len = bads[i].len != 0 ? bads[i].len : strlen(bads[i].head);
        enum http_parse got = parse_len(bads[i].head, len, &status);
        ck_assert_msg(got == HTTP_PARSE_BAD && status == bads[i].status,
            "case %zu: got %d, status %d, want %d: %s", i, (int)got, status, bads[i].status,
            bads[i].head);
    }
}
END_TEST

START_TEST(malformed_heads_are_refused_at_any_split)
{
    for (size_t i = 0; i < sizeof bads / sizeof *bads; i++) {
        size_t len = bads[i].len != 0 ? bads[i].len : strlen(bads[i].head);
        bool refused = false;
        for (size_t part = 0; part <= len; part++) {
            int status;
            enum http_parse got = parse_len(bads[i].head, part, &status);
            ck_assert_msg(got != HTTP_PARSE_DONE, "case %zu is taken at %zu bytes", i, part);
            ck_assert_msg(!refused || got == HTTP_PARSE_BAD, "case %zu: BAD, then MORE", i);
            refused = got == HTTP_PARSE_BAD;
        }
        ck_assert(refused);
    }
}
END_TEST

START_TEST(fault_is_told_before_the_head_is_whole)
{
    int status;
    ck_assert_int_eq(parse_len("GET /\n", 6, &status), HTTP_PARSE_BAD);
    ck_assert_int_eq(parse_len("G E", 3, &status), HTTP_PARSE_MORE);
    ck_assert_int_eq(parse_len("\001", 1, &status), HTTP_PARSE_BAD);
    ck_assert_int_eq(parse_len("{\"a\"", 4, &status), HTTP_PARSE_BAD);
    ck_assert_int_eq(parse_len(G "X : y\r\n", strlen(G "X : y\r\n"), &status), HTTP_PARSE_BAD);
}
END_TEST

static const char whole[] =
    "\r\nGET /streams/a%20b?from=-10m&x HTTP/1.1\r\nHost: example.org:8080\r\n"
    "Accept:\ttext/event-stream \r\nX-Empty:\r\nX-Latin: \344\r\n\r\n";

START_TEST(whole_head_is_split_into_its_parts)
{
    must_parse(whole);
    ck_assert_int_eq(request.method, HTTP_GET);
    ck_assert(slice_eq(request.method_name, "GET"));
    ck_assert(slice_eq(request.path, "/streams/a%20b"));
    ck_assert(slice_eq(request.query, "from=-10m&x"));
    ck_assert_int_eq(request.minor, 1);
    ck_assert_uint_eq(request.n_headers, 4);
    ck_assert(slice_eq(http_header(&request, "ACCEPT"), "text/event-stream"));
    ck_assert(slice_eq(http_header(&request, "x-empty"), ""));
    ck_assert_ptr_nonnull(http_header(&request, "x-empty").at);
    ck_assert_ptr_null(http_header(&request, "x-none").at);
    ck_assert(slice_eq(http_header(&request, "X-Latin"), "\344"));
    ck_assert(request.keep_alive && !request.has_body && !request.chunked);
    ck_assert_uint_eq(request.head_len, sizeof whole - 1);
}
END_TEST

START_TEST(every_prefix_of_a_head_wants_more)
{
    for (size_t len = 0; len < sizeof whole - 1; len++) {
        int status;
        ck_assert_msg(parse_len(whole, len, &status) == HTTP_PARSE_MORE, "at %zu", len);
    }
}
END_TEST

START_TEST(bytes_after_the_head_are_left_alone)
{
    must_parse(G HOST "\r\n\n\001garbage");
    ck_assert_uint_eq(request.head_len, strlen(G HOST "\r\n"));
}
END_TEST

START_TEST(absolute_form_keeps_path_and_query)
{
    must_parse("GET http://example.org/p?q HTTP/1.1\r\n" HOST "\r\n");
    ck_assert(slice_eq(request.path, "/p") && slice_eq(request.query, "q"));
    must_parse("GET HTTPS://[::1]:80 HTTP/1.1\r\n" HOST "\r\n");
    ck_assert(slice_eq(request.path, "/"));
    ck_assert_ptr_null(request.query.at);
    must_parse("GET http://a?x=/ HTTP/1.1\r\n" HOST "\r\n");
    ck_assert(slice_eq(request.path, "/") && slice_eq(request.query, "x=/"));
}
END_TEST

START_TEST(hosts_that_exist_are_taken)
{
    static const char *const hosts[] = {"a", "a:", "a:0", "example.org:65535", "127.0.0.1:8080",
        "[::1]", "[2001:db8::1]:80", "my_host.local", "xn--bcher-kva.example", "a.",
        "09azAZ-._.example"};
    for (size_t i = 0; i < sizeof hosts / sizeof *hosts; i++) {
        char head[128];
        snprintf(head, sizeof head, "GET / HTTP/1.1\r\nHost: %s\r\n\r\n", hosts[i]);
        must_parse(head);
    }
}
END_TEST

START_TEST(methods_are_told_apart_by_case)
{
    static const char *const names[] = {"GET", "HEAD", "OPTIONS", "POST", "PUT", "DELETE", "PATCH"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char head[64];
        snprintf(head, sizeof head, "%s / HTTP/1.1\r\n" HOST "\r\n", names[i]);
        must_parse(head);
        ck_assert_uint_eq(request.method, i);
    }
    must_parse("TRACE / HTTP/1.1\r\n" HOST "\r\n");
    ck_assert_int_eq(request.method, HTTP_TRACE);
    must_parse("get / HTTP/1.1\r\n" HOST "\r\n");
    ck_assert_int_eq(request.method, HTTP_METHOD_OTHER);
    must_parse("M-SEARCH / HTTP/1.1\r\n" HOST "\r\n");
    ck_assert_int_eq(request.method, HTTP_METHOD_OTHER);
    ck_assert(slice_eq(request.method_name, "M-SEARCH"));
    must_parse("OPTIONS * HTTP/1.1\r\n" HOST "\r\n");
    ck_assert(slice_eq(request.path, "*"));
}
END_TEST

START_TEST(connect_is_parsed_but_never_kept_alive)
{
    must_parse("CONNECT a:443 HTTP/1.1\r\n" HOST "\r\n");
    ck_assert_int_eq(request.method, HTTP_CONNECT);
    ck_assert(slice_eq(request.path, "a:443"));
    ck_assert(!request.keep_alive);
}
END_TEST

START_TEST(keep_alive_follows_version_and_connection)
{
    must_parse(G HOST "Connection: foo, Close\r\n\r\n");
    ck_assert(!request.keep_alive);
    must_parse("GET / HTTP/1.0\r\n\r\n");
    ck_assert(!request.keep_alive && request.minor == 0);
    must_parse("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n");
    ck_assert(request.keep_alive);
    must_parse("GET / HTTP/1.7\r\n" HOST "\r\n");
    ck_assert(request.keep_alive && request.minor == 1);
}
END_TEST

START_TEST(bodies_are_recognised)
{
    must_parse("POST / HTTP/1.1\r\n" HOST "Content-Length: 007\r\n\r\n");
    ck_assert(request.has_body && !request.chunked);
    ck_assert_uint_eq(request.content_length, 7);
    must_parse("POST / HTTP/1.1\r\n" HOST "Content-Length: 0\r\n\r\n");
    ck_assert(!request.has_body);
    must_parse("POST / HTTP/1.1\r\n" HOST "Content-Length: 18446744073709551615\r\n\r\n");
    ck_assert(request.content_length == UINT64_MAX);
    must_parse("POST / HTTP/1.1\r\n" HOST "transfer-encoding: Chunked\r\n\r\n");
    ck_assert(request.has_body && request.chunked);
}
END_TEST

/* A head whose target has target bytes and which has pad bytes of header value. */
static enum http_parse
parse_sized(size_t target, size_t pad, int *status)
{
    static char head[4 * HTTP_HEAD_MAX];
    int at = snprintf(head, sizeof head, "GET /%0*d HTTP/1.1\r\nHost: a\r\n", (int)target - 1, 0);
    at += snprintf(head + at, sizeof head - (size_t)at, "X: %0*d\r\n\r\n", (int)pad, 0);
    return parse_len(head, (size_t)at, status);
}

START_TEST(long_targets_get_414_and_long_heads_431)
{
    int status;
    ck_assert_int_eq(parse_sized(HTTP_TARGET_MAX, 1, &status), HTTP_PARSE_DONE);
    ck_assert_int_eq(parse_sized(HTTP_TARGET_MAX + 1, 1, &status), HTTP_PARSE_BAD);
    ck_assert_int_eq(status, 414);
    ck_assert_int_eq(parse_sized(2 * HTTP_HEAD_MAX, 1, &status), HTTP_PARSE_BAD);
    ck_assert_int_eq(status, 414);
    size_t rest = strlen("GET /0 HTTP/1.1\r\nHost: a\r\nX: \r\n\r\n");
    ck_assert_int_eq(parse_sized(2, HTTP_HEAD_MAX - rest, &status), HTTP_PARSE_DONE);
    ck_assert_uint_eq(request.head_len, HTTP_HEAD_MAX);
    ck_assert_int_eq(parse_sized(2, HTTP_HEAD_MAX - rest + 1, &status), HTTP_PARSE_BAD);
    ck_assert_int_eq(status, 431);
}
END_TEST

START_TEST(endless_method_is_cut_off_at_the_limit)
{
    static char head[HTTP_HEAD_MAX];
    int status;
    memset(head, 'A', sizeof head);
    ck_assert_int_eq(parse_len(head, sizeof head - 1, &status), HTTP_PARSE_MORE);
    ck_assert_int_eq(parse_len(head, sizeof head, &status), HTTP_PARSE_BAD);
    ck_assert_int_eq(status, 414);
}
END_TEST

START_TEST(endless_target_is_cut_off_early)
{
    static char head[HTTP_HEAD_MAX];
    int status;
    memset(head, 'a', sizeof head);
    memcpy(head, "GET /", 5);
    size_t most = 3 + HTTP_TARGET_MAX + 64;
    ck_assert_int_eq(parse_len(head, most, &status), HTTP_PARSE_MORE);
    ck_assert_int_eq(parse_len(head, most + 1, &status), HTTP_PARSE_BAD);
    ck_assert_int_eq(status, 414);
}
END_TEST

START_TEST(header_count_is_bounded)
{
    char head[HTTP_HEAD_MAX];
    int status;
    for (int extra = 0; extra < 2; extra++) {
        size_t at = (size_t)snprintf(head, sizeof head, G HOST);
        for (int i = 1; i < HTTP_HEADERS_MAX + extra; i++) {
            at += (size_t)snprintf(head + at, sizeof head - at, "X-%d: y\r\n", i);
        }
        at += (size_t)snprintf(head + at, sizeof head - at, "\r\n");
        enum http_parse got = parse_len(head, at, &status);
        ck_assert_int_eq(got, extra == 0 ? HTTP_PARSE_DONE : HTTP_PARSE_BAD);
        ck_assert_int_eq(status, extra == 0 ? 0 : 431);
    }
}
END_TEST

START_TEST(list_headers_are_searched_over_all_lines)
{
    must_parse(G HOST "Connection: a ,, Upgrade\r\nConnection:\tb,\r\nX: upgraded\r\n\r\n");
    ck_assert(http_header_has_token(&request, "connection", "upgrade"));
    ck_assert(http_header_has_token(&request, "Connection", "b"));
    ck_assert(!http_header_has_token(&request, "Connection", "c"));
    ck_assert(!http_header_has_token(&request, "X", "upgrade"));
    ck_assert_uint_eq(http_header_count(&request, "CONNECTION"), 2);
}
END_TEST

static void
decode_is(const char *in, bool plus, const char *want)
{
    char out[64];
    struct slice slice = {in, strlen(in)};
    ptrdiff_t len = http_percent_decode(slice, out, plus);
    if (want == NULL) {
        ck_assert_int_eq(len, -1);
        return;
    }
    ck_assert_int_eq(len, (ptrdiff_t)strlen(want));
    ck_assert_mem_eq(out, want, (size_t)len);
}

START_TEST(percent_decoding_refuses_broken_escapes_and_nul)
{
    decode_is("", false, "");
    decode_is("a%20b+c", false, "a b+c");
    decode_is("a%20b+c", true, "a b c");
    decode_is("%C3%a4%41", false, "\303\244A");
    decode_is("%4f%4F%4A%5a%30%39", false, "OOJZ09");
    decode_is("%fA%aF", false, "\372\257");
    decode_is("%2500", false, "%00");
    decode_is("%", false, NULL);
    decode_is("%4", false, NULL);
    decode_is("%4g", false, NULL);
    decode_is("%g4", false, NULL);
    decode_is("%%41", false, NULL);
    decode_is("a%00", false, NULL);
}
END_TEST

static int
quality(const char *accept, const char *type, int *specificity)
{
    char head[512];
    snprintf(head, sizeof head, G HOST "%s\r\n", accept);
    must_parse(head);
    return http_accept_quality(&request, type, specificity);
}

START_TEST(accept_takes_the_most_specific_range)
{
    static const struct {
        const char *accept;
        const char *type;
        int quality, specificity;
    } cases[] = {
        {"", "text/html", 1000, 1},
        {"Accept:\r\n", "text/html", 1000, 1},
        {"Accept: */*\r\n", "text/html", 1000, 1},
        {"Accept: text/html\r\n", "text/html", 1000, 3},
        {"Accept: TEXT/HTML\r\n", "text/html", 1000, 3},
        {"Accept: text/html\r\n", "text/plain", 0, 0},
        {"Accept: text/*;q=0.5\r\n", "text/html", 500, 2},
        {"Accept: text/*;q=0.5, text/html;q=0.1, */*\r\n", "text/html", 100, 3},
        {"Accept: */*;q=0.9, text/html;q=0\r\n", "text/html", 0, 3},
        {"Accept: text/html;q=0.1\r\nAccept: text/html;q=0.25\r\n", "text/html", 250, 3},
        {"Accept: text/html;q=0.25, text/html;q=0.1\r\n", "text/html", 250, 3},
        {"Accept: text/html;charset=utf-8\r\n", "text/html", 1000, 3},
        {"Accept: text/html ; level=1 ; Q=0.125\r\n", "text/html", 125, 3},
        {"Accept: text/html;x=\"a,b;q=0\";q=1.000\r\n", "text/html", 1000, 3},
        {"Accept: text/html;x=\"a\\\",b\", text/plain;q=0.2\r\n", "text/plain", 200, 3},
        {"Accept: text/html;q=2, */*;q=0.3\r\n", "text/html", 300, 1},
        {"Accept: text/html;q=1.001\r\n", "text/html", 0, 0},
        {"Accept: text/html;q=0.1234\r\n", "text/html", 0, 0},
        {"Accept: text/html;q=-1\r\n", "text/html", 0, 0},
        {"Accept: text/html;q=\"1\"\r\n", "text/html", 0, 0},
        {"Accept: text/html;q\r\n", "text/html", 0, 0},
        {"Accept: text/html;x=\"a\r\n", "text/html", 0, 0},
        {"Accept: text/html x\r\n", "text/html", 0, 0},
        {"Accept: */html, text, /html, text/, ,;q=1\r\n", "text/html", 0, 0},
        {"Accept: text/html;x=\r\n", "text/html", 0, 0},
        {"Accept: text/html;q=\r\n", "text/html", 0, 0},
        {"Accept: text/html;q=0.a\r\n", "text/html", 0, 0},
        {"Accept: text/html;q=00\r\n", "text/html", 0, 0},
        {"Accept: image/html, text/css , text/*;q=0.7 , \r\n", "text/html", 700, 2},
        {"Accept: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa/*\r\n",
            "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa/b", 0, 0},
        {"Accept: text/html;;\r\n", "text/html", 1000, 3},
        {"Accept: textx/html, tex/html, text/htmlx\r\n", "text/html", 0, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int specificity = -1;
        int got = quality(cases[i].accept, cases[i].type, &specificity);
        ck_assert_msg(got == cases[i].quality && specificity == cases[i].specificity,
            "%s for %s: %d, %d", cases[i].accept, cases[i].type, got, specificity);
    }
}
END_TEST

START_TEST(reason_phrases_are_known)
{
    ck_assert_str_eq(http_reason_phrase(206), "Partial Content");
    ck_assert_str_eq(http_reason_phrase(404), "Not Found");
    ck_assert_str_eq(http_reason_phrase(431), "Request Header Fields Too Large");
    ck_assert_str_eq(http_reason_phrase(299), "");
}
END_TEST

UNIT_MAIN("http", malformed_heads_get_their_status, malformed_heads_are_refused_at_any_split,
    fault_is_told_before_the_head_is_whole, whole_head_is_split_into_its_parts,
    every_prefix_of_a_head_wants_more, bytes_after_the_head_are_left_alone,
    absolute_form_keeps_path_and_query, hosts_that_exist_are_taken, methods_are_told_apart_by_case,
    connect_is_parsed_but_never_kept_alive, keep_alive_follows_version_and_connection,
    bodies_are_recognised, long_targets_get_414_and_long_heads_431,
    endless_method_is_cut_off_at_the_limit, endless_target_is_cut_off_early,
    header_count_is_bounded, list_headers_are_searched_over_all_lines,
    percent_decoding_refuses_broken_escapes_and_nul, accept_takes_the_most_specific_range,
    reason_phrases_are_known)
