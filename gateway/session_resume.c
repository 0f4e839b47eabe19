/* session_resume: the ids of a session that has resumed. A replica's ring has the partitions in an
 * order of its own, so the token may be ahead of the ring in some of them and behind in others:
 * what the client has is passed over, and the ring's ids would lead back behind it until the ring
 * is past the token in every lane. Until then an id is the larger place of both. Shard thread. */
#include "session_internal.h"

#include "lanes.h"
#include "mem.h"
#include "stream_internal.h"
#include "track.h"

#include <stdlib.h>
#include <string.h>

static bool
resuming(const struct session *session, uint64_t seq)
{
    return seq < session->skip_until && session->from.kind == PLACE_TOKEN &&
           session->from.cursor == NULL;
}

static bool
has_group(const struct place *place, uint32_t group)
{
    for (size_t i = 0; i < place->n_lanes; i++) {
        if (place->lanes[i].group == group) {
            return true;
        }
    }
    return false;
}

/* The larger place of both in each lane. Returns whether ring is nowhere behind: of a topic that it
 * does not know, nothing will come either. Owns: both->lanes is the caller's to free. */
static bool
merge(const struct place *from, const struct place *ring, struct place *both)
{
    bool reached = true;
    size_t i = 0, j = 0, n = 0;
    struct token_lane *lanes = mem_calloc(from->n_lanes + ring->n_lanes + 1, sizeof *lanes);
    while (i < from->n_lanes || j < ring->n_lanes) {
        const struct token_lane *a = &from->lanes[i], *b = &ring->lanes[j];
        if (j == ring->n_lanes || (i < from->n_lanes && token_lane_before(a, b))) {
            reached = reached && !has_group(ring, a->group);
            lanes[n++] = *a;
            i++;
        } else if (i == from->n_lanes || token_lane_before(b, a)) {
            lanes[n++] = *b;
            j++;
        } else {
            reached = reached && b->next >= a->next;
            lanes[n++] = a->next > b->next ? *a : *b;
            i++;
            j++;
        }
    }
    *both = (struct place){.kind = PLACE_TOKEN, .lanes = lanes, .n_lanes = n};
    return reached;
}

void
session_pass_reset(struct session *session, const struct record *record)
{
    if (record->is_gap && record->weight == 0 && resuming(session, record->seq)) {
        lanes_start_over(stream_lanes(session->feed->outlet->stream), &session->from, record->lane);
    }
}

char *
session_id_take(struct session *session, uint64_t seq, char *id)
{
    struct place ring, both;
    struct err err;
    if (!resuming(session, seq) || place_of_token(&ring, id, strlen(id), NULL, &err) != 0) {
        return id;
    }
    if (merge(&session->from, &ring, &both)) {
        session->skip_until = seq + 1; /* from here on the ring's own ids do */
    } else {
        struct buf text;
        buf_init(&text);
        place_add_token(&text, &both, stream_keys(session->home->stream));
        buf_addc(&text, '\0');
        free(id);
        id = text.bytes;
    }
    free(both.lanes);
    free(ring.lanes);
    return id;
}

char *
session_id_of(struct session *session, const struct record *record)
{
    return session_id_take(session, record->seq, record_id(record));
}

/* record, which shows no id, as it stands for this session. */
static struct record *
standing_at(const struct session *session, struct record *record, const char *id)
{
    struct place place;
    struct err err;
    if (place_of_token(&place, id, strlen(id), NULL, &err) != 0) {
        return record_ref(record);
    }
    struct record *own = record_with_track_take(
        record, track_new(place.lanes, place.n_lanes, stream_keys(session->home->stream)));
    free(place.lanes);
    return own;
}

struct record *
session_record_take(struct session *session, struct record *record)
{
    if (!resuming(session, record->seq)) {
        return record;
    }
    char *id = session_id_of(session, record);
    size_t len = strlen(id);
    if (record->id_len == 0 || !record_has_id(record, id, len)) {
        struct record *own =
            record->id_len > 0 ? record_with_id(record, id, len) : standing_at(session, record, id);
        record_unref(record);
        record = own;
    }
    free(id);
    return record;
}
