/* ws_deflate: permessage-deflate (RFC 7692), server side: the offers of a handshake, and the
 * messages of a client. Without context takeover in either direction: what is sent is shared, and
 * nothing is kept for a connection between messages. Thread  any: no state. */
#ifndef HEADGATE_WS_DEFLATE_H
#define HEADGATE_WS_DEFLATE_H

#include "buf.h"
#include "http.h"

/* ws_deflate_accept: append the response's header line for the first offer that can be accepted.
 * False: there is none, and nothing is appended. An offer is passed over when it is malformed, has
 * a parameter that is unknown or there twice, or asks for a window of ours below 32 KiB, which what
 * others share has. */
bool ws_deflate_accept(const struct http_request *request, struct buf *line);

/* ws_deflate_inflate: a client's whole compressed message becomes what it was.
 * Returns 0, or the close code: 1007 for what is not deflate, 1009 once it is more than most_bytes;
 * message is then undefined, and no larger. Cost: O(what comes out); holds some 48 KiB meanwhile.
 */
int ws_deflate_inflate(struct buf *message, uint64_t most_bytes);

#endif
