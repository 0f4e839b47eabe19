/* reaper: stops and frees what a shard has no more use for, on a thread of its own, since stopping
 * a source blocks.  Thread  any, but for new and free. */
#ifndef HEADGATE_REAPER_H
#define HEADGATE_REAPER_H

#include "err.h"

struct reaper;

/* reaper_new: its thread starts. Errors NULL and err. reaper_free buries what it was given and
 * joins. Thread init. */
struct reaper *reaper_new(struct err *err);
void reaper_free(struct reaper *reaper); /* NULL-safe */

/* reaper_take: call bury(dead) on the reaper's thread; it may block. */
void reaper_take(struct reaper *reaper, void (*bury)(void *dead), void *dead);

#endif
