/* dial: open subscriber connections to http://HOST:PORT/PATH on loopback and take the answer's
 * head. One thread. */
#ifndef HEADGATE_BENCH_DIAL_H
#define HEADGATE_BENCH_DIAL_H

#include "scan.h"

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>

struct dial_target {
    struct sockaddr_in address;
    char request[4096]; /* the whole request, for every connection the same */
    size_t request_len;
    enum scan_kind kind;
};

/* dial_target_parse: url is http://A.B.C.D:PORT/PATH or ws://...; header is one more header line
 * without its end, or NULL. Errors -1. */
int dial_target_parse(
    struct dial_target *target, const char *url, enum scan_kind kind, const char *header);

/* dial_open: a non-blocking socket that is being connected; nth chooses the source address,
 * 127.0.0.2 and on, so that more than one address's ports can be used. Errors -1 and errno. */
int dial_open(const struct dial_target *target, unsigned nth);

enum dial_answer { DIAL_MORE, DIAL_OPEN, DIAL_REFUSED };

/* dial_take_head: take an answer's head, and no byte behind it, from fd. DIAL_OPEN: it is in head,
 * with a NUL behind it, and its first line in why. DIAL_REFUSED: why says why there is none. */
#define DIAL_HEAD_MAX 4096
enum dial_answer dial_take_head(int fd, char head[DIAL_HEAD_MAX + 1], char *why, size_t why_size);

/* dial_header: the value of a header line of such a head, up to its line's end; NULL: there is
 * none. */
const char *dial_header(const char *head, const char *name);

/* dial_take_answer: take the answer's head, and no byte behind it, from fd. *chunked says how the
 * body is framed; a refusal's head is put into why. A WebSocket answer must have the accept key of
 * RFC 6455 section 1.3, whose example nonce is sent. */
enum dial_answer dial_take_answer(
    int fd, const struct dial_target *target, bool *chunked, char *why, size_t why_size);

#endif
