/* llm_log_ask: what a hub must ask of brokers, which blocks, and its clients' lives. A thread of
 * its own: while a broker hangs, those who are read go on. It sees no reader, only questions. */
#include "llm_log_hub_internal.h"

#include "../gateway/log.h"
#include "../gateway/stream.h"
#include "../gateway/stream_answers.h"
#include "wake_fd.h"

#include <time.h>

#define CLOCK_SLACK_MS 10000 /* brokers that stamp records themselves have clocks of their own */
#define AGAIN_NS INT64_C(50000000)
#define PARTITIONS_FOR_MS 2000 /* their number is asked again */

struct asker {
    struct llm_log_hub *hub;
    int32_t n_partitions;
    int64_t counted_ms;
};

static void
count_clients(const struct llm_log_hub *hub)
{
    unsigned n = 0;
    for (size_t i = 0; i < LLM_LOG_HUB_CLIENTS; i++) {
        n += hub->tails[i] != NULL;
    }
    stream_answer_log_clients(hub->home, n);
}

static bool
open_clients(struct llm_log_hub *hub)
{
    struct err err;
    bool open = true;
    for (size_t i = 0; i < LLM_LOG_HUB_CLIENTS; i++) {
        if (hub->tails[i] != NULL) {
            continue;
        }
        struct llm_log_tail *tail =
            llm_log_tail_open(hub->settings, stream_name(hub->home), hub->news_fd, &err);
        if (tail == NULL) {
            log_event(LOG_WARN, "llm", stream_name(hub->home), "%s", err.text);
            open = false;
        }
        pthread_mutex_lock(&hub->lock);
        hub->tails[i] = tail;
        pthread_mutex_unlock(&hub->lock);
    }
    count_clients(hub);
    return open;
}

static int32_t
partitions(struct asker *asker, struct llm_log_tail *tail)
{
    int64_t now = llm_log_hub_now_ms();
    if (asker->n_partitions == 0 || now - asker->counted_ms >= PARTITIONS_FOR_MS) {
        asker->n_partitions = llm_log_tail_partitions(tail);
        asker->counted_ms = now;
    }
    return asker->n_partitions;
}

static void
answer(struct asker *asker, struct llm_log_ask *ask)
{
    struct llm_log_hub *hub = asker->hub;
    ask->asked_ms = llm_log_hub_now_ms();
    if (!open_clients(hub)) {
        return;
    }
    switch (ask->kind) {
    case LLM_LOG_ASK_PLACE: {
        int32_t n = partitions(asker, hub->tails[0]);
        if (n > 0) {
            ask->partition = llm_log_tail_partition_of(ask->id, n);
            ask->known = llm_log_tail_find(hub->tails[0], ask->partition,
                             ask->begun_ms - CLOCK_SLACK_MS, &ask->place) == 0;
        }
        break;
    }
    case LLM_LOG_ASK_END:
    case LLM_LOG_ASK_NUDGE:
        ask->place.end = llm_log_tail_end(hub->tails[ask->reel], ask->partition);
        ask->known = ask->place.end >= 0;
        break;
    }
    asker->n_partitions = ask->known ? asker->n_partitions : 0;
}

static void
rest(void)
{
    nanosleep(&(struct timespec){.tv_nsec = AGAIN_NS}, NULL);
}

/* Under the lock, which it gives away meanwhile. */
static void
close_clients(struct llm_log_hub *hub)
{
    struct llm_log_tail *tails[LLM_LOG_HUB_CLIENTS];
    for (size_t i = 0; i < LLM_LOG_HUB_CLIENTS; i++) {
        tails[i] = hub->tails[i];
        hub->tails[i] = NULL;
    }
    pthread_mutex_unlock(&hub->lock);
    for (size_t i = 0; i < LLM_LOG_HUB_CLIENTS; i++) {
        llm_log_tail_close(tails[i]);
    }
    count_clients(hub);
    pthread_mutex_lock(&hub->lock);
}

static bool
has_clients(const struct llm_log_hub *hub)
{
    return hub->tails[0] != NULL || hub->tails[1] != NULL;
}

void *
llm_log_hub_answer(void *hub_)
{
    struct llm_log_hub *hub = hub_;
    struct asker asker = {.hub = hub};
    pthread_mutex_lock(&hub->lock);
    while (!hub->asker_stops) {
        struct llm_log_ask *ask = TAILQ_FIRST(&hub->asks);
        if (hub->idle && has_clients(hub)) {
            close_clients(hub);
        } else if (ask == NULL) {
            pthread_cond_wait(&hub->asked, &hub->lock);
        } else {
            TAILQ_REMOVE(&hub->asks, ask, link);
            pthread_mutex_unlock(&hub->lock);
            answer(&asker, ask);
            if (!ask->known) {
                rest();
            }
            pthread_mutex_lock(&hub->lock);
            TAILQ_INSERT_TAIL(&hub->answers, ask, link);
            wake_fd_raise(hub->wake_fd);
        }
    }
    close_clients(hub);
    pthread_mutex_unlock(&hub->lock);
    return NULL;
}
