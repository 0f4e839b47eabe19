/* fuzz: the dialects' decoders. The first byte chooses the dialect, the second says where the rest,
 * an answer, is cut into two chunks. The events are those of the answer in one chunk: each is one
 * line of JSON, there is one end, it is the last, and all of them are within the bound. What the
 * events are in each client's dialect is lines of JSON too, and none is longer than its bound; so
 * is the object that a client of the same dialect gets. */
#include "json.h"
#include "llm_dialect.h"
#include "llm_out.h"
#include "llm_whole.h"

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
say(const struct llm_out_dialect *dialect, bool whole, const struct llm_dialect *in,
    const char *bytes, size_t len)
{
    const struct llm_out_options options = {.whole = whole, .id = "", .max_bytes = 3000};
    struct llm_decoder *decoder = llm_decoder_new(in, &limits);
    struct llm_out *out = llm_out_new(dialect, &options);
    struct llm_event event;
    struct llm_wire wire;
    size_t start, end;
    llm_decoder_keep_raw(decoder);
    llm_decoder_feed(decoder, bytes, len);
    llm_decoder_finish(decoder);
    for (; llm_decoder_peek(decoder, &event); llm_decoder_take(decoder)) {
        llm_out_event(out, &event);
        for (; llm_out_peek(out, &wire); llm_out_take(out)) {
            must(wire.len <= options.max_bytes);
            must((wire.len == 6 && memcmp(wire.data, "[DONE]", 6) == 0) ||
                 json_scan(wire.data, wire.len, &start, &end) == JSON_ONE_LINE);
        }
    }
    llm_out_free(out);
    llm_decoder_free(decoder);
}

static void
put_together(const struct llm_dialect *dialect, const char *bytes, size_t len)
{
    struct llm_whole *whole = llm_whole_new(dialect, 3000);
    struct llm_decoder *decoder = llm_decoder_new(dialect, &limits);
    struct llm_event event;
    struct buf object;
    size_t start, end;
    buf_init(&object);
    llm_decoder_keep_raw(decoder);
    llm_decoder_feed(decoder, bytes, len);
    llm_decoder_finish(decoder);
    for (; whole != NULL && llm_decoder_peek(decoder, &event); llm_decoder_take(decoder)) {
        if (event.kind == LLM_RAW) {
            llm_whole_event(whole, &event);
        }
    }
    if (whole != NULL && !llm_whole_is_over(whole)) {
        llm_whole_add(whole, &object);
        must(json_scan(object.bytes, object.len, &start, &end) == JSON_ONE_LINE);
    }
    buf_fini(&object);
    llm_whole_free(whole);
    llm_decoder_free(decoder);
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
    for (size_t i = 0; llm_out_dialects[i] != NULL; i++) {
        say(llm_out_dialects[i], (data[1] & 1) != 0, dialect, bytes, len);
    }
    put_together(dialect, bytes, len);
    return 0;
}
