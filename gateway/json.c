/* json: compact, escape, and what is UTF-8. The scanner is in json_scan.c. Any thread; no state. */
#include "json.h"

#include "base64.h"
#include "json_block.h"

#include <stdint.h>
#include <string.h>

#define HIGHS (JSON_ONES * 0x80)

/* The high bit of each byte that equals c. Bytes above the first hit may be false: a borrow. */
static inline uint64_t
bytes_equal(uint64_t word, uint8_t c)
{
    uint64_t diff = word ^ (JSON_ONES * c);
    return (diff - JSON_ONES) & ~diff & HIGHS;
}

/* The high bit of each byte below 0x20, quote or backslash; exact up to the first hit. */
static inline uint64_t
bytes_special(uint64_t word)
{
    uint64_t control = (word - JSON_ONES * 0x20) & ~word & HIGHS;
    return control | bytes_equal(word, '"') | bytes_equal(word, '\\');
}

static inline size_t
first_byte(uint64_t mask)
{
    return (size_t)__builtin_ctzll(mask) / 8;
}

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
        while (end - at >= 8 && (json_load_word(at) & HIGHS) == 0) {
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
        uint64_t mask = bytes_special(word) | bytes_equal(word, 0x7F);
        if (mask != 0) {
            return at + first_byte(mask);
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
