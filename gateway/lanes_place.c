/* lanes_place: what a place, such as a token, says of the lanes there are. */
#include "lanes_state.h"

#include "connector.h"
#include "mem.h"

#include <stdlib.h>
#include <string.h>

/* The token's row for (group, partition), or NULL. Both lists are sorted; n is small. */
static const struct token_lane *
row_of(const struct place *place, uint32_t group, uint32_t partition)
{
    size_t low = 0;
    size_t high = place->n_lanes;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct token_lane *row = &place->lanes[middle];
        if (row->group == group && row->partition == partition) {
            return row;
        }
        if (lanes_row_before(row, group, partition)) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return NULL;
}

void
lanes_start_over(struct lanes *lanes, struct place *from, uint32_t index)
{
    pthread_mutex_lock(&lanes->lock);
    if (!lanes->items[index].forgotten) {
        const struct token_lane *own = &lanes->rows[lanes->items[index].row];
        const struct token_lane *row = row_of(from, own->group, own->partition);
        if (row != NULL) {
            from->lanes[row - from->lanes].next = 0;
        }
    }
    pthread_mutex_unlock(&lanes->lock);
}

bool
lanes_wants(struct lanes *lanes, const struct place *from, uint32_t index, uint64_t offset)
{
    bool wants = true;
    pthread_mutex_lock(&lanes->lock);
    if (!lanes->items[index].forgotten) {
        const struct token_lane *own = &lanes->rows[lanes->items[index].row];
        const struct token_lane *row = row_of(from, own->group, own->partition);
        wants = row == NULL || offset >= row->next;
    }
    pthread_mutex_unlock(&lanes->lock);
    return wants;
}

uint64_t
lanes_cut(struct lanes *lanes, const struct place *to, uint32_t index)
{
    pthread_mutex_lock(&lanes->lock);
    const struct token_lane *own = &lanes->rows[lanes->items[index].row];
    const struct token_lane *row = row_of(to, own->group, own->partition);
    uint64_t next = row == NULL ? UINT64_MAX : row->next;
    pthread_mutex_unlock(&lanes->lock);
    return next;
}

/* The lane's next offset at here. A lane that is behind here was reset since. */
static uint64_t
next_at(const struct lanes *lanes, const struct lane *lane, const struct place *here)
{
    const struct token_lane *own = &lanes->rows[lane->row];
    if (here->kind == PLACE_NONE) {
        return own->next;
    }
    const struct token_lane *row = row_of(here, own->group, own->partition);
    return row == NULL || row->next > lane->peak ? lane->start : row->next;
}

uint64_t
lanes_settled(struct lanes *lanes, uint32_t index, const struct place *here, uint64_t seq)
{
    pthread_mutex_lock(&lanes->lock);
    const struct lane *lane = &lanes->items[index];
    const struct token_lane *own = &lanes->rows[lane->row];
    const struct token_lane *row =
        seq > lane->mark_seq ? row_of(here, own->group, own->partition) : NULL;
    uint64_t next = row == NULL ? lane->mark_next : row->next;
    pthread_mutex_unlock(&lanes->lock);
    return next;
}

bool
lanes_reach(struct lanes *lanes, const struct place *to, const struct place *here)
{
    bool reached = true;
    pthread_mutex_lock(&lanes->lock);
    for (size_t i = 0; i < lanes->n && reached; i++) {
        const struct lane *lane = &lanes->items[i];
        if (lane->forgotten) {
            continue;
        }
        const struct token_lane *own = &lanes->rows[lane->row];
        const struct token_lane *row = row_of(to, own->group, own->partition);
        reached = lane->removed || row == NULL || next_at(lanes, lane, here) >= row->next;
    }
    pthread_mutex_unlock(&lanes->lock);
    return reached;
}

bool
lanes_loaded(struct lanes *lanes, const struct place *here)
{
    bool loaded = true;
    pthread_mutex_lock(&lanes->lock);
    for (size_t i = 0; i < lanes->n && loaded; i++) {
        const struct lane *lane = &lanes->items[i];
        uint64_t next = lane->forgotten ? 0 : next_at(lanes, lane, here);
        loaded = lane->removed || !lane->has_end || next >= lane->first_end || next >= lane->end;
    }
    pthread_mutex_unlock(&lanes->lock);
    return loaded;
}

size_t
lanes_places(struct lanes *lanes, const struct place *from, const struct place *here,
    struct lane_place **places)
{
    pthread_mutex_lock(&lanes->lock);
    size_t n = lanes->n;
    *places = mem_calloc(n + 1, sizeof **places);
    for (size_t i = 0; i < n; i++) {
        const struct lane *lane = &lanes->items[i];
        if (lane->forgotten) {
            (*places)[i] = (struct lane_place){.removed = true};
            continue;
        }
        const struct token_lane *own = &lanes->rows[lane->row];
        const struct token_lane *row = row_of(from, own->group, own->partition);
        (*places)[i] = (struct lane_place){
            .known = row != NULL,
            .asked = row != NULL     ? row->next
                     : lane->is_file ? lane->origin
                                     : lane->start,
            .next = next_at(lanes, lane, here),
            .end = lane->peak > lane->end ? lane->peak : lane->end,
            .start = lane->start,
            .removed = lane->removed,
            .is_file = lane->is_file,
        };
    }
    pthread_mutex_unlock(&lanes->lock);
    return n;
}

bool
lanes_begin_at_zero(struct lanes *lanes)
{
    pthread_mutex_lock(&lanes->lock);
    bool all = lanes->n > 0;
    if (lanes->cursors != NULL) {
        all = lanes->cursors->start_len == 0;
    }
    for (size_t i = 0; i < lanes->n && lanes->cursors == NULL; i++) {
        all = all && !lanes->items[i].forgotten && lanes->items[i].start == 0;
    }
    pthread_mutex_unlock(&lanes->lock);
    return all;
}

static int
compare_rows(const void *left, const void *right)
{
    const struct token_lane *a = left, *b = right;
    return lanes_row_before(a, b->group, b->partition)
               ? -1
               : lanes_row_before(b, a->group, a->partition);
}

void
lanes_close_removed(struct lanes *lanes, struct place *place)
{
    if (place->cursor != NULL) {
        return; /* no lanes, and the cursor lies in their memory */
    }
    pthread_mutex_lock(&lanes->lock);
    size_t known = place->n_lanes;
    struct token_lane *rows =
        mem_realloc(place->lanes, (known + lanes->n + 1) * sizeof *place->lanes);
    for (size_t i = 0; i < lanes->n; i++) {
        if (!lanes->items[i].removed || lanes->items[i].is_file) {
            continue; /* a file that is gone has not been seen for that */
        }
        const struct token_lane *own = &lanes->rows[lanes->items[i].row];
        const struct place before = {.lanes = rows, .n_lanes = known};
        if (row_of(&before, own->group, own->partition) == NULL) {
            rows[place->n_lanes++] = *own;
        }
    }
    pthread_mutex_unlock(&lanes->lock);
    qsort(rows, place->n_lanes, sizeof *rows, compare_rows);
    place->lanes = rows;
}

size_t
lanes_replay(struct lanes *lanes, const struct place *from, struct replay_lane **rows, bool *gone)
{
    bool known = false;
    pthread_mutex_lock(&lanes->lock);
    if (gone != NULL) {
        *gone = lanes_unaccounted_locked(lanes, from, &known);
    }
    size_t n = 0;
    size_t text_bytes = 0;
    for (size_t i = 0; i < lanes->n; i++) {
        text_bytes += lanes->items[i].forgotten ? 0 : strlen(lanes->items[i].group) + 1;
    }
    *rows = mem_calloc(1, (lanes->n + 1) * sizeof **rows + text_bytes);
    char *text = (char *)(*rows + lanes->n + 1);
    for (size_t i = 0; i < lanes->n; i++) {
        const struct lane *lane = &lanes->items[i];
        if (lane->forgotten) {
            continue;
        }
        const struct token_lane *own = &lanes->rows[lane->row];
        const struct token_lane *row = row_of(from, own->group, own->partition);
        size_t size = strlen(lane->group) + 1;
        (*rows)[n++] = (struct replay_lane){
            .group = memcpy(text, lane->group, size),
            .group_hash = own->group,
            .partition = lane->partition,
            .next = row != NULL ? row->next : lane->origin, /* 0 where it is no file */
            .end = own->next > lane->end ? own->next : lane->end,
        };
        text += size;
    }
    pthread_mutex_unlock(&lanes->lock);
    return n;
}
