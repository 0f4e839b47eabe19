/* session_late: a session whose HTTP head is held back until it is known how the answer begins: so
 * that what fails before is an HTTP error. Nothing is sent by then. Shard thread. */
#include "session_internal.h"

#include "framer_sdk.h"

#include <assert.h>

void
session_hold_head_take(struct session *session, struct buf *head, struct slice shared, bool whole)
{
    assert(session->out.len == 0 && session->late == LATE_NO);
    session->late = whole ? LATE_TO_END : LATE_TO_BEGIN;
    session->head = *head;
    session->shared = shared;
    buf_init(head);
}

/* Whether the head may go. What has ended badly goes on to its end, which is told in its place. */
bool
session_release_head(struct session *session)
{
    struct stream *stream = session->feed->outlet->stream;
    struct stream_outcome outcome;
    struct ring_state ring;
    stream_outcome(stream, &outcome);
    ring_state(stream_ring(stream), &ring);
    bool failed = outcome.ended && outcome.code != NULL;
    bool any = ring.records > 0 && !(failed && session->late == LATE_TO_END);
    if (!outcome.ended && (session->late == LATE_TO_END || !any)) {
        return false;
    }
    if (any || !failed) {
        buf_add(&session->out, session->head.bytes, session->head.len);
        buf_fini(&session->head);
        session->late = LATE_NO;
    } else {
        session_end(session,
            &(struct ending){
                .why = DISCONNECT_ENDED, .reason = outcome.message, .failure = outcome.code});
    }
    return true;
}

void
session_refuse_late(struct session *session, const struct ending *ending)
{
    struct stream_outcome outcome;
    stream_outcome(session->feed->outlet->stream, &outcome);
    framer_sdk_refuse(session_framer(session), &session->out,
        &(struct sdk_refusal){.code = ending->failure != NULL ? ending->failure : "overloaded",
            .message = ending->reason,
            .retry_after_ms = outcome.retry_after_ms,
            .lines = session->shared});
    buf_fini(&session->head);
    session->late = LATE_NO;
}
