/* json_scan: the grammar of RFC 8259 without a tree and without recursion: a hostile payload costs
 * no stack, one bit a level says whether that level is an object. Any thread; no state.
 *
 * A text that is a container ends with its closing bracket (white space apart), so whatever is read
 * before a closing bracket is taken lies within the text: only then, and in the rare paths, is the
 * end looked at. */
#include "json.h"

#include "json_block.h"
#include "json_shape.h"

#include <assert.h>
#include <stdint.h>
#include <string.h>

struct scan {
    const uint8_t *first; /* of the text */
    const uint8_t *at;
    const uint8_t *end;
    struct json_block block; /* base <= at */
    bool lines;              /* the text is lines: a CR or LF ends what is in work, see peek */
    bool newline;            /* a CR or LF was skipped inside the text */
    bool object;             /* the innermost container is one */
    unsigned depth;
    uint64_t objects[JSON_DEPTH_MAX / 64]; /* bit d: the container at depth d + 1 is an object */
};

/* The steps of the scanner are one function to the compiler: its state stays in registers. */
#define STEP static inline __attribute__((always_inline))

static bool
is_hex(uint8_t c)
{
    return (uint8_t)(c - '0') < 10 || (uint8_t)((c | 0x20) - 'a') < 6;
}

/* at is on a backslash; returns what follows the escape, or NULL. */
static const uint8_t *
take_escape(const uint8_t *at, const uint8_t *end)
{
    if (end - at < 2 || at[1] == '\0') {
        return NULL;
    }
    if (at[1] != 'u') {
        return strchr("\"\\/bfnrt", at[1]) == NULL ? NULL : at + 2;
    }
    if (end - at < 6 || !is_hex(at[2]) || !is_hex(at[3]) || !is_hex(at[4]) || !is_hex(at[5])) {
        return NULL;
    }
    return at + 6;
}

/* What stands at at in a string is no plain text: what follows it, or NULL. */
static const uint8_t *
take_special(const uint8_t *at, const uint8_t *end)
{
    if (at == end || *at < 0x20) {
        return NULL;
    }
    if (*at == '\\') {
        return take_escape(at, end);
    }
    size_t step = json_utf8_length((const char *)at, (size_t)(end - at));
    return step == 0 ? NULL : at + step;
}

/* Move the block until it has at. */
STEP void
turn_to(struct scan *scan, const uint8_t *at)
{
    while (at - scan->block.base >= JSON_BLOCK_BYTES) {
        json_block_load(&scan->block, scan->first, scan->block.base + JSON_BLOCK_BYTES, scan->end);
    }
}

/* The first byte from at that is not plain ASCII text of a string; end when there is none. */
STEP const uint8_t *
skip_plain(struct scan *scan, const uint8_t *at)
{
    turn_to(scan, at);
    uint64_t special = scan->block.special >> (at - scan->block.base);
    while (special == 0) {
        at = scan->block.base + JSON_BLOCK_BYTES;
        json_block_load(&scan->block, scan->first, at, scan->end);
        special = scan->block.special;
    }
    return at + __builtin_ctzll(special);
}

/* at is behind the opening quote; returns what follows the closing one, or NULL. */
STEP const uint8_t *
take_string(struct scan *scan, const uint8_t *at)
{
    for (;;) {
        at = skip_plain(scan, at);
        if (at < scan->end && *at == '"') {
            return at + 1;
        }
        at = take_special(at, scan->end);
        if (at == NULL) {
            return NULL;
        }
    }
}

/* Skips digits; NULL when there is none. */
static const uint8_t *
take_digits(const uint8_t *at, const uint8_t *end)
{
    const uint8_t *first = at;
    while (at < end && (uint8_t)(*at - '0') < 10) {
        at++;
    }
    return at == first ? NULL : at;
}

static const uint8_t *
take_any_number(const uint8_t *at, const uint8_t *end)
{
    if (*at == '-') {
        at++;
    }
    if (at < end && *at == '0') {
        at++;
    } else if ((at = take_digits(at, end)) == NULL) {
        return NULL;
    }
    if (at < end && *at == '.' && (at = take_digits(at + 1, end)) == NULL) {
        return NULL;
    }
    if (at < end && (*at | 0x20) == 'e') {
        at++;
        if (at < end && (*at == '+' || *at == '-')) {
            at++;
        }
        return take_digits(at, end);
    }
    return at;
}

/* In a container: digits, perhaps a point and digits, are found without a loop: how many there are
 * is nothing that a processor can foresee. Long numbers, exponents and what stands near the end go
 * the long way. */
STEP const uint8_t *
take_number(const struct scan *scan, const uint8_t *at)
{
    if (scan->end - at < JSON_DIGITS_BYTES) {
        return take_any_number(at, scan->end);
    }
    unsigned others = json_others(at) | 1u << JSON_DIGITS_BYTES;
    unsigned len = (unsigned)__builtin_ctz(others);
    if (len == 0 || len == JSON_DIGITS_BYTES || (*at == '0' && len > 1)) {
        return take_any_number(at, scan->end);
    }
    if (at[len] == '.') {
        others = others >> len >> 1;
        unsigned part = (unsigned)__builtin_ctz(others);
        len += 1 + part;
        if (part == 0 || len >= JSON_DIGITS_BYTES) {
            return take_any_number(at, scan->end);
        }
    }
    return (at[len] | 0x20) != 'e' ? at + len : take_any_number(at, scan->end);
}

static const uint8_t *
take_word(const uint8_t *at, const uint8_t *end)
{
    size_t left = (size_t)(end - at);
    if (*at == 'f') {
        return left >= 5 && memcmp(at, "false", 5) == 0 ? at + 5 : NULL;
    }
    return left >= 4 && memcmp(at, *at == 't' ? "true" : "null", 4) == 0 ? at + 4 : NULL;
}

/* The first byte from at that is no white space. */
static const uint8_t *
skip_spaces(const uint8_t *at, const uint8_t *end, bool *newline)
{
    for (; at < end && (*at == ' ' || *at == '\t' || *at == '\n' || *at == '\r'); at++) {
        *newline |= *at == '\n' || *at == '\r';
    }
    return at;
}

/* In a container: the next byte that is no white space; at is on it. Of lines, whose last byte is a
 * line feed, NUL where the line ends first: no JSON begins with that, and at stays in the text. */
STEP uint8_t
peek(struct scan *scan)
{
    uint8_t c = *scan->at;
    if (c <= ' ') {
        bool newline = false;
        const uint8_t *at = skip_spaces(scan->at, scan->end, &newline);
        if (newline && scan->lines) {
            return '\0';
        }
        scan->at = at;
        scan->newline |= newline;
        c = *at;
    }
    return c;
}

STEP bool
take_key(struct scan *scan)
{
    if (peek(scan) != '"' || (scan->at = take_string(scan, scan->at + 1)) == NULL ||
        peek(scan) != ':') {
        return false;
    }
    scan->at++;
    return true;
}

STEP bool
push(struct scan *scan, bool object)
{
    unsigned level = scan->depth;
    if (level == JSON_DEPTH_MAX) {
        return false;
    }
    uint64_t bit = UINT64_C(1) << level % 64;
    scan->objects[level / 64] =
        object ? scan->objects[level / 64] | bit : scan->objects[level / 64] & ~bit;
    scan->depth = level + 1;
    scan->object = object;
    return true;
}

enum taken { TAKEN_BAD, TAKEN_VALUE, TAKEN_OPENING, TAKEN_ALL };

/* at is on the bracket that closes the innermost container, which is a value then. */
STEP enum taken
take_closing(struct scan *scan)
{
    scan->at++;
    scan->depth--;
    if (scan->depth == 0) {
        return TAKEN_ALL;
    }
    unsigned level = scan->depth - 1;
    scan->object = (scan->objects[level / 64] >> level % 64 & 1) != 0;
    return scan->at == scan->end ? TAKEN_BAD : TAKEN_VALUE;
}

/* at is on '{' or '['. An empty container is a value; else its first value is expected next. */
STEP enum taken
take_opening(struct scan *scan, bool object)
{
    scan->at++;
    if (!push(scan, object)) {
        return TAKEN_BAD;
    }
    if (peek(scan) == (object ? '}' : ']')) {
        return take_closing(scan);
    }
    return !object || take_key(scan) ? TAKEN_OPENING : TAKEN_BAD;
}

STEP enum taken
take_value(struct scan *scan)
{
    const uint8_t *after = NULL;
    uint8_t c = peek(scan);
    if (c == '"') {
        after = take_string(scan, scan->at + 1);
    } else if ((uint8_t)(c - '0') < 10 || c == '-') {
        after = take_number(scan, scan->at);
    } else if (c == '{' || c == '[') {
        return take_opening(scan, c == '{');
    } else if (c == 't' || c == 'f' || c == 'n') {
        after = take_word(scan->at, scan->end);
    }
    scan->at = after;
    return after == NULL ? TAKEN_BAD : TAKEN_VALUE;
}

/* After a value: closes what ends here, up to where the next value is expected. */
STEP enum taken
take_after_value(struct scan *scan)
{
    for (;;) {
        uint8_t c = peek(scan);
        if (c == ',') {
            scan->at++;
            return !scan->object || take_key(scan) ? TAKEN_OPENING : TAKEN_BAD;
        }
        enum taken taken = c == (scan->object ? '}' : ']') ? take_closing(scan) : TAKEN_BAD;
        if (taken != TAKEN_VALUE) {
            return taken;
        }
    }
}

/* at is on an opening bracket, outside of all containers: take what it opens. */
STEP bool
take_container(struct scan *scan)
{
    enum taken taken = TAKEN_OPENING;
    while (taken == TAKEN_OPENING) {
        taken = take_value(scan);
        if (taken == TAKEN_VALUE) {
            taken = take_after_value(scan);
        }
    }
    return taken == TAKEN_ALL;
}

/* [first, end) begins with an opening bracket and ends with a closing one. */
static enum json_kind
scan_container(const uint8_t *first, const uint8_t *end)
{
    struct scan scan;
    scan.first = scan.at = first;
    scan.end = end;
    scan.lines = scan.newline = scan.object = false;
    scan.depth = 0;
    memset(scan.objects, 0, sizeof scan.objects);
    json_block_load(&scan.block, first, first, end);
    if (!take_container(&scan) || scan.at != end) {
        return JSON_NOT;
    }
    return scan.newline ? JSON_MULTILINE : JSON_ONE_LINE;
}

/* ---- lines ---- */

/* at is on a line's begin: go behind its line feed. False: it may be valid all the same. Near the
 * end of the text nothing is tried. */
STEP bool
take_alike(struct scan *scan, const struct json_shape *shape)
{
    const uint8_t *at = scan->at;
    for (unsigned i = 0;; i++) {
        size_t len = shape->before[i].len;
        if ((size_t)(scan->end - at) < len + 16 ||
            !json_same(at, shape->text + shape->before[i].at, len)) {
            return false;
        }
        at += len;
        if (i == shape->n) {
            scan->at = at;
            return true;
        }
        if (*at == '"') {
            at = take_string(scan, at + 1);
        } else if ((uint8_t)(*at - '0') < 10 || *at == '-') {
            at = take_number(scan, at);
        } else if (*at == 't' || *at == 'f' || *at == 'n') {
            at = take_word(at, scan->end);
        } else {
            return false;
        }
        if (at == NULL) {
            return false;
        }
    }
}

/* Take the line that at is on the begin of, with its line feed. */
STEP bool
take_line(struct scan *scan, struct json_shape *shape)
{
    const uint8_t *line = scan->at;
    struct json_block block = scan->block;
    bool tried = json_shape_is_due(shape);
    if (tried && take_alike(scan, shape)) {
        json_shape_hit(shape);
        return true;
    }
    scan->at = line;
    scan->block = block;
    scan->depth = 0;
    if ((*line != '{' && *line != '[') || !take_container(scan) || *scan->at != '\n') {
        return false;
    }
    json_shape_learn_from(shape, tried, line, scan->at);
    scan->at++;
    return true;
}

/* Line after line without a look for where each ends: that is behind its last bracket, or it is
 * none of these lines. The last byte is a line feed, which nothing but a line's end may be, so no
 * step goes past it. */
size_t
json_lines(const char *text, size_t len, size_t most, uint64_t *count)
{
    struct scan scan;
    struct json_shape shape;
    const uint8_t *line = (const uint8_t *)text;
    *count = 0;
    if (len == 0) {
        return 0;
    }
    assert(text[len - 1] == '\n');
    scan.first = scan.at = line;
    scan.end = line + len;
    scan.lines = true;
    scan.newline = scan.object = false;
    memset(scan.objects, 0, sizeof scan.objects);
    json_block_load(&scan.block, line, line, scan.end);
    json_shape_init(&shape);
    while (line < scan.end && take_line(&scan, &shape) && (size_t)(scan.at - line) - 1 <= most) {
        line = scan.at;
        ++*count;
    }
    return (size_t)(line - (const uint8_t *)text);
}

static enum json_kind
scan_scalar(const uint8_t *first, const uint8_t *end)
{
    struct scan scan = {.first = first, .end = end};
    const uint8_t *after = NULL;
    if (*first == '"') {
        json_block_load(&scan.block, first, first, end);
        after = take_string(&scan, first + 1);
    } else if ((uint8_t)(*first - '0') < 10 || *first == '-') {
        after = take_any_number(first, end);
    } else if (*first == 't' || *first == 'f' || *first == 'n') {
        after = take_word(first, end);
    }
    return after == end ? JSON_ONE_LINE : JSON_NOT;
}

enum json_kind
json_scan(const char *text, size_t len, size_t *start, size_t *end)
{
    const uint8_t *first = (const uint8_t *)text;
    const uint8_t *to = first + len;
    bool newline = false;
    const uint8_t *from = skip_spaces(first, to, &newline);
    while (to > from && (to[-1] == ' ' || to[-1] == '\t' || to[-1] == '\n' || to[-1] == '\r')) {
        to--;
    }
    if (from == to) {
        return JSON_NOT;
    }
    enum json_kind kind = JSON_NOT;
    if (*from != '{' && *from != '[') {
        kind = scan_scalar(from, to);
    } else if (to[-1] == '}' || to[-1] == ']') {
        kind = scan_container(from, to);
    }
    if (kind != JSON_NOT) {
        *start = (size_t)(from - first);
        *end = (size_t)(to - first);
    }
    return kind;
}
