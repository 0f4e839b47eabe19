/* sql_query: the configured query, read far enough to find its named parameters.
 *
 * `:name` becomes a numbered placeholder ($1 for PostgreSQL, ?1 for SQLite), the same name the same
 * number; what stands in strings, quoted names, comments and dollar quotes stays, and so do
 * `::casts` and `:=`. The query is one SELECT, WITH, VALUES or TABLE: it is put into parentheses
 * and read page by page, so a second statement, a parenthesis too many, and a placeholder of the
 * database's own are refused. Lexical rules: PostgreSQL manual 4.1, sqlite.org/lang_expr.html and
 * lang_keywords.html. Thread  any: no state. */
#ifndef HEADGATE_SQL_QUERY_H
#define HEADGATE_SQL_QUERY_H

#include "../gateway/err.h"

#include <stdbool.h>
#include <stddef.h>

enum sql_dialect { SQL_POSTGRES, SQL_SQLITE };

#define SQL_NAME_MAX 63   /* bytes of a parameter's name */
#define SQL_PARAMS_MAX 64 /* different parameters of one query */

struct sql_query {
    char *text;                  /* with placeholders, without the semicolon at its end */
    char *names[SQL_PARAMS_MAX]; /* names[i] is placeholder i + 1 */
    size_t n_names;
};

/* sql_query_scan: Owns the caller frees with sql_query_fini. Errors -1 and err, with the line in
 * the query. Cost O(bytes). */
int sql_query_scan(struct sql_query *query, const char *text, size_t len, enum sql_dialect dialect,
    struct err *err);
void sql_query_fini(struct sql_query *query); /* of zeroed memory too */

/* sql_name_valid: [A-Za-z_][A-Za-z0-9_]*, at most SQL_NAME_MAX. */
bool sql_name_valid(const char *name, size_t len);

#endif
