/* tail_sink: from the bytes of an NDJSON stream to stdout and stderr. No thread of its own. */
#include "tail_sink.h"

#include "clock.h"
#include "tail_message.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The gateway's largest payload is 16 MiB; as a JSON string each byte can become six. */
#define LINE_MAX_BYTES (128u << 20)

void
tail_sink_init(struct tail_sink *sink, int out, const volatile sig_atomic_t *stop)
{
    *sink = (struct tail_sink){.out = out, .stop = stop};
    tail_stats_init(&sink->stats, clock_mono_ns());
    tail_lines_init(&sink->lines, LINE_MAX_BYTES);
    buf_init(&sink->token);
    buf_init(&sink->payloads);
}

void
tail_sink_fini(struct tail_sink *sink)
{
    tail_lines_fini(&sink->lines);
    buf_fini(&sink->token);
    buf_fini(&sink->payloads);
}

void
tail_sink_begin(struct tail_sink *sink)
{
    tail_lines_reset(&sink->lines);
    sink->payloads.len = 0;
    sink->record_seen = false;
}

void
tail_sink_say(const char *text)
{
    fprintf(stderr, "headgate tail: %s\n", text);
}

static void
remember(struct tail_sink *sink, const char *token, size_t len)
{
    sink->token.len = 0;
    buf_add(&sink->token, token, len);
    buf_addc(&sink->token, '\0');
}

static enum tail_outcome
write_all(const struct tail_sink *sink, const char *bytes, size_t len)
{
    while (len != 0) {
        if (*sink->stop) {
            return TAIL_DONE;
        }
        ssize_t n = write(sink->out, bytes, len);
        if (n >= 0) {
            bytes += n;
            len -= (size_t)n;
        } else if (errno == EAGAIN) {
            struct pollfd writable = {sink->out, POLLOUT, 0};
            poll(&writable, 1, 1000);
        } else if (errno == EPIPE) {
            return TAIL_DONE;
        } else if (errno != EINTR) {
            fprintf(stderr, "headgate tail: cannot write: %s\n", strerror(errno));
            return TAIL_FATAL;
        }
    }
    return TAIL_GO_ON;
}

/* What is appended to may be open for writing only, so it is opened once more. */
static bool
ends_in_torn_line(int out)
{
    struct stat status;
    if (fstat(out, &status) != 0 || !S_ISREG(status.st_mode) || status.st_size == 0 ||
        ((fcntl(out, F_GETFL) & O_APPEND) == 0 && lseek(out, 0, SEEK_CUR) != status.st_size)) {
        return false;
    }
    char path[32];
    char last = '\n';
    snprintf(path, sizeof path, "/proc/self/fd/%d", out);
    int in = open(path, O_RDONLY | O_CLOEXEC);
    if (in >= 0) {
        if (pread(in, &last, 1, status.st_size - 1) != 1) {
            last = '\n';
        }
        close(in);
    }
    return last != '\n';
}

enum tail_outcome
tail_sink_end_torn_line(struct tail_sink *sink)
{
    return ends_in_torn_line(sink->out) ? write_all(sink, "\n", 1) : TAIL_GO_ON;
}

/* Record lines that lie side by side. */
struct run {
    const char *at;
    size_t len;
    uint64_t records;
    const char *id; /* the last token in it; NULL: none */
    size_t id_len;
};

static enum tail_outcome
write_run(struct tail_sink *sink, struct run *run)
{
    if (run->len == 0) {
        return TAIL_GO_ON;
    }
    enum tail_outcome outcome = sink->payload_only
                                    ? write_all(sink, sink->payloads.bytes, sink->payloads.len)
                                    : write_all(sink, run->at, run->len);
    sink->payloads.len = 0;
    if (outcome != TAIL_GO_ON) {
        return outcome;
    }
    sink->stats.records += run->records;
    sink->stats.bytes += run->len;
    sink->record_seen = true;
    if (run->id != NULL) {
        remember(sink, run->id, run->id_len);
    }
    *run = (struct run){NULL, 0, 0, NULL, 0};
    return TAIL_GO_ON;
}

static void
add_payload(struct tail_sink *sink, const char *line, size_t len)
{
    const char *data = line;
    size_t data_len = len - 1;
    tail_message_payload(line, len, &data, &data_len);
    buf_add(&sink->payloads, data, data_len);
    buf_addc(&sink->payloads, '\n');
}

static enum tail_outcome
take_record(
    struct tail_sink *sink, struct run *run, enum tail_kind kind, const char *line, size_t len)
{
    if (run->len != 0 && run->at + run->len != line) {
        enum tail_outcome outcome = write_run(sink, run);
        if (outcome != TAIL_GO_ON) {
            return outcome;
        }
    }
    run->at = run->len == 0 ? line : run->at;
    run->len += len;
    run->records++;
    const char *id;
    size_t id_len;
    if (kind == TAIL_RECORD && tail_message_id(line, len, &id, &id_len)) {
        run->id = id;
        run->id_len = id_len;
    }
    if (sink->payload_only) {
        add_payload(sink, line, len);
    }
    return TAIL_GO_ON;
}

static enum tail_outcome
outcome_of(const struct tail_sink *sink, enum tail_event event)
{
    switch (event) {
    case TAIL_EVENT_END:
        return TAIL_DONE;
    case TAIL_EVENT_FAILED: /* an answer of a model is not made again */
        return sink->is_answer ? TAIL_FATAL : TAIL_RETRY;
    case TAIL_EVENT_CANCELLED:
        return TAIL_FATAL;
    case TAIL_EVENT_HELLO:
    case TAIL_EVENT_GAP:
    case TAIL_EVENT_CLOSING: /* what was sent before the close still comes */
    case TAIL_EVENT_OTHER:
        break;
    }
    return TAIL_GO_ON;
}

static enum tail_outcome
take_control(struct tail_sink *sink, const char *line, size_t len)
{
    struct tail_control control;
    struct err err = {.code = ERR_NONE};
    if (tail_message_control(&control, line, len, &err) != 0) {
        tail_sink_say(err.text);
        return TAIL_GO_ON;
    }
    if (control.token != NULL) {
        remember(sink, control.token, strlen(control.token));
    }
    sink->is_answer |= control.is_answer;
    if (control.event == TAIL_EVENT_GAP) {
        sink->stats.gaps++;
        sink->stats.missed += control.count;
    }
    tail_sink_say(control.text);
    enum tail_outcome outcome = outcome_of(sink, control.event);
    tail_control_fini(&control);
    return outcome;
}

static enum tail_outcome
take_line(struct tail_sink *sink, struct run *run, const char *line, size_t len)
{
    enum tail_kind kind = tail_message_kind(line, len);
    enum tail_outcome outcome = TAIL_GO_ON;
    switch (kind) {
    case TAIL_RECORD:
    case TAIL_OTHER:
        return take_record(sink, run, kind, line, len);
    case TAIL_CONTROL:
        outcome = write_run(sink, run);
        return outcome == TAIL_GO_ON ? take_control(sink, line, len) : outcome;
    case TAIL_HEARTBEAT:
        break;
    }
    return outcome;
}

enum tail_outcome
tail_sink_take(struct tail_sink *sink, const char *bytes, size_t len)
{
    struct run run = {NULL, 0, 0, NULL, 0};
    const char *line;
    size_t line_len;
    tail_lines_feed(&sink->lines, bytes, len);
    while (tail_lines_next(&sink->lines, &line, &line_len)) {
        enum tail_outcome outcome = take_line(sink, &run, line, line_len);
        if (outcome != TAIL_GO_ON) {
            return outcome;
        }
    }
    if (tail_lines_too_long(&sink->lines)) {
        tail_sink_say("a line is longer than any record may be; is this an NDJSON stream?");
        return TAIL_FATAL;
    }
    return write_run(sink, &run);
}
