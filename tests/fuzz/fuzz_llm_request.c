/* fuzz: llm_request and the dialects' builders. What is built is one line of JSON; what is refused
 * is refused with a sentence. */
#include "json.h"
#include "llm_dialect.h"
#include "llm_request.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check(const struct llm_dialect *dialect, const struct llm_request *request)
{
    struct err err = {0};
    struct buf body;
    size_t start, end;
    buf_init(&body);
    if (dialect->build(request, &body, &err) != 0) {
        if (err.code != ERR_INVALID || err.text[0] == '\0') {
            abort();
        }
    } else if (json_scan(body.bytes, body.len, &start, &end) != JSON_ONE_LINE) {
        abort();
    }
    buf_fini(&body);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct llm_request request;
    struct err err = {0};
    if (llm_request_parse(&request, (const char *)data, size, &err) == 0) {
        for (size_t i = 0; llm_dialects[i] != NULL; i++) {
            check(llm_dialects[i], &request);
        }
    }
    return 0;
}
