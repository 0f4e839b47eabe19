/* fake_stream: see fake_stream.h: the interface that a source sees. */
#include "fake_stream_internal.h"

#include "../../gateway/clock.h"
#include "../../gateway/log.h"
#include "../../gateway/mem.h"
#include "../../gateway/stream.h"
#include "../../gateway/stream_answers.h"
#include "../../gateway/stream_push.h"
#include "../../gateway/stream_source.h"

#include <stdio.h>
#include <string.h>

void
fake_stream_unlock(struct stream *stream)
{
    pthread_cond_broadcast(&stream->changed);
    pthread_mutex_unlock(&stream->lock);
}

struct fake_lane *
fake_stream_find_lane(struct stream *stream, const char *group, uint32_t partition)
{
    for (size_t i = 0; i < stream->n_lanes; i++) {
        if (strcmp(stream->lanes[i].group, group) == 0 && stream->lanes[i].partition == partition) {
            return &stream->lanes[i];
        }
    }
    return NULL;
}

const char *
stream_name(const struct stream *stream)
{
    (void)stream;
    return "test";
}

size_t
stream_room(struct stream *stream)
{
    pthread_mutex_lock(&stream->lock);
    stream->disorder |= stream->n_staged != 0;
    stream->room_left = stream->room;
    size_t room = stream->room_left;
    pthread_mutex_unlock(&stream->lock);
    return room;
}

size_t
stream_max_record_bytes(const struct stream *stream)
{
    return stream->max_record_bytes;
}

uint32_t
stream_lane_add(struct stream *stream, const char *group, uint32_t partition, uint64_t next)
{
    pthread_mutex_lock(&stream->lock);
    struct fake_lane *lane = fake_stream_find_lane(stream, group, partition);
    if (lane == NULL) {
        lane = &stream->lanes[stream->n_lanes++];
        snprintf(lane->group, sizeof lane->group, "%s", group);
        lane->partition = partition;
        lane->start = lane->next = next;
    } else {
        stream->disorder |= !lane->removed;
        lane->next = next;
        lane->revivals++;
    }
    lane->settled = next;
    lane->removed = false;
    uint32_t index = (uint32_t)(lane - stream->lanes);
    fake_stream_unlock(stream);
    return index;
}

void
stream_lane_file(struct stream *stream, uint32_t lane, const char *path, uint64_t origin)
{
    pthread_mutex_lock(&stream->lock);
    snprintf(stream->lanes[lane].path, sizeof stream->lanes[lane].path, "%s", path);
    stream->lanes[lane].origin = origin;
    fake_stream_unlock(stream);
}

void
stream_lane_reset(struct stream *stream, uint32_t lane, uint64_t next)
{
    pthread_mutex_lock(&stream->lock);
    stream->lanes[lane].start = stream->lanes[lane].next = stream->lanes[lane].settled = next;
    stream->lanes[lane].resets++;
    fake_stream_unlock(stream);
}

void
stream_lane_resume(struct stream *stream, uint32_t lane)
{
    pthread_mutex_lock(&stream->lock);
    stream->disorder |= !stream->lanes[lane].removed;
    stream->lanes[lane].removed = false;
    fake_stream_unlock(stream);
}

void
stream_lane_remove(struct stream *stream, uint32_t lane)
{
    pthread_mutex_lock(&stream->lock);
    stream->disorder |= stream->lanes[lane].removed;
    stream->lanes[lane].removed = true;
    fake_stream_unlock(stream);
}

void
stream_settle(struct stream *stream)
{
    pthread_mutex_lock(&stream->lock);
    for (size_t i = 0; i < stream->n_lanes && !stream->unsettled; i++) {
        stream->lanes[i].settled = stream->lanes[i].next;
    }
    pthread_mutex_unlock(&stream->lock);
}

uint64_t
stream_lane_settled(const struct stream *stream, uint32_t lane)
{
    return stream->lanes[lane].settled;
}

bool
stream_keeps_all(const struct stream *stream)
{
    (void)stream;
    return false;
}

uint64_t
stream_max_tokens(const struct stream *stream)
{
    (void)stream;
    return UINT64_MAX;
}

bool
stream_is_full(struct stream *stream)
{
    (void)stream;
    return false;
}

void
stream_source_alias(struct stream *stream, const char *alias)
{
    (void)stream;
    (void)alias;
}

void
stream_source_retry_after(struct stream *stream, int64_t after_ms)
{
    (void)stream;
    (void)after_ms;
}

void
stream_answer_first(struct stream *stream, int64_t ns)
{
    (void)stream;
    (void)ns;
}

void
stream_answer_pace(struct stream *stream, int64_t ns)
{
    (void)stream;
    (void)ns;
}

void
stream_answer_tokens(struct stream *stream, const char *model, uint64_t input, uint64_t output)
{
    (void)stream;
    (void)model;
    (void)input;
    (void)output;
}

void
stream_answer_status(struct stream *stream, int status)
{
    (void)stream;
    (void)status;
}

/* It is no answer with a log. */
struct source *
stream_home_source(const struct stream *stream)
{
    (void)stream;
    return NULL;
}

void
stream_answer_logged(struct stream *stream, enum stream_log_result result)
{
    (void)stream;
    (void)result;
}

void
stream_answer_aliases(struct stream *stream, bool known)
{
    (void)stream;
    (void)known;
}

int64_t
stream_answer_known_ms(const struct stream *stream)
{
    (void)stream;
    return 0;
}

void
stream_answer_log_clients(struct stream *stream, unsigned clients)
{
    (void)stream;
    (void)clients;
}

void
stream_answer_hears(struct stream *stream, bool hears)
{
    (void)stream;
    (void)hears;
}

void
stream_answer_told(struct stream *stream, const struct stream_told *told)
{
    (void)stream;
    (void)told;
}

void
stream_answer_seen(struct stream *stream)
{
    (void)stream;
}

void
stream_cancel_as(struct stream *stream, const char *code, const char *message)
{
    (void)stream;
    (void)code;
    (void)message;
}

void
stream_outcome(struct stream *stream, struct stream_outcome *outcome)
{
    pthread_mutex_lock(&stream->lock);
    *outcome = (struct stream_outcome){.ended = stream->ended, .code = stream->failure};
    pthread_mutex_unlock(&stream->lock);
}

/* It takes no posts. */
struct push_queue *
stream_push_queue(const struct stream *stream)
{
    (void)stream;
    return NULL;
}

bool
stream_is_private(const struct stream *stream)
{
    (void)stream;
    return false;
}

bool
stream_has_subscribers(const struct stream *stream)
{
    struct stream *fake = (struct stream *)(uintptr_t)stream;
    pthread_mutex_lock(&fake->lock);
    bool has = !fake->alone;
    pthread_mutex_unlock(&fake->lock);
    return has;
}

void
stream_source_shared(struct stream *stream, size_t lanes)
{
    pthread_mutex_lock(&stream->lock);
    stream->shares++;
    stream->shared_lanes = lanes;
    fake_stream_unlock(stream);
}

void
stream_source_resumed(struct stream *stream)
{
    (void)stream;
}

void
stream_source_committed(struct stream *stream)
{
    pthread_mutex_lock(&stream->lock);
    stream->source_commits++;
    fake_stream_unlock(stream);
}

void
stream_lane_end(struct stream *stream, uint32_t lane, uint64_t end_offset)
{
    pthread_mutex_lock(&stream->lock);
    stream->lanes[lane].end = end_offset;
    fake_stream_unlock(stream);
}

uint64_t
stream_lane_next(const struct stream *stream, uint32_t lane)
{
    return stream->lanes[lane].next; /* written by the same thread alone */
}

static char *
copy_bytes(const void *bytes, size_t len)
{
    return bytes == NULL ? NULL : mem_strndup(bytes, len);
}

static struct fake_record
keep(const struct record_input *in, int64_t arrival_ns)
{
    struct fake_record record = {.lane = in->lane,
        .offset = in->offset,
        .time_ms = in->time_ms,
        .arrival_ns = arrival_ns,
        .key = copy_bytes(in->key, in->key_len),
        .key_len = in->key_len,
        .data = copy_bytes(in->data, in->data_len),
        .data_len = in->data_len,
        .views = in->views,
        .n_headers = in->n_headers};
    snprintf(record.type, sizeof record.type, "%s", in->type == NULL ? "" : in->type);
    for (size_t i = 0; i < in->n_headers && i < FAKE_HEADERS; i++) {
        const struct record_header *header = &in->headers[i];
        snprintf(record.headers[i].name, sizeof record.headers[i].name, "%.*s",
            (int)header->name_len, header->name);
        record.headers[i].is_null = header->value == NULL;
        if (header->value != NULL) {
            snprintf(record.headers[i].value, sizeof record.headers[i].value, "%.*s",
                (int)header->value_len, (const char *)header->value);
        }
    }
    return record;
}

/* Under the lock. */
static void
add(struct stream *stream, const struct record_input *in, int64_t arrival_ns)
{
    size_t n = stream->n_records + stream->n_staged;
    if (n == stream->cap && !stream->discard) {
        stream->cap = stream->cap == 0 ? 1024 : stream->cap * 2;
        stream->records = mem_realloc(stream->records, stream->cap * sizeof *stream->records);
    }
    if (!stream->discard) {
        stream->records[n] = keep(in, arrival_ns);
    }
    stream->n_staged++;
}

bool
stream_sifts(const struct stream *stream)
{
    return stream->key[0] != '\0';
}

bool
stream_pass_over(
    struct stream *stream, uint32_t lane, uint64_t offset, const void *key, size_t key_len)
{
    bool wanted =
        key != NULL && key_len == strlen(stream->key) && memcmp(key, stream->key, key_len) == 0;
    if (wanted || offset < stream->lanes[lane].next) {
        return false;
    }
    pthread_mutex_lock(&stream->lock);
    stream->lanes[lane].next = offset + 1;
    pthread_mutex_unlock(&stream->lock);
    return true;
}

bool
stream_takes_lines(const struct stream *stream)
{
    return stream->lines;
}

uint64_t
stream_lines_cut(const struct stream *stream, uint32_t lane)
{
    (void)lane;
    return stream->lines_cut;
}

int
stream_stage_lines(struct stream *stream, const struct record_lines *lines, int64_t arrival_ns)
{
    const char *at = lines->bytes, *end = lines->bytes + lines->len;
    uint64_t count = 0;
    pthread_mutex_lock(&stream->lock);
    struct fake_lane *lane = &stream->lanes[lines->lane];
    if (stream->room_left == 0) {
        pthread_mutex_unlock(&stream->lock);
        return -1;
    }
    while (at <= end) {
        const char *feed = memchr(at, '\n', (size_t)(end - at));
        const char *to = feed == NULL ? end : feed;
        struct record_input in = {.lane = lines->lane, .offset = lines->last_offset, .data = at};
        in.data_len = (size_t)(to - at);
        add(stream, &in, arrival_ns);
        count++;
        at = to + 1;
    }
    stream->disorder |= count != lines->count || lines->last_offset < lane->next || lane->removed;
    stream->room_left--;
    lane->next = lines->last_offset + 1;
    pthread_mutex_unlock(&stream->lock);
    return 1;
}

int
stream_stage_block(struct stream *stream, struct record **block, const struct record_lines *lines,
    int64_t arrival_ns)
{
    int result = stream_stage_lines(stream, lines, arrival_ns);
    pthread_mutex_lock(&stream->lock);
    stream->disorder |= lines->bytes != record_block_bytes(*block);
    pthread_mutex_unlock(&stream->lock);
    if (result == 1) { /* what is left of it is not the source's any more */
        memset(record_block_bytes(*block), 'X', lines->len + RECORD_FRAME_AFTER);
        record_block_free(*block);
        *block = NULL;
    }
    return result;
}

int
stream_stage(struct stream *stream, const struct record_input *in, int64_t arrival_ns)
{
    for (int64_t begun = clock_mono_ns(); clock_mono_ns() - begun < stream->cost_ns;) {
    }
    pthread_mutex_lock(&stream->lock);
    struct fake_lane *lane = &stream->lanes[in->lane];
    int staged = 1;
    if (stream->room_left == 0) {
        staged = -1;
    } else if (in->offset < lane->next) {
        stream->repeats++;
        staged = 0;
    } else {
        add(stream, in, arrival_ns);
        stream->room_left--;
        stream->disorder |= lane->removed;
        lane->next = in->offset + 1;
    }
    pthread_mutex_unlock(&stream->lock);
    return staged;
}

void
stream_lost(
    struct stream *stream, uint32_t lane, uint64_t last_offset, uint64_t count, const char *reason)
{
    pthread_mutex_lock(&stream->lock);
    struct fake_lane *of = &stream->lanes[lane];
    stream->disorder |= stream->room_left == 0 || last_offset < of->next || count == 0;
    stream->room_left--;
    of->lost += count;
    of->next = last_offset + 1;
    snprintf(of->lost_reason, sizeof of->lost_reason, "%s", reason);
    fake_stream_unlock(stream);
}

void
stream_commit(struct stream *stream)
{
    pthread_mutex_lock(&stream->lock);
    stream->n_records += stream->n_staged;
    stream->commits += stream->n_staged > 0;
    stream->n_staged = 0;
    fake_stream_unlock(stream);
}

void
stream_source_up(struct stream *stream)
{
    pthread_mutex_lock(&stream->lock);
    if (!stream->up) {
        log_event(LOG_INFO, "source", NULL, "source is up");
    }
    stream->ups += !stream->up;
    stream->up = true;
    fake_stream_unlock(stream);
}

void
stream_source_down(struct stream *stream, const char *why)
{
    (void)why;
    pthread_mutex_lock(&stream->lock);
    stream->downs += stream->up;
    stream->up = false;
    fake_stream_unlock(stream);
}

void
stream_source_error(struct stream *stream, const char *reason)
{
    pthread_mutex_lock(&stream->lock);
    for (size_t i = 0; i < FAKE_REASONS; i++) {
        if (stream->errors[i].reason == NULL || strcmp(stream->errors[i].reason, reason) == 0) {
            stream->errors[i].reason = reason;
            stream->errors[i].count++;
            break;
        }
    }
    fake_stream_unlock(stream);
}

void
stream_source_anew(struct stream *stream, const char *reason)
{
    pthread_mutex_lock(&stream->lock);
    stream->anew = reason;
    fake_stream_unlock(stream);
}

void
stream_source_progress(struct stream *stream, uint64_t done, uint64_t total)
{
    pthread_mutex_lock(&stream->lock);
    stream->done = done;
    stream->total = total;
    fake_stream_unlock(stream);
}

void
stream_source_end(struct stream *stream, const char *code, const char *message)
{
    (void)message;
    pthread_mutex_lock(&stream->lock);
    if (!stream->ended) {
        stream->ended = true;
        stream->failure = code;
    }
    fake_stream_unlock(stream);
}

void
stream_source_alive(struct stream *stream)
{
    (void)stream;
}
