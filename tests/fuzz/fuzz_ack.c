/* fuzz_ack: the body of an ack. What is taken is a resume token, and gives itself again. */
#include "server.h"
#include "token.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err err = {.code = ERR_NONE};
    char *id = ack_parse((struct slice){(const char *)data, size}, &err);
    if (id == NULL) {
        if (err.code != ERR_INVALID || err.text[0] == '\0') {
            abort();
        }
        return 0;
    }
    struct token token;
    if (token_decode(id, strlen(id), NULL, &token, &err) != 0) {
        abort();
    }
    free(token.lanes);
    free(id);
    return 0;
}
