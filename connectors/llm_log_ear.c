/* llm_log_ear: see llm_log_ear.h. Two threads: the ear's, which lives as long as it; and while the
 * past is read, that one's. */
#include "llm_log_ear.h"

#include "../gateway/clock.h"
#include "../gateway/mem.h"
#include "../gateway/stream.h"
#include "../gateway/stream_answers.h"
#include "llm_log_tail.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#define WAIT_MS 200
#define REST_NS INT64_C(500000000)
#define CLOCK_SLACK_MS 10000 /* as of llm_log_ask.c */

struct llm_log_ear {
    struct llm_log_ear_user user;
    atomic_bool stopping;
    atomic_bool hears;
    atomic_bool complete;

    /* The ear's thread's. */
    pthread_t thread, past;
    bool has_past;
    int64_t next; /* offset of what comes next */

    /* While there is a past. */
    atomic_bool past_stops;
    struct llm_log_tail *asked; /* the ear's client */
};

static void
rest(void)
{
    nanosleep(&(struct timespec){.tv_nsec = REST_NS}, NULL);
}

/* The next record, of which *item tells; else what there is in its place. */
static enum llm_log_got
next(struct llm_log_tail *tail, struct llm_log_item *item)
{
    enum llm_log_got got = llm_log_tail_next(tail, WAIT_MS, item);
    if (got == LLM_LOG_GOT_RECORD && llm_log_tail_is_low(tail)) {
        (void)llm_log_tail_end(tail, LLM_LOG_EAR_PARTITION); /* to ask wakes its fetching */
    }
    return got;
}

static void
take_alias(struct llm_log_ear *ear, const rd_kafka_message_t *message)
{
    if (ear->user.aliases != NULL) {
        llm_log_aliases_take(ear->user.aliases, message->offset, message->key, message->key_len,
            message->payload, message->len);
    }
}

/* ---- what was said before ---- */

/* Where to begin, and where the ear has begun, or later. -1: nobody says so now. */
static int
find_past(struct llm_log_ear *ear, struct llm_log_place *place)
{
    int64_t since_ms = clock_wall_ms() - stream_answer_known_ms(ear->user.home) - CLOCK_SLACK_MS;
    if (llm_log_tail_find(ear->asked, LLM_LOG_EAR_PARTITION, since_ms, place) != 0) {
        return -1;
    }
    if (place->end - place->from > LLM_LOG_EAR_PAST) {
        place->from = place->end - LLM_LOG_EAR_PAST;
    }
    return 0;
}

/* False: it cannot be read to its end. */
static bool
read_past(struct llm_log_ear *ear, struct llm_log_tail *tail, const struct llm_log_place *place)
{
    int64_t at = place->from;
    struct llm_log_record record;
    struct llm_log_item item;
    if (llm_log_tail_start(tail, LLM_LOG_EAR_PARTITION, place->from) != 0) {
        return false;
    }
    while (at < place->end && !atomic_load(&ear->past_stops)) {
        enum llm_log_got got = next(tail, &item);
        if (got == LLM_LOG_GOT_FAULT) {
            return false;
        }
        if (got == LLM_LOG_GOT_RECORD && llm_log_tail_read(item.message, &record) &&
            record.kind == LLM_LOG_ALIAS) {
            take_alias(ear, item.message);
        }
        at = got == LLM_LOG_GOT_RECORD || got == LLM_LOG_GOT_END ? item.next : at;
    }
    return at >= place->end;
}

static bool
learn_past(struct llm_log_ear *ear)
{
    struct err err;
    struct llm_log_place place;
    if (find_past(ear, &place) != 0) {
        return false;
    }
    if (place.from >= place.end) {
        return true;
    }
    struct llm_log_tail *tail =
        llm_log_tail_open(ear->user.settings, stream_name(ear->user.home), -1, &err);
    bool all = tail != NULL && read_past(ear, tail, &place);
    llm_log_tail_close(tail);
    return all;
}

static void
set_complete(struct llm_log_ear *ear, bool complete)
{
    atomic_store(&ear->complete, complete);
    stream_answer_aliases(ear->user.home, complete);
}

static void *
past_main(void *ear_)
{
    struct llm_log_ear *ear = ear_;
    while (!atomic_load(&ear->past_stops)) {
        if (learn_past(ear)) {
            set_complete(ear, true);
            break;
        }
        rest();
    }
    return NULL;
}

/* Where no thread can be had, it is tried again. */
static void
start_past(struct llm_log_ear *ear, struct llm_log_tail *tail)
{
    ear->asked = tail;
    atomic_store(&ear->past_stops, false);
    ear->has_past = pthread_create(&ear->past, NULL, past_main, ear) == 0;
}

static void
end_past(struct llm_log_ear *ear)
{
    if (ear->has_past) {
        atomic_store(&ear->past_stops, true);
        pthread_join(ear->past, NULL);
        ear->has_past = false;
    }
}

/* ---- what is said now ---- */

static void
take_said(struct llm_log_ear *ear, const rd_kafka_message_t *message)
{
    struct llm_log_record record;
    if (!llm_log_tail_read(message, &record)) {
        return;
    }
    switch (record.kind) {
    case LLM_LOG_CANCEL:
    case LLM_LOG_SEEN:
        ear->user.hear(ear->user.self, message->key, message->key_len, record.kind);
        break;
    case LLM_LOG_ALIAS:
        take_alias(ear, message);
        break;
    case LLM_LOG_BEGIN:
    case LLM_LOG_EVENT:
    case LLM_LOG_LOST:
    case LLM_LOG_BEAT:
    case LLM_LOG_END:
        break;
    }
}

/* From now on. False: it is to stop. */
static bool
begin(struct llm_log_ear *ear, struct llm_log_tail *tail)
{
    while (!atomic_load(&ear->stopping)) {
        int64_t end = llm_log_tail_end(tail, LLM_LOG_EAR_PARTITION);
        if (end >= 0 && llm_log_tail_start(tail, LLM_LOG_EAR_PARTITION, end) == 0) {
            if (end < ear->next && ear->user.aliases != NULL) {
                llm_log_aliases_clear(ear->user.aliases); /* the topic was made again */
            }
            ear->next = end;
            return true;
        }
        rest();
    }
    return false;
}

static void
set_hears(struct llm_log_ear *ear, bool hears)
{
    atomic_store(&ear->hears, hears);
    stream_answer_hears(ear->user.home, hears);
}

/* Until the tail cannot be read on. */
static void
listen_to(struct llm_log_ear *ear, struct llm_log_tail *tail)
{
    enum llm_log_got got = LLM_LOG_GOT_NOTHING;
    struct llm_log_item item;
    if (!begin(ear, tail)) {
        return;
    }
    set_hears(ear, true);
    while (!atomic_load(&ear->stopping) && got != LLM_LOG_GOT_FAULT) {
        if (!ear->has_past && ear->user.aliases != NULL) {
            start_past(ear, tail);
        }
        got = next(tail, &item);
        if (got == LLM_LOG_GOT_RECORD) {
            ear->next = item.next;
            take_said(ear, item.message);
        }
    }
    set_hears(ear, false);
    end_past(ear);
    set_complete(ear, false);
}

static void *
ear_main(void *ear_)
{
    struct llm_log_ear *ear = ear_;
    while (!atomic_load(&ear->stopping)) {
        struct err err;
        struct llm_log_tail *tail =
            llm_log_tail_open(ear->user.settings, stream_name(ear->user.home), -1, &err);
        if (tail != NULL) {
            listen_to(ear, tail);
        }
        llm_log_tail_close(tail);
        if (!atomic_load(&ear->stopping)) {
            rest();
        }
    }
    return NULL;
}

/* ---- life ---- */

struct llm_log_ear *
llm_log_ear_start(const struct llm_log_ear_user *user, struct err *err)
{
    struct llm_log_ear *ear = mem_calloc(1, sizeof *ear);
    ear->user = *user;
    int rc = pthread_create(&ear->thread, NULL, ear_main, ear);
    if (rc != 0) {
        err_set_errno(err, rc, "thread of the log of stream %s", stream_name(user->home));
        free(ear);
        return NULL;
    }
    return ear;
}

void
llm_log_ear_stop(struct llm_log_ear *ear)
{
    if (ear != NULL) {
        atomic_store(&ear->stopping, true);
        pthread_join(ear->thread, NULL);
        free(ear);
    }
}

int32_t
llm_log_ear_partition(const struct llm_log_ear *ear)
{
    return atomic_load(&ear->hears) ? LLM_LOG_EAR_PARTITION : -1;
}

bool
llm_log_ear_is_complete(const struct llm_log_ear *ear)
{
    return atomic_load(&ear->complete);
}
