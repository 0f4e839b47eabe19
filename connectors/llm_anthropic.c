/* llm_anthropic: the Anthropic Messages API: events of its stream, and its request. The answer's
 * blocks are told apart by their index; server-side tools and their results are not passed on.
 * Facts: platform.claude.com/docs/en/api/messages-streaming. */
#include "llm_dialect.h"
#include "llm_emit.h"
#include "llm_request.h"

#include <string.h>

/* ---- the stream ---- */

/* Totals, not increments: the newest one counts. Its input does not count the cache's in. */
static void
take_usage(struct llm_decoder *decoder, struct llm_value object)
{
    struct llm_usage *usage = llm_usage_of(decoder);
    uint64_t input = usage->input - usage->cached - usage->written;
    struct llm_value details = llm_json_get(object, "output_tokens_details");
    llm_take_number(llm_json_get(object, "input_tokens"), &usage->has_input, &input);
    llm_take_number(llm_json_get(object, "output_tokens"), &usage->has_output, &usage->output);
    llm_take_number(
        llm_json_get(object, "cache_read_input_tokens"), &usage->has_cached, &usage->cached);
    llm_take_number(
        llm_json_get(object, "cache_creation_input_tokens"), &usage->has_written, &usage->written);
    llm_take_number(
        llm_json_get(details, "thinking_tokens"), &usage->has_reasoning, &usage->reasoning);
    usage->input = input + usage->cached + usage->written;
}

static void
message_start(struct llm_decoder *decoder, struct llm_value event)
{
    struct llm_value message = llm_json_get(event, "message");
    llm_emit_start(decoder, llm_json_get(message, "model"), llm_json_get(message, "id"));
    take_usage(decoder, llm_json_get(message, "usage"));
}

static uint64_t
index_of(struct llm_value event)
{
    uint64_t index = 0;
    (void)llm_json_u64(llm_json_get(event, "index"), &index);
    return index;
}

static void
block_start(struct llm_decoder *decoder, struct llm_value event)
{
    struct llm_value block = llm_json_get(event, "content_block");
    struct llm_value type = llm_json_get(block, "type");
    if (llm_json_is(type, "text")) {
        llm_emit_text(decoder, llm_json_get(block, "text"));
    } else if (llm_json_is(type, "thinking")) {
        llm_emit_thinking(decoder, llm_json_get(block, "thinking"));
        llm_set_signature(decoder, llm_json_get(block, "signature"));
    } else if (llm_json_is(type, "redacted_thinking")) {
        struct llm_value none = {NULL, 0};
        llm_emit_thinking_mark(decoder, "redacted", llm_json_get(block, "data"), none);
    } else if (llm_json_is(type, "tool_use")) {
        uint64_t index = index_of(event);
        llm_call_begin(decoder, index, llm_json_get(block, "id"), llm_json_get(block, "name"));
        struct llm_value input = llm_json_get(block, "input");
        if (input.len > strlen("{}")) { /* compatible servers give it here, and no deltas */
            llm_call_whole(decoder, index, input);
        }
    }
}

static void
block_delta(struct llm_decoder *decoder, struct llm_value event)
{
    struct llm_value delta = llm_json_get(event, "delta");
    struct llm_value type = llm_json_get(delta, "type");
    if (llm_json_is(type, "text_delta")) {
        llm_emit_text(decoder, llm_json_get(delta, "text"));
    } else if (llm_json_is(type, "input_json_delta")) {
        llm_call_delta(
            decoder, index_of(event), llm_json_inside(llm_json_get(delta, "partial_json")));
    } else if (llm_json_is(type, "thinking_delta")) {
        llm_emit_thinking(decoder, llm_json_get(delta, "thinking"));
    } else if (llm_json_is(type, "signature_delta")) {
        llm_set_signature(decoder, llm_json_get(delta, "signature"));
    } else if (llm_json_is(type, "citations_delta")) {
        llm_emit_citation(decoder, llm_json_get(delta, "citation"));
    }
}

static enum llm_reason
reason_of(struct llm_value word)
{
    static const struct {
        const char *word;
        enum llm_reason reason;
    } rows[] = {
        {"end_turn", LLM_REASON_STOP},
        {"max_tokens", LLM_REASON_LENGTH},
        {"model_context_window_exceeded", LLM_REASON_LENGTH},
        {"stop_sequence", LLM_REASON_STOP_SEQUENCE},
        {"tool_use", LLM_REASON_TOOL_CALLS},
        {"pause_turn", LLM_REASON_PAUSE},
        {"refusal", LLM_REASON_REFUSAL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (llm_json_is(word, rows[i].word)) {
            return rows[i].reason;
        }
    }
    return LLM_REASON_OTHER;
}

static void
message_delta(struct llm_decoder *decoder, struct llm_value event)
{
    struct llm_value delta = llm_json_get(event, "delta");
    struct llm_value reason = llm_json_get(delta, "stop_reason");
    if (llm_json_is_string(reason)) {
        llm_set_reason(decoder, reason_of(reason), reason);
    }
    struct llm_value sequence = llm_json_get(delta, "stop_sequence");
    if (llm_json_is_string(sequence)) {
        llm_set_stop_sequence(decoder, sequence);
    }
    struct llm_value usage = llm_json_get(event, "usage");
    take_usage(decoder, usage);
    llm_usage_of(decoder)->final |= llm_json_is_object(usage);
}

/* The type in the JSON counts: some leave the event: line out. */
static void
anthropic_event(struct llm_decoder *decoder, struct llm_value event)
{
    struct llm_value type = llm_json_get(event, "type");
    if (llm_json_is(type, "content_block_delta")) {
        block_delta(decoder, event);
    } else if (llm_json_is(type, "message_start")) {
        message_start(decoder, event);
    } else if (llm_json_is(type, "content_block_start")) {
        block_start(decoder, event);
    } else if (llm_json_is(type, "content_block_stop")) {
        llm_flush_signature(decoder);
        llm_call_end(decoder, index_of(event));
    } else if (llm_json_is(type, "message_delta")) {
        message_delta(decoder, event);
    } else if (llm_json_is(type, "message_stop")) {
        llm_emit_done(decoder);
    } else if (llm_json_is(type, "error") || llm_json_is_object(llm_json_get(event, "error"))) {
        llm_emit_error(decoder, event);
    } /* a ping; what is new */
}

/* No part of the dialect; what follows decides. */
static void
anthropic_closed(struct llm_decoder *decoder)
{
    (void)decoder;
}

/* ---- the request ---- */

static void
add_text_block(struct buf *out, struct llm_value content)
{
    BUF_LITERAL(out, "{\"type\":\"text\"");
    llm_add_string(out, "text", content.at, content.len);
    buf_addc(out, '}');
}

static void
add_image_block(struct buf *out, const struct llm_part *part)
{
    if (part->kind == LLM_PART_IMAGE_URL) {
        BUF_LITERAL(out, "{\"type\":\"image\",\"source\":{\"type\":\"url\"");
        llm_add_string(out, "url", part->text.at, part->text.len);
    } else {
        BUF_LITERAL(out, "{\"type\":\"image\",\"source\":{\"type\":\"base64\"");
        llm_add_string(out, "media_type", part->media_type.at, part->media_type.len);
        llm_add_string(out, "data", part->data.at, part->data.len);
    }
    BUF_LITERAL(out, "}}");
}

static void
add_parts(struct buf *out, struct llm_value content)
{
    struct llm_iter iter = {0};
    struct llm_part part;
    while (llm_request_part(content, &iter, &part)) {
        if (part.kind != LLM_PART_TEXT) {
            llm_next_item(out);
            add_image_block(out, &part);
        } else if (part.text.len > 0) { /* the API refuses empty ones */
            llm_next_item(out);
            add_text_block(out, part.text);
        }
    }
}

static void
add_thinking(struct buf *out, struct llm_value thinking)
{
    struct llm_iter iter = {0};
    struct llm_value one;
    while (llm_json_item(thinking, &iter, &one)) {
        struct llm_value redacted = llm_json_get(one, "redacted");
        llm_next_item(out);
        if (llm_json_is_string(redacted)) {
            BUF_LITERAL(out, "{\"type\":\"redacted_thinking\"");
            llm_add_value(out, "data", redacted);
        } else {
            struct llm_value text = llm_json_inside(llm_json_get(one, "text"));
            BUF_LITERAL(out, "{\"type\":\"thinking\"");
            llm_add_string(out, "thinking", text.at, text.len);
            llm_add_value(out, "signature", llm_json_get(one, "signature"));
        }
        buf_addc(out, '}');
    }
}

static int
add_calls(struct buf *out, struct llm_value tool_calls, struct err *err)
{
    struct llm_iter iter = {0};
    struct llm_called call;
    while (llm_request_called(tool_calls, &iter, &call)) {
        llm_next_item(out);
        BUF_LITERAL(out, "{\"type\":\"tool_use\"");
        llm_add_value(out, "id", call.id);
        llm_add_value(out, "name", call.name);
        BUF_LITERAL(out, ",\"input\":");
        if (!llm_request_object(out, call.arguments)) {
            err_set(err, ERR_INVALID, "messages: the arguments of a tool call are no JSON object");
            return -1;
        }
        buf_addc(out, '}');
    }
    return 0;
}

static void
add_result(struct buf *out, const struct llm_message *message)
{
    BUF_LITERAL(out, "{\"type\":\"tool_result\"");
    llm_add_value(out, "tool_use_id", message->tool_call_id);
    BUF_LITERAL(out, ",\"content\":[");
    add_parts(out, message->content);
    BUF_LITERAL(out, "]}");
}

/* Results of tools stand together in one message of the user's, behind the calls. */
static int
add_messages(struct buf *out, const struct llm_request *request, struct err *err)
{
    struct llm_iter iter = {0};
    struct llm_message message;
    bool in_results = false;
    BUF_LITERAL(out, ",\"messages\":[");
    while (llm_request_message(request, &iter, &message)) {
        if (message.role == LLM_ROLE_SYSTEM) {
            continue;
        }
        bool result = message.role == LLM_ROLE_TOOL;
        if (in_results && !result) {
            BUF_LITERAL(out, "]}");
        }
        llm_next_item(out);
        if (result && in_results) {
            add_result(out, &message);
            continue;
        }
        in_results = result;
        BUF_LITERAL(out, "{\"role\":\"");
        buf_adds(out, message.role == LLM_ROLE_ASSISTANT ? "assistant" : "user");
        BUF_LITERAL(out, "\",\"content\":[");
        if (result) {
            add_result(out, &message);
            continue;
        }
        add_thinking(out, message.thinking);
        add_parts(out, message.content);
        if (add_calls(out, message.tool_calls, err) != 0) {
            return -1;
        }
        BUF_LITERAL(out, "]}");
    }
    buf_adds(out, in_results ? "]}]" : "]");
    return 0;
}

static void
add_tools(struct buf *out, const struct llm_request *request)
{
    struct llm_iter iter = {0};
    struct llm_tool tool;
    const char *before = ",\"tools\":[";
    while (llm_request_tool(request, &iter, &tool)) {
        buf_adds(out, before);
        before = ",";
        BUF_LITERAL(out, "{\"input_schema\":");
        if (llm_json_is_object(tool.parameters)) {
            llm_json_add(out, tool.parameters);
        } else {
            BUF_LITERAL(out, "{\"type\":\"object\",\"properties\":{}}");
        }
        llm_add_value(out, "name", tool.name);
        llm_add_value(out, "description", tool.description);
        buf_addc(out, '}');
    }
    buf_adds(out, before[1] == '\0' ? "]" : "");
}

static void
add_tool_choice(struct buf *out, const struct llm_request *request)
{
    struct llm_value choice = llm_json_get(request->root, "tool_choice");
    struct llm_value parallel = llm_json_get(request->root, "parallel_tool_calls");
    bool single = parallel.at != NULL && parallel.at[0] == 'f';
    if (llm_json_is_null(choice) && !single) {
        return;
    }
    BUF_LITERAL(out, ",\"tool_choice\":{\"type\":\"");
    if (llm_json_is_object(choice)) {
        BUF_LITERAL(out, "tool\"");
        llm_add_value(out, "name", llm_json_get(llm_json_get(choice, "function"), "name"));
    } else {
        buf_adds(out, llm_json_is(choice, "required") ? "any\""
                      : llm_json_is(choice, "none")   ? "none\""
                                                      : "auto\"");
    }
    buf_adds(
        out, single && !llm_json_is(choice, "none") ? ",\"disable_parallel_tool_use\":true}" : "}");
}

static void
add_stop(struct buf *out, const struct llm_request *request)
{
    struct llm_value stop = llm_json_get(request->root, "stop");
    if (llm_json_is_string(stop)) {
        BUF_LITERAL(out, ",\"stop_sequences\":[");
        buf_add(out, stop.at, stop.len);
        buf_addc(out, ']');
    } else if (llm_json_is_array(stop)) {
        llm_add_value(out, "stop_sequences", stop);
    }
}

static int
anthropic_build(const struct llm_request *request, struct buf *out, struct err *err)
{
    struct buf system;
    uint64_t most = request->max_tokens > 0 ? request->max_tokens : request->default_max_tokens;
    buf_init(&system);
    llm_request_system(request, &system);
    BUF_LITERAL(out, "{\"stream\":true");
    llm_add_value(out, "model", request->model);
    BUF_LITERAL(out, ",\"max_tokens\":");
    buf_addu64(out, most);
    if (system.len > 0) {
        llm_add_string(out, "system", system.bytes, system.len);
    }
    buf_fini(&system);
    if (add_messages(out, request, err) != 0) {
        return -1;
    }
    add_tools(out, request);
    add_tool_choice(out, request);
    add_stop(out, request);
    llm_add_member(out, request, "temperature", "temperature");
    llm_add_member(out, request, "top_p", "top_p");
    llm_add_member(out, request, "thinking", "thinking");
    buf_addc(out, '}');
    return 0;
}

static const char *const headers[] = {"anthropic-version: 2023-06-01", NULL};

const struct llm_dialect llm_anthropic = {
    .name = "anthropic",
    .framing = LLM_FRAMING_SSE,
    .auth = LLM_AUTH_X_API_KEY,
    .path = "/v1/messages",
    .headers = headers,
    .event = anthropic_event,
    .closed = anthropic_closed,
    .build = anthropic_build,
};
