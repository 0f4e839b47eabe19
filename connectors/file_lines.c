/* file_lines: one record a line: JSON (blank lines are none), or text, which becomes a JSON string
 * where it is UTF-8. A CR before the LF is no part of the line. */
#include "file_parser_internal.h"

#include "../gateway/json.h"

#include <string.h>

static bool
take_json(struct file_parser *parser, const char *line, size_t len, struct file_item *item)
{
    size_t start, end;
    enum json_kind kind = json_scan(line, len, &start, &end);
    if (kind == JSON_NOT) {
        return file_parser_bad(parser, "malformed", item);
    }
    item->is_json_line = kind == JSON_ONE_LINE;
    return file_parser_good(parser, line + start, end - start, item);
}

static bool
take_text(struct file_parser *parser, const char *line, size_t len, struct file_item *item)
{
    if (!json_utf8_valid(line, len)) {
        return file_parser_good(parser, line, len, item);
    }
    parser->payload.len = 0;
    json_add_string(&parser->payload, line, len);
    item->is_json_line = true;
    return file_parser_good(parser, parser->payload.bytes, parser->payload.len, item);
}

static bool
is_blank(const char *line, size_t len)
{
    size_t i = 0;
    while (i < len && (line[i] == ' ' || line[i] == '\t' || line[i] == '\r')) {
        i++;
    }
    return i == len;
}

/* A whole line without its LF. False: it is blank. */
static bool
take_line(struct file_parser *parser, const char *line, size_t len, struct file_item *item)
{
    if (parser->over || len > parser->max_bytes) {
        return file_parser_bad(parser, "too_large", item);
    }
    if (len > 0 && line[len - 1] == '\r') {
        len--;
    }
    if (parser->first && len >= 3 && memcmp(line, FILE_BOM, 3) == 0) {
        line += 3;
        len -= 3;
    }
    parser->first = false;
    if (parser->format == FILE_TEXT) {
        return take_text(parser, line, len, item);
    }
    return !is_blank(line, len) && take_json(parser, line, len, item);
}

static bool
lines_next(struct file_parser *parser, const char **at, const char *end, struct file_item *item)
{
    while (*at < end) {
        const char *from = *at;
        const char *feed = memchr(from, '\n', (size_t)(end - from));
        *at = feed == NULL ? end : feed + 1;
        if (feed == NULL || parser->over || parser->held.len > 0) {
            file_parser_hold(parser, from, (size_t)((feed == NULL ? end : feed) - from));
        }
        if (feed == NULL) {
            return false;
        }
        bool whole = parser->held.len == 0 && !parser->over;
        const char *line = whole ? from : parser->held.bytes;
        size_t len = whole ? (size_t)(feed - from) : parser->held.len;
        if (take_line(parser, line, len, item)) {
            return true;
        }
        file_parser_drop(parser);
    }
    return false;
}

static bool
lines_finish(struct file_parser *parser, struct file_item *item)
{
    return (parser->held.len > 0 || parser->over) &&
           take_line(parser, parser->held.bytes, parser->held.len, item);
}

static void
lines_seek(struct file_parser *parser)
{
    (void)parser; /* a line has no state but its bytes */
}

const struct file_syntax file_lines_syntax = {lines_next, lines_finish, lines_seek};
