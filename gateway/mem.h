/* mem: allocation that cannot fail. Out of memory is logged and aborts: every queue is bounded by
 * configuration, so exhaustion is a wrong bound, not a state to limp through. Thread any. */
#ifndef HEADGATE_MEM_H
#define HEADGATE_MEM_H

#include <stddef.h>

void *mem_alloc(size_t size);               /* uninitialised */
void *mem_calloc(size_t count, size_t size); /* zeroed; count * size is checked for overflow */
/* mem_calloc_aligned: the same on a 64-byte cache line; size is a multiple of 64. */
void *mem_calloc_aligned(size_t count, size_t size);
void *mem_realloc(void *old, size_t size);
char *mem_strdup(const char *text);
char *mem_strndup(const char *text, size_t len);

#endif
