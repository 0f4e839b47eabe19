/* push_request: see push_request.h. */
#include "push_request.h"

#include "client_text.h"
#include "mem.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const char *const ndjson_types[] = {"application/x-ndjson", "application/ndjson",
    "application/jsonl", "application/x-jsonlines", "application/jsonlines"};

static bool
starts_with(struct slice text, const char *with)
{
    size_t len = strlen(with);
    return text.len >= len && strncasecmp(text.at, with, len) == 0;
}

static bool
ends_with(struct slice text, const char *with)
{
    size_t len = strlen(with);
    return text.len >= len && strncasecmp(text.at + text.len - len, with, len) == 0;
}

static struct slice
without_parameters(struct slice type)
{
    if (type.at == NULL) {
        return (struct slice){"", 0};
    }
    const char *semicolon = memchr(type.at, ';', type.len);
    type.len = semicolon == NULL ? type.len : (size_t)(semicolon - type.at);
    while (type.len > 0 && (type.at[type.len - 1] == ' ' || type.at[type.len - 1] == '\t')) {
        type.len--;
    }
    return type;
}

int
push_request_syntax(struct slice type, enum push_syntax *syntax, struct err *err)
{
    type = without_parameters(type);
    if (type.len == 0) {
        *syntax = PUSH_BYTES;
        return 0;
    }
    for (size_t i = 0; i < sizeof ndjson_types / sizeof *ndjson_types; i++) {
        if (slice_eq_nocase(type, ndjson_types[i])) {
            *syntax = PUSH_NDJSON;
            return 0;
        }
    }
    if (slice_eq_nocase(type, "application/json") || ends_with(type, "+json")) {
        *syntax = PUSH_JSON;
        return 0;
    }
    if (memchr(type.at, '/', type.len) == NULL) {
        err_set(err, ERR_INVALID, "Content-Type: this is no media type");
        return -1;
    }
    if (slice_eq_nocase(type, "application/x-www-form-urlencoded") ||
        starts_with(type, "multipart/")) {
        err_set(err, ERR_INVALID,
            "Content-Type: a form is no record; send application/json, application/x-ndjson (one "
            "record a line), or what the record is, such as text/plain");
        return -1;
    }
    *syntax = PUSH_BYTES;
    return 0;
}

static int
check_coding(const struct http_request *request, struct err *err)
{
    struct slice coding = http_header(request, "Content-Encoding");
    if (coding.at == NULL || coding.len == 0 || slice_eq_nocase(coding, "identity")) {
        return 0;
    }
    err_set(err, ERR_INVALID, "Content-Encoding: bodies are taken as they are, not compressed");
    return -1;
}

static int
set_type(struct push_request *push, const char *text, size_t len, struct err *err)
{
    const char *fault = push->type[0] != '\0' ? "is given twice" : record_type_fault(text, len);
    if (fault != NULL) {
        err_set(err, ERR_INVALID, "event: %s", fault);
        return -1;
    }
    memcpy(push->type, text, len);
    push->type[len] = '\0';
    return 0;
}

static int
set_key(struct push_request *push, const char *text, size_t len, struct err *err)
{
    if (push->key != NULL) {
        err_set(err, ERR_INVALID, "key: is given twice");
        return -1;
    }
    push->key = mem_strndup(text, len);
    push->key_len = len;
    return 0;
}

static int
set_param(
    struct push_request *push, const char *name, const char *value, size_t len, struct err *err)
{
    if (strcmp(name, "event") == 0) {
        return set_type(push, value, len, err);
    }
    if (strcmp(name, "key") == 0) {
        return set_key(push, value, len, err);
    }
    err_set(err, ERR_INVALID, "%s: unknown parameter; a post takes event and key",
        client_text_show(name).text);
    return -1;
}

static int
take_param(struct push_request *push, struct slice pair, struct err *err)
{
    const char *equals = memchr(pair.at, '=', pair.len);
    struct slice name = {pair.at, equals == NULL ? pair.len : (size_t)(equals - pair.at)};
    struct slice value = {pair.at + pair.len, 0};
    if (equals != NULL) {
        value = (struct slice){equals + 1, pair.len - name.len - 1};
    }
    char *name_text = mem_alloc(name.len + 1);
    char *text = mem_alloc(value.len + 1);
    ptrdiff_t name_len = http_percent_decode(name, name_text, true);
    ptrdiff_t len = http_percent_decode(value, text, true);
    int result = -1;
    name_text[name_len < 0 ? 0 : name_len] = '\0';
    if (name_len < 0) {
        err_set(err, ERR_INVALID, "query: a broken percent-escape in a parameter's name");
    } else if (len < 0) {
        err_set(
            err, ERR_INVALID, "%s: has a broken percent-escape", client_text_show(name_text).text);
    } else {
        result = set_param(push, name_text, text, (size_t)len, err);
    }
    free(name_text);
    free(text);
    return result;
}

static int
take_params(struct push_request *push, struct slice query, struct err *err)
{
    while (query.at != NULL && query.len > 0) {
        const char *end = memchr(query.at, '&', query.len);
        struct slice pair = {query.at, end == NULL ? query.len : (size_t)(end - query.at)};
        if (pair.len > 0 && take_param(push, pair, err) != 0) {
            return -1;
        }
        size_t used = end == NULL ? pair.len : pair.len + 1;
        query = (struct slice){query.at + used, query.len - used};
    }
    return 0;
}

int
push_request_parse(struct push_request *push, const struct http_request *request, struct err *err)
{
    *push = (struct push_request){.syntax = PUSH_BYTES};
    if (take_params(push, request->query, err) != 0) {
        return 400;
    }
    if (http_header_count(request, "Content-Type") > 1) {
        err_set(err, ERR_INVALID, "Content-Type: is given twice");
        return 400;
    }
    if (check_coding(request, err) != 0 ||
        push_request_syntax(http_header(request, "Content-Type"), &push->syntax, err) != 0) {
        return 415;
    }
    return 0;
}

void
push_request_fini(struct push_request *push)
{
    free(push->key);
    push->key = NULL;
}
