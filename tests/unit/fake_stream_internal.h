/* fake_stream_internal: what fake_stream.c, which the source sees, and fake_stream_probes.c, which
 * the test does, share. */
#ifndef HEADGATE_FAKE_STREAM_INTERNAL_H
#define HEADGATE_FAKE_STREAM_INTERNAL_H

#include "fake_stream.h"

#include <pthread.h>

#define FAKE_REASONS 32

struct stream {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    size_t room, room_left, max_record_bytes;
    int64_t cost_ns;
    uint64_t lines_cut;
    char key[32]; /* that it wants alone; empty: all */
    bool discard, up, disorder, ended, alone, unsettled, lines;
    const char *failure, *anew;
    uint64_t done, total;
    size_t ups, downs, commits, repeats, shares, shared_lanes, source_commits, n_lanes, n_staged;
    size_t n_records, cap;
    struct fake_record *records; /* n_records committed, then n_staged */
    struct fake_lane lanes[FAKE_LANES];
    struct {
        const char *reason;
        size_t count;
    } errors[FAKE_REASONS];
};

/* fake_stream_unlock: it has changed: wake those who wait, and give its lock back. */
void fake_stream_unlock(struct stream *stream);

/* fake_stream_find_lane: under the lock. NULL: there is none. */
struct fake_lane *fake_stream_find_lane(
    struct stream *stream, const char *group, uint32_t partition);

#endif
