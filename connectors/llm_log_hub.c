/* llm_log_hub: see llm_log_hub.h. Here: who is read for, its thread, and what time says. */
#include "llm_log_hub_internal.h"

#include "../gateway/hash.h"
#include "../gateway/mem.h"
#include "../gateway/stream.h"
#include "wake_fd.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>

#define LOOK_MS 100
#define LINGER_MS 3000 /* clients are kept for who may come next */

/* ---- readers ---- */

size_t
llm_log_hub_bucket(const void *id, size_t len)
{
    return hash_fnv1a(id, len) % LLM_LOG_BUCKETS;
}

void
llm_log_hub_drop(struct llm_log_hub *hub, struct llm_log_reader *reader)
{
    llm_log_track_leave(reader);
    LIST_REMOVE(reader, bucket);
    TAILQ_REMOVE(&hub->members, reader, member);
    if (reader->fresh) {
        TAILQ_REMOVE(&hub->fresh, reader, in_fresh);
    }
    pthread_mutex_lock(&hub->lock);
    reader->listed = false;
    pthread_cond_broadcast(&hub->let_go);
    pthread_mutex_unlock(&hub->lock);
}

static void
enlist(struct llm_log_hub *hub, struct llm_log_reader *reader)
{
    struct llm_log_ask *ask = mem_calloc(1, sizeof *ask);
    reader->serial = ++hub->serial;
    TAILQ_INSERT_TAIL(&hub->members, reader, member);
    LIST_INSERT_HEAD(
        &hub->buckets[llm_log_hub_bucket(reader->id, strlen(reader->id))], reader, bucket);
    ask->kind = LLM_LOG_ASK_PLACE;
    ask->serial = reader->serial;
    ask->begun_ms = reader->begun_ms;
    snprintf(ask->id, sizeof ask->id, "%s", reader->id);
    llm_log_hub_ask(hub, ask);
}

/* ---- questions and answers ---- */

void
llm_log_hub_ask(struct llm_log_hub *hub, struct llm_log_ask *ask)
{
    pthread_mutex_lock(&hub->lock);
    TAILQ_INSERT_TAIL(&hub->asks, ask, link);
    pthread_cond_signal(&hub->asked);
    pthread_mutex_unlock(&hub->lock);
}

void
llm_log_hub_ask_of(
    struct llm_log_hub *hub, const struct llm_log_track *track, enum llm_log_ask_kind kind)
{
    struct llm_log_ask *ask = mem_calloc(1, sizeof *ask);
    ask->kind = kind;
    ask->partition = track->partition;
    ask->reel = track->reel == llm_log_hub_live(hub) ? 0 : 1;
    llm_log_hub_ask(hub, ask);
}

static struct llm_log_reader *
find_serial(struct llm_log_hub *hub, const char *id, uint64_t serial)
{
    struct llm_log_reader *reader;
    LIST_FOREACH(reader, &hub->buckets[llm_log_hub_bucket(id, strlen(id))], bucket)
    {
        if (reader->serial == serial) {
            break;
        }
    }
    return reader;
}

/* True: it is to be asked again. */
static bool
take_place(struct llm_log_hub *hub, const struct llm_log_ask *ask)
{
    struct llm_log_reader *reader = find_serial(hub, ask->id, ask->serial);
    hub->placed_ms = ask->known ? llm_log_hub_now_ms() : hub->placed_ms;
    if (reader != NULL && ask->known) {
        reader->partition = ask->partition;
        reader->from = ask->place.from;
        reader->end = ask->place.end;
        llm_log_track_place(hub, reader);
    }
    return reader != NULL && !ask->known;
}

static void
take_answer(struct llm_log_hub *hub, struct llm_log_ask *ask)
{
    struct llm_log_track *track;
    switch (ask->kind) {
    case LLM_LOG_ASK_PLACE:
        if (take_place(hub, ask)) {
            llm_log_hub_ask(hub, ask);
            return;
        }
        break;
    case LLM_LOG_ASK_END:
        track = llm_log_track_find(llm_log_hub_live(hub), ask->partition);
        if (track != NULL) {
            track->asking = false;
            track->end = ask->known ? ask->place.end : track->end;
            track->end_asked_ms = ask->known ? ask->asked_ms : track->end_asked_ms;
        }
        break;
    case LLM_LOG_ASK_NUDGE:
        hub->reels[ask->reel].nudges--;
        break;
    }
    free(ask);
}

/* Who has come, and what was answered. */
static void
take_news(struct llm_log_hub *hub)
{
    struct llm_log_readers joined;
    struct llm_log_asks answers;
    struct llm_log_reader *reader;
    struct llm_log_ask *ask;
    TAILQ_INIT(&joined);
    TAILQ_INIT(&answers);
    pthread_mutex_lock(&hub->lock);
    TAILQ_CONCAT(&joined, &hub->joined, member);
    TAILQ_CONCAT(&answers, &hub->answers, link);
    hub->idle = hub->idle && TAILQ_EMPTY(&joined);
    for (size_t i = 0; i < LLM_LOG_HUB_CLIENTS; i++) {
        hub->reels[i].tail = hub->idle ? NULL : hub->tails[i];
    }
    pthread_mutex_unlock(&hub->lock);
    while ((reader = TAILQ_FIRST(&joined)) != NULL) {
        TAILQ_REMOVE(&joined, reader, member);
        enlist(hub, reader);
    }
    while ((ask = TAILQ_FIRST(&answers)) != NULL) {
        TAILQ_REMOVE(&answers, ask, link);
        take_answer(hub, ask);
    }
}

/* ---- time ---- */

static void
look_at(struct llm_log_hub *hub, struct llm_log_reader *reader)
{
    struct llm_log_track *track = reader->waits ? NULL : reader->track;
    struct llm_log_sight sight;
    if (track != NULL) {
        sight = (struct llm_log_sight){.past = track->reel == llm_log_hub_past(hub),
            .next = track->next,
            .latest_ms = track->latest_ms,
            .moved_ms = track->moved_ms,
            .end = track->end,
            .end_asked_ms = track->end_asked_ms};
    }
    reader->moved_ms = hub->placed_ms;
    bool asks = llm_log_read_look(reader, track == NULL ? NULL : &sight);
    if (reader->ended) {
        llm_log_hub_drop(hub, reader);
    } else if (reader->held && llm_log_read_has_room(reader)) {
        llm_log_track_place(hub, reader);
    } else if (asks && track != NULL && !track->asking) {
        track->asking = true;
        llm_log_hub_ask_of(hub, track, LLM_LOG_ASK_END);
    }
}

/* Nobody has been read for a while: without clients nothing is held. */
static void
go_idle(struct llm_log_hub *hub)
{
    llm_log_track_end_all(hub);
    for (size_t i = 0; i < LLM_LOG_HUB_CLIENTS; i++) {
        hub->reels[i].tail = NULL;
    }
    pthread_mutex_lock(&hub->lock);
    hub->idle = true;
    pthread_cond_signal(&hub->asked);
    pthread_mutex_unlock(&hub->lock);
}

static void
look(struct llm_log_hub *hub)
{
    struct llm_log_reader *reader, *next;
    int64_t now = llm_log_hub_now_ms();
    hub->looked_ms = now;
    hub->used_ms = TAILQ_EMPTY(&hub->members) ? hub->used_ms : now;
    for (reader = TAILQ_FIRST(&hub->members); reader != NULL; reader = next) {
        next = TAILQ_NEXT(reader, member);
        look_at(hub, reader);
    }
    if (now - hub->used_ms >= LINGER_MS && hub->reels[0].tail != NULL) {
        go_idle(hub);
    }
}

static void
rest(struct llm_log_hub *hub)
{
    struct pollfd fds[2] = {
        {.fd = hub->wake_fd, .events = POLLIN}, {.fd = hub->news_fd, .events = POLLIN}};
    bool busy = !TAILQ_EMPTY(&hub->members) || hub->reels[0].tail != NULL;
    if (poll(fds, 2, busy ? LOOK_MS : -1) > 0) {
        (void)wake_fd_drain(hub->wake_fd);
        (void)wake_fd_drain(hub->news_fd);
    }
}

static void *
hub_main(void *hub_)
{
    struct llm_log_hub *hub = hub_;
    while (!atomic_load(&hub->stopping)) {
        take_news(hub);
        bool more = llm_log_hub_deal(hub);
        llm_log_track_turn(hub);
        if (atomic_exchange(&hub->look, false) ||
            llm_log_hub_now_ms() - hub->looked_ms >= LOOK_MS) {
            look(hub);
        }
        if (!more) {
            rest(hub);
        }
    }
    assert(TAILQ_EMPTY(&hub->members));
    llm_log_track_end_all(hub);
    return NULL;
}

/* ---- life ---- */

static void
hub_free(struct llm_log_hub *hub)
{
    struct llm_log_asks *const lists[] = {&hub->asks, &hub->answers};
    struct llm_log_ask *ask;
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        while ((ask = TAILQ_FIRST(lists[i])) != NULL) {
            TAILQ_REMOVE(lists[i], ask, link);
            free(ask);
        }
    }
    for (size_t i = 0; i < LLM_LOG_HUB_CLIENTS; i++) {
        free(hub->reels[i].by_partition);
    }
    close(hub->wake_fd);
    close(hub->news_fd);
    pthread_cond_destroy(&hub->asked);
    pthread_cond_destroy(&hub->let_go);
    pthread_mutex_destroy(&hub->lock);
    free(hub);
}

static struct llm_log_hub *
hub_new(const struct llm_log_settings *settings, struct stream *home)
{
    struct llm_log_hub *hub = mem_calloc(1, sizeof *hub);
    hub->settings = settings;
    hub->home = home;
    hub->idle = true;
    TAILQ_INIT(&hub->joined);
    TAILQ_INIT(&hub->members);
    TAILQ_INIT(&hub->fresh);
    TAILQ_INIT(&hub->asks);
    TAILQ_INIT(&hub->answers);
    pthread_mutex_init(&hub->lock, NULL);
    pthread_cond_init(&hub->asked, NULL);
    pthread_cond_init(&hub->let_go, NULL);
    hub->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    hub->news_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    return hub;
}

static void
stop_asker(struct llm_log_hub *hub)
{
    pthread_mutex_lock(&hub->lock);
    hub->asker_stops = true;
    pthread_cond_signal(&hub->asked);
    pthread_mutex_unlock(&hub->lock);
    pthread_join(hub->asker, NULL);
}

struct llm_log_hub *
llm_log_hub_start(const struct llm_log_settings *settings, struct stream *home, struct err *err)
{
    struct llm_log_hub *hub = hub_new(settings, home);
    if (hub->wake_fd < 0 || hub->news_fd < 0) {
        err_set_errno(err, errno, "stream %s: eventfd", stream_name(home));
        goto fail;
    }
    int rc = pthread_create(&hub->asker, NULL, llm_log_hub_answer, hub);
    if (rc == 0) {
        rc = pthread_create(&hub->thread, NULL, hub_main, hub);
        if (rc != 0) {
            stop_asker(hub);
        }
    }
    if (rc == 0) {
        return hub;
    }
    err_set_errno(err, rc, "stream %s: a thread that reads the log", stream_name(home));
fail:
    hub_free(hub);
    return NULL;
}

void
llm_log_hub_stop(struct llm_log_hub *hub)
{
    if (hub == NULL) {
        return;
    }
    atomic_store(&hub->stopping, true);
    wake_fd_raise(hub->wake_fd);
    pthread_join(hub->thread, NULL);
    stop_asker(hub);
    hub_free(hub);
}

/* ---- any thread ---- */

void
llm_log_hub_join(struct llm_log_hub *hub, struct llm_log_reader *reader)
{
    pthread_mutex_lock(&hub->lock);
    reader->listed = true;
    TAILQ_INSERT_TAIL(&hub->joined, reader, member);
    pthread_mutex_unlock(&hub->lock);
    wake_fd_raise(hub->wake_fd);
}

void
llm_log_hub_look(struct llm_log_hub *hub)
{
    atomic_store(&hub->look, true);
    wake_fd_raise(hub->wake_fd);
}

void
llm_log_hub_leave(struct llm_log_hub *hub, struct llm_log_reader *reader)
{
    pthread_mutex_lock(&hub->lock);
    while (reader->listed) {
        pthread_cond_wait(&hub->let_go, &hub->lock);
    }
    pthread_mutex_unlock(&hub->lock);
}
