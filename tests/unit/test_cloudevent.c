/* test_cloudevent: records as events: made, from headers, passed as they are. Validity by the
 * schema is tests/e2e/test_cloudevents.py's. */
#include "cloudevent.h"

#include "unit.h"

#include <jansson.h>
#include <string.h>

#define TOPIC "{\"topic\":\"orders\",\"partition\":3,\"offset\":"
#define MADE                                                                                       \
    "{\"specversion\":\"1.0\",\"id\":\"3/42\",\"source\":\"orders\",\"type\":\"headgate.record\","
#define TIME "\"time\":\"2026-01-31T12:00:00.123Z\""
#define TOKEN ",\"headgatetoken\":\"AQA\""
#define JSON_DATA ",\"datacontenttype\":\"application/json\",\"data\":"

static struct record_input
input(const char *key, const char *data)
{
    return (struct record_input){.offset = 42,
        .time_ms = INT64_C(1769860800123),
        .key = key,
        .key_len = key == NULL ? 0 : strlen(key),
        .data = data,
        .data_len = data == NULL ? 0 : strlen(data)};
}

static char *
event_of(const struct record_input *in, const char *prefix)
{
    struct buf scratch, out;
    buf_init(&scratch);
    buf_init(&out);
    struct record *record = record_new(in, "AQA", 3, prefix, 1, &scratch);
    cloudevent_add(&out, record);
    buf_addc(&out, '\0');
    json_error_t error;
    json_t *parsed = json_loads(out.bytes, JSON_REJECT_DUPLICATES, &error);
    ck_assert_msg(parsed != NULL, "%s: %s", out.bytes, error.text);
    json_decref(parsed);
    record_unref(record);
    buf_fini(&scratch);
    return out.bytes;
}

static void
expect(const struct record_input *in, const char *want)
{
    char *got = event_of(in, TOPIC);
    ck_assert_str_eq(got, want);
    free(got);
}

static void
expect_data(const char *data, const char *want)
{
    struct record_input in = input(NULL, data);
    expect(&in, want);
}

START_TEST(a_record_becomes_an_event)
{
    struct record_input in = input("k1", "{\"a\": 1}");
    expect(&in, MADE TIME ",\"subject\":\"k1\"" TOKEN JSON_DATA "{\"a\": 1}}");
    in.type = "order.placed";
    expect(&in, "{\"specversion\":\"1.0\",\"id\":\"3/"
                "42\",\"source\":\"orders\",\"type\":\"order.placed\"," TIME
                ",\"subject\":\"k1\"" TOKEN JSON_DATA "{\"a\": 1}}");
}
END_TEST

START_TEST(a_payload_that_is_no_json_is_text_or_base64)
{
    expect_data("plain \"text\"", MADE TIME TOKEN
        ",\"datacontenttype\":\"text/plain; charset=utf-8\",\"data\":\"plain \\\"text\\\"\"}");
    expect_data("\xff\xfe", MADE TIME TOKEN
        ",\"datacontenttype\":\"application/octet-stream\",\"data_base64\":\"//4=\"}");
    expect_data(
        "", MADE TIME TOKEN ",\"datacontenttype\":\"text/plain; charset=utf-8\",\"data\":\"\"}");
    expect_data("null", MADE TIME TOKEN JSON_DATA "null}");
}
END_TEST

START_TEST(a_tombstone_has_no_data)
{
    struct record_input in = input("k1", NULL);
    expect(&in, MADE TIME ",\"subject\":\"k1\"" TOKEN "}");
}
END_TEST

START_TEST(a_key_that_is_no_text_is_no_subject)
{
    struct record_input in = input("\xff", "1");
    expect(&in, MADE TIME TOKEN JSON_DATA "1}");
    in = input("", "1");
    expect(&in, MADE TIME TOKEN JSON_DATA "1}");
}
END_TEST

START_TEST(the_source_is_a_uri_reference)
{
    struct record_input in = input(NULL, "1");
    char *got = event_of(
        &in, "{\"topic\":\"/var/a b:\\\"\\\\\\u0001\\n\xc3\xa4\",\"partition\":0,\"offset\":");
    ck_assert_ptr_nonnull(strstr(got, "\"source\":\"/var/a%20b%3A%22%5C%01%0A%C3%A4\""));
    free(got);
}
END_TEST

#define EVENT "{\"specversion\":\"1.0\",\"id\":\"x\",\"source\":\"s\",\"type\":\"t\""

START_TEST(an_event_passes_as_it_is)
{
    static const char *const events[] = {
        EVENT "}",
        EVENT ",\"data\":{\"event\":1,\"a\":[1,{\"}\":\"]\\\"\"}]},\"more\":3}",
        "{ \"type\" :\"t\" , \"n\": 1 ,\"source\":\"s\",\t\"id\":\"\\u0041\", \"specversion\": "
        "\"1.0\" }",
    };
    for (size_t i = 0; i < sizeof events / sizeof *events; i++) {
        expect_data(events[i], events[i]);
    }
}
END_TEST

START_TEST(what_only_looks_like_an_event_is_data)
{
    static const char *const others[] = {
        EVENT ",\"event\":\"hello\"}",
        EVENT ",\"\\u0065vent\":\"hello\"}",
        EVENT ",\"id\":\"y\"}",
        "{\"specversion\":\"0.3\",\"id\":\"x\",\"source\":\"s\",\"type\":\"t\"}",
        "{\"specversion\":\"1.0\",\"id\":7,\"source\":\"s\",\"type\":\"t\"}",
        "{\"specversion\":\"1.0\",\"id\":\"x\",\"source\":\"\",\"type\":\"t\"}",
        "{\"specversion\":\"1.0\",\"id\":\"x\",\"source\":\"s\"}",
        "{\"a\":" EVENT "}}",
        "[\"specversion\"]",
        "\"specversion\"",
    };
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        char want[512];
        snprintf(want, sizeof want, MADE TIME TOKEN JSON_DATA "%s}", others[i]);
        struct record_input in = input(NULL, others[i]);
        struct buf scratch, out;
        buf_init(&scratch);
        buf_init(&out);
        struct record *record = record_new(&in, "AQA", 3, TOPIC, 1, &scratch);
        cloudevent_add(&out, record);
        buf_addc(&out, '\0');
        ck_assert_str_eq(out.bytes, want);
        record_unref(record);
        buf_fini(&scratch);
        buf_fini(&out);
    }
}
END_TEST

static struct record_header
header(const char *name, const char *value)
{
    return (struct record_header){name, strlen(name), value, value == NULL ? 0 : strlen(value)};
}

START_TEST(headers_make_an_event)
{
    struct record_header headers[] = {header("ce_specversion", "1.0"), header("ce_id", "i"),
        header("trace", "x"), header("ce_source", "/s"), header("ce_type", "t"),
        header("ce_partitionkey", "p"), header("ce_event", "hello"), header("ce_Bad", "x"),
        header("ce_data", "x"), header("ce_nothing", NULL), header("ce_headgatetoken", "x"),
        header("content-type", "application/vnd.a+json; charset=utf-8")};
    struct record_input in = input("k", "{\"a\":1}");
    in.headers = headers;
    in.n_headers = sizeof headers / sizeof *headers;
    expect(&in,
        "{\"specversion\":\"1.0\",\"id\":\"i\",\"source\":\"/s\",\"type\":\"t\","
        "\"partitionkey\":\"p\"" TOKEN
        ",\"datacontenttype\":\"application/vnd.a+json; charset=utf-8\",\"data\":{\"a\":1}}");
    headers[11] = header("content-type", "text/plain");
    expect(&in, "{\"specversion\":\"1.0\",\"id\":\"i\",\"source\":\"/s\",\"type\":\"t\","
                "\"partitionkey\":\"p\"" TOKEN
                ",\"datacontenttype\":\"text/plain\",\"data\":\"{\\\"a\\\":1}\"}");
    in.data = NULL;
    expect(&in, "{\"specversion\":\"1.0\",\"id\":\"i\",\"source\":\"/s\",\"type\":\"t\","
                "\"partitionkey\":\"p\"" TOKEN ",\"datacontenttype\":\"text/plain\"}");
    headers[1] = header("ce_id", "");
    in.data = "1";
    in.data_len = 1;
    expect(&in, MADE TIME ",\"subject\":\"k\"" TOKEN JSON_DATA "1}");
}
END_TEST

START_TEST(a_record_of_a_file_is_known_by_its_path_and_its_place)
{
    struct record_input in = input(NULL, "1");
    char *got = event_of(&in, "{\"file\":\"/var/log/a b.log\",\"offset\":");
    static const char want[] =
        "{\"specversion\":\"1.0\",\"id\":\"42\",\"source\":\"/var/log/a%20b.log\",";
    ck_assert_msg(strncmp(got, want, sizeof want - 1) == 0, "%s", got);
    free(got);
}
END_TEST

UNIT_MAIN("cloudevent", a_record_of_a_file_is_known_by_its_path_and_its_place,
    a_record_becomes_an_event, a_payload_that_is_no_json_is_text_or_base64, a_tombstone_has_no_data,
    a_key_that_is_no_text_is_no_subject, the_source_is_a_uri_reference, an_event_passes_as_it_is,
    what_only_looks_like_an_event_is_data, headers_make_an_event)
