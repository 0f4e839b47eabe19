/* lanes_lag: how far the lanes are behind their upstream, for the metrics. */
#include "lanes_state.h"

#include "metrics.h"

#include <stdio.h>
#include <string.h>

void
lanes_metrics_lag(struct lanes *lanes, const char *stream, struct buf *out)
{
    pthread_mutex_lock(&lanes->lock);
    for (size_t i = 0; i < lanes->n; i++) {
        const struct lane *lane = &lanes->items[i];
        if (lane->removed || lane->is_file) {
            continue;
        }
        char partition[16];
        snprintf(partition, sizeof partition, "%u", lane->partition);
        struct buf labels;
        buf_init(&labels);
        metrics_label(&labels, "stream", stream);
        metrics_label(&labels, "topic", lane->group);
        metrics_label(&labels, "partition", partition);
        buf_addc(&labels, '\0');
        uint64_t next = lanes->rows[lane->row].next;
        metrics_sample_u64(out, "headgate_kafka_lag_records", labels.bytes,
            lane->end > next ? lane->end - next : 0);
        buf_fini(&labels);
    }
    pthread_mutex_unlock(&lanes->lock);
}

static bool
is_read(const struct lane *lane)
{
    return lane->is_file && !lane->removed;
}

/* The lag of all lanes at the path of lane first: one that was deleted and its successor. False: a
 * lane before it has told it. */
static bool
lag_at_path(const struct lanes *lanes, size_t first, uint64_t *lag)
{
    *lag = 0;
    for (size_t i = 0; i < lanes->n; i++) {
        const struct lane *lane = &lanes->items[i];
        if (is_read(lane) && strcmp(lane->path, lanes->items[first].path) == 0) {
            uint64_t next = lanes->rows[lane->row].next;
            if (i < first) {
                return false;
            }
            *lag += lane->end > next ? lane->end - next : 0;
        }
    }
    return true;
}

void
lanes_metrics_file_lag(struct lanes *lanes, const char *stream, struct buf *out)
{
    pthread_mutex_lock(&lanes->lock);
    for (size_t i = 0; i < lanes->n; i++) {
        uint64_t lag;
        if (!is_read(&lanes->items[i]) || !lag_at_path(lanes, i, &lag)) {
            continue;
        }
        struct buf labels;
        buf_init(&labels);
        metrics_label(&labels, "stream", stream);
        metrics_label(&labels, "file", lanes->items[i].path);
        buf_addc(&labels, '\0');
        metrics_sample_u64(out, "headgate_file_lag_bytes", labels.bytes, lag);
        buf_fini(&labels);
    }
    pthread_mutex_unlock(&lanes->lock);
}
