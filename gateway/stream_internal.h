/* stream_internal: what the units that make up a stream share with each other and with no one else.
 */
#ifndef HEADGATE_STREAM_INTERNAL_H
#define HEADGATE_STREAM_INTERNAL_H

#include "stream.h"

struct lanes;

/* stream_add_place: append the token of place as this stream writes it: what a record's id is
 * compared with. */
void stream_add_place(struct stream *stream, const struct place *place, struct buf *out);

/* stream_lanes: lent for the stream's life. Thread any. */
struct lanes *stream_lanes(struct stream *stream);

/* stream_place_of: the position after record as its id says it; NULL: where every lane began. Owns
 * place->lanes is the caller's to free. Thread any. */
void stream_place_of(const struct record *record, struct place *place);

#endif
