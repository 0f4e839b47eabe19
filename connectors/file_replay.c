/* file_replay: the thread of one replay: which files, one after another, from where; its life. What
 * is in one of them is file_replay_read.c's. */
#include "file_replay_internal.h"

#include "../gateway/mem.h"
#include "../gateway/stream_source.h"
#include "../gateway/token.h"
#include "file_id.h"
#include "wake_fd.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

const char *
file_replay_param(const struct file_settings *settings, size_t i)
{
    static const char *const names[] = {"rate", "speed"};
    if (i < 2) {
        return names[i];
    }
    return i - 2 < settings->n_variables ? settings->variables[i - 2] : NULL;
}

/* ---- all files ---- */

/* The lane's name; false: it is empty. */
static bool
identify(int fd, char name[FILE_ID_NAME_MAX])
{
    struct file_id id;
    if (!file_id_of(&id, fd, 1) && !file_id_of(&id, fd, 0)) {
        return false;
    }
    file_id_name(&id, name);
    return true;
}

static uint64_t
size_of(const struct file_replay *replay, size_t i)
{
    struct stat status;
    return stat(replay->files.paths[i], &status) == 0 ? (uint64_t)status.st_size : 0;
}

/* The last file that the token knows, and its place there. False: it knows none of them. */
static bool
find_place(struct file_replay *replay, size_t *file, uint64_t *begin)
{
    for (size_t i = replay->files.n; i-- > 0;) {
        char name[FILE_ID_NAME_MAX];
        int fd = file_names_open(replay->settings, replay->files.paths[i]);
        bool known = fd >= 0 && identify(fd, name);
        if (fd >= 0) {
            close(fd);
        }
        for (size_t k = 0; known && k < replay->n_lanes; k++) {
            if (replay->lanes[k].group_hash == token_group_hash(name)) {
                *file = i;
                *begin = replay->lanes[k].next;
                return true;
            }
        }
    }
    return false;
}

/* Open file i as a lane from begin on. *empty: there is nothing in it. False: it cannot be. */
static bool
open_file(struct file_replay *replay, size_t i, uint64_t begin, int *fd, bool *empty)
{
    char name[FILE_ID_NAME_MAX];
    struct stat status;
    replay->path = replay->files.paths[i];
    *fd = file_names_open(replay->settings, replay->path);
    if (*fd < 0 || fstat(*fd, &status) != 0) {
        return file_replay_fail(replay, "it cannot be opened", 0);
    }
    *empty = !identify(*fd, name);
    if (*empty) {
        return true;
    }
    replay->mtime_ms = status.st_mtim.tv_sec * INT64_C(1000) + status.st_mtim.tv_nsec / 1000000;
    replay->lane = stream_lane_add(replay->stream, name, 0, begin);
    if (replay->lane == STREAM_LANE_REFUSED) {
        return file_replay_fail(replay, "more files than a token can hold", 0);
    }
    stream_lane_file(replay->stream, replay->lane, replay->path, 0);
    replay->parser = file_parser_new(
        (enum file_format)replay->settings->format, stream_max_record_bytes(replay->stream));
    file_parser_seek(replay->parser, begin);
    replay->unpack = file_unpack_new(*fd, (enum file_compression)replay->settings->compression);
    return true;
}

static void
close_file(struct file_replay *replay, int fd)
{
    if (replay->parser != NULL) {
        file_replay_show(replay);
        stream_lane_remove(replay->stream, replay->lane);
    }
    file_parser_free(replay->parser);
    file_unpack_free(replay->unpack);
    replay->parser = NULL;
    replay->unpack = NULL;
    if (fd >= 0) {
        close(fd);
    }
}

static bool
replay_file(struct file_replay *replay, size_t i, uint64_t begin, bool *up)
{
    int fd;
    bool empty = true;
    bool good = open_file(replay, i, begin, &fd, &empty);
    if (good && !empty && !*up) {
        stream_source_up(replay->stream);
        *up = true;
    }
    good = good && (empty || file_replay_read(replay, begin));
    file_replay_show(replay);
    replay->done += size_of(replay, i);
    close_file(replay, fd);
    return good;
}

static void
replay_all(struct file_replay *replay)
{
    size_t first = 0;
    uint64_t begin = 0;
    bool up = false;
    if (replay->resumes && !find_place(replay, &first, &begin)) {
        stream_source_anew(replay->stream, "no file of the token is there any more");
    }
    for (size_t i = 0; i < replay->files.n; i++) {
        replay->total += size_of(replay, i);
        replay->done += i < first ? size_of(replay, i) : 0;
    }
    bool good = true;
    for (size_t i = first; i < replay->files.n && good; i++) {
        good = replay_file(replay, i, i == first ? begin : 0, &up);
    }
    if (!up) {
        stream_source_up(replay->stream);
    }
    if (!file_replay_is_over(replay)) {
        stream_source_end(replay->stream, good ? NULL : "source_failed", replay->failure);
    }
}

static void *
replay_main(void *replay_)
{
    replay_all(replay_);
    return NULL;
}

/* ---- its life ---- */

static void
replay_free(struct file_replay *replay)
{
    if (replay->wake_fd >= 0) {
        close(replay->wake_fd);
    }
    file_stager_free(replay->stager);
    file_names_free(&replay->files);
    free(replay->lanes);
    if (replay->block != NULL) {
        record_block_free(replay->block);
    } else {
        free(replay->buffer);
    }
    free(replay);
}

static int
take_params(struct file_replay *replay, const struct replay *from, struct err *err)
{
    for (size_t i = 0; i < from->n_params; i++) {
        const struct request_param *param = &from->params[i];
        int result = 0;
        if (strcmp(param->name, "rate") == 0) {
            result = file_pace_rate(&replay->pace, param->value, err);
        } else if (strcmp(param->name, "speed") == 0) {
            result = file_pace_speed(&replay->pace, param->value, err);
        }
        if (result != 0) {
            return -1;
        }
    }
    replay->by_time = replay->pace.speed > 0 || from->kind == REPLAY_TIME;
    if (replay->pace.speed > 0 && replay->pace.per_second > 0) {
        err_set(err, ERR_INVALID, "speed: not together with rate");
        return -1;
    }
    if (replay->by_time && replay->settings->time == NULL) {
        err_set(err, ERR_INVALID, "%s: the records of this stream have no time of their own",
            replay->pace.speed > 0 ? "speed" : "from");
        return -1;
    }
    if (from->kind == REPLAY_CURSOR) {
        err_set(err, ERR_INVALID, "from: the token is of another stream");
        return -1;
    }
    return 0;
}

static void
take_place(struct file_replay *replay, const struct replay *from)
{
    replay->begin_ms = from->kind == REPLAY_TIME ? from->time_ms : -1;
    replay->resumes = from->kind == REPLAY_LANES && from->n_lanes > 0;
    if (replay->resumes) {
        replay->lanes = mem_calloc(from->n_lanes, sizeof *replay->lanes);
        memcpy(replay->lanes, from->lanes, from->n_lanes * sizeof *replay->lanes);
        replay->n_lanes = from->n_lanes;
    }
}

static int
begin(struct file_replay *replay, const struct replay *from, struct err *err)
{
    if (take_params(replay, from, err) != 0 ||
        file_names_find(&replay->files, replay->settings, from, err) != 0 || from->probes) {
        return -1;
    }
    take_place(replay, from);
    replay->bulks =
        stream_takes_lines(replay->stream) && !replay->by_time && replay->pace.per_second <= 0;
    replay->stager = file_stager_new(replay->settings, replay->stream);
    if (replay->bulks && replay->settings->format == (int)FILE_NDJSON) {
        replay->block = record_block_new(FILE_READ_BYTES);
    }
    replay->buffer =
        replay->block == NULL ? mem_alloc(FILE_READ_BYTES) : record_block_bytes(replay->block);
    replay->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (replay->wake_fd < 0) {
        err_set_errno(err, errno, "stream %s: eventfd", stream_name(replay->stream));
        return -1;
    }
    int rc = pthread_create(&replay->thread, NULL, replay_main, replay);
    if (rc != 0) {
        err_set_errno(err, rc, "source thread of stream %s", stream_name(replay->stream));
        return -1;
    }
    pthread_setname_np(replay->thread, "file");
    return 0;
}

struct file_replay *
file_replay_start(const struct file_settings *settings, struct stream *stream,
    const struct replay *from, struct err *err)
{
    struct file_replay *replay = mem_calloc(1, sizeof *replay);
    replay->settings = settings;
    replay->stream = stream;
    replay->wake_fd = -1;
    if (begin(replay, from, err) != 0) {
        replay_free(replay);
        return NULL;
    }
    return replay;
}

void
file_replay_wake(struct file_replay *replay)
{
    wake_fd_raise(replay->wake_fd);
}

void
file_replay_cancel(struct file_replay *replay)
{
    atomic_store(&replay->stopping, true);
    file_replay_wake(replay);
}

void
file_replay_stop(struct file_replay *replay)
{
    file_replay_cancel(replay);
    pthread_join(replay->thread, NULL);
    replay_free(replay);
}
