/* file_parser: from the bytes of a file to its records: lines of JSON, lines of text, CSV with a
 * header (RFC 4180), the elements of a JSON array.
 *
 * Bytes are pushed in chunks of any size; each call takes as many as make one item. An item is a
 * record, or something that is none, with the reason: nothing is passed over in silence but blank
 * lines. Items are in the order of the file, and each says where in it what follows begins: from
 * such a place parsing can go on at any time (file_parser_seek).
 *
 * Memory: what has been pushed of one unfinished item, at most max_bytes and a chunk, and the row
 * as JSON where the format is CSV; its header, at most FILE_HEADER_MAX.
 * Thread  one at a time. */
#ifndef HEADGATE_FILE_PARSER_H
#define HEADGATE_FILE_PARSER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum file_format { FILE_NDJSON, FILE_TEXT, FILE_CSV, FILE_JSON_ARRAY };
#define FILE_FORMAT_COUNT 4

#define FILE_HEADER_MAX (UINT32_C(64) << 10)

struct file_item {
    const char *data; /* lent until the next call; NULL: no record, see why */
    size_t len;
    const char *why;   /* "too_large" or "malformed": rows of DROP_REASONS */
    uint64_t end;      /* the offset behind it in the file */
    bool fatal;        /* nothing can be made of what follows it */
    bool is_json_line; /* data is valid JSON on one line, without white space around it */
};

struct file_parser;

/* file_parser_new: a record whose bytes in the file are more than max_bytes is too large. */
struct file_parser *file_parser_new(enum file_format format, size_t max_bytes);
void file_parser_free(struct file_parser *parser); /* NULL-safe */

/* file_parser_next: take bytes from *at on, at most to end; *at moves behind those that are taken.
 * True: item is the next one, and there may be more in the chunk. False: all of it was taken. */
bool file_parser_next(
    struct file_parser *parser, const char **at, const char *end, struct file_item *item);

/* Neighbouring lines that are one piece as they stand. */
struct file_lines {
    const char *begin; /* lent by the chunk */
    size_t len;        /* with the line feeds between them, without the last one's */
    uint64_t count;    /* 0: there are none */
    uint64_t end;      /* the offset behind the last */
};

/* file_parser_lines: between two items: take as many lines from *at on as pass on as they are
 * (json_lines), each of which file_parser_next would give as an item with is_json_line. The bytes
 * end with a line feed. False: none begins here, or the format is not FILE_NDJSON. */
bool file_parser_lines(
    struct file_parser *parser, const char **at, const char *end, struct file_lines *lines);

/* file_parser_finish: the file ends here: what was left unfinished is an item, or nothing was. */
bool file_parser_finish(struct file_parser *parser, struct file_item *item);

/* file_parser_seek: forget what is unfinished; the next byte pushed is at offset, which is 0, or
 * the end of an item of this file. A CSV header stays known and is not read twice, or is
 * not known and comes first: what is expected next, file_parser_offset says. */
void file_parser_seek(struct file_parser *parser, uint64_t offset);

/* file_parser_offset: of the next byte that is expected. */
uint64_t file_parser_offset(const struct file_parser *parser);

/* file_parser_is_between: no item is unfinished: the next byte pushed begins one. */
bool file_parser_is_between(const struct file_parser *parser);

/* file_parser_held_bytes: of an unfinished item. */
size_t file_parser_held_bytes(const struct file_parser *parser);

/* file_parser_wants_header: the format has a header and it is not known yet: the file must be read
 * from 0 until it is, whatever is wanted of it. */
bool file_parser_wants_header(const struct file_parser *parser);

#endif
