/* llm_publish: an answer's way from the decoder into the stream: which records its events become.
 * The inside of llm.c's sources, for it and llm_publish.c alone.
 *
 * A record is of one view or more (record.h): the normalized events; where it is asked for, what
 * came from the upstream; where an SDK asked, what that reads, which is what came where both speak
 * the same. Thread: the HTTP client's (llm_http.h). */
#ifndef HEADGATE_LLM_PUBLISH_H
#define HEADGATE_LLM_PUBLISH_H

#include "llm_emit.h"
#include "llm_http.h"
#include "llm_log.h"
#include "llm_out.h"
#include "llm_settings.h"
#include "llm_whole.h"

#define LLM_ID_MAX 80 /* of an answer's name, with what is before it */

/* One try's target, and what it is made of. */
struct llm_route {
    const struct llm_upstream *upstream;
    const char *label; /* of the model, in the metrics: not the client's text */
    char *url;
    const char *const *headers;
    struct buf body;
    bool same; /* it speaks what the client does */
};

/* How the client reads the answer, where an SDK asked. */
struct llm_reader {
    const struct llm_out_dialect *dialect; /* NULL: none did */
    bool whole, usage_chunk;
    char id[LLM_ID_MAX];
    int64_t created_s;
};

struct llm_http_user {
    const struct llm_settings *settings;
    struct stream *stream;
    struct llm_http *client;
    struct llm_http_call *call;
    struct llm_route *routes;
    struct llm_target *targets; /* the same, as the client wants them */
    size_t n_routes;
    int64_t asked_ns;
    struct llm_reader reader;
    bool keeps_raw;
    struct llm_log_answer *log; /* NULL: there is none */
    /* Of the client's thread. */
    struct llm_decoder *decoder;
    size_t target;           /* whose answer it decodes */
    int64_t first_ns;        /* when something of the model's own was published first; 0: not yet */
    uint64_t tokens;         /* pieces of it */
    bool over;               /* more than there may be: but the usage nothing follows */
    struct llm_out *out;     /* what the SDK reads, where that is not what comes; NULL: it is */
    struct llm_whole *whole; /* what comes as one object; NULL: it is not wanted so */
    struct buf object;       /* that, once it is whole, until it is staged */
    unsigned raw_views;      /* of what comes; 0: it is not kept */
    bool drops_usage;        /* of what comes: the chunk that the client did not ask for */
    size_t room;             /* records that may be staged before the next commit */
    uint64_t offset;
    uint32_t lane;
    bool ended; /* the stream has been told */
};

/* llm_publish_begin: its decoder is made, the first bytes follow. same: they are in the dialect
 * that the client speaks. */
void llm_publish_begin(struct llm_http_user *user, bool same);

/* llm_publish: what the decoder has made, as far as there is room; and how it ended. */
enum llm_http_more llm_publish(struct llm_http_user *user);

/* llm_publish_failure: it has not got to its end, and will not. */
void llm_publish_failure(struct llm_http_user *user, enum llm_code code, const char *message);

#endif
