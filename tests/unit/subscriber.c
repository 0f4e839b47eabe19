/* subscriber: reads as a client would, strictly, and keeps account. */
#include "subscriber.h"

#include "clock.h"
#include "mem.h"
#include "unit.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int64_t
subscriber_now_ms(void)
{
    return clock_mono_ns() / 1000000;
}

struct subscriber *
subscriber_open(uint16_t port, int receive_bytes)
{
    struct subscriber *subscriber = mem_calloc(1, sizeof *subscriber);
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    subscriber->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_ge(subscriber->fd, 0);
    if (receive_bytes > 0) {
        setsockopt(
            subscriber->fd, SOL_SOCKET, SO_RCVBUF, &receive_bytes, (socklen_t)sizeof receive_bytes);
    }
    ck_assert_int_eq(connect(subscriber->fd, (struct sockaddr *)&to, sizeof to), 0);
    return subscriber;
}

void
subscriber_close(struct subscriber *subscriber)
{
    if (subscriber != NULL) {
        close(subscriber->fd);
        buf_fini(&subscriber->raw);
        buf_fini(&subscriber->body);
        free(subscriber);
    }
}

void
subscriber_send(struct subscriber *subscriber, const void *bytes, size_t len)
{
    ck_assert_int_eq(send(subscriber->fd, bytes, len, MSG_NOSIGNAL), (ssize_t)len);
}

void
subscriber_get(struct subscriber *subscriber, enum transport transport, int minor, const char *path,
    const char *headers)
{
    static const char *const accepts[TRANSPORT_COUNT] = {
        "*/*", "text/event-stream", "application/x-ndjson", "application/json"};
    struct buf text;
    buf_init(&text);
    subscriber->transport = transport;
    buf_addf(&text, "GET %s HTTP/1.%d\r\nHost: x\r\nAccept: %s\r\n%s", path, minor,
        accepts[transport], headers);
    if (transport == TRANSPORT_WS) {
        BUF_LITERAL(&text, "Connection: Upgrade\r\nUpgrade: websocket\r\n"
                           "Sec-WebSocket-Version: 13\r\n"
                           "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n");
    }
    BUF_LITERAL(&text, "\r\n");
    subscriber_send(subscriber, text.bytes, text.len);
    buf_fini(&text);
}

void
subscriber_frame(struct subscriber *subscriber, unsigned opcode, const char *text, size_t len)
{
    static const unsigned char mask[4] = {0x12, 0x34, 0x56, 0x78};
    unsigned char frame[6 + 125];
    ck_assert_uint_le(len, 125);
    frame[0] = (unsigned char)(0x80u | opcode);
    frame[1] = (unsigned char)(0x80u | len);
    memcpy(frame + 2, mask, 4);
    for (size_t i = 0; i < len; i++) {
        frame[6 + i] = (unsigned char)text[i] ^ mask[i % 4];
    }
    subscriber_send(subscriber, frame, 6 + len);
}

/* ---- messages ---- */

static void
copy(char *to, size_t size, const char *text, size_t len)
{
    snprintf(to, size, "%.*s", (int)(len < size ? len : size - 1), text);
}

/* The number behind the first mark within the first bytes of text. */
static uint64_t
number_behind(const char *text, size_t len, const char *mark)
{
    const char *at = memmem(text, len < 4096 ? len : 4096, mark, strlen(mark));
    ck_assert_msg(at != NULL, "no %s in %.*s", mark, (int)(len < 200 ? len : 200), text);
    return strtoull(at + strlen(mark), NULL, 10);
}

static void
take_id(struct subscriber *subscriber, const char *text, size_t len, const char *mark)
{
    const char *at = memmem(text, len < 4096 ? len : 4096, mark, strlen(mark));
    if (at != NULL) {
        at += strlen(mark);
        copy(subscriber->id, sizeof subscriber->id, at, strcspn(at, "\""));
    }
}

static void
take_control(struct subscriber *subscriber, const char *text, size_t len)
{
    static const char hello[] = "{\"event\":\"hello\"", gap[] = "{\"event\":\"gap\"",
                      pong[] = "{\"event\":\"pong\"";
    if (strncmp(text, gap, sizeof gap - 1) == 0) {
        uint64_t count = number_behind(text, len, "\"count\":");
        ck_assert_uint_gt(count, 0);
        subscriber->gaps++;
        subscriber->lost += count;
        subscriber->next += count;
        copy(subscriber->gap, sizeof subscriber->gap, text, len);
        take_id(subscriber, text, len, "\"to\":\"");
        return;
    }
    subscriber->pongs += strncmp(text, pong, sizeof pong - 1) == 0;
    copy(subscriber->last, sizeof subscriber->last, text, len);
    if (strncmp(text, hello, sizeof hello - 1) == 0) {
        ck_assert_str_eq(subscriber->hello, "");
        copy(subscriber->hello, sizeof subscriber->hello, text, len);
    }
}

static void
take_message(struct subscriber *subscriber, const char *text, size_t len)
{
    ck_assert_msg(len > 2 && text[0] == '{' && text[len - 1] == '}', "%.*s", (int)len, text);
    ck_assert_ptr_null(memchr(text, '\n', len));
    if (strncmp(text, "{\"event\":", 9) == 0) {
        take_control(subscriber, text, len);
        return;
    }
    uint64_t n = number_behind(text, len, "{\"n\":");
    if (!subscriber->any_order) {
        ck_assert_uint_eq(n, subscriber->next);
    }
    subscriber->next = n + 1;
    subscriber->received++;
    take_id(subscriber, text, len, "{\"id\":\"");
}

static void
take_lines(struct subscriber *subscriber)
{
    const char *end;
    size_t at = 0;
    struct buf *body = &subscriber->body;
    while (at < body->len && (end = memchr(body->bytes + at, '\n', body->len - at)) != NULL) {
        const char *line = body->bytes + at;
        size_t len = (size_t)(end - line);
        if (len == 0) {
            subscriber->beats++;
        } else {
            take_message(subscriber, line, len);
        }
        at += len + 1;
    }
    buf_consume(body, at);
}

/* An event: lines up to an empty one. */
static void
take_event(struct subscriber *subscriber, const char *text, size_t len)
{
    for (const char *end; len > 0; len -= (size_t)(end + 1 - text), text = end + 1) {
        end = memchr(text, '\n', len);
        ck_assert_ptr_nonnull(end);
        if (strncmp(text, "data: ", 6) == 0) {
            take_message(subscriber, text + 6, (size_t)(end - text) - 6);
        } else if (*text == ':') {
            subscriber->beats++;
        } else {
            ck_assert(strncmp(text, "id: ", 4) == 0 || strncmp(text, "event: ", 7) == 0 ||
                      strncmp(text, "retry: ", 7) == 0);
        }
    }
}

static void
take_events(struct subscriber *subscriber)
{
    const char *end;
    size_t at = 0;
    struct buf *body = &subscriber->body;
    while (at < body->len && (end = memmem(body->bytes + at, body->len - at, "\n\n", 2)) != NULL) {
        size_t len = (size_t)(end + 1 - (body->bytes + at));
        take_event(subscriber, body->bytes + at, len);
        at += len + 1;
    }
    buf_consume(body, at);
}

static void
take_frame(struct subscriber *subscriber, unsigned opcode, const char *payload, size_t len)
{
    ck_assert_int_eq(subscriber->close_code, 0); /* nothing follows a close */
    if (opcode == 1) {
        take_message(subscriber, payload, len);
    } else if (opcode == 8) {
        const unsigned char *code = (const unsigned char *)payload;
        subscriber->close_code = len < 2 ? 1005 : code[0] << 8 | code[1];
    } else if (opcode == 9) {
        subscriber->beats++;
        if (subscriber->answers_pings) {
            subscriber_frame(subscriber, 10, payload, len);
        }
    } else {
        ck_assert_uint_eq(opcode, 10);
        subscriber->pongs++;
    }
}

static void
take_frames(struct subscriber *subscriber)
{
    struct buf *body = &subscriber->body;
    size_t at = 0;
    for (;;) {
        const unsigned char *head = (const unsigned char *)body->bytes + at;
        size_t there = body->len - at, head_len = 2;
        if (there < 2) {
            break;
        }
        uint64_t len = head[1];
        ck_assert_uint_eq(head[0] & 0xf0u, 0x80);
        ck_assert_uint_lt(len, 128);
        head_len = len == 126 ? 4 : len == 127 ? 10 : 2;
        if (there < head_len) {
            break;
        }
        for (size_t i = 2; i < head_len; i++) {
            len = (i == 2 ? 0 : len << 8) | head[i];
        }
        if (there - head_len < len) {
            break;
        }
        take_frame(subscriber, head[0] & 0x0fu, body->bytes + at + head_len, (size_t)len);
        at += head_len + (size_t)len;
    }
    buf_consume(body, at);
}

/* ---- HTTP ---- */

static void
take_head(struct subscriber *subscriber)
{
    struct buf *raw = &subscriber->raw;
    const char *end = raw->len == 0 ? NULL : memmem(raw->bytes, raw->len, "\r\n\r\n", 4);
    if (end == NULL) {
        return;
    }
    size_t len = (size_t)(end - raw->bytes) + 4;
    copy(subscriber->head, sizeof subscriber->head, raw->bytes, len);
    ck_assert_int_eq(sscanf(subscriber->head, "HTTP/1.1 %d", &subscriber->status), 1);
    subscriber->chunked = strstr(subscriber->head, "Transfer-Encoding: chunked") != NULL;
    subscriber->head_done = true;
    buf_consume(raw, len);
}

/* Move whole chunks from raw to body. */
static void
take_chunks(struct subscriber *subscriber)
{
    struct buf *raw = &subscriber->raw;
    while (!subscriber->whole && raw->len > 0) {
        const char *line_end = memmem(raw->bytes, raw->len, "\r\n", 2);
        if (line_end == NULL) {
            return;
        }
        char *digits_end;
        size_t size = strtoul(raw->bytes, &digits_end, 16);
        ck_assert_ptr_eq(digits_end, line_end);
        size_t head = (size_t)(line_end - raw->bytes) + 2;
        if (raw->len < head + size + 2) {
            return;
        }
        ck_assert_mem_eq(raw->bytes + head + size, "\r\n", 2);
        buf_add(&subscriber->body, raw->bytes + head, size);
        subscriber->whole = size == 0;
        buf_consume(raw, head + size + 2);
    }
}

static void
take_all(struct subscriber *subscriber)
{
    if (!subscriber->head_done) {
        take_head(subscriber);
    }
    if (!subscriber->head_done) {
        return;
    }
    if (subscriber->chunked) {
        take_chunks(subscriber);
    } else {
        buf_add(&subscriber->body, subscriber->raw.bytes, subscriber->raw.len);
        subscriber->raw.len = 0;
    }
    if (subscriber->status != 200 && subscriber->status != 101) {
        return;
    }
    switch (subscriber->transport) {
    case TRANSPORT_WS:
        take_frames(subscriber);
        break;
    case TRANSPORT_SSE:
        take_events(subscriber);
        break;
    case TRANSPORT_NDJSON:
        take_lines(subscriber);
        break;
    case TRANSPORT_JSON:
        break; /* the test looks at the body */
    }
}

void
subscriber_poll(struct subscriber *subscriber, int wait_ms)
{
    struct pollfd fd = {.fd = subscriber == NULL ? -1 : subscriber->fd, .events = POLLIN};
    if (poll(&fd, 1, wait_ms) <= 0 || subscriber == NULL || subscriber->eof) {
        return;
    }
    ssize_t n = recv(subscriber->fd, buf_reserve(&subscriber->raw, 65536), 65536, MSG_DONTWAIT);
    if (n > 0) {
        subscriber->raw.len += (size_t)n;
        take_all(subscriber);
    } else {
        ck_assert(n == 0 || errno == ECONNRESET || errno == EAGAIN);
        subscriber->eof = n == 0 || errno == ECONNRESET;
    }
}

void
subscriber_again(struct subscriber *subscriber)
{
    subscriber->head_done = subscriber->chunked = subscriber->whole = false;
    subscriber->status = 0;
    subscriber->body.len = 0;
}
