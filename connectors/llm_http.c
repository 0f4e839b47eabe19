/* llm_http: the client's thread: epoll(7) drives libcurl's multi interface, calls come in and end.
 */
#include "llm_http.h"

#include "../gateway/clock.h"
#include "../gateway/mem.h"
#include "../gateway/sleeper.h"
#include "llm_http_internal.h"
#include "wake_fd.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <unistd.h>

#define EVENTS 16 /* of a turn: viewers are told of what came in it at its end */
#define TICK_NS INT64_C(250000000)
/* Of more calls a part is looked at at a time: what comes for others does not wait for all. */
#define TICK_PART 64
#define TICK_PARTS_MAX 32
#define IDLE_CONNECTIONS 64L
#define NS_PER_MS INT64_C(1000000)

struct llm_http {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct llm_call_list wishes; /* lock: new ones, and those that are to be looked at */
    atomic_bool stopping;
    int wake_fd;
    /* Of the thread. */
    int epoll_fd;
    CURLM *multi;
    struct llm_call_list calls; /* whose tick is due first: foremost */
    size_t n_calls;
    int64_t curl_due_ns; /* when libcurl wants to be called */
    int64_t due_ns;      /* before that nothing of a call is due that was looked at */
    int64_t tick_ns;     /* when the next part of them has its tick */
};

/* ---- libcurl's sockets and timer ---- */

static int
on_socket(CURL *easy, curl_socket_t fd, int what, void *client_, void *unused)
{
    (void)easy;
    (void)unused;
    struct llm_http *client = client_;
    struct epoll_event event = {.data.fd = fd};
    event.events = (what & CURL_POLL_IN ? (uint32_t)EPOLLIN : 0) |
                   (what & CURL_POLL_OUT ? (uint32_t)EPOLLOUT : 0);
    if (what == CURL_POLL_REMOVE) {
        epoll_ctl(client->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
    } else if (epoll_ctl(client->epoll_fd, EPOLL_CTL_MOD, fd, &event) != 0 && errno == ENOENT) {
        return epoll_ctl(client->epoll_fd, EPOLL_CTL_ADD, fd, &event);
    }
    return 0;
}

static int
on_timer(CURLM *multi, long timeout_ms, void *client_)
{
    (void)multi;
    struct llm_http *client = client_;
    client->curl_due_ns =
        timeout_ms < 0 ? LLM_HTTP_NEVER : clock_mono_ns() + timeout_ms * NS_PER_MS;
    return 0;
}

static void
turn_socket(struct llm_http *client, const struct epoll_event *event)
{
    int running;
    int flags = (event->events & (EPOLLIN | EPOLLHUP) ? CURL_CSELECT_IN : 0) |
                (event->events & EPOLLOUT ? CURL_CSELECT_OUT : 0) |
                (event->events & EPOLLERR ? CURL_CSELECT_ERR : 0);
    curl_multi_socket_action(client->multi, event->data.fd, flags, &running);
}

static void
turn_timer(struct llm_http *client)
{
    int running;
    if (clock_mono_ns() >= client->curl_due_ns) {
        client->curl_due_ns = LLM_HTTP_NEVER; /* the call may set it anew */
        curl_multi_socket_action(client->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    }
}

/* ---- a call's life ---- */

static void
expect(struct llm_http *client, int64_t due_ns)
{
    client->due_ns = due_ns < client->due_ns ? due_ns : client->due_ns;
}

static void
add(struct llm_http *client, struct llm_http_call *call)
{
    TAILQ_INSERT_TAIL(&client->calls, call, link);
    client->n_calls++;
}

static void
forget(struct llm_http *client, struct llm_http_call *call)
{
    call->state = LLM_CALL_ENDED;
    TAILQ_REMOVE(&client->calls, call, link);
    client->n_calls--;
    pthread_mutex_lock(&client->lock);
    if (call->queued) {
        TAILQ_REMOVE(&client->wishes, call, waiting);
        call->queued = false;
    }
    call->ended = true; /* from here on it may be gone */
    pthread_cond_broadcast(&client->changed);
    pthread_mutex_unlock(&client->lock);
}

/* Tell the end; true: it was taken. */
static bool
tell_end(struct llm_http_call *call)
{
    size_t last = call->options.n_targets - 1;
    struct llm_http_result result = {.good = call->good,
        .code = call->code,
        .message = call->good ? "" : call->message.bytes,
        .status = call->status,
        .after_ms = call->hints.after_ms,
        .target = call->target < last ? call->target : last,
        .attempts = call->attempts};
    return call->options.handler->end(call->options.user, &result);
}

static void
finish(struct llm_http *client, struct llm_http_call *call, bool good)
{
    llm_try_stop(call, client->multi);
    call->state = LLM_CALL_ENDING;
    call->good = good;
    if (tell_end(call)) {
        forget(client, call);
    }
}

static void
finish_cancelled(struct llm_http *client, struct llm_http_call *call)
{
    llm_try_stop(call, client->multi);
    llm_try_say(call, LLM_CANCELLED, "cancelled");
    call->good = false;
    (void)tell_end(call);
    forget(client, call);
}

static double
random_share(void)
{
    uint32_t bits = 0;
    if (getrandom(&bits, sizeof bits, GRND_NONBLOCK) != sizeof bits) {
        return 0;
    }
    return (double)bits / (double)UINT32_MAX;
}

/* Is there time for another attempt at this target? Then due_ns is when. */
static bool
can_wait(struct llm_http_call *call)
{
    const struct llm_retry_policy *policy = &call->options.retry;
    if (call->failed > policy->most) {
        return false;
    }
    int64_t wait_ms = llm_retry_wait_ms(policy, &call->hints, call->failed, random_share());
    int64_t now = clock_mono_ns();
    call->state = LLM_CALL_WAITING;
    call->due_ns = now + wait_ms * NS_PER_MS;
    return wait_ms >= 0 && llm_try_due_ns(call) == call->due_ns;
}

static void settle(
    struct llm_http *client, struct llm_http_call *call, enum llm_try_outcome outcome);

static void
try_now(struct llm_http *client, struct llm_http_call *call)
{
    if (llm_try_start(call, client->multi) != 0) {
        settle(client, call, LLM_TRY_NEXT);
    } else {
        expect(client, llm_try_due_ns(call));
    }
}

static void
try_next_target(struct llm_http *client, struct llm_http_call *call)
{
    call->failed = 0;
    if (++call->target < call->options.n_targets) {
        try_now(client, call);
    } else {
        finish(client, call, false);
    }
}

static void
settle(struct llm_http *client, struct llm_http_call *call, enum llm_try_outcome outcome)
{
    if (outcome == LLM_TRY_GOOD) {
        finish(client, call, true);
        return;
    }
    llm_try_stop(call, client->multi);
    call->failed++;
    call->options.handler->failed(call->options.user, call->target, call->status, call->code,
        call->why[0] != '\0' ? call->why : call->message.bytes);
    if (outcome == LLM_TRY_FINAL) {
        finish(client, call, false);
    } else if (outcome == LLM_TRY_AGAIN && can_wait(call)) {
        expect(client, call->due_ns);
    } else {
        try_next_target(client, call);
    }
}

static void
begin(struct llm_http *client, struct llm_http_call *call)
{
    add(client, call);
    call->started_ns = clock_mono_ns();
    int64_t tick = call->started_ns + TICK_NS;
    client->tick_ns = tick < client->tick_ns ? tick : client->tick_ns;
    try_now(client, call);
}

/* There may be room: what was held goes on, and an end that waited for it comes. */
static void
resume(struct llm_http *client, struct llm_http_call *call)
{
    if (call->state == LLM_CALL_ENDING && tell_end(call)) {
        forget(client, call);
        return;
    }
    if (call->state != LLM_CALL_TRYING) {
        return;
    }
    llm_try_resume(call);
    if (call->is_done && !call->full) {
        settle(client, call, llm_try_ended(call, call->result));
    }
}

static void
look_at(struct llm_http *client, struct llm_http_call *call, bool cancel)
{
    if (cancel) {
        if (call->state == LLM_CALL_NEW) {
            add(client, call);
        }
        finish_cancelled(client, call);
    } else if (call->state == LLM_CALL_NEW) {
        begin(client, call);
    } else {
        resume(client, call);
    }
}

/* ---- the loop ---- */

static void
take_wishes(struct llm_http *client)
{
    for (;;) {
        pthread_mutex_lock(&client->lock);
        struct llm_http_call *call = TAILQ_FIRST(&client->wishes);
        bool cancel = call != NULL && call->wants_cancel;
        if (call != NULL) {
            TAILQ_REMOVE(&client->wishes, call, waiting);
            call->queued = false;
        }
        pthread_mutex_unlock(&client->lock);
        if (call == NULL) {
            return;
        }
        look_at(client, call, cancel);
    }
}

static void
take_ends(struct llm_http *client)
{
    CURLMsg *message;
    int left;
    while ((message = curl_multi_info_read(client->multi, &left)) != NULL) {
        struct llm_http_call *call;
        CURLcode result = message->data.result;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&call);
        if (call->full && !call->enough) {
            call->is_done = true;
            call->result = result;
        } else {
            settle(client, call, llm_try_ended(call, result));
        }
    }
}

/* What is due for one call; it may be gone afterwards. */
static void
scan_call(struct llm_http *client, struct llm_http_call *call, int64_t now)
{
    enum llm_try_outcome outcome;
    int64_t due = llm_try_due_ns(call);
    call->options.handler->tick(call->options.user);
    if (llm_try_late(call, now, &outcome)) {
        settle(client, call, outcome);
    } else if (call->state == LLM_CALL_WAITING && now >= call->due_ns) {
        try_now(client, call);
    } else {
        expect(client, due);
        resume(client, call);
    }
}

static void
scan(struct llm_http *client)
{
    int64_t now = clock_mono_ns();
    size_t n = client->n_calls;
    size_t parts = n / TICK_PART < TICK_PARTS_MAX ? n / TICK_PART + 1 : TICK_PARTS_MAX;
    bool all = now >= client->due_ns;
    if (!all && now < client->tick_ns) {
        return;
    }
    client->due_ns = all ? LLM_HTTP_NEVER : client->due_ns;
    client->tick_ns = n == 0 ? LLM_HTTP_NEVER : now + TICK_NS / (int64_t)parts;
    struct llm_http_call *call;
    for (size_t left = all ? n : (n + parts - 1) / parts;
         left > 0 && (call = TAILQ_FIRST(&client->calls)) != NULL; left--) {
        TAILQ_REMOVE(&client->calls, call, link);
        TAILQ_INSERT_TAIL(&client->calls, call, link);
        scan_call(client, call, now);
    }
}

static int
rest_ms(const struct llm_http *client)
{
    int64_t until = client->due_ns < client->tick_ns ? client->due_ns : client->tick_ns;
    until = client->curl_due_ns < until ? client->curl_due_ns : until;
    int64_t left = until == LLM_HTTP_NEVER ? -1 : until - clock_mono_ns();
    if (until == LLM_HTTP_NEVER) {
        return -1;
    }
    return left <= 0 ? 0 : (int)(left / NS_PER_MS < 60000 ? left / NS_PER_MS + 1 : 60000);
}

static void *
client_main(void *client_)
{
    struct llm_http *client = client_;
    struct epoll_event events[EVENTS];
    while (!atomic_load(&client->stopping)) {
        int n = epoll_wait(client->epoll_fd, events, EVENTS, rest_ms(client));
        sleeper_hold_wakes();
        for (int i = 0; i < n; i++) {
            if (events[i].data.fd != client->wake_fd) {
                turn_socket(client, &events[i]);
            } else {
                (void)wake_fd_drain(client->wake_fd);
            }
        }
        turn_timer(client);
        take_ends(client);
        take_wishes(client);
        scan(client);
        sleeper_release_wakes();
    }
    return NULL;
}

/* ---- from outside ---- */

static void
wake(struct llm_http *client)
{
    wake_fd_raise(client->wake_fd);
}

static void
global_init(void)
{
    curl_global_init(CURL_GLOBAL_DEFAULT);
}

static bool
open_multi(struct llm_http *client)
{
    struct epoll_event event = {.events = EPOLLIN, .data.fd = client->wake_fd};
    CURLM *multi = client->multi;
    return multi != NULL && client->wake_fd >= 0 && client->epoll_fd >= 0 &&
           epoll_ctl(client->epoll_fd, EPOLL_CTL_ADD, client->wake_fd, &event) == 0 &&
           curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, on_socket) == CURLM_OK &&
           curl_multi_setopt(multi, CURLMOPT_SOCKETDATA, client) == CURLM_OK &&
           curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, on_timer) == CURLM_OK &&
           curl_multi_setopt(multi, CURLMOPT_TIMERDATA, client) == CURLM_OK &&
           curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS, IDLE_CONNECTIONS) == CURLM_OK;
}

static void
client_free(struct llm_http *client)
{
    curl_multi_cleanup(client->multi);
    if (client->epoll_fd >= 0) {
        close(client->epoll_fd);
    }
    if (client->wake_fd >= 0) {
        close(client->wake_fd);
    }
    pthread_cond_destroy(&client->changed);
    pthread_mutex_destroy(&client->lock);
    free(client);
}

struct llm_http *
llm_http_new(struct err *err)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, global_init);
    struct llm_http *client = mem_calloc(1, sizeof *client);
    pthread_mutex_init(&client->lock, NULL);
    pthread_cond_init(&client->changed, NULL);
    TAILQ_INIT(&client->wishes);
    TAILQ_INIT(&client->calls);
    client->curl_due_ns = client->due_ns = client->tick_ns = LLM_HTTP_NEVER;
    client->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    client->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    client->multi = curl_multi_init();
    int rc = 0;
    if (!open_multi(client) ||
        (rc = pthread_create(&client->thread, NULL, client_main, client)) != 0) {
        err_set_errno(err, rc != 0 ? rc : errno, "the client of models");
        client_free(client);
        return NULL;
    }
    pthread_setname_np(client->thread, "models");
    return client;
}

void
llm_http_free(struct llm_http *client)
{
    if (client != NULL) {
        atomic_store(&client->stopping, true);
        wake(client);
        pthread_join(client->thread, NULL);
        client_free(client);
    }
}

static void
wish(struct llm_http_call *call, bool cancel)
{
    struct llm_http *client = call->client;
    pthread_mutex_lock(&client->lock);
    call->wants_cancel |= cancel;
    bool first = !call->queued && !call->ended;
    if (first) {
        call->queued = true;
        TAILQ_INSERT_TAIL(&client->wishes, call, waiting);
    }
    pthread_mutex_unlock(&client->lock);
    if (first) {
        wake(client);
    }
}

struct llm_http_call *
llm_http_start(struct llm_http *client, const struct llm_http_options *options)
{
    struct llm_http_call *call = mem_calloc(1, sizeof *call);
    call->client = client;
    call->options = *options;
    call->hints = LLM_RETRY_NO_HINTS;
    wish(call, false);
    return call;
}

void
llm_http_cancel(struct llm_http_call *call)
{
    wish(call, true);
}

void
llm_http_resume(struct llm_http_call *call)
{
    wish(call, false);
}

void
llm_http_call_free(struct llm_http_call *call)
{
    if (call == NULL) {
        return;
    }
    struct llm_http *client = call->client;
    wish(call, true);
    pthread_mutex_lock(&client->lock);
    while (!call->ended) {
        pthread_cond_wait(&client->changed, &client->lock);
    }
    pthread_mutex_unlock(&client->lock);
    buf_fini(&call->held);
    buf_fini(&call->refusal);
    buf_fini(&call->message);
    free(call);
}
