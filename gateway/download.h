/* download: one file of a configured directory as it is, whole or a range of it.
 * Thread  shard. Blocks as long as the file system takes to open and read a regular file; never on
 * a FIFO or a device. */
#ifndef HEADGATE_DOWNLOAD_H
#define HEADGATE_DOWNLOAD_H

struct config_route;
struct conn;
struct downloads;
struct http_request;

/* download: answer a GET or HEAD of path, which route matches. With ?progress=ID its progress is
 * told to who watches that. cors: header lines. */
void download(struct downloads *downloads, struct conn *conn, const struct http_request *request,
    const struct config_route *route, const char *path, const char *cors);

#endif
