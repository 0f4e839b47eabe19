/* llm_http_internal: calls and the client's thread (llm_http.c), and their attempts
 * (llm_http_try.c). All of it belongs to the client's thread but what says lock. */
#ifndef HEADGATE_LLM_HTTP_INTERNAL_H
#define HEADGATE_LLM_HTTP_INTERNAL_H

#include "../gateway/buf.h"
#include "llm_http.h"
#include "llm_inflate.h"

#include <curl/curl.h>
#include <pthread.h>
#include <sys/queue.h>

#define LLM_HTTP_NEVER INT64_MAX

enum llm_call_state {
    LLM_CALL_NEW,
    LLM_CALL_TRYING,  /* an easy handle is in the multi handle */
    LLM_CALL_WAITING, /* for the next attempt, at due_ns */
    LLM_CALL_ENDING,  /* its end is still to be taken */
    LLM_CALL_ENDED
};

struct llm_http_call {
    struct llm_http *client;
    struct llm_http_options options;
    TAILQ_ENTRY(llm_http_call) link;    /* among the client's */
    TAILQ_ENTRY(llm_http_call) waiting; /* lock: among those with a wish */
    bool queued, wants_cancel, ended;   /* lock */
    enum llm_call_state state;

    size_t target;
    uint64_t attempts, failed; /* in all; at this target */
    int64_t started_ns, tried_ns, read_ns, due_ns;

    /* One attempt. */
    CURL *easy;
    struct curl_slist *headers;
    char why[CURL_ERROR_SIZE];
    int status;
    bool refused;   /* what comes is no answer: it is kept for its message */
    bool committed; /* the first byte was handed on: no other attempt */
    bool enough;    /* what still comes is thrown away */
    bool full;      /* body, or room, said so */
    bool is_done;   /* libcurl is done, with result, while there was no room */
    CURLcode result;
    bool good;   /* of the whole call, once it is LLM_CALL_ENDING */
    bool paused; /* libcurl was told so */
    bool packed, bad_encoding, bad_packing;
    char media_type[64], encoding[32];
    struct llm_retry_hints hints;
    struct llm_inflate inflate;
    struct buf held; /* of a read, what there was no room for */
    struct buf refusal;

    enum llm_code code; /* why the last attempt failed */
    struct buf message; /* NUL-terminated */
};

TAILQ_HEAD(llm_call_list, llm_http_call);

/* llm_try_start: begin an attempt at call->target. -1: libcurl refused; message is set. */
int llm_try_start(struct llm_http_call *call, CURLM *multi);

/* llm_try_stop: the handle is taken out and the connection, unless it is done, closed. */
void llm_try_stop(struct llm_http_call *call, CURLM *multi);

/* llm_try_resume: there may be room: hand out what is held, read on. */
void llm_try_resume(struct llm_http_call *call);

/* llm_try_ended: libcurl is done with it. What now. code and message are set but for GOOD. */
enum llm_try_outcome { LLM_TRY_GOOD, LLM_TRY_AGAIN, LLM_TRY_NEXT, LLM_TRY_FINAL };
enum llm_try_outcome llm_try_ended(struct llm_http_call *call, CURLcode result);

/* llm_try_late: which of its times has run out; true: code and message are set, and *outcome. */
bool llm_try_late(struct llm_http_call *call, int64_t now_ns, enum llm_try_outcome *outcome);

/* llm_try_due_ns: when to look again whether one has. */
int64_t llm_try_due_ns(const struct llm_http_call *call);

void llm_try_say(struct llm_http_call *call, enum llm_code code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
