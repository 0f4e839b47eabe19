/* listener: a listening socket of one shard: made, watched by the shard's loop, accepted from.
 * Thread  init to open; shard for the rest. */
#ifndef HEADGATE_LISTENER_H
#define HEADGATE_LISTENER_H

#include "config.h"
#include "err.h"

#include <stdint.h>

/* listener_open: a non-blocking listening socket on address with SO_REUSEPORT (one for each shard).
 * *port is 0 for the first one, which fills it in (with config's port, or the kernel's choice); the
 * others share that port. An address that another process serves is an error, although SO_REUSEPORT
 * would let both have it. Returns the descriptor, or -1 and err. */
int listener_open(const struct config_listen *listen, uint16_t *port, struct err *err);

/* listener_accept: the next connection, non-blocking, with send_buffer_bytes of SO_SNDBUF,
 * TCP_NODELAY and keep-alive set; -1 when there is none. When descriptors run out, *spare (a
 * descriptor kept for this) is given up to accept and close one connection, so that the backlog
 * cannot spin the loop; *refused is then raised. LISTENER_STARVED: clients wait and there is no
 * descriptor, not even for that, or no memory: the caller must rest before it polls again. */
#define LISTENER_STARVED (-2)
int listener_accept(int fd, uint64_t send_buffer_bytes, int *spare, uint64_t *refused);

int listener_spare(void); /* a descriptor to give up; -1 when there is none to be had */

#endif
