/* llm_publish: see llm_publish.h. */
#include "llm_publish.h"

#include "../gateway/clock.h"
#include "../gateway/record_type.h"
#include "../gateway/stream.h"
#include "../gateway/stream_answers.h"
#include "../gateway/stream_source.h"

#include <string.h>

#define OVER_TOKENS "the answer has more tokens than generations.max_tokens"

/* Does the model write something with it? Not where a call is said once more, whole. */
static bool
is_piece(const struct llm_event *event)
{
    bool call = event->kind == LLM_TOOL_CALL;
    struct llm_value object = {event->json, event->len};
    return (call || event->kind == LLM_TEXT || event->kind == LLM_THINKING) &&
           llm_json_inside(llm_json_get(object, call ? "delta" : "text")).len > 0;
}

static void
count(struct llm_http_user *user, const struct llm_event *event, bool piece)
{
    bool own =
        event->kind == LLM_TEXT || event->kind == LLM_THINKING || event->kind == LLM_TOOL_CALL;
    if (own && user->first_ns == 0) {
        user->first_ns = clock_mono_ns();
        stream_answer_first(user->stream, user->first_ns - user->asked_ns);
    }
    user->tokens += piece;
    if (event->kind == LLM_USAGE) {
        const struct llm_usage *usage = llm_usage_of(user->decoder);
        stream_answer_tokens(user->stream, user->routes[user->target].label,
            usage->has_input ? usage->input : 0, usage->has_output ? usage->output : 0);
        if (user->first_ns != 0 && usage->has_output && usage->output > 1) {
            stream_answer_pace(
                user->stream, (clock_mono_ns() - user->first_ns) / (int64_t)(usage->output - 1));
        }
    }
}

/* The place that says what a record of an answer is. */
static bool
stage(struct llm_http_user *user, unsigned views, const char *type, const char *data, size_t len)
{
    bool several = user->out != NULL || user->whole != NULL || user->raw_views != 0;
    struct record_input in = {.lane = user->lane,
        .offset = user->offset,
        .time_ms = user->log == NULL ? -1 : clock_wall_ms(), /* the same at every gateway */
        .type = type,
        .data = data,
        .data_len = len,
        .is_json_line = views == RECORD_VIEW_EVENTS, /* of our making */
        .views = several ? views : 0};
    if (user->room == 0 || stream_stage(user->stream, &in, clock_mono_ns()) < 0) {
        return false;
    }
    if (user->log != NULL) {
        llm_log_event(user->log, &in);
    }
    user->room--;
    user->offset++;
    return true;
}

/* A chunk of usage alone, which we asked for. */
static bool
is_usage_chunk(const struct llm_event *event)
{
    struct llm_value chunk = llm_json_root(event->json, event->len);
    struct llm_value choices = llm_json_get(chunk, "choices");
    return llm_json_is_array(choices) && choices.len == strlen("[]") &&
           llm_json_is_object(llm_json_get(chunk, "usage"));
}

static bool
stage_raw(struct llm_http_user *user, const struct llm_event *event)
{
    char type[RECORD_TYPE_MAX + 1] = "";
    unsigned views = user->raw_views;
    if (user->drops_usage && is_usage_chunk(event)) {
        views &= ~RECORD_VIEW_CLIENT;
    }
    if (event->name != NULL && record_type_fault(event->name, event->name_len) == NULL) {
        memcpy(type, event->name, event->name_len);
        type[event->name_len] = '\0';
    }
    return views == 0 || stage(user, views, type[0] == '\0' ? NULL : type, event->json, event->len);
}

/* What the client is to be given is larger than a record may be. */
static bool
is_over(const struct llm_http_user *user)
{
    return (user->out != NULL && llm_out_is_over(user->out)) ||
           (user->whole != NULL && (llm_whole_is_over(user->whole) ||
                                       user->object.len > stream_max_record_bytes(user->stream)));
}

/* What is left to be told of the events so far to who does not read them as they came. */
static bool
stage_wires(struct llm_http_user *user)
{
    struct llm_wire wire;
    while (user->out != NULL && llm_out_peek(user->out, &wire)) {
        if (!stage(user, RECORD_VIEW_CLIENT, wire.name, wire.data, wire.len)) {
            return false;
        }
        llm_out_take(user->out);
    }
    if (user->object.len > 0 && !is_over(user)) {
        if (!stage(user, RECORD_VIEW_CLIENT, NULL, user->object.bytes, user->object.len)) {
            return false;
        }
        user->object.len = 0;
    }
    return true;
}

/* The answer is whole: of the two objects the one that has all of it. */
static void
choose_object(struct llm_http_user *user)
{
    if (llm_whole_says(user->whole) || user->tokens == 0) {
        llm_whole_add(user->whole, &user->object);
        llm_out_free(user->out);
        user->out = NULL;
    }
}

/* What an event means to who does not read it as it is. */
static void
take_for_client(struct llm_http_user *user, const struct llm_event *event)
{
    if (user->whole != NULL && event->kind == LLM_RAW) {
        llm_whole_event(user->whole, event);
    } else if (user->whole != NULL && event->kind == LLM_DONE) {
        choose_object(user);
    }
    if (user->out != NULL) {
        llm_out_event(user->out, event);
    }
}

/* The upstream's own id for the answer, by which the SDK asks for it again: it is what the client
 * of an answer that passes on as it came knows. */
static void
tell_alias(struct llm_http_user *user, const struct llm_event *event)
{
    struct llm_value root = {event->json, event->len};
    struct buf id;
    buf_init(&id);
    llm_json_text(&id, llm_json_inside(llm_json_get(root, "upstream_id")));
    buf_addc(&id, '\0');
    stream_source_alias(user->stream, id.bytes);
    if (user->log != NULL) {
        llm_log_alias(user->log, id.bytes);
    }
    buf_fini(&id);
}

/* One event of the decoder's; false: there is no room for it. */
static bool
stage_event(struct llm_http_user *user, const struct llm_event *event)
{
    bool staged = event->kind == LLM_RAW ? stage_raw(user, event)
                  : event->kind == LLM_FAILED /* that is how the stream ends, not what is in it */
                      ? true
                      : stage(user, RECORD_VIEW_EVENTS, NULL, event->json, event->len);
    if (staged) {
        if (event->kind == LLM_START && user->reader.dialect == &llm_out_responses &&
            user->routes[user->target].same) {
            tell_alias(user, event);
        }
        take_for_client(user, event);
    }
    return staged;
}

/* To the stream, and to the log as the stream then has it. */
static void
end(struct llm_http_user *user, const char *code, const char *message)
{
    struct stream_outcome outcome;
    user->ended = true;
    stream_source_end(user->stream, code, message);
    if (user->log != NULL) {
        stream_outcome(user->stream, &outcome);
        llm_log_end(user->log, outcome.code, outcome.message);
    }
}

static void
tell_end(struct llm_http_user *user)
{
    enum llm_code code = user->over ? LLM_TOO_LARGE : llm_decoder_code(user->decoder);
    const char *message = user->over ? OVER_TOKENS : llm_decoder_message(user->decoder);
    bool good = message[0] == '\0';
    end(user, good ? NULL : llm_code_name(code), good ? NULL : message);
}

void
llm_publish_failure(struct llm_http_user *user, enum llm_code code, const char *message)
{
    end(user, llm_code_name(code), message);
}

/* Would there be too many tokens with another piece? What an upstream has told of them at its end
 * changes nothing any more. */
static bool
goes_over(const struct llm_http_user *user)
{
    const struct llm_usage *usage = llm_usage_of(user->decoder);
    uint64_t told = usage->has_output && !llm_decoder_ended(user->decoder) ? usage->output : 0;
    uint64_t counted = user->tokens + 1;
    return (counted > told ? counted : told) > stream_max_tokens(user->stream);
}

/* The next event that is to be told, and whether the model writes something with it. */
static bool
peek(struct llm_http_user *user, struct llm_event *event, bool *piece)
{
    while (llm_decoder_peek(user->decoder, event)) {
        *piece = is_piece(event);
        if (!user->over && *piece && goes_over(user)) {
            user->over = true;
            llm_decoder_fail(user->decoder, LLM_TOO_LARGE, OVER_TOKENS);
        } else if (!user->over || event->kind == LLM_USAGE) {
            return true;
        } else {
            llm_decoder_take(user->decoder);
        }
    }
    return false;
}

enum llm_http_more
llm_publish(struct llm_http_user *user)
{
    struct llm_event event;
    bool piece;
    user->room = stream_room(user->stream);
    bool full = !stage_wires(user);
    while (!full && peek(user, &event, &piece)) {
        full = !stage_event(user, &event);
        if (!full) {
            count(user, &event, piece);
            llm_decoder_take(user->decoder);
            full = !stage_wires(user);
        }
    }
    stream_commit(user->stream);
    if (full && !stream_is_full(user->stream)) {
        (void)stream_room(user->stream); /* who finds none is woken when there is some again */
        return LLM_HTTP_FULL;
    }
    if (full && !user->ended) {
        llm_publish_failure(user, LLM_TOO_LARGE, "the answer is larger than generations.bytes");
    }
    if (is_over(user) && !user->ended) {
        llm_publish_failure(user, LLM_TOO_LARGE, "the answer is larger than max_record");
    }
    if (llm_decoder_ended(user->decoder) && !user->ended) {
        tell_end(user);
    }
    return user->ended ? LLM_HTTP_ENOUGH : LLM_HTTP_MORE;
}

/* What the client reads: what comes from the upstream, or what is made of it. */
void
llm_publish_begin(struct llm_http_user *user, bool same)
{
    const struct llm_reader *reader = &user->reader;
    bool passes = same && !reader->whole;
    user->raw_views =
        (user->keeps_raw ? RECORD_VIEW_UPSTREAM : 0) | (passes ? RECORD_VIEW_CLIENT : 0);
    user->drops_usage = passes && reader->dialect == &llm_out_openai && !reader->usage_chunk;
    if (same && reader->whole) {
        user->whole = llm_whole_new(llm_dialects[user->routes[user->target].upstream->dialect],
            stream_max_record_bytes(user->stream));
    }
    if (user->raw_views != 0 || user->whole != NULL) {
        llm_decoder_keep_raw(user->decoder);
    }
    /* Of a response both: its last event may not have what was written (llm_whole_says). */
    bool made = user->whole == NULL || reader->dialect == &llm_out_responses;
    if (reader->dialect != NULL && !passes && made) {
        user->out =
            llm_out_new(reader->dialect, &(struct llm_out_options){.whole = reader->whole,
                                             .usage_chunk = reader->usage_chunk,
                                             .created_s = reader->created_s,
                                             .id = reader->id,
                                             .max_bytes = stream_max_record_bytes(user->stream)});
    }
}
