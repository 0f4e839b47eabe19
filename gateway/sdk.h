/* sdk: routes that the official SDKs take for their provider: a base_url pointed at one works as it
 * is. PATH is the route's, what base_url says.
 *
 *   kind: openai      POST PATH/chat/completions, POST PATH/responses, GET PATH/models,
 *                     GET PATH/responses/ID?stream=true&starting_after=N,
 *                     POST PATH/responses/ID/cancel
 *   kind: anthropic   POST PATH/v1/messages, GET PATH/v1/models
 *
 * Each answer is a generation of the route's stream (generations.h) too. Its status is held back
 * until the answer begins, one object until it is whole, so that what fails before is an HTTP
 * error, in the SDK's dialect.  Thread  shard. */
#ifndef HEADGATE_SDK_H
#define HEADGATE_SDK_H

#include "framer_sdk.h"
#include "server.h"

enum sdk_endpoint { SDK_NO_ENDPOINT, SDK_ASK, SDK_RESPONSE, SDK_CANCEL, SDK_MODELS };

/* What a path of such a route is for. */
struct sdk_target {
    enum sdk_endpoint endpoint;
    enum sdk_dialect dialect;
    const struct config_route *route;
    struct slice id; /* of SDK_RESPONSE and SDK_CANCEL; lent from the path */
};

/* sdk_find: false: path is not one of route's. */
bool sdk_find(const struct config_route *route, const struct http_request *request,
    const char *path, struct sdk_target *target);

/* sdk_serve: answer a request for target, whose stream is what->stream. */
void sdk_serve(struct server *server, struct conn *conn, const struct http_request *request,
    const struct sdk_target *target, const struct subscription *what, bool same_origin,
    const char *cors);

/* sdk_begin: its body has come (generate.h): what->generation is to be started with what->body, and
 * its first reader is conn. */
void sdk_begin(struct server *server, struct conn *conn, const struct http_request *request,
    const struct subscription *what, const char *cors);

/* sdk_refuse: answer with an error in the dialect. headers: lines. */
void sdk_refuse(struct conn *conn, const struct http_request *request, enum sdk_dialect dialect,
    int status, const char *headers, const char *text);

#endif
