/* played_stream: a stream "s" whose source the test plays: it adds the lanes, and stages and
 * commits records, on any one thread at a time. One stream at a time. */
#ifndef HEADGATE_PLAYED_STREAM_H
#define HEADGATE_PLAYED_STREAM_H

#include "params.h"
#include "ring.h"
#include "stream.h"

/* played_stream: with a ring of so many records, and two shards. Owns: stream_free. */
struct stream *played_stream(uint64_t ring_records);

/* played_wakes: how often its source was told that there is room. */
int played_wakes(void);

/* played_stage: as stream_stage, of a record with the payload 1. played_publish: and commit it. */
int played_stage(struct stream *stream, uint32_t lane, uint64_t offset);
void played_publish(struct stream *stream, uint32_t lane, uint64_t offset);

/* played_place_of: the place that a token says. played_place_after: the one behind the record seq.
 * Owns: free() of its lanes. */
struct place played_place_of(const char *text, size_t len);
struct place played_place_after(struct stream *stream, uint64_t seq);

/* played_next_in: the next offset of a lane at place; 0 when the token does not have it (lanes
 * start at 0 here). */
uint64_t played_next_in(const struct place *place, uint32_t partition);

struct ring_state played_state(struct stream *stream);

#endif
