/* config_words: what a key takes, in words, for the schema's descriptions and the reference.
 * Thread  init. */
#ifndef HEADGATE_CONFIG_WORDS_H
#define HEADGATE_CONFIG_WORDS_H

#include "buf.h"
#include "config_table.h"

/* config_words_bounds: append "4KiB to 16MiB" or "at least 1"; nothing where the key has no bounds.
 */
void config_words_bounds(struct buf *out, const struct config_key *key);

/* config_words_kind: append what the value is: "size, 4KiB to 16MiB", "one of a, b". */
void config_words_kind(struct buf *out, const struct config_key *key);

#endif
