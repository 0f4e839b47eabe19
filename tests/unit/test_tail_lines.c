/* test_tail_lines: bytes cut into lines, however they come. */
#include "tail_lines.h"
#include "unit.h"

#include <string.h>

static const char text[] = "{\"id\":\"a\"}\n\n{\"id\":\"bb\"}\nlast\nunfinished";

/* Feed text in pieces of size and join what comes out with '|'. */
static void
cut(struct tail_lines *lines, struct buf *out, size_t piece)
{
    const char *line;
    size_t len;
    for (size_t at = 0; at < sizeof text - 1; at += piece) {
        size_t rest = sizeof text - 1 - at;
        tail_lines_feed(lines, text + at, rest < piece ? rest : piece);
        while (tail_lines_next(lines, &line, &len)) {
            buf_add(out, line, len);
            buf_addc(out, '|');
        }
    }
    buf_addc(out, '\0');
}

START_TEST(lines_are_the_same_in_pieces_of_any_size)
{
    for (size_t piece = 1; piece < sizeof text; piece++) {
        struct tail_lines lines;
        struct buf out;
        tail_lines_init(&lines, 1000);
        buf_init(&out);
        cut(&lines, &out, piece);
        ck_assert_str_eq(out.bytes, "{\"id\":\"a\"}\n|\n|{\"id\":\"bb\"}\n|last\n|");
        ck_assert_uint_eq(lines.partial.len, strlen("unfinished"));
        buf_fini(&out);
        tail_lines_fini(&lines);
    }
}
END_TEST

START_TEST(whole_lines_are_lent_from_the_fed_bytes)
{
    struct tail_lines lines;
    const char *first, *second;
    size_t first_len, second_len;
    static const char bytes[] = "one\ntwo\n";
    tail_lines_init(&lines, 1000);
    tail_lines_feed(&lines, bytes, sizeof bytes - 1);
    ck_assert(tail_lines_next(&lines, &first, &first_len));
    ck_assert(tail_lines_next(&lines, &second, &second_len));
    ck_assert_ptr_eq(first, bytes);
    ck_assert_ptr_eq(second, first + first_len);
    ck_assert(!tail_lines_next(&lines, &first, &first_len));
    tail_lines_fini(&lines);
}
END_TEST

START_TEST(joined_line_is_lent_until_the_next_feed)
{
    struct tail_lines lines;
    const char *joined, *other;
    size_t joined_len, other_len;
    tail_lines_init(&lines, 1000);
    tail_lines_feed(&lines, "on", 2);
    ck_assert(!tail_lines_next(&lines, &joined, &joined_len));
    tail_lines_feed(&lines, "e\ntwo\nrest", 10);
    ck_assert(tail_lines_next(&lines, &joined, &joined_len));
    ck_assert(tail_lines_next(&lines, &other, &other_len));
    ck_assert(!tail_lines_next(&lines, &other, &other_len));
    ck_assert_int_eq(memcmp(joined, "one\n", joined_len), 0);
    tail_lines_fini(&lines);
}
END_TEST

START_TEST(reset_forgets_the_begun_line)
{
    struct tail_lines lines;
    const char *line;
    size_t len;
    tail_lines_init(&lines, 1000);
    tail_lines_feed(&lines, "begun", 5);
    ck_assert(!tail_lines_next(&lines, &line, &len));
    tail_lines_reset(&lines);
    tail_lines_feed(&lines, "new\n", 4);
    ck_assert(tail_lines_next(&lines, &line, &len));
    ck_assert_uint_eq(len, 4);
    tail_lines_fini(&lines);
}
END_TEST

START_TEST(line_beyond_the_bound_is_told)
{
    struct tail_lines lines;
    const char *line;
    size_t len;
    tail_lines_init(&lines, 8);
    tail_lines_feed(&lines, "12345678", 8);
    ck_assert(!tail_lines_next(&lines, &line, &len));
    ck_assert(!tail_lines_too_long(&lines));
    tail_lines_feed(&lines, "9", 1);
    ck_assert(!tail_lines_next(&lines, &line, &len));
    ck_assert(tail_lines_too_long(&lines));
    tail_lines_fini(&lines);
}
END_TEST

UNIT_MAIN("tail_lines", lines_are_the_same_in_pieces_of_any_size,
    whole_lines_are_lent_from_the_fed_bytes, joined_line_is_lent_until_the_next_feed,
    reset_forgets_the_begun_line, line_beyond_the_bound_is_told)
