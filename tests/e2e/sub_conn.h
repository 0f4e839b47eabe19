/* sub_conn: one subscriber's connection: decodes a transport and checks what arrives.
 *
 * Asks for envelope=full and checks by "source" that the offsets of every partition grow; what is
 * missing between two offsets is a hole, and holes must be told in gaps: `holes == gap_records` at
 * the end, for a topic whose offsets are dense. Single thread. */
#ifndef HEADGATE_SUB_CONN_H
#define HEADGATE_SUB_CONN_H

#include "../../gateway/buf.h"

#include <stdbool.h>
#include <stdint.h>

#define SUB_LANES 64

enum sub_transport { SUB_WS, SUB_SSE, SUB_NDJSON };
extern const char *const sub_transport_names[3];

enum sub_end {
    SUB_OPEN,
    SUB_CLEAN, /* the last chunk, or a close frame */
    SUB_CUT,   /* end of file or reset before that */
    SUB_REFUSED
};
extern const char *const sub_end_names[4];

struct sub_lane {
    int64_t first; /* -1: nothing yet */
    int64_t last;
};

/* Takes the messages in sub_conn's place; self is the user's. */
struct sub_taker {
    void (*message)(void *self, const char *text, size_t len);
    void *self;
};

struct sub_conn {
    int fd;
    struct sub_taker taker; /* .message NULL: the checks and counts below */
    enum sub_transport transport;
    enum sub_end end;
    bool has_head;
    bool has_hello;
    int status;     /* of the response */
    int close_code; /* of the WebSocket close frame */
    uint64_t records;
    uint64_t gaps;
    uint64_t gap_records;
    uint64_t holes;
    uint64_t order_errors; /* an offset that is not above the one before it */
    uint64_t bad;          /* messages that are neither a record nor a known control message */
    char last_reason[32];  /* of the last gap */
    struct sub_lane lanes[SUB_LANES];

    struct buf raw;      /* bytes that are not yet decoded */
    struct buf body;     /* decoded body that does not yet end a line */
    struct buf data;     /* SSE: the data of the event so far */
    uint64_t chunk_left; /* bytes of the current chunk */
    bool chunk_ended;    /* the CRLF after a chunk's data is due */
};

/* sub_conn_open: connect to 127.0.0.1 and send the request. rcvbuf: SO_RCVBUF in bytes, 0: the
 * kernel's. The taker is to be set before the first read. Errors -1, errno. Blocks. */
int sub_conn_open(struct sub_conn *conn, enum sub_transport transport, unsigned port,
    const char *target, int rcvbuf);

/* sub_conn_read: take what the socket has, at most some 256 KiB. Sets conn->end when it ended. */
void sub_conn_read(struct sub_conn *conn);

void sub_conn_close(struct sub_conn *conn);

#endif
