/* llm_log_tail: one partition of the log, read from some place on, by a client of its own. All of
 * it is the thread's that made it; what asks a broker blocks for 1.5 s at the most. */
#ifndef HEADGATE_LLM_LOG_TAIL_H
#define HEADGATE_LLM_LOG_TAIL_H

#include "llm_log_record.h"
#include "llm_log_settings.h"

struct llm_log_tail;

/* llm_log_tail_open: stream is for the client's id. Connects in the background. Errors NULL and
 * err. llm_log_tail_close: NULL-safe; may take some seconds where a broker hangs. */
struct llm_log_tail *llm_log_tail_open(
    const struct llm_log_settings *settings, const char *stream, struct err *err);
void llm_log_tail_close(struct llm_log_tail *tail);

/* llm_log_tail_partitions: how many the topic has; 0: nobody says so now. */
int32_t llm_log_tail_partitions(struct llm_log_tail *tail);

/* llm_log_tail_partition_of: where records with that key lie. */
int32_t llm_log_tail_partition_of(const char *id, int32_t n_partitions);

/* llm_log_tail_start: read partition from the first record on that is not older than unix_ms;
 * LLM_LOG_FROM_END: from what comes now. A broker may say that there is no such record, for a clock
 * that is behind, or because it cannot look up times: then from LLM_LOG_LOOK_BACK records before
 * the end. Once. Errors -1: nobody says where that is now; try again. */
#define LLM_LOG_FROM_END INT64_MIN
#define LLM_LOG_LOOK_BACK 10000
int llm_log_tail_start(struct llm_log_tail *tail, int32_t partition, int64_t unix_ms);

/* What comes next. */
enum llm_log_got {
    LLM_LOG_GOT_NOTHING, /* in wait_ms */
    LLM_LOG_GOT_OTHER,   /* a record of another answer */
    LLM_LOG_GOT_RECORD,
    LLM_LOG_GOT_END,  /* there is no more for now */
    LLM_LOG_GOT_FAULT /* it cannot be read on: why */
};
struct llm_log_item {
    const rd_kafka_message_t *message; /* lent until the next call */
    struct llm_log_record record;
    const char *why; /* of a fault */
};
/* llm_log_tail_next: of those with the key id; id NULL: of all. Waits up to wait_ms. */
enum llm_log_got llm_log_tail_next(
    struct llm_log_tail *tail, const char *id, int wait_ms, struct llm_log_item *item);

/* llm_log_tail_next_offset: of what comes next. llm_log_tail_end_offset: behind all there is; asks;
 * -1: nobody says so now. */
int64_t llm_log_tail_next_offset(const struct llm_log_tail *tail);
int64_t llm_log_tail_end_offset(struct llm_log_tail *tail);

#endif
