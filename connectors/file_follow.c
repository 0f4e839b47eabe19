/* file_follow: one followed file: who it is, what is read of it, what becomes of it at a rotation.
 * Source thread. */
#include "file_tail_internal.h"

#include "../gateway/clock.h"
#include "../gateway/log.h"
#include "../gateway/mem.h"
#include "../gateway/stream_source.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SECOND_NS INT64_C(1000000000)
/* How long after a truncation the copy may be looked for; what is written meanwhile waits. */
#define GHOST_NS SECOND_NS
/* How long a file that is unlinked, or has no name that is looked for, must be quiet to be done. */
#define UNLINKED_NS (2 * SECOND_NS)
#define UNNAMED_NS (60 * SECOND_NS)
/* How often a file without a lane asks for one. */
#define REFUSED_NS (10 * SECOND_NS)
#define CHUNKS 8 /* reads in a turn, before the next file has its */

static uint64_t
size_of(const struct tailed *file)
{
    struct stat stat;
    return fstat(file->fd, &stat) == 0 && stat.st_size > 0 ? (uint64_t)stat.st_size : 0;
}

/* ---- who it is ---- */

/* name is what rotation makes of path. */
static bool
is_rotation_of(const char *name, const char *path)
{
    size_t len = strlen(path);
    return strncmp(name, path, len) == 0 && name[len] != '\0' && strchr(".-_~", name[len]) != NULL;
}

static bool
begins_alike(const struct file_id *a, const struct file_id *b)
{
    return a->fingerprint == b->fingerprint && a->len == b->len;
}

/* The followed file that this one begins as, under a rotated name of it; NULL: none. */
static struct tailed *
original_of(struct file_tail *tail, const struct tailed *file)
{
    struct tailed *other;
    TAILQ_FOREACH(other, &tail->files, link)
    {
        bool alike = other != file && other->inode != file->inode &&
                     (other->state == TAILED_LIVE || other->state == TAILED_GHOST) &&
                     begins_alike(&other->id, &file->id);
        bool named = is_rotation_of(file->path, other->path) ||
                     (file->rotated && file->chain == other->chain && file->chain >= 0);
        if (alike && named) {
            return other;
        }
    }
    return NULL;
}

static const struct replay_lane *
replay_lane_of(const struct file_tail *tail, const char *name)
{
    for (size_t i = 0; i < tail->n_lanes; i++) {
        if (strcmp(tail->lanes[i].group, name) == 0) {
            return &tail->lanes[i];
        }
    }
    return NULL;
}

/* Where a file that has just got its identity begins. */
static uint64_t
begin_of(const struct file_tail *tail, const struct tailed *file)
{
    uint64_t size = file->found_size;
    uint64_t most = stream_max_record_bytes(tail->stream);
    if (!tail->replays) {
        bool latest = file->at_start && tail->settings->start == FILE_LATEST;
        return latest ? file_line_begin(file->fd, size, most) : 0;
    }
    if (tail->replay_kind == REPLAY_TIME && file->at_start) {
        bool older = file->mtime_ns / 1000000 < tail->begin_ms;
        return older ? file_line_begin(file->fd, size, most) : 0;
    }
    const struct replay_lane *lane = replay_lane_of(tail, file->name);
    return lane == NULL ? 0 : lane->next;
}

static uint64_t
hash_of(const char *name)
{
    uint64_t value = UINT64_C(14695981039346656037);
    for (; *name != '\0'; name++) {
        value = (value ^ (uint8_t)*name) * UINT64_C(1099511628211);
    }
    return value;
}

/* True: the lane was another life of the same name before. */
static bool
note_lane(struct file_tail *tail, uint32_t lane, const char *name)
{
    uint64_t hash = hash_of(name);
    while (tail->n_lane_names <= lane) {
        tail->lane_names =
            mem_realloc(tail->lane_names, (tail->n_lane_names + 1) * sizeof *tail->lane_names);
        tail->lane_names[tail->n_lane_names++] = 0;
    }
    bool again = tail->lane_names[lane] == hash;
    tail->lane_names[lane] = hash;
    return again;
}

/* Give it its lane from begin on; false: refused, which is logged. */
static bool
open_lane(struct file_tail *tail, struct tailed *file, uint64_t begin)
{
    file->lane = stream_lane_add(tail->stream, file->name, 0, begin);
    if (file->lane == STREAM_LANE_REFUSED) {
        stream_source_error(tail->stream, "too_many_files");
        file->refused_ns = clock_mono_ns();
        return false;
    }
    stream_lane_file(tail->stream, file->lane, file->path, file->origin);
    if (note_lane(tail, file->lane, file->name)) {
        stream_lane_reset(tail->stream, file->lane, begin);
    }
    file->state = TAILED_LIVE;
    file->parser = file_parser_new(
        (enum file_format)tail->settings->format, stream_max_record_bytes(tail->stream));
    file_parser_seek(file->parser, begin);
    return true;
}

/* What was in the file before it was truncated began alike: it has the name until it is done. */
static bool
is_name_taken(struct file_tail *tail, const struct tailed *file)
{
    struct tailed *other;
    TAILQ_FOREACH(other, &tail->files, link)
    {
        if (other != file && other->state != TAILED_COPY && strcmp(other->name, file->name) == 0) {
            return true;
        }
    }
    return false;
}

static void
drain(struct tailed *ghost, const struct tailed *copy)
{
    ghost->fd = dup(copy->fd);
    if (ghost->fd >= 0) {
        ghost->state = TAILED_LIVE;
        ghost->drains = ghost->dirty = true;
    }
}

void
file_follow_identify(struct file_tail *tail, struct tailed *file)
{
    unsigned lines = file->last_look ? 0 : tail->settings->format == FILE_CSV ? 2 : 1;
    bool refused = file->refused_ns != 0 && clock_mono_ns() - file->refused_ns < REFUSED_NS;
    if (refused || !file_id_of(&file->id, file->fd, lines)) {
        file->dirty = false;
        return;
    }
    file_id_name(&file->id, file->name);
    if (is_name_taken(tail, file)) {
        file->name[0] = '\0';
        return;
    }
    struct tailed *original = original_of(tail, file);
    if (original != NULL) {
        file->state = TAILED_COPY;
        file->dirty = false;
        if (original->state == TAILED_GHOST) {
            drain(original, file);
        }
        return;
    }
    uint64_t begin = begin_of(tail, file);
    uint64_t size = size_of(file);
    if (!open_lane(tail, file, begin < size ? begin : size)) {
        file->dirty = false;
    } else if (begin > size) { /* it is not the file that the token speaks of */
        stream_lane_reset(tail->stream, file->lane, 0);
        file_parser_seek(file->parser, 0);
    }
}

/* ---- truncation ---- */

/* The file is a ghost now: what it was up to is looked for in a copy, and a new entry reads on. */
static void
truncated(struct file_tail *tail, struct tailed *file)
{
    int fd = dup(file->fd);
    if (fd < 0) {
        return; /* looked at again */
    }
    file_scan(tail); /* what was rotated before comes before what is in the file now */
    struct tailed *anew = tailed_new(tail, fd, file->path);
    anew->device = file->device;
    anew->inode = file->inode;
    anew->chain = file->chain;
    anew->rotated = file->rotated;
    file_scan_watch(tail, anew);
    close(file->fd);
    file->fd = -1;
    file->state = TAILED_GHOST;
    file->ghost_ns = clock_mono_ns();
    file->dirty = false;
    file_parser_seek(file->parser, stream_lane_next(tail->stream, file->lane));
    struct tailed *copy;
    TAILQ_FOREACH(copy, &tail->files, link)
    {
        if (copy->state == TAILED_COPY && begins_alike(&copy->id, &file->id) &&
            original_of(tail, copy) == file) {
            drain(file, copy);
            return;
        }
    }
}

/* ---- reading ---- */

/* The time of what stands in a file that nobody has written to lately is when that was. */
static int64_t
time_of(const struct tailed *file)
{
    struct stat stat;
    if (fstat(file->fd, &stat) != 0) {
        return -1;
    }
    int64_t ms = stat.st_mtim.tv_sec * INT64_C(1000) + stat.st_mtim.tv_nsec / 1000000;
    return ms < clock_wall_ms() - 1000 ? ms : -1;
}

static void
fail(struct file_tail *tail, const struct tailed *file, const struct file_item *item)
{
    snprintf(tail->down, sizeof tail->down, "%.90s: %s at byte %" PRIu64, file->path, item->why,
        item->end);
    tail->failed = true;
}

/* Stage one item; false: there is no room. */
static bool
take_item(
    struct file_tail *tail, struct tailed *file, const struct file_item *item, int64_t time_ms)
{
    bool bad = item->data == NULL;
    if (bad && tail->settings->on_error == FILE_FAIL) {
        fail(tail, file, item);
        return false;
    }
    if (file_stage(tail->stager, file->lane, item, time_ms, tail->begin_ms) < 0) {
        return false;
    }
    if (bad) {
        stream_source_error(tail->stream, item->why);
    }
    if (item->fatal) {
        file->broken = true;
        log_event(LOG_ERROR, "source", stream_name(tail->stream),
            "%s is read no further: %s at byte %" PRIu64, file->path, item->why, item->end);
    }
    return true;
}

/* Back to what was staged last; the rest is read again. */
static void
step_back(struct file_tail *tail, struct tailed *file)
{
    file_parser_seek(file->parser, stream_lane_next(tail->stream, file->lane));
}

static bool
take_chunk(struct file_tail *tail, struct tailed *file, size_t n)
{
    struct file_item item;
    const char *at = tail->buffer;
    int64_t time_ms = time_of(file);
    file_stager_arrived(tail->stager, clock_mono_ns());
    bool header = file_parser_wants_header(file->parser);
    while (!file->broken && file_parser_next(file->parser, &at, tail->buffer + n, &item)) {
        if (header && !item.fatal) {
            break;
        }
        if (!take_item(tail, file, &item, time_ms)) {
            step_back(tail, file);
            stream_commit(tail->stream);
            return false;
        }
    }
    if (header && !file_parser_wants_header(file->parser)) {
        step_back(tail, file);
    }
    stream_commit(tail->stream);
    return true;
}

/* There was nothing at this offset. */
static void
at_end(struct file_tail *tail, struct tailed *file, uint64_t end)
{
    uint64_t size = size_of(file);
    file->dirty = false;
    file->end_size = size < end ? size : end; /* it may have grown since */
    if (!file->drains && size < file_parser_offset(file->parser)) {
        truncated(tail, file);
    } else if (file_parser_held_bytes(file->parser) > FILE_TAIL_KEEP_BYTES) {
        step_back(tail, file);
    }
}

/* Is other read before file? */
static bool
comes_before(const struct tailed *other, const struct tailed *file)
{
    bool one = other->inode == file->inode && other->device == file->device;
    return other->state != TAILED_COPY && other->order < file->order &&
           ((other->chain == file->chain && file->chain >= 0) || one);
}

static bool
is_blocked(struct file_tail *tail, const struct tailed *file)
{
    struct tailed *other;
    TAILQ_FOREACH(other, &tail->files, link)
    {
        bool waits = other->state == TAILED_GHOST || (other->dirty && !other->broken) ||
                     (other->drains && !other->broken);
        if (waits && comes_before(other, file)) {
            return true;
        }
    }
    return false;
}

/* What was just read of file may be younger than what was written to one before it since that was
 * last looked at: then that goes first. */
static bool
is_overtaking(struct file_tail *tail, const struct tailed *file)
{
    bool overtakes = false;
    struct tailed *other;
    TAILQ_FOREACH(other, &tail->files, link)
    {
        bool another = other->inode != file->inode || other->device != file->device;
        if (other->state == TAILED_LIVE && !other->drains && !other->broken && another &&
            comes_before(other, file) && size_of(other) > other->end_size) {
            other->dirty = overtakes = true;
        }
    }
    return overtakes;
}

static void
end_file(struct file_tail *tail, struct tailed *file)
{
    /* A replay's tokens keep what the live stream's may still have. */
    if (file->lane != STREAM_LANE_REFUSED && !tail->replays) {
        stream_lane_remove(tail->stream, file->lane);
    }
    tailed_free(tail, file);
}

/* The copy is read: from now on it is a file of its own, that nothing is to be read of. */
static void
end_drain(struct file_tail *tail, struct tailed *file)
{
    struct stat stat;
    struct tailed *copy;
    bool known = fstat(file->fd, &stat) == 0;
    TAILQ_FOREACH(copy, &tail->files, link)
    {
        if (known && copy->state == TAILED_COPY && copy->inode == stat.st_ino &&
            copy->device == stat.st_dev) {
            copy->origin = size_of(copy);
            (void)open_lane(tail, copy, copy->origin);
            break;
        }
    }
    end_file(tail, file);
}

void
file_follow_check(struct file_tail *tail, struct tailed *file)
{
    if (file->state == TAILED_LIVE && !file->drains && !file_id_holds(&file->id, file->fd)) {
        truncated(tail, file);
    }
}

bool
file_follow_read(struct file_tail *tail, struct tailed *file)
{
    if (file->state != TAILED_LIVE || file->broken || is_blocked(tail, file)) {
        return false;
    }
    for (int i = 0; i < CHUNKS; i++) {
        if (stream_room(tail->stream) == 0) {
            return i > 0;
        }
        uint64_t from = file_parser_offset(file->parser);
        ssize_t n = pread(file->fd, tail->buffer, FILE_READ_BYTES, (off_t)from);
        if (n < 0) {
            stream_source_error(tail->stream, "read");
            file->dirty = false;
            return false;
        }
        if (!file_id_holds(&file->id, file->fd)) { /* what was read may be of another life */
            truncated(tail, file);
            return true;
        }
        stream_lane_end(tail->stream, file->lane, size_of(file));
        if (n == 0) {
            at_end(tail, file, from);
            return i > 0;
        }
        if (is_overtaking(tail, file)) {
            return true;
        }
        file->quiet_ns = clock_mono_ns();
        if (!take_chunk(tail, file, (size_t)n)) {
            return true; /* the room is used up, and there may be more */
        }
    }
    return true;
}

/* ---- looking again ---- */

/* What is left of a half-written last line of a file that is gone. False: there is no room. */
static bool
take_rest(struct file_tail *tail, struct tailed *file)
{
    struct file_item item;
    if (file->parser == NULL || file->broken) {
        return true;
    }
    if (stream_room(tail->stream) == 0) {
        return false;
    }
    uint64_t from = file_parser_offset(file->parser);
    ssize_t n = file->fd < 0 ? 0 : pread(file->fd, tail->buffer, FILE_READ_BYTES, (off_t)from);
    if (n > 0) {
        file->dirty = true; /* a long line that was let go, or a late writer */
        return (size_t)n < FILE_READ_BYTES && take_chunk(tail, file, (size_t)n) &&
               take_rest(tail, file);
    }
    bool taken = !file_parser_finish(file->parser, &item) || take_item(tail, file, &item, -1);
    stream_commit(tail->stream);
    return taken;
}

static void
end_ghost(struct file_tail *tail, struct tailed *file)
{
    stream_source_error(tail->stream, "truncated");
    log_event(LOG_WARN, "source", stream_name(tail->stream),
        "%s was truncated, and no copy of it is there: what was not read by then is lost",
        file->path);
    stream_lane_reset(tail->stream, file->lane, stream_lane_next(tail->stream, file->lane));
    end_file(tail, file);
}

/* True: it is gone, read to its end, and nobody has written to it for a while. */
static bool
is_over(struct tailed *file, int64_t now_ns)
{
    struct stat stat;
    if (fstat(file->fd, &stat) != 0) {
        return false;
    }
    uint64_t size = (uint64_t)stat.st_size;
    bool live = file->state == TAILED_LIVE;
    if (stat.st_nlink == 0 && file->gone_ns == 0) {
        file->gone_ns = now_ns;
    }
    file->dirty |= !live || size != file_parser_offset(file->parser);
    int64_t still = stat.st_nlink == 0 ? UNLINKED_NS : UNNAMED_NS;
    bool unread = live && !file->broken && size != file->end_size;
    return !unread && file->gone_ns != 0 && now_ns - file->gone_ns > still &&
           now_ns - file->quiet_ns > still;
}

void
file_follow_tick(struct file_tail *tail, struct tailed *file, int64_t now_ns)
{
    if (file->state == TAILED_GHOST) {
        if (now_ns - file->ghost_ns > GHOST_NS && stream_room(tail->stream) > 0) {
            end_ghost(tail, file);
        }
        return;
    }
    if (file->drains) {
        if ((!file->dirty || file->broken) && take_rest(tail, file)) {
            end_drain(tail, file);
        }
        return;
    }
    bool over = is_over(file, now_ns);
    if (over && file->state == TAILED_NEW && !file->last_look && size_of(file) > 0) {
        file->last_look = file->dirty = true;
        file->quiet_ns = now_ns;
    } else if (over && take_rest(tail, file)) {
        end_file(tail, file);
    }
}

/* ---- lanes without a file ---- */

static struct tailed *
copy_of(struct file_tail *tail, const char *name)
{
    struct tailed *file;
    const char *print = strrchr(name, ':');
    TAILQ_FOREACH(file, &tail->files, link)
    {
        const char *own = strrchr(file->name, ':');
        if (own != NULL && print != NULL && strcmp(own, print) == 0 && file->fd >= 0) {
            return file;
        }
    }
    return NULL;
}

/* The rest is read from the copy, under the lane's own name and before anything newer. */
static void
drain_lane(struct file_tail *tail, const struct replay_lane *lane, const struct tailed *copy)
{
    struct tailed *file = tailed_new(tail, dup(copy->fd), copy->path);
    file->id = copy->id;
    file->chain = copy->chain;
    file->order = 0;
    snprintf(file->name, sizeof file->name, "%s", lane->group);
    file->drains = true;
    (void)open_lane(tail, file, lane->next);
}

void
file_follow_lanes(struct file_tail *tail)
{
    for (size_t i = 0; i < tail->n_lanes; i++) {
        const struct replay_lane *lane = &tail->lanes[i];
        struct tailed *file;
        bool there = false;
        TAILQ_FOREACH(file, &tail->files, link)
        {
            there |= file->lane != STREAM_LANE_REFUSED && strcmp(file->name, lane->group) == 0;
        }
        if (there) {
            continue;
        }
        struct tailed *copy = lane->next < lane->end ? copy_of(tail, lane->group) : NULL;
        if (copy != NULL) {
            drain_lane(tail, lane, copy);
            continue;
        }
        uint32_t index = stream_lane_add(tail->stream, lane->group, 0, lane->next);
        if (index == STREAM_LANE_REFUSED) {
            continue;
        }
        stream_lane_file(tail->stream, index, "", lane->end);
        if (lane->next < lane->end) {
            stream_source_error(tail->stream, "file_gone");
            stream_lane_reset(tail->stream, index, lane->end);
        }
    }
}
