/* plain_json: the grammar of JSON once more, plainly, to judge the scanner by. */
#ifndef HEADGATE_PLAIN_JSON_H
#define HEADGATE_PLAIN_JSON_H

#include "buf.h"
#include "json.h"

/* plain_json_scan: what json_scan must say of text. */
enum json_kind plain_json_scan(const char *text, size_t len, size_t *start, size_t *end);

/* plain_json_random: append a random value: texts that are valid, long, and full of what the fast
 * paths stop at. */
void plain_json_random(struct buf *out, unsigned *seed, int depth);

#endif
