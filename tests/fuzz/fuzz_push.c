/* fuzz_push: the first byte says how, the second in pieces of which size; the rest is a body,
 * framed or not. Whole or in pieces the same records come, each within the bound, and each line of
 * NDJSON is JSON. */
#include "http_body.h"
#include "json.h"
#include "push_body.h"

#include "buf.h"

#include <stdlib.h>
#include <string.h>

#define RECORD_MAX 200

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static void
must(int condition)
{
    if (!condition) {
        abort();
    }
}

struct reading {
    struct push_body body;
    enum push_got got;
    struct buf out; /* the records with their lines */
};

static void
note(struct reading *reading, struct slice record)
{
    if (reading->got == PUSH_RECORD) {
        size_t start, end;
        must(record.len <= RECORD_MAX);
        must(reading->body.syntax == PUSH_BYTES ||
             json_scan(record.at, record.len, &start, &end) != JSON_NOT);
        buf_add(&reading->out, record.at, record.len);
    }
    buf_addf(&reading->out, "|%d %d|", (int)reading->got, (int)reading->body.line);
}

static void
take(struct reading *reading, const char *at, const char *end)
{
    struct slice record;
    while (reading->got <= PUSH_RECORD && at < end) {
        size_t need = push_body_need(&reading->body, (size_t)(end - at));
        reading->got = push_body_next(&reading->body, &at, end, &record);
        must(reading->body.cap <= need && need <= RECORD_MAX + 1024);
        if (reading->got != PUSH_MORE) {
            note(reading, record);
        }
    }
}

/* Read the body in pieces; true when it is whole. */
static bool
read_body(struct reading *reading, const struct http_request *request, enum push_syntax syntax,
    const char *text, size_t len, size_t piece)
{
    struct http_body framing;
    struct slice data, record;
    enum http_body_got got = HTTP_BODY_MORE;
    *reading = (struct reading){.got = PUSH_MORE};
    push_body_init(&reading->body, syntax, RECORD_MAX);
    http_body_init(&framing, request);
    for (size_t from = 0; from < len && got == HTTP_BODY_MORE; from += piece) {
        const char *at = text + from, *end = text + (len - from < piece ? len : from + piece);
        while ((got = http_body_next(&framing, &at, end, &data)) == HTTP_BODY_DATA) {
            must(data.len > 0 && data.at >= text + from && data.at + data.len == at);
            take(reading, data.at, data.at + data.len);
        }
        must(got != HTTP_BODY_MORE || at == end);
    }
    if (got == HTTP_BODY_END && reading->got <= PUSH_RECORD) {
        reading->got = push_body_finish(&reading->body, &record);
        note(reading, record);
    }
    push_body_fini(&reading->body);
    return got == HTTP_BODY_END;
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct reading whole, parts;
    if (len < 3) {
        return 0;
    }
    struct http_request request = {.chunked = (bytes[0] & 4) != 0};
    enum push_syntax syntax = (enum push_syntax)((bytes[0] & 3) % 3);
    size_t piece = (size_t)bytes[1] % 64 + 1;
    const char *text = (const char *)bytes + 2;
    len -= 2;
    request.content_length = request.chunked ? 0 : len;
    bool ends = read_body(&whole, &request, syntax, text, len, len);
    bool ends_too = read_body(&parts, &request, syntax, text, len, piece);
    must(ends == ends_too);
    must(whole.out.len == parts.out.len &&
         (whole.out.len == 0 || memcmp(whole.out.bytes, parts.out.bytes, whole.out.len) == 0));
    buf_fini(&whole.out);
    buf_fini(&parts.out);
    return 0;
}
