/* cloudevent: a record as a CloudEvents 1.0 event in the JSON event format (CloudEvents spec 1.0.2,
 * cloudevents/formats/json-format.md and bindings/kafka-protocol-binding.md).
 *
 * A payload that is an event already (structured mode: a JSON object with specversion 1.0, id,
 * source and type) passes as it is, unless it has a member "event", which only control messages may
 * have. Headers that make an event (binary mode: ce_specversion 1.0, ce_id, ce_source, ce_type)
 * give its attributes. Any other record becomes one: id         partition/offset source     the
 * topic or file, as a URI reference: with id the same on every replica type       the record's own,
 * or headgate.record time       the record's subject    its key, where that is text A tombstone has
 * no data. headgatetoken is the resume token; an event that passes as it is has none. Made for each
 * batch that wants it, so nobody else pays. Thread  any: no state. */
#ifndef HEADGATE_CLOUDEVENT_H
#define HEADGATE_CLOUDEVENT_H

#include "buf.h"
#include "record.h"

/* cloudevent_add: append the event, on one line, without a newline. record is no gap. Cost
 * O(bytes).
 */
void cloudevent_add(struct buf *out, const struct record *record);

#endif
