/* file_bulk: neighbours in a chunk of a file that are JSON as they stand there, one a line,
 * gathered so that they go on as one piece (stream_stage_lines). No thread of its own. */
#ifndef HEADGATE_FILE_BULK_H
#define HEADGATE_FILE_BULK_H

#include "file_parser.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Two pieces of it, which HTTP puts into one chunk, are no more than a stalled connection may owe
 * as a copy. */
#define FILE_BULK_BYTES 4032

/* file_bulk_add: false: item does not stand behind what is in it, or there is no more room: begin
 * anew. An empty one takes any. */
static inline bool
file_bulk_add(struct file_lines *bulk, const struct file_item *item)
{
    if (bulk->count == 0) {
        *bulk = (struct file_lines){item->data, item->len, 1, item->end};
        return true;
    }
    if (bulk->begin + bulk->len + 1 != item->data || bulk->begin[bulk->len] != '\n' ||
        bulk->len + 1 + item->len > FILE_BULK_BYTES) {
        return false;
    }
    bulk->len += 1 + item->len;
    bulk->count++;
    bulk->end = item->end;
    return true;
}

#endif
