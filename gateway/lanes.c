/* lanes: the position vector of a stream and its tokens. One mutex, no thread of its own. */
#include "lanes_state.h"

#include "base64.h"
#include "json.h"
#include "mem.h"
#include "track.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* An offset that takes six bytes in a token: more records than a partition sees in years. */
#define ROOMY_NEXT ((UINT64_C(1) << 42) - 2)

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
    token_writer_fini(&lanes->writer);
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

/* Open a row at its sorted place and move the lanes behind it. */
static size_t
insert_row(struct lanes *lanes, uint32_t group, uint32_t partition, uint64_t next)
{
    size_t row = 0;
    while (row < lanes->n_rows && lanes_row_before(&lanes->rows[row], group, partition)) {
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
        bool here =
            n == i && (i == lanes->n_rows || !lanes_row_before(&lanes->rows[i], hash, partition));
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

/* What only the source thread changes it reads without the lock. */
uint64_t
lanes_next(const struct lanes *lanes, uint32_t index)
{
    return lanes->rows[lanes->items[index].row].next;
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
        if (token != NULL && (lanes->cursors != NULL || lanes->n_rows > LANES_FEW)) {
            add_token(lanes, token);
        } else if (token != NULL) {
            token_writer_add(
                &lanes->writer, token, lanes->rows, lanes->n_rows, lane->row, lanes->keys);
        }
        prefix = lane->source_prefix;
    }
    pthread_mutex_unlock(&lanes->lock);
    return prefix;
}

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
