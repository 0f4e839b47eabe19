/* token_writer: the tokens of a position that moves on in one lane at a time. Such a token is what
 * the last one was but for a few characters: only these are made anew, and the code over all.
 *
 * Invariant: raw and text are of lanes, or n is 0. Thread  whoever owns it. */
#ifndef HEADGATE_TOKEN_WRITER_H
#define HEADGATE_TOKEN_WRITER_H

#include "token.h"

struct token_writer {
    struct token_lane *lanes; /* of the token that was written last */
    size_t n;
    uint32_t *at; /* the place of lanes[i] begins at raw[at[i]] */
    uint8_t *raw; /* without the code */
    size_t raw_len;
    char *text; /* of the first raw_len / 3 * 3 bytes of raw */
};

void token_writer_fini(struct token_writer *writer); /* one of zeros is a new one */

/* token_writer_add: append what token_encode would. moved: the lane whose place is not that of the
 * last call; any other change is seen, and costs what token_encode does. The keys are the same at
 * each call. Cost  a look at each lane, and the signature's. */
void token_writer_add(struct token_writer *writer, struct buf *out, const struct token_lane *lanes,
    size_t n, size_t moved, const struct token_keys *keys);

#endif
