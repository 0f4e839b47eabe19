/* push_serve: POST to a stream that takes records: from a request to records in the stream's queue,
 * and to an answer once the source has dealt with them. Thread  shard. */
#ifndef HEADGATE_PUSH_SERVE_H
#define HEADGATE_PUSH_SERVE_H

#include "server.h"

struct push_home;

/* push_serve_takes: the stream with this index takes posts. */
bool push_serve_takes(const struct server *server, size_t stream);

/* push_serve: answer a POST, at once or when its body has come and its records are dealt with.
 * same_origin: its Origin is this host's or a configured one, or it has none; cors: header lines
 * for the answer. */
void push_serve(struct server *server, struct conn *conn, const struct http_request *request,
    size_t stream, bool same_origin, const char *cors);

/* push_serve_news: go on with the posts that have news. */
void push_serve_news(struct push_home *home);

#endif
