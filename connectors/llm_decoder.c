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

void
llm_decoder_keep_raw(struct llm_decoder *decoder)
{
    decoder->keeps_raw = true;
}

/* ---- what comes ---- */

static bool
is_sentinel(const char *data, size_t len)
{
    return len >= strlen(SENTINEL) && memcmp(data, SENTINEL, strlen(SENTINEL)) == 0;
}

/* What the dialect makes of one event. */
static void
take_data(struct llm_decoder *decoder, const char *data, size_t len)
{
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
add_raw(struct llm_decoder *decoder, struct llm_value name, const char *data, size_t len)
{
    bool sentinel = is_sentinel(data, len);
    if (name.len == 0 && !sentinel) { /* some leave it out, and SDKs drop an event without */
        name = llm_json_inside(llm_json_get(llm_json_root(data, len), "type"));
    }
    llm_queue_raw(decoder, name, data, sentinel ? strlen(SENTINEL) : len);
}

/* One event, or line, of the upstream. */
static void
take_event(struct llm_decoder *decoder, struct llm_value name, const char *data, size_t len)
{
    size_t row = decoder->n_rows;
    if (len == 0) {
        return; /* a heartbeat of some */
    }
    if (decoder->keeps_raw) {
        add_raw(decoder, name, data, len);
    }
    take_data(decoder, data, len);
    if (decoder->keeps_raw && decoder->message.len > 0) {
        decoder->rows[row].dropped = true;
    }
}

/* Its name, if it has one of its own. */
static struct llm_value
name_of(const struct llm_sse_event *event)
{
    bool none = event->type_len == strlen("message") &&
                memcmp(event->type, "message", event->type_len) == 0;
    return none ? (struct llm_value){NULL, 0} : (struct llm_value){event->type, event->type_len};
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
            take_event(decoder, name_of(&event), event.data, event.data_len);
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
        take_event(decoder, (struct llm_value){NULL, 0}, item->data, item->len);
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
        take_event(decoder, (struct llm_value){NULL, 0}, rest, len);
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
    size_t at = decoder->taken_bytes;
    size_t i = decoder->first;
    while (i < decoder->n_rows && decoder->rows[i].dropped) {
        at += decoder->rows[i].name_len + decoder->rows[i].len;
        i++;
    }
    if (i == decoder->n_rows) {
        return false;
    }
    const struct llm_queued *row = &decoder->rows[i];
    const char *text = decoder->texts.bytes + at;
    *event = (struct llm_event){.kind = row->kind,
        .json = text + row->name_len,
        .len = row->len,
        .name = row->name_len == 0 ? NULL : text,
        .name_len = row->name_len};
    return true;
}

static void
take_row(struct llm_decoder *decoder)
{
    const struct llm_queued *row = &decoder->rows[decoder->first++];
    decoder->taken_bytes += row->name_len + row->len;
}

void
llm_decoder_take(struct llm_decoder *decoder)
{
    while (decoder->rows[decoder->first].dropped) {
        take_row(decoder);
    }
    take_row(decoder);
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
