/* llm_event: what a model's answer is made of, whichever upstream it came from, and the words for
 * it. An event is one line of JSON, an object with "type" first:
 *
 *   {"type":"start","model":M,"upstream_id":ID}        once, first; ID null where there is none
 *   {"type":"text","text":T}                           T's behind each other are the answer
 *   {"type":"text","text":T,"refusal":true}            the model declines
 *   {"type":"text","text":"","citation":{...}}         of the text before; the upstream's object
 *   {"type":"text","text":"","logprobs":[...]}         of the text before, or with "refusal":true
 *                                                      of the refusal; the upstream's items
 *   {"type":"thinking","text":T}
 *   {"type":"thinking","text":"","signature":S}        of the thinking before: give it back with it
 *   {"type":"thinking","text":"","redacted":S}
 *   {"type":"tool_call","index":N,"id":ID,"name":F,"delta":""}       a call begins
 *   {"type":"tool_call","index":N,"delta":D}                         more of its arguments
 *   {"type":"tool_call","index":N,"id":ID,"name":F,"arguments":A}    whole: all D's in one text
 *   {"type":"usage","exact":B,"input_tokens":N,"output_tokens":N,...}  once, before the end
 *   {"type":"done","reason":R,"upstream_reason":U}     the last one, or
 *   {"type":"failed","code":C,"message":M}
 *
 * index counts the calls of an answer from 0; parallel ones may be interleaved. Arguments are JSON
 * as the model wrote it, in a string, "{}" where it wrote none; after "length" it may be cut.
 * usage: exact is false where the upstream did not give it in the end; a number that is not known
 * is left out. input_tokens counts cached_tokens and cache_write_tokens in, output_tokens
 * counts reasoning_tokens in. */
#ifndef HEADGATE_LLM_EVENT_H
#define HEADGATE_LLM_EVENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum llm_kind {
    LLM_START,
    LLM_TEXT,
    LLM_THINKING,
    LLM_TOOL_CALL,
    LLM_USAGE,
    LLM_DONE,
    LLM_FAILED,
    LLM_RAW /* none of these: what the upstream sent, see llm_decoder_keep_raw */
};
#define LLM_KIND_COUNT 8

/* Why an answer ended: one word for all upstreams. */
#define LLM_REASONS(X)                                                                             \
    X(STOP, "stop")                     /* the model was done */                                   \
    X(STOP_SEQUENCE, "stop_sequence")   /* it wrote one that the request named */                  \
    X(LENGTH, "length")                 /* max_tokens, or the context is full */                   \
    X(TOOL_CALLS, "tool_calls")         /* it waits for their results */                           \
    X(REFUSAL, "refusal")               /* it declined */                                          \
    X(CONTENT_FILTER, "content_filter") /* the upstream cut it */                                  \
    X(PAUSE, "pause")                   /* a long turn: send it back to go on */                   \
    X(OTHER, "other")                   /* see upstream_reason */

/* Why there is no answer, or no more of it. */
#define LLM_CODES(X)                                                                               \
    X(INVALID_REQUEST, "invalid_request") /* 400, 413, 422: sending it again does not help */      \
    X(AUTHENTICATION, "authentication")   /* 401: the configured key */                            \
    X(PERMISSION, "permission")           /* 403, billing */                                       \
    X(NOT_FOUND, "not_found")             /* 404: the model, or base_url */                        \
    X(RATE_LIMITED, "rate_limited")       /* 429 */                                                \
    X(OVERLOADED, "overloaded")           /* 503, 529 */                                           \
    X(TIMEOUT, "timeout")                 /* 408, 504, or one of the configured times */           \
    X(UPSTREAM_ERROR, "upstream_error")   /* any other failure that it told */                     \
    X(UNREACHABLE, "unreachable")         /* no connection, or TLS did not verify */               \
    X(TRUNCATED, "truncated")             /* the answer broke off without its terminal event */    \
    X(PROTOCOL, "protocol")               /* what came is not what the dialect says */             \
    X(TOO_LARGE, "too_large")             /* an event, or all of it, is over a bound */            \
    X(CANCELLED, "cancelled")             /* by us, or upstream */

#define LLM_ENUM_REASON(name, word) LLM_REASON_##name,
#define LLM_ENUM_CODE(name, word) LLM_##name,
enum llm_reason { LLM_REASONS(LLM_ENUM_REASON) LLM_REASON_COUNT };
enum llm_code { LLM_CODES(LLM_ENUM_CODE) LLM_CODE_COUNT };

/* Literals. */
const char *llm_kind_name(enum llm_kind kind);
const char *llm_reason_name(enum llm_reason reason);
const char *llm_code_name(enum llm_code code);

/* llm_code_of_status: what an HTTP status of 300 and more means. */
enum llm_code llm_code_of_status(int status);

/* llm_code_of_word: what an upstream's own word for an error (overloaded_error,
 * rate_limit_exceeded) means; instead where it is not known. */
enum llm_code llm_code_of_word(const char *word, enum llm_code instead);

/* llm_code_of_name: the code with that llm_code_name; LLM_UPSTREAM_ERROR for any other. */
enum llm_code llm_code_of_name(const char *name);

struct llm_event {
    enum llm_kind kind;
    const char *json; /* lent until the decoder's next call; of LLM_RAW: as it came */
    size_t len;
    const char *name; /* of LLM_RAW: of the SSE event; NULL: it had none. Lent, as json */
    size_t name_len;
};

#endif
