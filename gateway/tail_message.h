/* tail_message: what one NDJSON line of the gateway is, found from its fixed start: a record is
 * {"id":"TOKEN","time":"...","key":K,"data":D...}, a control message {"event":...}. Only control
 * messages are parsed. Pure. Thread  any. */
#ifndef HEADGATE_TAIL_MESSAGE_H
#define HEADGATE_TAIL_MESSAGE_H

#include "buf.h"
#include "err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum tail_kind {
    TAIL_HEARTBEAT, /* an empty line */
    TAIL_RECORD,
    TAIL_CONTROL,
    TAIL_OTHER /* a payload alone, or an envelope without the fixed start */
};

enum tail_event {
    TAIL_EVENT_HELLO,
    TAIL_EVENT_GAP,
    TAIL_EVENT_FAILED,
    TAIL_EVENT_CANCELLED,
    TAIL_EVENT_CLOSING,
    TAIL_EVENT_END,
    TAIL_EVENT_OTHER
};

struct tail_control {
    enum tail_event event;
    char *token;    /* where to resume after it; NULL when it names no place. Owned */
    bool is_answer; /* of a hello: of an answer of a model, which is made once */
    uint64_t count; /* of a gap: records that were skipped */
    char *text;     /* for a person, one line. Owned */
};

/* tail_message_kind: by the first bytes of line[0..len), the newline included. O(1). */
enum tail_kind tail_message_kind(const char *line, size_t len);

/* tail_message_id: lend the token of a TAIL_RECORD; false when it shows none. Tokens
 * are base64url, so nothing in them is escaped. O(token). */
bool tail_message_id(const char *line, size_t len, const char **id, size_t *id_len);

/* tail_message_payload: lend the payload of a TAIL_RECORD in the record or the full envelope: the
 * value of "data" or "data_base64". O(line), without parsing. */
bool tail_message_payload(const char *line, size_t len, const char **data, size_t *data_len);

/* tail_message_control: parse a TAIL_CONTROL. Owns: tail_control_fini frees. Errors -1 and err. */
int tail_message_control(
    struct tail_control *control, const char *line, size_t len, struct err *err);
void tail_control_fini(struct tail_control *control);

/* tail_message_problem: append one line for a person from the body of an error answer: title and
 * detail of a problem+json (RFC 9457), else the start of the text. */
void tail_message_problem(struct buf *out, long status, const char *body, size_t len);

#endif
