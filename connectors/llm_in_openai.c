/* llm_in_openai: OpenAI's chat completions, of which the common form is made. What an assistant
 * thought has no signature here, so it is not given back.
 * Facts: platform.openai.com/docs/api-reference/chat/create. */
#include "llm_in_internal.h"

#include <string.h>

static int
add_parts(struct buf *common, struct llm_value content, struct err *err)
{
    static const char *const types[] = {"text", "refusal", "image_url", NULL};
    struct llm_iter iter = {0};
    struct llm_value part;
    BUF_LITERAL(common, ",\"content\":[");
    while (llm_json_item(content, &iter, &part)) {
        struct llm_value image = llm_json_get(part, "image_url");
        int type = llm_in_word(llm_json_get(part, "type"), types);
        struct llm_value text = llm_json_get(part, type == 1 ? "refusal" : "text");
        struct llm_value url = llm_json_inside(llm_json_get(image, "url"));
        if (type == 2 && url.len > 0) {
            llm_in_image_part(common, url);
        } else if ((type == 0 || type == 1) && llm_json_is_string(text)) {
            llm_in_text_part(common, text);
        } else {
            return llm_in_refuse(err,
                "messages: a part of a content must be text or image_url to be said to the "
                "upstream of this model");
        }
    }
    buf_addc(common, ']');
    return 0;
}

static int
add_calls(struct buf *common, struct llm_value calls, struct err *err)
{
    struct llm_iter iter = {0};
    struct llm_value call;
    BUF_LITERAL(common, ",\"tool_calls\":[");
    while (llm_json_item(calls, &iter, &call)) {
        struct llm_value function = llm_json_get(call, "function");
        struct llm_value name = llm_json_get(function, "name");
        struct llm_value arguments = llm_json_get(function, "arguments");
        struct llm_value id = llm_json_get(call, "id");
        if (!llm_json_is_string(name) || !llm_json_is_string(arguments) ||
            !llm_json_is_string(id)) {
            return llm_in_refuse(err,
                "messages: a tool call needs an id and a function with a name and arguments, all "
                "strings; custom ones cannot be said to the upstream of this model");
        }
        llm_in_call(common, id, name, arguments);
    }
    buf_addc(common, ']');
    return 0;
}

static int
add_message(struct buf *common, struct llm_value message, struct err *err)
{
    static const char *const foreign[] = {"function_call", "audio", NULL};
    struct llm_value content = llm_json_get(message, "content");
    struct llm_value calls = llm_json_get(message, "tool_calls");
    for (size_t i = 0; foreign[i] != NULL; i++) {
        if (!llm_json_is_null(llm_json_get(message, foreign[i]))) {
            return llm_in_refuse(err, "messages: function_call and audio cannot be said to the "
                                      "upstream of this model");
        }
    }
    if (!llm_json_is_string(llm_json_get(message, "role"))) {
        return llm_in_refuse(err, "messages: each needs a role");
    }
    llm_next_item(common);
    BUF_LITERAL(common, "{\"role\":");
    llm_json_add(common, llm_json_get(message, "role"));
    if (llm_json_is_array(content)) {
        if (add_parts(common, content, err) != 0) {
            return -1;
        }
    } else if (!llm_json_is_null(content)) {
        llm_add_value(common, "content", content);
    } else {
        llm_in_copy(common, message, "refusal", "content");
    }
    llm_in_copy(common, message, "tool_call_id", "tool_call_id");
    if (llm_json_is_array(calls) && add_calls(common, calls, err) != 0) {
        return -1;
    }
    buf_addc(common, '}');
    return 0;
}

static int
add_messages(struct buf *common, struct llm_value messages, struct err *err)
{
    struct llm_iter iter = {0};
    struct llm_value message;
    BUF_LITERAL(common, ",\"messages\":[");
    while (llm_json_item(messages, &iter, &message)) {
        if (add_message(common, message, err) != 0) {
            return -1;
        }
    }
    buf_addc(common, ']');
    return 0;
}

/* Members that may only say what is so without them. */
static int
check_neutral(struct llm_value root, struct err *err)
{
    static const struct {
        const char *name, *neutral;
    } rows[] = {{"n", "1"}, {"logprobs", "false"}, {"top_logprobs", "0"},
        {"frequency_penalty", "0"}, {"presence_penalty", "0"}, {"modalities", "[\"text\"]"},
        {"logit_bias", "{}"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct llm_value value = llm_json_get(root, rows[i].name);
        if (!llm_json_is_null(value) && (value.len != strlen(rows[i].neutral) ||
                                            memcmp(value.at, rows[i].neutral, value.len) != 0)) {
            err_set(err, ERR_INVALID, "%s: only %s can be said to the upstream of this model",
                rows[i].name, rows[i].neutral);
            return -1;
        }
    }
    return 0;
}

static int
openai_cross(struct llm_value root, struct buf *common, struct err *err)
{
    static const char *const same[] = {"max_tokens", "max_completion_tokens", "tools",
        "tool_choice", "parallel_tool_calls", "temperature", "top_p", "stop", "seed",
        "reasoning_effort", "response_format", NULL};
    uint64_t most = 0;
    if (check_neutral(root, err) != 0 ||
        add_messages(common, llm_json_get(root, "messages"), err) != 0) {
        return -1;
    }
    for (size_t i = 0; same[i] != NULL; i++) {
        llm_in_copy(common, root, same[i], same[i]);
    }
    (void)llm_json_u64(llm_json_get(root, "max_tokens"), &most);
    (void)llm_json_u64(llm_json_get(root, "max_completion_tokens"), &most);
    llm_in_budget(common, llm_json_get(root, "reasoning_effort"), most);
    return 0;
}

static const char *const taken[] = {"messages", "max_tokens", "max_completion_tokens", "tools",
    "tool_choice", "parallel_tool_calls", "temperature", "top_p", "stop", "seed",
    "reasoning_effort", "response_format", "n", "logprobs", "top_logprobs", "frequency_penalty",
    "presence_penalty", "modalities", "logit_bias", NULL};
static const char *const unheard[] = {"metadata", "store", "user", "service_tier",
    "prompt_cache_key", "prompt_cache_retention", "safety_identifier", "verbosity", NULL};

const struct llm_in_dialect llm_in_openai = {
    .name = "openai", .taken = taken, .unheard = unheard, .cross = openai_cross};
