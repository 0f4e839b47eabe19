/* fuzz: pg_add_json. Whatever a server sends as the text of a value, what comes out is one JSON
 * value on one line. The first two bytes choose the type, and of what it is an array. */
#include "../../connectors/sql_pg_types.h"
#include "../../gateway/json.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const unsigned types[] = {PG_BOOL, PG_BYTEA, PG_INT8, PG_TEXT, PG_JSON, PG_FLOAT8,
        PG_TIMESTAMP, PG_TIMESTAMPTZ, PG_NUMERIC, PG_JSONB};
    const size_t n = sizeof types / sizeof *types;
    if (size < 2) {
        return 0;
    }
    const struct sql_column column = {.type = types[data[0] % n],
        .element = data[1] % (n + 1) == n ? 0 : types[data[1] % (n + 1)],
        .delimiter = ','};
    size_t len = size - 2;
    char *text = malloc(len + 1);
    memcpy(text, data + 2, len);
    text[len] = '\0';
    struct buf out;
    buf_init(&out);
    pg_add_json(&out, &column, text, len);
    size_t start, end;
    if (json_scan(out.bytes, out.len, &start, &end) != JSON_ONE_LINE) {
        abort();
    }
    buf_fini(&out);
    free(text);
    return 0;
}
