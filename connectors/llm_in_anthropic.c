/* llm_in_anthropic: Anthropic's messages in the common form. A user's message with results of tools
 * becomes a message for each of them, and one for the rest.
 * Facts: platform.claude.com/docs/en/api/messages. */
#include "llm_in_internal.h"

#include <string.h>

static int
refuse_block(struct err *err)
{
    return llm_in_refuse(err,
        "messages: a block of a content must be text, image (base64 or url), tool_use, tool_result "
        "or thinking to be said to the upstream of this model");
}

/* The URL that an image's source stands for: contents. false: it is of another kind. */
static bool
add_image(struct buf *common, struct llm_value source)
{
    struct llm_value type = llm_json_get(source, "type");
    struct llm_value url = llm_json_inside(llm_json_get(source, "url"));
    struct llm_value media = llm_json_inside(llm_json_get(source, "media_type"));
    struct llm_value data = llm_json_inside(llm_json_get(source, "data"));
    if (llm_json_is(type, "url") && url.len > 0) {
        llm_in_image_part(common, url);
        return true;
    }
    if (!llm_json_is(type, "base64") || media.len == 0 || data.len == 0) {
        return false;
    }
    struct buf text;
    buf_init(&text);
    BUF_LITERAL(&text, "data:");
    buf_add(&text, media.at, media.len);
    BUF_LITERAL(&text, ";base64,");
    buf_add(&text, data.at, data.len);
    llm_in_image_part(common, (struct llm_value){text.bytes, text.len});
    buf_fini(&text);
    return true;
}

/* A block that is a part of a content; 0: it is, 1: it is another kind of block. */
static int
add_part(struct buf *common, struct llm_value block, struct err *err)
{
    struct llm_value type = llm_json_get(block, "type");
    struct llm_value text = llm_json_get(block, "text");
    if (llm_json_is(type, "text") && llm_json_is_string(text)) {
        llm_in_text_part(common, text);
        return 0;
    }
    if (llm_json_is(type, "image")) {
        return add_image(common, llm_json_get(block, "source")) ? 0 : refuse_block(err);
    }
    return 1;
}

/* The content of a result: a string, or parts. */
static int
add_result(struct buf *common, struct llm_value block, struct err *err)
{
    struct llm_value content = llm_json_get(block, "content");
    struct llm_value id = llm_json_get(block, "tool_use_id");
    struct llm_iter iter = {0};
    struct llm_value part;
    if (!llm_json_is_string(id)) {
        return llm_in_refuse(err, "messages: a tool_result needs its tool_use_id");
    }
    llm_next_item(common);
    BUF_LITERAL(common, "{\"role\":\"tool\"");
    llm_add_value(common, "tool_call_id", id);
    if (llm_json_is_string(content)) {
        llm_add_value(common, "content", content);
    } else {
        BUF_LITERAL(common, ",\"content\":[");
        while (llm_json_item(content, &iter, &part)) {
            if (add_part(common, part, err) != 0) {
                return refuse_block(err);
            }
        }
        buf_addc(common, ']');
    }
    buf_addc(common, '}');
    return 0;
}

static int
add_user(struct buf *common, struct llm_value content, struct err *err)
{
    struct llm_iter iter = {0};
    struct llm_value block;
    struct buf parts;
    int result = 0;
    buf_init(&parts);
    BUF_LITERAL(&parts, "[");
    while (result == 0 && llm_json_item(content, &iter, &block)) {
        if (llm_json_is(llm_json_get(block, "type"), "tool_result")) {
            result = add_result(common, block, err);
        } else if ((result = add_part(&parts, block, err)) == 1) {
            result = refuse_block(err);
        }
    }
    if (parts.len > 1) {
        llm_next_item(common);
        BUF_LITERAL(common, "{\"role\":\"user\",\"content\":");
        buf_add(common, parts.bytes, parts.len);
        BUF_LITERAL(common, "]}");
    }
    buf_fini(&parts);
    return result;
}

/* What an assistant's message is put together of. */
struct said {
    struct buf parts, thinking, calls;
};

static void
add_thought(struct buf *thinking, struct llm_value block, bool redacted)
{
    llm_next_item(thinking);
    if (redacted) {
        BUF_LITERAL(thinking, "{\"redacted\":");
        llm_json_add(thinking, llm_json_get(block, "data"));
    } else {
        BUF_LITERAL(thinking, "{\"text\":");
        llm_json_add(thinking, llm_json_get(block, "thinking"));
        llm_in_copy(thinking, block, "signature", "signature");
    }
    buf_addc(thinking, '}');
}

static int
take_block(struct said *said, struct llm_value block, struct err *err)
{
    struct llm_value type = llm_json_get(block, "type");
    if (llm_json_is(type, "tool_use")) {
        struct llm_value id = llm_json_get(block, "id");
        struct llm_value name = llm_json_get(block, "name");
        struct llm_value input = llm_json_get(block, "input");
        if (!llm_json_is_string(id) || !llm_json_is_string(name) || !llm_json_is_object(input)) {
            return llm_in_refuse(err, "messages: a tool_use needs an id, a name and an input");
        }
        llm_in_call(&said->calls, id, name, input);
        return 0;
    }
    bool redacted = llm_json_is(type, "redacted_thinking");
    if (redacted || llm_json_is(type, "thinking")) {
        if (!llm_json_is_string(llm_json_get(block, redacted ? "data" : "thinking"))) {
            return refuse_block(err);
        }
        add_thought(&said->thinking, block, redacted);
        return 0;
    }
    int result = add_part(&said->parts, block, err);
    return result == 1 ? refuse_block(err) : result;
}

static int
add_assistant(struct buf *common, struct llm_value content, struct err *err)
{
    struct said said;
    struct llm_iter iter = {0};
    struct llm_value block;
    int result = 0;
    buf_init(&said.parts);
    buf_init(&said.thinking);
    buf_init(&said.calls);
    buf_addc(&said.parts, '[');
    buf_addc(&said.thinking, '[');
    buf_addc(&said.calls, '[');
    while (result == 0 && llm_json_item(content, &iter, &block)) {
        result = take_block(&said, block, err);
    }
    llm_next_item(common);
    BUF_LITERAL(common, "{\"role\":\"assistant\"");
    llm_in_array(common, "thinking", &said.thinking);
    llm_in_array(common, "content", &said.parts);
    llm_in_array(common, "tool_calls", &said.calls);
    buf_addc(common, '}');
    buf_fini(&said.parts);
    buf_fini(&said.thinking);
    buf_fini(&said.calls);
    return result;
}

static int
add_messages(struct buf *common, struct llm_value messages, struct err *err)
{
    static const char *const roles[] = {"user", "assistant", NULL};
    struct llm_iter iter = {0};
    struct llm_value message;
    BUF_LITERAL(common, ",\"messages\":[");
    while (llm_json_item(messages, &iter, &message)) {
        struct llm_value content = llm_json_get(message, "content");
        int role = llm_in_word(llm_json_get(message, "role"), roles);
        if (role < 0 || (!llm_json_is_string(content) && !llm_json_is_array(content))) {
            return llm_in_refuse(
                err, "messages: each needs a role, user or assistant, and a content");
        }
        if (llm_json_is_string(content)) {
            llm_next_item(common);
            buf_addf(common, "{\"role\":\"%s\"", roles[role]);
            llm_add_value(common, "content", content);
            buf_addc(common, '}');
        } else if ((role == 1 ? add_assistant : add_user)(common, content, err) != 0) {
            return -1;
        }
    }
    buf_addc(common, ']');
    return 0;
}

static int
add_system(struct buf *common, struct llm_value system, struct err *err)
{
    struct llm_iter iter = {0};
    struct llm_value block;
    const char *before = "";
    if (llm_json_is_null(system) || llm_json_is_string(system)) {
        llm_add_value(
            common, "system", llm_json_is_null(system) ? (struct llm_value){NULL, 0} : system);
        return 0;
    }
    BUF_LITERAL(common, ",\"system\":\"");
    while (llm_json_item(system, &iter, &block)) {
        struct llm_value text = llm_json_get(block, "text");
        if (!llm_json_is_string(text)) {
            return llm_in_refuse(err, "system: must be a string or an array of text blocks");
        }
        buf_adds(common, before);
        before = "\\n\\n";
        buf_add(common, text.at + 1, text.len - 2);
    }
    buf_addc(common, '"');
    return 0;
}

static bool
is_custom(struct llm_value type)
{
    return llm_json_is_null(type) || llm_json_is(type, "custom");
}

static const struct llm_in_tools tools = {.takes_type = is_custom,
    .parameters = "input_schema",
    .refusal = "tools: those that the provider runs itself cannot be said to the upstream of this "
               "model"};

static int
add_tool_choice(struct buf *common, struct llm_value choice, struct err *err)
{
    static const char *const types[] = {"auto", "any", "none", "tool", NULL};
    static const char *const words[] = {"\"auto\"", "\"required\"", "\"none\""};
    int type = llm_in_word(llm_json_get(choice, "type"), types);
    if (llm_json_is_null(choice)) {
        return 0;
    }
    if (type < 0 || (type == 3 && !llm_json_is_string(llm_json_get(choice, "name")))) {
        return llm_in_refuse(err, "tool_choice: must have the type auto, any, none or tool");
    }
    BUF_LITERAL(common, ",\"tool_choice\":");
    if (type < 3) {
        buf_adds(common, words[type]);
    } else {
        BUF_LITERAL(common, "{\"type\":\"function\",\"function\":{\"name\":");
        llm_json_add(common, llm_json_get(choice, "name"));
        BUF_LITERAL(common, "}}");
    }
    if (llm_json_is_true(llm_json_get(choice, "disable_parallel_tool_use"))) {
        BUF_LITERAL(common, ",\"parallel_tool_calls\":false");
    }
    return 0;
}

static int
anthropic_cross(struct llm_value root, struct buf *common, struct err *err)
{
    struct llm_value output = llm_json_get(root, "output_config");
    if (!llm_json_is_null(llm_json_get(output, "format"))) {
        return llm_in_refuse(
            err, "output_config: format cannot be said to the upstream of this model");
    }
    if (add_system(common, llm_json_get(root, "system"), err) != 0 ||
        add_messages(common, llm_json_get(root, "messages"), err) != 0 ||
        llm_in_tools(common, llm_json_get(root, "tools"), &tools, err) != 0 ||
        add_tool_choice(common, llm_json_get(root, "tool_choice"), err) != 0) {
        return -1;
    }
    llm_in_copy(common, root, "max_tokens", "max_tokens");
    llm_in_copy(common, root, "temperature", "temperature");
    llm_in_copy(common, root, "top_p", "top_p");
    llm_in_copy(common, root, "stop_sequences", "stop");
    llm_in_copy(common, root, "thinking", "thinking");
    llm_in_effort(common, llm_json_get(root, "thinking"), llm_json_get(output, "effort"));
    return 0;
}

static const char *const taken[] = {"messages", "system", "max_tokens", "tools", "tool_choice",
    "temperature", "top_p", "stop_sequences", "thinking", "output_config", NULL};
static const char *const unheard[] = {"metadata", "service_tier", "cache_control", NULL};

const struct llm_in_dialect llm_in_anthropic = {
    .name = "anthropic", .taken = taken, .unheard = unheard, .cross = anthropic_cross};
