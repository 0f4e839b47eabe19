/* record_headers: a record's headers as a JSON object. Thread  any: no state. */
#ifndef HEADGATE_RECORD_HEADERS_H
#define HEADGATE_RECORD_HEADERS_H

#include "buf.h"
#include "record.h"

/* record_add_headers: append ,"headers":{...}. The values of a repeated name stand in one array,
 * where the name stood first. Cost  O(n log n). */
void record_add_headers(struct buf *out, const struct record_header *headers, size_t n);

#endif
