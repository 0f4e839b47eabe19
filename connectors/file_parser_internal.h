/* file_parser_internal: what the formats share. A format is one struct file_syntax. */
#ifndef HEADGATE_FILE_PARSER_INTERNAL_H
#define HEADGATE_FILE_PARSER_INTERNAL_H

#include "file_parser.h"

#include "../gateway/buf.h"

/* The CSV reader's place in a row. */
enum csv_state { CSV_FIELD_START, CSV_PLAIN, CSV_QUOTED, CSV_QUOTE };

struct csv {
    enum csv_state state;
    bool bad;          /* the row breaks the grammar */
    bool any;          /* a byte of the row was seen: it is not blank */
    struct buf ends;   /* uint32_t: where each field ends in held */
    struct buf names;  /* the header's names as JSON strings with their colons, one after another */
    struct buf places; /* uint32_t: where each name ends in names */
    size_t n_columns;  /* 0: no header yet */
    uint64_t header_end;
    bool header_broken; /* told; nothing more comes */
};

struct array {
    size_t depth; /* within the element */
    bool in_string, escaped;
    bool opened, closed;
    bool between; /* an element has ended: what ended it, a comma or the bracket, comes next */
    bool due;     /* a comma was read: an element must follow */
    bool broken;
};

struct file_syntax {
    bool (*next)(struct file_parser *, const char **at, const char *end, struct file_item *);
    bool (*finish)(struct file_parser *, struct file_item *);
    void (*seek)(struct file_parser *);
};

struct file_parser {
    const struct file_syntax *syntax;
    enum file_format format;
    size_t max_bytes;
    uint64_t offset;    /* of the next byte */
    struct buf held;    /* of the unfinished item */
    struct buf payload; /* what an item lends when it is not held as it is in the file */
    bool over;          /* the unfinished item is too large: its bytes are let go */
    bool lent;          /* held or payload is lent until the next call */
    bool first;         /* the item in work begins at 0: there may be a byte order mark */
    struct csv csv;
    struct array array;
};

extern const struct file_syntax file_lines_syntax, file_csv_syntax, file_array_syntax;

/* file_parser_hold: keep bytes of the unfinished item, unless it gets too large. */
void file_parser_hold(struct file_parser *parser, const char *bytes, size_t len);

/* file_parser_drop: the unfinished item is over: nothing is held. */
void file_parser_drop(struct file_parser *parser);

/* file_parser_bad, file_parser_good: fill in the item; true, so that next and finish return it. */
bool file_parser_bad(struct file_parser *parser, const char *why, struct file_item *item);
bool file_parser_good(
    struct file_parser *parser, const char *data, size_t len, struct file_item *item);

#define FILE_BOM "\xEF\xBB\xBF"

#endif
