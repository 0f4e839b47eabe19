/* track: a base position and one step a record. Any thread. */
#include "track.h"

#include "mem.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

struct step {
    uint64_t next;
    uint32_t row;
};

struct track {
    atomic_uint refs;
    uint32_t n_steps; /* the source thread's */
    const struct token_keys *keys;
    size_t n;
    struct step steps[TRACK_RECORDS]; /* 0 is the mark's: not used */
    struct token_lane rows[];
};

struct track *
track_new(const struct token_lane *rows, size_t n, const struct token_keys *keys)
{
    struct track *track = mem_alloc(sizeof *track + n * sizeof *rows);
    atomic_init(&track->refs, 1);
    track->n_steps = 0;
    track->keys = keys;
    track->n = n;
    memcpy(track->rows, rows, n * sizeof *rows);
    assert(track_bytes(track) <= TRACK_BYTES_MAX);
    return track;
}

struct track *
track_ref(struct track *track)
{
    atomic_fetch_add_explicit(&track->refs, 1, memory_order_relaxed);
    return track;
}

void
track_unref(struct track *track)
{
    if (track != NULL && atomic_fetch_sub_explicit(&track->refs, 1, memory_order_acq_rel) == 1) {
        free(track);
    }
}

bool
track_has_room(const struct track *track)
{
    return track->n_steps + 1 < TRACK_RECORDS;
}

uint32_t
track_step(struct track *track, size_t row, uint64_t next)
{
    assert(row < track->n && track_has_room(track));
    track->steps[++track->n_steps] = (struct step){next, (uint32_t)row};
    return track->n_steps;
}

size_t
track_lanes(const struct track *track, uint32_t step, struct token_lane **rows)
{
    *rows = mem_alloc((track->n + 1) * sizeof **rows);
    memcpy(*rows, track->rows, track->n * sizeof **rows);
    for (uint32_t i = 1; i <= step; i++) {
        (*rows)[track->steps[i].row].next = track->steps[i].next;
    }
    return track->n;
}

void
track_add_token(const struct track *track, uint32_t step, struct buf *out)
{
    struct token_lane *rows;
    size_t n = track_lanes(track, step, &rows);
    token_encode(out, rows, n, track->keys);
    free(rows);
}

uint64_t
track_bytes(const struct track *track)
{
    size_t size = sizeof *track + track->n * sizeof *track->rows;
    return (size + sizeof(size_t) + 15) / 16 * 16;
}
