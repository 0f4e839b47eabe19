/* sub_conn: one subscriber's connection; the chunked body, SSE lines, NDJSON lines and WebSocket
 * frames of a server that is expected to be correct: whatever is not, counts as bad. */
#include "sub_conn.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#define READ_BYTES (256 * 1024)

const char *const sub_transport_names[3] = {"ws", "sse", "ndjson"};
const char *const sub_end_names[4] = {"open", "clean", "cut", "refused"};

static int
send_all(int fd, const char *bytes, size_t len)
{
    while (len > 0) {
        ssize_t sent = send(fd, bytes, len, MSG_NOSIGNAL);
        if (sent < 0) {
            return -1;
        }
        bytes += sent;
        len -= (size_t)sent;
    }
    return 0;
}

int
sub_conn_open(struct sub_conn *conn, enum sub_transport transport, unsigned port,
    const char *target, int rcvbuf)
{
    static const char *const heads[] = {
        [SUB_WS] = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                   "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
        [SUB_SSE] = "Accept: text/event-stream\r\n",
        [SUB_NDJSON] = "Accept: application/x-ndjson\r\n",
    };
    struct sockaddr_in to = {.sin_family = AF_INET,
        .sin_port = htons((uint16_t)port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    char request[4096];

    memset(conn, 0, sizeof(*conn));
    conn->transport = transport;
    for (unsigned i = 0; i < SUB_LANES; i++) {
        conn->lanes[i] = (struct sub_lane){.first = -1, .last = -1};
    }
    conn->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (conn->fd < 0) {
        return -1;
    }
    if (rcvbuf > 0) {
        setsockopt(conn->fd, SOL_SOCKET, SO_RCVBUF, &rcvbuf, sizeof(rcvbuf));
    }
    int len = snprintf(request, sizeof(request), "GET %s HTTP/1.1\r\nHost: 127.0.0.1\r\n%s\r\n",
        target, heads[transport]);
    if (connect(conn->fd, (struct sockaddr *)&to, sizeof(to)) < 0 ||
        send_all(conn->fd, request, (size_t)len) < 0) {
        close(conn->fd);
        conn->fd = -1;
        return -1;
    }
    return 0;
}

void
sub_conn_close(struct sub_conn *conn)
{
    if (conn->fd >= 0) {
        close(conn->fd);
    }
    conn->fd = -1;
    buf_fini(&conn->raw);
    buf_fini(&conn->body);
    buf_fini(&conn->data);
}

/* --- what a message says --- */

static bool
starts_with(const char *text, size_t len, const char *prefix)
{
    size_t prefix_len = strlen(prefix);
    return len >= prefix_len && memcmp(text, prefix, prefix_len) == 0;
}

static void
take_gap(struct sub_conn *conn, const char *text, size_t len)
{
    char copy[256];
    size_t copied = len < sizeof(copy) - 1 ? len : sizeof(copy) - 1;
    memcpy(copy, text, copied);
    copy[copied] = '\0';
    const char *count = strstr(copy, "\"count\":");
    const char *reason = strstr(copy, "\"reason\":\"");
    if (!count || !reason) {
        conn->bad++;
        return;
    }
    conn->gaps++;
    conn->gap_records += strtoull(count + 8, NULL, 10);
    if (sscanf(reason + 10, "%31[^\"]", conn->last_reason) != 1) {
        conn->bad++;
    }
}

/* The digits that end at *end, backwards; *end is then before them. */
static int64_t
digits_before(const char *text, size_t *end)
{
    int64_t value = 0, unit = 1;
    size_t at = *end;
    while (at > 0 && text[at - 1] >= '0' && text[at - 1] <= '9') {
        value += unit * (text[--at] - '0');
        unit *= 10;
    }
    if (at == *end) {
        return -1;
    }
    *end = at;
    return value;
}

static bool
ends_with(const char *text, size_t *end, const char *suffix)
{
    size_t len = strlen(suffix);
    if (*end < len || memcmp(text + *end - len, suffix, len) != 0) {
        return false;
    }
    *end -= len;
    return true;
}

static void
take_place(struct sub_conn *conn, int64_t partition, int64_t offset)
{
    struct sub_lane *lane = &conn->lanes[partition];
    if (lane->first < 0) {
        lane->first = offset;
    } else if (offset <= lane->last) {
        conn->order_errors++;
    } else {
        conn->holes += (uint64_t)(offset - lane->last - 1);
    }
    if (offset > lane->last) {
        lane->last = offset;
    }
}

/* A record of envelope=full ends with "source":{"topic":"t","partition":P,"offset":O}}. */
static void
take_record(struct sub_conn *conn, const char *text, size_t len)
{
    size_t end = len;
    int64_t offset = -1, partition = -1;
    if (starts_with(text, len, "{\"id\":") && ends_with(text, &end, "}}")) {
        offset = digits_before(text, &end);
        if (ends_with(text, &end, ",\"offset\":")) {
            partition = digits_before(text, &end);
        }
    }
    if (offset < 0 || partition < 0 || partition >= SUB_LANES) {
        conn->bad++;
        return;
    }
    conn->records++;
    take_place(conn, partition, offset);
}

static void
take_message(struct sub_conn *conn, const char *text, size_t len)
{
    if (conn->taker.message) {
        conn->taker.message(conn->taker.self, text, len);
        return;
    }
    if (!starts_with(text, len, "{\"event\":\"")) {
        take_record(conn, text, len);
        return;
    }
    if (starts_with(text, len, "{\"event\":\"gap\"")) {
        take_gap(conn, text, len);
    } else if (starts_with(text, len, "{\"event\":\"hello\"")) {
        conn->has_hello = true;
    } else if (!starts_with(text, len, "{\"event\":\"end\"") &&
               !starts_with(text, len, "{\"event\":\"closing\"")) {
        conn->bad++;
    }
}

/* --- SSE and NDJSON: lines --- */

static void
take_sse_line(struct sub_conn *conn, const char *line, size_t len)
{
    if (len == 0) {
        if (conn->data.len > 0) {
            take_message(conn, conn->data.bytes, conn->data.len);
        }
        conn->data.len = 0;
    } else if (starts_with(line, len, "data: ")) {
        buf_add(&conn->data, line + 6, len - 6);
    } else if (line[0] != ':' && !starts_with(line, len, "id: ") &&
               !starts_with(line, len, "event: ") && !starts_with(line, len, "retry: ")) {
        conn->bad++;
    }
}

static size_t
take_lines(struct sub_conn *conn, const char *bytes, size_t len)
{
    size_t at = 0;
    for (;;) {
        const char *end = memchr(bytes + at, '\n', len - at);
        if (!end) {
            return at;
        }
        size_t line_len = (size_t)(end - bytes) - at;
        if (conn->transport == SUB_SSE) {
            take_sse_line(conn, bytes + at, line_len);
        } else if (line_len > 0) {
            take_message(conn, bytes + at, line_len);
        }
        at += line_len + 1;
    }
}

static void
take_body(struct sub_conn *conn, const char *bytes, size_t len)
{
    if (conn->body.len == 0) {
        size_t used = take_lines(conn, bytes, len);
        buf_add(&conn->body, bytes + used, len - used);
        return;
    }
    buf_add(&conn->body, bytes, len);
    buf_consume(&conn->body, take_lines(conn, conn->body.bytes, conn->body.len));
}

/* The length of a chunk-size line with its CRLF, 0 when it is not whole yet. */
static size_t
chunk_head(struct sub_conn *conn, const char *bytes, size_t len)
{
    size_t skip = conn->chunk_ended ? 2 : 0;
    if (len < skip + 3) {
        return 0;
    }
    const char *end = memchr(bytes + skip, '\n', len - skip);
    if (!end) {
        return 0;
    }
    conn->chunk_left = strtoull(bytes + skip, NULL, 16);
    return (size_t)(end - bytes) + 1;
}

static size_t
take_chunks(struct sub_conn *conn, const char *bytes, size_t len)
{
    size_t at = 0;
    while (conn->end == SUB_OPEN && at < len) {
        if (conn->chunk_left > 0) {
            size_t part = conn->chunk_left < len - at ? (size_t)conn->chunk_left : len - at;
            take_body(conn, bytes + at, part);
            conn->chunk_left -= part;
            at += part;
            continue;
        }
        size_t head = chunk_head(conn, bytes + at, len - at);
        if (head == 0) {
            break;
        }
        at += head;
        conn->chunk_ended = true;
        if (conn->chunk_left == 0) {
            conn->end = conn->body.len == 0 ? SUB_CLEAN : SUB_CUT;
        }
    }
    return at;
}

/* --- WebSocket frames --- */

static void
take_frame(struct sub_conn *conn, unsigned opcode, const char *payload, size_t len)
{
    if (opcode == 1) {
        take_message(conn, payload, len);
    } else if (opcode == 8) {
        conn->close_code =
            len >= 2 ? ((unsigned char)payload[0] << 8 | (unsigned char)payload[1]) : 1005;
        conn->end = SUB_CLEAN;
        send_all(conn->fd, "\x88\x80\0\0\0\0", 6);
    } else if (opcode == 9 && len <= 119) {
        /* Masked with zeros: the payload goes back as it is. */
        char pong[125] = {(char)0x8a, (char)(0x80 | len)};
        memcpy(pong + 6, payload, len);
        send_all(conn->fd, pong, len + 6);
    } else {
        conn->bad++;
    }
}

static size_t
take_frames(struct sub_conn *conn, const char *bytes, size_t len)
{
    const unsigned char *in = (const unsigned char *)bytes;
    size_t at = 0;
    while (conn->end == SUB_OPEN && len - at >= 2) {
        size_t payload = in[at + 1] & 0x7f;
        size_t head = payload == 126 ? 4 : payload == 127 ? 10 : 2;
        if (len - at < head) {
            break;
        }
        if (head > 2) {
            payload = 0;
            for (size_t i = 2; i < head; i++) {
                payload = payload << 8 | in[at + i];
            }
        }
        if (len - at - head < payload) {
            break;
        }
        if ((in[at] & 0xf0) != 0x80 || (in[at + 1] & 0x80) != 0) {
            conn->bad++;
        }
        take_frame(conn, in[at] & 0x0f, bytes + at + head, payload);
        at += head + payload;
    }
    return at;
}

/* --- the socket --- */

static size_t
take_head(struct sub_conn *conn, const char *bytes, size_t len)
{
    const char *end = memmem(bytes, len, "\r\n\r\n", 4);
    if (!end) {
        return 0;
    }
    conn->has_head = true;
    conn->status = len > 12 ? atoi(bytes + 9) : 0;
    if (conn->status != (conn->transport == SUB_WS ? 101 : 200)) {
        conn->end = SUB_REFUSED;
    }
    return (size_t)(end - bytes) + 4;
}

static size_t
take_bytes(struct sub_conn *conn, const char *bytes, size_t len)
{
    size_t at = 0;
    if (!conn->has_head) {
        at = take_head(conn, bytes, len);
    }
    if (!conn->has_head || conn->end != SUB_OPEN) {
        return at;
    }
    if (conn->transport == SUB_WS) {
        return at + take_frames(conn, bytes + at, len - at);
    }
    return at + take_chunks(conn, bytes + at, len - at);
}

void
sub_conn_read(struct sub_conn *conn)
{
    static char bytes[READ_BYTES];

    ssize_t got = recv(conn->fd, bytes, sizeof(bytes), MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
        return;
    }
    if (got <= 0) {
        conn->end = SUB_CUT;
        return;
    }
    if (conn->raw.len == 0) {
        size_t used = take_bytes(conn, bytes, (size_t)got);
        buf_add(&conn->raw, bytes + used, (size_t)got - used);
        return;
    }
    buf_add(&conn->raw, bytes, (size_t)got);
    buf_consume(&conn->raw, take_bytes(conn, conn->raw.bytes, conn->raw.len));
}
