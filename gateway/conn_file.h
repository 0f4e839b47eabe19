/* conn_file: the body of an answer that is a part of a file, and how far its client has it.
 *
 * Its transfer (downloads.h) ends once the client's TCP has acknowledged all of it, or with the
 * connection. Thread  shard. */
#ifndef HEADGATE_CONN_FILE_H
#define HEADGATE_CONN_FILE_H

#include "conn.h"

/* conn_file_begin: the answer's body is reply's file, which is the connection's from now on. */
void conn_file_begin(struct conn *conn, const struct reply *reply);

/* conn_file_write: as much as the socket takes, up to a turn. False: there is more, and
 * conn_writable is called for it, or the connection is dead. */
bool conn_file_write(struct conn *conn);

/* conn_file_tick: look how much the client has. As long as that becomes more, the connection is not
 * cut for being slow to close. */
void conn_file_tick(struct conn *conn, int64_t now_ms);

/* conn_file_end: another request, or the end of the connection: close the file, end the transfer.
 */
void conn_file_end(struct conn *conn);

#endif
