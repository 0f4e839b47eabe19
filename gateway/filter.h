/* filter: which records a subscriber wants: keys, and comparisons with members of a JSON payload.
 *
 * A record passes when its key is one of the filter's keys (if it has any) and all its comparisons
 * hold. A comparison is POINTER OP LITERAL. POINTER is a JSON Pointer (RFC 6901) and ends where the
 * first operator begins, so member names with ==, !=, < or > in them cannot be named. LITERAL is a
 * JSON string, number, true, false or null if it parses as one, else a string as it stands; an
 * object or array is refused.
 *
 *   ==            same type and equal: numbers by value, exactly (1 == 1.0 == 1e0, without rounding
 *                 to a double); strings without their escapes
 *   !=            whatever == is not: a missing member and one of another type are unequal
 *   < <= > >=     two numbers, or two strings by their bytes in UTF-8; else false
 *
 * A missing member makes every comparison false but !=. Of two members of one name the last counts,
 * as in JSON.parse. Tombstones (but see filter_keep_tombstones), and payloads that are not JSON,
 * pass no comparison, not even !=. A
 * record without a key passes no key.
 *
 * Filters with equal texts are the same filter: keys and comparisons are sorted in it, each there
 * once. Immutable once sealed. Thread  any. */
#ifndef HEADGATE_FILTER_H
#define HEADGATE_FILTER_H

#include "err.h"
#include "record.h"

#include <stdbool.h>
#include <stddef.h>

#define FILTER_KEYS_MAX 16
#define FILTER_WHERES_MAX 8
#define FILTER_DEPTH_MAX 16
#define FILTER_TEXT_MAX 4096 /* of the canonical text; memory is less than 4 times that */

struct filter;

/* filter_new: without a key or comparison it passes every record. Returns one reference. */
struct filter *filter_new(void);
struct filter *filter_ref(struct filter *filter);
void filter_unref(struct filter *filter); /* NULL-safe */

/* filter_add_key: any bytes, none too. filter_add_where: a comparison as above.
 * Errors  -1 and err, which starts with the parameter's name (key or where) and holds no byte of
 *         the text; the filter is as before. */
int filter_add_key(struct filter *filter, const char *bytes, size_t len, struct err *err);
int filter_add_where(struct filter *filter, const char *text, size_t len, struct err *err);

/* filter_seal: make the canonical text. Nothing is added afterwards. */
void filter_seal(struct filter *filter);
bool filter_same(const struct filter *a, const struct filter *b); /* NULL: no filter */
const char *filter_text(const struct filter *filter);             /* lent */

/* filter_set_view: of what a stream says in several ways, only those records that are of this view
 * (RECORD_VIEW_), or of every one. Once it is sealed, before it is shared. filter_is_view: it asks
 * for nothing else.
 */
void filter_set_view(struct filter *filter, unsigned view);
bool filter_is_view(const struct filter *filter);

/* filter_keep_tombstones: of a table's stream: a tombstone passes every comparison, since who has
 * the key must learn that it is gone. Before it is shared. */
void filter_keep_tombstones(struct filter *filter);

/* filter_has_keys: it has some; NULL has none. filter_passes_key: a record whose key is json, as
 * its text shows it (no bytes: it has none), may pass: it is one of them, or there are none. */
bool filter_has_keys(const struct filter *filter);
bool filter_passes_key(const struct filter *filter, const char *json, size_t len);

/* filter_passes: a gap record always does.
 * Cost  the key is compared first; then one pass over the payload for all comparisons together,
 *       without an allocation: about 1 ns a byte. Blocks  no. */
bool filter_passes(const struct filter *filter, const struct record *record);

#endif
