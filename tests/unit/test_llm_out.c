/* Answers said in each client's dialect. Every recorded answer (tests/llm/corpus) is decoded, said
 * in each dialect and decoded again: it must mean the same, as far as the dialect has words for it.
 * tests/llm/out/IN-NAME.OUT has some as they are sent, and .whole as one object;
 * LLM_CORPUS_WRITE=1 writes these anew, for a person to read. */
#include "read_file.h"
#include "unit.h"

#include "../../connectors/llm_dialect.h"
#include "../../connectors/llm_out.h"
#include "../../gateway/json.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>

#define CORPUS "tests/llm/corpus"
#define GOLDEN "tests/llm/out"

static const struct llm_limits limits = {.max_event_bytes = 1 << 20, .max_answer_bytes = 1 << 22};
static const struct llm_out_options streamed = {
    .usage_chunk = true, .created_s = 1700000000, .id = "", .max_bytes = 1 << 22};
static const struct llm_out_options whole = {
    .whole = true, .created_s = 1700000000, .id = "gen_1", .max_bytes = 1 << 22};

/* ---- events of an answer ---- */

struct events {
    struct buf texts;
    struct {
        enum llm_kind kind;
        size_t len;
    } rows[400];
    size_t n;
};

static void
take_events(struct llm_decoder *decoder, struct events *events)
{
    struct llm_event event;
    while (llm_decoder_peek(decoder, &event)) {
        ck_assert_uint_lt(events->n, sizeof events->rows / sizeof *events->rows);
        events->rows[events->n].kind = event.kind;
        events->rows[events->n++].len = event.len;
        buf_add(&events->texts, event.json, event.len);
        llm_decoder_take(decoder);
    }
}

static void
decode(const struct llm_dialect *dialect, const struct buf *bytes, struct events *events)
{
    struct llm_decoder *decoder = llm_decoder_new(dialect, &limits);
    *events = (struct events){.n = 0};
    llm_decoder_feed(decoder, bytes->bytes, bytes->len);
    llm_decoder_finish(decoder);
    take_events(decoder, events);
    llm_decoder_free(decoder);
}

/* ---- saying them ---- */

static void
add_sse(struct buf *bytes, const char *name, const char *data, size_t len)
{
    if (name != NULL) {
        buf_addf(bytes, "event: %s\n", name);
    }
    BUF_LITERAL(bytes, "data: ");
    buf_add(bytes, data, len);
    BUF_LITERAL(bytes, "\n\n");
}

static void
take_wires(struct llm_out *out, struct buf *bytes, bool sse)
{
    struct llm_wire wire;
    while (llm_out_peek(out, &wire)) {
        size_t start, end;
        ck_assert_msg((wire.len == 6 && memcmp(wire.data, "[DONE]", 6) == 0) ||
                          json_scan(wire.data, wire.len, &start, &end) == JSON_ONE_LINE,
            "%.*s", (int)wire.len, wire.data);
        if (sse) {
            add_sse(bytes, wire.name, wire.data, wire.len);
        } else {
            buf_add(bytes, wire.data, wire.len);
            buf_addc(bytes, '\n');
        }
        llm_out_take(out);
    }
}

/* What a failure adds to a stream. */
static void
add_failure(const struct llm_out_dialect *dialect, const struct llm_event *event, struct buf *bytes)
{
    struct llm_value object = {event->json, event->len};
    struct buf code, message, data;
    buf_init(&code);
    buf_init(&message);
    buf_init(&data);
    llm_json_text(&code, llm_json_inside(llm_json_get(object, "code")));
    llm_json_text(&message, llm_json_inside(llm_json_get(object, "message")));
    buf_addc(&code, '\0');
    buf_addc(&message, '\0');
    const char *name =
        llm_out_error_event(dialect, &data, llm_code_of_name(code.bytes), message.bytes);
    add_sse(bytes, name, data.bytes, data.len);
    buf_fini(&code);
    buf_fini(&message);
    buf_fini(&data);
}

/* The answer's bytes from the wire events on that its first `silent` events do not make. */
static void
say(const struct llm_out_dialect *dialect, const struct llm_out_options *options,
    const struct events *events, size_t silent, struct buf *bytes)
{
    struct llm_out *out = llm_out_new(dialect, options);
    size_t at = 0;
    bytes->len = 0;
    for (size_t i = 0; i < events->n; i++) {
        const struct llm_event event = {.kind = events->rows[i].kind,
            .json = events->texts.bytes + at,
            .len = events->rows[i].len};
        at += event.len;
        llm_out_event(out, &event);
        take_wires(out, bytes, !options->whole);
        if (event.kind == LLM_FAILED && !options->whole) {
            add_failure(dialect, &event, bytes);
        }
        if (i + 1 == silent) {
            bytes->len = 0;
        }
    }
    ck_assert(!llm_out_is_over(out));
    llm_out_free(out);
}

/* ---- what they mean ---- */

#define CALLS 8
struct meaning {
    struct buf text, refusal, thinking, secret, citations, calls[CALLS], usage, end;
};

static void
add_inside(struct buf *out, struct llm_value object, const char *name)
{
    llm_json_text(out, llm_json_inside(llm_json_get(object, name)));
}

/* A reason as the dialect can say it. */
static const char *
reason_in(const struct llm_out_dialect *dialect, const char *reason, bool refused)
{
    bool anthropic = dialect == &llm_out_anthropic;
    static const struct {
        const char *reason, *anthropic, *others;
    } rows[] = {
        {"stop_sequence", "stop_sequence", "stop"},
        {"pause", "pause", "length"},
        {"other", "stop", "stop"},
        {"content_filter", "refusal", "content_filter"},
    };
    if (strcmp(reason, "refusal") == 0 && !refused) {
        return anthropic ? "refusal" : "content_filter";
    }
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (strcmp(rows[i].reason, reason) == 0) {
            return anthropic ? rows[i].anthropic : rows[i].others;
        }
    }
    return reason;
}

static bool
is_of(const struct llm_out_dialect *dialect, struct llm_value citation)
{
    bool chat = llm_json_is_object(llm_json_get(citation, "url_citation"));
    bool url = llm_json_is(llm_json_get(citation, "type"), "url_citation");
    return dialect == &llm_out_openai ? chat
           : dialect == &llm_out_responses
               ? url && !chat
               : !url && llm_json_is_string(llm_json_get(citation, "type"));
}

static void
mean_call(struct meaning *meaning, struct llm_value object)
{
    uint64_t index = 0;
    if (!llm_json_is_string(llm_json_get(object, "arguments"))) {
        return;
    }
    (void)llm_json_u64(llm_json_get(object, "index"), &index);
    ck_assert_uint_lt(index, CALLS);
    struct buf *call = &meaning->calls[index];
    add_inside(call, object, "id");
    buf_addc(call, ' ');
    add_inside(call, object, "name");
    buf_addc(call, ' ');
    add_inside(call, object, "arguments");
}

static void
mean_usage(const struct llm_out_dialect *dialect, struct meaning *meaning, struct llm_value object)
{
    static const char *const names[] = {
        "input_tokens", "output_tokens", "cached_tokens", "cache_write_tokens", "reasoning_tokens"};
    uint64_t numbers[5] = {0};
    bool has[5];
    for (size_t i = 0; i < 5; i++) {
        has[i] = llm_json_u64(llm_json_get(object, names[i]), &numbers[i]);
    }
    numbers[3] = dialect == &llm_out_anthropic ? numbers[3] : 0;
    meaning->usage.len = 0;
    bool told = dialect == &llm_out_anthropic || (has[0] && has[1]); /* it must say numbers */
    for (size_t i = 0; i < 5 && told; i++) {
        buf_addf(&meaning->usage, "%s %llu;", names[i], (unsigned long long)numbers[i]);
    }
}

static void
mean(const struct llm_out_dialect *dialect, const struct events *events, struct meaning *meaning)
{
    size_t at = 0;
    bool refused = false;
    memset(meaning, 0, sizeof *meaning);
    for (size_t i = 0; i < events->n; i++) {
        struct llm_value object = {events->texts.bytes + at, events->rows[i].len};
        struct llm_value citation = llm_json_get(object, "citation");
        bool refusal = llm_json_is_true(llm_json_get(object, "refusal"));
        struct buf reason;
        at += object.len;
        switch (events->rows[i].kind) {
        case LLM_START:
            add_inside(&meaning->end, object, "model");
            break;
        case LLM_TEXT:
            refused |= refusal;
            add_inside(
                refusal && dialect != &llm_out_anthropic ? &meaning->refusal : &meaning->text,
                object, "text");
            if (llm_json_is_object(citation) && is_of(dialect, citation)) {
                llm_json_add(&meaning->citations, citation);
            }
            break;
        case LLM_THINKING:
            add_inside(&meaning->thinking, object, "text");
            if (dialect != &llm_out_openai) {
                add_inside(&meaning->secret, object, "signature");
                add_inside(&meaning->secret, object, "redacted");
            }
            break;
        case LLM_TOOL_CALL:
            mean_call(meaning, object);
            break;
        case LLM_USAGE:
            mean_usage(dialect, meaning, object);
            break;
        case LLM_DONE:
            buf_init(&reason);
            add_inside(&reason, object, "reason");
            buf_addc(&reason, '\0');
            buf_addf(&meaning->end, " done %s", reason_in(dialect, reason.bytes, refused));
            if (dialect == &llm_out_anthropic) {
                add_inside(&meaning->end, object, "stop_sequence");
            }
            buf_fini(&reason);
            break;
        case LLM_FAILED:
            buf_adds(&meaning->end, " failed ");
            add_inside(&meaning->end, object, "message");
            meaning->usage.len = 0; /* an error has none */
            break;
        case LLM_RAW:
            break;
        }
    }
}

static void
compare(const char *what, const char *path, const struct buf *a, const struct buf *b)
{
    ck_assert_msg(a->len == b->len && (a->len == 0 || memcmp(a->bytes, b->bytes, a->len) == 0),
        "%s: %s was <%.*s> and is <%.*s>", path, what, (int)a->len, a->bytes, (int)b->len,
        b->bytes);
}

static void
compare_all(const char *path, struct meaning *a, struct meaning *b)
{
    compare("text", path, &a->text, &b->text);
    compare("refusal", path, &a->refusal, &b->refusal);
    compare("thinking", path, &a->thinking, &b->thinking);
    compare("secret", path, &a->secret, &b->secret);
    compare("citations", path, &a->citations, &b->citations);
    compare("usage", path, &a->usage, &b->usage);
    compare("end", path, &a->end, &b->end);
    for (size_t i = 0; i < CALLS; i++) {
        compare("call", path, &a->calls[i], &b->calls[i]);
    }
}

static void
meaning_fini(struct meaning *meaning)
{
    struct buf *const texts[] = {&meaning->text, &meaning->refusal, &meaning->thinking,
        &meaning->secret, &meaning->citations, &meaning->usage, &meaning->end};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        buf_fini(texts[i]);
    }
    for (size_t i = 0; i < CALLS; i++) {
        buf_fini(&meaning->calls[i]);
    }
}

/* ---- the tests ---- */

static const struct llm_dialect *
decoder_of(const struct llm_out_dialect *dialect)
{
    for (size_t i = 0; llm_dialects[i] != NULL; i++) {
        if (strcmp(llm_dialects[i]->name, llm_out_name(dialect)) == 0) {
            return llm_dialects[i];
        }
    }
    ck_abort_msg("%s has no decoder", llm_out_name(dialect));
}

/* Said and decoded again, it means the same. */
static void
check_meaning(const char *path, const struct llm_out_dialect *dialect, const struct events *events)
{
    struct events again;
    struct meaning was, is;
    struct buf bytes;
    buf_init(&bytes);
    say(dialect, &streamed, events, 0, &bytes);
    decode(decoder_of(dialect), &bytes, &again);
    mean(dialect, events, &was);
    mean(dialect, &again, &is);
    compare_all(path, &was, &is);
    meaning_fini(&was);
    meaning_fini(&is);
    buf_fini(&again.texts);
    buf_fini(&bytes);
}

/* Cut behind each event and made again: the same bytes follow. */
static void
check_cuts(const char *path, const struct llm_out_dialect *dialect, const struct events *events)
{
    struct buf all, rest, first;
    buf_init(&all);
    buf_init(&rest);
    buf_init(&first);
    say(dialect, &streamed, events, 0, &all);
    for (size_t cut = 1; cut <= events->n; cut++) {
        struct events part = {.n = cut};
        memcpy(part.rows, events->rows, sizeof part.rows);
        part.texts = events->texts; /* lent */
        say(dialect, &streamed, &part, 0, &first);
        say(dialect, &streamed, events, cut, &rest);
        buf_add(&first, rest.bytes, rest.len);
        compare("after a cut", path, &all, &first);
    }
    buf_fini(&all);
    buf_fini(&rest);
    buf_fini(&first);
}

typedef void check_function(
    const char *path, const struct llm_out_dialect *dialect, const struct events *events);

static size_t
each_file(
    const struct llm_dialect *in, const struct llm_out_dialect *dialect, check_function *check)
{
    char path[512];
    size_t n = 0;
    snprintf(path, sizeof path, CORPUS "/%s", in->name);
    DIR *directory = opendir(path);
    ck_assert_msg(directory != NULL, "%s is not there: run in the checkout's root", path);
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;) {
        size_t len = strlen(entry->d_name);
        struct buf bytes;
        struct events events;
        if (len < 4 || strcmp(entry->d_name + len - 3, ".in") != 0) {
            continue;
        }
        buf_init(&bytes);
        snprintf(path, sizeof path, CORPUS "/%s/%s", in->name, entry->d_name);
        ck_assert(read_file(path, &bytes));
        decode(in, &bytes, &events);
        check(path, dialect, &events);
        buf_fini(&events.texts);
        buf_fini(&bytes);
        n++;
    }
    closedir(directory);
    return n;
}

static void
each_answer(const struct llm_out_dialect *dialect, check_function *check)
{
    size_t n = 0;
    for (size_t i = 0; llm_dialects[i] != NULL; i++) {
        n += each_file(llm_dialects[i], dialect, check);
    }
    ck_assert_uint_ge(n, 90);
}

START_TEST(every_answer_means_the_same_in_chat_completions)
{
    each_answer(&llm_out_openai, check_meaning);
}
END_TEST

START_TEST(every_answer_means_the_same_in_messages)
{
    each_answer(&llm_out_anthropic, check_meaning);
}
END_TEST

START_TEST(every_answer_means_the_same_in_responses)
{
    each_answer(&llm_out_responses, check_meaning);
}
END_TEST

START_TEST(every_answer_goes_on_after_a_cut_with_the_same_bytes)
{
    for (size_t i = 0; llm_out_dialects[i] != NULL; i++) {
        each_answer(llm_out_dialects[i], check_cuts);
    }
}
END_TEST

static void
check_golden(const char *in, const char *name, const struct llm_out_dialect *dialect,
    const struct llm_out_options *options)
{
    char path[512];
    struct buf bytes, said, golden;
    struct events events;
    buf_init(&bytes);
    buf_init(&said);
    buf_init(&golden);
    snprintf(path, sizeof path, CORPUS "/%s/%s.in", in, name);
    ck_assert_msg(read_file(path, &bytes), "%s is not there", path);
    for (size_t i = 0; llm_dialects[i] != NULL; i++) {
        if (strcmp(llm_dialects[i]->name, in) == 0) {
            decode(llm_dialects[i], &bytes, &events);
        }
    }
    say(dialect, options, &events, 0, &said);
    snprintf(path, sizeof path, GOLDEN "/%s-%s.%s%s", in, name, llm_out_name(dialect),
        options->whole ? ".whole" : "");
    if (getenv("LLM_CORPUS_WRITE") != NULL) {
        FILE *file = fopen(path, "wb");
        ck_assert_ptr_nonnull(file);
        ck_assert_uint_eq(fwrite(said.bytes, 1, said.len, file), said.len);
        fclose(file);
    }
    ck_assert_msg(read_file(path, &golden), "%s is not there", path);
    compare("golden", path, &golden, &said);
    buf_fini(&events.texts);
    buf_fini(&bytes);
    buf_fini(&said);
    buf_fini(&golden);
}

START_TEST(some_answers_look_as_they_are_kept)
{
    static const struct {
        const char *in, *name;
    } rows[] = {{"anthropic", "thinking"}, {"anthropic", "tools_in_parallel"},
        {"anthropic", "redacted_thinking"}, {"anthropic", "overloaded_in_the_stream"},
        {"anthropic", "citations"}, {"openai", "refusal"}, {"openai", "tools_interleaved"},
        {"openai", "length"}, {"ollama", "tools"}, {"responses", "citation"},
        {"responses", "reasoning"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        for (size_t j = 0; llm_out_dialects[j] != NULL; j++) {
            check_golden(rows[i].in, rows[i].name, llm_out_dialects[j], &streamed);
            check_golden(rows[i].in, rows[i].name, llm_out_dialects[j], &whole);
        }
    }
}
END_TEST

/* Fed with one event after the other; returns what was said. */
static void
feed(struct llm_out *out, enum llm_kind kind, const char *json)
{
    llm_out_event(out, &(struct llm_event){.kind = kind, .json = json, .len = strlen(json)});
}

static void
check_over(const struct llm_out_dialect *dialect, bool one_object)
{
    struct llm_out_options options = {.whole = one_object, .id = "", .max_bytes = 600};
    struct llm_out *out = llm_out_new(dialect, &options);
    struct llm_wire wire;
    feed(out, LLM_START, "{\"type\":\"start\",\"model\":\"m\",\"upstream_id\":null}");
    for (int i = 0; i < 100; i++) {
        feed(out, LLM_TEXT, "{\"type\":\"text\",\"text\":\"twenty bytes of text\"}");
    }
    feed(out, LLM_USAGE, "{\"type\":\"usage\",\"exact\":false}");
    feed(out, LLM_DONE, "{\"type\":\"done\",\"reason\":\"stop\"}");
    for (; llm_out_peek(out, &wire); llm_out_take(out)) {
        ck_assert_uint_le(wire.len, options.max_bytes);
        ck_assert_ptr_null(memmem(wire.data, wire.len, "completed", 9));
    }
    ck_assert(llm_out_is_over(out));
    llm_out_free(out);
}

START_TEST(what_is_kept_of_an_answer_is_bounded)
{
    check_over(&llm_out_responses, false);
    check_over(&llm_out_openai, true);
    check_over(&llm_out_anthropic, true);
    check_over(&llm_out_responses, true);
}
END_TEST

START_TEST(a_call_whose_name_comes_late_is_told_once_it_has_one)
{
    for (size_t i = 0; llm_out_dialects[i] != NULL; i++) {
        struct llm_out *out = llm_out_new(llm_out_dialects[i], &streamed);
        struct buf bytes;
        buf_init(&bytes);
        feed(out, LLM_START, "{\"type\":\"start\",\"model\":\"m\",\"upstream_id\":\"u\"}");
        feed(out, LLM_TOOL_CALL,
            "{\"type\":\"tool_call\",\"index\":0,\"id\":\"c\",\"name\":\"\",\"delta\":\"\"}");
        feed(out, LLM_TOOL_CALL, "{\"type\":\"tool_call\",\"index\":0,\"delta\":\"{}\"}");
        take_wires(out, &bytes, true);
        buf_addc(&bytes, '\0');
        ck_assert_ptr_null(strstr(bytes.bytes, "\"c\""));
        bytes.len = 0;
        feed(out, LLM_TOOL_CALL,
            "{\"type\":\"tool_call\",\"index\":0,\"id\":\"c\",\"name\":\"f\",\"arguments\":"
            "\"{\\\"a\\\":1}\"}");
        take_wires(out, &bytes, true);
        buf_addc(&bytes, '\0');
        ck_assert_ptr_nonnull(strstr(bytes.bytes, "\"f\""));
        ck_assert_ptr_nonnull(strstr(bytes.bytes, "{\\\"a\\\":1}"));
        buf_fini(&bytes);
        llm_out_free(out);
    }
}
END_TEST

START_TEST(an_error_has_the_dialects_words_and_a_status)
{
    struct buf body;
    buf_init(&body);
    llm_out_error(&llm_out_anthropic, &body, LLM_OVERLOADED, "too \"busy\"");
    buf_addc(&body, '\0');
    ck_assert_str_eq(body.bytes, "{\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\","
                                 "\"message\":\"too \\\"busy\\\"\"}}");
    body.len = 0;
    llm_out_error(&llm_out_openai, &body, LLM_RATE_LIMITED, "wait");
    buf_addc(&body, '\0');
    ck_assert_str_eq(body.bytes, "{\"error\":{\"message\":\"wait\",\"type\":\"rate_limit_error\","
                                 "\"param\":null,\"code\":\"rate_limited\"}}");
    buf_fini(&body);
    for (int code = 0; code < LLM_CODE_COUNT; code++) {
        ck_assert_int_ge(llm_out_status((enum llm_code)code), 400);
        ck_assert_int_eq((int)llm_code_of_name(llm_code_name((enum llm_code)code)), code);
    }
    ck_assert_int_eq(llm_code_of_name("source_failed"), LLM_UPSTREAM_ERROR);
}
END_TEST

UNIT_MAIN("llm_out", every_answer_means_the_same_in_chat_completions,
    every_answer_means_the_same_in_messages, every_answer_means_the_same_in_responses,
    every_answer_goes_on_after_a_cut_with_the_same_bytes, some_answers_look_as_they_are_kept,
    what_is_kept_of_an_answer_is_bounded, a_call_whose_name_comes_late_is_told_once_it_has_one,
    an_error_has_the_dialects_words_and_a_status)
