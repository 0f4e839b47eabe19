/* fuzz: llm_sse. The first byte says where the rest, a stream, is cut into two chunks. The events
 * are those of the stream in one chunk, they are UTF-8, and what is held is bounded. */
#include "json.h"
#include "llm_sse.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define MOST 100

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
must(bool condition)
{
    if (!condition) {
        abort();
    }
}

static void
add(struct buf *out, const char *bytes, size_t len)
{
    buf_addu64(out, len);
    buf_addc(out, ' ');
    buf_add(out, bytes, len);
}

/* false: a bound was passed. */
static bool
feed(struct buf *out, struct llm_sse *sse, const char *at, const char *end)
{
    struct llm_sse_event event;
    struct err err;
    enum llm_sse_result result;
    while ((result = llm_sse_next(sse, &at, end, &event, &err)) == LLM_SSE_EVENT) {
        must(json_utf8_valid(event.data, event.data_len) && event.type_len > 0);
        must(event.data_len <= 3 * MOST && memchr(event.id, '\0', event.id_len) == NULL);
        add(out, event.type, event.type_len);
        add(out, event.data, event.data_len);
        add(out, event.id, event.id_len);
    }
    must(result == LLM_SSE_FAILED || at == end);
    must(sse->line.len <= MOST && sse->data.len <= MOST + 1);
    return result == LLM_SSE_MORE;
}

static void
events_of(struct buf *out, const char *bytes, size_t len, size_t cut)
{
    struct llm_sse sse;
    size_t rest;
    llm_sse_init(&sse, MOST);
    bool good = feed(out, &sse, bytes, bytes + cut) && feed(out, &sse, bytes + cut, bytes + len);
    buf_addc(out, good ? '.' : '!');
    const char *left = llm_sse_rest(&sse, &rest);
    add(out, left, rest);
    llm_sse_fini(&sse);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2) {
        return 0;
    }
    const char *bytes = (const char *)data + 1;
    size_t len = size - 1;
    struct buf whole, cut;
    buf_init(&whole);
    buf_init(&cut);
    events_of(&whole, bytes, len, len);
    events_of(&cut, bytes, len, data[0] < len ? data[0] : len / 2);
    must(whole.len == cut.len && memcmp(whole.bytes, cut.bytes, cut.len) == 0);
    buf_fini(&whole);
    buf_fini(&cut);
    return 0;
}
