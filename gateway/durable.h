/* durable: from a request with ?consumer= to a session on a private stream whose source is a member
 * of the consumer's group. Thread shard. */
#ifndef HEADGATE_DURABLE_H
#define HEADGATE_DURABLE_H

#include "private.h"
#include "server.h"

struct session;

/* durable_config: the configuration of a private stream of a durable consumer of the stream of: its
 * ring holds what may be in flight. Thread any. */
void durable_config(struct config_stream *config, const struct config_stream *of);

/* durable_open: join the consumer's group. Errors NULL and err: ERR_LIMIT when consumers.max are
 * there already. */
struct private_stream *durable_open(struct server *server, struct conn *conn, size_t stream,
    const struct params *params, struct err *err);

/* durable_enter: session is the subscriber of what durable_open made. Before its first pump. */
void durable_enter(struct server *server, struct session *session, size_t stream,
    const struct private_stream *made, const char *name, bool acks);

#endif
