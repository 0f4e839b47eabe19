/* framer_ndjson: one JSON object a line; and the JSON array, which is the same with other marks
 * between. */
#include "framer.h"

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
ndjson_record(struct buf *out, const struct record *record, enum envelope envelope, bool first)
{
    (void)first;
    if (record->is_gap && envelope == ENVELOPE_DATA) {
        return;
    }
    record_add_envelope(out, record, envelope);
    buf_addc(out, '\n');
}

static void
ndjson_control(struct buf *out, const struct control *control, enum envelope envelope)
{
    if (envelope != ENVELOPE_DATA) {
        buf_add(out, control->json, control->len);
        buf_addc(out, '\n');
    }
}

void
framer_position_json(struct buf *out, const char *id, size_t id_len)
{
    BUF_LITERAL(out, "{\"event\":\"position\",\"id\":\"");
    buf_add(out, id, id_len);
    BUF_LITERAL(out, "\"}");
}

static void
ndjson_position(struct buf *out, const char *id, size_t id_len, enum envelope envelope)
{
    if (envelope != ENVELOPE_DATA) {
        framer_position_json(out, id, id_len);
        buf_addc(out, '\n');
    }
}

static void
ndjson_heartbeat(struct buf *out)
{
    buf_addc(out, '\n');
}

const struct framer framer_ndjson = {
    .transport = TRANSPORT_NDJSON,
    .content_type = "application/x-ndjson",
    .in_http_body = true,
    .open = nothing,
    .record = ndjson_record,
    .control = ndjson_control,
    .heartbeat = ndjson_heartbeat,
    .position = ndjson_position,
    .close = no_close,
};

static void
json_open(struct buf *out)
{
    buf_addc(out, '[');
}

static void
json_record(struct buf *out, const struct record *record, enum envelope envelope, bool first)
{
    if (!record->is_gap) {
        buf_adds(out, first ? "\n" : ",\n");
        record_add_envelope(out, record, envelope);
    }
}

static void
json_position(struct buf *out, const char *id, size_t id_len, enum envelope envelope)
{
    (void)out;
    (void)id;
    (void)id_len;
    (void)envelope;
}

static void
json_control(struct buf *out, const struct control *control, enum envelope envelope)
{
    (void)out;
    (void)control;
    (void)envelope;
}

static void
json_close(struct buf *out, int code, const char *reason)
{
    (void)code;
    (void)reason;
    BUF_LITERAL(out, "\n]\n");
}

const struct framer framer_json = {
    .transport = TRANSPORT_JSON,
    .content_type = "application/json",
    .in_http_body = true,
    .needs_first = true,
    .open = json_open,
    .record = json_record,
    .control = json_control,
    .heartbeat = nothing,
    .position = json_position,
    .close = json_close,
};

bool
framer_shows_control(const struct framer *framer, enum envelope envelope)
{
    return framer->transport == TRANSPORT_WS || framer->transport == TRANSPORT_SSE ||
           (framer->transport == TRANSPORT_NDJSON && envelope != ENVELOPE_DATA);
}
