/* file_tail_internal: what the units of a tail source share. All of it is the source thread's, but
 * for stopping and wake_fd. */
#ifndef HEADGATE_FILE_TAIL_INTERNAL_H
#define HEADGATE_FILE_TAIL_INTERNAL_H

#include "file_id.h"
#include "file_parser.h"
#include "file_stage.h"
#include "file_tail.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/queue.h>

enum tailed_state {
    TAILED_NEW,  /* its beginning is not there yet: it has no identity and no lane */
    TAILED_COPY, /* begins as a followed file does, under a rotated name: not read */
    TAILED_LIVE, /* it has a lane */
    TAILED_GHOST /* its file was truncated; the copy of what was in it is looked for */
};

/* An open file. Two may be of one inode: the ghost of what was in it, and what is in it now. */
struct tailed {
    TAILQ_ENTRY(tailed) link;
    enum tailed_state state;
    int fd; /* -1: a ghost */
    int wd; /* of inotify; -1: none */
    dev_t device;
    ino_t inode;
    char *path; /* as it was found last */
    int chain;  /* files of one chain are read in the order of their numbers; -1: of none */
    uint64_t order;
    int64_t mtime_ns;
    bool rotated;  /* found under a rotated name */
    bool at_start; /* was there when the source began */
    uint64_t found_size;
    bool dirty;         /* there may be something to read */
    uint64_t end_size;  /* where it ended when its end was reached last */
    bool broken;        /* nothing more can be made of it */
    bool named;         /* the last scan found it */
    bool last_look;     /* gone without a whole first line: what is there is all there will be */
    bool drains;        /* was a ghost, and reads its rest from the copy */
    int64_t gone_ns;    /* since when it has no name, or none that is looked for; 0: it has */
    int64_t quiet_ns;   /* when it last grew */
    int64_t refused_ns; /* when it was refused a lane; 0: never */
    int64_t ghost_ns;   /* when it became a ghost */
    struct file_id id;
    char name[FILE_ID_NAME_MAX];
    uint32_t lane;
    uint64_t origin;
    struct file_parser *parser;
};

TAILQ_HEAD(tailed_list, tailed);

struct file_tail {
    const struct file_settings *settings;
    struct stream *stream;
    pthread_t thread;
    atomic_bool stopping;
    int wake_fd;
    int inotify_fd;

    bool replays;
    enum replay_kind replay_kind;
    int64_t begin_ms;          /* REPLAY_TIME; else -1 */
    struct replay_lane *lanes; /* REPLAY_LANES; groups are owned */
    size_t n_lanes;

    struct file_stager *stager;
    char *buffer;             /* FILE_READ_BYTES */
    struct tailed_list files; /* by order */
    size_t n_files;
    uint64_t next_order;
    uint64_t *lane_names; /* a hash of the name that each lane had last */
    size_t n_lane_names;
    bool scanned; /* once */
    bool scan_due;
    bool remote; /* some directory is not watched, or of a network file system */
    bool full_told, failed;
    int64_t scanned_ns, ticked_ns;
    char down[160]; /* why the source is down; empty: it is up */
};

/* ---- file_scan.c: which files there are ---- */

/* file_scan: look at all globs: new files are opened and added to the list, renamed ones get their
 * new path. */
void file_scan(struct file_tail *tail);

/* file_scan_sort: the new files that there is something of, from the oldest on: they are the last
 * of the list now, in this order. Owns *found is the caller's to free. Returns the count. */
size_t file_scan_sort(struct file_tail *tail, struct tailed ***found);

/* file_scan_events: take what inotify has to say. */
void file_scan_events(struct file_tail *tail);

/* file_scan_watch: let inotify tell when the file grows. */
void file_scan_watch(struct file_tail *tail, struct tailed *file);

/* tailed_new: an entry at the end of the list; owns fd. tailed_free takes it out. */
struct tailed *tailed_new(struct file_tail *tail, int fd, const char *path);
void tailed_free(struct file_tail *tail, struct tailed *file);

/* ---- file_follow.c: what is done with one of them ---- */

/* file_follow_identify: give a new file its identity, and its lane or what it is instead. */
void file_follow_identify(struct file_tail *tail, struct tailed *file);

/* file_follow_check: whether it was truncated and begins otherwise now; what follows is done. */
void file_follow_check(struct file_tail *tail, struct tailed *file);

/* file_follow_read: read on, as far as there is room. True: something was read. */
bool file_follow_read(struct file_tail *tail, struct tailed *file);

/* file_follow_tick: look at its size and links; end it when it is gone. The file may be freed. */
void file_follow_tick(struct file_tail *tail, struct tailed *file, int64_t now_ns);

/* file_follow_lanes: the lanes of a replay that no file is there for: read from a copy, or told. */
void file_follow_lanes(struct file_tail *tail);

#endif
