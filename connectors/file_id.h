/* file_id: which file this is: device, inode and a fingerprint of its beginning. It stays the same
 * while the file grows, is renamed or moved within its file system, and over restarts; it becomes
 * another when the file is truncated and written anew, or its inode is given to another file.
 * Thread  any: no state. */
#ifndef HEADGATE_FILE_ID_H
#define HEADGATE_FILE_ID_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* The beginning is the first lines, or this many bytes where those are longer. */
#define FILE_ID_BYTES 1024

struct file_id {
    dev_t device;
    ino_t inode;
    uint64_t fingerprint; /* FNV-1a of the first len bytes */
    size_t len;
};

/* file_id_of: read the beginning of fd. lines: how many make the beginning (2 where the first is a
 * header that all files share; 0: all there is). False: they are not there yet. */
bool file_id_of(struct file_id *id, int fd, unsigned lines);

/* file_id_holds: fd still begins as it did. */
bool file_id_holds(const struct file_id *id, int fd);

/* file_id_name: the lane's group: device:inode:fingerprint in hexadecimal digits. */
#define FILE_ID_NAME_MAX 64
void file_id_name(const struct file_id *id, char out[FILE_ID_NAME_MAX]);

/* file_line_begin: the offset behind the last line feed before size; size where none is found
 * within most bytes. */
uint64_t file_line_begin(int fd, uint64_t size, uint64_t most);

#endif
