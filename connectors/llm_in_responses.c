/* llm_in_responses: OpenAI's responses in the common form. Items that an assistant said one after
 * the other (reasoning, a message, calls) become one message of its own.
 * Facts: platform.openai.com/docs/api-reference/responses/create. */
#include "llm_in_internal.h"

#include <string.h>

/* What an assistant has said and is not written yet; each an array that is not closed. */
struct turn {
    struct buf parts, thinking, calls;
};

static void
turn_init(struct turn *turn)
{
    struct buf *const arrays[] = {&turn->parts, &turn->thinking, &turn->calls};
    for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++) {
        buf_init(arrays[i]);
        buf_addc(arrays[i], '[');
    }
}

static void
turn_fini(struct turn *turn)
{
    buf_fini(&turn->parts);
    buf_fini(&turn->thinking);
    buf_fini(&turn->calls);
}

static void
turn_write(struct turn *turn, struct buf *common)
{
    if (turn->parts.len + turn->thinking.len + turn->calls.len > 3) {
        llm_next_item(common);
        BUF_LITERAL(common, "{\"role\":\"assistant\"");
        llm_in_array(common, "thinking", &turn->thinking);
        llm_in_array(common, "content", &turn->parts);
        llm_in_array(common, "tool_calls", &turn->calls);
        buf_addc(common, '}');
    }
}

/* ---- contents ---- */

static int
add_part(struct buf *parts, struct llm_value part, struct err *err)
{
    static const char *const types[] = {
        "input_text", "output_text", "refusal", "input_image", "text", NULL};
    int type = llm_in_word(llm_json_get(part, "type"), types);
    struct llm_value text = llm_json_get(part, type == 2 ? "refusal" : "text");
    struct llm_value url = llm_json_inside(llm_json_get(part, "image_url"));
    if (type == 3 && url.len > 0) {
        llm_in_image_part(parts, url);
        return 0;
    }
    if (type >= 0 && type != 3 && llm_json_is_string(text)) {
        llm_in_text_part(parts, text);
        return 0;
    }
    return llm_in_refuse(err,
        "input: a part of a content must be a text, or an input_image with an "
        "image_url, to be said to the upstream of this model");
}

/* A string, or parts. */
static int
add_parts(struct buf *parts, struct llm_value content, struct err *err)
{
    struct llm_iter iter = {0};
    struct llm_value part;
    if (llm_json_is_string(content)) {
        llm_in_text_part(parts, content);
        return 0;
    }
    if (!llm_json_is_array(content)) {
        return llm_in_refuse(err, "input: a content must be a string or an array of parts");
    }
    while (llm_json_item(content, &iter, &part)) {
        if (add_part(parts, part, err) != 0) {
            return -1;
        }
    }
    return 0;
}

/* ---- items ---- */

static int
take_message(struct turn *turn, struct buf *common, struct llm_value item, struct err *err)
{
    static const char *const roles[] = {"user", "system", "developer", "assistant", NULL};
    int role = llm_in_word(llm_json_get(item, "role"), roles);
    if (role < 0) {
        return llm_in_refuse(err, "input: role must be user, system, developer or assistant");
    }
    if (role == 3) {
        if (turn->calls.len > 1 || turn->parts.len > 1) {
            turn_write(turn, common);
        }
        return add_parts(&turn->parts, llm_json_get(item, "content"), err);
    }
    turn_write(turn, common);
    llm_next_item(common);
    buf_addf(common, "{\"role\":\"%s\",\"content\":[", roles[role]);
    int result = add_parts(common, llm_json_get(item, "content"), err);
    BUF_LITERAL(common, "]}");
    return result;
}

static int
take_call(struct turn *turn, struct llm_value item, struct err *err)
{
    struct llm_value id = llm_json_get(item, "call_id");
    struct llm_value name = llm_json_get(item, "name");
    struct llm_value arguments = llm_json_get(item, "arguments");
    if (!llm_json_is_string(id) || !llm_json_is_string(name) || !llm_json_is_string(arguments)) {
        return llm_in_refuse(
            err, "input: a function_call needs a call_id, a name and arguments, all strings");
    }
    llm_in_call(&turn->calls, id, name, arguments);
    return 0;
}

static int
take_output(struct turn *turn, struct buf *common, struct llm_value item, struct err *err)
{
    struct llm_value id = llm_json_get(item, "call_id");
    if (!llm_json_is_string(id)) {
        return llm_in_refuse(err, "input: a function_call_output needs its call_id");
    }
    turn_write(turn, common);
    llm_next_item(common);
    BUF_LITERAL(common, "{\"role\":\"tool\"");
    llm_add_value(common, "tool_call_id", id);
    BUF_LITERAL(common, ",\"content\":[");
    int result = add_parts(common, llm_json_get(item, "output"), err);
    BUF_LITERAL(common, "]}");
    return result;
}

/* Without a summary it is what only its maker reads. */
static int
take_reasoning(struct turn *turn, struct buf *common, struct llm_value item)
{
    struct llm_iter iter = {0};
    struct llm_value one;
    struct llm_value secret = llm_json_get(item, "encrypted_content");
    struct buf text;
    if (turn->calls.len > 1 || turn->parts.len > 1) {
        turn_write(turn, common);
    }
    buf_init(&text);
    while (llm_json_item(llm_json_get(item, "summary"), &iter, &one)) {
        struct llm_value content = llm_json_inside(llm_json_get(one, "text"));
        buf_add(&text, content.at, content.len);
    }
    if (text.len > 0) {
        llm_next_item(&turn->thinking);
        BUF_LITERAL(&turn->thinking, "{\"text\":\"");
        buf_add(&turn->thinking, text.bytes, text.len);
        buf_addc(&turn->thinking, '"');
        llm_in_copy(&turn->thinking, item, "encrypted_content", "signature");
        llm_in_copy(&turn->thinking, item, "id", "id");
        buf_addc(&turn->thinking, '}');
    } else if (llm_json_is_string(secret)) {
        llm_next_item(&turn->thinking);
        BUF_LITERAL(&turn->thinking, "{\"redacted\":");
        llm_json_add(&turn->thinking, secret);
        buf_addc(&turn->thinking, '}');
    }
    buf_fini(&text);
    return 0;
}

static int
take_item(struct turn *turn, struct buf *common, struct llm_value item, struct err *err)
{
    static const char *const types[] = {
        "message", "function_call", "function_call_output", "reasoning", NULL};
    struct llm_value type = llm_json_get(item, "type");
    switch (llm_json_is_null(type) ? 0 : llm_in_word(type, types)) {
    case 0:
        return take_message(turn, common, item, err);
    case 1:
        return take_call(turn, item, err);
    case 2:
        return take_output(turn, common, item, err);
    case 3:
        return take_reasoning(turn, common, item);
    default:
        return llm_in_refuse(err,
            "input: an item must be a message, function_call, function_call_output or reasoning to "
            "be said to the upstream of this model");
    }
}

static int
add_input(struct buf *common, struct llm_value input, struct err *err)
{
    struct turn turn;
    struct llm_iter iter = {0};
    struct llm_value item;
    int result = 0;
    BUF_LITERAL(common, ",\"messages\":[");
    if (llm_json_is_string(input)) {
        BUF_LITERAL(common, "{\"role\":\"user\"");
        llm_add_value(common, "content", input);
        BUF_LITERAL(common, "}]");
        return 0;
    }
    turn_init(&turn);
    while (result == 0 && llm_json_item(input, &iter, &item)) {
        result = take_item(&turn, common, item, err);
    }
    turn_write(&turn, common);
    turn_fini(&turn);
    buf_addc(common, ']');
    return result;
}

/* ---- the rest ---- */

static bool
is_function(struct llm_value type)
{
    return llm_json_is(type, "function");
}

static const struct llm_in_tools tools = {.takes_type = is_function,
    .parameters = "parameters",
    .refusal = "tools: only functions can be said to the upstream of this model, which speaks "
               "another dialect"};

static int
add_tool_choice(struct buf *common, struct llm_value choice, struct err *err)
{
    if (llm_json_is_object(choice)) {
        struct llm_value name = llm_json_get(choice, "name");
        if (!llm_json_is(llm_json_get(choice, "type"), "function") || !llm_json_is_string(name)) {
            return llm_in_refuse(err, "tool_choice: must name a function, or be auto, required or "
                                      "none");
        }
        BUF_LITERAL(common, ",\"tool_choice\":{\"type\":\"function\",\"function\":{\"name\":");
        llm_json_add(common, name);
        BUF_LITERAL(common, "}}");
    } else if (!llm_json_is_null(choice)) {
        llm_add_value(common, "tool_choice", choice);
    }
    return 0;
}

/* {"type":"json_schema","name":N,"schema":S} has its members one level deeper elsewhere. */
static void
add_format(struct buf *common, struct llm_value format)
{
    struct llm_iter iter = {0};
    struct llm_value name, value;
    const char *before = "";
    if (!llm_json_is(llm_json_get(format, "type"), "json_schema")) {
        if (!llm_json_is_null(format)) {
            llm_add_value(common, "response_format", format);
        }
        return;
    }
    BUF_LITERAL(common, ",\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{");
    while (llm_json_member(format, &iter, &name, &value)) {
        if (!llm_json_is(name, "type")) {
            buf_adds(common, before);
            before = ",";
            llm_json_add(common, name);
            buf_addc(common, ':');
            llm_json_add(common, value);
        }
    }
    BUF_LITERAL(common, "}}");
}

static int
check_neutral(struct llm_value root, struct err *err)
{
    struct llm_value background = llm_json_get(root, "background");
    struct llm_value logprobs = llm_json_get(root, "top_logprobs");
    if (llm_json_is_true(background)) {
        return llm_in_refuse(err, "background: cannot be said to the upstream of this model");
    }
    if (!llm_json_is_null(logprobs) && (logprobs.len != 1 || logprobs.at[0] != '0')) {
        return llm_in_refuse(err, "top_logprobs: cannot be said to the upstream of this model");
    }
    return 0;
}

static int
responses_cross(struct llm_value root, struct buf *common, struct err *err)
{
    struct llm_value effort = llm_json_get(llm_json_get(root, "reasoning"), "effort");
    uint64_t most = 0;
    if (check_neutral(root, err) != 0 || add_input(common, llm_json_get(root, "input"), err) != 0 ||
        llm_in_tools(common, llm_json_get(root, "tools"), &tools, err) != 0 ||
        add_tool_choice(common, llm_json_get(root, "tool_choice"), err) != 0) {
        return -1;
    }
    llm_in_copy(common, root, "instructions", "system");
    llm_in_copy(common, root, "max_output_tokens", "max_tokens");
    llm_in_copy(common, root, "parallel_tool_calls", "parallel_tool_calls");
    llm_in_copy(common, root, "temperature", "temperature");
    llm_in_copy(common, root, "top_p", "top_p");
    add_format(common, llm_json_get(llm_json_get(root, "text"), "format"));
    (void)llm_json_u64(llm_json_get(root, "max_output_tokens"), &most);
    llm_in_budget(common, effort, most);
    if (llm_json_is_string(effort)) {
        llm_add_value(common, "reasoning_effort", effort);
    }
    return 0;
}

static const char *const taken[] = {"input", "instructions", "max_output_tokens", "tools",
    "tool_choice", "parallel_tool_calls", "temperature", "top_p", "reasoning", "text", "background",
    "top_logprobs", NULL};
static const char *const unheard[] = {"metadata", "store", "user", "include", "truncation",
    "service_tier", "prompt_cache_key", "prompt_cache_retention", "safety_identifier", NULL};

const struct llm_in_dialect llm_in_responses = {
    .name = "responses", .taken = taken, .unheard = unheard, .cross = responses_cross};
