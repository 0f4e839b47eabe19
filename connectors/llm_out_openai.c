/* llm_out_openai: answers as OpenAI's Chat Completions. The first chunk has the role, which the
 * SDK's helper insists on; a failure is a lone {"error":{...}} without an event's name, which every
 * version of the SDKs takes for one, and no [DONE] follows. Facts:
 * platform.openai.com/docs/api-reference/chat-streaming; openai-node, src/core/streaming. */
#include "llm_out_internal.h"

#include "../gateway/json.h"

#include <string.h>

static void
put_names(struct llm_out *out, struct buf *text, const char *object)
{
    BUF_LITERAL(text, "{\"id\":\"");
    if (out->id.len == 0) {
        BUF_LITERAL(text, "chatcmpl-0");
    }
    buf_add(text, out->id.bytes, out->id.len);
    buf_addc(text, '"');
    llm_put_word(text, "object", object);
    llm_put_number(text, "created", (uint64_t)out->options.created_s);
    llm_put(text, "model", &out->model);
}

/* Up to where the delta's members follow. */
static struct buf *
chunk_begin(struct llm_out *out)
{
    struct buf *text = llm_wire_begin(out, NULL);
    put_names(out, text, "chat.completion.chunk");
    BUF_LITERAL(text, ",\"choices\":[{\"index\":0,\"delta\":{");
    return text;
}

static void
chunk_end(struct llm_out *out, const char *reason)
{
    struct buf *text = &out->texts;
    BUF_LITERAL(text, "},\"logprobs\":null,\"finish_reason\":");
    if (reason == NULL) {
        BUF_LITERAL(text, "null}]");
    } else {
        buf_addf(text, "\"%s\"}]", reason);
    }
    buf_adds(text, out->options.usage_chunk ? ",\"usage\":null}" : "}");
    llm_wire_end(out);
}

static void
openai_start(struct llm_out *out)
{
    struct buf *text = chunk_begin(out);
    BUF_LITERAL(text, "\"role\":\"assistant\",\"content\":\"\"");
    chunk_end(out, NULL);
}

/* The beginning of a call; its arguments follow. */
static void
put_call(struct buf *text, const struct llm_block *block)
{
    BUF_LITERAL(text, "\"id\":\"");
    buf_add(text, block->id.bytes, block->id.len);
    BUF_LITERAL(text, "\",\"type\":\"function\",\"function\":{\"name\":\"");
    buf_add(text, block->name.bytes, block->name.len);
    BUF_LITERAL(text, "\",\"arguments\":\"");
}

static void
openai_open(struct llm_out *out, const struct llm_block *block)
{
    if (block->kind == LLM_BLOCK_CALL) {
        struct buf *text = chunk_begin(out);
        BUF_LITERAL(text, "\"tool_calls\":[{\"index\":");
        buf_addu64(text, block->call);
        buf_addc(text, ',');
        put_call(text, block);
        BUF_LITERAL(text, "\"}}]");
        chunk_end(out, NULL);
    }
}

static void
openai_delta(struct llm_out *out, const struct llm_block *block, struct llm_value content)
{
    static const char *const begins[] = {
        [LLM_BLOCK_TEXT] = "\"content\":\"",
        [LLM_BLOCK_REFUSAL] = "\"refusal\":\"",
        [LLM_BLOCK_THINKING] = "\"reasoning_content\":\"",
        [LLM_BLOCK_REDACTED] = "",
        [LLM_BLOCK_CALL] = "\"tool_calls\":[{\"index\":",
    };
    bool call = block->kind == LLM_BLOCK_CALL;
    struct buf *text = chunk_begin(out);
    buf_adds(text, begins[block->kind]);
    if (call) {
        buf_addu64(text, block->call);
        BUF_LITERAL(text, ",\"function\":{\"arguments\":\"");
    }
    buf_add(text, content.at, content.len);
    buf_adds(text, call ? "\"}}]" : "\"");
    chunk_end(out, NULL);
}

/* There is no word for it. */
static void
openai_signature(struct llm_out *out, const struct llm_block *block)
{
    (void)out;
    (void)block;
}

static void
openai_citation(struct llm_out *out, struct llm_block *block, struct llm_value object)
{
    (void)block;
    struct buf *text = chunk_begin(out);
    BUF_LITERAL(text, "\"annotations\":[");
    buf_add(text, object.at, object.len);
    buf_addc(text, ']');
    chunk_end(out, NULL);
}

static void
openai_close(struct llm_out *out, const struct llm_block *block)
{
    (void)out;
    (void)block;
}

/* A turn that is to go on is not whole: length says so. */
static const char *
finish_reason(const struct llm_out *out)
{
    switch (out->reason) {
    case LLM_REASON_LENGTH:
    case LLM_REASON_PAUSE:
        return "length";
    case LLM_REASON_TOOL_CALLS:
        return "tool_calls";
    case LLM_REASON_CONTENT_FILTER:
        return "content_filter";
    case LLM_REASON_REFUSAL:
        return out->refused ? "stop" : "content_filter";
    case LLM_REASON_STOP:
    case LLM_REASON_STOP_SEQUENCE:
    case LLM_REASON_OTHER:
    case LLM_REASON_COUNT:
        break;
    }
    return "stop";
}

/* Nothing where the upstream did not tell both. */
static void
put_usage(const struct llm_out_usage *usage, struct buf *text)
{
    if (!usage->has_input || !usage->has_output) {
        return;
    }
    BUF_LITERAL(text, ",\"usage\":{\"prompt_tokens\":");
    buf_addu64(text, usage->input);
    llm_put_number(text, "completion_tokens", usage->output);
    llm_put_number(text, "total_tokens", usage->input + usage->output);
    BUF_LITERAL(text, ",\"prompt_tokens_details\":{\"cached_tokens\":");
    buf_addu64(text, usage->cached);
    BUF_LITERAL(text, "},\"completion_tokens_details\":{\"reasoning_tokens\":");
    buf_addu64(text, usage->reasoning);
    BUF_LITERAL(text, "}}");
}

static void
openai_done(struct llm_out *out)
{
    (void)chunk_begin(out);
    chunk_end(out, finish_reason(out));
    if (out->options.usage_chunk && out->usage.has_input && out->usage.has_output) {
        struct buf *text = llm_wire_begin(out, NULL);
        put_names(out, text, "chat.completion.chunk");
        BUF_LITERAL(text, ",\"choices\":[]");
        put_usage(&out->usage, text);
        buf_addc(text, '}');
        llm_wire_end(out);
    }
    BUF_LITERAL(llm_wire_begin(out, NULL), "[DONE]");
    llm_wire_end(out);
}

static void
openai_error(struct buf *text, enum llm_code code, const char *message)
{
    BUF_LITERAL(text, "{\"error\":{\"message\":");
    json_add_lossy(text, message, strlen(message));
    llm_put_word(text, "type", llm_out_type(code));
    BUF_LITERAL(text, ",\"param\":null");
    llm_put_word(text, "code", llm_code_name(code));
    BUF_LITERAL(text, "}}");
}

static const char *
openai_error_event(struct buf *text, enum llm_code code, const char *message)
{
    openai_error(text, code, message);
    return NULL;
}

static bool
openai_knows(struct llm_value citation)
{
    return llm_json_is_object(llm_json_get(citation, "url_citation"));
}

/* ---- the whole object ---- */

/* All blocks of a kind behind each other, as a string; null where there is none. */
static void
put_texts(const struct llm_out *out, struct buf *text, enum llm_block_kind kind, const char *name)
{
    bool any = false;
    buf_addf(text, "\"%s\":", name);
    for (size_t i = 0; i < out->n_kept; i++) {
        const struct llm_block *block = out->kept[i];
        if (block->kind == kind) {
            buf_adds(text, any ? "" : "\"");
            buf_add(text, block->text.bytes, block->text.len);
            any = true;
        }
    }
    buf_adds(text, any ? "\"" : "null");
}

static bool
has_block(const struct llm_out *out, enum llm_block_kind kind)
{
    for (size_t i = 0; i < out->n_kept; i++) {
        if (out->kept[i]->kind == kind) {
            return true;
        }
    }
    return false;
}

static void
put_annotations(const struct llm_out *out, struct buf *text)
{
    const char *before = ",\"annotations\":[";
    for (size_t i = 0; i < out->n_kept; i++) {
        if (out->kept[i]->citations.len > 0) {
            buf_adds(text, before);
            before = ",";
            buf_add(text, out->kept[i]->citations.bytes, out->kept[i]->citations.len);
        }
    }
    buf_adds(text, before[1] == '\0' ? "]" : "");
}

static void
put_calls(const struct llm_out *out, struct buf *text)
{
    const char *before = ",\"tool_calls\":[{";
    for (size_t i = 0; i < out->n_kept; i++) {
        const struct llm_block *block = out->kept[i];
        if (block->kind == LLM_BLOCK_CALL) {
            buf_adds(text, before);
            before = ",{";
            put_call(text, block);
            buf_add(text, block->text.bytes, block->text.len);
            BUF_LITERAL(text, "\"}}");
        }
    }
    buf_adds(text, before[2] == '\0' ? "]" : "");
}

/* Of all blocks of a kind, as an array; null where there are none. */
static bool
put_logprobs_of(const struct llm_out *out, struct buf *text, enum llm_block_kind kind)
{
    bool any = false;
    for (size_t i = 0; i < out->n_kept; i++) {
        const struct llm_block *block = out->kept[i];
        if (block->kind == kind && block->logprobs.len > 0) {
            buf_adds(text, any ? "," : "[");
            buf_add(text, block->logprobs.bytes, block->logprobs.len);
            any = true;
        }
    }
    buf_adds(text, any ? "]" : "null");
    return any;
}

static void
put_logprobs(const struct llm_out *out, struct buf *text)
{
    size_t start = text->len;
    BUF_LITERAL(text, "{\"content\":");
    bool content = put_logprobs_of(out, text, LLM_BLOCK_TEXT);
    BUF_LITERAL(text, ",\"refusal\":");
    if (put_logprobs_of(out, text, LLM_BLOCK_REFUSAL) || content) {
        buf_addc(text, '}');
    } else {
        text->len = start;
        BUF_LITERAL(text, "null");
    }
}

static void
openai_whole(struct llm_out *out, struct buf *text)
{
    put_names(out, text, "chat.completion");
    BUF_LITERAL(text, ",\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",");
    put_texts(out, text, LLM_BLOCK_TEXT, "content");
    buf_addc(text, ',');
    put_texts(out, text, LLM_BLOCK_REFUSAL, "refusal");
    if (has_block(out, LLM_BLOCK_THINKING)) {
        buf_addc(text, ',');
        put_texts(out, text, LLM_BLOCK_THINKING, "reasoning_content");
    }
    put_annotations(out, text);
    put_calls(out, text);
    BUF_LITERAL(text, "},\"logprobs\":");
    put_logprobs(out, text);
    buf_addf(text, ",\"finish_reason\":\"%s\"}]", finish_reason(out));
    put_usage(&out->usage, text);
    buf_addc(text, '}');
}

const struct llm_out_dialect llm_out_openai = {
    .name = "openai",
    .empty_arguments = true,
    .start = openai_start,
    .open = openai_open,
    .delta = openai_delta,
    .signature = openai_signature,
    .citation = openai_citation,
    .close = openai_close,
    .done = openai_done,
    .knows = openai_knows,
    .whole = openai_whole,
    .error = openai_error,
    .error_event = openai_error_event,
};
