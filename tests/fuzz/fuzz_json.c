/* fuzz_json: any payload. What the scanner takes stays JSON when it is compacted or passed on, and
 * what it refuses becomes a string or base64 that it takes. */
#include "../../gateway/json.h"
#include "../../gateway/record.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
expect(bool holds)
{
    if (!holds) {
        abort();
    }
}

static void
expect_json(const char *text, size_t len)
{
    size_t start, end;
    expect(json_scan(text, len, &start, &end) == JSON_ONE_LINE);
    expect(memchr(text, '\n', len) == NULL && memchr(text, '\r', len) == NULL);
}

static void
check_writers(struct buf *out, const char *text, size_t len)
{
    size_t start, end;
    out->len = 0;
    json_add_bytes(out, text, len);
    expect_json(out->bytes, out->len);
    out->len = 0;
    json_add_lossy(out, text, len);
    expect_json(out->bytes, out->len);
    if (json_scan(text, len, &start, &end) != JSON_NOT) {
        expect(start < end && end <= len);
        expect(json_utf8_valid(text, len));
        out->len = 0;
        json_compact(out, text + start, end - start);
        expect_json(out->bytes, out->len);
    }
}

/* The input as payload, key, header name and header value at once. An input as deep as a payload
 * may be gives envelopes that are one level deeper than json_scan takes: those are not judged. */
static void
check_record(struct buf *out, const char *text, size_t len)
{
    struct buf scratch;
    buf_init(&scratch);
    const struct record_header headers[] = {{text, len, text, len}, {text, len / 2, NULL, 0}};
    const struct record_input in = {.key = text,
        .key_len = len,
        .data = text,
        .data_len = len,
        .headers = headers,
        .n_headers = 2};
    struct record *record =
        record_new(&in, "AQA", 3, "{\"topic\":\"t\",\"partition\":0,\"offset\":", 0, &scratch);
    for (int i = 0; i < ENVELOPE_COUNT && len < JSON_DEPTH_MAX; i++) {
        out->len = 0;
        record_add_envelope(out, record, (enum envelope)i);
        if (i != ENVELOPE_CLOUDEVENTS) {
            expect(out->len == record_envelope_len(record, (enum envelope)i));
        }
        expect_json(out->bytes, out->len);
    }
    record_unref(record);
    buf_fini(&scratch);
}

/* Two ways lead to a record: what it says before its headers, and of its source, is the same. */
static void
check_alike(const char *text, size_t len)
{
    static const char *const source = "{\"topic\":\"t\",\"partition\":0,\"offset\":";
    struct buf scratch;
    buf_init(&scratch);
    const struct record_header header = {"h", 1, NULL, 0};
    struct record_input in = {
        .key = text, .key_len = len / 2, .data = text, .data_len = len, .offset = len};
    struct record *one = record_new(&in, "AQA", 3, source, 0, &scratch);
    in.headers = &header;
    in.n_headers = 1;
    struct record *two = record_new(&in, "AQA", 3, source, 0, &scratch);
    size_t time_at = sizeof "{\"id\":\"AQA\",\"time\":\"" - 1, behind = time_at + 24;
    expect(one->head_len == two->head_len && one->key_off == two->key_off &&
           one->key_len == two->key_len && one->data_off == two->data_off &&
           one->data_len == two->data_len && one->data_is_json == two->data_is_json);
    expect(memcmp(one->text, two->text, time_at) == 0 &&
           memcmp(one->text + behind, two->text + behind, one->head_len - behind) == 0);
    expect(one->text_len - one->type_end == two->text_len - two->type_end &&
           memcmp(one->text + one->type_end, two->text + two->type_end,
               one->text_len - one->type_end) == 0);
    record_unref(one);
    record_unref(two);
    buf_fini(&scratch);
}

/* Is the line one that passes on as it is, by the scanner of single texts? */
static bool
passes(const char *line, size_t len, size_t most)
{
    size_t start, end;
    return len <= most && json_scan(line, len, &start, &end) == JSON_ONE_LINE && start == 0 &&
           end == len && (*line == '{' || *line == '[');
}

/* Lines together are judged as each alone. */
static void
check_lines(const char *text, size_t size)
{
    const char *last = size == 0 ? NULL : memrchr(text, '\n', size);
    size_t len = last == NULL ? 0 : (size_t)(last + 1 - text);
    size_t most = size % 100, at = 0;
    uint64_t count, expected = 0;
    char *lines = malloc(len == 0 ? 1 : len);
    if (len > 0) {
        memcpy(lines, text, len);
    }
    size_t taken = json_lines(lines, len, most, &count);
    while (at < len) {
        size_t line = (size_t)((char *)memchr(lines + at, '\n', len - at) - (lines + at));
        if (!passes(lines + at, line, most)) {
            break;
        }
        at += line + 1;
        expected++;
    }
    expect(taken == at && count == expected);
    free(lines);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf out;
    buf_init(&out);
    /* A copy of its own, not NULL when it is empty: the sanitizer sees what reads past it. */
    char *text = malloc(size == 0 ? 1 : size);
    if (size != 0) {
        memcpy(text, data, size);
    }
    check_writers(&out, text, size);
    check_record(&out, text, size);
    check_alike(text, size);
    check_lines(text, size);
    free(text);
    buf_fini(&out);
    return 0;
}
