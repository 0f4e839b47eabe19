/* fuzz_params: the input is a Last-Event-ID value, a line feed and a query string. An error must be
 * printable ASCII (JSON and logs carry it), and a success must be within the bounds that params.h
 * names. */
#include "params.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static void
must(int condition)
{
    if (!condition) {
        abort();
    }
}

static void
check(const struct params *params)
{
    must(params->from.kind != PLACE_NONE);
    must(params->to.kind != PLACE_EARLIEST);
    must((params->from.kind == PLACE_TOKEN) == (params->from.lanes != NULL));
    must((params->to.kind == PLACE_TOKEN) == (params->to.lanes != NULL));
    must(!params->has_limit || (params->limit >= 1 && params->limit <= UINT64_C(1) << 53));
    must(params->queue_records <= 1000000 && params->max_rate <= 1000000);
    must(params->heartbeat_ms == 0 ||
         (params->heartbeat_ms >= 1000 && params->heartbeat_ms <= 3600000));
    must(params->format <= FORMAT_JSON && params->envelope < ENVELOPE_COUNT);
    must(params->slow < SLOW_POLICY_COUNT);
    must(params->n_own <= 2);
}

static const char *
own_name(const void *self, size_t i)
{
    (void)self;
    return i == 0 ? "region" : i == 1 ? "rate" : NULL;
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    static const struct params_scope scope = {
        .now_ms = INT64_C(1769860800000), .own = {.name = own_name}};
    static struct http_request request;
    struct params params;
    struct err err = {.code = ERR_NONE};
    const char *text = (const char *)bytes;
    const char *line = len == 0 ? NULL : memchr(text, '\n', len);
    size_t id_len = line == NULL ? 0 : (size_t)(line - text);
    size_t skipped = line == NULL ? 0 : id_len + 1;
    request.n_headers = 1;
    request.headers[0].name = (struct slice){"Last-Event-ID", 13};
    request.headers[0].value = (struct slice){text, id_len};
    request.query = (struct slice){text + skipped, len - skipped};
    if (params_parse(&params, &request, &scope, &err) == 0) {
        check(&params);
    } else {
        must(err.code != ERR_NONE && err.text[0] != '\0');
        for (const char *c = err.text; *c != '\0'; c++) {
            must(*c >= 0x20 && *c < 0x7f);
        }
    }
    params_fini(&params);
    return 0;
}
