/* framer_ws: one text message a record (RFC 6455 section 5; frames from a server are not masked, so
 * one frame serves every subscriber). */
#include "framer.h"
#include "ws.h"

#include <string.h>

static void
ws_open(struct buf *out)
{
    (void)out;
}

/* A frame around what is not known to be how long: its head is nearly always of 4 bytes. */
static void
ws_record_made(struct buf *out, const struct record *record, enum envelope envelope)
{
    const size_t usual = 4;
    size_t at = out->len;
    BUF_LITERAL(out, "0000");
    record_add_envelope(out, record, envelope);
    size_t len = out->len - at - usual;
    unsigned char head[WS_FRAME_HEAD_MAX];
    size_t head_len = ws_frame_head(head, WS_OP_TEXT, len);
    buf_reserve(out, WS_FRAME_HEAD_MAX);
    if (head_len != usual) {
        memmove(out->bytes + at + head_len, out->bytes + at + usual, len);
        out->len = at + head_len + len;
    }
    memcpy(out->bytes + at, head, head_len);
}

static void
ws_record(struct buf *out, const struct record *record, enum envelope envelope, bool first)
{
    (void)first;
    if (envelope == ENVELOPE_CLOUDEVENTS && !record->is_gap) {
        ws_record_made(out, record, envelope);
        return;
    }
    size_t len = record_envelope_len(record, envelope);
    unsigned char *at = (unsigned char *)buf_reserve(out, WS_FRAME_HEAD_MAX);
    out->len += ws_frame_head(at, WS_OP_TEXT, len);
    record_add_envelope(out, record, envelope);
}

static void
ws_control(struct buf *out, const struct control *control, enum envelope envelope)
{
    (void)envelope;
    unsigned char *at = (unsigned char *)buf_reserve(out, WS_FRAME_HEAD_MAX);
    out->len += ws_frame_head(at, WS_OP_TEXT, control->len);
    buf_add(out, control->json, control->len);
}

static void
ws_position(struct buf *out, const char *id, size_t id_len, enum envelope envelope)
{
    struct buf json;
    buf_init(&json);
    framer_position_json(&json, id, id_len);
    ws_control(
        out, &(struct control){.event = "position", .json = json.bytes, .len = json.len}, envelope);
    buf_fini(&json);
}

static void
ws_heartbeat(struct buf *out)
{
    unsigned char *at = (unsigned char *)buf_reserve(out, WS_FRAME_HEAD_MAX);
    out->len += ws_frame_head(at, WS_OP_PING, 0);
}

static void
ws_close(struct buf *out, int code, const char *reason)
{
    ws_add_close(out, code, reason);
}

const struct framer framer_ws = {
    .transport = TRANSPORT_WS,
    .open = ws_open,
    .record = ws_record,
    .control = ws_control,
    .heartbeat = ws_heartbeat,
    .position = ws_position,
    .close = ws_close,
};
