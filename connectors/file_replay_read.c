/* file_replay_read: one file of a replay: its bytes, what the parser makes of them, and into the
 * stream as it has room and the pace lets records through. */
#include "file_replay_internal.h"

#include "../gateway/clock.h"
#include "../gateway/stream_source.h"
#include "file_bulk.h"
#include "wake_fd.h"

#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#define TICK_NS INT64_C(200000000)
/* A batch is shown after so many records, and whenever the thread rests. */
#define BATCH 256
/* See take_lines. */
#define SHYEST 63

/* ---- resting ---- */

bool
file_replay_is_over(const struct file_replay *replay)
{
    return atomic_load(&replay->stopping);
}

void
file_replay_show(struct file_replay *replay)
{
    if (replay->staged > 0) {
        stream_commit(replay->stream);
    }
    replay->staged = 0;
    replay->room = 0;
}

static void
rest(struct file_replay *replay, int64_t ns)
{
    struct pollfd fd = {.fd = replay->wake_fd, .events = POLLIN};
    file_replay_show(replay);
    ns = ns < TICK_NS ? ns : TICK_NS;
    struct timespec timeout = {ns / 1000000000, ns % 1000000000};
    if (ppoll(&fd, 1, &timeout, NULL) > 0) {
        (void)wake_fd_drain(replay->wake_fd);
    }
    stream_source_alive(replay->stream);
}

/* Until there is room. False: it is over. */
static bool
have_room(struct file_replay *replay)
{
    int64_t begun = 0;
    while (replay->room == 0 && !file_replay_is_over(replay)) {
        file_replay_show(replay);
        replay->room = stream_room(replay->stream);
        if (replay->room == 0) {
            begun = begun == 0 ? clock_mono_ns() : begun;
            rest(replay, TICK_NS);
        }
    }
    if (begun != 0) {
        file_pace_held(&replay->pace, clock_mono_ns() - begun);
    }
    return !file_replay_is_over(replay);
}

/* Until a record of this time is due. False: it is over. */
static bool
wait_due(struct file_replay *replay, int64_t time_ms)
{
    bool paced = replay->pace.per_second > 0 || replay->pace.speed > 0;
    while (paced) {
        int64_t now = clock_mono_ns();
        int64_t due = file_pace_due(&replay->pace, time_ms, now);
        if (due <= now) {
            file_pace_sent(&replay->pace, now);
            return true;
        }
        if (file_replay_is_over(replay)) {
            return false;
        }
        rest(replay, due - now);
    }
    return true;
}

/* ---- one file ---- */

bool
file_replay_fail(struct file_replay *replay, const char *what, uint64_t at)
{
    snprintf(replay->failure, sizeof replay->failure, "%.160s: %s at byte %" PRIu64, replay->path,
        what, at);
    return false;
}

/* False: it is over. */
static bool
pass_on(struct file_replay *replay, const struct file_lines *from)
{
    const struct record_lines lines = {
        replay->lane, from->end - 1, from->count, from->begin, from->len};
    for (int result = -1; result < 0;) {
        if (!have_room(replay)) {
            return false;
        }
        result = stream_stage_lines(replay->stream, &lines, replay->arrival_ns);
        replay->room = result < 0 ? 0 : replay->room - 1;
    }
    replay->staged++;
    return true;
}

/* Pass on the lines that were gathered. False: it is over. */
static bool
flush_bulk(struct file_replay *replay)
{
    bool good = replay->bulk.count == 0 || pass_on(replay, &replay->bulk);
    replay->bulk.count = 0;
    return good;
}

static bool
is_in_chunk(const struct file_replay *replay, const struct file_item *item)
{
    uintptr_t at = (uintptr_t)item->data, begin = (uintptr_t)replay->buffer;
    return at >= begin && at - begin < FILE_READ_BYTES;
}

/* An item that can pass on with its neighbours. What the parser lends ends with its next item.
 * False: it is over. */
static bool
gather(struct file_replay *replay, const struct file_item *item)
{
    if (!file_bulk_add(&replay->bulk, item)) {
        if (!flush_bulk(replay)) {
            return false;
        }
        (void)file_bulk_add(&replay->bulk, item);
    }
    return is_in_chunk(replay, item) || flush_bulk(replay);
}

/* False: the replay ends here. */
static bool
take_item(struct file_replay *replay, const struct file_item *item)
{
    if (replay->bulks && item->is_json_line &&
        item->len <= stream_max_record_bytes(replay->stream)) {
        return gather(replay, item);
    }
    if (!flush_bulk(replay)) {
        return false;
    }
    bool bad = item->data == NULL;
    if (bad && replay->settings->on_error == FILE_FAIL) {
        return file_replay_fail(replay, item->why, item->end);
    }
    int64_t time_ms = replay->by_time ? file_stage_time(replay->stager, item) : -1;
    if (time_ms >= 0 && time_ms < replay->begin_ms) {
        return true;
    }
    if (!wait_due(replay, time_ms)) {
        return false;
    }
    for (int result = -1; result < 0;) {
        if (!have_room(replay)) {
            return false;
        }
        result = file_stage(replay->stager, replay->lane, item, replay->mtime_ms, -1);
        replay->room = result < 0 ? 0 : replay->room - 1;
    }
    replay->staged++;
    if (bad) {
        stream_source_error(replay->stream, item->why);
    }
    if (replay->staged >= BATCH) {
        file_replay_show(replay);
    }
    return !item->fatal || file_replay_fail(replay, item->why, item->end);
}

static void
tell_progress(struct file_replay *replay)
{
    uint64_t done = replay->done + file_unpack_consumed(replay->unpack);
    replay->total = replay->total > done ? replay->total : done; /* it grows meanwhile */
    stream_source_progress(replay->stream, done, replay->total);
}

/* Lines that fill most of the block become a record in its place. What is behind them goes on in a
 * new block. False: it is over. */
static bool
hand_over(struct file_replay *replay, const struct file_lines *from)
{
    const struct record_lines lines = {
        replay->lane, from->end - 1, from->count, from->begin, from->len};
    struct record *block = record_block_new(FILE_READ_BYTES), *filled = replay->block;
    size_t rest = (size_t)(replay->end - replay->at);
    replay->block = block;
    replay->buffer = record_block_bytes(block);
    replay->at = memcpy(replay->buffer, replay->at, rest);
    replay->end = replay->at + rest;
    while (filled != NULL) {
        if (!have_room(replay)) {
            record_block_free(filled);
            return false;
        }
        int result = stream_stage_block(replay->stream, &filled, &lines, replay->arrival_ns);
        replay->room = result < 0 ? 0 : replay->room - 1;
    }
    replay->staged++;
    return true;
}

/* Lines that need no look of their own, where each becomes a record. False: it is over. */
static bool
take_each(struct file_replay *replay, const struct file_lines *lines)
{
    const char *at = lines->begin, *end = lines->begin + lines->len;
    uint64_t offset = lines->end - (lines->len + 1);
    for (uint64_t i = 0; i < lines->count; i++) {
        const char *feed = memchr(at, '\n', (size_t)(end - at));
        size_t len = (size_t)((feed == NULL ? end : feed) - at);
        offset += len + 1;
        const struct file_item item = {.data = at, .len = len, .end = offset, .is_json_line = true};
        if (!take_item(replay, &item)) {
            return false;
        }
        at += len + 1;
    }
    return true;
}

/* Look at the lines up to end together, and pass them on, where that may be, as one. Where the
 * first is none of those, some are taken one by one before the next try, and twice as many after
 * each failure: a file whose lines all end with CR LF is not read twice. False: it is over. */
static bool
take_lines(struct file_replay *replay, const char *end)
{
    struct file_lines lines;
    if (!file_parser_lines(replay->parser, &replay->at, end, &lines)) {
        replay->shyness = replay->shyness < SHYEST ? 2 * replay->shyness + 1 : SHYEST;
        replay->shy = replay->shyness;
        return true;
    }
    replay->shyness = 0;
    if (!replay->bulks) {
        return take_each(replay, &lines);
    }
    bool fills = lines.begin == replay->buffer && lines.len > FILE_READ_BYTES / 2;
    return flush_bulk(replay) && (fills ? hand_over(replay, &lines) : pass_on(replay, &lines));
}

/* The begin of a line stays in the buffer, so that the next read puts its rest behind it. */
static void
carry_over(struct file_replay *replay)
{
    replay->carry = (size_t)(replay->end - replay->at);
    memmove(replay->buffer, replay->at, replay->carry);
}

/* What is there begins with lines, if it is NDJSON. *carried: all of it is taken, but for
 * what waits for the next read. False: it is over. */
static bool
take_together(struct file_replay *replay, bool *carried)
{
    *carried = false;
    if (replay->settings->format != (int)FILE_NDJSON || !file_parser_is_between(replay->parser)) {
        return true;
    }
    if (replay->shy > 0) {
        replay->shy--;
    } else {
        const char *last = memrchr(replay->at, '\n', (size_t)(replay->end - replay->at));
        if (last != NULL && !take_lines(replay, last + 1)) {
            return false;
        }
    }
    size_t left = (size_t)(replay->end - replay->at);
    if (memchr(replay->at, '\n', left) == NULL && left < FILE_READ_BYTES / 2) {
        if (!flush_bulk(replay)) {
            return false;
        }
        carry_over(replay);
        *carried = true;
    }
    return true;
}

/* n bytes in the buffer that end at end. A header that is read on a resume is followed by a jump to
 * where the replay goes on. */
static bool
take_chunk(struct file_replay *replay, size_t n, uint64_t begin, uint64_t end)
{
    struct file_item item;
    bool carried, header = file_parser_wants_header(replay->parser);
    replay->at = replay->buffer;
    replay->end = replay->buffer + n;
    replay->carry = 0;
    for (;;) {
        if (!take_together(replay, &carried)) {
            return false;
        }
        if (carried) {
            return true;
        }
        if (!file_parser_next(replay->parser, &replay->at, replay->end, &item)) {
            return flush_bulk(replay);
        }
        if (header && begin > end) {
            file_parser_seek(replay->parser, begin);
            return true;
        }
        header = false;
        if (begin < item.end && !take_item(replay, &item)) {
            return false;
        }
    }
}

/* The bytes of a chunk that begins before what the parser wants. */
static size_t
cut_off(struct file_replay *replay, uint64_t from, size_t n)
{
    uint64_t wanted = file_parser_offset(replay->parser);
    size_t early = wanted <= from ? 0 : wanted - from >= n ? n : (size_t)(wanted - from);
    memmove(replay->buffer, replay->buffer + early, n - early);
    return n - early;
}

/* The file ends here; a last line may have no end. */
static bool
take_end(struct file_replay *replay, uint64_t begin)
{
    struct file_item item;
    const char *at = replay->buffer;
    (void)file_parser_next(replay->parser, &at, at + replay->carry, &item);
    replay->carry = 0;
    return !file_parser_finish(replay->parser, &item) || (item.end <= begin && !item.fatal) ||
           (take_item(replay, &item) && flush_bulk(replay));
}

bool
file_replay_read(struct file_replay *replay, uint64_t begin)
{
    const char *why = "";
    uint64_t at = 0; /* the place in what is unpacked */
    while (!file_replay_is_over(replay)) {
        uint64_t wanted = file_parser_offset(replay->parser);
        if (wanted > at) {
            int there = file_unpack_skip(replay->unpack, wanted, &why);
            if (there < 0) {
                return file_replay_fail(replay, why, file_unpack_consumed(replay->unpack));
            }
            stream_source_alive(replay->stream);
            at = file_unpack_offset(replay->unpack);
            if (there == 1 && at < wanted) {
                return file_replay_fail(replay, "the token is past its end", at);
            }
            continue;
        }
        size_t carry = replay->carry;
        ssize_t n =
            file_unpack_read(replay->unpack, replay->buffer + carry, FILE_READ_BYTES - carry, &why);
        if (n < 0) {
            return file_replay_fail(replay, why, file_unpack_consumed(replay->unpack));
        }
        if (n == 0) {
            return take_end(replay, begin);
        }
        replay->arrival_ns = clock_mono_ns();
        file_stager_arrived(replay->stager, replay->arrival_ns);
        size_t left = carry > 0 ? carry + (size_t)n : cut_off(replay, at, (size_t)n);
        at += (uint64_t)n;
        if (!take_chunk(replay, left, begin, at)) {
            return false;
        }
        file_replay_show(replay);
        tell_progress(replay);
    }
    return false;
}
