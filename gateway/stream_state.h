/* stream_state: a stream's state, for the three units that it is made of and no one else: stream.c
 * (its life, and what subscribers ask), stream_source.c (what its source says of lanes and of
 * itself), stream_stage.c (how records come into the ring). */
#ifndef HEADGATE_STREAM_STATE_H
#define HEADGATE_STREAM_STATE_H

#include "buf.h"
#include "connector.h"
#include "stream_answers.h"
#include "stream_internal.h"

#include <pthread.h>

struct track;

#define STREAM_STAGE_MAX 1024
#define STREAM_ERROR_REASONS_MAX 16
#define STREAM_PROGRESS_MARKS 64

struct error_count {
    _Atomic(const char *) reason;
    atomic_uint_fast64_t count;
};

struct listener {
    struct stream_waker waker;
    atomic_bool on;
};

/* A removed lane of a file, and the newest record that may be one of its. */
struct ended {
    uint32_t lane;
    uint64_t last_seq;
};

/* Of a stream of many lanes: the run of records that the next one may go on without an id. */
struct marks {
    struct track *track; /* NULL: the next record is a mark */
    uint64_t bytes;      /* of payloads since the mark */
    uint64_t bytes_most;
    int64_t until_ns;
};

struct stream {
    const struct config_stream *config;
    struct ring *ring;
    struct token_keys *keys;
    struct lanes *lanes;
    struct table *table; /* NULL: it is none */
    atomic_bool loaded;
    pthread_mutex_t source_lock; /* shards may want to wake a source that is being stopped */
    struct source *source;
    struct push_queue *pushes;      /* NULL: it takes no posts */
    struct stream_answers *answers; /* NULL: it is no configured one of models */

    /* The source thread's own: what waits for the next commit. */
    struct record *staged[STREAM_STAGE_MAX];
    size_t n_staged;
    uint64_t room_records, room_bytes;
    struct buf scratch;
    struct buf token;
    uint64_t settled_seq; /* of the last stream_settle */
    struct place settled; /* what the record settled_seq says */
    uint64_t passed;      /* records since the newest one that was staged */
    uint32_t passed_lane; /* of the last of them */
    struct ended *ended;  /* lanes to forget */
    size_t n_ended;
    struct marks marks;

    struct stream_counters *counters; /* one a shard, and the source's last */
    struct listener *listeners;
    size_t n_shards;
    atomic_uint_fast64_t records_in, shares, shared_lanes, commits;
    atomic_uint_fast64_t consumer_shares, consumer_commits;
    struct error_count errors[STREAM_ERROR_REASONS_MAX];

    bool is_private, takes_lines;
    struct place lines_to; /* see stream_lines_cut */
    struct filter *sieve;  /* NULL: every record is somebody's */
    atomic_bool resumed;
    struct stream *tally; /* whose records, errors and losses its own are: itself, or another's */
    struct stream *group_tally; /* of a durable consumer: the stream that it is of; else NULL */

    pthread_mutex_t health_lock;
    struct stream_health health;
    struct stream_outcome outcome;    /* under health_lock, like the three below */
    char alias[STREAM_ALIAS_MAX + 1]; /* under health_lock; "": none */
    struct stream_outcome verdict;    /* of stream_cancel_as; code NULL: there was none */
    struct stream_told told;          /* under health_lock, with is_told */
    bool is_told;
    const char *anew;
    struct progress_mark *progress; /* under health_lock, the oldest first; NULL: none yet */
    size_t n_progress;
    atomic_bool has_progress, has_ended;
    atomic_int_fast64_t alive_ns;
    atomic_int_fast64_t seen_ms; /* of an answer: at another gateway */
};

/* stream_source_counters: those that the source thread writes. */
static inline struct stream_counters *
stream_source_counters(struct stream *stream)
{
    return &stream->tally->counters[stream->tally->n_shards];
}

/* Of the source thread. stream_end_run: the next record has an id of its own. stream_stage_mark:
 * stage a record that has one; takes it over. stream_forget_ended: forget the removed lanes of
 * files whose records have left the ring. */
void stream_end_run(struct stream *stream);
void stream_stage_mark(struct stream *stream, struct record *record);
void stream_forget_ended(struct stream *stream);
/* stream_wake_listeners: wake the shards that have subscribers. Thread any. */
void stream_wake_listeners(struct stream *stream);

#endif
