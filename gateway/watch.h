/* watch: the progress of a download as a stream on request: GET .../progress?id=ID. It has no
 * records, only what every such stream tells: progress, then end or failed.
 *
 * It is a stream that no configuration names: the last of the shards' outlets, where a route is of
 * kind download. Any transport, heartbeats, the drain and slow readers are those of any stream. */
#ifndef HEADGATE_WATCH_H
#define HEADGATE_WATCH_H

#include "config.h"

#include <stdbool.h>
#include <stddef.h>

struct downloads;

/* The parameter of the source that names the file; no client can give it. */
#define WATCH_FILE "/file"

/* watch_config: what the stream is made of, and each request's: a ring that is never used. Thread
 * any. */
void watch_config(struct config_stream *config, struct downloads **downloads);

/* watch_is_served: config has a route of kind download. */
bool watch_is_served(const struct config *config);

/* watch_bound_bytes: of one watcher, beside its connection. */
uint64_t watch_bound_bytes(void);

/* watch_path: path is a download's with /progress behind it; its length without that, or 0. */
size_t watch_path(const char *path);

#endif
