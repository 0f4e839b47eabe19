/* llm_retry: retry headers and backoff. */
#include "llm_retry.h"

#include <curl/curl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define VALUE_MAX 64

static bool
is(const char *name, size_t len, const char *wanted)
{
    return len == strlen(wanted) && strncasecmp(name, wanted, len) == 0;
}

/* Milliseconds from a number of units of that many; -1 where it is none. */
static int64_t
take_number(const char *text, double unit_ms)
{
    char *end;
    double value = strtod(text, &end);
    if (end == text || *end != '\0' || !(value >= 0) || value * unit_ms > 1e12) {
        return -1;
    }
    return (int64_t)(value * unit_ms);
}

static int64_t
take_after(const char *text, int64_t now_s)
{
    int64_t ms = take_number(text, 1000);
    time_t date = ms >= 0 ? -1 : curl_getdate(text, NULL);
    if (date == -1) {
        return ms;
    }
    return date > now_s ? ((int64_t)date - now_s) * 1000 : 0;
}

void
llm_retry_header(struct llm_retry_hints *hints, const char *name, size_t name_len,
    const char *value, size_t value_len, int64_t now_s)
{
    char text[VALUE_MAX];
    if (value_len >= sizeof text) {
        return;
    }
    memcpy(text, value, value_len);
    text[value_len] = '\0';
    if (is(name, name_len, "retry-after-ms")) {
        int64_t ms = take_number(text, 1);
        hints->after_ms = ms >= 0 ? ms : hints->after_ms;
        hints->exact |= ms >= 0;
    } else if (is(name, name_len, "retry-after") && !hints->exact) {
        hints->after_ms = take_after(text, now_s);
    } else if (is(name, name_len, "x-should-retry")) {
        hints->should = strcasecmp(text, "true") == 0    ? 1
                        : strcasecmp(text, "false") == 0 ? 0
                                                         : hints->should;
    }
}

bool
llm_retry_status(int status, const struct llm_retry_hints *hints)
{
    if (hints->should >= 0) {
        return hints->should == 1;
    }
    return status == 408 || status == 409 || status == 429 || status >= 500;
}

int64_t
llm_retry_wait_ms(const struct llm_retry_policy *policy, const struct llm_retry_hints *hints,
    uint64_t failed, double random)
{
    if (hints->after_ms >= 0) {
        return (uint64_t)hints->after_ms > policy->wait_most_ms ? -1 : hints->after_ms;
    }
    double wait = (double)policy->backoff_ms;
    for (uint64_t i = 1; i < failed && wait < (double)policy->backoff_most_ms; i++) {
        wait *= 2;
    }
    if (wait > (double)policy->backoff_most_ms) {
        wait = (double)policy->backoff_most_ms;
    }
    return (int64_t)(wait * (1 - random / 4));
}
