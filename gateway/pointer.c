/* pointer: see pointer.h. The steps over JSON are filter_eval's. */
#include "pointer.h"

#include "filter_internal.h"
#include "mem.h"

#include <stdlib.h>
#include <string.h>

struct pointer {
    struct filter_where path; /* its pointer and tokens alone */
};

struct pointer *
pointer_new(const char *text, struct err *err)
{
    struct pointer *pointer = mem_calloc(1, sizeof *pointer);
    const char *why = filter_compile_pointer(&pointer->path, text, strlen(text));
    if (why != NULL) {
        err_set(err, ERR_INVALID, "%s", why);
        pointer_free(pointer);
        return NULL;
    }
    return pointer;
}

void
pointer_free(struct pointer *pointer)
{
    if (pointer != NULL) {
        free(pointer->path.pointer);
        free(pointer);
    }
}

/* The value of the member or element that token names in the container at at; NULL: none. */
static const char *
step(const char *at, const char *end, const struct filter_token *token)
{
    bool object = *at == '{';
    const char *found = NULL;
    if (!object && *at != '[') {
        return NULL;
    }
    at = filter_eval_skip_space(at + 1, end);
    for (uint64_t index = 0; *at != '}' && *at != ']'; index++) {
        bool here = index == token->index;
        if (object) {
            const char *behind = filter_eval_skip_string(at, end);
            here = filter_eval_order_string(at + 1, behind - 1, token->name, token->len) == 0;
            at = filter_eval_skip_space(filter_eval_skip_space(behind, end) + 1, end);
        }
        found = here ? at : found;
        if (here && !object) {
            return found;
        }
        at = filter_eval_skip_space(filter_eval_skip_value(at, end), end);
        if (*at == ',') {
            at = filter_eval_skip_space(at + 1, end);
        }
    }
    return found;
}

bool
pointer_find(const struct pointer *pointer, const char *json, size_t len, const char **value,
    size_t *value_len)
{
    const char *end = json + len;
    const char *at = filter_eval_skip_space(json, end);
    for (unsigned i = 0; i < pointer->path.n_tokens && at != NULL; i++) {
        at = step(at, end, &pointer->path.tokens[i]);
    }
    if (at == NULL) {
        return false;
    }
    *value = at;
    *value_len = (size_t)(filter_eval_skip_value(at, end) - at);
    return true;
}

size_t
pointer_text(char *out, const char *value, size_t value_len)
{
    if (filter_eval_kind(*value) != FILTER_STRING) {
        memcpy(out, value, value_len);
        return value_len;
    }
    const char *at = value + 1;
    const char *end = value + value_len - 1;
    size_t len = 0;
    while (at < end) { /* no escape is shorter than what it stands for */
        char bytes[4];
        size_t n = filter_eval_unescape(&at, end, bytes);
        memcpy(out + len, bytes, n);
        len += n;
    }
    return len;
}
