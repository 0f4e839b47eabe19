/* subscribe_internal: what the parts of subscribe share: subscribe.c, subscribe_check.c and
 * subscribe_open.c. Thread  shard. */
#ifndef HEADGATE_SUBSCRIBE_INTERNAL_H
#define HEADGATE_SUBSCRIBE_INTERNAL_H

#include "coding.h"
#include "connector.h"
#include "params.h"
#include "server.h"

struct private_stream;

/* Why there is no subscription. */
struct refusal {
    int status;
    char text[600];
    const char *headers; /* further lines; NULL: none */
};

/* subscribe_refuse: fill in the refusal; always false, so that a check can return it. */
bool subscribe_refuse(struct refusal *refusal, int status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* subscribe_config: the configuration of a stream by its index; of those who watch downloads, too.
 */
static inline const struct config_stream *
subscribe_config(const struct server *server, size_t stream)
{
    return stream_config(server->streams[stream]);
}

static inline bool
subscribe_on_request(const struct config_stream *config)
{
    return connector_on_request(config->connector, config->settings);
}

/* subscribe_codings: what of the configuration may be used for the stream, as CODING_BITs. */
static inline uint32_t
subscribe_codings(const struct config *config, const struct config_stream *stream)
{
    return stream->compressed ? config->codings << CODING_GZIP : 0;
}

/* subscribe_check: whether the stream allows what request and params ask for, and the format and
 * the coding of the answer. subscribe_check_table: the stream's table is there to be read.
 * subscribe_check_catchup: with catchup.full: refuse, nobody new waits for a reader. All: false and
 * refusal. */
bool subscribe_check(const struct server *server, const struct http_request *request,
    const struct subscription *what, const struct params *params, enum stream_format *format,
    enum coding *coding, struct refusal *refusal);
bool subscribe_check_table(
    struct stream *stream, const struct params *params, struct refusal *refusal);
bool subscribe_check_catchup(const struct server *server, const struct outlet *outlet,
    const struct params *params, struct refusal *refusal);

/* subscribe_open: the private stream of a durable consumer, or of a request; for lines, framer is
 * that of the answer. NULL: refusal says why not. */
struct private_stream *subscribe_open(struct server *server, struct conn *conn,
    const struct subscription *what, const struct params *params, const struct framer *framer,
    struct refusal *refusal);

/* subscribe_probe: whether it would be opened, as far as the request says: nothing is begun. False:
 * refusal says why not. */
bool subscribe_probe(struct server *server, const struct subscription *what,
    const struct params *params, struct refusal *refusal);

#endif
