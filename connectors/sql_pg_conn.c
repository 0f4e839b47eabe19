/* sql_pg_conn: connecting, waiting and cancelling. The task's thread, and a short-lived one for
 * each cancellation, which libpq cannot do without blocking. */
#include "sql_pg_conn.h"

#include "../gateway/clock.h"
#include "../gateway/mem.h"

#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SERVER_LATE_NS INT64_C(1000000000) /* the server's time-out comes first */
#define CANCEL_NS INT64_C(1000000000)
#define MESSAGE_MAX 300

/* The first line of a message, without the white space at its end. */
static void
set_message(struct err *err, enum err_code code, const char *message)
{
    int len = (int)strcspn(message, "\n");
    err_set(err, code, "%.*s", len < MESSAGE_MAX ? len : MESSAGE_MAX, message);
}

static bool
begins_with(const char *state, const char *class)
{
    return strncmp(state, class, strlen(class)) == 0;
}

/* Classes of SQLSTATE (manual, appendix A): connections, shutdown and recovery, too many
 * connections, and what a repetition may cure. */
static enum sql_outcome
outcome_of_state(const char *state)
{
    if (strcmp(state, "57014") == 0) {
        return SQL_TIMEOUT;
    }
    bool lost = begins_with(state, "08") || begins_with(state, "57P") || begins_with(state, "53") ||
                begins_with(state, "40") || strcmp(state, "55006") == 0;
    return lost ? SQL_LOST : SQL_FAILED;
}

static enum sql_outcome
lost(struct sql_conn *conn, struct err *err)
{
    conn->broken = true;
    set_message(err, ERR_REMOTE, PQerrorMessage(conn->pg));
    return SQL_LOST;
}

/* Values may stand in a message of class 22 and others: only mistakes in the query are quoted. */
static enum sql_outcome
refused(struct sql_conn *conn, const PGresult *result, struct err *err)
{
    const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    if (state == NULL) {
        return lost(conn, err);
    }
    const char *text = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
    enum sql_outcome outcome = outcome_of_state(state);
    if (outcome == SQL_TIMEOUT) {
        err_set(err, ERR_REMOTE, "the statement took longer than %" PRIu64 " ms", conn->timeout_ms);
    } else if (begins_with(state, "22") || begins_with(state, "P0") || text == NULL) {
        err_set(err, ERR_REMOTE, "the database refuses a value (SQLSTATE %s)", state);
    } else {
        err_set(err, ERR_REMOTE, "%.*s (SQLSTATE %s)", MESSAGE_MAX, text, state);
    }
    return outcome;
}

static enum sql_outcome
not_ready(struct sql_conn *conn, enum sql_wait woke, struct err *err)
{
    conn->broken = true;
    if (woke == SQL_WAIT_STOPPED) {
        err_set(err, ERR_REMOTE, "stopped");
        return SQL_STOPPED;
    }
    err_set(err, ERR_REMOTE, "the database does not answer");
    return SQL_TIMEOUT;
}

int64_t
pg_deadline(const struct sql_conn *conn)
{
    return clock_mono_ns() + (int64_t)conn->timeout_ms * 1000000 + SERVER_LATE_NS;
}

/* Until a result can be had without blocking. */
static enum sql_outcome
wait_result(struct sql_conn *conn, struct sql_task *task, int64_t deadline_ns, struct err *err)
{
    int unsent = PQflush(conn->pg);
    while (unsent == 1 || PQisBusy(conn->pg)) {
        short events = (short)(unsent == 1 ? POLLIN | POLLOUT : POLLIN);
        enum sql_wait woke = sql_task_wait(task, PQsocket(conn->pg), events, deadline_ns, false);
        if (woke != SQL_WAIT_READY) {
            pg_cancel(conn);
            return not_ready(conn, woke, err);
        }
        if (!PQconsumeInput(conn->pg)) {
            return lost(conn, err);
        }
        unsent = unsent == 1 ? PQflush(conn->pg) : 0;
    }
    return unsent < 0 ? lost(conn, err) : SQL_DONE;
}

enum sql_outcome
pg_result(struct sql_conn *conn, struct sql_task *task, int64_t deadline_ns, PGresult **result,
    struct err *err)
{
    *result = NULL;
    enum sql_outcome outcome = wait_result(conn, task, deadline_ns, err);
    if (outcome != SQL_DONE) {
        return outcome;
    }
    PGresult *got = PQgetResult(conn->pg);
    ExecStatusType status = PQresultStatus(got);
    if (got == NULL || (status != PGRES_FATAL_ERROR && status != PGRES_BAD_RESPONSE)) {
        *result = got;
        return SQL_DONE;
    }
    outcome = PQstatus(conn->pg) == CONNECTION_BAD ? lost(conn, err) : refused(conn, got, err);
    PQclear(got);
    /* The ready-for-query behind the error: without it the connection cannot be used again. */
    struct err ignored;
    if (!conn->broken && wait_result(conn, task, deadline_ns, &ignored) == SQL_DONE) {
        PQclear(PQgetResult(conn->pg));
    }
    return outcome;
}

enum sql_outcome
pg_simple(
    struct sql_conn *conn, struct sql_task *task, int sent, PGresult **result, struct err *err)
{
    int64_t deadline = pg_deadline(conn);
    PGresult *last = NULL, *next = NULL;
    if (!sent) {
        return lost(conn, err);
    }
    enum sql_outcome outcome;
    while ((outcome = pg_result(conn, task, deadline, &next, err)) == SQL_DONE && next != NULL) {
        PQclear(last);
        last = next;
    }
    if (outcome == SQL_DONE && result != NULL) {
        *result = last;
    } else {
        PQclear(last);
    }
    return outcome;
}

/* ---- cancelling: PQcancel connects to the server, and blocks while it does ---- */

struct canceller {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    PGcancel *cancel;
    int users; /* the thread, and who waits for it: the last one frees */
    bool done;
};

static void
canceller_leave(struct canceller *canceller)
{
    pthread_mutex_lock(&canceller->lock);
    bool last = --canceller->users == 0;
    pthread_mutex_unlock(&canceller->lock);
    if (last) {
        pthread_mutex_destroy(&canceller->lock);
        pthread_cond_destroy(&canceller->changed);
        PQfreeCancel(canceller->cancel);
        free(canceller);
    }
}

static void *
canceller_main(void *canceller_)
{
    struct canceller *canceller = canceller_;
    char ignored[256];
    (void)PQcancel(canceller->cancel, ignored, (int)sizeof ignored);
    pthread_mutex_lock(&canceller->lock);
    canceller->done = true;
    pthread_cond_signal(&canceller->changed);
    pthread_mutex_unlock(&canceller->lock);
    canceller_leave(canceller);
    return NULL;
}

static struct canceller *
canceller_new(PGcancel *cancel)
{
    struct canceller *canceller = mem_calloc(1, sizeof *canceller);
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&canceller->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    pthread_mutex_init(&canceller->lock, NULL);
    canceller->cancel = cancel;
    canceller->users = 2;
    return canceller;
}

void
pg_cancel(struct sql_conn *conn)
{
    PGcancel *cancel = PQgetCancel(conn->pg);
    if (cancel == NULL) {
        return; /* not connected */
    }
    struct canceller *canceller = canceller_new(cancel);
    pthread_t thread;
    if (pthread_create(&thread, NULL, canceller_main, canceller) != 0) {
        canceller->users = 1; /* no thread will leave it */
        canceller_leave(canceller);
        return;
    }
    pthread_detach(thread);
    int64_t until = clock_mono_ns() + CANCEL_NS;
    struct timespec deadline = {until / 1000000000, until % 1000000000};
    pthread_mutex_lock(&canceller->lock);
    while (!canceller->done &&
           pthread_cond_timedwait(&canceller->changed, &canceller->lock, &deadline) == 0) {
    }
    pthread_mutex_unlock(&canceller->lock);
    canceller_leave(canceller);
}

void
pg_drop_rest(struct sql_conn *conn, struct sql_task *task)
{
    int64_t deadline = clock_mono_ns() + CANCEL_NS;
    PGresult *rest = NULL;
    struct err ignored;
    pg_cancel(conn);
    while (pg_result(conn, task, deadline, &rest, &ignored) == SQL_DONE && rest != NULL) {
        PQclear(rest);
    }
}

/* ---- connecting ---- */

static enum sql_outcome
connect_poll(struct sql_conn *conn, struct sql_task *task, int64_t deadline_ns, struct err *err)
{
    PostgresPollingStatusType state = PGRES_POLLING_WRITING;
    while (state != PGRES_POLLING_OK) {
        if (state == PGRES_POLLING_FAILED) {
            return lost(conn, err);
        }
        short events = state == PGRES_POLLING_READING ? POLLIN : POLLOUT;
        enum sql_wait woke = sql_task_wait(task, PQsocket(conn->pg), events, deadline_ns, false);
        if (woke != SQL_WAIT_READY) {
            return not_ready(conn, woke, err) == SQL_STOPPED ? SQL_STOPPED : SQL_LOST;
        }
        state = PQconnectPoll(conn->pg);
    }
    return PQsetnonblocking(conn->pg, 1) == 0 ? SQL_DONE : lost(conn, err);
}

/* What the texts of values depend on; then what protects the database. The connection check makes a
 * server notice a client that is gone while its query runs (from 14 on, not on every system). */
static enum sql_outcome
set_up_session(struct sql_conn *conn, struct sql_task *task, struct err *err)
{
    char text[640];
    snprintf(text, sizeof text,
        "SET datestyle = ISO; SET timezone = 'UTC'; SET intervalstyle = iso_8601;"
        "SET extra_float_digits = 1; SET bytea_output = hex; SET standard_conforming_strings = on;"
        "SET default_transaction_read_only = on; SET statement_timeout = %" PRIu64 ";"
        "SET idle_in_transaction_session_timeout = 60000",
        conn->timeout_ms);
    enum sql_outcome outcome = pg_simple(conn, task, PQsendQuery(conn->pg, text), NULL, err);
    if (outcome != SQL_DONE) {
        return outcome;
    }
    struct err ignored;
    outcome = pg_simple(conn, task,
        PQsendQuery(conn->pg, "SELECT set_config(name, '500ms', false) FROM pg_settings"
                              " WHERE name = 'client_connection_check_interval'"),
        NULL, &ignored);
    if (outcome == SQL_FAILED) {
        return SQL_DONE;
    }
    *err = outcome == SQL_DONE ? *err : ignored;
    return outcome;
}

/* RAISE NOTICE in a function of the query's is no event of ours. */
static void
drop_notice(void *self, const char *message)
{
    (void)self;
    (void)message;
}

static PGconn *
start_connect(const struct sql_settings *settings)
{
    const char *const names[] = {
        "dbname", "fallback_application_name", "client_encoding", "keepalives_idle", NULL};
    const char *const values[] = {settings->postgres, "headgate", "UTF8", "30", NULL};
    PGconn *pg = PQconnectStartParams(names, values, 1);
    (void)PQsetNoticeProcessor(pg, drop_notice, NULL);
    return pg;
}

struct sql_conn *
pg_open(const struct sql_settings *settings, struct sql_task *task, enum sql_outcome *outcome,
    struct err *err)
{
    int64_t deadline = clock_mono_ns() + (int64_t)settings->connect_timeout_ms * 1000000;
    struct sql_conn *conn = mem_calloc(1, sizeof *conn);
    conn->timeout_ms = settings->statement_timeout_ms;
    sql_task_block(task); /* it asks the resolver */
    conn->pg = start_connect(settings);
    if (!sql_task_unblock(task)) {
        *outcome = SQL_STOPPED;
    } else if (PQstatus(conn->pg) == CONNECTION_BAD) {
        *outcome = lost(conn, err);
    } else {
        *outcome = connect_poll(conn, task, deadline, err);
    }
    if (*outcome == SQL_DONE) {
        *outcome = set_up_session(conn, task, err);
    }
    if (*outcome != SQL_DONE) {
        pg_close(conn);
        return NULL;
    }
    return conn;
}

void
pg_close(struct sql_conn *conn)
{
    if (conn != NULL) {
        PQfinish(conn->pg);
        free(conn);
    }
}
