/* filter_eval: comparisons on a JSON text that is known to be valid, in one pass and without a
 * tree. Any thread; no state.
 *
 * A set of comparisons is a bit mask. The walk goes down only where a pointer leads; everything
 * else is skipped. It recurses as deep as pointers are, not as the payload is. */
#include "filter_internal.h"

#include <string.h>

struct walk {
    const struct filter *filter;
    const char *end;
    unsigned holds; /* comparisons that hold by what was seen so far */
};

enum filter_kind
filter_eval_kind(char first)
{
    switch (first) {
    case '"':
        return FILTER_STRING;
    case '{':
    case '[':
        return FILTER_CONTAINER;
    case 't':
        return FILTER_TRUE;
    case 'f':
        return FILTER_FALSE;
    case 'n':
        return FILTER_NULL;
    default:
        return FILTER_NUMBER;
    }
}

/* ---- strings ---- */

static unsigned
hex4(const char *at)
{
    unsigned value = 0;
    for (int i = 0; i < 4; i++) {
        unsigned char c = (unsigned char)at[i];
        value = value << 4 | (c <= '9' ? c - 48u : (c | 0x20u) - 87u);
    }
    return value;
}

static size_t
put_utf8(char out[4], unsigned c)
{
    static const unsigned char leads[] = {0, 0, 0xC0, 0xE0, 0xF0};
    size_t len = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    for (size_t i = len; i-- > 1; c >>= 6) {
        out[i] = (char)(0x80 | (c & 0x3F));
    }
    out[0] = (char)(leads[len] | c);
    return len;
}

static char
unescape_letter(char letter)
{
    static const char letters[] = "bfnrt";
    static const char bytes[] = "\b\f\n\r\t";
    const char *found = strchr(letters, letter);
    return found == NULL ? letter : bytes[found - letters];
}

size_t
filter_eval_unescape(const char **at, const char *end, char out[4])
{
    const char *c = *at;
    if (*c != '\\') {
        *at = c + 1;
        out[0] = *c;
        return 1;
    }
    if (c[1] != 'u') {
        *at = c + 2;
        out[0] = unescape_letter(c[1]);
        return 1;
    }
    unsigned unit = hex4(c + 2);
    *at = c + 6;
    if (unit >= 0xD800 && unit < 0xDC00 && end - c >= 12 && c[6] == '\\' && c[7] == 'u') {
        unsigned low = hex4(c + 8);
        if (low >= 0xDC00 && low < 0xE000) {
            *at = c + 12;
            unit = 0x10000 + ((unit - 0xD800) << 10) + (low - 0xDC00);
        }
    }
    return put_utf8(out, unit);
}

static int
order_bytes(const char *a, size_t a_len, const char *b, size_t b_len)
{
    int order = memcmp(a, b, a_len < b_len ? a_len : b_len);
    return order != 0 ? order : (a_len > b_len) - (a_len < b_len);
}

/* The inside of a JSON string against plain bytes. */
int
filter_eval_order_string(const char *at, const char *end, const char *plain, size_t len)
{
    if (memchr(at, '\\', (size_t)(end - at)) == NULL) {
        return order_bytes(at, (size_t)(end - at), plain, len);
    }
    while (at < end) {
        char out[4];
        size_t n = filter_eval_unescape(&at, end, out);
        size_t common = n < len ? n : len;
        int order = memcmp(out, plain, common);
        if (order != 0) {
            return order;
        }
        if (n > len) {
            return 1;
        }
        plain += n;
        len -= n;
    }
    return len == 0 ? 0 : -1;
}

/* ---- numbers ---- */

/* 0.D1D2D3... times ten to the exponent; D1 is not 0, and digits is NULL when the number is 0. */
struct decimal {
    bool negative;
    const char *digits;
    const char *end;
    int64_t exponent;
};

/* Exponents beyond this are as good as infinite; sums with digits' counts stay in an int64_t. */
#define EXPONENT_MAX (INT64_C(1) << 60)

static int64_t
exponent_of(const char *at, const char *end)
{
    bool negative = *at == '-';
    int64_t value = 0;
    for (at += *at == '-' || *at == '+'; at < end && value < EXPONENT_MAX / 10; at++) {
        value = value * 10 + (*at - '0');
    }
    return negative ? -value : value;
}

static struct decimal
decimal_of(const char *at, size_t len)
{
    struct decimal number = {.negative = *at == '-', .end = at + len};
    const char *point = NULL;
    const char *c = at + number.negative;
    for (; c < at + len && (*c | 0x20) != 'e'; c++) {
        if (*c == '.') {
            point = c;
        } else if (*c != '0' && number.digits == NULL) {
            number.digits = c;
        }
    }
    number.end = c;
    if (number.digits == NULL) {
        number.negative = false;
        return number;
    }
    const char *ones = point == NULL ? c : point;
    number.exponent = ones - number.digits + (number.digits > ones);
    if (c < at + len) {
        number.exponent += exponent_of(c + 1, at + len);
    }
    return number;
}

/* The next digit, 0 behind the last one. */
static char
next_digit(struct decimal *number)
{
    number->digits += number->digits < number->end && *number->digits == '.';
    return number->digits < number->end ? *number->digits++ : '0';
}

static int
order_magnitude(struct decimal a, struct decimal b)
{
    if (a.exponent != b.exponent) {
        return a.exponent < b.exponent ? -1 : 1;
    }
    while (a.digits < a.end || b.digits < b.end) {
        char digit_a = next_digit(&a);
        char digit_b = next_digit(&b);
        if (digit_a != digit_b) {
            return digit_a < digit_b ? -1 : 1;
        }
    }
    return 0;
}

static int
order_number(const char *a_text, size_t a_len, const char *b_text, size_t b_len)
{
    struct decimal a = decimal_of(a_text, a_len);
    struct decimal b = decimal_of(b_text, b_len);
    int sign_a = a.digits == NULL ? 0 : a.negative ? -1 : 1;
    int sign_b = b.digits == NULL ? 0 : b.negative ? -1 : 1;
    if (sign_a != sign_b || sign_a == 0) {
        return (sign_a > sign_b) - (sign_a < sign_b);
    }
    return sign_a * order_magnitude(a, b);
}

/* ---- one comparison ---- */

static bool
order_holds(enum filter_op op, int order)
{
    switch (op) {
    case FILTER_EQ:
        return order == 0;
    case FILTER_NE:
        return order != 0;
    case FILTER_LT:
        return order < 0;
    case FILTER_LE:
        return order <= 0;
    case FILTER_GT:
        return order > 0;
    case FILTER_GE:
        return order >= 0;
    }
    return false;
}

static bool
holds(const struct filter_where *where, const char *at, const char *end)
{
    enum filter_kind kind = filter_eval_kind(*at);
    if (kind != where->kind) {
        return where->op == FILTER_NE;
    }
    if (kind == FILTER_STRING) {
        return order_holds(where->op,
            filter_eval_order_string(at + 1, end - 1, where->literal, where->literal_len));
    }
    if (kind == FILTER_NUMBER) {
        return order_holds(
            where->op, order_number(at, (size_t)(end - at), where->literal, where->literal_len));
    }
    return where->op == FILTER_EQ; /* true, false and null have no order */
}

/* ---- the walk ---- */

const char *
filter_eval_skip_space(const char *at, const char *end)
{
    while (at < end && (*at == ' ' || *at == '\t' || *at == '\n' || *at == '\r')) {
        at++;
    }
    return at;
}

/* at is on the opening quote; returns what follows the closing one: the first quote with an even
 * number of backslashes before it. */
const char *
filter_eval_skip_string(const char *at, const char *end)
{
    for (const char *from = at + 1;;) {
        const char *quote = memchr(from, '"', (size_t)(end - from));
        const char *slash = quote;
        while (slash[-1] == '\\') {
            slash--;
        }
        from = quote + 1;
        if ((quote - slash) % 2 == 0) {
            return from;
        }
    }
}

static const char *
skip_container(const char *at, const char *end)
{
    size_t depth = 0;
    do {
        switch (*at) {
        case '"':
            at = filter_eval_skip_string(at, end);
            continue;
        case '{':
        case '[':
            depth++;
            break;
        case '}':
        case ']':
            depth--;
            break;
        default:
            break;
        }
        at++;
    } while (depth > 0);
    return at;
}

const char *
filter_eval_skip_value(const char *at, const char *end)
{
    switch (filter_eval_kind(*at)) {
    case FILTER_STRING:
        return filter_eval_skip_string(at, end);
    case FILTER_CONTAINER:
        return skip_container(at, end);
    case FILTER_TRUE:
    case FILTER_NULL:
        return at + 4;
    case FILTER_FALSE:
        return at + 5;
    case FILTER_NUMBER:
        break;
    }
    while (at < end && strchr("+-.0123456789Ee", *at) != NULL) {
        at++;
    }
    return at;
}

static const char *walk_value(struct walk *walk, const char *at, unsigned mask, unsigned depth);

/* Those of mask whose token at depth is the member's name. */
static unsigned
named(const struct walk *walk, unsigned mask, unsigned depth, const char *name, const char *end)
{
    unsigned found = 0;
    for (unsigned rest = mask; rest != 0; rest &= rest - 1) {
        unsigned i = (unsigned)__builtin_ctz(rest);
        const struct filter_token *token = &walk->filter->wheres[i]->tokens[depth];
        found |= filter_eval_order_string(name, end, token->name, token->len) == 0 ? 1u << i : 0;
    }
    return found;
}

static unsigned
indexed(const struct walk *walk, unsigned mask, unsigned depth, uint64_t index)
{
    unsigned found = 0;
    for (unsigned rest = mask; rest != 0; rest &= rest - 1) {
        unsigned i = (unsigned)__builtin_ctz(rest);
        found |= walk->filter->wheres[i]->tokens[depth].index == index ? 1u << i : 0;
    }
    return found;
}

/* at is behind the '{' or '[' of a container at depth. */
static const char *
walk_container(struct walk *walk, const char *at, unsigned mask, unsigned depth, bool object)
{
    const char *end = walk->end;
    at = filter_eval_skip_space(at, end);
    for (uint64_t index = 0; *at != '}' && *at != ']'; index++) {
        unsigned inner;
        if (object) {
            const char *behind = filter_eval_skip_string(at, end);
            inner = named(walk, mask, depth, at + 1, behind - 1);
            at = filter_eval_skip_space(filter_eval_skip_space(behind, end) + 1, end);
        } else {
            inner = indexed(walk, mask, depth, index);
        }
        if (inner == 0) {
            at = filter_eval_skip_value(at, end);
        } else { /* an earlier member of this name is forgotten: below it all is missing again */
            walk->holds = (walk->holds & ~inner) | (inner & walk->filter->unequal);
            at = walk_value(walk, at, inner, depth + 1);
        }
        at = filter_eval_skip_space(at, end);
        if (*at == ',') {
            at = filter_eval_skip_space(at + 1, end);
        }
    }
    return at + 1;
}

/* The pointers in mask lead to the value at at by depth tokens; some end here, some go on. */
static const char *
walk_value(struct walk *walk, const char *at, unsigned mask, unsigned depth)
{
    unsigned here = mask & walk->filter->ends[depth];
    unsigned below = mask & ~here;
    const char *end = below != 0 && (*at == '{' || *at == '[')
                          ? walk_container(walk, at + 1, below, depth, *at == '{')
                          : filter_eval_skip_value(at, walk->end);
    for (unsigned rest = here; rest != 0; rest &= rest - 1) {
        unsigned i = (unsigned)__builtin_ctz(rest);
        bool good = holds(walk->filter->wheres[i], at, end);
        walk->holds = good ? walk->holds | 1u << i : walk->holds & ~(1u << i);
    }
    return end;
}

bool
filter_eval_all(const struct filter *filter, const char *json, size_t len)
{
    struct walk walk = {.filter = filter, .end = json + len, .holds = filter->unequal};
    unsigned all = (1u << filter->n_wheres) - 1;
    walk_value(&walk, filter_eval_skip_space(json, walk.end), all, 0);
    return walk.holds == all;
}
