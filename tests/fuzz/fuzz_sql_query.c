/* fuzz: sql_query_scan. The first byte chooses the dialect. What is taken can be put into
 * parentheses: read with its own rules again, as a query around it, it is still one statement. */
#include "../../connectors/sql_query.h"
#include "../../gateway/buf.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The placeholders would be refused: names stand in their place. */
static void
add_named(struct buf *out, const char *text, char sign)
{
    for (; *text != '\0'; text++) {
        bool placeholder = *text == sign && text[-1] == ' ' && text[1] >= '0' && text[1] <= '9';
        buf_adds(out, placeholder ? ":p" : "");
        if (!placeholder) {
            buf_addc(out, *text);
        }
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    enum sql_dialect dialect = data[0] % 2 == 0 ? SQL_POSTGRES : SQL_SQLITE;
    struct sql_query query = {0}, again = {0};
    struct err err;
    char *text = malloc(size);
    memcpy(text, data + 1, size - 1);
    if (sql_query_scan(&query, text, size - 1, dialect, &err) == 0) {
        for (size_t i = 0; i < query.n_names; i++) {
            if (!sql_name_valid(query.names[i], strlen(query.names[i]))) {
                abort();
            }
        }
        struct buf around;
        buf_init(&around);
        buf_adds(&around, "select * from (\n");
        add_named(&around, query.text, dialect == SQL_POSTGRES ? '$' : '?');
        buf_adds(&around, "\n) as q where :own");
        if (sql_query_scan(&again, around.bytes, around.len, dialect, &err) != 0) {
            abort();
        }
        if (strcmp(again.names[again.n_names - 1], "own") != 0) {
            abort(); /* the end was inside of something */
        }
        sql_query_fini(&again);
        sql_query_fini(&query);
        buf_fini(&around);
    }
    free(text);
    return 0;
}
