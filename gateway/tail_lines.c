/* tail_lines: cuts bytes into lines. No thread of its own. */
#include "tail_lines.h"

#include <string.h>

void
tail_lines_init(struct tail_lines *lines, size_t max_line_bytes)
{
    *lines = (struct tail_lines){.max_line_bytes = max_line_bytes};
    buf_init(&lines->partial);
    buf_init(&lines->joined);
}

void
tail_lines_fini(struct tail_lines *lines)
{
    buf_fini(&lines->partial);
    buf_fini(&lines->joined);
}

void
tail_lines_reset(struct tail_lines *lines)
{
    lines->partial.len = 0;
    lines->bytes = NULL;
    lines->len = 0;
}

void
tail_lines_feed(struct tail_lines *lines, const char *bytes, size_t len)
{
    lines->bytes = bytes;
    lines->len = len;
}

/* Only the first line of a feed can have begun in an earlier one. */
static void
join(struct tail_lines *lines, size_t len)
{
    buf_add(&lines->partial, lines->bytes, len);
    struct buf whole = lines->partial;
    lines->partial = lines->joined;
    lines->partial.len = 0;
    lines->joined = whole;
}

bool
tail_lines_next(struct tail_lines *lines, const char **line, size_t *len)
{
    const char *newline = lines->len == 0 ? NULL : memchr(lines->bytes, '\n', lines->len);
    if (newline == NULL) {
        buf_add(&lines->partial, lines->bytes, lines->len);
        lines->len = 0;
        return false;
    }
    size_t take = (size_t)(newline - lines->bytes) + 1;
    if (lines->partial.len == 0) {
        *line = lines->bytes;
        *len = take;
    } else {
        join(lines, take);
        *line = lines->joined.bytes;
        *len = lines->joined.len;
    }
    lines->bytes += take;
    lines->len -= take;
    return true;
}

bool
tail_lines_too_long(const struct tail_lines *lines)
{
    return lines->partial.len > lines->max_line_bytes;
}
