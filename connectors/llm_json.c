/* llm_json: slices of checked JSON text. Nothing here checks the grammar again: json_scan did. */
#include "llm_json.h"

#include "../gateway/json.h"

#include <string.h>

static bool
is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static size_t
skip_space(struct llm_value in, size_t i)
{
    while (i < in.len && is_space(in.at[i])) {
        i++;
    }
    return i;
}

/* Behind the string whose opening quote is at i. Its end is the first quote behind an even number
 * of backslashes. */
static size_t
skip_string(struct llm_value in, size_t i)
{
    const char *begin = in.at + i + 1, *end = in.at + in.len;
    const char *quote = begin;
    while (quote < end && (quote = memchr(quote, '"', (size_t)(end - quote))) != NULL) {
        const char *back = quote;
        while (back > begin && back[-1] == '\\') {
            back--;
        }
        quote++;
        if ((quote - 1 - back) % 2 == 0) {
            return (size_t)(quote - in.at);
        }
    }
    return in.len;
}

static bool
ends_word(char c)
{
    return c == ',' || c == ']' || c == '}' || is_space(c);
}

/* Behind the value that begins at i. */
static size_t
skip_value(struct llm_value in, size_t i)
{
    size_t depth = 0;
    while (i < in.len) {
        char c = in.at[i];
        if (c == '"') {
            i = skip_string(in, i);
        } else if (c == '{' || c == '[') {
            depth++;
            i++;
        } else if (depth > 0) {
            depth -= c == '}' || c == ']';
            i++;
        } else { /* a number or a word */
            while (i < in.len && !ends_word(in.at[i])) {
                i++;
            }
        }
        if (depth == 0) {
            break;
        }
    }
    return i;
}

struct llm_value
llm_json_root(const char *text, size_t len)
{
    size_t start, end;
    if (len == 0 || json_scan(text, len, &start, &end) == JSON_NOT) { /* text may be NULL then */
        return (struct llm_value){NULL, 0};
    }
    return (struct llm_value){text + start, end - start};
}

static bool
begins(struct llm_value value, char c)
{
    return value.at != NULL && value.at[0] == c;
}

bool
llm_json_is_string(struct llm_value value)
{
    return begins(value, '"');
}

bool
llm_json_is_object(struct llm_value value)
{
    return begins(value, '{');
}

bool
llm_json_is_array(struct llm_value value)
{
    return begins(value, '[');
}

bool
llm_json_is_null(struct llm_value value)
{
    return value.at == NULL || value.at[0] == 'n';
}

bool
llm_json_is_true(struct llm_value value)
{
    return begins(value, 't');
}

/* The next value of a container, from iter on; false: there is none. */
static bool
next_value(struct llm_value in, struct llm_iter *iter, struct llm_value *value)
{
    size_t i = skip_space(in, iter->place == 0 ? 1 : iter->place);
    if (i < in.len && in.at[i] == ',') {
        i = skip_space(in, i + 1);
    }
    if (i + 1 >= in.len) { /* its closing bracket */
        return false;
    }
    iter->place = skip_value(in, i);
    *value = (struct llm_value){in.at + i, iter->place - i};
    return true;
}

bool
llm_json_item(struct llm_value array, struct llm_iter *iter, struct llm_value *item)
{
    return llm_json_is_array(array) && next_value(array, iter, item);
}

bool
llm_json_member(
    struct llm_value object, struct llm_iter *iter, struct llm_value *name, struct llm_value *value)
{
    if (!llm_json_is_object(object) || !next_value(object, iter, name)) {
        return false;
    }
    size_t i = skip_space(object, iter->place); /* the colon */
    i = skip_space(object, i < object.len ? i + 1 : i);
    iter->place = skip_value(object, i);
    *value = (struct llm_value){object.at + i, iter->place - i};
    return true;
}

bool
llm_json_is(struct llm_value value, const char *text)
{
    struct llm_value inside = llm_json_inside(value);
    if (!llm_json_is_string(value)) {
        return false;
    }
    if (inside.at == NULL || memchr(inside.at, '\\', inside.len) == NULL) {
        return inside.len == strlen(text) &&
               memcmp(inside.at == NULL ? "" : inside.at, text, inside.len) == 0;
    }
    struct buf said;
    buf_init(&said);
    llm_json_text(&said, inside);
    bool same = said.len == strlen(text) && memcmp(said.bytes, text, said.len) == 0;
    buf_fini(&said);
    return same;
}

void
llm_json_pick(struct llm_value object, const char *const *names, struct llm_value *values, size_t n)
{
    struct llm_iter iter = {0};
    struct llm_value one, value;
    for (size_t i = 0; i < n; i++) {
        values[i] = (struct llm_value){NULL, 0};
    }
    while (llm_json_member(object, &iter, &one, &value)) {
        char first = one.at[1]; /* if only of its closing quote */
        for (size_t i = 0; i < n; i++) {
            if ((first == names[i][0] || first == '\\') && llm_json_is(one, names[i])) {
                values[i] = value;
                break;
            }
        }
    }
}

struct llm_value
llm_json_get(struct llm_value object, const char *name)
{
    struct llm_value found;
    llm_json_pick(object, &name, &found, 1);
    return found;
}

bool
llm_json_u64(struct llm_value value, uint64_t *number)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < value.len; i++) {
        if (value.at[i] < '0' || value.at[i] > '9' || sum > (UINT64_MAX - 9) / 10) {
            return false;
        }
        sum = sum * 10 + (uint64_t)(value.at[i] - '0');
    }
    *number = value.len == 0 ? *number : sum;
    return value.len > 0;
}

struct llm_value
llm_json_inside(struct llm_value string)
{
    if (!llm_json_is_string(string) || string.len <= 2) {
        return (struct llm_value){NULL, 0};
    }
    return (struct llm_value){string.at + 1, string.len - 2};
}

static unsigned
hex4(const char *at)
{
    unsigned value = 0;
    for (int i = 0; i < 4; i++) {
        char c = at[i];
        unsigned digit = c <= '9' ? (unsigned)(c - '0') : (unsigned)((c | 0x20) - 'a') + 10;
        value = value << 4 | digit;
    }
    return value;
}

static void
add_point(struct buf *out, unsigned point)
{
    if (point < 0x80) {
        buf_addc(out, (char)point);
    } else if (point < 0x800) {
        buf_addc(out, (char)(0xc0 | point >> 6));
        buf_addc(out, (char)(0x80 | (point & 0x3f)));
    } else if (point < 0x10000) {
        buf_addc(out, (char)(0xe0 | point >> 12));
        buf_addc(out, (char)(0x80 | (point >> 6 & 0x3f)));
        buf_addc(out, (char)(0x80 | (point & 0x3f)));
    } else {
        buf_addc(out, (char)(0xf0 | point >> 18));
        buf_addc(out, (char)(0x80 | (point >> 12 & 0x3f)));
        buf_addc(out, (char)(0x80 | (point >> 6 & 0x3f)));
        buf_addc(out, (char)(0x80 | (point & 0x3f)));
    }
}

/* \uXXXX, and the other half of a pair where it follows; behind it. */
static size_t
add_unicode(struct buf *out, struct llm_value in, size_t i)
{
    unsigned unit = hex4(in.at + i + 2);
    i += 6;
    if (unit >= 0xd800 && unit < 0xdc00 && i + 6 <= in.len && in.at[i] == '\\' &&
        in.at[i + 1] == 'u') {
        unsigned low = hex4(in.at + i + 2);
        if (low >= 0xdc00 && low < 0xe000) {
            add_point(out, 0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00));
            return i + 6;
        }
    }
    add_point(out, unit >= 0xd800 && unit < 0xe000 ? 0xfffd : unit);
    return i;
}

void
llm_json_text(struct buf *out, struct llm_value content)
{
    static const char from[] = "bfnrt";
    static const char to[] = "\b\f\n\r\t";
    for (size_t i = 0; i < content.len;) {
        char c = content.at[i];
        if (c != '\\') {
            const char *stop = memchr(content.at + i, '\\', content.len - i);
            size_t n = stop == NULL ? content.len - i : (size_t)(stop - content.at) - i;
            buf_add(out, content.at + i, n);
            i += n;
        } else if (content.at[i + 1] == 'u') {
            i = add_unicode(out, content, i);
        } else {
            const char *found = strchr(from, content.at[i + 1]);
            buf_addc(out, found == NULL ? content.at[i + 1] : to[found - from]);
            i += 2;
        }
    }
}

void
llm_json_add(struct buf *out, struct llm_value value)
{
    json_compact(out, value.at, value.len);
}

void
llm_json_escape(struct buf *out, const char *text, size_t len)
{
    size_t start = out->len;
    json_add_lossy(out, text, len);
    /* Without its quotes. */
    memmove(out->bytes + start, out->bytes + start + 1, out->len - start - 2);
    out->len -= 2;
}
