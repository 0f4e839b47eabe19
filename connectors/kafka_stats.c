/* kafka_stats: reads librdkafka's statistics every 5 s, on the source thread (rd_kafka_poll calls
 * it). For 1,000 partitions that is about 1 MB of JSON, some milliseconds. */
#include "../gateway/clock.h"
#include "../gateway/log.h"
#include "kafka_internal.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#define QUIET_MOST 2 /* statistics in a row; then brokers are asked whether there is more */

/* What the statistics say of one partition. */
struct seen {
    int64_t end;  /* of what can be read: the last stable offset for read_committed */
    int64_t next; /* what librdkafka fetches next */
    bool queue_empty;
};

static int64_t
number(const json_t *object, const char *name)
{
    const json_t *value = json_object_get(object, name);
    return json_is_integer(value) ? json_integer_value(value) : -1;
}

static struct seen
read_partition(const json_t *object, bool queue_empty)
{
    struct seen seen = {.end = number(object, "hi_offset"),
        .next = number(object, "next_offset"),
        .queue_empty = queue_empty};
    int64_t stable = number(object, "ls_offset");
    if (stable >= 0 && stable < seen.end) {
        seen.end = stable;
    }
    return seen;
}

/* The lag's other end, which librdkafka knows from its last fetch, and the broker, if it was asked,
 * even where librdkafka has ceased to fetch. Control records and aborted ones take offsets but are
 * no records: when librdkafka has fetched up to the end and its queue is empty, nothing is owed,
 * whatever the offsets. */
static bool
owes(struct source *source, struct kafka_partition *part, const struct seen *seen)
{
    uint64_t next = stream_lane_next(source->stream, part->lane);
    if (seen->end < 0 || source->held_ns != 0) {
        return false; /* nothing is fetched while held, so what was fetched last says nothing */
    }
    int64_t last = (int64_t)part->told_end > seen->end ? (int64_t)part->told_end : seen->end;
    bool caught_up = seen->next >= last && seen->queue_empty;
    uint64_t end = caught_up ? next : (uint64_t)last;
    stream_lane_end(source->stream, part->lane, end);
    return end > next;
}

/* Later versions of librdkafka mended several faults that leave a partition silent after a leader
 * change; whatever the cause, a partition that owes records, has room and does not move for
 * stall_timeout is fetched anew. */
static void
watch(struct source *source, struct kafka_topic *topic, int32_t partition, bool owing)
{
    struct kafka_partition *part = &topic->partitions[partition];
    int64_t now = clock_mono_ns();
    if (!owing || source->held_ns != 0 || source->down_reason != NULL) {
        part->progress_ns = now;
    } else if (now - part->progress_ns >=
               (int64_t)source->settings->stall_timeout_ms * INT64_C(1000000)) {
        log_event(LOG_WARN, "kafka", stream_name(source->stream),
            "topic %s partition %" PRId32 " is silent at offset %" PRIu64
            " though there is more; fetching it anew",
            topic->name, partition, stream_lane_next(source->stream, part->lane));
        stream_source_error(source->stream, "stalled");
        kafka_lane_restart(source, topic, partition);
    }
}

/* Whether brokers should be asked for the ends: the partition may only seem to be at its own. */
static bool
is_quiet(struct source *source, struct kafka_partition *part)
{
    uint64_t next = stream_lane_next(source->stream, part->lane);
    part->quiet = next == part->next_seen ? part->quiet + 1 : 0;
    part->next_seen = next;
    return part->quiet % (QUIET_MOST + 1) == QUIET_MOST;
}

/* Returns whether the ends should be asked for. */
static bool
apply_topic(struct source *source, struct kafka_topic *topic, json_t *partitions, bool queue_empty)
{
    bool quiet = false;
    const char *name;
    json_t *object;
    json_object_foreach(partitions, name, object)
    {
        char *end;
        long partition = strtol(name, &end, 10);
        if (*end != '\0' || partition < 0 || partition >= topic->n_partitions) {
            continue; /* -1 is librdkafka's own */
        }
        struct kafka_partition *part = &topic->partitions[partition];
        if (part->state == KAFKA_PARTITION_READING) {
            struct seen seen = read_partition(object, queue_empty);
            quiet = is_quiet(source, part) || quiet;
            watch(source, topic, (int32_t)partition, owes(source, part, &seen));
        }
    }
    return quiet;
}

void
kafka_stats_apply(struct source *source, const char *text, size_t len)
{
    json_error_t error;
    json_t *root = json_loadb(text, len, 0, &error);
    if (root == NULL) {
        log_event(LOG_WARN, "kafka", stream_name(source->stream), "statistics: %s", error.text);
        return;
    }
    bool ask = source->held_ns != 0;
    bool queue_empty =
        rd_kafka_queue_length(source->queue) == 0 && source->batch_at == source->batch_len;
    const char *name;
    json_t *object;
    json_object_foreach(json_object_get(root, "topics"), name, object)
    {
        struct kafka_topic *topic = kafka_topics_find(source->topics, name);
        if (topic != NULL) {
            json_t *partitions = json_object_get(object, "partitions");
            ask = apply_topic(source, topic, partitions, queue_empty) || ask;
        }
    }
    if (ask) {
        kafka_topics_ask_ends(source->topics);
    }
    json_decref(root);
}
