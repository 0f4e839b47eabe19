/* llm_out: normalized events (llm_event.h) said in a client's dialect: what the official SDKs read
 * from a streamed answer, event by event, or the whole object of one that is not streamed.
 *
 * A pure state machine: the same events and options give the same wire events, so one that was cut
 * anywhere can be made again from the first event and sent on from any place. The last one is
 * the dialect's own terminal event, which only an answer that is whole has.
 *
 * What a dialect has no word for is left out: signatures of thinking in chat completions, citations
 * of another provider's kind. Thinking is reasoning_content in chat completions, as vLLM has it.
 *
 * Memory: one wire event, and, where the dialect repeats all of it in the end (responses, and
 * whole objects), the answer so far; each at most max_bytes, beyond which the answer fails.
 * Thread  one at a time. */
#ifndef HEADGATE_LLM_OUT_H
#define HEADGATE_LLM_OUT_H

#include "../gateway/buf.h"
#include "llm_event.h"
#include "llm_json.h"

struct llm_out;
struct llm_out_dialect;

/* To add one: its file, a row in llm_out.c. */
extern const struct llm_out_dialect llm_out_openai, llm_out_anthropic, llm_out_responses;
#define LLM_OUT_COUNT 3
extern const struct llm_out_dialect *const llm_out_dialects[LLM_OUT_COUNT + 1]; /* NULL behind */

/* llm_out_name: "openai", "anthropic", "responses": that of the decoder for the same bytes. */
const char *llm_out_name(const struct llm_out_dialect *dialect);

struct llm_out_options {
    bool whole;        /* one object in the end, not a stream */
    bool usage_chunk;  /* openai: stream_options.include_usage */
    int64_t created_s; /* Unix time */
    const char *id;    /* what the answer is called; "": as the upstream calls it. ASCII letters,
                          digits, - and _ */
    size_t max_bytes;
};

/* One event on its way to the client. Lent until the next call but peek. */
struct llm_wire {
    const char *name; /* of the SSE event, NUL-terminated; NULL: it has none */
    const char *data; /* one line of JSON, or [DONE] */
    size_t len;
};

struct llm_out *llm_out_new(
    const struct llm_out_dialect *dialect, const struct llm_out_options *options);
void llm_out_free(struct llm_out *out); /* NULL-safe */

/* llm_out_event: the next normalized event. What it means waits to be taken. LLM_FAILED is the end
 * without a wire event: how that is told depends on what was sent (llm_out_error_event, or an HTTP
 * error). */
void llm_out_event(struct llm_out *out, const struct llm_event *event);

/* llm_out_is_over: the answer is over max_bytes: it has failed, and nothing more comes of it. */
bool llm_out_is_over(const struct llm_out *out);

bool llm_out_peek(const struct llm_out *out, struct llm_wire *wire);
void llm_out_take(struct llm_out *out);

/* llm_out_error_event: append the data of the event that says, in a stream, that the answer has
 * failed: in a form that every version of the SDKs takes for an error. Returns the event's name, a
 * literal; NULL: it has none. */
const char *llm_out_error_event(const struct llm_out_dialect *dialect, struct buf *data,
    enum llm_code code, const char *message);

/* llm_out_error: append the body of an HTTP answer that says what is wrong. llm_out_status: the
 * status that goes with it. */
void llm_out_error(const struct llm_out_dialect *dialect, struct buf *body, enum llm_code code,
    const char *message);
int llm_out_status(enum llm_code code);

#endif
