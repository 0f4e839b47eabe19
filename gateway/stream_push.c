/* stream_push: see stream_push.h. */
#include "stream_push.h"

#include "lanes.h"
#include "stream_state.h"

struct push_queue *
stream_push_queue(const struct stream *stream)
{
    return stream->pushes;
}

void
stream_push_wake(struct stream *stream)
{
    pthread_mutex_lock(&stream->source_lock);
    if (stream->source != NULL) {
        stream->config->connector->wake(stream->source);
    }
    pthread_mutex_unlock(&stream->source_lock);
}

void
stream_push_token(struct stream *stream, const struct push_state *state, struct buf *token)
{
    lanes_behind(stream->lanes, state->group, state->places, state->n_places, token);
}
