/* stream_answers: what a configured stream of models counts of the answers that its requests make:
 * how soon they begin, what they cost, what upstreams answered. A source says it of the stream that
 * it publishes into; it is counted for the configured one. Thread  any: atomics alone. */
#ifndef HEADGATE_STREAM_ANSWERS_H
#define HEADGATE_STREAM_ANSWERS_H

#include "metrics.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct stream;

#define STREAM_ANSWER_MODELS 64 /* beyond: "other" */
#define STREAM_ANSWER_STATUSES 24
#define STREAM_ANSWER_OTHER "other"

struct answer_model {
    _Atomic(const char *) name; /* NULL: this row and those behind it are not used yet */
    atomic_uint_fast64_t input, output;
};

struct answer_status {
    atomic_int status; /* 0: as above */
    atomic_uint_fast64_t count;
};

/* What became of the records of the log of answers: a row, a label value of
 * headgate_generation_log_records_total. */
#define STREAM_LOG_RESULTS(X)                                                                      \
    X(WRITTEN, "written")                                                                          \
    X(FAILED, "failed")   /* no broker took it in log.kafka.timeout */                             \
    X(DROPPED, "dropped") /* log.memory was full, or one before it of its answer is missing */
#define STREAM_LOG_ENUM(name, text) STREAM_LOG_##name,
enum stream_log_result { STREAM_LOG_RESULTS(STREAM_LOG_ENUM) STREAM_LOG_RESULT_COUNT };
#undef STREAM_LOG_ENUM
extern const char *const stream_log_result_names[STREAM_LOG_RESULT_COUNT];

struct stream_answers {
    atomic_uint_fast64_t logged[STREAM_LOG_RESULT_COUNT];
    atomic_bool log_hears;   /* what other gateways say of answers that are made here */
    atomic_bool log_aliases; /* what upstreams call answers of all gateways is known */
    atomic_uint log_clients; /* that read answers of other gateways */
    struct histogram first;  /* from the request to the first of the text, of thinking or a call */
    struct histogram pace;   /* of an answer: its time from there on for each further token */
    struct answer_model models[STREAM_ANSWER_MODELS + 1];
    struct answer_status statuses[STREAM_ANSWER_STATUSES];
};

/* stream_answers: of a configured stream that a source of models makes; else NULL. Lent. */
struct stream_answers *stream_answers(struct stream *stream);

/* For sources. stream_answer_first: an answer began ns after its request. stream_answer_pace: it
 * came to its end, each further token after so many ns in the mean. stream_answer_tokens: it has
 * cost so many tokens; model is a text of the settings, few of them. stream_answer_status: an
 * upstream refused with that HTTP status; 0: it gave none. */
void stream_answer_first(struct stream *stream, int64_t ns);
void stream_answer_pace(struct stream *stream, int64_t ns);
void stream_answer_tokens(
    struct stream *stream, const char *model, uint64_t input, uint64_t output);
void stream_answer_status(struct stream *stream, int status);

void stream_answer_logged(struct stream *stream, enum stream_log_result result);
void stream_answer_hears(struct stream *stream, bool hears);
void stream_answer_aliases(struct stream *stream, bool known);
void stream_answer_log_clients(struct stream *stream, unsigned clients);

/* stream_answer_known_ms: so long after its begin an answer of the stream may be asked for. */
int64_t stream_answer_known_ms(const struct stream *stream);

/* stream_answer_told: the source reads an answer of another gateway, and has found how that was
 * asked for; dialect is a literal. Before stream_source_up. stream_told: false: not yet. */
struct stream_told {
    const char *dialect; /* NULL: in none of an SDK's */
    bool whole, keeps_raw;
};
void stream_answer_told(struct stream *stream, const struct stream_told *told);
bool stream_told(struct stream *stream, struct stream_told *told);

/* stream_answer_seen: somebody reads the answer at another gateway, which says so again within
 * STREAM_SEEN_MS while that is so. stream_seen_ms: when that was last, on clock_mono_ns; 0: never.
 */
#define STREAM_SEEN_MS 8000
void stream_answer_seen(struct stream *stream);
int64_t stream_seen_ms(const struct stream *stream);

#endif
