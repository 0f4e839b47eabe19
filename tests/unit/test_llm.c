/* The source of models with a fake stream, against upstreams whose every byte is scripted. */
#include "unit.h"

#include "../../connectors/connector.h"
#include "../../connectors/llm_settings.h"
#include "../../gateway/buf.h"
#include "../../gateway/mem.h"
#include "../../gateway/record.h"
#include "fake_stream.h"
#include "llm_server.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define SECONDS 60
#define BIG_ROOM 1000

extern const struct connector llm_connector;

#define SCRIPT(text, step_, then_)                                                                 \
    {                                                                                              \
        .bytes = (text), .len = sizeof(text) - 1, .step = (step_), .then = (then_)                 \
    }
#define SSE_HEAD "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
#define OPENAI_START                                                                               \
    "data: "                                                                                       \
    "{\"id\":\"c1\",\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\","  \
    "\"content\":\"\"}}]}\n\n"
#define OPENAI_TEXT(text)                                                                          \
    "data: {\"id\":\"c1\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"" text "\"}}]}\n\n"
#define OPENAI_END                                                                                 \
    "data: {\"id\":\"c1\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}],"    \
    "\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":2}}\n\ndata: [DONE]\n\n"
#define OPENAI_ANSWER SSE_HEAD OPENAI_START OPENAI_TEXT("Hel") OPENAI_TEXT("lo") OPENAI_END

static struct llm_settings settings;
static struct llm_upstream upstreams[3];

static void
set_upstream(size_t i, const char *name, int dialect, const char *url)
{
    upstreams[i] = (struct llm_upstream){.dialect = dialect, .key = mem_strdup("key-1")};
    upstreams[i].name = mem_strdup(name);
    upstreams[i].base_url = mem_strdup(url);
    settings.upstreams.n = i + 1;
}

static void
setup(void)
{
    unsetenv("http_proxy"); /* of whoever runs the tests */
    unsetenv("all_proxy");
    unsetenv("ALL_PROXY");
    settings = (struct llm_settings){.upstreams = {.items = upstreams},
        .connect_ms = 10000,
        .first_byte_ms = 60000,
        .idle_ms = 60000,
        .total_ms = 600000,
        .retries = 1,
        .backoff_ms = 1,
        .backoff_most_ms = 1,
        .wait_most_ms = 1000,
        .max_tokens = 77,
        .max_event_bytes = 1 << 20,
        .max_answer_bytes = 1 << 20,
        .max_request_bytes = 10000,
        .requests = 2};
}

static void
teardown(void)
{
    for (size_t i = 0; i < settings.upstreams.n; i++) {
        free(upstreams[i].name);
        free(upstreams[i].base_url);
        free(upstreams[i].key);
    }
}

static struct source *
start_body(struct stream *stream, const char *body, struct err *err)
{
    struct replay replay = {.kind = REPLAY_LATEST, .body = body, .body_len = strlen(body)};
    return llm_connector.start(&settings, stream, &replay, err);
}

static struct source *
start(struct stream *stream)
{
    struct err err = {0};
    struct source *source = start_body(
        stream, "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"Hi\"}]}", &err);
    ck_assert_msg(source != NULL, "%s", err.text);
    return source;
}

static void
check_record(struct stream *stream, size_t i, const char *wanted)
{
    ck_assert_uint_lt(i, fake_stream_count(stream));
    const struct fake_record *record = fake_stream_record(stream, i);
    ck_assert_str_eq(record->data, wanted);
    ck_assert_uint_eq(record->offset, i);
}

static void
check_openai_answer(struct stream *stream)
{
    ck_assert_uint_eq(fake_stream_count(stream), 5);
    check_record(stream, 0, "{\"type\":\"start\",\"model\":\"m\",\"upstream_id\":\"c1\"}");
    check_record(stream, 1, "{\"type\":\"text\",\"text\":\"Hel\"}");
    check_record(stream, 2, "{\"type\":\"text\",\"text\":\"lo\"}");
    check_record(
        stream, 3, "{\"type\":\"usage\",\"exact\":true,\"input_tokens\":3,\"output_tokens\":2}");
    check_record(stream, 4, "{\"type\":\"done\",\"reason\":\"stop\",\"upstream_reason\":\"stop\"}");
}

START_TEST(an_answer_is_a_stream_that_ends)
{
    static const struct llm_script script = SCRIPT(OPENAI_ANSWER, 7, LLM_THEN_CLOSE);
    setup();
    struct llm_server *server = llm_server_new(&script, 1, false);
    struct stream *stream = fake_stream_new(BIG_ROOM, 1 << 20);
    set_upstream(0, "one", 1, llm_server_url(server));
    struct source *source = start(stream);
    struct fake_outcome outcome = fake_stream_wait_outcome(stream, SECONDS);
    ck_assert(outcome.ended);
    ck_assert_ptr_null(outcome.failure);
    ck_assert(fake_stream_is_up(stream));
    check_openai_answer(stream);
    const char *request = llm_server_request(server, 0);
    ck_assert_ptr_nonnull(strstr(request, "POST /chat/completions HTTP/1.1\r\n"));
    ck_assert_ptr_nonnull(strstr(request, "\r\nAuthorization: Bearer key-1\r\n"));
    ck_assert_ptr_nonnull(strstr(request, "\"messages\":[{\"role\":\"user\",\"content\":\"Hi\"}]"));
    llm_connector.stop(source);
    ck_assert(!fake_stream_disorder(stream));
    fake_stream_free(stream);
    llm_server_free(server);
    teardown();
}
END_TEST

/* Records of one view of an answer that an SDK asked for: their names and data, a line each. */
static void
check_view(struct stream *stream, unsigned view, const char *wanted)
{
    struct buf lines;
    buf_init(&lines);
    for (size_t i = 0; i < fake_stream_count(stream); i++) {
        const struct fake_record *record = fake_stream_record(stream, i);
        ck_assert_uint_ne(record->views, 0);
        if ((record->views & view) != 0) {
            buf_addf(&lines, "%s %s\n", record->type, record->data);
        }
    }
    buf_addc(&lines, '\0');
    ck_assert_str_eq(lines.bytes, wanted);
    buf_fini(&lines);
}

/* Asked as an SDK asks, with one record of room at a time: what its view is, and all of it is
 * there.
 */
static void
check_sdk(const char *dialect, bool whole, bool raw, unsigned view, const char *wanted)
{
    static const char body[] = "{\"model\":\"m\",\"max_tokens\":9,\"stream\":true,\"messages\":"
                               "[{\"role\":\"user\",\"content\":\"Hi\"}]}";
    static const struct llm_script script = SCRIPT(OPENAI_ANSWER, 0, LLM_THEN_CLOSE);
    struct err err = {0};
    setup();
    struct llm_server *server = llm_server_new(&script, 1, false);
    struct stream *stream = fake_stream_new(1, 1 << 20);
    set_upstream(0, "one", 1, llm_server_url(server));
    const struct replay replay = {.kind = REPLAY_EARLIEST,
        .body = body,
        .body_len = sizeof body - 1,
        .name = "N",
        .dialect = dialect,
        .whole = whole,
        .keeps_raw = raw};
    struct source *source = llm_connector.start(&settings, stream, &replay, &err);
    ck_assert_msg(source != NULL, "%s", err.text);
    struct fake_outcome outcome = fake_stream_wait_outcome(stream, SECONDS);
    ck_assert(outcome.ended && outcome.failure == NULL);
    check_view(stream, RECORD_VIEW_EVENTS,
        " {\"type\":\"start\",\"model\":\"m\",\"upstream_id\":\"c1\"}\n"
        " {\"type\":\"text\",\"text\":\"Hel\"}\n {\"type\":\"text\",\"text\":\"lo\"}\n"
        " {\"type\":\"usage\",\"exact\":true,\"input_tokens\":3,\"output_tokens\":2}\n"
        " {\"type\":\"done\",\"reason\":\"stop\",\"upstream_reason\":\"stop\"}\n");
    check_view(stream, view, wanted);
    ck_assert(!fake_stream_disorder(stream));
    llm_connector.stop(source);
    fake_stream_free(stream);
    llm_server_free(server);
    teardown();
}

#define CAME                                                                                       \
    " {\"id\":\"c1\",\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{\"role\":"               \
    "\"assistant\",\"content\":\"\"}}]}\n"                                                         \
    " {\"id\":\"c1\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hel\"}}]}\n"               \
    " {\"id\":\"c1\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"lo\"}}]}\n"                \
    " {\"id\":\"c1\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}],"         \
    "\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":2}}\n [DONE]\n"

START_TEST(an_sdk_reads_what_came_or_what_is_made_of_it)
{
    check_sdk("openai", false, false, RECORD_VIEW_CLIENT, CAME);
    check_sdk("anthropic", false, true, RECORD_VIEW_UPSTREAM, CAME);
    check_sdk("anthropic", false, false, RECORD_VIEW_CLIENT,
        "message_start {\"type\":\"message_start\",\"message\":{\"id\":\"msg_N\",\"type\":"
        "\"message\",\"role\":\"assistant\",\"model\":\"m\",\"content\":[],\"stop_reason\":null,"
        "\"stop_sequence\":null,\"usage\":{\"input_tokens\":0,\"output_tokens\":0}}}\n"
        "content_block_start {\"type\":\"content_block_start\",\"index\":0,\"content_block\":"
        "{\"type\":\"text\",\"text\":\"\"}}\n"
        "content_block_delta {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":"
        "\"text_delta\",\"text\":\"Hel\"}}\n"
        "content_block_delta {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":"
        "\"text_delta\",\"text\":\"lo\"}}\n"
        "content_block_stop {\"type\":\"content_block_stop\",\"index\":0}\n"
        "message_delta {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\","
        "\"stop_sequence\":null},\"usage\":{\"output_tokens\":2,\"input_tokens\":3,"
        "\"cache_read_input_tokens\":0,\"cache_creation_input_tokens\":0}}\n"
        "message_stop {\"type\":\"message_stop\"}\n");
    check_sdk("anthropic", true, false, RECORD_VIEW_CLIENT,
        " {\"id\":\"msg_N\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"m\","
        "\"content\":"
        "[{\"type\":\"text\",\"text\":\"Hello\"}],\"stop_reason\":\"end_turn\",\"stop_sequence\":"
        "null,\"usage\":{\"output_tokens\":2,\"input_tokens\":3,\"cache_read_input_tokens\":0,"
        "\"cache_creation_input_tokens\":0}}\n");
}
END_TEST

/* One record of room at a time, and times without any: the fake stream says if that is passed. */
START_TEST(an_answer_waits_for_room)
{
    static const struct llm_script script = SCRIPT(OPENAI_ANSWER, 0, LLM_THEN_CLOSE);
    setup();
    struct llm_server *server = llm_server_new(&script, 1, false);
    struct stream *stream = fake_stream_new(1, 1 << 20);
    set_upstream(0, "one", 1, llm_server_url(server));
    struct source *source = start(stream);
    for (size_t i = 1; i <= 5; i++) {
        ck_assert(fake_stream_wait(stream, fake_stream_count, i, SECONDS));
        fake_stream_set_room(stream, 0);
        usleep(20000);
        fake_stream_set_room(stream, 1);
        llm_connector.wake(source);
    }
    ck_assert(fake_stream_wait_outcome(stream, SECONDS).ended);
    check_openai_answer(stream);
    ck_assert(!fake_stream_disorder(stream));
    llm_connector.stop(source);
    fake_stream_free(stream);
    llm_server_free(server);
    teardown();
}
END_TEST

static void
check_failure(const struct llm_script *script, const char *code, size_t records, const char *last)
{
    setup();
    struct llm_server *server = llm_server_new(script, 1, false);
    struct stream *stream = fake_stream_new(BIG_ROOM, 1 << 20);
    set_upstream(0, "one", 1, llm_server_url(server));
    struct source *source = start(stream);
    struct fake_outcome outcome = fake_stream_wait_outcome(stream, SECONDS);
    ck_assert(outcome.ended);
    ck_assert_str_eq(outcome.failure, code);
    ck_assert_uint_eq(fake_stream_count(stream), records);
    if (last != NULL) {
        check_record(stream, records - 1, last);
    }
    llm_connector.stop(source);
    fake_stream_free(stream);
    llm_server_free(server);
    teardown();
}

START_TEST(a_failure_is_the_end_of_the_stream_with_what_was_used)
{
    static const struct llm_script scripts[] = {
        SCRIPT("HTTP/1.1 429 x\r\nretry-after: 9\r\nContent-Length: 0\r\n\r\n", 0, LLM_THEN_CLOSE),
        SCRIPT(SSE_HEAD OPENAI_START OPENAI_TEXT("Hel"), 0, LLM_THEN_CLOSE),
        SCRIPT(SSE_HEAD OPENAI_START "data: {\"error\":{\"message\":\"m\",\"code\":503}}\n\n", 0,
            LLM_THEN_STALL),
        SCRIPT("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 1\r\n\r\nx", 0,
            LLM_THEN_CLOSE),
    };
    static const char partial[] = "{\"type\":\"usage\",\"exact\":false}";
    check_failure(&scripts[0], "rate_limited", 0, NULL);
    check_failure(&scripts[1], "truncated", 3, partial);
    check_failure(&scripts[2], "overloaded", 2, partial);
    check_failure(&scripts[3], "protocol", 0, NULL);
}
END_TEST

/* Every prefix of an answer's body fails, whatever the transport says, but the whole one. */
START_TEST(an_answer_that_is_cut_anywhere_has_failed)
{
    static const char whole[] = OPENAI_ANSWER;
    const size_t head = sizeof SSE_HEAD - 1;
    const size_t end = sizeof whole - 1 - 2; /* behind [DONE] */
    for (size_t len = head; len < end; len += 13) {
        const struct llm_script script = {.bytes = whole, .len = len};
        setup();
        struct llm_server *server = llm_server_new(&script, 1, false);
        struct stream *stream = fake_stream_new(BIG_ROOM, 1 << 20);
        set_upstream(0, "one", 1, llm_server_url(server));
        struct source *source = start(stream);
        struct fake_outcome outcome = fake_stream_wait_outcome(stream, SECONDS);
        ck_assert(outcome.ended);
        ck_assert_msg(outcome.failure != NULL, "cut at %zu", len);
        ck_assert_str_eq(outcome.failure, "truncated");
        llm_connector.stop(source);
        fake_stream_free(stream);
        llm_server_free(server);
        teardown();
    }
}
END_TEST

START_TEST(the_next_upstream_answers_in_its_own_dialect)
{
    static const struct llm_script busy =
        SCRIPT("HTTP/1.1 529 x\r\nContent-Length: 0\r\n\r\n", 0, LLM_THEN_CLOSE);
    static const struct llm_script other =
        SCRIPT("HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\n\r\n"
               "{\"model\":\"q\",\"message\":{\"content\":\"Hello\"},\"done\":false}\n"
               "{\"model\":\"q\",\"done\":true,\"done_reason\":\"stop\",\"eval_count\":1,\"prompt_"
               "eval_count\":2}\n",
            0, LLM_THEN_CLOSE);
    setup();
    struct llm_server *one = llm_server_new(&busy, 1, false);
    struct llm_server *two = llm_server_new(&other, 1, false);
    struct stream *stream = fake_stream_new(BIG_ROOM, 1 << 20);
    set_upstream(0, "one", 0, llm_server_url(one));
    set_upstream(1, "two", 3, llm_server_url(two));
    struct source *source = start(stream);
    ck_assert_ptr_null(fake_stream_wait_outcome(stream, SECONDS).failure);
    ck_assert_uint_eq(fake_stream_count(stream), 4);
    check_record(stream, 1, "{\"type\":\"text\",\"text\":\"Hello\"}");
    ck_assert_uint_eq(llm_server_requests(one), 2);
    ck_assert_uint_eq(fake_stream_errors(stream, "overloaded"), 2);
    const char *request = llm_server_request(one, 0);
    ck_assert_ptr_nonnull(strstr(request, "POST /v1/messages HTTP/1.1\r\n"));
    ck_assert_ptr_nonnull(strstr(request, "\r\nx-api-key: key-1\r\n"));
    ck_assert_ptr_nonnull(strstr(request, "\r\nanthropic-version: 2023-06-01\r\n"));
    ck_assert_ptr_nonnull(strstr(request, "\"max_tokens\":77"));
    ck_assert_ptr_nonnull(strstr(llm_server_request(two, 0), "POST /api/chat HTTP/1.1\r\n"));
    llm_connector.stop(source);
    fake_stream_free(stream);
    llm_server_free(one);
    llm_server_free(two);
    teardown();
}
END_TEST

START_TEST(a_stop_closes_the_connection_and_publishes_nothing_more)
{
    static const struct llm_script script =
        SCRIPT(SSE_HEAD OPENAI_START OPENAI_TEXT("Hel"), 0, LLM_THEN_STALL);
    setup();
    struct llm_server *server = llm_server_new(&script, 1, false);
    set_upstream(0, "one", 1, llm_server_url(server));
    for (size_t room = 1; room <= BIG_ROOM; room += BIG_ROOM - 1) { /* held up, and not */
        struct stream *stream = fake_stream_new(room, 1 << 20);
        struct source *source = start(stream);
        ck_assert(fake_stream_wait(stream, fake_stream_count, 1, SECONDS));
        llm_connector.cancel(source);
        llm_connector.stop(source);
        ck_assert(!fake_stream_wait_outcome(stream, 0).ended);
        fake_stream_free(stream);
    }
    ck_assert(llm_server_wait_closed(server, 2, SECONDS));
    llm_server_free(server);
    teardown();
}
END_TEST

static void
check_refused(const char *body, enum err_code code, const char *words)
{
    struct err err = {0};
    struct stream *stream = fake_stream_new(BIG_ROOM, 1 << 20);
    ck_assert_ptr_null(start_body(stream, body, &err));
    ck_assert_int_eq(err.code, code);
    ck_assert_msg(strstr(err.text, words) != NULL, "%s", err.text);
    fake_stream_free(stream);
}

START_TEST(what_cannot_be_asked_is_refused_at_once)
{
    char large[20000];
    char names[][8] = {"gpt-*", "claude"};
    char *models[] = {names[0], names[1]};
    struct err err = {0};
    struct replay nothing = {.kind = REPLAY_LATEST};
    struct request_param param = {"request", "{\"model\":\"claude\",\"messages\":[]}"};
    struct replay resumed = {.kind = REPLAY_LANES, .params = &param, .n_params = 1};
    setup();
    set_upstream(0, "one", 0, "http://127.0.0.1:1");
    upstreams[0].models = (struct config_strings){models, 2};
    memset(large, ' ', sizeof large - 1);
    large[sizeof large - 1] = '\0';
    check_refused("{}", ERR_INVALID, "model:");
    check_refused(large, ERR_INVALID, "larger than 10000 bytes");
    check_refused("{\"model\":\"claude\",\"messages\":[]}", ERR_INVALID, "messages:");
    check_refused("{\"model\":\"other\",\"messages\":[{\"role\":\"user\",\"content\":\"x\"}]}",
        ERR_MISSING, "no upstream answers for 'other'");
    ck_assert_ptr_null(llm_connector.start(&settings, NULL, &nothing, &err));
    ck_assert_ptr_nonnull(strstr(err.text, "is required"));
    ck_assert_ptr_null(llm_connector.start(&settings, NULL, &resumed, &err));
    ck_assert_ptr_nonnull(strstr(err.text, "has no past"));
    teardown();
}
END_TEST

START_TEST(answers_at_once_are_bounded)
{
    static const struct llm_script script = SCRIPT(SSE_HEAD OPENAI_START, 0, LLM_THEN_STALL);
    struct stream *streams[3];
    struct source *sources[2];
    struct err err = {0};
    setup();
    struct llm_server *server = llm_server_new(&script, 1, false);
    set_upstream(0, "one", 1, llm_server_url(server));
    for (size_t i = 0; i < 3; i++) {
        streams[i] = fake_stream_new(BIG_ROOM, 1 << 20);
    }
    sources[0] = start(streams[0]);
    sources[1] = start(streams[1]);
    ck_assert_ptr_null(start_body(streams[2],
        "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"x\"}]}", &err));
    ck_assert_int_eq(err.code, ERR_LIMIT);
    llm_connector.stop(sources[0]);
    llm_connector.stop(start(streams[2])); /* its place is free */
    llm_connector.stop(sources[1]);
    for (size_t i = 0; i < 3; i++) {
        fake_stream_free(streams[i]);
    }
    llm_server_free(server);
    teardown();
}
END_TEST

static void
check_config(const char *url, const char *words)
{
    struct err err = {0};
    setup();
    set_upstream(0, "one", 1, url);
    ck_assert_int_eq(llm_connector.check(&settings, &err), words == NULL ? 0 : -1);
    ck_assert_msg(words == NULL || strstr(err.text, words) != NULL, "%s", err.text);
    teardown();
}

START_TEST(a_configuration_that_cannot_work_is_refused)
{
    struct err err = {0};
    char texts[][24] = {"a b", "X-A", "Anthropic-Version", "x", "x\r\nHost: other", "2026-10-21"};
    struct config_pair pair = {.name = texts[0], .value = texts[3]};
    check_config("https://api.example.com/v1", NULL);
    check_config("ftp://api.example.com", "https://");
    check_config("api.example.com", "https://");
    check_config("https://me:pw@api.example.com", "user or a password");
    check_config("https://api.example.com/v1?x=1", "its path");
    check_config("https://api.example.com/v1/", "slash");
    setup();
    set_upstream(0, "one", 1, "http://a");
    set_upstream(1, "one", 1, "http://b");
    ck_assert_int_eq(llm_connector.check(&settings, &err), -1);
    ck_assert_ptr_nonnull(strstr(err.text, "twice"));
    settings.upstreams.n = 1;
    upstreams[0].headers = (struct config_pairs){&pair, 1};
    ck_assert_int_eq(llm_connector.check(&settings, &err), -1);
    ck_assert_ptr_nonnull(strstr(err.text, "headers:"));
    pair = (struct config_pair){.name = texts[1], .value = texts[4]};
    ck_assert_int_eq(llm_connector.check(&settings, &err), -1);
    pair = (struct config_pair){.name = texts[2], .value = texts[5]};
    ck_assert_int_eq(llm_connector.check(&settings, &err), 0);
    upstreams[0].dialect = 0;
    const struct llm_client nobody = {.n = 0};
    const char *const *headers = llm_settings_headers(&upstreams[0], &nobody);
    ck_assert_str_eq(headers[0], "x-api-key: key-1");
    ck_assert_str_eq(headers[1], "Anthropic-Version: 2026-10-21"); /* in place of ours */
    ck_assert_ptr_null(headers[2]);
    free((void *)(uintptr_t)headers);
    free(upstreams[0].key);
    upstreams[0].key = mem_strdup("two\nlines");
    ck_assert_int_eq(llm_connector.check(&settings, &err), -1);
    ck_assert_ptr_nonnull(strstr(err.text, "key:"));
    ck_assert_ptr_null(strstr(err.text, "two"));
    settings.upstreams.n = 2;
    teardown();
}
END_TEST

START_TEST(a_model_goes_to_those_that_name_it_in_their_order)
{
    char names[][8] = {"gpt-*", "gpt-5", "claude"};
    char *first[] = {names[0]};
    char *second[] = {names[1], names[2]};
    size_t indexes[3];
    setup();
    set_upstream(0, "a", 1, "http://a");
    set_upstream(1, "b", 1, "http://b");
    set_upstream(2, "c", 1, "http://c"); /* any model */
    upstreams[0].models = (struct config_strings){first, 1};
    upstreams[1].models = (struct config_strings){second, 2};
    ck_assert_uint_eq(llm_settings_route(&settings, "gpt-5", indexes), 3);
    ck_assert_uint_eq(indexes[0], 0);
    ck_assert_uint_eq(llm_settings_route(&settings, "claude", indexes), 2);
    ck_assert_uint_eq(indexes[0], 1);
    ck_assert_uint_eq(indexes[1], 2);
    ck_assert_uint_eq(llm_settings_route(&settings, "gpt", indexes), 1);
    ck_assert_uint_eq(indexes[0], 2);
    teardown();
}
END_TEST

UNIT_MAIN("llm", an_answer_is_a_stream_that_ends, an_answer_waits_for_room,
    an_sdk_reads_what_came_or_what_is_made_of_it,
    a_failure_is_the_end_of_the_stream_with_what_was_used,
    an_answer_that_is_cut_anywhere_has_failed, the_next_upstream_answers_in_its_own_dialect,
    a_stop_closes_the_connection_and_publishes_nothing_more,
    what_cannot_be_asked_is_refused_at_once, answers_at_once_are_bounded,
    a_configuration_that_cannot_work_is_refused, a_model_goes_to_those_that_name_it_in_their_order)
