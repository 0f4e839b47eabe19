/* llm_dialect: what differs between upstreams: one const struct each. To add one: its file, a row
 * in llm_dialect.c, a directory in tests/llm/corpus/.
 *
 * A decoder turns the bytes of one answer into normalized events (llm_event.h). It is fed with
 * chunks cut anywhere and gives the same events for the same bytes however they are cut. Its last
 * event is always LLM_DONE or LLM_FAILED: an answer that ends before its terminal event has failed.
 * What comes behind that is not looked at.
 *
 * Memory: an event's bytes (max_event_bytes, a few times), what was fed and not taken, and the
 * arguments of tool calls until they are whole; these, and all text together, are bounded by
 * max_answer_bytes.
 * Thread  one at a time. */
#ifndef HEADGATE_LLM_DIALECT_H
#define HEADGATE_LLM_DIALECT_H

#include "../gateway/err.h"
#include "llm_event.h"
#include "llm_json.h"

struct llm_decoder;
struct llm_request;

enum llm_framing { LLM_FRAMING_SSE, LLM_FRAMING_NDJSON };
enum llm_auth { LLM_AUTH_BEARER, LLM_AUTH_X_API_KEY };

struct llm_dialect {
    const char *name; /* the word in the configuration */
    enum llm_framing framing;
    enum llm_auth auth;
    const char *path;           /* behind base_url, which has no slash at its end */
    const char *const *headers; /* "name: value", NULL-terminated: sent with each request */

    /* event: one JSON object of the stream; emits with llm_emit.h. */
    void (*event)(struct llm_decoder *decoder, struct llm_value object);

    /* closed: the sentinel [DONE] came. What it means. */
    void (*closed)(struct llm_decoder *decoder);

    /* build: append the body of the request, streamed, with usage asked for.
     * Errors  -1 and err, ERR_INVALID, a sentence for the client: this dialect cannot say that. */
    int (*build)(const struct llm_request *request, struct buf *body, struct err *err);
};

extern const struct llm_dialect llm_anthropic, llm_openai, llm_responses, llm_ollama;
#define LLM_DIALECT_COUNT 4
extern const struct llm_dialect *const llm_dialects[LLM_DIALECT_COUNT + 1]; /* NULL-terminated */
extern const char *const llm_dialect_names[LLM_DIALECT_COUNT + 1];

struct llm_limits {
    size_t max_event_bytes;  /* a line, and an event, of the upstream */
    size_t max_answer_bytes; /* of normalized events in all */
};

struct llm_decoder *llm_decoder_new(
    const struct llm_dialect *dialect, const struct llm_limits *limits);
void llm_decoder_free(struct llm_decoder *decoder); /* NULL-safe */

/* llm_decoder_keep_raw: before the first bytes: each event of the upstream is given too, as LLM_RAW
 * and before what it means: its data, and its name (where it has none, and the JSON has a type:
 * that); the sentinel too. Not those that tell a failure, which is told in one way only:
 * LLM_FAILED. */
void llm_decoder_keep_raw(struct llm_decoder *decoder);

/* llm_decoder_feed: the next bytes of the answer's body. Events pile up until they are taken, so
 * feed little at once. */
void llm_decoder_feed(struct llm_decoder *decoder, const char *bytes, size_t len);

/* llm_decoder_finish: the body ended, as the transport sees it, well. */
void llm_decoder_finish(struct llm_decoder *decoder);

/* llm_decoder_fail: it did not. message is a line for people. No effect after the end. */
void llm_decoder_fail(struct llm_decoder *decoder, enum llm_code code, const char *message);

/* llm_decoder_peek: the oldest event that was not taken; false: there is none now. Lent until the
 * next call but peek. llm_decoder_take: it is taken. */
bool llm_decoder_peek(const struct llm_decoder *decoder, struct llm_event *event);
void llm_decoder_take(struct llm_decoder *decoder);

/* llm_decoder_ended: its last event was made (perhaps not taken yet): the upstream has no more. */
bool llm_decoder_ended(const struct llm_decoder *decoder);

/* After LLM_FAILED was made: why, and the message, lent until the decoder is freed. */
enum llm_code llm_decoder_code(const struct llm_decoder *decoder);
const char *llm_decoder_message(const struct llm_decoder *decoder);

/* llm_error_text: from the body of an answer with an error status, in any of the upstreams' forms:
 * append its message on one line, at most LLM_MESSAGE_MAX bytes; append nothing where it has none.
 * *code is changed where the body knows better. */
#define LLM_MESSAGE_MAX 400
void llm_error_text(struct buf *out, const char *body, size_t len, enum llm_code *code);

#endif
