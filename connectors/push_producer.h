/* push_producer: writes what clients post to a Kafka topic: an idempotent producer with a thread of
 * its own, which takes from the stream's push queue and gives each record back once the broker has
 * acknowledged it, or with the reason why not. A record is in the queue's bound until then. */
#ifndef HEADGATE_PUSH_PRODUCER_H
#define HEADGATE_PUSH_PRODUCER_H

#include "push_settings.h"

struct push_producer;
struct stream;

/* push_producer_start: settings and the stream outlive it. Errors NULL and err. Thread init. */
struct push_producer *push_producer_start(
    const struct push_settings *settings, struct stream *stream, struct err *err);

/* push_producer_wake: something is in the queue. Thread any. Blocks no. */
void push_producer_wake(struct push_producer *producer);

/* push_producer_halt: what is under way has two seconds more. push_producer_stop: after halt; waits
 * until every record is given back, and a little longer for the client to close; then it is left
 * behind. Thread init. */
void push_producer_halt(struct push_producer *producer);
void push_producer_stop(struct push_producer *producer);

#endif
