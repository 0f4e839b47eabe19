/* http_range: see http_range.h. Any thread; no state. */
#include "http_range.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

/* ---- dates ---- */

void
http_date_format(char out[HTTP_DATE_LEN + 1], int64_t unix_s)
{
    static const char days[] = "SunMonTueWedThuFriSat";
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    const int64_t first = INT64_C(-62167219200);
    const int64_t last = INT64_C(253402300799);
    time_t clamped = unix_s < first ? first : unix_s > last ? last : unix_s;
    struct tm tm;
    gmtime_r(&clamped, &tm);
    char text[64];
    snprintf(text, sizeof text, "%.3s, %02d %.3s %04d %02d:%02d:%02d GMT", days + 3 * tm.tm_wday,
        tm.tm_mday, months + 3 * tm.tm_mon, tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec);
    memcpy(out, text, HTTP_DATE_LEN);
    out[HTTP_DATE_LEN] = '\0';
}

int
http_date_parse(struct slice text, int64_t *unix_s)
{
    static const char *const forms[] = {
        "%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %d %H:%M:%S %Y"};
    char copy[64];
    if (text.at == NULL || text.len >= sizeof copy) {
        return -1;
    }
    memcpy(copy, text.at, text.len);
    copy[text.len] = '\0';
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        struct tm tm;
        memset(&tm, 0, sizeof tm);
        const char *end = strptime(copy, forms[i], &tm);
        if (end != NULL && *end == '\0') {
            *unix_s = timegm(&tm);
            return 0;
        }
    }
    return -1;
}

/* ---- entity tags ---- */

static bool
is_tag(struct slice tag, const char *etag, bool weak)
{
    bool is_weak = tag.len > 2 && memcmp(tag.at, "W/", 2) == 0;
    if (is_weak) {
        tag = (struct slice){tag.at + 2, tag.len - 2};
    }
    return (weak || !is_weak) && slice_eq(tag, etag);
}

/* One of the lists in the headers of that name has the tag, or is "*". */
static bool
lists_tag(const struct http_request *request, const char *name, const char *etag, bool weak)
{
    for (size_t i = 0; i < request->n_headers; i++) {
        struct slice list = request->headers[i].value;
        struct slice member;
        if (!slice_eq_nocase(request->headers[i].name, name)) {
            continue;
        }
        while (http_list_next(&list, &member)) {
            if (slice_eq(member, "*") || is_tag(member, etag, weak)) {
                return true;
            }
        }
    }
    return false;
}

int
http_condition(const struct http_request *request, const struct http_version *version)
{
    int64_t date;
    if (http_header_count(request, "If-Match") > 0) {
        if (!lists_tag(request, "If-Match", version->etag, false)) {
            return 412;
        }
    } else if (http_date_parse(http_header(request, "If-Unmodified-Since"), &date) == 0 &&
               version->modified_s > date) {
        return 412;
    }
    if (http_header_count(request, "If-None-Match") > 0) {
        return lists_tag(request, "If-None-Match", version->etag, true) ? 304 : 200;
    }
    bool since = http_date_parse(http_header(request, "If-Modified-Since"), &date) == 0;
    return since && version->modified_s <= date ? 304 : 200;
}

/* ---- ranges ---- */

static bool
range_counts(const struct http_request *request, const struct http_version *version)
{
    struct slice if_range = http_header(request, "If-Range");
    int64_t date;
    if (if_range.at == NULL) {
        return true;
    }
    if (if_range.len > 0 && if_range.at[0] == '"') {
        return is_tag(if_range, version->etag, false);
    }
    return http_date_parse(if_range, &date) == 0 && date == version->modified_s;
}

/* Digits at the start of text; false: none. A number beyond 64 bits is beyond every file. */
static bool
take_number(struct slice *text, uint64_t *number)
{
    size_t n = 0;
    *number = 0;
    for (; n < text->len && text->at[n] >= '0' && text->at[n] <= '9'; n++) {
        uint64_t digit = (uint64_t)(text->at[n] - '0');
        *number = *number > (UINT64_MAX - digit) / 10 ? UINT64_MAX : *number * 10 + digit;
    }
    text->at += n;
    text->len -= n;
    return n > 0;
}

/* FIRST-, FIRST-LAST or -COUNT, which is the last ones. 206, 416, or 200 when it is none of them.
 */
static int
read_spec(struct slice spec, uint64_t size, uint64_t *first, uint64_t *last)
{
    uint64_t from, to = UINT64_MAX;
    bool has_from = take_number(&spec, &from);
    if (spec.len == 0 || *spec.at != '-') {
        return 200;
    }
    spec = (struct slice){spec.at + 1, spec.len - 1};
    bool has_to = take_number(&spec, &to);
    if (spec.len > 0 || (!has_from && !has_to) || (has_from && has_to && to < from)) {
        return 200;
    }
    if (!has_from) {
        from = to < size ? size - to : 0;
        from = to == 0 ? size : from;
        has_to = false;
    }
    if (from >= size) {
        return 416;
    }
    *first = from;
    *last = has_to && to < size - 1 ? to : size - 1;
    return 206;
}

int
http_range(const struct http_request *request, const struct http_version *version, uint64_t size,
    uint64_t *first, uint64_t *last)
{
    static const char unit[] = "bytes=";
    struct slice range = http_header(request, "Range");
    if (request->method != HTTP_GET || http_header_count(request, "Range") != 1 ||
        range.len < sizeof unit || strncasecmp(range.at, unit, sizeof unit - 1) != 0 ||
        !range_counts(request, version)) {
        return 200;
    }
    struct slice spec = {range.at + sizeof unit - 1, range.len - (sizeof unit - 1)};
    return read_spec(spec, size, first, last);
}
