/* subscriber: a client of the gateway for tests: one socket, its own parsers of HTTP, chunks,
 * frames, events and lines, and an account of what it was sent and what gaps told it.
 *
 * Records are {"n":N,...} with N from 0 on, so the next thing that it is told must be the record or
 * the gap at `next`: a record out of place, twice or untold fails the test at once. Thread  test.
 */
#ifndef HEADGATE_SUBSCRIBER_H
#define HEADGATE_SUBSCRIBER_H

#include "buf.h"
#include "metrics.h"

#include <stdbool.h>
#include <stdint.h>

struct subscriber {
    int fd;
    enum transport transport;
    struct buf raw;  /* as received */
    struct buf body; /* without chunks: what messages are cut from */
    bool head_done, chunked, whole, eof;
    int status;
    char head[2048];
    bool any_order; /* next is moved by nothing but records, wherever they are */

    uint64_t next;     /* n of the record that must come */
    uint64_t received; /* records */
    uint64_t lost;     /* told in gaps */
    uint64_t gaps, beats, pongs;
    char id[512];    /* of the last record or gap */
    char hello[512]; /* the control message, "" before it */
    char last[512];  /* the last control message that is not a gap */
    char gap[1024];  /* the last gap */
    int close_code;  /* of a WebSocket, 0 before it */
    bool answers_pings;
};

/* subscriber_open: connect to port of 127.0.0.1 with a small receive buffer, or, with 0, the
 * kernel's. subscriber_close: NULL-safe. */
struct subscriber *subscriber_open(uint16_t port, int receive_bytes);
void subscriber_close(struct subscriber *subscriber);

void subscriber_send(struct subscriber *subscriber, const void *bytes, size_t len);

/* subscriber_get: send a request of path, for a transport, as HTTP/1.minor; headers may be "". */
void subscriber_get(struct subscriber *subscriber, enum transport transport, int minor,
    const char *path, const char *headers);

/* subscriber_frame: a masked frame as clients send it; at most 125 bytes. */
void subscriber_frame(struct subscriber *subscriber, unsigned opcode, const char *text, size_t len);

/* subscriber_poll: take what there is, waiting for wait_ms at most. */
void subscriber_poll(struct subscriber *subscriber, int wait_ms);

/* subscriber_again: forget the answer that is read: another one follows on the connection. */
void subscriber_again(struct subscriber *subscriber);

#define PATIENCE_MS 60000
int64_t subscriber_now_ms(void);

/* Read until condition holds. */
#define READ_UNTIL(subscriber, condition)                                                          \
    do {                                                                                           \
        int64_t until_ms_ = subscriber_now_ms() + PATIENCE_MS;                                     \
        while (!(condition)) {                                                                     \
            ck_assert_msg(subscriber_now_ms() < until_ms_, "waited in vain for " #condition);      \
            ck_assert_msg(!(subscriber)->eof || (condition), "end before " #condition);            \
            subscriber_poll(subscriber, 20);                                                       \
        }                                                                                          \
    } while (0)

/* Wait for condition, reading nothing. */
#define WAIT_UNTIL(condition)                                                                      \
    do {                                                                                           \
        int64_t until_ms_ = subscriber_now_ms() + PATIENCE_MS;                                     \
        while (!(condition)) {                                                                     \
            ck_assert_msg(subscriber_now_ms() < until_ms_, "waited in vain for " #condition);      \
            subscriber_poll(NULL, 5);                                                              \
        }                                                                                          \
    } while (0)

#endif
