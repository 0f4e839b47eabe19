/* file: the row of the file connector: settings, and the source of the configured mode. */
#include "file.h"

#include "../gateway/mem.h"
#include "file_tail.h"

#include <stdlib.h>

struct source {
    struct file_tail *tail;
};

static struct source *
file_start(
    const void *settings, struct stream *stream, const struct replay *replay, struct err *err)
{
    struct file_tail *tail = file_tail_start(settings, stream, replay, err);
    if (tail == NULL) {
        return NULL;
    }
    struct source *source = mem_calloc(1, sizeof *source);
    source->tail = tail;
    return source;
}

static void
file_wake(struct source *source)
{
    file_tail_wake(source->tail);
}

static void
file_stop(struct source *source)
{
    file_tail_stop(source->tail);
    free(source);
}

const struct connector file_connector = {
    .name = "file",
    .section = &file_section,
    .check = file_settings_check,
    .memory_bound_bytes = file_settings_memory_bytes,
    .descriptor_bound = file_settings_descriptors,
    .capabilities = CONNECTOR_REPLAYS | CONNECTOR_FILES,
    .start = file_start,
    .wake = file_wake,
    .stop = file_stop,
};
