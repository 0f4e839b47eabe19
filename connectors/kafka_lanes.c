/* kafka_lanes: the partitions of a Kafka source as the stream's lanes: found, fetched, out of
 * range, lost in part, gone. Thread source. */
#include "kafka_internal.h"

#include "../gateway/clock.h"
#include "../gateway/log.h"
#include "../gateway/mem.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static void
say_down(struct source *source, const char *reason, const char *why)
{
    if (source->down_reason == NULL || strcmp(source->down_reason, reason) != 0) {
        stream_source_error(source->stream, reason);
    }
    source->down_reason = reason;
    stream_source_down(source->stream, why);
}

static void
start_fetching(struct source *source, struct kafka_topic *topic, int32_t partition)
{
    struct kafka_partition *part = &topic->partitions[partition];
    uint64_t next = stream_lane_next(source->stream, part->lane);
    if (rd_kafka_consume_start_queue(topic->handle, partition, (int64_t)next, source->queue) != 0) {
        log_event(LOG_ERROR, "kafka", stream_name(source->stream),
            "topic %s partition %" PRId32 ": %s", topic->name, partition,
            rd_kafka_err2str(rd_kafka_last_error()));
        stream_source_error(source->stream, "fetch");
    }
    part->state = KAFKA_PARTITION_READING;
    part->progress_ns = clock_mono_ns();
    part->quiet = 0;
    part->told_end = 0;
}

/* Records of the partition that wait for room would come after a restart at other offsets: they are
 * let go, to be fetched again. */
void
kafka_lane_stop(struct source *source, struct kafka_topic *topic, int32_t partition)
{
    struct kafka_partition *part = &topic->partitions[partition];
    if (part->state == KAFKA_PARTITION_IDLE) {
        return;
    }
    (void)rd_kafka_consume_stop(topic->handle, partition);
    part->state = KAFKA_PARTITION_IDLE;
    if (source->lines != NULL) {
        kafka_lines_drop(source->lines, part->lane);
    }
    for (size_t i = source->batch_at; i < source->batch_len; i++) {
        rd_kafka_message_t *message = source->batch[i];
        if (message != NULL && message->rkt != NULL && message->partition == partition &&
            rd_kafka_topic_opaque(message->rkt) == topic) {
            rd_kafka_message_destroy(message);
            source->batch[i] = NULL;
        }
    }
}

void
kafka_lane_restart(struct source *source, struct kafka_topic *topic, int32_t partition)
{
    kafka_lane_stop(source, topic, partition);
    start_fetching(source, topic, partition);
}

/* Offsets from the lane's next up to low are gone from the broker: a loss that is told in the
 * partition's place as soon as there is room. */
static void
owe_loss(struct source *source, struct kafka_topic *topic, int32_t partition, uint64_t low)
{
    struct kafka_partition *part = &topic->partitions[partition];
    uint64_t next = stream_lane_next(source->stream, part->lane);
    log_event(LOG_WARN, "kafka", stream_name(source->stream),
        "topic %s partition %" PRId32 ": offsets %" PRIu64 " to %" PRIu64
        " were deleted before they were read",
        topic->name, partition, next, low - 1);
    stream_source_error(source->stream, "retention");
    if (part->lost_to == 0) {
        source->owed = mem_realloc(source->owed, (source->n_owed + 1) * sizeof *source->owed);
        source->owed[source->n_owed++] = (struct kafka_owed){topic, partition};
    }
    part->lost_to = low;
}

struct kafka_partition *
kafka_lane_partition(struct kafka_topic *topic, int32_t partition)
{
    if (partition >= topic->n_partitions) {
        size_t n = (size_t)partition + 1;
        topic->partitions = mem_realloc(topic->partitions, n * sizeof *topic->partitions);
        for (int32_t i = topic->n_partitions; i <= partition; i++) {
            topic->partitions[i] = (struct kafka_partition){0};
        }
        topic->n_partitions = partition + 1;
    }
    return &topic->partitions[partition];
}

/* The lane comes back to us, and no other member has committed since: what we have read of it is
 * still ours to deliver, and is not read again. */
static bool
goes_on(struct source *source, const struct kafka_partition *part, const struct kafka_event *event)
{
    return part->has_lane && part->epoch != event->epoch && event->committed &&
           event->next == part->left_at && event->low <= event->next &&
           stream_lane_next(source->stream, part->lane) >= (uint64_t)event->next;
}

static void
found(struct source *source, const struct kafka_event *event)
{
    struct kafka_topic *topic = event->topic;
    struct kafka_partition *part = kafka_lane_partition(topic, event->partition);
    uint64_t next = (uint64_t)event->next;
    if (part->state != KAFKA_PARTITION_IDLE) {
        return;
    }
    if (source->group != NULL && !kafka_group_found(source, topic, event->partition, event->epoch,
                                     event->committed, event->next)) {
        return;
    }
    /* A lane that another member had in between goes on; one that was gone is a new one. */
    bool anew = part->has_lane && part->epoch == event->epoch;
    uint32_t lane = part->lane;
    if (goes_on(source, part, event)) {
        stream_lane_resume(source->stream, lane);
    } else {
        lane = stream_lane_add(source->stream, topic->name, (uint32_t)event->partition, next);
    }
    if (lane == STREAM_LANE_REFUSED) {
        stream_source_error(source->stream, "lane_refused");
        return;
    }
    part->lane = lane;
    part->has_lane = true;
    part->epoch = event->epoch;
    if (anew) {
        stream_lane_reset(source->stream, part->lane, next);
    }
    stream_lane_end(source->stream, part->lane, (uint64_t)event->high);
    if (event->low > event->next) {
        owe_loss(source, topic, event->partition, (uint64_t)event->low);
        part->state = KAFKA_PARTITION_ASKING; /* until the loss is told */
    } else {
        start_fetching(source, topic, event->partition);
    }
}

void
kafka_lane_give_up(
    struct source *source, struct kafka_topic *topic, int32_t partition, int64_t committed)
{
    struct kafka_partition *part = kafka_lane_partition(topic, partition);
    part->left_at = committed;
    if (part->state != KAFKA_PARTITION_IDLE) {
        kafka_lane_stop(source, topic, partition);
        part->lost_to = 0;
        stream_lane_remove(source->stream, part->lane);
    }
}

static void
gone(struct source *source, const struct kafka_event *event)
{
    const struct kafka_partition *part = kafka_lane_partition(event->topic, event->partition);
    if (part->state != KAFKA_PARTITION_IDLE) {
        kafka_lane_give_up(source, event->topic, event->partition, -1);
        stream_source_error(source->stream, "partition_gone");
    }
}

/* The broker said that our next offset is out of range, and this is the range. */
static void
ranged(struct source *source, const struct kafka_event *event)
{
    struct kafka_topic *topic = event->topic;
    struct kafka_partition *part = kafka_lane_partition(topic, event->partition);
    if (part->state != KAFKA_PARTITION_ASKING || part->lost_to != 0) {
        return;
    }
    int64_t next = (int64_t)stream_lane_next(source->stream, part->lane);
    if (next < event->low) {
        owe_loss(source, topic, event->partition, (uint64_t)event->low);
        return;
    }
    if (next > event->high) {
        log_event(LOG_WARN, "kafka", stream_name(source->stream),
            "topic %s partition %" PRId32 " ends at %" PRId64 ", before our next offset %" PRId64
            ": it was made again or cut; reading it from its beginning, %" PRId64,
            topic->name, event->partition, event->high, next, event->low);
        stream_source_error(source->stream, "reset");
        stream_lane_reset(source->stream, part->lane, (uint64_t)event->low);
    }
    stream_lane_end(source->stream, part->lane, (uint64_t)event->high);
    part->state = KAFKA_PARTITION_IDLE;
    start_fetching(source, topic, event->partition);
}

static void
ended(struct source *source, const struct kafka_event *event)
{
    struct kafka_partition *part = kafka_lane_partition(event->topic, event->partition);
    if (part->state == KAFKA_PARTITION_READING) {
        part->told_end = (uint64_t)event->high;
        if (source->held_ns != 0) {
            stream_lane_end(source->stream, part->lane, part->told_end);
        }
    }
}

static void
ready(struct source *source)
{
    if (source->group != NULL && kafka_group_failed(source->group)) {
        return;
    }
    source->down_reason = NULL;
    stream_source_up(source->stream);
}

void
kafka_lanes_apply(struct source *source)
{
    struct kafka_event *event = kafka_topics_take(source->topics);
    while (event != NULL) {
        struct kafka_event *after = event->after;
        switch (event->kind) {
        case KAFKA_EVENT_FOUND:
            found(source, event);
            break;
        case KAFKA_EVENT_GONE:
            gone(source, event);
            break;
        case KAFKA_EVENT_RANGE:
            ranged(source, event);
            break;
        case KAFKA_EVENT_END:
            ended(source, event);
            break;
        case KAFKA_EVENT_READY:
            ready(source);
            break;
        case KAFKA_EVENT_NOT_READY:
            say_down(source, event->reason, event->why);
            break;
        }
        free(event);
        event = after;
    }
}

/* Tell losses, each in one place of room. */
void
kafka_lanes_tell_losses(struct source *source, size_t room)
{
    while (source->n_owed > 0 && room > 0) {
        struct kafka_owed owed = source->owed[--source->n_owed];
        struct kafka_partition *part = &owed.topic->partitions[owed.partition];
        uint64_t next = stream_lane_next(source->stream, part->lane);
        uint64_t low = part->lost_to;
        part->lost_to = 0;
        if (low == 0) {
            continue; /* the partition went away meanwhile */
        }
        if (low > next) {
            stream_lost(source->stream, part->lane, low - 1, low - next, "retention");
            room--;
        }
        kafka_lane_restart(source, owed.topic, owed.partition);
    }
    stream_commit(source->stream);
}
