/* Requests in the common form, tests/llm/requests/NAME.in, and what each dialect makes of them,
 * NAME.out: a line each, or the error. LLM_CORPUS_WRITE=1 writes them anew, for a person to read.
 */
#include "read_file.h"
#include "unit.h"

#include "../../connectors/llm_dialect.h"
#include "../../connectors/llm_request.h"
#include "../../gateway/json.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>

#define CORPUS "tests/llm/requests"

static void
add_built(struct buf *out, const struct llm_dialect *dialect, const char *bytes, size_t len)
{
    struct llm_request request;
    struct err err = {0};
    struct buf body;
    size_t start, end;
    buf_init(&body);
    buf_addf(out, "%s ", dialect->name);
    if (llm_request_parse(&request, bytes, len, &err) != 0 ||
        dialect->build(&request, &body, &err) != 0) {
        ck_assert_int_eq(err.code, ERR_INVALID);
        buf_addf(out, "! %s\n", err.text);
    } else {
        ck_assert_msg(json_scan(body.bytes, body.len, &start, &end) == JSON_ONE_LINE, "%s: %.*s",
            dialect->name, (int)body.len, body.bytes);
        buf_add(out, body.bytes, body.len);
        buf_addc(out, '\n');
    }
    buf_fini(&body);
}

static void
check_file(const char *name, int len)
{
    char path[512];
    struct buf in, out, golden;
    buf_init(&in);
    buf_init(&out);
    buf_init(&golden);
    snprintf(path, sizeof path, CORPUS "/%.*s.in", len, name);
    ck_assert(read_file(path, &in));
    for (size_t i = 0; llm_dialects[i] != NULL; i++) {
        add_built(&out, llm_dialects[i], in.bytes, in.len);
    }
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

START_TEST(each_request_is_said_in_each_dialect)
{
    DIR *directory = opendir(CORPUS);
    size_t n = 0;
    ck_assert_msg(directory != NULL, CORPUS " is not there: run in the checkout's root");
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;) {
        size_t len = strlen(entry->d_name);
        if (len > 3 && strcmp(entry->d_name + len - 3, ".in") == 0) {
            check_file(entry->d_name, (int)len - 3);
            n++;
        }
    }
    closedir(directory);
    ck_assert_uint_ge(n, 10);
}
END_TEST

/* The JSON string's text, and what is left when it is written again. */
static void
check_text(const char *json, const char *wanted, size_t wanted_len)
{
    struct llm_value root = llm_json_root(json, strlen(json));
    struct buf text;
    buf_init(&text);
    llm_json_text(&text, llm_json_inside(root));
    ck_assert_uint_eq(text.len, wanted_len);
    ck_assert_mem_eq(text.bytes, wanted, wanted_len);
    buf_fini(&text);
}
#define TEXT(json, wanted) check_text(json, wanted, sizeof(wanted) - 1)

START_TEST(strings_are_read_with_all_their_escapes)
{
    TEXT("\"a\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "a\"\\/\b\f\n\r\t");
    TEXT("\"\\u0041\\u00e9\\u20AC\\uD83D\\ude00\\u0000z\"",
        "A\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80\0z");
    TEXT("\"\\ud83d x \\ude00\\ud83d\"", "\xEF\xBF\xBD x \xEF\xBF\xBD\xEF\xBF\xBD");
    TEXT("\"\\ud83d\\u0041\"", "\xEF\xBF\xBD"
                               "A");
}
END_TEST

START_TEST(members_and_items_are_found_and_the_last_of_a_name_counts)
{
    static const char text[] =
        " { \"a\" : [ 1 , \"]\" , {\"b\":[]} , [] ] , \"\\u0063\" : -1.5e3, \"a\":{\"x\\\"\":null},"
        "\"n\":18446744073709551615,\"m\":18446744073709551616,\"e\":{} } ";
    struct llm_value root = llm_json_root(text, sizeof text - 1);
    struct llm_value item;
    struct llm_iter iter = {0};
    uint64_t number = 7;
    ck_assert(llm_json_is_object(llm_json_get(root, "a")));
    ck_assert(llm_json_is_null(llm_json_get(llm_json_get(root, "a"), "x\"")));
    ck_assert_ptr_nonnull(llm_json_get(llm_json_get(root, "a"), "x\"").at);
    ck_assert_mem_eq(llm_json_get(root, "c").at, "-1.5e3", 6);
    ck_assert_uint_eq(llm_json_get(root, "c").len, 6);
    ck_assert(!llm_json_u64(llm_json_get(root, "c"), &number));
    ck_assert(!llm_json_u64(llm_json_get(root, "gone"), &number));
    ck_assert(!llm_json_u64(llm_json_get(root, "m"), &number));
    ck_assert_uint_eq(number, 7);
    ck_assert(!llm_json_item(llm_json_get(root, "e"), &iter, &item));
    ck_assert_ptr_null(llm_json_root("{\"a\":}", 6).at);
    static const char array[] = "[1,\"]\",{\"b\":[]} , [] ]";
    root = llm_json_root(array, sizeof array - 1);
    for (iter.place = 0, number = 0; llm_json_item(root, &iter, &item); number++) {
    }
    ck_assert_uint_eq(number, 4);
}
END_TEST

UNIT_MAIN("llm_request", each_request_is_said_in_each_dialect,
    strings_are_read_with_all_their_escapes,
    members_and_items_are_found_and_the_last_of_a_name_counts)
