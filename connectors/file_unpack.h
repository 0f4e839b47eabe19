/* file_unpack: the bytes of a file as they are, or out of gzip (RFC 1952; members one after
 * another) or zstd (RFC 8878; frames one after another). Places are places in what comes out.
 * Memory: FILE_UNPACK_BYTES at the most; a zstd frame with a larger window is refused.
 * Thread  one at a time.  Blocks  as read(2) of a file does. */
#ifndef HEADGATE_FILE_UNPACK_H
#define HEADGATE_FILE_UNPACK_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum file_compression { FILE_AUTO, FILE_PLAIN, FILE_GZIP, FILE_ZSTD };

#define FILE_UNPACK_WINDOW_LOG 23 /* 8 MiB: what zstd -19 makes */
#define FILE_UNPACK_BYTES ((UINT64_C(1) << FILE_UNPACK_WINDOW_LOG) + (UINT64_C(512) << 10))

struct file_unpack;

/* file_unpack_new: fd is lent. FILE_AUTO: by the first bytes. */
struct file_unpack *file_unpack_new(int fd, enum file_compression compression);
void file_unpack_free(struct file_unpack *unpack); /* NULL-safe */

/* file_unpack_read: the next bytes, at least one, at most size; 0: the end. Errors -1 and *why, a
 * literal: the file ends in the middle, is damaged, cannot be read. */
ssize_t file_unpack_read(struct file_unpack *unpack, char *out, size_t size, const char **why);

/* file_unpack_skip: go on at offset, which is not before the current place. What is compressed is
 * read up to there: call it until it returns 1, so that a long way can be given up in between.
 * Returns 1: there, or at the end; 0: not yet; -1 and *why. */
int file_unpack_skip(struct file_unpack *unpack, uint64_t offset, const char **why);

/* file_unpack_offset: the place of the next byte that comes out. */
uint64_t file_unpack_offset(const struct file_unpack *unpack);

/* file_unpack_consumed: bytes of the file that are read. */
uint64_t file_unpack_consumed(const struct file_unpack *unpack);

#endif
