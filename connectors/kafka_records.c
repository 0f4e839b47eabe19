/* kafka_records: moves records from librdkafka's queue into the stream, as far as there is room.
 * Thread source. */
#include "kafka_internal.h"

#include "../gateway/clock.h"
#include "../gateway/log.h"
#include "../gateway/mem.h"
#include "../gateway/record_type.h"

#include <inttypes.h>
#include <string.h>

#define BATCH_BYTES (UINT64_C(1) << 20) /* about what one batch holds */

/* What librdkafka reports in a record's place. */
static void
complain(struct source *source, const rd_kafka_message_t *message)
{
    struct kafka_topic *topic = message->rkt == NULL ? NULL : rd_kafka_topic_opaque(message->rkt);
    const char *reason = "fetch";
    if (message->err == RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET && topic != NULL) {
        struct kafka_partition *part = kafka_lane_partition(topic, message->partition);
        stream_source_error(source->stream, "out_of_range");
        if (part->state == KAFKA_PARTITION_READING) {
            kafka_lane_stop(source, topic, message->partition);
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

/* The header that names the record's type, where what it names may be one. librdkafka ends values
 * with a NUL. */
static const char *
type_of(const struct record_header *header)
{
    const char *value = header->value;
    bool is_type = value != NULL && strcmp(header->name, RECORD_TYPE_HEADER) == 0 &&
                   record_type_fault(value, header->value_len) == NULL;
    return is_type ? value : NULL;
}

/* Lend the message's headers in source->headers, without the first that is its type. */
static size_t
lend_headers(struct source *source, const rd_kafka_message_t *message, const char **type)
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
    size_t lent = 0;
    for (size_t i = 0; i < n; i++) {
        struct record_header *header = &source->headers[lent];
        if (rd_kafka_header_get_all(
                headers, i, &header->name, &header->value, &header->value_len) != 0) {
            break;
        }
        header->name_len = strlen(header->name);
        if (*type != NULL || (*type = type_of(header)) == NULL) {
            lent++;
        }
    }
    return lent;
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

/* What was gathered stands before what comes next. False: there is no room for it. */
static bool
flush_lines(struct source *source, int64_t arrival_ns)
{
    return source->lines == NULL || kafka_lines_flush(source->lines, arrival_ns);
}

/* false: there was no room after all; the message is to be offered again. */
static bool
stage(struct source *source, const rd_kafka_message_t *message, int64_t arrival_ns)
{
    if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
        if (!flush_lines(source, arrival_ns)) {
            return false;
        }
        complain(source, message);
        return true;
    }
    struct kafka_topic *topic = rd_kafka_topic_opaque(message->rkt);
    struct kafka_partition *part = kafka_lane_partition(topic, message->partition);
    if (part->state != KAFKA_PARTITION_READING) {
        return true; /* left over from before it was stopped */
    }
    part->progress_ns = arrival_ns;
    if (source->sifts && stream_pass_over(source->stream, part->lane, (uint64_t)message->offset,
                             message->key, message->key_len)) {
        return true;
    }
    if (source->lines != NULL) {
        enum kafka_lines_taken taken = kafka_lines_add(source->lines, part->lane,
            (uint64_t)message->offset, message->payload, message->len, arrival_ns);
        if (taken != KAFKA_LINES_NONE) {
            return taken == KAFKA_LINES_TAKEN;
        }
    }
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
        .data_len = message->len};
    in.n_headers = lend_headers(source, message, &in.type);
    in.headers = in.n_headers == 0 ? NULL : source->headers;
    return stream_stage(source->stream, &in, arrival_ns) >= 0;
}

/* Stage what was taken from librdkafka, at most room records, and show it. False: some of it had no
 * room. */
static bool
stage_batch(struct source *source, size_t room)
{
    int64_t arrival_ns = clock_mono_ns();
    while (source->batch_at < source->batch_len && room > 0) {
        rd_kafka_message_t *message = source->batch[source->batch_at];
        source->batch[source->batch_at] = NULL; /* not for kafka_lane_stop, which stage may call */
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
    bool all = flush_lines(source, arrival_ns) && source->batch_at == source->batch_len;
    stream_commit(source->stream);
    return all;
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
    most = most < KAFKA_BATCH_MOST ? most : KAFKA_BATCH_MOST;
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
bool
kafka_records_take(struct source *source)
{
    bool waits = source->group != NULL && !stream_has_subscribers(source->stream);
    size_t room = waits ? 0 : stream_room(source->stream);
    if (room == 0) {
        source->held_ns = source->held_ns == 0 ? clock_mono_ns() : source->held_ns;
        return false;
    }
    source->held_ns = 0;
    if (!flush_lines(source, clock_mono_ns())) {
        return true;
    }
    if (source->n_owed > 0) {
        kafka_lanes_tell_losses(source, room);
        return true;
    }
    bool more = source->batch_at < source->batch_len || refill(source, room);
    return !stage_batch(source, room) || more;
}

void
kafka_records_drop(struct source *source)
{
    for (size_t i = source->batch_at; i < source->batch_len; i++) {
        if (source->batch[i] != NULL) {
            rd_kafka_message_destroy(source->batch[i]);
        }
    }
    source->batch_at = source->batch_len = 0;
}
