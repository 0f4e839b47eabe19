/* sql_value: one value on its way into or out of a database, and a key as a cursor.
 *
 * A cursor is the values of the key columns as bytes, which a resume token carries:
 *   0x01, the number of columns, then for each its tag and
 *   'i': a zigzag varint          'r': 8 bytes, a double, most significant first, never NaN
 *   't', 'b': a varint length and as many bytes
 * Varints are the shortest. Equal keys have equal cursors. It comes back from clients, who may have
 * made it up: it is only ever bound as values, and its length is bounded. Thread any: no state. */
#ifndef HEADGATE_SQL_VALUE_H
#define HEADGATE_SQL_VALUE_H

#include "../gateway/buf.h"
#include "../gateway/err.h"

#include <stddef.h>
#include <stdint.h>

enum sql_kind { SQL_NULL, SQL_INTEGER, SQL_REAL, SQL_TEXT, SQL_BLOB };

/* The types that a parameter may be declared with; ANY: what the database finds fitting. */
enum sql_type {
    SQL_TYPE_TEXT,
    SQL_TYPE_INTEGER,
    SQL_TYPE_NUMBER,
    SQL_TYPE_BOOLEAN,
    SQL_TYPE_TIMESTAMP,
    SQL_TYPE_DATE,
    SQL_TYPE_UUID,
    SQL_TYPE_ANY
};
extern const char *const sql_type_names[]; /* without ANY, NULL-terminated */

struct sql_value {
    enum sql_kind kind;
    enum sql_type type; /* declared; of what is bound only */
    int64_t integer;    /* SQL_INTEGER; 0 or 1 for a boolean */
    double real;
    const char *bytes; /* SQL_TEXT, SQL_BLOB: lent, and followed by a NUL where text is bound */
    size_t len;
};

#define SQL_CURSOR_MAX 512
#define SQL_KEY_MAX 8 /* columns of a key */

/* sql_cursor_encode: append the cursor of n values to out. Errors -1 and err: a NULL among them, or
 * longer than SQL_CURSOR_MAX. out is untouched then. */
int sql_cursor_encode(struct buf *out, const struct sql_value *values, size_t n, struct err *err);

/* sql_cursor_decode: values[0..n) from bytes, into which they lend. Errors -1 and err: not exactly
 * a cursor of n columns. */
int sql_cursor_decode(
    const void *bytes, size_t len, struct sql_value *values, size_t n, struct err *err);

#define SQL_TEXT_MAX 4096 /* bytes of a parameter's value */

/* sql_value_parse: text, which ends with NUL and holds none, as a declared type. The value lends
 * into text. Errors -1 and err, whose text does not repeat the value. */
int sql_value_parse(struct sql_value *value, enum sql_type type, const char *text, struct err *err);

#endif
