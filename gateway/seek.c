/* seek: see seek.h. A seeking is a request that waits: as one whose body is whole and not answered
 * yet. Shard thread. */
#include "seek.h"

#include "generate.h"
#include "generations.h"
#include "mem.h"
#include "private.h"

#include <stdlib.h>

struct seeking {
    struct private_waiter waiter;
    bool waits;
    struct server *server;
    struct conn *conn;
    struct generation *generation;
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

/* ---- one that waits ---- */

static void
seeking_free(void *self)
{
    struct seeking *seeking = self;
    if (seeking->waits) {
        private_wait_end(shard_privates(seeking->conn->shard), &seeking->waiter);
    }
    generation_unref(seeking->generation);
    buf_fini(&seeking->head);
    free(seeking->path);
    free(seeking->cors);
    free(seeking);
}

/* False: it is still sought. */
static bool
answer(struct seeking *seeking)
{
    struct http_request request;
    enum generation_sight sight = generation_look(seeking->generation);
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
    struct seeking *seeking = self;
    struct shard *shard = seeking->conn->shard;
    if (!answer(seeking)) {
        seeking->waits = true;
        private_wait(shard_privates(shard), &seeking->waiter);
        stream_listen(generation_stream(seeking->generation), shard_index(shard), true);
    }
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

static void
wait_for(struct server *server, struct conn *conn, const struct http_request *request,
    const struct subscription *what, const struct seek_options *options,
    struct generation *generation)
{
    struct seeking *seeking = mem_calloc(1, sizeof *seeking);
    seeking->waiter.look = look;
    seeking->server = server;
    seeking->conn = conn;
    seeking->generation = generation;
    seeking->then = options->then;
    seeking->path = what->path == NULL ? NULL : mem_strdup(what->path);
    seeking->cors = mem_strdup(options->cors);
    seeking->what = *what;
    seeking->what.path = seeking->path;
    seeking->what.generation = generation;
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
    found.generation = generations_find(server->generations, what->stream, options->id);
    if (found.generation == NULL) {
        found.generation = generations_seek(server->generations, what->stream, options->id, &err);
    }
    if (found.generation == NULL && err.code == ERR_MISSING) {
        refuse_absent(conn, request, what, options->cors);
    } else if (found.generation == NULL) {
        generate_refuse(conn, request, what, 503, options->cors, err.text);
    } else if (generation_look(found.generation) == GENERATION_READY) {
        options->then(server, conn, request, &found, options->cors);
        generation_unref(found.generation);
    } else {
        wait_for(server, conn, request, what, options, found.generation);
    }
}
