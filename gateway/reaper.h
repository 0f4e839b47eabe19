/* reaper: stops and frees streams that a shard has no more use for, on a thread of its own, since
 * stopping a source blocks. Create and free are in catchup.h.  Thread  any. */
#ifndef HEADGATE_REAPER_H
#define HEADGATE_REAPER_H

struct reaper;
struct stream;

/* reaper_take: stop and free stream, then free(memory), which the stream's configuration lies in.
 */
void reaper_take(struct reaper *reaper, struct stream *stream, void *memory);

#endif
