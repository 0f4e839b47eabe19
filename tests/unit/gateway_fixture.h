/* gateway_fixture: a gateway of one stream "s" and one shard, on a free port of 127.0.0.1, in this
 * process. The test is the source: it publishes {"n":N,"pad":"x..."} with N from 0 on. Thread test.
 */
#ifndef HEADGATE_GATEWAY_FIXTURE_H
#define HEADGATE_GATEWAY_FIXTURE_H

#include "server.h"
#include "subscriber.h"

#define KIB 1024u
#define MIB (1024u * 1024u)

/* Of the receive buffer of a subscriber that is to stall soon. */
#define SMALL_RCVBUF 4096

struct gateway {
    struct config config;
    struct config_stream stream_config;
    struct config_listen listen;
    struct server server;
    size_t catchup_readers; /* 0: none */
    struct reaper *reaper;  /* NULL without them */
    struct stream *stream;
    struct shard *shard;
    uint16_t port;
    uint64_t produced; /* records, and so the next n */
};

/* fixture_new: with a configuration that a test may change before fixture_start. */
struct gateway *fixture_new(void);
void fixture_start(struct gateway *gateway);
struct gateway *fixture_run(void); /* both */
void fixture_stop(struct gateway *gateway);

/* fixture_publish: up to count records with size bytes of padding, at most 1 MiB; returns how many
 * there was room for. fixture_wakes: how often the source was told that there is room. */
uint64_t fixture_publish(struct gateway *gateway, uint64_t count, size_t size);
int fixture_wakes(void);

/* fixture_overrun: publish until a subscriber that reads nothing is behind by `behind` records.
 * fixture_publish_until_held: until a pause subscriber holds the source. fixture_held: one does. */
void fixture_overrun(
    struct gateway *gateway, enum transport transport, uint64_t behind, size_t size);
void fixture_publish_until_held(struct gateway *gateway, size_t size);
bool fixture_held(struct gateway *gateway);

/* fixture_subscribe: a subscriber that has its hello, and so stands at the head. */
struct subscriber *fixture_subscribe(
    struct gateway *gateway, enum transport transport, const char *query, int receive_bytes);

struct stream_counters *fixture_counters(struct gateway *gateway);
uint64_t fixture_records_out(struct gateway *gateway, enum transport transport);
uint64_t fixture_ended(struct gateway *gateway, enum disconnect_reason reason);

#endif
