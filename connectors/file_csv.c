/* file_csv: CSV with a header as RFC 4180 has it: quoted fields may hold commas, line ends and
 * doubled quotes. A row is an object of strings, its members named by the header. A row with more
 * or fewer fields than that, a quote where none may be, or bytes that are not UTF-8 is malformed.
 */
#include "file_parser_internal.h"

#include "../gateway/json.h"

#include <string.h>

static size_t
count_of(const struct buf *numbers)
{
    return numbers->len / sizeof(uint32_t);
}

static uint32_t
number_at(const struct buf *numbers, size_t i)
{
    uint32_t value;
    memcpy(&value, numbers->bytes + i * sizeof value, sizeof value);
    return value;
}

static uint32_t
begin_of(const struct buf *numbers, size_t i)
{
    return i == 0 ? 0 : number_at(numbers, i - 1);
}

static void
end_field(struct file_parser *parser)
{
    struct csv *csv = &parser->csv;
    size_t most = csv->n_columns != 0 ? csv->n_columns + 1 : FILE_HEADER_MAX;
    if (count_of(&csv->ends) < most) {
        uint32_t end = (uint32_t)parser->held.len;
        buf_add(&csv->ends, &end, sizeof end);
    }
    csv->state = CSV_FIELD_START;
}

static void
reset_row(struct file_parser *parser)
{
    parser->csv.state = CSV_FIELD_START;
    parser->csv.bad = parser->csv.any = false;
    parser->csv.ends.len = 0;
}

static void
csv_seek(struct file_parser *parser)
{
    reset_row(parser);
    if (parser->csv.n_columns == 0) {
        parser->offset = 0; /* the header comes first */
        parser->first = true;
    } else if (parser->offset < parser->csv.header_end) {
        parser->offset = parser->csv.header_end;
    }
}

/* Each by itself: half a character at the end of one and the other at the beginning of the next are
 * none. */
static bool
fields_are_text(const struct file_parser *parser)
{
    const struct buf *ends = &parser->csv.ends;
    for (size_t i = 0; i < count_of(ends); i++) {
        uint32_t begin = begin_of(ends, i);
        if (!json_utf8_valid(parser->held.bytes + begin, number_at(ends, i) - begin)) {
            return false;
        }
    }
    return true;
}

/* ---- the header ---- */

static bool
is_twice(const struct csv *csv, const char *name, size_t len)
{
    for (size_t i = 0; i < count_of(&csv->places); i++) {
        uint32_t begin = begin_of(&csv->places, i);
        size_t there = number_at(&csv->places, i) - begin;
        if (there == len && memcmp(csv->names.bytes + begin, name, len) == 0) {
            return true;
        }
    }
    return false;
}

/* Append the name as a member's begin; false when the header has it already. */
static bool
add_name(struct csv *csv, const char *name, size_t len)
{
    struct buf member;
    buf_init(&member);
    json_add_string(&member, name, len);
    buf_addc(&member, ':');
    bool good = !is_twice(csv, member.bytes, member.len);
    buf_add(&csv->names, member.bytes, member.len);
    uint32_t end = (uint32_t)csv->names.len;
    buf_add(&csv->places, &end, sizeof end);
    buf_fini(&member);
    return good;
}

static bool
take_header(struct file_parser *parser)
{
    struct csv *csv = &parser->csv;
    bool good = !csv->bad && !parser->over && fields_are_text(parser);
    size_t n = count_of(&csv->ends);
    for (size_t i = 0; i < n && good; i++) {
        uint32_t begin = begin_of(&csv->ends, i);
        uint32_t end = number_at(&csv->ends, i);
        if (i == 0 && end >= 3 && memcmp(parser->held.bytes, FILE_BOM, 3) == 0) {
            begin = 3;
        }
        good = add_name(csv, parser->held.bytes + begin, end - begin);
    }
    csv->n_columns = good ? n : 0;
    csv->header_broken = !good;
    return good;
}

/* ---- rows ---- */

static bool
make_row(struct file_parser *parser, struct file_item *item)
{
    struct csv *csv = &parser->csv;
    struct buf *out = &parser->payload;
    if (parser->over) {
        return file_parser_bad(parser, "too_large", item);
    }
    if (csv->bad || count_of(&csv->ends) != csv->n_columns || !fields_are_text(parser)) {
        return file_parser_bad(parser, "malformed", item);
    }
    out->len = 0;
    for (size_t i = 0; i < csv->n_columns; i++) {
        uint32_t name = begin_of(&csv->places, i);
        uint32_t value = begin_of(&csv->ends, i);
        buf_addc(out, i == 0 ? '{' : ',');
        buf_add(out, csv->names.bytes + name, number_at(&csv->places, i) - name);
        json_add_string(out, parser->held.bytes + value, number_at(&csv->ends, i) - value);
    }
    buf_addc(out, '}');
    item->is_json_line = true;
    return file_parser_good(parser, out->bytes, out->len, item);
}

/* The row has ended. True: item is it. A blank line is a row only where there is one column. */
static bool
end_row(struct file_parser *parser, struct file_item *item)
{
    struct csv *csv = &parser->csv;
    bool made = false;
    if (csv->state == CSV_PLAIN && parser->held.len > 0 &&
        parser->held.bytes[parser->held.len - 1] == '\r') {
        parser->held.len--;
    }
    end_field(parser);
    (void)buf_reserve(&parser->held, 1); /* there are bytes to point to, be they none */
    bool blank = !csv->any && !csv->bad && !parser->over && csv->n_columns != 1;
    if (!blank && csv->n_columns == 0) {
        if (!take_header(parser)) {
            item->fatal = true;
            made = file_parser_bad(parser, "malformed", item);
        }
    } else if (!blank) {
        made = make_row(parser, item);
    }
    reset_row(parser);
    if (!made) {
        file_parser_drop(parser);
    }
    return made;
}

/* ---- the grammar ---- */

static void
keep(struct file_parser *parser, const char *bytes, size_t len)
{
    bool header = parser->csv.n_columns == 0;
    file_parser_hold(parser, bytes, len);
    if (header && parser->held.len > FILE_HEADER_MAX) {
        parser->over = true;
        parser->held.len = 0;
    }
}

static const char *
plain_run(const char *at, const char *end)
{
    while (at < end && *at != ',' && *at != '\n' && *at != '"') {
        at++;
    }
    return at;
}

/* All that there is yet of the file is a byte order mark. */
static bool
is_mark(const struct file_parser *parser)
{
    return parser->first && parser->csv.n_columns == 0 && parser->held.len == 3 &&
           parser->csv.ends.len == 0 && memcmp(parser->held.bytes, FILE_BOM, 3) == 0;
}

/* Outside of quotes. Returns what follows; *row: a row has ended. */
static const char *
step_plain(struct file_parser *parser, const char *at, const char *end, bool *row)
{
    struct csv *csv = &parser->csv;
    if (*at == ',') {
        csv->any = true;
        end_field(parser);
        return at + 1;
    }
    if (*at == '\n') {
        *row = true;
        return at + 1;
    }
    if (*at == '"') {
        csv->any = true;
        if (csv->state == CSV_FIELD_START || is_mark(parser)) {
            csv->state = CSV_QUOTED;
        } else {
            csv->bad = true;
        }
        return at + 1;
    }
    const char *stop = plain_run(at, end);
    keep(parser, at, (size_t)(stop - at));
    /* A lone CR is a blank line's, wherever the chunks are cut. */
    csv->any |= *at != '\r' || stop - at > 1 || parser->held.len > 1 || parser->over;
    csv->state = CSV_PLAIN;
    return stop;
}

static const char *
step_quoted(struct file_parser *parser, const char *at, const char *end)
{
    const char *quote = memchr(at, '"', (size_t)(end - at));
    const char *stop = quote == NULL ? end : quote;
    keep(parser, at, (size_t)(stop - at));
    if (quote == NULL) {
        return end;
    }
    parser->csv.state = CSV_QUOTE;
    return quote + 1;
}

/* Behind a quote that may be the field's end, or the first of two. */
static const char *
step_quote(struct file_parser *parser, const char *at, bool *row)
{
    switch (*at) {
    case '"':
        keep(parser, at, 1);
        parser->csv.state = CSV_QUOTED;
        break;
    case ',':
        end_field(parser);
        break;
    case '\n':
        *row = true;
        break;
    case '\r':
        break;
    default:
        parser->csv.bad = true;
        parser->csv.state = CSV_PLAIN;
        break;
    }
    return at + 1;
}

static bool
csv_next(struct file_parser *parser, const char **at, const char *end, struct file_item *item)
{
    const char *from = *at;
    while (*at < end && !parser->csv.header_broken) {
        bool row = false;
        bool header = parser->csv.n_columns == 0;
        switch (parser->csv.state) {
        case CSV_FIELD_START:
        case CSV_PLAIN:
            *at = step_plain(parser, *at, end, &row);
            break;
        case CSV_QUOTED:
            *at = step_quoted(parser, *at, end);
            break;
        case CSV_QUOTE:
            *at = step_quote(parser, *at, &row);
            break;
        }
        if (row && end_row(parser, item)) {
            return true;
        }
        if (header && parser->csv.n_columns != 0) {
            parser->csv.header_end = parser->offset + (uint64_t)(*at - from);
        }
    }
    if (parser->csv.header_broken) {
        *at = end;
    }
    return false;
}

static bool
csv_finish(struct file_parser *parser, struct file_item *item)
{
    struct csv *csv = &parser->csv;
    if (csv->header_broken || !csv->any) {
        return false;
    }
    csv->bad |= csv->state == CSV_QUOTED;
    return end_row(parser, item);
}

const struct file_syntax file_csv_syntax = {csv_next, csv_finish, csv_seek};
