/* run: the life of the gateway: streams, shards and the admin listener from the start to the end of
 * the drain. Thread  init: called by main's thread, which waits for signals in it. */
#ifndef HEADGATE_RUN_H
#define HEADGATE_RUN_H

#include "config.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Where the listeners came to be: ports that the kernel chose are filled in. */
struct run_addresses {
    uint16_t public_port; /* of the first listener */
    uint16_t admin_port;
};

struct run_options {
    bool serve_page; /* the demo page at / */
    /* ready: called once when everything listens. May be NULL. */
    void (*ready)(void *self, const struct run_addresses *addresses);
    void *self;
};

/* run_config: serve until SIGTERM or SIGINT, drain, return the exit status: 0, or 1 after an error, which is
 * logged. A second signal cuts the drain short. Blocks SIGTERM and SIGINT in all threads. */
int run_config(const struct config *config, const struct run_options *options);

#endif
