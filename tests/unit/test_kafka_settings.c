/* test_kafka_settings: what a Kafka source's keys may say. */
#include "unit.h"

#include "../../connectors/kafka.h"
#include "../../connectors/kafka_settings.h"

#include <stdio.h>
#include <string.h>

static int
check_option(const char *name, const char *value, struct err *err)
{
    char name_copy[64], value_copy[64], brokers[] = "127.0.0.1:1", start[] = "latest";
    snprintf(name_copy, sizeof name_copy, "%s", name);
    snprintf(value_copy, sizeof value_copy, "%s", value);
    char *topics[] = {(char[]){"orders"}};
    struct config_pair pair = {name_copy, value_copy, 7, 9};
    struct kafka_settings settings = {.brokers = brokers,
        .topics = {topics, 1},
        .start = start,
        .prefetch_bytes = 16 << 20,
        .session_timeout_ms = 45000,
        .stall_timeout_ms = 30000,
        .commit_interval_ms = 1000,
        .librdkafka_options = {&pair, 1}};
    *err = (struct err){0};
    return kafka_connector.check(&settings, err);
}

START_TEST(librdkafka_itself_judges_its_options_and_some_are_reserved)
{
    struct err err;
    ck_assert_int_eq(check_option("client.rack", "a", &err), 0);
    ck_assert_int_eq(check_option("no.such.thing", "a", &err), -1);
    ck_assert_ptr_nonnull(strstr(err.text, "No such configuration property"));
    ck_assert_int_eq(err.line, 7);
    ck_assert_int_eq(check_option("fetch.wait.max.ms", "many", &err), -1);
    ck_assert_int_eq(check_option("enable.auto.commit", "true", &err), -1);
    ck_assert_ptr_nonnull(strstr(err.text, "cannot be set"));
    ck_assert_int_eq(check_option("ssl.ca.location", "/nowhere/ca.pem", &err), 0);
}
END_TEST

START_TEST(topics_are_names_or_expressions)
{
    struct err err = {0};
    char *items[] = {(char[]){"^(a"}, (char[]){"b/c"}, (char[]){"ok-1.2_3"}};
    struct kafka_wanted wanted;
    ck_assert_int_eq(kafka_wanted_init(&wanted, &(struct config_strings){items, 1}, &err), -1);
    ck_assert_int_eq(kafka_wanted_init(&wanted, &(struct config_strings){items + 1, 1}, &err), -1);
    ck_assert_int_eq(kafka_wanted_init(&wanted, &(struct config_strings){items + 2, 1}, &err), 0);
    kafka_wanted_fini(&wanted);
}
END_TEST

START_TEST(starts_are_words_times_ago_and_times)
{
    struct err err = {0};
    struct kafka_start start;
    ck_assert_int_eq(kafka_start_parse("latest", 1000, &start, &err), 0);
    ck_assert_int_eq(start.kind, KAFKA_START_LATEST);
    ck_assert_int_eq(kafka_start_parse("earliest", 1000, &start, &err), 0);
    ck_assert_int_eq(start.kind, KAFKA_START_EARLIEST);
    ck_assert_int_eq(kafka_start_parse("-15m", 1000000, &start, &err), 0);
    ck_assert_int_eq(start.kind, KAFKA_START_TIME);
    ck_assert_int_eq(start.unix_ms, 100000);
    ck_assert_int_eq(kafka_start_parse("-250ms", 1000, &start, &err), 0);
    ck_assert_int_eq(start.unix_ms, 750);
    ck_assert_int_eq(kafka_start_parse("1970-01-01T00:00:01Z", 0, &start, &err), 0);
    ck_assert_int_eq(start.unix_ms, 1000);
    const char *const wrong[] = {
        "", "now", "15m", "-15", "-m", "-15w", "--1m", "-99999999999999999999d", "2026-01-31"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        ck_assert_int_eq(kafka_start_parse(wrong[i], 1000, &start, &err), -1);
    }
}
END_TEST

UNIT_MAIN("kafka_settings", librdkafka_itself_judges_its_options_and_some_are_reserved,
    topics_are_names_or_expressions, starts_are_words_times_ago_and_times)
