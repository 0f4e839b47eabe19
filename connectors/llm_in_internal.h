/* llm_in_internal: between llm_in.c and its dialects, which write the common form. */
#ifndef HEADGATE_LLM_IN_INTERNAL_H
#define HEADGATE_LLM_IN_INTERNAL_H

#include "llm_in.h"

struct llm_in_dialect {
    const char *name;           /* that of the upstream's dialect (llm_dialect.h) */
    const char *const *taken;   /* members that cross looks at, NULL behind the last */
    const char *const *unheard; /* members without an effect on the answer */
    /* cross: append the members of the common form but model, each with a comma before it. */
    int (*cross)(struct llm_value root, struct buf *common, struct err *err);
};

/* llm_in_refuse: -1, and err: a sentence, which begins with the member's name. */
int llm_in_refuse(struct err *err, const char *what);

/* llm_in_word: value is one of words, NULL behind the last; its place, or -1. */
int llm_in_word(struct llm_value value, const char *const *words);

/* llm_in_copy: ,"as":value where the member name is there and not null. */
void llm_in_copy(struct buf *common, struct llm_value root, const char *name, const char *as);

/* llm_in_array: ,"name":items where there are any; items begins with a bracket, which alone is left
 * of it. */
void llm_in_array(struct buf *common, const char *name, struct buf *items);

/* llm_in_budget, llm_in_effort: what a word for effort, and a budget of thinking, are to those who
 * have the other: append "thinking", or "reasoning_effort". max_tokens: of the request; 0: none. */
void llm_in_budget(struct buf *common, struct llm_value effort, uint64_t max_tokens);
void llm_in_effort(struct buf *common, struct llm_value thinking, struct llm_value effort);

/* llm_in_tools: ,"tools":[...] of an array of tools where there is one. kind: what differs between
 * dialects. Errors -1 and err: one is no function of the client's. */
struct llm_in_tools {
    bool (*takes_type)(struct llm_value type);
    const char *parameters; /* the member of a tool that has them */
    const char *refusal;    /* what is said of one that is not taken */
};
int llm_in_tools(
    struct buf *common, struct llm_value tools, const struct llm_in_tools *kind, struct err *err);

/* llm_in_call: append a tool call in the common form; arguments is a JSON string, or an object,
 * which is written into one. */
void llm_in_call(
    struct buf *common, struct llm_value id, struct llm_value name, struct llm_value arguments);

/* llm_in_part: append a part of a content: text (a JSON string), or an image's URL (contents of
 * JSON strings behind each other). */
void llm_in_text_part(struct buf *common, struct llm_value text);
void llm_in_image_part(struct buf *common, struct llm_value url);

#endif
