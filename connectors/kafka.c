/* kafka: a Kafka source in broadcast mode: every partition of its topics, no consumer group.
 *
 * Its thread is the one that publishes into the stream. It takes from librdkafka's queue what the
 * stream has room for, never more, and serves librdkafka's callbacks meanwhile. What blocks
 * (metadata, offset look-ups) is done by kafka_topics on another thread. */
#include "kafka_internal.h"

#include "../gateway/clock.h"
#include "../gateway/log.h"
#include "../gateway/mem.h"
#include "kafka.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#define BATCH_MOST 1000
#define TICK_MS 100
#define BATCH_BYTES (UINT64_C(1) << 20) /* about what one batch holds */
#define STOP_MS 4000

static const uint64_t one = 1;

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
}

/* Records of the partition that wait for room would come after a restart at other offsets: they are
 * let go, to be fetched again. */
static void
stop_fetching(struct source *source, struct kafka_topic *topic, int32_t partition)
{
    struct kafka_partition *part = &topic->partitions[partition];
    if (part->state == KAFKA_PARTITION_IDLE) {
        return;
    }
    (void)rd_kafka_consume_stop(topic->handle, partition);
    part->state = KAFKA_PARTITION_IDLE;
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
kafka_restart(struct source *source, struct kafka_topic *topic, int32_t partition)
{
    stop_fetching(source, topic, partition);
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

static struct kafka_partition *
partition_of(struct kafka_topic *topic, int32_t partition)
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

static void
found(struct source *source, const struct kafka_event *event)
{
    struct kafka_topic *topic = event->topic;
    struct kafka_partition *part = partition_of(topic, event->partition);
    uint64_t next = (uint64_t)event->next;
    if (part->state != KAFKA_PARTITION_IDLE) {
        return;
    }
    bool anew = part->has_lane;
    uint32_t lane = stream_lane_add(source->stream, topic->name, (uint32_t)event->partition, next);
    if (lane == STREAM_LANE_REFUSED) {
        stream_source_error(source->stream, "lane_refused");
        return;
    }
    part->lane = lane;
    part->has_lane = true;
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

static void
gone(struct source *source, const struct kafka_event *event)
{
    struct kafka_partition *part = partition_of(event->topic, event->partition);
    if (part->state != KAFKA_PARTITION_IDLE) {
        stop_fetching(source, event->topic, event->partition);
        part->lost_to = 0;
        stream_lane_remove(source->stream, part->lane);
        stream_source_error(source->stream, "partition_gone");
    }
}

/* The broker said that our next offset is out of range, and this is the range. */
static void
ranged(struct source *source, const struct kafka_event *event)
{
    struct kafka_topic *topic = event->topic;
    struct kafka_partition *part = partition_of(topic, event->partition);
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
ready(struct source *source)
{
    source->down_reason = NULL;
    stream_source_up(source->stream);
}

static void
apply_events(struct source *source)
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
static void
tell_losses(struct source *source, size_t room)
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
        kafka_restart(source, owed.topic, owed.partition);
    }
    stream_commit(source->stream);
}

/* What librdkafka reports in a record's place. */
static void
complain(struct source *source, const rd_kafka_message_t *message)
{
    struct kafka_topic *topic = message->rkt == NULL ? NULL : rd_kafka_topic_opaque(message->rkt);
    const char *reason = "fetch";
    if (message->err == RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET && topic != NULL) {
        struct kafka_partition *part = partition_of(topic, message->partition);
        stream_source_error(source->stream, "out_of_range");
        if (part->state == KAFKA_PARTITION_READING) {
            stop_fetching(source, topic, message->partition);
            part->state = KAFKA_PARTITION_ASKING;
            kafka_topics_ask_range(source->topics, topic, message->partition);
        }
        return;
    }
    if (message->err == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART ||
        message->err == RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC ||
        message->err == RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION) {
        reason = "topic_missing";
        kafka_topics_kick(source->topics);
    } else if (message->err == RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED) {
        reason = "authorization";
    }
    stream_source_error(source->stream, reason);
    if (kafka_may_log(&source->log_error_ns)) {
        log_event(LOG_WARN, "kafka", stream_name(source->stream),
            "topic %s partition %" PRId32 ": %s", topic == NULL ? "?" : topic->name,
            message->partition, rd_kafka_message_errstr(message));
    }
}

/* Lend the message's headers in source->headers. */
static size_t
lend_headers(struct source *source, const rd_kafka_message_t *message)
{
    rd_kafka_headers_t *headers;
    if (rd_kafka_message_headers(message, &headers) != RD_KAFKA_RESP_ERR_NO_ERROR) {
        return 0;
    }
    size_t n = rd_kafka_header_cnt(headers);
    if (n > source->headers_cap) {
        source->headers = mem_realloc(source->headers, n * sizeof *source->headers);
        source->headers_cap = n;
    }
    for (size_t i = 0; i < n; i++) {
        struct record_header *header = &source->headers[i];
        if (rd_kafka_header_get_all(
                headers, i, &header->name, &header->value, &header->value_len) != 0) {
            return i;
        }
        header->name_len = strlen(header->name);
    }
    return n;
}

static void
drop_oversize(struct source *source, const struct kafka_topic *topic,
    const struct kafka_partition *part, const rd_kafka_message_t *message)
{
    uint64_t offset = (uint64_t)message->offset;
    if (offset < stream_lane_next(source->stream, part->lane)) {
        return;
    }
    stream_lost(source->stream, part->lane, offset, 1, "too_large");
    stream_source_error(source->stream, "too_large");
    if (kafka_may_log(&source->log_oversize_ns)) {
        log_event(LOG_WARN, "kafka", stream_name(source->stream),
            "topic %s partition %" PRId32 " offset %" PRIu64
            ": a payload of %zu bytes is over the stream's maximum of %zu; dropped",
            topic->name, message->partition, offset, message->len,
            stream_max_record_bytes(source->stream));
    }
}

/* false: there was no room after all; the message is to be offered again. */
static bool
stage(struct source *source, const rd_kafka_message_t *message, int64_t arrival_ns)
{
    if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
        complain(source, message);
        return true;
    }
    struct kafka_topic *topic = rd_kafka_topic_opaque(message->rkt);
    struct kafka_partition *part = partition_of(topic, message->partition);
    if (part->state != KAFKA_PARTITION_READING) {
        return true; /* left over from before it was stopped */
    }
    part->progress_ns = arrival_ns;
    if (message->len > stream_max_record_bytes(source->stream)) {
        drop_oversize(source, topic, part, message);
        return true;
    }
    rd_kafka_timestamp_type_t kind;
    struct record_input in = {.lane = part->lane,
        .offset = (uint64_t)message->offset,
        .time_ms = rd_kafka_message_timestamp(message, &kind),
        .key = message->key,
        .key_len = message->key_len,
        .data = message->payload,
        .data_len = message->len,
        .n_headers = lend_headers(source, message)};
    in.headers = in.n_headers == 0 ? NULL : source->headers;
    return stream_stage(source->stream, &in, arrival_ns) >= 0;
}

/* Stage what was taken from librdkafka, at most room records, and show it. */
static void
stage_batch(struct source *source, size_t room)
{
    int64_t arrival_ns = clock_mono_ns();
    while (source->batch_at < source->batch_len && room > 0) {
        rd_kafka_message_t *message = source->batch[source->batch_at];
        source->batch[source->batch_at] = NULL; /* not for stop_fetching, which stage may call */
        if (message != NULL && !stage(source, message, arrival_ns)) {
            source->batch[source->batch_at] = message;
            break;
        }
        source->batch_at++;
        if (message != NULL) {
            rd_kafka_message_destroy(message);
            room--;
        }
    }
    stream_commit(source->stream);
}

/* Up to librdkafka 2.1 a fetcher that met one of its thresholds looks again only after a second:
 * wake it when the queue is half empty. The queue's bytes are estimated from recent payloads. */
static void
nudge_when_low(struct source *source)
{
    const uint64_t most = source->settings->prefetch_bytes, most_records = 100000;
    uint64_t records = rd_kafka_queue_length(source->queue);
    uint64_t bytes = records * source->mean_bytes;
    if (records >= most_records / 10 * 9 || bytes >= most / 10 * 9) {
        source->backlog = true;
    } else if (source->backlog && records <= most_records / 2 && bytes <= most / 2) {
        source->backlog = false;
        kafka_topics_nudge(source->topics);
    }
}

/* Take a batch from librdkafka without waiting. true: there may be more. Up to 2.0.2 at least,
 * rd_kafka_consume_batch_queue with a time-out waits for the whole batch or all of that time, which
 * would delay a lone record; with 0 it takes what is there. */
static bool
refill(struct source *source, size_t room)
{
    size_t most = (size_t)(BATCH_BYTES / (source->mean_bytes + 1) + 1);
    most = most < BATCH_MOST ? most : BATCH_MOST;
    most = most < room ? most : room;
    ssize_t n = rd_kafka_consume_batch_queue(source->queue, 0, source->batch, most);
    source->batch_at = 0;
    source->batch_len = n < 0 ? 0 : (size_t)n;
    if (n <= 0) {
        return false;
    }
    uint64_t bytes = 0;
    for (ssize_t i = 0; i < n; i++) {
        bytes += source->batch[i]->len;
    }
    source->mean_bytes = (source->mean_bytes * 3 + bytes / (uint64_t)n) / 4;
    nudge_when_low(source);
    return (size_t)n == most;
}

/* Move what there is room for. true: go on at once, there may be more. */
static bool
take(struct source *source)
{
    size_t room = stream_room(source->stream);
    if (room == 0) {
        source->held_ns = source->held_ns == 0 ? clock_mono_ns() : source->held_ns;
        return false;
    }
    source->held_ns = 0;
    if (source->n_owed > 0) {
        tell_losses(source, room);
        return true;
    }
    bool more = source->batch_at < source->batch_len || refill(source, room);
    stage_batch(source, room);
    return more || source->batch_at < source->batch_len;
}

static void
drop_batch(struct source *source)
{
    for (size_t i = source->batch_at; i < source->batch_len; i++) {
        if (source->batch[i] != NULL) {
            rd_kafka_message_destroy(source->batch[i]);
        }
    }
    source->batch_at = source->batch_len = 0;
}

static void
drain_eventfd(int fd)
{
    uint64_t count;
    if (read(fd, &count, sizeof count) != sizeof count) {
        return; /* nothing was there */
    }
}

/* Sleep until records come, a wake, or the tick. While there is no room the queue's descriptor is
 * left out: it would stay readable. librdkafka writes it when an empty queue gets its first record;
 * take() has drained the queue whenever we sleep with room. */
static void
rest(struct source *source)
{
    struct pollfd fds[2] = {
        {.fd = source->wake_fd, .events = POLLIN},
        {.fd = source->held_ns == 0 ? source->queue_fd : -1, .events = POLLIN},
    };
    if (poll(fds, 2, TICK_MS) > 0) {
        if (fds[0].revents != 0) {
            drain_eventfd(source->wake_fd);
        }
        if (fds[1].revents != 0) {
            drain_eventfd(source->queue_fd);
        }
    }
}

static void *
source_main(void *source_)
{
    struct source *source = source_;
    while (!atomic_load(&source->stopping)) {
        rd_kafka_poll(source->client, 0);
        apply_events(source);
        stream_source_alive(source->stream);
        if (!take(source)) {
            rest(source);
        }
    }
    return NULL;
}

static void
on_error(rd_kafka_t *client, int code, const char *text, void *source_)
{
    struct source *source = source_;
    (void)client;
    (void)text; /* the log callback has it too */
    const char *reason = "broker";
    if (code == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN) {
        reason = "all_brokers_down";
        kafka_topics_kick(source->topics); /* its answer, or none, is what counts */
    } else if (code == RD_KAFKA_RESP_ERR__AUTHENTICATION || code == RD_KAFKA_RESP_ERR__SSL) {
        reason = "authentication";
    }
    stream_source_error(source->stream, reason);
}

static int
on_stats(rd_kafka_t *client, char *json, size_t len, void *source)
{
    (void)client;
    kafka_stats_apply(source, json, len);
    return 0; /* librdkafka frees the text */
}

static void
source_free(struct source *source)
{
    pthread_mutex_destroy(&source->log.lock);
    if (source->wake_fd >= 0) {
        close(source->wake_fd);
    }
    if (source->queue_fd >= 0) {
        close(source->queue_fd);
    }
    free(source->batch);
    free(source->headers);
    free(source->owed);
    free(source);
}

static int
open_client(struct source *source, struct err *err)
{
    rd_kafka_conf_t *conf = kafka_settings_conf(source->settings, stream_name(source->stream), err);
    if (conf == NULL) {
        return -1;
    }
    rd_kafka_conf_set_opaque(conf, source);
    rd_kafka_conf_set_log_cb(conf, kafka_log_line);
    rd_kafka_conf_set_error_cb(conf, on_error);
    rd_kafka_conf_set_stats_cb(conf, on_stats);
    char why[400];
    source->client = rd_kafka_new(RD_KAFKA_CONSUMER, conf, why, sizeof why);
    if (source->client == NULL) {
        rd_kafka_conf_destroy(conf);
        err_set(err, ERR_INVALID, "stream %s: %s", stream_name(source->stream), why);
        return -1;
    }
    source->queue = rd_kafka_queue_new(source->client);
    rd_kafka_queue_io_event_enable(source->queue, source->queue_fd, &one, sizeof one);
    return 0;
}

/* Everything of librdkafka, in the order that lets rd_kafka_destroy end: fetching stopped, requests
 * over, topic handles and queues gone. */
static void
close_client(struct source *source)
{
    if (source->topics != NULL) {
        kafka_topics_join(source->topics);
        drop_batch(source);
        kafka_topics_each(source->topics, source, stop_fetching);
        kafka_topics_free(source->topics);
    }
    if (source->queue != NULL) {
        rd_kafka_queue_io_event_enable(source->queue, -1, NULL, 0);
        rd_kafka_queue_destroy(source->queue);
    }
    if (source->client != NULL) {
        rd_kafka_destroy(source->client);
    }
}

static struct source *
kafka_start(const void *settings, struct stream *stream, struct err *err)
{
    struct source *source = mem_calloc(1, sizeof *source);
    source->settings = settings;
    source->stream = stream;
    source->batch = mem_calloc(BATCH_MOST, sizeof *source->batch);
    source->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    source->queue_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    pthread_mutex_init(&source->log.lock, NULL);
    if (source->wake_fd < 0 || source->queue_fd < 0) {
        err_set_errno(err, errno, "stream %s: eventfd", stream_name(stream));
        goto fail;
    }
    if (open_client(source, err) != 0) {
        goto fail;
    }
    source->topics = kafka_topics_start(
        source->client, source->settings, stream_name(stream), source->wake_fd, err);
    if (source->topics == NULL) {
        goto fail;
    }
    int rc = pthread_create(&source->thread, NULL, source_main, source);
    if (rc != 0) {
        err_set_errno(err, rc, "source thread of stream %s", stream_name(stream));
        goto fail;
    }
    return source;
fail:
    close_client(source);
    source_free(source);
    return NULL;
}

static void
kafka_wake(struct source *source)
{
    if (write(source->wake_fd, &one, sizeof one) != sizeof one) {
        return; /* the counter is full: it is awake */
    }
}

/* The client is closed on a thread of its own: rd_kafka_destroy waits for threads that may hang in
 * the resolver or in a SASL plugin, and a shutdown must not. Who is late last frees. */
struct closing {
    struct source *source;
    pthread_mutex_t lock;
    pthread_cond_t done_changed;
    bool done, abandoned;
};

static void
closing_free(struct closing *closing)
{
    pthread_cond_destroy(&closing->done_changed);
    pthread_mutex_destroy(&closing->lock);
    source_free(closing->source);
    free(closing);
}

static void *
closing_main(void *closing_)
{
    struct closing *closing = closing_;
    close_client(closing->source);
    pthread_mutex_lock(&closing->lock);
    closing->done = true;
    bool abandoned = closing->abandoned;
    pthread_cond_signal(&closing->done_changed);
    pthread_mutex_unlock(&closing->lock);
    if (abandoned) {
        closing_free(closing);
    }
    return NULL;
}

static bool
wait_done(struct closing *closing)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += STOP_MS / 1000;
    pthread_mutex_lock(&closing->lock);
    int rc = 0;
    while (!closing->done && rc == 0) {
        rc = pthread_cond_timedwait(&closing->done_changed, &closing->lock, &until);
    }
    bool done = closing->done;
    closing->abandoned = !done;
    pthread_mutex_unlock(&closing->lock);
    return done;
}

static void
kafka_stop(struct source *source)
{
    atomic_store(&source->stopping, true);
    kafka_topics_halt(source->topics);
    kafka_wake(source);
    pthread_join(source->thread, NULL);
    struct closing *closing = mem_calloc(1, sizeof *closing);
    closing->source = source;
    pthread_mutex_init(&closing->lock, NULL);
    pthread_cond_init(&closing->done_changed, NULL);
    pthread_t thread;
    if (pthread_create(&thread, NULL, closing_main, closing) != 0) {
        close_client(source);
        closing_free(closing);
    } else if (wait_done(closing)) {
        pthread_join(thread, NULL);
        closing_free(closing);
    } else {
        log_event(LOG_WARN, "kafka", NULL, "the Kafka client did not close in time; left behind");
        pthread_detach(thread);
    }
}

const struct connector kafka_connector = {
    .name = "kafka",
    .section = &kafka_section,
    .check = kafka_settings_check,
    .memory_bound_bytes = kafka_settings_memory_bytes,
    .descriptor_bound = kafka_settings_descriptors,
    .start = kafka_start,
    .wake = kafka_wake,
    .stop = kafka_stop,
};
