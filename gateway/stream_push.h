/* stream_push: what clients post to a stream. Thread  any. */
#ifndef HEADGATE_STREAM_PUSH_H
#define HEADGATE_STREAM_PUSH_H

#include "buf.h"
#include "push_queue.h"

struct stream;

/* stream_push_queue: on its way to the source; lent for the stream's life. NULL: it takes none. */
struct push_queue *stream_push_queue(const struct stream *stream);

/* stream_push_wake: tell the source that something is in the queue. Blocks no. */
void stream_push_wake(struct stream *stream);

/* stream_push_token: append the token that resumes right behind what a post has written: state is
 * that of a post which has places. In lanes that it did not write to it is the position now. */
void stream_push_token(struct stream *stream, const struct push_state *state, struct buf *token);

#endif
