/* file_replay_internal: what the units of a replay share. All of it is the source thread's, but for
 * stopping and wake_fd. */
#ifndef HEADGATE_FILE_REPLAY_INTERNAL_H
#define HEADGATE_FILE_REPLAY_INTERNAL_H

#include "file_names.h"
#include "file_pace.h"
#include "file_parser.h"
#include "file_replay.h"
#include "file_stage.h"
#include "file_unpack.h"

#include <pthread.h>
#include <stdatomic.h>

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
    char *buffer;         /* FILE_READ_BYTES, those of the block where there is one */
    struct record *block; /* of NDJSON for who takes lines; else NULL */
    const char *at, *end; /* what was read and is not taken yet, in buffer */
    size_t carry;         /* how much of it waits there for the next read */
    bool bulks;           /* whoever reads wants payloads alone, and at any pace */
    struct file_lines bulk;
    unsigned shy, shyness; /* lines until the next try of many together; after its failure */
    size_t staged;         /* since the last commit */
    uint64_t room;         /* that is left of what the stream said */
    int64_t arrival_ns;
    char failure[256];

    /* The file in work. */
    const char *path;
    uint32_t lane;
    int64_t mtime_ms;
    struct file_parser *parser;
    struct file_unpack *unpack;
};

/* file_replay_is_over: it was cancelled. */
bool file_replay_is_over(const struct file_replay *replay);

/* file_replay_show: commit what is staged. */
void file_replay_show(struct file_replay *replay);

/* file_replay_fail: say why the replay ends here, at a byte of the file in work. False, for the
 * caller to return. */
bool file_replay_fail(struct file_replay *replay, const char *what, uint64_t at);

/* file_replay_read: the records of the file in work, from begin on, into the stream. False: the
 * replay ends here: it is over, or failure says why. */
bool file_replay_read(struct file_replay *replay, uint64_t begin);

#endif
