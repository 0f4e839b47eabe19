/* file_settings: the keys of a file source, their checks, its bounds. Thread init. */
#include "file_settings.h"

#include "../gateway/pointer.h"
#include "file_names.h"
#include "file_tail.h"
#include "file_unpack.h"

#include <limits.h>
#include <string.h>

static const char *const mode_names[] = {"tail", "replay", NULL};
static const char *const compression_names[] = {"auto", "none", "gzip", "zstd", NULL};
static const char *const format_names[] = {"ndjson", "text", "csv", "json_array", NULL};
static const char *const start_names[] = {"latest", "earliest", NULL};
static const char *const on_error_names[] = {"skip", "fail", NULL};

static int
check_path(const char *text, struct err *err)
{
    if (text[0] != '/') {
        err_set(err, ERR_INVALID, "a path begins with /: what the working directory is, is chance");
        return -1;
    }
    return 0;
}

static int
check_pointer(const char *text, struct err *err)
{
    struct pointer *pointer = pointer_new(text, err);
    pointer_free(pointer);
    return pointer == NULL ? -1 : 0;
}

static const struct config_key keys[] = {
    {.name = "mode",
        .kind = CONFIG_ENUM,
        .offset = offsetof(struct file_settings, mode),
        .choices = mode_names,
        .fallback = "tail",
        .prose = "tail: follow files that grow, as one live stream that all subscribers share. "
                 "replay: every request has the files to itself, from their beginning or its token "
                 "to their end, in the order of their paths; it may ask for a rate=1000/s, or for "
                 "speed=2 times the pace of their times."},
    {.name = "path",
        .kind = CONFIG_STRINGS,
        .offset = offsetof(struct file_settings, paths),
        .required = true,
        .least = 1,
        .most = 64,
        .check = check_path,
        .prose = "The files: a path or a glob, or a list of them. A file that appears later is "
                 "read from its beginning. With mode replay, {NAME} in a path is a parameter that "
                 "a request must give: the name of a file, or a part of one."},
    {.name = "rotated",
        .kind = CONFIG_STRINGS,
        .offset = offsetof(struct file_settings, rotated),
        .most = 64,
        .check = check_path,
        .prose =
            "Globs of what rotation makes of the files, so that what was written before the "
            "gateway started, or was truncated away, is found; without it PATH.* and PATH-* of "
            "each path that is no glob. Compressed ones (.gz, .zst, .bz2, .xz) are left out."},
    {.name = "format",
        .kind = CONFIG_ENUM,
        .offset = offsetof(struct file_settings, format),
        .choices = format_names,
        .fallback = "ndjson",
        .prose = "ndjson: a JSON text a line, blank lines are none. text: each line is a JSON "
                 "string. csv: RFC 4180 with a header, each row an object of strings. json_array: "
                 "the elements of one array; it does not grow, so not with mode tail."},
    {.name = "compression",
        .kind = CONFIG_ENUM,
        .offset = offsetof(struct file_settings, compression),
        .choices = compression_names,
        .fallback = "auto",
        .prose = "Of a replay's files: auto tells gzip and zstd by their first bytes. What is "
                 "followed is not compressed."},
    {.name = "start",
        .kind = CONFIG_ENUM,
        .offset = offsetof(struct file_settings, start),
        .choices = start_names,
        .fallback = "latest",
        .prose = "Where to begin in files that are there when the gateway starts: behind the last "
                 "whole line, or at the beginning, rotated files first."},
    {.name = "on_error",
        .kind = CONFIG_ENUM,
        .offset = offsetof(struct file_settings, on_error),
        .choices = on_error_names,
        .fallback = "skip",
        .prose = "A record that is too large (max_record) or malformed: skip: a gap tells it, and "
                 "what follows is read; fail: the source stops there and is down."},
    {.name = "key",
        .kind = CONFIG_STRING,
        .offset = offsetof(struct file_settings, key),
        .check = check_pointer,
        .prose = "The record's key: a JSON Pointer into it, as /id; of CSV, / and the column."},
    {.name = "time",
        .kind = CONFIG_STRING,
        .offset = offsetof(struct file_settings, time),
        .check = check_pointer,
        .prose = "The record's time: a JSON Pointer to an RFC 3339 string or a Unix time in "
                 "seconds, or in milliseconds from 100000000000 on. Without it, it is when the "
                 "line was seen, or the file last changed."},
    {.name = "poll",
        .kind = CONFIG_DURATION,
        .offset = offsetof(struct file_settings, poll_ms),
        .least = 10,
        .most = 60000,
        .fallback = "1s",
        .prose = "How often files are looked at where inotify says nothing: network file systems, "
                 "directories that are not there yet."},
    {.name = "max_files",
        .kind = CONFIG_COUNT,
        .offset = offsetof(struct file_settings, max_files),
        .least = 1,
        .most = 500, /* what a resume token holds */
        .fallback = "256",
        .prose = "Files of a replay; or files that are followed at once, rotated ones among them; "
                 "more are an error that "
                 "is logged and counted, and are read once there is room."},
};

const struct config_section file_section = {
    .name = "streams.NAME.source.file",
    .size = sizeof(struct file_settings),
    .keys = keys,
    .n_keys = sizeof keys / sizeof *keys,
};

static int
check_tail(const struct file_settings *settings, struct err *err)
{
    if (settings->format == FILE_JSON_ARRAY) {
        err_set(err, ERR_INVALID, "format json_array cannot be followed: an array does not grow");
        return -1;
    }
    if (settings->compression != FILE_AUTO && settings->compression != FILE_PLAIN) {
        err_set(err, ERR_INVALID, "compression is for mode replay");
        return -1;
    }
    return 0;
}

/* The settings are the table's, which has just filled them in: no one else has them yet. */
static int
check_replay(const struct file_settings *settings, struct err *err)
{
    struct file_settings *own = (struct file_settings *)(uintptr_t)settings;
    if (settings->rotated.n > 0) {
        err_set(err, ERR_INVALID, "rotated is for mode tail");
        return -1;
    }
    int n = file_names_variables(&settings->paths, own->variables, err);
    for (int i = 0; i < n; i++) {
        if (strcmp(own->variables[i], "rate") == 0 || strcmp(own->variables[i], "speed") == 0) {
            err_set(err, ERR_INVALID, "{%s} is a parameter of every replay", own->variables[i]);
            return -1;
        }
    }
    own->n_variables = n < 0 ? 0 : (size_t)n;
    return n < 0 ? -1 : 0;
}

int
file_settings_check(const void *settings_, struct err *err)
{
    const struct file_settings *settings = settings_;
    if (settings->format == FILE_TEXT && (settings->key != NULL || settings->time != NULL)) {
        err_set(err, ERR_INVALID, "key and time need a format with members, not text");
        return -1;
    }
    return settings->mode == FILE_TAIL ? check_tail(settings, err) : check_replay(settings, err);
}

/* Of a followed file: its struct, path, parser, what is kept of a half-written line, a CSV header
 * in both of its forms. The record in work is the stream's max_record, which is counted there. */
#define FILE_BYTES (UINT64_C(8192) + FILE_TAIL_KEEP_BYTES)

/* What a replay reads into: one block that waits for room, and the next. */
#define BLOCK_BYTES (FILE_READ_BYTES + UINT64_C(2048))

uint64_t
file_settings_memory_bytes(const void *settings_)
{
    const struct file_settings *settings = settings_;
    uint64_t header = settings->format == FILE_CSV ? 4 * FILE_HEADER_MAX : 0;
    if (settings->mode == FILE_REPLAY) {
        bool plain = settings->compression == FILE_PLAIN;
        return 2 * BLOCK_BYTES + header + (plain ? 0 : FILE_UNPACK_BYTES) +
               settings->max_files * PATH_MAX;
    }
    return FILE_READ_BYTES + settings->max_files * (FILE_BYTES + header);
}

uint64_t
file_settings_descriptors(const void *settings_)
{
    const struct file_settings *settings = settings_;
    /* A copy may be read beside what it is a copy of. */
    return settings->mode == FILE_REPLAY ? 3 : settings->max_files * 2 + 4;
}
