/* push_kafka: a push source with a Kafka topic beneath: the Kafka connector reads the topic, a
 * producer writes to it. A private stream (catch-up, a durable consumer) only reads. */
#include "push.h"

#include "../gateway/mem.h"
#include "../gateway/push_queue.h"
#include "../gateway/stream_push.h"
#include "kafka.h"
#include "push_producer.h"

#include <stdlib.h>

struct source {
    struct source *reader;          /* the Kafka connector's own kind: only it looks inside */
    struct push_producer *producer; /* NULL: it only reads */
};

static struct source *
push_kafka_start(
    const void *settings_, struct stream *stream, const struct replay *replay, struct err *err)
{
    const struct push_settings *settings = settings_;
    struct push_queue *queue = stream_push_queue(stream);
    struct source *source = mem_calloc(1, sizeof *source);
    if (queue != NULL) {
        push_queue_set_group(queue, push_settings_topic(settings));
        source->producer = push_producer_start(settings, stream, err);
    }
    if (queue == NULL || source->producer != NULL) {
        source->reader = kafka_connector.start(&settings->kafka.reader, stream, replay, err);
    }
    if (source->reader == NULL) {
        if (source->producer != NULL) {
            push_producer_halt(source->producer);
            push_producer_stop(source->producer);
        }
        free(source);
        return NULL;
    }
    return source;
}

static void
push_kafka_wake(struct source *source)
{
    kafka_connector.wake(source->reader);
    if (source->producer != NULL) {
        push_producer_wake(source->producer);
    }
}

static void
push_kafka_stop(struct source *source)
{
    if (source->producer != NULL) {
        push_producer_halt(source->producer);
    }
    kafka_connector.stop(source->reader);
    if (source->producer != NULL) {
        push_producer_stop(source->producer);
    }
    free(source);
}

static void
push_kafka_takes_posts(const void *settings_, struct push_options *options)
{
    const struct push_settings *settings = settings_;
    *options = (struct push_options){.max_bytes = settings->memory_bytes,
        .patience_ms = settings->kafka.timeout_ms,
        .durable = true};
}

const struct connector push_kafka_connector = {
    .name = "push",
    .section = &push_section,
    .check = push_settings_check,
    .memory_bound_bytes = push_settings_kafka_memory_bytes,
    .member_bound_bytes = push_settings_kafka_member_bytes,
    .descriptor_bound = push_settings_kafka_descriptors,
    .capabilities = CONNECTOR_REPLAYS | CONNECTOR_GROUPS | CONNECTOR_SIFTS,
    .takes_posts = push_kafka_takes_posts,
    .start = push_kafka_start,
    .wake = push_kafka_wake,
    .stop = push_kafka_stop,
};
