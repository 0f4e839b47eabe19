/* framer_sdk: see framer_sdk.h. */
#include "framer_sdk.h"

#include "http.h"
#include "llm_out.h"

#include <assert.h>
#include <inttypes.h>
#include <string.h>

const char *const sdk_dialect_names[SDK_DIALECT_COUNT] = {"openai", "anthropic", "responses"};

static const struct llm_out_dialect *
words_of(enum sdk_dialect dialect)
{
    static const struct llm_out_dialect *const rows[SDK_DIALECT_COUNT] = {
        &llm_out_openai, &llm_out_anthropic, &llm_out_responses};
    return rows[dialect];
}

static void
nothing(struct buf *out)
{
    (void)out;
}

static void
no_close(struct buf *out, int code, const char *reason)
{
    (void)out;
    (void)code;
    (void)reason;
}

static void
no_position(struct buf *out, const char *id, size_t id_len, enum envelope envelope)
{
    (void)out;
    (void)id;
    (void)id_len;
    (void)envelope;
}

/* ---- events ---- */

static void
add_event(struct buf *out, const char *name, const char *data, size_t len)
{
    if (name != NULL) {
        buf_addf(out, "event: %s\n", name);
    }
    BUF_LITERAL(out, "data: ");
    buf_add(out, data, len);
    BUF_LITERAL(out, "\n\n");
}

static void
add_error(struct buf *out, enum sdk_dialect dialect, const char *code, const char *message)
{
    struct buf data;
    buf_init(&data);
    const char *name =
        llm_out_error_event(words_of(dialect), &data, llm_code_of_name(code), message);
    add_event(out, name, data.bytes, data.len);
    buf_fini(&data);
}

/* What is no JSON is [DONE], which the record has as a string. Of an answer with a hole nothing
 * that follows is right. */
static void
add_record(struct buf *out, enum sdk_dialect dialect, const struct record *record)
{
    if (record->is_gap) {
        add_error(out, dialect, "too_large", "a part of the answer was larger than max_record");
        return;
    }
    const char *data = record->text + record->data_off;
    size_t len = record->data_len;
    if (!record->data_is_json && len >= 2) {
        data++;
        len -= 2;
    }
    add_event(out, record->type, data, len);
}

/* What was to say that the answer goes on, or is whole, the records say. */
static bool
is_failure(const struct control *control)
{
    static const char *const events[] = {"failed", "cancelled", "closing"};
    for (size_t i = 0; i < sizeof events / sizeof *events; i++) {
        if (strcmp(control->event, events[i]) == 0) {
            return true;
        }
    }
    return false;
}

static void
add_text(struct buf *text, const struct control *control, const char *member)
{
    struct llm_value object = {control->json, control->len};
    llm_json_text(text, llm_json_inside(llm_json_get(object, member)));
    buf_addc(text, '\0');
}

static void
add_failure(struct buf *out, enum sdk_dialect dialect, const struct control *control)
{
    struct buf code, message;
    if (!is_failure(control)) {
        return;
    }
    buf_init(&code);
    buf_init(&message);
    add_text(&code, control, "code");
    add_text(&message, control, "message");
    add_error(out, dialect, code.bytes, message.bytes);
    buf_fini(&code);
    buf_fini(&message);
}

static void
openai_record(struct buf *out, const struct record *record, enum envelope envelope, bool first)
{
    (void)envelope;
    (void)first;
    add_record(out, SDK_OPENAI, record);
}

static void
anthropic_record(struct buf *out, const struct record *record, enum envelope envelope, bool first)
{
    (void)envelope;
    (void)first;
    add_record(out, SDK_ANTHROPIC, record);
}

static void
responses_record(struct buf *out, const struct record *record, enum envelope envelope, bool first)
{
    (void)envelope;
    (void)first;
    add_record(out, SDK_RESPONSES, record);
}

static void
openai_control(struct buf *out, const struct control *control, enum envelope envelope)
{
    (void)envelope;
    add_failure(out, SDK_OPENAI, control);
}

static void
anthropic_control(struct buf *out, const struct control *control, enum envelope envelope)
{
    (void)envelope;
    add_failure(out, SDK_ANTHROPIC, control);
}

static void
responses_control(struct buf *out, const struct control *control, enum envelope envelope)
{
    (void)envelope;
    add_failure(out, SDK_RESPONSES, control);
}

/* One line feed: a block that is a comment alone is an event without data to some. */
static void
comment(struct buf *out)
{
    BUF_LITERAL(out, ": hb\n");
}

static void
ping(struct buf *out)
{
    BUF_LITERAL(out, "event: ping\ndata: {\"type\": \"ping\"}\n\n");
}

/* ---- one object ---- */

static void
object_record(struct buf *out, const struct record *record, enum envelope envelope, bool first)
{
    (void)envelope;
    (void)first;
    if (!record->is_gap) {
        buf_add(out, record->text + record->data_off, record->data_len);
    }
}

/* It is held back until it is whole, or refused. */
static void
no_control(struct buf *out, const struct control *control, enum envelope envelope)
{
    (void)out;
    (void)control;
    (void)envelope;
}

/* What all events have in common; the rest is the dialect's. */
#define EVENTS                                                                                     \
    .transport = TRANSPORT_SSE, .content_type = "text/event-stream; charset=utf-8",                \
    .in_http_body = true, .tells_failure = true, .open = nothing, .position = no_position,         \
    .close = no_close
#define OBJECT                                                                                     \
    {                                                                                              \
        .transport = TRANSPORT_JSON, .content_type = "application/json", .in_http_body = true,     \
        .open = nothing, .record = object_record, .control = no_control, .heartbeat = nothing,     \
        .position = no_position, .close = no_close                                                 \
    }

/* By dialect; then those of one object, which differ in what they refuse with. */
static const struct framer framers[2][SDK_DIALECT_COUNT] = {
    {
        {EVENTS, .record = openai_record, .control = openai_control, .heartbeat = comment},
        {EVENTS, .record = anthropic_record, .control = anthropic_control, .heartbeat = ping},
        {EVENTS, .record = responses_record, .control = responses_control, .heartbeat = comment},
    },
    {OBJECT, OBJECT, OBJECT},
};

const struct framer *
framer_sdk(enum sdk_dialect dialect, bool whole)
{
    return &framers[whole][dialect];
}

static enum sdk_dialect
dialect_of(const struct framer *framer)
{
    for (int i = 0; i < SDK_DIALECT_COUNT; i++) {
        if (framer == &framers[0][i] || framer == &framers[1][i]) {
            return (enum sdk_dialect)i;
        }
    }
    assert(!"no framer of an SDK's");
    return SDK_OPENAI;
}

/* ---- errors ---- */

/* The gateway has tried again already, as it was told to. When it may be of use to do so once more
 * is passed on, in both of the headers that the SDKs know. */
void
framer_sdk_refuse(const struct framer *framer, struct buf *out, const struct sdk_refusal *refusal)
{
    struct buf body;
    enum llm_code meant = llm_code_of_name(refusal->code);
    int status = llm_out_status(meant);
    buf_init(&body);
    llm_out_error(words_of(dialect_of(framer)), &body, meant, refusal->message);
    buf_addf(out,
        "HTTP/1.1 %d %s\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n"
        "Cache-Control: no-store\r\nx-should-retry: false\r\n",
        status, http_reason_phrase(status), body.len);
    if (refusal->retry_after_ms > 0) {
        buf_addf(out, "Retry-After: %" PRId64 "\r\nretry-after-ms: %" PRId64 "\r\n",
            (refusal->retry_after_ms + 999) / 1000, refusal->retry_after_ms);
    }
    buf_add(out, refusal->lines.at, refusal->lines.len);
    BUF_LITERAL(out, "Connection: close\r\n\r\n");
    buf_add(out, body.bytes, body.len);
    buf_fini(&body);
}

void
sdk_error(enum sdk_dialect dialect, struct buf *body, int status, const char *message)
{
    llm_out_error(words_of(dialect), body, llm_code_of_status(status), message);
}
