/* Requests as the SDKs send them, tests/llm/in/DIALECT-NAME.in, and what becomes of each, in
 * DIALECT-NAME.out: passed on to who speaks the same, and said in each other dialect by way of the
 * common form; a line each, or the error. LLM_CORPUS_WRITE=1 writes them anew, for a person to
 * read.
 */
#include "read_file.h"
#include "unit.h"

#include "../../connectors/llm_in.h"
#include "../../gateway/json.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>

#define CORPUS "tests/llm/in"

static void
must_be_json(const struct buf *body)
{
    size_t start, end;
    ck_assert_msg(json_scan(body->bytes, body->len, &start, &end) == JSON_ONE_LINE, "%.*s",
        (int)body->len, body->bytes);
}

/* The request in the common form as an upstream is told it. */
static int
build(
    const struct buf *common, const struct llm_dialect *upstream, struct buf *body, struct err *err)
{
    struct llm_request request;
    if (llm_request_parse(&request, common->bytes, common->len, err) != 0 ||
        llm_in_says(upstream, &request, err) != 0 || upstream->build(&request, body, err) != 0) {
        return -1;
    }
    must_be_json(body);
    return 0;
}

static void
add_line(
    struct buf *out, const char *what, int result, const struct buf *body, const struct err *err)
{
    buf_addf(out, "%s ", what);
    if (result != 0) {
        ck_assert_int_eq(err->code, ERR_INVALID);
        buf_addf(out, "! %s\n", err->text);
    } else {
        buf_add(out, body->bytes, body->len);
        buf_addc(out, '\n');
    }
}

static void
add_crossings(struct buf *out, const struct llm_in_dialect *dialect, const struct llm_in *in)
{
    struct buf common, body;
    struct err err = {0};
    buf_init(&common);
    buf_init(&body);
    int result = llm_in_cross(dialect, in, &common, &err);
    if (result == 0) {
        must_be_json(&common);
    }
    add_line(out, "common", result, &common, &err);
    for (size_t i = 0; result == 0 && llm_dialects[i] != NULL; i++) {
        body.len = 0;
        if (strcmp(llm_dialects[i]->name, llm_in_name(dialect)) != 0) {
            int built = build(&common, llm_dialects[i], &body, &err);
            add_line(out, llm_dialects[i]->name, built, &body, &err);
        }
    }
    buf_fini(&body);
    buf_fini(&common);
}

static void
add_all(struct buf *out, const struct llm_in_dialect *dialect, const struct buf *bytes)
{
    struct llm_in in;
    struct err err = {0};
    struct buf body;
    buf_init(&body);
    int result = llm_in_look(&in, bytes->bytes, bytes->len, &err);
    if (result == 0) {
        llm_in_pass(dialect, &in, &body);
        must_be_json(&body);
        buf_addf(out, "stream %d usage %d\n", in.stream, in.usage_chunk);
    }
    add_line(out, "pass", result, &body, &err);
    if (result == 0) {
        add_crossings(out, dialect, &in);
    }
    buf_fini(&body);
}

static void
check_file(const struct llm_in_dialect *dialect, const char *name, int len)
{
    char path[512];
    struct buf in, out, golden;
    buf_init(&in);
    buf_init(&out);
    buf_init(&golden);
    snprintf(path, sizeof path, CORPUS "/%.*s.in", len, name);
    ck_assert(read_file(path, &in));
    add_all(&out, dialect, &in);
    snprintf(path, sizeof path, CORPUS "/%.*s.out", len, name);
    if (getenv("LLM_CORPUS_WRITE") != NULL) {
        FILE *file = fopen(path, "wb");
        ck_assert_ptr_nonnull(file);
        ck_assert_uint_eq(fwrite(out.bytes, 1, out.len, file), out.len);
        fclose(file);
    }
    ck_assert_msg(read_file(path, &golden), "%s is not there", path);
    ck_assert_msg(golden.len == out.len && memcmp(golden.bytes, out.bytes, out.len) == 0,
        "%s is not what came:\n%.*s", path, (int)out.len, out.bytes);
    buf_fini(&golden);
    buf_fini(&out);
    buf_fini(&in);
}

static void
check_dialect(const struct llm_in_dialect *dialect)
{
    DIR *directory = opendir(CORPUS);
    size_t n = 0;
    size_t prefix = strlen(llm_in_name(dialect));
    ck_assert_msg(directory != NULL, CORPUS " is not there: run in the checkout's root");
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;) {
        size_t len = strlen(entry->d_name);
        if (len > 3 && strcmp(entry->d_name + len - 3, ".in") == 0 &&
            strncmp(entry->d_name, llm_in_name(dialect), prefix) == 0) {
            check_file(dialect, entry->d_name, (int)len - 3);
            n++;
        }
    }
    closedir(directory);
    ck_assert_uint_ge(n, 6);
}

START_TEST(chat_completions_are_said_in_each_dialect)
{
    check_dialect(&llm_in_openai);
}
END_TEST

START_TEST(messages_are_said_in_each_dialect)
{
    check_dialect(&llm_in_anthropic);
}
END_TEST

START_TEST(responses_are_said_in_each_dialect)
{
    check_dialect(&llm_in_responses);
}
END_TEST

UNIT_MAIN("llm_in", chat_completions_are_said_in_each_dialect, messages_are_said_in_each_dialect,
    responses_are_said_in_each_dialect)
