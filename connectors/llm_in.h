/* llm_in: requests as the official SDKs send them: OpenAI's chat completions and responses, and
 * Anthropic's messages. Where the upstream speaks the same, a request passes on as it is; else it
 * is put into the common form (llm_request.h), from which every dialect's request is built.
 *
 * Nothing that changes the answer is left out unsaid: what another dialect has no word for is an
 * error that names the member. What has no effect on the answer (metadata, store, cache_control) is
 * left out. An effort of reasoning and a budget of thinking stand for each other.
 *
 * The bodies come from untrusted clients; depth is bounded by json_scan.  Thread  any: no state. */
#ifndef HEADGATE_LLM_IN_H
#define HEADGATE_LLM_IN_H

#include "../gateway/buf.h"
#include "../gateway/err.h"
#include "llm_dialect.h"
#include "llm_request.h"

struct llm_in_dialect;
extern const struct llm_in_dialect llm_in_openai, llm_in_anthropic, llm_in_responses;
#define LLM_IN_COUNT 3
extern const struct llm_in_dialect *const llm_in_dialects[LLM_IN_COUNT + 1]; /* NULL behind */
const char *llm_in_name(const struct llm_in_dialect *dialect);

/* What is the same in all of them. Slices are lent from the body. */
struct llm_in {
    struct llm_value root, model; /* model is a JSON string */
    bool stream;                  /* the client wants events, not one object */
    bool usage_chunk;             /* stream_options.include_usage */
};

/* llm_in_look: Errors -1 and err, ERR_INVALID, a sentence that names the member. */
int llm_in_look(struct llm_in *in, const char *body, size_t len, struct err *err);

/* llm_in_pass: append the body for an upstream that speaks the same, streamed, with usage asked
 * for.
 */
void llm_in_pass(const struct llm_in_dialect *dialect, const struct llm_in *in, struct buf *body);

/* llm_in_cross: append the request in the common form. Errors as llm_in_look. */
int llm_in_cross(const struct llm_in_dialect *dialect, const struct llm_in *in, struct buf *common,
    struct err *err);

/* llm_in_says: the upstream's dialect has a word for all of the request, which is in the common
 * form. Errors as llm_in_look. */
int llm_in_says(
    const struct llm_dialect *upstream, const struct llm_request *request, struct err *err);

#endif
