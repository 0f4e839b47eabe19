/* test_push_settings: what the configuration of a push source says of the Kafka reader beneath. */
#include "config.h"
#include "push_settings.h"
#include "unit.h"

#include <stdio.h>
#include <string.h>

static uint64_t
stall_timeout_of(const char *keys)
{
    struct config config;
    char text[256];
    snprintf(text, sizeof text,
        "streams: {s: {source: {push: {kafka: {brokers: '127.0.0.1:1', topic: t%s}}}}}\n", keys);
    ck_assert_int_eq(config_load_text(&config, "f.yaml", text, strlen(text), stderr), 0);
    const struct push_settings *settings = config.streams[0].settings;
    uint64_t ms = settings->kafka.reader.stall_timeout_ms;
    config_fini(&config);
    return ms;
}

START_TEST(a_silent_partition_is_given_up_after_what_the_configuration_says)
{
    ck_assert_uint_eq(stall_timeout_of(""), 30000);
    ck_assert_uint_eq(stall_timeout_of(", stall_timeout: 7s"), 7000);
}
END_TEST

UNIT_MAIN("push_settings", a_silent_partition_is_given_up_after_what_the_configuration_says)
