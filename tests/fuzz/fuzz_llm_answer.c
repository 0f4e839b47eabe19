/* fuzz: the dialects' decoders. The first byte chooses the dialect, the second says where the rest,
 * an answer, is cut into two chunks. The events are those of the answer in one chunk: each is one
 * line of JSON, there is one end, it is the last, and all of them are within the bound. */
#include "json.h"
#include "llm_dialect.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static const struct llm_limits limits = {.max_event_bytes = 2000, .max_answer_bytes = 4000};
#define OVER 6000 /* the text around what is counted, and the end */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
must(bool condition)
{
    if (!condition) {
        abort();
    }
}

static void
take(struct buf *out, struct llm_decoder *decoder, bool *ended)
{
    struct llm_event event;
    size_t start, end;
    while (llm_decoder_peek(decoder, &event)) {
        must(!*ended && json_scan(event.json, event.len, &start, &end) == JSON_ONE_LINE);
        *ended = event.kind == LLM_DONE || event.kind == LLM_FAILED;
        buf_add(out, event.json, event.len);
        buf_addc(out, '\n');
        llm_decoder_take(decoder);
    }
}

static void
events_of(
    struct buf *out, const struct llm_dialect *dialect, const char *bytes, size_t len, size_t cut)
{
    struct llm_decoder *decoder = llm_decoder_new(dialect, &limits);
    bool ended = false;
    llm_decoder_feed(decoder, bytes, cut);
    take(out, decoder, &ended);
    llm_decoder_feed(decoder, bytes + cut, len - cut);
    take(out, decoder, &ended);
    llm_decoder_finish(decoder);
    take(out, decoder, &ended);
    must(ended && llm_decoder_ended(decoder));
    must(out->len <= limits.max_answer_bytes + OVER);
    llm_decoder_free(decoder);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2) {
        return 0;
    }
    const struct llm_dialect *dialect = llm_dialects[data[0] % LLM_DIALECT_COUNT];
    const char *bytes = (const char *)data + 2;
    size_t len = size - 2;
    struct buf whole, cut;
    buf_init(&whole);
    buf_init(&cut);
    events_of(&whole, dialect, bytes, len, len);
    events_of(&cut, dialect, bytes, len, data[1] < len ? data[1] : len / 2);
    must(whole.len == cut.len && memcmp(whole.bytes, cut.bytes, cut.len) == 0);
    buf_fini(&whole);
    buf_fini(&cut);
    return 0;
}
