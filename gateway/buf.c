/* buf: a growable byte buffer. No thread of its own. */
#include "buf.h"

#include "mem.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void
buf_init(struct buf *buf)
{
    *buf = (struct buf){NULL, 0, 0};
}

void
buf_fini(struct buf *buf)
{
    free(buf->bytes);
    buf_init(buf);
}

char *
buf_reserve(struct buf *buf, size_t extra)
{
    if (buf->cap - buf->len < extra) {
        size_t cap = buf->cap == 0 ? 256 : buf->cap;
        while (cap - buf->len < extra) {
            cap *= 2;
        }
        buf->bytes = mem_realloc(buf->bytes, cap);
        buf->cap = cap;
    }
    return buf->bytes + buf->len;
}

void
buf_add(struct buf *buf, const void *bytes, size_t len)
{
    if (len != 0) {
        memcpy(buf_reserve(buf, len), bytes, len);
        buf->len += len;
    }
}

void
buf_adds(struct buf *buf, const char *text)
{
    buf_add(buf, text, strlen(text));
}

void
buf_addc(struct buf *buf, char c)
{
    *buf_reserve(buf, 1) = c;
    buf->len++;
}

void
buf_addu64(struct buf *buf, uint64_t value)
{
    char digits[20];
    size_t at = sizeof digits;
    do {
        digits[--at] = (char)('0' + value % 10);
        value /= 10;
    } while (value != 0);
    buf_add(buf, digits + at, sizeof digits - at);
}

void
buf_addf(struct buf *buf, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int want = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (want <= 0) {
        return;
    }
    char *at = buf_reserve(buf, (size_t)want + 1);
    va_start(args, format);
    vsnprintf(at, (size_t)want + 1, format, args);
    va_end(args);
    buf->len += (size_t)want;
}

void
buf_consume(struct buf *buf, size_t len)
{
    buf->len -= len;
    if (buf->len != 0) {
        memmove(buf->bytes, buf->bytes + len, buf->len);
    }
}
