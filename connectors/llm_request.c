/* llm_request: the common form of a request, looked at in place. */
#include "llm_request.h"

#include "../gateway/json.h"

#include <string.h>

/* ---- parsing ---- */

static int
refuse(struct err *err, const char *what)
{
    err_set(err, ERR_INVALID, "%s", what);
    return -1;
}

static bool
role_of(struct llm_value word, enum llm_role *role)
{
    static const struct {
        const char *word;
        enum llm_role role;
    } rows[] = {{"user", LLM_ROLE_USER}, {"assistant", LLM_ROLE_ASSISTANT},
        {"system", LLM_ROLE_SYSTEM}, {"developer", LLM_ROLE_SYSTEM}, {"tool", LLM_ROLE_TOOL}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (llm_json_is(word, rows[i].word)) {
            *role = rows[i].role;
            return true;
        }
    }
    return false;
}

static bool
starts_with(struct llm_value content, const char *text)
{
    return content.len >= strlen(text) && memcmp(content.at, text, strlen(text)) == 0;
}

/* data:image/png;base64,DATA, which has no escapes but perhaps of slashes. */
static bool
take_data_url(struct llm_value url, struct llm_part *part)
{
    size_t start = strlen("data:");
    const char *mark = memmem(url.at, url.len, ";base64,", strlen(";base64,"));
    if (!starts_with(url, "data:") || mark == NULL) {
        return false;
    }
    size_t type_len = (size_t)(mark - url.at) - start;
    const char *data = mark + strlen(";base64,");
    *part = (struct llm_part){.kind = LLM_PART_IMAGE_DATA,
        .media_type = {url.at + start, type_len},
        .data = {data, url.len - (size_t)(data - url.at)}};
    return true;
}

/* false: a kind of part that is not known, or not whole. */
static bool
take_part(struct llm_value item, struct llm_part *part)
{
    struct llm_value type = llm_json_get(item, "type");
    struct llm_value text = llm_json_get(item, "text");
    struct llm_value image = llm_json_get(item, "image_url");
    *part = (struct llm_part){.kind = LLM_PART_TEXT};
    if (llm_json_is(type, "text") && llm_json_is_string(text)) {
        part->text = llm_json_inside(text);
        return true;
    }
    struct llm_value url =
        llm_json_inside(llm_json_is_string(image) ? image : llm_json_get(image, "url"));
    if (!llm_json_is(type, "image_url") || url.len == 0) {
        return false;
    }
    if (starts_with(url, "data:")) {
        return take_data_url(url, part);
    }
    part->kind = LLM_PART_IMAGE_URL;
    part->text = url;
    return true;
}

static int
check_content(struct llm_value content, struct err *err)
{
    struct llm_iter iter = {0};
    struct llm_value item;
    struct llm_part part;
    if (llm_json_is_null(content) || llm_json_is_string(content)) {
        return 0;
    }
    if (!llm_json_is_array(content)) {
        return refuse(err, "messages: content must be a string or an array of parts");
    }
    while (llm_json_item(content, &iter, &item)) {
        if (!take_part(item, &part)) {
            return refuse(err,
                "messages: a part of a content must be {\"type\":\"text\",\"text\":...} or "
                "{\"type\":\"image_url\",\"image_url\":{\"url\":...}}, a data: URL in base64");
        }
    }
    return 0;
}

static int
check_calls(struct llm_value tool_calls, struct err *err)
{
    struct llm_iter iter = {0};
    struct llm_value item;
    while (llm_json_item(tool_calls, &iter, &item)) {
        struct llm_value function = llm_json_get(item, "function");
        if (!llm_json_is_string(llm_json_get(function, "name")) ||
            !llm_json_is_string(llm_json_get(function, "arguments")) ||
            !llm_json_is_string(llm_json_get(item, "id"))) {
            return refuse(err,
                "messages: a tool call needs an id and a function with a name and arguments, "
                "all strings");
        }
    }
    return 0;
}

static int
check_messages(const struct llm_request *request, struct err *err)
{
    struct llm_iter iter = {0};
    struct llm_value item;
    enum llm_role role;
    bool any = false;
    while (llm_json_item(request->messages, &iter, &item)) {
        if (!role_of(llm_json_get(item, "role"), &role)) {
            return refuse(err, "messages: role must be system, developer, user, assistant or tool");
        }
        if (role == LLM_ROLE_TOOL && !llm_json_is_string(llm_json_get(item, "tool_call_id"))) {
            return refuse(err, "messages: a message of a tool needs its tool_call_id");
        }
        if (check_content(llm_json_get(item, "content"), err) != 0 ||
            check_calls(llm_json_get(item, "tool_calls"), err) != 0) {
            return -1;
        }
        any |= role != LLM_ROLE_SYSTEM;
    }
    return any ? 0 : refuse(err, "messages: must be an array with one message at least");
}

static int
check_tools(const struct llm_request *request, struct err *err)
{
    struct llm_iter iter = {0};
    struct llm_value item;
    if (!llm_json_is_null(request->tools) && !llm_json_is_array(request->tools)) {
        return refuse(err, "tools: must be an array");
    }
    while (llm_json_item(request->tools, &iter, &item)) {
        if (!llm_json_is_string(llm_json_get(llm_json_get(item, "function"), "name"))) {
            return refuse(
                err, "tools: each must be {\"type\":\"function\",\"function\":{\"name\":...}}");
        }
    }
    return 0;
}

static int
take_max_tokens(struct llm_request *request, struct err *err)
{
    struct llm_value value = llm_json_get(request->root, "max_completion_tokens");
    if (llm_json_is_null(value)) {
        value = llm_json_get(request->root, "max_tokens");
    }
    if (!llm_json_is_null(value) &&
        (!llm_json_u64(value, &request->max_tokens) || request->max_tokens == 0)) {
        return refuse(err, "max_tokens: must be a whole number from 1 on");
    }
    return 0;
}

int
llm_request_parse(struct llm_request *request, const char *body, size_t len, struct err *err)
{
    *request = (struct llm_request){.root = llm_json_root(body, len), .default_max_tokens = 4096};
    struct llm_value system = llm_json_get(request->root, "system");
    if (!llm_json_is_object(request->root)) {
        return refuse(err, "the body must be a JSON object");
    }
    request->messages = llm_json_get(request->root, "messages");
    request->tools = llm_json_get(request->root, "tools");
    request->model = llm_json_get(request->root, "model");
    if (!llm_json_is_string(request->model) || request->model.len <= 2) {
        return refuse(err, "model: must be a string that names one");
    }
    if (!llm_json_is_null(system) && !llm_json_is_string(system)) {
        return refuse(err, "system: must be a string");
    }
    if (take_max_tokens(request, err) != 0 || check_messages(request, err) != 0) {
        return -1;
    }
    return check_tools(request, err);
}

/* ---- walking ---- */

bool
llm_request_message(
    const struct llm_request *request, struct llm_iter *iter, struct llm_message *message)
{
    struct llm_value item;
    if (!llm_json_item(request->messages, iter, &item)) {
        return false;
    }
    *message = (struct llm_message){.content = llm_json_get(item, "content"),
        .tool_calls = llm_json_get(item, "tool_calls"),
        .tool_call_id = llm_json_get(item, "tool_call_id"),
        .thinking = llm_json_get(item, "thinking")};
    return role_of(llm_json_get(item, "role"), &message->role);
}

bool
llm_request_part(struct llm_value content, struct llm_iter *iter, struct llm_part *part)
{
    struct llm_value item;
    if (llm_json_is_string(content)) {
        *part = (struct llm_part){.kind = LLM_PART_TEXT, .text = llm_json_inside(content)};
        return iter->place++ == 0;
    }
    return llm_json_item(content, iter, &item) && take_part(item, part);
}

bool
llm_request_called(struct llm_value tool_calls, struct llm_iter *iter, struct llm_called *call)
{
    struct llm_value item;
    if (!llm_json_item(tool_calls, iter, &item)) {
        return false;
    }
    struct llm_value function = llm_json_get(item, "function");
    *call = (struct llm_called){.id = llm_json_get(item, "id"),
        .name = llm_json_get(function, "name"),
        .arguments = llm_json_get(function, "arguments")};
    return true;
}

bool
llm_request_tool(const struct llm_request *request, struct llm_iter *iter, struct llm_tool *tool)
{
    struct llm_value item;
    if (!llm_json_item(request->tools, iter, &item)) {
        return false;
    }
    struct llm_value function = llm_json_get(item, "function");
    *tool = (struct llm_tool){.name = llm_json_get(function, "name"),
        .description = llm_json_get(function, "description"),
        .parameters = llm_json_get(function, "parameters"),
        .strict = llm_json_get(function, "strict")};
    return true;
}

void
llm_request_text(struct llm_value message_content, struct buf *content)
{
    struct llm_iter iter = {0};
    struct llm_part part;
    while (llm_request_part(message_content, &iter, &part)) {
        if (part.kind == LLM_PART_TEXT) {
            buf_add(content, part.text.at, part.text.len);
        }
    }
}

void
llm_request_system(const struct llm_request *request, struct buf *content)
{
    struct llm_iter iter = {0};
    struct llm_message message;
    struct llm_value system = llm_json_inside(llm_json_get(request->root, "system"));
    buf_add(content, system.at, system.len);
    while (llm_request_message(request, &iter, &message)) {
        if (message.role == LLM_ROLE_SYSTEM) {
            buf_adds(content, content->len > 0 ? "\\n\\n" : "");
            llm_request_text(message.content, content);
        }
    }
}

/* ---- writing ---- */

bool
llm_request_object(struct buf *out, struct llm_value arguments)
{
    struct buf text;
    buf_init(&text);
    llm_json_text(&text, llm_json_inside(arguments));
    struct llm_value root = llm_json_root(text.bytes, text.len);
    bool good = text.len == 0 || llm_json_is_object(root);
    if (text.len == 0) {
        BUF_LITERAL(out, "{}");
    } else if (good) {
        llm_json_add(out, root);
    }
    buf_fini(&text);
    return good;
}

void
llm_next_item(struct buf *out)
{
    if (out->bytes[out->len - 1] != '[') {
        buf_addc(out, ',');
    }
}

static void
add_name(struct buf *out, const char *name)
{
    BUF_LITERAL(out, ",\"");
    buf_adds(out, name);
    BUF_LITERAL(out, "\":");
}

void
llm_add_value(struct buf *out, const char *name, struct llm_value value)
{
    if (value.at != NULL) {
        add_name(out, name);
        llm_json_add(out, value);
    }
}

void
llm_add_member(
    struct buf *out, const struct llm_request *request, const char *member, const char *name)
{
    struct llm_value value = llm_json_get(request->root, member);
    if (!llm_json_is_null(value)) {
        llm_add_value(out, name, value);
    }
}

void
llm_add_string(struct buf *out, const char *name, const char *content, size_t len)
{
    add_name(out, name);
    buf_addc(out, '"');
    buf_add(out, content, len);
    buf_addc(out, '"');
}
