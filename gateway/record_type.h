/* record_type: which names a record may have as its type: "type" in its envelopes, and the name of
 * its event on SSE. Thread  any: no state.
 *
 * A letter, then letters, digits and . _ -, RECORD_TYPE_MAX in all, so that it needs no escape
 * anywhere. On SSE the name alone tells a record from a control message, so the names of these are
 * refused, and those that an EventSource dispatches itself. `progress` may be a record's: that
 * control message is sent only in streams that a request made and whose length is known, whose
 * sources give no types. */
#ifndef HEADGATE_RECORD_TYPE_H
#define HEADGATE_RECORD_TYPE_H

#include <stdbool.h>
#include <stddef.h>

#define RECORD_TYPE_MAX 64

/* The header of a Kafka message that holds the type of its record. */
#define RECORD_TYPE_HEADER "headgate-type"

/* record_type_fault: why name[0..len) may not be a type, a literal; NULL: it may. */
const char *record_type_fault(const char *name, size_t len);

#endif
