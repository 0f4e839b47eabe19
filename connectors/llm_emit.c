/* llm_emit: normalized events, written once and queued. What a model wrote is copied as it stands
 * in the upstream's JSON, escapes and all. */
#include "llm_emit.h"

#include "../gateway/json.h"
#include "../gateway/mem.h"
#include "llm_decoder_internal.h"

#include <string.h>

/* ---- one event ---- */

/* The row behind the last one, which is not counted yet. */
static struct llm_queued *
new_row(struct llm_decoder *decoder, enum llm_kind kind)
{
    if (decoder->n_rows == decoder->rows_cap) {
        decoder->rows_cap = decoder->rows_cap == 0 ? 16 : 2 * decoder->rows_cap;
        decoder->rows = mem_realloc(decoder->rows, decoder->rows_cap * sizeof *decoder->rows);
    }
    decoder->rows[decoder->n_rows] = (struct llm_queued){.kind = kind};
    return &decoder->rows[decoder->n_rows];
}

/* The one place that says how an event names its kind. */
static struct buf *
begin(struct llm_decoder *decoder, enum llm_kind kind)
{
    (void)new_row(decoder, kind);
    decoder->event_start = decoder->texts.len;
    buf_adds(&decoder->texts, "{\"type\":\"");
    buf_adds(&decoder->texts, llm_kind_name(kind));
    buf_addc(&decoder->texts, '"');
    return &decoder->texts;
}

void
llm_queue_raw(struct llm_decoder *decoder, struct llm_value name, const char *data, size_t len)
{
    struct llm_queued *row = new_row(decoder, LLM_RAW);
    buf_add(&decoder->texts, name.at, name.len);
    buf_add(&decoder->texts, data, len);
    row->name_len = name.len;
    row->len = len;
    decoder->n_rows++;
}

static void
end(struct llm_decoder *decoder)
{
    buf_addc(&decoder->texts, '}');
    size_t len = decoder->texts.len - decoder->event_start;
    decoder->rows[decoder->n_rows++].len = len;
    decoder->emitted_bytes += len;
}

static void
add_name(struct buf *out, const char *name)
{
    BUF_LITERAL(out, ",\"");
    buf_adds(out, name);
    BUF_LITERAL(out, "\":");
}

static void
add_content(struct buf *out, const char *name, const char *bytes, size_t len)
{
    add_name(out, name);
    buf_addc(out, '"');
    buf_add(out, bytes, len);
    buf_addc(out, '"');
}

static void
add_held(struct buf *out, const char *name, const struct buf *content)
{
    add_content(out, name, content->bytes, content->len);
}

static void
add_inside(struct buf *out, const char *name, struct llm_value content)
{
    add_content(out, name, content.at, content.len);
}

static void
add_number(struct buf *out, const char *name, uint64_t number)
{
    add_name(out, name);
    buf_addu64(out, number);
}

static void
hold(struct buf *held, struct llm_value content)
{
    held->len = 0;
    buf_add(held, content.at, content.len);
}

/* May anything be emitted? What is over the bound ends here. */
static bool
is_open(struct llm_decoder *decoder, size_t more)
{
    if (decoder->ended) {
        return false;
    }
    if (decoder->emitted_bytes + more > decoder->limits.max_answer_bytes) {
        llm_decoder_fail(decoder, LLM_TOO_LARGE, "the answer is larger than its bound");
        return false;
    }
    return true;
}

/* Some leave their first event out: then text begins the answer. */
static bool
may_emit(struct llm_decoder *decoder, size_t more)
{
    if (!decoder->started) {
        llm_emit_start(decoder, (struct llm_value){NULL, 0}, (struct llm_value){NULL, 0});
    }
    return is_open(decoder, more);
}

static void
add_string_or_null(struct buf *out, const char *name, struct llm_value string)
{
    if (llm_json_is_string(string)) {
        add_inside(out, name, llm_json_inside(string));
    } else {
        add_name(out, name);
        BUF_LITERAL(out, "null");
    }
}

void
llm_emit_start(struct llm_decoder *decoder, struct llm_value model, struct llm_value id)
{
    if (decoder->started || !is_open(decoder, model.len + id.len)) {
        return;
    }
    decoder->started = true;
    struct buf *out = begin(decoder, LLM_START);
    add_string_or_null(out, "model", model);
    add_string_or_null(out, "upstream_id", id);
    end(decoder);
}

static void
emit_words(struct llm_decoder *decoder, enum llm_kind kind, struct llm_value text, bool refusal)
{
    struct llm_value content = llm_json_inside(text);
    if (content.len == 0 || !may_emit(decoder, content.len)) {
        return;
    }
    struct buf *out = begin(decoder, kind);
    add_inside(out, "text", content);
    if (refusal) {
        BUF_LITERAL(out, ",\"refusal\":true");
        decoder->refused = true;
    }
    end(decoder);
}

void
llm_emit_text(struct llm_decoder *decoder, struct llm_value text)
{
    emit_words(decoder, LLM_TEXT, text, false);
}

void
llm_emit_refusal(struct llm_decoder *decoder, struct llm_value text)
{
    emit_words(decoder, LLM_TEXT, text, true);
}

void
llm_emit_thinking(struct llm_decoder *decoder, struct llm_value text)
{
    emit_words(decoder, LLM_THINKING, text, false);
}

void
llm_emit_citation(struct llm_decoder *decoder, struct llm_value object)
{
    if (!llm_json_is_object(object) || !may_emit(decoder, object.len)) {
        return;
    }
    struct buf *out = begin(decoder, LLM_TEXT);
    BUF_LITERAL(out, ",\"text\":\"\",\"citation\":");
    llm_json_add(out, object);
    end(decoder);
}

void
llm_emit_logprobs(struct llm_decoder *decoder, bool refusal, struct llm_value array)
{
    if (!llm_json_is_array(array) || array.len <= strlen("[]") || !may_emit(decoder, array.len)) {
        return;
    }
    struct buf *out = begin(decoder, LLM_TEXT);
    BUF_LITERAL(out, ",\"text\":\"\",\"logprobs\":");
    llm_json_add(out, array);
    buf_adds(out, refusal ? ",\"refusal\":true" : "");
    end(decoder);
}

void
llm_emit_thinking_mark(
    struct llm_decoder *decoder, const char *name, struct llm_value string, struct llm_value id)
{
    struct llm_value content = llm_json_inside(string);
    if (content.len == 0 || !may_emit(decoder, content.len + id.len)) {
        return;
    }
    struct buf *out = begin(decoder, LLM_THINKING);
    BUF_LITERAL(out, ",\"text\":\"\"");
    add_inside(out, name, content);
    if (llm_json_is_string(id)) {
        add_inside(out, "id", llm_json_inside(id));
    }
    end(decoder);
}

void
llm_set_signature(struct llm_decoder *decoder, struct llm_value string)
{
    if (is_open(decoder, string.len)) {
        hold(&decoder->signature, llm_json_inside(string));
    }
}

void
llm_flush_signature(struct llm_decoder *decoder)
{
    struct buf *signature = &decoder->signature;
    if (signature->len > 0 && may_emit(decoder, signature->len)) {
        struct buf *out = begin(decoder, LLM_THINKING);
        BUF_LITERAL(out, ",\"text\":\"\"");
        add_held(out, "signature", signature);
        end(decoder);
    }
    signature->len = 0;
}

/* ---- tool calls ---- */

static struct llm_call *
find_call(const struct llm_decoder *decoder, uint64_t key)
{
    for (size_t i = decoder->n_open; i > 0; i--) {
        if (decoder->calls[i - 1].key == key) {
            return &decoder->calls[i - 1];
        }
    }
    return NULL;
}

bool
llm_call_is_open(const struct llm_decoder *decoder, uint64_t key, struct llm_value id)
{
    const struct llm_call *call = find_call(decoder, key);
    struct llm_value content = llm_json_inside(id);
    return call != NULL && (content.len == 0 || call->id.len == 0 ||
                               (call->id.len == content.len &&
                                   memcmp(call->id.bytes, content.at, content.len) == 0));
}

static void
emit_delta(
    struct llm_decoder *decoder, const struct llm_call *call, bool first, struct llm_value content)
{
    struct buf *out = begin(decoder, LLM_TOOL_CALL);
    add_number(out, "index", call->index);
    if (first) {
        add_held(out, "id", &call->id);
        add_held(out, "name", &call->name);
    }
    add_inside(out, "delta", content);
    end(decoder);
}

void
llm_call_begin(
    struct llm_decoder *decoder, uint64_t key, struct llm_value id, struct llm_value name)
{
    llm_call_end(decoder, key);
    if (!may_emit(decoder, id.len + name.len)) {
        return;
    }
    if (decoder->n_open == LLM_CALLS_MAX) {
        llm_decoder_fail(decoder, LLM_TOO_LARGE, "the answer has too many tool calls at once");
        return;
    }
    if (decoder->n_open == decoder->calls_cap) {
        decoder->calls_cap = decoder->calls_cap == 0 ? 4 : 2 * decoder->calls_cap;
        decoder->calls = mem_realloc(decoder->calls, decoder->calls_cap * sizeof *decoder->calls);
    }
    struct llm_call *call = &decoder->calls[decoder->n_open++];
    *call = (struct llm_call){.key = key, .index = decoder->n_calls++};
    hold(&call->id, llm_json_inside(id));
    hold(&call->name, llm_json_inside(name));
    emit_delta(decoder, call, true, (struct llm_value){NULL, 0});
}

void
llm_call_name(struct llm_decoder *decoder, uint64_t key, struct llm_value name)
{
    struct llm_call *call = find_call(decoder, key);
    if (call != NULL && call->name.len == 0) {
        hold(&call->name, llm_json_inside(name));
    }
}

void
llm_call_delta(struct llm_decoder *decoder, uint64_t key, struct llm_value content)
{
    struct llm_call *call = find_call(decoder, key);
    if (call == NULL || content.len == 0 ||
        !may_emit(decoder, 2 * content.len + call->arguments.len)) {
        return;
    }
    buf_add(&call->arguments, content.at, content.len);
    emit_delta(decoder, call, false, content);
}

void
llm_call_whole(struct llm_decoder *decoder, uint64_t key, struct llm_value arguments)
{
    struct llm_call *call = find_call(decoder, key);
    if (call == NULL || call->arguments.len > 0) {
        return;
    }
    if (llm_json_is_string(arguments)) {
        llm_call_delta(decoder, key, llm_json_inside(arguments));
    } else if (llm_json_is_object(arguments)) {
        struct buf text, content;
        buf_init(&text);
        buf_init(&content);
        llm_json_add(&text, arguments);
        llm_json_escape(&content, text.bytes, text.len);
        llm_call_delta(decoder, key, (struct llm_value){content.bytes, content.len});
        buf_fini(&content);
        buf_fini(&text);
    }
}

/* The call leaves the table; the others keep their order. */
static void
close_call(struct llm_decoder *decoder, struct llm_call *call)
{
    buf_fini(&call->id);
    buf_fini(&call->name);
    buf_fini(&call->arguments);
    size_t behind = decoder->n_open - (size_t)(call - decoder->calls) - 1;
    memmove(call, call + 1, behind * sizeof *call);
    decoder->n_open--;
}

void
llm_call_end(struct llm_decoder *decoder, uint64_t key)
{
    struct llm_call *call = find_call(decoder, key);
    if (call == NULL) {
        return;
    }
    if (may_emit(decoder, call->arguments.len)) {
        struct buf *out = begin(decoder, LLM_TOOL_CALL);
        add_number(out, "index", call->index);
        add_held(out, "id", &call->id);
        add_held(out, "name", &call->name);
        if (call->arguments.len == 0) {
            add_content(out, "arguments", "{}", 2);
        } else {
            add_held(out, "arguments", &call->arguments);
        }
        end(decoder);
    }
    close_call(decoder, call);
}

void
llm_call_end_all(struct llm_decoder *decoder)
{
    while (decoder->n_open > 0) {
        llm_call_end(decoder, decoder->calls[0].key);
    }
}

bool
llm_call_any(const struct llm_decoder *decoder)
{
    return decoder->n_calls > 0;
}

/* ---- the end ---- */

void
llm_set_reason(struct llm_decoder *decoder, enum llm_reason reason, struct llm_value upstream)
{
    decoder->has_reason = true;
    decoder->reason = reason;
    hold(&decoder->upstream_reason, llm_json_inside(upstream));
}

void
llm_set_stop_sequence(struct llm_decoder *decoder, struct llm_value string)
{
    hold(&decoder->stop_sequence, llm_json_inside(string));
}

bool
llm_has_reason(const struct llm_decoder *decoder)
{
    return decoder->has_reason;
}

bool
llm_has_refused(const struct llm_decoder *decoder)
{
    return decoder->refused;
}

struct llm_usage *
llm_usage_of(struct llm_decoder *decoder)
{
    return &decoder->usage;
}

void
llm_take_number(struct llm_value value, bool *has, uint64_t *number)
{
    *has |= llm_json_u64(value, number);
}

static void
add_if(struct buf *out, const char *name, bool has, uint64_t number)
{
    if (has) {
        add_number(out, name, number);
    }
}

static void
emit_usage(struct llm_decoder *decoder, bool whole)
{
    const struct llm_usage *usage = &decoder->usage;
    struct buf *out = begin(decoder, LLM_USAGE);
    bool exact = whole && usage->final && usage->has_input && usage->has_output;
    buf_adds(out, exact ? ",\"exact\":true" : ",\"exact\":false");
    add_if(out, "input_tokens", usage->has_input, usage->input);
    add_if(out, "output_tokens", usage->has_output, usage->output);
    add_if(out, "cached_tokens", usage->has_cached, usage->cached);
    add_if(out, "cache_write_tokens", usage->has_written, usage->written);
    add_if(out, "reasoning_tokens", usage->has_reasoning, usage->reasoning);
    end(decoder);
}

void
llm_emit_done(struct llm_decoder *decoder)
{
    llm_flush_signature(decoder);
    llm_call_end_all(decoder);
    if (!may_emit(decoder, 0)) {
        return;
    }
    emit_usage(decoder, true);
    struct buf *out = begin(decoder, LLM_DONE);
    add_name(out, "reason");
    buf_addc(out, '"');
    buf_adds(out, llm_reason_name(decoder->has_reason ? decoder->reason : LLM_REASON_OTHER));
    buf_addc(out, '"');
    if (decoder->upstream_reason.len > 0) {
        add_held(out, "upstream_reason", &decoder->upstream_reason);
    }
    if (decoder->stop_sequence.len > 0) {
        add_held(out, "stop_sequence", &decoder->stop_sequence);
    }
    end(decoder);
    decoder->ended = true;
}

void
llm_decoder_fail(struct llm_decoder *decoder, enum llm_code code, const char *message)
{
    if (decoder->ended) {
        return;
    }
    decoder->ended = true;
    decoder->code = code;
    buf_adds(&decoder->message, message);
    buf_addc(&decoder->message, '\0');
    if (decoder->started) {
        emit_usage(decoder, false);
    }
    struct buf *out = begin(decoder, LLM_FAILED);
    add_name(out, "code");
    buf_addc(out, '"');
    buf_adds(out, llm_code_name(code));
    BUF_LITERAL(out, "\"");
    add_name(out, "message");
    json_add_lossy(out, message, strlen(message));
    end(decoder);
}

void
llm_emit_error(struct llm_decoder *decoder, struct llm_value error)
{
    struct buf text;
    enum llm_code code = LLM_UPSTREAM_ERROR;
    buf_init(&text);
    llm_error_text(&text, error.at, error.len, &code);
    buf_adds(&text, text.len == 0 ? "the upstream told a failure" : "");
    buf_addc(&text, '\0');
    llm_decoder_fail(decoder, code, text.bytes);
    buf_fini(&text);
}
