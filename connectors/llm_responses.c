/* llm_responses: OpenAI's Responses API. Items of the output are told apart by output_index. Events
 * of tools that the server runs itself are not passed on.
 * Facts: platform.openai.com/docs/api-reference/responses-streaming. */
#include "llm_dialect.h"
#include "llm_emit.h"
#include "llm_request.h"

#include <string.h>

/* ---- the stream ---- */

static uint64_t
key_of(struct llm_value event)
{
    uint64_t key = 0;
    (void)llm_json_u64(llm_json_get(event, "output_index"), &key);
    return key;
}

static bool
is_call(struct llm_value item)
{
    struct llm_value type = llm_json_get(item, "type");
    return llm_json_is(type, "function_call") || llm_json_is(type, "custom_tool_call");
}

static struct llm_value
input_of(struct llm_value object)
{
    struct llm_value arguments = llm_json_get(object, "arguments");
    return arguments.at != NULL ? arguments : llm_json_get(object, "input");
}

static void
item_added(struct llm_decoder *decoder, struct llm_value event)
{
    struct llm_value item = llm_json_get(event, "item");
    if (is_call(item)) {
        llm_call_begin(
            decoder, key_of(event), llm_json_get(item, "call_id"), llm_json_get(item, "name"));
    }
}

static void
item_done(struct llm_decoder *decoder, struct llm_value event)
{
    struct llm_value item = llm_json_get(event, "item");
    if (is_call(item)) {
        llm_call_whole(decoder, key_of(event), input_of(item));
        llm_call_end(decoder, key_of(event));
    } else if (llm_json_is(llm_json_get(item, "type"), "reasoning")) {
        llm_emit_thinking_mark(decoder, "signature", llm_json_get(item, "encrypted_content"),
            llm_json_get(item, "id"));
    }
}

static void
take_usage(struct llm_decoder *decoder, struct llm_value object)
{
    struct llm_usage *usage = llm_usage_of(decoder);
    struct llm_value input = llm_json_get(object, "input_tokens_details");
    struct llm_value output = llm_json_get(object, "output_tokens_details");
    llm_take_number(llm_json_get(object, "input_tokens"), &usage->has_input, &usage->input);
    llm_take_number(llm_json_get(object, "output_tokens"), &usage->has_output, &usage->output);
    llm_take_number(llm_json_get(input, "cached_tokens"), &usage->has_cached, &usage->cached);
    llm_take_number(
        llm_json_get(output, "reasoning_tokens"), &usage->has_reasoning, &usage->reasoning);
    usage->final = llm_json_is_object(object);
}

static void
take_start(struct llm_decoder *decoder, struct llm_value event)
{
    struct llm_value response = llm_json_get(event, "response");
    llm_emit_start(decoder, llm_json_get(response, "model"), llm_json_get(response, "id"));
}

static void
completed(struct llm_decoder *decoder, struct llm_value event)
{
    take_start(decoder, event);
    take_usage(decoder, llm_json_get(llm_json_get(event, "response"), "usage"));
    llm_set_reason(decoder,
        llm_has_refused(decoder) ? LLM_REASON_REFUSAL
        : llm_call_any(decoder)  ? LLM_REASON_TOOL_CALLS
                                 : LLM_REASON_STOP,
        llm_json_get(llm_json_get(event, "response"), "status"));
    llm_emit_done(decoder);
}

static void
incomplete(struct llm_decoder *decoder, struct llm_value event)
{
    struct llm_value response = llm_json_get(event, "response");
    struct llm_value reason = llm_json_get(llm_json_get(response, "incomplete_details"), "reason");
    take_start(decoder, event);
    take_usage(decoder, llm_json_get(response, "usage"));
    llm_set_reason(decoder,
        llm_json_is(reason, "max_output_tokens") ? LLM_REASON_LENGTH
        : llm_json_is(reason, "content_filter")  ? LLM_REASON_CONTENT_FILTER
                                                 : LLM_REASON_OTHER,
        reason);
    llm_emit_done(decoder);
}

static void
failed(struct llm_decoder *decoder, struct llm_value event)
{
    struct llm_value response = llm_json_get(event, "response");
    take_usage(decoder, llm_json_get(response, "usage"));
    llm_emit_error(decoder, response);
}

static void
cancelled(struct llm_decoder *decoder, struct llm_value event)
{
    (void)event;
    llm_decoder_fail(decoder, LLM_CANCELLED, "the answer was cancelled at the upstream");
}

static void
text_delta(struct llm_decoder *decoder, struct llm_value event)
{
    llm_emit_text(decoder, llm_json_get(event, "delta"));
    llm_emit_logprobs(decoder, false, llm_json_get(event, "logprobs"));
}

static void
refusal_delta(struct llm_decoder *decoder, struct llm_value event)
{
    llm_emit_refusal(decoder, llm_json_get(event, "delta"));
}

static void
thinking_delta(struct llm_decoder *decoder, struct llm_value event)
{
    llm_emit_thinking(decoder, llm_json_get(event, "delta"));
}

static void
call_delta(struct llm_decoder *decoder, struct llm_value event)
{
    llm_call_delta(decoder, key_of(event), llm_json_inside(llm_json_get(event, "delta")));
}

static void
call_done(struct llm_decoder *decoder, struct llm_value event)
{
    llm_call_whole(decoder, key_of(event), input_of(event));
    llm_call_end(decoder, key_of(event));
}

static void
annotation_added(struct llm_decoder *decoder, struct llm_value event)
{
    llm_emit_citation(decoder, llm_json_get(event, "annotation"));
}

static const struct {
    const char *type;
    void (*take)(struct llm_decoder *decoder, struct llm_value event);
} rows[] = {
    {"response.output_text.delta", text_delta},
    {"response.created", take_start},
    {"response.output_item.added", item_added},
    {"response.output_item.done", item_done},
    {"response.refusal.delta", refusal_delta},
    {"response.reasoning_summary_text.delta", thinking_delta},
    {"response.reasoning_text.delta", thinking_delta},
    {"response.function_call_arguments.delta", call_delta},
    {"response.function_call_arguments.done", call_done},
    {"response.custom_tool_call_input.delta", call_delta},
    {"response.custom_tool_call_input.done", call_done},
    {"response.output_text.annotation.added", annotation_added},
    {"response.completed", completed},
    {"response.incomplete", incomplete},
    {"response.failed", failed},
    {"response.cancelled", cancelled},
    {"error", llm_emit_error},
};

static void
responses_event(struct llm_decoder *decoder, struct llm_value event)
{
    struct llm_value type = llm_json_get(event, "type");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (llm_json_is(type, rows[i].type)) {
            rows[i].take(decoder, event);
            return;
        }
    }
    if (!llm_json_is_string(type) && !llm_json_is_null(llm_json_get(event, "error"))) {
        llm_emit_error(decoder, event); /* of a proxy between */
    }
}

/* Some end with it; the terminal event was before, or is lacking. */
static void
responses_closed(struct llm_decoder *decoder)
{
    (void)decoder;
}

/* ---- the request ---- */

static void
add_part(struct buf *out, const struct llm_part *part, bool assistant)
{
    llm_next_item(out);
    switch (part->kind) {
    case LLM_PART_TEXT:
        buf_adds(out, assistant ? "{\"type\":\"output_text\"" : "{\"type\":\"input_text\"");
        llm_add_string(out, "text", part->text.at, part->text.len);
        break;
    case LLM_PART_IMAGE_URL:
        BUF_LITERAL(out, "{\"type\":\"input_image\"");
        llm_add_string(out, "image_url", part->text.at, part->text.len);
        break;
    case LLM_PART_IMAGE_DATA:
        BUF_LITERAL(out, "{\"type\":\"input_image\",\"image_url\":\"data:");
        buf_add(out, part->media_type.at, part->media_type.len);
        BUF_LITERAL(out, ";base64,");
        buf_add(out, part->data.at, part->data.len);
        buf_addc(out, '"');
        break;
    }
    buf_addc(out, '}');
}

static void
add_words(struct buf *out, const struct llm_message *message)
{
    struct llm_iter iter = {0};
    struct llm_part part;
    bool assistant = message->role == LLM_ROLE_ASSISTANT;
    if (llm_json_is_null(message->content) || message->content.len <= 2) {
        return;
    }
    llm_next_item(out);
    BUF_LITERAL(out, "{\"type\":\"message\",\"role\":\"");
    buf_adds(out, assistant ? "assistant\",\"content\":[" : "user\",\"content\":[");
    while (llm_request_part(message->content, &iter, &part)) {
        add_part(out, &part, assistant);
    }
    BUF_LITERAL(out, "]}");
}

/* Only what the upstream gave a signature can be given back. */
static void
add_reasoning(struct buf *out, struct llm_value thinking)
{
    struct llm_iter iter = {0};
    struct llm_value one;
    while (llm_json_item(thinking, &iter, &one)) {
        struct llm_value text = llm_json_inside(llm_json_get(one, "text"));
        struct llm_value signature = llm_json_get(one, "signature");
        if (!llm_json_is_string(signature) || !llm_json_is_string(llm_json_get(one, "id"))) {
            continue;
        }
        llm_next_item(out);
        BUF_LITERAL(out, "{\"type\":\"reasoning\"");
        llm_add_value(out, "id", llm_json_get(one, "id"));
        BUF_LITERAL(out, ",\"summary\":[");
        if (text.len > 0) {
            BUF_LITERAL(out, "{\"type\":\"summary_text\"");
            llm_add_string(out, "text", text.at, text.len);
            buf_addc(out, '}');
        }
        buf_addc(out, ']');
        llm_add_value(out, "encrypted_content", signature);
        buf_addc(out, '}');
    }
}

static void
add_calls(struct buf *out, struct llm_value tool_calls)
{
    struct llm_iter iter = {0};
    struct llm_called call;
    while (llm_request_called(tool_calls, &iter, &call)) {
        llm_next_item(out);
        BUF_LITERAL(out, "{\"type\":\"function_call\"");
        llm_add_value(out, "call_id", call.id);
        llm_add_value(out, "name", call.name);
        llm_add_value(out, "arguments", call.arguments);
        buf_addc(out, '}');
    }
}

static void
add_output(struct buf *out, const struct llm_message *message)
{
    struct buf text;
    buf_init(&text);
    llm_request_text(message->content, &text);
    llm_next_item(out);
    BUF_LITERAL(out, "{\"type\":\"function_call_output\"");
    llm_add_value(out, "call_id", message->tool_call_id);
    llm_add_string(out, "output", text.bytes, text.len);
    buf_addc(out, '}');
    buf_fini(&text);
}

static void
add_input(struct buf *out, const struct llm_request *request)
{
    struct llm_iter iter = {0};
    struct llm_message message;
    BUF_LITERAL(out, ",\"input\":[");
    while (llm_request_message(request, &iter, &message)) {
        if (message.role == LLM_ROLE_TOOL) {
            add_output(out, &message);
        } else if (message.role != LLM_ROLE_SYSTEM) {
            add_reasoning(out, message.thinking);
            add_words(out, &message);
            add_calls(out, message.tool_calls);
        }
    }
    buf_addc(out, ']');
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
        BUF_LITERAL(out, "{\"type\":\"function\"");
        llm_add_value(out, "name", tool.name);
        llm_add_value(out, "description", tool.description);
        llm_add_value(out, "parameters", tool.parameters);
        llm_add_value(out, "strict", tool.strict);
        buf_addc(out, '}');
    }
    buf_adds(out, before[1] == '\0' ? "]" : "");
}

static void
add_tool_choice(struct buf *out, const struct llm_request *request)
{
    struct llm_value choice = llm_json_get(request->root, "tool_choice");
    if (llm_json_is_object(choice)) {
        BUF_LITERAL(out, ",\"tool_choice\":{\"type\":\"function\"");
        llm_add_value(out, "name", llm_json_get(llm_json_get(choice, "function"), "name"));
        buf_addc(out, '}');
    } else if (!llm_json_is_null(choice)) {
        llm_add_value(out, "tool_choice", choice);
    }
}

/* {"type":"json_schema","json_schema":{...}} has its members one level higher here. */
static void
add_format(struct buf *out, const struct llm_request *request)
{
    struct llm_value format = llm_json_get(request->root, "response_format");
    struct llm_value type = llm_json_get(format, "type");
    struct llm_value schema = llm_json_get(format, "json_schema");
    struct llm_iter iter = {0};
    struct llm_value name, value;
    if (!llm_json_is_string(type) || llm_json_is(type, "text")) {
        return;
    }
    BUF_LITERAL(out, ",\"text\":{\"format\":{\"type\":");
    llm_json_add(out, type);
    while (llm_json_member(schema, &iter, &name, &value)) {
        buf_addc(out, ',');
        llm_json_add(out, name);
        buf_addc(out, ':');
        llm_json_add(out, value);
    }
    BUF_LITERAL(out, "}}");
}

static int
responses_build(const struct llm_request *request, struct buf *out, struct err *err)
{
    (void)err; /* nothing of the common form cannot be said, but stop, which it does not know */
    struct buf system;
    struct llm_value effort = llm_json_get(request->root, "reasoning_effort");
    buf_init(&system);
    llm_request_system(request, &system);
    BUF_LITERAL(out, "{\"stream\":true,\"store\":false");
    llm_add_value(out, "model", request->model);
    if (system.len > 0) {
        llm_add_string(out, "instructions", system.bytes, system.len);
    }
    buf_fini(&system);
    add_input(out, request);
    if (request->max_tokens > 0) {
        BUF_LITERAL(out, ",\"max_output_tokens\":");
        buf_addu64(out, request->max_tokens);
    }
    add_tools(out, request);
    add_tool_choice(out, request);
    llm_add_member(out, request, "parallel_tool_calls", "parallel_tool_calls");
    llm_add_member(out, request, "temperature", "temperature");
    llm_add_member(out, request, "top_p", "top_p");
    if (llm_json_is_string(effort)) { /* what it thought can then be given back to it */
        BUF_LITERAL(out, ",\"reasoning\":{\"summary\":\"auto\"");
        llm_add_value(out, "effort", effort);
        BUF_LITERAL(out, "},\"include\":[\"reasoning.encrypted_content\"]");
    }
    add_format(out, request);
    buf_addc(out, '}');
    return 0;
}

static const char *const headers[] = {NULL};

const struct llm_dialect llm_responses = {
    .name = "responses",
    .framing = LLM_FRAMING_SSE,
    .auth = LLM_AUTH_BEARER,
    .path = "/responses",
    .headers = headers,
    .event = responses_event,
    .closed = responses_closed,
    .build = responses_build,
};
