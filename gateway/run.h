/* run: serves a loaded configuration until SIGTERM or SIGINT. */
#ifndef HEADGATE_RUN_H
#define HEADGATE_RUN_H

#include <stdbool.h>

struct config;

struct run_options {
    bool serve_page; /* the demo page at "/" */
};

/* run_config: start everything, serve, drain, stop. The exit status. SIGTERM and SIGINT may be
 * blocked already: they are taken here.  Thread  init. */
int run_config(const struct config *config, const struct run_options *options);

#endif
