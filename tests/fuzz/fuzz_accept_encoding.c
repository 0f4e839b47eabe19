/* fuzz_accept_encoding: one Accept-Encoding value. What is chosen was offered, does not depend on
 * what else is, and identity is refused only by a header that has a zero. */
#include "http_encoding.h"

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

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    static const uint32_t both = CODING_BIT(CODING_GZIP) | CODING_BIT(CODING_ZSTD);
    static struct http_request request;
    enum coding coding, again;
    request.n_headers = 1;
    request.headers[0] = (struct http_header){{"Accept-Encoding", 15}, {(const char *)bytes, len}};
    bool taken = http_encoding_choose(&request, both, &coding);
    must(coding == CODING_IDENTITY || (taken && (both & CODING_BIT(coding)) != 0));
    must(taken || memchr(bytes, '0', len) != NULL);
    if (taken && coding != CODING_IDENTITY) { /* offered alone it is chosen too */
        must(http_encoding_choose(&request, CODING_BIT(coding), &again) && again == coding);
    } else { /* and where nothing is, with less there is not either */
        must(http_encoding_choose(&request, CODING_BIT(CODING_GZIP), &again) == taken);
        must(again == CODING_IDENTITY);
    }
    must(!http_encoding_choose(&request, 0, &again) || again == CODING_IDENTITY);
    return 0;
}
