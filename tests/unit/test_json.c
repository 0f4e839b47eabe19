/* test_json: the scanner against a table, jansson and a plain reader; the writers by reading them
 * back. */
#include "json.h"
#include "plain_json.h"
#include "unit.h"

#include <glob.h>
#include <jansson.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

/* One case; the length is given where the text holds a NUL. */
struct text {
    const char *bytes;
    size_t len;
};

#define TEXT(literal)                                                                              \
    {                                                                                              \
        literal, sizeof(literal) - 1                                                               \
    }

static const struct text valid[] = {TEXT("{}"), TEXT("[]"), TEXT("\"\""), TEXT("0"), TEXT("-0"),
    TEXT("1"), TEXT("-1"), TEXT("10"), TEXT("0.5"), TEXT("-0.5"), TEXT("1e1"), TEXT("1E1"),
    TEXT("1e+1"), TEXT("1e-1"), TEXT("0e0"), TEXT("0e+1"), TEXT("1.5e10"), TEXT("1e400"),
    TEXT("-1e-400"), TEXT("12345678901234567890"), TEXT("0.00000000000000000000000001"),
    TEXT("true"), TEXT("false"), TEXT("null"), TEXT(" null "), TEXT("\t1\t"), TEXT("[1]"),
    TEXT("[1,2]"), TEXT("[[]]"), TEXT("[[],[]]"), TEXT("[ ]"), TEXT("{ }"), TEXT("[ 1 , 2 ]"),
    TEXT("{\"a\":1}"), TEXT("{\"a\":1,\"b\":2}"), TEXT("{\"a\":1,\"a\":1}"), TEXT("{\"\":0}"),
    TEXT("{ \"a\" : [ { } ] }"), TEXT("{\"a\":{\"b\":{\"c\":[]}}}"), TEXT("[{},[],{}]"),
    TEXT("[null,true,false,0,\"\",{},[]]"), TEXT("\"\\\"\""), TEXT("\"\\\\\""), TEXT("\"\\/\""),
    TEXT("\"\\b\\f\\n\\r\\t\""), TEXT("\"\\u0000\""), TEXT("\"\\u00e9\""), TEXT("\"\\uABCD\""),
    TEXT("\"\\uabcd\""), TEXT("\"\\ud83d\\ude00\""), TEXT("\"\\ud800\""), TEXT("\"\\udc00x\""),
    TEXT("\"\\uDFFF\\uD800\""), TEXT("\"\x7F\""), TEXT("\"\xC2\x80\""), TEXT("\"\xC3\xA9\""),
    TEXT("\"\xE2\x80\xA8\""), TEXT("\"\xED\x9F\xBF\""), TEXT("\"\xEE\x80\x80\""),
    TEXT("\"\xEF\xBF\xBF\""), TEXT("\"\xF0\x90\x80\x80\""), TEXT("\"\xF4\x8F\xBF\xBF\""),
    TEXT("\"1234567\""), TEXT("\"12345678\""), TEXT("\"123456789\\n12345678\\n\""),
    TEXT("{\"\\u0000\":1}"), TEXT("[\"a, b\",\"{\",\"]\"]"), TEXT("\"// no comment\"")};

static const struct text invalid[] = {TEXT(""), TEXT(" "), TEXT("\n"), TEXT("["), TEXT("]"),
    TEXT("{"), TEXT("}"), TEXT("[1"), TEXT("[1,"), TEXT("[1,]"), TEXT("[,1]"), TEXT("[1,,2]"),
    TEXT("[,]"), TEXT("[1 2]"), TEXT("[1]]"), TEXT("[[1]"), TEXT("[1}"), TEXT("{1}"), TEXT("{]"),
    TEXT("{\"a\"}"), TEXT("{\"a\":}"), TEXT("{\"a\" 1}"), TEXT("{\"a\":1,}"), TEXT("{,\"a\":1}"),
    TEXT("{\"a\":1,,\"b\":2}"), TEXT("{\"a\":1 \"b\":2}"), TEXT("{a:1}"), TEXT("{'a':1}"),
    TEXT("{1:1}"), TEXT("{null:1}"), TEXT("{[]:1}"), TEXT("{\"a\":1]"), TEXT("{\"a\"::1}"),
    TEXT("{\"a\":1:2}"), TEXT("{\"a\""), TEXT("{\"a\":"), TEXT("{\"a"), TEXT("{\"a\":1"),
    TEXT("01"), TEXT("-01"), TEXT("00"), TEXT("+1"), TEXT("-"), TEXT("--1"), TEXT(".5"),
    TEXT("-.5"), TEXT("1."), TEXT("1.e1"), TEXT("1e"), TEXT("1e+"), TEXT("1e-"), TEXT("1ee1"),
    TEXT("1e1.5"), TEXT("1.2.3"), TEXT("0x1"), TEXT("1_000"), TEXT("1a"), TEXT("1 1"), TEXT("NaN"),
    TEXT("nan"), TEXT("Infinity"), TEXT("-Infinity"), TEXT("inf"), TEXT("True"), TEXT("tru"),
    TEXT("truee"), TEXT("fals"), TEXT("nul"), TEXT("nulll"), TEXT("nULL"), TEXT("undefined"),
    TEXT("\""), TEXT("\"a"), TEXT("a\""), TEXT("'a'"), TEXT("\"\\\""), TEXT("\"\\"),
    TEXT("\"\\x41\""), TEXT("\"\\a\""), TEXT("\"\\'\""), TEXT("\"\\0\""), TEXT("\"\\\0\""),
    TEXT("\"\\u\""), TEXT("\"\\u1\""), TEXT("\"\\u12\""), TEXT("\"\\u123\""), TEXT("\"\\u123g\""),
    TEXT("\"\\u 123\""), TEXT("\"\\U0041\""), TEXT("\"\\u00"), TEXT("\"\n\""), TEXT("\"\r\""),
    TEXT("\"\t\""), TEXT("\"\0\""), TEXT("\"\x1F\""), TEXT("\"1234567\n\""), TEXT("\"a\" \"b\""),
    TEXT("\"\x80\""), TEXT("\"\xBF\""), TEXT("\"\xC3\""), TEXT("\"\xC3(\""), TEXT("\"\xC0\x80\""),
    TEXT("\"\xC1\xBF\""), TEXT("\"\xE0\x80\x80\""), TEXT("\"\xE0\x9F\xBF\""), TEXT("\"\xE2\x82\""),
    TEXT("\"\xED\xA0\x80\""), TEXT("\"\xED\xBF\xBF\""), TEXT("\"\xF0\x80\x80\x80\""),
    TEXT("\"\xF0\x8F\xBF\xBF\""), TEXT("\"\xF4\x90\x80\x80\""), TEXT("\"\xF5\x80\x80\x80\""),
    TEXT("\"\xF8\x88\x80\x80\x80\""), TEXT("\"\xFE\""), TEXT("\"\xFF\""), TEXT("\xEF\xBB\xBF{}"),
    TEXT("\xFF\xFE{\0}\0"), TEXT("{}\0"), TEXT("\0{}"), TEXT("1\0"), TEXT("{}x"), TEXT("{}{}"),
    TEXT("[]\x0B"), TEXT("\x0C[]"), TEXT("[\xC2\xA0]"), TEXT("[1]//"), TEXT("/**/1"), TEXT("#1"),
    TEXT("[\"a\" \"b\"]"), TEXT("[\"a\":1]"), TEXT("{\"a\",1}"), TEXT("[1;2]"), TEXT("(1)")};

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* The scanner reads exactly the bytes it is given: a copy on the heap lets ASan see it. */
static enum json_kind
scan_copy(const char *bytes, size_t len, size_t *start, size_t *end)
{
    char *copy = malloc(len == 0 ? 1 : len);
    memcpy(copy, bytes, len);
    enum json_kind kind = json_scan(copy, len, start, end);
    free(copy);
    return kind;
}

static void
random_bytes(unsigned *seed, char *bytes, size_t len, const char *alphabet, size_t n)
{
    for (size_t i = 0; i < len; i++) {
        bytes[i] = n == 0 ? (char)rand_r(seed) : alphabet[(size_t)rand_r(seed) % n];
    }
}

START_TEST(every_valid_text_is_taken)
{
    for (size_t i = 0; i < COUNT(valid); i++) {
        size_t start, end;
        ck_assert_msg(scan_copy(valid[i].bytes, valid[i].len, &start, &end) == JSON_ONE_LINE,
            "case %zu: %s", i, valid[i].bytes);
    }
}
END_TEST

START_TEST(every_invalid_text_is_refused)
{
    for (size_t i = 0; i < COUNT(invalid); i++) {
        size_t start = 77, end = 77;
        ck_assert_msg(scan_copy(invalid[i].bytes, invalid[i].len, &start, &end) == JSON_NOT,
            "case %zu: %s", i, invalid[i].bytes);
        ck_assert_uint_eq(start, 77);
        ck_assert_uint_eq(end, 77);
    }
}
END_TEST

START_TEST(every_prefix_of_a_container_is_refused)
{
    const char *text =
        "{\"a\\u0041\xC3\xA9\":[1.5e-3,true,null,{\"b\":\"c\"}],\"d\":\"12345678901\"}";
    size_t start, end;
    ck_assert_int_eq(scan_copy(text, strlen(text), &start, &end), JSON_ONE_LINE);
    for (size_t len = 0; len < strlen(text); len++) {
        ck_assert_int_eq(scan_copy(text, len, &start, &end), JSON_NOT);
    }
}
END_TEST

START_TEST(the_slice_leaves_outer_white_space_out)
{
    size_t start, end;
    const char *text = "\r\n\t {\"a\": 1} \n";
    ck_assert_int_eq(json_scan(text, strlen(text), &start, &end), JSON_ONE_LINE);
    ck_assert_uint_eq(start, 4);
    ck_assert_uint_eq(end, 12);
}
END_TEST

START_TEST(an_inner_line_end_is_told)
{
    const char *texts[] = {"[1,\n2]", "[\r]", "{\"a\"\n:1}", "{\"a\":\r1}", "{\n}", "[1\n]"};
    for (size_t i = 0; i < COUNT(texts); i++) {
        size_t start, end;
        ck_assert_int_eq(json_scan(texts[i], strlen(texts[i]), &start, &end), JSON_MULTILINE);
    }
}
END_TEST

START_TEST(depth_is_bounded_for_arrays_and_objects)
{
    struct buf text;
    buf_init(&text);
    for (size_t depth = JSON_DEPTH_MAX; depth <= JSON_DEPTH_MAX + 1; depth++) {
        size_t start, end;
        text.len = 0;
        for (size_t i = 0; i < depth; i++) {
            buf_adds(&text, i % 3 == 0 ? "{\"k\":" : "[");
        }
        buf_addc(&text, '7');
        for (size_t i = depth; i-- > 0;) {
            buf_addc(&text, i % 3 == 0 ? '}' : ']');
        }
        ck_assert_int_eq(json_scan(text.bytes, text.len, &start, &end),
            depth <= JSON_DEPTH_MAX ? JSON_ONE_LINE : JSON_NOT);
    }
    text.len = 0;
    for (size_t i = 0; i < 100000; i++) {
        buf_addc(&text, '[');
    }
    ck_assert_int_eq(json_scan(text.bytes, text.len, &(size_t){0}, &(size_t){0}), JSON_NOT);
    buf_fini(&text);
}
END_TEST

START_TEST(random_texts_are_judged_as_jansson_judges_them)
{
    static const char alphabet[] = "{}[]\",:012.-tfn\\u \n\x80\xC3\xA9true";
    unsigned seed = 7;
    size_t n_valid = 0;
    for (int i = 0; i < 300000; i++) {
        char text[16];
        size_t start, end, len = (size_t)rand_r(&seed) % sizeof text;
        random_bytes(&seed, text, len, alphabet, sizeof alphabet - 1);
        json_t *tree = json_loadb(text, len, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
        enum json_kind kind = json_scan(text, len, &start, &end);
        if ((kind != JSON_NOT) != (tree != NULL)) {
            ck_abort_msg("%.*s", (int)len, text);
        }
        n_valid += tree != NULL;
        json_decref(tree);
    }
    ck_assert_uint_gt(n_valid, 1000);
}
END_TEST

static enum json_kind
expect_alike(const char *text, size_t len)
{
    size_t start = 0, end = 0, plain_start = 0, plain_end = 0;
    enum json_kind kind = scan_copy(text, len, &start, &end);
    enum json_kind plain = plain_json_scan(text, len, &plain_start, &plain_end);
    if (kind != plain || (kind != JSON_NOT && (start != plain_start || end != plain_end))) {
        ck_abort_msg("%d, plainly %d: %.*s", (int)kind, (int)plain, (int)len, text);
    }
    return kind;
}

START_TEST(random_texts_and_their_damages_are_judged_as_a_plain_reader_does)
{
    static const char damage[] = "\"\\{}[],: \n\r0e.-\x00\x1F\x7F\x80\xC3xu";
    unsigned seed = 5;
    size_t n_valid = 0;
    struct buf text;
    buf_init(&text);
    for (int i = 0; i < 20000; i++) {
        text.len = 0;
        plain_json_random(&text, &seed, 4);
        if (expect_alike(text.bytes, text.len) == JSON_NOT) {
            ck_abort_msg("%.*s", (int)text.len, text.bytes);
        }
        for (int k = 0; k < 5; k++) {
            size_t at = (size_t)rand_r(&seed) % text.len;
            char was = text.bytes[at];
            text.bytes[at] = damage[(size_t)rand_r(&seed) % (sizeof damage - 1)];
            n_valid += expect_alike(text.bytes, text.len) != JSON_NOT;
            (void)expect_alike(text.bytes, at);
            text.bytes[at] = k % 2 == 0 ? was : text.bytes[at];
        }
    }
    buf_fini(&text);
    ck_assert_uint_gt(n_valid, 1000);
}
END_TEST

/* What fuzzers have found of all parsers, each cut at every place. */
static void
judge_file(const char *path)
{
    char bytes[4096];
    FILE *file = fopen(path, "rb");
    ck_assert_ptr_nonnull(file);
    size_t len = fread(bytes, 1, sizeof bytes, file);
    (void)fclose(file);
    for (size_t from = 0; from < len && from < 64; from++) {
        (void)expect_alike(bytes + from, len - from);
        (void)expect_alike(bytes, len - from);
    }
}

START_TEST(what_fuzzers_found_is_judged_as_a_plain_reader_does)
{
    glob_t found;
    ck_assert_int_eq(glob("tests/fuzz/corpus/*/*", 0, NULL, &found), 0);
    ck_assert_uint_gt(found.gl_pathc, 100);
    for (size_t i = 0; i < found.gl_pathc; i++) {
        judge_file(found.gl_pathv[i]);
    }
    globfree(&found);
}
END_TEST

START_TEST(compact_takes_only_insignificant_space_out)
{
    const char *text =
        "{ \"a b\" :\t[ 1 ,\r\n 1e400, \"x \\\" y\\\\\" , 1.0 ] ,\"a b\":12345678901234567890 }";
    const char *want = "{\"a b\":[1,1e400,\"x \\\" y\\\\\",1.0],\"a b\":12345678901234567890}";
    struct buf out;
    buf_init(&out);
    json_compact(&out, text, strlen(text));
    ck_assert_uint_eq(out.len, strlen(want));
    ck_assert_mem_eq(out.bytes, want, out.len);
    buf_fini(&out);
}
END_TEST

START_TEST(compact_keeps_the_value_of_random_trees)
{
    static const char alphabet[] = "{}[]\",:01 \n\r\t\"\"";
    unsigned seed = 3;
    struct buf out;
    buf_init(&out);
    for (int i = 0; i < 300000; i++) {
        char text[14];
        size_t start, end, len = (size_t)rand_r(&seed) % sizeof text;
        random_bytes(&seed, text, len, alphabet, sizeof alphabet - 1);
        if (json_scan(text, len, &start, &end) == JSON_NOT) {
            continue;
        }
        out.len = 0;
        json_compact(&out, text + start, end - start);
        ck_assert_ptr_null(memchr(out.bytes, '\n', out.len));
        json_t *before = json_loadb(text, len, JSON_DECODE_ANY, NULL);
        json_t *after = json_loadb(out.bytes, out.len, JSON_DECODE_ANY, NULL);
        ck_assert(json_equal(before, after));
        json_decref(before);
        json_decref(after);
    }
    buf_fini(&out);
}
END_TEST

/* The plain bit arithmetic of UTF-8, without any of its rules. Returns the length. */
static size_t
utf8_of(uint32_t code, char bytes[4])
{
    if (code < 0x80) {
        bytes[0] = (char)code;
        return 1;
    }
    size_t len = code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    for (size_t i = len; i-- > 1; code >>= 6) {
        bytes[i] = (char)(0x80 | (code & 0x3F));
    }
    bytes[0] = (char)((0xF00 >> len & 0xFF) | code);
    return len;
}

START_TEST(every_code_point_but_surrogates_is_utf8)
{
    for (uint32_t code = 0; code < 0x120000; code++) {
        char bytes[4];
        size_t len = utf8_of(code, bytes);
        bool want = (code < 0xD800 || code > 0xDFFF) && code <= 0x10FFFF;
        if (json_utf8_valid(bytes, len) != want ||
            json_utf8_length(bytes, len) != (want ? len : 0) ||
            (len != 1 && json_utf8_valid(bytes, len - 1))) {
            ck_abort_msg("U+%04X", code); /* an assertion for each would take a minute */
        }
    }
}
END_TEST

START_TEST(a_bad_byte_is_found_at_every_place)
{
    char text[40];
    for (size_t at = 0; at < sizeof text; at++) {
        memset(text, 'a', sizeof text);
        ck_assert(json_utf8_valid(text, sizeof text));
        text[at] = (char)0xFF;
        ck_assert(!json_utf8_valid(text, sizeof text));
        text[at] = (char)0xC3;
        ck_assert(!json_utf8_valid(text, sizeof text));
    }
    ck_assert(json_utf8_valid("", 0));
    ck_assert(json_utf8_valid("a\0b", 3));
}
END_TEST

START_TEST(strings_hold_no_control_character)
{
    struct buf out;
    buf_init(&out);
    for (int c = 0; c < 0x80; c++) {
        for (size_t at = 0; at < 12; at++) {
            char text[12];
            memset(text, 'x', sizeof text);
            text[at] = (char)c;
            out.len = 0;
            json_add_string(&out, text, sizeof text);
            for (size_t i = 0; i < out.len; i++) {
                if ((unsigned char)out.bytes[i] < 0x20 || out.bytes[i] == 0x7F) {
                    ck_abort_msg("byte %02x at %zu", c, at);
                }
            }
            json_t *back = json_loadb(out.bytes, out.len, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
            ck_assert_uint_eq(json_string_length(back), sizeof text);
            ck_assert_mem_eq(json_string_value(back), text, sizeof text);
            json_decref(back);
        }
    }
    buf_fini(&out);
}
END_TEST

START_TEST(short_escapes_are_used_where_there_are_some)
{
    struct buf out;
    buf_init(&out);
    json_add_string(&out, "\b\t\n\f\r\"\\/\x01\x7F", 10);
    buf_addc(&out, '\0');
    ck_assert_str_eq(out.bytes, "\"\\b\\t\\n\\f\\r\\\"\\\\/\\u0001\\u007f\"");
    buf_fini(&out);
}
END_TEST

START_TEST(lossy_strings_replace_each_bad_byte)
{
    struct buf out;
    buf_init(&out);
    json_add_lossy(&out, "a\xFF\n\xC3\xA9\xE2\x82", 7);
    buf_addc(&out, '\0');
    ck_assert_str_eq(out.bytes, "\"a\xEF\xBF\xBD\\n\xC3\xA9\xEF\xBF\xBD\xEF\xBF\xBD\"");
    buf_fini(&out);
}
END_TEST

START_TEST(base64_is_that_of_rfc_4648)
{
    static const char *const want[] = {
        "\"\"", "\"Zg==\"", "\"Zm8=\"", "\"Zm9v\"", "\"Zm9vYg==\"", "\"Zm9vYmE=\"", "\"Zm9vYmFy\""};
    struct buf out;
    buf_init(&out);
    for (size_t len = 0; len < COUNT(want); len++) {
        out.len = 0;
        json_add_base64(&out, "foobar", len);
        ck_assert_uint_eq(out.len, strlen(want[len]));
        ck_assert_mem_eq(out.bytes, want[len], out.len);
    }
    out.len = 0;
    json_add_base64(&out, "\xFB\xFF\xBF", 3);
    ck_assert_mem_eq(out.bytes, "\"+/+/\"", 6);
    buf_fini(&out);
}
END_TEST

START_TEST(bytes_that_are_not_text_are_marked)
{
    struct buf out;
    buf_init(&out);
    json_add_bytes(&out, "k\n", 2);
    json_add_bytes(&out, "\xFF", 1);
    buf_addc(&out, '\0');
    ck_assert_str_eq(out.bytes, "\"k\\n\"{\"base64\":\"/w==\"}");
    buf_fini(&out);
}
END_TEST

UNIT_MAIN("json", every_valid_text_is_taken, every_invalid_text_is_refused,
    every_prefix_of_a_container_is_refused, the_slice_leaves_outer_white_space_out,
    an_inner_line_end_is_told, depth_is_bounded_for_arrays_and_objects,
    random_texts_are_judged_as_jansson_judges_them,
    random_texts_and_their_damages_are_judged_as_a_plain_reader_does,
    what_fuzzers_found_is_judged_as_a_plain_reader_does, compact_takes_only_insignificant_space_out,
    compact_keeps_the_value_of_random_trees, every_code_point_but_surrogates_is_utf8,
    a_bad_byte_is_found_at_every_place, strings_hold_no_control_character,
    short_escapes_are_used_where_there_are_some, lossy_strings_replace_each_bad_byte,
    base64_is_that_of_rfc_4648, bytes_that_are_not_text_are_marked)
