/* push_request: what a POST to a stream says besides its body: parameters, media type, coding.
 * Untrusted. Thread  any: no state. */
#ifndef HEADGATE_PUSH_REQUEST_H
#define HEADGATE_PUSH_REQUEST_H

#include "err.h"
#include "http.h"
#include "push_body.h"
#include "record_type.h"

struct push_request {
    enum push_syntax syntax;
    char type[RECORD_TYPE_MAX + 1]; /* event=; "": none */
    char *key;                      /* owned; NULL: none */
    size_t key_len;
};

/* push_request_parse: 0, or the status of the refusal: 400 (err names the parameter) or 415.
 * Owns  push_request_fini frees what it holds; safe after a failure. */
int push_request_parse(
    struct push_request *push, const struct http_request *request, struct err *err);
void push_request_fini(struct push_request *push);

/* push_request_syntax: of a media type, with or without parameters; at NULL: there is none.
 * Errors -1 and err: it is none that can be a record. */
int push_request_syntax(struct slice type, enum push_syntax *syntax, struct err *err);

#endif
