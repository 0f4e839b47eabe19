/* llm_dialect: the registry of dialects, and what their errors have in common. */
#include "llm_dialect.h"

#include "../gateway/json.h"

#include <string.h>

const struct llm_dialect *const llm_dialects[LLM_DIALECT_COUNT + 1] = {
    &llm_anthropic, &llm_openai, &llm_responses, &llm_ollama, NULL};
const char *const llm_dialect_names[LLM_DIALECT_COUNT + 1] = {
    "anthropic", "openai", "responses", "ollama", NULL};

/* The object or string that says what is wrong, in {"error":...} or at the top. */
static struct llm_value
find_error(struct llm_value root)
{
    struct llm_value error = llm_json_get(root, "error");
    return llm_json_is_object(error) || llm_json_is_string(error) ? error : root;
}

static struct llm_value
find_message(struct llm_value error)
{
    static const char *const names[] = {"message", "detail", "error_description", "msg", NULL};
    if (llm_json_is_string(error)) {
        return error;
    }
    for (size_t i = 0; names[i] != NULL; i++) {
        struct llm_value found = llm_json_get(error, names[i]);
        if (llm_json_is_string(found)) {
            return found;
        }
    }
    return (struct llm_value){NULL, 0};
}

static void
look_up_word(struct llm_value error, enum llm_code *code)
{
    static const char *const names[] = {"type", "code", NULL};
    for (size_t i = 0; names[i] != NULL; i++) {
        struct llm_value word = llm_json_get(error, names[i]);
        struct buf text;
        uint64_t status;
        buf_init(&text);
        llm_json_text(&text, llm_json_inside(word));
        buf_addc(&text, '\0');
        enum llm_code said = llm_code_of_word(text.bytes, *code);
        if (said != LLM_INVALID_REQUEST || *code == LLM_UPSTREAM_ERROR) { /* a status says more */
            *code = said;
        }
        if (llm_json_u64(word, &status) && status >= 400 && status < 600) {
            *code = llm_code_of_status((int)status);
        }
        buf_fini(&text);
    }
}

/* At most LLM_MESSAGE_MAX bytes, whole code points, no control characters. */
static void
add_line(struct buf *out, const struct buf *text)
{
    size_t len = text->len < LLM_MESSAGE_MAX ? text->len : LLM_MESSAGE_MAX;
    for (size_t i = 0; i < len;) {
        size_t n = json_utf8_length(text->bytes + i, text->len - i);
        if (n == 0 || i + n > len) {
            break;
        }
        if (n == 1 && ((unsigned char)text->bytes[i] < ' ' || text->bytes[i] == 0x7f)) {
            buf_addc(out, ' ');
        } else {
            buf_add(out, text->bytes + i, n);
        }
        i += n;
    }
}

void
llm_error_text(struct buf *out, const char *body, size_t len, enum llm_code *code)
{
    struct llm_value root = llm_json_root(body, len);
    struct llm_value error = find_error(root);
    struct buf text;
    buf_init(&text);
    look_up_word(root, code);
    look_up_word(error, code);
    llm_json_text(&text, llm_json_inside(find_message(error)));
    add_line(out, &text);
    buf_fini(&text);
}
