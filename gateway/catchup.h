/* catchup: the second lane. A subscriber that asks for what the ring no longer holds reads it from
 * the source itself: a private stream with a small ring of its own, started where the subscriber
 * stands, held back by it alone, until the live ring has what comes next; then it is handed over.
 *
 * A shard runs at most `limit` private streams (readers); who comes later waits, connected and
 * greeted, in order. Those that wait for the same place share one reader. A private stream's tokens
 * are those of the live one, since both are made of the same lanes: the handover is a
 * stream_locate.
 *
 * Thread  shard, except for the reaper: stopping a source blocks, so it is done on a thread of its
 * own. */
#ifndef HEADGATE_CATCHUP_H
#define HEADGATE_CATCHUP_H

#include "err.h"
#include "stream.h"

#include <stdbool.h>
#include <stddef.h>

struct catchups;
struct outlet;
struct reaper;
struct session;
struct shard;

/* reaper_new: its thread starts. Errors NULL and err. reaper_free stops what it was given and
 * joins. Thread init. */
struct reaper *reaper_new(struct err *err);
void reaper_free(struct reaper *reaper); /* NULL-safe */

struct catchups *catchups_new(struct shard *shard, size_t limit, struct reaper *reaper);
/* catchups_free: no session may be left; every reader is stopped here. NULL-safe. Thread init, once
 * the shard's thread has ended. Blocks. */
void catchups_free(struct catchups *catchups);

/* catchups_halt: stop the sources of all readers; nothing is published any more. Thread init, once
 * the shard's thread has ended. Blocks. */
void catchups_halt(struct catchups *catchups);

/* catchups_serve: on a wake: pass on what readers brought, retire those that nobody needs, start
 * those that are waited for. True when there is more to do. */
bool catchups_serve(struct catchups *catchups);

/* catchups_stale: a reader's hold must be computed again (see outlet_hold_update). */
bool catchups_stale(const struct catchups *catchups);

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

/* catchups_readers, catchups_waiting: for the metrics. Thread any. */
size_t catchups_readers(const struct catchups *catchups);
size_t catchups_waiting(const struct catchups *catchups);

/* catchup_config: the configuration of a private stream of config: its ring and queue are fixed. */
void catchup_config(struct config_stream *private_config, const struct config_stream *config);

#endif
