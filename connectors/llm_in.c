/* llm_in: what the requests of all dialects have in common, and what of the common form an upstream
 * cannot be told. */
#include "llm_in_internal.h"

#include <inttypes.h>
#include <string.h>

/* Budgets of thinking, in tokens, for the words low, medium and high. Anthropic's least is 1024. */
#define BUDGET_LEAST 1024
static const uint64_t budgets[] = {2048, 8192, 24576};

const struct llm_in_dialect *const llm_in_dialects[LLM_IN_COUNT + 1] = {
    &llm_in_openai, &llm_in_anthropic, &llm_in_responses, NULL};

const char *
llm_in_name(const struct llm_in_dialect *dialect)
{
    return dialect->name;
}

int
llm_in_refuse(struct err *err, const char *what)
{
    err_set(err, ERR_INVALID, "%s", what);
    return -1;
}

int
llm_in_word(struct llm_value value, const char *const *words)
{
    for (int i = 0; words[i] != NULL; i++) {
        if (llm_json_is(value, words[i])) {
            return i;
        }
    }
    return -1;
}

int
llm_in_look(struct llm_in *in, const char *body, size_t len, struct err *err)
{
    *in = (struct llm_in){.root = llm_json_root(body, len)};
    if (!llm_json_is_object(in->root)) {
        return llm_in_refuse(err, "the body must be a JSON object");
    }
    in->model = llm_json_get(in->root, "model");
    if (llm_json_inside(in->model).len == 0) {
        return llm_in_refuse(err, "model: must be a string that names one");
    }
    struct llm_value options = llm_json_get(in->root, "stream_options");
    in->stream = llm_json_is_true(llm_json_get(in->root, "stream"));
    in->usage_chunk = llm_json_is_true(llm_json_get(options, "include_usage"));
    return 0;
}

/* ---- to an upstream that speaks the same ---- */

void
llm_in_pass(const struct llm_in_dialect *dialect, const struct llm_in *in, struct buf *body)
{
    static const char *const ours[] = {"stream", "stream_options", NULL};
    struct llm_iter iter = {0};
    struct llm_value name, value;
    bool chat = dialect == &llm_in_openai;
    BUF_LITERAL(body, "{\"stream\":true");
    if (chat) {
        BUF_LITERAL(body, ",\"stream_options\":{\"include_usage\":true}");
    }
    while (llm_json_member(in->root, &iter, &name, &value)) {
        int found = llm_in_word(name, ours);
        if (found < 0 || (found == 1 && !chat)) {
            buf_addc(body, ',');
            llm_json_add(body, name);
            buf_addc(body, ':');
            llm_json_add(body, value);
        }
    }
    buf_addc(body, '}');
}

/* ---- to another one ---- */

/* The member's name as it is in the body, so far as it is printable. */
static int
refuse_member(struct llm_value name, struct err *err)
{
    struct buf text;
    buf_init(&text);
    llm_json_text(&text, llm_json_inside(name));
    for (size_t i = 0; i < text.len; i++) {
        text.bytes[i] = text.bytes[i] > ' ' && text.bytes[i] < 0x7f ? text.bytes[i] : '?';
    }
    buf_addc(&text, '\0');
    err_set(err, ERR_INVALID,
        "%.64s: cannot be said to the upstream of this model, which speaks another dialect",
        text.bytes);
    buf_fini(&text);
    return -1;
}

static int
check_members(const struct llm_in_dialect *dialect, struct llm_value root, struct err *err)
{
    static const char *const common[] = {"model", "stream", "stream_options", NULL};
    struct llm_iter iter = {0};
    struct llm_value name, value;
    while (llm_json_member(root, &iter, &name, &value)) {
        if (!llm_json_is_null(value) && llm_in_word(name, common) < 0 &&
            llm_in_word(name, dialect->taken) < 0 && llm_in_word(name, dialect->unheard) < 0) {
            return refuse_member(name, err);
        }
    }
    return 0;
}

int
llm_in_cross(const struct llm_in_dialect *dialect, const struct llm_in *in, struct buf *common,
    struct err *err)
{
    if (check_members(dialect, in->root, err) != 0) {
        return -1;
    }
    BUF_LITERAL(common, "{\"model\":");
    llm_json_add(common, in->model);
    if (dialect->cross(in->root, common, err) != 0) {
        return -1;
    }
    buf_addc(common, '}');
    return 0;
}

static bool
is_said(const struct llm_request *request, const char *member)
{
    struct llm_value value = llm_json_get(request->root, member);
    if (llm_json_is_null(value)) {
        return false;
    }
    if (strcmp(member, "response_format") == 0) {
        return !llm_json_is(llm_json_get(value, "type"), "text");
    }
    if (strcmp(member, "tool_choice") == 0) {
        return !llm_json_is(value, "auto");
    }
    if (strcmp(member, "parallel_tool_calls") == 0) {
        return !llm_json_is_true(value);
    }
    return true;
}

int
llm_in_says(const struct llm_dialect *upstream, const struct llm_request *request, struct err *err)
{
    static const struct {
        const struct llm_dialect *dialect;
        const char *members[4];
    } rows[] = {
        {&llm_anthropic, {"seed", "response_format"}},
        {&llm_responses, {"seed", "stop"}},
        {&llm_ollama, {"tool_choice", "parallel_tool_calls", "response_format"}},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        for (size_t j = 0; rows[i].dialect == upstream && rows[i].members[j] != NULL; j++) {
            if (is_said(request, rows[i].members[j])) {
                err_set(err, ERR_INVALID, "%s: cannot be said to the upstream of this model (%s)",
                    rows[i].members[j], upstream->name);
                return -1;
            }
        }
    }
    return 0;
}

/* ---- writing ---- */

void
llm_in_copy(struct buf *common, struct llm_value root, const char *name, const char *as)
{
    struct llm_value value = llm_json_get(root, name);
    if (!llm_json_is_null(value)) {
        llm_add_value(common, as, value);
    }
}

void
llm_in_array(struct buf *common, const char *name, struct buf *items)
{
    if (items->len > 1) {
        buf_addf(common, ",\"%s\":", name);
        buf_add(common, items->bytes, items->len);
        buf_addc(common, ']');
        items->len = 1;
    }
}

void
llm_in_budget(struct buf *common, struct llm_value effort, uint64_t max_tokens)
{
    static const char *const words[] = {"low", "medium", "high", "minimal", "xhigh", "none", NULL};
    static const int as[] = {0, 1, 2, 0, 2};
    int word = llm_in_word(effort, words);
    if (word < 0 || word >= (int)(sizeof as / sizeof *as)) {
        return;
    }
    uint64_t budget = budgets[as[word]];
    if (max_tokens > 0 && max_tokens <= budget) { /* it must be less, and leave room to answer */
        budget = max_tokens / 2;
    }
    if (budget >= BUDGET_LEAST) {
        buf_addf(
            common, ",\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":%" PRIu64 "}", budget);
    }
}

void
llm_in_effort(struct buf *common, struct llm_value thinking, struct llm_value effort)
{
    static const char *const words[] = {"low", "medium", "high"};
    uint64_t budget = 0;
    size_t word = 1;
    if (llm_json_is_string(effort)) {
        llm_add_value(common, "reasoning_effort", effort);
        return;
    }
    if (!llm_json_is_object(thinking) || llm_json_is(llm_json_get(thinking, "type"), "disabled")) {
        return;
    }
    if (llm_json_u64(llm_json_get(thinking, "budget_tokens"), &budget)) {
        word = budget <= budgets[0] ? 0 : budget <= budgets[1] ? 1 : 2;
    }
    buf_addf(common, ",\"reasoning_effort\":\"%s\"", words[word]);
}

/* Description, parameters and strict may be absent. */
static void
add_tool(struct buf *common, const struct llm_tool *tool)
{
    llm_next_item(common);
    BUF_LITERAL(common, "{\"type\":\"function\",\"function\":{\"name\":");
    llm_json_add(common, tool->name);
    llm_add_value(common, "description", tool->description);
    llm_add_value(common, "parameters", tool->parameters);
    if (!llm_json_is_null(tool->strict)) {
        llm_add_value(common, "strict", tool->strict);
    }
    BUF_LITERAL(common, "}}");
}

int
llm_in_tools(
    struct buf *common, struct llm_value tools, const struct llm_in_tools *kind, struct err *err)
{
    struct llm_iter iter = {0};
    struct llm_value tool;
    if (llm_json_is_null(tools)) {
        return 0;
    }
    BUF_LITERAL(common, ",\"tools\":[");
    while (llm_json_item(tools, &iter, &tool)) {
        if (!kind->takes_type(llm_json_get(tool, "type")) ||
            !llm_json_is_string(llm_json_get(tool, "name"))) {
            return llm_in_refuse(err, kind->refusal);
        }
        add_tool(common, &(struct llm_tool){.name = llm_json_get(tool, "name"),
                             .description = llm_json_get(tool, "description"),
                             .parameters = llm_json_get(tool, kind->parameters),
                             .strict = llm_json_get(tool, "strict")});
    }
    buf_addc(common, ']');
    return 0;
}

void
llm_in_call(
    struct buf *common, struct llm_value id, struct llm_value name, struct llm_value arguments)
{
    llm_next_item(common);
    BUF_LITERAL(common, "{\"type\":\"function\"");
    llm_add_value(common, "id", id);
    BUF_LITERAL(common, ",\"function\":{\"name\":");
    llm_json_add(common, name);
    if (llm_json_is_string(arguments)) {
        llm_add_value(common, "arguments", arguments);
    } else {
        struct buf text, content;
        buf_init(&text);
        buf_init(&content);
        llm_json_add(&text, arguments);
        llm_json_escape(&content, text.bytes, text.len);
        llm_add_string(common, "arguments", content.bytes, content.len);
        buf_fini(&content);
        buf_fini(&text);
    }
    BUF_LITERAL(common, "}}");
}

void
llm_in_text_part(struct buf *common, struct llm_value text)
{
    llm_next_item(common);
    BUF_LITERAL(common, "{\"type\":\"text\"");
    llm_add_value(common, "text", text);
    buf_addc(common, '}');
}

void
llm_in_image_part(struct buf *common, struct llm_value url)
{
    llm_next_item(common);
    BUF_LITERAL(common, "{\"type\":\"image_url\",\"image_url\":{\"url\":\"");
    buf_add(common, url.at, url.len);
    BUF_LITERAL(common, "\"}}");
}
