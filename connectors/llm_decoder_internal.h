/* llm_decoder_internal: a decoder's state, of llm_decoder.c and llm_emit.c. */
#ifndef HEADGATE_LLM_DECODER_INTERNAL_H
#define HEADGATE_LLM_DECODER_INTERNAL_H

#include "file_parser.h"
#include "llm_dialect.h"
#include "llm_emit.h"
#include "llm_sse.h"

struct llm_call {
    uint64_t key;
    uint64_t index;                 /* as clients see it */
    struct buf id, name, arguments; /* contents of JSON strings */
};

struct llm_queued {
    enum llm_kind kind;
    size_t len;
    size_t name_len; /* of LLM_RAW: its name lies before the text */
    bool dropped;    /* of LLM_RAW: it told a failure */
};

struct llm_decoder {
    const struct llm_dialect *dialect;
    struct llm_limits limits;
    struct llm_sse sse;
    struct file_parser *lines; /* of LLM_FRAMING_NDJSON */

    /* The queue: texts one behind the other; rows from first on. */
    struct buf texts;
    struct llm_queued *rows;
    size_t first, n_rows, rows_cap, taken_bytes;
    size_t event_start;     /* of the one that is being written */
    uint64_t emitted_bytes; /* in all */

    bool started, ended, refused;
    bool keeps_raw;
    struct llm_call *calls; /* those that are open */
    size_t n_open, calls_cap;
    uint64_t n_calls;
    struct buf signature, stop_sequence; /* contents of JSON strings */
    bool has_reason;
    enum llm_reason reason;
    struct buf upstream_reason;
    struct llm_usage usage;
    enum llm_code code;
    struct buf message; /* NUL-terminated */
};

/* llm_queue_raw: queue what came. Lent for the call. */
void llm_queue_raw(
    struct llm_decoder *decoder, struct llm_value name, const char *data, size_t len);

#endif
