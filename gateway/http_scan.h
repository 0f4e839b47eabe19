/* http_scan: the small pieces that header lists are made of (RFC 9110 section 5.6). Each takes what
 * it finds off the front of text. Thread  any: no state. */
#ifndef HEADGATE_HTTP_SCAN_H
#define HEADGATE_HTTP_SCAN_H

#include "http.h"

void http_scan_blanks(struct slice *text);
bool http_scan_char(struct slice *text, char c); /* false: c is not next, and nothing is taken */

/* http_scan_token: a token, perhaps empty: what ends one is a delimiter or a blank. */
struct slice http_scan_token(struct slice *text);

/* http_scan_quoted: skip a quoted string whose opening quote is next; false when it does not end.
 */
bool http_scan_quoted(struct slice *text);

/* http_scan_member: the next member of a comma-separated list, without blanks before it; a comma
 * inside quotes is none. May be empty. */
struct slice http_scan_member(struct slice *list);

/* http_quality: "0", "0.5", "1.000" as 0 to 1000; -1 for anything else. */
int http_quality(struct slice text);

#endif
