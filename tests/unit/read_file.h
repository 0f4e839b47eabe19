/* read_file: append what a file of the tests has to content. False: it cannot be opened. */
#ifndef HEADGATE_READ_FILE_H
#define HEADGATE_READ_FILE_H

#include "buf.h"

#include <stdbool.h>
#include <stdio.h>

static inline bool
read_file(const char *path, struct buf *content)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        return false;
    }
    size_t got;
    while ((got = fread(buf_reserve(content, 4096), 1, 4096, file)) > 0) {
        content->len += got;
    }
    fclose(file);
    return true;
}

#endif
