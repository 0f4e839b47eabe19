/* dial: the client's side of HTTP/1.1, as much as a load generator needs. */
#include "dial.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define NONCE "dGhlIHNhbXBsZSBub25jZQ=="
#define NONCE_ACCEPT "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="

static const char *const request_lines[] = {
    [SCAN_WS] = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                "Sec-WebSocket-Key: " NONCE "\r\n",
    [SCAN_NDJSON] = "Accept: application/x-ndjson\r\n",
    [SCAN_SSE] = "Accept: text/event-stream\r\n",
};

int
dial_target_parse(
    struct dial_target *target, const char *url, enum scan_kind kind, const char *header)
{
    const char *host = strstr(url, "://");
    char address[16];
    unsigned port;
    int path_at = 0;
    if (host == NULL || sscanf(host + 3, "%15[0-9.]:%u%n", address, &port, &path_at) != 2 ||
        port > UINT16_MAX) {
        return -1;
    }
    const char *path = host + 3 + path_at;
    target->kind = kind;
    target->address = (struct sockaddr_in){
        .sin_family = AF_INET,
        .sin_port = htons((uint16_t)port),
    };
    if (inet_pton(AF_INET, address, &target->address.sin_addr) != 1) {
        return -1;
    }
    int len = snprintf(target->request, sizeof target->request,
        "GET %s HTTP/1.1\r\nHost: %s:%u\r\n%s%s%s\r\n", *path == '\0' ? "/" : path, address, port,
        request_lines[kind], header == NULL ? "" : header, header == NULL ? "" : "\r\n");
    target->request_len = (size_t)len;
    return target->request_len < sizeof target->request ? 0 : -1;
}

int
dial_open(const struct dial_target *target, unsigned nth)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return -1;
    }
    struct sockaddr_in from = {
        .sin_family = AF_INET,
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1 + nth / 20000),
    };
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
    if (bind(fd, (struct sockaddr *)&from, sizeof from) != 0 ||
        (connect(fd, (const struct sockaddr *)&target->address, sizeof target->address) != 0 &&
            errno != EINPROGRESS)) {
        int cause = errno;
        close(fd);
        errno = cause;
        return -1;
    }
    return fd;
}

const char *
dial_header(const char *head, const char *name)
{
    size_t len = strlen(name);
    for (const char *line = strstr(head, "\r\n"); line != NULL; line = strstr(line + 2, "\r\n")) {
        if (strncasecmp(line + 2, name, len) == 0 && line[2 + len] == ':') {
            return line + 2 + len + 1 + strspn(line + 2 + len + 1, " ");
        }
    }
    return NULL;
}

enum dial_answer
dial_take_head(int fd, char head[DIAL_HEAD_MAX + 1], char *why, size_t why_size)
{
    ssize_t got = recv(fd, head, DIAL_HEAD_MAX, MSG_PEEK);
    if (got <= 0) {
        snprintf(why, why_size, "%s", got == 0 ? "closed before an answer" : strerror(errno));
        return got < 0 && errno == EAGAIN ? DIAL_MORE : DIAL_REFUSED;
    }
    char *end = memmem(head, (size_t)got, "\r\n\r\n", 4);
    if (end == NULL) {
        return (size_t)got < DIAL_HEAD_MAX ? DIAL_MORE : DIAL_REFUSED;
    }
    end[4] = '\0';
    if (recv(fd, head, (size_t)(end + 4 - head), 0) != end + 4 - head) {
        return DIAL_REFUSED;
    }
    snprintf(why, why_size, "%.*s", (int)strcspn(head, "\r"), head);
    return DIAL_OPEN;
}

enum dial_answer
dial_take_answer(
    int fd, const struct dial_target *target, bool *chunked, char *why, size_t why_size)
{
    char head[DIAL_HEAD_MAX + 1];
    enum dial_answer answer = dial_take_head(fd, head, why, why_size);
    if (answer != DIAL_OPEN) {
        return answer;
    }
    const char *coding = dial_header(head, "Transfer-Encoding");
    const char *accept = dial_header(head, "Sec-WebSocket-Accept");
    *chunked = coding != NULL && strncasecmp(coding, "chunked", 7) == 0;
    bool open = target->kind == SCAN_WS
                    ? strncmp(head, "HTTP/1.1 101", 12) == 0 && accept != NULL &&
                          strncmp(accept, NONCE_ACCEPT, strlen(NONCE_ACCEPT)) == 0
                    : strncmp(head, "HTTP/1.1 200", 12) == 0;
    return open ? DIAL_OPEN : DIAL_REFUSED;
}
