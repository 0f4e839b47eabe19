/* pace: a token bucket. No thread of its own. */
#include "pace.h"

/* A session is looked at each 250 ms: what accrues in between must fit beside the part of a record
 * that was left over. */
static uint64_t
burst(const struct pace *pace)
{
    return pace->rate * 250 + 1000;
}

void
pace_init(struct pace *pace, uint64_t rate, int64_t now_ms)
{
    *pace = (struct pace){.rate = rate, .at_ms = now_ms};
    pace->credit = burst(pace);
}

uint64_t
pace_allows(struct pace *pace, int64_t now_ms)
{
    if (pace->rate == 0) {
        return UINT64_MAX;
    }
    if (now_ms > pace->at_ms) {
        uint64_t most = burst(pace);
        uint64_t passed_ms = (uint64_t)(now_ms - pace->at_ms);
        /* after a minute any bucket is full: no product overflows */
        uint64_t credit = pace->credit + (passed_ms > 60000 ? 60000 : passed_ms) * pace->rate;
        pace->credit = credit > most ? most : credit;
        pace->at_ms = now_ms;
    }
    return pace->credit / 1000;
}

void
pace_spend(struct pace *pace, uint64_t records)
{
    if (pace->rate != 0) {
        uint64_t spent = records * 1000;
        pace->credit = spent < pace->credit ? pace->credit - spent : 0;
    }
}
