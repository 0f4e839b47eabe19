/* lanes_file: lanes that are files: they end, are forgotten, and leave a grave for a while. */
#include "lanes_state.h"

#include "json.h"
#include "mem.h"

#include <stdlib.h>
#include <string.h>

void
lanes_set_file(struct lanes *lanes, uint32_t index, const char *path, uint64_t origin)
{
    struct buf text;
    buf_init(&text);
    BUF_LITERAL(&text, "{\"file\":");
    json_add_lossy(&text, path, strlen(path));
    BUF_LITERAL(&text, ",\"offset\":");
    pthread_mutex_lock(&lanes->lock);
    struct lane *lane = &lanes->items[index];
    free(lane->source_prefix);
    free(lane->path);
    lane->source_prefix = mem_strndup(text.bytes, text.len);
    lane->path = mem_strdup(path);
    lane->origin = origin;
    lane->is_file = lanes->has_files = true;
    pthread_mutex_unlock(&lanes->lock);
    buf_fini(&text);
}

static void
bury(struct lanes *lanes, const struct lane *lane)
{
    const struct token_lane *row = &lanes->rows[lane->row];
    if (lanes->graves == NULL) {
        lanes->graves = mem_calloc(LANES_GRAVES, sizeof *lanes->graves);
    }
    lanes->graves[lanes->n_graves++ % LANES_GRAVES] =
        (struct grave){row->group, row->next > lane->end ? row->next : lane->end};
}

void
lanes_forget(struct lanes *lanes, uint32_t index)
{
    pthread_mutex_lock(&lanes->lock);
    struct lane *lane = &lanes->items[index];
    size_t row = lane->row;
    if (lane->removed && !lane->forgotten) {
        bury(lanes, lane);
        lanes->n_rows--;
        memmove(
            &lanes->rows[row], &lanes->rows[row + 1], (lanes->n_rows - row) * sizeof *lanes->rows);
        for (size_t i = 0; i < lanes->n; i++) {
            lanes->items[i].row -= lanes->items[i].row > row;
        }
        free(lane->group);
        free(lane->source_prefix);
        free(lane->path);
        *lane = (struct lane){.removed = true, .forgotten = true, .is_file = true};
    }
    pthread_mutex_unlock(&lanes->lock);
}

bool
lanes_is_untouched(struct lanes *lanes, uint32_t index)
{
    pthread_mutex_lock(&lanes->lock);
    bool untouched = !lanes->items[index].touched;
    pthread_mutex_unlock(&lanes->lock);
    return untouched;
}

bool
lanes_is_removed(struct lanes *lanes, uint32_t index)
{
    pthread_mutex_lock(&lanes->lock);
    bool removed = lanes->items[index].removed;
    pthread_mutex_unlock(&lanes->lock);
    return removed;
}

static bool
has_row(const struct lanes *lanes, const struct token_lane *row)
{
    for (size_t i = 0; i < lanes->n_rows; i++) {
        if (lanes->rows[i].group == row->group && lanes->rows[i].partition == row->partition) {
            return true;
        }
    }
    return false;
}

/* Under the lock. */
bool
lanes_unaccounted_locked(const struct lanes *lanes, const struct place *from, bool *known)
{
    bool found = false;
    size_t n_graves = lanes->n_graves < LANES_GRAVES ? lanes->n_graves : LANES_GRAVES;
    for (size_t i = 0; i < from->n_lanes && lanes->has_files; i++) {
        const struct token_lane *row = &from->lanes[i];
        bool over = false;
        for (size_t k = 0; k < n_graves; k++) {
            bool same = lanes->graves[k].group == row->group;
            *known |= same;
            over |= same && row->next >= lanes->graves[k].end;
        }
        found |= !over && !has_row(lanes, row);
    }
    return found;
}

bool
lanes_unaccounted(struct lanes *lanes, const struct place *from, bool *known)
{
    pthread_mutex_lock(&lanes->lock);
    bool found = lanes_unaccounted_locked(lanes, from, known);
    pthread_mutex_unlock(&lanes->lock);
    return found;
}
