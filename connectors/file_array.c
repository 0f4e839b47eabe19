/* file_array: the elements of one JSON array, as they come: the array is never held as a whole. An
 * element is what stands between two commas on the array's own level; one that is no JSON is
 * malformed, and the next begins behind its comma. */
#include "file_parser_internal.h"

#include "../gateway/json.h"

#include <string.h>

static bool
is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static bool
break_off(struct file_parser *parser, const char **at, const char *end, struct file_item *item)
{
    parser->array.broken = true;
    *at = end;
    item->fatal = true;
    return file_parser_bad(parser, "malformed", item);
}

/* Up to and with the opening bracket. False: something else is there. */
static bool
open_array(struct file_parser *parser, const char **at, const char *end)
{
    for (; *at < end && !parser->array.opened; (*at)++) {
        bool mark = parser->first && strchr(FILE_BOM, **at) != NULL && **at != '\0';
        parser->array.opened = **at == '[';
        if (!is_space(**at) && !mark && !parser->array.opened) {
            return false;
        }
    }
    return true;
}

/* The element's bytes up to the comma or bracket that ends it, or to end. */
static const char *
element_end(struct array *array, const char *at, const char *end)
{
    for (; at < end; at++) {
        if (array->in_string) {
            array->in_string = array->escaped || *at != '"';
            array->escaped = !array->escaped && *at == '\\';
            continue;
        }
        switch (*at) {
        case '"':
            array->in_string = true;
            break;
        case '[':
        case '{':
            array->depth++;
            break;
        case '}':
            array->depth -= array->depth > 0;
            break;
        case ']':
            if (array->depth == 0) {
                return at;
            }
            array->depth--;
            break;
        case ',':
            if (array->depth == 0) {
                return at;
            }
            break;
        default:
            break;
        }
    }
    return end;
}

/* What is held, or bytes, is one element. False: there is none, in an empty array. */
static bool
take_element(struct file_parser *parser, const char *bytes, size_t len, bool due, bool last,
    struct file_item *item)
{
    size_t start, end;
    if (parser->over || len > parser->max_bytes) {
        return file_parser_bad(parser, "too_large", item);
    }
    bool blank = true;
    for (size_t i = 0; i < len && blank; i++) {
        blank = is_space(bytes[i]);
    }
    if (blank && last && !due) {
        return false;
    }
    enum json_kind kind = json_scan(bytes, len, &start, &end);
    if (kind == JSON_NOT) {
        return file_parser_bad(parser, "malformed", item);
    }
    item->is_json_line = kind == JSON_ONE_LINE;
    return file_parser_good(parser, bytes + start, end - start, item);
}

/* Between the closing bracket and the end only white space may be. */
static bool
behind(struct file_parser *parser, const char **at, const char *end, struct file_item *item)
{
    while (*at < end && is_space(**at)) {
        (*at)++;
    }
    return *at < end && break_off(parser, at, end, item);
}

/* What ended the last element: a comma, or the closing bracket. */
enum outcome { OUTCOME_ITEM, OUTCOME_GO_ON, OUTCOME_MORE };

static enum outcome
take_separator(struct file_parser *parser, const char **at, const char *end, struct file_item *item)
{
    struct array *array = &parser->array;
    while (*at < end && is_space(**at)) {
        (*at)++;
    }
    if (*at == end) {
        return OUTCOME_MORE;
    }
    char c = *(*at)++;
    array->between = false;
    array->closed = c == ']';
    array->due = c == ',';
    if (!array->closed && !array->due) {
        (void)break_off(parser, at, end, item);
        return OUTCOME_ITEM;
    }
    return OUTCOME_GO_ON;
}

/* Up to what ends the element, which is left for the next call. */
static enum outcome
read_element(struct file_parser *parser, const char **at, const char *end, struct file_item *item)
{
    struct array *array = &parser->array;
    const char *from = *at;
    *at = element_end(array, from, end);
    bool ended = *at < end;
    bool direct = ended && parser->held.len == 0 && !parser->over;
    if (!direct) {
        file_parser_hold(parser, from, (size_t)(*at - from));
    }
    if (!ended) {
        return OUTCOME_MORE;
    }
    const char *bytes = direct ? from : parser->held.bytes;
    size_t len = direct ? (size_t)(*at - from) : parser->held.len;
    array->between = true;
    if (take_element(parser, bytes, len, array->due, **at == ']', item)) {
        return OUTCOME_ITEM;
    }
    file_parser_drop(parser); /* an empty array */
    return OUTCOME_GO_ON;
}

static bool
array_next(struct file_parser *parser, const char **at, const char *end, struct file_item *item)
{
    struct array *array = &parser->array;
    enum outcome outcome = OUTCOME_GO_ON;
    if (array->broken) {
        *at = end;
        return false;
    }
    if (!array->opened && !open_array(parser, at, end)) {
        return break_off(parser, at, end, item);
    }
    while (outcome == OUTCOME_GO_ON && !array->closed) {
        outcome = array->between ? take_separator(parser, at, end, item)
                                 : read_element(parser, at, end, item);
    }
    return outcome == OUTCOME_ITEM || (outcome == OUTCOME_GO_ON && behind(parser, at, end, item));
}

static bool
array_finish(struct file_parser *parser, struct file_item *item)
{
    const char *at = NULL;
    return !parser->array.closed && !parser->array.broken && break_off(parser, &at, at, item);
}

static void
array_seek(struct file_parser *parser)
{
    bool inside = parser->offset > 0;
    parser->array = (struct array){.opened = inside, .between = inside};
}

const struct file_syntax file_array_syntax = {array_next, array_finish, array_seek};
