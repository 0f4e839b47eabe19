/* llm_log_tail: see llm_log_tail.h. */
#include "llm_log_tail.h"

#include "../gateway/log.h"
#include "../gateway/mem.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define ASK_MS 1500
#define HEADERS_MOST 16
#define MUCH 400 /* records: so many may be all that a client holds, where they are large */

static const uint64_t one = 1;

struct llm_log_tail {
    const char *topic;
    rd_kafka_t *client;
    rd_kafka_topic_t *handle;
    rd_kafka_queue_t *queue;
    bool *started; /* of each partition */
    int32_t n_started;
    size_t waited; /* in the client, at the most since that was low */
    rd_kafka_message_t *message;
};

/* The producer has the same brokers, and says what is wrong with them. */
static void
on_log(const rd_kafka_t *client, int level, const char *facility, const char *text)
{
    (void)client;
    (void)level;
    log_event(LOG_DEBUG, "kafka", NULL, "answers: %s: %s", facility, text);
}

static rd_kafka_conf_t *
make_conf(const struct llm_log_settings *settings, const char *stream, struct err *err)
{
    char why[200];
    struct push_kafka_settings kafka;
    llm_log_kafka(settings, &kafka);
    rd_kafka_conf_t *conf = kafka_settings_conf(&kafka.reader, stream, err);
    if (conf != NULL) {
        rd_kafka_conf_set_log_cb(conf, on_log);
        (void)rd_kafka_conf_set(conf, "enable.partition.eof", "true", why, sizeof why);
        (void)rd_kafka_conf_set(conf, "statistics.interval.ms", "0", why, sizeof why);
    }
    return conf;
}

struct llm_log_tail *
llm_log_tail_open(
    const struct llm_log_settings *settings, const char *stream, int wake_fd, struct err *err)
{
    rd_kafka_conf_t *conf = make_conf(settings, stream, err);
    if (conf == NULL) {
        return NULL;
    }
    char why[400];
    struct llm_log_tail *tail = mem_calloc(1, sizeof *tail);
    tail->topic = llm_log_topic(settings);
    tail->client = rd_kafka_new(RD_KAFKA_CONSUMER, conf, why, sizeof why);
    if (tail->client == NULL) {
        rd_kafka_conf_destroy(conf);
        err_set(err, ERR_SYSTEM, "stream %s: log: %s", stream, why);
        free(tail);
        return NULL;
    }
    tail->handle = rd_kafka_topic_new(tail->client, tail->topic, NULL);
    tail->queue = rd_kafka_queue_new(tail->client);
    if (wake_fd >= 0) {
        rd_kafka_queue_io_event_enable(tail->queue, wake_fd, &one, sizeof one);
    }
    return tail;
}

void
llm_log_tail_close(struct llm_log_tail *tail)
{
    if (tail == NULL) {
        return;
    }
    if (tail->message != NULL) {
        rd_kafka_message_destroy(tail->message);
    }
    rd_kafka_queue_io_event_enable(tail->queue, -1, NULL, 0);
    for (int32_t i = 0; i < tail->n_started; i++) {
        llm_log_tail_stop(tail, i);
    }
    free(tail->started);
    rd_kafka_queue_destroy(tail->queue);
    rd_kafka_topic_destroy(tail->handle);
    rd_kafka_destroy(tail->client);
    free(tail);
}

int32_t
llm_log_tail_partitions(struct llm_log_tail *tail)
{
    const struct rd_kafka_metadata *found;
    int32_t n = 0;
    if (rd_kafka_metadata(tail->client, 0, tail->handle, &found, ASK_MS) !=
        RD_KAFKA_RESP_ERR_NO_ERROR) {
        return 0;
    }
    if (found->topic_cnt == 1 && found->topics[0].err == RD_KAFKA_RESP_ERR_NO_ERROR) {
        n = found->topics[0].partition_cnt;
    }
    rd_kafka_metadata_destroy(found);
    return n;
}

int32_t
llm_log_tail_partition_of(const char *id, int32_t n_partitions)
{
    return rd_kafka_msg_partitioner_murmur2(NULL, id, strlen(id), n_partitions, NULL, NULL);
}

/* What is a time, or RD_KAFKA_OFFSET_BEGINNING or _END; see kafka_look.c. -1: it is not known;
 * *offset is negative where there is none. */
static int
ask_offset(struct llm_log_tail *tail, int32_t partition, int64_t what, int64_t *offset)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, tail->topic, partition)->offset = what;
    rd_kafka_resp_err_t rc = rd_kafka_offsets_for_times(tail->client, list, ASK_MS);
    rc = rc == RD_KAFKA_RESP_ERR_NO_ERROR ? list->elems[0].err : rc;
    *offset = list->elems[0].offset;
    rd_kafka_topic_partition_list_destroy(list);
    return rc == RD_KAFKA_RESP_ERR_NO_ERROR ? 0 : -1;
}

int64_t
llm_log_tail_end(struct llm_log_tail *tail, int32_t partition)
{
    int64_t end;
    return ask_offset(tail, partition, RD_KAFKA_OFFSET_END, &end) == 0 ? end : -1;
}

int
llm_log_tail_find(
    struct llm_log_tail *tail, int32_t partition, int64_t unix_ms, struct llm_log_place *place)
{
    int64_t low = 0, end, from;
    int64_t asked_ms = unix_ms < 0 ? 0 : unix_ms; /* negative ones mean other things */
    if (ask_offset(tail, partition, RD_KAFKA_OFFSET_END, &end) != 0 || end < 0 ||
        ask_offset(tail, partition, asked_ms, &from) != 0) {
        return -1;
    }
    if (from < 0) {
        from = end - LLM_LOG_LOOK_BACK;
        if (ask_offset(tail, partition, RD_KAFKA_OFFSET_BEGINNING, &low) != 0) {
            return -1;
        }
    }
    *place = (struct llm_log_place){.from = from < low ? low : from, .end = end};
    return 0;
}

/* ---- reading ---- */

static void
make_room(struct llm_log_tail *tail, int32_t partition)
{
    if (partition < tail->n_started) {
        return;
    }
    size_t n = (size_t)partition + 1;
    tail->started = mem_realloc(tail->started, n * sizeof *tail->started);
    memset(
        tail->started + tail->n_started, 0, (n - (size_t)tail->n_started) * sizeof *tail->started);
    tail->n_started = (int32_t)n;
}

int
llm_log_tail_start(struct llm_log_tail *tail, int32_t partition, int64_t offset)
{
    make_room(tail, partition);
    assert(!tail->started[partition]);
    tail->started[partition] =
        rd_kafka_consume_start_queue(tail->handle, partition, offset, tail->queue) == 0;
    return tail->started[partition] ? 0 : -1;
}

void
llm_log_tail_stop(struct llm_log_tail *tail, int32_t partition)
{
    if (partition < tail->n_started && tail->started[partition]) {
        tail->started[partition] = false;
        (void)rd_kafka_consume_stop(tail->handle, partition);
    }
}

bool
llm_log_tail_read(const rd_kafka_message_t *message, struct llm_log_record *record)
{
    struct record_header headers[HEADERS_MOST];
    rd_kafka_headers_t *found;
    size_t n = 0;
    if (rd_kafka_message_headers(message, &found) != RD_KAFKA_RESP_ERR_NO_ERROR) {
        return false;
    }
    while (
        n < HEADERS_MOST && rd_kafka_header_get_all(found, n, &headers[n].name, &headers[n].value,
                                &headers[n].value_len) == RD_KAFKA_RESP_ERR_NO_ERROR) {
        headers[n].name_len = strlen(headers[n].name);
        n++;
    }
    return llm_log_record_parse(record, headers, n) == 0;
}

static bool
is_passing(rd_kafka_resp_err_t code)
{
    return code != RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET &&
           code != RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE &&
           code != RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART &&
           code != RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION &&
           code != RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED;
}

enum llm_log_got
llm_log_tail_next(struct llm_log_tail *tail, int wait_ms, struct llm_log_item *item)
{
    if (tail->message != NULL) {
        rd_kafka_message_destroy(tail->message);
    }
    tail->message = rd_kafka_consume_queue(tail->queue, wait_ms);
    const rd_kafka_message_t *message = tail->message;
    if (message == NULL) {
        rd_kafka_poll(tail->client, 0);
        return LLM_LOG_GOT_NOTHING;
    }
    *item = (struct llm_log_item){.partition = message->partition, .next = message->offset};
    if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
        return LLM_LOG_GOT_END;
    }
    if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
        item->why = rd_kafka_err2str(message->err);
        return is_passing(message->err) ? LLM_LOG_GOT_OTHER : LLM_LOG_GOT_FAULT;
    }
    item->next++;
    item->message = message;
    return LLM_LOG_GOT_RECORD;
}

bool
llm_log_tail_is_low(struct llm_log_tail *tail)
{
    size_t waits = rd_kafka_queue_length(tail->queue);
    tail->waited = waits > tail->waited ? waits : tail->waited;
    bool low = tail->waited >= MUCH && waits <= tail->waited / 2;
    tail->waited = low ? waits : tail->waited;
    return low;
}
