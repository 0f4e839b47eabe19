/* llm_ollama: Ollama's own /api/chat: NDJSON, tool calls whole, times in nanoseconds (left out). A
 * failure after the first line is a line of its own, behind a status of 200.
 * Facts: github.com/ollama/ollama, docs/api.md. */
#include "llm_dialect.h"
#include "llm_emit.h"
#include "llm_request.h"

#include <inttypes.h>
#include <string.h>

/* ---- the stream ---- */

/* An id of our own, since most servers give none and a result must name its call: made of the
 * line's time, so that it is the same however the answer is cut, and another one in the next turn.
 */
static void
make_id(struct buf *id, struct llm_value line, uint64_t place)
{
    struct llm_value time = llm_json_inside(llm_json_get(line, "created_at"));
    BUF_LITERAL(id, "\"call_");
    for (size_t i = 0; i < time.len; i++) {
        if (time.at[i] >= '0' && time.at[i] <= '9') {
            buf_addc(id, time.at[i]);
        }
    }
    buf_addf(id, "_%" PRIu64 "\"", place);
}

static void
take_calls(struct llm_decoder *decoder, struct llm_value line, struct llm_value calls)
{
    struct llm_iter iter = {0};
    struct llm_value call;
    struct buf made;
    buf_init(&made);
    for (uint64_t place = 0; llm_json_item(calls, &iter, &call); place++) {
        struct llm_value function = llm_json_get(call, "function");
        struct llm_value id = llm_json_get(call, "id");
        made.len = 0;
        make_id(&made, line, place);
        if (llm_json_inside(id).len == 0) {
            id = (struct llm_value){made.bytes, made.len};
        }
        llm_call_begin(decoder, 0, id, llm_json_get(function, "name"));
        llm_call_whole(decoder, 0, llm_json_get(function, "arguments"));
        llm_call_end(decoder, 0);
    }
    buf_fini(&made);
}

static void
take_end(struct llm_decoder *decoder, struct llm_value line)
{
    struct llm_usage *usage = llm_usage_of(decoder);
    struct llm_value reason = llm_json_get(line, "done_reason");
    llm_take_number(llm_json_get(line, "prompt_eval_count"), &usage->has_input, &usage->input);
    llm_take_number(llm_json_get(line, "eval_count"), &usage->has_output, &usage->output);
    usage->final = true;
    llm_set_reason(decoder,
        llm_json_is(reason, "length")                                ? LLM_REASON_LENGTH
        : llm_json_is_string(reason) && !llm_json_is(reason, "stop") ? LLM_REASON_OTHER
        : llm_call_any(decoder)                                      ? LLM_REASON_TOOL_CALLS
                                                                     : LLM_REASON_STOP,
        reason);
    llm_emit_done(decoder);
}

static void
ollama_event(struct llm_decoder *decoder, struct llm_value line)
{
    struct llm_value message = llm_json_get(line, "message");
    if (!llm_json_is_null(llm_json_get(line, "error"))) {
        llm_emit_error(decoder, line);
        return;
    }
    llm_emit_start(decoder, llm_json_get(line, "model"), (struct llm_value){NULL, 0});
    llm_emit_thinking(decoder, llm_json_get(message, "thinking"));
    llm_emit_text(decoder, llm_json_get(message, "content"));
    take_calls(decoder, line, llm_json_get(message, "tool_calls"));
    if (llm_json_is_true(llm_json_get(line, "done"))) {
        take_end(decoder, line);
    }
}

/* Not of this dialect: it is no JSON. */
static void
ollama_closed(struct llm_decoder *decoder)
{
    llm_decoder_fail(decoder, LLM_PROTOCOL, "the upstream sent a line that is no JSON object");
}

/* ---- the request ---- */

static int
add_images(struct buf *out, struct llm_value content, struct err *err)
{
    struct llm_iter iter = {0};
    struct llm_part part;
    const char *before = ",\"images\":[";
    while (llm_request_part(content, &iter, &part)) {
        if (part.kind == LLM_PART_IMAGE_URL) {
            err_set(err, ERR_INVALID,
                "messages: this upstream takes images as data: URLs alone, and fetches none");
            return -1;
        }
        if (part.kind == LLM_PART_IMAGE_DATA) {
            buf_adds(out, before);
            before = ",";
            buf_addc(out, '"');
            buf_add(out, part.data.at, part.data.len);
            buf_addc(out, '"');
        }
    }
    buf_adds(out, before[1] == '\0' ? "]" : "");
    return 0;
}

static int
add_calls(struct buf *out, struct llm_value tool_calls, struct err *err)
{
    struct llm_iter iter = {0};
    struct llm_called call;
    const char *before = ",\"tool_calls\":[";
    while (llm_request_called(tool_calls, &iter, &call)) {
        buf_adds(out, before);
        before = ",";
        BUF_LITERAL(out, "{\"function\":{\"arguments\":");
        if (!llm_request_object(out, call.arguments)) {
            err_set(err, ERR_INVALID, "messages: the arguments of a tool call are no JSON object");
            return -1;
        }
        llm_add_value(out, "name", call.name);
        BUF_LITERAL(out, "}}");
    }
    buf_adds(out, before[1] == '\0' ? "]" : "");
    return 0;
}

/* Results are told by the tool's name: that of the call with this id. */
static struct llm_value
name_of_call(const struct llm_request *request, struct llm_value id)
{
    struct llm_iter iter = {0};
    struct llm_message message;
    struct llm_value name = {NULL, 0};
    while (llm_request_message(request, &iter, &message)) {
        struct llm_iter inner = {0};
        struct llm_called call;
        while (llm_request_called(message.tool_calls, &inner, &call)) {
            if (call.id.len == id.len && id.len > 0 && memcmp(call.id.at, id.at, id.len) == 0) {
                name = call.name;
            }
        }
    }
    return name;
}

static void
add_thinking(struct buf *out, struct llm_value thinking)
{
    struct llm_iter iter = {0};
    struct llm_value one;
    struct buf text;
    buf_init(&text);
    while (llm_json_item(thinking, &iter, &one)) {
        struct llm_value content = llm_json_inside(llm_json_get(one, "text"));
        buf_add(&text, content.at, content.len);
    }
    if (text.len > 0) {
        llm_add_string(out, "thinking", text.bytes, text.len);
    }
    buf_fini(&text);
}

static int
add_message(struct buf *out, const struct llm_request *request, const struct llm_message *message,
    struct err *err)
{
    static const char *const roles[] = {"system", "user", "assistant", "tool"};
    struct buf text;
    buf_init(&text);
    llm_request_text(message->content, &text);
    BUF_LITERAL(out, "{\"role\":\"");
    buf_adds(out, roles[message->role]);
    buf_addc(out, '"');
    llm_add_string(out, "content", text.bytes, text.len);
    buf_fini(&text);
    add_thinking(out, message->thinking);
    if (message->role == LLM_ROLE_TOOL) {
        llm_add_value(out, "tool_name", name_of_call(request, message->tool_call_id));
    }
    if (add_images(out, message->content, err) != 0 ||
        add_calls(out, message->tool_calls, err) != 0) {
        return -1;
    }
    buf_addc(out, '}');
    return 0;
}

static int
add_messages(struct buf *out, const struct llm_request *request, struct err *err)
{
    struct llm_iter iter = {0};
    struct llm_message message;
    struct llm_value system = llm_json_get(request->root, "system");
    BUF_LITERAL(out, ",\"messages\":[");
    if (llm_json_is_string(system)) {
        BUF_LITERAL(out, "{\"role\":\"system\"");
        llm_add_value(out, "content", system);
        buf_addc(out, '}');
    }
    while (llm_request_message(request, &iter, &message)) {
        llm_next_item(out);
        if (add_message(out, request, &message, err) != 0) {
            return -1;
        }
    }
    buf_addc(out, ']');
    return 0;
}

static void
add_options(struct buf *out, const struct llm_request *request)
{
    BUF_LITERAL(out, ",\"options\":{\"num_predict\":");
    if (request->max_tokens > 0) {
        buf_addu64(out, request->max_tokens);
    } else {
        BUF_LITERAL(out, "-1");
    }
    llm_add_member(out, request, "temperature", "temperature");
    llm_add_member(out, request, "top_p", "top_p");
    llm_add_member(out, request, "seed", "seed");
    llm_add_member(out, request, "stop", "stop");
    buf_addc(out, '}');
}

static int
ollama_build(const struct llm_request *request, struct buf *out, struct err *err)
{
    BUF_LITERAL(out, "{\"stream\":true");
    llm_add_value(out, "model", request->model);
    if (add_messages(out, request, err) != 0) {
        return -1;
    }
    llm_add_member(out, request, "tools", "tools");
    llm_add_member(out, request, "reasoning_effort", "think");
    add_options(out, request);
    buf_addc(out, '}');
    return 0;
}

static const char *const headers[] = {NULL};

const struct llm_dialect llm_ollama = {
    .name = "ollama",
    .framing = LLM_FRAMING_NDJSON,
    .auth = LLM_AUTH_BEARER,
    .path = "/api/chat",
    .headers = headers,
    .event = ollama_event,
    .closed = ollama_closed,
    .build = ollama_build,
};
