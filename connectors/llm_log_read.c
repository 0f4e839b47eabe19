/* llm_log_read: see llm_log_read.h. The reader's own thread, but where it says otherwise. */
#include "llm_log_read.h"

#include "../gateway/clock.h"
#include "../gateway/mem.h"
#include "../gateway/stream_answers.h"
#include "../gateway/stream_source.h"
#include "llm_event.h"
#include "llm_log_tail.h"
#include "llm_out.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define CLOCK_SLACK_MS 10000 /* brokers that stamp records themselves have clocks of their own */
#define BEGIN_WITHIN_MS (INT64_C(900) * 1000) /* of the request's head: its body comes first */
#define FRESH_MS 10000 /* of so young an answer the begin may be on its way */
#define FRESH_WAIT_MS 1000
#define FIND_MS 5000 /* until brokers have told where to begin, and given what is there */
#define WAIT_MS 100
#define SEEN_EVERY_MS 2000 /* see STREAM_SEEN_MS */
#define UNREADABLE_TIMES 4 /* log.silence, in which brokers do not answer */
#define ROOM_REST_NS INT64_C(20000000)
#define MANY_RECORDS (UINT64_MAX / 4) /* as llm_log_record takes them */

struct llm_log_reader {
    struct llm_log *log;
    struct stream *stream;
    char id[LLM_LOG_ID_MAX + 1];
    int64_t begun_ms;
    struct llm_log_tail *tail;
    pthread_t thread;
    atomic_bool stopping;
    atomic_int tell; /* the partition that its gateway reads; negative: none */
    int64_t started_ms;
    bool begun, ended;
    bool reached_end; /* of what was there when it started */
    uint32_t lane;
    uint64_t next; /* n of the next event */
    size_t staged, room;
    int64_t looked_ms;
    int64_t heard_ms;   /* when something of it was read last */
    int64_t silent_end; /* it was silent up to now where this is read; negative: not asked */
    int64_t seen_ms;    /* when its gateway was told so */
};

static int64_t
now_ms(void)
{
    return clock_mono_ns() / 1000000;
}

static void
finish(struct llm_log_reader *reader, const char *code, const char *message)
{
    if (!reader->ended) {
        stream_commit(reader->stream);
        reader->ended = true;
        stream_source_end(reader->stream, code, message);
    }
}

/* ---- what is read ---- */

/* Codes are literals: those that this gateway knows. */
static const char *
code_of(const char *word)
{
    static const char *const others[] = {"shutdown", CONNECTOR_LOG_LOST, "failed"};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        if (strcmp(others[i], word) == 0) {
            return others[i];
        }
    }
    return llm_code_name(llm_code_of_name(word));
}

static const char *
dialect_of(const char *word)
{
    for (size_t i = 0; i < LLM_OUT_COUNT; i++) {
        if (strcmp(llm_out_name(llm_out_dialects[i]), word) == 0) {
            return llm_out_name(llm_out_dialects[i]);
        }
    }
    return NULL;
}

static void
take_begin(struct llm_log_reader *reader, const struct llm_log_record *record)
{
    if (reader->begun) {
        return;
    }
    reader->begun = true;
    atomic_store(&reader->tell, record->tell);
    reader->lane = stream_lane_add(reader->stream, reader->id, 0, 0);
    /* Who comes with a token may have seen more elsewhere than has been read here yet. */
    stream_lane_end(reader->stream, reader->lane, MANY_RECORDS);
    stream_answer_told(reader->stream,
        &(struct stream_told){
            .dialect = dialect_of(record->word), .whole = record->whole, .keeps_raw = record->raw});
    stream_source_up(reader->stream);
}

/* False: it has ended for that. */
static bool
find_room(struct llm_log_reader *reader)
{
    while (reader->room == 0) {
        stream_commit(reader->stream);
        reader->room = stream_room(reader->stream);
        if (reader->room > 0) {
            break;
        }
        if (atomic_load(&reader->stopping)) {
            return false;
        }
        if (stream_is_full(reader->stream)) {
            finish(reader, llm_code_name(LLM_TOO_LARGE),
                "the answer is larger than "
                "generations.bytes");
            return false;
        }
        nanosleep(&(struct timespec){.tv_nsec = ROOM_REST_NS}, NULL);
    }
    return true;
}

static void
stage(struct llm_log_reader *reader, const struct llm_log_record *record,
    const rd_kafka_message_t *message)
{
    const struct record_input in = {.lane = reader->lane,
        .offset = record->n,
        .time_ms = rd_kafka_message_timestamp(message, NULL),
        .type = record->type[0] == '\0' ? NULL : record->type,
        .data = message->payload == NULL ? "" : message->payload,
        .data_len = message->len,
        .views = record->views};
    for (;;) {
        if (!find_room(reader)) {
            return;
        }
        if (stream_stage(reader->stream, &in, clock_mono_ns()) >= 0) {
            break;
        }
        reader->room = 0;
    }
    reader->room--;
}

static void
take_event(struct llm_log_reader *reader, const struct llm_log_record *record,
    const rd_kafka_message_t *message)
{
    if (!reader->begun || record->n < reader->next) {
        return;
    }
    if (record->n > reader->next) {
        finish(reader, CONNECTOR_LOG_INCOMPLETE,
            "the gateway that made this answer could not write all of it to the log");
        return;
    }
    reader->next++;
    if (record->kind == LLM_LOG_EVENT) {
        stage(reader, record, message);
    } else if (find_room(reader)) {
        stream_lost(reader->stream, reader->lane, record->n, 1, "too_large");
        reader->room--;
    }
}

static void
take_end(struct llm_log_reader *reader, const struct llm_log_record *record,
    const rd_kafka_message_t *message)
{
    char text[160];
    if (!reader->begun) {
        return;
    }
    if (record->n > reader->next) {
        take_event(reader, record, message);
    } else if (strcmp(record->word, LLM_LOG_DONE) == 0) {
        finish(reader, NULL, NULL);
    } else {
        snprintf(text, sizeof text, "%.*s", (int)(message->len < 150 ? message->len : 150),
            message->payload == NULL ? "" : (const char *)message->payload);
        finish(reader, code_of(record->word), text);
    }
}

static void
take(struct llm_log_reader *reader, const struct llm_log_item *item)
{
    switch (item->record.kind) {
    case LLM_LOG_BEGIN:
        take_begin(reader, &item->record);
        break;
    case LLM_LOG_EVENT:
    case LLM_LOG_LOST:
        take_event(reader, &item->record, item->message);
        break;
    case LLM_LOG_END:
        take_end(reader, &item->record, item->message);
        break;
    case LLM_LOG_BEAT:
        break;
    case LLM_LOG_CANCEL: /* they lie in this partition by chance */
    case LLM_LOG_SEEN:
        return;
    }
    reader->heard_ms = now_ms();
    reader->silent_end = -1;
}

/* ---- what is not there ---- */

static void
not_found(struct llm_log_reader *reader)
{
    bool fresh = clock_wall_ms() - reader->begun_ms < FRESH_MS;
    if (!fresh || now_ms() - reader->started_ms >= FRESH_WAIT_MS) {
        finish(reader, CONNECTOR_LOG_NOT_FOUND, "the log has no such answer");
    }
}

/* Silent is what wrote nothing, not what we have not read: so all is read first that is there. */
static void
look_for_silence(struct llm_log_reader *reader)
{
    int64_t silent_ms = now_ms() - reader->heard_ms;
    int64_t most_ms = (int64_t)llm_log_settings(reader->log)->silence_ms;
    if (silent_ms < most_ms) {
        return;
    }
    if (reader->silent_end < 0) {
        reader->silent_end = llm_log_tail_end_offset(reader->tail);
    }
    if (reader->silent_end >= 0 && llm_log_tail_next_offset(reader->tail) >= reader->silent_end) {
        finish(reader, CONNECTOR_LOG_LOST,
            "the gateway that made this answer is gone: this is as much as it wrote");
    } else if (silent_ms >= UNREADABLE_TIMES * most_ms) {
        finish(reader, CONNECTOR_LOG_UNREADABLE, "the log of answers cannot be read");
    }
}

static void
tell_seen(struct llm_log_reader *reader)
{
    int32_t tell = atomic_load(&reader->tell);
    if (tell >= 0 && stream_has_subscribers(reader->stream) &&
        now_ms() - reader->seen_ms >= SEEN_EVERY_MS) {
        reader->seen_ms = now_ms();
        llm_log_tell(reader->log, reader->id, LLM_LOG_SEEN, tell);
    }
}

static void
look_around(struct llm_log_reader *reader)
{
    reader->looked_ms = now_ms();
    if (reader->begun) {
        look_for_silence(reader);
        tell_seen(reader);
    } else if (reader->reached_end) {
        not_found(reader);
    } else if (now_ms() - reader->started_ms >= FIND_MS) {
        finish(reader, CONNECTOR_LOG_UNREADABLE, "the log of answers cannot be read");
    }
}

/* ---- the thread ---- */

/* Where it lies. False: that is not to be known. */
static bool
find_place(struct llm_log_reader *reader)
{
    while (!atomic_load(&reader->stopping) && now_ms() - reader->started_ms < FIND_MS) {
        int32_t n = llm_log_tail_partitions(reader->tail);
        if (n > 0 && llm_log_tail_start(reader->tail, llm_log_tail_partition_of(reader->id, n),
                         reader->begun_ms - CLOCK_SLACK_MS) == 0) {
            return true;
        }
        nanosleep(&(struct timespec){.tv_nsec = ROOM_REST_NS}, NULL);
    }
    return false;
}

static void
show(struct llm_log_reader *reader)
{
    stream_commit(reader->stream);
    reader->staged = reader->room = 0;
}

/* Its begin would have come before: what is behind need not be read. */
static bool
is_past(const struct llm_log_reader *reader, const rd_kafka_message_t *message)
{
    return rd_kafka_message_timestamp(message, NULL) > reader->begun_ms + BEGIN_WITHIN_MS;
}

static void
read_one(struct llm_log_reader *reader)
{
    struct llm_log_item item;
    int wait_ms = reader->staged > 0 ? 0 : WAIT_MS;
    enum llm_log_got got = llm_log_tail_next(reader->tail, reader->id, wait_ms, &item);
    switch (got) {
    case LLM_LOG_GOT_RECORD:
        take(reader, &item);
        reader->staged++;
        return;
    case LLM_LOG_GOT_FAULT:
        finish(reader, CONNECTOR_LOG_UNREADABLE, item.why);
        return;
    case LLM_LOG_GOT_END:
        reader->reached_end = true;
        break;
    case LLM_LOG_GOT_OTHER:
        if (!reader->begun && is_past(reader, item.message)) {
            finish(reader, CONNECTOR_LOG_NOT_FOUND, "the log has no such answer");
            return;
        }
        break;
    case LLM_LOG_GOT_NOTHING:
        break;
    }
    show(reader);
    if (now_ms() - reader->looked_ms >= WAIT_MS) {
        look_around(reader);
    }
}

static void *
reader_main(void *reader_)
{
    struct llm_log_reader *reader = reader_;
    if (!find_place(reader)) {
        finish(reader, CONNECTOR_LOG_UNREADABLE, "the log of answers cannot be read");
    }
    while (!reader->ended && !atomic_load(&reader->stopping)) {
        stream_source_alive(reader->stream);
        read_one(reader);
    }
    finish(reader, llm_code_name(LLM_CANCELLED), "it is not read here any more");
    llm_log_tail_close(reader->tail);
    return NULL;
}

struct llm_log_reader *
llm_log_read_start(
    struct llm_log *log, struct stream *stream, const char *id, int64_t begun_ms, struct err *err)
{
    struct llm_log_reader *reader = mem_calloc(1, sizeof *reader);
    reader->log = log;
    reader->stream = stream;
    reader->begun_ms = begun_ms;
    reader->started_ms = reader->heard_ms = now_ms();
    reader->silent_end = -1;
    atomic_store(&reader->tell, -1);
    snprintf(reader->id, sizeof reader->id, "%s", id);
    reader->tail = llm_log_tail_open(llm_log_settings(log), stream_name(stream), err);
    if (reader->tail == NULL) {
        free(reader);
        return NULL;
    }
    int rc = pthread_create(&reader->thread, NULL, reader_main, reader);
    if (rc != 0) {
        err_set_errno(err, rc, "stream %s: the thread of a reader", stream_name(stream));
        llm_log_tail_close(reader->tail);
        free(reader);
        return NULL;
    }
    return reader;
}

void
llm_log_read_cancel(struct llm_log_reader *reader)
{
    atomic_store(&reader->stopping, true);
}

void
llm_log_read_stop(struct llm_log_reader *reader)
{
    atomic_store(&reader->stopping, true);
    pthread_join(reader->thread, NULL);
    free(reader);
}

bool
llm_log_read_tell(struct llm_log_reader *reader)
{
    int32_t tell = atomic_load(&reader->tell);
    if (tell >= 0) {
        llm_log_tell(reader->log, reader->id, LLM_LOG_CANCEL, tell);
    }
    return tell >= 0;
}
