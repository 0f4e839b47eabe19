/* http_target: request targets and Host values for http.c; nobody else needs it. Thread any: no state. */
#ifndef HEADGATE_HTTP_TARGET_H
#define HEADGATE_HTTP_TARGET_H

#include "http.h"

#include <stdbool.h>

/* http_target_parse: set path and query of request from target (RFC 9112 section 3.2), by request->method. Returns
 * NULL, or why the target is refused (a literal). */
const char *http_target_parse(struct http_request *request, struct slice target);

/* http_target_host_valid: a host name, IPv4 address or bracketed IPv6 address, with or without a port. Narrower than
 * RFC 3986: a name has letters, digits, '.', '-' and '_' only, because no real host has more and what a proxy and we
 * would read differently (commas, escapes) is refused. */
bool http_target_host_valid(struct slice host);

#endif
