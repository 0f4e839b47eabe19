/* framer: how records and control messages look on one transport. A framer is one const struct in
 * a file of its own and one row in framers; it has no state and knows no connection.
 * Thread  shard. */
#ifndef HEADGATE_FRAMER_H
#define HEADGATE_FRAMER_H

#include "metrics.h"
#include "params.h"
#include "record.h"

#include <stdbool.h>
#include <stddef.h>

/* A control message: an object whose first member is "event". */
struct control {
    const char *event; /* the name, a literal */
    const char *json;  /* the whole object on one line */
    size_t len;
    const char *id; /* the resume token that it stands at, or NULL */
    size_t id_len;
};

struct framer {
    enum transport transport;
    const char *content_type; /* NULL: no HTTP body (WebSocket) */
    bool in_http_body;        /* framed by chunks on HTTP/1.1 */
    bool tells_failure;       /* inside of the body, which then ends as any other does */
    bool needs_first;         /* record's bytes depend on being the first: cannot be shared */

    void (*open)(struct buf *out); /* what comes before everything */
    void (*record)(
        struct buf *out, const struct record *record, enum envelope envelope, bool first);
    /* control: adds nothing where the transport and envelope have no place for it. */
    void (*control)(struct buf *out, const struct control *control, enum envelope envelope);
    void (*heartbeat)(struct buf *out);
    /* position: the token of a filtered stream, told with a heartbeat. Adds nothing where there is
     * no place for it. */
    void (*position)(struct buf *out, const char *id, size_t id_len, enum envelope envelope);
    void (*close)(struct buf *out, int code, const char *reason); /* the end, in its own way */
};

/* framer_position_json: append {"event":"position","id":ID}. */
void framer_position_json(struct buf *out, const char *id, size_t id_len);

extern const struct framer framer_ws, framer_sse, framer_ndjson, framer_json;

/* framer_shows_control: false where control messages are left out (NDJSON with envelope=data, JSON
 * arrays): there a failure must cut the response short. */
bool framer_shows_control(const struct framer *framer, enum envelope envelope);

#endif
