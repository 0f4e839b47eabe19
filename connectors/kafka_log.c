/* kafka_log: librdkafka's log lines in the gateway's log. They come from any of its threads, some
 * for every attempt to reconnect: each facility is shown once in ten seconds. */
#include "../gateway/clock.h"
#include "../gateway/log.h"
#include "kafka_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define EVERY_NS INT64_C(10000000000)

bool
kafka_may_log(int64_t *last_ns)
{
    int64_t now = clock_mono_ns();
    if (*last_ns != 0 && now - *last_ns < EVERY_NS) {
        return false;
    }
    *last_ns = now;
    return true;
}

/* false: left out, and counted. *suppressed: how many were before. */
static bool
admit(struct kafka_log *log, const char *facility, uint64_t *suppressed)
{
    pthread_mutex_lock(&log->lock);
    size_t i = 0;
    while (i + 1 < KAFKA_LOG_SLOTS && log->slots[i].facility[0] != '\0' &&
           strncmp(log->slots[i].facility, facility, sizeof log->slots[i].facility - 1) != 0) {
        i++; /* the last slot is shared by what came after the others were taken */
    }
    snprintf(log->slots[i].facility, sizeof log->slots[i].facility, "%s", facility);
    bool shown = kafka_may_log(&log->slots[i].shown_ns);
    *suppressed = log->slots[i].suppressed;
    log->slots[i].suppressed = shown ? 0 : *suppressed + 1;
    pthread_mutex_unlock(&log->lock);
    return shown;
}

void
kafka_log_line(const rd_kafka_t *client, int level, const char *facility, const char *text)
{
    struct source *source = rd_kafka_opaque(client);
    uint64_t suppressed;
    /* syslog's levels. What is an error to a client that gives up is a warning to one that goes on.
     */
    enum log_level our = level <= 2   ? LOG_ERROR
                         : level <= 4 ? LOG_WARN
                         : level <= 6 ? LOG_INFO
                                      : LOG_DEBUG;
    if (source == NULL || !admit(&source->log, facility, &suppressed)) {
        return;
    }
    const char *stream = stream_name(source->stream);
    if (suppressed == 0) {
        log_event(our, "kafka", stream, "%s: %s", facility, text);
    } else {
        log_event(our, "kafka", stream, "%s: %s (%" PRIu64 " like it left out)", facility, text,
            suppressed);
    }
}
