/* file_names: the files of a replay: the paths and globs of its configuration, with the values that
 * a request gives for the {NAME}s in them. Any thread. */
#ifndef HEADGATE_FILE_NAMES_H
#define HEADGATE_FILE_NAMES_H

#include "connector.h"
#include "file_settings.h"

/* file_names_variables: the distinct variables of all paths, in their order, each once. Returns the
 * count. Errors -1 and err: braces that are none, too many, a name that is none. */
int file_names_variables(const struct config_strings *paths,
    char names[FILE_VARIABLES_MAX][FILE_VARIABLE_BYTES], struct err *err);

/* file_names_find: the regular files there are, sorted by path; each once.
 * Owns    *files is the caller's, file_names_free frees it.
 * Errors  -1 and err: ERR_INVALID a variable is missing or its value is no file's name (nothing
 *         with a slash, or that begins with a dot); ERR_MISSING there is no file; ERR_LIMIT more
 *         than max_files. */
struct file_names {
    char **paths;
    size_t n;
};
int file_names_find(struct file_names *files, const struct file_settings *settings,
    const struct replay *replay, struct err *err);
void file_names_free(struct file_names *files);

/* file_names_open: read-only, never waiting. A name that a client has chosen is no symbolic link.
 * Returns the descriptor, or -1 when it is no regular file (any more). */
int file_names_open(const struct file_settings *settings, const char *path);

#endif
