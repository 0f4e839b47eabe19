/* llm_log_tail: partitions of the log, each read from some place on, by one client.
 * Thread  what asks a broker may be called by any, beside the one that reads; it blocks for 1.5 s
 * at the most. The rest is of one thread. */
#ifndef HEADGATE_LLM_LOG_TAIL_H
#define HEADGATE_LLM_LOG_TAIL_H

#include "llm_log_record.h"
#include "llm_log_settings.h"

struct llm_log_tail;

/* llm_log_tail_open: stream is for the client's id; wake_fd, an eventfd, is raised when there is
 * something to read after there was nothing; negative: none. Connects in the background. Errors
 * NULL and err. llm_log_tail_close: NULL-safe; may take some seconds where a broker hangs. */
struct llm_log_tail *llm_log_tail_open(
    const struct llm_log_settings *settings, const char *stream, int wake_fd, struct err *err);
void llm_log_tail_close(struct llm_log_tail *tail);

/* llm_log_tail_partition_of: where records with that key lie. */
int32_t llm_log_tail_partition_of(const char *id, int32_t n_partitions);

/* What asks. llm_log_tail_partitions: how many the topic has; 0: nobody says so now.
 * llm_log_tail_end: behind all there is; negative: nobody says so now.
 * llm_log_tail_find: where partition's first record is that is not older than unix_ms. A broker may
 * say that there is no such record, for a clock that is behind, or because it cannot look up times:
 * then LLM_LOG_LOOK_BACK records before the end. Errors -1: nobody says so now. */
#define LLM_LOG_LOOK_BACK 10000
struct llm_log_place {
    int64_t from, end; /* offsets; end: behind all there is */
};
int32_t llm_log_tail_partitions(struct llm_log_tail *tail);
int64_t llm_log_tail_end(struct llm_log_tail *tail, int32_t partition);
int llm_log_tail_find(
    struct llm_log_tail *tail, int32_t partition, int64_t unix_ms, struct llm_log_place *place);

/* llm_log_tail_start: read partition, which is not read, from offset on. Errors -1.
 * llm_log_tail_stop: no more of it comes. */
int llm_log_tail_start(struct llm_log_tail *tail, int32_t partition, int64_t offset);
void llm_log_tail_stop(struct llm_log_tail *tail, int32_t partition);

/* What comes next. */
enum llm_log_got {
    LLM_LOG_GOT_NOTHING, /* in wait_ms */
    LLM_LOG_GOT_OTHER,   /* something that passes: look again */
    LLM_LOG_GOT_RECORD,
    LLM_LOG_GOT_END,  /* there is no more of partition for now */
    LLM_LOG_GOT_FAULT /* partition cannot be read on: why */
};
struct llm_log_item {
    int32_t partition;
    int64_t next;                      /* the offset behind it */
    const rd_kafka_message_t *message; /* of a record: lent until the next call */
    const char *why;                   /* of a fault */
};
enum llm_log_got llm_log_tail_next(
    struct llm_log_tail *tail, int wait_ms, struct llm_log_item *item);

/* llm_log_tail_read: what a record says. False: it is none of ours. */
bool llm_log_tail_read(const rd_kafka_message_t *message, struct llm_log_record *record);

/* llm_log_tail_is_low: much waited in the client, which may have stopped fetching for that, and
 * half of it is read: up to librdkafka 2.1 it would go on only after a second; any question wakes
 * it. */
bool llm_log_tail_is_low(struct llm_log_tail *tail);

#endif
