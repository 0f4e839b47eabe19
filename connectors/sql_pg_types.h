/* sql_pg_types: PostgreSQL's types as JSON. Values come in text format, under the session settings
 * of sql_pg.c (ISO dates, UTC, hex bytea, shortest floats). Thread any: no state. */
#ifndef HEADGATE_SQL_PG_TYPES_H
#define HEADGATE_SQL_PG_TYPES_H

#include "../gateway/buf.h"
#include "sql_driver.h"

#include <stdbool.h>

/* Object identifiers of pg_type.dat; they never change. */
enum pg_type {
    PG_BOOL = 16,
    PG_BYTEA = 17,
    PG_INT8 = 20,
    PG_INT2 = 21,
    PG_INT4 = 23,
    PG_TEXT = 25,
    PG_OID = 26,
    PG_JSON = 114,
    PG_FLOAT4 = 700,
    PG_FLOAT8 = 701,
    PG_BPCHAR = 1042,
    PG_VARCHAR = 1043,
    PG_DATE = 1082,
    PG_TIMESTAMP = 1114,
    PG_TIMESTAMPTZ = 1184,
    PG_NUMERIC = 1700,
    PG_UUID = 2950,
    PG_JSONB = 3802
};

/* pg_type_known: type is one of the above, or an array of one: *element is then set, else 0. */
bool pg_type_known(unsigned type, unsigned *element);

/* pg_add_json: text, a value of column's type, which ends with NUL. What is not what it should be
 * (infinity, a year before Christ, JSON of too many levels) becomes a JSON string of its text. */
void pg_add_json(struct buf *out, const struct sql_column *column, const char *text, size_t len);

#endif
