/* fake_stream: stands in for stream.c in tests of sources: keeps all that a source says, and plays
 * the room. One stream at a time. Waits are on conditions, with a deadline. Thread any. */
#ifndef HEADGATE_FAKE_STREAM_H
#define HEADGATE_FAKE_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct stream;

#define FAKE_LANES 64
#define FAKE_HEADERS 4

struct fake_record {
    uint32_t lane;
    uint64_t offset;
    int64_t time_ms, arrival_ns;
    char *key, *data; /* NULL as in the input; else with a NUL after them */
    size_t key_len, data_len;
    char type[80]; /* "": it has none */
    unsigned views;
    size_t n_headers;
    struct {
        char name[32], value[32];
        bool is_null;
    } headers[FAKE_HEADERS];
};

struct fake_lane {
    char group[256];
    char path[256]; /* of a file */
    uint64_t origin;
    uint32_t partition;
    uint64_t start, next, end, lost, settled;
    char lost_reason[32];
    bool removed;
    int resets, revivals;
};

struct stream *fake_stream_new(size_t room, size_t max_record_bytes);
void fake_stream_free(struct stream *stream);

/* fake_stream_set_room: room is refilled to this at each stream_room(); 0 holds the source. */
void fake_stream_set_room(struct stream *stream, size_t room);

/* fake_stream_discard: count records, keep none: for load. */
void fake_stream_discard(struct stream *stream);

/* fake_stream_set_cost: make each record take about this long to stage: a slower stream. */
void fake_stream_set_cost(struct stream *stream, int64_t ns);

/* fake_stream_set_alone: it has no subscribers. fake_stream_set_settling: false: what comes from
 * now on is not settled. */
void fake_stream_set_alone(struct stream *stream, bool alone);
void fake_stream_set_settling(struct stream *stream, bool settling);

/* fake_stream_set_lines: it takes lines: each is kept as a record, with the offset of the last. */
void fake_stream_set_lines(struct stream *stream, bool lines);
/* fake_stream_set_lines_cut: no piece may go across offset, in any lane. */
void fake_stream_set_lines_cut(struct stream *stream, uint64_t offset);

/* fake_stream_set_key: before its source starts: records with another key are passed over. */
void fake_stream_set_key(struct stream *stream, const char *key);

size_t fake_stream_count(struct stream *stream); /* committed records */
size_t fake_stream_lanes(struct stream *stream);
size_t fake_stream_errors(struct stream *stream, const char *reason);
size_t fake_stream_commits(struct stream *stream);
size_t fake_stream_repeats(struct stream *stream);
size_t fake_stream_ups(struct stream *stream);    /* changes to up */
size_t fake_stream_downs(struct stream *stream);  /* changes to down */
size_t fake_stream_shares(struct stream *stream); /* how often a share was given */
size_t fake_stream_shared_lanes(struct stream *stream);
size_t fake_stream_source_commits(struct stream *stream);
bool fake_stream_is_up(struct stream *stream);
bool fake_stream_disorder(struct stream *stream); /* a call broke the interface's rules */

/* Lent until the next committed record. */
const struct fake_record *fake_stream_record(struct stream *stream, size_t i);
struct fake_lane fake_stream_lane(struct stream *stream, const char *group, uint32_t partition);

/* fake_stream_wait: until what(stream) is at least n, at most seconds. false: it never was. */
bool fake_stream_wait(
    struct stream *stream, size_t (*what)(struct stream *stream), size_t n, int seconds);
bool fake_stream_wait_up(struct stream *stream, bool up, int seconds);
/* fake_stream_wait_outcome: of a stream of a request: how it ended, or, after the time, that it has
 * not; what else it said. */
struct fake_outcome {
    bool ended;
    const char *failure; /* NULL: complete */
    const char *anew;
    uint64_t done, total;
};
struct fake_outcome fake_stream_wait_outcome(struct stream *stream, int seconds);
bool fake_stream_wait_error(struct stream *stream, const char *reason, int seconds);
bool fake_stream_wait_end(
    struct stream *stream, const char *group, uint32_t partition, uint64_t next, int seconds);

#endif
