/* session_internal: what session.c, session_policy.c and session_input.c share. Thread shard. */
#ifndef HEADGATE_SESSION_INTERNAL_H
#define HEADGATE_SESSION_INTERNAL_H

#include "feed.h"
#include "session.h"

/* session_owes: bytes that must go before anything else are still unsent. */
bool session_owes(const struct session *session);

/* session_control: append a control message to what is sent next. json is one whole object. */
void session_control(
    struct session *session, const char *event, const struct buf *json, const char *id);

/* session_apply_policy: drop, or end, if the session is past its bound or the ring has left it. True
 * when it changed something: a gap is in out, or it is ENDING. */
bool session_apply_policy(struct session *session);

/* session_gap: tell the client that count records between the tokens from and to are skipped. */
void session_gap(struct session *session, const char *reason, uint64_t count, const char *from,
    const char *to);

/* session_check_limits: on a tick: a stalled session past its bound, a source held for too long. */
void session_check_limits(struct session *session, int64_t now_ms);

void session_count(struct session *session, atomic_uint_fast64_t *counter, uint64_t n);

#endif
