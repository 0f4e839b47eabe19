/* generate: a POST that asks a model, and what else is done to its answer by HTTP but reading it
 * (subscribe.c). Thread  shard. */
#ifndef HEADGATE_GENERATE_H
#define HEADGATE_GENERATE_H

#include "server.h"

/* generate_takes: a POST to the stream with this index begins an answer. */
bool generate_takes(const struct server *server, size_t stream);

/* generate: answer such a POST: once its body is whole, with the answer as a stream. same_origin:
 * its Origin is this host's or a configured one, or it has none; cors: header lines for the answer.
 */
void generate(struct server *server, struct conn *conn, const struct http_request *request,
    const struct subscription *what, bool same_origin, const char *cors);

/* generate_delete: answer a DELETE of one: it is cancelled, if it has not ended. */
void generate_delete(struct server *server, struct conn *conn, const struct http_request *request,
    const struct subscription *what, const char *id, bool same_origin, const char *cors);

/* generate_refuse: answer with a problem, or, to an SDK, with an error of its dialect; 429 and 503
 * say when to come again. */
void generate_refuse(struct conn *conn, const struct http_request *request,
    const struct subscription *what, int status, const char *cors, const char *text);

#endif
