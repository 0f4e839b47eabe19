/* llm_inflate: a body that came as gzip or deflate although nobody asked for it, unpacked a little
 * at a time: libcurl would unpack a whole read at once and keep what its reader has no room for,
 * which a small input can make as large as it likes. Thread  one at a time. */
#ifndef HEADGATE_LLM_INFLATE_H
#define HEADGATE_LLM_INFLATE_H

#include <stdbool.h>
#include <stddef.h>
#include <zlib.h>

struct llm_inflate {
    z_stream zlib;
    bool open;
};

/* llm_inflate_init: for a Content-Encoding (not NULL). false: it is none that is known. */
bool llm_inflate_init(struct llm_inflate *packed, const char *encoding);
void llm_inflate_fini(struct llm_inflate *packed);

/* llm_inflate_step: take from *at on, at most to end, and write at most size bytes to out.
 * Returns  how many were written; 0: all of the input was taken, or what follows the end of the
 * data is not looked at. -1: it is not what it says to be. */
long llm_inflate_step(
    struct llm_inflate *packed, const char **at, const char *end, char *out, size_t size);

#endif
