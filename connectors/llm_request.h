/* llm_request: what a client asks of a model, in one form for all upstreams:
 *
 *   {"model":M, "messages":[...], "system":S, "max_tokens":N, "tools":[...], "tool_choice":C,
 *    "parallel_tool_calls":B, "temperature":T, "top_p":P, "stop":[...], "seed":N,
 *    "reasoning_effort":E, "thinking":{...}, "response_format":{...}}
 *
 * Messages are those of OpenAI's chat completions: {"role":"system"|"developer"|"user"|"assistant"|
 * "tool", "content":TEXT or PARTS, "tool_calls":[...], "tool_call_id":ID}; parts are
 * {"type":"text","text":T} and {"type":"image_url","image_url":{"url":U}}, U a URL or
 * data:TYPE;base64,DATA. An assistant's "thinking" is an array of what the answer's thinking events
 * said: {"text":T,"signature":S,"id":I} or {"redacted":S}. max_completion_tokens is max_tokens.
 * Members that are none of these are left out.
 *
 * The slices are lent from the text that was parsed. Thread  any. */
#ifndef HEADGATE_LLM_REQUEST_H
#define HEADGATE_LLM_REQUEST_H

#include "../gateway/err.h"
#include "llm_json.h"

struct llm_request {
    struct llm_value root; /* the object */
    struct llm_value messages, tools;
    struct llm_value model;      /* a JSON string; the upstream's name for it may be put here */
    uint64_t max_tokens;         /* 0: not given */
    uint64_t default_max_tokens; /* where a dialect needs one */
};

/* llm_request_parse: look at a body, and check what all dialects need of it.
 * Errors  -1 and err, ERR_INVALID, a sentence that names the member. */
int llm_request_parse(struct llm_request *request, const char *body, size_t len, struct err *err);

/* One message. Values may be absent. */
enum llm_role { LLM_ROLE_SYSTEM, LLM_ROLE_USER, LLM_ROLE_ASSISTANT, LLM_ROLE_TOOL };
struct llm_message {
    enum llm_role role;
    struct llm_value content; /* a string, an array of parts, null or absent */
    struct llm_value tool_calls, tool_call_id, thinking;
};

/* llm_request_message: the next one. */
bool llm_request_message(
    const struct llm_request *request, struct llm_iter *iter, struct llm_message *message);

/* llm_request_part: the next part of a content; a string is one text part. */
enum llm_part_kind { LLM_PART_TEXT, LLM_PART_IMAGE_URL, LLM_PART_IMAGE_DATA };
struct llm_part {
    enum llm_part_kind kind;
    struct llm_value text;       /* TEXT: a string's content; IMAGE_URL: the URL's */
    struct llm_value media_type; /* IMAGE_DATA: contents */
    struct llm_value data;       /* base64 */
};
bool llm_request_part(struct llm_value content, struct llm_iter *iter, struct llm_part *part);

/* llm_request_system: append the content of a JSON string: system and the texts of all system
 * messages, a blank line between them. */
void llm_request_system(const struct llm_request *request, struct buf *content);

/* llm_request_text: append the texts of a content as the content of a JSON string. */
void llm_request_text(struct llm_value message_content, struct buf *content);

/* One tool call of an assistant's message, and one tool. */
struct llm_called {
    struct llm_value id, name;  /* JSON strings */
    struct llm_value arguments; /* a JSON string */
};
bool llm_request_called(
    struct llm_value tool_calls, struct llm_iter *iter, struct llm_called *call);
struct llm_tool {
    struct llm_value name, description, parameters, strict;
};
bool llm_request_tool(
    const struct llm_request *request, struct llm_iter *iter, struct llm_tool *tool);

/* llm_request_object: append the JSON object that arguments (a JSON string) say; {} for an empty
 * one. false: they say none. */
bool llm_request_object(struct buf *out, struct llm_value arguments);

/* Writing arrays: a comma where something is before in the array. */
void llm_next_item(struct buf *out);
/* Writing objects: ,"name":value where value is not absent. */
void llm_add_value(struct buf *out, const char *name, struct llm_value value);
/* The same of a member of the request, under another name. */
void llm_add_member(
    struct buf *out, const struct llm_request *request, const char *member, const char *name);
void llm_add_string(struct buf *out, const char *name, const char *content, size_t len);

#endif
