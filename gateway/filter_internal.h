/* filter_internal: what filter.c compiles and filter_eval.c evaluates. */
#ifndef HEADGATE_FILTER_INTERNAL_H
#define HEADGATE_FILTER_INTERNAL_H

#include "filter.h"

#include <stdatomic.h>
#include <stdint.h>

enum filter_op { FILTER_EQ, FILTER_NE, FILTER_LT, FILTER_LE, FILTER_GT, FILTER_GE };

enum filter_kind {
    FILTER_STRING,
    FILTER_NUMBER,
    FILTER_TRUE,
    FILTER_FALSE,
    FILTER_NULL,
    FILTER_CONTAINER
};

/* A reference token of a pointer, unescaped. */
struct filter_token {
    const char *name; /* in the where's own pointer text */
    size_t len;
    uint64_t index; /* as an array index; UINT64_MAX: it is none */
};

struct filter_where {
    char *text; /* canonical: where=POINTER OP LITERAL; sorted by */
    char *pointer;
    struct filter_token tokens[FILTER_DEPTH_MAX];
    unsigned n_tokens;
    enum filter_op op;
    enum filter_kind kind;
    char *literal; /* a string without its escapes, a number as written; else NULL */
    size_t literal_len;
};

struct filter_key {
    char *text; /* key=JSON, as the record's text has it behind "key": */
    size_t len;
};

struct filter {
    atomic_uint refs;
    struct filter_key keys[FILTER_KEYS_MAX]; /* once sealed, in order */
    unsigned n_keys;
    struct filter_where *wheres[FILTER_WHERES_MAX];
    unsigned n_wheres;
    size_t text_len; /* what the canonical text will have */
    char *text;      /* NULL until sealed */
    bool keeps_tombstones;
    unsigned view;                       /* 0: any */
    unsigned unequal;                    /* bit i: where i is != */
    unsigned ends[FILTER_DEPTH_MAX + 1]; /* bit i: where i has that many tokens */
};

#define FILTER_KEY_PREFIX 4 /* strlen("key=") */

/* filter_eval_kind: of a valid JSON value, by its first byte. */
enum filter_kind filter_eval_kind(char first);

/* filter_eval_unescape: the next character of a JSON string's inside, which is valid and not at its
 * end, as UTF-8 into out; returns how many bytes. A lone surrogate becomes its three bytes, which
 * no valid UTF-8 has. */
size_t filter_eval_unescape(const char **at, const char *end, char out[4]);

/* Steps over JSON that is known to be valid: the white space at at; what follows the string whose
 * opening quote is at at; what follows the value at at. */
const char *filter_eval_skip_space(const char *at, const char *end);
const char *filter_eval_skip_string(const char *at, const char *end);
const char *filter_eval_skip_value(const char *at, const char *end);

/* filter_eval_order_string: the inside of a JSON string, from at to end, against plain bytes. */
int filter_eval_order_string(const char *at, const char *end, const char *plain, size_t len);

/* filter_compile_pointer: fill in where's pointer and tokens. Returns what is wrong, or NULL. */
const char *filter_compile_pointer(struct filter_where *where, const char *text, size_t len);

/* filter_eval_all: every where of the filter holds for the JSON value, which is valid. */
bool filter_eval_all(const struct filter *filter, const char *json, size_t len);

#endif
