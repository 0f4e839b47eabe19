/* sql_pg_types: see the header. PostgreSQL manual, chapter 8, for what the texts look like. */
#include "sql_pg_types.h"

#include "../gateway/base64.h"
#include "../gateway/json.h"
#include "../gateway/mem.h"

#include <stdlib.h>
#include <string.h>

#define ARRAY_DEPTH_MAX 6 /* PostgreSQL's MAXDIM */

bool
pg_type_known(unsigned type, unsigned *element)
{
    static const struct {
        unsigned type, array;
    } known[] = {{PG_BOOL, 1000}, {PG_BYTEA, 1001}, {PG_INT8, 1016}, {PG_INT2, 1005},
        {PG_INT4, 1007}, {PG_TEXT, 1009}, {PG_OID, 1028}, {PG_JSON, 199}, {PG_FLOAT4, 1021},
        {PG_FLOAT8, 1022}, {PG_BPCHAR, 1014}, {PG_VARCHAR, 1015}, {PG_DATE, 1182},
        {PG_TIMESTAMP, 1115}, {PG_TIMESTAMPTZ, 1185}, {PG_NUMERIC, 1231}, {PG_UUID, 2951},
        {PG_JSONB, 3807}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (known[i].type == type || known[i].array == type) {
            *element = known[i].array == type ? known[i].type : 0;
            return true;
        }
    }
    return false;
}

static bool
is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* 12, -0.5, 1e+20; NaN and Infinity are none in JSON. */
static void
add_number(struct buf *out, const char *text, size_t len)
{
    size_t start, end;
    bool number = len > 0 && (is_digit(text[0]) || text[0] == '-') &&
                  json_scan(text, len, &start, &end) == JSON_ONE_LINE && end == len;
    if (number) {
        buf_add(out, text, len);
    } else {
        json_add_lossy(out, text, len);
    }
}

/* -1: no hexadecimal digit. */
static int
hex(char c)
{
    return is_digit(c) ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* \x and two hexadecimal digits a byte, as base64. */
static void
add_bytea(struct buf *out, const char *text, size_t len)
{
    bool good = len >= 2 && text[0] == '\\' && text[1] == 'x' && len % 2 == 0;
    size_t n = good ? (len - 2) / 2 : 0;
    char *bytes = mem_alloc(n + 1);
    for (size_t i = 0; good && i < n; i++) {
        int high = hex(text[2 + 2 * i]);
        int low = hex(text[3 + 2 * i]);
        good = high >= 0 && low >= 0;
        bytes[i] = good ? (char)(high * 16 + low) : '\0';
    }
    if (good) {
        json_add_base64(out, bytes, n);
    } else {
        json_add_lossy(out, text, len);
    }
    free(bytes);
}

/* 2026-01-31 12:00:00.5+00 is 2026-01-31T12:00:00.5Z; infinity and other eras stay what they are.
 */
static void
add_timestamp(struct buf *out, const char *text, size_t len, bool zoned)
{
    bool plain = len >= 19 && is_digit(text[0]) && text[4] == '-' && text[10] == ' ' &&
                 text[13] == ':' && strspn(text, "0123456789-:. +") == len;
    if (!plain) {
        json_add_lossy(out, text, len);
        return;
    }
    bool utc = zoned && memcmp(text + len - 3, "+00", 3) == 0;
    buf_addc(out, '"');
    buf_add(out, text, 10);
    buf_addc(out, 'T');
    buf_add(out, text + 11, len - 11 - (utc ? 3 : 0));
    buf_adds(out, utc ? "Z\"" : "\"");
}

static void
add_json_value(struct buf *out, const char *text, size_t len)
{
    size_t start, end;
    switch (json_scan(text, len, &start, &end)) {
    case JSON_ONE_LINE:
        buf_add(out, text + start, end - start);
        break;
    case JSON_MULTILINE:
        json_compact(out, text, len);
        break;
    case JSON_NOT:
        json_add_lossy(out, text, len);
        break;
    }
}

static void
add_scalar(struct buf *out, unsigned type, const char *text, size_t len)
{
    switch (type) {
    case PG_BOOL:
        buf_adds(out, text[0] == 't' ? "true" : "false");
        break;
    case PG_INT8:
    case PG_INT2:
    case PG_INT4:
    case PG_OID:
    case PG_FLOAT4:
    case PG_FLOAT8:
    case PG_NUMERIC:
        add_number(out, text, len);
        break;
    case PG_BYTEA:
        add_bytea(out, text, len);
        break;
    case PG_JSON:
    case PG_JSONB:
        add_json_value(out, text, len);
        break;
    case PG_TIMESTAMP:
    case PG_TIMESTAMPTZ:
        add_timestamp(out, text, len, type == PG_TIMESTAMPTZ);
        break;
    default:
        json_add_lossy(out, text, len);
        break;
    }
}

/* ---- arrays: {1,NULL,"a \"b\"",{...}}; [2:3]={...} where they do not begin at 1 ---- */

struct array {
    const char *at, *end;
    unsigned element;
    char delimiter;
    struct buf *out;
    struct buf *item; /* one element without its quotes */
};

static bool add_array(struct array *array, int depth);

static bool
read_quoted(struct array *array)
{
    array->item->len = 0;
    for (array->at++; array->at < array->end && *array->at != '"'; array->at++) {
        if (*array->at == '\\' && ++array->at == array->end) {
            return false;
        }
        buf_addc(array->item, *array->at);
    }
    if (array->at == array->end) {
        return false;
    }
    array->at++;
    return true;
}

static void
add_item(struct array *array)
{
    size_t len = array->item->len;
    buf_addc(array->item, '\0');
    add_scalar(array->out, array->element, array->item->bytes, len);
}

static bool
add_element(struct array *array, int depth)
{
    if (*array->at == '{') {
        return add_array(array, depth + 1);
    }
    if (*array->at == '"') {
        bool whole = read_quoted(array);
        if (whole) {
            add_item(array);
        }
        return whole;
    }
    const char *from = array->at;
    while (array->at < array->end && *array->at != array->delimiter && *array->at != '}') {
        array->at++;
    }
    size_t len = (size_t)(array->at - from);
    if (len == 4 && memcmp(from, "NULL", 4) == 0) {
        BUF_LITERAL(array->out, "null");
        return true;
    }
    array->item->len = 0;
    buf_add(array->item, from, len);
    add_item(array);
    return len > 0;
}

/* NOLINTNEXTLINE(misc-no-recursion): ARRAY_DEPTH_MAX levels */
static bool
add_array(struct array *array, int depth)
{
    if (depth > ARRAY_DEPTH_MAX) {
        return false;
    }
    buf_addc(array->out, '[');
    array->at++;
    if (array->at < array->end && *array->at == '}') {
        array->at++;
        buf_addc(array->out, ']');
        return true;
    }
    while (array->at < array->end && add_element(array, depth) && array->at < array->end) {
        char c = *array->at++;
        if (c == '}') {
            buf_addc(array->out, ']');
            return true;
        }
        if (c != array->delimiter) {
            return false;
        }
        buf_addc(array->out, ',');
    }
    return false;
}

static void
add_whole_array(struct buf *out, const struct sql_column *column, const char *text, size_t len)
{
    const char *brace = text[0] == '[' ? memchr(text, '{', len) : text;
    struct buf item;
    buf_init(&item);
    size_t before = out->len;
    struct array array = {.at = brace,
        .end = text + len,
        .element = column->element,
        .delimiter = column->delimiter,
        .out = out,
        .item = &item};
    if (brace == NULL || *brace != '{' || !add_array(&array, 1) || array.at != array.end) {
        out->len = before;
        json_add_lossy(out, text, len);
    }
    buf_fini(&item);
}

void
pg_add_json(struct buf *out, const struct sql_column *column, const char *text, size_t len)
{
    if (column->element != 0) {
        add_whole_array(out, column, text, len);
    } else {
        add_scalar(out, column->type, text, len);
    }
}
