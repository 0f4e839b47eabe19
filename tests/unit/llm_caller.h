/* llm_caller: calls of the client of models against scripted upstreams, and all that they tell. One
 * client at a time. */
#ifndef HEADGATE_LLM_CALLER_H
#define HEADGATE_LLM_CALLER_H

#include "../../connectors/llm_http.h"
#include "../../gateway/buf.h"
#include "llm_server.h"

#include <pthread.h>

#define CALLER_SECONDS 60 /* what a loaded machine may take; nothing waits for it in vain */

/* One call, and all that it told. */
struct llm_http_user {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct buf got;
    size_t room;        /* bytes taken before it is FULL */
    const char *enough; /* ENOUGH once this has come */
    size_t begins, begun_target, n_failed;
    int failed_status[16];
    enum llm_code failed_code[16];
    bool ended;
    size_t refuses_end; /* so many times */
    struct llm_http_result result;
    char message[512];
};

/* caller_setup, caller_stop: the client, in an environment without proxies. */
void caller_setup(void);
void caller_stop(void);

void caller_init(struct llm_http_user *user);
void caller_fini(struct llm_http_user *user);

extern const struct llm_http_times caller_no_times;
extern const struct llm_retry_policy caller_retry; /* two more attempts, at once */

/* caller_target: a small request with a key. */
struct llm_target caller_target(const char *url);

/* caller_start: user's call. Owns: llm_http_call_free. */
struct llm_http_call *caller_start(struct llm_http_user *user, const struct llm_target *targets,
    size_t n, const struct llm_http_times *times, const struct llm_retry_policy *retry);

/* caller_make_room: for all that is still to come. */
void caller_make_room(struct llm_http_user *user, struct llm_http_call *call);

/* caller_wait: until the call has ended, or len bytes came. */
void caller_wait(struct llm_http_user *user, size_t len);

/* caller_run: one call against scripts, to its end, with a client of its own. Owns: caller_fini. */
void caller_run(struct llm_http_user *user, const struct llm_script *scripts, size_t n,
    size_t *requests, const struct llm_http_times *times);

/* caller_expect_good: what script answers is the text wanted, at the first attempt. */
void caller_expect_good(const struct llm_script *script, const char *wanted);

#define SCRIPT(text, step_, then_)                                                                 \
    {                                                                                              \
        .bytes = (text), .len = sizeof(text) - 1, .step = (step_), .then = (then_)                 \
    }
#define OK_HEAD "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n"
#define CHUNKED OK_HEAD "Transfer-Encoding: chunked\r\n\r\n"

#endif
