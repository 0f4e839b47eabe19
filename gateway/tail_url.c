/* tail_url: the query of a URL. libcurl takes the URL apart; the query is split here, because its
 * parts may repeat and the ones that are not ours must stay. Any thread. */
#include "tail_url.h"

#include "buf.h"
#include "mem.h"

#include <curl/curl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static void
add_encoded(struct buf *out, const char *text)
{
    static const char hex[] = "0123456789ABCDEF";
    for (const unsigned char *at = (const unsigned char *)text; *at != '\0'; at++) {
        bool plain = (*at >= 'a' && *at <= 'z') || (*at >= 'A' && *at <= 'Z') ||
                     (*at >= '0' && *at <= '9') || strchr("-._~", *at) != NULL;
        if (plain) {
            buf_addc(out, (char)*at);
        } else {
            char escaped[3] = {'%', hex[*at >> 4], hex[*at & 15]};
            buf_add(out, escaped, sizeof escaped);
        }
    }
}

/* The name of the parameter at..at+len is name; names in a URL may be percent-encoded too. */
static bool
part_is(const char *part, size_t len, const char *name)
{
    const char *equals = memchr(part, '=', len);
    int name_len = (int)(equals == NULL ? len : (size_t)(equals - part));
    char *decoded = curl_easy_unescape(NULL, part, name_len, NULL);
    bool same = decoded != NULL && strcmp(decoded, name) == 0;
    curl_free(decoded);
    return same;
}

static bool
is_replaced(const char *part, size_t len, const struct tail_param *params, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (!params[i].repeatable && part_is(part, len, params[i].name)) {
            return true;
        }
    }
    return false;
}

/* Append the parts of query that none of params replaces. */
static void
keep_parts(struct buf *out, const char *query, const struct tail_param *params, size_t n)
{
    while (*query != '\0') {
        size_t len = strcspn(query, "&");
        if (len != 0 && !is_replaced(query, len, params, n)) {
            buf_adds(out, out->len == 0 ? "" : "&");
            buf_add(out, query, len);
        }
        query += len + (query[len] == '&');
    }
}

static CURLU *
parse(const char *url, struct err *err)
{
    CURLU *parsed = curl_url();
    CURLUcode code = curl_url_set(parsed, CURLUPART_URL, url, CURLU_DEFAULT_SCHEME);
    /* "localhost:8080/x" reads as the scheme "localhost": then http is meant. */
    if (code == CURLUE_UNSUPPORTED_SCHEME && strstr(url, "://") == NULL) {
        struct buf full;
        buf_init(&full);
        buf_addf(&full, "http://%s", url);
        buf_addc(&full, '\0');
        code = curl_url_set(parsed, CURLUPART_URL, full.bytes, 0);
        buf_fini(&full);
    } else if (code == CURLUE_OK && strstr(url, "://") == NULL) {
        code = curl_url_set(parsed, CURLUPART_SCHEME, "http", 0);
    }
    char *scheme = NULL;
    if (code != CURLUE_OK) {
        err_set(err, ERR_INVALID, "%s: %s", url, curl_url_strerror(code));
    } else if (curl_url_get(parsed, CURLUPART_SCHEME, &scheme, 0) != CURLUE_OK ||
               (strcasecmp(scheme, "http") != 0 && strcasecmp(scheme, "https") != 0)) {
        err_set(err, ERR_INVALID, "%s: an http:// or https:// URL is needed", url);
    } else {
        curl_free(scheme);
        return parsed;
    }
    curl_free(scheme);
    curl_url_cleanup(parsed);
    return NULL;
}

char *
tail_url_build(const char *url, const struct tail_param *params, size_t n, struct err *err)
{
    CURLU *parsed = parse(url, err);
    if (parsed == NULL) {
        return NULL;
    }
    struct buf query;
    buf_init(&query);
    char *old_query = NULL;
    if (curl_url_get(parsed, CURLUPART_QUERY, &old_query, 0) == CURLUE_OK) {
        keep_parts(&query, old_query, params, n);
    }
    curl_free(old_query);
    for (size_t i = 0; i < n; i++) {
        buf_adds(&query, query.len == 0 ? "" : "&");
        buf_adds(&query, params[i].name);
        buf_addc(&query, '=');
        add_encoded(&query, params[i].value);
    }
    buf_addc(&query, '\0');
    char *whole = NULL;
    char *text = NULL;
    curl_url_set(parsed, CURLUPART_FRAGMENT, NULL, 0);
    if (curl_url_set(parsed, CURLUPART_QUERY, query.len == 1 ? NULL : query.bytes, 0) ==
            CURLUE_OK &&
        curl_url_get(parsed, CURLUPART_URL, &whole, 0) == CURLUE_OK) {
        text = mem_strdup(whole);
    } else {
        err_set(err, ERR_INVALID, "%s: its query cannot be changed", url);
    }
    curl_free(whole);
    buf_fini(&query);
    curl_url_cleanup(parsed);
    return text;
}

char *
tail_url_get(const char *url, const char *name)
{
    const char *query = strchr(url, '?');
    const char *end = url + strcspn(url, "#");
    while (query != NULL && query < end) {
        const char *part = query + 1;
        size_t len = strcspn(part, "&#");
        if (len != 0 && part_is(part, len, name)) {
            const char *equals = memchr(part, '=', len);
            const char *value = equals == NULL ? part + len : equals + 1;
            size_t value_len = (size_t)(part + len - value);
            char *decoded = curl_easy_unescape(NULL, value, (int)value_len, NULL);
            /* libcurl takes length 0 for strlen */
            char *text = mem_strdup(value_len == 0 || decoded == NULL ? "" : decoded);
            curl_free(decoded);
            return text;
        }
        query = part[len] == '&' ? part + len : NULL;
    }
    return NULL;
}
