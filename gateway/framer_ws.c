/* framer_ws: one text message a record (RFC 6455 section 5; frames from a server are not masked, so
 * one frame serves every subscriber). */
#include "framer.h"
#include "ws.h"

static void
ws_open(struct buf *out)
{
    (void)out;
}

static void
ws_record(struct buf *out, const struct record *record, enum envelope envelope, bool first)
{
    (void)first;
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
