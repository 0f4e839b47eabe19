/* fuzz: llm_log_record, llm_log_alias. Each line is a header, its name up to the first '='. What is
 * taken is said again in headers that mean the same. Of an alias each line is a record of its own
 * too, its key and its value: few are kept, and one that is found is one of those. */
#include "llm_log.h"
#include "llm_log_alias.h"
#include "stream.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define MOST 16
#define ALIASES 4

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

static bool
is_text(const char *text, size_t len, size_t most)
{
    return len > 0 && len <= most && memchr(text, '\0', len) == NULL;
}

/* The last of those that say so is found; but of more than there is room for the first are gone. */
static void
find(struct llm_log_aliases *aliases, const struct record_header *records, size_t n, size_t i)
{
    char alias[STREAM_ALIAS_MAX + 1], id[LLM_LOG_ID_MAX + 1];
    const struct record_header *one = &records[i];
    if (one->value == NULL || !is_text(one->value, one->value_len, STREAM_ALIAS_MAX)) {
        return;
    }
    memcpy(alias, one->value, one->value_len);
    alias[one->value_len] = '\0';
    bool found = llm_log_aliases_find(aliases, alias, id, sizeof id);
    const struct record_header *last = NULL;
    for (size_t j = 0; j < n; j++) {
        bool same = records[j].value_len == one->value_len && records[j].value != NULL &&
                    memcmp(records[j].value, one->value, one->value_len) == 0;
        if (same && is_text(records[j].name, records[j].name_len, LLM_LOG_ID_MAX)) {
            last = &records[j];
        }
    }
    must(!found || (last != NULL && strlen(id) == last->name_len &&
                       memcmp(id, last->name, last->name_len) == 0));
    must(found || last == NULL || n > ALIASES);
}

static void
take_aliases(const struct record_header *records, size_t n)
{
    struct llm_log_aliases *aliases = llm_log_aliases_new(ALIASES);
    for (size_t i = 0; i < n; i++) {
        llm_log_aliases_take(aliases, (int64_t)i, records[i].name, records[i].name_len,
            records[i].value, records[i].value_len);
    }
    for (size_t i = 0; i < n; i++) {
        find(aliases, records, n, i);
    }
    llm_log_aliases_free(aliases);
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
    case LLM_LOG_ALIAS:
        take_aliases(headers, n);
        break;
    }
    return 0;
}
