/* locate: where in a stream's ring a subscriber begins. Any thread; reads the ring backwards in
 * small steps, so that a reader close to the head costs little. */
#include "lanes.h"
#include "mem.h"
#include "stream_internal.h"
#include "track.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define STEP 256

/* One lane while the ring is read from its head to its tail. */
struct search_lane {
    struct lane_place place;
    uint64_t oldest; /* the smallest offset met, the lane's next before any */
    bool done;       /* a record below the asked place was met: nothing older is wanted */
};

struct search {
    struct search_lane *lanes;
    size_t n;
    size_t n_done;
    uint64_t first_wanted;
};

static void
settle(struct search *search, struct search_lane *lane)
{
    if (!lane->done) {
        lane->done = true;
        search->n_done++;
    }
}

static void
look_at(struct search *search, const struct record *record)
{
    struct search_lane *lane = &search->lanes[record->lane];
    if (lane->done) {
        return;
    }
    uint64_t oldest = record->first;
    if (record->offset < lane->place.asked) {
        settle(search, lane);
        return;
    }
    lane->oldest = oldest;
    search->first_wanted = record->seq;
    if (oldest <= lane->place.asked) {
        settle(search, lane);
    }
}

/* Read [low, high] backwards. */
static void
look_back(struct search *search, struct ring *ring, uint64_t low, uint64_t high)
{
    while (high >= low && high > 0 && search->n_done < search->n) {
        uint64_t from = high >= low + STEP ? high - STEP + 1 : low;
        struct record *records[STEP];
        size_t n = ring_read(ring, from, records, (size_t)(high - from + 1), UINT64_MAX);
        for (size_t i = n; i-- > 0;) {
            if (records[i]->lane < search->n) {
                look_at(search, records[i]);
            }
            record_unref(records[i]);
        }
        if (n == 0) {
            return; /* the ring moved on: what is gone counts as missed */
        }
        high = from - 1;
    }
}

static void
count_missed(const struct search *search, struct stream_start *start)
{
    for (size_t i = 0; i < search->n; i++) {
        const struct search_lane *lane = &search->lanes[i];
        if (!lane->done && lane->oldest > lane->place.asked) {
            uint64_t missed = lane->oldest - lane->place.asked;
            start->missed += missed;
            start->gone += lane->place.removed && !lane->place.is_file ? missed : 0;
        }
    }
}

static const char past_the_end[] = "the token is past the end of the source";

/* Why the token cannot be honoured, or NULL. One without a lane was given before there were any. */
static const char *
refusal(const struct place *from, const struct lane_place *places, size_t n, bool any_known)
{
    any_known |= from->cursor == NULL && (n == 0 || from->n_lanes == 0);
    for (size_t i = 0; i < n; i++) {
        any_known |= places[i].known;
        if (places[i].known && places[i].asked > places[i].end) {
            return past_the_end;
        }
    }
    return any_known ? NULL : "the token is of another stream";
}

void
stream_place_of(const struct record *record, struct place *place)
{
    struct err err;
    *place = (struct place){.kind = PLACE_TOKEN};
    if (record != NULL && record->id_len == 0) {
        place->n_lanes = track_lanes(record->track, record->step, &place->lanes);
    } else if (record != NULL && place_of_token(place, record->text + record->id_off,
                                     record->id_len, NULL, &err) != 0) {
        *place = (struct place){.kind = PLACE_NONE}; /* longer than TOKEN_MAX */
    }
}

/* Search [low, head] for what from has not seen. */
static void
search_ring(struct stream *stream, const struct lane_place *places, size_t n, uint64_t low,
    struct stream_start *start)
{
    uint64_t head_seq = start->seq - 1;
    struct search search = {mem_calloc(n + 1, sizeof *search.lanes), n, 0, head_seq + 1};
    /* Another replica, or a reader, has read further than this one has yet, or has files that this
     * one does not have yet. */
    bool ahead = start->ahead;
    for (size_t i = 0; i < n; i++) {
        ahead |= places[i].known && places[i].asked > places[i].next;
        search.lanes[i].place = places[i];
        search.lanes[i].oldest = places[i].next;
        if (places[i].asked >= places[i].next ||
            (places[i].removed && !places[i].known && !places[i].is_file)) {
            settle(&search, &search.lanes[i]);
        }
    }
    look_back(&search, stream_ring(stream), low, head_seq);
    start->seq = search.first_wanted;
    start->skip_until = ahead ? UINT64_MAX : head_seq + 1;
    count_missed(&search, start);
    start->resumed = true;
    free(search.lanes);
}

/* The oldest record to search: of a ring that moves faster than it is searched, a share at the tail
 * is given up, more with each attempt. */
static uint64_t
search_from(struct stream *stream, unsigned attempt)
{
    struct ring_state state;
    ring_state(stream_ring(stream), &state);
    uint64_t given_up = attempt == 0  ? 0
                        : attempt < 4 ? state.records >> (4 - attempt)
                                      : state.records;
    return state.tail_seq + given_up;
}

static void
locate_token(
    struct stream *stream, const struct place *from, unsigned attempt, struct stream_start *start)
{
    struct lane_place *places;
    struct place here;
    uint64_t low = search_from(stream, attempt);
    *start = (struct stream_start){.seq = UINT64_MAX};
    ring_place(stream_ring(stream), &start->seq, &start->ordinal, &start->bytes, &start->before);
    stream_place_of(start->before, &here);
    record_unref(start->before);
    size_t n = lanes_places(stream_lanes(stream), from, &here, &places);
    bool known = false;
    start->unaccounted = lanes_unaccounted(stream_lanes(stream), from, &known);
    start->ahead = start->unaccounted || (n == 0 && from->n_lanes > 0);
    start->reason = refusal(from, places, n, known);
    start->elsewhere = start->reason == past_the_end; /* another replica may have seen more */
    if (start->reason == NULL) {
        search_ring(stream, places, n, low, start);
    }
    free(here.lanes);
    free(places);
}

/* ---- cursors ---- */

void
stream_add_place(struct stream *stream, const struct place *place, struct buf *out)
{
    if (place->cursor == NULL && place->n_lanes == 0) { /* given before it had any position */
        lanes_start_token(stream_lanes(stream), out);
    } else {
        place_add_token(out, place, stream_keys(stream));
    }
}

/* The newest seq in [low, high] whose record has this id, or 0. */
static uint64_t
find_id(struct ring *ring, const struct buf *id, uint64_t low, uint64_t high)
{
    uint64_t found = 0;
    while (found == 0 && high >= low && high > 0) {
        uint64_t from = high >= low + STEP ? high - STEP + 1 : low;
        struct record *records[STEP];
        size_t n = ring_read(ring, from, records, (size_t)(high - from + 1), UINT64_MAX);
        for (size_t i = n; i-- > 0;) {
            if (found == 0 && record_has_id(records[i], id->bytes, id->len)) {
                found = records[i]->seq;
            }
            record_unref(records[i]);
        }
        if (n == 0) {
            return 0; /* the ring moved on */
        }
        high = from - 1;
    }
    return found;
}

/* A cursor has no order: the record that it names is in the ring, or the place is elsewhere. */
static void
locate_cursor(struct stream *stream, const struct place *from, struct stream_start *start)
{
    struct ring_state state;
    struct buf id, begin;
    buf_init(&id);
    buf_init(&begin);
    ring_state(stream_ring(stream), &state);
    stream_add_place(stream, from, &id);
    lanes_start_token(stream_lanes(stream), &begin);
    uint64_t seq = find_id(stream_ring(stream), &id, state.tail_seq, state.head_seq);
    bool at_start = id.len == begin.len && memcmp(id.bytes, begin.bytes, id.len) == 0;
    *start = (struct stream_start){.seq = state.head_seq + 1};
    if (from->cursor == NULL && from->n_lanes > 0) {
        start->reason = "the token is of another stream";
    } else if (seq != 0 || (at_start && state.tail_seq == 1)) {
        start->seq = seq + 1;
        start->resumed = true;
    } else {
        start->elsewhere = true;
        start->reason = "the token's place is not in the ring";
    }
    buf_fini(&id);
    buf_fini(&begin);
}

static uint64_t
first_seq(struct stream *stream, const struct place *from)
{
    switch (from->kind) {
    case PLACE_EARLIEST:
        return 1;
    case PLACE_TIME:
        return ring_find_time(stream_ring(stream), from->time_ms);
    case PLACE_NONE:
    case PLACE_LATEST:
    case PLACE_TOKEN:
        break;
    }
    /* What nobody was sent yet waits for the next one who comes: no other reader will have it. */
    if (stream_is_shared(stream) && !stream_has_subscribers(stream)) {
        return ring_settled(stream_ring(stream)) + 1;
    }
    return UINT64_MAX;
}

static void
place_of_text(const char *text, struct place *place)
{
    struct err err;
    *place = (struct place){.kind = PLACE_TOKEN};
    (void)place_of_token(place, text, strlen(text), NULL, &err);
}

uint64_t
stream_count_wanted(struct stream *stream, const struct place *from, const struct place *to,
    const char *after, const char *upto)
{
    struct lanes *lanes = stream_lanes(stream);
    struct place begin, end;
    struct lane_place *seen, *first, *last;
    place_of_text(after, &begin);
    place_of_text(upto, &end);
    size_t n = lanes_places(lanes, from, &end, &seen);
    size_t n_first = lanes_places(lanes, &begin, &end, &first);
    size_t n_last = lanes_places(lanes, to, &end, &last);
    uint64_t sum = 0;
    assert(n_first >= n && n_last >= n); /* lanes are never taken away */
    for (size_t i = 0; i < n; i++) {
        uint64_t low = seen[i].asked > first[i].asked ? seen[i].asked : first[i].asked;
        uint64_t high =
            last[i].known && last[i].asked < seen[i].next ? last[i].asked : seen[i].next;
        sum += high > low ? high - low : 0;
    }
    free(seen);
    free(first);
    free(last);
    free(begin.lanes);
    free(end.lanes);
    return sum;
}

const char *
stream_refuses_end(struct stream *stream, const struct place *to)
{
    struct stream_start start;
    if (lanes_by_cursor(stream_lanes(stream))) {
        stream_locate(stream, to, &start);
        record_unref(start.before);
        return start.resumed ? NULL : start.reason;
    }
    struct lane_place *places;
    size_t n = lanes_places(stream_lanes(stream), to, to, &places);
    bool known = false;
    (void)lanes_unaccounted(stream_lanes(stream), to, &known);
    const char *why = refusal(to, places, n, known);
    free(places);
    return why == past_the_end ? NULL : why; /* it may be to come */
}

/* A place that is no token may be older than the ring, unless the ring has all there ever was. */
static bool
asks_for_older(struct stream *stream, const struct place *from, uint64_t seq)
{
    struct ring_state state;
    if (from->kind != PLACE_EARLIEST && from->kind != PLACE_TIME) {
        return false;
    }
    ring_state(stream_ring(stream), &state);
    bool at_tail = from->kind == PLACE_EARLIEST || seq <= state.tail_seq;
    return at_tail && !(state.tail_seq == 1 && lanes_begin_at_zero(stream_lanes(stream)));
}

void
stream_locate(struct stream *stream, const struct place *from, struct stream_start *start)
{
    struct ring *ring = stream_ring(stream);
    if (from->kind != PLACE_TOKEN) {
        uint64_t wanted = first_seq(stream, from);
        *start = (struct stream_start){.seq = wanted};
        ring_place(ring, &start->seq, &start->ordinal, &start->bytes, &start->before);
        if (from->kind == PLACE_LATEST && start->seq > wanted) {
            start->missed = start->seq - wanted;
        }
        start->elsewhere = asks_for_older(stream, from, start->seq);
        return;
    }
    for (unsigned attempt = 0;; attempt++) {
        if (lanes_by_cursor(stream_lanes(stream))) {
            locate_cursor(stream, from, start);
        } else {
            locate_token(stream, from, attempt, start);
        }
        uint64_t wanted = start->seq;
        ring_place(ring, &start->seq, &start->ordinal, &start->bytes, &start->before);
        if (start->seq == wanted) {
            start->elsewhere |= start->missed > start->gone;
            return;
        }
        record_unref(start->before); /* the ring has moved past it since */
    }
}
