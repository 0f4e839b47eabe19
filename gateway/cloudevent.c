/* cloudevent: events out of the text that a record already is. What is read here is valid JSON:
 * json_scan has seen the payload, and the rest is our own. Any thread. */
#include "cloudevent.h"

#include "clock.h"
#include "json.h"

#include <assert.h>
#include <string.h>

struct piece {
    const char *at;
    size_t len;
};

static bool
is(struct piece piece, const char *text)
{
    return piece.len == strlen(text) && memcmp(piece.at, text, piece.len) == 0;
}

/* ---- members of an object ---- */

static const char *
skip_space(const char *at, const char *end)
{
    while (at < end && (*at == ' ' || *at == '\t')) {
        at++;
    }
    return at;
}

static const char *
skip_string(const char *at)
{
    for (at++; *at != '"'; at++) {
        at += *at == '\\';
    }
    return at + 1;
}

static const char *
skip_value(const char *at, const char *end)
{
    size_t depth = 0;
    while (at < end) {
        if (*at == '"') {
            at = skip_string(at);
        } else {
            depth += *at == '{' || *at == '[';
            if (depth == 0 && (*at == ',' || *at == '}')) {
                return at;
            }
            depth -= *at == '}' || *at == ']';
            at++;
        }
        if (depth == 0 && (at[-1] == '"' || at[-1] == '}' || at[-1] == ']')) {
            return at;
        }
    }
    return at;
}

/* The next member of an object, from behind its brace or the member before. name is without its
 * quotes, value as it stands. False at the end. */
static bool
next_member(const char **at, const char *end, struct piece *name, struct piece *value)
{
    const char *p = skip_space(*at, end);
    if (*p == ',') {
        p = skip_space(p + 1, end);
    }
    if (*p != '"') {
        return false;
    }
    const char *past = skip_string(p);
    *name = (struct piece){p + 1, (size_t)(past - p) - 2};
    p = skip_space(past, end);
    p = skip_space(p + 1, end); /* the colon */
    past = skip_value(p, end);
    *value = (struct piece){p, (size_t)(past - p)};
    while (
        value->len > 0 && (value->at[value->len - 1] == ' ' || value->at[value->len - 1] == '\t')) {
        value->len--; /* behind a number or a word */
    }
    *at = past;
    return true;
}

static bool
is_text(struct piece value)
{
    return value.len > 2 && value.at[0] == '"';
}

/* ---- the parts of a record ---- */

static struct piece
data_of(const struct record *record)
{
    return (struct piece){record->text + record->data_off, record->data_len};
}

/* The payload stands in the text as base64: ,"data_base64": and not ,"data": comes before it. */
static bool
is_base64(const struct record *record)
{
    return record->text[record->data_off - 3] == '4';
}

static struct piece
headers_of(const struct record *record)
{
    static const char head[] = ",\"headers\":";
    size_t at = record->head_len + sizeof head - 1;
    return (struct piece){record->text + at, record->headers_end - at};
}

static void
add_token(struct buf *out, const struct record *record)
{
    if (record->id_len > 0) {
        BUF_LITERAL(out, ",\"headgatetoken\":\"");
        buf_add(out, record->text + record->id_off, record->id_len);
        buf_addc(out, '"');
    }
}

/* ---- structured mode ---- */

enum required { HAS_SPECVERSION = 1, HAS_ID = 2, HAS_SOURCE = 4, HAS_TYPE = 8, HAS_ALL = 15 };

static unsigned
required_of(struct piece name, struct piece value)
{
    if (is(name, "specversion")) {
        return is(value, "\"1.0\"") ? HAS_SPECVERSION : 0;
    }
    if (!is_text(value)) {
        return 0;
    }
    return is(name, "id")       ? HAS_ID
           : is(name, "source") ? HAS_SOURCE
           : is(name, "type")   ? HAS_TYPE
                                : 0;
}

/* A name with an escape is none of an event, and could hide "event". */
static bool
is_event(const struct record *record)
{
    static const char mark[] = "specversion";
    struct piece data = data_of(record);
    if (!record->data_is_json || data.at[0] != '{' ||
        memmem(data.at, data.len, mark, sizeof mark - 1) == NULL) {
        return false;
    }
    unsigned has = 0;
    const char *at = data.at + 1;
    struct piece name;
    struct piece value;
    while (next_member(&at, data.at + data.len, &name, &value)) {
        unsigned one = required_of(name, value);
        if ((has & one) != 0 || is(name, "event") || memchr(name.at, '\\', name.len) != NULL) {
            return false;
        }
        has |= one;
    }
    return has == HAS_ALL;
}

/* ---- binary mode ---- */

#define CE_PREFIX 3 /* "ce_" */

static bool
is_attribute(struct piece name)
{
    if (name.len <= CE_PREFIX || memcmp(name.at, "ce_", CE_PREFIX) != 0) {
        return false;
    }
    for (size_t i = CE_PREFIX; i < name.len; i++) {
        char c = name.at[i];
        if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9')) {
            return false;
        }
    }
    return true;
}

static struct piece
attribute_of(struct piece name)
{
    return (struct piece){name.at + CE_PREFIX, name.len - CE_PREFIX};
}

static bool
has_event_headers(const struct record *record)
{
    struct piece headers = headers_of(record);
    if (!record->has_headers ||
        memmem(headers.at, headers.len, "\"ce_specversion\":\"1.0\"", 22) == NULL) {
        return false;
    }
    unsigned has = 0;
    const char *at = headers.at + 1;
    struct piece name;
    struct piece value;
    while (next_member(&at, headers.at + headers.len, &name, &value)) {
        has |= is_attribute(name) ? required_of(attribute_of(name), value) : 0;
    }
    return has == HAS_ALL;
}

/* ",NAME":VALUE of a header that is one of the event's attributes; names that mean something else
 * in an event's JSON, or to us, are left out. */
static void
add_attribute(struct buf *out, struct piece name, struct piece value)
{
    struct piece shown = attribute_of(name);
    if (!is_text(value) || is(shown, "specversion") || is(shown, "data") || is(shown, "event") ||
        is(shown, "headgatetoken") || is(shown, "datacontenttype")) {
        return;
    }
    BUF_LITERAL(out, ",\"");
    buf_add(out, shown.at, shown.len);
    BUF_LITERAL(out, "\":");
    buf_add(out, value.at, value.len);
}

/* application/json, or anything that ends with json before its parameters. */
static bool
says_json(struct piece type)
{
    const char *end = memchr(type.at, ';', type.len);
    size_t len = end == NULL ? type.len : (size_t)(end - type.at);
    while (len > 0 && (type.at[len - 1] == ' ' || type.at[len - 1] == '"')) {
        len--;
    }
    return len >= 4 && strncasecmp(type.at + len - 4, "json", 4) == 0;
}

static void
add_data_member(struct buf *out, const struct record *record)
{
    struct piece data = data_of(record);
    buf_adds(out, is_base64(record) ? ",\"data_base64\":" : ",\"data\":");
    buf_add(out, data.at, data.len);
}

/* Of a payload that its header does not call JSON, the JSON is a text. */
static void
add_typed_data(struct buf *out, const struct record *record, struct piece type)
{
    if (type.len > 0) {
        BUF_LITERAL(out, ",\"datacontenttype\":");
        buf_add(out, type.at, type.len);
    }
    if (record->is_tombstone) {
        return;
    }
    if (type.len > 0 && record->data_is_json && !says_json(type)) {
        struct piece data = data_of(record);
        BUF_LITERAL(out, ",\"data\":");
        json_add_string(out, data.at, data.len);
    } else {
        add_data_member(out, record);
    }
}

static void
add_from_headers(struct buf *out, const struct record *record)
{
    struct piece headers = headers_of(record);
    struct piece type = {NULL, 0};
    const char *at = headers.at + 1;
    struct piece name;
    struct piece value;
    BUF_LITERAL(out, "{\"specversion\":\"1.0\"");
    while (next_member(&at, headers.at + headers.len, &name, &value)) {
        if (is_attribute(name)) {
            add_attribute(out, name, value);
        } else if (is(name, "content-type") && is_text(value)) {
            type = value;
        }
    }
    add_token(out, record);
    add_typed_data(out, record, type);
    buf_addc(out, '}');
}

/* ---- any other record ---- */

static void
add_percent(struct buf *out, unsigned char byte)
{
    static const char hex[] = "0123456789ABCDEF";
    buf_addc(out, '%');
    buf_addc(out, hex[byte >> 4]);
    buf_addc(out, hex[byte & 15]);
}

static unsigned char
unescape(const char **at)
{
    static const char from[] = "bfnrt", to[] = "\b\f\n\r\t";
    const char *p = *at + 1;
    *at += 2;
    const char *found = strchr(from, *p);
    if (found != NULL) {
        return (unsigned char)to[found - from];
    }
    if (*p != 'u') {
        return (unsigned char)*p;
    }
    unsigned value = 0;
    for (int i = 1; i <= 4; i++) {
        unsigned char c = (unsigned char)p[i];
        value = value * 16 + (c <= '9' ? c - (unsigned)'0' : (c | 0x20u) - 'a' + 10u);
    }
    *at += 4;
    return (unsigned char)value; /* json_add_string escapes nothing above U+007F */
}

/* A JSON string, its quotes left out, as a URI reference without a scheme (RFC 3986). */
static void
add_reference(struct buf *out, struct piece string)
{
    for (const char *at = string.at; at < string.at + string.len;) {
        unsigned char byte = (unsigned char)*at;
        if (byte == '\\') {
            byte = unescape(&at);
        } else {
            at++;
        }
        bool plain = (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
                     (byte >= '0' && byte <= '9') || (byte != 0 && strchr("-._~/", byte) != NULL);
        if (plain) {
            buf_addc(out, (char)byte);
        } else {
            add_percent(out, byte);
        }
    }
}

/* From ,"source":{"topic":T,"partition":P,"offset":O} of the text, or {"file":PATH,"offset":O}. */
static void
add_identity(struct buf *out, const struct record *record)
{
    static const char head[] = ",\"source\":{";
    const char *at = record->text + record->type_end + sizeof head - 1;
    const char *end = record->text + record->text_len;
    struct piece name;
    struct piece topic;
    struct piece partition;
    bool both = next_member(&at, end, &name, &topic) && next_member(&at, end, &name, &partition);
    assert(both);
    (void)both;
    BUF_LITERAL(out, "{\"specversion\":\"1.0\",\"id\":\"");
    if (is(name, "partition")) {
        buf_add(out, partition.at, partition.len);
        buf_addc(out, '/');
    }
    buf_addu64(out, record->offset);
    BUF_LITERAL(out, "\",\"source\":\"");
    add_reference(out, (struct piece){topic.at + 1, topic.len - 2});
    buf_addc(out, '"');
}

static void
add_made(struct buf *out, const struct record *record)
{
    add_identity(out, record);
    if (record->type != NULL) {
        buf_add(out, record->text + record->headers_end, record->type_end - record->headers_end);
    } else {
        BUF_LITERAL(out, ",\"type\":\"headgate.record\"");
    }
    BUF_LITERAL(out, ",\"time\":\"");
    clock_format_rfc3339(buf_reserve(out, CLOCK_TIME_LEN), record->time_ms);
    out->len += CLOCK_TIME_LEN;
    buf_addc(out, '"');
    struct piece key = {record->text + record->key_off, record->key_len};
    if (is_text(key)) {
        BUF_LITERAL(out, ",\"subject\":");
        buf_add(out, key.at, key.len);
    }
    add_token(out, record);
    if (!record->is_tombstone) {
        buf_adds(out, record->data_is_json ? ",\"datacontenttype\":\"application/json\""
                      : is_base64(record)  ? ",\"datacontenttype\":\"application/octet-stream\""
                                           : ",\"datacontenttype\":\"text/plain; charset=utf-8\"");
        add_data_member(out, record);
    }
    buf_addc(out, '}');
}

void
cloudevent_add(struct buf *out, const struct record *record)
{
    assert(!record->is_gap);
    if (is_event(record)) {
        struct piece data = data_of(record);
        buf_add(out, data.at, data.len);
    } else if (has_event_headers(record)) {
        add_from_headers(out, record);
    } else {
        add_made(out, record);
    }
}
