/* fuzz_ws_offer: one Sec-WebSocket-Extensions value. Only what was offered is answered, and the
 * answer is one of two lines. */
#include "ws_deflate.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

#define ANSWER                                                                                     \
    "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; "                   \
    "client_no_context_takeover"

static void
must(int condition)
{
    if (!condition) {
        abort();
    }
}

static bool
has(const char *text, size_t len, const char *word)
{
    size_t word_len = strlen(word);
    for (size_t i = 0; i + word_len <= len; i++) {
        if (strncasecmp(text + i, word, word_len) == 0) {
            return true;
        }
    }
    return false;
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    static struct http_request request;
    struct buf line;
    const char *text = (const char *)bytes;
    buf_init(&line);
    request.n_headers = 1;
    request.headers[0] = (struct http_header){{"sec-websocket-extensions", 24}, {text, len}};
    bool accepted = ws_deflate_accept(&request, &line);
    must(accepted == (line.len != 0));
    must(!accepted || has(text, len, "permessage-deflate"));
    if (accepted) {
        bool window = line.len > strlen(ANSWER "\r\n");
        buf_addc(&line, '\0');
        must(strcmp(line.bytes,
                 window ? ANSWER "; server_max_window_bits=15\r\n" : ANSWER "\r\n") == 0);
        must(!window || has(text, len, "server_max_window_bits"));
    }
    buf_fini(&line);
    return 0;
}
