/* lanes: the position of a stream: the next offset of every partition (or file) that it reads, and
 * the tokens made of it.
 *
 * Invariant: the token rows are sorted by (group hash, partition); a lane keeps its row and its
 * index for ever, removed or not, so tokens stay comparable; but one of a file that is gone is
 * forgotten when nothing in the ring is its. One mutex; every call is short.
 * Thread  any; add, reset, remove and advance only by the source thread. */
#ifndef HEADGATE_LANES_H
#define HEADGATE_LANES_H

#include "buf.h"
#include "params.h"

#include <stdbool.h>
#include <stdint.h>

struct lanes;

/* lanes_new: keys, lent, are what its tokens are signed with; NULL: nothing. */
struct lanes *lanes_new(const struct token_keys *keys);
void lanes_free(struct lanes *lanes); /* NULL-safe */

/* lanes_add: see stream_source.h. Returns NULL and *lane, or why there is no such lane: a literal.
 * A token must be able to tell the lanes apart and to hold them all, so a group whose hash is that
 * of another, a partition from TOKEN_PARTITION_LIMIT on, and a lane too many are refused. Cost
 * O(lanes). */
const char *lanes_add(
    struct lanes *lanes, const char *group, uint32_t partition, uint64_t next, uint32_t *lane);

/* See stream_source.h for these. */
void lanes_reset(struct lanes *lanes, uint32_t lane, uint64_t next);
bool lanes_remove(struct lanes *lanes, uint32_t lane); /* true: it is a file */
void lanes_resume(struct lanes *lanes, uint32_t lane);
void lanes_set_end(struct lanes *lanes, uint32_t lane, uint64_t end_offset);
uint64_t lanes_next(const struct lanes *lanes, uint32_t lane); /* thread source */

/* Lanes that are files. lanes_set_file: see stream_lane_file. lanes_forget: its row leaves the
 * tokens and its index may be used again: no record of it may be in the ring. lanes_is_untouched:
 * it never had a record. lanes_is_removed: it was not revived since. */
void lanes_set_file(struct lanes *lanes, uint32_t lane, const char *path, uint64_t origin);
void lanes_forget(struct lanes *lanes, uint32_t lane);
bool lanes_is_untouched(struct lanes *lanes, uint32_t lane);
bool lanes_is_removed(struct lanes *lanes, uint32_t lane);

/* lanes_unaccounted: from has a place in a file that there is no lane of, and it is not known that
 * this was its end. The ends of the last LANES_GRAVES files are known: *known is set when from
 * has a place in one. Only for streams that have, or had, files. */
#define LANES_GRAVES 256
bool lanes_unaccounted(struct lanes *lanes, const struct place *from, bool *known);

/* lanes_advance: move lane past offset and append the token of the new position, where token is not
 * NULL. Returns the lane's
 * source text up to the offset (lent until lanes_free), or NULL when offset is a repeat; then
 * nothing moved and nothing was appended. */
const char *lanes_advance(struct lanes *lanes, uint32_t lane, uint64_t offset, struct buf *token);

/* lanes_mark: the lane begins here, after the record seq of the ring: what older records say of it
 * is of a former life. lanes_settled: its next offset when the record seq, whose id says here, is
 * the last that is settled. */
void lanes_mark(struct lanes *lanes, uint32_t lane, uint64_t seq);
uint64_t lanes_settled(struct lanes *lanes, uint32_t lane, const struct place *here, uint64_t seq);
/* lanes_begin_cursor: the position is a cursor from now on, see stream_cursor_start; len is at most
 * TOKEN_CURSOR_MAX. lanes_move_cursor: it is this one now; the next lanes_advance makes its token.
 */
void lanes_begin_cursor(struct lanes *lanes, const void *cursor, size_t len);
void lanes_move_cursor(struct lanes *lanes, const void *cursor, size_t len);
bool lanes_by_cursor(struct lanes *lanes);

/* lanes_many: tokens are too long for every record: over LANES_FEW lanes. Thread source.
 * lanes_sparse: the same from any thread. */
#define LANES_FEW 32
bool lanes_many(const struct lanes *lanes);
bool lanes_sparse(struct lanes *lanes);

/* lanes_track: a track from the position now on. lanes_follow: the lane's move is the next step of
 * track, see track_step. Thread source. */
struct track;
struct track *lanes_track(const struct lanes *lanes);
uint32_t lanes_follow(const struct lanes *lanes, struct track *track, uint32_t lane);

/* lanes_token: the position now. lanes_start_token: where every lane began. */
void lanes_token(struct lanes *lanes, struct buf *token);
void lanes_start_token(struct lanes *lanes, struct buf *token);

/* lanes_behind: the position now, but with each place of group as it is given, whether it has been
 * read yet or not; the ends of these lanes are known to be as far. */
struct push_place;
void lanes_behind(struct lanes *lanes, const char *group, const struct push_place *places, size_t n,
    struct buf *token);

/* lanes_start_over: lane was reset: what from says of it means nothing any more. */
void lanes_start_over(struct lanes *lanes, struct place *from, uint32_t lane);

/* lanes_wants: a subscriber that resumes at from has not seen offset of lane: it is at or past the
 * token's place, or the token does not know the lane (it appeared later). */
bool lanes_wants(struct lanes *lanes, const struct place *from, uint32_t lane, uint64_t offset);

/* lanes_cut: the lane's place in to; UINT64_MAX: it has none there. */
uint64_t lanes_cut(struct lanes *lanes, const struct place *to, uint32_t lane);

/* lanes_reach: the position here has come to every place of to in the lanes there are.
 *
 * here, of this and of lanes_places, is what a committed record's id says: lanes move on as records
 * are staged, but a subscriber's world ends at the newest record in the ring. A place without lanes
 * is where every lane began; PLACE_NONE stands for the position now. */
bool lanes_reach(struct lanes *lanes, const struct place *to, const struct place *here);

/* lanes_loaded: here, as in lanes_reach, has come to where every lane ended when the source said so
 * first; or to where it ends now: an end may be taken back, since control records of Kafka take
 * offsets. */
bool lanes_loaded(struct lanes *lanes, const struct place *here);

/* What a token says about one lane, for stream_locate. */
struct lane_place {
    bool known;     /* the token has the lane */
    uint64_t asked; /* the token's next offset; the lane's start when not known */
    uint64_t next;  /* the lane's next offset at here */
    uint64_t end;   /* the larger of what is staged and the upstream's end */
    uint64_t start; /* where the lane began, or was reset to */
    bool removed;
    bool is_file;
};
/* lanes_places: one row a lane into *places (the caller frees). Returns the count. */
size_t lanes_places(struct lanes *lanes, const struct place *from, const struct place *here,
    struct lane_place **places);

/* lanes_begin_at_zero: every lane began at its first offset, 0, and there are some, or at the empty
 * cursor: what the stream has ever published is all there is. */
bool lanes_begin_at_zero(struct lanes *lanes);

/* lanes_close_removed: give place, a PLACE_TOKEN, the lanes that are no more and that it does not
 * know, as if all of them were seen. Its lanes are reallocated. */
void lanes_close_removed(struct lanes *lanes, struct place *place);

/* lanes_replay: the lanes with their places in the token from, for a connector; those that the
 * token does not know begin at 0, or at their origin. Owns: *rows is the caller's to free, and
 * their groups with it. Returns the count; *gone (NULL: not asked) is what lanes_unaccounted says
 * of from at that moment. */
struct replay_lane;
size_t lanes_replay(
    struct lanes *lanes, const struct place *from, struct replay_lane **rows, bool *gone);

void lanes_metrics_file_lag(struct lanes *lanes, const char *stream, struct buf *out);
void lanes_metrics_lag(struct lanes *lanes, const char *stream, struct buf *out);

#endif
