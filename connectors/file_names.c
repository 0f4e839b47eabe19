/* file_names: see file_names.h. Any thread; no state. */
#include "file_names.h"

#include "../gateway/buf.h"
#include "../gateway/mem.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static size_t
variable_length(const char *name)
{
    size_t len = 0;
    while (isalnum((unsigned char)name[len]) || name[len] == '_') {
        len++;
    }
    return len;
}

int
file_names_variables(const struct config_strings *paths,
    char names[FILE_VARIABLES_MAX][FILE_VARIABLE_BYTES], struct err *err)
{
    int n = 0;
    for (size_t i = 0; i < paths->n; i++) {
        for (const char *at = paths->items[i]; (at = strpbrk(at, "{}")) != NULL;) {
            size_t len = *at == '{' ? variable_length(at + 1) : 0;
            if (len == 0 || len >= FILE_VARIABLE_BYTES || at[len + 1] != '}') {
                err_set(err, ERR_INVALID, "in a path {NAME} stands for what a request gives");
                return -1;
            }
            int k = 0;
            while (k < n && (strncmp(names[k], at + 1, len) != 0 || names[k][len] != '\0')) {
                k++;
            }
            if (k == FILE_VARIABLES_MAX) {
                err_set(err, ERR_INVALID, "at most %d variables", FILE_VARIABLES_MAX);
                return -1;
            }
            memcpy(names[k], at + 1, len);
            names[k][len] = '\0';
            n = k == n ? n + 1 : n;
            at += len + 2;
        }
    }
    return n;
}

static const char *
value_of(const struct replay *replay, const char *name, size_t len)
{
    for (size_t i = 0; replay != NULL && i < replay->n_params; i++) {
        const struct request_param *param = &replay->params[i];
        if (strlen(param->name) == len && memcmp(param->name, name, len) == 0) {
            return param->value;
        }
    }
    return NULL;
}

/* A file's name, or a part of one: what a glob would take for more is escaped. */
static int
add_value(struct buf *out, const char *value, const char *name, size_t len, struct err *err)
{
    if (value == NULL) {
        err_set(err, ERR_INVALID, "%.*s: is missing", (int)len, name);
        return -1;
    }
    if (value[0] == '\0' || value[0] == '.' || strchr(value, '/') != NULL || strlen(value) > 255) {
        err_set(err, ERR_INVALID, "%.*s: must be a file's name", (int)len, name);
        return -1;
    }
    for (; *value != '\0'; value++) {
        if (strchr("*?[\\", *value) != NULL) {
            buf_addc(out, '\\');
        }
        buf_addc(out, *value);
    }
    return 0;
}

/* The glob that the path is with the request's values. */
static int
fill_in(struct buf *out, const char *path, const struct replay *replay, struct err *err)
{
    out->len = 0;
    for (const char *at = path; *at != '\0';) {
        if (*at != '{') {
            buf_addc(out, *at++);
            continue;
        }
        size_t len = variable_length(at + 1);
        if (add_value(out, value_of(replay, at + 1, len), at + 1, len, err) != 0) {
            return -1;
        }
        at += len + 2;
    }
    buf_addc(out, '\0');
    return 0;
}

static int
order(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static int
add_found(struct file_names *files, const glob_t *found, const struct file_settings *settings,
    struct err *err)
{
    for (size_t i = 0; i < found->gl_pathc; i++) {
        struct stat status;
        if (stat(found->gl_pathv[i], &status) != 0 || !S_ISREG(status.st_mode)) {
            continue;
        }
        if (files->n == settings->max_files) {
            err_set(err, ERR_LIMIT, "more than %llu files (max_files)",
                (unsigned long long)settings->max_files);
            return -1;
        }
        files->paths = mem_realloc(files->paths, (files->n + 1) * sizeof *files->paths);
        files->paths[files->n++] = mem_strdup(found->gl_pathv[i]);
    }
    return 0;
}

static void
sort_unique(struct file_names *files)
{
    size_t kept = 0;
    qsort(files->paths, files->n, sizeof *files->paths, order);
    for (size_t i = 0; i < files->n; i++) {
        if (kept > 0 && strcmp(files->paths[kept - 1], files->paths[i]) == 0) {
            free(files->paths[i]);
        } else {
            files->paths[kept++] = files->paths[i];
        }
    }
    files->n = kept;
}

int
file_names_find(struct file_names *files, const struct file_settings *settings,
    const struct replay *replay, struct err *err)
{
    struct buf pattern;
    int result = 0;
    *files = (struct file_names){NULL, 0};
    buf_init(&pattern);
    for (size_t i = 0; i < settings->paths.n && result == 0; i++) {
        glob_t found;
        result = fill_in(&pattern, settings->paths.items[i], replay, err);
        if (result == 0 && glob(pattern.bytes, GLOB_NOSORT, NULL, &found) == 0) {
            result = add_found(files, &found, settings, err);
            globfree(&found);
        }
    }
    buf_fini(&pattern);
    if (result == 0 && files->n == 0) {
        err_set(err, ERR_MISSING, "there is no such file");
        result = -1;
    }
    if (result != 0) {
        file_names_free(files);
        return -1;
    }
    sort_unique(files);
    return 0;
}

void
file_names_free(struct file_names *files)
{
    for (size_t i = 0; i < files->n; i++) {
        free(files->paths[i]);
    }
    free(files->paths);
    *files = (struct file_names){NULL, 0};
}

static bool
is_chosen(const struct file_settings *settings)
{
    for (size_t i = 0; i < settings->paths.n; i++) {
        if (strchr(settings->paths.items[i], '{') != NULL) {
            return true;
        }
    }
    return false;
}

int
file_names_open(const struct file_settings *settings, const char *path)
{
    struct stat stat;
    int flags = O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY;
    int fd = open(path, is_chosen(settings) ? flags | O_NOFOLLOW : flags);
    if (fd >= 0 && (fstat(fd, &stat) != 0 || !S_ISREG(stat.st_mode))) {
        close(fd);
        return -1;
    }
    return fd;
}
