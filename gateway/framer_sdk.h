/* framer_sdk: the answer of a model as the official SDKs read it: server-sent events without the
 * fields that trip one of them over (id:, retry:, a comment that is a block), or one JSON object.
 *
 * The records are those of RECORD_VIEW_CLIENT: each is one event, its type the event's name.
 * Whatever ends the answer before its own terminal event is told as the dialect's error. Facts: the
 * decoders of openai-node, openai-python, anthropic-sdk-typescript; openai-go#621. Thread  shard.
 */
#ifndef HEADGATE_FRAMER_SDK_H
#define HEADGATE_FRAMER_SDK_H

#include "framer.h"

enum sdk_dialect { SDK_OPENAI, SDK_ANTHROPIC, SDK_RESPONSES };
#define SDK_DIALECT_COUNT 3
extern const char *const sdk_dialect_names[SDK_DIALECT_COUNT]; /* those of llm_out.h */

/* framer_sdk: a constant. whole: one object. */
const struct framer *framer_sdk(enum sdk_dialect dialect, bool whole);

struct sdk_refusal {
    const char *code; /* a source's (llm_event.h), or any other word */
    const char *message;
    int64_t retry_after_ms; /* 0: not said */
    struct slice lines;     /* further header lines */
};

/* framer_sdk_refuse: append a whole HTTP answer in the place of what framer, one of these, was to
 * send: an error of the dialect. */
void framer_sdk_refuse(
    const struct framer *framer, struct buf *out, const struct sdk_refusal *refusal);

/* sdk_error: append the body of an HTTP error of that status. */
void sdk_error(enum sdk_dialect dialect, struct buf *body, int status, const char *message);

#endif
