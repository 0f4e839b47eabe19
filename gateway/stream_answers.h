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

struct stream_answers {
    struct histogram first; /* from the request to the first of the text, of thinking or a call */
    struct answer_model models[STREAM_ANSWER_MODELS + 1];
    struct answer_status statuses[STREAM_ANSWER_STATUSES];
};

/* stream_answers: of a configured stream that a source of models makes; else NULL. Lent. */
struct stream_answers *stream_answers(struct stream *stream);

/* For sources. stream_answer_first: an answer began ns after its request. stream_answer_tokens: it
 * has cost so many tokens; model is a text of the settings, few of them. stream_answer_status: an
 * upstream refused with that HTTP status; 0: it gave none. */
void stream_answer_first(struct stream *stream, int64_t ns);
void stream_answer_tokens(
    struct stream *stream, const char *model, uint64_t input, uint64_t output);
void stream_answer_status(struct stream *stream, int status);

#endif
