/* log: one event, one line, on stderr. Any thread.
 *
 * A line is at most PIPE_BUF bytes: a pipe takes it whole or not at all, so lines of several
 * processes on one pipe do not mix. Does not handle SIGPIPE: main ignores it. */
#include "log.h"

#include "clock.h"
#include "json.h"
#include "log_limit.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LINE_MAX_BYTES PIPE_BUF
#define MESSAGE_MAX 2048
/* What must stay free behind a text for what ends the line. */
#define LINE_TAIL 16

struct line {
    size_t len;
    char bytes[LINE_MAX_BYTES];
};

/* The one log of the process: messages come from where no handle reaches. least and json are set
 * before threads exist; limit and rest are under lock. */
static struct {
    enum log_level least;
    bool json;
    pthread_mutex_t lock;
    struct log_limit limit;
    struct line rest; /* what a socket did not take of the last line */
    atomic_uint_fast64_t dropped;
} sink = {.least = LOG_INFO, .json = true, .lock = PTHREAD_MUTEX_INITIALIZER};

static const char *const level_names[] = {"debug", "info", "warn", "error"};
static const char *const level_labels[] = {"DEBUG", "INFO ", "WARN ", "ERROR"};

void
log_init(enum log_level least, enum log_format format)
{
    struct stat status;
    sink.least = least;
    sink.json = format == LOG_FORMAT_JSON || (format == LOG_FORMAT_AUTO && !isatty(STDERR_FILENO));
    /* A terminal is left alone: the flag belongs to the open file, which the shell shares. */
    if (fstat(STDERR_FILENO, &status) == 0 &&
        (S_ISFIFO(status.st_mode) || S_ISSOCK(status.st_mode))) {
        int flags = fcntl(STDERR_FILENO, F_GETFL);
        if (flags >= 0) {
            fcntl(STDERR_FILENO, F_SETFL, flags | O_NONBLOCK);
        }
    }
}

static void
put(struct line *line, const char *text, size_t len)
{
    size_t room = sizeof line->bytes - line->len;
    len = len < room ? len : room;
    memcpy(line->bytes + line->len, text, len);
    line->len += len;
}

static void
puts_line(struct line *line, const char *text)
{
    put(line, text, strlen(text));
}

/* C0, DEL, and C1 in UTF-8: terminals act on all of them. */
static bool
is_control(const char *at, size_t step)
{
    uint8_t c = (uint8_t)at[0];
    return (step == 1 && (c < 0x20 || c == 0x7F)) ||
           (step == 2 && c == 0xC2 && (uint8_t)at[1] < 0xA0);
}

static void
put_control(struct line *line, uint8_t c)
{
    char escape[8];
    const char *text = c == '\n' ? "\\n" : c == '\r' ? "\\r" : c == '\t' ? "\\t" : escape;
    snprintf(escape, sizeof escape, "\\u%04x", c);
    puts_line(line, text);
}

/* Untrusted text: control characters escaped, bad UTF-8 replaced, cut where the line is full. */
static void
put_clean(struct line *line, const char *text)
{
    size_t left = strlen(text);
    while (left != 0) {
        if (sizeof line->bytes - line->len < LINE_TAIL + sizeof "\\u0000") {
            puts_line(line, "...");
            return;
        }
        size_t step = json_utf8_length(text, left);
        if (step == 0) {
            puts_line(line, JSON_REPLACEMENT);
            step = 1;
        } else if (is_control(text, step)) {
            put_control(line, (uint8_t)text[step - 1]);
        } else {
            if (sink.json && (*text == '"' || *text == '\\')) {
                put(line, "\\", 1);
            }
            put(line, text, step);
        }
        text += step;
        left -= step;
    }
}

static void
put_json(struct line *line, enum log_level level, const char *component, const char *stream,
    const char *message)
{
    puts_line(line, "\",\"level\":\"");
    puts_line(line, level_names[level]);
    puts_line(line, "\",\"component\":\"");
    put_clean(line, component);
    if (stream != NULL) {
        puts_line(line, "\",\"stream\":\"");
        put_clean(line, stream);
    }
    puts_line(line, "\",\"msg\":\"");
    put_clean(line, message);
    puts_line(line, "\"}\n");
}

static void
put_text(struct line *line, enum log_level level, const char *component, const char *stream,
    const char *message)
{
    puts_line(line, " ");
    puts_line(line, level_labels[level]);
    puts_line(line, " ");
    put_clean(line, component);
    if (stream != NULL) {
        puts_line(line, " ");
        put_clean(line, stream);
    }
    puts_line(line, ": ");
    put_clean(line, message);
    puts_line(line, "\n");
}

/* How many bytes of at[0..len) stderr took. */
static size_t
write_some(const char *at, size_t len)
{
    ssize_t written;
    do {
        written = write(STDERR_FILENO, at, len);
    } while (written < 0 && errno == EINTR);
    return written < 0 ? 0 : (size_t)written;
}

/* Writes what is left of the last line; false when stderr does not take all of it. */
static bool
write_rest(void)
{
    struct line *rest = &sink.rest;
    size_t written = rest->len == 0 ? 0 : write_some(rest->bytes, rest->len);
    rest->len -= written;
    memmove(rest->bytes, rest->bytes + written, rest->len);
    return rest->len == 0;
}

static void
write_line(const struct line *line)
{
    size_t written = write_rest() ? write_some(line->bytes, line->len) : 0;
    if (written == 0) {
        atomic_fetch_add_explicit(&sink.dropped, 1, memory_order_relaxed);
    } else if (written < line->len) {
        put(&sink.rest, line->bytes + written, line->len - written);
    }
}

static void
emit(enum log_level level, const char *component, const char *stream, const char *message)
{
    struct line line;
    char time[CLOCK_TIME_LEN];
    line.len = 0;
    clock_format_rfc3339(time, clock_wall_ms());
    if (sink.json) {
        puts_line(&line, "{\"ts\":\"");
    }
    put(&line, time, sizeof time);
    if (sink.json) {
        put_json(&line, level, component, stream, message);
    } else {
        put_text(&line, level, component, stream, message);
    }
    write_line(&line);
}

static void
emit_reports(int64_t now_ns)
{
    struct log_limit_kind kind;
    uint64_t left_out;
    while (log_limit_report(&sink.limit, now_ns, &kind, &left_out)) {
        char message[sizeof kind.message + 80];
        snprintf(message, sizeof message, "left out %llu more lines like: %s",
            (unsigned long long)left_out, kind.message);
        emit(kind.level, kind.component, kind.stream[0] == '\0' ? NULL : kind.stream, message);
    }
}

void
log_event(enum log_level level, const char *component, const char *stream, const char *format, ...)
{
    if (level < sink.least) {
        return;
    }
    char message[MESSAGE_MAX];
    va_list args;
    va_start(args, format);
    int want = vsnprintf(message, sizeof message, format, args);
    va_end(args);
    if (want >= MESSAGE_MAX) {
        memcpy(message + MESSAGE_MAX - sizeof "...", "...", sizeof "...");
    }
    int64_t now_ns = clock_mono_ns();
    pthread_mutex_lock(&sink.lock);
    emit_reports(now_ns);
    if (log_limit_pass(&sink.limit, now_ns, level, component, stream, format, message)) {
        emit(level, component, stream, message);
    }
    pthread_mutex_unlock(&sink.lock);
}

uint64_t
log_dropped_lines(void)
{
    return atomic_load_explicit(&sink.dropped, memory_order_relaxed);
}
