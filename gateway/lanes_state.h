/* lanes_state: the state of lanes, for the units that it is made of and no one else: lanes.c (the
 * position and its tokens), lanes_file.c (lanes that are files), lanes_place.c (what a place says
 * of the lanes), lanes_lag.c (how far behind they are). */
#ifndef HEADGATE_LANES_STATE_H
#define HEADGATE_LANES_STATE_H

#include "lanes.h"
#include "token_writer.h"

#include <pthread.h>

struct lane {
    char *group;
    char *source_prefix; /* {"topic":"t","partition":0,"offset": */
    uint32_t partition;
    size_t row; /* its place in rows */
    uint64_t start, end;
    uint64_t peak; /* the highest next since it began or was reset: next falls below it when the
                      lane is taken up again at an older place */
    uint64_t mark_next, mark_seq; /* the next offset when it was added last, and the newest record
                                     of the ring then */
    uint64_t first_end;           /* the first end that the source told */
    bool has_end;
    bool removed;
    bool touched; /* it has had a record */
    bool is_file;
    bool forgotten; /* it has no row; the place may be taken by another */
    uint64_t origin;
    char *path; /* of a file */
};

/* A file that was forgotten. */
struct grave {
    uint32_t group;
    uint64_t end;
};

/* Where a stream by cursors stands. */
struct cursors {
    size_t start_len, now_len;
    uint8_t start[TOKEN_CURSOR_MAX], now[TOKEN_CURSOR_MAX];
};

struct lanes {
    pthread_mutex_t lock;
    const struct token_keys *keys;
    struct lane *items; /* by lane index */
    size_t n;
    struct token_lane *rows; /* sorted; rows[i].next is the position */
    size_t n_rows;
    struct grave *graves; /* the newest LANES_GRAVES, in a ring */
    size_t n_graves;      /* ever */
    bool has_files;
    struct cursors *cursors;    /* NULL: the position is that of the lanes */
    struct token_writer writer; /* of the ids of records, where each has one */
};

/* lanes_row_before: the order of rows. */
static inline bool
lanes_row_before(const struct token_lane *row, uint32_t group, uint32_t partition)
{
    return row->group != group ? row->group < group : row->partition < partition;
}

/* lanes_unaccounted_locked: lanes_unaccounted; lanes->lock is held. */
bool lanes_unaccounted_locked(const struct lanes *lanes, const struct place *from, bool *known);

#endif
