/* llm_json: looks into JSON text without making anything of it.
 *
 * A value is a slice of a text that llm_json_root has checked. What a model wrote is passed on as
 * the very bytes that came: no number is rounded, and half a surrogate pair (\ud83d alone, which
 * upstreams that cut texts by UTF-16 units send) stays as it is and meets its other half where the
 * pieces are put together. A tree of jansson's has room for neither: it refuses lone surrogates and
 * integers over 64 bits.
 *
 * An absent value has at NULL; every function takes one and finds nothing in it.
 * Cost  O(bytes of the object) for each look-up.  Thread  any: no state. */
#ifndef HEADGATE_LLM_JSON_H
#define HEADGATE_LLM_JSON_H

#include "../gateway/buf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct llm_value {
    const char *at; /* lent from the text */
    size_t len;
};

/* llm_json_root: the value of a whole JSON text; absent when it is none. */
struct llm_value llm_json_root(const char *text, size_t len);

/* llm_json_get: a member of an object, the last of that name. */
struct llm_value llm_json_get(struct llm_value object, const char *name);

/* llm_json_pick: the members with those names, absent where there is none, each the last of its
 * name: values[i] is that of names[i], which is not empty. Cost  O(bytes of the object), once for
 * all. */
void llm_json_pick(
    struct llm_value object, const char *const *names, struct llm_value *values, size_t n);

/* Items of an array, or members of an object: start at a zeroed iterator. Names are string
 * values. */
struct llm_iter {
    size_t place;
};
bool llm_json_item(struct llm_value array, struct llm_iter *iter, struct llm_value *item);
bool llm_json_member(struct llm_value object, struct llm_iter *iter, struct llm_value *name,
    struct llm_value *value);

bool llm_json_is_string(struct llm_value value);
bool llm_json_is_object(struct llm_value value);
bool llm_json_is_array(struct llm_value value);
bool llm_json_is_null(struct llm_value value); /* null, or absent */
bool llm_json_is_true(struct llm_value value);

/* llm_json_is: it is a string, and says text (ASCII). */
bool llm_json_is(struct llm_value value, const char *text);

/* llm_json_u64: a whole number that is not negative; else false, *number as it was. */
bool llm_json_u64(struct llm_value value, uint64_t *number);

/* llm_json_inside: a string's content as it is written, without its quotes; absent where it is no
 * string or empty. Contents one behind the other are the content of one string. */
struct llm_value llm_json_inside(struct llm_value string);

/* llm_json_text: append a string's text as UTF-8; half a surrogate pair becomes U+FFFD. content is
 * what llm_json_inside gives. */
void llm_json_text(struct buf *out, struct llm_value content);

/* llm_json_add: append a value on one line, as it is but for white space between tokens. */
void llm_json_add(struct buf *out, struct llm_value value);

/* llm_json_escape: append the content (no quotes) of a string that says text; any bytes. */
void llm_json_escape(struct buf *out, const char *text, size_t len);

#endif
