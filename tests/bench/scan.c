/* scan: the three wire formats. A scanner of a format takes a run of bytes and returns how many at
 * its end it needs to see again with more behind them. */
#include "scan.h"

#include "../../gateway/mem.h"

#include <stdlib.h>
#include <string.h>

static const char control_head[8] = "{\"event\"";

enum { CHUNK_SIZE, CHUNK_EXTENSION, CHUNK_DATA, CHUNK_DATA_END, CHUNK_LAST };

void
scan_init(struct scan *scan, enum scan_kind kind, bool chunked)
{
    *scan = (struct scan){.kind = kind, .chunked = chunked};
    scan->chunk_left = chunked ? 0 : UINT64_MAX;
    scan->chunk_state = chunked ? CHUNK_SIZE : CHUNK_DATA;
}

void
scan_fini(struct scan *scan)
{
    free(scan->carry);
    scan->carry = NULL;
    scan->carry_len = 0;
}

/* The number after name in text; -1 when there is none. */
static int64_t
number_after(const char *text, size_t len, const char *name)
{
    size_t name_len = strlen(name);
    const char *at = memmem(text, len, name, name_len);
    if (at == NULL) {
        return -1;
    }
    at += name_len;
    int64_t value = -1;
    while (at < text + len && *at >= '0' && *at <= '9') {
        value = (value < 0 ? 0 : value * 10) + (*at++ - '0');
    }
    return value;
}

static bool
is_control(const char *text, size_t len)
{
    return len >= sizeof control_head && memcmp(text, control_head, sizeof control_head) == 0;
}

static void
count_control(const char *text, size_t len, struct scan_tally *tally)
{
    static const char gap[] = "{\"event\":\"gap\"";
    tally->control++;
    if (len >= sizeof gap - 1 && memcmp(text, gap, sizeof gap - 1) == 0) {
        int64_t count = number_after(text, len, "\"count\":");
        tally->gaps++;
        tally->gap_records += count > 0 ? (uint64_t)count : 0;
    }
}

static inline bool
sample_is_due(const struct scan_tally *tally)
{
    return tally->until_sample <= 1 && tally->latency != NULL && tally->sample_every != 0;
}

/* A whole message, or its first bytes when no sample is due. */
static inline void
count_message(
    struct scan *scan, const char *text, size_t text_len, uint64_t len, struct scan_tally *tally)
{
    scan->messages++;
    tally->messages++;
    tally->message_bytes += len;
    if (!sample_is_due(tally)) {
        tally->until_sample -= tally->until_sample != 0;
        return;
    }
    tally->until_sample = tally->sample_every;
    int64_t sent_ns = number_after(text, text_len, "\"sent_ns\":");
    tally->last_sent_ns = sent_ns;
    if (sent_ns >= 0 && tally->now_ns >= sent_ns) {
        hist_add(tally->latency, (uint64_t)(tally->now_ns - sent_ns));
    }
}

static void
count_ws_control(
    struct scan *scan, int opcode, const char *text, size_t len, struct scan_tally *tally)
{
    if (opcode == 9) {
        tally->pings++;
        scan->ping = text;
        scan->ping_len = len;
    } else if (opcode == 8) {
        tally->closes++;
        scan->closed = true;
    }
}

/* RFC 6455 section 5.2: the head length and *payload_len of the frame at p; 0 when more bytes are
 * needed. */
static inline size_t
ws_head(const unsigned char *p, size_t len, uint64_t *payload_len)
{
    if (len < 2) {
        return 0;
    }
    unsigned short_len = p[1] & 0x7f;
    if (short_len < 126) {
        *payload_len = short_len;
        return 2;
    }
    size_t extra = short_len == 126 ? 2 : 8;
    if (len < 2 + extra) {
        return 0;
    }
    *payload_len = 0;
    for (size_t i = 0; i < extra; i++) {
        *payload_len = *payload_len << 8 | p[2 + i];
    }
    return 2 + extra;
}

static size_t
scan_ws(struct scan *scan, const char *bytes, size_t len, struct scan_tally *tally)
{
    size_t at = 0;
    if (scan->skip != 0) {
        at = scan->skip < len ? (size_t)scan->skip : len;
        scan->skip -= at;
    }
    while (at < len) {
        uint64_t want;
        size_t head = ws_head((const unsigned char *)bytes + at, len - at, &want);
        size_t have = len - at - head;
        const char *text = bytes + at + head;
        if (head == 0 || (have < sizeof control_head && have < want)) {
            break;
        }
        int opcode = bytes[at] & 0x0f;
        bool control = opcode == 1 && want >= sizeof control_head && is_control(text, have);
        bool whole = have >= want;
        if (!whole && (control || opcode >= 8 || sample_is_due(tally)) &&
            want + 16 <= SCAN_CARRY_MAX) {
            break;
        }
        size_t there = whole ? (size_t)want : have;
        if (opcode >= 8) {
            count_ws_control(scan, opcode, text, there, tally);
        } else if (control) {
            count_control(text, there, tally);
        } else if ((bytes[at] & 0x80) != 0) {
            count_message(scan, text, there, want, tally);
        }
        scan->skip = want - there;
        at += head + there;
    }
    return len - at;
}

static void
sse_line(struct scan *scan, const char *line, size_t len, struct scan_tally *tally)
{
    if (len == 0) {
        scan->event_has_data = false;
        scan->event_is_control = false;
    } else if (len >= 6 && memcmp(line, "event:", 6) == 0) {
        scan->event_is_control = true;
    } else if (len >= 5 && memcmp(line, "data:", 5) == 0 && !scan->event_has_data) {
        size_t skip = len > 5 && line[5] == ' ' ? 6 : 5;
        scan->event_has_data = true;
        if (scan->event_is_control) {
            count_control(line + skip, len - skip, tally);
        } else {
            count_message(scan, line + skip, len - skip, len - skip, tally);
        }
    } else if (line[0] == ':') {
        tally->pings++;
    }
}

static void
ndjson_line(struct scan *scan, const char *line, size_t len, struct scan_tally *tally)
{
    if (len == 0) {
        tally->pings++;
    } else if (is_control(line, len)) {
        count_control(line, len, tally);
    } else {
        count_message(scan, line, len, len, tally);
    }
}

static size_t
scan_lines(struct scan *scan, const char *bytes, size_t len, struct scan_tally *tally)
{
    size_t at = 0;
    while (at < len) {
        const char *end = memchr(bytes + at, '\n', len - at);
        if (end == NULL) {
            break;
        }
        size_t line_len = (size_t)(end - (bytes + at));
        if (scan->long_line) {
            scan->long_line = false;
            scan->messages++;
            tally->messages++;
        } else if (scan->kind == SCAN_SSE) {
            sse_line(scan, bytes + at, line_len, tally);
        } else {
            ndjson_line(scan, bytes + at, line_len, tally);
        }
        at += line_len + 1;
    }
    if (len - at >= SCAN_CARRY_MAX) {
        scan->long_line = true;
        return 0;
    }
    return len - at;
}

/* One byte of the framing around chunks (RFC 9112 section 7.1). */
static void
chunk_byte(struct scan *scan, char c)
{
    int digit = c >= '0' && c <= '9'                 ? c - '0'
                : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10
                                                     : -1;
    if (scan->chunk_state == CHUNK_DATA_END) {
        scan->chunk_state = c == '\n' ? CHUNK_SIZE : CHUNK_DATA_END;
    } else if (scan->chunk_state == CHUNK_SIZE && digit >= 0) {
        scan->chunk_left = scan->chunk_left << 4 | (uint64_t)digit;
    } else if (c == '\n' && scan->chunk_state != CHUNK_LAST) {
        scan->closed = scan->chunk_left == 0;
        scan->chunk_state = scan->closed ? CHUNK_LAST : CHUNK_DATA;
    } else if (scan->chunk_state == CHUNK_SIZE) {
        scan->chunk_state = CHUNK_EXTENSION;
    }
}

/* Lines inside of a body. The cut line before a chunk's framing is moved up behind it, so that the
 * scanner of lines sees one run of bytes; *tail is then where it lies. Returns its length. */
static size_t
scan_body(struct scan *scan, char *bytes, size_t len, const char **tail, size_t tail_len,
    struct scan_tally *tally)
{
    size_t at = 0;
    while (at < len) {
        if (scan->chunk_state != CHUNK_DATA) {
            chunk_byte(scan, bytes[at++]);
            continue;
        }
        size_t run = scan->chunk_left < len - at ? (size_t)scan->chunk_left : len - at;
        char *from = bytes + at - tail_len;
        if (tail_len != 0) {
            memmove(from, *tail, tail_len);
        }
        tail_len = scan_lines(scan, from, run + tail_len, tally);
        at += run;
        *tail = bytes + at - tail_len;
        if (scan->chunked) {
            scan->chunk_left -= run;
            scan->chunk_state = scan->chunk_left == 0 ? CHUNK_DATA_END : CHUNK_DATA;
        }
    }
    return tail_len;
}

void
scan_feed(struct scan *scan, char *bytes, size_t len, struct scan_tally *tally)
{
    const char *tail = scan->carry;
    size_t tail_len = scan->carry_len;
    scan->ping = NULL;
    if (scan->kind != SCAN_WS) {
        tail_len = scan_body(scan, bytes, len, &tail, tail_len, tally);
    } else {
        char *from = bytes - tail_len;
        if (tail_len != 0) {
            memcpy(from, tail, tail_len);
        }
        size_t all = len + tail_len;
        tail_len = scan_ws(scan, from, all, tally);
        tail = from + all - tail_len;
    }
    if (tail_len == 0) {
        scan_fini(scan);
    } else if (tail != scan->carry) {
        scan->carry = mem_realloc(scan->carry, tail_len);
        memcpy(scan->carry, tail, tail_len);
        scan->carry_len = tail_len;
    }
}
