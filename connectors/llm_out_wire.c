/* llm_out_wire: the queue of wire events, how their JSON is put together, and errors. */
#include "llm_out_internal.h"

#include "../gateway/mem.h"

#include <string.h>

/* ---- the queue ---- */

struct buf *
llm_wire_begin(struct llm_out *out, const char *name)
{
    if (out->n_rows == out->rows_cap) {
        out->rows_cap = out->rows_cap == 0 ? 8 : 2 * out->rows_cap;
        out->rows = mem_realloc(out->rows, out->rows_cap * sizeof *out->rows);
    }
    out->rows[out->n_rows] = (struct llm_wire_row){.name = name};
    out->row_start = out->texts.len;
    return &out->texts;
}

/* What is over the bound is taken back, and is the end. */
void
llm_wire_end(struct llm_out *out)
{
    size_t len = out->texts.len - out->row_start;
    if (out->over || len > out->options.max_bytes) {
        out->texts.len = out->row_start;
        out->over = out->ended = true;
        return;
    }
    out->rows[out->n_rows++].len = len;
    out->sequence++;
}

struct buf *
llm_wire_open(struct llm_out *out, const char *type)
{
    struct buf *text = llm_wire_begin(out, type);
    BUF_LITERAL(text, "{\"type\":\"");
    buf_adds(text, type);
    buf_addc(text, '"');
    return text;
}

void
llm_wire_close(struct llm_out *out)
{
    buf_addc(&out->texts, '}');
    llm_wire_end(out);
}

bool
llm_out_peek(const struct llm_out *out, struct llm_wire *wire)
{
    if (out->first == out->n_rows) {
        return false;
    }
    const struct llm_wire_row *row = &out->rows[out->first];
    *wire = (struct llm_wire){
        .name = row->name, .data = out->texts.bytes + out->taken_bytes, .len = row->len};
    return true;
}

void
llm_out_take(struct llm_out *out)
{
    out->taken_bytes += out->rows[out->first++].len;
    if (out->first == out->n_rows) {
        out->first = out->n_rows = 0;
        out->taken_bytes = out->texts.len = 0;
    }
}

bool
llm_out_is_over(const struct llm_out *out)
{
    return out->over;
}

/* ---- writing ---- */

static void
put_name(struct buf *text, const char *name)
{
    BUF_LITERAL(text, ",\"");
    buf_adds(text, name);
    BUF_LITERAL(text, "\":");
}

void
llm_put_value(struct buf *text, const char *name, struct llm_value content)
{
    put_name(text, name);
    buf_addc(text, '"');
    buf_add(text, content.at, content.len);
    buf_addc(text, '"');
}

void
llm_put(struct buf *text, const char *name, const struct buf *content)
{
    llm_put_value(text, name, (struct llm_value){content->bytes, content->len});
}

void
llm_put_word(struct buf *text, const char *name, const char *word)
{
    llm_put_value(text, name, (struct llm_value){word, strlen(word)});
}

void
llm_put_number(struct buf *text, const char *name, uint64_t number)
{
    put_name(text, name);
    buf_addu64(text, number);
}

bool
llm_type_is_one(struct llm_value object, const char *const *words)
{
    struct llm_value type = llm_json_get(object, "type");
    for (size_t i = 0; words[i] != NULL; i++) {
        if (llm_json_is(type, words[i])) {
            return true;
        }
    }
    return false;
}

/* ---- failures ---- */

const char *
llm_out_error_event(const struct llm_out_dialect *dialect, struct buf *data, enum llm_code code,
    const char *message)
{
    return dialect->error_event(data, code, message);
}

void
llm_out_error(const struct llm_out_dialect *dialect, struct buf *body, enum llm_code code,
    const char *message)
{
    dialect->error(body, code, message);
}

static const struct {
    const char *type;
    int status;
} errors[LLM_CODE_COUNT] = {
    [LLM_INVALID_REQUEST] = {"invalid_request_error", 400},
    [LLM_AUTHENTICATION] = {"authentication_error", 401},
    [LLM_PERMISSION] = {"permission_error", 403},
    [LLM_NOT_FOUND] = {"not_found_error", 404},
    [LLM_RATE_LIMITED] = {"rate_limit_error", 429},
    [LLM_OVERLOADED] = {"overloaded_error", 529},
    [LLM_TIMEOUT] = {"timeout_error", 504},
    [LLM_UPSTREAM_ERROR] = {"api_error", 502},
    [LLM_UNREACHABLE] = {"api_error", 502},
    [LLM_TRUNCATED] = {"api_error", 502},
    [LLM_PROTOCOL] = {"api_error", 502},
    [LLM_TOO_LARGE] = {"api_error", 502},
    [LLM_CANCELLED] = {"api_error", 499},
};

const char *
llm_out_type(enum llm_code code)
{
    return errors[code].type;
}

int
llm_out_status(enum llm_code code)
{
    return errors[code].status;
}
