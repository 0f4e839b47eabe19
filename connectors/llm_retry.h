/* llm_retry: whether an upstream's refusal is worth another attempt, and when. What the SDKs of
 * OpenAI and Anthropic do: x-should-retry decides where it is there; else 408, 409, 429 and 5xx
 * are. The wait is retry-after-ms, else retry-after in seconds or as a date, else a backoff that
 * doubles, less up to a quarter at random. Thread  any: no state. */
#ifndef HEADGATE_LLM_RETRY_H
#define HEADGATE_LLM_RETRY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct llm_retry_policy {
    uint64_t most;       /* attempts beyond the first, at each upstream */
    uint64_t backoff_ms; /* before the second attempt */
    uint64_t backoff_most_ms;
    uint64_t wait_most_ms; /* an upstream that wants more is not waited for */
};

/* What an answer's head said of it. */
struct llm_retry_hints {
    int64_t after_ms; /* -1: nothing, or nothing that can be read */
    bool exact;       /* after_ms is of retry-after-ms, which wins */
    int should;       /* 1 and 0: x-should-retry; -1: it said nothing */
};
#define LLM_RETRY_NO_HINTS ((struct llm_retry_hints){.after_ms = -1, .should = -1})

/* llm_retry_header: take one header of an answer. now_s: Unix seconds, for dates. */
void llm_retry_header(struct llm_retry_hints *hints, const char *name, size_t name_len,
    const char *value, size_t value_len, int64_t now_s);

/* llm_retry_status: may an answer with this status be retried? */
bool llm_retry_status(int status, const struct llm_retry_hints *hints);

/* llm_retry_wait_ms: before the attempt after the failed-th one (from 1), random from 0 to 1.
 * -1: the upstream wants to be left alone for longer than the policy waits. */
int64_t llm_retry_wait_ms(const struct llm_retry_policy *policy,
    const struct llm_retry_hints *hints, uint64_t failed, double random);

#endif
