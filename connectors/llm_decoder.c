/* llm_decoder: from the bytes of an answer to the dialect, and the queue of what it made. Makes no
 * event itself (llm_emit.c). */
#include "llm_decoder_internal.h"

#include "../gateway/mem.h"

#include <stdlib.h>
#include <string.h>

#define SENTINEL "[DONE]"

struct llm_decoder *
llm_decoder_new(const struct llm_dialect *dialect, const struct llm_limits *limits)
{
    struct llm_decoder *decoder = mem_calloc(1, sizeof *decoder);
    decoder->dialect = dialect;
    decoder->limits = *limits;
    llm_sse_init(&decoder->sse, limits->max_event_bytes);
    if (dialect->framing == LLM_FRAMING_NDJSON) {
        decoder->lines = file_parser_new(FILE_NDJSON, limits->max_event_bytes);
    }
    return decoder;
}

void
llm_decoder_free(struct llm_decoder *decoder)
{
    if (decoder == NULL) {
        return;
    }
    llm_sse_fini(&decoder->sse);
    file_parser_free(decoder->lines);
    buf_fini(&decoder->texts);
    for (size_t i = 0; i < decoder->n_open; i++) {
        buf_fini(&decoder->calls[i].id);
        buf_fini(&decoder->calls[i].name);
        buf_fini(&decoder->calls[i].arguments);
    }
    buf_fini(&decoder->signature);
    buf_fini(&decoder->stop_sequence);
    buf_fini(&decoder->upstream_reason);
    buf_fini(&decoder->message);
    free(decoder->calls);
    free(decoder->rows);
    free(decoder);
}

/* ---- what comes ---- */

static bool
is_sentinel(const char *data, size_t len)
{
    return len >= strlen(SENTINEL) && memcmp(data, SENTINEL, strlen(SENTINEL)) == 0;
}

static void
take_data(struct llm_decoder *decoder, const char *data, size_t len)
{
    if (len == 0) {
        return; /* a heartbeat of some */
    }
    if (is_sentinel(data, len)) {
        decoder->dialect->closed(decoder);
        return;
    }
    struct llm_value root = llm_json_root(data, len);
    if (!llm_json_is_object(root)) {
        llm_decoder_fail(
            decoder, LLM_PROTOCOL, "the upstream sent an event that is no JSON object");
        return;
    }
    decoder->dialect->event(decoder, root);
}

static void
feed_sse(struct llm_decoder *decoder, const char *bytes, size_t len)
{
    struct llm_sse_event event;
    struct err err;
    const char *end = bytes + len;
    while (!decoder->ended) {
        switch (llm_sse_next(&decoder->sse, &bytes, end, &event, &err)) {
        case LLM_SSE_EVENT:
            take_data(decoder, event.data, event.data_len);
            break;
        case LLM_SSE_MORE:
            return;
        case LLM_SSE_FAILED:
            llm_decoder_fail(decoder, LLM_TOO_LARGE, err.text);
            return;
        }
    }
}

static void
take_item(struct llm_decoder *decoder, const struct file_item *item)
{
    if (item->data != NULL) {
        take_data(decoder, item->data, item->len);
    } else if (strcmp(item->why, "too_large") == 0) {
        llm_decoder_fail(decoder, LLM_TOO_LARGE, "a line of the upstream is longer than its bound");
    } else {
        llm_decoder_fail(decoder, LLM_PROTOCOL, "the upstream sent a line that is no JSON object");
    }
}

static void
feed_lines(struct llm_decoder *decoder, const char *bytes, size_t len)
{
    struct file_item item;
    const char *end = bytes + len;
    while (!decoder->ended && file_parser_next(decoder->lines, &bytes, end, &item)) {
        take_item(decoder, &item);
    }
}

void
llm_decoder_feed(struct llm_decoder *decoder, const char *bytes, size_t len)
{
    if (decoder->lines != NULL) {
        feed_lines(decoder, bytes, len);
    } else {
        feed_sse(decoder, bytes, len);
    }
}

/* Without its line's end a sentinel, or a last line of JSON, is whole all the same. A last event of
 * SSE is not: the standard says so, and its rest may be missing. */
static void
take_rest(struct llm_decoder *decoder)
{
    struct file_item item;
    size_t len = 0;
    if (decoder->lines != NULL) {
        if (file_parser_finish(decoder->lines, &item) && item.data != NULL) {
            take_item(decoder, &item);
        }
        return;
    }
    const char *rest = llm_sse_rest(&decoder->sse, &len);
    if (is_sentinel(rest, len)) {
        decoder->dialect->closed(decoder);
    }
}

void
llm_decoder_finish(struct llm_decoder *decoder)
{
    if (!decoder->ended) {
        take_rest(decoder);
    }
    llm_decoder_fail(
        decoder, LLM_TRUNCATED, "the upstream closed the answer before its terminal event");
}

/* ---- the queue ---- */

bool
llm_decoder_peek(const struct llm_decoder *decoder, struct llm_event *event)
{
    if (decoder->first == decoder->n_rows) {
        return false;
    }
    const struct llm_queued *row = &decoder->rows[decoder->first];
    *event = (struct llm_event){
        .kind = row->kind, .json = decoder->texts.bytes + decoder->taken_bytes, .len = row->len};
    return true;
}

void
llm_decoder_take(struct llm_decoder *decoder)
{
    decoder->taken_bytes += decoder->rows[decoder->first++].len;
    if (decoder->first == decoder->n_rows) {
        decoder->first = decoder->n_rows = 0;
        decoder->taken_bytes = decoder->texts.len = 0;
    }
}

bool
llm_decoder_ended(const struct llm_decoder *decoder)
{
    return decoder->ended;
}

enum llm_code
llm_decoder_code(const struct llm_decoder *decoder)
{
    return decoder->code;
}

const char *
llm_decoder_message(const struct llm_decoder *decoder)
{
    return decoder->message.len == 0 ? "" : decoder->message.bytes;
}
