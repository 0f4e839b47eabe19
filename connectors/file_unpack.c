/* file_unpack: see file_unpack.h. One thread at a time. */
#include "file_unpack.h"

#include "../gateway/mem.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#define IN_BYTES (UINT32_C(64) << 10)

struct file_unpack {
    int fd;
    enum file_compression compression;
    uint64_t read_bytes; /* of the file, into in */
    uint64_t offset;     /* of the next byte that comes out */
    char *in;
    size_t in_at, in_end;
    bool inside; /* a member or frame has begun and not ended */
    z_stream gzip;
    ZSTD_DStream *zstd;
};

static enum file_compression
detect(int fd)
{
    static const unsigned char gzip[] = {0x1F, 0x8B}, zstd[] = {0x28, 0xB5, 0x2F, 0xFD};
    unsigned char bytes[4];
    ssize_t n = pread(fd, bytes, sizeof bytes, 0);
    if (n >= 2 && memcmp(bytes, gzip, 2) == 0) {
        return FILE_GZIP;
    }
    return n == 4 && memcmp(bytes, zstd, 4) == 0 ? FILE_ZSTD : FILE_PLAIN;
}

struct file_unpack *
file_unpack_new(int fd, enum file_compression compression)
{
    struct file_unpack *unpack = mem_calloc(1, sizeof *unpack);
    unpack->fd = fd;
    unpack->compression = compression == FILE_AUTO ? detect(fd) : compression;
    if (unpack->compression == FILE_PLAIN) {
        return unpack;
    }
    unpack->in = mem_alloc(IN_BYTES);
    if (unpack->compression == FILE_ZSTD) {
        unpack->zstd = ZSTD_createDStream();
        ZSTD_DCtx_setParameter(unpack->zstd, ZSTD_d_windowLogMax, FILE_UNPACK_WINDOW_LOG);
    } else {
        (void)inflateInit2(&unpack->gzip, 15 + 16); /* the gzip format, with its check */
    }
    return unpack;
}

void
file_unpack_free(struct file_unpack *unpack)
{
    if (unpack == NULL) {
        return;
    }
    if (unpack->compression == FILE_GZIP) {
        (void)inflateEnd(&unpack->gzip);
    }
    ZSTD_freeDStream(unpack->zstd);
    free(unpack->in);
    free(unpack);
}

/* Have something in in. 0: the file's end; -1 and *why. */
static int
fill(struct file_unpack *unpack, const char **why)
{
    if (unpack->in_at < unpack->in_end) {
        return 1;
    }
    ssize_t n = pread(unpack->fd, unpack->in, IN_BYTES, (off_t)unpack->read_bytes);
    if (n <= 0) {
        *why = n < 0 ? "it cannot be read" : "it ends in the middle";
        return n < 0 || unpack->inside ? -1 : 0;
    }
    unpack->read_bytes += (uint64_t)n;
    unpack->in_at = 0;
    unpack->in_end = (size_t)n;
    return 1;
}

/* Bytes made, 0 when more input is needed; -1 and *why. */
static ssize_t
step_gzip(struct file_unpack *unpack, char *out, size_t size, const char **why)
{
    z_stream *gzip = &unpack->gzip;
    gzip->next_in = (unsigned char *)unpack->in + unpack->in_at;
    gzip->avail_in = (uInt)(unpack->in_end - unpack->in_at);
    gzip->next_out = (unsigned char *)out;
    gzip->avail_out = (uInt)size;
    unpack->inside = true;
    int rc = inflate(gzip, Z_NO_FLUSH);
    unpack->in_at = unpack->in_end - gzip->avail_in;
    if (rc == Z_STREAM_END) {
        unpack->inside = false;
        rc = inflateReset(gzip);
    }
    if (rc != Z_OK && rc != Z_BUF_ERROR) {
        *why = "it is no gzip, or damaged";
        return -1;
    }
    return (ssize_t)(size - gzip->avail_out);
}

static ssize_t
step_zstd(struct file_unpack *unpack, char *out, size_t size, const char **why)
{
    ZSTD_inBuffer in = {unpack->in, unpack->in_end, unpack->in_at};
    ZSTD_outBuffer made = {out, size, 0};
    size_t rc = ZSTD_decompressStream(unpack->zstd, &made, &in);
    unpack->in_at = in.pos;
    if (ZSTD_isError(rc)) {
        *why = "it is no zstd, damaged, or of a window over 8 MiB";
        return -1;
    }
    unpack->inside = rc != 0;
    return (ssize_t)made.pos;
}

static ssize_t
read_plain(struct file_unpack *unpack, char *out, size_t size, const char **why)
{
    ssize_t n = pread(unpack->fd, out, size, (off_t)unpack->offset);
    if (n < 0) {
        *why = "it cannot be read";
        return -1;
    }
    unpack->offset += (uint64_t)n;
    unpack->read_bytes = unpack->offset;
    return n;
}

/* zstd may hold output back that needs no more input: a frame that is inside is asked first. */
ssize_t
file_unpack_read(struct file_unpack *unpack, char *out, size_t size, const char **why)
{
    if (unpack->compression == FILE_PLAIN) {
        return read_plain(unpack, out, size, why);
    }
    bool zstd = unpack->compression == FILE_ZSTD;
    for (;;) {
        ssize_t n = 0;
        if (unpack->inside || unpack->in_at < unpack->in_end) {
            n = zstd ? step_zstd(unpack, out, size, why) : step_gzip(unpack, out, size, why);
        }
        if (n != 0) {
            unpack->offset += n > 0 ? (uint64_t)n : 0;
            return n;
        }
        int filled = fill(unpack, why);
        if (filled <= 0) {
            return filled;
        }
    }
}

int
file_unpack_skip(struct file_unpack *unpack, uint64_t offset, const char **why)
{
    char bytes[8192];
    if (unpack->compression == FILE_PLAIN) {
        struct stat status;
        bool within = fstat(unpack->fd, &status) == 0 && (uint64_t)status.st_size >= offset;
        unpack->offset = within ? offset : unpack->offset;
        return 1;
    }
    for (int i = 0; i < 64 && unpack->offset < offset; i++) {
        uint64_t left = offset - unpack->offset;
        ssize_t n =
            file_unpack_read(unpack, bytes, left < sizeof bytes ? (size_t)left : sizeof bytes, why);
        if (n <= 0) {
            return n < 0 ? -1 : 1;
        }
    }
    return unpack->offset >= offset;
}

uint64_t
file_unpack_offset(const struct file_unpack *unpack)
{
    return unpack->offset;
}

uint64_t
file_unpack_consumed(const struct file_unpack *unpack)
{
    return unpack->read_bytes;
}
