/* catchup: the second lane. A subscriber that asks for what the ring no longer holds reads it from
 * the source itself: a private stream with a small ring of its own, started where the subscriber
 * stands, held back by it alone, until the live ring has what comes next; then it is handed over.
 *
 * A shard runs at most `limit` private streams (readers); who comes later waits, connected and
 * greeted, in order. Those that are close to each other share one reader; at most half of the
 * readers are for a slow one alone. A private stream's tokens
 * are those of the live one, since both are made of the same lanes: the handover is a
 * stream_locate.
 *
 * Thread  shard. */
#ifndef HEADGATE_CATCHUP_H
#define HEADGATE_CATCHUP_H

#include "stream.h"

#include <stdbool.h>
#include <stddef.h>

struct catchups;
struct outlet;
struct privates;
struct session;

struct catchups *catchups_new(struct privates *privates, size_t limit);
/* catchups_free: after privates_free, which counts down here; no session may be left. NULL-safe.
 * Thread init, once the shard's thread has ended. */
void catchups_free(struct catchups *catchups);

/* catchups_serve: on a wake, after privates_serve: start the readers that are waited for. */
void catchups_serve(struct catchups *catchups);

/* catchup_can: the outlet's source can be read again from an older place. */
bool catchup_can(const struct outlet *home);

/* catchup_would_wait: whoever of home asks for from now gets no reader before another one leaves.
 */
struct place;
bool catchup_would_wait(const struct outlet *home, const struct place *from);

/* catchup_ask: session, which stands in none of home's records, waits for a reader. */
void catchup_ask(struct session *session);

/* catchup_ready: it has a reader, and that knows where it begins. */
bool catchup_ready(const struct session *session);

/* catchup_hand_over: if the live ring has all that session still wants, it goes on there. True when
 * it did. Nothing may be owed. */
bool catchup_hand_over(struct session *session);

/* catchup_leave: session ends or goes home: its reader, or its place in the queue, is given up. */
void catchup_leave(struct session *session);

/* catchups_readers, catchups_waiting: for the metrics; of readers those too that are being stopped.
 * Thread any. */
size_t catchups_readers(const struct catchups *catchups);
size_t catchups_waiting(const struct catchups *catchups);

/* catchup_config: the configuration of a reader of the stream of: its ring and queue are fixed. */
void catchup_config(struct config_stream *config, const struct config_stream *of);

#endif
