/* file_check: the first byte says where the rest of the input, a file, is cut into two chunks. The
 * items must be those of the file in one chunk; their ends grow and lie within the file; what is
 * held is bounded; and of each record but text the payload is JSON. */
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

static inline uint64_t
file_sum_of(enum file_format format, const char *file, size_t size, size_t cut)
{
    struct file_item item;
    struct file_sum sum = {0};
    struct file_parser *parser = file_parser_new(format, FILE_CHECK_MAX);
    for (size_t from = 0; from < size;) {
        size_t to = from < cut ? cut : size;
        const char *at = file + from;
        while (file_parser_next(parser, &at, file + to, &item)) {
            file_take(&sum, format, &item, size);
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
        file_must(file_sum_of(format, file, size, size) == file_sum_of(format, file, size, cut));
    }
}

#endif
