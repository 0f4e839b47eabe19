/* Answers of upstreams, as recorded: tests/llm/corpus/DIALECT/NAME.in, and the events that they
 * mean, NAME.events, one a line. Each whole, in single bytes, cut at every byte, and ended at every
 * byte. LLM_CORPUS_WRITE=1 writes the events anew, for a person to read. */
#include "read_file.h"
#include "unit.h"

#include "../../connectors/llm_dialect.h"
#include "../../gateway/buf.h"
#include "../../gateway/json.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>

#define CORPUS "tests/llm/corpus"
#define LEAST 10 /* files of a dialect */

/* Every byte; where a sanitizer makes each ten times dearer, one of some. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define STRIDE 7
#else
#define STRIDE 1
#endif

static const struct llm_limits limits = {.max_event_bytes = 1 << 20, .max_answer_bytes = 1 << 22};

static void
take_all(struct llm_decoder *decoder, struct buf *events)
{
    struct llm_event event;
    while (llm_decoder_peek(decoder, &event)) {
        size_t start, end;
        ck_assert_int_eq(json_scan(event.json, event.len, &start, &end), JSON_ONE_LINE);
        buf_add(events, event.json, event.len);
        buf_addc(events, '\n');
        llm_decoder_take(decoder);
    }
}

/* A copy of the piece, so that the sanitizer sees any look beyond it. */
static void
feed(struct llm_decoder *decoder, const char *bytes, size_t len, struct buf *events)
{
    char *piece = malloc(len == 0 ? 1 : len);
    memcpy(piece, bytes, len);
    llm_decoder_feed(decoder, piece, len);
    take_all(decoder, events);
    free(piece);
}

/* The events of the first len bytes, cut once at cut, or into single bytes. */
static void
decode(const struct llm_dialect *dialect, const char *bytes, size_t len, size_t cut, bool single,
    struct buf *events)
{
    struct llm_decoder *decoder = llm_decoder_new(dialect, &limits);
    events->len = 0;
    for (size_t i = 0; single && i < len; i++) {
        feed(decoder, bytes + i, 1, events);
    }
    if (!single) {
        feed(decoder, bytes, cut, events);
        feed(decoder, bytes + cut, len - cut, events);
    }
    llm_decoder_finish(decoder);
    take_all(decoder, events);
    ck_assert(llm_decoder_ended(decoder));
    llm_decoder_free(decoder);
}

static const char *
last_line(const struct buf *events)
{
    const char *newline = memrchr(events->bytes, '\n', events->len - 1);
    return newline == NULL ? events->bytes : newline + 1;
}

static bool
is_done(const struct buf *events)
{
    return strncmp(last_line(events), "{\"type\":\"done\"", 14) == 0;
}

static void
check_golden(const char *path, const struct buf *events)
{
    if (getenv("LLM_CORPUS_WRITE") != NULL) {
        FILE *file = fopen(path, "wb");
        ck_assert_ptr_nonnull(file);
        ck_assert_uint_eq(fwrite(events->bytes, 1, events->len, file), events->len);
        fclose(file);
    }
    struct buf golden;
    buf_init(&golden);
    ck_assert_msg(read_file(path, &golden), "%s is not there", path);
    ck_assert_msg(golden.len == events->len && memcmp(golden.bytes, events->bytes, golden.len) == 0,
        "%s is not what came:\n%.*s", path, (int)events->len, events->bytes);
    buf_fini(&golden);
}

/* An answer that was cut off has failed, unless all of its terminal event was there. */
static void
check_ends(const struct llm_dialect *dialect, const char *path, const struct buf *in, bool done)
{
    struct buf events;
    bool was_done = false;
    buf_init(&events);
    for (size_t len = in->len % STRIDE; len <= in->len; len += STRIDE) {
        decode(dialect, in->bytes, len, len / 2, false, &events);
        bool now_done = is_done(&events);
        ck_assert_msg(now_done || strncmp(last_line(&events), "{\"type\":\"failed\"", 16) == 0,
            "%s ended at %zu has no end", path, len);
        ck_assert_msg(now_done || !was_done, "%s: done at %zu, and then not", path, len - 1);
        was_done = now_done;
    }
    ck_assert_int_eq(was_done, done);
    buf_fini(&events);
}

static void
check_file(const struct llm_dialect *dialect, const char *name)
{
    char path[512];
    struct buf in, whole, events;
    buf_init(&in);
    buf_init(&whole);
    buf_init(&events);
    snprintf(path, sizeof path, CORPUS "/%s/%.*s.in", dialect->name, (int)strlen(name) - 3, name);
    ck_assert(read_file(path, &in));
    decode(dialect, in.bytes, in.len, in.len, false, &whole);
    snprintf(
        path, sizeof path, CORPUS "/%s/%.*s.events", dialect->name, (int)strlen(name) - 3, name);
    check_golden(path, &whole);
    for (size_t cut = 0; cut <= in.len; cut += STRIDE) {
        decode(dialect, in.bytes, in.len, cut, cut == 0, &events);
        ck_assert_msg(events.len == whole.len && memcmp(events.bytes, whole.bytes, events.len) == 0,
            "%s cut at %zu:\n%.*s", path, cut, (int)events.len, events.bytes);
    }
    check_ends(dialect, path, &in, is_done(&whole));
    buf_fini(&events);
    buf_fini(&whole);
    buf_fini(&in);
}

static void
check_dialect(const struct llm_dialect *dialect)
{
    char path[256];
    size_t n = 0;
    snprintf(path, sizeof path, CORPUS "/%s", dialect->name);
    DIR *directory = opendir(path);
    ck_assert_msg(directory != NULL, "%s is not there: run in the checkout's root", path);
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;) {
        size_t len = strlen(entry->d_name);
        if (len > 3 && strcmp(entry->d_name + len - 3, ".in") == 0) {
            check_file(dialect, entry->d_name);
            n++;
        }
    }
    closedir(directory);
    ck_assert_uint_ge(n, LEAST);
}

/* A test each, so that each has its own time on a slow machine. */
START_TEST(answers_of_anthropic_mean_their_events_however_they_are_cut)
{
    check_dialect(&llm_anthropic);
}
END_TEST

START_TEST(answers_of_openai_mean_their_events_however_they_are_cut)
{
    check_dialect(&llm_openai);
}
END_TEST

START_TEST(answers_of_responses_mean_their_events_however_they_are_cut)
{
    check_dialect(&llm_responses);
}
END_TEST

START_TEST(answers_of_ollama_mean_their_events_however_they_are_cut)
{
    check_dialect(&llm_ollama);
}
END_TEST

/* The bytes of an SSE answer of one text delta that is text_len long. */
static void
make_answer(struct buf *out, size_t text_len, size_t deltas)
{
    for (size_t i = 0; i < deltas; i++) {
        buf_adds(out, "data: {\"choices\":[{\"delta\":{\"content\":\"");
        for (size_t j = 0; j < text_len; j++) {
            buf_addc(out, 'x');
        }
        buf_adds(out, "\"}}]}\n\n");
    }
    buf_adds(
        out, "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n");
}

static void
check_bound(const struct llm_limits *bound, size_t text_len, size_t deltas, const char *wanted)
{
    struct buf in, events;
    buf_init(&in);
    buf_init(&events);
    make_answer(&in, text_len, deltas);
    struct llm_decoder *decoder = llm_decoder_new(&llm_openai, bound);
    llm_decoder_feed(decoder, in.bytes, in.len);
    take_all(decoder, &events);
    buf_addc(&events, '\0');
    ck_assert_ptr_nonnull(strstr(events.bytes, wanted));
    ck_assert(llm_decoder_ended(decoder));
    if (strstr(wanted, "failed") != NULL) {
        ck_assert_int_eq(llm_decoder_code(decoder), LLM_TOO_LARGE);
        ck_assert_str_ne(llm_decoder_message(decoder), "");
    }
    llm_decoder_free(decoder);
    buf_fini(&events);
    buf_fini(&in);
}

START_TEST(an_event_and_an_answer_are_bounded)
{
    const struct llm_limits small = {.max_event_bytes = 1000, .max_answer_bytes = 5000};
    check_bound(&small, 500, 4, "{\"type\":\"done\"");
    check_bound(&small, 2000, 1, "{\"type\":\"failed\",\"code\":\"too_large\"");
    check_bound(&small, 500, 20, "{\"type\":\"failed\",\"code\":\"too_large\"");
}
END_TEST

START_TEST(what_is_told_after_the_end_is_not_looked_at)
{
    struct llm_decoder *decoder = llm_decoder_new(&llm_ollama, &limits);
    struct llm_event event;
    llm_decoder_fail(decoder, LLM_TIMEOUT, "nothing came for 60 s");
    llm_decoder_fail(decoder, LLM_CANCELLED, "too late");
    llm_decoder_feed(decoder, "{\"message\":{\"content\":\"a\"}}\n", 28);
    llm_decoder_finish(decoder);
    ck_assert(llm_decoder_peek(decoder, &event));
    ck_assert_int_eq(event.kind, LLM_FAILED);
    ck_assert_int_eq(llm_decoder_code(decoder), LLM_TIMEOUT);
    ck_assert_str_eq(llm_decoder_message(decoder), "nothing came for 60 s");
    llm_decoder_take(decoder);
    ck_assert(!llm_decoder_peek(decoder, &event));
    llm_decoder_free(decoder);
}
END_TEST

static void
check_error(const char *body, enum llm_code before, enum llm_code wanted, const char *message)
{
    struct buf text;
    enum llm_code code = before;
    buf_init(&text);
    llm_error_text(&text, body, strlen(body), &code);
    buf_addc(&text, '\0');
    ck_assert_str_eq(text.bytes, message);
    ck_assert_int_eq(code, wanted);
    buf_fini(&text);
}

START_TEST(bodies_of_errors_are_understood)
{
    check_error(
        "{\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"Over\"}}",
        LLM_UPSTREAM_ERROR, LLM_OVERLOADED, "Over");
    check_error("{\"error\":{\"message\":\"Bad key\",\"type\":\"x\",\"code\":\"invalid_api_key\"}}",
        LLM_INVALID_REQUEST, LLM_AUTHENTICATION, "Bad key");
    check_error("{\"error\":\"no\\nsuch model\"}", LLM_NOT_FOUND, LLM_NOT_FOUND, "no such model");
    check_error(
        "{\"object\":\"error\",\"message\":\"m\",\"type\":\"BadRequestError\",\"code\":400}",
        LLM_UPSTREAM_ERROR, LLM_INVALID_REQUEST, "m");
    check_error("{\"detail\":\"Not Found\"}", LLM_NOT_FOUND, LLM_NOT_FOUND, "Not Found");
    check_error("{\"error\":{\"message\":\"m\",\"type\":\"invalid_request_error\"}}",
        LLM_AUTHENTICATION, LLM_AUTHENTICATION, "m");
    check_error("<html>502</html>", LLM_UPSTREAM_ERROR, LLM_UPSTREAM_ERROR, "");
    check_error("", LLM_OVERLOADED, LLM_OVERLOADED, "");
}
END_TEST

START_TEST(statuses_have_codes)
{
    static const struct {
        int status;
        enum llm_code code;
    } rows[] = {{400, LLM_INVALID_REQUEST}, {401, LLM_AUTHENTICATION}, {403, LLM_PERMISSION},
        {404, LLM_NOT_FOUND}, {408, LLM_TIMEOUT}, {413, LLM_INVALID_REQUEST},
        {429, LLM_RATE_LIMITED}, {500, LLM_UPSTREAM_ERROR}, {503, LLM_OVERLOADED},
        {504, LLM_TIMEOUT}, {529, LLM_OVERLOADED}, {302, LLM_UPSTREAM_ERROR}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        ck_assert_int_eq(llm_code_of_status(rows[i].status), rows[i].code);
    }
}
END_TEST

UNIT_MAIN("llm_corpus", answers_of_anthropic_mean_their_events_however_they_are_cut,
    answers_of_openai_mean_their_events_however_they_are_cut,
    answers_of_responses_mean_their_events_however_they_are_cut,
    answers_of_ollama_mean_their_events_however_they_are_cut, an_event_and_an_answer_are_bounded,
    what_is_told_after_the_end_is_not_looked_at, bodies_of_errors_are_understood,
    statuses_have_codes)
