/* llm_ask: which of a request's forms an upstream is told. */
#include "llm_ask.h"

#include <assert.h>
#include <string.h>

static const struct llm_in_dialect *
find_dialect(const char *name)
{
    size_t i = 0;
    while (llm_in_dialects[i] != NULL && strcmp(llm_in_name(llm_in_dialects[i]), name) != 0) {
        i++;
    }
    assert(llm_in_dialects[i] != NULL);
    return llm_in_dialects[i];
}

static int
parse_common(struct llm_ask *ask, const char *text, size_t len, struct err *err)
{
    if (llm_request_parse(&ask->request, text, len, err) != 0) {
        return -1;
    }
    ask->request.default_max_tokens = ask->max_tokens;
    ask->is_common = true;
    return 0;
}

int
llm_ask_init(struct llm_ask *ask, const char *dialect, const char *body, size_t len,
    uint64_t max_tokens, struct err *err)
{
    *ask = (struct llm_ask){.max_tokens = max_tokens};
    if (dialect == NULL) {
        int result = parse_common(ask, body, len, err);
        ask->model = ask->request.model;
        return result;
    }
    ask->dialect = find_dialect(dialect);
    int result = llm_in_look(&ask->in, body, len, err);
    ask->model = ask->in.model;
    return result;
}

void
llm_ask_fini(struct llm_ask *ask)
{
    buf_fini(&ask->common);
}

bool
llm_ask_is_same(const struct llm_ask *ask, const struct llm_dialect *upstream)
{
    return ask->dialect != NULL && strcmp(llm_in_name(ask->dialect), upstream->name) == 0;
}

/* An upstream of another dialect, the first of them. */
static int
cross(struct llm_ask *ask, struct err *err)
{
    return llm_in_cross(ask->dialect, &ask->in, &ask->common, err) != 0
               ? -1
               : parse_common(ask, ask->common.bytes, ask->common.len, err);
}

/* What is answered as one object is put together of the first choice. */
static int
check_choices(const struct llm_ask *ask, struct err *err)
{
    uint64_t n = 1;
    bool many = llm_json_u64(llm_json_get(ask->in.root, "n"), &n) && n > 1;
    if (ask->dialect == &llm_in_openai && many && !ask->in.stream) {
        err_set(err, ERR_INVALID, "n: must be 1 where the answer is not streamed");
        return -1;
    }
    return 0;
}

int
llm_ask_build(
    struct llm_ask *ask, const struct llm_dialect *upstream, struct buf *body, struct err *err)
{
    if (llm_ask_is_same(ask, upstream)) {
        if (check_choices(ask, err) != 0) {
            return -1;
        }
        llm_in_pass(ask->dialect, &ask->in, body);
        return 0;
    }
    if (!ask->is_common && cross(ask, err) != 0) {
        return -1;
    }
    if (ask->dialect != NULL && llm_in_says(upstream, &ask->request, err) != 0) {
        return -1;
    }
    return upstream->build(&ask->request, body, err);
}
