/* place: where in a stream something begins or ends, as subscribers say it. Any thread: no state.
 */
#ifndef HEADGATE_PLACE_H
#define HEADGATE_PLACE_H

#include "buf.h"
#include "err.h"
#include "token.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum place_kind { PLACE_NONE, PLACE_LATEST, PLACE_EARLIEST, PLACE_TIME, PLACE_TOKEN };

struct place {
    enum place_kind kind;
    int64_t time_ms;          /* PLACE_TIME: Unix milliseconds ("-10m" is resolved against now) */
    struct token_lane *lanes; /* PLACE_TOKEN: as in struct token. Owned: free() is all it takes */
    size_t n_lanes;
    const uint8_t *cursor; /* NULL: lanes */
    size_t cursor_len;
};

/* place_parse: "latest", "earliest", "-10m", RFC 3339, or a token. Errors -1 and err, which holds
 * client text only as printable ASCII. Owns: place_fini frees what the place holds. */
int place_parse(struct place *place, const char *text, int64_t now_ms,
    const struct token_keys *keys, struct err *err);

/* place_of_token: the place that text says; keys as of token_decode. Errors -1 and err. */
int place_of_token(struct place *place, const char *text, size_t len, const struct token_keys *keys,
    struct err *err);

/* place_add_token: append the token of place, which is a PLACE_TOKEN. */
void place_add_token(struct buf *out, const struct place *place, const struct token_keys *keys);

/* place_same: they are the same. place_same_lanes: both are tokens of the same lanes. place_apart:
 * then, how many offsets lie between them, summed over the lanes; else UINT64_MAX. */
bool place_same(const struct place *a, const struct place *b);
bool place_same_lanes(const struct place *a, const struct place *b);
uint64_t place_apart(const struct place *a, const struct place *b);

/* place_fini: free what it holds; it is a PLACE_NONE then. */
void place_fini(struct place *place);

#endif
