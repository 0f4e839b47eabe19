/* json: validate, compact and escape without a tree. Any thread; no state.
 *
 * The scanner has no recursion, so a hostile payload costs no stack: one bit a level says whether
 * that level is an object. Strings are most bytes of most payloads and are skipped many at a time
 * (json_skip.h). */
#include "json.h"

#include "base64.h"
#include "json_skip.h"

#include <stdint.h>
#include <string.h>

/* What a byte can begin where a value is expected; every other byte is 0. */
enum { STARTS_NOTHING, STARTS_STRING, STARTS_OBJECT, STARTS_ARRAY, STARTS_NUMBER, STARTS_WORD };

static const uint8_t starts[256] = {
    ['"'] = STARTS_STRING,
    ['{'] = STARTS_OBJECT,
    ['['] = STARTS_ARRAY,
    ['-'] = STARTS_NUMBER,
    ['0'] = STARTS_NUMBER,
    ['1'] = STARTS_NUMBER,
    ['2'] = STARTS_NUMBER,
    ['3'] = STARTS_NUMBER,
    ['4'] = STARTS_NUMBER,
    ['5'] = STARTS_NUMBER,
    ['6'] = STARTS_NUMBER,
    ['7'] = STARTS_NUMBER,
    ['8'] = STARTS_NUMBER,
    ['9'] = STARTS_NUMBER,
    ['t'] = STARTS_WORD,
    ['f'] = STARTS_WORD,
    ['n'] = STARTS_WORD,
};

struct scan {
    const uint8_t *first;
    const uint8_t *at;
    const uint8_t *end;
    bool newline; /* a CR or LF was skipped inside the text */
    unsigned depth;
    uint64_t objects[JSON_DEPTH_MAX / 64]; /* bit d: the container at depth d + 1 is an object */
};

static inline bool
is_tail(uint8_t c)
{
    return (c & 0xC0) == 0x80;
}

/* Unicode 15, table 3-7: no surrogates, no overlongs, nothing above U+10FFFF. */
static size_t
utf8_length(const uint8_t *at, const uint8_t *end)
{
    size_t room = (size_t)(end - at);
    uint8_t lead = at[0];
    if (lead < 0x80) {
        return 1;
    }
    if (lead < 0xC2 || lead > 0xF4 || room < 2 || !is_tail(at[1])) {
        return 0;
    }
    if (lead < 0xE0) {
        return 2;
    }
    if (room < 3 || !is_tail(at[2])) {
        return 0;
    }
    if (lead < 0xF0) {
        bool overlong = lead == 0xE0 && at[1] < 0xA0;
        bool surrogate = lead == 0xED && at[1] > 0x9F;
        return overlong || surrogate ? 0 : 3;
    }
    bool overlong = lead == 0xF0 && at[1] < 0x90;
    bool too_high = lead == 0xF4 && at[1] > 0x8F;
    return room < 4 || !is_tail(at[3]) || overlong || too_high ? 0 : 4;
}

size_t
json_utf8_length(const char *at, size_t len)
{
    const uint8_t *first = (const uint8_t *)at;
    return utf8_length(first, first + len);
}

bool
json_utf8_valid(const void *bytes, size_t len)
{
    const uint8_t *at = bytes;
    const uint8_t *end = at + len;
    while (at < end) {
        while (end - at >= 8 && (json_load_word(at) & JSON_HIGHS) == 0) {
            at += 8;
        }
        if (at == end) {
            break;
        }
        size_t step = utf8_length(at, end);
        if (step == 0) {
            return false;
        }
        at += step;
    }
    return true;
}

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

/* at is behind the opening quote; returns what follows the closing one, or NULL. */
static inline const uint8_t *
take_string(const uint8_t *first, const uint8_t *at, const uint8_t *end)
{
    for (;;) {
        at = json_skip_plain(first, at, end);
        if (at == end) {
            return NULL;
        }
        if (*at == '"') {
            return at + 1;
        }
        if (*at == '\\') {
            at = take_escape(at, end);
            if (at == NULL) {
                return NULL;
            }
        } else {
            size_t step = *at < 0x20 ? 0 : utf8_length(at, end);
            if (step == 0) {
                return NULL;
            }
            at += step;
        }
    }
}

/* Skips digits; NULL when there is none. */
static inline const uint8_t *
take_digits(const uint8_t *at, const uint8_t *end)
{
    const uint8_t *first = at;
    while (at < end && (uint8_t)(*at - '0') < 10) {
        at++;
    }
    return at == first ? NULL : at;
}

static inline const uint8_t *
take_number(const uint8_t *at, const uint8_t *end)
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

static const uint8_t *
take_word(const uint8_t *at, const uint8_t *end)
{
    const char *word = *at == 't' ? "true" : *at == 'f' ? "false" : "null";
    size_t len = strlen(word);
    return (size_t)(end - at) >= len && memcmp(at, word, len) == 0 ? at + len : NULL;
}

static inline void
skip_space(struct scan *scan)
{
    while (scan->at < scan->end && *scan->at <= ' ') {
        uint8_t c = *scan->at;
        if (c == '\n' || c == '\r') {
            scan->newline = true;
        } else if (c != ' ' && c != '\t') {
            return;
        }
        scan->at++;
    }
}

/* Takes c after white space; false when something else is there. */
static inline bool
take_byte(struct scan *scan, uint8_t c)
{
    skip_space(scan);
    if (scan->at == scan->end || *scan->at != c) {
        return false;
    }
    scan->at++;
    return true;
}

static inline bool
take_key(struct scan *scan)
{
    if (!take_byte(scan, '"')) {
        return false;
    }
    const uint8_t *after = take_string(scan->first, scan->at, scan->end);
    if (after == NULL) {
        return false;
    }
    scan->at = after;
    return take_byte(scan, ':');
}

static inline bool
in_object(const struct scan *scan)
{
    unsigned level = scan->depth - 1;
    return (scan->objects[level / 64] >> level % 64 & 1) != 0;
}

static inline bool
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
    return true;
}

enum taken { TAKEN_BAD, TAKEN_VALUE, TAKEN_OPENING };

/* at is behind '{' or '['. An empty container is a value; else its first value is expected next. */
static inline enum taken
take_opening(struct scan *scan, bool object)
{
    if (!push(scan, object)) {
        return TAKEN_BAD;
    }
    if (take_byte(scan, object ? '}' : ']')) {
        scan->depth--;
        return TAKEN_VALUE;
    }
    return !object || take_key(scan) ? TAKEN_OPENING : TAKEN_BAD;
}

static inline enum taken
take_value(struct scan *scan)
{
    skip_space(scan);
    if (scan->at == scan->end) {
        return TAKEN_BAD;
    }
    const uint8_t *after = NULL;
    switch (starts[*scan->at]) {
    case STARTS_STRING:
        after = take_string(scan->first, scan->at + 1, scan->end);
        break;
    case STARTS_NUMBER:
        after = take_number(scan->at, scan->end);
        break;
    case STARTS_WORD:
        after = take_word(scan->at, scan->end);
        break;
    case STARTS_OBJECT:
        scan->at++;
        return take_opening(scan, true);
    case STARTS_ARRAY:
        scan->at++;
        return take_opening(scan, false);
    default:
        break;
    }
    if (after == NULL) {
        return TAKEN_BAD;
    }
    scan->at = after;
    return TAKEN_VALUE;
}

/* After a value: closes what ends here. True with depth 0 at the end of the text, true with a depth
 * where the next value is expected. */
static inline bool
take_after_value(struct scan *scan)
{
    while (scan->depth != 0) {
        bool object = in_object(scan);
        if (take_byte(scan, ',')) {
            return !object || take_key(scan);
        }
        if (scan->at == scan->end || *scan->at != (object ? '}' : ']')) {
            return false;
        }
        scan->at++;
        scan->depth--;
    }
    return true;
}

enum json_kind
json_scan(const char *text, size_t len, size_t *start, size_t *end)
{
    struct scan scan;
    const uint8_t *first = (const uint8_t *)text;
    scan.first = scan.at = first;
    scan.end = first + len;
    scan.depth = 0;
    memset(scan.objects, 0, sizeof scan.objects);
    skip_space(&scan);
    const uint8_t *from = scan.at;
    scan.newline = false;
    do {
        enum taken taken = take_value(&scan);
        if (taken == TAKEN_BAD || (taken == TAKEN_VALUE && !take_after_value(&scan))) {
            return JSON_NOT;
        }
    } while (scan.depth != 0);
    enum json_kind kind = scan.newline ? JSON_MULTILINE : JSON_ONE_LINE;
    const uint8_t *to = scan.at;
    skip_space(&scan);
    if (scan.at != scan.end) {
        return JSON_NOT;
    }
    *start = (size_t)(from - first);
    *end = (size_t)(to - first);
    return kind;
}

/* The end of the run from at without white space, strings taken whole. The text is valid. */
static const uint8_t *
skip_dense(const uint8_t *at, const uint8_t *end)
{
    while (at<end && * at> ' ') {
        if (*at++ != '"') {
            continue;
        }
        while (*at != '"') {
            at += *at == '\\' ? 2 : 1;
        }
        at++;
    }
    return at;
}

void
json_compact(struct buf *out, const char *text, size_t len)
{
    const uint8_t *at = (const uint8_t *)text;
    const uint8_t *end = at + len;
    while (at < end) {
        const uint8_t *after = skip_dense(at, end);
        buf_add(out, at, (size_t)(after - at));
        at = after;
        while (at < end && *at <= ' ') {
            at++;
        }
    }
}

static void
add_escape(struct buf *out, uint8_t c)
{
    static const char letters[0x20] = {
        ['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f', ['\r'] = 'r'};
    static const char hex[] = "0123456789abcdef";
    char escape[6] = {'\\', (char)c, '0', '0', hex[c >> 4], hex[c & 15]};
    size_t len = 2;
    if (c < 0x20 && letters[c] != '\0') {
        escape[1] = letters[c];
    } else if (c < 0x20 || c == 0x7F) {
        escape[1] = 'u';
        len = 6;
    }
    buf_add(out, escape, len);
}

/* The first byte from at that a JSON string cannot hold as it is; end when there is none. */
static const uint8_t *
skip_unescaped(const uint8_t *at, const uint8_t *end)
{
    while (end - at >= 8) {
        uint64_t word = json_load_word(at);
        uint64_t mask = json_bytes_special(word) | json_bytes_equal(word, 0x7F);
        if (mask != 0) {
            return at + json_first_byte(mask);
        }
        at += 8;
    }
    while (at < end && *at >= 0x20 && *at != '"' && *at != '\\' && *at != 0x7F) {
        at++;
    }
    return at;
}

/* A string's inside. */
static void
add_escaped(struct buf *out, const uint8_t *at, const uint8_t *end)
{
    while (at < end) {
        const uint8_t *after = skip_unescaped(at, end);
        buf_add(out, at, (size_t)(after - at));
        at = after;
        if (at < end) {
            add_escape(out, *at++);
        }
    }
}

void
json_add_string(struct buf *out, const char *bytes, size_t len)
{
    const uint8_t *at = (const uint8_t *)bytes;
    buf_addc(out, '"');
    add_escaped(out, at, at + len);
    buf_addc(out, '"');
}

void
json_add_lossy(struct buf *out, const char *bytes, size_t len)
{
    if (json_utf8_valid(bytes, len)) {
        json_add_string(out, bytes, len);
        return;
    }
    const uint8_t *at = (const uint8_t *)bytes;
    const uint8_t *end = at + len;
    buf_addc(out, '"');
    while (at < end) {
        size_t step = utf8_length(at, end);
        if (step == 0) {
            BUF_LITERAL(out, JSON_REPLACEMENT);
            at++;
        } else {
            add_escaped(out, at, at + step);
            at += step;
        }
    }
    buf_addc(out, '"');
}

void
json_add_base64(struct buf *out, const void *bytes, size_t len)
{
    char *to = buf_reserve(out, BASE64_LEN(len) + 2);
    to[0] = '"';
    size_t used = base64_encode(to + 1, bytes, len);
    to[used + 1] = '"';
    out->len += used + 2;
}

void
json_add_bytes(struct buf *out, const void *bytes, size_t len)
{
    if (json_utf8_valid(bytes, len)) {
        json_add_string(out, bytes, len);
        return;
    }
    BUF_LITERAL(out, "{\"base64\":");
    json_add_base64(out, bytes, len);
    buf_addc(out, '}');
}
