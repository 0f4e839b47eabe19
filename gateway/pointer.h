/* pointer: a JSON Pointer (RFC 6901), compiled, and the value that it leads to, found in valid JSON
 * without a tree. Of two members of one name the last counts, as in JSON.parse. Immutable once
 * made. Thread  any. */
#ifndef HEADGATE_POINTER_H
#define HEADGATE_POINTER_H

#include "err.h"

#include <stdbool.h>
#include <stddef.h>

struct pointer;

/* pointer_new: at most FILTER_DEPTH_MAX parts. Errors NULL and err, a whole sentence. */
struct pointer *pointer_new(const char *text, struct err *err);
void pointer_free(struct pointer *pointer); /* NULL-safe */

/* pointer_find: json[0..len) is one valid JSON text. True: *value is the slice of the value.
 * Cost  one pass up to it at the most. */
bool pointer_find(const struct pointer *pointer, const char *json, size_t len, const char **value,
    size_t *value_len);

/* pointer_text: the value as text: a string without its escapes and quotes into out, which has room
 * for value_len bytes; anything else as it stands. Returns the length. */
size_t pointer_text(char *out, const char *value, size_t value_len);

#endif
