/* fuzz: llm_in. The first byte chooses the dialect, the rest is a request's body. What passes on,
 * and what is built of the common form, is one line of JSON; what is refused says why. */
#include "json.h"
#include "llm_in.h"

#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
must(bool condition)
{
    if (!condition) {
        abort();
    }
}

static void
must_be_json(const struct buf *body)
{
    size_t start, end;
    must(json_scan(body->bytes, body->len, &start, &end) == JSON_ONE_LINE);
}

static void
build(const struct llm_request *request)
{
    for (size_t i = 0; llm_dialects[i] != NULL; i++) {
        struct buf body;
        struct err err = {0};
        buf_init(&body);
        if (llm_in_says(llm_dialects[i], request, &err) == 0 &&
            llm_dialects[i]->build(request, &body, &err) == 0) {
            must_be_json(&body);
        } else {
            must(err.code == ERR_INVALID && err.text[0] != '\0');
        }
        buf_fini(&body);
    }
}

static void
cross(const struct llm_in_dialect *dialect, const struct llm_in *in)
{
    struct buf common;
    struct llm_request request;
    struct err err = {0};
    buf_init(&common);
    if (llm_in_cross(dialect, in, &common, &err) == 0) {
        must_be_json(&common);
        if (llm_request_parse(&request, common.bytes, common.len, &err) == 0) {
            build(&request);
        }
    } else {
        must(err.code == ERR_INVALID && err.text[0] != '\0');
    }
    buf_fini(&common);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct llm_in in;
    struct err err = {0};
    if (size == 0) {
        return 0;
    }
    const struct llm_in_dialect *dialect = llm_in_dialects[data[0] % LLM_IN_COUNT];
    if (llm_in_look(&in, (const char *)data + 1, size - 1, &err) == 0) {
        struct buf body;
        buf_init(&body);
        llm_in_pass(dialect, &in, &body);
        must_be_json(&body);
        buf_fini(&body);
        cross(dialect, &in);
    } else {
        must(err.code == ERR_INVALID && err.text[0] != '\0');
    }
    return 0;
}
