/* llm_whole: see llm_whole.h. Of Responses it is what the terminal event has. Of Messages it is the
 * message of the first event, the blocks with their deltas, and what message_delta says anew.
 * Facts: platform.claude.com/docs/en/api/messages-streaming; anthropic-sdk-typescript,
 * MessageStream. */
#include "llm_whole.h"

#include "../gateway/mem.h"

#include <stdlib.h>
#include <string.h>

#define BLOCKS_MAX 4096

/* A block of a message: as it began, and what its deltas have added. Texts are contents of JSON
 * strings. */
struct block {
    uint64_t index;
    struct buf start; /* an object */
    struct buf text, thinking, input;
    struct buf signature; /* replaces the start's */
    struct buf citations; /* items of an array */
};

struct llm_whole {
    const struct llm_dialect *dialect;
    size_t max_bytes, bytes;
    bool over;
    struct buf object;       /* a response, or the message as it began */
    struct buf delta, usage; /* of message_delta, the last of each: objects */
    struct block *blocks;
    size_t n_blocks, blocks_cap;
};

struct llm_whole *
llm_whole_new(const struct llm_dialect *dialect, size_t max_bytes)
{
    if (dialect != &llm_responses && dialect != &llm_anthropic) {
        return NULL;
    }
    struct llm_whole *whole = mem_calloc(1, sizeof *whole);
    whole->dialect = dialect;
    whole->max_bytes = max_bytes;
    return whole;
}

void
llm_whole_free(struct llm_whole *whole)
{
    if (whole == NULL) {
        return;
    }
    for (size_t i = 0; i < whole->n_blocks; i++) {
        struct block *block = &whole->blocks[i];
        buf_fini(&block->start);
        buf_fini(&block->text);
        buf_fini(&block->thinking);
        buf_fini(&block->input);
        buf_fini(&block->signature);
        buf_fini(&block->citations);
    }
    free(whole->blocks);
    buf_fini(&whole->object);
    buf_fini(&whole->delta);
    buf_fini(&whole->usage);
    free(whole);
}

bool
llm_whole_is_over(const struct llm_whole *whole)
{
    return whole->over;
}

/* ---- what comes ---- */

/* False: it is over. */
static bool
charge(struct llm_whole *whole, size_t len)
{
    whole->bytes += len;
    whole->over |= whole->bytes > whole->max_bytes;
    return !whole->over;
}

static void
keep(struct llm_whole *whole, struct buf *held, struct llm_value value)
{
    if (charge(whole, value.len)) {
        buf_add(held, value.at, value.len);
    }
}

static void
keep_json(struct llm_whole *whole, struct buf *held, struct llm_value value)
{
    if (charge(whole, value.len)) {
        llm_json_add(held, value);
    }
}

/* In the place of what was there. */
static void
keep_object(struct llm_whole *whole, struct buf *held, struct llm_value object)
{
    if (llm_json_is_object(object)) {
        held->len = 0;
        keep_json(whole, held, object);
    }
}

static struct block *
find_block(struct llm_whole *whole, struct llm_value event)
{
    uint64_t index = 0;
    (void)llm_json_u64(llm_json_get(event, "index"), &index);
    for (size_t i = whole->n_blocks; i > 0; i--) {
        if (whole->blocks[i - 1].index == index) {
            return &whole->blocks[i - 1];
        }
    }
    return NULL;
}

static void
block_start(struct llm_whole *whole, struct llm_value event)
{
    struct block *block = find_block(whole, event);
    struct llm_value start = llm_json_get(event, "content_block");
    if (!llm_json_is_string(llm_json_get(start, "type"))) {
        return;
    }
    if (block == NULL) {
        whole->over |= whole->n_blocks == BLOCKS_MAX;
        if (!charge(whole, sizeof *block)) {
            return;
        }
        if (whole->n_blocks == whole->blocks_cap) {
            whole->blocks_cap = whole->blocks_cap == 0 ? 4 : 2 * whole->blocks_cap;
            whole->blocks = mem_realloc(whole->blocks, whole->blocks_cap * sizeof *whole->blocks);
        }
        block = &whole->blocks[whole->n_blocks++];
        *block = (struct block){.index = 0};
        (void)llm_json_u64(llm_json_get(event, "index"), &block->index);
    }
    keep_object(whole, &block->start, start);
}

static void
add_delta(struct llm_whole *whole, struct block *block, struct llm_value delta)
{
    struct llm_value signature = llm_json_inside(llm_json_get(delta, "signature"));
    struct llm_value citation = llm_json_get(delta, "citation");
    keep(whole, &block->text, llm_json_inside(llm_json_get(delta, "text")));
    keep(whole, &block->thinking, llm_json_inside(llm_json_get(delta, "thinking")));
    keep(whole, &block->input, llm_json_inside(llm_json_get(delta, "partial_json")));
    if (signature.len > 0) {
        block->signature.len = 0;
        keep(whole, &block->signature, signature);
    }
    if (llm_json_is_object(citation)) {
        keep(whole, &block->citations, (struct llm_value){",", block->citations.len > 0 ? 1 : 0});
        keep_json(whole, &block->citations, citation);
    }
}

static void
take_message(struct llm_whole *whole, struct llm_value event)
{
    struct llm_value type = llm_json_get(event, "type");
    struct block *block = find_block(whole, event);
    if (llm_json_is(type, "content_block_delta")) {
        if (block != NULL) {
            add_delta(whole, block, llm_json_get(event, "delta"));
        }
    } else if (llm_json_is(type, "content_block_start")) {
        block_start(whole, event);
    } else if (llm_json_is(type, "message_start")) {
        keep_object(whole, &whole->object, llm_json_get(event, "message"));
    } else if (llm_json_is(type, "message_delta")) {
        keep_object(whole, &whole->delta, llm_json_get(event, "delta"));
        keep_object(whole, &whole->usage, llm_json_get(event, "usage"));
    }
}

void
llm_whole_event(struct llm_whole *whole, const struct llm_event *event)
{
    struct llm_value root = llm_json_root(event->json, event->len);
    if (whole->over || !llm_json_is_object(root)) {
        return;
    }
    if (whole->dialect == &llm_anthropic) {
        take_message(whole, root);
    } else { /* the last one is the terminal event's */
        keep_object(whole, &whole->object, llm_json_get(root, "response"));
    }
}

/* ---- the object ---- */

static struct llm_value
value_of(const struct buf *text)
{
    return (struct llm_value){text->len == 0 ? NULL : text->bytes, text->len};
}

static void
put_name(struct buf *out, const char *before, const char *name)
{
    buf_adds(out, before);
    buf_addc(out, '"');
    buf_adds(out, name);
    BUF_LITERAL(out, "\":");
}

/* The members of an object, of two that are to be one. */
struct members {
    struct llm_value object, other;
    bool newer;              /* than other: what it says counts, but for null */
    const char *const *made; /* names that are told elsewhere */
};

static struct llm_value
find(struct llm_value object, struct llm_value wanted)
{
    struct llm_iter iter = {0};
    struct llm_value name, value;
    while (llm_json_member(object, &iter, &name, &value)) {
        if (name.len == wanted.len && memcmp(name.at, wanted.at, name.len) == 0) {
            return value;
        }
    }
    return (struct llm_value){NULL, 0};
}

static bool
is_told(const struct members *members, struct llm_value name, struct llm_value value)
{
    struct llm_value other = find(members->other, name);
    for (size_t i = 0; members->made[i] != NULL; i++) {
        if (llm_json_is(name, members->made[i])) {
            return false;
        }
    }
    return members->newer ? !llm_json_is_null(value) || other.at == NULL : llm_json_is_null(other);
}

/* any: there is one before; as is returned. */
static bool
put_members(struct buf *out, const struct members *members, bool any)
{
    struct llm_iter iter = {0};
    struct llm_value name, value;
    while (llm_json_member(members->object, &iter, &name, &value)) {
        if (is_told(members, name, value)) {
            buf_adds(out, any ? "," : "");
            llm_json_add(out, name);
            buf_addc(out, ':');
            llm_json_add(out, value);
            any = true;
        }
    }
    return any;
}

static bool
put_both(struct buf *out, struct llm_value older, struct llm_value newer, const char *const *made)
{
    const struct members first = {.object = older, .other = newer, .made = made};
    const struct members second = {.object = newer, .other = older, .newer = true, .made = made};
    return put_members(out, &second, put_members(out, &first, false));
}

/* A string of the start, and what was added to it. */
static void
put_words(struct buf *out, const struct block *block, const char *name, const struct buf *more)
{
    struct llm_value first = llm_json_inside(llm_json_get(value_of(&block->start), name));
    put_name(out, ",", name);
    buf_addc(out, '"');
    buf_add(out, first.at, first.len);
    buf_add(out, more->bytes, more->len);
    buf_addc(out, '"');
}

/* Arguments that were cut, as after max_tokens, are no object: the SDKs' own helper has {} then. */
static void
put_input(struct buf *out, const struct block *block)
{
    struct llm_value start = llm_json_get(value_of(&block->start), "input");
    struct buf said;
    buf_init(&said);
    llm_json_text(&said, value_of(&block->input));
    struct llm_value root = llm_json_root(said.bytes, said.len);
    put_name(out, ",", "input");
    if (llm_json_is_object(root)) {
        llm_json_add(out, root);
    } else if (said.len == 0 && llm_json_is_object(start)) {
        llm_json_add(out, start);
    } else {
        BUF_LITERAL(out, "{}");
    }
    buf_fini(&said);
}

static void
put_citations(struct buf *out, const struct block *block)
{
    struct llm_value first = llm_json_get(value_of(&block->start), "citations");
    bool some = llm_json_is_array(first) && first.len > strlen("[]");
    put_name(out, ",", "citations");
    buf_addc(out, '[');
    if (some) {
        struct llm_iter iter = {0};
        struct llm_value item;
        for (bool any = false; llm_json_item(first, &iter, &item); any = true) {
            buf_adds(out, any ? "," : "");
            llm_json_add(out, item);
        }
    }
    buf_adds(out, some && block->citations.len > 0 ? "," : "");
    buf_add(out, block->citations.bytes, block->citations.len);
    buf_addc(out, ']');
}

static void
put_block(struct buf *out, const struct block *block)
{
    static const char *const added[] = {
        "type", "text", "thinking", "input", "signature", "citations", NULL};
    struct llm_value start = value_of(&block->start);
    BUF_LITERAL(out, "{\"type\":");
    llm_json_add(out, llm_json_get(start, "type"));
    (void)put_members(out, &(struct members){.object = start, .made = added}, true);
    if (llm_json_get(start, "text").at != NULL || block->text.len > 0) {
        put_words(out, block, "text", &block->text);
    }
    if (llm_json_get(start, "thinking").at != NULL || block->thinking.len > 0) {
        put_words(out, block, "thinking", &block->thinking);
    }
    if (block->signature.len > 0) {
        put_name(out, ",", "signature");
        buf_addc(out, '"');
        buf_add(out, block->signature.bytes, block->signature.len);
        buf_addc(out, '"');
    } else if (llm_json_get(start, "signature").at != NULL) {
        put_words(out, block, "signature", &block->signature);
    }
    if (llm_json_get(start, "input").at != NULL || block->input.len > 0) {
        put_input(out, block);
    }
    if (block->citations.len > 0 || llm_json_is_array(llm_json_get(start, "citations"))) {
        put_citations(out, block);
    }
    buf_addc(out, '}');
}

bool
llm_whole_says(const struct llm_whole *whole)
{
    struct llm_value output = llm_json_get(value_of(&whole->object), "output");
    return whole->dialect == &llm_anthropic ||
           (llm_json_is_array(output) && output.len > strlen("[]"));
}

void
llm_whole_add(const struct llm_whole *whole, struct buf *out)
{
    static const char *const made[] = {"content", "usage", NULL};
    static const char *const none[] = {NULL};
    struct llm_value message = value_of(&whole->object);
    if (whole->dialect != &llm_anthropic) {
        if (message.at == NULL) { /* it ended, and said nothing */
            BUF_LITERAL(out, "{}");
        }
        llm_json_add(out, message);
        return;
    }
    buf_addc(out, '{');
    bool any = put_both(out, message, value_of(&whole->delta), made);
    put_name(out, any ? "," : "", "content");
    buf_addc(out, '[');
    for (size_t i = 0; i < whole->n_blocks; i++) {
        buf_adds(out, i > 0 ? "," : "");
        put_block(out, &whole->blocks[i]);
    }
    BUF_LITERAL(out, "],\"usage\":{");
    (void)put_both(out, llm_json_get(message, "usage"), value_of(&whole->usage), none);
    BUF_LITERAL(out, "}}");
}
