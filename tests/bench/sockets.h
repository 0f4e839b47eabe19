/* sockets: what programs with thousands of them begin with. One thread. */
#ifndef HEADGATE_BENCH_SOCKETS_H
#define HEADGATE_BENCH_SOCKETS_H

/* sockets_raise_limit: as many descriptors as the hard limit lets this program have. */
void sockets_raise_limit(void);

/* sockets_listen: a non-blocking listening socket on 127.0.0.1 and *port, 0: any, which it is then.
 * Errors -1 and errno. */
int sockets_listen(unsigned *port);

#endif
