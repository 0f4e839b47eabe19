/* config_expand: ${VAR}, ${VAR:-default} and ${file:/path} in the scalars of a configuration.
 *
 * Filled in after YAML was parsed, so what a variable or a file holds can never become structure.
 * ${VAR:-default} takes the default when VAR is unset or empty, as a shell does; the default ends
 * at the first '}'. ${file:PATH} is the file without its last line end. $${ stands for ${ itself.
 * Thread  init (getenv). */
#ifndef HEADGATE_CONFIG_EXPAND_H
#define HEADGATE_CONFIG_EXPAND_H

#include "err.h"

#include <stdbool.h>
#include <stddef.h>

#define CONFIG_EXPAND_FILE_MAX (64 * 1024)

/* config_expand_text: fill in text.
 * Owns    *out is the caller's to free; NULL when there was nothing to fill in.
 * Errors  -1 and err: a variable that is not set, a file that cannot be read (each by its name), a
 *         value that is no UTF-8, a ${ that is not closed. */
int config_expand_text(const char *text, char **out, struct err *err);

#endif
