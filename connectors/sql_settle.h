/* sql_settle: which keys have been there long enough to be shown.
 *
 * Keys from a sequence are taken before their transactions commit, so a lower key may appear after
 * a higher one. A stream that goes along the key would then pass it over for ever. With `settle` it
 * goes only as far as the newest key that it saw that long ago: whoever takes a key and commits
 * within that time is in front of it. Thread  the source's. */
#ifndef HEADGATE_SQL_SETTLE_H
#define HEADGATE_SQL_SETTLE_H

#include "../gateway/buf.h"

#include <stdbool.h>
#include <stdint.h>

#define SQL_SETTLE_SAMPLES 8

struct sql_settle {
    int64_t settle_ns; /* 0: every key is shown at once */
    struct sql_sample {
        struct buf cursor;
        int64_t seen_ns;
    } samples[SQL_SETTLE_SAMPLES]; /* the oldest first */
    size_t n;
};

void sql_settle_init(struct sql_settle *settle, int64_t settle_ns);
void sql_settle_fini(struct sql_settle *settle);

/* sql_settle_same: two cursors of one key; an empty one is none. */
bool sql_settle_same(const struct buf *a, const struct buf *b);

/* sql_settle_add: newest is the last key there is now. It is remembered when it differs from the
 * last one remembered, and that is an eighth of the time ago. */
void sql_settle_add(struct sql_settle *settle, const struct buf *newest, int64_t now_ns);

/* sql_settle_bound: true and the key up to which all may be shown; false: none that is new. */
bool sql_settle_bound(struct sql_settle *settle, struct buf *until, int64_t now_ns);

/* sql_settle_due: when the next one may be shown, at most deadline_ns. */
int64_t sql_settle_due(const struct sql_settle *settle, int64_t deadline_ns);

#endif
