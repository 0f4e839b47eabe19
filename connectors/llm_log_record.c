/* llm_log_record: see llm_log_record.h. */
#include "llm_log_record.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NUMBER_DIGITS_MAX 19

static const char *const kinds[LLM_LOG_KIND_COUNT] = {
    "begin", "event", "lost", "beat", "end", "cancel", "seen", "alias"};

static bool
is_named(const struct record_header *header, const char *name)
{
    return header->name_len == strlen(name) && memcmp(header->name, name, header->name_len) == 0;
}

static bool
take_number(const struct record_header *header, uint64_t most, uint64_t *number)
{
    const char *at = header->value;
    uint64_t value = 0;
    bool good =
        header->value != NULL && header->value_len > 0 && header->value_len <= NUMBER_DIGITS_MAX;
    for (size_t i = 0; good && i < header->value_len; i++) {
        good = at[i] >= '0' && at[i] <= '9';
        value = value * 10 + (uint64_t)(good ? at[i] - '0' : 0);
    }
    if (good && value <= most) {
        *number = value;
    }
    return good && value <= most;
}

/* A text without a NUL that fits. */
static bool
take_text(const struct record_header *header, char *text, size_t size)
{
    if (header->value == NULL || header->value_len >= size ||
        memchr(header->value, '\0', header->value_len) != NULL) {
        return false;
    }
    memcpy(text, header->value, header->value_len);
    text[header->value_len] = '\0';
    return true;
}

static bool
take_kind(const struct record_header *header, struct llm_log_record *record)
{
    char text[LLM_LOG_WORD_MAX];
    if (!take_text(header, text, sizeof text)) {
        return false;
    }
    for (int i = 0; i < LLM_LOG_KIND_COUNT; i++) {
        if (strcmp(kinds[i], text) == 0) {
            record->kind = (enum llm_log_kind)i;
            return true;
        }
    }
    return false;
}

static bool
take_type(const struct record_header *header, struct llm_log_record *record)
{
    return take_text(header, record->type, sizeof record->type) &&
           record_type_fault(record->type, strlen(record->type)) == NULL;
}

static bool
take_header(const struct record_header *header, struct llm_log_record *record)
{
    uint64_t number = 0;
    bool good = true;
    if (is_named(header, "n")) {
        good = take_number(header, UINT64_MAX / 4, &record->n);
    } else if (is_named(header, "views")) {
        good = take_number(
            header, RECORD_VIEW_EVENTS | RECORD_VIEW_UPSTREAM | RECORD_VIEW_CLIENT, &number);
        record->views = (unsigned)number;
    } else if (is_named(header, "whole")) {
        good = take_number(header, 1, &number);
        record->whole = number != 0;
    } else if (is_named(header, "raw")) {
        good = take_number(header, 1, &number);
        record->raw = number != 0;
    } else if (is_named(header, "tell")) {
        good = take_number(header, INT32_MAX, &number);
        record->tell = (int32_t)number;
    } else if (is_named(header, "dialect") || is_named(header, "end")) {
        good = take_text(header, record->word, sizeof record->word);
    } else if (is_named(header, RECORD_TYPE_HEADER)) {
        good = take_type(header, record);
    }
    return good;
}

int
llm_log_record_parse(
    struct llm_log_record *record, const struct record_header *headers, size_t n_headers)
{
    bool has_kind = false;
    *record = (struct llm_log_record){.tell = -1};
    for (size_t i = 0; i < n_headers; i++) {
        if (is_named(&headers[i], "kind")) {
            has_kind = take_kind(&headers[i], record);
        } else if (!take_header(&headers[i], record)) {
            return -1;
        }
    }
    bool ends = record->kind == LLM_LOG_END;
    return has_kind && (!ends || record->word[0] != '\0') ? 0 : -1;
}

static void
add(rd_kafka_headers_t *headers, const char *name, const char *value)
{
    (void)rd_kafka_header_add(headers, name, -1, value, -1); /* it copies, and cannot fail */
}

static void
add_number(rd_kafka_headers_t *headers, const char *name, uint64_t number)
{
    char text[NUMBER_DIGITS_MAX + 2];
    snprintf(text, sizeof text, "%" PRIu64, number);
    add(headers, name, text);
}

rd_kafka_headers_t *
llm_log_record_headers(const struct llm_log_record *record, const char *stream)
{
    rd_kafka_headers_t *headers = rd_kafka_headers_new(6);
    add(headers, "stream", stream);
    add(headers, "kind", kinds[record->kind]);
    switch (record->kind) {
    case LLM_LOG_BEGIN:
        add(headers, "dialect", record->word);
        add_number(headers, "whole", record->whole);
        add_number(headers, "raw", record->raw);
        if (record->tell >= 0) {
            add_number(headers, "tell", (uint64_t)record->tell);
        }
        break;
    case LLM_LOG_EVENT:
        add_number(headers, "n", record->n);
        add_number(headers, "views", record->views);
        if (record->type[0] != '\0') {
            add(headers, RECORD_TYPE_HEADER, record->type);
        }
        break;
    case LLM_LOG_LOST:
        add_number(headers, "n", record->n);
        break;
    case LLM_LOG_END:
        add_number(headers, "n", record->n);
        add(headers, "end", record->word);
        break;
    case LLM_LOG_BEAT:
    case LLM_LOG_CANCEL:
    case LLM_LOG_SEEN:
    case LLM_LOG_ALIAS:
        break;
    }
    return headers;
}
