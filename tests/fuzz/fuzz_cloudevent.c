/* fuzz_cloudevent: the input is headers, one NAME:VALUE a line, then an empty line and a payload
 * (without the empty line: a tombstone). What comes of it is one JSON object on one line that has
 * what an event must have, and no member "event". */
#include "buf.h"
#include "cloudevent.h"
#include "json.h"

#include <jansson.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define HEADERS_MAX 24

static void
must(bool holds)
{
    if (!holds) {
        abort();
    }
}

static struct record_input
read_input(const char *at, size_t size, struct record_header headers[HEADERS_MAX])
{
    const char *end = at + size;
    struct record_input in = {
        .offset = 7, .time_ms = 0, .key = "k", .key_len = 1, .headers = headers};
    while (at < end && in.n_headers < HEADERS_MAX) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        stop = stop == NULL ? end : stop;
        if (stop == at) {
            in.data = at + 1;
            in.data_len = (size_t)(end - at) - 1;
            break;
        }
        const char *colon = memchr(at, ':', (size_t)(stop - at));
        struct record_header *header = &headers[in.n_headers++];
        *header = (struct record_header){
            .name = at, .name_len = (size_t)((colon == NULL ? stop : colon) - at)};
        if (colon != NULL) {
            header->value = colon + 1;
            header->value_len = (size_t)(stop - colon) - 1;
        }
        at = stop == end ? end : stop + 1;
    }
    return in;
}

static void
check(const struct buf *out)
{
    size_t start, end;
    json_error_t error;
    must(json_scan(out->bytes, out->len, &start, &end) == JSON_ONE_LINE);
    must(start == 0 && end == out->len && out->bytes[0] == '{');
    json_t *event = json_loadb(out->bytes, out->len, JSON_ALLOW_NUL, &error);
    if (event == NULL) {
        return; /* jansson takes no numbers beyond a double, and no name with a NUL */
    }
    static const char *const names[] = {"id", "source", "type"};
    for (size_t i = 0; i < 3; i++) {
        const json_t *value = json_object_get(event, names[i]);
        must(json_is_string(value) && json_string_length(value) > 0);
    }
    must(strcmp(json_string_value(json_object_get(event, "specversion")), "1.0") == 0);
    must(json_object_get(event, "event") == NULL);
    json_decref(event);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct record_header headers[HEADERS_MAX];
    struct record_input in = read_input((const char *)data, size, headers);
    struct buf scratch, out;
    buf_init(&scratch);
    buf_init(&out);
    struct record *record = record_new(
        &in, "AQA", 3, "{\"topic\":\"a \\\"b\\u0001\",\"partition\":0,\"offset\":", 1, &scratch);
    cloudevent_add(&out, record);
    check(&out);
    record_unref(record);
    buf_fini(&scratch);
    buf_fini(&out);
    return 0;
}
