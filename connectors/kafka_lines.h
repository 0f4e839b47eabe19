/* kafka_lines: neighbours of a partition whose payloads are JSON, one line each, gathered to go on
 * as one piece (stream_stage_lines): for the one subscriber that catches up and takes nothing else
 * of a record. Holds one piece at the most. Thread  source. */
#ifndef HEADGATE_KAFKA_LINES_H
#define HEADGATE_KAFKA_LINES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct kafka_lines;
struct stream;

/* Two pieces of it, which HTTP puts into one chunk, are no more than a stalled connection may owe
 * as a copy. */
#define KAFKA_LINES_BYTES 4032

struct kafka_lines *kafka_lines_new(struct stream *stream);
void kafka_lines_free(struct kafka_lines *lines); /* NULL-safe */

enum kafka_lines_taken {
    KAFKA_LINES_TAKEN,
    KAFKA_LINES_NONE,   /* it is no such payload, or a repeat; all that came before it is staged */
    KAFKA_LINES_NO_ROOM /* for what came before it: offer it again */
};

/* kafka_lines_add: the payload, lent, of the record at offset of lane; NULL: a tombstone. */
enum kafka_lines_taken kafka_lines_add(struct kafka_lines *lines, uint32_t lane, uint64_t offset,
    const char *payload, size_t len, int64_t arrival_ns);

/* kafka_lines_flush: stage what is gathered. False: there is no room; it waits. */
bool kafka_lines_flush(struct kafka_lines *lines, int64_t arrival_ns);

/* kafka_lines_drop: let go of what is gathered of lane: it will be fetched again. */
void kafka_lines_drop(struct kafka_lines *lines, uint32_t lane);

#endif
