/* llm_log_track: which partitions are read from where, and for whom.
 *
 * A reader is placed where the live client stands if that is not behind its place; else the past
 * client reads for it. One that comes while that reads its partition, and stands behind its place,
 * joins; else it waits, and whoever comes then waits too, so that nobody waits for more than those
 * who were there before. When all who are read for have gone over to the live client or ended, the
 * past one turns back to the first place that is waited for. */
#include "llm_log_hub_internal.h"

#include "../gateway/mem.h"

#include <stdlib.h>
#include <string.h>

#define LINGER_MS 2000 /* a partition is read at its end for nobody */
#define FAR 2000       /* records, that nobody needs: they are left out */

struct llm_log_track *
llm_log_track_find(const struct llm_log_reel *reel, int32_t partition)
{
    return partition >= 0 && partition < reel->n_partitions ? reel->by_partition[partition] : NULL;
}

static void
make_room(struct llm_log_reel *reel, int32_t partition)
{
    if (partition < reel->n_partitions) {
        return;
    }
    size_t n = (size_t)partition + 1, had = (size_t)reel->n_partitions;
    reel->by_partition = mem_realloc(reel->by_partition, n * sizeof(struct llm_log_track *));
    memset(reel->by_partition + had, 0, (n - had) * sizeof(struct llm_log_track *));
    reel->n_partitions = (int32_t)n;
}

static int
set_out(struct llm_log_track *track, int64_t offset)
{
    track->next = offset;
    track->latest_ms = 0;
    track->moved_ms = llm_log_hub_now_ms();
    return llm_log_tail_start(track->reel->tail, track->partition, offset);
}

static void
track_free(struct llm_log_track *track)
{
    LIST_REMOVE(track, link);
    track->reel->by_partition[track->partition] = NULL;
    llm_log_tail_stop(track->reel->tail, track->partition);
    free(track);
}

/* NULL: it cannot be read. */
static struct llm_log_track *
track_new(struct llm_log_reel *reel, int32_t partition, int64_t offset)
{
    struct llm_log_track *track = mem_calloc(1, sizeof *track);
    make_room(reel, partition);
    track->reel = reel;
    track->partition = partition;
    track->used_ms = llm_log_hub_now_ms();
    TAILQ_INIT(&track->reading);
    TAILQ_INIT(&track->waiting);
    LIST_INSERT_HEAD(&reel->tracks, track, link);
    reel->by_partition[partition] = track;
    if (set_out(track, offset) != 0) {
        track_free(track);
        return NULL;
    }
    return track;
}

static int64_t
larger(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* ---- readers in tracks ---- */

static void
enter(struct llm_log_track *track, struct llm_log_reader *reader, bool waits)
{
    reader->track = track;
    reader->waits = waits;
    reader->held = false;
    if (waits) {
        TAILQ_INSERT_TAIL(&track->waiting, reader, in_track);
    } else {
        TAILQ_INSERT_TAIL(&track->reading, reader, in_track);
        llm_log_read_moved(reader);
    }
}

void
llm_log_track_leave(struct llm_log_reader *reader)
{
    struct llm_log_track *track = reader->track;
    if (track == NULL) {
        return;
    }
    if (reader->waits) {
        TAILQ_REMOVE(&track->waiting, reader, in_track);
    } else {
        TAILQ_REMOVE(&track->reading, reader, in_track);
    }
    track->left = true;
    reader->track = NULL;
    reader->waits = false;
}

void
llm_log_track_hold(struct llm_log_reader *reader, int64_t offset)
{
    llm_log_track_leave(reader);
    reader->held = true;
    reader->from = offset;
}

static void
fail_all(struct llm_log_hub *hub, struct llm_log_readers *readers, const char *why)
{
    struct llm_log_reader *reader;
    while ((reader = TAILQ_FIRST(readers)) != NULL) {
        llm_log_read_fail(reader, why);
        llm_log_hub_drop(hub, reader);
    }
}

void
llm_log_track_fail(struct llm_log_hub *hub, struct llm_log_track *track, const char *why)
{
    fail_all(hub, &track->reading, why);
    fail_all(hub, &track->waiting, why);
    track_free(track);
}

static void
cannot_start(struct llm_log_hub *hub, struct llm_log_reader *reader)
{
    llm_log_read_fail(reader, "the log of answers cannot be read");
    llm_log_hub_drop(hub, reader);
}

/* By the past client. */
static void
place_in_past(struct llm_log_hub *hub, struct llm_log_reader *reader)
{
    struct llm_log_reel *past = llm_log_hub_past(hub);
    struct llm_log_track *track = llm_log_track_find(past, reader->partition);
    bool waits = track != NULL && (!TAILQ_EMPTY(&track->waiting) || reader->from < track->next);
    track = track != NULL ? track : track_new(past, reader->partition, reader->from);
    if (track == NULL) {
        cannot_start(hub, reader);
    } else {
        enter(track, reader, waits);
    }
}

void
llm_log_track_place(struct llm_log_hub *hub, struct llm_log_reader *reader)
{
    struct llm_log_reel *reel = llm_log_hub_live(hub);
    struct llm_log_track *live = llm_log_track_find(reel, reader->partition);
    if (live == NULL) {
        live = track_new(reel, reader->partition, larger(reader->from, reader->end));
    }
    if (live == NULL) {
        cannot_start(hub, reader);
    } else if (reader->from >= live->next) {
        enter(live, reader, false);
    } else {
        place_in_past(hub, reader);
    }
}

/* ---- the past ---- */

/* What the live client has not read yet, or will read itself. */
static void
hand_over(struct llm_log_hub *hub, struct llm_log_track *track)
{
    struct llm_log_reel *reel = llm_log_hub_live(hub);
    struct llm_log_track *live = llm_log_track_find(reel, track->partition);
    struct llm_log_reader *reader;
    live = live != NULL ? live : track_new(reel, track->partition, track->next);
    if (live != NULL && track->next < live->next) {
        return;
    }
    while ((reader = TAILQ_FIRST(&track->reading)) != NULL) {
        llm_log_track_leave(reader);
        if (live != NULL) {
            enter(live, reader, false);
        } else {
            cannot_start(hub, reader);
        }
    }
}

/* The first record that one of those who are read for needs. */
static int64_t
first_needed(const struct llm_log_track *track)
{
    const struct llm_log_reader *reader;
    int64_t first = INT64_MAX;
    TAILQ_FOREACH(reader, &track->reading, in_track)
    {
        int64_t need = larger(reader->from, track->next);
        first = need < first ? need : first;
    }
    return first;
}

/* Those who wait are read for. Where the first of them begins. */
static int64_t
let_in(struct llm_log_track *track)
{
    struct llm_log_reader *reader;
    int64_t first = INT64_MAX;
    while ((reader = TAILQ_FIRST(&track->waiting)) != NULL) {
        llm_log_track_leave(reader);
        enter(track, reader, false);
        first = reader->from < first ? reader->from : first;
    }
    return first;
}

/* Somebody is not read for any more: from where on are the others? */
static void
go_on(struct llm_log_hub *hub, struct llm_log_track *track)
{
    bool turns = TAILQ_EMPTY(&track->reading);
    if (turns && TAILQ_EMPTY(&track->waiting)) {
        track_free(track);
        return;
    }
    int64_t at = turns ? let_in(track) : first_needed(track);
    track->left = false;
    if (!turns && at - track->next <= FAR) {
        return;
    }
    llm_log_tail_stop(track->reel->tail, track->partition);
    if (set_out(track, at) != 0) {
        llm_log_track_fail(hub, track, "the log of answers cannot be read");
    }
}

/* ---- from time to time ---- */

static void
turn_past(struct llm_log_hub *hub)
{
    struct llm_log_track *track, *next;
    for (track = LIST_FIRST(&llm_log_hub_past(hub)->tracks); track != NULL; track = next) {
        next = LIST_NEXT(track, link);
        hand_over(hub, track);
        if (track->left) {
            go_on(hub, track);
        }
    }
}

/* A partition at its end is read a little longer than it is needed: the next one may come soon. */
static void
turn_live(struct llm_log_hub *hub)
{
    struct llm_log_track *track, *next;
    int64_t now = llm_log_hub_now_ms();
    for (track = LIST_FIRST(&llm_log_hub_live(hub)->tracks); track != NULL; track = next) {
        next = LIST_NEXT(track, link);
        if (!TAILQ_EMPTY(&track->reading) ||
            llm_log_track_find(llm_log_hub_past(hub), track->partition) != NULL) {
            track->used_ms = now;
        } else if (now - track->used_ms >= LINGER_MS) {
            track_free(track);
        }
    }
}

void
llm_log_track_turn(struct llm_log_hub *hub)
{
    turn_past(hub);
    turn_live(hub);
}

void
llm_log_track_end_all(struct llm_log_hub *hub)
{
    for (size_t i = 0; i < LLM_LOG_HUB_CLIENTS; i++) {
        struct llm_log_track *track, *next;
        for (track = LIST_FIRST(&hub->reels[i].tracks); track != NULL; track = next) {
            next = LIST_NEXT(track, link);
            track_free(track);
        }
    }
}
