/* session_input: what a subscriber sends: WebSocket frames; anything on SSE or NDJSON is a fault.
 */
#include "session_internal.h"

#include "generations.h"
#include "session_durable.h"
#include "shard.h"

#include <jansson.h>
#include <string.h>

/* A client that floods us with pings while it reads nothing gets no more than this queued. */
#define REPLY_BYTES_MAX 1024

static void
end_by_protocol(struct session *session, int code, const char *reason)
{
    session_end(
        session, &(struct ending){.why = DISCONNECT_PROTOCOL, .code = code, .reason = reason});
}

static bool
may_reply(const struct session *session)
{
    return session->state != SESSION_ENDING && session->out.len - session->out_at < REPLY_BYTES_MAX;
}

static void
on_ping(struct session *session)
{
    if (may_reply(session)) {
        unsigned char *at = (unsigned char *)buf_reserve(&session->out, WS_FRAME_HEAD_MAX);
        session->out.len += ws_frame_head(at, WS_OP_PONG, session->ws->data_len);
        buf_add(&session->out, session->ws->data, session->ws->data_len);
    }
}

static void
on_text(struct session *session)
{
    json_error_t error;
    json_t *message = json_loadb(session->ws->data, session->ws->data_len, 0, &error);
    const char *op = json_string_value(json_object_get(message, "op"));
    struct generation *generation = session->feed->outlet->generation;
    if (op == NULL) {
        end_by_protocol(session, 1008, "a message must be a JSON object with an \"op\"");
    } else if (strcmp(op, "ping") == 0) {
        if (may_reply(session)) {
            struct buf json;
            buf_init(&json);
            BUF_LITERAL(&json, "{\"event\":\"pong\"}");
            session_control(session, "pong", &json, NULL);
            buf_fini(&json);
        }
    } else if (strcmp(op, "ack") == 0 && session->durable != NULL) {
        const char *wrong = durable_ack(session, json_string_value(json_object_get(message, "id")));
        if (wrong != NULL) {
            end_by_protocol(session, 1008, wrong);
        }
    } else if (strcmp(op, "ack") == 0) {
        end_by_protocol(
            session, 1008, "ack is for durable consumers: this subscription is not one");
    } else if (strcmp(op, "cancel") == 0 && generation != NULL) {
        (void)generation_stop(generation); /* its end will be seen here, or it goes on */
    } else if (strcmp(op, "cancel") == 0) {
        end_by_protocol(session, 1008, "cancel is for answers: this stream is none");
    } else {
        end_by_protocol(session, 1008, "unknown op: ping, ack and cancel are known");
    }
    json_decref(message);
}

static void
on_close(struct session *session)
{
    session->close_received = true;
    if (session->state != SESSION_ENDING) {
        int code = session->ws->code == 1005 ? 1000 : session->ws->code;
        session_end(
            session, &(struct ending){
                         .why = DISCONNECT_CLIENT, .code = code, .reason = "", .complete = true});
    }
}

static bool
on_event(struct session *session, enum ws_event event)
{
    switch (event) {
    case WS_MORE:
        return false;
    case WS_TEXT:
        on_text(session);
        return true;
    case WS_BINARY:
        end_by_protocol(session, 1003, "binary messages are not taken");
        return true;
    case WS_PING:
        on_ping(session);
        return true;
    case WS_PONG:
        session->ping_ms = 0;
        return true;
    case WS_CLOSE:
        on_close(session);
        return false;
    case WS_FAILED:
        end_by_protocol(session, session->ws->code, session->ws->reason);
        session->close_received = true; /* nothing that follows can be understood */
        return false;
    }
    return false;
}

bool
session_may_complete(const struct session *session)
{
    return session->ws == NULL && (session->bounded || session->limit != UINT64_MAX);
}

int
session_received(struct session *session, const char *bytes, size_t len)
{
    if (session->ws == NULL) {
        return -1; /* an answer without an end cannot be followed by another request */
    }
    size_t at = 0;
    while (!session->close_received && on_event(session, ws_parse(session->ws, bytes, len, &at))) {
    }
    session_pump(session);
    return session->conn->dead ? -1 : 0;
}
