/* llm_log_hub_internal: what llm_log_hub.c (the thread), llm_log_deal.c (records), llm_log_track.c
 * (which partition is read from where, and for whom) and llm_log_ask.c (what is asked of brokers)
 * share with no one else.
 * Thread: the hub's, where it says nothing else. */
#ifndef HEADGATE_LLM_LOG_HUB_INTERNAL_H
#define HEADGATE_LLM_LOG_HUB_INTERNAL_H

#include "../gateway/clock.h"
#include "llm_log_hub.h"
#include "llm_log_read_internal.h"
#include "llm_log_tail.h"

#include <pthread.h>

#define LLM_LOG_BUCKETS 256

/* A partition that is read by one of the two clients. It is there while that is so. */
struct llm_log_track {
    LIST_ENTRY(llm_log_track) link;
    struct llm_log_reel *reel;
    int32_t partition;
    int64_t next;              /* offset of what comes next */
    int64_t latest_ms;         /* the time of the last record, Unix milliseconds */
    int64_t moved_ms;          /* when something was read */
    int64_t end, end_asked_ms; /* of the log, as it was when that was asked; 0: never */
    int64_t used_ms;           /* when somebody was read there last */
    bool asking;
    bool left;                      /* a reader has gone */
    struct llm_log_readers reading; /* their records are to come, or come */
    struct llm_log_readers waiting; /* theirs are before what comes next */
};

struct llm_log_reel {
    struct llm_log_tail *tail; /* NULL: none yet */
    LIST_HEAD(, llm_log_track) tracks;
    struct llm_log_track **by_partition; /* NULL: not read */
    int32_t n_partitions;                /* of those that fit */
    size_t nudges;                       /* under way */
};

/* A question, and its answer. */
enum llm_log_ask_kind {
    LLM_LOG_ASK_PLACE, /* of the reader serial: its partition, and where to begin */
    LLM_LOG_ASK_END,   /* of the partition */
    LLM_LOG_ASK_NUDGE  /* the same of a client that is thereby woken: reel's */
};
struct llm_log_ask {
    TAILQ_ENTRY(llm_log_ask) link;
    enum llm_log_ask_kind kind;
    uint64_t serial;
    char id[LLM_LOG_ID_MAX + 1];
    int64_t begun_ms;
    int32_t partition;
    size_t reel;
    /* The answer. */
    bool known;
    int64_t asked_ms;
    struct llm_log_place place;
};
TAILQ_HEAD(llm_log_asks, llm_log_ask);

struct llm_log_hub {
    const struct llm_log_settings *settings;
    struct stream *home;
    pthread_t thread, asker;
    int wake_fd, news_fd; /* eventfds: somebody wants something; a client has something */
    atomic_bool stopping, look;

    pthread_mutex_t lock;
    pthread_cond_t asked, let_go;
    struct llm_log_readers joined; /* they have just come */
    struct llm_log_asks asks, answers;
    bool idle; /* nothing is read: clients may be closed */
    bool asker_stops;
    /* Live and past: the asker opens and closes them; lent to the hub while it is not idle. */
    struct llm_log_tail *tails[LLM_LOG_HUB_CLIENTS];

    /* The hub's thread's. */
    struct llm_log_readers members, fresh;
    LIST_HEAD(, llm_log_reader) buckets[LLM_LOG_BUCKETS];
    struct llm_log_reel reels[LLM_LOG_HUB_CLIENTS]; /* live, past */
    uint64_t serial;
    int64_t looked_ms;
    int64_t used_ms;   /* when there was a reader */
    int64_t placed_ms; /* when brokers told where one begins */
};

static inline struct llm_log_reel *
llm_log_hub_live(struct llm_log_hub *hub)
{
    return &hub->reels[0];
}

static inline struct llm_log_reel *
llm_log_hub_past(struct llm_log_hub *hub)
{
    return &hub->reels[1];
}

static inline int64_t
llm_log_hub_now_ms(void)
{
    return clock_mono_ns() / 1000000;
}

size_t llm_log_hub_bucket(const void *id, size_t len);

/* llm_log_hub_ask: it is answered among hub->answers. Owns: taken. llm_log_hub_ask_of: of a
 * partition and its client. */
void llm_log_hub_ask(struct llm_log_hub *hub, struct llm_log_ask *ask);
void llm_log_hub_ask_of(
    struct llm_log_hub *hub, const struct llm_log_track *track, enum llm_log_ask_kind kind);

/* llm_log_hub_deal: what there is, up to some hundred records of each client. True: there may be
 * more. */
bool llm_log_hub_deal(struct llm_log_hub *hub);

/* llm_log_hub_drop: a reader that has ended is used no more; it may be gone at once. */
void llm_log_hub_drop(struct llm_log_hub *hub, struct llm_log_reader *reader);
/* llm_log_hub_answer: the asker's thread. */
void *llm_log_hub_answer(void *hub);

/* llm_log_track_find: NULL: that partition is not read by that client. llm_log_track_place: have a
 * reader read whose partition and place are known. llm_log_track_hold: its stream has no room for
 * the record at offset: it is read no more, from there on once it is placed anew.
 * llm_log_track_leave: of a reader that may be in one. llm_log_track_fail: it cannot be read on.
 * llm_log_track_turn: after some reading: who has caught up, what is read for nobody. */
struct llm_log_track *llm_log_track_find(const struct llm_log_reel *reel, int32_t partition);
void llm_log_track_place(struct llm_log_hub *hub, struct llm_log_reader *reader);
void llm_log_track_hold(struct llm_log_reader *reader, int64_t offset);
void llm_log_track_leave(struct llm_log_reader *reader);
void llm_log_track_fail(struct llm_log_hub *hub, struct llm_log_track *track, const char *why);
void llm_log_track_turn(struct llm_log_hub *hub);
/* llm_log_track_end_all: there is no reader left. */
void llm_log_track_end_all(struct llm_log_hub *hub);

#endif
