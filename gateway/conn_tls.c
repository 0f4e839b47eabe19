/* conn_tls: SSL_write(3) on the session that libwebsockets has set up. Shard thread; never blocks.
 */
#include "conn_tls.h"

#include "conn.h"

#include <libwebsockets.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

/* One TLS record, so that a write is whole or not at all. */
#define WRITE_BYTES 16384

/* Bytes written, 0 when the socket takes nothing now, -1 when the connection is dead. */
static ssize_t
write_some(struct conn *conn, const void *bytes, size_t len)
{
    SSL *ssl = lws_get_ssl(conn->wsi);
    SSL_set_mode(ssl, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    ERR_clear_error(); /* SSL_get_error looks at the thread's queue, where others leave theirs */
    int n = SSL_write(ssl, bytes, (int)len);
    if (n > 0) {
        return n;
    }
    int why = SSL_get_error(ssl, n);
    if (why == SSL_ERROR_WANT_WRITE || why == SSL_ERROR_WANT_READ) {
        return 0;
    }
    conn_kill(conn);
    return -1;
}

bool
conn_tls_flush(struct conn *conn)
{
    while (conn->sealed.len > 0 && !conn->dead) {
        ssize_t n = write_some(conn, conn->sealed.bytes, conn->sealed.len);
        if (n == 0) {
            conn_want_write(conn);
            return false;
        }
        if (n > 0) {
            buf_consume(&conn->sealed, (size_t)n);
        }
    }
    buf_fini(&conn->sealed);
    return !conn->dead;
}

ssize_t
conn_tls_send(struct conn *conn, const void *bytes, size_t len)
{
    if (!conn_tls_flush(conn)) {
        return conn->dead ? -1 : 0;
    }
    size_t part = len < WRITE_BYTES ? len : WRITE_BYTES;
    ssize_t n = write_some(conn, bytes, part);
    if (n != 0) {
        return n;
    }
    /* SSL_write wants these very bytes again; the caller may by then have something else to say. */
    buf_add(&conn->sealed, bytes, part);
    conn_want_write(conn);
    return (ssize_t)part;
}

uint64_t
conn_tls_written(const struct conn *conn)
{
    return BIO_number_written(SSL_get_wbio(lws_get_ssl(conn->wsi)));
}

bool
conn_tls_end(struct conn *conn)
{
    if (!conn_tls_flush(conn)) {
        return false;
    }
    SSL *ssl = lws_get_ssl(conn->wsi);
    ERR_clear_error();
    int n = SSL_shutdown(ssl);
    if (n < 0 && SSL_get_error(ssl, n) == SSL_ERROR_WANT_WRITE) {
        conn_want_write(conn);
        return false;
    }
    return true;
}
