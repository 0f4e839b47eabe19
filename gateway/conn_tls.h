/* conn_tls: what a connection writes over TLS. libwebsockets does the handshake and reads; its own
 * queue for what the socket does not take is not used: while it holds something the library reads
 * nothing, so that one byte from the peer spins poll(2), and it is thrown away at the close.
 * Thread  shard. */
#ifndef HEADGATE_CONN_TLS_H
#define HEADGATE_CONN_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct conn;

/* conn_tls_send: as conn_send. What OpenSSL has encrypted and not written is copied, at most one
 * TLS record, and counts as sent; conn_writable comes for it by itself. */
ssize_t conn_tls_send(struct conn *conn, const void *bytes, size_t len);
/* conn_tls_flush: false while such a rest is left, or when the connection is dead. */
bool conn_tls_flush(struct conn *conn);
/* conn_tls_written: encrypted bytes that the socket has taken. */
uint64_t conn_tls_written(const struct conn *conn);
/* conn_tls_end: send close_notify behind everything; false while that must wait for the socket. */
bool conn_tls_end(struct conn *conn);

#endif
