/* llm_whole: the one object that an upstream would have answered with, had it not been asked for a
 * stream, put together of the stream's own events: for a client that speaks the same and did not
 * want one. Nothing is lost that the normalized events have no word for: blocks of tools that the
 * server runs itself, logprobs, members yet unknown. What came is copied as it stands.
 *
 * Memory: what came, once; at most max_bytes, beyond which the answer has failed.
 * Thread  one at a time. */
#ifndef HEADGATE_LLM_WHOLE_H
#define HEADGATE_LLM_WHOLE_H

#include "llm_dialect.h"

struct llm_whole;

/* llm_whole_new: NULL: for that dialect there is none, llm_out makes the object. */
struct llm_whole *llm_whole_new(const struct llm_dialect *dialect, size_t max_bytes);
void llm_whole_free(struct llm_whole *whole); /* NULL-safe */

/* llm_whole_event: the next event of the upstream, LLM_RAW. */
void llm_whole_event(struct llm_whole *whole, const struct llm_event *event);

/* llm_whole_is_over: it is over max_bytes; nothing more is kept. */
bool llm_whole_is_over(const struct llm_whole *whole);

/* llm_whole_says: what was written is in the object; some servers of Responses leave it out of
 * their last event. */
bool llm_whole_says(const struct llm_whole *whole);

/* llm_whole_add: append the object, behind the answer's last event. */
void llm_whole_add(const struct llm_whole *whole, struct buf *out);

#endif
