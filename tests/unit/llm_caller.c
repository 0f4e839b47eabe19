/* llm_caller: see llm_caller.h. */
#include "llm_caller.h"

#include "unit.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

static struct llm_http *client;

static void
on_begin(struct llm_http_user *user, size_t target)
{
    pthread_mutex_lock(&user->lock);
    user->begins++;
    user->begun_target = target;
    pthread_mutex_unlock(&user->lock);
}

static enum llm_http_more
more_of(const struct llm_http_user *user)
{
    if (user->enough != NULL && user->got.len > 0 &&
        memmem(user->got.bytes, user->got.len, user->enough, strlen(user->enough)) != NULL) {
        return LLM_HTTP_ENOUGH;
    }
    return user->got.len >= user->room ? LLM_HTTP_FULL : LLM_HTTP_MORE;
}

static enum llm_http_more
on_body(struct llm_http_user *user, const char *bytes, size_t len)
{
    pthread_mutex_lock(&user->lock);
    ck_assert_int_ne(more_of(user), LLM_HTTP_FULL);
    buf_add(&user->got, bytes, len);
    enum llm_http_more more = more_of(user);
    pthread_cond_broadcast(&user->changed);
    pthread_mutex_unlock(&user->lock);
    return more;
}

static enum llm_http_more
on_room(struct llm_http_user *user)
{
    pthread_mutex_lock(&user->lock);
    enum llm_http_more more = more_of(user);
    pthread_mutex_unlock(&user->lock);
    return more;
}

static void
on_tick(struct llm_http_user *user)
{
    (void)user;
}

static void
on_failed(
    struct llm_http_user *user, size_t target, int status, enum llm_code code, const char *why)
{
    (void)target;
    ck_assert_str_ne(why, "");
    pthread_mutex_lock(&user->lock);
    ck_assert_uint_lt(user->n_failed, 16);
    user->failed_status[user->n_failed] = status;
    user->failed_code[user->n_failed++] = code;
    pthread_mutex_unlock(&user->lock);
}

static bool
on_end(struct llm_http_user *user, const struct llm_http_result *result)
{
    pthread_mutex_lock(&user->lock);
    ck_assert(!user->ended);
    if (user->refuses_end > 0 && result->code != LLM_CANCELLED) {
        user->refuses_end--;
        pthread_mutex_unlock(&user->lock);
        return false;
    }
    user->ended = true;
    user->result = *result;
    snprintf(user->message, sizeof user->message, "%s", result->message);
    pthread_cond_broadcast(&user->changed);
    pthread_mutex_unlock(&user->lock);
    return true;
}

static const struct llm_http_handler handler = {
    on_begin, on_body, on_room, on_tick, on_failed, on_end};

void
caller_init(struct llm_http_user *user)
{
    *user = (struct llm_http_user){.room = SIZE_MAX};
    pthread_mutex_init(&user->lock, NULL);
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&user->changed, &monotonic);
    pthread_condattr_destroy(&monotonic);
}

void
caller_fini(struct llm_http_user *user)
{
    buf_fini(&user->got);
    pthread_cond_destroy(&user->changed);
    pthread_mutex_destroy(&user->lock);
}

void
caller_make_room(struct llm_http_user *user, struct llm_http_call *call)
{
    pthread_mutex_lock(&user->lock);
    user->room = SIZE_MAX;
    pthread_mutex_unlock(&user->lock);
    llm_http_resume(call);
}

void
caller_wait(struct llm_http_user *user, size_t len)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += CALLER_SECONDS;
    pthread_mutex_lock(&user->lock);
    int rc = 0;
    while (!user->ended && user->got.len < len && rc == 0) {
        rc = pthread_cond_timedwait(&user->changed, &user->lock, &until);
    }
    pthread_mutex_unlock(&user->lock);
    ck_assert_int_eq(rc, 0);
}

static const char *const one_header[] = {"Authorization: Bearer key-1", NULL};
const struct llm_http_times caller_no_times;
const struct llm_retry_policy caller_retry = {
    .most = 2, .backoff_ms = 1, .backoff_most_ms = 5, .wait_most_ms = 60000};

struct llm_target
caller_target(const char *url)
{
    return (struct llm_target){.url = url,
        .headers = one_header,
        .body = "{\"q\":1}",
        .body_len = 7,
        .media_type = "text/event-stream"};
}

struct llm_http_call *
caller_start(struct llm_http_user *user, const struct llm_target *targets, size_t n,
    const struct llm_http_times *times, const struct llm_retry_policy *retry)
{
    return llm_http_start(client, &(struct llm_http_options){.targets = targets,
                                      .n_targets = n,
                                      .times = *times,
                                      .retry = *retry,
                                      .handler = &handler,
                                      .user = user});
}

void
caller_setup(void)
{
    struct err err = {0};
    unsetenv("http_proxy"); /* of whoever runs the tests */
    unsetenv("https_proxy");
    unsetenv("HTTPS_PROXY");
    unsetenv("all_proxy");
    unsetenv("ALL_PROXY");
    client = llm_http_new(&err);
    ck_assert_msg(client != NULL, "%s", err.text);
}

void
caller_stop(void)
{
    llm_http_free(client);
    client = NULL;
}

void
caller_run(struct llm_http_user *user, const struct llm_script *scripts, size_t n, size_t *requests,
    const struct llm_http_times *times)
{
    caller_setup();
    struct llm_server *server = llm_server_new(scripts, n, false);
    struct llm_target target = caller_target(llm_server_url(server));
    caller_init(user);
    struct llm_http_call *call = caller_start(user, &target, 1, times, &caller_retry);
    caller_wait(user, SIZE_MAX);
    llm_http_call_free(call);
    *requests = llm_server_requests(server);
    llm_server_free(server);
    caller_stop();
}

void
caller_expect_good(const struct llm_script *script, const char *wanted)
{
    struct llm_http_user user;
    size_t requests;
    caller_run(&user, script, 1, &requests, &caller_no_times);
    ck_assert_msg(user.result.good, "%s", user.message);
    ck_assert_uint_eq(user.begins, 1);
    ck_assert_uint_eq(user.got.len, strlen(wanted));
    ck_assert_mem_eq(user.got.bytes, wanted, user.got.len);
    ck_assert_uint_eq(requests, 1);
    caller_fini(&user);
}
