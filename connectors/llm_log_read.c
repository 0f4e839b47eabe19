/* llm_log_read: see llm_log_read.h: what a record means for the answer, and what its absence. The
 * hub's thread, but where it says otherwise. */
#include "llm_log_read_internal.h"

#include "../gateway/clock.h"
#include "../gateway/mem.h"
#include "../gateway/stream_answers.h"
#include "../gateway/stream_source.h"
#include "llm_event.h"
#include "llm_log_hub.h"
#include "llm_out.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BEGIN_WITHIN_MS (INT64_C(900) * 1000) /* of the request's head: its body comes first */
#define GONE_MS (INT64_C(900) * 1000)         /* of an answer that ended without an end, long ago */
#define FRESH_MS 10000 /* of so young an answer the begin may be on its way */
#define FRESH_WAIT_MS 1000
#define FIND_MS 5000  /* until brokers have told where to begin, and give what is there */
#define TURN_MS 30000 /* until those that are read from elsewhere in its partition are through */
#define SEEN_EVERY_MS 2000            /* see STREAM_SEEN_MS */
#define UNREADABLE_TIMES 4            /* log.silence, in which brokers do not answer */
#define MANY_RECORDS (UINT64_MAX / 4) /* as llm_log_record takes them */

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

void
llm_log_read_show(struct llm_log_reader *reader)
{
    stream_commit(reader->stream);
    reader->room = 0;
}

bool
llm_log_read_has_room(struct llm_log_reader *reader)
{
    reader->room = stream_room(reader->stream);
    return reader->room > 0;
}

/* False: there is none now. It has ended where there never will be. */
static bool
find_room(struct llm_log_reader *reader)
{
    llm_log_read_show(reader);
    if (!llm_log_read_has_room(reader) && stream_is_full(reader->stream)) {
        finish(reader, llm_code_name(LLM_TOO_LARGE), "the answer is larger than generations.bytes");
    }
    return reader->room > 0;
}

static bool
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
    while (reader->room > 0 || find_room(reader)) {
        if (stream_stage(reader->stream, &in, clock_mono_ns()) >= 0) {
            reader->room--;
            return true;
        }
        reader->room = 0;
    }
    return false;
}

/* False: there is no room for it now. */
static bool
take_event(struct llm_log_reader *reader, const struct llm_log_record *record,
    const rd_kafka_message_t *message)
{
    if (!reader->begun || record->n < reader->next) {
        return true;
    }
    if (record->n > reader->next) {
        finish(reader, CONNECTOR_LOG_INCOMPLETE,
            "the gateway that made this answer could not write all of it to the log");
        return true;
    }
    if (record->kind == LLM_LOG_LOST) {
        stream_lost(reader->stream, reader->lane, record->n, 1, "too_large");
    } else if (!stage(reader, record, message)) {
        return reader->ended;
    }
    reader->next++;
    return true;
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
        (void)take_event(reader, record, message);
    } else if (strcmp(record->word, LLM_LOG_DONE) == 0) {
        finish(reader, NULL, NULL);
    } else {
        snprintf(text, sizeof text, "%.*s", (int)(message->len < 150 ? message->len : 150),
            message->payload == NULL ? "" : (const char *)message->payload);
        finish(reader, code_of(record->word), text);
    }
}

bool
llm_log_read_take(struct llm_log_reader *reader, const struct llm_log_record *record,
    const rd_kafka_message_t *message)
{
    bool taken = true;
    switch (record->kind) {
    case LLM_LOG_BEGIN:
        take_begin(reader, record);
        break;
    case LLM_LOG_EVENT:
    case LLM_LOG_LOST:
        taken = take_event(reader, record, message);
        break;
    case LLM_LOG_END:
        take_end(reader, record, message);
        break;
    case LLM_LOG_BEAT:
        break;
    case LLM_LOG_CANCEL: /* they lie in this partition by chance */
    case LLM_LOG_SEEN:
    case LLM_LOG_ALIAS:
        return true;
    }
    reader->heard_ms = now_ms();
    reader->said_ms = rd_kafka_message_timestamp(message, NULL);
    reader->silent_end = -1;
    return taken;
}

/* ---- what is not there ---- */

void
llm_log_read_fail(struct llm_log_reader *reader, const char *why)
{
    finish(reader, CONNECTOR_LOG_UNREADABLE, why);
}

void
llm_log_read_give_up(struct llm_log_reader *reader)
{
    finish(reader, llm_code_name(LLM_CANCELLED), "it is not read here any more");
}

static void
unreadable(struct llm_log_reader *reader)
{
    llm_log_read_fail(reader, "the log of answers cannot be read");
}

static void
not_found(struct llm_log_reader *reader)
{
    finish(reader, CONNECTOR_LOG_NOT_FOUND, "the log has no such answer");
}

static void
lost(struct llm_log_reader *reader)
{
    finish(reader, CONNECTOR_LOG_LOST,
        "the gateway that made this answer is gone: this is as much as it wrote");
}

void
llm_log_read_moved(struct llm_log_reader *reader)
{
    reader->started_ms = reader->heard_ms = now_ms();
    reader->silent_end = -1;
}

/* Its begin is not found yet. */
static void
look_for_begin(struct llm_log_reader *reader, const struct llm_log_sight *sight)
{
    int64_t looked_ms = now_ms() - reader->started_ms;
    if (sight == NULL) {
        bool stands = !reader->waits && now_ms() - reader->moved_ms >= FIND_MS;
        if (looked_ms >= TURN_MS || (looked_ms >= FIND_MS && stands)) {
            unreadable(reader);
        }
    } else if (sight->next >= reader->end) {
        bool young = clock_wall_ms() - reader->begun_ms < FRESH_MS;
        if (!young || looked_ms >= FRESH_WAIT_MS) {
            not_found(reader);
        }
    } else if (sight->latest_ms > reader->begun_ms + BEGIN_WITHIN_MS) {
        not_found(reader); /* it would have come before */
    } else if (looked_ms >= TURN_MS ||
               (looked_ms >= FIND_MS && now_ms() - sight->moved_ms >= FIND_MS)) {
        unreadable(reader);
    }
}

/* Silent is what wrote nothing, not what we have not read: so all is read first that is there.
 * True: where that ends is to be asked. */
static bool
look_for_silence(struct llm_log_reader *reader, const struct llm_log_sight *sight)
{
    int64_t most_ms = (int64_t)llm_log_settings(reader->log)->silence_ms;
    int64_t silent_ms = now_ms() - reader->heard_ms;
    if (silent_ms < most_ms) {
        return false;
    }
    if (reader->silent_end < 0 && sight->end_asked_ms >= reader->heard_ms + most_ms) {
        reader->silent_end = sight->end;
    }
    if (reader->silent_end >= 0 && sight->next >= reader->silent_end) {
        lost(reader);
    } else if (silent_ms >= UNREADABLE_TIMES * most_ms) {
        unreadable(reader);
    }
    return reader->silent_end < 0;
}

/* The same where others are read that wrote long after it: all of it would be there by now, and who
 * waits for another place in the partition need not wait until all is read. */
static void
look_for_absence(struct llm_log_reader *reader, const struct llm_log_sight *sight)
{
    int64_t most_ms = UNREADABLE_TIMES * (int64_t)llm_log_settings(reader->log)->silence_ms;
    int64_t gone_ms = most_ms > GONE_MS ? most_ms : GONE_MS;
    if (sight->latest_ms > reader->said_ms + gone_ms) {
        lost(reader);
    } else if (now_ms() - sight->moved_ms >= most_ms) {
        unreadable(reader);
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

bool
llm_log_read_look(struct llm_log_reader *reader, const struct llm_log_sight *sight)
{
    bool asks = false;
    stream_source_alive(reader->stream);
    if (atomic_load(&reader->stopping)) {
        llm_log_read_give_up(reader);
        return false;
    }
    if (!reader->begun) {
        look_for_begin(reader, sight);
        return false;
    }
    if (sight == NULL) {
        reader->heard_ms = now_ms(); /* what is not read is not silent */
    } else if (sight->past) {
        look_for_absence(reader, sight);
    } else {
        asks = look_for_silence(reader, sight);
    }
    tell_seen(reader);
    return asks;
}

/* ---- life: any thread ---- */

struct llm_log_reader *
llm_log_read_start(struct llm_log *log, struct stream *stream, const char *id, int64_t begun_ms)
{
    struct llm_log_reader *reader = mem_calloc(1, sizeof *reader);
    reader->log = log;
    reader->hub = llm_log_hub(log);
    reader->stream = stream;
    reader->begun_ms = begun_ms;
    reader->started_ms = reader->heard_ms = now_ms();
    reader->silent_end = -1;
    atomic_store(&reader->tell, -1);
    snprintf(reader->id, sizeof reader->id, "%s", id);
    llm_log_hub_join(reader->hub, reader);
    return reader;
}

void
llm_log_read_cancel(struct llm_log_reader *reader)
{
    atomic_store(&reader->stopping, true);
    llm_log_hub_look(reader->hub);
}

void
llm_log_read_stop(struct llm_log_reader *reader)
{
    llm_log_read_cancel(reader);
    llm_log_hub_leave(reader->hub, reader);
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
