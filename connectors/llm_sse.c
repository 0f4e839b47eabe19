/* llm_sse: the lines and fields of an event stream. Whole lines inside of a chunk are not copied
 * before their field is known. */
#include "llm_sse.h"

#include "../gateway/json.h"

#include <string.h>

#define BOM "\xEF\xBB\xBF"

void
llm_sse_init(struct llm_sse *sse, size_t max_event_bytes)
{
    *sse = (struct llm_sse){.max_event_bytes = max_event_bytes, .retry_ms = -1, .first_line = true};
}

void
llm_sse_fini(struct llm_sse *sse)
{
    buf_fini(&sse->line);
    buf_fini(&sse->data);
    buf_fini(&sse->type);
    buf_fini(&sse->id);
    buf_fini(&sse->valid);
}

static int
fail(struct llm_sse *sse, const char *what, struct err *err)
{
    sse->failed = true;
    err_set(err, ERR_LIMIT, "%s of the event stream is longer than %zu bytes", what,
        sse->max_event_bytes);
    return -1;
}

/* bytes, or where they are no UTF-8, a copy in valid with U+FFFD in place of each wrong byte. */
static const char *
make_valid(struct buf *valid, const char *bytes, size_t *len)
{
    if (json_utf8_valid(bytes, *len)) {
        return bytes;
    }
    valid->len = 0;
    for (size_t i = 0; i < *len;) {
        size_t n = json_utf8_length(bytes + i, *len - i);
        if (n == 0) {
            buf_adds(valid, JSON_REPLACEMENT);
        } else {
            buf_add(valid, bytes + i, n);
        }
        i += n == 0 ? 1 : n;
    }
    *len = valid->len;
    return valid->bytes;
}

static void
take_retry(struct llm_sse *sse, const char *value, size_t len)
{
    int64_t ms = 0;
    for (size_t i = 0; i < len; i++) {
        if (value[i] < '0' || value[i] > '9' || ms > INT64_MAX / 16) {
            return;
        }
        ms = ms * 10 + (value[i] - '0');
    }
    sse->retry_ms = len == 0 ? sse->retry_ms : ms;
}

static bool
is(const char *name, size_t len, const char *wanted)
{
    return len == strlen(wanted) && memcmp(name, wanted, len) == 0;
}

static int
take_data(struct llm_sse *sse, const char *value, size_t len, struct err *err)
{
    if (sse->data.len + len > sse->max_event_bytes) {
        return fail(sse, "an event", err);
    }
    buf_add(&sse->data, value, len);
    buf_addc(&sse->data, '\n');
    sse->has_data = true;
    return 0;
}

/* A line that is not empty. */
static int
take_field(struct llm_sse *sse, const char *line, size_t len, struct err *err)
{
    const char *colon = memchr(line, ':', len);
    size_t name_len = colon == NULL ? len : (size_t)(colon - line);
    const char *value = colon == NULL ? line + len : colon + 1;
    size_t value_len = len - (size_t)(value - line);
    if (value_len > 0 && value[0] == ' ') {
        value++;
        value_len--;
    }
    if (is(line, name_len, "data")) {
        return take_data(sse, value, value_len, err);
    }
    if (is(line, name_len, "event")) {
        sse->type.len = 0;
        buf_add(&sse->type, value, value_len);
    } else if (is(line, name_len, "id") && memchr(value, '\0', value_len) == NULL) {
        sse->id.len = 0;
        buf_add(&sse->id, value, value_len);
    } else if (is(line, name_len, "retry")) {
        take_retry(sse, value, value_len);
    }
    return 0; /* a comment has an empty name */
}

/* The blank line. False: what came before it is no event. */
static bool
dispatch(struct llm_sse *sse, struct llm_sse_event *event)
{
    bool has_data = sse->has_data;
    sse->has_data = false;
    if (has_data) {
        event->data_len = sse->data.len - 1;
        event->data = make_valid(&sse->valid, sse->data.bytes, &event->data_len);
        event->type = sse->type.len == 0 ? "message" : sse->type.bytes;
        event->type_len = sse->type.len == 0 ? strlen("message") : sse->type.len;
        event->id = sse->id.len == 0 ? "" : sse->id.bytes;
        event->id_len = sse->id.len;
    }
    sse->type.len = 0; /* its bytes stay until the next call */
    return has_data;
}

/* 1: event is set. */
static int
take_line(
    struct llm_sse *sse, const char *line, size_t len, struct llm_sse_event *event, struct err *err)
{
    if (sse->first_line && len >= 3 && memcmp(line, BOM, 3) == 0) {
        line += 3;
        len -= 3;
    }
    sse->first_line = false;
    if (!sse->has_data) {
        sse->data.len = 0; /* of the event before */
    }
    if (len == 0) {
        return dispatch(sse, event);
    }
    return take_field(sse, line, len, err);
}

static const char *
find_end(const char *from, const char *end)
{
    size_t len = (size_t)(end - from);
    const char *feed = memchr(from, '\n', len);
    const char *back = memchr(from, '\r', feed == NULL ? len : (size_t)(feed - from));
    return back != NULL ? back : feed;
}

static int
hold(struct llm_sse *sse, const char *from, const char *to, struct err *err)
{
    size_t len = (size_t)(to - from);
    if (sse->line.len + len > sse->max_event_bytes) {
        return fail(sse, "a line", err);
    }
    buf_add(&sse->line, from, len);
    return 0;
}

/* One line, or the rest of the chunk. 1: it ended an event; 0: go on. */
static int
step(struct llm_sse *sse, const char **at, const char *end, struct llm_sse_event *event,
    struct err *err)
{
    if (sse->after_cr) {
        sse->after_cr = false;
        if (**at == '\n') {
            ++*at;
            return 0;
        }
    }
    const char *from = *at;
    const char *stop = find_end(from, end);
    *at = stop == NULL ? end : stop + 1;
    if (stop == NULL || sse->line.len > 0 || stop - from > (ptrdiff_t)sse->max_event_bytes) {
        if (hold(sse, from, stop == NULL ? end : stop, err) != 0) {
            return -1;
        }
    }
    if (stop == NULL) {
        return 0;
    }
    sse->after_cr = *stop == '\r';
    bool held = sse->line.len > 0;
    size_t len = held ? sse->line.len : (size_t)(stop - from);
    sse->line.len = 0;
    return take_line(sse, held ? sse->line.bytes : from, len, event, err);
}

enum llm_sse_result
llm_sse_next(struct llm_sse *sse, const char **at, const char *end, struct llm_sse_event *event,
    struct err *err)
{
    if (sse->failed) {
        err_set(err, ERR_LIMIT, "the event stream has passed its bound before");
        return LLM_SSE_FAILED;
    }
    while (*at < end) {
        int result = step(sse, at, end, event, err);
        if (result != 0) {
            return result > 0 ? LLM_SSE_EVENT : LLM_SSE_FAILED;
        }
    }
    return LLM_SSE_MORE;
}

const char *
llm_sse_rest(struct llm_sse *sse, size_t *len)
{
    struct llm_sse_event event;
    struct err err;
    if (sse->line.len > 0 && !sse->failed) {
        size_t held = sse->line.len;
        sse->line.len = 0;
        (void)take_line(sse, sse->line.bytes, held, &event, &err);
    }
    if (sse->failed || !dispatch(sse, &event)) {
        *len = 0;
        return "";
    }
    *len = event.data_len;
    return event.data;
}
