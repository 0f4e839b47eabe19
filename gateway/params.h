/* params: the query parameters and headers of a subscription, from untrusted clients, into one
 * struct. Unknown parameters, repeated ones that may not repeat, and bad values are errors that
 * name the parameter. Thread any: no state. */
#ifndef HEADGATE_PARAMS_H
#define HEADGATE_PARAMS_H

#include "config.h"
#include "consumer.h"
#include "err.h"
#include "filter.h"
#include "http.h"
#include "place.h"
#include "record.h"

#include <stdbool.h>
#include <stdint.h>

/* A parameter of the stream's own: of a file's replay, of a query. */
struct own_param {
    char *name, *value;
};
#define OWN_PARAMS_MAX 64

/* Which those are: name(self, i) is the i-th, NULL behind the last; name NULL: none. They never
 * repeat. */
struct own_names {
    const char *(*name)(const void *self, size_t i);
    const void *self;
};

/* What a stream makes of parameters. */
struct params_scope {
    int64_t now_ms;                /* the wall clock, for relative times */
    const struct token_keys *keys; /* of the stream; NULL: none */
    struct own_names own;
    bool from_earliest; /* what from is where it is not given; else latest */
};

struct params {
    enum stream_format format; /* FORMAT_AUTO: by Accept and Upgrade */
    struct place from;         /* never PLACE_NONE; Last-Event-ID wins over from= */
    struct place
        to; /* PLACE_NONE, PLACE_LATEST (the head as it is now), PLACE_TIME or PLACE_TOKEN */
    bool has_limit;
    uint64_t limit;
    bool follow; /* default true */
    bool has_envelope;
    enum envelope envelope;
    bool raw; /* envelope=raw: record, of what the upstream sent */
    bool has_snapshot;
    bool snapshot; /* default true, where the stream is a table */
    bool has_slow;
    enum slow_policy slow;
    uint64_t queue_records; /* 0: the stream's */
    bool has_heartbeat;
    uint64_t heartbeat_ms;                /* 0: off; else 1 s to 1 h */
    uint64_t max_rate;                    /* records a second; 0: unpaced */
    char consumer[CONSUMER_NAME_MAX + 1]; /* a durable subscriber's; "": it is none */
    bool acks;                            /* its client acks: ack=client */
    struct filter *filter;                /* of key and where, sealed; NULL: none. Owned */
    struct own_param *own;                /* owned, with its texts */
    size_t n_own;
};

/* params_parse: Names from CONTRACT section 3 that this version does not serve yet
 * (ticket) are refused by name, not ignored. Last-Event-ID must be a token; an
 * empty one counts as none. Errors hold client text only as printable ASCII. Errors  -1 and err,
 * whose text starts with the parameter's name. Owns    params_fini frees what the struct holds;
 * safe after a failure. */
int params_parse(struct params *params, const struct http_request *request,
    const struct params_scope *scope, struct err *err);

/* params_add_own: one that stands in the path. Errors -1 and err: the query has it too, or it is
 * one too many. */
int params_add_own(struct params *params, const char *name, const char *value, struct err *err);

/* params_is_known: name is one of CONTRACT section 3, which no stream can have as its own. */
bool params_is_known(const char *name);

void params_fini(struct params *params);

#endif
