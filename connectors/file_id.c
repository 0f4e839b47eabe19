/* file_id: see file_id.h. Any thread; no state. */
#include "file_id.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static uint64_t
hash(const char *bytes, size_t len)
{
    uint64_t value = UINT64_C(14695981039346656037);
    for (size_t i = 0; i < len; i++) {
        value = (value ^ (uint8_t)bytes[i]) * UINT64_C(1099511628211);
    }
    return value;
}

/* How many bytes the first lines are; 0: they are not all there. */
static size_t
beginning(const char *bytes, size_t n, unsigned lines)
{
    const char *at = lines == 0 ? bytes + n : bytes;
    for (unsigned i = 0; i < lines; i++) {
        const char *feed = memchr(at, '\n', (size_t)(bytes + n - at));
        if (feed == NULL) {
            return n == FILE_ID_BYTES ? n : 0;
        }
        at = feed + 1;
    }
    return (size_t)(at - bytes);
}

bool
file_id_of(struct file_id *id, int fd, unsigned lines)
{
    char bytes[FILE_ID_BYTES];
    struct stat stat;
    ssize_t n = pread(fd, bytes, sizeof bytes, 0);
    size_t len = n <= 0 ? 0 : beginning(bytes, (size_t)n, lines);
    if (len == 0 || fstat(fd, &stat) != 0) {
        return false;
    }
    *id = (struct file_id){stat.st_dev, stat.st_ino, hash(bytes, len), len};
    return true;
}

bool
file_id_holds(const struct file_id *id, int fd)
{
    char bytes[FILE_ID_BYTES];
    ssize_t n = pread(fd, bytes, id->len, 0);
    return n >= 0 && (size_t)n == id->len && hash(bytes, id->len) == id->fingerprint;
}

void
file_id_name(const struct file_id *id, char out[FILE_ID_NAME_MAX])
{
    snprintf(out, FILE_ID_NAME_MAX, "%" PRIxMAX ":%" PRIxMAX ":%016" PRIx64, (uintmax_t)id->device,
        (uintmax_t)id->inode, id->fingerprint);
}

uint64_t
file_line_begin(int fd, uint64_t size, uint64_t most)
{
    char bytes[4096];
    uint64_t end = size;
    while (end > 0 && size - end < most) {
        size_t len = end < sizeof bytes ? (size_t)end : sizeof bytes;
        ssize_t n = pread(fd, bytes, len, (off_t)(end - len));
        if (n < 0 || (size_t)n != len) {
            return size;
        }
        const char *feed = memrchr(bytes, '\n', len);
        if (feed != NULL) {
            return end - len + (uint64_t)(feed - bytes) + 1;
        }
        end -= len;
    }
    return end == 0 ? 0 : size;
}
