/* sql_value: cursors, and the values of declared parameters. Any thread: no state. */
#include "sql_value.h"

#include "../gateway/clock.h"
#include "../gateway/json.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define CURSOR_VERSION 1

const char *const sql_type_names[] = {
    "text", "integer", "number", "boolean", "timestamp", "date", "uuid", NULL};

static void
add_varint(struct buf *out, uint64_t value)
{
    while (value >= 0x80) {
        buf_addc(out, (char)(value | 0x80));
        value >>= 7;
    }
    buf_addc(out, (char)value);
}

static void
add_double(struct buf *out, double real)
{
    uint64_t bits;
    memcpy(&bits, &real, sizeof bits);
    for (int shift = 56; shift >= 0; shift -= 8) {
        buf_addc(out, (char)(bits >> shift));
    }
}

static int
add_value(struct buf *out, const struct sql_value *value, struct err *err)
{
    switch (value->kind) {
    case SQL_INTEGER:
        buf_addc(out, 'i');
        add_varint(out, ((uint64_t)value->integer << 1) ^ (uint64_t)(value->integer >> 63));
        return 0;
    case SQL_REAL: /* never NaN, which SQLite keeps as NULL; PostgreSQL's reals are texts here */
        buf_addc(out, 'r');
        add_double(out, value->real);
        return 0;
    case SQL_TEXT:
    case SQL_BLOB:
        if (value->len > SQL_CURSOR_MAX) {
            err_set(err, ERR_LIMIT, "the key is longer than %d bytes", SQL_CURSOR_MAX);
            return -1;
        }
        buf_addc(out, value->kind == SQL_TEXT ? 't' : 'b');
        add_varint(out, value->len);
        buf_add(out, value->bytes, value->len);
        return 0;
    case SQL_NULL:
        break;
    }
    err_set(err, ERR_INVALID, "a key column is NULL");
    return -1;
}

int
sql_cursor_encode(struct buf *out, const struct sql_value *values, size_t n, struct err *err)
{
    size_t before = out->len;
    buf_addc(out, CURSOR_VERSION);
    buf_addc(out, (char)n);
    for (size_t i = 0; i < n; i++) {
        if (add_value(out, &values[i], err) != 0) {
            out->len = before;
            return -1;
        }
    }
    if (out->len - before > SQL_CURSOR_MAX) {
        out->len = before;
        err_set(err, ERR_LIMIT, "the key is longer than %d bytes", SQL_CURSOR_MAX);
        return -1;
    }
    return 0;
}

struct reader {
    const unsigned char *at, *end;
};

static bool
read_varint(struct reader *reader, uint64_t *value)
{
    uint64_t result = 0;
    for (unsigned shift = 0; shift < 64 && reader->at < reader->end; shift += 7) {
        unsigned char byte = *reader->at++;
        if (shift == 63 && byte > 1) {
            return false;
        }
        result |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            *value = result;
            return byte != 0 || shift == 0; /* the shortest */
        }
    }
    return false;
}

static bool
read_double(struct reader *reader, double *real)
{
    if (reader->end - reader->at < 8) {
        return false;
    }
    uint64_t bits = 0;
    for (int i = 0; i < 8; i++) {
        bits = bits << 8 | *reader->at++;
    }
    memcpy(real, &bits, sizeof bits);
    return !isnan(*real);
}

static bool
read_bytes(struct reader *reader, struct sql_value *value)
{
    uint64_t len;
    if (!read_varint(reader, &len) || len > (uint64_t)(reader->end - reader->at)) {
        return false;
    }
    value->bytes = (const char *)reader->at;
    value->len = (size_t)len;
    reader->at += len;
    return true;
}

static bool
read_value(struct reader *reader, struct sql_value *value)
{
    *value = (struct sql_value){.type = SQL_TYPE_ANY};
    if (reader->at == reader->end) {
        return false;
    }
    uint64_t zigzag;
    switch (*reader->at++) {
    case 'i':
        value->kind = SQL_INTEGER;
        if (!read_varint(reader, &zigzag)) {
            return false;
        }
        value->integer = (int64_t)(zigzag >> 1) ^ -(int64_t)(zigzag & 1);
        return true;
    case 'r':
        value->kind = SQL_REAL;
        return read_double(reader, &value->real);
    case 't':
        value->kind = SQL_TEXT;
        return read_bytes(reader, value);
    case 'b':
        value->kind = SQL_BLOB;
        return read_bytes(reader, value);
    default:
        return false;
    }
}

int
sql_cursor_decode(
    const void *bytes, size_t len, struct sql_value *values, size_t n, struct err *err)
{
    struct reader reader = {bytes, (const unsigned char *)bytes + len};
    bool good = len >= 2 && len <= SQL_CURSOR_MAX && reader.at[0] == CURSOR_VERSION &&
                reader.at[1] == n && n <= SQL_KEY_MAX;
    struct sql_value found[SQL_KEY_MAX];
    reader.at += good ? 2 : 0;
    for (size_t i = 0; good && i < n; i++) {
        good = read_value(&reader, &found[i]);
    }
    if (!good || reader.at != reader.end) {
        err_set(err, ERR_INVALID, "the token does not hold this stream's key");
        return -1;
    }
    memcpy(values, found, n * sizeof *values);
    return 0;
}

static bool
parse_integer(const char *text, int64_t *integer)
{
    const char *digits = text + (text[0] == '-');
    if (!isdigit((unsigned char)digits[0])) {
        return false;
    }
    char *end;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    *integer = value;
    return errno == 0 && *end == '\0';
}

/* JSON's grammar of a number, which every database reads alike. */
static bool
is_number(const char *text)
{
    size_t start, end;
    size_t len = strlen(text);
    return (isdigit((unsigned char)text[0]) || text[0] == '-') &&
           json_scan(text, len, &start, &end) == JSON_ONE_LINE && start == 0 && end == len;
}

static bool
is_date(const char *text)
{
    char whole[40];
    int64_t ignored;
    if (strlen(text) != 10) {
        return false;
    }
    memcpy(whole, text, 10);
    memcpy(whole + 10, "T00:00:00Z", 11);
    return clock_parse_rfc3339(whole, &ignored) == 0;
}

static bool
is_uuid(const char *text)
{
    for (size_t i = 0; i < 36; i++) {
        bool dash = i == 8 || i == 13 || i == 18 || i == 23;
        if (dash ? text[i] != '-' : !isxdigit((unsigned char)text[i])) {
            return false; /* the NUL too */
        }
    }
    return text[36] == '\0';
}

static bool
parse_boolean(const char *text, int64_t *integer)
{
    *integer = strcmp(text, "true") == 0 || strcmp(text, "1") == 0;
    return *integer == 1 || strcmp(text, "false") == 0 || strcmp(text, "0") == 0;
}

int
sql_value_parse(struct sql_value *value, enum sql_type type, const char *text, struct err *err)
{
    static const char *const wanted[] = {
        [SQL_TYPE_TEXT] = "text of at most 4096 bytes of UTF-8",
        [SQL_TYPE_INTEGER] = "a whole number of 64 bits",
        [SQL_TYPE_NUMBER] = "a number",
        [SQL_TYPE_BOOLEAN] = "true or false",
        [SQL_TYPE_TIMESTAMP] = "an RFC 3339 time such as 2026-01-31T12:00:00Z",
        [SQL_TYPE_DATE] = "a date such as 2026-01-31",
        [SQL_TYPE_UUID] = "a UUID",
    };
    struct sql_value found = {.kind = SQL_TEXT, .type = type, .bytes = text, .len = strlen(text)};
    int64_t ignored;
    bool good = found.len <= SQL_TEXT_MAX;
    switch (type) {
    case SQL_TYPE_TEXT:
    case SQL_TYPE_ANY:
        good = good && json_utf8_valid(text, found.len);
        break;
    case SQL_TYPE_INTEGER:
        found.kind = SQL_INTEGER;
        good = good && parse_integer(text, &found.integer);
        break;
    case SQL_TYPE_NUMBER:
        good = good && is_number(text);
        break;
    case SQL_TYPE_BOOLEAN:
        found.kind = SQL_INTEGER;
        good = good && parse_boolean(text, &found.integer);
        break;
    case SQL_TYPE_TIMESTAMP:
        good = good && clock_parse_rfc3339(text, &ignored) == 0;
        break;
    case SQL_TYPE_DATE:
        good = good && is_date(text);
        break;
    case SQL_TYPE_UUID:
        good = good && is_uuid(text);
        break;
    }
    if (!good) {
        err_set(
            err, ERR_INVALID, "must be %s", wanted[type == SQL_TYPE_ANY ? SQL_TYPE_TEXT : type]);
        return -1;
    }
    *value = found;
    return 0;
}
