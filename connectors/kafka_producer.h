/* kafka_producer: a thread with an idempotent librdkafka producer, for whoever has records to write
 * (push_producer.h, llm_log.h): it asks its user for them, and gives each one's report back. A
 * fatal error, which ends an idempotent producer, makes it open another.
 *
 * Thread  everything in the user's table runs on the producer's. */
#ifndef HEADGATE_KAFKA_PRODUCER_H
#define HEADGATE_KAFKA_PRODUCER_H

#include "../gateway/err.h"

#include <librdkafka/rdkafka.h>
#include <stdbool.h>

struct kafka_producer;

struct kafka_producer_user {
    /* conf: of the client, callbacks excepted; also called on the thread of the start. Owns: the
     * producer gets it. Errors NULL and err. */
    rd_kafka_conf_t *(*conf)(void *self, struct err *err);
    /* produce: give what there is to the client. True: there may be more. Blocks no. */
    bool (*produce)(void *self, rd_kafka_t *client);
    /* report: of what was given with an opaque; every one comes, be it as a failure. */
    void (*report)(void *self, const rd_kafka_message_t *message);
    /* broke: the client met a fatal error and is made anew; what it had is reported as failed. Also
     * from a thread of librdkafka. */
    void (*broke)(void *self, const char *text);
    const char *component; /* of the log: a literal */
    const char *name;      /* of the stream; outlives the producer */
};

/* kafka_producer_start: user is copied; self outlives the producer's stop. Errors NULL and err.
 * Thread init. */
struct kafka_producer *kafka_producer_start(
    const struct kafka_producer_user *user, void *self, struct err *err);

/* kafka_producer_wake: there is something to produce. Thread any. Blocks no. */
void kafka_producer_wake(struct kafka_producer *producer);

/* kafka_producer_halt: what is under way has two seconds more. kafka_producer_stop: after halt;
 * waits until every report is given, and a little longer for the client to close; then it is left
 * behind. The user is not used any more. Thread init. */
void kafka_producer_halt(struct kafka_producer *producer);
void kafka_producer_stop(struct kafka_producer *producer);

#endif
