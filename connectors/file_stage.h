/* file_stage: from an item of a parser to a record of a stream: its key and its time, by JSON
 * Pointers. Thread  source. */
#ifndef HEADGATE_FILE_STAGE_H
#define HEADGATE_FILE_STAGE_H

#include "file_parser.h"
#include "file_settings.h"

#include <stdbool.h>
#include <stdint.h>

struct file_stager;
struct stream;

struct file_stager *file_stager_new(const struct file_settings *settings, struct stream *stream);
void file_stager_free(struct file_stager *stager); /* NULL-safe */

/* file_stager_arrived: what is staged from now on was read at arrival_ns. */
void file_stager_arrived(struct file_stager *stager, int64_t arrival_ns);

/* file_stage_time: what the record's member says; -1: nothing. */
int64_t file_stage_time(struct file_stager *stager, const struct file_item *item);

/* file_stage: stage item on lane, or its loss. time_ms: what the record's time is when its members
 * do not say; -1: its arrival. begin_ms: records before that time are passed over.
 * Returns -1 when the stream has no room: offer it again. 0: done. 1: done, it was no record. */
int file_stage(struct file_stager *stager, uint32_t lane, const struct file_item *item,
    int64_t time_ms, int64_t begin_ms);

#endif
