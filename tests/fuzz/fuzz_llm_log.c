/* fuzz: llm_log_record. Each line is a header, its name up to the first '='. What is taken is said
 * again in headers that mean the same. */
#include "llm_log_record.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define MOST 16

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
must(bool condition)
{
    if (!condition) {
        abort();
    }
}

static size_t
split(struct record_header *headers, const char *at, const char *end)
{
    size_t n = 0;
    while (at < end && n < MOST) {
        const char *line = memchr(at, '\n', (size_t)(end - at));
        const char *stop = line == NULL ? end : line;
        const char *is = memchr(at, '=', (size_t)(stop - at));
        headers[n++] = is == NULL ? (struct record_header){at, (size_t)(stop - at), NULL, 0}
                                  : (struct record_header){
                                        at, (size_t)(is - at), is + 1, (size_t)(stop - is) - 1};
        at = stop + 1;
    }
    return n;
}

static int
parse_again(const struct llm_log_record *record, struct llm_log_record *again)
{
    struct record_header headers[MOST];
    size_t n = 0;
    rd_kafka_headers_t *made = llm_log_record_headers(record, "s");
    while (rd_kafka_header_get_all(made, n, &headers[n].name, &headers[n].value,
               &headers[n].value_len) == RD_KAFKA_RESP_ERR_NO_ERROR) {
        headers[n].name_len = strlen(headers[n].name);
        n++;
    }
    int result = llm_log_record_parse(again, headers, n);
    rd_kafka_headers_destroy(made);
    return result;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct record_header headers[MOST];
    struct llm_log_record record, again;
    size_t n = split(headers, (const char *)data, (const char *)data + size);
    if (llm_log_record_parse(&record, headers, n) != 0) {
        return 0;
    }
    must(parse_again(&record, &again) == 0 && again.kind == record.kind);
    switch (record.kind) {
    case LLM_LOG_BEGIN:
        must(again.whole == record.whole && again.raw == record.raw && again.tell == record.tell);
        must(strcmp(again.word, record.word) == 0);
        break;
    case LLM_LOG_EVENT:
        must(again.views == record.views && strcmp(again.type, record.type) == 0);
        must(again.n == record.n);
        break;
    case LLM_LOG_END:
        must(strcmp(again.word, record.word) == 0 && again.n == record.n);
        break;
    case LLM_LOG_LOST:
        must(again.n == record.n);
        break;
    case LLM_LOG_BEAT:
    case LLM_LOG_CANCEL:
    case LLM_LOG_SEEN:
        break;
    }
    return 0;
}
