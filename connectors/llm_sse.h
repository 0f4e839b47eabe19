/* llm_sse: Server-Sent Events as they come from an upstream, by the rules of the WHATWG HTML
 * standard, section 9.2.6 ("Interpreting an event stream").
 *
 * Bytes are pushed in chunks of any size, cut anywhere: inside of a BOM, a CR LF, a field's name, a
 * code point. A line ends at CR, LF or CR LF, and is looked at when its first end byte is there, so
 * an event that ends in CR CR does not wait for what may follow. Bytes that are not UTF-8 become
 * U+FFFD, each of them. An event without data is none; one whose blank line never came is none
 * either, but llm_sse_rest lends its data.
 *
 * Bound: a line, and the data of one event, are at most max_event_bytes each; then parsing has
 * failed for good. Nothing is cut silently. Cost: each byte is copied at most twice.
 * Thread  one at a time. */
#ifndef HEADGATE_LLM_SSE_H
#define HEADGATE_LLM_SSE_H

#include "../gateway/buf.h"
#include "../gateway/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct llm_sse {
    size_t max_event_bytes;
    struct buf line; /* the beginning of a line that is not whole */
    struct buf data, type, id, valid;
    int64_t retry_ms; /* the newest retry field; -1: none */
    bool has_data;    /* a data field came: data ends with the LF that is not part of it */
    bool after_cr;    /* an LF here belongs to the CR before it */
    bool first_line;  /* a BOM may be before it */
    bool failed;
};

/* Lent until the next call. type is "message" where the stream gave none. id is the last event id:
 * it stays for the events that follow. */
struct llm_sse_event {
    const char *type, *data, *id;
    size_t type_len, data_len, id_len;
};

enum llm_sse_result { LLM_SSE_EVENT, LLM_SSE_MORE, LLM_SSE_FAILED };

void llm_sse_init(struct llm_sse *sse, size_t max_event_bytes);
void llm_sse_fini(struct llm_sse *sse);

/* llm_sse_next: take bytes from *at on, at most to end; *at moves behind those that are taken.
 * LLM_SSE_EVENT: event is the next one, and there may be more in the chunk. LLM_SSE_MORE: all of it
 * was taken. LLM_SSE_FAILED and err: a bound was passed, now or before. */
enum llm_sse_result llm_sse_next(struct llm_sse *sse, const char **at, const char *end,
    struct llm_sse_event *event, struct err *err);

/* llm_sse_rest: the stream ends here; what data is there of an event that did not end, the line
 * that was not ended among it. The standard drops it. Lent until llm_sse_fini; *len 0: none. */
const char *llm_sse_rest(struct llm_sse *sse, size_t *len);

#endif
