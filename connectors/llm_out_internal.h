/* llm_out_internal: between llm_out.c, which keeps the blocks of an answer, and its dialects.
 *
 * An answer is a row of blocks: text, a refusal, thinking, tool calls. A text or thinking block
 * ends when one of another kind begins, a call when its arguments are whole; calls may overlap. */
#ifndef HEADGATE_LLM_OUT_INTERNAL_H
#define HEADGATE_LLM_OUT_INTERNAL_H

#include "llm_out.h"

enum llm_block_kind {
    LLM_BLOCK_TEXT,
    LLM_BLOCK_REFUSAL,
    LLM_BLOCK_THINKING,
    LLM_BLOCK_REDACTED, /* thinking that only its maker reads; text is that */
    LLM_BLOCK_CALL
};

/* Texts are contents of JSON strings. */
struct llm_block {
    enum llm_block_kind kind;
    uint64_t place;       /* among the blocks of the answer, from 0 */
    uint64_t call;        /* among its calls, as in the event */
    bool held, has_delta; /* held: begun without a name, not told before it is whole */
    struct buf text;      /* all of it so far, of who keeps; a call's once it is whole */
    struct buf id, name;  /* of a call */
    struct buf signature; /* of thinking */
    struct buf citations; /* items of an array */
    uint64_t n_citations;
};

struct llm_out_usage {
    bool has_input, has_output;
    uint64_t input, output, cached, written, reasoning;
};

struct llm_wire_row {
    const char *name;
    size_t len;
};

struct llm_out {
    const struct llm_out_dialect *dialect;
    struct llm_out_options options;
    struct buf id, model; /* contents of JSON strings */

    struct buf texts; /* the queue: texts one behind the other; rows from first on */
    struct llm_wire_row *rows;
    size_t first, n_rows, rows_cap, taken_bytes, row_start;

    bool ended, keeps, refused;
    bool over;               /* max_bytes */
    struct llm_block **open; /* owned */
    size_t n_open, open_cap;
    struct llm_block **kept; /* of who keeps, all that were told, in the order of places; owned */
    size_t n_kept, kept_cap;
    uint64_t places, sequence; /* of blocks, and of wire events, so far */
    uint64_t kept_bytes;
    struct llm_out_usage usage;
    enum llm_reason reason;
    struct buf upstream_reason, stop_sequence;
};

struct llm_out_dialect {
    const char *name;
    bool keeps;           /* the end repeats all */
    bool empty_arguments; /* a call without any is told to have {} */

    /* Each writes wire events; start is the first one. */
    void (*start)(struct llm_out *out);
    void (*open)(struct llm_out *out, const struct llm_block *block);
    void (*delta)(struct llm_out *out, const struct llm_block *block, struct llm_value content);
    void (*signature)(struct llm_out *out, const struct llm_block *block);
    void (*citation)(struct llm_out *out, struct llm_block *block, struct llm_value object);
    void (*close)(struct llm_out *out, const struct llm_block *block);
    void (*done)(struct llm_out *out);
    /* knows: the citation is of this dialect's kind. whole: append the object of the answer.
     * error: append that of an HTTP error. */
    bool (*knows)(struct llm_value citation);
    void (*whole)(struct llm_out *out, struct buf *text);
    void (*error)(struct buf *text, enum llm_code code, const char *message);
    /* error_event: append that of one in the stream; returns its name. */
    const char *(*error_event)(struct buf *text, enum llm_code code, const char *message);
};

/* llm_wire_begin: what is appended to it until llm_wire_end is one wire event; name is a literal.
 */
struct buf *llm_wire_begin(struct llm_out *out, const char *name);
void llm_wire_end(struct llm_out *out);

/* llm_wire_open, llm_wire_close: the same of an event that is an object, whose "type" is its name:
 * further members are appended between them. */
struct buf *llm_wire_open(struct llm_out *out, const char *type);
void llm_wire_close(struct llm_out *out);

/* Appending to objects: ,"name":"content" and ,"name":N. llm_out_type: one word of an error. */
void llm_put(struct buf *text, const char *name, const struct buf *content);
void llm_put_value(struct buf *text, const char *name, struct llm_value content);
void llm_put_word(struct buf *text, const char *name, const char *word);
void llm_put_number(struct buf *text, const char *name, uint64_t number);
const char *llm_out_type(enum llm_code code);

/* llm_type_is_one: object's "type" is one of words, NULL behind the last. */
bool llm_type_is_one(struct llm_value object, const char *const *words);

#endif
