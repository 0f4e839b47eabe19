/* llm_event: the words of normalized events. Any thread: const. */
#include "llm_event.h"

#include <string.h>

#define WORD(name, word) word,

const char *
llm_kind_name(enum llm_kind kind)
{
    static const char *const names[LLM_KIND_COUNT] = {
        "start", "text", "thinking", "tool_call", "usage", "done", "failed", "raw"};
    return names[kind];
}

const char *
llm_reason_name(enum llm_reason reason)
{
    static const char *const names[] = {LLM_REASONS(WORD)};
    return names[reason];
}

const char *
llm_code_name(enum llm_code code)
{
    static const char *const names[] = {LLM_CODES(WORD)};
    return names[code];
}

enum llm_code
llm_code_of_status(int status)
{
    switch (status) {
    case 401:
    case 407:
        return LLM_AUTHENTICATION;
    case 402:
    case 403:
        return LLM_PERMISSION;
    case 404:
        return LLM_NOT_FOUND;
    case 408:
    case 504:
    case 524:
        return LLM_TIMEOUT;
    case 429:
        return LLM_RATE_LIMITED;
    case 503:
    case 529:
        return LLM_OVERLOADED;
    default:
        return status >= 400 && status < 500 ? LLM_INVALID_REQUEST : LLM_UPSTREAM_ERROR;
    }
}

enum llm_code
llm_code_of_word(const char *word, enum llm_code instead)
{
    static const struct {
        const char *word;
        enum llm_code code;
    } rows[] = {
        {"invalid_request_error", LLM_INVALID_REQUEST},
        {"invalid_prompt", LLM_INVALID_REQUEST},
        {"BadRequestError", LLM_INVALID_REQUEST},
        {"request_too_large", LLM_INVALID_REQUEST},
        {"context_length_exceeded", LLM_INVALID_REQUEST},
        {"authentication_error", LLM_AUTHENTICATION},
        {"invalid_api_key", LLM_AUTHENTICATION},
        {"permission_error", LLM_PERMISSION},
        {"billing_error", LLM_PERMISSION},
        {"insufficient_quota", LLM_PERMISSION},
        {"not_found_error", LLM_NOT_FOUND},
        {"model_not_found", LLM_NOT_FOUND},
        {"NotFoundError", LLM_NOT_FOUND},
        {"rate_limit_error", LLM_RATE_LIMITED},
        {"rate_limit_exceeded", LLM_RATE_LIMITED},
        {"overloaded_error", LLM_OVERLOADED},
        {"server_is_overloaded", LLM_OVERLOADED},
        {"slow_down", LLM_OVERLOADED},
        {"timeout_error", LLM_TIMEOUT},
        {"cancelled", LLM_CANCELLED},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (strcmp(rows[i].word, word) == 0) {
            return rows[i].code;
        }
    }
    return instead;
}

enum llm_code
llm_code_of_name(const char *name)
{
    for (int code = 0; code < LLM_CODE_COUNT; code++) {
        if (strcmp(name, llm_code_name((enum llm_code)code)) == 0) {
            return (enum llm_code)code;
        }
    }
    return LLM_UPSTREAM_ERROR;
}
