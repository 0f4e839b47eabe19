/* llm_inflate: zlib, in steps. */
#include "llm_inflate.h"

#include <string.h>
#include <strings.h>

#define ANY_HEADER (MAX_WBITS + 32) /* gzip or zlib, as the data says */

bool
llm_inflate_init(struct llm_inflate *packed, const char *encoding)
{
    *packed = (struct llm_inflate){0};
    if (strcasecmp(encoding, "gzip") != 0 && strcasecmp(encoding, "x-gzip") != 0 &&
        strcasecmp(encoding, "deflate") != 0) {
        return false;
    }
    packed->open = inflateInit2(&packed->zlib, ANY_HEADER) == Z_OK;
    return packed->open;
}

void
llm_inflate_fini(struct llm_inflate *packed)
{
    if (packed->open) {
        inflateEnd(&packed->zlib);
    }
    packed->open = false;
}

long
llm_inflate_step(
    struct llm_inflate *packed, const char **at, const char *end, char *out, size_t size)
{
    z_stream *zlib = &packed->zlib;
    /* zlib does not write there; its type has no const. */
    memcpy(&zlib->next_in, at, sizeof zlib->next_in);
    zlib->avail_in = (uInt)(end - *at);
    zlib->next_out = (Bytef *)out;
    zlib->avail_out = (uInt)size;
    int result = inflate(zlib, Z_SYNC_FLUSH);
    if (result == Z_STREAM_END) {
        *at = end;
    } else if (result == Z_OK || result == Z_BUF_ERROR) {
        *at = end - zlib->avail_in;
    } else {
        return -1;
    }
    return (long)(size - zlib->avail_out);
}
