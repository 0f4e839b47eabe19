/* push_body: see push_body.h. */
#include "push_body.h"

#include "json.h"
#include "mem.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define LEAST_CAP 1024

void
push_body_init(struct push_body *body, enum push_syntax syntax, size_t max_bytes)
{
    *body = (struct push_body){.syntax = syntax, .max_bytes = max_bytes};
}

void
push_body_fini(struct push_body *body)
{
    free(body->held);
    body->held = NULL;
    body->len = body->cap = 0;
}

/* A record of max_bytes may come with a CR, and of JSON with a byte order mark. */
#define SPARE 4

size_t
push_body_need(const struct push_body *body, size_t len)
{
    size_t have = body->lent ? 0 : body->len;
    size_t most = body->max_bytes + SPARE;
    size_t wanted = len > most - have ? most : have + len;
    size_t cap = body->cap == 0 ? LEAST_CAP : body->cap;
    while (cap < wanted) {
        cap *= 2;
    }
    cap = cap < most ? cap : most;
    return wanted == 0 ? body->cap : cap > body->cap ? cap : body->cap;
}

static void
let_go(struct push_body *body)
{
    if (body->lent) {
        body->lent = false;
        push_body_fini(body);
    }
}

/* False: it gets too large. */
static bool
hold(struct push_body *body, const char *bytes, size_t len)
{
    if (len > body->max_bytes + SPARE - body->len) {
        return false;
    }
    size_t cap = push_body_need(body, len);
    if (cap > body->cap) {
        body->held = mem_realloc(body->held, cap);
        body->cap = cap;
    }
    if (len > 0) {
        assert(body->held != NULL);
        memcpy(body->held + body->len, bytes, len);
    }
    body->len += len;
    return true;
}

static bool
is_blank(const char *text, size_t len)
{
    size_t i = 0;
    while (i < len && (text[i] == ' ' || text[i] == '\t' || text[i] == '\r')) {
        i++;
    }
    return i == len;
}

#define BOM "\xEF\xBB\xBF"

/* A whole JSON text, which may be a line. MORE: it is a blank line. */
static enum push_got
take_json(struct push_body *body, const char *text, size_t len, struct slice *record)
{
    size_t start = 0, end = 0;
    if (body->line == 1 && len >= 3 && memcmp(text, BOM, 3) == 0) {
        text += 3;
        len -= 3;
    }
    if (body->syntax == PUSH_NDJSON && is_blank(text, len)) {
        return PUSH_MORE;
    }
    if (len > 0 && text[len - 1] == '\r') {
        len--;
    }
    if (len > body->max_bytes) {
        return PUSH_TOO_LARGE;
    }
    if (json_scan(text, len, &start, &end) == JSON_NOT) {
        return PUSH_BAD;
    }
    *record = (struct slice){text + start, end - start};
    return PUSH_RECORD;
}

static enum push_got
take_line(struct push_body *body, const char *line, size_t len, struct slice *record)
{
    body->line = ++body->lines_done;
    return take_json(body, line, len, record);
}

static enum push_got
next_line(struct push_body *body, const char **at, const char *end, struct slice *record)
{
    while (*at < end) {
        const char *from = *at;
        const char *feed = memchr(from, '\n', (size_t)(end - from));
        size_t len = (size_t)((feed == NULL ? end : feed) - from);
        *at = feed == NULL ? end : feed + 1;
        bool whole = feed != NULL && body->len == 0;
        if (!whole && !hold(body, from, len)) {
            body->line = body->lines_done + 1;
            return PUSH_TOO_LARGE;
        }
        if (feed == NULL) {
            return PUSH_MORE;
        }
        enum push_got got = whole ? take_line(body, from, len, record)
                                  : take_line(body, body->held, body->len, record);
        body->lent = !whole;
        body->line_len = len + 1;
        if (got != PUSH_MORE) {
            return got;
        }
        let_go(body);
    }
    return PUSH_MORE;
}

enum push_got
push_body_next(struct push_body *body, const char **at, const char *end, struct slice *record)
{
    let_go(body);
    if (body->syntax == PUSH_NDJSON) {
        return next_line(body, at, end, record);
    }
    const char *from = *at;
    *at = end;
    body->line = 1;
    return hold(body, from, (size_t)(end - from)) ? PUSH_MORE : PUSH_TOO_LARGE;
}

size_t
push_body_unread(struct push_body *body)
{
    if (body->lent) {
        return 0;
    }
    body->lines_done--;
    return body->line_len;
}

enum push_got
push_body_finish(struct push_body *body, struct slice *record)
{
    let_go(body);
    switch (body->syntax) {
    case PUSH_NDJSON:
        if (body->len == 0) {
            return PUSH_MORE;
        }
        body->lent = true;
        return take_line(body, body->held, body->len, record);
    case PUSH_JSON:
        body->line = 1;
        body->lent = true;
        return take_json(body, body->held == NULL ? "" : body->held, body->len, record);
    case PUSH_BYTES:
        break;
    }
    body->line = 1;
    body->lent = true;
    *record = (struct slice){body->held == NULL ? "" : body->held, body->len};
    return body->len > body->max_bytes ? PUSH_TOO_LARGE : PUSH_RECORD;
}
