/* http_target: splits a request target into path and query, checks Host values. No state. */
#include "http_target.h"

#include <arpa/inet.h>
#include <string.h>

static bool
is_alnum(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool
port_valid(struct slice port)
{
    unsigned value = 0;
    for (size_t i = 0; i < port.len; i++) {
        if (port.at[i] < '0' || port.at[i] > '9') {
            return false;
        }
        value = value * 10 + (unsigned)(port.at[i] - '0');
        if (value > 65535) {
            return false;
        }
    }
    return true;
}

static bool
ipv6_valid(struct slice address)
{
    char text[INET6_ADDRSTRLEN];
    struct in6_addr parsed;
    if (address.len >= sizeof text) {
        return false;
    }
    memcpy(text, address.at, address.len);
    text[address.len] = '\0';
    return inet_pton(AF_INET6, text, &parsed) == 1;
}

/* The length of the host without port; 0 when it is not a host. */
static size_t
host_len(struct slice host)
{
    if (host.len != 0 && host.at[0] == '[') {
        const char *end = memchr(host.at, ']', host.len);
        if (end == NULL) {
            return 0;
        }
        struct slice address = {host.at + 1, (size_t)(end - host.at) - 1};
        return ipv6_valid(address) ? address.len + 2 : 0;
    }
    size_t len = 0;
    while (len < host.len && host.at[len] != ':') {
        if (!is_alnum(host.at[len]) && memchr("-._", host.at[len], 3) == NULL) {
            return 0;
        }
        len++;
    }
    return len;
}

bool
http_target_host_valid(struct slice host)
{
    size_t len = host_len(host);
    if (len == 0 || len > 255) {
        return false;
    }
    if (len == host.len) {
        return true;
    }
    struct slice port = {host.at + len + 1, host.len - len - 1};
    return host.at[len] == ':' && port_valid(port);
}

static void
split_query(struct http_request *request, struct slice target)
{
    const char *mark = memchr(target.at, '?', target.len);
    request->path = target;
    request->query = (struct slice){NULL, 0};
    if (mark != NULL) {
        request->path.len = (size_t)(mark - target.at);
        request->query = (struct slice){mark + 1, target.len - request->path.len - 1};
    }
}

/* The length of "http://" or "https://" at the start of target, 0 when it has neither. */
static size_t
scheme_len(struct slice target)
{
    static const char *const schemes[] = {"http://", "https://"};
    for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++) {
        size_t len = strlen(schemes[i]);
        if (target.len >= len && slice_eq_nocase((struct slice){target.at, len}, schemes[i])) {
            return len;
        }
    }
    return 0;
}

static const char *
parse_absolute(struct http_request *request, struct slice target, size_t scheme)
{
    struct slice authority = {target.at + scheme, 0};
    while (
        scheme + authority.len < target.len && strchr("/?", authority.at[authority.len]) == NULL) {
        authority.len++;
    }
    if (!http_target_host_valid(authority)) {
        return "invalid authority in the request target";
    }
    struct slice rest = {authority.at + authority.len, target.len - scheme - authority.len};
    split_query(request, rest);
    if (request->path.len == 0) {
        request->path = (struct slice){"/", 1};
    }
    return NULL;
}

const char *
http_target_parse(struct http_request *request, struct slice target)
{
    for (size_t i = 0; i < target.len; i++) {
        unsigned char c = (unsigned char)target.at[i];
        if (c <= 0x20 || c >= 0x7f || c == '#') {
            return "invalid byte in the request target";
        }
    }
    if (request->method == HTTP_CONNECT) {
        size_t host = host_len(target);
        request->path = target;
        request->query = (struct slice){NULL, 0};
        return http_target_host_valid(target) && host + 1 < target.len ? NULL
                                                                       : "invalid CONNECT target";
    }
    if (target.at[0] == '/') {
        split_query(request, target);
        return NULL;
    }
    if (request->method == HTTP_OPTIONS && slice_eq(target, "*")) {
        split_query(request, target);
        return NULL;
    }
    size_t scheme = scheme_len(target);
    return scheme == 0 ? "invalid request target" : parse_absolute(request, target, scheme);
}
