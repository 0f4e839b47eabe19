/* push_body: a posted body as records, split anywhere into pieces: NDJSON (one JSON value a line,
 * blank lines are none), one JSON value, or one record of any bytes.
 *
 * Holds the record that has not ended yet, at most max_bytes, and nothing of those before it.
 * Untrusted bytes. Thread  any. */
#ifndef HEADGATE_PUSH_BODY_H
#define HEADGATE_PUSH_BODY_H

#include "http.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum push_syntax { PUSH_NDJSON, PUSH_JSON, PUSH_BYTES };

struct push_body {
    enum push_syntax syntax;
    size_t max_bytes; /* of a record */
    char *held;       /* of the record that has not ended; owned */
    size_t len, cap;
    uint64_t line; /* from 1: of the record that was given last, or of the fault; 1 where the whole
                      body is one record */
    uint64_t lines_done;
    bool lent;       /* held was lent as a record: it goes with the next call */
    size_t line_len; /* of the line that a record was just given of without holding it */
};

enum push_got {
    PUSH_MORE,     /* all bytes are taken, no record ended in them */
    PUSH_RECORD,   /* *record is one; lent until the next call */
    PUSH_BAD,      /* what ended is no JSON; nothing more is read */
    PUSH_TOO_LARGE /* the record is over max_bytes; nothing more is read */
};

void push_body_init(struct push_body *body, enum push_syntax syntax, size_t max_bytes);
void push_body_fini(struct push_body *body);

/* push_body_need: how many bytes it will hold, allocated, once len more that end no record have
 * come: what the caller sees to that there is room for. */
size_t push_body_need(const struct push_body *body, size_t len);

/* push_body_next: read from *at on and move it behind what was taken. Cost O(bytes). */
enum push_got push_body_next(
    struct push_body *body, const char **at, const char *end, struct slice *record);

/* push_body_unread: the record that push_body_next has just given is not wanted yet, and the bytes
 * that it lies in will not stay: how many of them to read again. 0: it is held, and stays lent. */
size_t push_body_unread(struct push_body *body);

/* push_body_finish: the body is whole. The last line need not end in LF. */
enum push_got push_body_finish(struct push_body *body, struct slice *record);

#endif
