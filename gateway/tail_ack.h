/* tail_ack: acks of `headgate tail --consumer NAME --ack client`: each says that all up to a record
 * is on the output. One is on its way at a time; the next has what came meanwhile.
 * Thread  whoever owns it. */
#ifndef HEADGATE_TAIL_ACK_H
#define HEADGATE_TAIL_ACK_H

#include "err.h"

#include <curl/curl.h>
#include <stdbool.h>

struct tail_ack;

/* tail_ack_url: url's scheme, host and path up to /streams/NAME, with the rest of an ack's path.
 * Owns: the caller frees it. Errors NULL and err: the path is another one. */
char *tail_ack_url(const char *url, const char *consumer, struct err *err);

/* tail_ack_new: multi outlives it; url is copied; headers are lent. Errors NULL. */
struct tail_ack *tail_ack_new(CURLM *multi, const char *url, struct curl_slist *headers);
void tail_ack_free(struct tail_ack *ack); /* NULL-safe */

/* tail_ack_send: everything up to the token is on the output: say so as soon as may be. */
void tail_ack_send(struct tail_ack *ack, const char *token);

/* tail_ack_done: libcurl says that a transfer is over. False: it is not ours. */
bool tail_ack_done(struct tail_ack *ack, const CURLMsg *message);

/* tail_ack_finish: the connection is about to end: send what is not said yet, and wait for its
 * answer, 2 s at most. */
void tail_ack_finish(struct tail_ack *ack, const char *token);

#endif
