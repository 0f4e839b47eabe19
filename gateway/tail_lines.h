/* tail_lines: an incoming byte stream cut into whole lines, without a copy where a line lies whole
 * in the bytes that came. Each byte is looked at once, also in a line that comes in many pieces.
 *
 *     tail_lines_feed(&lines, bytes, len);
 *     while (tail_lines_next(&lines, &line, &line_len)) ...
 *
 * Thread  whoever owns it. */
#ifndef HEADGATE_TAIL_LINES_H
#define HEADGATE_TAIL_LINES_H

#include "buf.h"

#include <stdbool.h>
#include <stddef.h>

struct tail_lines {
    struct buf partial; /* the start of a line whose end has not come yet */
    struct buf joined;  /* a line that came in pieces, whole and lent */
    const char *bytes;  /* what is left of the bytes that were fed */
    size_t len;
    size_t max_line_bytes;
};

void tail_lines_init(struct tail_lines *lines, size_t max_line_bytes);
void tail_lines_fini(struct tail_lines *lines);

/* tail_lines_reset: forget a line that was begun: its connection is gone. */
void tail_lines_reset(struct tail_lines *lines);

/* tail_lines_feed: lend bytes until tail_lines_next has returned false. */
void tail_lines_feed(struct tail_lines *lines, const char *bytes, size_t len);

/* tail_lines_next: lend the next whole line, its newline included; false when there is none and
 * the rest is kept. A line is lent until the next feed, so that a caller can treat neighbours as
 * one run: line + len is the start of the next line where both lie in the fed bytes. */
bool tail_lines_next(struct tail_lines *lines, const char **line, size_t *len);

/* tail_lines_too_long: the line that was begun exceeds max_line_bytes. */
bool tail_lines_too_long(const struct tail_lines *lines);

#endif
