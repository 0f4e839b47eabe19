/* buf: a growable byte buffer that its owner appends to.
 *
 * Invariant: len <= cap; bytes is NULL only while cap is 0. An allocation failure ends the process
 * (see mem.h): a gateway whose memory is bounded by configuration has no better answer to it.
 * Thread  whoever owns it. */
#ifndef HEADGATE_BUF_H
#define HEADGATE_BUF_H

#include <stddef.h>
#include <stdint.h>

struct buf {
    char *bytes;
    size_t len;
    size_t cap;
};

void buf_init(struct buf *buf);
void buf_fini(struct buf *buf);

/* buf_reserve: make room for extra more bytes and lend a pointer to the end. Amortised O(1). */
char *buf_reserve(struct buf *buf, size_t extra);
void buf_add(struct buf *buf, const void *bytes, size_t len);
void buf_adds(struct buf *buf, const char *text);
void buf_addc(struct buf *buf, char c);
void buf_addu64(struct buf *buf, uint64_t value); /* in decimal */
void buf_addf(struct buf *buf, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* buf_consume: drop the first len bytes (len <= buf->len); the rest moves to the front. */
void buf_consume(struct buf *buf, size_t len);

#define BUF_LITERAL(buf, literal) buf_add((buf), (literal), sizeof(literal) - 1)

#endif
