/* tail_backoff: how long to wait before the next try. Doubling bounds with full jitter, so that
 * clients whose gateway went away do not come back in step. Thread  whoever owns it. */
#ifndef HEADGATE_TAIL_BACKOFF_H
#define HEADGATE_TAIL_BACKOFF_H

#include <stdint.h>

#define TAIL_BACKOFF_LEAST_MS 250
#define TAIL_BACKOFF_MOST_MS 10000

struct tail_backoff {
    int64_t bound_ms; /* the next wait is TAIL_BACKOFF_LEAST_MS to this */
    uint64_t random;
};

void tail_backoff_init(struct tail_backoff *backoff, uint64_t seed);

/* tail_backoff_reset: a connection did its work: begin anew. */
void tail_backoff_reset(struct tail_backoff *backoff);

/* tail_backoff_next_ms: the next wait, at least retry_after_ms (0: the server named none), which
 * then gets the jitter on top. */
int64_t tail_backoff_next_ms(struct tail_backoff *backoff, int64_t retry_after_ms);

#endif
