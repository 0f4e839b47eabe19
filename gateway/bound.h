/* bound: the most memory and descriptors that a configuration lets the program need.
 *
 * The model; every part is a ceiling, and idle is far below it:
 *   process     BOUND_BASE_BYTES: code, libraries, allocator, threads' stacks
 *   a stream    ring.bytes + BOUND_SLOT_BYTES for each of ring.records (the ring's own table)
 *               + 2 max_record (one record being read, one being encoded)
 *               + what its connector says (memory_bound_bytes)
 *               + with view: table, table.bytes + table.history + 2 max_record (a record that is
 *               larger than what is left, in each)
 *   a thread    for each stream the encoded batches that it keeps for sharing:
 *               outlet_cache_limit_bytes, which is 80 times max(256 KiB, max_record), whatever
 *               formats and codings there are: a batch takes 64 KiB of records before framing and
 *               slack, or one record that is larger
 *               + outlet_pin_limit_bytes: what connections that stalled inside large records keep;
 *               and limits.filters of BOUND_FILTER_BYTES: a filter of the largest text, its token;
 *               filtered feeds keep no batches
 *               + where something may be compressed: CODING_STATE_BYTES, and twice the largest
 *               max_record: what is compressed, and a client's message that is inflated
 *   catch-up    catchup.readers times the largest private stream that one of them can be: its ring
 *               and what its connector holds
 *   consumers   for each stream that allows them consumers.max times a ring of 2 max_in_flight
 * records and 8 MiB, records in work, and what the connector holds for one (member_bound_bytes)
 *   answers     (with a log: log.memory with what producing takes, and log.readers times the same
 *               ring and a Kafka client) for each stream of models generations.max and .kept times
 * a ring of generations.bytes and BOUND_ANSWER_BYTES; those under way with twice the largest body
 * of a request, records in work and what the connector holds for one, with a route of an SDK's four
 * times max_record (what is said in its dialect); and what connections that stalled inside large
 * records keep requests    requests.streams times the largest that one of them can be, in the same
 * way
 *               + with a download route, downloads.watchers of watch_bound_bytes, and
 * DOWNLOADS_KEPT downloads that have ended a connection BOUND_CONNECTION_BYTES (session and
 * library) + BOUND_LEFTOVER_BYTES (what a socket did not take) + the larger of limits.message (a
 * client's message being read) and BOUND_HEAD_BYTES (its requests) + BOUND_TLS_BYTES where a
 * listener is encrypted
 *               + where a stream allows conflate: the largest slow.queue.bytes with
 *               CONFLATE_RECORD_BYTES for each of slow.conflate_keys, and 1 record more with
 *               TRACK_BYTES_MAX
 *               + with a download route, what is known of a download that is watched
 *   kernel      2 limits.send_buffer a connection, beside the process: the kernel doubles SO_SNDBUF
 * The track of a record (see track.h) is charged to the ring with its mark. One of each ring may
 * outlive its mark there, and those of a batch the ring: less than the slack of 2 max_record and of
 * BOUND_BATCH_BYTES.
 * Sums stop at UINT64_MAX. Thread  any: no state. */
#ifndef HEADGATE_BOUND_H
#define HEADGATE_BOUND_H

#include "config.h"

#define BOUND_BASE_BYTES (UINT64_C(24) << 20)
#define BOUND_SLOT_BYTES UINT64_C(32) /* a record and its charge, up to the next power of two */
#define BOUND_BATCH_BYTES (UINT64_C(256) << 10)
#define BOUND_FILTER_BYTES (UINT64_C(32) << 10)
#define BOUND_CONNECTION_BYTES (UINT64_C(4) << 10)
#define BOUND_LEFTOVER_BYTES (UINT64_C(8) << 10)
#define BOUND_HEAD_BYTES (UINT64_C(32) << 10)
#define BOUND_ANSWER_BYTES (UINT64_C(32) << 10) /* its stream, what each shard has of it */
#define BOUND_TLS_BYTES                                                                            \
    (UINT64_C(40) << 10) /* OpenSSL: a 16 KiB record each way, and its state                       \
                          */
#define BOUND_AUTO_CONNECTIONS UINT64_C(10000)

struct bound {
    uint64_t base_bytes;
    uint64_t streams_bytes;     /* rings and sources, all streams */
    uint64_t threads_bytes;     /* encoded batches and filters, all threads */
    uint64_t catchup_bytes;     /* private streams of subscribers that catch up */
    uint64_t consumers_bytes;   /* private streams of durable consumers */
    uint64_t requests_bytes;    /* private streams that requests make */
    uint64_t generations_bytes; /* answers of models, running and kept */
    uint64_t connections_bytes; /* sessions, all connections */
    uint64_t total_bytes;       /* of the eight: resident memory stays below it */
    uint64_t kernel_bytes;      /* socket buffers, not in total_bytes */
    uint64_t descriptors;
};

/* bound_compute: config is a loaded one (threads and max_connections are resolved). */
void bound_compute(struct bound *bound, const struct config *config);

/* bound_stream_bytes: one stream's share of streams_bytes. */
uint64_t bound_stream_bytes(const struct config_stream *stream);

/* bound_descriptor_limit: RLIMIT_NOFILE's hard limit, up to which the program may raise its own. */
uint64_t bound_descriptor_limit(void);

/* bound_auto_connections: how many connections descriptor_limit leaves, at most
 * BOUND_AUTO_CONNECTIONS and at least one a thread. config->threads is resolved;
 * config->max_connections is not read. */
uint64_t bound_auto_connections(const struct config *config, uint64_t descriptor_limit);

/* bound_print: a table for people, the last line of memory its total; a warning where the
 * descriptors go beyond descriptor_limit. */
void bound_print(
    const struct bound *bound, const struct config *config, uint64_t descriptor_limit, FILE *out);

#endif
