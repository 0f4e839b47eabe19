/* test_llm_json: members are found wherever they stand, and strings end where they end. */
#include "../../connectors/llm_json.h"
#include "unit.h"

#include <stdio.h>
#include <string.h>

static struct llm_value
root(const char *text)
{
    struct llm_value value = llm_json_root(text, strlen(text));
    ck_assert_msg(value.at != NULL, "%s", text);
    return value;
}

static void
is(struct llm_value value, const char *text)
{
    ck_assert_msg(value.len == strlen(text) && memcmp(value.at, text, value.len) == 0,
        "%.*s, not %s", (int)value.len, value.at, text);
}

START_TEST(all_members_are_found_in_one_go)
{
    static const char *const names[] = {"a", "none", "c", "b"};
    struct llm_value of[4];
    llm_json_pick(
        root(" {\"b\" : [1,{\"a\":2}],\"c\":\"}\\\"\",\n\"\\u0061\":{\"c\":0} ,\"d\":1.5e3}"),
        names, of, 4);
    is(of[0], "{\"c\":0}");
    ck_assert_ptr_null(of[1].at);
    is(of[2], "\"}\\\"\"");
    is(of[3], "[1,{\"a\":2}]");
}
END_TEST

START_TEST(the_last_of_a_name_counts)
{
    static const char *const names[] = {"b", "a"};
    struct llm_value of[2];
    llm_json_pick(root("{\"a\":1,\"b\":2,\"a\":3,\"b\":null}"), names, of, 2);
    is(of[0], "null");
    is(of[1], "3");
    is(llm_json_get(root("{\"a\":1,\"a\":2}"), "a"), "2");
}
END_TEST

START_TEST(what_is_no_object_has_no_members)
{
    static const char *const names[] = {"a"};
    static const char *const texts[] = {"{}", "[\"a\",1]", "\"a\"", "1", "null"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct llm_value of[1] = {{"x", 1}};
        llm_json_pick(root(texts[i]), names, of, 1);
        ck_assert_ptr_null(of[0].at);
    }
    struct llm_value of[1] = {{"x", 1}};
    llm_json_pick((struct llm_value){NULL, 0}, names, of, 1);
    ck_assert_ptr_null(of[0].at);
}
END_TEST

START_TEST(a_string_ends_behind_its_escapes)
{
    static const char *const strings[] = {"\"\"", "\"\\\\\"", "\"\\\"\"", "\"\\\\\\\"\"",
        "\"a\\\\\\\\\"", "\"\\\"\\\"\\\"\"", "\"\\u005c\"", "\"\\\\\\\"x\\\\\""};
    char text[64];
    for (size_t i = 0; i < sizeof strings / sizeof *strings; i++) {
        snprintf(text, sizeof text, "{\"s\":%s,\"t\":%s,\"u\":7}", strings[i], strings[i]);
        is(llm_json_get(root(text), "s"), strings[i]);
        is(llm_json_get(root(text), "t"), strings[i]);
        is(llm_json_get(root(text), "u"), "7");
    }
}
END_TEST

UNIT_MAIN("llm_json", all_members_are_found_in_one_go, the_last_of_a_name_counts,
    what_is_no_object_has_no_members, a_string_ends_behind_its_escapes)
