/* fuzz: sql_cursor_decode. Whatever it takes is encoded to the same bytes again. The first byte is
 * the number of key columns. */
#include "../../connectors/sql_value.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    struct sql_value values[SQL_KEY_MAX];
    struct err err;
    size_t n = data[0] % (SQL_KEY_MAX + 1);
    uint8_t *bytes = malloc(size);
    memcpy(bytes, data + 1, size - 1);
    if (sql_cursor_decode(bytes, size - 1, values, n, &err) == 0) {
        struct buf again;
        buf_init(&again);
        if (sql_cursor_encode(&again, values, n, &err) != 0 || again.len != size - 1 ||
            memcmp(again.bytes, bytes, again.len) != 0) {
            abort();
        }
        buf_fini(&again);
    }
    free(bytes);
    return 0;
}
