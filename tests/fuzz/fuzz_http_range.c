/* fuzz_http_range: the input is header lines of a request. What is served of a file of any size is
 * within it, and the answers are those that http_range.h names. */
#include "http_range.h"

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
check(const struct http_request *request)
{
    static const uint64_t sizes[] = {0, 1, 10, 1000, UINT64_C(1) << 62};
    const struct http_version version = {"\"1-2\"", 1769860800};
    int status = http_condition(request, &version);
    must(status == 200 || status == 304 || status == 412);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        uint64_t first = 1, last = 0;
        status = http_range(request, &version, sizes[i], &first, &last);
        must(status == 200 || status == 206 || status == 416);
        must(status != 206 || (first <= last && last < sizes[i]));
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    static const char begin[] = "GET / HTTP/1.1\r\nHost: h\r\n";
    struct http_request request;
    struct buf text;
    int status;
    const char *reason;
    buf_init(&text);
    BUF_LITERAL(&text, begin);
    buf_add(&text, bytes, len);
    BUF_LITERAL(&text, "\r\n\r\n");
    if (http_parse(&request, text.bytes, text.len, &status, &reason) == HTTP_PARSE_DONE) {
        check(&request);
    }
    buf_fini(&text);
    return 0;
}
