/* file_replay: the thread of one replay: files, one after another, as the stream has room and the
 * pace lets records through. */
#include "file_replay.h"

#include "../gateway/clock.h"
#include "../gateway/mem.h"
#include "../gateway/stream_source.h"
#include "../gateway/token.h"
#include "file_bulk.h"
#include "file_id.h"
#include "file_names.h"
#include "file_pace.h"
#include "file_stage.h"
#include "file_unpack.h"
#include "wake_fd.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#define TICK_NS INT64_C(200000000)
/* A batch is shown after so many records, and whenever the thread rests. */
#define BATCH 256

struct file_replay {
    const struct file_settings *settings;
    struct stream *stream;
    pthread_t thread;
    atomic_bool stopping;
    int wake_fd;

    struct file_names files;
    struct file_pace pace;
    int64_t begin_ms; /* records before it are passed over; -1: none */
    bool by_time;
    bool resumes;
    struct replay_lane *lanes; /* of the token; their groups are not known */
    size_t n_lanes;

    uint64_t done, total; /* bytes of files */
    struct file_stager *stager;
    char *buffer;
    bool bulks; /* whoever reads wants payloads alone, and at any pace */
    struct file_bulk bulk;
    size_t staged; /* since the last commit */
    uint64_t room; /* that is left of what the stream said */
    int64_t arrival_ns;
    char failure[256];

    /* The file in work. */
    const char *path;
    uint32_t lane;
    int64_t mtime_ms;
    struct file_parser *parser;
    struct file_unpack *unpack;
};

const char *
file_replay_param(const struct file_settings *settings, size_t i)
{
    static const char *const names[] = {"rate", "speed"};
    if (i < 2) {
        return names[i];
    }
    return i - 2 < settings->n_variables ? settings->variables[i - 2] : NULL;
}

/* ---- resting ---- */

static bool
is_over(const struct file_replay *replay)
{
    return atomic_load(&replay->stopping);
}

static void
show(struct file_replay *replay)
{
    if (replay->staged > 0) {
        stream_commit(replay->stream);
    }
    replay->staged = 0;
    replay->room = 0;
}

static void
rest(struct file_replay *replay, int64_t ns)
{
    struct pollfd fd = {.fd = replay->wake_fd, .events = POLLIN};
    show(replay);
    ns = ns < TICK_NS ? ns : TICK_NS;
    struct timespec timeout = {ns / 1000000000, ns % 1000000000};
    if (ppoll(&fd, 1, &timeout, NULL) > 0) {
        (void)wake_fd_drain(replay->wake_fd);
    }
    stream_source_alive(replay->stream);
}

/* Until there is room. False: it is over. */
static bool
have_room(struct file_replay *replay)
{
    int64_t begun = 0;
    while (replay->room == 0 && !is_over(replay)) {
        show(replay);
        replay->room = stream_room(replay->stream);
        if (replay->room == 0) {
            begun = begun == 0 ? clock_mono_ns() : begun;
            rest(replay, TICK_NS);
        }
    }
    if (begun != 0) {
        file_pace_held(&replay->pace, clock_mono_ns() - begun);
    }
    return !is_over(replay);
}

/* Until a record of this time is due. False: it is over. */
static bool
wait_due(struct file_replay *replay, int64_t time_ms)
{
    bool paced = replay->pace.per_second > 0 || replay->pace.speed > 0;
    while (paced) {
        int64_t now = clock_mono_ns();
        int64_t due = file_pace_due(&replay->pace, time_ms, now);
        if (due <= now) {
            file_pace_sent(&replay->pace, now);
            return true;
        }
        if (is_over(replay)) {
            return false;
        }
        rest(replay, due - now);
    }
    return true;
}

/* ---- one file ---- */

static bool
fail(struct file_replay *replay, const char *what, uint64_t at)
{
    snprintf(replay->failure, sizeof replay->failure, "%.160s: %s at byte %" PRIu64, replay->path,
        what, at);
    return false;
}

/* Pass on the lines that were gathered. False: it is over. */
static bool
flush_bulk(struct file_replay *replay)
{
    const struct file_bulk *bulk = &replay->bulk;
    const struct record_lines lines = {
        replay->lane, bulk->end - 1, bulk->count, bulk->begin, bulk->len};
    for (int result = bulk->count == 0 ? 0 : -1; result < 0;) {
        if (!have_room(replay)) {
            return false;
        }
        result = stream_stage_lines(replay->stream, &lines, replay->arrival_ns);
        replay->room = result < 0 ? 0 : replay->room - 1;
    }
    replay->staged += bulk->count > 0;
    replay->bulk.count = 0;
    return true;
}

static bool
is_in_chunk(const struct file_replay *replay, const struct file_item *item)
{
    uintptr_t at = (uintptr_t)item->data, begin = (uintptr_t)replay->buffer;
    return at >= begin && at - begin < FILE_READ_BYTES;
}

/* An item that can pass on with its neighbours. What the parser lends ends with its next item.
 * False: it is over. */
static bool
gather(struct file_replay *replay, const struct file_item *item)
{
    if (!file_bulk_add(&replay->bulk, item)) {
        if (!flush_bulk(replay)) {
            return false;
        }
        (void)file_bulk_add(&replay->bulk, item);
    }
    return is_in_chunk(replay, item) || flush_bulk(replay);
}

/* False: the replay ends here. */
static bool
take_item(struct file_replay *replay, const struct file_item *item)
{
    if (replay->bulks && item->is_json_line &&
        item->len <= stream_max_record_bytes(replay->stream)) {
        return gather(replay, item);
    }
    if (!flush_bulk(replay)) {
        return false;
    }
    bool bad = item->data == NULL;
    if (bad && replay->settings->on_error == FILE_FAIL) {
        return fail(replay, item->why, item->end);
    }
    int64_t time_ms = replay->by_time ? file_stage_time(replay->stager, item) : -1;
    if (time_ms >= 0 && time_ms < replay->begin_ms) {
        return true;
    }
    if (!wait_due(replay, time_ms)) {
        return false;
    }
    for (int result = -1; result < 0;) {
        if (!have_room(replay)) {
            return false;
        }
        result = file_stage(replay->stager, replay->lane, item, replay->mtime_ms, -1);
        replay->room = result < 0 ? 0 : replay->room - 1;
    }
    replay->staged++;
    if (bad) {
        stream_source_error(replay->stream, item->why);
    }
    if (replay->staged >= BATCH) {
        show(replay);
    }
    return !item->fatal || fail(replay, item->why, item->end);
}

static void
tell_progress(struct file_replay *replay)
{
    uint64_t done = replay->done + file_unpack_consumed(replay->unpack);
    replay->total = replay->total > done ? replay->total : done; /* it grows meanwhile */
    stream_source_progress(replay->stream, done, replay->total);
}

/* n bytes that end at end. A header that is read on a resume is followed by a jump to where the
 * replay goes on. */
static bool
take_chunk(struct file_replay *replay, size_t n, uint64_t begin, uint64_t end)
{
    struct file_item item;
    const char *at = replay->buffer;
    bool header = file_parser_wants_header(replay->parser);
    while (file_parser_next(replay->parser, &at, replay->buffer + n, &item)) {
        if (header && begin > end) {
            file_parser_seek(replay->parser, begin);
            return true;
        }
        header = false;
        if (begin < item.end && !take_item(replay, &item)) {
            return false;
        }
    }
    return flush_bulk(replay);
}

/* The bytes of a chunk that begins before what the parser wants. */
static size_t
cut_off(struct file_replay *replay, uint64_t from, size_t n)
{
    uint64_t wanted = file_parser_offset(replay->parser);
    size_t early = wanted <= from ? 0 : wanted - from >= n ? n : (size_t)(wanted - from);
    memmove(replay->buffer, replay->buffer + early, n - early);
    return n - early;
}

/* Read the file from begin on. False: the replay ends here. */
static bool
read_file(struct file_replay *replay, uint64_t begin)
{
    const char *why = "";
    uint64_t at = 0; /* the place in what is unpacked */
    while (!is_over(replay)) {
        uint64_t wanted = file_parser_offset(replay->parser);
        if (wanted > at) {
            int there = file_unpack_skip(replay->unpack, wanted, &why);
            if (there < 0) {
                return fail(replay, why, file_unpack_consumed(replay->unpack));
            }
            stream_source_alive(replay->stream);
            at = file_unpack_offset(replay->unpack);
            if (there == 1 && at < wanted) {
                return fail(replay, "the token is past its end", at);
            }
            continue;
        }
        ssize_t n = file_unpack_read(replay->unpack, replay->buffer, FILE_READ_BYTES, &why);
        if (n < 0) {
            return fail(replay, why, file_unpack_consumed(replay->unpack));
        }
        if (n == 0) {
            struct file_item item;
            return !file_parser_finish(replay->parser, &item) ||
                   (item.end <= begin && !item.fatal) ||
                   (take_item(replay, &item) && flush_bulk(replay));
        }
        replay->arrival_ns = clock_mono_ns();
        file_stager_arrived(replay->stager, replay->arrival_ns);
        size_t left = cut_off(replay, at, (size_t)n);
        at += (uint64_t)n;
        if (!take_chunk(replay, left, begin, at)) {
            return false;
        }
        show(replay);
        tell_progress(replay);
    }
    return false;
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
        return fail(replay, "it cannot be opened", 0);
    }
    *empty = !identify(*fd, name);
    if (*empty) {
        return true;
    }
    replay->mtime_ms = status.st_mtim.tv_sec * INT64_C(1000) + status.st_mtim.tv_nsec / 1000000;
    replay->lane = stream_lane_add(replay->stream, name, 0, begin);
    if (replay->lane == STREAM_LANE_REFUSED) {
        return fail(replay, "more files than a token can hold", 0);
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
        show(replay);
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
    good = good && (empty || read_file(replay, begin));
    show(replay);
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
    if (!is_over(replay)) {
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
    free(replay->buffer);
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
        file_names_find(&replay->files, replay->settings, from, err) != 0) {
        return -1;
    }
    take_place(replay, from);
    replay->bulks =
        stream_takes_lines(replay->stream) && !replay->by_time && replay->pace.per_second <= 0;
    replay->stager = file_stager_new(replay->settings, replay->stream);
    replay->buffer = mem_alloc(FILE_READ_BYTES);
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
