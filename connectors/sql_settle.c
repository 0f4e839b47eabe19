/* sql_settle: a short queue of keys and when they were seen. The source's thread. */
#include "sql_settle.h"

#include <string.h>

void
sql_settle_init(struct sql_settle *settle, int64_t settle_ns)
{
    *settle = (struct sql_settle){.settle_ns = settle_ns};
    for (size_t i = 0; i < SQL_SETTLE_SAMPLES; i++) {
        buf_init(&settle->samples[i].cursor);
    }
}

void
sql_settle_fini(struct sql_settle *settle)
{
    for (size_t i = 0; i < SQL_SETTLE_SAMPLES; i++) {
        buf_fini(&settle->samples[i].cursor);
    }
}

bool
sql_settle_same(const struct buf *a, const struct buf *b)
{
    return a->len == b->len && a->len > 0 && memcmp(a->bytes, b->bytes, a->len) == 0;
}

void
sql_settle_add(struct sql_settle *settle, const struct buf *newest, int64_t now_ns)
{
    const struct sql_sample *last = settle->n == 0 ? NULL : &settle->samples[settle->n - 1];
    if (newest->len == 0 || settle->n == SQL_SETTLE_SAMPLES ||
        (last != NULL && (sql_settle_same(newest, &last->cursor) ||
                             now_ns - last->seen_ns < settle->settle_ns / SQL_SETTLE_SAMPLES))) {
        return;
    }
    struct sql_sample *sample = &settle->samples[settle->n++];
    sample->cursor.len = 0;
    buf_add(&sample->cursor, newest->bytes, newest->len);
    sample->seen_ns = now_ns;
}

bool
sql_settle_bound(struct sql_settle *settle, struct buf *until, int64_t now_ns)
{
    size_t ripe = 0;
    while (ripe < settle->n && now_ns - settle->samples[ripe].seen_ns >= settle->settle_ns) {
        ripe++;
    }
    if (ripe == 0) {
        return false;
    }
    const struct buf *cursor = &settle->samples[ripe - 1].cursor;
    until->len = 0;
    buf_add(until, cursor->bytes, cursor->len);
    for (size_t i = 0; i < ripe; i++) { /* to the end of the queue, with its buffer */
        struct sql_sample first = settle->samples[0];
        memmove(settle->samples, settle->samples + 1,
            (SQL_SETTLE_SAMPLES - 1) * sizeof *settle->samples);
        settle->samples[SQL_SETTLE_SAMPLES - 1] = first;
    }
    settle->n -= ripe;
    return true;
}

int64_t
sql_settle_due(const struct sql_settle *settle, int64_t deadline_ns)
{
    if (settle->n == 0) {
        return deadline_ns;
    }
    int64_t due = settle->samples[0].seen_ns + settle->settle_ns;
    return due < deadline_ns ? due : deadline_ns;
}
