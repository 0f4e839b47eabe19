/* locate: where in a stream's ring a subscriber begins. Any thread; reads the ring backwards in
 * small steps, so that a reader close to the head costs little. */
#include "lanes.h"
#include "mem.h"
#include "stream_internal.h"

#include <stdlib.h>

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
    uint64_t oldest = record->offset + 1 - record->weight;
    if (record->is_gap && oldest > record->offset) {
        oldest = 0; /* a gap that is wider than its lane's offsets: it begins at the start */
    }
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

static uint64_t
missed(const struct search *search)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < search->n; i++) {
        const struct search_lane *lane = &search->lanes[i];
        if (!lane->done && lane->oldest > lane->place.asked) {
            sum += lane->oldest - lane->place.asked;
        }
    }
    return sum;
}

/* Why the token cannot be honoured, or NULL. */
static const char *
refusal(const struct lane_place *places, size_t n)
{
    bool any_known = false;
    for (size_t i = 0; i < n; i++) {
        any_known |= places[i].known;
        if (places[i].known && places[i].asked > places[i].end) {
            return "the token is past the end of the source";
        }
    }
    return any_known || n == 0 ? NULL : "the token is of another stream";
}

static void
locate_token(struct stream *stream, const struct place *from, struct stream_start *start)
{
    struct lane_place *places;
    size_t n = lanes_places(stream_lanes(stream), from, &places);
    struct ring_state state;
    ring_state(stream_ring(stream), &state);
    start->seq = state.head_seq + 1;
    start->reason = refusal(places, n);
    if (start->reason == NULL) {
        struct search search = {mem_calloc(n + 1, sizeof *search.lanes), n, 0, state.head_seq + 1};
        bool ahead = false; /* another replica has read further than this one has yet */
        for (size_t i = 0; i < n; i++) {
            ahead |= places[i].known && places[i].asked > places[i].next;
            search.lanes[i].place = places[i];
            search.lanes[i].oldest = places[i].next;
            if (places[i].asked >= places[i].next || places[i].removed) {
                settle(&search, &search.lanes[i]);
            }
        }
        look_back(&search, stream_ring(stream), state.tail_seq, state.head_seq);
        *start = (struct stream_start){
            .seq = search.first_wanted,
            .skip_until = ahead ? UINT64_MAX : state.head_seq + 1,
            .missed = missed(&search),
            .resumed = true,
        };
        free(search.lanes);
    }
    free(places);
}

void
stream_locate(struct stream *stream, const struct place *from, struct stream_start *start)
{
    struct ring_state state;
    ring_state(stream_ring(stream), &state);
    *start = (struct stream_start){.seq = state.head_seq + 1};
    switch (from->kind) {
    case PLACE_NONE:
    case PLACE_LATEST:
        break;
    case PLACE_EARLIEST:
        start->seq = state.tail_seq;
        break;
    case PLACE_TIME:
        start->seq = ring_find_time(stream_ring(stream), from->time_ms);
        break;
    case PLACE_TOKEN:
        locate_token(stream, from, start);
        break;
    }
}
