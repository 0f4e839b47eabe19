/* file_stage: see file_stage.h. Source thread. */
#include "file_stage.h"

#include "../gateway/buf.h"
#include "../gateway/clock.h"
#include "../gateway/mem.h"
#include "../gateway/pointer.h"
#include "../gateway/stream_source.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct file_stager {
    struct stream *stream;
    struct pointer *key, *time; /* NULL: none */
    struct buf text;
    int64_t arrival_ns;
};

struct file_stager *
file_stager_new(const struct file_settings *settings, struct stream *stream)
{
    struct err err; /* the configuration's check compiled them too */
    struct file_stager *stager = mem_calloc(1, sizeof *stager);
    stager->stream = stream;
    stager->arrival_ns = clock_mono_ns();
    stager->key = settings->key == NULL ? NULL : pointer_new(settings->key, &err);
    stager->time = settings->time == NULL ? NULL : pointer_new(settings->time, &err);
    return stager;
}

void
file_stager_free(struct file_stager *stager)
{
    if (stager != NULL) {
        pointer_free(stager->key);
        pointer_free(stager->time);
        buf_fini(&stager->text);
        free(stager);
    }
}

void
file_stager_arrived(struct file_stager *stager, int64_t arrival_ns)
{
    stager->arrival_ns = arrival_ns;
}

/* The value that pointer leads to, as NUL-terminated text in stager->text; NULL: none. */
static const char *
text_at(struct file_stager *stager, const struct pointer *pointer, const struct file_item *item)
{
    const char *value;
    size_t len;
    if (pointer == NULL || !pointer_find(pointer, item->data, item->len, &value, &len) ||
        *value == 'n') {
        return NULL;
    }
    stager->text.len = 0;
    char *out = buf_reserve(&stager->text, len + 1);
    stager->text.len = pointer_text(out, value, len);
    out[stager->text.len] = '\0';
    return out;
}

/* Numbers from here on are milliseconds; as seconds it would be the year 5138. */
#define SECONDS_END 1e11
#define TIME_END_MS 253402300800000.0 /* the year 10000 */

static int64_t
time_of(const char *text)
{
    int64_t ms;
    char *end;
    if (clock_parse_rfc3339(text, &ms) == 0) {
        return ms;
    }
    double number = strtod(text, &end);
    if (end == text || *end != '\0' || !isfinite(number) || number < 0) {
        return -1;
    }
    number = number < SECONDS_END ? number * 1000 : number;
    return number < TIME_END_MS ? (int64_t)number : -1;
}

int64_t
file_stage_time(struct file_stager *stager, const struct file_item *item)
{
    const char *text = item->data == NULL ? NULL : text_at(stager, stager->time, item);
    return text == NULL ? -1 : time_of(text);
}

int
file_stage(struct file_stager *stager, uint32_t lane, const struct file_item *item, int64_t time_ms,
    int64_t begin_ms)
{
    uint64_t last = item->end - (item->end > 0);
    if (item->data == NULL) {
        uint64_t next = stream_lane_next(stager->stream, lane);
        stream_lost(stager->stream, lane, last < next ? next : last, 1, item->why);
        return 1;
    }
    struct record_input in = {.lane = lane,
        .offset = last,
        .data = item->data,
        .data_len = item->len,
        .is_json_line = item->is_json_line};
    int64_t told_ms = file_stage_time(stager, item);
    in.time_ms = told_ms >= 0 ? told_ms : time_ms;
    if (told_ms >= 0 && told_ms < begin_ms) {
        return 0;
    }
    const char *text = text_at(stager, stager->key, item);
    in.key = text;
    in.key_len = text == NULL ? 0 : stager->text.len;
    return stream_stage(stager->stream, &in, stager->arrival_ns) < 0 ? -1 : 0;
}
