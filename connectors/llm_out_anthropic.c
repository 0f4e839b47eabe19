/* llm_out_anthropic: answers as Anthropic's Messages. Each event has its name twice, since the SDKs
 * drop one without its event: line. What was read of the request is known only in the end where
 * another provider answers: message_delta has it, whose numbers replace those before.
 * Facts: platform.claude.com/docs/en/api/messages-streaming; anthropic-sdk-typescript. */
#include "llm_out_internal.h"

#include "../gateway/json.h"

#include <string.h>

/* Up to the content's items. */
static void
put_message(const struct llm_out *out, struct buf *text)
{
    BUF_LITERAL(text, "{\"id\":\"");
    if (out->id.len == 0) {
        BUF_LITERAL(text, "msg_0");
    }
    buf_add(text, out->id.bytes, out->id.len);
    BUF_LITERAL(text, "\",\"type\":\"message\",\"role\":\"assistant\"");
    llm_put(text, "model", &out->model);
    BUF_LITERAL(text, ",\"content\":[");
}

static void
anthropic_start(struct llm_out *out)
{
    struct buf *text = llm_wire_open(out, "message_start");
    BUF_LITERAL(text, ",\"message\":");
    put_message(out, text);
    BUF_LITERAL(text, "],\"stop_reason\":null,\"stop_sequence\":null,"
                      "\"usage\":{\"input_tokens\":0,\"output_tokens\":0}}");
    llm_wire_close(out);
}

/* A block as it begins, or, whole, as it is in the end. */
static void
put_block(struct buf *text, const struct llm_block *block, bool whole)
{
    static const struct llm_value none = {"", 0};
    struct llm_value words = whole ? (struct llm_value){block->text.bytes, block->text.len} : none;
    switch (block->kind) {
    case LLM_BLOCK_TEXT:
    case LLM_BLOCK_REFUSAL:
        BUF_LITERAL(text, "{\"type\":\"text\"");
        llm_put_value(text, "text", words);
        if (whole && block->citations.len > 0) {
            BUF_LITERAL(text, ",\"citations\":[");
            buf_add(text, block->citations.bytes, block->citations.len);
            buf_addc(text, ']');
        }
        break;
    case LLM_BLOCK_THINKING:
        BUF_LITERAL(text, "{\"type\":\"thinking\"");
        llm_put_value(text, "thinking", words);
        llm_put_value(text, "signature",
            whole ? (struct llm_value){block->signature.bytes, block->signature.len} : none);
        break;
    case LLM_BLOCK_REDACTED:
        BUF_LITERAL(text, "{\"type\":\"redacted_thinking\"");
        llm_put(text, "data", &block->text);
        break;
    case LLM_BLOCK_CALL:
        BUF_LITERAL(text, "{\"type\":\"tool_use\"");
        llm_put(text, "id", &block->id);
        llm_put(text, "name", &block->name);
        BUF_LITERAL(text, ",\"input\":");
        break;
    }
}

static void
anthropic_open(struct llm_out *out, const struct llm_block *block)
{
    struct buf *text = llm_wire_open(out, "content_block_start");
    llm_put_number(text, "index", block->place);
    BUF_LITERAL(text, ",\"content_block\":");
    put_block(text, block, false);
    buf_adds(text, block->kind == LLM_BLOCK_CALL ? "{}}" : "}");
    llm_wire_close(out);
}

static struct buf *
delta_begin(struct llm_out *out, const struct llm_block *block)
{
    struct buf *text = llm_wire_open(out, "content_block_delta");
    llm_put_number(text, "index", block->place);
    BUF_LITERAL(text, ",\"delta\":{\"type\":\"");
    return text;
}

static void
delta_end(struct llm_out *out)
{
    buf_addc(&out->texts, '}');
    llm_wire_close(out);
}

static void
anthropic_delta(struct llm_out *out, const struct llm_block *block, struct llm_value content)
{
    static const char *const begins[] = {
        [LLM_BLOCK_TEXT] = "text_delta\",\"text\":\"",
        [LLM_BLOCK_REFUSAL] = "text_delta\",\"text\":\"",
        [LLM_BLOCK_THINKING] = "thinking_delta\",\"thinking\":\"",
        [LLM_BLOCK_REDACTED] = "",
        [LLM_BLOCK_CALL] = "input_json_delta\",\"partial_json\":\"",
    };
    struct buf *text = delta_begin(out, block);
    buf_adds(text, begins[block->kind]);
    buf_add(text, content.at, content.len);
    buf_addc(text, '"');
    delta_end(out);
}

static void
anthropic_signature(struct llm_out *out, const struct llm_block *block)
{
    struct buf *text = delta_begin(out, block);
    BUF_LITERAL(text, "signature_delta\"");
    llm_put(text, "signature", &block->signature);
    delta_end(out);
}

static void
anthropic_citation(struct llm_out *out, struct llm_block *block, struct llm_value object)
{
    struct buf *text = delta_begin(out, block);
    BUF_LITERAL(text, "citations_delta\",\"citation\":");
    buf_add(text, object.at, object.len);
    delta_end(out);
}

static void
anthropic_close(struct llm_out *out, const struct llm_block *block)
{
    llm_put_number(llm_wire_open(out, "content_block_stop"), "index", block->place);
    llm_wire_close(out);
}

/* The upstream's own word where it is one of this dialect. */
static const char *
stop_reason(const struct llm_out *out)
{
    static const char full[] = "model_context_window_exceeded";
    const struct buf *upstream = &out->upstream_reason;
    switch (out->reason) {
    case LLM_REASON_STOP_SEQUENCE:
        return "stop_sequence";
    case LLM_REASON_LENGTH:
        return upstream->len == strlen(full) && memcmp(upstream->bytes, full, upstream->len) == 0
                   ? full
                   : "max_tokens";
    case LLM_REASON_TOOL_CALLS:
        return "tool_use";
    case LLM_REASON_REFUSAL:
    case LLM_REASON_CONTENT_FILTER:
        return "refusal";
    case LLM_REASON_PAUSE:
        return "pause_turn";
    case LLM_REASON_STOP:
    case LLM_REASON_OTHER:
    case LLM_REASON_COUNT:
        break;
    }
    return "end_turn";
}

static void
put_stop(const struct llm_out *out, struct buf *text)
{
    buf_addf(text, "\"stop_reason\":\"%s\",\"stop_sequence\":", stop_reason(out));
    if (out->stop_sequence.len > 0) {
        buf_addc(text, '"');
        buf_add(text, out->stop_sequence.bytes, out->stop_sequence.len);
        buf_addc(text, '"');
    } else {
        BUF_LITERAL(text, "null");
    }
}

/* Its input does not count the cache's in. */
static void
put_usage(const struct llm_out_usage *usage, struct buf *text, bool whole)
{
    uint64_t cache = usage->cached + usage->written;
    BUF_LITERAL(text, ",\"usage\":{\"output_tokens\":");
    buf_addu64(text, usage->output);
    if (usage->has_input || whole) {
        llm_put_number(text, "input_tokens", usage->input > cache ? usage->input - cache : 0);
        llm_put_number(text, "cache_read_input_tokens", usage->cached);
        llm_put_number(text, "cache_creation_input_tokens", usage->written);
    }
    if (usage->reasoning > 0) {
        BUF_LITERAL(text, ",\"output_tokens_details\":{\"thinking_tokens\":");
        buf_addu64(text, usage->reasoning);
        buf_addc(text, '}');
    }
    buf_addc(text, '}');
}

static void
anthropic_done(struct llm_out *out)
{
    struct buf *text = llm_wire_open(out, "message_delta");
    BUF_LITERAL(text, ",\"delta\":{");
    put_stop(out, text);
    buf_addc(text, '}');
    put_usage(&out->usage, text, false);
    llm_wire_close(out);
    (void)llm_wire_open(out, "message_stop");
    llm_wire_close(out);
}

static void
anthropic_error(struct buf *text, enum llm_code code, const char *message)
{
    BUF_LITERAL(text, "{\"type\":\"error\",\"error\":{\"type\":\"");
    buf_adds(text, llm_out_type(code));
    BUF_LITERAL(text, "\",\"message\":");
    json_add_lossy(text, message, strlen(message));
    BUF_LITERAL(text, "}}");
}

static const char *
anthropic_error_event(struct buf *text, enum llm_code code, const char *message)
{
    anthropic_error(text, code, message);
    return "error";
}

static bool
anthropic_knows(struct llm_value citation)
{
    static const char *const types[] = {"char_location", "page_location", "content_block_location",
        "web_search_result_location", "search_result_location", NULL};
    return llm_type_is_one(citation, types);
}

/* ---- the whole object ---- */

/* Arguments that were cut, as after max_tokens, are no object: the SDKs' own helper has {} then. */
static void
put_input(const struct llm_block *block, struct buf *text)
{
    struct buf said;
    buf_init(&said);
    llm_json_text(&said, (struct llm_value){block->text.bytes, block->text.len});
    struct llm_value root = llm_json_root(said.bytes, said.len);
    if (llm_json_is_object(root)) {
        llm_json_add(text, root);
    } else {
        BUF_LITERAL(text, "{}");
    }
    buf_fini(&said);
}

static void
anthropic_whole(struct llm_out *out, struct buf *text)
{
    put_message(out, text);
    for (size_t i = 0; i < out->n_kept; i++) {
        const struct llm_block *block = out->kept[i];
        buf_adds(text, i > 0 ? "," : "");
        put_block(text, block, true);
        if (block->kind == LLM_BLOCK_CALL) {
            put_input(block, text);
        }
        buf_addc(text, '}');
    }
    BUF_LITERAL(text, "],");
    put_stop(out, text);
    put_usage(&out->usage, text, true);
    buf_addc(text, '}');
}

const struct llm_out_dialect llm_out_anthropic = {
    .name = "anthropic",
    .start = anthropic_start,
    .open = anthropic_open,
    .delta = anthropic_delta,
    .signature = anthropic_signature,
    .citation = anthropic_citation,
    .close = anthropic_close,
    .done = anthropic_done,
    .knows = anthropic_knows,
    .whole = anthropic_whole,
    .error = anthropic_error,
    .error_event = anthropic_error_event,
};
