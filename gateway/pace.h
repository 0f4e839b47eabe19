/* pace: a token bucket: how many records a paced subscriber may be sent now.
 *
 * Invariant: over any time t at most rate * t records plus one burst: a quarter second's and one.
 * Thread  whoever owns it. */
#ifndef HEADGATE_PACE_H
#define HEADGATE_PACE_H

#include <stdint.h>

struct pace {
    uint64_t rate;   /* records a second; 0: unpaced */
    uint64_t credit; /* thousandths of a record */
    int64_t at_ms;   /* up to when credit has been given */
};

/* pace_init: it begins with the credit for one burst. rate is at most 1,000,000. */
void pace_init(struct pace *pace, uint64_t rate, int64_t now_ms);

/* pace_allows: whole records that may go now; UINT64_MAX when unpaced. */
uint64_t pace_allows(struct pace *pace, int64_t now_ms);

/* pace_spend: records went; at most what pace_allows said. */
void pace_spend(struct pace *pace, uint64_t records);

#endif
