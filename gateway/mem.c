/* mem: allocation that cannot fail. Any thread. */
#include "mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *
or_abort(void *got, size_t size)
{
    if (got == NULL && size != 0) {
        fprintf(stderr, "headgate: out of memory (%zu bytes)\n", size);
        abort();
    }
    return got;
}

void *
mem_alloc(size_t size)
{
    return or_abort(malloc(size), size);
}

void *
mem_calloc(size_t count, size_t size)
{
    return or_abort(calloc(count, size), count == 0 ? 0 : size);
}

void *
mem_calloc_aligned(size_t count, size_t size)
{
    void *got = or_abort(aligned_alloc(64, count * size), count * size);
    memset(got, 0, count * size);
    return got;
}

void *
mem_realloc(void *old, size_t size)
{
    return or_abort(realloc(old, size), size);
}

char *
mem_strndup(const char *text, size_t len)
{
    char *copy = mem_alloc(len + 1);
    memcpy(copy, text, len);
    copy[len] = '\0';
    return copy;
}

char *
mem_strdup(const char *text)
{
    return mem_strndup(text, strlen(text));
}
