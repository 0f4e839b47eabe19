/* consumer: the durable subscribers of this gateway: what the client of each connection was sent,
 * what it acked, and so what may be committed for it.
 *
 * Each connection of a durable consumer is one member of the consumer's Kafka group, on a private
 * stream of its own. All are in one table, because an ack that comes by POST may be served by
 * another thread than the connection. An ack is cumulative, and taken only for the id of a record
 * that is in flight on one of the connections: compared with the records themselves, so that no
 * made-up token commits anything.
 *
 * In flight is what was sent and not acked. It is bounded by the private ring, which the source may
 * fill only up to max_in_flight records past what is acked.
 * Thread  any; one mutex, held for a search through what is in flight at the longest. */
#ifndef HEADGATE_CONSUMER_H
#define HEADGATE_CONSUMER_H

#include "config.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct consumers;
struct consumer;
struct ring;

#define CONSUMER_NAME_MAX 64

/* consumer_name_valid: 1 to CONSUMER_NAME_MAX of A-Z a-z 0-9 . _ - */
bool consumer_name_valid(const char *name);

/* consumer_group: the group of a consumer, by the stream's template: {stream} and {consumer} are
 * filled in. Owns: the caller frees it. */
char *consumer_group(const struct config_stream *config, const char *name);

struct consumers *consumers_new(void);
void consumers_free(struct consumers *consumers); /* NULL-safe; every connection is closed */

struct consumer_options {
    size_t stream;             /* its index in the configuration */
    const char *name;          /* copied */
    bool acks;                 /* the client acks; else what was sent counts */
    struct ring *ring;         /* of the private stream; outlives consumer_close */
    void (*wake)(void *shard); /* after an ack: the shard settles anew. any */
    void *shard;
};

struct consumer *consumer_open(struct consumers *consumers, const struct consumer_options *options);
void consumer_close(struct consumer *consumer); /* NULL-safe */

const char *consumer_name(const struct consumer *consumer);
bool consumer_acks(const struct consumer *consumer);

/* consumer_sending: the client is about to be sent some of what lies up to seq. Its ack may come,
 * on another thread, before consumer_sent is called. Thread shard. */
void consumer_sending(struct consumer *consumer, uint64_t seq);

/* consumer_sent: the client was sent, or told of, all up to seq; last is the newest of it that it
 * was really sent: what lies behind that needs no ack. Thread shard. */
void consumer_sent(struct consumer *consumer, uint64_t seq, uint64_t last, int64_t now_ms);

/* consumer_settled: up to which record all is acked. Thread shard. */
uint64_t consumer_settled(struct consumer *consumer);

/* consumer_waits_ms: for how long the client has owed an ack without giving one; 0: it owes none.
 */
int64_t consumer_waits_ms(struct consumer *consumer, int64_t now_ms);

enum consumer_ack {
    CONSUMER_ACK_DONE,    /* all up to that record is acked */
    CONSUMER_ACK_BEFORE,  /* it was acked before: nothing to do */
    CONSUMER_ACK_FOREIGN, /* no record in flight has that id */
    CONSUMER_ACK_ABSENT   /* no connection here that takes acks */
};

/* consumer_ack: by the connection itself. consumers_ack: to whichever connection of that name has
 * the record in flight. now_ms is the shard's clock. */
enum consumer_ack consumer_ack(
    struct consumer *consumer, const char *id, size_t len, int64_t now_ms);
enum consumer_ack consumers_ack(struct consumers *consumers, size_t stream, const char *name,
    const char *id, size_t len, int64_t now_ms);

/* For the metrics. */
struct consumer_counts {
    uint64_t connections, in_flight, acks, acks_refused;
};
void consumers_count(struct consumers *consumers, size_t stream, struct consumer_counts *counts);

#endif
