/* sql_settings: keys, checks and bounds of a database source; a request's parameters. Thread init;
 * sql_settings_bind and _scan any. */
#include "sql_settings.h"

#include "../gateway/buf.h"
#include "../gateway/config_value.h"
#include "../gateway/mem.h"
#include "../gateway/params.h"
#include "sql_driver.h"
#include "sql_page.h"

#include <stdlib.h>
#include <string.h>

#define KIB UINT64_C(1024)
#define MIB (KIB * KIB)
#define THREAD_BYTES (UINT64_C(256) * KIB)      /* a thread's stack as it is used, its buffers */
#define CONNECTION_BYTES (UINT64_C(2560) * KIB) /* SQLite's cache of 2 MiB; libpq's buffers */

static const char *const orders[] = {"ascending", "descending", NULL};
static const char *const progresses[] = {"none", "count", "estimate", NULL};
static const char *const starts[] = {"latest", "earliest", NULL};

static const struct config_key keys[] = {
    {.name = "postgres",
        .kind = CONFIG_SECRET,
        .offset = offsetof(struct sql_settings, postgres),
        .prose =
            "A PostgreSQL database, as libpq's connection string: postgresql://user@host/db, or "
            "host=... dbname=.... Exactly one of postgres and sqlite."},
    {.name = "sqlite",
        .kind = CONFIG_STRING,
        .offset = offsetof(struct sql_settings, sqlite),
        .prose = "The path of an SQLite database. It is opened for reading only."},
    {.name = "query",
        .kind = CONFIG_STRING,
        .offset = offsetof(struct sql_settings, query),
        .required = true,
        .prose =
            "One SELECT (or WITH, VALUES, TABLE), without an ORDER BY of its own. :name stands "
            "for a parameter, which is bound, never pasted. It is read in pages: the source "
            "puts it into parentheses and adds the condition on the key, ORDER BY and LIMIT."},
    {.name = "key",
        .kind = CONFIG_STRINGS,
        .offset = offsetof(struct sql_settings, key),
        .least = 1,
        .most = SQL_KEY_MAX,
        .required = true,
        .prose =
            "The columns of the result that rows are ordered by: together unique and never NULL, "
            "best with an index. They are the resume token, so at most 512 bytes."},
    {.name = "order",
        .kind = CONFIG_ENUM,
        .offset = offsetof(struct sql_settings, order),
        .choices = orders,
        .fallback = "ascending",
        .prose = "The order of the key, all of its columns alike."},
    {.name = "params",
        .kind = CONFIG_PAIRS,
        .offset = offsetof(struct sql_settings, params),
        .most = SQL_PARAMS_MAX,
        .prose =
            "The query's parameters and their types: text, integer, number, boolean, timestamp "
            "(RFC 3339), date or uuid. A request gives them in its query string."},
    {.name = "defaults",
        .kind = CONFIG_PAIRS,
        .offset = offsetof(struct sql_settings, defaults),
        .most = SQL_PARAMS_MAX,
        .prose = "Values of parameters that a request does not give. A parameter without one is "
                 "required; with follow, each needs one."},
    {.name = "page",
        .kind = CONFIG_COUNT,
        .offset = offsetof(struct sql_settings, page_rows),
        .least = 1,
        .most = 100000,
        .fallback = "500",
        .prose = "Rows asked for at once. Between pages neither a transaction nor a connection is "
                 "held."},
    {.name = "page_bytes",
        .kind = CONFIG_BYTES,
        .offset = offsetof(struct sql_settings, page_bytes),
        .least = 64 * KIB,
        .most = 256 * MIB,
        .fallback = "4MiB",
        .prose = "A page ends early once its rows are this large as JSON."},
    {.name = "connections",
        .kind = CONFIG_COUNT,
        .offset = offsetof(struct sql_settings, connections),
        .least = 1,
        .most = 1000,
        .fallback = "4",
        .prose =
            "Connections to the database that requests share, a page at a time. follow has one "
            "more of its own."},
    {.name = "requests",
        .kind = CONFIG_COUNT,
        .offset = offsetof(struct sql_settings, requests),
        .least = 1,
        .most = 10000,
        .fallback = "64",
        .prose = "Requests that are answered at once; a further one gets 503 with Retry-After."},
    {.name = "connect_timeout",
        .kind = CONFIG_DURATION,
        .offset = offsetof(struct sql_settings, connect_timeout_ms),
        .least = 100,
        .most = 300000,
        .fallback = "5s",
        .prose = "How long one attempt to connect may take."},
    {.name = "statement_timeout",
        .kind = CONFIG_DURATION,
        .offset = offsetof(struct sql_settings, statement_timeout_ms),
        .least = 100,
        .most = 86400000,
        .fallback = "30s",
        .prose =
            "How long one page may take in the database, and how long it waits for a connection; "
            "then the request fails."},
    {.name = "retry",
        .kind = CONFIG_DURATION,
        .offset = offsetof(struct sql_settings, retry_ms),
        .most = 3600000,
        .fallback = "15s",
        .prose =
            "How long a request stream goes on trying to reach a database that is not there, from "
            "its last row on; then it fails. follow tries for ever."},
    {.name = "progress",
        .kind = CONFIG_ENUM,
        .offset = offsetof(struct sql_settings, progress),
        .choices = progresses,
        .fallback = "none",
        .prose =
            "Where a request stream's progress gets its total from: count(*) over the query, or "
            "PostgreSQL's estimate."},
    {.name = "follow",
        .kind = CONFIG_BOOL,
        .offset = offsetof(struct sql_settings, follow),
        .fallback = "false",
        .prose =
            "A live stream of the rows beyond the last key, shared by its subscribers. Else each "
            "request reads the rows that are there, and ends."},
    {.name = "start",
        .kind = CONFIG_ENUM,
        .offset = offsetof(struct sql_settings, start),
        .choices = starts,
        .fallback = "latest",
        .prose = "Where follow begins: behind the rows that are there, or at the first."},
    {.name = "poll",
        .kind = CONFIG_DURATION,
        .offset = offsetof(struct sql_settings, poll_ms),
        .least = 10,
        .most = 3600000,
        .fallback = "1s",
        .prose = "How often follow looks for new rows."},
    {.name = "settle",
        .kind = CONFIG_DURATION,
        .offset = offsetof(struct sql_settings, settle_ms),
        .most = 3600000,
        .fallback = "0s",
        .prose =
            "follow shows a key only this long after it was first seen. Transactions that take "
            "their key from a sequence and commit within this time are then not missed."},
    {.name = "listen",
        .kind = CONFIG_STRING,
        .offset = offsetof(struct sql_settings, listen),
        .prose = "A channel of PostgreSQL's NOTIFY that tells follow to look at once."},
};

const struct config_section sql_section = {
    .name = "streams.NAME.source.sql",
    .size = sizeof(struct sql_settings),
    .keys = keys,
    .n_keys = sizeof keys / sizeof *keys,
};

const struct sql_driver *
sql_driver_of(const struct sql_settings *settings)
{
    return settings->postgres != NULL ? &sql_postgres_driver : &sql_sqlite_driver;
}

void
sql_settings_scan(const struct sql_settings *settings, struct sql_query *query)
{
    struct err err;
    if (sql_query_scan(query, settings->query, strlen(settings->query),
            sql_driver_of(settings)->dialect, &err) != 0) {
        abort(); /* sql_settings_check has seen it */
    }
}

char *
sql_settings_group(const struct sql_settings *settings)
{
    struct buf name;
    buf_init(&name);
    for (size_t i = 0; i < settings->key.n; i++) {
        buf_adds(&name, i == 0 ? "" : ",");
        buf_adds(&name, settings->key.items[i]);
    }
    buf_adds(&name, settings->order != 0 ? " desc" : "");
    buf_addc(&name, '\0');
    return name.bytes;
}

static const char *
find_pair(const struct config_pairs *pairs, const char *name)
{
    for (size_t i = 0; i < pairs->n; i++) {
        if (strcmp(pairs->items[i].name, name) == 0) {
            return pairs->items[i].value;
        }
    }
    return NULL;
}

static bool
query_has(const struct sql_query *query, const char *name)
{
    for (size_t i = 0; i < query->n_names; i++) {
        if (strcmp(query->names[i], name) == 0) {
            return true;
        }
    }
    return false;
}

static int
check_declared(const struct sql_settings *settings, const struct sql_query *query, struct err *err)
{
    for (size_t i = 0; i < settings->params.n; i++) {
        const struct config_pair *param = &settings->params.items[i];
        if (!sql_name_valid(param->name, strlen(param->name))) {
            err_set(err, ERR_INVALID,
                "params: '%.64s' is no name: [A-Za-z_][A-Za-z0-9_]*, at most 63", param->name);
        } else if (params_is_known(param->name)) {
            err_set(err, ERR_INVALID,
                "params: '%s' has a meaning of its own in a request: call it otherwise",
                param->name);
        } else if (config_value_choice(param->value, sql_type_names) < 0) {
            err_set(err, ERR_INVALID,
                "params: %s: '%.40s' is none of text, integer, number, boolean, timestamp, date, "
                "uuid",
                param->name, param->value);
        } else if (!query_has(query, param->name)) {
            err_set(err, ERR_INVALID, "params: the query has no :%s", param->name);
        } else if (settings->follow && find_pair(&settings->defaults, param->name) == NULL) {
            err_set(err, ERR_INVALID,
                "defaults: '%s' needs one: with follow there is no request to give it",
                param->name);
        } else {
            continue;
        }
        return -1;
    }
    return 0;
}

static int
check_defaults(const struct sql_settings *settings, struct err *err)
{
    for (size_t i = 0; i < settings->defaults.n; i++) {
        const struct config_pair *item = &settings->defaults.items[i];
        const char *type = find_pair(&settings->params, item->name);
        struct sql_value value;
        struct err why;
        if (type == NULL) {
            err_set(err, ERR_INVALID, "defaults: '%.64s' is not in params", item->name);
            return -1;
        }
        if (sql_value_parse(&value, (enum sql_type)config_value_choice(type, sql_type_names),
                item->value, &why) != 0) {
            err_set(err, ERR_INVALID, "defaults: %s: %s", item->name, why.text);
            return -1;
        }
    }
    return 0;
}

static int
check_params(const struct sql_settings *settings, const struct sql_query *query, struct err *err)
{
    for (size_t i = 0; i < query->n_names; i++) {
        if (find_pair(&settings->params, query->names[i]) == NULL) {
            err_set(err, ERR_INVALID, "query: :%s is not in params", query->names[i]);
            return -1;
        }
    }
    return check_declared(settings, query, err) != 0 ? -1 : check_defaults(settings, err);
}

static int
check_key(const struct sql_settings *settings, struct err *err)
{
    for (size_t i = 0; i < settings->key.n; i++) {
        size_t len = strlen(settings->key.items[i]);
        if (len == 0 || len > 128) {
            err_set(err, ERR_INVALID, "key: a column's name has 1 to 128 bytes");
            return -1;
        }
        for (size_t j = 0; j < i; j++) {
            if (strcmp(settings->key.items[i], settings->key.items[j]) == 0) {
                err_set(err, ERR_INVALID, "key: '%s' is there twice", settings->key.items[i]);
                return -1;
            }
        }
    }
    return 0;
}

/* What only goes with follow, and what only without. */
static int
check_together(const struct sql_settings *settings, struct err *err)
{
    const char *what = NULL;
    if ((settings->postgres != NULL) == (settings->sqlite != NULL)) {
        what = "exactly one of postgres and sqlite must be given";
    } else if (settings->listen != NULL && settings->postgres == NULL) {
        what = "listen: only PostgreSQL notifies";
    } else if (settings->listen != NULL && !settings->follow) {
        what = "listen: only with follow: true";
    } else if (settings->listen != NULL &&
               (settings->listen[0] == '\0' || strlen(settings->listen) > 63)) {
        what = "listen: a channel's name has 1 to 63 bytes";
    } else if (settings->settle_ms != 0 && !settings->follow) {
        what = "settle: only with follow: true";
    } else if (settings->follow && settings->order != 0) {
        what = "order: follow goes along an ascending key";
    } else if (settings->progress == SQL_PROGRESS_ESTIMATE && settings->postgres == NULL) {
        what = "progress: only PostgreSQL has an estimate; SQLite can count";
    } else if (settings->progress != SQL_PROGRESS_NONE && settings->follow) {
        what = "progress: a stream that follows has no end to measure by";
    }
    if (what != NULL) {
        err_set(err, ERR_INVALID, "%s", what);
        return -1;
    }
    return 0;
}

int
sql_settings_check(const void *settings_, struct err *err)
{
    const struct sql_settings *settings = settings_;
    struct sql_query query = {0};
    struct err why;
    if (check_together(settings, err) != 0 || check_key(settings, err) != 0) {
        return -1;
    }
    if (sql_query_scan(&query, settings->query, strlen(settings->query),
            sql_driver_of(settings)->dialect, &why) != 0) {
        err_set(err, ERR_INVALID, "query: %s", why.text);
        return -1;
    }
    int result = check_params(settings, &query, err);
    sql_query_fini(&query);
    return result;
}

/* Of one source: a live stream's or a request's. The page's buffer doubles as it grows. */
uint64_t
sql_settings_memory_bytes(const void *settings_)
{
    const struct sql_settings *settings = settings_;
    return THREAD_BYTES + CONNECTION_BYTES + 2 * settings->page_bytes +
           settings->page_rows * sizeof(struct sql_page_row);
}

/* Two events; an SQLite database, its WAL and that's index, or a socket and one that cancels. */
uint64_t
sql_settings_descriptors(const void *settings)
{
    (void)settings;
    return 5;
}

static const struct sql_given *
find_given(const struct sql_given *given, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++) {
        if (strcmp(given[i].name, name) == 0) {
            return &given[i];
        }
    }
    return NULL;
}

static int
check_given(
    const struct sql_settings *settings, const struct sql_given *given, size_t n, struct err *err)
{
    for (size_t i = 0; i < n; i++) {
        if (find_pair(&settings->params, given[i].name) == NULL) {
            err_set(err, ERR_INVALID, "%.64s: no such parameter", given[i].name);
            return -1;
        }
        if (find_given(given, i, given[i].name) != NULL) {
            err_set(err, ERR_INVALID, "%s: given more than once", given[i].name);
            return -1;
        }
    }
    return 0;
}

int
sql_settings_bind(const struct sql_settings *settings, const struct sql_query *query,
    const struct sql_given *given, size_t n_given, struct sql_value values[SQL_PARAMS_MAX],
    struct err *err)
{
    if (check_given(settings, given, n_given, err) != 0) {
        return -1;
    }
    for (size_t i = 0; i < query->n_names; i++) {
        const char *name = query->names[i];
        const struct sql_given *own = find_given(given, n_given, name);
        const char *text = own != NULL ? own->text : find_pair(&settings->defaults, name);
        struct err why;
        int type = config_value_choice(find_pair(&settings->params, name), sql_type_names);
        if (text == NULL) {
            err_set(err, ERR_INVALID, "%s: is required", name);
            return -1;
        }
        if (sql_value_parse(&values[i], (enum sql_type)type, text, &why) != 0) {
            err_set(err, ERR_INVALID, "%s: %s", name, why.text);
            return -1;
        }
    }
    return 0;
}
