/* lanes_behind: tokens for records that were written, read back or not. Any thread. */
#include "lanes_state.h"

#include "mem.h"
#include "push_queue.h"

#include <stdlib.h>
#include <string.h>

/* The row of (hash, partition), made where there is none. */
static struct token_lane *
row_of(struct token_lane *rows, size_t *n, uint32_t hash, uint32_t partition)
{
    size_t i = 0;
    while (i < *n && lanes_row_before(&rows[i], hash, partition)) {
        i++;
    }
    if (i == *n || rows[i].group != hash || rows[i].partition != partition) {
        memmove(&rows[i + 1], &rows[i], (*n - i) * sizeof *rows);
        rows[i] = (struct token_lane){hash, partition, 0};
        (*n)++;
    }
    return &rows[i];
}

/* Its upstream is known to have as much. */
static void
raise_end(struct lanes *lanes, const char *group, const struct push_place *place)
{
    for (size_t i = 0; i < lanes->n; i++) {
        struct lane *lane = &lanes->items[i];
        if (!lane->forgotten && lane->partition == place->partition && lane->end < place->next &&
            strcmp(lane->group, group) == 0) {
            lane->end = place->next;
        }
    }
}

void
lanes_behind(struct lanes *lanes, const char *group, const struct push_place *places, size_t n,
    struct buf *token)
{
    uint32_t hash = token_group_hash(group);
    pthread_mutex_lock(&lanes->lock);
    size_t n_rows = lanes->n_rows;
    struct token_lane *rows = mem_alloc((n_rows + n + 1) * sizeof *rows);
    if (n_rows > 0) {
        memcpy(rows, lanes->rows, n_rows * sizeof *rows);
    }
    for (size_t i = 0; i < n; i++) {
        row_of(rows, &n_rows, hash, places[i].partition)->next = places[i].next;
        raise_end(lanes, group, &places[i]);
    }
    pthread_mutex_unlock(&lanes->lock);
    token_encode(token, rows, n_rows, lanes->keys);
    free(rows);
}
