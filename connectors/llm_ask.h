/* llm_ask: a request as it came, in the common form or in an SDK's dialect, and what each upstream
 * is told of it: as it is where the upstream speaks the same, else by way of the common form.
 * Everything is lent from the body. Thread  any. */
#ifndef HEADGATE_LLM_ASK_H
#define HEADGATE_LLM_ASK_H

#include "llm_in.h"

struct llm_ask {
    const struct llm_in_dialect *dialect; /* NULL: the common form */
    struct llm_in in;                     /* where it has one */
    struct llm_value model;               /* a JSON string */
    bool is_common;                       /* request is there */
    struct buf common;                    /* what it was made of, where it had to be made */
    struct llm_request request;
    uint64_t max_tokens; /* where an upstream must be told one */
};

/* llm_ask_init: dialect is a name of llm_in_dialects; NULL: the common form. llm_ask_fini is safe
 * after a failure too. Errors -1 and err, ERR_INVALID, a sentence that names the member. */
int llm_ask_init(struct llm_ask *ask, const char *dialect, const char *body, size_t len,
    uint64_t max_tokens, struct err *err);
void llm_ask_fini(struct llm_ask *ask);

/* llm_ask_is_same: the upstream speaks what the client does. */
bool llm_ask_is_same(const struct llm_ask *ask, const struct llm_dialect *upstream);

/* llm_ask_build: append the body for that upstream. Errors as llm_ask_init. */
int llm_ask_build(
    struct llm_ask *ask, const struct llm_dialect *upstream, struct buf *body, struct err *err);

#endif
