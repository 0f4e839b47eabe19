/* sql_settings: the keys of a database source and what they mean together. Thread init; read-only
 * afterwards, so any thread may read. */
#ifndef HEADGATE_SQL_SETTINGS_H
#define HEADGATE_SQL_SETTINGS_H

#include "../gateway/config.h"
#include "../gateway/config_table.h"
#include "sql_query.h"
#include "sql_value.h"

enum sql_progress { SQL_PROGRESS_NONE, SQL_PROGRESS_COUNT, SQL_PROGRESS_ESTIMATE };
enum sql_start { SQL_START_LATEST, SQL_START_EARLIEST };

struct sql_settings {
    char *postgres; /* exactly one of these two */
    char *sqlite;
    char *query;
    struct config_strings key;
    int order; /* 0 ascending, 1 descending */
    struct config_pairs params;
    struct config_pairs defaults;
    uint64_t page_rows, page_bytes;
    uint64_t connections, requests;
    uint64_t connect_timeout_ms, statement_timeout_ms, retry_ms;
    int progress; /* enum sql_progress */
    bool follow;
    int start; /* enum sql_start; of follow */
    uint64_t poll_ms, settle_ms;
    char *listen;
};

extern const struct config_section sql_section;

int sql_settings_check(const void *settings, struct err *err);
uint64_t sql_settings_memory_bytes(const void *settings);
uint64_t sql_settings_descriptors(const void *settings);

/* sql_settings_scan: the query of good settings. */
void sql_settings_scan(const struct sql_settings *settings, struct sql_query *query);

/* sql_settings_group: the name of the lane, from the key: a token goes with key and order, not with
 * the rest of the query. Owns the caller frees. */
char *sql_settings_group(const struct sql_settings *settings);

/* A value given by a request. */
struct sql_given {
    const char *name, *text;
};

/* sql_settings_bind: values for the query's placeholders from what the request gave and the
 * defaults. values lend into settings and given. Errors -1 and err: a parameter that is not
 * declared, given twice, missing, or not of its type; the text names it. */
int sql_settings_bind(const struct sql_settings *settings, const struct sql_query *query,
    const struct sql_given *given, size_t n_given, struct sql_value values[SQL_PARAMS_MAX],
    struct err *err);

#endif
