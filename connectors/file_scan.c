/* file_scan: which files a tail source follows: globs, directories and files watched by inotify.
 * Source thread. */
#include "file_tail_internal.h"

#include "../gateway/clock.h"
#include "../gateway/log.h"
#include "../gateway/mem.h"
#include "../gateway/stream_source.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#define DIRECTORY_EVENTS                                                                           \
    (IN_CREATE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_DELETE_SELF | IN_MOVE_SELF |         \
        IN_ONLYDIR)

struct tailed *
tailed_new(struct file_tail *tail, int fd, const char *path)
{
    struct tailed *file = mem_calloc(1, sizeof *file);
    file->fd = fd;
    file->wd = -1;
    file->path = mem_strdup(path);
    file->chain = -1;
    file->dirty = file->named = true;
    file->lane = STREAM_LANE_REFUSED;
    file->order = tail->next_order++;
    file->quiet_ns = clock_mono_ns();
    TAILQ_INSERT_TAIL(&tail->files, file, link);
    tail->n_files++;
    return file;
}

void
tailed_free(struct file_tail *tail, struct tailed *file)
{
    TAILQ_REMOVE(&tail->files, file, link);
    tail->n_files--;
    bool shared = false; /* the watch is of the inode */
    struct tailed *other;
    TAILQ_FOREACH(other, &tail->files, link)
    {
        shared |= other->wd == file->wd;
    }
    if (file->wd >= 0 && !shared) {
        (void)inotify_rm_watch(tail->inotify_fd, file->wd);
    }
    if (file->fd >= 0) {
        close(file->fd);
    }
    file_parser_free(file->parser);
    free(file->path);
    free(file);
}

void
file_scan_watch(struct file_tail *tail, struct tailed *file)
{
    char path[40];
    snprintf(path, sizeof path, "/proc/self/fd/%d", file->fd);
    file->wd = inotify_add_watch(tail->inotify_fd, path, IN_MODIFY | IN_ATTRIB);
    if (file->wd < 0 && file->chain >= 0) { /* no /proc: by its name, if that is still its */
        file->wd = inotify_add_watch(tail->inotify_fd, file->path, IN_MODIFY | IN_ATTRIB);
    }
}

/* ---- directories ---- */

/* File systems whose changes on other machines inotify does not see; from linux/magic.h. */
static bool
is_remote(const char *directory)
{
    struct statfs stat;
    if (statfs(directory, &stat) != 0) {
        return true;
    }
    switch ((uint32_t)stat.f_type) {
    case 0x6969:     /* NFS */
    case 0x517B:     /* SMB */
    case 0xFF534D42: /* CIFS */
    case 0xFE534D42: /* SMB2 */
    case 0x65735546: /* FUSE */
    case 0x00C36400: /* Ceph */
    case 0x01021997: /* 9P */
    case 0x5346414F: /* AFS */
        return true;
    default:
        return false;
    }
}

/* Adding a watch that is there is no cost to speak of. */
static void
watch_directory(struct file_tail *tail, const char *directory)
{
    if (inotify_add_watch(tail->inotify_fd, directory, DIRECTORY_EVENTS) < 0 ||
        is_remote(directory)) {
        tail->remote = true;
    }
}

static void
watch_directory_of(struct file_tail *tail, const char *pattern)
{
    char directory[PATH_MAX];
    const char *slash = strrchr(pattern, '/');
    glob_t found;
    snprintf(directory, sizeof directory, "%.*s", (int)(slash == pattern ? 1 : slash - pattern),
        pattern);
    if (glob(directory, GLOB_NOSORT, NULL, &found) != 0) {
        tail->remote = true; /* not there yet */
        return;
    }
    for (size_t i = 0; i < found.gl_pathc; i++) {
        watch_directory(tail, found.gl_pathv[i]);
    }
    globfree(&found);
}

/* ---- files ---- */

static bool
is_compressed(const char *path)
{
    static const char *const ends[] = {".gz", ".zst", ".bz2", ".xz"};
    size_t len = strlen(path);
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        size_t end = strlen(ends[i]);
        if (len > end && strcmp(path + len - end, ends[i]) == 0) {
            return true;
        }
    }
    return false;
}

static struct tailed *
find(struct file_tail *tail, const struct stat *stat)
{
    struct tailed *file;
    TAILQ_FOREACH(file, &tail->files, link)
    {
        if (file->device == stat->st_dev && file->inode == stat->st_ino && file->fd >= 0 &&
            !file->drains) {
            return file;
        }
    }
    return NULL;
}

static void
say_error(struct file_tail *tail, const char *path, const char *what, int error)
{
    stream_source_error(tail->stream, "open");
    log_event(
        LOG_WARN, "source", stream_name(tail->stream), "%s: %s: %s", path, what, strerror(error));
}

static void
say_full(struct file_tail *tail, const char *path)
{
    if (!tail->full_told) {
        stream_source_error(tail->stream, "too_many_files");
        log_event(LOG_ERROR, "source", stream_name(tail->stream),
            "%s is not read: %llu files are followed already (max_files)", path,
            (unsigned long long)tail->settings->max_files);
    }
    tail->full_told = true;
}

/* A device or a FIFO is never waited for, and never read. */
static void
add_file(struct file_tail *tail, const char *path, int chain, bool rotated)
{
    struct stat stat;
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
    if (fd < 0) {
        if (errno != ENOENT) {
            say_error(tail, path, "open", errno);
        }
        return;
    }
    if (fstat(fd, &stat) != 0 || !S_ISREG(stat.st_mode) || find(tail, &stat) != NULL) {
        close(fd);
        return;
    }
    struct tailed *file = tailed_new(tail, fd, path);
    file->device = stat.st_dev;
    file->inode = stat.st_ino;
    file->chain = chain;
    file->rotated = rotated;
    file->at_start = !tail->scanned;
    file->found_size = (uint64_t)stat.st_size;
    file->mtime_ns = stat.st_mtim.tv_sec * INT64_C(1000000000) + stat.st_mtim.tv_nsec;
    file_scan_watch(tail, file);
}

static void
see(struct file_tail *tail, const char *path, int chain, bool rotated)
{
    struct stat status;
    if (is_compressed(path) || stat(path, &status) != 0 || !S_ISREG(status.st_mode)) {
        return;
    }
    struct tailed *file = find(tail, &status);
    if (file == NULL && tail->n_files >= tail->settings->max_files) {
        say_full(tail, path);
    } else if (file == NULL) {
        add_file(tail, path, chain, rotated);
    } else if (!file->named) {
        file->named = true;
        file->gone_ns = status.st_nlink == 0 ? file->gone_ns : 0;
        if (strcmp(file->path, path) != 0) {
            free(file->path);
            file->path = mem_strdup(path);
            file->rotated = rotated;
            if (file->lane != STREAM_LANE_REFUSED) {
                stream_lane_file(tail->stream, file->lane, path, file->origin);
            }
        }
    }
}

static void
see_all(struct file_tail *tail, const char *pattern, int chain, bool rotated)
{
    glob_t found;
    watch_directory_of(tail, pattern);
    int rc = glob(pattern, GLOB_NOSORT, NULL, &found);
    if (rc == 0) {
        for (size_t i = 0; i < found.gl_pathc; i++) {
            see(tail, found.gl_pathv[i], chain, rotated);
        }
        globfree(&found);
    } else if (rc != GLOB_NOMATCH) {
        snprintf(tail->down, sizeof tail->down, "%.120s: cannot be looked up", pattern);
    }
}

/* Rotated names come first, so that a file that is found under both is the older of its chain. */
static void
see_path(struct file_tail *tail, const char *path, int chain)
{
    static const char *const ends[] = {".[0-9]*", "-[0-9]*"};
    bool literal = strpbrk(path, "*?[\\") == NULL;
    for (size_t i = 0; i < 2 && literal && tail->settings->rotated.n == 0; i++) {
        char pattern[PATH_MAX];
        snprintf(pattern, sizeof pattern, "%s%s", path, ends[i]);
        see_all(tail, pattern, chain, true);
    }
    see_all(tail, path, literal ? chain : -1, false);
}

/* What is in the file at the path itself is the newest. A copy is as old as its making. */
static int
order_of_age(const void *a_, const void *b_)
{
    const struct tailed *a = *(struct tailed *const *)a_;
    const struct tailed *b = *(struct tailed *const *)b_;
    if (a->rotated != b->rotated) {
        return a->rotated ? -1 : 1;
    }
    if (a->mtime_ns != b->mtime_ns) {
        return a->mtime_ns < b->mtime_ns ? -1 : 1;
    }
    return strverscmp(b->path, a->path); /* of app.log.2 and app.log.1 the former is older */
}

size_t
file_scan_sort(struct file_tail *tail, struct tailed ***found)
{
    size_t n = 0;
    struct tailed *file;
    *found = mem_calloc(tail->n_files + 1, sizeof **found);
    TAILQ_FOREACH(file, &tail->files, link)
    {
        struct stat stat;
        if (file->state == TAILED_NEW && file->dirty && fstat(file->fd, &stat) == 0) {
            file->mtime_ns = stat.st_mtim.tv_sec * INT64_C(1000000000) + stat.st_mtim.tv_nsec;
            (*found)[n++] = file;
        }
    }
    qsort(*found, n, sizeof **found, order_of_age);
    for (size_t i = 0; i < n; i++) {
        file = (*found)[i];
        file->order = tail->next_order++;
        TAILQ_REMOVE(&tail->files, file, link);
        TAILQ_INSERT_TAIL(&tail->files, file, link);
    }
    return n;
}

void
file_scan(struct file_tail *tail)
{
    const struct file_settings *settings = tail->settings;
    struct tailed *file;
    TAILQ_FOREACH(file, &tail->files, link)
    {
        file->named = false;
    }
    tail->remote = false;
    tail->down[0] = '\0';
    for (size_t i = 0; i < settings->rotated.n; i++) {
        see_all(tail, settings->rotated.items[i], settings->paths.n == 1 ? 0 : -1, true);
    }
    for (size_t i = 0; i < settings->paths.n; i++) {
        see_path(tail, settings->paths.items[i], (int)i);
    }
    int64_t now = clock_mono_ns();
    TAILQ_FOREACH(file, &tail->files, link)
    {
        if (!file->named && file->gone_ns == 0) {
            file->gone_ns = now;
            file->dirty = true; /* the last look before the next of its chain goes on */
        }
    }
    tail->full_told &= tail->n_files >= settings->max_files;
    tail->scan_due = false;
    tail->scanned_ns = now;
}

/* ---- inotify ---- */

static void
take_event(struct file_tail *tail, const struct inotify_event *event)
{
    struct tailed *file;
    bool known = false;
    bool overflow = (event->mask & IN_Q_OVERFLOW) != 0;
    TAILQ_FOREACH(file, &tail->files, link)
    {
        if (file->wd == event->wd || overflow) {
            known |= file->wd == event->wd;
            file->wd = (event->mask & IN_IGNORED) != 0 ? -1 : file->wd;
            file->dirty = true;
        }
    }
    tail->scan_due |= !known || overflow;
}

void
file_scan_events(struct file_tail *tail)
{
    _Alignas(struct inotify_event) char bytes[8192];
    ssize_t n;
    while ((n = read(tail->inotify_fd, bytes, sizeof bytes)) > 0) {
        for (char *at = bytes; at < bytes + n;) {
            struct inotify_event event;
            memcpy(&event, at, sizeof event);
            take_event(tail, &event);
            at += sizeof event + event.len;
        }
    }
}
