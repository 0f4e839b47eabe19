/* push_producer: see push_producer.h. */
#include "push_producer.h"

#include "../gateway/log.h"
#include "../gateway/mem.h"
#include "../gateway/push_queue.h"
#include "../gateway/record_type.h"
#include "../gateway/stream_push.h"
#include "../gateway/stream_source.h"
#include "kafka_producer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TAKE_MOST 256

struct push_producer {
    const struct push_settings *settings;
    struct stream *stream;
    struct push_queue *queue;
    struct kafka_producer *kafka;
};

/* ---- reports of librdkafka ---- */

struct failure {
    int status;
    const char *reason; /* of push_reject_names */
};

static struct failure
failure_of(rd_kafka_resp_err_t code)
{
    switch ((int)code) {
    case RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE:
    case RD_KAFKA_RESP_ERR_RECORD_LIST_TOO_LARGE:
    case RD_KAFKA_RESP_ERR_INVALID_MSG_SIZE:
        return (struct failure){413, "too_large"};
    case RD_KAFKA_RESP_ERR__MSG_TIMED_OUT:
    case RD_KAFKA_RESP_ERR__TIMED_OUT:
    case RD_KAFKA_RESP_ERR__TRANSPORT:
    case RD_KAFKA_RESP_ERR__PURGE_QUEUE:
    case RD_KAFKA_RESP_ERR__PURGE_INFLIGHT:
        return (struct failure){503, "unavailable"};
    default: /* librdkafka has a hundred */
        return (struct failure){503, "delivery"};
    }
}

static void
fail(struct push_producer *producer, struct push_item *item, rd_kafka_resp_err_t code,
    bool maybe_written)
{
    struct failure failure = failure_of(code);
    char text[200];
    snprintf(text, sizeof text, "Kafka did not take a record: %s%s", rd_kafka_err2str(code),
        maybe_written ? "; it may have been written all the same" : "");
    stream_source_error(producer->stream, "delivery");
    log_event(LOG_WARN, "push", stream_name(producer->stream), "topic %s: a record failed: %s",
        push_settings_topic(producer->settings), rd_kafka_err2str(code));
    push_queue_fail(producer->queue, item, failure.status, failure.reason, text);
}

static void
report(void *producer_, const rd_kafka_message_t *message)
{
    struct push_producer *producer = producer_;
    struct push_item *item = message->_private;
    if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
        push_queue_done(
            producer->queue, item, (uint32_t)message->partition, (uint64_t)message->offset);
    } else {
        fail(producer, item, message->err,
            rd_kafka_message_status(message) == RD_KAFKA_MSG_STATUS_POSSIBLY_PERSISTED);
    }
}

static void
broke(void *producer_, const char *text)
{
    struct push_producer *producer = producer_;
    log_event(LOG_ERROR, "push", stream_name(producer->stream),
        "the producer failed and is made again: %s", text);
    stream_source_error(producer->stream, "producer_fatal");
}

static rd_kafka_conf_t *
make_conf(void *producer_, struct err *err)
{
    const struct push_producer *producer = producer_;
    return push_settings_producer_conf(&producer->settings->kafka, stream_name(producer->stream),
        stream_max_record_bytes(producer->stream), err);
}

/* ---- records ---- */

static rd_kafka_resp_err_t
produce(const struct push_producer *producer, rd_kafka_t *client, struct push_item *item)
{
    rd_kafka_vu_t parts[5] = {
        {.vtype = RD_KAFKA_VTYPE_TOPIC, .u.cstr = push_settings_topic(producer->settings)},
        {.vtype = RD_KAFKA_VTYPE_KEY, .u.mem = {item->key, item->key_len}},
        {.vtype = RD_KAFKA_VTYPE_VALUE, .u.mem = {item->data, item->len}}, /* not copied */
        {.vtype = RD_KAFKA_VTYPE_OPAQUE, .u.ptr = item},
    };
    size_t n = 4;
    if (item->type != NULL) {
        parts[n].vtype = RD_KAFKA_VTYPE_HEADER;
        parts[n].u.header.name = RECORD_TYPE_HEADER;
        parts[n].u.header.val = item->type;
        parts[n].u.header.size = (ssize_t)strlen(item->type);
        n++;
    }
    rd_kafka_error_t *error = rd_kafka_produceva(client, parts, n);
    rd_kafka_resp_err_t code =
        error == NULL ? RD_KAFKA_RESP_ERR_NO_ERROR : rd_kafka_error_code(error);
    rd_kafka_error_destroy(error);
    return code;
}

/* Pass on what is in the queue. True: there may be more. */
static bool
produce_some(void *producer_, rd_kafka_t *client)
{
    struct push_producer *producer = producer_;
    struct push_items items;
    struct push_item *item;
    TAILQ_INIT(&items);
    size_t n = push_queue_take(producer->queue, &items, TAKE_MOST);
    while ((item = TAILQ_FIRST(&items)) != NULL) {
        rd_kafka_resp_err_t code = produce(producer, client, item);
        if (code == RD_KAFKA_RESP_ERR__QUEUE_FULL) {
            break;
        }
        TAILQ_REMOVE(&items, item, link);
        if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
            fail(producer, item, code, false);
        }
    }
    bool full = !TAILQ_EMPTY(&items);
    if (n > 0) {
        /* librdkafka 2.0 at times does not wake its broker thread for what is to be sent, which
         * then goes out up to a second later. To flush wakes it. */
        rd_kafka_flush(client, 0);
    }
    push_queue_untake(producer->queue, &items);
    return n == TAKE_MOST && !full;
}

/* ---- life ---- */

struct push_producer *
push_producer_start(const struct push_settings *settings, struct stream *stream, struct err *err)
{
    struct push_producer *producer = mem_calloc(1, sizeof *producer);
    const struct kafka_producer_user user = {.conf = make_conf,
        .produce = produce_some,
        .report = report,
        .broke = broke,
        .component = "push",
        .name = stream_name(stream)};
    producer->settings = settings;
    producer->stream = stream;
    producer->queue = stream_push_queue(stream);
    producer->kafka = kafka_producer_start(&user, producer, err);
    if (producer->kafka == NULL) {
        free(producer);
        return NULL;
    }
    return producer;
}

void
push_producer_wake(struct push_producer *producer)
{
    kafka_producer_wake(producer->kafka);
}

void
push_producer_halt(struct push_producer *producer)
{
    kafka_producer_halt(producer->kafka);
}

void
push_producer_stop(struct push_producer *producer)
{
    kafka_producer_stop(producer->kafka);
    free(producer);
}
