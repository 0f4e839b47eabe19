/* fuzz_filter: the input is keys and comparisons, one a line (k or w before each), then an empty
 * line and a payload. What compiles answers without reading past the payload, the same twice, as
 * a sealed filter of the same parts in reverse does; and != is the opposite of == wherever the
 * payload is JSON. */
#include "buf.h"
#include "filter.h"
#include "json.h"
#include "record.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define LINES_MAX 32

struct line {
    const char *at;
    size_t len;
};

static void
must(bool holds)
{
    if (!holds) {
        abort();
    }
}

static bool
add(struct filter *filter, struct line line)
{
    struct err err = {.code = ERR_NONE};
    int failed = line.at[0] == 'k' ? filter_add_key(filter, line.at + 1, line.len - 1, &err)
                                   : filter_add_where(filter, line.at + 1, line.len - 1, &err);
    must(failed == 0 || err.code == ERR_INVALID);
    for (const char *c = err.text; failed != 0 && *c != '\0'; c++) {
        must(*c >= 0x20 && *c < 0x7f);
    }
    return failed == 0;
}

/* Cut lines off until the empty one; what is behind it stays in rest. */
static size_t
cut(struct line *rest, struct line lines[LINES_MAX])
{
    size_t n = 0;
    while (rest->len > 0 && n < LINES_MAX) {
        const char *end = memchr(rest->at, '\n', rest->len);
        size_t len = end == NULL ? rest->len : (size_t)(end - rest->at);
        struct line line = {rest->at, len};
        size_t used = end == NULL ? len : len + 1;
        rest->at += used;
        rest->len -= used;
        if (len == 0) {
            break;
        }
        lines[n++] = line;
    }
    return n;
}

/* line with its == made != passes what it does not, where there is JSON. */
static void
check_opposite(struct line line, const struct record *record)
{
    const char *op = memchr(line.at, '=', line.len);
    if (line.at[0] != 'w' || op == NULL || memchr(line.at, '!', line.len) != NULL ||
        memchr(line.at, '<', line.len) != NULL || memchr(line.at, '>', line.len) != NULL) {
        return;
    }
    char *text = malloc(line.len);
    memcpy(text, line.at, line.len);
    text[op - line.at] = '!';
    struct filter *is = filter_new();
    struct filter *is_not = filter_new();
    if (add(is, line) && add(is_not, (struct line){text, line.len})) {
        filter_seal(is);
        filter_seal(is_not);
        bool equality =
            strstr(filter_text(is_not), "\"!=") != NULL && strstr(filter_text(is), "\"==") != NULL;
        must(!equality || !record->data_is_json ||
             filter_passes(is, record) != filter_passes(is_not, record));
    }
    filter_unref(is);
    filter_unref(is_not);
    free(text);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct line rest = {(const char *)data, size};
    struct line lines[LINES_MAX];
    size_t n = size == 0 ? 0 : cut(&rest, lines);
    struct filter *filter = filter_new();
    struct filter *reverse = filter_new();
    bool all = true;
    for (size_t i = 0; i < n; i++) {
        all = add(filter, lines[i]) && all;
    }
    for (size_t i = n; i-- > 0;) {
        all = add(reverse, lines[i]) && all;
    }
    filter_seal(filter);
    filter_seal(reverse);
    must(strlen(filter_text(filter)) <= FILTER_TEXT_MAX);
    struct buf scratch;
    buf_init(&scratch);
    struct record_input in = {.key = "k",
        .key_len = 1,
        .data = rest.len == 0 ? "" : rest.at,
        .data_len = rest.len,
        .time_ms = 1};
    struct record *record = record_new(&in, "AQA", 3, "{\"offset\":", 0, &scratch);
    bool passes = filter_passes(filter, record);
    must(filter_passes(filter, record) == passes);
    must(!all || (filter_same(filter, reverse) && filter_passes(reverse, record) == passes));
    for (size_t i = 0; i < n; i++) {
        check_opposite(lines[i], record);
    }
    record_unref(record);
    buf_fini(&scratch);
    filter_unref(filter);
    filter_unref(reverse);
    return 0;
}
