/* file_replay: files from their beginning, or from a token, to their end, one after another in the
 * order of their paths, for one request. A file is a lane; only the one in work may be unread, so
 * the place is that of the last one that a token has. Thread  as connector.h says. */
#ifndef HEADGATE_FILE_REPLAY_H
#define HEADGATE_FILE_REPLAY_H

#include "connector.h"
#include "file_settings.h"

struct file_replay;

/* file_replay_param: the i-th parameter of a request: rate, speed, the variables of the paths. */
const char *file_replay_param(const struct file_settings *settings, size_t i);

struct file_replay *file_replay_start(const struct file_settings *settings, struct stream *stream,
    const struct replay *replay, struct err *err);
void file_replay_wake(struct file_replay *replay);
void file_replay_cancel(struct file_replay *replay);
void file_replay_stop(struct file_replay *replay);

#endif
