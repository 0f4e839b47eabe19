/* llm_log_record: a record of the log of answers: what it says, and how that stands in a Kafka
 * record. The key is the answer's id, so that all of an answer lie in one partition, in order; the
 * value is an event's data, or an end's message; the rest are headers:
 *
 *   stream  the stream's name                       kind   of llm_log_kind_name
 *   begin:  dialect, whole, raw (as it was asked for), tell (the partition in which its gateway
 *           reads `cancel` and `seen`; none: it does not)
 *   event:  n (its offset in the answer, from 0), views, headgate-type
 *   lost:   n; the event was larger than max_record
 *   beat:   its gateway is there, though the model says nothing
 *   end:    n (one behind the last), end (done, or the code of the failure)
 *   cancel: to its gateway: end it        seen: to its gateway: somebody reads it elsewhere
 *   alias:  to all gateways: the value is what its upstream calls it (llm_log_alias.h)
 *
 * The last three do not lie where their key says, but in the partition that gateways listen to
 * (llm_log_ear.h).
 *
 * Thread  any. */
#ifndef HEADGATE_LLM_LOG_RECORD_H
#define HEADGATE_LLM_LOG_RECORD_H

#include "../gateway/record.h"
#include "../gateway/record_type.h"

#include <librdkafka/rdkafka.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum llm_log_kind {
    LLM_LOG_BEGIN,
    LLM_LOG_EVENT,
    LLM_LOG_LOST,
    LLM_LOG_BEAT,
    LLM_LOG_END,
    LLM_LOG_CANCEL,
    LLM_LOG_SEEN,
    LLM_LOG_ALIAS
};
#define LLM_LOG_KIND_COUNT 8
#define LLM_LOG_WORD_MAX 32
#define LLM_LOG_DONE "done"

struct llm_log_record {
    enum llm_log_kind kind;
    uint64_t n;
    unsigned views;
    bool whole, raw;
    int32_t tell;                   /* negative: nowhere */
    char type[RECORD_TYPE_MAX + 1]; /* "": none */
    char word[LLM_LOG_WORD_MAX];    /* the dialect, "": none; the end */
};

/* llm_log_record_parse: headers as they came; those that are not known are passed over. Errors -1:
 * it is none of ours. */
int llm_log_record_parse(
    struct llm_log_record *record, const struct record_header *headers, size_t n_headers);

/* llm_log_record_headers: of such a record. Owns: the caller's, or the client's that produces it.
 */
rd_kafka_headers_t *llm_log_record_headers(const struct llm_log_record *record, const char *stream);

#endif
