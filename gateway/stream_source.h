/* stream_source: the side of a stream that its source sees. Implemented in
 * stream_source.c and stream_stage.c.
 *
 * Lanes. A lane is one ordered part of a source: a Kafka partition, a file. Offsets in a lane only
 * grow. The stream knows the next offset of every lane: that vector is the stream's position, and
 * written as a token it is the id of each record. A source whose places are no offsets (the key of
 * a row) says so with stream_cursor_start(): then each record brings its position, a cursor, and
 * lanes and offsets are only for order and repeats within this process.
 *
 * Life: the source adds its lanes with their start offsets, then calls stream_source_up(). Records
 * are staged one by one and become visible together at stream_commit(): one lock and one wake a
 * batch. Stage at most stream_room() records between commits.
 *
 * Thread  source: all of these are called by the one publishing thread, except where it says any.
 */
#ifndef HEADGATE_STREAM_SOURCE_H
#define HEADGATE_STREAM_SOURCE_H

#include "record.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct stream;

const char *stream_name(const struct stream *stream); /* any */

/* stream_is_private: not a configured stream, but a reader of what the ring of one has left, or
 * what a request made. any. */
bool stream_is_private(const struct stream *stream);

/* stream_source_alias: what the upstream calls this answer: found by it where it is one of many. An
 * empty text is none; of a long one the beginning counts. */
void stream_source_alias(struct stream *stream, const char *alias);

/* stream_source_retry_after: before stream_source_end with a failure: how long whoever asks again
 * should wait; of more than a day a day counts, and nothing of less than a millisecond. */
void stream_source_retry_after(struct stream *stream, int64_t after_ms);

/* stream_home_source: of a request's stream, the configured stream's source; NULL: it has none.
 * any.
 */
struct source;
struct source *stream_home_source(const struct stream *stream);

/* stream_room: how many records may be staged now; 0 while a pause subscriber holds the source
 * back. Once 0, it stays 0 until the slow one is half way down (hysteresis); then the connector's
 * wake() is called. Cheap: one lock. */
size_t stream_room(struct stream *stream);

/* stream_max_record_bytes: a payload larger than this is a loss: reported with stream_lost(reason
 * "too_large"), or by stream_stage itself. any. */
size_t stream_max_record_bytes(const struct stream *stream);

/* stream_lane_add: a new lane whose next offset is next. group is the topic (or file) name,
 * partition its number, from 0. Adding a (group, partition) that was removed revives its index,
 * from next on, which may be lower than where it ended: what is read again is published again.
 * Returns the lane's index, dense from 0; STREAM_LANE_REFUSED, which is logged with the reason,
 * when tokens cannot hold it (see lanes_add): the connector then leaves that partition alone. */
#define STREAM_LANE_REFUSED UINT32_MAX
uint32_t stream_lane_add(
    struct stream *stream, const char *group, uint32_t partition, uint64_t next);

/* stream_lane_resume: a removed lane goes on where it stopped, and what is in the ring of it is its
 * own: no other reader has moved on from what was settled here. */
void stream_lane_resume(struct stream *stream, uint32_t lane);

/* stream_lane_file: the lane is a file, at path now, and offsets are places in it: source in
 * envelope=full says so. What a token that does not know the lane has not seen of it begins at
 * origin. Called again when the file is renamed. A removed lane of this kind is forgotten once its
 * last record has left the ring: tokens have it no longer, and its index is given to another. */
void stream_lane_file(struct stream *stream, uint32_t lane, const char *path, uint64_t origin);

/* stream_cursor_start: before the first record and stream_source_up(): positions are cursors, and
 * this is where the stream begins; len 0: before all that the source has. A token's cursor comes
 * back as struct replay's when it is older than the ring. A loss without a cursor (stream_lost)
 * leaves the position where it was. */
void stream_cursor_start(struct stream *stream, const void *cursor, size_t len);

/* stream_lane_reset: the lane starts anew at next, which may be lower than before: the topic was
 * deleted and made again. Every subscriber is told by a gap with the reason "reset" and count 0.
 * Tokens from before are then answered with "resumed":false. */
void stream_lane_reset(struct stream *stream, uint32_t lane, uint64_t next);

/* stream_lane_remove: the lane is gone (partition or topic deleted); its position is kept. */
void stream_lane_remove(struct stream *stream, uint32_t lane);

/* stream_settle: look how far the subscribers are. stream_lane_settled: as of that look, the offset
 * from which on the lane's records are not settled yet: each record before it was sent to, or
 * counted in a gap of, every subscriber that must not lose (slow: pause), or where there is none of
 * them one subscriber at least. What may be committed where progress is kept upstream. */
void stream_settle(struct stream *stream);
uint64_t stream_lane_settled(const struct stream *stream, uint32_t lane);

/* stream_has_subscribers: without any, a source that shares its records with other readers leaves
 * them where they are. any. */
bool stream_has_subscribers(const struct stream *stream);

/* stream_source_shared: the upstream gave this source its share anew, of that many lanes.
 * stream_source_committed: progress was kept upstream. For the metrics. any. */
void stream_source_shared(struct stream *stream, size_t lanes);
void stream_source_committed(struct stream *stream);

/* stream_source_resumed: the upstream knew how far this reader was. Before stream_source_up. any.
 */
void stream_source_resumed(struct stream *stream);

/* stream_lane_end: the upstream's end offset of the lane, for the lag metric, and for tokens that
 * are ahead of this replica. Thread any. */
void stream_lane_end(struct stream *stream, uint32_t lane, uint64_t end_offset);

/* stream_lane_next: the next offset that the stream expects: offsets below it are repeats. */
uint64_t stream_lane_next(const struct stream *stream, uint32_t lane);

/* stream_stage: encode one record and queue it for the next commit. A record whose offset is below
 * the lane's next is a repeat: dropped, counted, 0 is returned. 1: staged; one whose payload is
 * over stream_max_record_bytes(), or whose key and headers are over STREAM_KEY_HEADERS_MAX bytes
 * together, as a loss ("too_large") in its place. -1: the room that
 * stream_room() found is used up (in bytes, perhaps before its count): nothing was taken; keep the
 * record, commit, and offer it again once stream_room() is above 0. */
#define STREAM_KEY_HEADERS_MAX (UINT32_C(1) << 20)
int stream_stage(struct stream *stream, const struct record_input *in, int64_t arrival_ns);

/* stream_takes_lines: the one subscriber of the stream takes payloads alone, one a line: what are
 * JSON texts of a line each may come as struct record_lines. Does not change. any.
 * stream_stage_lines: as stream_stage, of all of them at once, in one place of stream_room(); none
 * is a repeat, and none longer than stream_max_record_bytes(). Cost  one copy. */
bool stream_takes_lines(const struct stream *stream);
/* stream_lines_cut: of a replay: the lane's offset that no piece may have records on both sides of:
 * the subscriber ends there. UINT64_MAX: it does not. Does not change. */
uint64_t stream_lines_cut(const struct stream *stream, uint32_t lane);
int stream_stage_lines(struct stream *stream, const struct record_lines *lines, int64_t arrival_ns);
/* stream_stage_block: the same of lines that begin a block (record_block_new), without a copy.
 * Owns: where it returns 1, the block is taken and *block is NULL. */
int stream_stage_block(struct stream *stream, struct record **block,
    const struct record_lines *lines, int64_t arrival_ns);

/* stream_sifts: the subscribers of the stream want some keys alone: each record is to be shown to
 * stream_pass_over first, which costs little. Does not change. any.
 * stream_pass_over: true: nobody wants a record with that key (NULL: none), and the position has
 * moved past it; that is told with the next commit. False: stage it. */
bool stream_sifts(const struct stream *stream);
bool stream_pass_over(
    struct stream *stream, uint32_t lane, uint64_t offset, const void *key, size_t key_len);

/* stream_lost: count records with offsets up to and with last_offset of the lane are lost to this
 * stream (reason: "too_large", "retention", ...: a literal). Every subscriber gets a gap in its
 * place; counted in headgate_records_dropped_total. Takes one place of stream_room(), and is taken
 * without one too: a loss must be told. */
void stream_lost(
    struct stream *stream, uint32_t lane, uint64_t last_offset, uint64_t count, const char *reason);

/* stream_commit: show what was staged to the subscribers and wake the shards. */
void stream_commit(struct stream *stream);

/* stream_source_up: the upstream answers and every lane is positioned. stream_source_down: it does
 * not; why is copied (one short line, no secrets). Both may be called again with the same state;
 * the change is logged once. Thread any. */
void stream_source_up(struct stream *stream);
void stream_source_down(struct stream *stream, const char *why);

/* stream_source_error: count an upstream error in headgate_source_errors_total{stream,reason}.
 * reason is a literal from a small fixed set. Thread any. */
void stream_source_error(struct stream *stream, const char *reason);

/* The rest is for a stream that a request made (connector.h, on_request).
 *
 * stream_keeps_all: it is an answer that many may see, who come when they like: its ring loses
 * nothing. stream_is_full: of such a one: its ring has no place any more, and never will: the
 * source ends it as failed. Thread any.
 *
 * stream_max_tokens: of such a one: beyond so many the source ends it as failed; of any other
 * UINT64_MAX. Thread any.
 *
 * stream_source_anew: the place that the request asked for cannot be honoured, and the stream
 * starts from its beginning; reason, a literal, is told to the subscriber. Before stream_source_up.
 */
bool stream_keeps_all(const struct stream *stream);
bool stream_is_full(struct stream *stream);
uint64_t stream_max_tokens(const struct stream *stream);
void stream_source_anew(struct stream *stream, const char *reason);

/* stream_source_progress: done of total are read, in whatever unit, and committed. The subscriber
 * is told once it was sent that, a few times a second at the most. Where the whole is not known, it
 * is not called. Thread any. */
void stream_source_progress(struct stream *stream, uint64_t done, uint64_t total);

/* stream_source_end: nothing will follow what was committed. code NULL: the stream is complete;
 * else it failed, for a reason that code, a literal such as "source_failed", and message (copied;
 * one line for people, no secrets) say. "cancelled" is the code of one that was asked to
 * (connector.h, cancel). Counts once. Thread any. */
void stream_source_end(struct stream *stream, const char *code, const char *message);

/* stream_source_alive: the source's thread made progress; /livez fails when the last call is too
 * long ago. At least once a second, paused or not. */
void stream_source_alive(struct stream *stream);

#endif
