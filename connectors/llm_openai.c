/* llm_openai: OpenAI's Chat Completions and the many servers that speak it (vLLM, llama.cpp,
 * OpenRouter and others), with what is peculiar to some of them: usage anywhere, reasoning under
 * two names, tool calls all numbered 0, errors in the stream behind a status of 200. An answer is
 * whole at [DONE], and only if a choice gave its finish_reason before: proxies write [DONE] when
 * their upstream has died. Facts: platform.openai.com/docs/api-reference/chat-streaming. */
#include "llm_dialect.h"
#include "llm_emit.h"
#include "llm_request.h"

#include <string.h>

/* ---- the stream ---- */

static void
take_usage(struct llm_decoder *decoder, struct llm_value object)
{
    struct llm_usage *usage = llm_usage_of(decoder);
    if (!llm_json_is_object(object)) {
        return;
    }
    struct llm_value prompt = llm_json_get(object, "prompt_tokens_details");
    struct llm_value completion = llm_json_get(object, "completion_tokens_details");
    llm_take_number(llm_json_get(object, "prompt_tokens"), &usage->has_input, &usage->input);
    llm_take_number(llm_json_get(object, "completion_tokens"), &usage->has_output, &usage->output);
    llm_take_number(llm_json_get(prompt, "cached_tokens"), &usage->has_cached, &usage->cached);
    llm_take_number(
        llm_json_get(completion, "reasoning_tokens"), &usage->has_reasoning, &usage->reasoning);
    usage->final = llm_has_reason(decoder); /* vLLM: totals so far in every chunk */
}

/* A string, or, as of Mistral, an array of parts that may be thinking. */
static void
take_content(struct llm_decoder *decoder, struct llm_value content)
{
    struct llm_iter iter = {0};
    struct llm_value part, piece;
    llm_emit_text(decoder, content);
    while (llm_json_item(content, &iter, &part)) {
        struct llm_iter inner = {0};
        llm_emit_text(decoder, llm_json_get(part, "text"));
        while (llm_json_item(llm_json_get(part, "thinking"), &inner, &piece)) {
            llm_emit_thinking(decoder, llm_json_get(piece, "text"));
        }
    }
}

static void
take_annotations(struct llm_decoder *decoder, struct llm_value annotations)
{
    struct llm_iter iter = {0};
    struct llm_value one;
    while (llm_json_item(annotations, &iter, &one)) {
        llm_emit_citation(decoder, one);
    }
}

/* A call begins where its number is new, or comes with another id. */
static void
take_call(struct llm_decoder *decoder, uint64_t key, struct llm_value id, struct llm_value function)
{
    struct llm_value name = llm_json_get(function, "name");
    struct llm_value arguments = llm_json_get(function, "arguments");
    if (!llm_call_is_open(decoder, key, id)) {
        llm_call_begin(decoder, key, id, name);
    }
    llm_call_name(decoder, key, name);
    if (llm_json_is_object(arguments)) {
        llm_call_whole(decoder, key, arguments);
    } else {
        llm_call_delta(decoder, key, llm_json_inside(arguments));
        llm_call_delta(decoder, key, llm_json_inside(llm_json_get(function, "input")));
    }
}

static void
take_calls(struct llm_decoder *decoder, struct llm_value calls)
{
    struct llm_iter iter = {0};
    struct llm_value call;
    for (uint64_t place = 0; llm_json_item(calls, &iter, &call); place++) {
        uint64_t key = place;
        (void)llm_json_u64(llm_json_get(call, "index"), &key);
        struct llm_value function = llm_json_get(call, "function");
        struct llm_value custom = llm_json_get(call, "custom");
        take_call(
            decoder, key, llm_json_get(call, "id"), llm_json_is_object(custom) ? custom : function);
    }
}

/* The members of an object that are looked at, found in one go: there are a hundred thousand such
 * objects a second where there are two thousand answers. */
#define PICK(object, values, names)                                                                \
    llm_json_pick((object), (names), (values), sizeof(names) / sizeof *(names))

static void
take_delta(struct llm_decoder *decoder, struct llm_value delta)
{
    enum { REASONING_CONTENT, REASONING, CONTENT, REFUSAL, ANNOTATIONS, CALLS, FUNCTION, COUNT };
    static const char *const names[COUNT] = {"reasoning_content", "reasoning", "content", "refusal",
        "annotations", "tool_calls", "function_call"};
    struct llm_value of[COUNT];
    PICK(delta, of, names);
    llm_emit_thinking(
        decoder, llm_json_is_string(of[REASONING_CONTENT]) ? of[REASONING_CONTENT] : of[REASONING]);
    take_content(decoder, of[CONTENT]);
    llm_emit_refusal(decoder, of[REFUSAL]);
    take_annotations(decoder, of[ANNOTATIONS]);
    take_calls(decoder, of[CALLS]);
    if (llm_json_is_object(of[FUNCTION])) {
        take_call(decoder, UINT64_MAX, (struct llm_value){NULL, 0}, of[FUNCTION]);
    }
}

static enum llm_reason
reason_of(const struct llm_decoder *decoder, struct llm_value word)
{
    static const struct {
        const char *word;
        enum llm_reason reason;
    } rows[] = {
        {"length", LLM_REASON_LENGTH},
        {"tool_calls", LLM_REASON_TOOL_CALLS},
        {"function_call", LLM_REASON_TOOL_CALLS},
        {"content_filter", LLM_REASON_CONTENT_FILTER},
        {"eos", LLM_REASON_STOP},
        {"eos_token", LLM_REASON_STOP},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (llm_json_is(word, rows[i].word)) {
            return rows[i].reason;
        }
    }
    if (llm_json_is(word, "stop")) {
        return llm_has_refused(decoder) ? LLM_REASON_REFUSAL
               : llm_call_any(decoder)  ? LLM_REASON_TOOL_CALLS
                                        : LLM_REASON_STOP;
    }
    return LLM_REASON_OTHER;
}

static void
take_choice(struct llm_decoder *decoder, struct llm_value choice)
{
    enum { INDEX, DELTA, REASON, COUNT };
    static const char *const names[COUNT] = {"index", "delta", "finish_reason"};
    struct llm_value of[COUNT];
    uint64_t index = 0;
    PICK(choice, of, names);
    (void)llm_json_u64(of[INDEX], &index);
    if (index != 0) {
        return; /* one answer was asked for */
    }
    take_delta(decoder, of[DELTA]);
    struct llm_value word = of[REASON];
    if (llm_json_is(word, "error") || llm_json_is(word, "abort")) {
        llm_decoder_fail(decoder, LLM_UPSTREAM_ERROR, "the upstream broke the answer off");
    } else if (llm_json_is_string(word) && word.len > 2) {
        llm_set_reason(decoder, reason_of(decoder, word), word);
        llm_call_end_all(decoder);
    }
}

static void
openai_event(struct llm_decoder *decoder, struct llm_value chunk)
{
    enum { ERROR, OBJECT, CHOICES, MODEL, ID, USAGE, COUNT };
    static const char *const names[COUNT] = {"error", "object", "choices", "model", "id", "usage"};
    struct llm_value of[COUNT];
    struct llm_iter iter = {0};
    struct llm_value choice;
    PICK(chunk, of, names);
    if (!llm_json_is_null(of[ERROR]) || llm_json_is(of[OBJECT], "error")) {
        llm_emit_error(decoder, chunk);
        return;
    }
    if (llm_json_is_array(of[CHOICES]) && of[CHOICES].len > strlen("[]")) {
        llm_emit_start(decoder, of[MODEL], of[ID]);
    }
    while (llm_json_item(of[CHOICES], &iter, &choice)) {
        take_choice(decoder, choice);
    }
    take_usage(decoder, of[USAGE]);
}

static void
openai_closed(struct llm_decoder *decoder)
{
    if (llm_has_reason(decoder)) {
        llm_emit_done(decoder);
    } else {
        llm_decoder_fail(
            decoder, LLM_TRUNCATED, "the upstream ended the answer without a finish_reason");
    }
}

/* ---- the request ---- */

static void
add_message(struct buf *out, struct llm_value message)
{
    struct llm_iter iter = {0};
    struct llm_value name, value;
    const char *before = "{";
    while (llm_json_member(message, &iter, &name, &value)) {
        if (!llm_json_is(name, "thinking")) {
            buf_adds(out, before);
            before = ",";
            llm_json_add(out, name);
            buf_addc(out, ':');
            llm_json_add(out, value);
        }
    }
    buf_addc(out, '}');
}

static void
add_messages(struct buf *out, const struct llm_request *request)
{
    struct llm_iter iter = {0};
    struct llm_value message;
    struct llm_value system = llm_json_get(request->root, "system");
    const char *before = ",\"messages\":[";
    if (llm_json_is_string(system)) {
        buf_adds(out, before);
        before = ",";
        BUF_LITERAL(out, "{\"role\":\"system\"");
        llm_add_value(out, "content", system);
        buf_addc(out, '}');
    }
    while (llm_json_item(request->messages, &iter, &message)) {
        buf_adds(out, before);
        before = ",";
        add_message(out, message);
    }
    buf_addc(out, ']');
}

static int
openai_build(const struct llm_request *request, struct buf *out, struct err *err)
{
    (void)err; /* it is the common form already */
    static const char *const members[] = {"max_tokens", "max_completion_tokens", "tools",
        "tool_choice", "parallel_tool_calls", "temperature", "top_p", "stop", "seed",
        "reasoning_effort", "response_format", NULL};
    BUF_LITERAL(out, "{\"stream\":true,\"stream_options\":{\"include_usage\":true}");
    llm_add_value(out, "model", request->model);
    add_messages(out, request);
    for (size_t i = 0; members[i] != NULL; i++) {
        llm_add_member(out, request, members[i], members[i]);
    }
    buf_addc(out, '}');
    return 0;
}

static const char *const headers[] = {NULL};

const struct llm_dialect llm_openai = {
    .name = "openai",
    .framing = LLM_FRAMING_SSE,
    .auth = LLM_AUTH_BEARER,
    .path = "/chat/completions",
    .headers = headers,
    .event = openai_event,
    .closed = openai_closed,
    .build = openai_build,
};
