/* test_config_checks: which values of the gateway's keys go together, and which are refused. */
#include "config_listen.h"
#include "config_text.h"
#include "fake_connector.h"
#include "unit.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

START_TEST(own_policy_is_always_allowed)
{
    struct config config;
    config_text_load(
        &config, "streams:\n  a:\n    slow: {policy: pause, allow: [conflate]}\n" SOURCE);
    ck_assert_uint_eq(config.streams[0].slow_allow, 1U << SLOW_PAUSE | 1U << SLOW_CONFLATE);
    config_fini(&config);
}
END_TEST

START_TEST(connector_check_speaks_at_its_own_line)
{
    config_text_refused(
        "streams:\n  a:\n    source:\n      fake:\n        brokers: b\n        topics: t\n"
        "        librdkafka_options:\n          no.such.property: 1\n",
        "f.yaml:8:11: streams.a.source.fake: unknown property 'no.such.property'\n");
    config_text_refused_for("streams: {a: {source: {fake: {brokers: a b, topics: t}}}}",
        "streams.a.source.fake.brokers: has a space");
}
END_TEST

START_TEST(ring_must_hold_what_a_subscriber_may_be_behind)
{
    config_text_refused("streams:\n  a:\n    ring: {records: 100, bytes: 1MiB}\n" SOURCE,
        "f.yaml:3:21: streams.a.ring.records: 100 is less than slow.queue.records (1024): what a "
        "slow subscriber has yet to get must fit into the ring\n"
        "f.yaml:3:33: streams.a.ring.bytes: 1MiB is less than slow.queue.bytes (1MiB) and "
        "max_record (1MiB) together: what a slow subscriber has yet to get must fit into the "
        "ring\n");
    struct config config;
    config_text_load(&config, "streams:\n  a:\n    ring: {records: 1024, bytes: 2MiB}\n" SOURCE);
    config_fini(&config);
}
END_TEST

START_TEST(every_thread_has_a_connection)
{
    struct config config;
    config_text_refused("threads: 3\nlimits: {connections: 2}\n",
        "f.yaml:2:23: limits.connections: must be at least the number of threads\n");
    config_text_load(&config, "limits: {connections: 1}\n");
    ck_assert_uint_eq(config.threads, 1);
    config_fini(&config);
}
END_TEST

START_TEST(conflate_is_a_policy_with_a_bound_of_its_own)
{
    struct config config;
    config_text_load(
        &config, "streams:\n  a:\n    slow: {policy: conflate, conflate_keys: 7}\n" SOURCE);
    ck_assert_int_eq(config.streams[0].slow_policy, SLOW_CONFLATE);
    ck_assert_uint_eq(config.streams[0].conflate_keys, 7);
    config_fini(&config);
}
END_TEST

START_TEST(listeners_take_every_form)
{
    struct config config;
    config_text_load(
        &config, "listen: ['127.0.0.1:1', ':2', 3, '[::]:4', {address: '0.0.0.0:4'}]\nadmin: 0\n");
    ck_assert_uint_eq(config.n_listen, 5);
    ck_assert_str_eq(config.listen[0].host, "127.0.0.1");
    ck_assert_ptr_null(config.listen[1].host);
    ck_assert_uint_eq(config.listen[1].port, 2);
    ck_assert_ptr_null(config.listen[2].host);
    ck_assert_uint_eq(config.listen[2].port, 3);
    ck_assert_str_eq(config.listen[3].host, "::");
    ck_assert_str_eq(config.listen[4].host, "0.0.0.0");
    ck_assert_uint_eq(config.admin.port, 0);
    config_fini(&config);
}
END_TEST

START_TEST(addresses_that_are_none_are_refused)
{
    static const char *const bad[] = {"", ":", "localhost:80", "1.2.3.4", "1.2.3.4:", "::1:80",
        "[::1]", "[::1]:65536", "1.2.3.4:-1", "1.2.3.4:080", "[1.2.3.4]:80", "[]:1", "[:1",
        "1.2.3.4:80 ", "0x50"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct config_listen listen;
        struct err err;
        ck_assert_msg(config_listen_address(bad[i], &listen, &err) != 0, "%s", bad[i]);
    }
}
END_TEST

START_TEST(listeners_in_each_others_way_are_refused)
{
    config_text_refused("listen: ['127.0.0.1:80', '0.0.0.0:80']\nadmin: :81\n",
        "f.yaml:1:26: listen[1]: port 80 is taken by a listener above\n");
    config_text_refused_for("listen: :9901\n", "admin: port 9901 is taken");
    struct config config;
    config_text_load(
        &config, "listen: ['127.0.0.1:0', '127.0.0.1:0', '[::1]:80', '127.0.0.1:80']\n");
    config_fini(&config);
}
END_TEST

START_TEST(tls_needs_both_files_and_reads_them)
{
    config_text_refused_for("listen: {address: ':1', tls: {cert: /no/such}}\n",
        "listen.tls.cert: cannot read /no/such: No such file or directory\n");
    config_text_refused_for("listen: {address: ':1', tls: {cert: /no/such}}\n",
        "listen.tls.key: is required where tls is configured\n");
    config_text_refused_for(
        "listen: [{adress: ':1'}]\n", "unknown key 'adress': did you mean 'address'?");
    char text[256];
    char *path = config_text_file("pem");
    struct config config;
    snprintf(text, sizeof text, "listen: {address: ':1', tls: {cert: %s, key: %s}}\n", path, path);
    config_text_load(&config, text);
    ck_assert_str_eq(config.listen[0].tls_cert, path);
    config_fini(&config);
    unlink(path);
}
END_TEST

START_TEST(routes_of_sdks_are_for_streams_of_models)
{
    static const struct {
        const char *route, *error;
    } rows[] = {
        {"/v1: {kind: openai, stream: a}", "must be one of models"},
        {"/v1: {kind: openai}", "is required"},
        {"/: {kind: anthropic, stream: m, format: sse}", "format and envelope are for kind stream"},
        {"'/{x}': {kind: anthropic, stream: m}", "has no variables"},
        {"/v1: {kind: openai, stream: m, directory: /d}", "directory is for kind download"},
    };
    static const char models[] =
        "  m: {source: {llm: {upstreams: [{name: u, base_url: 'http://u'}]}}}\n";
    char text[1000];
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        snprintf(text, sizeof text, "streams:\n  a:\n" SOURCE "%sroutes:\n  %s\n", models,
            rows[i].route);
        config_text_refused_for(text, rows[i].error);
    }
}
END_TEST

START_TEST(routes_are_exact_clean_paths)
{
    static const char *const bad[] = {"a", "/a b", "/a?b", "/%41", "//", "/a//b", "/.", "/a/..",
        "/./a", "/streams", "/streams/x", "/\xc3\xa4", "/a{b}", "/{", "/{}", "/{x}"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char text[256];
        snprintf(
            text, sizeof text, "streams:\n  a:\n" SOURCE "routes: {\"%s\": {stream: a}}\n", bad[i]);
        config_text_refused_for(text, "f.yaml:4:10: routes.");
    }
    config_text_refused_for("routes: {/a: {}}", "routes./a.stream: is required");
    struct config config;
    config_text_load(
        &config, "streams:\n  a:\n" SOURCE "routes: {/: {stream: a}, /streams2/..x: {stream: a}}");
    config_fini(&config);
}
END_TEST

START_TEST(origins_are_checked)
{
    static const char *const bad[] = {"example.com", "https://", "https://a/", "https://a/b",
        "https://A", "https://a b", "https://u@h", "https://*.a"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char text[256];
        snprintf(text, sizeof text, "cors: {origins: ['%s']}\n", bad[i]);
        config_text_refused_for(text, "f.yaml:1:18: cors.origins[0]: ");
    }
    struct config config;
    config_text_load(
        &config, "cors: {origins: ['*', 'https://a.example:8443', 'http://[::1]:80']}\n");
    ck_assert_uint_eq(config.cors_origins.n, 3);
    config_fini(&config);
}
END_TEST

START_TEST(token_keys_are_long_enough_and_never_shown)
{
    struct config config;
    setenv("HG_KEY", "first-key-of-thirty-two-bytes-at-least", 1);
    config_text_load(&config, "tokens: {keys: ['${HG_KEY}', 0123456789abcdef0123456789abcdef]}\n"
                              "streams:\n  a:\n" SOURCE);
    ck_assert_uint_eq(config.tokens.keys.n, 2);
    ck_assert_str_eq(config.tokens.keys.items[0], getenv("HG_KEY"));
    ck_assert(!config.tokens.accept_unsigned);
    ck_assert_ptr_eq(config.streams[0].tokens, &config.tokens);
    char *text = config_text_print(&config);
    ck_assert_ptr_nonnull(strstr(text, "keys: [\"***\", \"***\"]\n"));
    ck_assert_ptr_null(strstr(text, "first-key"));
    ck_assert_ptr_null(strstr(text, "0123456789abcdef"));
    config_text_refused_for(text, "tokens.keys[0]: must have at least 32"); /* a mask is no key */
    free(text);
    config_fini(&config);
    config_text_refused("tokens: {keys: 0123456789abcdef0123456789abcde}\n",
        "f.yaml:1:16: tokens.keys: must have at least 32 characters, as random as those of: "
        "openssl rand -hex 32\n");
}
END_TEST

UNIT_MAIN("config_checks", own_policy_is_always_allowed, connector_check_speaks_at_its_own_line,
    ring_must_hold_what_a_subscriber_may_be_behind, every_thread_has_a_connection,
    conflate_is_a_policy_with_a_bound_of_its_own, listeners_take_every_form,
    addresses_that_are_none_are_refused, listeners_in_each_others_way_are_refused,
    tls_needs_both_files_and_reads_them, routes_are_exact_clean_paths,
    routes_of_sdks_are_for_streams_of_models, origins_are_checked,
    token_keys_are_long_enough_and_never_shown)
