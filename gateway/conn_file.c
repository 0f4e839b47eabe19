/* conn_file: see conn_file.h. Shard thread. */
#include "conn_file.h"

#include "conn_tls.h"
#include "downloads.h"
#include "shard.h"

#include <errno.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <unistd.h>

/* Bytes of a file in one turn, before others have theirs. */
#define FILE_TURN_BYTES (UINT64_C(256) << 10)
#define FILE_CHUNK_BYTES 16384 /* what a TLS record holds */

static void
close_file(struct conn *conn)
{
    if (conn->has_file) {
        close(conn->file.fd);
        conn->has_file = false;
    }
}

void
conn_file_begin(struct conn *conn, const struct reply *reply)
{
    conn_file_end(conn);
    conn->has_file = reply->has_file;
    conn->file = reply->file;
    conn->transfer = reply->transfer;
    conn->unacked_bytes = 0;
}

/* What was written and is not acknowledged yet; at least 1 while bytes wait before the socket. */
static uint64_t
unacked(const struct conn *conn)
{
    int waiting = 0;
    if (ioctl(conn->fd, SIOCOUTQ, &waiting) != 0 || waiting < 0) {
        return UINT64_MAX;
    }
    return (uint64_t)waiting + conn->sealed.len;
}

static void
move(struct conn *conn, uint64_t sent, int64_t now_ms)
{
    if (conn->transfer != NULL) {
        uint64_t waiting = unacked(conn);
        uint64_t done = waiting < conn->file.at ? conn->file.at - waiting : 0;
        transfer_move(conn->transfer, sent, done, now_ms);
    }
}

/* As conn_send, of the file's next bytes. A file that has become shorter ends the connection: what
 * was promised cannot be sent. */
static ssize_t
send_file(struct conn *conn, size_t len)
{
    struct conn_file *file = &conn->file;
    char bytes[FILE_CHUNK_BYTES];
    off_t at = (off_t)file->at;
    if (!conn->tls) {
        ssize_t n = sendfile(conn->fd, file->fd, &at, len);
        if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
            return 0;
        }
        if (n <= 0) {
            conn_kill(conn);
        }
        return n <= 0 ? -1 : n;
    }
    ssize_t n = pread(file->fd, bytes, len < sizeof bytes ? len : sizeof bytes, at);
    if (n <= 0) {
        conn_kill(conn);
        return -1;
    }
    return conn_send(conn, bytes, (size_t)n);
}

bool
conn_file_write(struct conn *conn)
{
    struct conn_file *file = &conn->file;
    int64_t now_ms = shard_now_ms(conn->shard);
    for (uint64_t sent = 0; file->left > 0 && sent < FILE_TURN_BYTES;) {
        uint64_t len = file->left < FILE_TURN_BYTES ? file->left : FILE_TURN_BYTES;
        ssize_t n = conn->dead ? -1 : send_file(conn, (size_t)len);
        if (n < 0) {
            return false;
        }
        if (n == 0) {
            break;
        }
        file->at += (uint64_t)n;
        file->left -= (uint64_t)n;
        sent += (uint64_t)n;
        conn->deadline_ms = now_ms + (int64_t)shard_config(conn->shard)->write_timeout_ms;
        move(conn, (uint64_t)n, now_ms);
    }
    if (file->left > 0) {
        conn_want_write(conn);
        return false;
    }
    close_file(conn);
    return true;
}

void
conn_file_tick(struct conn *conn, int64_t now_ms)
{
    if (conn->transfer == NULL) {
        return;
    }
    uint64_t waiting = unacked(conn);
    move(conn, 0, now_ms);
    if (!conn->has_file && waiting == 0) {
        transfer_end(conn->transfer, true);
        conn->transfer = NULL;
        if (conn->state == CONN_LINGER) {
            conn->deadline_ms = now_ms + CONN_LINGER_MS;
        }
    } else if (conn->state == CONN_LINGER && waiting < conn->unacked_bytes) {
        conn->deadline_ms = now_ms + (int64_t)shard_config(conn->shard)->write_timeout_ms;
    }
    conn->unacked_bytes = waiting;
}

void
conn_file_end(struct conn *conn)
{
    if (conn->transfer != NULL) {
        bool asks_again = conn->state == CONN_HEAD; /* it has read what came before */
        transfer_end(conn->transfer, !conn->has_file && (asks_again || unacked(conn) == 0));
        conn->transfer = NULL;
    }
    close_file(conn);
}
