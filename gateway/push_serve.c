/* push_serve: see push_serve.h. A posting is what this shard knows of a post: it lives from the
 * request's head to its answer, or to the end of the connection. */
#include "push_serve.h"

#include "json.h"
#include "mem.h"
#include "push_body.h"
#include "push_queue.h"
#include "push_request.h"
#include "stream_push.h"

#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct posting {
    struct stream *stream;
    struct conn *conn;
    struct push_queue *queue;
    struct push_post *post;
    struct push_body body;
    char *cors;
    bool arrived;      /* the body is whole */
    bool ended;        /* and parsed to its end */
    struct slice due;  /* a record that found no room; at NULL: none */
    bool waits;        /* for room */
    uint64_t reserved; /* in the queue, for what is still arriving */
    bool offered;      /* something, since the source was woken */
    bool late;         /* it stood still for too long: nothing more is taken */
    uint64_t settled;  /* records done or failed, when last looked */
    int64_t moved_ms;  /* when there were more of them */
    int status;        /* what was found wrong on this side; 0: nothing */
    bool shows_line;   /* that is of a line */
    enum push_reject why;
    char text[300];
};

bool
push_serve_takes(const struct server *server, size_t stream)
{
    return stream_push_queue(server->streams[stream]) != NULL;
}

static void
posting_free(struct posting *posting)
{
    push_post_leave(posting->post);
    push_body_fini(&posting->body);
    free(posting->cors);
    free(posting);
}

static void
posting_gone(void *posting)
{
    posting_free(posting);
}

/* ---- answers ---- */

static const char *
headers_of(int status)
{
    switch (status) {
    case 429:
        return "Retry-After: 1\r\n";
    case 503:
        return "Retry-After: 2\r\n";
    default:
        return "";
    }
}

/* "id":TOKEN,"count":N of what was taken. */
static void
add_taken(struct buf *out, const struct posting *posting, const struct push_state *state)
{
    BUF_LITERAL(out, "\"id\":");
    if (state->n_places == 0) {
        BUF_LITERAL(out, "null");
    } else {
        buf_addc(out, '"');
        stream_push_token(posting->stream, state, out);
        buf_addc(out, '"');
    }
    buf_addf(out, ",\"count\":%" PRIu64, state->count);
}

static void
reply(struct posting *posting, int status, const char *type, const struct buf *body)
{
    struct buf headers;
    buf_init(&headers);
    buf_adds(&headers, posting->cors);
    buf_adds(&headers, headers_of(status));
    BUF_LITERAL(&headers, "Cache-Control: no-store\r\n");
    buf_addc(&headers, '\0');
    conn_body_reply(posting->conn, &(struct reply){.status = status,
                                       .content_type = type,
                                       .headers = headers.bytes,
                                       .body = body->bytes,
                                       .body_len = body->len});
    buf_fini(&headers);
}

static void
answer_good(struct posting *posting, const struct push_state *state)
{
    struct buf body;
    buf_init(&body);
    BUF_LITERAL(&body, "{");
    add_taken(&body, posting, state);
    BUF_LITERAL(&body, "}\n");
    reply(posting, 202, "application/json", &body);
    buf_fini(&body);
}

/* A problem that says also what was taken before it. */
static void
answer_bad(struct posting *posting, const struct push_state *state, int status, const char *text)
{
    struct buf body;
    buf_init(&body);
    BUF_LITERAL(&body, "{\"type\":\"about:blank\",\"title\":");
    const char *title = http_reason_phrase(status);
    json_add_string(&body, title, strlen(title));
    buf_addf(&body, ",\"status\":%d,\"detail\":", status);
    json_add_bytes(&body, text, strlen(text));
    if (posting->shows_line) {
        buf_addf(&body, ",\"line\":%" PRIu64, posting->body.line);
    }
    BUF_LITERAL(&body, ",");
    add_taken(&body, posting, state);
    BUF_LITERAL(&body, "}\n");
    reply(posting, status, "application/problem+json", &body);
    buf_fini(&body);
}

static enum push_reject
reject_of(const char *reason)
{
    for (int i = 0; i < PUSH_REJECT_COUNT; i++) {
        if (strcmp(push_reject_names[i], reason) == 0) {
            return (enum push_reject)i;
        }
    }
    assert(!"a source names a reason that is no row of PUSH_REJECTS");
    return PUSH_REJECT_DELIVERY;
}

/* Answer once nothing is under way any more. True: it has, and posting is gone. */
static bool
look(struct posting *posting)
{
    struct push_state state;
    push_post_state(posting->post, &state);
    bool whole = posting->ended && posting->due.at == NULL;
    if (state.pending > 0 ||
        !(whole || posting->status != 0 || state.status != 0 || posting->late)) {
        return false;
    }
    if (state.status != 0) {
        push_queue_reject(posting->queue, reject_of(state.reason));
        posting->shows_line = false;
        answer_bad(posting, &state, state.status, state.text);
    } else if (posting->late && (!whole || state.count < state.offered)) {
        bool durable = push_queue_options(posting->queue)->durable;
        push_queue_reject(posting->queue, durable ? PUSH_REJECT_UNAVAILABLE : PUSH_REJECT_HELD);
        posting->shows_line = false;
        answer_bad(posting, &state, durable ? 503 : 429,
            durable ? "the stream's source did not take the records in time"
                    : "the stream is held back by a slow subscriber, or has no room; go on behind "
                      "what was taken");
    } else if (posting->status != 0) {
        push_queue_reject(posting->queue, posting->why);
        answer_bad(posting, &state, posting->status, posting->text);
    } else {
        answer_good(posting, &state);
    }
    posting_free(posting);
    return true;
}

/* ---- the body ---- */

static void __attribute__((format(printf, 4, 5)))
set_fault(struct posting *posting, int status, enum push_reject why, const char *format, ...)
{
    va_list args;
    posting->status = status;
    posting->why = why;
    va_start(args, format);
    vsnprintf(posting->text, sizeof posting->text, format, args);
    va_end(args);
}

static int64_t
now_ms(const struct posting *posting)
{
    return shard_now_ms(posting->conn->shard);
}

/* It moves whenever something of it is dealt with. */
static void
note_move(struct posting *posting)
{
    struct push_state state;
    push_post_state(posting->post, &state);
    uint64_t settled = state.offered - state.pending;
    if (settled != posting->settled || (state.pending == 0 && !posting->waits)) {
        posting->settled = settled;
        posting->moved_ms = now_ms(posting);
    }
}

/* False: there is no room for so much of a record that is still arriving. Room once reserved is
 * kept, so that a piece of many lines asks once. */
static bool
reserve(struct posting *posting, uint64_t bytes)
{
    if (bytes <= posting->reserved) {
        return true;
    }
    if (!push_post_reserve(posting->post, bytes)) {
        posting->waits = true;
        return false;
    }
    posting->reserved = bytes;
    return true;
}

static void
reserve_only(struct posting *posting, uint64_t bytes)
{
    if (bytes < posting->reserved && push_post_reserve(posting->post, bytes)) {
        posting->reserved = bytes;
    }
}

static bool
offer(struct posting *posting)
{
    if (push_post_offer(posting->post, posting->due.at, posting->due.len)) {
        return true;
    }
    /* What is reserved and not needed may be in its own way. */
    bool more = posting->reserved > posting->body.cap;
    reserve_only(posting, posting->body.cap);
    return more && push_post_offer(posting->post, posting->due.at, posting->due.len);
}

/* False: there is no room for it now. */
static bool
offer_due(struct posting *posting)
{
    if (posting->due.at == NULL) {
        return true;
    }
    if (!offer(posting)) {
        posting->waits = true;
        return false;
    }
    posting->due.at = NULL;
    posting->offered = true;
    if (posting->ended) {
        push_body_fini(&posting->body);
        reserve_only(posting, 0);
    }
    return true;
}

static void
wake_source(struct posting *posting)
{
    if (posting->offered) {
        posting->offered = false;
        stream_push_wake(posting->stream);
    }
}

static void
take_got(struct posting *posting, enum push_got got)
{
    bool lines = posting->body.syntax == PUSH_NDJSON;
    switch (got) {
    case PUSH_RECORD:
    case PUSH_MORE:
        break;
    case PUSH_BAD:
        posting->shows_line = lines;
        if (lines) {
            set_fault(posting, 400, PUSH_REJECT_MALFORMED,
                "line %" PRIu64 " is not one JSON value; the lines before it were taken as count "
                "says, nothing behind it was",
                posting->body.line);
        } else {
            set_fault(posting, 400, PUSH_REJECT_MALFORMED, "the body is not one JSON value");
        }
        break;
    case PUSH_TOO_LARGE:
        posting->shows_line = lines;
        if (lines) {
            set_fault(posting, 413, PUSH_REJECT_TOO_LARGE,
                "line %" PRIu64 " is longer than max_record, %zu bytes", posting->body.line,
                posting->body.max_bytes);
        } else {
            set_fault(posting, 413, PUSH_REJECT_TOO_LARGE,
                "the record is longer than max_record, %zu bytes", posting->body.max_bytes);
        }
        break;
    }
}

static bool
stopped(const struct posting *posting)
{
    return posting->status != 0 || posting->late || posting->waits;
}

static size_t
take(void *self, const char *bytes, size_t len)
{
    struct posting *posting = self;
    const char *at = bytes, *end = bytes + len;
    note_move(posting);
    while (!stopped(posting) && offer_due(posting) && at < end) {
        if (!reserve(posting, push_body_need(&posting->body, (size_t)(end - at)))) {
            break;
        }
        take_got(posting, push_body_next(&posting->body, &at, end, &posting->due));
        size_t back = offer_due(posting) ? 0 : push_body_unread(&posting->body);
        if (back > 0) { /* the bytes it lies in are the connection's */
            posting->due.at = NULL;
            at -= back;
        }
    }
    reserve_only(posting, posting->body.cap);
    wake_source(posting);
    size_t taken = (size_t)(at - bytes);
    (void)look(posting);
    return taken;
}

/* What the body ends with: once it is whole, and the record before that has found room, which lies
 * in it. */
static void
finish(struct posting *posting)
{
    if (!posting->arrived || posting->ended || posting->status != 0 || posting->late ||
        !offer_due(posting)) {
        return;
    }
    posting->ended = true;
    take_got(posting, push_body_finish(&posting->body, &posting->due));
    if (posting->status == 0) {
        (void)offer_due(posting);
    }
}

static void
end(void *self)
{
    struct posting *posting = self;
    posting->arrived = true;
    finish(posting);
    wake_source(posting);
    note_move(posting);
    (void)look(posting);
}

static void
fault(void *self, int status, const char *text)
{
    struct posting *posting = self;
    if (posting->status == 0) {
        set_fault(
            posting, status, status == 408 ? PUSH_REJECT_STALLED : PUSH_REJECT_INVALID, "%s", text);
    }
    (void)look(posting);
}

static void
tick(void *self, int64_t at_ms)
{
    struct posting *posting = self;
    uint64_t patience_ms = push_queue_options(posting->queue)->patience_ms;
    note_move(posting);
    if (!posting->late && at_ms - posting->moved_ms >= (int64_t)patience_ms) {
        posting->late = true;
        push_post_withdraw(posting->post);
    }
    (void)look(posting);
}

static const struct conn_sink sink = {take, end, fault, tick, posting_gone};

void
push_serve_news(struct push_home *home)
{
    struct push_post *post;
    while ((post = push_home_take(home)) != NULL) {
        struct posting *posting = push_post_owner(post);
        struct conn *conn = posting->conn;
        bool waited = posting->waits;
        note_move(posting);
        posting->waits = false;
        if (waited && posting->status == 0 && !posting->late) {
            (void)offer_due(posting);
            finish(posting);
            wake_source(posting);
        }
        if (look(posting) || (waited && !posting->waits)) {
            conn_body_go_on(conn);
        }
    }
}

/* ---- the request ---- */

static void
refuse(struct posting *posting, struct conn *conn, const struct http_request *request, int status,
    enum push_reject why, const char *text)
{
    struct buf headers;
    buf_init(&headers);
    buf_adds(&headers, posting->cors);
    buf_adds(&headers, headers_of(status));
    if (status == 415 && http_header_count(request, "Content-Encoding") > 0) {
        BUF_LITERAL(&headers, "Accept-Encoding: identity\r\n");
    }
    BUF_LITERAL(&headers, "Cache-Control: no-store\r\n");
    buf_addc(&headers, '\0');
    push_queue_reject(posting->queue, why);
    conn_problem(conn, request, status, headers.bytes, text);
    buf_fini(&headers);
}

static bool
is_up(struct stream *stream)
{
    struct stream_health health;
    stream_health(stream, &health);
    return health.up;
}

static const char *
refusal(const struct posting *posting, const struct conn *conn, bool same_origin, int *status,
    enum push_reject *why)
{
    if (!same_origin) {
        *status = 403;
        *why = PUSH_REJECT_ORIGIN;
        return "this Origin may not post here; see cors.origins";
    }
    *status = 503;
    *why = PUSH_REJECT_UNAVAILABLE;
    if (shard_draining(conn->shard)) {
        return "the gateway is going away; go to another replica";
    }
    return is_up(posting->stream) ? NULL : "the stream's source is not up";
}

static void
begin(struct posting *posting, struct conn *conn, const struct http_request *request,
    const struct push_request *push)
{
    const struct config_stream *config = stream_config(posting->stream);
    posting->conn = conn;
    posting->moved_ms = now_ms(posting);
    posting->post = push_post_new(posting->queue, shard_pushes(conn->shard), posting,
        push->type[0] == '\0' ? NULL : push->type, push->key, push->key_len);
    push_body_init(&posting->body, push->syntax, (size_t)config->max_record_bytes);
    conn_take_body(conn, request, &sink, posting);
}

void
push_serve(struct server *server, struct conn *conn, const struct http_request *request,
    size_t stream, bool same_origin, const char *cors)
{
    struct posting *posting = mem_calloc(1, sizeof *posting);
    struct push_request push = {.key = NULL};
    struct err err;
    enum push_reject why;
    int status;
    posting->stream = server->streams[stream];
    posting->queue = stream_push_queue(posting->stream);
    posting->cors = mem_strdup(same_origin ? cors : "");
    const char *text = refusal(posting, conn, same_origin, &status, &why);
    if (text == NULL && (status = push_request_parse(&push, request, &err)) != 0) {
        why = status == 415 ? PUSH_REJECT_TYPE : PUSH_REJECT_INVALID;
        text = err.text;
    }
    if (text == NULL) {
        begin(posting, conn, request, &push);
    } else {
        refuse(posting, conn, request, status, why, text);
        free(posting->cors);
        free(posting);
    }
    push_request_fini(&push);
}
