/* seek: a request for an answer by its id: at once where that is known here; else, with a log, once
 * it is found there, or not (generations_seek). Meanwhile the request waits; so it does for two
 * seconds where it may be the id that an upstream gave and that is on its way here. Thread  shard.
 */
#ifndef HEADGATE_SEEK_H
#define HEADGATE_SEEK_H

#include "server.h"

struct seek_options {
    const char *id;    /* lent for the call */
    const char *alias; /* likewise: it may be what its upstream calls it. NULL: it is not */
    /* then: answer the request, whose answer is what->generation, ready to be read. */
    void (*then)(struct server *server, struct conn *conn, const struct http_request *request,
        const struct subscription *what, const char *cors);
    const char *cors; /* header lines for the answer; lent for the call */
};

/* seek: a request that is not answered by then is by 404, or 503 with Retry-After. what is copied;
 * its body, and its file, are not there. */
void seek(struct server *server, struct conn *conn, const struct http_request *request,
    const struct subscription *what, const struct seek_options *options);

#endif
