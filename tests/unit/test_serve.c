/* test_serve: which request gets which answer, on the public and on the admin listener. */
#include "gateway_fixture.h"
#include "unit.h"

#include <stdio.h>
#include <string.h>

static size_t
content_length(const struct subscriber *client)
{
    const char *at = strstr(client->head, "Content-Length: ");
    return at == NULL ? 0 : strtoul(at + 16, NULL, 10);
}

/* Send a whole request and read its answer; of a streamed one the head. */
static struct subscriber *
ask(uint16_t port, const char *request)
{
    struct subscriber *client = subscriber_open(port, 0);
    client->transport = TRANSPORT_JSON; /* the body is kept as it is */
    subscriber_send(client, request, strlen(request));
    bool head_only = strncmp(request, "HEAD ", 5) == 0;
    READ_UNTIL(
        client, client->head_done && (head_only || client->body.len >= content_length(client)));
    buf_addc(&client->body, '\0');
    return client;
}

struct question {
    const char *request; /* without the version, Host and the end */
    const char *headers;
    int status;
    const char *in_head; /* NULL: anything */
    const char *in_body;
};

static void
expect(uint16_t port, const struct question *question)
{
    char request[4096];
    snprintf(request, sizeof request, "%s HTTP/1.1\r\nHost: x\r\n%s\r\n", question->request,
        question->headers == NULL ? "" : question->headers);
    struct subscriber *client = ask(port, request);
    ck_assert_msg(client->status == question->status, "%s: %d", question->request, client->status);
    ck_assert_msg(question->in_head == NULL || strstr(client->head, question->in_head) != NULL,
        "%s: %s", question->request, client->head);
    ck_assert_msg(
        question->in_body == NULL || strstr(client->body.bytes, question->in_body) != NULL,
        "%s: %s", question->request, client->body.bytes);
    if (client->status >= 400) {
        ck_assert_ptr_nonnull(strstr(client->head, "application/problem+json"));
        ck_assert_ptr_nonnull(strstr(client->body.bytes, "\"status\":"));
    }
    ck_assert_ptr_nonnull(strstr(client->head, "X-Content-Type-Options: nosniff\r\n"));
    subscriber_close(client);
}

#define EXPECT_ALL(port, questions)                                                                \
    for (size_t i_ = 0; i_ < sizeof(questions) / sizeof *(questions); i_++) {                      \
        expect(port, &(questions)[i_]);                                                            \
    }

START_TEST(each_path_method_and_parameter_has_its_answer)
{
    static const struct question questions[] = {
        {"GET /", NULL, 404, NULL, "GET /streams"},
        {"GET /streams/none", NULL, 404, NULL, NULL},
        {"GET /streams/", NULL, 404, NULL, NULL},
        {"GET /streams", NULL, 200, "application/json", "{\"streams\":[{\"name\":\"s\","},
        {"GET /streams?x=1", NULL, 400, NULL, "no parameters"},
        {"GET /streams/s", NULL, 200, "Content-Type: application/x-ndjson\r\n", NULL},
        {"GET /streams/%73", NULL, 200, "Transfer-Encoding: chunked\r\n", NULL},
        {"GET /streams/%zz", NULL, 400, NULL, "percent"},
        {"GET /streams/s?nosuch=1", NULL, 400, NULL, "nosuch: unknown parameter"},
        {"GET /streams/s?slow=conflate", NULL, 400, NULL, "slow: this stream does not allow"},
        {"GET /streams/s?queue=101", NULL, 400, NULL, "queue: at most 100"},
        {"GET /streams/s?format=ws", NULL, 426, "Sec-WebSocket-Version: 13\r\n", NULL},
        {"GET /streams/s?format=json", NULL, 406, NULL, "needs an end"},
        {"GET /streams/s", "Content-Length: 3\r\n\r\nabc", 400, "Connection: close\r\n", "body"},
        {"POST /streams/s", NULL, 405, "Allow: GET, HEAD, OPTIONS\r\n", NULL},
        {"BREW /streams/s", NULL, 501, NULL, NULL},
        {"HEAD /streams/s", NULL, 200, "Cache-Control: no-cache, no-transform\r\n", NULL},
        {"HEAD /streams/s?format=sse", NULL, 200, "text/event-stream", NULL},
        {"HEAD /streams", NULL, 200, "Content-Length: ", NULL},
        {"OPTIONS /streams/s", NULL, 204, "Allow: GET, HEAD, OPTIONS\r\n", NULL},
        {"OPTIONS *", NULL, 204, "Allow: ", NULL},
        {"OPTIONS /none", NULL, 404, NULL, NULL},
        {"POST /streams/none", NULL, 404, NULL, "GET /streams"},
        {"PUT /none", NULL, 404, NULL, NULL},
        {"TRACE /none", NULL, 405, "Allow: GET, HEAD, OPTIONS\r\n", NULL},
        {"DELETE /streams/s/x", NULL, 404, NULL, NULL},
    };
    struct gateway *gateway = fixture_new();
    gateway->stream_config.slow_allow = 1u << SLOW_DROP_OLDEST;
    fixture_start(gateway);
    EXPECT_ALL(gateway->port, questions);
    fixture_stop(gateway);
}
END_TEST

START_TEST(the_format_is_what_the_client_likes_best)
{
    static const struct question questions[] = {
        {"GET /streams/s", "Accept: text/event-stream\r\n", 200, "text/event-stream", NULL},
        {"GET /streams/s", "Accept: application/jsonl\r\n", 200, "application/x-ndjson", NULL},
        {"GET /streams/s", "Accept: */*\r\n", 200, "application/x-ndjson", NULL},
        {"GET /streams/s", "Accept: text/html, text/event-stream;q=0.1\r\n", 200,
            "text/event-stream", NULL},
        {"GET /streams/s", "Accept: text/html\r\n", 406, "Vary: Accept, Accept-Encoding\r\n",
            "Accept:"},
        {"GET /streams/s?follow=false", "Accept: application/json\r\n", 200, "application/json",
            NULL},
        {"GET /streams/s", "Accept: application/json\r\n", 406, NULL, NULL},
        {"GET /streams/s", "Accept: application/json, text/plain, */*\r\n", 200,
            "application/x-ndjson", NULL},
        {"GET /streams/s?limit=1", "Accept: application/json, text/plain, */*\r\n", 200,
            "application/json", NULL},
        {"GET /streams/s?format=sse", "Accept: text/html\r\n", 200, "text/event-stream", NULL},
        {"GET /lines", "Accept: text/event-stream\r\n", 200, "application/x-ndjson", NULL},
        {"GET /lines?format=sse", NULL, 406, NULL, "one format only"},
        {"GET /any?format=sse", NULL, 200, "text/event-stream", NULL},
    };
    static char lines[] = "/lines", any[] = "/any", name[] = "s";
    struct config_route routes[] = {{.path = lines, .stream = name, .format = FORMAT_NDJSON},
        {.path = any, .stream = name, .format = FORMAT_AUTO}};
    struct gateway *gateway = fixture_new();
    gateway->config.routes = routes;
    gateway->config.n_routes = 2;
    fixture_start(gateway);
    EXPECT_ALL(gateway->port, questions);
    fixture_stop(gateway);
}
END_TEST

#define UPGRADE                                                                                    \
    "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"                   \
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"

static int
upgrade_status(uint16_t port, const char *headers)
{
    char request[1024];
    snprintf(request, sizeof request, "GET /streams/s HTTP/1.1\r\nHost: x:80\r\n" UPGRADE "%s\r\n",
        headers);
    struct subscriber *client = ask(port, request);
    int status = client->status;
    subscriber_close(client);
    return status;
}

START_TEST(only_known_origins_get_cors_lines_and_websockets)
{
    static char known[] = "https://page.example";
    static char *origins[] = {known};
    static const struct question questions[] = {
        {"GET /streams", "Origin: https://page.example\r\n", 200,
            "Access-Control-Allow-Origin: https://page.example\r\n", NULL},
        {"OPTIONS /streams/s", "Origin: https://page.example\r\n", 204,
            "Access-Control-Allow-Methods: GET, HEAD, OPTIONS\r\n", NULL},
        {"OPTIONS /streams/s", "Origin: https://page.example\r\n", 204, "If-Range, ", NULL},
        {"GET /streams", "Origin: https://page.example\r\n", 200, "Content-Range, ETag, ", NULL},
        {"GET /streams/s", "Origin: https://page.example\r\n", 200, "Access-Control-Allow", NULL},
        {"GET /streams/none", "Origin: https://page.example\r\n", 404, "Access-Control-Allow",
            NULL},
    };
    struct gateway *gateway = fixture_new();
    gateway->config.cors_origins = (struct config_strings){origins, 1};
    fixture_start(gateway);
    EXPECT_ALL(gateway->port, questions);
    struct subscriber *stranger = ask(
        gateway->port, "GET /streams HTTP/1.1\r\nHost: x\r\nOrigin: https://evil.example\r\n\r\n");
    ck_assert_int_eq(stranger->status, 200);
    ck_assert_ptr_null(strstr(stranger->head, "Access-Control"));
    subscriber_close(stranger);
    ck_assert_int_eq(upgrade_status(gateway->port, ""), 101);
    ck_assert_int_eq(upgrade_status(gateway->port, "Origin: http://x:80\r\n"), 101);
    ck_assert_int_eq(upgrade_status(gateway->port, "Origin: https://page.example\r\n"), 101);
    ck_assert_int_eq(upgrade_status(gateway->port, "Origin: https://evil.example\r\n"), 403);
    ck_assert_int_eq(upgrade_status(gateway->port, "Origin: null\r\n"), 403);
    fixture_stop(gateway);
}
END_TEST

START_TEST(every_origin_is_welcome_where_the_configuration_says_so)
{
    static char any[] = "*";
    static char *origins[] = {any};
    static const struct question question = {"GET /streams", "Origin: https://a.example\r\n", 200,
        "Access-Control-Allow-Origin: *\r\n", NULL};
    struct gateway *gateway = fixture_new();
    gateway->config.cors_origins = (struct config_strings){origins, 1};
    fixture_start(gateway);
    expect(gateway->port, &question);
    ck_assert_int_eq(upgrade_status(gateway->port, "Origin: https://a.example\r\n"), 101);
    fixture_stop(gateway);
}
END_TEST

START_TEST(a_head_that_is_broken_or_does_not_come_is_refused)
{
    struct gateway *gateway = fixture_new();
    gateway->config.header_timeout_ms = 300;
    gateway->config.idle_timeout_ms = 300;
    fixture_start(gateway);
    struct subscriber *client = ask(gateway->port, "GET / HTTP/1.1\nHost: x\n\n");
    ck_assert_int_eq(client->status, 400);
    READ_UNTIL(client, client->eof);
    subscriber_close(client);
    client = ask(gateway->port, "GET /streams/s HTTP/1.1\r\nHost: "); /* and nothing more */
    ck_assert_int_eq(client->status, 408);
    READ_UNTIL(client, client->eof);
    subscriber_close(client);
    client = subscriber_open(gateway->port, 0); /* not a byte */
    READ_UNTIL(client, client->eof);
    ck_assert_uint_eq(client->raw.len, 0);
    subscriber_close(client);
    client = ask(gateway->port, "GET /streams HTTP/1.1\r\nHost: x\r\n\r\n");
    ck_assert_int_eq(client->status, 200);
    READ_UNTIL(client, client->eof); /* no second request: let go */
    subscriber_close(client);
    fixture_stop(gateway);
}
END_TEST

START_TEST(a_client_that_leaves_in_the_middle_of_anything_leaves_nothing_behind)
{
    static const char *const pieces[] = {"", "GET", "GET /streams/s HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET /streams HTTP/1.1\r\nHost: x\r\n\r\nGET /str",
        "GET /streams/s HTTP/1.1\r\nHost: x\r\n" UPGRADE "\r\n\x81"};
    struct gateway *gateway = fixture_run();
    for (int round = 0; round < 20; round++) {
        for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
            struct subscriber *client = subscriber_open(gateway->port, 0);
            if (pieces[i][0] != '\0') {
                subscriber_send(client, pieces[i], strlen(pieces[i]));
            }
            fixture_publish(gateway, 3, 100);
            subscriber_close(client);
        }
    }
    WAIT_UNTIL(shard_connections(gateway->shard) == 0);
    for (int transport = 0; transport < TRANSPORT_COUNT; transport++) {
        ck_assert_uint_eq(atomic_load(&fixture_counters(gateway)->subscribers[transport]), 0);
    }
    fixture_stop(gateway);
}
END_TEST

START_TEST(a_gateway_that_goes_away_takes_no_new_subscriber)
{
    struct gateway *gateway = fixture_run();
    struct subscriber *client = subscriber_open(gateway->port, 0);
    client->transport = TRANSPORT_JSON;
    static const char head[] = "GET /streams/s HTTP/1.1\r\n", rest[] = "Host: x\r\n\r\n";
    subscriber_send(client, head, sizeof head - 1);
    WAIT_UNTIL(shard_connections(gateway->shard) == 1);
    struct subscriber *other = fixture_subscribe(gateway, TRANSPORT_SSE, "", 0);
    shard_drain(gateway->shard);
    READ_UNTIL(other, other->eof); /* it drains now, and the half request is still welcome */
    subscriber_close(other);
    subscriber_send(client, rest, sizeof rest - 1);
    READ_UNTIL(client, client->eof);
    ck_assert_int_eq(client->status, 503);
    ck_assert_ptr_nonnull(strstr(client->head, "Retry-After: 1\r\n"));
    subscriber_close(client);
    fixture_stop(gateway);
}
END_TEST

/* ---- the admin listener ---- */

struct admin {
    struct gateway *gateway;
    struct shard *shard;
    uint16_t port;
};

static void
admin_start(struct admin *admin, struct gateway *gateway)
{
    struct err err = {.code = ERR_NONE};
    struct shard_options options = {.config = &gateway->config,
        .handler = {admin_request, &gateway->server, NULL},
        .max_connections = 10,
        .name = "admin"};
    admin->gateway = gateway;
    admin->port = 0;
    admin->shard = shard_new(&options, &err);
    ck_assert_msg(admin->shard != NULL, "%s", err.text);
    ck_assert_int_eq(shard_listen(admin->shard, &gateway->listen, &admin->port, &err), 0);
    ck_assert_int_eq(shard_start(admin->shard, &err), 0);
}

static struct subscriber *
ask_admin(const struct admin *admin, const char *path)
{
    char request[256];
    snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", path);
    return ask(admin->port, request);
}

START_TEST(the_metrics_tell_what_happened)
{
    struct gateway *gateway = fixture_run();
    struct admin admin;
    admin_start(&admin, gateway);
    struct subscriber *reader = fixture_subscribe(gateway, TRANSPORT_WS, "", 0);
    fixture_publish(gateway, 7, 10);
    READ_UNTIL(reader, reader->next == 7);
    WAIT_UNTIL(fixture_records_out(gateway, TRANSPORT_WS) == 7);
    stream_source_error(gateway->stream, "fetch");
    struct subscriber *client = ask_admin(&admin, "/metrics");
    static const char *const lines[] = {"headgate_records_in_total{stream=\"s\"} 7\n",
        "headgate_records_out_total{stream=\"s\",transport=\"ws\"} 7\n",
        "headgate_subscribers{stream=\"s\",transport=\"ws\"} 1\n",
        "headgate_records_dropped_total{stream=\"s\",reason=\"slow\"} 0\n",
        "headgate_disconnects_total{stream=\"s\",reason=\"client\"} 0\n",
        "headgate_ring_records{stream=\"s\"} 7\n", "headgate_source_paused{stream=\"s\"} 0\n",
        "headgate_source_up{stream=\"s\"} 1\n",
        "headgate_source_errors_total{stream=\"s\",reason=\"fetch\"} 1\n",
        "headgate_delivery_seconds_count{stream=\"s\"} 7\n", "headgate_connections 1\n",
        "headgate_kafka_lag_records{stream=\"s\",topic=\"t\",partition=\"0\"} 0\n"};
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        ck_assert_msg(strstr(client->body.bytes, lines[i]) != NULL, "%s", lines[i]);
    }
    ck_assert_ptr_nonnull(strstr(client->head, "text/plain; version=0.0.4"));
    subscriber_close(client);
    subscriber_close(reader);
    shard_free(admin.shard);
    fixture_stop(gateway);
}
END_TEST

static void
expect_health(const struct admin *admin, const char *path, int status, const char *in_body)
{
    struct subscriber *client = ask_admin(admin, path);
    ck_assert_msg(client->status == status, "%s: %d", path, client->status);
    ck_assert_msg(strstr(client->body.bytes, in_body) != NULL, "%s: %s", path, client->body.bytes);
    subscriber_close(client);
}

START_TEST(health_is_told_by_checks_that_name_what_is_wrong)
{
    struct gateway *gateway = fixture_new();
    gateway->config.live_limit_ms = 60000;
    fixture_start(gateway);
    struct admin admin;
    admin_start(&admin, gateway);
    expect_health(&admin, "/livez", 200, "ok\n");
    expect_health(&admin, "/livez?verbose", 200, "[+]shard-0 ok\n[+]source/s ok\n");
    expect_health(&admin, "/readyz", 200, "ok\n");
    stream_source_down(gateway->stream, "no broker");
    expect_health(&admin, "/readyz?verbose", 200, "[!]source/s down (not required): no broker\n");
    atomic_store(&gateway->server.draining, true);
    expect_health(&admin, "/readyz", 503, "[-]not-draining failed: shutting down\n");
    expect_health(&admin, "/healthz", 503, "readyz check failed\n");
    expect_health(&admin, "/nope", 404, "/metrics");
    struct subscriber *client =
        ask(admin.port, "POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n");
    ck_assert_int_eq(client->status, 405);
    subscriber_close(client);
    shard_free(admin.shard);
    fixture_stop(gateway);
}
END_TEST

START_TEST(a_required_source_and_a_stuck_thread_fail_their_checks)
{
    struct gateway *gateway = fixture_new();
    gateway->stream_config.required = true;
    gateway->config.live_limit_ms = 0;
    fixture_start(gateway);
    struct admin admin;
    admin_start(&admin, gateway);
    stream_source_down(gateway->stream, "no broker");
    expect_health(&admin, "/readyz", 503, "[-]source/s failed: no broker\n");
    expect_health(&admin, "/livez", 503, "[-]source/s failed: its thread makes no progress\n");
    shard_free(admin.shard);
    fixture_stop(gateway);
}
END_TEST

UNIT_MAIN("serve", each_path_method_and_parameter_has_its_answer,
    the_format_is_what_the_client_likes_best, only_known_origins_get_cors_lines_and_websockets,
    every_origin_is_welcome_where_the_configuration_says_so,
    a_head_that_is_broken_or_does_not_come_is_refused,
    a_client_that_leaves_in_the_middle_of_anything_leaves_nothing_behind,
    a_gateway_that_goes_away_takes_no_new_subscriber, the_metrics_tell_what_happened,
    health_is_told_by_checks_that_name_what_is_wrong,
    a_required_source_and_a_stuck_thread_fail_their_checks)
