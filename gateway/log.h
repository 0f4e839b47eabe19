/* log: one event, one line, on stderr. Text on a terminal, JSON lines else.
 *
 * A line never blocks the data path: lines go through one short lock into write(2); when stderr is
 * a pipe that nobody reads, the line is dropped and counted (stderr is made non-blocking only if it
 * is a pipe). Never log a token, a payload or a query string. */
#ifndef HEADGATE_LOG_H
#define HEADGATE_LOG_H

#include <stdint.h>

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };
enum log_format { LOG_FORMAT_AUTO, LOG_FORMAT_TEXT, LOG_FORMAT_JSON };

/* log_init: before any other thread exists. Thread  init. */
void log_init(enum log_level least, enum log_format format);

/* log_event: one line. component is a short lower-case word ("kafka", "http"); stream may be NULL.
 * The message is printf-formatted; control characters in it are escaped in both formats.
 * Thread  any.  Blocks  no. */
void log_event(enum log_level level, const char *component, const char *stream, const char *format,
    ...) __attribute__((format(printf, 4, 5)));

/* log_dropped_lines: lines that could not be written, for the metrics. Thread any. */
uint64_t log_dropped_lines(void);

#endif
