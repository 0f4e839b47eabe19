/* downloads: what is being downloaded, and how far. Each download is a transfer; where its client
 * gave it an id, whoever knows the file and the id may watch it.
 *
 * A watched download is known from its first watcher or its beginning to its end, and a minute
 * longer (up to DOWNLOADS_KEPT of them), so that who comes late learns how it went. When an id
 * begins again, resumed by a range, the newest transfer is the one that is watched.
 * Locks  one mutex; under it streams are told (stream_source.h).  Thread  any. */
#ifndef HEADGATE_DOWNLOADS_H
#define HEADGATE_DOWNLOADS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

struct downloads;
struct stream;
struct transfer;
struct watched;

#define DOWNLOADS_KEPT 1024
/* Of one that is known: struct and key; a path is at most HTTP_TARGET_MAX. */
#define DOWNLOADS_WATCHED_BYTES (UINT64_C(8192) + 512)
/* An id: of letters, digits, '-' and '_'; too long to be guessed when it is random. */
#define DOWNLOAD_ID_LEAST 16
#define DOWNLOAD_ID_MOST 64

struct downloads *downloads_new(void);
void downloads_free(struct downloads *downloads); /* NULL-safe; nothing is watched any more */

/* downloads_id_valid: id may be given to a download. */
bool downloads_id_valid(const char *id);

/* transfer_new: a download begins at byte done of total. file and id say what it is watched as; id
 * NULL: not at all. Owns: the caller ends it with transfer_end. */
struct transfer *transfer_new(
    struct downloads *downloads, const char *file, const char *id, uint64_t done, uint64_t total);

/* transfer_move: sent bytes more were written, and the client has the file up to done. Cheap. */
void transfer_move(struct transfer *transfer, uint64_t sent, uint64_t done, int64_t now_ms);

/* transfer_end: complete: the client has all of it; else it went away. Frees transfer; NULL-safe.
 */
void transfer_end(struct transfer *transfer, bool complete);

/* downloads_refuse: the download of that id was answered with status and no file. */
void downloads_refuse(struct downloads *downloads, const char *file, const char *id, int status);

/* One who watches; in a source of its own (see watch.c). */
struct watch {
    TAILQ_ENTRY(watch) link;
    struct downloads *downloads;
    struct watched *watched;
    struct stream *stream;
};

/* downloads_watch: from now on stream is told the progress and the end, both at once where they are
 * known. Until downloads_unwatch, watch stays where it is. */
void downloads_watch(struct downloads *downloads, struct watch *watch, const char *file,
    const char *id, struct stream *stream);
void downloads_unwatch(struct watch *watch);

/* For /metrics. */
struct downloads_state {
    uint64_t open; /* each has its file open */
    uint64_t complete, cut, bytes;
    uint64_t watched; /* with an id; those that are kept after their end too */
};
void downloads_state(struct downloads *downloads, struct downloads_state *state);

#endif
