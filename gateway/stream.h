/* stream: a named channel: one source, one ring, and what all shards share of it. The source's side
 * is stream_source.h; this is the subscribers' side and the life cycle.
 *
 * Invariant: position (the lanes) is written by the source thread under the lane lock and says what
 * has been committed or staged; a record's id is the position after it. */
#ifndef HEADGATE_STREAM_H
#define HEADGATE_STREAM_H

#include "coding.h"
#include "config.h"
#include "metrics.h"
#include "params.h"
#include "ring.h"
#include "stream_source.h"
#include "table.h"

#include <stdatomic.h>
#include <stdbool.h>

/* Why records were dropped: one row, one label value of headgate_records_dropped_total. */
#define DROP_REASONS(X)                                                                            \
    X(SLOW, "slow")           /* a subscriber fell past its bound */                               \
    X(CONFLATED, "conflated") /* a newer record of the key took its place */                       \
    X(EXPIRED, "expired")     /* a resumed subscriber's records had left the ring */               \
    X(TOO_LARGE, "too_large") /* the payload exceeds max_record; never entered the ring */         \
    X(RETENTION, "retention") /* the broker deleted them before they were read */                  \
    X(MALFORMED, "malformed") /* not what the source's format says */                              \
    X(REPEAT, "repeat")       /* the source read them twice; dropped without a gap */

/* Why connections ended: headgate_disconnects_total. */
#define DISCONNECT_REASONS(X)                                                                      \
    X(CLIENT, "client")                                                                            \
    X(ENDED, "ended")                                                                              \
    X(TOO_SLOW, "too_slow")                                                                        \
    X(PAUSE_LIMIT, "pause_limit")                                                                  \
    X(ACK_TIMEOUT, "ack_timeout")                                                                  \
    X(SHUTDOWN, "shutdown")                                                                        \
    X(PROTOCOL, "protocol")                                                                        \
    X(PONG_TIMEOUT, "pong_timeout")                                                                \
    X(LIMIT, "limit")

#define REASON_ENUM(name, text) DROP_##name,
enum drop_reason { DROP_REASONS(REASON_ENUM) DROP_REASON_COUNT };
#undef REASON_ENUM
#define REASON_ENUM(name, text) DISCONNECT_##name,
enum disconnect_reason { DISCONNECT_REASONS(REASON_ENUM) DISCONNECT_REASON_COUNT };
#undef REASON_ENUM

extern const char *const drop_reason_names[DROP_REASON_COUNT];
extern const char *const disconnect_reason_names[DISCONNECT_REASON_COUNT];

/* What was compressed of records, once for all that share it. */
struct coding_counters {
    atomic_uint_fast64_t pieces; /* compressed, not left as they are */
    atomic_uint_fast64_t from_bytes, to_bytes;
};

/* What one shard counts of one stream: one writer each, so that no cache line is fought over. */
struct stream_counters {
    _Alignas(64) atomic_uint_fast64_t records_out[TRANSPORT_COUNT];
    atomic_uint_fast64_t bytes_out[TRANSPORT_COUNT];
    atomic_uint_fast64_t subscribers[TRANSPORT_COUNT];
    atomic_uint_fast64_t dropped[DROP_REASON_COUNT];
    atomic_uint_fast64_t disconnects[DISCONNECT_REASON_COUNT];
    struct histogram delivery;
    struct coding_counters coded[CODING_COUNT];
};

/* How a commit reaches a shard. wake must be cheap, never block, and be callable from any thread.
 */
struct stream_waker {
    void (*wake)(void *shard);
    void *shard;
};

struct stream;

/* stream_new: config outlives it. n_shards: hold slots and counters for that many. Thread init. */
struct stream *stream_new(const struct config_stream *config, size_t n_shards);
/* stream_start: connect slot's waker, then start the source. Errors -1 and err. Thread init. */
void stream_set_waker(struct stream *stream, size_t shard, struct stream_waker waker);
int stream_start(struct stream *stream, struct err *err);
/* stream_start_at: the same from a given place; the connector must be able to. Thread init or
 * shard. */
struct replay;
int stream_start_at(struct stream *stream, const struct replay *replay, struct err *err);
/* stream_make_private: before the start. Its source's comings and goings are logged at debug level
 * only; what it counts is counted for the stream tally where that is not NULL; its errors and what
 * its consumer group does for the stream group_tally. */
void stream_make_private(struct stream *stream, struct stream *tally, struct stream *group_tally);
/* stream_take_lines: before the start: see stream_takes_lines. to, NULL or lent: the token at which
 * the subscriber ends, so that no piece goes across it. */
struct place;
void stream_take_lines(struct stream *stream, const struct place *to);
/* stream_sift: before the start: no subscriber wants a record whose key filter_passes_key refuses:
 * see stream_sifts. Takes a reference of filter. */
struct filter;
void stream_sift(struct stream *stream, struct filter *filter);
/* stream_cancel: the source is about to be stopped and need not finish. stream_cancel_as: and where
 * it then says that it was cancelled, its subscribers are told this code (a literal) and message
 * (copied); the first one counts. Thread any. */
void stream_cancel(struct stream *stream);
void stream_cancel_as(struct stream *stream, const char *code, const char *message);
/* stream_tell_cancel: of an answer that is read from the log: have the gateway that makes it cancel
 * it. False: that cannot be told. Thread any. */
bool stream_tell_cancel(struct stream *stream);
void stream_stop(struct stream *stream); /* the source ends; the ring stays. Thread init. */
void stream_free(struct stream *stream); /* NULL-safe. Thread init. */

const struct config_stream *stream_config(const struct stream *stream);
struct ring *stream_ring(struct stream *stream);
/* stream_keys: what its tokens are signed with; NULL: nothing. any. */
const struct token_keys *stream_keys(const struct stream *stream);
struct stream_counters *stream_counters(struct stream *stream, size_t shard);

/* stream_table: of a stream with view: table, else NULL. Lent. stream_table_loaded: it has had all
 * that there was when the source was up first. any. */
struct table *stream_table(struct stream *stream);
bool stream_table_loaded(struct stream *stream);

/* stream_listen: shard has (or no longer has) subscribers and wants wakes. Thread shard. */
void stream_listen(struct stream *stream, size_t shard, bool on);

/* stream_hold: ring_hold_set, and the source is woken when it may go on. Thread shard. */
void stream_hold(struct stream *stream, size_t shard, struct ring_hold hold);

/* stream_token_before: append the token of the position before seq, tail <= seq <= head + 1: the id
 * of record seq - 1, or where the stream began. Returns false (nothing appended) when seq is below
 * the tail. any. */
bool stream_token_before(struct stream *stream, uint64_t seq, struct buf *out);

/* What a subscriber's `from` comes to. */
struct stream_start {
    uint64_t seq;     /* the first record to look at */
    uint64_t ordinal; /* as ring_place gives them for seq */
    uint64_t bytes;
    struct record *before;
    uint64_t skip_until; /* records below this seq are sent only if lanes say so; 0: none */
    uint64_t missed;     /* records that the token asks for and the ring no longer holds */
    uint64_t gone;       /* of these, those of lanes that are no more: nobody has them */
    bool ahead;          /* the token has lanes that are not known here (yet) */
    bool unaccounted;    /* the token has a place in a file that is gone, perhaps not at its end */
    bool elsewhere;      /* not all that from asks for is in the ring: the source may have it */
    bool resumed;        /* the token was honoured */
    const char *reason;  /* when resumed is false though a token was given: a literal */
};

/* stream_locate: find where from begins in the ring. For a token: the first record with an offset
 * that it has not seen; what it asks for and is no longer there is counted in missed, however fast
 * the ring moves on meanwhile.
 * Owns  start->before is the caller's to unref.  Thread any.  Cost O(ring) for tokens and times,
 * O(1) else. */
void stream_locate(struct stream *stream, const struct place *from, struct stream_start *start);

/* stream_refuses_end: why a bounded read cannot end at to, a PLACE_TOKEN; a literal. NULL: it can.
 * any. */
const char *stream_refuses_end(struct stream *stream, const struct place *to);

/* stream_wants: true when record is at or past the token's place in its lane. */
bool stream_wants(struct stream *stream, const struct place *from, const struct record *record);

/* stream_count_wanted: how many records lie after the record with the id after and up to the one
 * with the id upto, of those that from has not seen and that lie before to (places that are no
 * token leave nothing out). By offsets: for ranges that the ring no longer holds. any. */
uint64_t stream_count_wanted(struct stream *stream, const struct place *from,
    const struct place *to, const char *after, const char *upto);

/* stream_is_shared: its source is one of several readers that each get a part: a record that this
 * one has read, no other reads. any. */
bool stream_is_shared(const struct stream *stream);

/* stream_resumed: the upstream knew how far the source was. any. */
bool stream_resumed(const struct stream *stream);

/* How often the source was given its share, of how many lanes it is now, and the commits. any. */
struct stream_sharing {
    uint64_t shares, lanes, commits;
    uint64_t consumer_shares, consumer_commits; /* of its durable consumers */
};
void stream_sharing(const struct stream *stream, struct stream_sharing *sharing);

/* stream_reaches: true when the committed position has reached every lane of to. any. */
bool stream_reaches(struct stream *stream, const struct place *to);

/* State for /readyz, /streams and /metrics. any. */
struct stream_health {
    bool up;
    bool was_up;      /* it has been up once */
    bool on_request;  /* it has no source: every request makes one of its own */
    char why[160];    /* why it is down */
    int64_t alive_ns; /* monotonic time of the source's last sign of life */
};
void stream_health(struct stream *stream, struct stream_health *health);
bool stream_was_up(struct stream *stream);

/* The code of a stream that was cancelled: its subscribers are told "cancelled", not "failed". */
#define STREAM_CANCELLED "cancelled"

/* How far a ring that keeps all may be overrun by the last record. */
#define STREAM_KEEP_SLACK(config) (2 * (config)->max_record_bytes)

/* stream_has_alias: its source has called it that (stream_source_alias). Thread any. */
#define STREAM_ALIAS_MAX 127
bool stream_has_alias(struct stream *stream, const char *alias);

/* How a stream of a request went, for its subscriber. */
struct stream_outcome {
    bool ended;
    const char *code;       /* of a failure; NULL: complete */
    char message[160];      /* of a failure */
    int64_t retry_after_ms; /* of one: how long to wait before it is tried again; 0: not said */
};
/* stream_outcome: what is committed when it says ended is all there is. any. */
void stream_outcome(struct stream *stream, struct stream_outcome *outcome);
/* How far the source was when seq was its newest record. */
struct progress_mark {
    uint64_t seq;
    uint64_t done, total;
};
/* stream_progress: the newest that is true of one who reads on at next_seq; false when there is
 * none. any. */
bool stream_progress(struct stream *stream, uint64_t next_seq, struct progress_mark *mark);
/* stream_anew: why the place that was asked for was not honoured; NULL: it was. any. */
const char *stream_anew(struct stream *stream);

/* stream_metrics_lag: add headgate_kafka_lag_records samples for each lane. any. */
void stream_metrics_lag(struct stream *stream, struct buf *out);
/* stream_metrics_file_lag: the same for headgate_file_lag_bytes. any. */
void stream_metrics_file_lag(struct stream *stream, struct buf *out);
uint64_t stream_records_in(const struct stream *stream);
/* stream_dropped: by reason, over all shards and the source. */
uint64_t stream_dropped(const struct stream *stream, enum drop_reason reason);
/* stream_errors: visit the source's error counts; i from 0, NULL at the end. */
const char *stream_errors(const struct stream *stream, size_t i, uint64_t *count);

#endif
