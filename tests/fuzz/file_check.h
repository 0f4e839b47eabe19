/* file_check: the first byte says where the rest of the input, a file, is cut into two chunks. The
 * items must be those of the file in one chunk, and those of lines that are taken together; their
 * ends grow and lie within the file; what is held is bounded; and of each record but text the
 * payload is JSON. */
#ifndef HEADGATE_FILE_CHECK_H
#define HEADGATE_FILE_CHECK_H

#include "file_parser.h"
#include "json.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define FILE_CHECK_MAX 200

struct file_sum {
    uint64_t hash, last_end;
    bool broken;
};

static inline void
file_must(bool condition)
{
    if (!condition) {
        abort();
    }
}

static inline void
file_add(struct file_sum *sum, const void *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        sum->hash = (sum->hash ^ ((const uint8_t *)bytes)[i]) * UINT64_C(1099511628211);
    }
}

static inline void
file_take(struct file_sum *sum, enum file_format format, const struct file_item *item, size_t size)
{
    size_t start, end;
    file_must(item->end >= sum->last_end && item->end <= size && !sum->broken);
    file_must((item->data == NULL) == (item->why != NULL));
    file_must(!item->fatal || item->data == NULL);
    sum->last_end = item->end;
    sum->broken = item->fatal;
    if (!item->fatal) { /* how much of what follows a break is in it depends on the chunks */
        file_add(sum, &item->end, sizeof item->end);
    }
    if (item->data == NULL) {
        file_add(sum, item->why, strlen(item->why));
        return;
    }
    file_must(format == FILE_TEXT || json_scan(item->data, item->len, &start, &end) != JSON_NOT);
    file_add(sum, item->data, item->len);
}

/* Where together: take the lines that pass on together, as the items that they are. */
static inline void
file_take_lines(struct file_sum *sum, enum file_format format, struct file_parser *parser,
    const char **at, const char *end, size_t size)
{
    struct file_lines lines;
    const char *last = memrchr(*at, '\n', (size_t)(end - *at));
    if (last == NULL || !file_parser_lines(parser, at, last + 1, &lines)) {
        return;
    }
    file_must(lines.begin + lines.len + 1 == *at && lines.end == file_parser_offset(parser));
    uint64_t begin = lines.end - (lines.len + 1);
    for (const char *line = lines.begin; lines.count > 0; lines.count--) {
        size_t len = (size_t)((const char *)memchr(line, '\n', (size_t)(*at - line)) - line);
        uint64_t behind = begin + (uint64_t)(line + len + 1 - lines.begin);
        const struct file_item item = {
            .data = line, .len = len, .end = behind, .is_json_line = true};
        file_take(sum, format, &item, size);
        line += len + 1;
        file_must(lines.count > 1 || line == *at);
    }
}

static inline uint64_t
file_sum_of(enum file_format format, const char *file, size_t size, size_t cut, bool together)
{
    struct file_item item;
    struct file_sum sum = {0};
    struct file_parser *parser = file_parser_new(format, FILE_CHECK_MAX);
    for (size_t from = 0; from < size;) {
        size_t to = from < cut ? cut : size;
        const char *at = file + from;
        for (bool more = true; more;) {
            if (together) {
                file_take_lines(&sum, format, parser, &at, file + to, size);
            }
            more = file_parser_next(parser, &at, file + to, &item);
            if (more) {
                file_take(&sum, format, &item, size);
            }
        }
        file_must(at == file + to && file_parser_offset(parser) == to);
        file_must(file_parser_held_bytes(parser) <= FILE_CHECK_MAX);
        from = to;
    }
    if (file_parser_finish(parser, &item)) {
        file_take(&sum, format, &item, size);
    }
    file_parser_free(parser);
    return sum.hash;
}

static inline void
file_check(enum file_format format, const uint8_t *bytes, size_t len)
{
    if (len > 0) {
        const char *file = (const char *)bytes + 1;
        size_t size = len - 1;
        size_t cut = bytes[0] < size ? bytes[0] : size;
        uint64_t sum = file_sum_of(format, file, size, size, false);
        file_must(sum == file_sum_of(format, file, size, cut, false));
        file_must(sum == file_sum_of(format, file, size, cut, true));
    }
}

#endif
