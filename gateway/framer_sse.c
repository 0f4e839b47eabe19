/* framer_sse: server-sent events (WHATWG HTML, "Server-sent events"). JSON never holds a raw CR or
 * LF and an id is base64url, so no record can forge a field. */
#include "framer.h"

#include <stdlib.h>

/* Clients come back after a time of their own, so that a restart is not met by all of them at once.
 */
#define RETRY_LEAST_MS 1000u
#define RETRY_SPREAD_MS 2000u

static void
sse_open(struct buf *out)
{
    buf_addf(out, "retry: %u\n\n", RETRY_LEAST_MS + arc4random_uniform(RETRY_SPREAD_MS));
}

static void
add_event(struct buf *out, const char *name)
{
    BUF_LITERAL(out, "event: ");
    buf_adds(out, name);
    buf_addc(out, '\n');
}

static void
add_id(struct buf *out, const char *id, size_t len)
{
    BUF_LITERAL(out, "id: ");
    buf_add(out, id, len);
    buf_addc(out, '\n');
}

static void
sse_record(struct buf *out, const struct record *record, enum envelope envelope, bool first)
{
    (void)first;
    const char *name = record->is_gap ? "gap" : record->type;
    if (name != NULL) {
        add_event(out, name);
    }
    if (record->id_len > 0) { /* without one an EventSource keeps the last it had */
        add_id(out, record->text + record->id_off, record->id_len);
    }
    BUF_LITERAL(out, "data: ");
    record_add_envelope(out, record, envelope);
    BUF_LITERAL(out, "\n\n");
}

static void
sse_control(struct buf *out, const struct control *control, enum envelope envelope)
{
    (void)envelope;
    add_event(out, control->event);
    if (control->id != NULL) {
        add_id(out, control->id, control->id_len);
    }
    BUF_LITERAL(out, "data: ");
    buf_add(out, control->json, control->len);
    BUF_LITERAL(out, "\n\n");
}

static void
sse_heartbeat(struct buf *out)
{
    BUF_LITERAL(out, ":\n\n");
}

/* A block without data dispatches no event; an EventSource takes its id all the same. */
static void
sse_position(struct buf *out, const char *id, size_t id_len, enum envelope envelope)
{
    (void)envelope;
    add_id(out, id, id_len);
    buf_addc(out, '\n');
}

static void
sse_close(struct buf *out, int code, const char *reason)
{
    (void)out;
    (void)code;
    (void)reason;
}

const struct framer framer_sse = {
    .transport = TRANSPORT_SSE,
    .content_type = "text/event-stream",
    .in_http_body = true,
    .open = sse_open,
    .record = sse_record,
    .control = sse_control,
    .heartbeat = sse_heartbeat,
    .position = sse_position,
    .close = sse_close,
};
