/* fuzz_token: any text from a client. What is taken as a token encodes to the same text. */
#include "../../gateway/token.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct token_lane *lanes;
    size_t n;
    struct err err;
    char *text = malloc(size == 0 ? 1 : size);
    if (size != 0) {
        memcpy(text, data, size);
    }
    if (token_decode(text, size, &lanes, &n, &err) == 0) {
        struct buf again;
        buf_init(&again);
        token_encode(&again, lanes, n);
        if (again.len != size || memcmp(again.bytes, text, size) != 0) {
            abort();
        }
        buf_fini(&again);
        free(lanes);
    }
    free(text);
    return 0;
}
