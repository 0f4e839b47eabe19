/* seek: see seek.h. A seeking is a request that waits: as one whose body is whole and not answered
 * yet. It waits for what the log says of an answer, or for its upstream's name for one. Shard
 * thread. */
#include "seek.h"

#include "generate.h"
#include "generations.h"
#include "mem.h"
#include "private.h"

#include <stdlib.h>

/* A client may ask here for what it was told elsewhere a moment ago. */
#define ALIAS_WAIT_MS 2000

struct seeking {
    struct private_waiter waiter;
    bool waits;
    struct server *server;
    struct conn *conn;
    struct generation *generation; /* NULL: which one is not known */
    char *alias;                   /* by which that may come to be known; NULL: it cannot */
    int64_t until_ms;              /* which is waited for till then */
    struct subscription what;
    void (*then)(struct server *server, struct conn *conn, const struct http_request *request,
        const struct subscription *what, const char *cors);
    struct buf head; /* of the request, as it came */
    char *path, *cors;
};

static void
refuse_absent(struct conn *conn, const struct http_request *request,
    const struct subscription *what, const char *cors)
{
    generate_refuse(conn, request, what, 404, cors,
        "there is no such answer: it never was, or it ended longer ago than generations.retain, "
        "or the gateway that made it is gone");
}

/* By its id. NULL and err: there is none, or it cannot be sought now. */
static struct generation *
find_id(struct server *server, size_t stream, const char *id, struct err *err)
{
    struct generation *found = generations_find(server->generations, stream, id);
    return found != NULL ? found : generations_seek(server->generations, stream, id, err);
}

static void
refuse(struct conn *conn, const struct http_request *request, const struct subscription *what,
    const char *cors, const struct err *err)
{
    if (err->code == ERR_MISSING) {
        refuse_absent(conn, request, what, cors);
    } else {
        generate_refuse(conn, request, what, 503, cors, err->text);
    }
}

/* ---- one that waits ---- */

static void
stop_waiting(struct seeking *seeking)
{
    if (seeking->waits) {
        private_wait_end(shard_privates(seeking->conn->shard), &seeking->waiter);
    }
    seeking->waits = false;
    generation_unref(seeking->generation);
    seeking->generation = seeking->what.generation = NULL;
}

static void
seeking_free(void *self)
{
    struct seeking *seeking = self;
    stop_waiting(seeking);
    buf_fini(&seeking->head);
    free(seeking->alias);
    free(seeking->path);
    free(seeking->cors);
    free(seeking);
}

/* For what is said of it. */
static void
wait_for_take(struct seeking *seeking, struct generation *generation)
{
    struct shard *shard = seeking->conn->shard;
    seeking->generation = seeking->what.generation = generation;
    seeking->waits = true;
    private_wait(shard_privates(shard), &seeking->waiter);
    stream_listen(generation_stream(generation), shard_index(shard), true);
}

static void
answer_refused(struct seeking *seeking, const struct err *err)
{
    struct http_request request;
    conn_body_again(seeking->conn, &seeking->head, &request);
    refuse(seeking->conn, &request, &seeking->what, seeking->cors, err);
    seeking_free(seeking);
}

/* Is it known now what its upstream calls so? False: not yet. Else it is waited for by its id, or
 * err says why not. */
static bool
look_for_alias(struct seeking *seeking, struct err *err)
{
    char id[GENERATION_ID_LEN + 1];
    struct generations *all = seeking->server->generations;
    size_t stream = seeking->what.stream;
    enum connector_alias known = generations_ask_alias(all, stream, seeking->alias, id);
    if (known == CONNECTOR_ALIAS_FOUND) {
        struct generation *found = find_id(seeking->server, stream, id, err);
        free(seeking->alias);
        seeking->alias = NULL;
        if (found != NULL) {
            wait_for_take(seeking, found);
        }
        return true;
    }
    if (known != CONNECTOR_ALIAS_NONE && shard_now_ms(seeking->conn->shard) < seeking->until_ms) {
        return false;
    }
    if (known == CONNECTOR_ALIAS_UNREAD) {
        err_set(err, ERR_REMOTE, "which answer that is is not read from the log of answers yet");
    } else {
        err_set(err, ERR_MISSING, "there is no such answer");
    }
    return true;
}

/* What is known now. GENERATION_SOUGHT with an error: nobody will. */
static enum generation_sight
look_at(struct seeking *seeking, struct err *err)
{
    enum generation_sight sight = GENERATION_SOUGHT;
    if (seeking->generation != NULL) {
        sight = generation_look(seeking->generation);
        if (sight != GENERATION_ABSENT || seeking->alias == NULL) {
            return sight;
        }
        stop_waiting(seeking);
    }
    return look_for_alias(seeking, err) && seeking->generation != NULL
               ? generation_look(seeking->generation)
               : GENERATION_SOUGHT;
}

/* False: it is still sought. */
static bool
answer(struct seeking *seeking)
{
    struct http_request request;
    struct err err = {.code = ERR_NONE};
    enum generation_sight sight = look_at(seeking, &err);
    if (err.code != ERR_NONE) {
        answer_refused(seeking, &err);
        return true;
    }
    if (sight == GENERATION_SOUGHT) {
        return false;
    }
    conn_body_again(seeking->conn, &seeking->head, &request);
    switch (sight) {
    case GENERATION_SOUGHT:
        break; /* it is not */
    case GENERATION_READY:
        seeking->then(seeking->server, seeking->conn, &request, &seeking->what, seeking->cors);
        break;
    case GENERATION_ABSENT:
        refuse_absent(seeking->conn, &request, &seeking->what, seeking->cors);
        break;
    case GENERATION_UNREAD:
        generate_refuse(seeking->conn, &request, &seeking->what, 503, seeking->cors,
            "the answer is not known here, and the log of answers cannot be read now");
        break;
    }
    seeking_free(seeking);
    return true;
}

static size_t
take(void *self, const char *bytes, size_t len)
{
    (void)self;
    (void)bytes;
    return len; /* nobody asked for a body */
}

static void
end(void *self)
{
    (void)answer(self);
}

static void
fault(void *self, int status, const char *text)
{
    struct seeking *seeking = self;
    struct http_request request;
    conn_body_again(seeking->conn, &seeking->head, &request);
    generate_refuse(seeking->conn, &request, &seeking->what, status, seeking->cors, text);
    seeking_free(seeking);
}

static void
tick(void *self, int64_t at_ms)
{
    (void)at_ms;
    (void)answer(self); /* it may have been told before this shard listened */
}

static void
look(struct private_waiter *waiter)
{
    struct seeking *seeking = (struct seeking *)waiter; /* its first member */
    struct conn *conn = seeking->conn;
    if (answer(seeking)) {
        conn_body_go_on(conn);
    }
}

static const struct conn_sink sink = {take, end, fault, tick, seeking_free};

/* Owns: generation's reference. */
static void
wait_with(struct server *server, struct conn *conn, const struct http_request *request,
    const struct subscription *what, const struct seek_options *options,
    struct generation *generation)
{
    struct seeking *seeking = mem_calloc(1, sizeof *seeking);
    seeking->waiter.look = look;
    seeking->server = server;
    seeking->conn = conn;
    seeking->alias = options->alias == NULL ? NULL : mem_strdup(options->alias);
    seeking->until_ms = shard_now_ms(conn->shard) + ALIAS_WAIT_MS;
    seeking->then = options->then;
    seeking->path = what->path == NULL ? NULL : mem_strdup(what->path);
    seeking->cors = mem_strdup(options->cors);
    seeking->what = *what;
    seeking->what.path = seeking->path;
    seeking->what.generation = NULL;
    if (generation != NULL) {
        wait_for_take(seeking, generation);
    }
    buf_init(&seeking->head);
    conn_body_keep(conn, request, &seeking->head);
    conn_take_body(conn, request, &sink, seeking);
}

void
seek(struct server *server, struct conn *conn, const struct http_request *request,
    const struct subscription *what, const struct seek_options *options)
{
    struct err err = {.code = ERR_NONE};
    struct subscription found = *what;
    struct seek_options of = *options;
    char id[GENERATION_ID_LEN + 1];
    enum connector_alias known =
        of.alias == NULL ? CONNECTOR_ALIAS_NONE
                         : generations_ask_alias(server->generations, what->stream, of.alias, id);
    of.id = known == CONNECTOR_ALIAS_FOUND ? id : of.id;
    of.alias = known == CONNECTOR_ALIAS_FOUND || known == CONNECTOR_ALIAS_NONE ? NULL : of.alias;
    found.generation = find_id(server, what->stream, of.id, &err);
    if (found.generation == NULL && (err.code != ERR_MISSING || of.alias == NULL)) {
        refuse(conn, request, what, of.cors, &err);
    } else if (found.generation != NULL && generation_look(found.generation) == GENERATION_READY) {
        of.then(server, conn, request, &found, of.cors);
        generation_unref(found.generation);
    } else {
        wait_with(server, conn, request, what, &of, found.generation);
    }
}
