/* file_tail: files that grow, as one live stream. Each file is a lane; see connectors/DESIGN.md for
 * what happens at a rotation. Thread  as connector.h says. */
#ifndef HEADGATE_FILE_TAIL_H
#define HEADGATE_FILE_TAIL_H

#include "connector.h"
#include "file_settings.h"

/* What is kept in memory of a half-written line between two looks; a longer one is read again. */
#define FILE_TAIL_KEEP_BYTES (UINT32_C(4) << 10)

struct file_tail;

struct file_tail *file_tail_start(const struct file_settings *settings, struct stream *stream,
    const struct replay *replay, struct err *err);
void file_tail_wake(struct file_tail *tail);
void file_tail_stop(struct file_tail *tail);

#endif
