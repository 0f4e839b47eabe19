/* llm_emit: how dialects make normalized events: the inside of struct llm_decoder's interface, for
 * llm_*.c alone. Slices (struct llm_value) may be absent: then what they would say is left out.
 * Nothing is emitted before llm_emit_start, which does so once, or after the end. */
#ifndef HEADGATE_LLM_EMIT_H
#define HEADGATE_LLM_EMIT_H

#include "llm_dialect.h"

/* model and id are JSON strings; absent: null. Only the first call counts. */
void llm_emit_start(struct llm_decoder *decoder, struct llm_value model, struct llm_value id);

/* text is a JSON string; an empty one is no event. */
void llm_emit_text(struct llm_decoder *decoder, struct llm_value text);
void llm_emit_refusal(struct llm_decoder *decoder, struct llm_value text);
void llm_emit_citation(struct llm_decoder *decoder, struct llm_value object);
/* llm_emit_logprobs: array is the upstream's; an empty one is no event. */
void llm_emit_logprobs(struct llm_decoder *decoder, bool refusal, struct llm_value array);
void llm_emit_thinking(struct llm_decoder *decoder, struct llm_value text);

/* A member beside an empty thinking text: "signature", "redacted". id: of the item; may be absent.
 */
void llm_emit_thinking_mark(
    struct llm_decoder *decoder, const char *name, struct llm_value string, struct llm_value id);

/* Tool calls. key is the upstream's own number for it, any; a call is open until it ended.
 * llm_call_begin: id and name are JSON strings. A key that is open ends first. */
#define LLM_CALLS_MAX 256
void llm_call_begin(
    struct llm_decoder *decoder, uint64_t key, struct llm_value id, struct llm_value name);
/* llm_call_is_open: with that key; and, where id is a string that is not empty, with that id. */
bool llm_call_is_open(const struct llm_decoder *decoder, uint64_t key, struct llm_value id);
/* llm_call_name: a name that came late. */
void llm_call_name(struct llm_decoder *decoder, uint64_t key, struct llm_value name);
/* llm_call_delta: content is a string's inside (llm_json_inside). */
void llm_call_delta(struct llm_decoder *decoder, uint64_t key, struct llm_value content);
/* llm_call_whole: arguments as a JSON string, or as an object, which is written into one; only
 * where no delta came. */
void llm_call_whole(struct llm_decoder *decoder, uint64_t key, struct llm_value arguments);
void llm_call_end(struct llm_decoder *decoder, uint64_t key);
void llm_call_end_all(struct llm_decoder *decoder);
bool llm_call_any(const struct llm_decoder *decoder); /* there was one */

/* A signature that may be replaced until its block ends. */
void llm_set_signature(struct llm_decoder *decoder, struct llm_value string);
void llm_flush_signature(struct llm_decoder *decoder);

/* The reason is known; the end is still to come. upstream: the JSON string; absent: none. */
void llm_set_reason(struct llm_decoder *decoder, enum llm_reason reason, struct llm_value upstream);
void llm_set_stop_sequence(struct llm_decoder *decoder, struct llm_value string);
bool llm_has_reason(const struct llm_decoder *decoder);
bool llm_has_refused(const struct llm_decoder *decoder);

/* What was used, as far as the upstream has said; has_...: it has. */
struct llm_usage {
    bool has_input, has_output, has_cached, has_written, has_reasoning;
    uint64_t input, output, cached, written, reasoning;
    bool final; /* these are the whole answer's */
};
struct llm_usage *llm_usage_of(struct llm_decoder *decoder);
/* llm_take_number: *number and *has from a value that is a number. */
void llm_take_number(struct llm_value value, bool *has, uint64_t *number);

/* llm_emit_done: open calls end, then usage, then done. */
void llm_emit_done(struct llm_decoder *decoder);

/* llm_emit_error: the upstream told a failure: an object with message and code or type, a string,
 * or an object that has such a one as "error". */
void llm_emit_error(struct llm_decoder *decoder, struct llm_value error);

#endif
