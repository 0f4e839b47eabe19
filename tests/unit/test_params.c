/* test_params: what a subscriber may ask for, and how everything else is refused. The token decoder
 * is a stand-in here: "A1" to "A9" are tokens with so many lanes. */
#include "client_text.h"
#include "params.h"

#include "unit.h"

#include <stdio.h>
#include <string.h>

/* Never looked into: what stands for the stream's keys. */
#define KEYS ((const struct token_keys *)&keys_seen)
#define NOW INT64_C(1769860800000) /* 2026-01-31T12:00:00Z */

const char *const slow_policy_names[SLOW_POLICY_COUNT] = {
    "drop_oldest", "drop_newest", "conflate", "pause", "disconnect"};

static const struct token_keys *keys_seen;

int
token_decode(const char *text, size_t len, const struct token_keys *keys, struct token *token,
    struct err *err)
{
    keys_seen = keys;
    if (len != 2 || text[0] != 'A' || text[1] < '1' || text[1] > '9') {
        err_set(err, ERR_INVALID, "not a resume token");
        return -1;
    }
    *token = (struct token){.n_lanes = (size_t)(text[1] - '0')};
    token->lanes = calloc(token->n_lanes, sizeof *token->lanes);
    return 0;
}

/* The decoder's unit is not linked, so neither may its other half be missing. */
void
token_encode(
    struct buf *out, const struct token_lane *lanes, size_t n, const struct token_keys *keys)
{
    (void)out, (void)lanes, (void)n, (void)keys;
    ck_abort();
}

void
token_encode_cursor(struct buf *out, const void *cursor, size_t len, const struct token_keys *keys)
{
    (void)out, (void)cursor, (void)len, (void)keys;
    ck_abort();
}

static struct params params;
static struct err err;

static const char names_self[] = "self";
static struct params_scope scope = {
    .now_ms = NOW, .keys = KEYS}; /* of the stream that is asked for */

static int
parse_with(const char *query, const char *headers)
{
    static char head[16384];
    static struct http_request request;
    int status = 0;
    const char *reason = "";
    int len = snprintf(head, sizeof head, "GET /s%s%s HTTP/1.1\r\nHost: a\r\n%s\r\n",
        query == NULL ? "" : "?", query == NULL ? "" : query, headers);
    enum http_parse got = http_parse(&request, head, (size_t)len, &status, &reason);
    ck_assert_msg(got == HTTP_PARSE_DONE, "%s: %s", query, reason);
    err = (struct err){.code = ERR_NONE};
    return params_parse(&params, &request, &scope, &err);
}

static void
accept(const char *query)
{
    ck_assert_msg(parse_with(query, "") == 0, "%s: %s", query, err.text);
}

/* Refused with text that starts with the parameter's name and holds printable ASCII only. */
static void
refused_with(const char *query, const char *headers, const char *start)
{
    ck_assert_msg(parse_with(query, headers) == -1, "taken: %s", query);
    ck_assert_int_eq(err.code, ERR_INVALID);
    ck_assert_msg(strncmp(err.text, start, strlen(start)) == 0, "%s: %s", query, err.text);
    ck_assert_uint_lt(strlen(err.text), 200);
    for (const char *c = err.text; *c != '\0'; c++) {
        ck_assert_msg(*c >= 0x20 && *c < 0x7f, "byte %d in an error", *c);
    }
    params_fini(&params);
    params_fini(&params);
}

static void
refused(const char *query, const char *start)
{
    refused_with(query, "", start);
}

START_TEST(nothing_asked_means_the_defaults)
{
    static const char *const queries[] = {NULL, "", "&", "&&&"};
    for (size_t i = 0; i < sizeof queries / sizeof *queries; i++) {
        accept(queries[i]);
        ck_assert_int_eq(params.format, FORMAT_AUTO);
        ck_assert_int_eq(params.from.kind, PLACE_LATEST);
        ck_assert_int_eq(params.to.kind, PLACE_NONE);
        ck_assert(!params.has_limit && params.follow && !params.has_slow && !params.has_heartbeat);
        ck_assert_int_eq(params.envelope, ENVELOPE_RECORD);
        ck_assert_uint_eq(params.queue_records, 0);
        ck_assert_uint_eq(params.max_rate, 0);
        params_fini(&params);
    }
}
END_TEST

START_TEST(every_parameter_is_taken_at_once)
{
    accept("from=A3&to=2026-01-31T13:00:00Z&limit=7&follow=false&format=sse&envelope=full&"
           "slow=pause&queue=10&heartbeat=30s&max_rate=100&");
    ck_assert_int_eq(params.from.kind, PLACE_TOKEN);
    ck_assert_uint_eq(params.from.n_lanes, 3);
    ck_assert_int_eq(params.to.kind, PLACE_TIME);
    ck_assert(params.to.time_ms == NOW + 3600000);
    ck_assert(params.has_limit && params.limit == 7);
    ck_assert(!params.follow);
    ck_assert_int_eq(params.format, FORMAT_SSE);
    ck_assert_int_eq(params.envelope, ENVELOPE_FULL);
    ck_assert(params.has_slow && params.slow == SLOW_PAUSE);
    ck_assert_uint_eq(params.queue_records, 10);
    ck_assert(params.has_heartbeat && params.heartbeat_ms == 30000);
    ck_assert_uint_eq(params.max_rate, 100);
    params_fini(&params);
    ck_assert_ptr_null(params.from.lanes);
}
END_TEST

START_TEST(names_of_choices_are_all_known)
{
    static const char *const formats[] = {"ws", "sse", "ndjson", "json"};
    static const char *const envelopes[] = {"record", "data", "full", "cloudevents"};
    char query[64];
    for (int i = 0; i < 4; i++) {
        snprintf(query, sizeof query, "format=%s", formats[i]);
        accept(query);
        ck_assert_int_eq(params.format, FORMAT_WS + i);
    }
    for (int i = 0; i < ENVELOPE_COUNT; i++) {
        snprintf(query, sizeof query, "envelope=%s", envelopes[i]);
        accept(query);
        ck_assert_int_eq(params.envelope, i);
        ck_assert(!params.raw);
    }
    accept("envelope=raw");
    ck_assert(params.raw && params.envelope == ENVELOPE_RECORD);
    for (int i = 0; i < SLOW_POLICY_COUNT; i++) {
        snprintf(query, sizeof query, "slow=%s", slow_policy_names[i]);
        accept(query);
        ck_assert_int_eq(params.slow, i);
    }
    refused("format=xml", "format: ");
    refused("format=SSE", "format: ");
    refused("format=", "format: ");
    refused("format", "format: ");
    refused("envelope=xml", "envelope: ");
    refused("slow=drop", "slow: ");
    refused("follow=yes", "follow: ");
    refused("follow=", "follow: ");
    accept("follow=true");
    ck_assert(params.follow);
}
END_TEST

START_TEST(numbers_are_held_to_their_bounds)
{
    accept("limit=1");
    accept("limit=9007199254740992");
    ck_assert(params.limit == UINT64_C(1) << 53);
    refused("limit=9007199254740993", "limit: ");
    refused("limit=99999999999999999999999", "limit: ");
    refused("limit=0", "limit: ");
    refused("limit=-1", "limit: ");
    refused("limit=%2B1", "limit: ");
    refused("limit=1+", "limit: ");
    refused("limit=+1", "limit: ");
    refused("limit=1.0", "limit: ");
    refused("limit=1e3", "limit: ");
    refused("limit=0x10", "limit: ");
    refused("limit=", "limit: ");
    accept("queue=1000000");
    refused("queue=1000001", "queue: ");
    refused("queue=0", "queue: ");
    accept("max_rate=1000000");
    refused("max_rate=1000001", "max_rate: ");
    refused("max_rate=0", "max_rate: ");
}
END_TEST

START_TEST(heartbeat_is_off_or_a_second_to_an_hour)
{
    accept("heartbeat=off");
    ck_assert(params.has_heartbeat && params.heartbeat_ms == 0);
    accept("heartbeat=1s");
    accept("heartbeat=1000ms");
    accept("heartbeat=1h");
    ck_assert_uint_eq(params.heartbeat_ms, 3600000);
    refused("heartbeat=999ms", "heartbeat: ");
    refused("heartbeat=0s", "heartbeat: ");
    refused("heartbeat=3601s", "heartbeat: ");
    refused("heartbeat=5", "heartbeat: ");
    refused("heartbeat=on", "heartbeat: ");
    refused("heartbeat=18446744073709551615h", "heartbeat: ");
}
END_TEST

START_TEST(durations_need_digits_and_a_unit)
{
    uint64_t ms = 77;
    static const char *const bad[] = {"", "s", "1", "-1s", "1 s", " 1s", "1d", "1S", "1.5s", "1ss",
        "9223372036854775808ms", "18446744073709551616ms", "2562047788016h", "1m1s"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        ck_assert_msg(client_text_duration_ms(bad[i], &ms) == -1, "%s", bad[i]);
    }
    ck_assert_uint_eq(ms, 77);
    ck_assert_int_eq(client_text_duration_ms("250ms", &ms), 0);
    ck_assert_uint_eq(ms, 250);
    ck_assert_int_eq(client_text_duration_ms("15s", &ms), 0);
    ck_assert_uint_eq(ms, 15000);
    ck_assert_int_eq(client_text_duration_ms("10m", &ms), 0);
    ck_assert_uint_eq(ms, 600000);
    ck_assert_int_eq(client_text_duration_ms("2562047788015h", &ms), 0);
    ck_assert(ms == UINT64_C(2562047788015) * 3600000);
}
END_TEST

START_TEST(places_are_read_in_all_their_forms)
{
    accept("from=latest&to=latest");
    ck_assert_int_eq(params.from.kind, PLACE_LATEST);
    ck_assert_int_eq(params.to.kind, PLACE_LATEST);
    accept("from=earliest");
    ck_assert_int_eq(params.from.kind, PLACE_EARLIEST);
    accept("from=-10m");
    ck_assert_int_eq(params.from.kind, PLACE_TIME);
    ck_assert(params.from.time_ms == NOW - 600000);
    accept("from=-2562047788015h");
    ck_assert(params.from.time_ms == 0);
    accept("from=2026-01-31T12:00:00.5Z");
    ck_assert(params.from.time_ms == NOW + 500);
    accept("from=2026-01-31T14:00:00+02:00");
    ck_assert(params.from.time_ms == NOW);
    accept("from=2026-01-31T14%3A00%3A00%2B02%3A00");
    ck_assert(params.from.time_ms == NOW);
    accept("from=9999-12-31T23:59:59Z");
    ck_assert_int_eq(params.from.kind, PLACE_TIME);
    accept("from=0000-01-01T00:00:00Z");
    ck_assert_int_eq(params.from.kind, PLACE_TIME);
    keys_seen = NULL;
    accept("to=A2");
    ck_assert_ptr_eq(keys_seen, KEYS);
    ck_assert_int_eq(params.to.kind, PLACE_TOKEN);
    params_fini(&params);
    refused("to=earliest", "to: ");
    refused("to=", "to: ");
    refused("from=", "from: ");
    refused("from=-", "from: ");
    refused("from=-10", "from: ");
    refused("from=-10m+", "from: ");
    refused("from=now", "from: ");
    refused("from=2026-02-30T00:00:00Z", "from: ");
    refused("from=2026-01-31", "from: ");
    refused("from=1769860800", "from: ");
    refused("from=Axxx", "from: not a resume token");
    refused("from=A3&to=Axxx", "to: not a resume token");
}
END_TEST

START_TEST(last_event_id_wins_over_from)
{
    ck_assert_int_eq(parse_with("from=A3", "Last-Event-ID: A5\r\n"), 0);
    ck_assert_int_eq(params.from.kind, PLACE_TOKEN);
    ck_assert_uint_eq(params.from.n_lanes, 5);
    params_fini(&params);
    ck_assert_int_eq(parse_with("from=earliest", "last-event-id: \r\n"), 0);
    ck_assert_int_eq(params.from.kind, PLACE_EARLIEST);
    keys_seen = NULL;
    ck_assert_int_eq(parse_with(NULL, "Last-Event-ID: A1\r\n"), 0);
    ck_assert_uint_eq(params.from.n_lanes, 1);
    params_fini(&params);
    ck_assert_ptr_eq(keys_seen, KEYS);
    refused_with("from=A3", "Last-Event-ID: zzz\r\n", "Last-Event-ID: not a resume token");
    refused_with("", "Last-Event-ID: earliest\r\n", "Last-Event-ID: ");
    refused_with("", "Last-Event-ID: A1\r\nLast-Event-ID: A1\r\n", "Last-Event-ID: given more");
    refused_with("from=bad", "Last-Event-ID: A1\r\n", "from: ");
}
END_TEST

START_TEST(repeated_parameters_are_refused)
{
    static const char *const names[] = {"from=latest", "to=latest", "limit=1", "follow=true",
        "format=ws", "envelope=data", "slow=pause", "queue=1", "heartbeat=off", "max_rate=1"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char query[128], start[64];
        snprintf(query, sizeof query, "%s&%s", names[i], names[i]);
        snprintf(start, sizeof start, "%.*s: given more than once", (int)strcspn(names[i], "="),
            names[i]);
        refused(query, start);
    }
    refused("from=A3&from=A3", "from: given more than once");
    refused("from=A3&fr%6fm=A3", "from: given more than once");
}
END_TEST

START_TEST(keys_and_comparisons_repeat_and_become_one_filter)
{
    accept("key=b&where=/a%3E5&key=a%20b&where=/c==x&limit=1");
    ck_assert_ptr_nonnull(params.filter);
    ck_assert_str_eq(filter_text(params.filter),
        "key=\"a b\"\nkey=\"b\"\nwhere=\"/a\">5\nwhere=\"/c\"==\"x\"\n");
    params_fini(&params);
    accept("limit=1");
    ck_assert_ptr_null(params.filter);
    params_fini(&params);
    accept("key=");
    ck_assert_str_eq(filter_text(params.filter), "key=\"\"\n");
    params_fini(&params);
    refused("key=a&where=a==1", "where: the pointer must begin with /");
    refused("where=/a%FF==1", "where: must be UTF-8");
    refused("where", "where: needs one of");
}
END_TEST

START_TEST(what_this_version_lacks_is_refused_by_name)
{
    refused("ticket=t", "ticket: not available in this version");
    refused("ticket=t", "ticket: not available in this version");
    refused("ticket", "ticket: not available in this version");
}
END_TEST

START_TEST(unknown_parameters_name_the_nearest_known_one)
{
    refused("form=latest", "form: unknown parameter; the nearest known one is \"from\"");
    refused("Limit=1", "Limit: unknown parameter; the nearest known one is \"limit\"");
    refused(
        "heart_beat=1s", "heart_beat: unknown parameter; the nearest known one is \"heartbeat\"");
    refused("maxrate=1", "maxrate: unknown parameter; the nearest known one is \"max_rate\"");
    refused("keys=1", "keys: unknown parameter; the nearest known one is \"");
    refused("limit%20=1", "limit : unknown parameter; the nearest known one is \"limit\"");
    refused("max-rates=1", "max-rates: unknown parameter; the nearest known one is \"max_rate\"");
    refused("envlope=1", "envlope: unknown parameter; the nearest known one is \"envelope\"");
    refused("queqe=1", "queqe: unknown parameter; the nearest known one is \"queue\"");
    refused("sow=1", "sow: unknown parameter; the nearest known one is \"slow\"");
    refused("%C3%A4=1", "??: unknown parameter");
    refused("from;to=latest", "from;to: unknown parameter");
}
END_TEST

START_TEST(broken_encodings_and_empty_names_are_refused)
{
    refused("=1", "query: ");
    refused("=", "query: ");
    refused("%=1", "query: ");
    refused("fr%00om=latest", "query: ");
    refused("from=%", "from: broken percent-encoding");
    refused("from=%zz", "from: broken percent-encoding");
    refused("from=latest%00", "from: broken percent-encoding");
}
END_TEST

START_TEST(client_bytes_cannot_break_an_error_text)
{
    char query[8192];
    refused("limit=5%0d%0aX-Evil:%20y", "limit: must be a number from 1 to 9007199254740992, not "
                                        "\"5??X-Evil: y\"");
    refused("%0d%0aX-Evil:=y", "??X-Evil:: unknown parameter");
    refused("from=%22%7d%5c%ff%1b[31m", "from: ");
    refused("limit=%7f%7e%1f", "limit: must be a number from 1 to 9007199254740992, not \"?~?\"");
    refused("slow=%25n%25s%25n", "slow: must be drop_oldest, drop_newest");
    refused("%25n%25s=1", "%n%s: unknown parameter");
    memset(query, 'a', sizeof query);
    query[8000] = '\0';
    refused(query, "aaaaaaaa");
    memcpy(query, "format=", 7);
    refused(query, "format: ");
    memcpy(query, "from=A", 6);
    refused(query, "from: ");
    memcpy(query, "from=9", 6);
    refused(query, "from: ");
}
END_TEST

START_TEST(queries_longer_than_a_target_are_refused)
{
    static char text[2 * HTTP_TARGET_MAX];
    struct http_request request = {.query = {text, sizeof text}};
    memset(text, '&', sizeof text);
    ck_assert_int_eq(params_parse(&params, &request, &scope, &err), -1);
    request.query.len = HTTP_TARGET_MAX;
    ck_assert_int_eq(params_parse(&params, &request, &scope, &err), 0);
}
END_TEST

static const char *
own_name(const void *self, size_t i)
{
    static const char *const names[] = {"region", "rate"};
    ck_assert_ptr_eq(self, names_self);
    return i < 2 ? names[i] : NULL;
}

START_TEST(a_streams_own_parameters_are_kept_apart)
{
    scope.own = (struct own_names){own_name, names_self};
    accept("limit=5&region=a%20b%26&rate=");
    ck_assert_uint_eq(params.limit, 5);
    ck_assert_uint_eq(params.n_own, 2);
    ck_assert_str_eq(params.own[0].name, "region");
    ck_assert_str_eq(params.own[0].value, "a b&");
    ck_assert_str_eq(params.own[1].value, "");
    ck_assert_int_eq(params_add_own(&params, "region", "x", &err), -1);
    params_fini(&params);
    refused("region=a&region=b", "region: given more than once");
    refused("regoin=a", "regoin: unknown parameter; the nearest known one is \"region\"");
    scope.own = (struct own_names){NULL, NULL};
    refused("region=a", "region: unknown parameter");
}
END_TEST

UNIT_MAIN("params", a_streams_own_parameters_are_kept_apart, nothing_asked_means_the_defaults,
    every_parameter_is_taken_at_once, names_of_choices_are_all_known,
    numbers_are_held_to_their_bounds, heartbeat_is_off_or_a_second_to_an_hour,
    durations_need_digits_and_a_unit, places_are_read_in_all_their_forms,
    last_event_id_wins_over_from, repeated_parameters_are_refused,
    keys_and_comparisons_repeat_and_become_one_filter, what_this_version_lacks_is_refused_by_name,
    unknown_parameters_name_the_nearest_known_one, broken_encodings_and_empty_names_are_refused,
    client_bytes_cannot_break_an_error_text, queries_longer_than_a_target_are_refused)
