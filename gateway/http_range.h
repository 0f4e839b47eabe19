/* http_range: what conditional and range requests for one file mean (RFC 9110 sections 8.8, 13 and
 * 14), of headers from untrusted clients. What is malformed is as if it were not there. Thread any:
 * no state. */
#ifndef HEADGATE_HTTP_RANGE_H
#define HEADGATE_HTTP_RANGE_H

#include "http.h"

#include <stdbool.h>
#include <stdint.h>

/* What is served: its strong entity tag with quotes, and when it changed, in Unix seconds. */
struct http_version {
    const char *etag;
    int64_t modified_s;
};

#define HTTP_DATE_LEN 29 /* "Sat, 31 Jan 2026 12:00:00 GMT" */

/* http_date_format: with a NUL; years outside 0..9999 are clamped. http_date_parse: all three forms
 * of RFC 9110 section 5.6.7. Errors -1. */
void http_date_format(char out[HTTP_DATE_LEN + 1], int64_t unix_s);
int http_date_parse(struct slice text, int64_t *unix_s);

/* http_condition: If-Match, If-Unmodified-Since, If-None-Match, If-Modified-Since, in the order of
 * RFC 9110 section 13.2.2: 200 go on, 304 or 412. For GET and HEAD. */
int http_condition(const struct http_request *request, const struct http_version *version);

/* http_range: which bytes of size are asked for by Range, if If-Range lets it count. 206 and *first
 * and *last; 200: all, there is no Range, or none that is served here (several, another unit); 416.
 * Only for GET: else 200. */
int http_range(const struct http_request *request, const struct http_version *version,
    uint64_t size, uint64_t *first, uint64_t *last);

#endif
