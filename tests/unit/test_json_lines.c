/* test_json_lines: many lines at once, and lines of one shape, against a plain reader of each. */
#include "json.h"
#include "plain_json.h"
#include "unit.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* How many bytes of text, which ends with a line feed, are lines that a plain reader takes as they
 * are. */
static size_t
plain_lines(const char *text, size_t len, size_t most, uint64_t *count)
{
    size_t at = 0;
    for (*count = 0; at < len; ++*count) {
        const char *line = text + at;
        size_t start, end, n = (size_t)((const char *)memchr(line, '\n', len - at) - line);
        if (n > most || plain_json_scan(line, n, &start, &end) != JSON_ONE_LINE || start != 0 ||
            end != n || (*line != '{' && *line != '[')) {
            break;
        }
        at += n + 1;
    }
    return at;
}

static uint64_t
expect_lines(const char *text, size_t len, size_t most)
{
    uint64_t count, plain_count;
    char *copy = malloc(len == 0 ? 1 : len);
    memcpy(copy, text, len);
    size_t taken = json_lines(copy, len, most, &count);
    size_t plain = plain_lines(copy, len, most, &plain_count);
    free(copy);
    if (taken != plain || count != plain_count) {
        ck_abort_msg("%zu, plainly %zu: %.*s", taken, plain, (int)len, text);
    }
    return count;
}

/* A value whose containers and names are chosen by shape, and whose scalars by seed. */
static void
add_shaped(struct buf *out, unsigned *shape, unsigned *seed, int depth)
{
    static const char *const scalars[] = {"0", "-1.5e-7", "true", "null", "false", "123456", "\"\"",
        "\"\\u00e9\\\"\\\\\"", "\"\xC3\xA9\xF0\x9F\x98\x80\"", "12345678901234567890"};
    static const char *const names[] = {"\"a\":", "\"a_long_name_of_one\":", "\"\\\"\" : "};
    int kind = rand_r(shape) % 4;
    if (depth == 0 || kind == 0) {
        if (rand_r(seed) % 2 == 0) {
            buf_adds(out, scalars[(size_t)rand_r(seed) % COUNT(scalars)]);
        } else {
            buf_addf(out, "\"%.*s\"", rand_r(seed) % 80,
                "some text, [with] {marks}: that is longer than a block of the scanner and a half");
        }
        return;
    }
    bool object = kind != 3;
    buf_addc(out, object ? '{' : '[');
    for (int i = 0, n = rand_r(shape) % 7; i < n; i++) {
        buf_adds(out, i == 0 ? "" : ",");
        buf_adds(out, object ? names[(size_t)rand_r(shape) % COUNT(names)] : "");
        add_shaped(out, shape, seed, depth - 1);
    }
    buf_addc(out, object ? '}' : ']');
}

START_TEST(lines_of_one_shape_are_judged_as_a_plain_reader_does_each)
{
    static const char damage[] = "\"\\{}[],: \n\r0e.-\x00\x1F\x7F\x80\xC3xu";
    unsigned seed = 3;
    uint64_t n_lines = 0;
    struct buf text;
    buf_init(&text);
    for (unsigned i = 0; i < 3000; i++) {
        text.len = 0;
        for (int k = 3 + rand_r(&seed) % 20; k > 0; k--) {
            unsigned shape = rand_r(&seed) % 12 == 0 ? i + 1 : i; /* an odd one here and there */
            add_shaped(&text, &shape, &seed, 1 + (int)(i % 4));
            buf_addc(&text, '\n');
        }
        n_lines += expect_lines(text.bytes, text.len, text.len);
        for (int k = 0; k < 10; k++) {
            size_t at = (size_t)rand_r(&seed) % (text.len - 1);
            char was = text.bytes[at];
            text.bytes[at] = damage[(size_t)rand_r(&seed) % (sizeof damage - 1)];
            n_lines += expect_lines(text.bytes, text.len, text.len);
            text.bytes[at] = was;
        }
    }
    buf_fini(&text);
    ck_assert_uint_gt(n_lines, 100000);
}
END_TEST

START_TEST(lines_together_are_judged_as_a_plain_reader_does_each)
{
    static const char damage[] = "\"\\{}[],: \n\r0e.-\x00\x1F\x7F\x80\xC3xu";
    unsigned seed = 9;
    uint64_t n_lines = 0;
    struct buf text, line;
    buf_init(&text);
    buf_init(&line);
    ck_assert_uint_eq(expect_lines("", 0, 10), 0);
    for (int i = 0; i < 6000; i++) {
        text.len = 0;
        for (int k = 1 + rand_r(&seed) % 8; k > 0; k--) {
            size_t start, end;
            line.len = 0;
            plain_json_random(&line, &seed, 3);
            bool keep = rand_r(&seed) % 10 == 0; /* as it is, white space and line feeds too */
            if (!keep && plain_json_scan(line.bytes, line.len, &start, &end) == JSON_ONE_LINE) {
                buf_add(&text, line.bytes + start, end - start);
            } else if (!keep) {
                buf_adds(&text, "{\"a\": [1, 2.5e1, {}]}");
            } else {
                buf_add(&text, line.bytes, line.len);
            }
            buf_addc(&text, '\n');
        }
        n_lines += expect_lines(text.bytes, text.len, text.len);
        (void)expect_lines(text.bytes, text.len, (size_t)rand_r(&seed) % 60);
        for (int k = 0; k < 5; k++) {
            size_t at = (size_t)rand_r(&seed) % (text.len - 1);
            text.bytes[at] = damage[(size_t)rand_r(&seed) % (sizeof damage - 1)];
            n_lines += expect_lines(text.bytes, text.len, text.len);
        }
    }
    buf_fini(&text);
    buf_fini(&line);
    ck_assert_uint_gt(n_lines, 10000);
}
END_TEST

UNIT_MAIN("json_lines", lines_together_are_judged_as_a_plain_reader_does_each,
    lines_of_one_shape_are_judged_as_a_plain_reader_does_each)
