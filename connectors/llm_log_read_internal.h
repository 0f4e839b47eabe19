/* llm_log_read_internal: a reader, as it (llm_log_read.c) and the hub that reads for it
 * (llm_log_hub.c, llm_log_track.c) see it. Thread: the hub's, where it says nothing else. */
#ifndef HEADGATE_LLM_LOG_READ_INTERNAL_H
#define HEADGATE_LLM_LOG_READ_INTERNAL_H

#include "llm_log_read.h"

#include <stdatomic.h>
#include <sys/queue.h>

struct llm_log_hub;
struct llm_log_track;

struct llm_log_reader {
    struct llm_log *log;
    struct llm_log_hub *hub;
    struct stream *stream;
    char id[LLM_LOG_ID_MAX + 1];
    int64_t begun_ms;
    atomic_bool stopping; /* any thread's */
    atomic_int tell;      /* any thread's: the partition that its gateway reads; negative: none */

    /* The hub's. */
    bool listed;                          /* under its lock: it uses the reader */
    uint64_t serial;                      /* of those that it has had */
    TAILQ_ENTRY(llm_log_reader) member;   /* among all, or those that have just come */
    LIST_ENTRY(llm_log_reader) bucket;    /* by its id */
    TAILQ_ENTRY(llm_log_reader) in_track; /* while it has one */
    TAILQ_ENTRY(llm_log_reader) in_fresh; /* while it is fresh */
    struct llm_log_track *track; /* where it is read, or is to be; NULL: not yet, or held */
    bool waits;                  /* for its track to turn back */
    bool held;                   /* its stream has no room */
    bool fresh;                  /* something is staged that is not shown */
    int32_t partition;
    int64_t from, end; /* offsets: where it is to be read from; where the log ended when it came */

    /* What is read. */
    bool begun, ended;
    uint32_t lane;
    uint64_t next; /* n of the next event */
    size_t room;
    int64_t started_ms; /* looking for its begin */
    int64_t moved_ms;   /* before it is read: when brokers told where another begins */
    int64_t heard_ms;   /* when something of it was read last */
    int64_t said_ms;    /* when that was written, Unix milliseconds */
    int64_t silent_end; /* it was silent up to there; negative: not asked */
    int64_t seen_ms;    /* when its gateway was told so */
};
TAILQ_HEAD(llm_log_readers, llm_log_reader);

/* What is known of where it is read. */
struct llm_log_sight {
    bool past;                 /* not at the log's end */
    int64_t next;              /* offset of what comes next */
    int64_t latest_ms;         /* the time of the last record there, Unix milliseconds */
    int64_t moved_ms;          /* when something there was read */
    int64_t end, end_asked_ms; /* where the log ended, when that was asked; 0: never */
};

/* llm_log_read_take: a record of its answer. False: its stream has no room now: offer it again.
 * llm_log_read_show: what was taken, to its viewers. llm_log_read_has_room: of one that had none.
 */
bool llm_log_read_take(struct llm_log_reader *reader, const struct llm_log_record *record,
    const rd_kafka_message_t *message);
void llm_log_read_show(struct llm_log_reader *reader);
bool llm_log_read_has_room(struct llm_log_reader *reader);

/* llm_log_read_moved: it is read from another place from now on. llm_log_read_look: what time says
 * of it; sight NULL: it is not read now. True: it wants to know where the log ends. */
void llm_log_read_moved(struct llm_log_reader *reader);
bool llm_log_read_look(struct llm_log_reader *reader, const struct llm_log_sight *sight);

/* llm_log_read_fail: the log cannot be read, why is of a person's words. llm_log_read_give_up: it
 * is not wanted any more. Either only if it has not ended. */
void llm_log_read_fail(struct llm_log_reader *reader, const char *why);
void llm_log_read_give_up(struct llm_log_reader *reader);

#endif
