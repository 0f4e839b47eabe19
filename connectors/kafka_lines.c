/* kafka_lines: see kafka_lines.h. Thread source. */
#include "kafka_lines.h"

#include "../gateway/buf.h"
#include "../gateway/json.h"
#include "../gateway/mem.h"
#include "../gateway/stream_source.h"

#include <stdlib.h>

struct kafka_lines {
    struct stream *stream;
    uint32_t lane;
    uint64_t last;  /* offset */
    uint64_t cut;   /* no piece goes across it */
    uint64_t count; /* 0: it is empty */
    struct buf bytes;
};

struct kafka_lines *
kafka_lines_new(struct stream *stream)
{
    struct kafka_lines *lines = mem_calloc(1, sizeof *lines);
    lines->stream = stream;
    buf_init(&lines->bytes);
    return lines;
}

void
kafka_lines_free(struct kafka_lines *lines)
{
    if (lines != NULL) {
        buf_fini(&lines->bytes);
        free(lines);
    }
}

static void
empty(struct kafka_lines *lines)
{
    lines->count = 0;
    lines->bytes.len = 0;
}

bool
kafka_lines_flush(struct kafka_lines *lines, int64_t arrival_ns)
{
    if (lines->count == 0) {
        return true;
    }
    const struct record_lines piece = {.lane = lines->lane,
        .last_offset = lines->last,
        .count = lines->count,
        .bytes = lines->bytes.bytes,
        .len = lines->bytes.len};
    if (stream_stage_lines(lines->stream, &piece, arrival_ns) < 0) {
        return false;
    }
    empty(lines);
    return true;
}

void
kafka_lines_drop(struct kafka_lines *lines, uint32_t lane)
{
    if (lines->lane == lane) {
        empty(lines);
    }
}

/* The line that payload is, without white space around it. */
static bool
find_line(const struct kafka_lines *lines, const char **payload, size_t *len)
{
    size_t start, end;
    if (*payload == NULL || *len > KAFKA_LINES_BYTES ||
        *len > stream_max_record_bytes(lines->stream) ||
        json_scan(*payload, *len, &start, &end) != JSON_ONE_LINE) {
        return false;
    }
    *payload += start;
    *len = end - start;
    return true;
}

enum kafka_lines_taken
kafka_lines_add(struct kafka_lines *lines, uint32_t lane, uint64_t offset, const char *payload,
    size_t len, int64_t arrival_ns)
{
    bool follows = lines->count > 0 && lines->lane == lane;
    uint64_t next = follows ? lines->last + 1 : stream_lane_next(lines->stream, lane);
    bool is_line = offset >= next && find_line(lines, &payload, &len);
    bool fits = is_line && follows && lines->bytes.len + 1 + len <= KAFKA_LINES_BYTES &&
                (lines->last < lines->cut) == (offset < lines->cut);
    if (!fits && !kafka_lines_flush(lines, arrival_ns)) {
        return KAFKA_LINES_NO_ROOM;
    }
    if (!is_line) {
        return KAFKA_LINES_NONE;
    }
    if (fits) {
        buf_addc(&lines->bytes, '\n');
    } else {
        lines->cut = stream_lines_cut(lines->stream, lane);
    }
    buf_add(&lines->bytes, payload, len);
    lines->lane = lane;
    lines->last = offset;
    lines->count++;
    return KAFKA_LINES_TAKEN;
}
