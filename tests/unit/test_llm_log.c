/* What the records of the log of answers say; where they lie; what the log may be told. */
#include "unit.h"

#include "../../connectors/llm_log_record.h"
#include "../../connectors/llm_log_settings.h"
#include "../../connectors/llm_log_tail.h"
#include "bound.h"
#include "config.h"
#include "connector.h"

#include <string.h>

#define MOST 16

/* What a reader finds of what a writer says. */
static int
pass(const struct llm_log_record *said, struct llm_log_record *found)
{
    struct record_header headers[MOST];
    size_t n = 0;
    rd_kafka_headers_t *made = llm_log_record_headers(said, "chat");
    while (rd_kafka_header_get_all(made, n, &headers[n].name, &headers[n].value,
               &headers[n].value_len) == RD_KAFKA_RESP_ERR_NO_ERROR) {
        headers[n].name_len = strlen(headers[n].name);
        n++;
    }
    int result = llm_log_record_parse(found, headers, n);
    rd_kafka_headers_destroy(made);
    return result;
}

START_TEST(what_is_said_is_found)
{
    struct llm_log_record found;
    struct llm_log_record begin = {.kind = LLM_LOG_BEGIN, .whole = true, .tell = 7};
    strcpy(begin.word, "openai");
    ck_assert_int_eq(pass(&begin, &found), 0);
    ck_assert_int_eq(found.kind, LLM_LOG_BEGIN);
    ck_assert_str_eq(found.word, "openai");
    ck_assert(found.whole && !found.raw);
    ck_assert_int_eq(found.tell, 7);
    begin.tell = -1; /* a gateway that does not listen */
    ck_assert_int_eq(pass(&begin, &found), 0);
    ck_assert_int_eq(found.tell, -1);
    struct llm_log_record event = {.kind = LLM_LOG_EVENT, .n = UINT64_C(1) << 40, .views = 5};
    strcpy(event.type, "message_start");
    ck_assert_int_eq(pass(&event, &found), 0);
    ck_assert_uint_eq(found.n, UINT64_C(1) << 40);
    ck_assert_uint_eq(found.views, 5);
    ck_assert_str_eq(found.type, "message_start");
    for (int kind = 0; kind < LLM_LOG_KIND_COUNT; kind++) {
        struct llm_log_record any = {.kind = (enum llm_log_kind)kind};
        strcpy(any.word, LLM_LOG_DONE);
        ck_assert_int_eq(pass(&any, &found), 0);
        ck_assert_int_eq(found.kind, kind);
    }
}
END_TEST

static int
parse_one(const char *name, const char *value, struct llm_log_record *found)
{
    const struct record_header headers[] = {
        {"kind", 4, "event", 5}, {name, strlen(name), value, value == NULL ? 0 : strlen(value)}};
    return llm_log_record_parse(found, headers, 2);
}

START_TEST(what_is_none_of_ours_is_refused)
{
    struct llm_log_record found;
    const char *const bad[][2] = {{"n", ""}, {"n", "-1"}, {"n", "1x"},
        {"n", "99999999999999999999"}, {"n", NULL}, {"views", "8"}, {"whole", "2"},
        {"tell", "2147483648"}, {"kind", "other"}, {"headgate-type", "failed"},
        {"headgate-type", "a b"}, {"headgate-type", NULL},
        {"dialect", "longer-than-any-word-of-ours-may-be"}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        ck_assert_msg(parse_one(bad[i][0], bad[i][1], &found) == -1, "%s", bad[i][0]);
    }
    ck_assert_int_eq(parse_one("of-another", "x", &found), 0);
    ck_assert_int_eq(llm_log_record_parse(&found, NULL, 0), -1);
    const struct record_header no_end[] = {{"kind", 4, "end", 3}, {"n", 1, "1", 1}};
    ck_assert_int_eq(llm_log_record_parse(&found, no_end, 2), -1);
}
END_TEST

/* As Java's default partitioner places keys: murmur2, of which these are Kafka's own test values.
 */
START_TEST(a_key_lies_where_java_s_clients_put_it)
{
    ck_assert_int_eq(llm_log_tail_partition_of("21", 1000), (-973932308 & 0x7fffffff) % 1000);
    ck_assert_int_eq(llm_log_tail_partition_of("foobar", 12), (-790332482 & 0x7fffffff) % 12);
}
END_TEST

static const char with_log[] =
    "listen: ':1'\nlimits: {connections: 10}\n"
    "streams:\n"
    "  chat:\n"
    "    source:\n"
    "      llm:\n"
    "        upstreams: [{name: a, base_url: 'http://localhost:1'}]\n"
    "        log: {memory: 32MiB, readers: 8, kafka: {brokers: 'b:1', topic: t}}\n";
static const char with_aliases[] =
    "listen: ':1'\nlimits: {connections: 10}\n"
    "streams:\n"
    "  chat:\n"
    "    source:\n"
    "      llm:\n"
    "        upstreams: [{name: a, base_url: 'http://localhost:1'}]\n"
    "        log: {memory: 32MiB, readers: 8, aliases: 120000, kafka: {brokers: 'b:1', topic: "
    "t}}\n";
static const char without[] = "listen: ':1'\nlimits: {connections: 10}\n"
                              "streams:\n"
                              "  chat:\n"
                              "    source:\n"
                              "      llm:\n"
                              "        upstreams: [{name: a, base_url: 'http://localhost:1'}]\n";

static void
bound_of(const char *text, struct bound *bound, bool *logs)
{
    struct config config;
    ck_assert_int_eq(config_load_text(&config, "f.yaml", text, strlen(text), stderr), 0);
    bound_compute(bound, &config);
    *logs = (config.streams[0].connector->capabilities & CONNECTOR_LOGS) != 0;
    config_fini(&config);
}

START_TEST(what_the_log_may_hold_is_in_the_bound)
{
    struct bound with, none;
    bool logs;
    bound_of(without, &none, &logs);
    ck_assert(!logs);
    bound_of(with_log, &with, &logs);
    ck_assert(logs);
    uint64_t more = with.generations_bytes - none.generations_bytes;
    uint64_t answers = UINT64_C(8) * 8 << 20; /* generations.bytes of each reader */
    ck_assert_uint_gt(more, answers + (UINT64_C(32) << 20));
    ck_assert_uint_gt(with.descriptors, none.descriptors + 8 * 8);
    struct bound more_aliases; /* 100,000 more than by default, of up to 127 bytes */
    bound_of(with_aliases, &more_aliases, &logs);
    more = more_aliases.generations_bytes - with.generations_bytes;
    ck_assert_uint_gt(more, 100000 * (127 + 22));
    ck_assert_uint_lt(more, 100000 * 400);
}
END_TEST

START_TEST(what_would_make_the_log_unsound_is_refused)
{
    static const char *const bad[][2] = {
        {"kafka: {brokers: 'b:1'}", "needs brokers and topic"},
        {"kafka: {brokers: 'b:1', topic: '^t'}", "must be one topic's name"},
        {"kafka: {brokers: 'b:1', topic: t, librdkafka_options: {partitioner: random}}",
            "partitioner cannot be set"},
        {"kafka: {brokers: 'b:1', topic: t, librdkafka_options: {acks: 1}}", "acks cannot be set"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char text[1024], said[4096] = "";
        struct config config;
        FILE *out = fmemopen(said, sizeof said, "w");
        snprintf(text, sizeof text, "%s        log: {%s}\n", without, bad[i][0]);
        ck_assert_int_eq(config_load_text(&config, "f.yaml", text, strlen(text), out), -1);
        fclose(out);
        ck_assert_msg(strstr(said, "log: ") != NULL && strstr(said, bad[i][1]) != NULL, "%s", said);
    }
}
END_TEST

UNIT_MAIN("llm_log", what_is_said_is_found, what_is_none_of_ours_is_refused,
    a_key_lies_where_java_s_clients_put_it, what_the_log_may_hold_is_in_the_bound,
    what_would_make_the_log_unsound_is_refused)
