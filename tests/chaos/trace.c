/* trace: see trace.h. Positions are compared through the gateway's own token decoder: a token is
 * nothing that a client could read otherwise. */
#include "trace.h"

#include "../../gateway/token.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *const trace_fault_names[TRACE_FAULTS] = {
    "hole", "repeat", "gap", "token", "hello", "content", "form", "stale"};

struct text {
    const char *bytes;
    size_t len;
};

static void __attribute__((format(printf, 3, 4)))
fault(struct trace *trace, enum trace_fault kind, const char *format, ...)
{
    trace->faults[kind]++;
    if (trace->first_fault[0] == '\0') {
        va_list args;
        va_start(args, format);
        int head = snprintf(trace->first_fault, sizeof trace->first_fault,
            "%s, connection %" PRIu64 ", record %" PRIu64 ": ", trace_fault_names[kind],
            trace->connections, trace->records);
        vsnprintf(
            trace->first_fault + head, sizeof trace->first_fault - (size_t)head, format, args);
        va_end(args);
    }
}

uint64_t
trace_fault_count(const struct trace *trace)
{
    uint64_t sum = 0;
    for (int kind = 0; kind < TRACE_FAULTS; kind++) {
        sum += trace->faults[kind];
    }
    return sum;
}

/* ---- what is wanted ---- */

static bool
is_wanted(const struct trace *trace, unsigned lane, uint64_t offset)
{
    return (trace->wants[lane] >> (offset % TRACE_KEYS) & 1) != 0;
}

/* Wanted records of lane in [from, to). */
static uint64_t
wanted(const struct trace *trace, unsigned lane, uint64_t from, uint64_t to)
{
    if (to <= from) {
        return 0;
    }
    uint64_t rounds = (to - from) / TRACE_KEYS;
    uint64_t sum = rounds * (uint64_t)__builtin_popcount(trace->wants[lane] & TRACE_ALL);
    for (uint64_t offset = from + rounds * TRACE_KEYS; offset < to; offset++) {
        sum += is_wanted(trace, lane, offset);
    }
    return sum;
}

static bool
wants_all(const struct trace *trace)
{
    for (unsigned lane = 0; lane < trace->partitions; lane++) {
        if (trace->wants[lane] != TRACE_ALL) {
            return false;
        }
    }
    return true;
}

static uint64_t
end_of(const struct trace *trace, unsigned lane, uint64_t produced)
{
    return produced / trace->partitions + (lane < produced % trace->partitions);
}

/* ---- parsing: the shape is the gateway's own, and fixed ---- */

/* The string behind name, up to the quote; false: not there. No string here has an escape in it. */
static bool
find_string(struct text text, const char *name, struct text *value)
{
    const char *at = memmem(text.bytes, text.len, name, strlen(name));
    if (at == NULL) {
        return false;
    }
    at += strlen(name);
    const char *end = memchr(at, '"', text.len - (size_t)(at - text.bytes));
    *value = (struct text){at, end == NULL ? 0 : (size_t)(end - at)};
    return end != NULL;
}

static bool
find_number(struct text text, const char *name, uint64_t *value)
{
    const char *at = memmem(text.bytes, text.len, name, strlen(name));
    const char *end = text.bytes + text.len;
    if (at == NULL || (at += strlen(name)) == end || *at < '0' || *at > '9') {
        return false;
    }
    for (*value = 0; at < end && *at >= '0' && *at <= '9'; at++) {
        *value = *value * 10 + (uint64_t)(*at - '0');
    }
    return true;
}

static bool
has(struct text text, const char *part)
{
    return memmem(text.bytes, text.len, part, strlen(part)) != NULL;
}

static bool
starts_with(struct text text, const char *prefix)
{
    size_t len = strlen(prefix);
    return text.len >= len && memcmp(text.bytes, prefix, len) == 0;
}

/* The position of a token; a partition that is not in it is at 0. False: no token, or of no lane.
 */
static bool
read_token(struct text token, uint64_t at[TRACE_LANES])
{
    struct token read;
    struct err err;
    if (token_decode(token.bytes, token.len, NULL, &read, &err) != 0) {
        return false;
    }
    memset(at, 0, TRACE_LANES * sizeof *at);
    for (size_t i = 0; i < read.n_lanes; i++) {
        if (read.lanes[i].partition < TRACE_LANES) {
            at[read.lanes[i].partition] = read.lanes[i].next;
        }
    }
    free(read.lanes);
    return read.n_lanes > 0;
}

static void
keep_token(struct trace *trace, struct text token)
{
    if (token.len < sizeof trace->token) {
        memcpy(trace->token, token.bytes, token.len);
        trace->token[token.len] = '\0';
    }
}

/* ---- positions ---- */

static void
begin_at(struct trace *trace, const uint64_t at[TRACE_LANES])
{
    memcpy(trace->at, at, sizeof trace->at);
    if (!trace->begun) {
        memcpy(trace->began, at, sizeof trace->began);
    }
    trace->begun = true;
}

/* Move every lane to a token's place: nothing wanted may lie between, nothing may lie before. */
static void
move_to(struct trace *trace, const uint64_t to[TRACE_LANES], const char *what)
{
    for (unsigned lane = 0; lane < trace->partitions; lane++) {
        uint64_t between = wanted(trace, lane, trace->at[lane], to[lane]);
        if (wanted(trace, lane, to[lane], trace->at[lane]) > 0) {
            fault(trace, TRACE_TOKEN, "%s goes back in partition %u: %" PRIu64 " after %" PRIu64,
                what, lane, to[lane], trace->at[lane]);
        }
        if (between > 0 && trace->conflates) {
            trace->missed += between;
        } else if (between > 0) {
            fault(trace, TRACE_TOKEN, "%s passes over partition %u, %" PRIu64 " to %" PRIu64, what,
                lane, trace->at[lane], to[lane]);
        }
        if (to[lane] > trace->at[lane]) {
            trace->at[lane] = to[lane];
        }
    }
}

/* ---- messages ---- */

static void
check_content(struct trace *trace, struct text text, unsigned lane, uint64_t offset)
{
    uint64_t number;
    char key[40];
    snprintf(
        key, sizeof key, ",\"key\":\"p%uk%u\",\"data\":{", lane, (unsigned)(offset % TRACE_KEYS));
    if (!find_number(text, "\"n\":", &number) || number != offset * trace->partitions + lane ||
        !has(text, key)) {
        fault(trace, TRACE_CONTENT,
            "partition %u offset %" PRIu64 " is not what was produced: %.*s", lane, offset,
            text.len < 300 ? (int)text.len : 300, text.bytes);
    }
    if (!is_wanted(trace, lane, offset)) {
        fault(trace, TRACE_CONTENT, "partition %u offset %" PRIu64 " does not pass the filter",
            lane, offset);
    }
}

static void
take_place(struct trace *trace, unsigned lane, uint64_t offset)
{
    if (offset < trace->at[lane]) {
        fault(trace, TRACE_REPEAT, "partition %u offset %" PRIu64 " after %" PRIu64, lane, offset,
            trace->at[lane] - 1);
        return;
    }
    uint64_t between = wanted(trace, lane, trace->at[lane], offset);
    if (trace->conflates) {
        trace->missed += between;
    } else if (between > 0) {
        fault(trace, TRACE_HOLE,
            "partition %u: %" PRIu64 " comes after %" PRIu64 ", %" PRIu64 " wanted between", lane,
            offset, trace->at[lane] - 1, between);
    }
    trace->at[lane] = offset + 1;
    trace->newest[lane][offset % TRACE_KEYS] = offset + 1;
}

static void
take_record(struct trace *trace, struct text text)
{
    /* From the end: a payload could hold the same words. */
    struct text source = {
        text.bytes + (text.len > 100 ? text.len - 100 : 0), text.len > 100 ? 100 : text.len};
    struct text id;
    uint64_t partition, offset, to[TRACE_LANES];
    if (!find_number(source, ",\"partition\":", &partition) || partition >= trace->partitions ||
        !find_number(source, ",\"offset\":", &offset)) {
        fault(
            trace, TRACE_FORM, "no record: %.*s", text.len < 300 ? (int)text.len : 300, text.bytes);
        return;
    }
    unsigned lane = (unsigned)partition;
    trace->records++;
    if (!find_string(text, "{\"id\":\"", &id) || !read_token(id, to)) {
        fault(trace, TRACE_TOKEN, "partition %u offset %" PRIu64 " has no id", lane, offset);
        return;
    }
    if (!trace->begun) {
        begin_at(trace, to);
        trace->at[lane] = offset;
    }
    check_content(trace, text, lane, offset);
    take_place(trace, lane, offset);
    if (to[lane] != offset + 1) {
        fault(trace, TRACE_TOKEN, "partition %u offset %" PRIu64 " has the id of %" PRIu64, lane,
            offset, to[lane] - 1);
    }
    move_to(trace, to, "an id");
    keep_token(trace, id);
}

/* The wanted records between two positions, and all of them. */
static uint64_t
between(const struct trace *trace, const uint64_t from[TRACE_LANES], const uint64_t to[TRACE_LANES],
    uint64_t *all)
{
    uint64_t sum = 0;
    *all = 0;
    for (unsigned lane = 0; lane < trace->partitions; lane++) {
        sum += wanted(trace, lane, from[lane], to[lane]);
        *all += to[lane] > from[lane] ? to[lane] - from[lane] : 0;
    }
    return sum;
}

/* Conflate: dropped and merged ones are told by number; a `conflated` gap settles the account. */
static void
take_conflated_gap(struct trace *trace, struct text text, uint64_t count, const uint64_t *to)
{
    bool settles = has(text, "\"reason\":\"conflated\"");
    trace->told += count;
    trace->dropped |= !settles;
    trace->inexact |= has(text, "\"filtered\":true");
    move_to(trace, to, "a gap's end");
    if (trace->inexact) {
        trace->told = trace->missed;
    } else if (settles && trace->told != trace->missed) {
        fault(trace, TRACE_GAP, "%" PRIu64 " are missing, %" PRIu64 " told: %.*s", trace->missed,
            trace->told, (int)text.len, text.bytes);
        trace->told = trace->missed;
    }
}

static void
take_gap(struct trace *trace, struct text text)
{
    uint64_t count, all, from[TRACE_LANES], to[TRACE_LANES];
    struct text begin, end;
    if (!find_number(text, "\"count\":", &count) || !find_string(text, "\"from\":\"", &begin) ||
        !find_string(text, "\"to\":\"", &end) || !read_token(begin, from) || !read_token(end, to)) {
        fault(trace, TRACE_FORM, "no gap: %.*s", text.len < 300 ? (int)text.len : 300, text.bytes);
        return;
    }
    trace->gaps++;
    trace->told_records += count;
    if (trace->keeps_all) {
        fault(trace, TRACE_GAP, "one that is to lose nothing: %.*s", (int)text.len, text.bytes);
    }
    if (!trace->begun) {
        begin_at(trace, from);
    }
    keep_token(trace, end);
    if (trace->conflates) {
        take_conflated_gap(trace, text, count, to);
        return;
    }
    uint64_t missing = between(trace, trace->at, to, &all);
    uint64_t named = between(trace, from, to, &all);
    bool exact = !has(text, "\"filtered\":true");
    if (!exact && wants_all(trace)) {
        fault(trace, TRACE_GAP, "filtered, but nothing is: %.*s", (int)text.len, text.bytes);
    }
    if (named != missing) {
        fault(trace, TRACE_GAP, "%" PRIu64 " are missing, the range holds %" PRIu64 ": %.*s",
            missing, named, (int)text.len, text.bytes);
    }
    if (count != (exact ? missing : all)) {
        fault(trace, TRACE_GAP, "%" PRIu64 " are missing (of %" PRIu64 "), %" PRIu64 " told: %.*s",
            missing, all, count, (int)text.len, text.bytes);
    }
    for (unsigned lane = 0; lane < trace->partitions; lane++) {
        trace->at[lane] = to[lane] > trace->at[lane] ? to[lane] : trace->at[lane];
    }
    move_to(trace, to, "a gap's end");
}

static void
take_hello(struct trace *trace, struct text text)
{
    struct text token;
    uint64_t at[TRACE_LANES], all;
    trace->greeted = true;
    if (!find_string(text, "\"from\":\"", &token)) {
        fault(trace, TRACE_FORM, "no hello: %.*s", (int)text.len, text.bytes);
        return;
    }
    bool known = read_token(token, at);
    if (trace->token[0] == '\0') {
        if (known) {
            begin_at(trace, at);
        }
        keep_token(trace, token);
        return;
    }
    trace->resumes++;
    if (!has(text, "\"resumed\":true")) {
        fault(trace, TRACE_HELLO, "not resumed from %s: %.*s", trace->token, (int)text.len,
            text.bytes);
    }
    if (trace->begun && (!known || between(trace, trace->at, at, &all) > 0 ||
                            between(trace, at, trace->at, &all) > 0)) {
        fault(trace, TRACE_HELLO, "resumed elsewhere than %s: %.*s", trace->token, (int)text.len,
            text.bytes);
    }
}

static void
take_position(struct trace *trace, struct text text)
{
    struct text token;
    uint64_t to[TRACE_LANES];
    if (!find_string(text, "\"id\":\"", &token) || !read_token(token, to)) {
        fault(trace, TRACE_FORM, "no position: %.*s", (int)text.len, text.bytes);
    } else if (trace->begun) {
        move_to(trace, to, "a position");
        keep_token(trace, token);
    }
}

void
trace_connected(struct trace *trace)
{
    trace->connections++;
    trace->greeted = trace->inexact = false;
    trace->missed = trace->told = 0;
}

void
trace_message(struct trace *trace, const char *bytes, size_t len)
{
    struct text text = {bytes, len};
    if (starts_with(text, "{\"event\":\"hello\"")) {
        if (trace->greeted) {
            fault(trace, TRACE_FORM, "a second hello");
        }
        take_hello(trace, text);
        return;
    }
    if (!trace->greeted) {
        fault(trace, TRACE_FORM, "before the hello: %.*s", len < 300 ? (int)len : 300, bytes);
    }
    if (!starts_with(text, "{\"event\":\"")) {
        take_record(trace, text);
    } else if (starts_with(text, "{\"event\":\"gap\"")) {
        take_gap(trace, text);
    } else if (starts_with(text, "{\"event\":\"position\"")) {
        take_position(trace, text);
    } else if (!starts_with(text, "{\"event\":\"closing\"")) {
        fault(trace, TRACE_FORM, "unexpected: %.*s", len < 300 ? (int)len : 300, bytes);
    }
}

uint64_t
trace_left(const struct trace *trace, uint64_t produced)
{
    uint64_t sum = trace->conflates ? trace->missed - trace->told : 0;
    if (!trace->begun) {
        return produced + 1;
    }
    for (unsigned lane = 0; lane < trace->partitions; lane++) {
        sum += wanted(trace, lane, trace->at[lane], end_of(trace, lane, produced));
    }
    return sum;
}

/* Of every wanted key the last value must have come, were nothing dropped. */
static void
check_newest(struct trace *trace, uint64_t produced)
{
    for (unsigned lane = 0; lane < trace->partitions; lane++) {
        uint64_t end = end_of(trace, lane, produced);
        uint64_t first = end > TRACE_KEYS ? end - TRACE_KEYS : 0;
        for (uint64_t offset = first; offset < end; offset++) {
            if (offset >= trace->began[lane] && is_wanted(trace, lane, offset) &&
                trace->newest[lane][offset % TRACE_KEYS] != offset + 1) {
                fault(trace, TRACE_STALE, "the last value of key p%uk%u, offset %" PRIu64, lane,
                    (unsigned)(offset % TRACE_KEYS), offset);
            }
        }
    }
}

void
trace_finish(struct trace *trace, uint64_t produced)
{
    uint64_t left = trace_left(trace, produced);
    if (left > 0) {
        fault(trace, TRACE_HOLE, "%" PRIu64 " records are missing at the end", left);
    } else if (trace->conflates && !trace->dropped) {
        check_newest(trace, produced);
    }
}
