/* session_durable: what makes a session that of a durable consumer: how far its client has it, by
 * acks or by what was sent, and what follows from that for the source. Thread shard. */
#ifndef HEADGATE_SESSION_DURABLE_H
#define HEADGATE_SESSION_DURABLE_H

#include "consumer.h"
#include "session.h"

struct durable;

/* session_make_durable: before its first pump. consumer_take: closed with the session. */
void session_make_durable(struct session *session, struct consumer *consumer_take);
void durable_free(struct durable *durable); /* NULL-safe */

const char *durable_name(const struct session *session);

/* durable_sending: it is about to be sent records up to last. durable_sent: the session was sent
 * what it wants of records[0..n) up to its stand. */
void durable_sending(struct session *session, const struct record *last);
void durable_sent(struct session *session, struct record *const *records, size_t n);
/* durable_passed: nothing up to its stand was for it. */
void durable_passed(struct session *session);

/* durable_settled: what may be committed. ack=client: what is acked. ack=sent: what was in the
 * socket at least half a second ago and has reached the client's TCP: a client that dies with less
 * than that unread has lost nothing. */
uint64_t durable_settled(struct session *session);

/* durable_base: where its hold on the source is measured from; false: from its stand. */
bool durable_base(struct session *session, struct stand *base);

/* durable_ack: a WebSocket message {"op":"ack","id":..}. NULL, or what is wrong: a literal. */
const char *durable_ack(struct session *session, const char *id);

/* durable_tick: every 250 ms. True when the client owes an ack for too long. */
bool durable_tick(struct session *session, int64_t now_ms);

#endif
