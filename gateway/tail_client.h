/* tail_client: one terminal subscriber: reads a stream as NDJSON over HTTP, writes its records to
 * a descriptor and comes back with its last token until the stream ends.
 *
 * Invariant: a record is on the output whole or not at all, and its token is remembered only once
 * it is there; so a reconnect neither repeats nor loses a record.
 * Thread  one; it blocks in tail_client_run and is stopped through *stop. */
#ifndef HEADGATE_TAIL_CLIENT_H
#define HEADGATE_TAIL_CLIENT_H

#include "err.h"
#include "tail_url.h"

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct tail_options {
    const char *url;
    const struct tail_param *params; /* what the command line adds to the URL */
    size_t n_params;
    const char *const *headers; /* "Name: value" */
    size_t n_headers;
    bool reconnect;
    bool stats; /* a line of rates on stderr each second */
    int out;    /* where records go */
    int wake;   /* becomes readable when *stop is set */
    const volatile sig_atomic_t *stop;
};

struct tail_client;

/* tail_client_new: nothing is connected yet; options and what it points to outlive the client.
 * Errors  NULL and err: the URL cannot be used. */
struct tail_client *tail_client_new(const struct tail_options *options, struct err *err);
void tail_client_free(struct tail_client *client); /* NULL-safe */

/* tail_client_run: until the stream's end, a closed output or *stop (0), or a failure that trying
 * again would not mend (1, told on stderr). */
int tail_client_run(struct tail_client *client);

#endif
