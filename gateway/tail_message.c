/* tail_message: NDJSON lines, by their fixed start. Any thread. */
#include "tail_message.h"

#include "mem.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#define RECORD_START "{\"id\":\""
#define NO_ID_START "{\"id\":null,"
#define CONTROL_START "{\"event\":"

static bool
starts_with(const char *line, size_t len, const char *start, size_t start_len)
{
    return len >= start_len && memcmp(line, start, start_len) == 0;
}
#define STARTS_WITH(line, len, literal) starts_with((line), (len), (literal), sizeof(literal) - 1)

enum tail_kind
tail_message_kind(const char *line, size_t len)
{
    if (STARTS_WITH(line, len, RECORD_START) || STARTS_WITH(line, len, NO_ID_START)) {
        return TAIL_RECORD;
    }
    if (STARTS_WITH(line, len, CONTROL_START)) {
        return TAIL_CONTROL;
    }
    return len == 0 || line[0] == '\n' || line[0] == '\r' ? TAIL_HEARTBEAT : TAIL_OTHER;
}

bool
tail_message_id(const char *line, size_t len, const char **id, size_t *id_len)
{
    if (!STARTS_WITH(line, len, RECORD_START)) {
        return false;
    }
    const size_t start = sizeof RECORD_START - 1;
    const char *quote = len <= start ? NULL : memchr(line + start, '"', len - start);
    if (quote == NULL || quote == line + start) {
        return false;
    }
    *id = line + start;
    *id_len = (size_t)(quote - line) - start;
    return true;
}

/* The end of the JSON string that opens at at. */
static const char *
skip_string(const char *at, const char *end)
{
    at++;
    while (at < end && *at != '"') {
        const char *quote = memchr(at, '"', (size_t)(end - at));
        const char *escape = quote == NULL ? NULL : memchr(at, '\\', (size_t)(quote - at));
        at = quote == NULL ? end : escape == NULL ? quote : escape + 2;
    }
    return at < end ? at + 1 : end;
}

/* The end of the JSON value at at: the ',' or bracket after it. The line is valid JSON. */
static const char *
skip_value(const char *at, const char *end)
{
    size_t depth = 0;
    while (at < end) {
        if (*at == '"') {
            at = skip_string(at, end);
            continue;
        }
        if (depth == 0 && (*at == ',' || *at == '}' || *at == ']')) {
            return at;
        }
        depth += *at == '{' || *at == '[';
        depth -= *at == '}' || *at == ']';
        at++;
    }
    return end;
}

bool
tail_message_payload(const char *line, size_t len, const char **data, size_t *data_len)
{
    const char *end = line + len;
    const char *at = line + 1;
    /* id, time and key come first; data is the fourth member */
    for (int member = 0; at < end && member < 4; member++) {
        const char *name_end = skip_string(at, end);
        if (name_end >= end || *name_end != ':') {
            return false;
        }
        const char *value_end = skip_value(name_end + 1, end);
        if (STARTS_WITH(at, (size_t)(name_end - at), "\"data")) {
            *data = name_end + 1;
            *data_len = (size_t)(value_end - name_end) - 1;
            return true;
        }
        at = value_end + 1;
    }
    return false;
}

static const struct {
    const char *name;
    enum tail_event event;
} events[] = {
    {"hello", TAIL_EVENT_HELLO},
    {"gap", TAIL_EVENT_GAP},
    {"failed", TAIL_EVENT_FAILED},
    {"cancelled", TAIL_EVENT_CANCELLED},
    {"closing", TAIL_EVENT_CLOSING},
    {"end", TAIL_EVENT_END},
};

static enum tail_event
find_event(const char *name)
{
    for (size_t i = 0; i < sizeof events / sizeof *events; i++) {
        if (strcmp(events[i].name, name) == 0) {
            return events[i].event;
        }
    }
    return TAIL_EVENT_OTHER;
}

static const char *
member(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));
    return text == NULL ? "" : text;
}

static const char *
first_of(const json_t *object, const char *name, const char *or_name, const char *otherwise)
{
    const char *text = member(object, name);
    text = *text == '\0' ? member(object, or_name) : text;
    return *text == '\0' ? otherwise : text;
}

static void
describe_hello(struct buf *out, const json_t *object)
{
    buf_addf(out, "connected to %s", first_of(object, "stream", "stream", "the stream"));
    const char *reason = member(object, "reason");
    if (json_is_true(json_object_get(object, "resumed"))) {
        buf_adds(out, ", resumed");
    } else if (*reason != '\0') {
        buf_addf(out, ", not resumed: %s", reason);
    }
}

static void
describe(struct buf *out, const json_t *object, const struct tail_control *control)
{
    switch (control->event) {
    case TAIL_EVENT_HELLO:
        describe_hello(out, object);
        break;
    case TAIL_EVENT_GAP:
        buf_addf(out, "gap: %llu %s skipped (%s)", (unsigned long long)control->count,
            control->count == 1 ? "record was" : "records were",
            first_of(object, "reason", "reason", "no reason given"));
        break;
    case TAIL_EVENT_FAILED:
        buf_addf(out, "failed: %s", first_of(object, "message", "code", "the stream failed"));
        break;
    case TAIL_EVENT_CANCELLED:
        buf_addf(out, "cancelled: %s", first_of(object, "message", "code", "the stream ends here"));
        break;
    case TAIL_EVENT_CLOSING:
        buf_addf(
            out, "closing: %s", first_of(object, "message", "reason", "the gateway is going away"));
        break;
    case TAIL_EVENT_END:
        buf_adds(out, "end of the stream");
        break;
    case TAIL_EVENT_OTHER:
        buf_adds(out, member(object, "event"));
        break;
    }
}

/* A terminal obeys control characters: none may come through from a server. */
static void
blank_controls(struct buf *text)
{
    for (size_t i = 0; i < text->len; i++) {
        unsigned char c = (unsigned char)text->bytes[i];
        if (c < 0x20 || c == 0x7f) {
            text->bytes[i] = ' ';
        }
    }
}

static char *
copy_token(const json_t *object, const char *name)
{
    const char *token = member(object, name);
    return *token == '\0' ? NULL : mem_strdup(token);
}

int
tail_message_control(struct tail_control *control, const char *line, size_t len, struct err *err)
{
    json_error_t error;
    json_t *object = json_loadb(line, len, 0, &error);
    if (!json_is_object(object)) {
        json_decref(object);
        err_set(err, ERR_INVALID, "a control message is not JSON: %s", error.text);
        return -1;
    }
    json_int_t count = json_integer_value(json_object_get(object, "count"));
    *control = (struct tail_control){.event = find_event(member(object, "event"))};
    control->count = count < 0 ? 0 : (uint64_t)count;
    if (control->event == TAIL_EVENT_HELLO) {
        control->token = copy_token(object, "from");
        control->is_answer = json_object_get(object, "generation") != NULL;
    } else if (control->event == TAIL_EVENT_GAP) {
        control->token = copy_token(object, "to");
    } else {
        control->token = copy_token(object, "id");
    }
    struct buf text;
    buf_init(&text);
    describe(&text, object, control);
    blank_controls(&text);
    control->text = mem_strndup(text.bytes, text.len);
    buf_fini(&text);
    json_decref(object);
    return 0;
}

void
tail_control_fini(struct tail_control *control)
{
    free(control->token);
    free(control->text);
    *control = (struct tail_control){.event = TAIL_EVENT_OTHER};
}

void
tail_message_problem(struct buf *out, long status, const char *body, size_t len)
{
    json_t *object = json_loadb(body == NULL ? "" : body, len, 0, NULL);
    const char *title = member(object, "title");
    const char *detail = member(object, "detail");
    buf_addf(out, "%ld", status);
    if (*title != '\0' || *detail != '\0') {
        buf_addf(out, " %s%s%s", title, *title != '\0' && *detail != '\0' ? ": " : "", detail);
    } else if (len != 0) {
        buf_addc(out, ' ');
        buf_add(out, body, len > 200 ? 200 : len);
    }
    blank_controls(out);
    json_decref(object);
}
