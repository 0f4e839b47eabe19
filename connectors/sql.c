/* sql: a database source's life: start, its one thread, wake, stop. The thread either answers a
 * request, from a position to the last row, or follows the table for ever. */
#include "sql.h"

#include "../gateway/clock.h"
#include "../gateway/log.h"
#include "../gateway/mem.h"
#include "../gateway/stream_source.h"
#include "sql_settle.h"
#include "sql_walk.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define BACKOFF_LEAST_NS INT64_C(100000000)
#define BACKOFF_MOST_NS INT64_C(2000000000)
#define ROOM_NS INT64_C(100000000) /* the wake comes before, as a rule */

struct source {
    const struct sql_settings *settings;
    struct stream *stream;
    struct sql_task task;
    struct sql_pool *pool;
    struct sql_walk walk;
    char *texts; /* what the request gave: params lend into it */
    pthread_t thread;
    bool on_request;
    bool at_start;   /* follow: begin where settings->start says, once the database answers */
    bool begun;      /* the stream has been told where it begins */
    bool unfinished; /* settle: not all up to walk.until has been read */
    /* Of the thread. */
    int64_t backoff_ns;
    int64_t since_ns; /* when a row came last, or the first attempt was made */
    bool logged;      /* this outage or mistake has been told in the log */
    uint64_t done, total;
};

/* ---- what goes wrong ---- */

static const char *
reason_of(enum sql_outcome outcome)
{
    return outcome == SQL_LOST      ? "unreachable"
           : outcome == SQL_TIMEOUT ? "timeout"
                                    : "query_failed";
}

/* What a client may know of it: neither names nor values of the database. */
static const char *
public_text(enum sql_outcome outcome, const struct err *err)
{
    if (outcome == SQL_LOST) {
        return "the database cannot be reached";
    }
    if (outcome == SQL_TIMEOUT) {
        return "the database took too long";
    }
    return err->code == ERR_REMOTE ? "the database refused the query" : err->text;
}

static void
tell(struct source *source, enum sql_outcome outcome, const struct err *err)
{
    stream_source_error(source->stream, reason_of(outcome));
    if (!source->logged || outcome == SQL_TIMEOUT) {
        log_event(LOG_WARN, "sql", stream_name(source->stream), "%s: %s", source->walk.driver->name,
            err->text);
    }
    source->logged = true;
}

/* After a failure: true when it is worth another attempt, for which it has waited. */
static bool
try_again(struct source *source, enum sql_outcome outcome, const struct err *err)
{
    if (outcome == SQL_STOPPED || sql_task_stopped(&source->task)) {
        return false;
    }
    tell(source, outcome, err);
    int64_t now = clock_mono_ns();
    int64_t limit_ns = (int64_t)source->settings->retry_ms * 1000000;
    if (source->on_request && (outcome != SQL_LOST || now - source->since_ns >= limit_ns)) {
        stream_source_end(source->stream, reason_of(outcome), public_text(outcome, err));
        return false;
    }
    stream_source_down(source->stream, public_text(outcome, err));
    (void)sql_task_wait(&source->task, -1, 0, now + source->backoff_ns, false);
    source->backoff_ns *= 2;
    source->backoff_ns =
        source->backoff_ns < BACKOFF_MOST_NS ? source->backoff_ns : BACKOFF_MOST_NS;
    return !sql_task_stopped(&source->task);
}

/* The place where the stream begins is known. */
static void
begin_stream(struct source *source)
{
    if (!source->begun) {
        const struct buf *position = &source->walk.position;
        char *group = sql_settings_group(source->settings);
        source->walk.lane = stream_lane_add(source->stream, group, 0, 0);
        stream_cursor_start(source->stream, position->bytes, position->len);
        free(group);
    }
    source->begun = true;
}

static void
went_well(struct source *source)
{
    source->backoff_ns = BACKOFF_LEAST_NS;
    source->since_ns = clock_mono_ns();
    source->logged = false;
    begin_stream(source);
    stream_source_up(source->stream);
}

/* ---- a request ---- */

/* Until there is room for the next rows: no page is asked for before. false: stopped. */
static bool
wait_room(struct source *source)
{
    sql_task_alive(&source->task);
    while (!sql_task_stopped(&source->task) && stream_room(source->stream) == 0) {
        (void)sql_task_wait(&source->task, -1, 0, clock_mono_ns() + ROOM_NS, true);
    }
    return !sql_task_stopped(&source->task);
}

/* The page's rows as the subscriber takes them. false: stopped. */
static bool
hand_out(struct source *source)
{
    while (!sql_walk_stage(&source->walk)) {
        if (!wait_room(source)) {
            return false;
        }
    }
    return true;
}

static bool
open_request(struct source *source)
{
    struct err err;
    bool wants_total = source->settings->progress != SQL_PROGRESS_NONE;
    for (;;) {
        enum sql_outcome outcome = sql_walk_open(&source->walk, &err);
        if (outcome == SQL_DONE && wants_total) {
            outcome = sql_walk_total(&source->walk, &source->total, &err);
        }
        if (outcome == SQL_DONE) {
            went_well(source);
            return true;
        }
        if (!try_again(source, outcome, &err)) {
            return false;
        }
    }
}

/* A page, or what is to be asked behind the last one. */
static bool
repeat(struct source *source, enum sql_outcome (*ask)(struct sql_walk *walk, struct err *err))
{
    struct err err;
    for (;;) {
        enum sql_outcome outcome = ask(&source->walk, &err);
        if (outcome == SQL_DONE) {
            went_well(source);
            return true;
        }
        if (!try_again(source, outcome, &err)) {
            return false;
        }
    }
}

static void
tell_progress(struct source *source)
{
    if (source->settings->progress != SQL_PROGRESS_NONE) {
        source->done += source->walk.page.n;
        uint64_t total = source->total > source->done ? source->total : source->done;
        stream_source_progress(source->stream, source->done, total);
    }
}

static void
answer_request(struct source *source)
{
    if (!open_request(source)) {
        return;
    }
    do {
        if (!wait_room(source) || !repeat(source, sql_walk_fetch) || !hand_out(source)) {
            return;
        }
        tell_progress(source);
    } while (source->walk.page.more);
    if (repeat(source, sql_walk_check_end)) {
        stream_source_end(source->stream, NULL, NULL);
    }
}

/* ---- following ---- */

static enum sql_outcome
open_follow(struct source *source, struct err *err)
{
    struct sql_walk *walk = &source->walk;
    enum sql_outcome outcome = sql_walk_open(walk, err);
    if (outcome == SQL_DONE && source->at_start && source->settings->start == SQL_START_LATEST) {
        outcome = sql_walk_newest(walk, &walk->position, err);
    }
    if (outcome == SQL_DONE) {
        source->at_start = false;
        went_well(source);
    }
    return outcome;
}

/* settle: how far may be read now; unfinished says that there is something. */
static enum sql_outcome
look_ahead(struct source *source, struct sql_settle *settle, struct err *err)
{
    struct sql_walk *walk = &source->walk;
    struct buf newest;
    buf_init(&newest);
    enum sql_outcome outcome = sql_walk_newest(walk, &newest, err);
    int64_t now = clock_mono_ns();
    if (outcome == SQL_DONE && !sql_settle_same(&newest, &walk->position)) {
        sql_settle_add(settle, &newest, now);
    }
    source->unfinished |= sql_settle_bound(settle, &walk->until, now);
    buf_fini(&newest);
    return outcome;
}

static enum sql_outcome
read_pages(struct source *source, struct err *err)
{
    do {
        if (!wait_room(source)) {
            return SQL_STOPPED;
        }
        enum sql_outcome outcome = sql_walk_fetch(&source->walk, err);
        if (outcome != SQL_DONE) {
            return outcome;
        }
        if (!hand_out(source)) {
            return SQL_STOPPED;
        }
    } while (source->walk.page.more);
    return SQL_DONE;
}

/* All rows that there are, as far as they may be shown. */
static enum sql_outcome
read_new(struct source *source, struct sql_settle *settle, struct err *err)
{
    enum sql_outcome outcome = SQL_DONE;
    if (source->settings->settle_ms > 0) {
        outcome = look_ahead(source, settle, err);
        if (outcome != SQL_DONE || !source->unfinished) {
            return outcome;
        }
    }
    outcome = read_pages(source, err);
    source->unfinished &= outcome != SQL_DONE;
    return outcome;
}

/* A pooled connection (of one who catches up) is not kept for the wait. */
static enum sql_outcome
wait_new(struct source *source, const struct sql_settle *settle, struct err *err)
{
    int64_t deadline = clock_mono_ns() + (int64_t)source->settings->poll_ms * 1000000;
    deadline = sql_settle_due(settle, deadline);
    if (source->walk.pool != NULL) {
        enum sql_wait woke = sql_task_wait(&source->task, -1, 0, deadline, false);
        return woke == SQL_WAIT_STOPPED ? SQL_STOPPED : SQL_DONE;
    }
    return sql_walk_wait(&source->walk, deadline, err);
}

static enum sql_outcome
follow_connected(struct source *source, struct sql_settle *settle, struct err *err)
{
    enum sql_outcome outcome = open_follow(source, err);
    while (outcome == SQL_DONE) {
        outcome = read_new(source, settle, err);
        if (outcome == SQL_DONE) {
            went_well(source);
            outcome = wait_new(source, settle, err);
        }
    }
    return outcome;
}

static void
follow(struct source *source)
{
    struct sql_settle settle;
    struct err err;
    sql_settle_init(&settle, (int64_t)source->settings->settle_ms * 1000000);
    while (try_again(source, follow_connected(source, &settle, &err), &err)) {
    }
    sql_settle_fini(&settle);
}

/* ---- life ---- */

static void
source_free(struct source *source)
{
    sql_walk_fini(&source->walk);
    sql_pool_leave(source->pool);
    sql_task_fini(&source->task);
    free(source->texts);
    free(source);
}

static void *
sql_main(void *source_)
{
    struct source *source = source_;
    source->since_ns = clock_mono_ns();
    sql_task_alive(&source->task);
    if (source->on_request) {
        answer_request(source);
    } else {
        follow(source);
    }
    if (sql_task_end(&source->task)) {
        source_free(source); /* stop() did not wait any longer */
    }
    return NULL;
}

/* Where the walk begins, of a replay. */
static int
set_position(struct source *source, const struct replay *replay, struct err *err)
{
    struct sql_value values[SQL_KEY_MAX];
    if (replay->kind == REPLAY_TIME) {
        err_set(err, ERR_INVALID, "from: a table is ordered by its key, not by time");
        return -1;
    }
    if (replay->kind == REPLAY_LANES) {
        err_set(err, ERR_INVALID, "from: the token is of another stream");
        return -1;
    }
    if (replay->kind != REPLAY_CURSOR || replay->cursor_len == 0) {
        return 0;
    }
    if (sql_cursor_decode(
            replay->cursor, replay->cursor_len, values, source->settings->key.n, err) != 0) {
        return -1;
    }
    buf_add(&source->walk.position, replay->cursor, replay->cursor_len);
    return 0;
}

/* What the request gave, copied: it is lent for the length of start() only. */
static int
bind_request(struct source *source, const struct sql_query *query, const struct replay *replay,
    struct sql_value values[SQL_PARAMS_MAX], struct err *err)
{
    size_t n = replay == NULL ? 0 : replay->n_params;
    size_t bytes = 1;
    for (size_t i = 0; i < n; i++) {
        bytes += strlen(replay->params[i].value) + 1;
    }
    char *copy = source->texts = mem_alloc(bytes);
    struct sql_given *given = mem_calloc(n + 1, sizeof *given);
    for (size_t i = 0; i < n; i++) {
        given[i] = (struct sql_given){replay->params[i].name, copy};
        copy = stpcpy(copy, replay->params[i].value) + 1;
    }
    int result = sql_settings_bind(source->settings, query, given, n, values, err);
    free(given);
    return result;
}

static int
source_init(struct source *source, const struct replay *replay, struct err *err)
{
    const struct sql_settings *settings = source->settings;
    struct sql_value values[SQL_PARAMS_MAX];
    struct sql_query query;
    sql_settings_scan(settings, &query);
    int result = bind_request(source, &query, replay, values, err);
    sql_walk_init(&source->walk, settings, &query, values);
    if (result != 0 || sql_task_init(&source->task, source->stream, err) != 0) {
        return -1;
    }
    source->walk.task = &source->task;
    source->walk.stream = source->stream;
    source->backoff_ns = BACKOFF_LEAST_NS;
    source->on_request = !settings->follow;
    source->at_start = replay == NULL;
    if (replay != NULL) {
        if (set_position(source, replay, err) != 0) {
            return -1;
        }
        source->pool = source->walk.pool = sql_pool_enter(settings, err);
        return source->pool == NULL ? -1 : 0;
    }
    return 0;
}

static struct source *
sql_start(const void *settings, struct stream *stream, const struct replay *replay, struct err *err)
{
    struct source *source = mem_calloc(1, sizeof *source);
    source->settings = settings;
    source->stream = stream;
    source->task.stop_fd = source->task.wake_fd = -1;
    if (source_init(source, replay, err) != 0 || (replay != NULL && replay->probes)) {
        source_free(source);
        return NULL;
    }
    int rc = pthread_create(&source->thread, NULL, sql_main, source);
    if (rc != 0) {
        err_set_errno(err, rc, "source thread of stream %s", stream_name(stream));
        source_free(source);
        return NULL;
    }
    pthread_setname_np(source->thread, "sql");
    return source;
}

static bool
sql_on_request(const void *settings)
{
    return !((const struct sql_settings *)settings)->follow;
}

static const char *
sql_request_param(const void *settings_, size_t i)
{
    const struct sql_settings *settings = settings_;
    return i < settings->params.n && !settings->follow ? settings->params.items[i].name : NULL;
}

static void
sql_wake(struct source *source)
{
    sql_task_wake(&source->task);
}

static void
sql_cancel(struct source *source)
{
    sql_task_stop(&source->task);
}

static void
sql_stop(struct source *source)
{
    pthread_t thread = source->thread;
    sql_task_stop(&source->task);
    if (sql_task_abandon(&source->task)) {
        log_event(LOG_WARN, "sql", NULL, "a look-up of the database's address hangs: left behind");
        pthread_detach(thread);
        return;
    }
    pthread_join(thread, NULL);
    source_free(source);
}

const struct connector sql_connector = {
    .name = "sql",
    .section = &sql_section,
    .check = sql_settings_check,
    .memory_bound_bytes = sql_settings_memory_bytes,
    .descriptor_bound = sql_settings_descriptors,
    .capabilities = CONNECTOR_REPLAYS,
    .on_request = sql_on_request,
    .request_param = sql_request_param,
    .start = sql_start,
    .wake = sql_wake,
    .cancel = sql_cancel,
    .stop = sql_stop,
};
