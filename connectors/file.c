/* file: the row of the file connector: the source is that of the configured mode. */
#include "file.h"

#include "../gateway/mem.h"
#include "file_replay.h"
#include "file_tail.h"

#include <stdlib.h>

/* One of the two. */
struct source {
    struct file_tail *tail;
    struct file_replay *replay;
};

static bool
file_on_request(const void *settings)
{
    return ((const struct file_settings *)settings)->mode == FILE_REPLAY;
}

static const char *
file_param(const void *settings, size_t i)
{
    return file_on_request(settings) ? file_replay_param(settings, i) : NULL;
}

static struct source *
file_start(
    const void *settings, struct stream *stream, const struct replay *replay, struct err *err)
{
    struct source made = {NULL, NULL};
    if (file_on_request(settings)) {
        made.replay = file_replay_start(settings, stream, replay, err);
    } else {
        made.tail = file_tail_start(settings, stream, replay, err);
    }
    if (made.replay == NULL && made.tail == NULL) {
        return NULL;
    }
    struct source *source = mem_alloc(sizeof *source);
    *source = made;
    return source;
}

static void
file_wake(struct source *source)
{
    if (source->tail != NULL) {
        file_tail_wake(source->tail);
    } else {
        file_replay_wake(source->replay);
    }
}

static void
file_cancel(struct source *source)
{
    if (source->replay != NULL) {
        file_replay_cancel(source->replay);
    }
}

static void
file_stop(struct source *source)
{
    if (source->tail != NULL) {
        file_tail_stop(source->tail);
    } else {
        file_replay_stop(source->replay);
    }
    free(source);
}

const struct connector file_connector = {
    .name = "file",
    .section = &file_section,
    .check = file_settings_check,
    .memory_bound_bytes = file_settings_memory_bytes,
    .descriptor_bound = file_settings_descriptors,
    .capabilities = CONNECTOR_REPLAYS | CONNECTOR_FILES,
    .on_request = file_on_request,
    .request_param = file_param,
    .start = file_start,
    .wake = file_wake,
    .cancel = file_cancel,
    .stop = file_stop,
};
