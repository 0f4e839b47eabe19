/* tail_url: query parameters set in a URL, and read from one. Pure: no connection is made.
 * Thread  any. */
#ifndef HEADGATE_TAIL_URL_H
#define HEADGATE_TAIL_URL_H

#include "err.h"

#include <stdbool.h>
#include <stddef.h>

struct tail_param {
    const char *name;
    const char *value;
    bool repeatable; /* added to those of the same name in the URL; else it takes their place */
};

/* tail_url_build: url with the n parameters in its query, percent-encoded; the rest of its query
 * stays as it is, a fragment goes. Without a scheme http is taken.
 * Owns    the caller frees the text.
 * Errors  NULL and err: not a URL, or neither http nor https. */
char *tail_url_build(const char *url, const struct tail_param *params, size_t n, struct err *err);

/* tail_url_get: the decoded value of the first parameter called name, for the caller to free; NULL
 * when there is none. */
char *tail_url_get(const char *url, const char *name);

#endif
