/* plain_json: see plain_json.h: byte by byte and by recursion. */
#include "plain_json.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

struct plain {
    const uint8_t *at, *end;
    unsigned depth;
    bool newline;
};

static bool value(struct plain *plain);

static void
space(struct plain *plain)
{
    while (plain->at < plain->end && strchr(" \t\r\n", *plain->at) != NULL && *plain->at != 0) {
        plain->newline |= *plain->at == '\n' || *plain->at == '\r';
        plain->at++;
    }
}

static bool
take(struct plain *plain, const char *set)
{
    bool there = plain->at < plain->end && *plain->at != 0 && strchr(set, *plain->at) != NULL;
    plain->at += there;
    return there;
}

static bool
string(struct plain *plain)
{
    if (!take(plain, "\"")) {
        return false;
    }
    while (plain->at < plain->end && *plain->at != '"') {
        size_t left = (size_t)(plain->end - plain->at);
        if (take(plain, "\\")) {
            if (take(plain, "u")) {
                for (int i = 0; i < 4; i++) {
                    if (!take(plain, "0123456789abcdefABCDEF")) {
                        return false;
                    }
                }
            } else if (!take(plain, "\"\\/bfnrt")) {
                return false;
            }
            continue;
        }
        size_t step = json_utf8_length((const char *)plain->at, left);
        if (step == 0 || *plain->at < 0x20) {
            return false;
        }
        plain->at += step;
    }
    return take(plain, "\"");
}

static bool
digits(struct plain *plain)
{
    const uint8_t *from = plain->at;
    while (take(plain, "0123456789")) {
    }
    return plain->at > from;
}

static bool
number(struct plain *plain)
{
    (void)take(plain, "-");
    if (!take(plain, "0") && !digits(plain)) {
        return false;
    }
    if (take(plain, ".") && !digits(plain)) {
        return false;
    }
    if (take(plain, "eE")) {
        (void)take(plain, "+-");
        return digits(plain);
    }
    return true;
}

static bool
container(struct plain *plain, bool object)
{
    const char *close = object ? "}" : "]";
    if (++plain->depth > JSON_DEPTH_MAX) {
        return false;
    }
    space(plain);
    if (!take(plain, close)) {
        do {
            space(plain);
            if (object) {
                if (!string(plain)) {
                    return false;
                }
                space(plain);
                if (!take(plain, ":")) {
                    return false;
                }
            }
            if (!value(plain)) {
                return false;
            }
            space(plain);
        } while (take(plain, ","));
        if (!take(plain, close)) {
            return false;
        }
    }
    plain->depth--;
    return true;
}

static bool
value(struct plain *plain)
{
    static const char *const words[] = {"true", "false", "null"};
    space(plain);
    size_t left = (size_t)(plain->end - plain->at);
    if (left == 0) {
        return false;
    }
    for (size_t i = 0; i < COUNT(words); i++) {
        size_t len = strlen(words[i]);
        if (left >= len && memcmp(plain->at, words[i], len) == 0) {
            plain->at += len;
            return true;
        }
    }
    if (*plain->at == '"') {
        return string(plain);
    }
    bool object = *plain->at == '{';
    return take(plain, "{[") ? container(plain, object) : number(plain);
}

enum json_kind
plain_json_scan(const char *text, size_t len, size_t *start, size_t *end)
{
    const uint8_t *first = (const uint8_t *)text;
    struct plain plain = {first, first + len, 0, false};
    space(&plain);
    plain.newline = false;
    *start = (size_t)(plain.at - first);
    if (!value(&plain)) {
        return JSON_NOT;
    }
    enum json_kind kind = plain.newline ? JSON_MULTILINE : JSON_ONE_LINE;
    *end = (size_t)(plain.at - first);
    space(&plain);
    return plain.at == plain.end ? kind : JSON_NOT;
}

void
plain_json_random(struct buf *out, unsigned *seed, int depth)
{
    static const char *const atoms[] = {"0", "-1.5e-7", "true", "null", "1234567890123", "\"\"",
        "\"\\u00e9\\\"\\\\\"", "\"\xC3\xA9\xF0\x9F\x98\x80\"", "\"\x7F\""};
    static const char *const spaces[] = {"", "", "", "", " ", "\t ", "\n", "\r\n"};
    int kind = rand_r(seed) % (depth > 0 ? 4 : 2);
    buf_adds(out, spaces[rand_r(seed) % 8]);
    if (kind == 0) {
        buf_adds(out, atoms[(size_t)rand_r(seed) % COUNT(atoms)]);
    } else if (kind == 1) {
        buf_addc(out, '"');
        for (int i = rand_r(seed) % 40; i > 0; i--) {
            buf_adds(out, rand_r(seed) % 30 == 0 ? "\\n" : "x");
        }
        buf_addc(out, '"');
    } else {
        buf_addc(out, kind == 2 ? '{' : '[');
        for (int i = 0, n = rand_r(seed) % 5; i < n; i++) {
            buf_adds(out, i == 0 ? "" : ",");
            buf_adds(out, kind == 2 ? "\"name\" :" : "");
            plain_json_random(out, seed, depth - 1);
        }
        buf_addc(out, kind == 2 ? '}' : ']');
    }
    buf_adds(out, spaces[rand_r(seed) % 8]);
}
