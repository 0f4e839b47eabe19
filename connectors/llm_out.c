/* llm_out: the blocks of an answer; how they look is said by the dialects, the queue is in
 * llm_out_wire.c. */
#include "llm_out_internal.h"

#include "../gateway/json.h"
#include "../gateway/mem.h"

#include <stdlib.h>
#include <string.h>

const struct llm_out_dialect *const llm_out_dialects[LLM_OUT_COUNT + 1] = {
    &llm_out_openai, &llm_out_anthropic, &llm_out_responses, NULL};

const char *
llm_out_name(const struct llm_out_dialect *dialect)
{
    return dialect->name;
}

struct llm_out *
llm_out_new(const struct llm_out_dialect *dialect, const struct llm_out_options *options)
{
    struct llm_out *out = mem_calloc(1, sizeof *out);
    out->dialect = dialect;
    out->options = *options;
    out->options.id = NULL; /* lent */
    out->keeps = dialect->keeps || options->whole;
    buf_adds(&out->id, options->id);
    return out;
}

static void
block_free(struct llm_block *block)
{
    buf_fini(&block->text);
    buf_fini(&block->id);
    buf_fini(&block->name);
    buf_fini(&block->signature);
    buf_fini(&block->citations);
    buf_fini(&block->logprobs);
    free(block);
}

void
llm_out_free(struct llm_out *out)
{
    if (out == NULL) {
        return;
    }
    for (size_t i = 0; i < out->n_open; i++) {
        if (!out->keeps || out->open[i]->held) { /* else it is among the kept ones */
            block_free(out->open[i]);
        }
    }
    for (size_t i = 0; i < out->n_kept; i++) {
        block_free(out->kept[i]);
    }
    free(out->open);
    free(out->kept);
    free(out->rows);
    buf_fini(&out->id);
    buf_fini(&out->model);
    buf_fini(&out->texts);
    buf_fini(&out->upstream_reason);
    buf_fini(&out->stop_sequence);
    free(out);
}

/* ---- blocks ---- */

static bool
is_told(const struct llm_out *out)
{
    return !out->options.whole && !out->ended;
}

/* More of the answer is kept; false: it is over the bound, and the end. */
static bool
keep(struct llm_out *out, struct buf *held, struct llm_value content)
{
    out->kept_bytes += content.len;
    if (out->kept_bytes > out->options.max_bytes) {
        out->over = out->ended = true;
        return false;
    }
    buf_add(held, content.at, content.len);
    return true;
}

static void
add_block(struct llm_block ***blocks, size_t *n, size_t *cap, struct llm_block *block)
{
    if (*n == *cap) {
        *cap = *cap == 0 ? 4 : 2 * *cap;
        *blocks = mem_realloc(*blocks, *cap * sizeof(struct llm_block *));
    }
    (*blocks)[(*n)++] = block;
}

static struct llm_block *
block_new(struct llm_out *out, enum llm_block_kind kind)
{
    struct llm_block *block = mem_calloc(1, sizeof *block);
    block->kind = kind;
    out->kept_bytes += out->keeps ? sizeof *block : 0;
    add_block(&out->open, &out->n_open, &out->open_cap, block);
    return block;
}

static void
block_tell(struct llm_out *out, struct llm_block *block)
{
    block->place = out->places++;
    if (out->keeps) {
        add_block(&out->kept, &out->n_kept, &out->kept_cap, block);
    }
    if (is_told(out)) {
        out->dialect->open(out, block);
    }
}

static void
block_close(struct llm_out *out, struct llm_block *block)
{
    size_t i = 0;
    if (is_told(out)) {
        out->dialect->close(out, block);
    }
    while (out->open[i] != block) {
        i++;
    }
    memmove(&out->open[i], &out->open[i + 1], (--out->n_open - i) * sizeof(struct llm_block *));
    if (!out->keeps) {
        block_free(block);
    }
}

/* The one open block that is no call; NULL: there is none. */
static struct llm_block *
open_words(struct llm_out *out)
{
    for (size_t i = 0; i < out->n_open; i++) {
        if (out->open[i]->kind != LLM_BLOCK_CALL) {
            return out->open[i];
        }
    }
    return NULL;
}

static void
close_words(struct llm_out *out)
{
    struct llm_block *block = open_words(out);
    if (block != NULL) {
        block_close(out, block);
    }
}

/* The open block of that kind; another one ends. */
static struct llm_block *
words_of(struct llm_out *out, enum llm_block_kind kind)
{
    struct llm_block *block = open_words(out);
    if (block != NULL && block->kind == kind) {
        return block;
    }
    close_words(out);
    block = block_new(out, kind);
    block_tell(out, block);
    return block;
}

static void
add_words(struct llm_out *out, enum llm_block_kind kind, struct llm_value content)
{
    struct llm_block *block = words_of(out, kind);
    if (content.len == 0 || (out->keeps && !keep(out, &block->text, content))) {
        return;
    }
    if (is_told(out)) {
        out->dialect->delta(out, block, content);
    }
}

/* ---- events ---- */

static void
take_start(struct llm_out *out, struct llm_value event)
{
    struct llm_value model = llm_json_inside(llm_json_get(event, "model"));
    struct llm_value id = llm_json_inside(llm_json_get(event, "upstream_id"));
    buf_add(&out->model, model.at, model.len);
    if (out->id.len == 0) {
        buf_add(&out->id, id.at, id.len);
    }
    if (is_told(out)) {
        out->dialect->start(out);
    }
}

static void
take_citation(struct llm_out *out, struct llm_value citation)
{
    if (!out->dialect->knows(citation)) {
        return;
    }
    struct llm_block *block = words_of(out, LLM_BLOCK_TEXT);
    if (out->keeps) {
        if (!keep(out, &block->citations,
                (struct llm_value){",", block->citations.len > 0 ? 1 : 0}) ||
            !keep(out, &block->citations, citation)) {
            return;
        }
    }
    if (is_told(out)) {
        out->dialect->citation(out, block, citation);
    }
    block->n_citations++;
}

/* Only a whole object has them: who streams is refused where they would have to be translated. */
static void
take_logprobs(struct llm_out *out, struct llm_value array, enum llm_block_kind kind)
{
    struct llm_block *block = out->keeps ? words_of(out, kind) : NULL;
    struct llm_iter iter = {0};
    struct llm_value item;
    while (block != NULL && llm_json_item(array, &iter, &item)) {
        struct llm_value comma = {",", block->logprobs.len > 0 ? 1 : 0};
        if (!keep(out, &block->logprobs, comma) || !keep(out, &block->logprobs, item)) {
            return;
        }
    }
}

static void
take_text(struct llm_out *out, struct llm_value event)
{
    struct llm_value citation = llm_json_get(event, "citation");
    struct llm_value logprobs = llm_json_get(event, "logprobs");
    bool refusal = llm_json_is_true(llm_json_get(event, "refusal"));
    out->refused |= refusal;
    if (llm_json_is_object(citation)) {
        take_citation(out, citation);
    } else if (llm_json_is_array(logprobs)) {
        take_logprobs(out, logprobs, refusal ? LLM_BLOCK_REFUSAL : LLM_BLOCK_TEXT);
    } else {
        add_words(out, refusal ? LLM_BLOCK_REFUSAL : LLM_BLOCK_TEXT,
            llm_json_inside(llm_json_get(event, "text")));
    }
}

/* A signature is the end of the thinking that it signs. */
static void
take_thinking(struct llm_out *out, struct llm_value event)
{
    struct llm_value signature = llm_json_inside(llm_json_get(event, "signature"));
    struct llm_value redacted = llm_json_inside(llm_json_get(event, "redacted"));
    if (redacted.len > 0) {
        close_words(out);
        struct llm_block *block = block_new(out, LLM_BLOCK_REDACTED);
        buf_add(&block->text, redacted.at, redacted.len); /* its start tells all of it */
        out->kept_bytes += redacted.len;
        block_tell(out, block);
        block_close(out, block);
    } else if (signature.len > 0) {
        struct llm_block *block = words_of(out, LLM_BLOCK_THINKING);
        buf_add(&block->signature, signature.at, signature.len);
        out->kept_bytes += signature.len;
        if (is_told(out)) {
            out->dialect->signature(out, block);
        }
        block_close(out, block);
    } else {
        add_words(out, LLM_BLOCK_THINKING, llm_json_inside(llm_json_get(event, "text")));
    }
}

static struct llm_block *
find_call(struct llm_out *out, uint64_t call)
{
    for (size_t i = 0; i < out->n_open; i++) {
        struct llm_block *block = out->open[i];
        if (block->kind == LLM_BLOCK_CALL && block->call == call) {
            return block;
        }
    }
    return NULL;
}

static void
set_name(struct llm_block *block, struct llm_value event)
{
    struct llm_value id = llm_json_inside(llm_json_get(event, "id"));
    struct llm_value name = llm_json_inside(llm_json_get(event, "name"));
    block->id.len = block->name.len = 0;
    buf_add(&block->id, id.at, id.len);
    buf_add(&block->name, name.at, name.len);
}

static void
call_delta(struct llm_out *out, struct llm_block *block, struct llm_value content)
{
    if (!block->held && content.len > 0 && is_told(out)) {
        block->has_delta = true;
        out->dialect->delta(out, block, content);
    }
}

static void
call_end(struct llm_out *out, struct llm_block *block, struct llm_value event)
{
    struct llm_value arguments = llm_json_inside(llm_json_get(event, "arguments"));
    bool none = arguments.len == 2 && memcmp(arguments.at, "{}", 2) == 0;
    if (block->held) {
        set_name(block, event);
        block->held = false;
        block_tell(out, block);
    }
    if (!block->has_delta && (!none || out->dialect->empty_arguments)) {
        call_delta(out, block, arguments);
    }
    if (!out->keeps || keep(out, &block->text, arguments)) {
        block_close(out, block);
    }
}

static void
take_call(struct llm_out *out, struct llm_value event)
{
    uint64_t call = 0;
    (void)llm_json_u64(llm_json_get(event, "index"), &call);
    struct llm_block *block = find_call(out, call);
    if (block == NULL) {
        close_words(out);
        block = block_new(out, LLM_BLOCK_CALL);
        block->call = call;
        set_name(block, event);
        out->kept_bytes += block->id.len + block->name.len;
        block->held = block->name.len == 0;
        if (!block->held) {
            block_tell(out, block);
        }
    }
    if (llm_json_is_string(llm_json_get(event, "arguments"))) {
        call_end(out, block, event);
    } else {
        call_delta(out, block, llm_json_inside(llm_json_get(event, "delta")));
    }
}

static void
take_usage(struct llm_out *out, struct llm_value event)
{
    struct llm_out_usage *usage = &out->usage;
    usage->has_input = llm_json_u64(llm_json_get(event, "input_tokens"), &usage->input);
    usage->has_output = llm_json_u64(llm_json_get(event, "output_tokens"), &usage->output);
    (void)llm_json_u64(llm_json_get(event, "cached_tokens"), &usage->cached);
    (void)llm_json_u64(llm_json_get(event, "cache_write_tokens"), &usage->written);
    (void)llm_json_u64(llm_json_get(event, "reasoning_tokens"), &usage->reasoning);
}

static enum llm_reason
reason_of(struct llm_value word)
{
    for (int reason = 0; reason < LLM_REASON_COUNT; reason++) {
        if (llm_json_is(word, llm_reason_name((enum llm_reason)reason))) {
            return (enum llm_reason)reason;
        }
    }
    return LLM_REASON_OTHER;
}

static void
take_done(struct llm_out *out, struct llm_value event)
{
    struct llm_value upstream = llm_json_inside(llm_json_get(event, "upstream_reason"));
    struct llm_value sequence = llm_json_inside(llm_json_get(event, "stop_sequence"));
    out->reason = reason_of(llm_json_get(event, "reason"));
    buf_add(&out->upstream_reason, upstream.at, upstream.len);
    buf_add(&out->stop_sequence, sequence.at, sequence.len);
    close_words(out);
    if (out->options.whole) {
        out->dialect->whole(out, llm_wire_begin(out, NULL));
        llm_wire_end(out);
    } else {
        out->dialect->done(out);
    }
    out->ended = true;
}

void
llm_out_event(struct llm_out *out, const struct llm_event *event)
{
    struct llm_value object = {event->json, event->len};
    if (out->ended) {
        return;
    }
    switch (event->kind) {
    case LLM_START:
        take_start(out, object);
        break;
    case LLM_TEXT:
        take_text(out, object);
        break;
    case LLM_THINKING:
        take_thinking(out, object);
        break;
    case LLM_TOOL_CALL:
        take_call(out, object);
        break;
    case LLM_USAGE:
        take_usage(out, object);
        break;
    case LLM_DONE:
        take_done(out, object);
        break;
    case LLM_FAILED:
        out->ended = true;
        break;
    case LLM_RAW:
        break;
    }
}
