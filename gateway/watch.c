/* watch: see watch.h. A source without a thread: the downloads tell it what there is to say. */
#include "watch.h"

#include "../connectors/connector.h"
#include "bound.h"
#include "downloads.h"
#include "mem.h"
#include "stream_source.h"

#include <stdlib.h>
#include <string.h>

#define RING_RECORDS 16
#define RING_BYTES 4096
/* The stream, its outlet and its feed. */
#define STREAM_BYTES UINT64_C(10240)

struct source {
    struct watch watch;
};

static const char *
request_param(const void *settings, size_t i)
{
    (void)settings;
    return i == 0 ? "id" : NULL;
}

static const char *
param(const struct replay *replay, const char *name)
{
    for (size_t i = 0; i < replay->n_params; i++) {
        if (strcmp(replay->params[i].name, name) == 0) {
            return replay->params[i].value;
        }
    }
    return NULL;
}

static struct source *
start(const void *settings, struct stream *stream, const struct replay *replay, struct err *err)
{
    struct downloads *const *downloads = settings;
    const char *file = param(replay, WATCH_FILE);
    const char *id = param(replay, "id");
    if (file == NULL || id == NULL || !downloads_id_valid(id)) {
        err_set(err, ERR_INVALID,
            "id: give the download itself ?progress=ID, %d to %d letters, digits, - or _ that "
            "nobody can guess, and here the same id=ID",
            DOWNLOAD_ID_LEAST, DOWNLOAD_ID_MOST);
        return NULL;
    }
    struct source *source = mem_calloc(1, sizeof *source);
    stream_lane_add(stream, "download", 0, 0);
    stream_source_up(stream);
    downloads_watch(*downloads, &source->watch, file, id, stream);
    return source;
}

static bool
on_request(const void *settings)
{
    (void)settings;
    return true;
}

static void
wake(struct source *source)
{
    (void)source; /* it holds no records back */
}

static void
stop(struct source *source)
{
    downloads_unwatch(&source->watch);
    free(source);
}

static uint64_t
nothing(const void *settings)
{
    (void)settings;
    return 0;
}

static const struct connector watch_connector = {
    .name = "download",
    .memory_bound_bytes = nothing,
    .descriptor_bound = nothing,
    .on_request = on_request,
    .request_param = request_param,
    .start = start,
    .wake = wake,
    .stop = stop,
};

void
watch_config(struct config_stream *config, struct downloads **downloads)
{
    static char name[] = "download";
    *config = (struct config_stream){
        .name = name,
        .connector = &watch_connector,
        .settings = downloads,
        .ring_records = RING_RECORDS,
        .ring_bytes = RING_BYTES,
        .slow_policy = SLOW_PAUSE,
        .slow_allow = UINT32_C(1) << SLOW_PAUSE,
        .queue_records = RING_RECORDS / 2,
        .queue_bytes = RING_BYTES / 2,
    };
}

bool
watch_is_served(const struct config *config)
{
    for (size_t i = 0; i < config->n_routes; i++) {
        if (config->routes[i].kind == ROUTE_DOWNLOAD) {
            return true;
        }
    }
    return false;
}

uint64_t
watch_bound_bytes(void)
{
    struct config_stream config;
    watch_config(&config, NULL);
    return bound_stream_bytes(&config) + STREAM_BYTES + DOWNLOADS_WATCHED_BYTES;
}

size_t
watch_path(const char *path)
{
    static const char suffix[] = "/progress";
    size_t len = strlen(path), end = sizeof suffix - 1;
    return len > end && strcmp(path + len - end, suffix) == 0 ? len - end : 0;
}
