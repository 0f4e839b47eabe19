/* The parsers of files: whatever the chunks, the items are the same, and from the end of each the
 * rest can be read alone. */
#include "unit.h"

#include "../../connectors/file_parser.h"
#include "../../gateway/buf.h"
#include "../../gateway/mem.h"

#include <stdio.h>
#include <string.h>

#define MAX_BYTES 64

static void
describe(struct buf *out, const struct file_item *item)
{
    buf_addf(out, "%zu%s ", (size_t)item->end, item->fatal ? "!" : "");
    if (item->data == NULL) {
        buf_adds(out, item->why);
    } else {
        buf_add(out, item->data, item->len);
    }
    buf_addc(out, '\n');
}

/* Push text from the parser's place on in chunks of at most step bytes, to the end or to the item
 * that ends at stop. */
static void
push(struct file_parser *parser, const char *text, size_t len, size_t step, struct buf *out)
{
    struct file_item item;
    for (size_t from = (size_t)file_parser_offset(parser); from < len;) {
        size_t n = len - from < step ? len - from : step;
        char *chunk = mem_strndup(text + from, n); /* so that reading past it is seen */
        const char *at = chunk;
        while (file_parser_next(parser, &at, chunk + n, &item)) {
            describe(out, &item);
        }
        ck_assert_ptr_eq(at, chunk + n);
        free(chunk);
        from += n;
        ck_assert_uint_eq(file_parser_offset(parser), from);
    }
    if (file_parser_finish(parser, &item)) {
        describe(out, &item);
    }
}

static char *
items_of(enum file_format format, const char *text, size_t len, size_t step)
{
    struct buf out;
    struct file_parser *parser = file_parser_new(format, MAX_BYTES);
    buf_init(&out);
    push(parser, text, len, step, &out);
    buf_addc(&out, '\0');
    file_parser_free(parser);
    return out.bytes;
}

/* From the end of each item the rest is what it was. */
static void
check_seek(enum file_format format, const char *text, size_t len, const char *expected)
{
    for (const char *line = expected; *line != '\0';) {
        size_t end = 0;
        const char *rest = strchr(line, '\n');
        ck_assert_int_eq(sscanf(line, "%zu", &end), 1);
        bool fatal = line[strspn(line, "0123456789")] == '!';
        /* A text may have line feeds in an item: the next line that begins with its end. */
        line = rest + 1;
        if (fatal || end == 0 || end >= len) {
            continue;
        }
        struct buf out;
        struct file_parser *parser = file_parser_new(format, MAX_BYTES);
        if (file_parser_wants_header(parser)) {
            struct file_item item;
            const char *at = text;
            (void)file_parser_next(parser, &at, text + len, &item);
        }
        file_parser_seek(parser, end);
        buf_init(&out);
        push(parser, text, len, 7, &out);
        buf_addc(&out, '\0');
        ck_assert_str_eq(out.bytes, line);
        buf_fini(&out);
        file_parser_free(parser);
    }
}

static void
check(enum file_format format, const char *text, size_t len, const char *expected)
{
    for (size_t step = 1; step <= len + 1; step++) {
        char *items = items_of(format, text, len, step);
        ck_assert_msg(strcmp(items, expected) == 0, "in chunks of %zu:\n%s\ninstead of:\n%s", step,
            items, expected);
        free(items);
    }
    check_seek(format, text, len, expected);
}

#define CHECK(format, text, expected) check(format, text, sizeof(text) - 1, expected)
#define LONG "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"

START_TEST(each_line_of_json_is_a_record)
{
    CHECK(
        FILE_NDJSON, "{\"a\":1}\n[2]\r\n\n  \n 3 \n\"x\"", "8 {\"a\":1}\n13 [2]\n21 3\n24 \"x\"\n");
    CHECK(FILE_NDJSON, "\xEF\xBB\xBF{}\n", "6 {}\n");
    CHECK(FILE_NDJSON, "", "");
    CHECK(FILE_NDJSON, "\n\n", "");
}
END_TEST

START_TEST(what_is_no_json_is_told_and_the_next_line_is_read)
{
    CHECK(
        FILE_NDJSON, "{\"a\":1\n{}\n{} {}\nnull\n", "7 malformed\n10 {}\n16 malformed\n21 null\n");
    CHECK(FILE_NDJSON, "\"\xFF\"\n1\n\0\n2", "4 malformed\n6 1\n8 malformed\n9 2\n");
    CHECK(FILE_NDJSON, "1\n{\"half", "2 1\n8 malformed\n");
}
END_TEST

START_TEST(a_line_that_is_too_long_is_told_and_the_next_one_is_read)
{
    CHECK(FILE_NDJSON, "1\n\"" LONG "\"\n2\n", "2 1\n79 too_large\n81 2\n");
    CHECK(FILE_TEXT, LONG LONG, "148 too_large\n");
}
END_TEST

START_TEST(each_line_of_text_is_a_string)
{
    CHECK(FILE_TEXT, "a\"b\n\n12\r\n\ttrue", "4 \"a\\\"b\"\n5 \"\"\n9 \"12\"\n14 \"\\ttrue\"\n");
    CHECK(FILE_TEXT, "\xE9t\xE9\nx\n", "4 \xE9t\xE9\n6 \"x\"\n");
}
END_TEST

START_TEST(a_row_of_csv_is_an_object_of_strings)
{
    CHECK(FILE_CSV, "a,b\n1,x\r\n\"2\",\"y, \"\"z\"\"\"\n,\n3,4",
        "9 {\"a\":\"1\",\"b\":\"x\"}\n24 {\"a\":\"2\",\"b\":\"y, \\\"z\\\"\"}\n"
        "26 {\"a\":\"\",\"b\":\"\"}\n29 {\"a\":\"3\",\"b\":\"4\"}\n");
    CHECK(FILE_CSV, "\xEF\xBB\xBF\"a \"\"q\",b\r\n1,2\r\n\r\n3,4\r\n",
        "19 {\"a \\\"q\":\"1\",\"b\":\"2\"}\n26 {\"a \\\"q\":\"3\",\"b\":\"4\"}\n");
    CHECK(FILE_CSV, "a\n1\n\n2\n", "4 {\"a\":\"1\"}\n5 {\"a\":\"\"}\n7 {\"a\":\"2\"}\n");
}
END_TEST

START_TEST(a_quoted_field_may_have_line_ends)
{
    CHECK(FILE_CSV, "a,b\n\"1\n\r\n2\",\"\n\"\n3,4\n",
        "16 {\"a\":\"1\\n\\r\\n2\",\"b\":\"\\n\"}\n20 {\"a\":\"3\",\"b\":\"4\"}\n");
}
END_TEST

START_TEST(a_row_that_breaks_the_grammar_is_malformed)
{
    CHECK(FILE_CSV, "a,b\n1\n1,2,3\nx\"y,1\n\"x\"y,1\n1,2\n",
        "6 malformed\n12 malformed\n18 malformed\n25 malformed\n"
        "29 {\"a\":\"1\",\"b\":\"2\"}\n");
    CHECK(FILE_CSV, "a,b\n\xFF,1\n1,2\n\"open,1",
        "8 malformed\n12 {\"a\":\"1\",\"b\":\"2\"}\n19 malformed\n");
    CHECK(FILE_CSV, "a,b\n" LONG ",1\n1,\"" LONG "\n\"\n1,2\n",
        "81 too_large\n161 too_large\n165 {\"a\":\"1\",\"b\":\"2\"}\n");
}
END_TEST

START_TEST(a_header_that_names_a_column_twice_ends_it)
{
    CHECK(FILE_CSV, "a,b,a\n1,2,3\n", "6! malformed\n");
    CHECK(FILE_CSV, "\"a\"x\n1\n", "5! malformed\n");
    CHECK(FILE_CSV, "a,b", "");
}
END_TEST

START_TEST(each_element_of_an_array_is_a_record)
{
    CHECK(FILE_JSON_ARRAY, " [1, {\"a\":[2,\"]\\\"}\"]} ,\n\"x,\\\\\"\n,[[]],null] \n",
        "3 1\n22 {\"a\":[2,\"]\\\"}\"]}\n31 \"x,\\\\\"\n36 [[]]\n41 null\n");
    CHECK(FILE_JSON_ARRAY, "[]", "");
    CHECK(FILE_JSON_ARRAY, "\xEF\xBB\xBF[ \n]\n", "");
}
END_TEST

START_TEST(an_element_that_is_no_json_is_told_and_the_next_is_read)
{
    CHECK(FILE_JSON_ARRAY, "[1,x,,{\"a\":},2 3,\"" LONG "\",4,]",
        "2 1\n4 malformed\n5 malformed\n12 malformed\n16 malformed\n93 too_large\n95 4\n"
        "96 malformed\n");
}
END_TEST

START_TEST(an_array_that_is_none_or_does_not_end_is_broken)
{
    CHECK(FILE_JSON_ARRAY, "[1,2", "2 1\n4! malformed\n");
    CHECK(FILE_JSON_ARRAY, "[1", "2! malformed\n");
    CHECK(FILE_JSON_ARRAY, "", "0! malformed\n");
}
END_TEST

/* Where a chunk ends, what follows the break is not looked at: the place differs with the chunks,
 * the verdict does not. */
START_TEST(what_stands_before_or_behind_an_array_breaks_it)
{
    static const char *const texts[] = {"{\"a\":1}", "x[1]", "[1]]", "[1] 2", "[1],[2]"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        for (size_t step = 1; step < 9; step++) {
            char *items = items_of(FILE_JSON_ARRAY, texts[i], strlen(texts[i]), step);
            ck_assert_msg(strstr(items, "! malformed\n") != NULL, "%s: %s", texts[i], items);
            free(items);
        }
    }
}
END_TEST

UNIT_MAIN("file_parser", each_line_of_json_is_a_record,
    what_is_no_json_is_told_and_the_next_line_is_read,
    a_line_that_is_too_long_is_told_and_the_next_one_is_read, each_line_of_text_is_a_string,
    a_row_of_csv_is_an_object_of_strings, a_quoted_field_may_have_line_ends,
    a_row_that_breaks_the_grammar_is_malformed, a_header_that_names_a_column_twice_ends_it,
    each_element_of_an_array_is_a_record, an_element_that_is_no_json_is_told_and_the_next_is_read,
    an_array_that_is_none_or_does_not_end_is_broken,
    what_stands_before_or_behind_an_array_breaks_it)
