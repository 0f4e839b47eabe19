/* llm_out_responses: answers as OpenAI's Responses: an item of the output for each block,
 * everything said once more at an item's end and at the answer's. sequence_number counts the events
 * from 0. An error has what it says twice, flat as the API has it and as "error": some versions of
 * the SDKs take only the latter for one. Facts:
 * platform.openai.com/docs/api-reference/responses-streaming. */
#include "llm_out_internal.h"

#include "../gateway/json.h"

#include <inttypes.h>
#include <string.h>

static struct buf *
event_begin(struct llm_out *out, const char *type)
{
    struct buf *text = llm_wire_open(out, type);
    llm_put_number(text, "sequence_number", out->sequence);
    return text;
}

/* ---- items ---- */

/* The id of a block's item: made of its place, unique in the answer. */
static void
put_item_id(const struct llm_out *out, struct buf *text, const struct llm_block *block)
{
    static const char *const begins[] = {
        [LLM_BLOCK_TEXT] = "msg_",
        [LLM_BLOCK_REFUSAL] = "msg_",
        [LLM_BLOCK_THINKING] = "rs_",
        [LLM_BLOCK_REDACTED] = "rs_",
        [LLM_BLOCK_CALL] = "fc_",
    };
    buf_addc(text, '"');
    buf_adds(text, begins[block->kind]);
    buf_add(text, out->id.bytes, out->id.len);
    buf_addf(text, "_%" PRIu64 "\"", block->place);
}

/* A part of a message, with its text when it is done. */
static void
put_part(struct buf *text, const struct llm_block *block, bool done)
{
    struct llm_value words = {block->text.bytes, done ? block->text.len : 0};
    if (block->kind == LLM_BLOCK_REFUSAL) {
        BUF_LITERAL(text, "{\"type\":\"refusal\"");
        llm_put_value(text, "refusal", words);
    } else {
        BUF_LITERAL(text, "{\"type\":\"output_text\",\"annotations\":[");
        buf_add(text, block->citations.bytes, done ? block->citations.len : 0);
        BUF_LITERAL(text, "],\"logprobs\":[]");
        llm_put_value(text, "text", words);
    }
    buf_addc(text, '}');
}

static void
put_summary(struct buf *text, const struct llm_block *block, bool done)
{
    BUF_LITERAL(text, "{\"type\":\"summary_text\"");
    llm_put_value(text, "text", (struct llm_value){block->text.bytes, done ? block->text.len : 0});
    buf_addc(text, '}');
}

static void
put_reasoning(struct buf *text, const struct llm_block *block, bool done)
{
    const struct buf *secret = block->kind == LLM_BLOCK_REDACTED ? &block->text : &block->signature;
    BUF_LITERAL(text, ",\"type\":\"reasoning\",\"summary\":[");
    if (done && block->kind == LLM_BLOCK_THINKING && block->text.len > 0) {
        put_summary(text, block, true);
    }
    buf_addc(text, ']');
    if (done && secret->len > 0) {
        llm_put(text, "encrypted_content", secret);
    }
}

static void
put_item(const struct llm_out *out, struct buf *text, const struct llm_block *block, bool done)
{
    BUF_LITERAL(text, "{\"id\":");
    put_item_id(out, text, block);
    switch (block->kind) {
    case LLM_BLOCK_TEXT:
    case LLM_BLOCK_REFUSAL:
        BUF_LITERAL(text, ",\"type\":\"message\",\"role\":\"assistant\",\"content\":[");
        if (done) {
            put_part(text, block, true);
        }
        buf_addc(text, ']');
        break;
    case LLM_BLOCK_THINKING:
    case LLM_BLOCK_REDACTED:
        put_reasoning(text, block, done);
        break;
    case LLM_BLOCK_CALL:
        BUF_LITERAL(text, ",\"type\":\"function_call\"");
        llm_put(text, "call_id", &block->id);
        llm_put(text, "name", &block->name);
        llm_put_value(
            text, "arguments", (struct llm_value){block->text.bytes, done ? block->text.len : 0});
        break;
    }
    llm_put_word(text, "status", done ? "completed" : "in_progress");
    buf_addc(text, '}');
}

/* ---- the response ---- */

static void
put_usage(const struct llm_out_usage *usage, struct buf *text)
{
    if (!usage->has_input || !usage->has_output) {
        BUF_LITERAL(text, ",\"usage\":null");
        return;
    }
    BUF_LITERAL(text, ",\"usage\":{\"input_tokens\":");
    buf_addu64(text, usage->input);
    BUF_LITERAL(text, ",\"input_tokens_details\":{\"cached_tokens\":");
    buf_addu64(text, usage->cached);
    buf_addc(text, '}');
    llm_put_number(text, "output_tokens", usage->output);
    BUF_LITERAL(text, ",\"output_tokens_details\":{\"reasoning_tokens\":");
    buf_addu64(text, usage->reasoning);
    buf_addc(text, '}');
    llm_put_number(text, "total_tokens", usage->input + usage->output);
    buf_addc(text, '}');
}

/* Why it is not complete; NULL: it is. */
static const char *
incomplete(const struct llm_out *out)
{
    switch (out->reason) {
    case LLM_REASON_LENGTH:
    case LLM_REASON_PAUSE:
        return "max_output_tokens";
    case LLM_REASON_CONTENT_FILTER:
        return "content_filter";
    case LLM_REASON_REFUSAL:
        return out->refused ? NULL : "content_filter";
    case LLM_REASON_STOP:
    case LLM_REASON_STOP_SEQUENCE:
    case LLM_REASON_TOOL_CALLS:
    case LLM_REASON_OTHER:
    case LLM_REASON_COUNT:
        break;
    }
    return NULL;
}

static void
put_output(const struct llm_out *out, struct buf *text)
{
    for (size_t i = 0; i < out->n_kept; i++) {
        buf_adds(text, i > 0 ? "," : "");
        put_item(out, text, out->kept[i], true);
    }
}

static void
put_response(const struct llm_out *out, struct buf *text, bool done)
{
    const char *why = done ? incomplete(out) : NULL;
    BUF_LITERAL(text, "{\"id\":\"");
    if (out->id.len == 0) {
        BUF_LITERAL(text, "resp_0");
    }
    buf_add(text, out->id.bytes, out->id.len);
    BUF_LITERAL(text, "\",\"object\":\"response\"");
    llm_put_number(text, "created_at", (uint64_t)out->options.created_s);
    llm_put_word(text, "status", !done ? "in_progress" : why != NULL ? "incomplete" : "completed");
    BUF_LITERAL(text, ",\"error\":null,\"incomplete_details\":");
    if (why != NULL) {
        buf_addf(text, "{\"reason\":\"%s\"}", why);
    } else {
        BUF_LITERAL(text, "null");
    }
    BUF_LITERAL(text, ",\"instructions\":null,\"max_output_tokens\":null,\"metadata\":{}");
    llm_put(text, "model", &out->model);
    BUF_LITERAL(text, ",\"output\":[");
    if (done) {
        put_output(out, text);
    }
    BUF_LITERAL(text, "],\"parallel_tool_calls\":true,\"previous_response_id\":null,"
                      "\"temperature\":null,\"text\":{\"format\":{\"type\":\"text\"}},"
                      "\"tool_choice\":\"auto\",\"tools\":[],\"top_p\":null");
    if (done) {
        put_usage(&out->usage, text);
    } else {
        BUF_LITERAL(text, ",\"usage\":null");
    }
    buf_addc(text, '}');
}

static void
tell_response(struct llm_out *out, const char *type, bool done)
{
    struct buf *text = event_begin(out, type);
    BUF_LITERAL(text, ",\"response\":");
    put_response(out, text, done);
    llm_wire_close(out);
}

static void
responses_start(struct llm_out *out)
{
    tell_response(out, "response.created", false);
    tell_response(out, "response.in_progress", false);
}

/* ---- blocks ---- */

/* An event of a block's item; where an index of the inside is wanted, inside names it. */
static struct buf *
item_event_begin(
    struct llm_out *out, const char *type, const struct llm_block *block, const char *inside)
{
    struct buf *text = event_begin(out, type);
    BUF_LITERAL(text, ",\"item_id\":");
    put_item_id(out, text, block);
    llm_put_number(text, "output_index", block->place);
    if (inside != NULL) {
        llm_put_number(text, inside, 0);
    }
    return text;
}

static void
tell_item(struct llm_out *out, const char *type, const struct llm_block *block, bool done)
{
    struct buf *text = event_begin(out, type);
    llm_put_number(text, "output_index", block->place);
    BUF_LITERAL(text, ",\"item\":");
    put_item(out, text, block, done);
    llm_wire_close(out);
}

static void
tell_part(struct llm_out *out, const char *type, const struct llm_block *block, bool done)
{
    bool words = block->kind != LLM_BLOCK_THINKING;
    struct buf *text =
        item_event_begin(out, type, block, words ? "content_index" : "summary_index");
    BUF_LITERAL(text, ",\"part\":");
    if (words) {
        put_part(text, block, done);
    } else {
        put_summary(text, block, done);
    }
    llm_wire_close(out);
}

static bool
is_message(const struct llm_block *block)
{
    return block->kind == LLM_BLOCK_TEXT || block->kind == LLM_BLOCK_REFUSAL;
}

static void
responses_open(struct llm_out *out, const struct llm_block *block)
{
    tell_item(out, "response.output_item.added", block, false);
    if (is_message(block)) {
        tell_part(out, "response.content_part.added", block, false);
    } else if (block->kind == LLM_BLOCK_THINKING) {
        tell_part(out, "response.reasoning_summary_part.added", block, false);
    }
}

static void
responses_delta(struct llm_out *out, const struct llm_block *block, struct llm_value content)
{
    static const struct {
        const char *type, *inside;
    } rows[] = {
        [LLM_BLOCK_TEXT] = {"response.output_text.delta", "content_index"},
        [LLM_BLOCK_REFUSAL] = {"response.refusal.delta", "content_index"},
        [LLM_BLOCK_THINKING] = {"response.reasoning_summary_text.delta", "summary_index"},
        [LLM_BLOCK_REDACTED] = {NULL, NULL},
        [LLM_BLOCK_CALL] = {"response.function_call_arguments.delta", NULL},
    };
    struct buf *text =
        item_event_begin(out, rows[block->kind].type, block, rows[block->kind].inside);
    llm_put_value(text, "delta", content);
    buf_adds(text, block->kind == LLM_BLOCK_TEXT ? ",\"logprobs\":[]" : "");
    llm_wire_close(out);
}

/* It stands in the item, at its end. */
static void
responses_signature(struct llm_out *out, const struct llm_block *block)
{
    (void)out;
    (void)block;
}

static void
responses_citation(struct llm_out *out, struct llm_block *block, struct llm_value object)
{
    struct buf *text =
        item_event_begin(out, "response.output_text.annotation.added", block, "content_index");
    llm_put_number(text, "annotation_index", block->n_citations);
    BUF_LITERAL(text, ",\"annotation\":");
    buf_add(text, object.at, object.len);
    llm_wire_close(out);
}

/* What was said in pieces, once more. */
static void
tell_text(struct llm_out *out, const char *type, const struct llm_block *block, const char *inside,
    const char *name)
{
    struct buf *text = item_event_begin(out, type, block, inside);
    llm_put(text, name, &block->text);
    if (block->kind == LLM_BLOCK_TEXT) {
        BUF_LITERAL(text, ",\"logprobs\":[]");
    } else if (block->kind == LLM_BLOCK_CALL) {
        llm_put(text, "name", &block->name);
    }
    llm_wire_close(out);
}

static void
responses_close(struct llm_out *out, const struct llm_block *block)
{
    if (block->kind == LLM_BLOCK_TEXT) {
        tell_text(out, "response.output_text.done", block, "content_index", "text");
    } else if (block->kind == LLM_BLOCK_REFUSAL) {
        tell_text(out, "response.refusal.done", block, "content_index", "refusal");
    } else if (block->kind == LLM_BLOCK_THINKING) {
        tell_text(out, "response.reasoning_summary_text.done", block, "summary_index", "text");
        tell_part(out, "response.reasoning_summary_part.done", block, true);
    } else if (block->kind == LLM_BLOCK_CALL) {
        tell_text(out, "response.function_call_arguments.done", block, NULL, "arguments");
    }
    if (is_message(block)) {
        tell_part(out, "response.content_part.done", block, true);
    }
    tell_item(out, "response.output_item.done", block, true);
}

/* ---- the end ---- */

static void
responses_done(struct llm_out *out)
{
    tell_response(
        out, incomplete(out) == NULL ? "response.completed" : "response.incomplete", true);
}

/* The members of an error. */
static void
put_error(struct buf *text, enum llm_code code, const char *message)
{
    BUF_LITERAL(text, "\"message\":");
    json_add_lossy(text, message, strlen(message));
    llm_put_word(text, "code", llm_code_name(code));
    BUF_LITERAL(text, ",\"param\":null");
}

static void
responses_error(struct buf *text, enum llm_code code, const char *message)
{
    llm_out_error(&llm_out_openai, text, code, message);
}

static const char *
responses_error_event(struct buf *text, enum llm_code code, const char *message)
{
    BUF_LITERAL(text, "{\"type\":\"error\",");
    put_error(text, code, message);
    BUF_LITERAL(text, ",\"error\":{");
    put_error(text, code, message);
    llm_put_word(text, "type", llm_out_type(code));
    BUF_LITERAL(text, "}}");
    return "error";
}

static bool
responses_knows(struct llm_value citation)
{
    static const char *const types[] = {
        "url_citation", "file_citation", "container_file_citation", "file_path", NULL};
    return llm_type_is_one(citation, types) &&
           !llm_json_is_object(llm_json_get(citation, "url_citation"));
}

static void
responses_whole(struct llm_out *out, struct buf *text)
{
    put_response(out, text, true);
}

const struct llm_out_dialect llm_out_responses = {
    .name = "responses",
    .keeps = true,
    .empty_arguments = true,
    .start = responses_start,
    .open = responses_open,
    .delta = responses_delta,
    .signature = responses_signature,
    .citation = responses_citation,
    .close = responses_close,
    .done = responses_done,
    .knows = responses_knows,
    .whole = responses_whole,
    .error = responses_error,
    .error_event = responses_error_event,
};
