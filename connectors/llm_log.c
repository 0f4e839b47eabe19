/* llm_log: see llm_log.h. Answers are written from the threads of their sources; the producer's
 * thread gives records to librdkafka and has them back; the ear's thread (llm_log_ear.h) tells what
 * others say. */
#include "llm_log.h"

#include "../gateway/clock.h"
#include "../gateway/hash.h"
#include "../gateway/log.h"
#include "../gateway/mem.h"
#include "../gateway/stream.h"
#include "../gateway/stream_answers.h"
#include "kafka_producer.h"
#include "llm_log_ear.h"
#include "llm_log_hub.h"

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#define TAKE_MOST 256
#define BEATS_IN_SILENCE 3
#define LOOK_MS 100

struct item {
    TAILQ_ENTRY(item) link;
    struct llm_log_answer *answer; /* a reference; NULL: it is told to other gateways */
    struct llm_log_record record;
    char id[LLM_LOG_ID_MAX + 1];
    int32_t partition; /* RD_KAFKA_PARTITION_UA: that of the id */
    int64_t time_ms;
    size_t len;
    char data[];
};
TAILQ_HEAD(item_queue, item);

struct llm_log_answer {
    struct llm_log *log;
    LIST_ENTRY(llm_log_answer) link;  /* while it is written */
    LIST_ENTRY(llm_log_answer) by_id; /* then too */
    char id[LLM_LOG_ID_MAX + 1];
    struct stream *stream;
    atomic_uint refs;
    atomic_bool broken; /* a record of it is not in the log */
    bool ended;
    uint64_t next;   /* n of the next event */
    int64_t told_ms; /* log's lock: when something of it was written last, monotonic */
};
LIST_HEAD(answer_list, llm_log_answer);

#define ID_BUCKETS 512

struct llm_log {
    const struct llm_log_settings *settings;
    struct stream *home;
    struct kafka_producer *producer;
    struct llm_log_hub *hub;         /* reads what others made */
    struct llm_log_ear *ear;         /* and what they say */
    struct llm_log_aliases *aliases; /* NULL: answers have no other names */
    atomic_bool failing;             /* said so, and nothing went well since */
    int64_t looked_ms;               /* the producer's: for beats */

    pthread_mutex_t lock;
    struct item_queue queue;
    struct answer_list answers;
    struct answer_list by_id[ID_BUCKETS]; /* the same: others say every 2 s what they see */
    uint64_t bytes;                       /* of items that are not given back yet */
};

static int64_t
now_ms(void)
{
    return clock_mono_ns() / 1000000;
}

static void
answer_unref(struct llm_log_answer *answer)
{
    if (answer != NULL && atomic_fetch_sub(&answer->refs, 1) == 1) {
        free(answer);
    }
}

static void
count(struct llm_log *log, enum stream_log_result result)
{
    stream_answer_logged(log->home, result);
}

/* ---- items ---- */

static uint64_t
charge_of(const struct item *item)
{
    return sizeof *item + item->len + 256; /* headers and malloc's own */
}

static struct item *
item_new(const char *id, const struct llm_log_record *record, const void *data, size_t len)
{
    struct item *item = mem_calloc(1, sizeof *item + len);
    item->record = *record;
    item->partition = RD_KAFKA_PARTITION_UA;
    item->time_ms = clock_wall_ms();
    item->len = len;
    snprintf(item->id, sizeof item->id, "%s", id);
    if (len > 0) {
        memcpy(item->data, data, len);
    }
    return item;
}

static void
item_free(struct llm_log *log, struct item *item)
{
    pthread_mutex_lock(&log->lock);
    log->bytes -= charge_of(item);
    pthread_mutex_unlock(&log->lock);
    answer_unref(item->answer);
    free(item);
}

/* Under the lock. False: there is no room, and it is freed. */
static bool
put_take(struct llm_log *log, struct item *item)
{
    uint64_t charge = charge_of(item);
    if (log->bytes + charge > log->settings->memory_bytes) {
        count(log, STREAM_LOG_DROPPED);
        free(item);
        return false;
    }
    log->bytes += charge;
    TAILQ_INSERT_TAIL(&log->queue, item, link);
    return true;
}

/* What is behind a record that is not in the log is of no use there; its end says how much there
 * should be. */
static bool
is_useless(const struct item *item)
{
    return item->answer != NULL && atomic_load(&item->answer->broken) &&
           item->record.kind != LLM_LOG_END;
}

/* Under the lock. */
static void
write_locked(struct llm_log_answer *answer, const struct llm_log_record *record, const void *data,
    size_t len, int64_t time_ms)
{
    struct item *item = item_new(answer->id, record, data, len);
    item->answer = answer;
    item->time_ms = time_ms;
    if (is_useless(item)) {
        count(answer->log, STREAM_LOG_DROPPED);
        free(item);
    } else if (put_take(answer->log, item)) {
        atomic_fetch_add(&answer->refs, 1);
        answer->told_ms = now_ms();
    } else {
        atomic_store(&answer->broken, true);
    }
}

static void
write_record(struct llm_log_answer *answer, const struct llm_log_record *record, const void *data,
    size_t len, int64_t time_ms)
{
    pthread_mutex_lock(&answer->log->lock);
    write_locked(answer, record, data, len, time_ms);
    pthread_mutex_unlock(&answer->log->lock);
    kafka_producer_wake(answer->log->producer);
}

/* ---- the producer's thread ---- */

static void
fail_take(struct llm_log *log, struct item *item, rd_kafka_resp_err_t code)
{
    count(log, STREAM_LOG_FAILED);
    if (!atomic_exchange(&log->failing, true)) {
        log_event(LOG_WARN, "llm", stream_name(log->home),
            "the log of answers, topic %s, does not take records: %s; answers go on here",
            llm_log_topic(log->settings), rd_kafka_err2str(code));
    }
    if (item->answer != NULL) {
        atomic_store(&item->answer->broken, true);
    }
    item_free(log, item);
}

static void
report(void *log_, const rd_kafka_message_t *message)
{
    struct llm_log *log = log_;
    struct item *item = message->_private;
    if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
        fail_take(log, item, message->err);
        return;
    }
    count(log, STREAM_LOG_WRITTEN);
    if (atomic_exchange(&log->failing, false)) {
        log_event(
            LOG_INFO, "llm", stream_name(log->home), "the log of answers takes records again");
    }
    item_free(log, item);
}

static void
broke(void *log_, const char *text)
{
    struct llm_log *log = log_;
    log_event(LOG_ERROR, "llm", stream_name(log->home),
        "the producer of the log failed and is made again: %s", text);
}

static rd_kafka_conf_t *
make_conf(void *log_, struct err *err)
{
    const struct llm_log *log = log_;
    struct push_kafka_settings kafka;
    llm_log_kafka(log->settings, &kafka);
    return push_settings_producer_conf(
        &kafka, stream_name(log->home), stream_max_record_bytes(log->home), err);
}

static rd_kafka_resp_err_t
produce_item(const struct llm_log *log, rd_kafka_t *client, struct item *item)
{
    rd_kafka_headers_t *headers = llm_log_record_headers(&item->record, stream_name(log->home));
    const rd_kafka_vu_t parts[] = {
        {.vtype = RD_KAFKA_VTYPE_TOPIC, .u.cstr = llm_log_topic(log->settings)},
        {.vtype = RD_KAFKA_VTYPE_PARTITION, .u.i32 = item->partition},
        {.vtype = RD_KAFKA_VTYPE_KEY, .u.mem = {item->id, strlen(item->id)}},
        {.vtype = RD_KAFKA_VTYPE_VALUE, .u.mem = {item->data, item->len}}, /* not copied */
        {.vtype = RD_KAFKA_VTYPE_TIMESTAMP, .u.i64 = item->time_ms},
        {.vtype = RD_KAFKA_VTYPE_HEADERS, .u.headers = headers},
        {.vtype = RD_KAFKA_VTYPE_OPAQUE, .u.ptr = item},
    };
    rd_kafka_error_t *error = rd_kafka_produceva(client, parts, sizeof parts / sizeof *parts);
    rd_kafka_resp_err_t code =
        error == NULL ? RD_KAFKA_RESP_ERR_NO_ERROR : rd_kafka_error_code(error);
    if (error != NULL) {
        rd_kafka_headers_destroy(headers);
        rd_kafka_error_destroy(error);
    }
    return code;
}

static void
beat(struct llm_log *log)
{
    static const struct llm_log_record record = {.kind = LLM_LOG_BEAT};
    int64_t now = now_ms();
    int64_t every_ms = (int64_t)log->settings->silence_ms / BEATS_IN_SILENCE;
    if (now - log->looked_ms < LOOK_MS) {
        return;
    }
    log->looked_ms = now;
    struct llm_log_answer *answer;
    pthread_mutex_lock(&log->lock);
    LIST_FOREACH(answer, &log->answers, link)
    {
        if (now - answer->told_ms >= every_ms && !atomic_load(&answer->broken)) {
            write_locked(answer, &record, NULL, 0, clock_wall_ms());
        }
    }
    pthread_mutex_unlock(&log->lock);
}

/* At most TAKE_MOST. */
static size_t
take_items(struct llm_log *log, struct item **taken)
{
    size_t n = 0;
    pthread_mutex_lock(&log->lock);
    while (n < TAKE_MOST && !TAILQ_EMPTY(&log->queue)) {
        taken[n] = TAILQ_FIRST(&log->queue);
        TAILQ_REMOVE(&log->queue, taken[n], link);
        n++;
    }
    pthread_mutex_unlock(&log->lock);
    return n;
}

static void
give_back(struct llm_log *log, struct item **taken, size_t n)
{
    pthread_mutex_lock(&log->lock);
    while (n > 0) {
        n--;
        TAILQ_INSERT_HEAD(&log->queue, taken[n], link);
    }
    pthread_mutex_unlock(&log->lock);
}

/* False: the client has no room, and the item is still ours. */
static bool
produce_take(struct llm_log *log, rd_kafka_t *client, struct item *item)
{
    if (is_useless(item)) {
        count(log, STREAM_LOG_DROPPED);
        item_free(log, item);
        return true;
    }
    rd_kafka_resp_err_t code = produce_item(log, client, item);
    if (code == RD_KAFKA_RESP_ERR__QUEUE_FULL) {
        return false;
    }
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
        fail_take(log, item, code);
    }
    return true;
}

static bool
produce_some(void *log_, rd_kafka_t *client)
{
    struct llm_log *log = log_;
    struct item *taken[TAKE_MOST];
    beat(log);
    size_t done = 0, n = take_items(log, taken);
    while (done < n && produce_take(log, client, taken[done])) {
        done++;
    }
    if (n > 0) {
        rd_kafka_flush(client, 0); /* as in push_producer.c: to flush wakes its broker thread */
    }
    give_back(log, taken + done, n - done);
    return n == TAKE_MOST && done == n;
}

/* ---- what others say ---- */

static struct answer_list *
bucket_of(struct llm_log *log, const void *id, size_t len)
{
    return &log->by_id[hash_fnv1a(id, len) % ID_BUCKETS];
}

static void
hear(void *log_, const void *id, size_t len, enum llm_log_kind kind)
{
    struct llm_log *log = log_;
    struct llm_log_answer *answer;
    pthread_mutex_lock(&log->lock);
    LIST_FOREACH(answer, bucket_of(log, id, len), by_id)
    {
        if (strlen(answer->id) == len && memcmp(answer->id, id, len) == 0) {
            if (kind == LLM_LOG_CANCEL) {
                stream_cancel_as(answer->stream, STREAM_CANCELLED, "the answer was cancelled");
            } else {
                stream_answer_seen(answer->stream);
            }
        }
    }
    pthread_mutex_unlock(&log->lock);
}

/* ---- life ---- */

static void
log_free(struct llm_log *log)
{
    llm_log_aliases_free(log->aliases);
    pthread_mutex_destroy(&log->lock);
    free(log);
}

struct llm_log *
llm_log_start(
    const struct llm_log_settings *settings, struct stream *home, bool has_aliases, struct err *err)
{
    const struct kafka_producer_user user = {.conf = make_conf,
        .produce = produce_some,
        .report = report,
        .broke = broke,
        .component = "llm",
        .name = stream_name(home)};
    struct llm_log *log = mem_calloc(1, sizeof *log);
    log->settings = settings;
    log->home = home;
    TAILQ_INIT(&log->queue);
    LIST_INIT(&log->answers);
    pthread_mutex_init(&log->lock, NULL);
    log->aliases = has_aliases ? llm_log_aliases_new((size_t)settings->aliases) : NULL;
    log->producer = kafka_producer_start(&user, log, err);
    if (log->producer == NULL) {
        log_free(log);
        return NULL;
    }
    log->hub = llm_log_hub_start(settings, home, err);
    if (log->hub == NULL) {
        goto fail;
    }
    log->ear = llm_log_ear_start(
        &(struct llm_log_ear_user){
            .settings = settings, .home = home, .aliases = log->aliases, .hear = hear, .self = log},
        err);
    if (log->ear == NULL) {
        goto fail;
    }
    return log;
fail:
    llm_log_hub_stop(log->hub);
    kafka_producer_halt(log->producer);
    kafka_producer_stop(log->producer);
    log_free(log);
    return NULL;
}

void
llm_log_stop(struct llm_log *log)
{
    struct item *left[TAKE_MOST];
    size_t n;
    assert(LIST_EMPTY(&log->answers));
    kafka_producer_halt(log->producer);
    llm_log_hub_stop(log->hub);
    llm_log_ear_stop(log->ear);
    kafka_producer_stop(log->producer);
    while ((n = take_items(log, left)) > 0) { /* the client could not be made again */
        for (size_t i = 0; i < n; i++) {
            item_free(log, left[i]);
        }
    }
    log_free(log);
}

const struct llm_log_settings *
llm_log_settings(const struct llm_log *log)
{
    return log->settings;
}

struct llm_log_hub *
llm_log_hub(const struct llm_log *log)
{
    return log->hub;
}

struct llm_log_answer *
llm_log_begin(struct llm_log *log, struct stream *stream, const char *id, const char *dialect,
    bool whole, bool raw)
{
    struct llm_log_record record = {
        .kind = LLM_LOG_BEGIN, .whole = whole, .raw = raw, .tell = llm_log_ear_partition(log->ear)};
    struct llm_log_answer *answer = mem_calloc(1, sizeof *answer);
    snprintf(record.word, sizeof record.word, "%s", dialect == NULL ? "" : dialect);
    snprintf(answer->id, sizeof answer->id, "%s", id);
    answer->log = log;
    answer->stream = stream;
    atomic_store(&answer->refs, 1);
    pthread_mutex_lock(&log->lock);
    LIST_INSERT_HEAD(&log->answers, answer, link);
    LIST_INSERT_HEAD(bucket_of(log, answer->id, strlen(answer->id)), answer, by_id);
    pthread_mutex_unlock(&log->lock);
    write_record(answer, &record, NULL, 0, clock_wall_ms());
    return answer;
}

void
llm_log_event(struct llm_log_answer *answer, const struct record_input *in)
{
    bool lost = in->data_len > stream_max_record_bytes(answer->stream);
    struct llm_log_record record = {
        .kind = lost ? LLM_LOG_LOST : LLM_LOG_EVENT, .n = in->offset, .views = in->views};
    snprintf(record.type, sizeof record.type, "%s", in->type == NULL ? "" : in->type);
    answer->next = in->offset + 1;
    write_record(answer, &record, in->data, lost ? 0 : in->data_len, in->time_ms);
}

void
llm_log_end(struct llm_log_answer *answer, const char *code, const char *message)
{
    struct llm_log_record record = {.kind = LLM_LOG_END, .n = answer->next};
    if (answer->ended) {
        return;
    }
    answer->ended = true;
    snprintf(record.word, sizeof record.word, "%s", code == NULL ? LLM_LOG_DONE : code);
    pthread_mutex_lock(&answer->log->lock);
    LIST_REMOVE(answer, link);
    LIST_REMOVE(answer, by_id);
    pthread_mutex_unlock(&answer->log->lock);
    write_record(answer, &record, message, message == NULL ? 0 : strlen(message), clock_wall_ms());
}

void
llm_log_leave(struct llm_log_answer *answer)
{
    if (answer != NULL) {
        llm_log_end(answer, "shutdown", "the gateway went away in the middle of this answer");
        answer_unref(answer);
    }
}

/* It is of no answer's row of records: where it is lost, nothing else is. */
static void
tell(struct llm_log *log, const char *id, enum llm_log_kind kind, int32_t partition,
    const char *text)
{
    struct item *item =
        item_new(id, &(struct llm_log_record){.kind = kind, .tell = -1}, text, strlen(text));
    item->partition = partition;
    pthread_mutex_lock(&log->lock);
    (void)put_take(log, item);
    pthread_mutex_unlock(&log->lock);
    kafka_producer_wake(log->producer);
}

void
llm_log_tell(struct llm_log *log, const char *id, enum llm_log_kind kind, int32_t partition)
{
    tell(log, id, kind, partition, "");
}

void
llm_log_alias(struct llm_log_answer *answer, const char *alias)
{
    size_t len = strlen(alias);
    if (len > 0 && len <= STREAM_ALIAS_MAX) {
        tell(answer->log, answer->id, LLM_LOG_ALIAS, LLM_LOG_EAR_PARTITION, alias);
    }
}

enum connector_alias
llm_log_find_alias(struct llm_log *log, const char *alias, char *id, size_t size)
{
    if (log->aliases == NULL || strlen(alias) > STREAM_ALIAS_MAX) {
        return CONNECTOR_ALIAS_NONE;
    }
    bool complete = llm_log_ear_is_complete(log->ear); /* first: what it was told then is there */
    return llm_log_aliases_find(log->aliases, alias, id, size) ? CONNECTOR_ALIAS_FOUND
           : complete                                          ? CONNECTOR_ALIAS_UNKNOWN
                                                               : CONNECTOR_ALIAS_UNREAD;
}
