/* coding: pieces of gzip, zstd and permessage-deflate. Shard thread; knows no connection. */
#include "coding.h"

#include "mem.h"
#include "ws.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

const char *const coding_names[CODING_COUNT] = {"identity", "gzip", "zstd", "permessage-deflate"};

/* Up to this size a piece is compressed in a small window: clearing zlib's tables for it would cost
 * more than the rest of the work. */
#define SMALL_BYTES 4096
#define SMALL_WINDOW_BITS 12
#define SMALL_MEM_LEVEL 5
#define LARGE_MEM_LEVEL 8
/* Bounds the memory of a compressor and of every decoder (RFC 9659 asks for 8 MiB at most). */
#define ZSTD_WINDOW_LOG 18
/* A buffer that one large record made is not kept. */
#define KEEP_BYTES (256u * 1024u)
#define STORED_MOST 65535u            /* of a stored block, RFC 1951 section 3.2.4 */
#define RAW_FRAME_MOST (128u * 1024u) /* of a zstd block, RFC 8878 section 3.1.1.2.4 */
#define SYNC_BYTES 5                  /* of the empty stored block that ends a piece, at most */
#define SYNC_TAIL 4                   /* of it, what RFC 7692 section 7.2.1 takes away */
#define RSV1 0x40u

struct coder {
    struct coding_options options;
    z_stream small, large; /* state NULL: not yet made */
    ZSTD_CCtx *zstd;       /* NULL: not yet made */
    struct buf raw;
    size_t piece_bytes[CODING_COUNT]; /* 0: nothing was compressed yet */
};

struct coder *
coder_new(const struct coding_options *options)
{
    struct coder *coder = mem_calloc(1, sizeof *coder);
    coder->options = *options;
    buf_init(&coder->raw);
    return coder;
}

void
coder_free(struct coder *coder)
{
    if (coder != NULL) {
        (void)deflateEnd(&coder->small); /* refuses what was not made */
        (void)deflateEnd(&coder->large);
        ZSTD_freeCCtx(coder->zstd);
        buf_fini(&coder->raw);
        free(coder);
    }
}

struct buf *
coder_raw(struct coder *coder)
{
    coder->raw.len = 0;
    return &coder->raw;
}

/* ---- deflate ---- */

static void *
zlib_alloc(void *opaque, unsigned items, unsigned size)
{
    (void)opaque;
    return mem_calloc(items, size);
}

static void
zlib_free(void *opaque, void *address)
{
    (void)opaque;
    free(address);
}

static z_stream *
deflater(struct coder *coder, size_t len)
{
    bool small = len <= SMALL_BYTES;
    z_stream *stream = small ? &coder->small : &coder->large;
    int made = Z_OK;
    if (stream->state == NULL) {
        stream->zalloc = zlib_alloc;
        stream->zfree = zlib_free;
        made = deflateInit2(stream, coder->options.level, Z_DEFLATED,
            small ? -SMALL_WINDOW_BITS : -MAX_WBITS, small ? SMALL_MEM_LEVEL : LARGE_MEM_LEVEL,
            Z_DEFAULT_STRATEGY);
    } else {
        made = deflateReset(stream);
    }
    assert(made == Z_OK);
    (void)made;
    return stream;
}

/* Raw deflate that ends with a sync flush, RFC 1951; its output is not the end of a stream. */
static void
add_deflated(struct coder *coder, struct buf *out, const char *bytes, size_t len)
{
    z_stream *stream = deflater(coder, len);
    stream->next_in = (Bytef *)(uintptr_t)bytes; /* zlib only reads it */
    stream->avail_in = (uInt)len;
    size_t room = deflateBound(stream, (uLong)len) + SYNC_BYTES + 1;
    do { /* once: zlib's bound is one */
        stream->next_out = (Bytef *)buf_reserve(out, room);
        stream->avail_out = (uInt)room;
        (void)deflate(stream, Z_SYNC_FLUSH);
        out->len += room - stream->avail_out;
    } while (stream->avail_out == 0);
    assert(stream->avail_in == 0);
}

static void
add_le(struct buf *out, uint32_t value, unsigned bytes)
{
    for (; bytes > 0; bytes--, value >>= 8) {
        buf_addc(out, (char)(value & 0xff));
    }
}

/* Stored blocks, which begin and end at whole bytes. */
static void
add_stored(struct buf *out, const char *bytes, size_t len)
{
    while (len > 0) {
        uint32_t n = len < STORED_MOST ? (uint32_t)len : STORED_MOST;
        buf_addc(out, 0);
        add_le(out, n, 2);
        add_le(out, ~n, 2);
        buf_add(out, bytes, n);
        bytes += n;
        len -= n;
    }
}

static bool
add_gzip(struct coder *coder, struct buf *out, bool compress)
{
    const struct buf *raw = &coder->raw;
    size_t begin = out->len;
    if (compress) {
        add_deflated(coder, out, raw->bytes, raw->len);
        if (out->len - begin <= raw->len) {
            return true;
        }
        out->len = begin;
    }
    add_stored(out, raw->bytes, raw->len);
    return false;
}

/* ---- zstd ---- */

static ZSTD_CCtx *
zstd_of(struct coder *coder)
{
    if (coder->zstd == NULL) {
        coder->zstd = ZSTD_createCCtx();
        if (coder->zstd != NULL) {
            ZSTD_CCtx_setParameter(coder->zstd, ZSTD_c_compressionLevel, coder->options.level);
            ZSTD_CCtx_setParameter(coder->zstd, ZSTD_c_windowLog, ZSTD_WINDOW_LOG);
        }
    }
    return coder->zstd;
}

/* Frames of one block as it is: magic number, a single segment with its size in four bytes, the
 * block's head. */
static void
add_raw_frames(struct buf *out, const char *bytes, size_t len)
{
    while (len > 0) {
        uint32_t n = len < RAW_FRAME_MOST ? (uint32_t)len : RAW_FRAME_MOST;
        add_le(out, ZSTD_MAGICNUMBER, 4);
        buf_addc(out, (char)0xa0);
        add_le(out, n, 4);
        add_le(out, n << 3 | 1, 3);
        buf_add(out, bytes, n);
        bytes += n;
        len -= n;
    }
}

static bool
add_zstd(struct coder *coder, struct buf *out, bool compress)
{
    const struct buf *raw = &coder->raw;
    ZSTD_CCtx *context = compress ? zstd_of(coder) : NULL;
    if (context != NULL) {
        size_t room = ZSTD_compressBound(raw->len);
        char *at = buf_reserve(out, room);
        size_t n = ZSTD_compress2(context, at, room, raw->bytes, raw->len);
        if (!ZSTD_isError(n) && n < raw->len) { /* an error: it has no memory */
            out->len += n;
            return true;
        }
    }
    add_raw_frames(out, raw->bytes, raw->len);
    return false;
}

/* ---- permessage-deflate ---- */

static size_t
frame_head_len(const struct buf *frame)
{
    unsigned len = (unsigned char)frame->bytes[1] & 0x7f;
    return len < 126 ? 2 : len == 126 ? 4 : WS_FRAME_HEAD_MAX;
}

static bool
add_message(struct coder *coder, struct buf *out, bool compress)
{
    const struct buf *raw = &coder->raw;
    size_t head_len = frame_head_len(raw);
    size_t len = raw->len - head_len;
    size_t begin = out->len;
    if (compress) {
        unsigned char head[WS_FRAME_HEAD_MAX];
        buf_add(out, raw->bytes, head_len); /* the longest that the new head can be */
        add_deflated(coder, out, raw->bytes + head_len, len);
        size_t coded_len = out->len - begin - head_len - SYNC_TAIL;
        if (coded_len < len) {
            size_t new_len = ws_frame_head(head, WS_OP_TEXT, coded_len);
            head[0] |= RSV1;
            memmove(out->bytes + begin + new_len, out->bytes + begin + head_len, coded_len);
            memcpy(out->bytes + begin, head, new_len);
            out->len = begin + new_len + coded_len;
            return true;
        }
        out->len = begin;
    }
    buf_add(out, raw->bytes, raw->len);
    return false;
}

/* ---- pieces ---- */

static bool
add_piece(struct coder *coder, enum coding coding, struct buf *out, bool compress)
{
    switch (coding) {
    case CODING_GZIP:
        return add_gzip(coder, out, compress);
    case CODING_ZSTD:
        return add_zstd(coder, out, compress);
    case CODING_MESSAGE:
        return add_message(coder, out, compress);
    case CODING_IDENTITY:
        break;
    }
    buf_add(out, coder->raw.bytes, coder->raw.len);
    return false;
}

size_t
coder_piece_bytes(const struct coder *coder, enum coding coding)
{
    return coder->piece_bytes[coding] == 0 ? CODING_PIECE_MOST : coder->piece_bytes[coding];
}

/* Learn from a piece of raw_len bytes that became coded_len. */
static void
learn(struct coder *coder, enum coding coding, size_t raw_len, size_t coded_len)
{
    uint64_t bytes = (uint64_t)CODING_PIECE_BYTES * raw_len / coded_len;
    bytes = bytes < CODING_PIECE_BYTES ? CODING_PIECE_BYTES : bytes;
    coder->piece_bytes[coding] = bytes > CODING_PIECE_MOST ? CODING_PIECE_MOST : (size_t)bytes;
}

bool
coder_add(struct coder *coder, enum coding coding, struct buf *out)
{
    assert(coder->raw.len > 0);
    size_t begin = out->len;
    bool compress =
        coder->raw.len >= coder->options.least_bytes && coder->raw.len <= CODING_MOST_BYTES;
    bool compressed = add_piece(coder, coding, out, compress);
    if (coder->raw.len >= CODING_PIECE_BYTES) { /* small ones say nothing of large ones */
        learn(coder, coding, coder->raw.len, out->len - begin);
    }
    if (coder->raw.cap > KEEP_BYTES) {
        buf_fini(&coder->raw);
    }
    coder->raw.len = 0;
    return compressed;
}

/* ---- bodies ---- */

struct coding_sum
coding_sum_of(const char *bytes, size_t len)
{
    return (struct coding_sum){
        .crc = (uint32_t)crc32_z(0, (const Bytef *)bytes, len),
        .len = (uint32_t)len,
        .op = (uint32_t)crc32_combine_gen((z_off_t)len),
    };
}

void
coding_sum_append(struct coding_sum *sum, const struct coding_sum *piece)
{
    if (piece->op != 0) { /* with that it would never return */
        sum->crc = (uint32_t)crc32_combine_op(sum->crc, piece->crc, piece->op);
        sum->len += piece->len;
    }
}

void
coding_open(enum coding coding, struct buf *out)
{
    if (coding == CODING_GZIP) { /* no name, no time, system unknown: RFC 1952 section 2.3 */
        BUF_LITERAL(out, "\x1f\x8b\x08\0\0\0\0\0\0\xff");
    }
}

void
coding_close(enum coding coding, const struct coding_sum *sum, struct buf *out)
{
    if (coding == CODING_GZIP) {
        BUF_LITERAL(out, "\x03\0"); /* the last block, empty */
        add_le(out, sum->crc, 4);
        add_le(out, sum->len, 4);
    }
}
