/* llm_http: the HTTP client of models: POSTs whose answers are streams, thousands at once on one
 * thread: libcurl's multi interface over epoll(7).
 *
 * A call has a list of targets, of which the first that answers is the one: each is tried, tried
 * again where that may help (llm_retry.h), and left for the next one. That happens only before the
 * first byte of an answer's body: from then on a failure is the call's end. Its parts run on the
 * client's thread: keep them short, and never wait in them.
 *
 * Back-pressure: body says LLM_HTTP_FULL, and is not called again before llm_http_resume. The
 * rest stays in the connection; the call holds at most one read of libcurl's (16 KiB).
 * Certificates are verified, redirects are not followed, http_proxy, https_proxy, all_proxy and
 * no_proxy count. HTTP/1.1 alone: a connection each, so that one answer's reader cannot hold up
 * another's. Neither headers nor bodies are ever logged or put into messages, but an upstream's own
 * words for an error. */
#ifndef HEADGATE_LLM_HTTP_H
#define HEADGATE_LLM_HTTP_H

#include "../gateway/err.h"
#include "llm_event.h"
#include "llm_retry.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct llm_http;
struct llm_http_call;
struct llm_http_user; /* whoever makes calls defines its own */

/* llm_http_new: the client and its thread. Errors NULL and err. Thread init. */
struct llm_http *llm_http_new(struct err *err);

/* llm_http_free: after all calls were freed. NULL-safe. Blocks until the thread has ended. */
void llm_http_free(struct llm_http *client);

struct llm_target {
    const char *url;
    const char *const *headers; /* "name: value", NULL-terminated; the key among them */
    const char *body;
    size_t body_len;
    const char *ca_file;    /* PEM; NULL: the system's */
    const char *media_type; /* what an answer's Content-Type begins with, where it has one */
};

/* 0: that time has no limit. */
struct llm_http_times {
    uint64_t connect_ms;    /* name, TCP and TLS; of one attempt */
    uint64_t first_byte_ms; /* from an attempt's start to the first byte of the body */
    uint64_t idle_ms;       /* between two reads of it, while there is room */
    uint64_t total_ms;      /* of the call, attempts and waits together */
};

enum llm_http_more { LLM_HTTP_MORE, LLM_HTTP_FULL, LLM_HTTP_ENOUGH };

/* How a call ended. */
struct llm_http_result {
    bool good;           /* an answer came, and the transport saw its end, or body said ENOUGH */
    enum llm_code code;  /* else */
    const char *message; /* a line for people; lent for the length of end() */
    int status;          /* of the last answer; 0: there was none */
    int64_t after_ms;    /* how long it asked to be left alone; negative: it did not say */
    size_t target;       /* the last one that was tried */
    uint64_t attempts;   /* at all targets */
};

/* What a call calls, on the client's thread. */
struct llm_http_handler {
    /* begin: the answer of this target follows: status 2xx, and the first byte is there. */
    void (*begin)(struct llm_http_user *user, size_t target);
    enum llm_http_more (*body)(struct llm_http_user *user, const char *bytes, size_t len);
    /* room: after body said FULL: is there room again? ENOUGH: no more is wanted. */
    enum llm_http_more (*room)(struct llm_http_user *user);
    /* tick: about four times a second, whatever happens. */
    void (*tick)(struct llm_http_user *user);
    /* failed: an attempt did not succeed; status 0: there was no answer. why is for the log, not
     * for clients: it may name hosts. */
    void (*failed)(
        struct llm_http_user *user, size_t target, int status, enum llm_code code, const char *why);
    /* end: how it ended. false: there is no room for what that means; it is called again when there
     * may be, or the call was cancelled. After true, and after LLM_CANCELLED, nothing is called. */
    bool (*end)(struct llm_http_user *user, const struct llm_http_result *result);
};

struct llm_http_options {
    const struct llm_target *targets; /* lent until the last end() has returned */
    size_t n_targets;
    struct llm_http_times times;
    struct llm_retry_policy retry;
    const struct llm_http_handler *handler;
    struct llm_http_user *user;
};

/* llm_http_start: never fails: what goes wrong is told by end(). Owns: free it with
 * llm_http_call_free. Thread any. Blocks no. */
struct llm_http_call *llm_http_start(
    struct llm_http *client, const struct llm_http_options *options);

/* llm_http_cancel: give up now: the connection is closed at once. end() follows with
 * LLM_CANCELLED, unless the call has ended. llm_http_resume: there is room again.
 * Thread any. Blocks no. */
void llm_http_cancel(struct llm_http_call *call);
void llm_http_resume(struct llm_http_call *call);

/* llm_http_call_free: cancel, wait for end(), free. Thread any but the client's; NULL-safe.
 * Blocks for as long as the client's thread is in someone's handler. */
void llm_http_call_free(struct llm_http_call *call);

#endif
