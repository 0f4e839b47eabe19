/* lanes: the position vector of a stream and its tokens. One mutex, no thread of its own. */
#include "lanes.h"

#include "base64.h"
#include "connector.h"
#include "json.h"
#include "mem.h"
#include "metrics.h"
#include "track.h"

#include <assert.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* An offset that takes six bytes in a token: more records than a partition sees in years. */
#define ROOMY_NEXT ((UINT64_C(1) << 42) - 2)

struct lane {
    char *group;
    char *source_prefix; /* {"topic":"t","partition":0,"offset": */
    uint32_t partition;
    size_t row; /* its place in rows */
    uint64_t start, end;
    uint64_t peak; /* the highest next since it began or was reset: next falls below it when the
                      lane is taken up again at an older place */
    uint64_t mark_next, mark_seq; /* the next offset when it was added last, and the newest record
                                     of the ring then */
    uint64_t first_end;           /* the first end that the source told */
    bool has_end;
    bool removed;
    bool touched; /* it has had a record */
    bool is_file;
    bool forgotten; /* it has no row; the place may be taken by another */
    uint64_t origin;
    char *path; /* of a file */
};

/* A file that was forgotten. */
struct grave {
    uint32_t group;
    uint64_t end;
};

/* Where a stream by cursors stands. */
struct cursors {
    size_t start_len, now_len;
    uint8_t start[TOKEN_CURSOR_MAX], now[TOKEN_CURSOR_MAX];
};

struct lanes {
    pthread_mutex_t lock;
    const struct token_keys *keys;
    struct lane *items; /* by lane index */
    size_t n;
    struct token_lane *rows; /* sorted; rows[i].next is the position */
    size_t n_rows;
    struct grave *graves; /* the newest LANES_GRAVES, in a ring */
    size_t n_graves;      /* ever */
    bool has_files;
    struct cursors *cursors; /* NULL: the position is that of the lanes */
};

struct lanes *
lanes_new(const struct token_keys *keys)
{
    struct lanes *lanes = mem_calloc(1, sizeof *lanes);
    lanes->keys = keys;
    pthread_mutex_init(&lanes->lock, NULL);
    return lanes;
}

void
lanes_free(struct lanes *lanes)
{
    if (lanes == NULL) {
        return;
    }
    for (size_t i = 0; i < lanes->n; i++) {
        free(lanes->items[i].group);
        free(lanes->items[i].source_prefix);
        free(lanes->items[i].path);
    }
    free(lanes->graves);
    pthread_mutex_destroy(&lanes->lock);
    free(lanes->items);
    free(lanes->rows);
    free(lanes->cursors);
    free(lanes);
}

static char *
make_prefix(const char *group, uint32_t partition)
{
    struct buf text;
    buf_init(&text);
    BUF_LITERAL(&text, "{\"topic\":");
    json_add_string(&text, group, strlen(group));
    buf_addf(&text, ",\"partition\":%u,\"offset\":", partition);
    char *prefix = mem_strndup(text.bytes, text.len);
    buf_fini(&text);
    return prefix;
}

static bool
row_before(const struct token_lane *row, uint32_t group, uint32_t partition)
{
    return row->group != group ? row->group < group : row->partition < partition;
}

/* Open a row at its sorted place and move the lanes behind it. */
static size_t
insert_row(struct lanes *lanes, uint32_t group, uint32_t partition, uint64_t next)
{
    size_t row = 0;
    while (row < lanes->n_rows && row_before(&lanes->rows[row], group, partition)) {
        row++;
    }
    lanes->rows = mem_realloc(lanes->rows, (lanes->n_rows + 1) * sizeof *lanes->rows);
    memmove(&lanes->rows[row + 1], &lanes->rows[row], (lanes->n_rows - row) * sizeof *lanes->rows);
    lanes->rows[row] = (struct token_lane){group, partition, next};
    lanes->n_rows++;
    for (size_t i = 0; i < lanes->n; i++) {
        lanes->items[i].row += lanes->items[i].row >= row;
    }
    return row;
}

static struct lane *
find(struct lanes *lanes, const char *group, uint32_t partition)
{
    for (size_t i = 0; i < lanes->n; i++) {
        if (!lanes->items[i].forgotten && lanes->items[i].partition == partition &&
            strcmp(lanes->items[i].group, group) == 0) {
            return &lanes->items[i];
        }
    }
    return NULL;
}

/* Whether the token of all rows and of (hash, partition), signed, stays within TOKEN_MAX while
 * offsets grow up to ROOMY_NEXT. */
static bool
fits_token(const struct lanes *lanes, uint32_t hash, uint32_t partition)
{
    struct token_lane *rows = mem_alloc((lanes->n_rows + 1) * sizeof *rows);
    size_t n = 0;
    for (size_t i = 0; i <= lanes->n_rows; i++) {
        bool here = n == i && (i == lanes->n_rows || !row_before(&lanes->rows[i], hash, partition));
        if (here) {
            rows[n++] = (struct token_lane){hash, partition, ROOMY_NEXT};
        }
        if (i < lanes->n_rows) {
            rows[n] = lanes->rows[i];
            rows[n].next = rows[n].next > ROOMY_NEXT ? rows[n].next : ROOMY_NEXT;
            n++;
        }
    }
    struct buf token;
    buf_init(&token);
    token_encode(&token, rows, n, NULL);
    bool fits = token.len + BASE64_LEN(TOKEN_MAC_BYTES) <= TOKEN_MAX;
    buf_fini(&token);
    free(rows);
    return fits;
}

/* Why a new lane cannot be, or NULL. */
static const char *
refusal(const struct lanes *lanes, const char *group, uint32_t partition)
{
    uint32_t hash = token_group_hash(group);
    if (partition >= TOKEN_PARTITION_LIMIT) {
        return "its number is beyond what a resume token can hold";
    }
    for (size_t i = 0; i < lanes->n; i++) {
        if (!lanes->items[i].forgotten && lanes->rows[lanes->items[i].row].group == hash &&
            strcmp(lanes->items[i].group, group) != 0) {
            return "resume tokens could not tell its name from that of another one in the stream";
        }
    }
    return fits_token(lanes, hash, partition)
               ? NULL
               : "the stream has more partitions than a resume token can hold";
}

/* A place that a forgotten lane has left, or a new one. */
static struct lane *
vacancy(struct lanes *lanes)
{
    for (size_t i = 0; i < lanes->n; i++) {
        if (lanes->items[i].forgotten) {
            return &lanes->items[i];
        }
    }
    lanes->items = mem_realloc(lanes->items, (lanes->n + 1) * sizeof *lanes->items);
    return &lanes->items[lanes->n++];
}

static struct lane *
append(struct lanes *lanes, const char *group, uint32_t partition, uint64_t next)
{
    size_t row = insert_row(lanes, token_group_hash(group), partition, next);
    struct lane *lane = vacancy(lanes);
    *lane = (struct lane){
        .group = mem_strdup(group),
        .source_prefix = make_prefix(group, partition),
        .partition = partition,
        .row = row,
        .start = next,
        .end = next,
        .peak = next,
    };
    return lane;
}

const char *
lanes_add(
    struct lanes *lanes, const char *group, uint32_t partition, uint64_t next, uint32_t *index)
{
    const char *why = NULL;
    pthread_mutex_lock(&lanes->lock);
    struct lane *lane = find(lanes, group, partition);
    if (lane != NULL) {
        lane->removed = false;
        lanes->rows[lane->row].next = next;
        lane->start = next < lane->start ? next : lane->start;
        lane->peak = next > lane->peak ? next : lane->peak;
    } else if ((why = refusal(lanes, group, partition)) == NULL) {
        lane = append(lanes, group, partition, next);
    }
    if (lane != NULL) {
        *index = (uint32_t)(lane - lanes->items);
    }
    pthread_mutex_unlock(&lanes->lock);
    return why;
}

void
lanes_reset(struct lanes *lanes, uint32_t index, uint64_t next)
{
    pthread_mutex_lock(&lanes->lock);
    struct lane *lane = &lanes->items[index];
    lane->start = lane->end = lane->peak = next;
    lane->removed = false;
    lane->touched = true; /* the gap that tells it */
    lanes->rows[lane->row].next = next;
    pthread_mutex_unlock(&lanes->lock);
}

void
lanes_mark(struct lanes *lanes, uint32_t index, uint64_t seq)
{
    pthread_mutex_lock(&lanes->lock);
    struct lane *lane = &lanes->items[index];
    lane->mark_next = lanes->rows[lane->row].next;
    lane->mark_seq = seq;
    pthread_mutex_unlock(&lanes->lock);
}

bool
lanes_remove(struct lanes *lanes, uint32_t index)
{
    pthread_mutex_lock(&lanes->lock);
    lanes->items[index].removed = true;
    bool is_file = lanes->items[index].is_file;
    pthread_mutex_unlock(&lanes->lock);
    return is_file;
}

/* ---- lanes that are files ---- */

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
static bool
unaccounted(const struct lanes *lanes, const struct place *from, bool *known)
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
    bool found = unaccounted(lanes, from, known);
    pthread_mutex_unlock(&lanes->lock);
    return found;
}

void
lanes_resume(struct lanes *lanes, uint32_t index)
{
    pthread_mutex_lock(&lanes->lock);
    lanes->items[index].removed = false;
    pthread_mutex_unlock(&lanes->lock);
}

void
lanes_set_end(struct lanes *lanes, uint32_t index, uint64_t end_offset)
{
    pthread_mutex_lock(&lanes->lock);
    struct lane *lane = &lanes->items[index];
    lane->end = end_offset;
    if (!lane->has_end) {
        lane->has_end = true;
        lane->first_end = end_offset;
    }
    pthread_mutex_unlock(&lanes->lock);
}

uint64_t
lanes_next(struct lanes *lanes, uint32_t index)
{
    pthread_mutex_lock(&lanes->lock);
    uint64_t next = lanes->rows[lanes->items[index].row].next;
    pthread_mutex_unlock(&lanes->lock);
    return next;
}

void
lanes_begin_cursor(struct lanes *lanes, const void *cursor, size_t len)
{
    assert(len <= TOKEN_CURSOR_MAX);
    pthread_mutex_lock(&lanes->lock);
    if (lanes->cursors == NULL) {
        lanes->cursors = mem_calloc(1, sizeof *lanes->cursors);
    }
    struct cursors *cursors = lanes->cursors;
    cursors->start_len = cursors->now_len = len;
    if (len > 0) {
        memcpy(cursors->start, cursor, len);
        memcpy(cursors->now, cursor, len);
    }
    pthread_mutex_unlock(&lanes->lock);
}

void
lanes_move_cursor(struct lanes *lanes, const void *cursor, size_t len)
{
    assert(len <= TOKEN_CURSOR_MAX);
    pthread_mutex_lock(&lanes->lock);
    assert(lanes->cursors != NULL);
    lanes->cursors->now_len = len;
    if (len > 0) {
        memcpy(lanes->cursors->now, cursor, len);
    }
    pthread_mutex_unlock(&lanes->lock);
}

bool
lanes_by_cursor(struct lanes *lanes)
{
    pthread_mutex_lock(&lanes->lock);
    bool by_cursor = lanes->cursors != NULL;
    pthread_mutex_unlock(&lanes->lock);
    return by_cursor;
}

static void
add_token(const struct lanes *lanes, struct buf *token)
{
    if (lanes->cursors != NULL) {
        token_encode_cursor(token, lanes->cursors->now, lanes->cursors->now_len, lanes->keys);
    } else {
        token_encode(token, lanes->rows, lanes->n_rows, lanes->keys);
    }
}

const char *
lanes_advance(struct lanes *lanes, uint32_t index, uint64_t offset, struct buf *token)
{
    const char *prefix = NULL;
    pthread_mutex_lock(&lanes->lock);
    assert(index < lanes->n);
    struct lane *lane = &lanes->items[index];
    struct token_lane *row = &lanes->rows[lane->row];
    if (offset >= row->next) {
        row->next = offset + 1;
        lane->peak = row->next > lane->peak ? row->next : lane->peak;
        lane->touched = true;
        if (token != NULL) {
            add_token(lanes, token);
        }
        prefix = lane->source_prefix;
    }
    pthread_mutex_unlock(&lanes->lock);
    return prefix;
}

/* What only the source thread changes it reads without the lock. */
bool
lanes_many(const struct lanes *lanes)
{
    return lanes->cursors == NULL && lanes->n_rows > LANES_FEW;
}

bool
lanes_sparse(struct lanes *lanes)
{
    pthread_mutex_lock(&lanes->lock);
    bool sparse = lanes_many(lanes);
    pthread_mutex_unlock(&lanes->lock);
    return sparse;
}

struct track *
lanes_track(const struct lanes *lanes)
{
    return track_new(lanes->rows, lanes->n_rows, lanes->keys);
}

uint32_t
lanes_follow(const struct lanes *lanes, struct track *track, uint32_t index)
{
    size_t row = lanes->items[index].row;
    return track_step(track, row, lanes->rows[row].next);
}

void
lanes_token(struct lanes *lanes, struct buf *token)
{
    pthread_mutex_lock(&lanes->lock);
    add_token(lanes, token);
    pthread_mutex_unlock(&lanes->lock);
}

/* lanes->lock is held. */
static void
add_start_token(const struct lanes *lanes, struct buf *token)
{
    struct token_lane *rows = mem_alloc((lanes->n_rows + 1) * sizeof *rows);
    if (lanes->n_rows > 0) {
        memcpy(rows, lanes->rows, lanes->n_rows * sizeof *rows);
    }
    for (size_t i = 0; i < lanes->n; i++) {
        if (!lanes->items[i].forgotten) {
            rows[lanes->items[i].row].next = lanes->items[i].start;
        }
    }
    token_encode(token, rows, lanes->n_rows, lanes->keys);
    free(rows);
}

void
lanes_start_token(struct lanes *lanes, struct buf *token)
{
    pthread_mutex_lock(&lanes->lock);
    const struct cursors *cursors = lanes->cursors;
    if (cursors != NULL) {
        token_encode_cursor(token, cursors->start, cursors->start_len, lanes->keys);
    } else {
        add_start_token(lanes, token);
    }
    pthread_mutex_unlock(&lanes->lock);
}

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
        if (row_before(row, group, partition)) {
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
    return row_before(a, b->group, b->partition) ? -1 : row_before(b, a->group, a->partition);
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
        *gone = unaccounted(lanes, from, &known);
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

void
lanes_metrics_lag(struct lanes *lanes, const char *stream, struct buf *out)
{
    pthread_mutex_lock(&lanes->lock);
    for (size_t i = 0; i < lanes->n; i++) {
        const struct lane *lane = &lanes->items[i];
        if (lane->removed || lane->is_file) {
            continue;
        }
        char partition[16];
        snprintf(partition, sizeof partition, "%u", lane->partition);
        struct buf labels;
        buf_init(&labels);
        metrics_label(&labels, "stream", stream);
        metrics_label(&labels, "topic", lane->group);
        metrics_label(&labels, "partition", partition);
        buf_addc(&labels, '\0');
        uint64_t next = lanes->rows[lane->row].next;
        metrics_sample_u64(out, "headgate_kafka_lag_records", labels.bytes,
            lane->end > next ? lane->end - next : 0);
        buf_fini(&labels);
    }
    pthread_mutex_unlock(&lanes->lock);
}

static bool
is_read(const struct lane *lane)
{
    return lane->is_file && !lane->removed;
}

/* The lag of all lanes at the path of lane first: one that was deleted and its successor. False: a
 * lane before it has told it. */
static bool
lag_at_path(const struct lanes *lanes, size_t first, uint64_t *lag)
{
    *lag = 0;
    for (size_t i = 0; i < lanes->n; i++) {
        const struct lane *lane = &lanes->items[i];
        if (is_read(lane) && strcmp(lane->path, lanes->items[first].path) == 0) {
            uint64_t next = lanes->rows[lane->row].next;
            if (i < first) {
                return false;
            }
            *lag += lane->end > next ? lane->end - next : 0;
        }
    }
    return true;
}

void
lanes_metrics_file_lag(struct lanes *lanes, const char *stream, struct buf *out)
{
    pthread_mutex_lock(&lanes->lock);
    for (size_t i = 0; i < lanes->n; i++) {
        uint64_t lag;
        if (!is_read(&lanes->items[i]) || !lag_at_path(lanes, i, &lag)) {
            continue;
        }
        struct buf labels;
        buf_init(&labels);
        metrics_label(&labels, "stream", stream);
        metrics_label(&labels, "file", lanes->items[i].path);
        buf_addc(&labels, '\0');
        metrics_sample_u64(out, "headgate_file_lag_bytes", labels.bytes, lag);
        buf_fini(&labels);
    }
    pthread_mutex_unlock(&lanes->lock);
}
