/* tail_backoff: waits between tries. No thread of its own. */
#include "tail_backoff.h"

void
tail_backoff_init(struct tail_backoff *backoff, uint64_t seed)
{
    backoff->random = seed == 0 ? 1 : seed; /* 0 is the fixed point of xorshift */
    tail_backoff_reset(backoff);
}

void
tail_backoff_reset(struct tail_backoff *backoff)
{
    backoff->bound_ms = TAIL_BACKOFF_LEAST_MS * 2;
}

/* xorshift64*: jitter needs spread, not secrecy. */
static uint64_t
next_random(struct tail_backoff *backoff)
{
    backoff->random ^= backoff->random >> 12;
    backoff->random ^= backoff->random << 25;
    backoff->random ^= backoff->random >> 27;
    return (backoff->random * UINT64_C(2685821657736338717)) >> 16;
}

int64_t
tail_backoff_next_ms(struct tail_backoff *backoff, int64_t retry_after_ms)
{
    int64_t spread = backoff->bound_ms - TAIL_BACKOFF_LEAST_MS;
    int64_t jitter = (int64_t)(next_random(backoff) % (uint64_t)(spread + 1));
    backoff->bound_ms *= 2;
    if (backoff->bound_ms > TAIL_BACKOFF_MOST_MS) {
        backoff->bound_ms = TAIL_BACKOFF_MOST_MS;
    }
    int64_t least = retry_after_ms > 0 ? retry_after_ms : TAIL_BACKOFF_LEAST_MS;
    return least + jitter;
}
