/* test_config: the configuration from text to struct and back. */
#include "config_expand.h"
#include "config_text.h"
#include "config_value.h"
#include "config_yaml.h"
#include "fake_connector.h"
#include "log.h"
#include "unit.h"

#include <stdio.h>
#include <unistd.h>

#include <jansson.h>

START_TEST(empty_file_has_every_default)
{
    struct config config;
    config_text_load(&config, "");
    ck_assert_uint_eq(config.n_listen, 1);
    ck_assert_str_eq(config.listen[0].host, "0.0.0.0");
    ck_assert_uint_eq(config.listen[0].port, 8080);
    ck_assert_str_eq(config.admin.host, "127.0.0.1");
    ck_assert_uint_eq(config.admin.port, 9901);
    ck_assert_uint_ge(config.threads, 1);
    ck_assert_uint_ge(config.max_connections, 1);
    ck_assert_uint_eq(config.send_buffer_bytes, 65536);
    ck_assert_uint_eq(config.max_message_bytes, 65536);
    ck_assert_uint_eq(config.header_timeout_ms, 10000);
    ck_assert_uint_eq(config.idle_timeout_ms, 60000);
    ck_assert_uint_eq(config.pong_timeout_ms, 20000);
    ck_assert_uint_eq(config.heartbeat_ms, 15000);
    ck_assert_uint_eq(config.live_limit_ms, 10000);
    ck_assert_uint_eq(config.drain_grace_ms, 5000);
    ck_assert_uint_eq(config.drain_timeout_ms, 10000);
    ck_assert_uint_eq(config.cors_origins.n, 0);
    ck_assert_int_eq(config.log_level, LOG_INFO);
    ck_assert_int_eq(config.log_format, LOG_FORMAT_AUTO);
    ck_assert_uint_eq(config.n_streams, 0);
    config_fini(&config);
}
END_TEST

START_TEST(stream_has_its_defaults_and_its_settings)
{
    struct config config;
    config_text_load(&config, "streams:\n  orders:\n    required: true\n" SOURCE
                              "routes:\n  /stream/data: {stream: orders, format: ndjson}\n");
    ck_assert_uint_eq(config.n_streams, 1);
    const struct config_stream *stream = &config.streams[0];
    ck_assert_str_eq(stream->name, "orders");
    ck_assert(stream->required);
    ck_assert_uint_eq(stream->ring_records, 65536);
    ck_assert_uint_eq(stream->ring_bytes, 64 << 20);
    ck_assert_uint_eq(stream->max_record_bytes, 1 << 20);
    ck_assert_int_eq(stream->slow_policy, SLOW_DROP_OLDEST);
    ck_assert_uint_eq(stream->queue_records, 1024);
    ck_assert_uint_eq(stream->queue_bytes, 1 << 20);
    ck_assert_uint_eq(stream->pause_limit_ms, 60000);
    ck_assert_uint_eq(stream->slow_allow,
        1U << SLOW_DROP_OLDEST | 1U << SLOW_DROP_NEWEST | 1U << SLOW_DISCONNECT);
    const struct fake_settings *fake = stream->settings;
    ck_assert_str_eq(fake->brokers, "b");
    ck_assert_uint_eq(fake->topics.n, 1);
    ck_assert_str_eq(fake->topics.items[0], "t");
    ck_assert(fake->exact);
    ck_assert_uint_eq(fake->modes, 5);
    ck_assert_uint_eq(fake->fetch_bytes, 1 << 20);
    ck_assert_uint_eq(fake->wait_ms, 0);
    ck_assert_uint_eq(fake->inner.depth, 3);
    ck_assert_ptr_null(fake->password);
    ck_assert_uint_eq(config.n_routes, 1);
    ck_assert_str_eq(config.routes[0].path, "/stream/data");
    ck_assert_int_eq(config.routes[0].format, FORMAT_NDJSON);
    config_fini(&config);
}
END_TEST

START_TEST(all_errors_come_in_one_pass_in_the_order_of_the_file)
{
    config_text_refused("listen: nowhere\n"
                        "threads: 65\n"
                        "timeouts:\n"
                        "  header: 10\n"
                        "  idel: 5s\n"
                        "streams:\n"
                        "  'bad name':\n"
                        "    source: {fake: {brokers: b, topcs: [t]}}\n"
                        "  orders:\n"
                        "    ring: {records: -1, bytes: 64MB}\n"
                        "    required: yes\n"
                        "    slow:\n"
                        "      policy: drop_odlest\n"
                        "routes:\n"
                        "  data: {stream: order}\n",
        "f.yaml:1:9: listen: 'nowhere' does not end with a port from 0 to 65535\n"
        "f.yaml:2:10: threads: '65' must be from 1 to 64\n"
        "f.yaml:4:11: timeouts.header: '10' is not a duration: a whole number with ms, s, m or h, "
        "as in 15s\n"
        "f.yaml:5:3: timeouts.idel: unknown key 'idel': did you mean 'idle'?\n"
        "f.yaml:7:3: streams.bad name: 'bad name' is not a stream's name: 1 to 128 of A-Z a-z 0-9 "
        ". _ -\n"
        "f.yaml:8:14: streams.bad name.source.fake.topics: is required\n"
        "f.yaml:8:33: streams.bad name.source.fake.topcs: unknown key 'topcs': did you mean "
        "'topics'?\n"
        "f.yaml:9:3: streams.orders.source: is required\n"
        "f.yaml:10:21: streams.orders.ring.records: '-1' is not a whole number\n"
        "f.yaml:10:32: streams.orders.ring.bytes: '64MB' is not a size: a whole number of bytes, "
        "or one with KiB, MiB or GiB, as in 64MiB\n"
        "f.yaml:11:15: streams.orders.required: 'yes' is neither true nor false\n"
        "f.yaml:13:15: streams.orders.slow.policy: 'drop_odlest' is none of drop_oldest, "
        "drop_newest, conflate, pause, disconnect; did you mean 'drop_oldest'?\n"
        "f.yaml:15:3: routes.data: a path must begin with /\n"
        "f.yaml:15:18: routes.data.stream: there is no stream 'order': did you mean 'orders'?\n");
}
END_TEST

START_TEST(unknown_key_far_from_all_lists_them)
{
    config_text_refused("log: {xyzzy: 1}\n",
        "f.yaml:1:7: log.xyzzy: unknown key 'xyzzy': known here are level, format\n");
}
END_TEST

START_TEST(wrong_shape_is_named)
{
    config_text_refused_for(
        "streams: [a]\n", "f.yaml:1:10: streams: must be a mapping, not a list");
    config_text_refused_for("[a]\n", "f.yaml:1:1: .: must be a mapping, not a list");
    config_text_refused_for("heartbeat: [15s]\n", "heartbeat: must be a single value, not a list");
    config_text_refused_for("heartbeat:\n", "heartbeat: has no value");
    config_text_refused_for("limits: 5\n", "limits: must be a mapping, not a single value");
    config_text_refused_for("threads: '5'\n", "threads: must be written without quotes");
    config_text_refused_for(
        "cors: {origins: {a: b}}\n", "cors.origins: must be a list, not a mapping");
}
END_TEST

START_TEST(source_names_exactly_one_known_connector)
{
    config_text_refused_for(
        "streams: {a: {source: {}}}", "streams.a.source: must name exactly one");
    config_text_refused_for(
        "streams: {a: {source: {fake: {}, other: {}}}}", "must name exactly one");
    config_text_refused_for("streams: {a: {source: {fak: {}}}}",
        "f.yaml:1:24: streams.a.source.fak: unknown connector 'fak'; known are: fake; did you mean "
        "'fake'?");
    config_text_refused_for(
        "streams: {a: {source: {fake: }}}", "streams.a.source.fake.brokers: is required");
}
END_TEST

static void
assert_expands(const char *text, const char *expected)
{
    char *out;
    struct err err;
    ck_assert_int_eq(config_expand_text(text, &out, &err), 0);
    ck_assert_str_eq(out == NULL ? text : out, expected);
    free(out);
}

static void
assert_expansion_fails(const char *text, const char *part)
{
    char *out;
    struct err err;
    ck_assert_int_eq(config_expand_text(text, &out, &err), -1);
    ck_assert_msg(strstr(err.text, part) != NULL, "'%s' is not in '%s'", part, err.text);
}

START_TEST(variables_and_files_are_filled_in)
{
    setenv("HG_SET", "value", 1);
    setenv("HG_EMPTY", "", 1);
    unsetenv("HG_UNSET");
    assert_expands("plain $x $$ {}", "plain $x $$ {}");
    assert_expands("${HG_SET}", "value");
    assert_expands("a${HG_SET}b${HG_SET}", "avaluebvalue");
    assert_expands("${HG_EMPTY}", "");
    assert_expands("${HG_EMPTY:-d}", "d");
    assert_expands("${HG_UNSET:-a:-b}", "a:-b");
    assert_expands("${HG_UNSET:-}", "");
    assert_expands("$${HG_SET}", "${HG_SET}");
    assert_expands("$$${HG_SET}", "$${HG_SET}");
    char text[128];
    char *path = config_text_file("secret\r\n");
    snprintf(text, sizeof text, "<${file:%s}>", path);
    assert_expands(text, "<secret>");
    unlink(path);
}
END_TEST

START_TEST(what_cannot_be_filled_in_is_named)
{
    unsetenv("HG_UNSET");
    setenv("HG_LATIN", "\xe4", 1);
    assert_expansion_fails("${HG_UNSET}", "HG_UNSET is not set");
    assert_expansion_fails("${HG_UNSET", "without its '}'");
    assert_expansion_fails("${}", "'${}'");
    assert_expansion_fails("${1A}", "'${1A}'");
    assert_expansion_fails("${HG_LATIN}", "HG_LATIN is not UTF-8");
    assert_expansion_fails("${file:/no/such}", "cannot open /no/such: No such file or directory");
    assert_expansion_fails("${file:relative}", "must begin with /");
    assert_expansion_fails("${file:/tmp}", "/tmp is not a regular file");
    assert_expansion_fails("${file:/dev/zero}", "/dev/zero is not a regular file");
    config_text_refused("threads: ${HG_UNSET}\nlog: {level: '${HG_UNSET}'}\n",
        "f.yaml:1:10: threads: the environment variable HG_UNSET is not set and there is no "
        "default: ${HG_UNSET:-default}\n"
        "f.yaml:2:14: log.level: the environment variable HG_UNSET is not set and there is no "
        "default: ${HG_UNSET:-default}\n");
}
END_TEST

START_TEST(filled_in_value_is_never_structure_nor_shown)
{
    struct config config;
    setenv("HG_THREADS", "3", 1);
    setenv("HG_LIST", "[a, b]", 1);
    config_text_load(&config,
        "threads: \"${HG_THREADS}\"\nstreams: {a: {source: {fake: {brokers: b, topics: "
        "'${HG_LIST}'}}}}\n");
    ck_assert_uint_eq(config.threads, 3);
    const struct fake_settings *fake = config.streams[0].settings;
    ck_assert_uint_eq(fake->topics.n, 1);
    ck_assert_str_eq(fake->topics.items[0], "[a, b]");
    config_fini(&config);
    setenv("HG_THREADS", "hunter2", 1);
    config_text_refused("threads: ${HG_THREADS}\n",
        "f.yaml:1:10: threads: '${HG_THREADS}' is not a whole number\n");
}
END_TEST

START_TEST(yaml_that_we_do_not_take_is_refused_with_its_place)
{
    config_text_refused_for("a: &x 1\n", "f.yaml:1:4: a: anchors and aliases are not taken");
    config_text_refused_for(
        "threads: *x\n", "f.yaml:1:10: threads: anchors and aliases are not taken");
    config_text_refused_for("threads: !!int 1\n", "f.yaml:1:10: threads: tags are not taken");
    config_text_refused_for("threads: 1\n---\nthreads: 2\n", "f.yaml:2:1: .: a second document");
    config_text_refused("log: {level: info}\nthreads: 1\nlog: {}\n",
        "f.yaml:3:1: log: is given already in line 1\n");
    config_text_refused_for("? [a]\n: b\n", "f.yaml:1:3: .: a key must be a plain word");
    config_text_refused_for("a: b: c\n", "f.yaml:1:5: ");
    config_text_refused_for("a: {\n", "f.yaml:2:1: ");
    config_text_refused_for("a: \"\\0\"\n", "f.yaml:1:4: a: a NUL character");
    config_text_refused_for(
        "threads: 1\nb: \xff\n", "f.yaml:2:4: .: not YAML: invalid leading UTF-8");
    config_text_refused_for("a\tb: \x01", "f.yaml:1:6: .: not YAML: control characters");
}
END_TEST

START_TEST(deep_and_large_files_are_refused_quickly)
{
    static char text[CONFIG_YAML_BYTES_MAX + 2];
    memset(text, '[', 100000);
    text[100000] = '\0';
    config_text_refused_for(text, "nested too deeply: at most 64 levels");
    memset(text, '#', sizeof text - 1);
    config_text_refused(text, "f.yaml: larger than 1 MiB, the most that is read\n");
    for (size_t i = 0; i + 4 < sizeof text; i += 4) {
        memcpy(text + i, "a: \n", 4);
    }
    text[CONFIG_YAML_BYTES_MAX - 4] = '\0';
    config_text_refused_for(text, "errors are not shown");
}
END_TEST

START_TEST(message_stays_on_one_line)
{
    config_text_refused("\"a\\nb\\e\": 1\nlog: {level: \"x\\ny\"}\n",
        "f.yaml:1:1: a\\x0ab\\x1b: unknown key 'a\\x0ab\\x1b': known here are listen, admin, "
        "threads, "
        "limits, timeouts, heartbeat, live_limit, catchup, requests, downloads, compression, "
        "drain, cors, "
        "tokens, log, "
        "streams, "
        "routes\n"
        "f.yaml:2:14: log.level: 'x\\x0ay' is none of debug, info, warn, error\n");
}
END_TEST

START_TEST(print_is_loaded_again_to_the_same_print)
{
    struct config config;
    setenv("HG_ODD", "q\"\\\n\xc2\x85\xe2\x80\xa8 \xf0\x9f\x98\x80 ${x} 'y' # z: ", 1);
    config_text_load(&config,
        "listen: [{address: '[::1]:1'}, ':2', 127.0.0.1:3]\n"
        "threads: 2\nlimits: {connections: 500, send_buffer: 4097, message: 1KiB}\n"
        "heartbeat: 90s\ndrain: {grace: 0s, timeout: 1500ms}\ncors: {origins: '*'}\n"
        "streams:\n  a.b:\n    max_record: 16MiB\n    slow: {policy: pause, allow: []}\n"
        "    source:\n      fake:\n        brokers: b\n        topics: ['${HG_ODD}', 'true', '1']\n"
        "        password: hunter2\n        wait: 1h\n"
        "        librdkafka_options: {sasl.password: hunter2, ssl.key.pem: hunter2, \n"
        "          'sasl.username': hunter2, \"odd\\n${k}\": '${HG_ODD}', group.id: g, n: 5}\n"
        "  empty:\n" SOURCE "routes: {/x: {stream: a.b, format: sse}}\n");
    char *first = config_text_print(&config);
    config_fini(&config);
    ck_assert_msg(strstr(first, "hunter2") == NULL, "%s", first);
    ck_assert_ptr_nonnull(strstr(first, "group.id: g\n"));
    ck_assert_ptr_nonnull(strstr(first, "send_buffer: 4097\n"));
    ck_assert_ptr_nonnull(strstr(first, "heartbeat: 90s\n"));
    config_text_load(&config, first);
    const struct fake_settings *fake = config.streams[0].settings;
    ck_assert_str_eq(fake->topics.items[0], getenv("HG_ODD"));
    char *second = config_text_print(&config);
    config_fini(&config);
    ck_assert_str_eq(first, second);
    free(first);
    free(second);
}
END_TEST

START_TEST(a_list_of_mappings_is_filled_item_by_item)
{
    struct config config;
    setenv("HG_PEER", "hunter2", 1);
    config_text_load(&config, "streams:\n  a:\n    source:\n      fake:\n        brokers: b\n"
                              "        topics: t\n        peers:\n          - host: one\n"
                              "            password: ${HG_PEER}\n            tags: [x, y]\n"
                              "          - {host: two, weight: 1}\n");
    const struct fake_settings *fake = config.streams[0].settings;
    const struct fake_peer *peers = fake->peers.items;
    ck_assert_uint_eq(fake->peers.n, 2);
    ck_assert_str_eq(peers[0].host, "one");
    ck_assert_str_eq(peers[0].password, "hunter2");
    ck_assert_uint_eq(peers[0].weight, 7);
    ck_assert_uint_eq(peers[0].tags.n, 2);
    ck_assert_str_eq(peers[1].host, "two");
    ck_assert_ptr_null(peers[1].password);
    ck_assert_uint_eq(peers[1].weight, 1);
    char *first = config_text_print(&config);
    config_fini(&config);
    ck_assert_ptr_null(strstr(first, "hunter2"));
    config_text_load(&config, first);
    char *second = config_text_print(&config);
    config_fini(&config);
    ck_assert_str_eq(first, second);
    free(first);
    free(second);
}
END_TEST

#define PEERS(text) "streams: {a: {source: {fake: {brokers: b, topics: t, peers: " text "}}}}"

START_TEST(what_is_wrong_in_a_list_of_mappings_is_named_with_its_place)
{
    config_text_refused(PEERS("[{weight: 0}, {host: h, wieght: 1}]"),
        "f.yaml:1:62: streams.a.source.fake.peers[0].host: is required\n"
        "f.yaml:1:71: streams.a.source.fake.peers[0].weight: '0' must be at least 1\n"
        "f.yaml:1:85: streams.a.source.fake.peers[1].wieght: unknown key 'wieght': did you mean "
        "'weight'?\n");
    config_text_refused_for(PEERS("{host: h}"), "peers: must be a list, not a mapping");
    config_text_refused_for(PEERS("[h]"), "peers[0]: must be a mapping, not a single value");
    config_text_refused_for(
        PEERS("[{host: a}, {host: b}, {host: c}]"), "peers: must have at most 2");
}
END_TEST

static uint64_t
bytes_of(const char *text)
{
    uint64_t bytes = 424242;
    struct err err;
    return config_value_bytes(text, &bytes, &err) == 0 ? bytes : 424242;
}

static uint64_t
duration_of(const char *text)
{
    uint64_t ms = 424242;
    struct err err;
    return config_value_duration(text, &ms, &err) == 0 ? ms : 424242;
}

START_TEST(sizes_and_durations_take_their_units_alone)
{
    ck_assert_uint_eq(bytes_of("0"), 0);
    ck_assert_uint_eq(bytes_of("7B"), 7);
    ck_assert_uint_eq(bytes_of("3KiB"), 3072);
    ck_assert_uint_eq(bytes_of("2GiB"), UINT64_C(2) << 30);
    ck_assert_uint_eq(bytes_of("18446744073709551615"), UINT64_MAX);
    ck_assert_uint_eq(duration_of("250ms"), 250);
    ck_assert_uint_eq(duration_of("15s"), 15000);
    ck_assert_uint_eq(duration_of("5m"), 300000);
    ck_assert_uint_eq(duration_of("2h"), 7200000);
    static const char *const bad[] = {"", "1k", "1KB", "1 KiB", "-1", "+1", "1.5MiB", "01", "0x10",
        "1e3", "18446744073709551616", "17179869184GiB", "1KiB ", "KiB"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        ck_assert_msg(bytes_of(bad[i]) == 424242, "%s", bad[i]);
        ck_assert_msg(duration_of(bad[i]) == 424242, "%s", bad[i]);
    }
    ck_assert_uint_eq(duration_of("15"), 424242);
    ck_assert_uint_eq(duration_of("1d"), 424242);
}
END_TEST

START_TEST(formatted_values_are_parsed_again)
{
    static const uint64_t values[] = {
        0, 1, 999, 1000, 1024, 1536, 60000, 90000, 3600000, 1 << 20, UINT64_C(5) << 30};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        char text[CONFIG_VALUE_TEXT_MAX];
        config_value_format_bytes(text, values[i]);
        ck_assert_uint_eq(bytes_of(text), values[i]);
        config_value_format_duration(text, values[i]);
        ck_assert_uint_eq(duration_of(text), values[i]);
    }
}
END_TEST

static json_t *
schema(void)
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    config_schema_print(out);
    fclose(out);
    json_error_t error;
    json_t *parsed = json_loads(text, JSON_REJECT_DUPLICATES, &error);
    ck_assert_msg(parsed != NULL, "%s", error.text);
    free(text);
    return parsed;
}

static void
assert_objects_are_closed(json_t *value)
{
    const char *name;
    json_t *item;
    size_t i;
    if (json_is_object(value) && json_object_get(value, "properties") != NULL &&
        json_is_string(json_object_get(value, "type"))) {
        ck_assert(json_is_false(json_object_get(value, "additionalProperties")));
    }
    if (json_is_object(value)) {
        json_object_foreach(value, name, item)
        {
            assert_objects_are_closed(item);
        }
    }
    json_array_foreach(value, i, item)
    {
        assert_objects_are_closed(item);
    }
}

static json_t *
property(json_t *value, const char *name)
{
    json_t *found = json_object_get(json_object_get(value, "properties"), name);
    ck_assert_msg(found != NULL, "%s", name);
    return found;
}

START_TEST(schema_is_json_with_closed_objects_and_defaults)
{
    json_t *root = schema();
    ck_assert_str_eq(json_string_value(json_object_get(root, "$schema")),
        "http://json-schema.org/draft-07/schema#");
    assert_objects_are_closed(root);
    json_t *stream = json_object_get(property(root, "streams"), "additionalProperties");
    json_t *ring = property(stream, "ring");
    ck_assert_int_eq(
        json_integer_value(json_object_get(property(ring, "records"), "default")), 65536);
    ck_assert_str_eq(
        json_string_value(json_object_get(property(ring, "bytes"), "default")), "64MiB");
    ck_assert_uint_eq(
        json_array_size(json_object_get(property(property(stream, "slow"), "allow"), "default")),
        3);
    json_t *fake = property(property(stream, "source"), "fake");
    ck_assert_uint_eq(json_array_size(json_object_get(fake, "required")), 2);
    ck_assert(json_is_true(json_object_get(property(fake, "exact"), "default")));
    ck_assert_ptr_nonnull(json_object_get(property(fake, "fetch"), "description"));
    json_t *peers = property(fake, "peers");
    ck_assert_int_eq(json_integer_value(json_object_get(peers, "maxItems")), 2);
    ck_assert_uint_eq(
        json_array_size(json_object_get(json_object_get(peers, "items"), "required")), 1);
    json_decref(root);
}
END_TEST

START_TEST(reference_names_every_key)
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    config_reference_print(out);
    fclose(out);
    ck_assert_ptr_nonnull(strstr(text, "| `limits.send_buffer` | size, 4KiB to 16MiB | `64KiB` |"));
    ck_assert_ptr_nonnull(strstr(text, "| `slow.queue.records` |"));
    ck_assert_ptr_nonnull(strstr(text, "## streams.NAME.source.fake\n"));
    ck_assert_ptr_nonnull(strstr(text, "host:port \\| more."));
    ck_assert_ptr_nonnull(strstr(text, "| `peers` | list of mappings | none | Peers. |"));
    ck_assert_ptr_nonnull(strstr(text, "| `peers[].host` | text | required |"));
    free(text);
}
END_TEST

START_TEST(file_that_is_not_there_is_named)
{
    struct config config;
    char *errors = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&errors, &len);
    ck_assert_int_eq(config_load(&config, "/no/such.yaml", out), -1);
    fclose(out);
    ck_assert_str_eq(errors, "/no/such.yaml: cannot be read: No such file or directory\n");
    free(errors);
    out = open_memstream(&errors, &len);
    ck_assert_int_eq(config_load(&config, "/tmp", out), -1);
    fclose(out);
    ck_assert_str_eq(errors, "/tmp: cannot be read: Is a directory\n");
    free(errors);
}
END_TEST

UNIT_MAIN("config", empty_file_has_every_default, stream_has_its_defaults_and_its_settings,
    all_errors_come_in_one_pass_in_the_order_of_the_file, unknown_key_far_from_all_lists_them,
    wrong_shape_is_named, source_names_exactly_one_known_connector,
    variables_and_files_are_filled_in, what_cannot_be_filled_in_is_named,
    filled_in_value_is_never_structure_nor_shown,
    yaml_that_we_do_not_take_is_refused_with_its_place, deep_and_large_files_are_refused_quickly,
    message_stays_on_one_line, print_is_loaded_again_to_the_same_print,
    a_list_of_mappings_is_filled_item_by_item,
    what_is_wrong_in_a_list_of_mappings_is_named_with_its_place,
    sizes_and_durations_take_their_units_alone, formatted_values_are_parsed_again,
    schema_is_json_with_closed_objects_and_defaults, reference_names_every_key,
    file_that_is_not_there_is_named)
