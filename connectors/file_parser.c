/* file_parser: what all formats do alike: holding an unfinished item, offsets, the byte order mark.
 * No thread of its own. */
#include "file_parser_internal.h"

#include "../gateway/json.h"
#include "../gateway/mem.h"

#include <stdlib.h>
#include <string.h>

static const struct file_syntax *const syntaxes[FILE_FORMAT_COUNT] = {
    [FILE_NDJSON] = &file_lines_syntax,
    [FILE_TEXT] = &file_lines_syntax,
    [FILE_CSV] = &file_csv_syntax,
    [FILE_JSON_ARRAY] = &file_array_syntax,
};

struct file_parser *
file_parser_new(enum file_format format, size_t max_bytes)
{
    struct file_parser *parser = mem_calloc(1, sizeof *parser);
    parser->format = format;
    parser->syntax = syntaxes[format];
    parser->max_bytes = max_bytes;
    parser->first = true;
    return parser;
}

void
file_parser_free(struct file_parser *parser)
{
    if (parser != NULL) {
        buf_fini(&parser->held);
        buf_fini(&parser->payload);
        buf_fini(&parser->csv.ends);
        buf_fini(&parser->csv.names);
        buf_fini(&parser->csv.places);
        free(parser);
    }
}

/* What the last item lent is no longer needed. */
static void
take_back(struct file_parser *parser)
{
    if (parser->lent) {
        parser->lent = false;
        file_parser_drop(parser);
    }
}

bool
file_parser_next(
    struct file_parser *parser, const char **at, const char *end, struct file_item *item)
{
    const char *from = *at;
    *item = (struct file_item){.data = NULL};
    take_back(parser);
    bool found = *at < end && parser->syntax->next(parser, at, end, item);
    parser->offset += (uint64_t)(*at - from);
    item->end = parser->offset;
    return found;
}

bool
file_parser_lines(
    struct file_parser *parser, const char **at, const char *end, struct file_lines *lines)
{
    uint64_t count;
    take_back(parser);
    if (parser->format != FILE_NDJSON || !file_parser_is_between(parser)) {
        return false;
    }
    size_t len = json_lines(*at, (size_t)(end - *at), parser->max_bytes, &count);
    if (count == 0) {
        return false;
    }
    parser->offset += len;
    parser->first = false;
    *lines = (struct file_lines){*at, len - 1, count, parser->offset};
    *at += len;
    return true;
}

bool
file_parser_finish(struct file_parser *parser, struct file_item *item)
{
    *item = (struct file_item){.end = parser->offset};
    take_back(parser);
    return parser->syntax->finish(parser, item);
}

void
file_parser_seek(struct file_parser *parser, uint64_t offset)
{
    parser->offset = offset;
    parser->first = offset == 0;
    parser->lent = false;
    file_parser_drop(parser);
    parser->syntax->seek(parser);
}

uint64_t
file_parser_offset(const struct file_parser *parser)
{
    return parser->offset;
}

bool
file_parser_is_between(const struct file_parser *parser)
{
    return parser->lent || (parser->held.len == 0 && !parser->over);
}

size_t
file_parser_held_bytes(const struct file_parser *parser)
{
    return parser->lent ? 0 : parser->held.len;
}

bool
file_parser_wants_header(const struct file_parser *parser)
{
    return parser->format == FILE_CSV && parser->csv.n_columns == 0 && !parser->csv.header_broken;
}

/* What the buffers keep from one item to the next. */
#define KEEP_BYTES (64 * 1024)

void
file_parser_hold(struct file_parser *parser, const char *bytes, size_t len)
{
    if (len > parser->max_bytes - parser->held.len) {
        parser->over = true;
        parser->held.len = 0;
    }
    if (!parser->over) {
        buf_add(&parser->held, bytes, len);
    }
}

void
file_parser_drop(struct file_parser *parser)
{
    parser->held.len = 0;
    parser->over = false;
    if (parser->held.cap > KEEP_BYTES) {
        buf_fini(&parser->held);
    }
    if (parser->payload.cap > KEEP_BYTES) {
        buf_fini(&parser->payload);
    }
}

bool
file_parser_bad(struct file_parser *parser, const char *why, struct file_item *item)
{
    parser->lent = true;
    parser->first = false;
    item->data = NULL;
    item->why = why;
    return true;
}

bool
file_parser_good(struct file_parser *parser, const char *data, size_t len, struct file_item *item)
{
    parser->lent = true;
    parser->first = false;
    item->data = data;
    item->len = len;
    return true;
}
