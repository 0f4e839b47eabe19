/* test_session: subscribers of a real shard on a loopback port; the test plays the source. */
#include "gateway_fixture.h"
#include "unit.h"

#include <stdio.h>
#include <string.h>

/* ---- where reads begin and end ---- */

START_TEST(a_reader_resumes_where_it_left_on_every_transport)
{
    struct gateway *gateway = fixture_run();
    char query[1024], headers[1024];
    for (int transport = 0; transport < 3; transport++) {
        struct subscriber *first = fixture_subscribe(gateway, (enum transport)transport, "", 0);
        fixture_publish(gateway, 20, 30);
        READ_UNTIL(first, first->next == gateway->produced);
        snprintf(query, sizeof query, "/streams/s?from=%s", first->id);
        snprintf(headers, sizeof headers, "Last-Event-ID: %s\r\n", first->id);
        uint64_t next = first->next;
        subscriber_close(first);
        fixture_publish(gateway, 50, 30);
        struct subscriber *second = subscriber_open(gateway->port, 0);
        second->next = next;
        subscriber_get(second, (enum transport)transport, 1,
            transport == TRANSPORT_SSE ? "/streams/s" : query,
            transport == TRANSPORT_SSE ? headers : "");
        READ_UNTIL(second, second->next == gateway->produced);
        ck_assert_ptr_nonnull(strstr(second->hello, "\"resumed\":true"));
        ck_assert_uint_eq(second->received, 50);
        ck_assert_uint_eq(second->gaps, 0);
        fixture_publish(gateway, 600, 1);
        READ_UNTIL(second, second->next == gateway->produced);
        subscriber_close(second);
        second = subscriber_open(gateway->port, 0); /* the same place, which the ring has left */
        second->next = next;
        subscriber_get(second, TRANSPORT_NDJSON, 1, query, "");
        READ_UNTIL(second, second->next == gateway->produced);
        ck_assert_ptr_nonnull(strstr(second->gap, "\"reason\":\"expired\""));
        ck_assert_uint_eq(second->lost, 150);
        subscriber_close(second);
    }
    fixture_stop(gateway);
}
END_TEST

/* Read an answer that ends; the body is whole. */
static struct subscriber *
read_bounded(struct gateway *gateway, enum transport transport, const char *path, uint64_t next)
{
    struct subscriber *subscriber = subscriber_open(gateway->port, 0);
    subscriber->next = next;
    subscriber_get(subscriber, transport, 1, path, "");
    READ_UNTIL(subscriber, subscriber->whole || subscriber->eof || subscriber->close_code != 0);
    if (transport == TRANSPORT_WS) {
        ck_assert_int_eq(subscriber->close_code, 1000);
    } else {
        ck_assert(subscriber->whole);
    }
    if (transport != TRANSPORT_JSON) {
        ck_assert_str_eq(subscriber->last, "{\"event\":\"end\"}");
    }
    return subscriber;
}

START_TEST(a_bounded_read_ends_where_it_was_asked_to)
{
    struct gateway *gateway = fixture_run();
    struct subscriber *all = fixture_subscribe(gateway, TRANSPORT_NDJSON, "", 0);
    fixture_publish(gateway, 60, 20);
    READ_UNTIL(all, all->next == 60);
    char to[600];
    snprintf(to, sizeof to, "/streams/s?from=earliest&to=%s", all->id);
    fixture_publish(gateway, 30, 20);
    READ_UNTIL(all, all->next == 90);
    subscriber_close(all);
    for (int transport = 0; transport < 3; transport++) {
        enum transport one = (enum transport)transport;
        struct subscriber *reader =
            read_bounded(gateway, one, "/streams/s?from=earliest&limit=7", 0);
        ck_assert_uint_eq(reader->next, 7);
        subscriber_close(reader);
        reader = read_bounded(gateway, one, "/streams/s?from=earliest&follow=false", 0);
        ck_assert_uint_eq(reader->next, 90);
        subscriber_close(reader);
        reader = read_bounded(gateway, one, to, 0);
        ck_assert_uint_eq(reader->next, 60);
        subscriber_close(reader);
        reader = read_bounded(gateway, one, "/streams/s?follow=false", 90);
        ck_assert_uint_eq(reader->received, 0);
        subscriber_close(reader);
    }
    struct subscriber *array =
        read_bounded(gateway, TRANSPORT_JSON, "/streams/s?from=earliest&limit=2&envelope=data", 0);
    buf_addc(&array->body, '\0');
    ck_assert_str_eq(array->body.bytes, "[\n{\"n\":0,\"pad\":\"xxxxxxxxxxxxxxxxxxxx\"},\n"
                                        "{\"n\":1,\"pad\":\"xxxxxxxxxxxxxxxxxxxx\"}\n]\n");
    subscriber_close(array);
    fixture_stop(gateway);
}
END_TEST

START_TEST(a_read_up_to_a_token_that_is_to_come_waits_for_it)
{
    struct gateway *gateway = fixture_run();
    struct subscriber *probe = fixture_subscribe(gateway, TRANSPORT_NDJSON, "", 0);
    fixture_publish(gateway, 10, 5);
    READ_UNTIL(probe, probe->next == 10);
    struct token_lane row = {token_group_hash("t"), 0, 2000};
    struct buf path;
    buf_init(&path);
    buf_adds(&path, "/streams/s?from=earliest&to=");
    token_encode(&path, &row, 1, NULL);
    buf_addc(&path, '\0');
    struct subscriber *reader = subscriber_open(gateway->port, 0);
    subscriber_get(reader, TRANSPORT_SSE, 1, path.bytes, "");
    READ_UNTIL(reader, reader->next == 10);
    while (gateway->produced < 2100) {
        fixture_publish(gateway, 7, 5);
        subscriber_poll(reader, 0);
        subscriber_poll(probe, 0);
    }
    READ_UNTIL(reader, reader->whole || reader->eof);
    ck_assert(reader->whole);
    ck_assert_uint_eq(reader->next, 2000);
    ck_assert_uint_eq(reader->received + reader->lost, 2000);
    ck_assert_str_eq(reader->last, "{\"event\":\"end\"}");
    subscriber_close(reader);
    subscriber_close(probe);
    buf_fini(&path);
    fixture_stop(gateway);
}
END_TEST

START_TEST(a_loss_of_the_source_is_told_to_everyone)
{
    struct gateway *gateway = fixture_run();
    struct subscriber *readers[3];
    for (int i = 0; i < 3; i++) {
        readers[i] = fixture_subscribe(gateway, (enum transport)i, "", 0);
    }
    fixture_publish(gateway, 5, 5);
    stream_room(gateway->stream);
    stream_lost(gateway->stream, 0, 8, 4, "retention");
    stream_commit(gateway->stream);
    gateway->produced = 9;
    fixture_publish(gateway, 5, 5);
    for (int i = 0; i < 3; i++) {
        READ_UNTIL(readers[i], readers[i]->next == 14);
        ck_assert_uint_eq(readers[i]->received, 10);
        ck_assert_uint_eq(readers[i]->lost, 4);
        subscriber_close(readers[i]);
    }
    fixture_stop(gateway);
}
END_TEST

/* ---- heartbeats ---- */

START_TEST(an_idle_subscriber_hears_a_heartbeat)
{
    struct gateway *gateway = fixture_run();
    struct subscriber *readers[3];
    for (int i = 0; i < 3; i++) {
        readers[i] = fixture_subscribe(gateway, (enum transport)i, "heartbeat=1s", 0);
        readers[i]->answers_pings = true;
    }
    for (int i = 0; i < 3; i++) {
        READ_UNTIL(readers[i], readers[i]->beats >= 2);
    }
    fixture_publish(gateway, 1, 1);
    for (int i = 0; i < 3; i++) {
        READ_UNTIL(readers[i], readers[i]->next == 1);
        subscriber_close(readers[i]);
    }
    fixture_stop(gateway);
}
END_TEST

START_TEST(a_client_that_answers_no_ping_is_gone_and_one_that_does_stays)
{
    struct gateway *gateway = fixture_new();
    gateway->config.pong_timeout_ms = 500;
    fixture_start(gateway);
    struct subscriber *mute = fixture_subscribe(gateway, TRANSPORT_WS, "heartbeat=1s", 0);
    struct subscriber *polite = fixture_subscribe(gateway, TRANSPORT_WS, "heartbeat=1s", 0);
    polite->answers_pings = true;
    int64_t until_ms = subscriber_now_ms() + PATIENCE_MS;
    while (!mute->eof || polite->beats < 3) {
        ck_assert_int_lt(subscriber_now_ms(), until_ms);
        ck_assert(!polite->eof);
        subscriber_poll(mute, 0);
        subscriber_poll(polite, 10);
    }
    WAIT_UNTIL(fixture_ended(gateway, DISCONNECT_PONG_TIMEOUT) == 1);
    subscriber_close(mute);
    subscriber_close(polite);
    fixture_stop(gateway);
}
END_TEST

/* ---- what clients send ---- */

START_TEST(a_websocket_client_may_ping_and_close)
{
    struct gateway *gateway = fixture_run();
    struct subscriber *reader = fixture_subscribe(gateway, TRANSPORT_WS, "", 0);
    subscriber_frame(reader, 9, "hi", 2);
    subscriber_frame(reader, 1, "{\"op\":\"ping\"}", 13);
    READ_UNTIL(reader, reader->pongs == 2);
    subscriber_frame(reader, 8, "\x03\xe8", 2);
    READ_UNTIL(reader, reader->eof);
    ck_assert_int_eq(reader->close_code, 1000);
    subscriber_close(reader);
    WAIT_UNTIL(fixture_ended(gateway, DISCONNECT_CLIENT) == 1);
    reader = fixture_subscribe(gateway, TRANSPORT_WS, "", 0);
    subscriber_frame(reader, 1, "[]", 2);
    READ_UNTIL(reader, reader->close_code == 1008);
    subscriber_close(reader);
    reader = fixture_subscribe(gateway, TRANSPORT_WS, "", 0);
    subscriber_send(reader, "\x81\x01x", 3); /* not masked */
    READ_UNTIL(reader, reader->eof);
    ck_assert_int_eq(reader->close_code, 1002);
    subscriber_close(reader);
    WAIT_UNTIL(fixture_ended(gateway, DISCONNECT_PROTOCOL) == 2);
    fixture_stop(gateway);
}
END_TEST

START_TEST(a_flood_of_pings_from_one_who_reads_nothing_is_bounded)
{
    struct gateway *gateway = fixture_run();
    struct subscriber *reader =
        fixture_subscribe(gateway, TRANSPORT_WS, "slow=drop_oldest&queue=5", SMALL_RCVBUF);
    fixture_overrun(gateway, TRANSPORT_WS, 300, 200);
    for (int i = 0; i < 3000; i++) {
        subscriber_frame(reader, 9, "0123456789", 10);
    }
    READ_UNTIL(reader, reader->next == gateway->produced);
    ck_assert_uint_lt(reader->pongs, 3000);
    subscriber_close(reader);
    fixture_stop(gateway);
}
END_TEST

START_TEST(a_byte_after_a_streamed_request_ends_the_connection)
{
    struct gateway *gateway = fixture_run();
    struct subscriber *reader = fixture_subscribe(gateway, TRANSPORT_SSE, "", 0);
    subscriber_send(reader, "x", 1);
    READ_UNTIL(reader, reader->eof);
    ck_assert(!reader->whole);
    subscriber_close(reader);
    fixture_stop(gateway);
}
END_TEST

START_TEST(http_1_0_gets_the_bytes_without_chunks_until_the_close)
{
    struct gateway *gateway = fixture_run();
    for (int i = TRANSPORT_SSE; i <= TRANSPORT_NDJSON; i++) {
        struct subscriber *reader = subscriber_open(gateway->port, SMALL_RCVBUF);
        reader->next = gateway->produced;
        subscriber_get(reader, (enum transport)i, 0, "/streams/s", "");
        READ_UNTIL(reader, reader->hello[0] != '\0');
        ck_assert(!reader->chunked);
        fixture_overrun(gateway, (enum transport)i, gateway->produced + 300, 200);
        READ_UNTIL(reader, reader->next == gateway->produced);
        ck_assert_uint_gt(reader->lost, 0);
        subscriber_close(reader);
    }
    fixture_stop(gateway);
}
END_TEST

START_TEST(requests_in_a_row_and_all_at_once_are_answered_in_order)
{
    struct gateway *gateway = fixture_run();
    struct subscriber *reader = subscriber_open(gateway->port, 0);
    reader->transport = TRANSPORT_JSON;
    static const char list[] = "GET /streams HTTP/1.1\r\nHost: x\r\n\r\n";
    static const char unknown[] = "GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n";
    for (int i = 0; i < 3; i++) {
        subscriber_send(reader, list, sizeof list - 1);
        READ_UNTIL(
            reader, reader->body.len > 0 && reader->body.bytes[reader->body.len - 1] == '\n');
        ck_assert_int_eq(reader->status, 200);
        subscriber_again(reader);
    }
    struct buf several;
    buf_init(&several);
    for (int i = 0; i < 10; i++) {
        buf_adds(&several, i % 2 == 0 ? list : unknown);
    }
    buf_adds(&several, "GET /streams/s?from=earliest HTTP/1.1\r\nHost: x\r\n\r\n");
    fixture_publish(gateway, 3, 3);
    subscriber_send(reader, several.bytes, several.len);
    reader->status = 404; /* keep everything as it is */
    reader->head_done = true;
    static const char end[] = "\"pad\":\"xxx\"}}\n\r\n";
    READ_UNTIL(reader, reader->body.len > sizeof end &&
                           memmem(reader->body.bytes, reader->body.len, "{\"n\":2", 6) != NULL &&
                           memcmp(reader->body.bytes + reader->body.len - sizeof end + 1, end,
                               sizeof end - 1) == 0);
    size_t found = 0, missing = 0;
    for (const char *at = reader->body.bytes;
         (at = memmem(at, (size_t)(reader->body.bytes + reader->body.len - at), "HTTP/1.1 ", 9)) !=
         NULL;
         at += 9) {
        int status = atoi(at + 9);
        ck_assert_int_eq(status, found + missing == 10 || (found + missing) % 2 == 0 ? 200 : 404);
        found += status == 200;
        missing += status == 404;
    }
    ck_assert_uint_eq(found, 6);
    ck_assert_uint_eq(missing, 5);
    buf_fini(&several);
    subscriber_close(reader);
    fixture_stop(gateway);
}
END_TEST

START_TEST(a_client_beyond_the_limit_is_refused_and_others_are_served)
{
    struct gateway *gateway = fixture_new();
    gateway->config.max_connections = 2;
    fixture_start(gateway);
    struct subscriber *a = fixture_subscribe(gateway, TRANSPORT_WS, "", 0);
    struct subscriber *b = fixture_subscribe(gateway, TRANSPORT_SSE, "", 0);
    struct subscriber *c = subscriber_open(gateway->port, 0);
    READ_UNTIL(c, c->status != 0);
    ck_assert_int_eq(c->status, 503);
    subscriber_close(c);
    WAIT_UNTIL(shard_refused(gateway->shard) == 1);
    subscriber_close(a);
    WAIT_UNTIL(shard_connections(gateway->shard) == 1);
    a = fixture_subscribe(gateway, TRANSPORT_NDJSON, "", 0);
    fixture_publish(gateway, 2, 2);
    READ_UNTIL(a, a->next == 2);
    READ_UNTIL(b, b->next == 2);
    subscriber_close(a);
    subscriber_close(b);
    fixture_stop(gateway);
}
END_TEST

/* ---- the end ---- */

START_TEST(a_drain_says_goodbye_in_each_transports_way)
{
    struct gateway *gateway = fixture_run();
    struct subscriber *readers[3];
    for (int i = 0; i < 3; i++) {
        readers[i] = fixture_subscribe(gateway, (enum transport)i, "", i == 0 ? SMALL_RCVBUF : 0);
    }
    struct subscriber *bare = subscriber_open(gateway->port, 0);
    subscriber_get(
        bare, TRANSPORT_NDJSON, 1, "/streams/s?envelope=data&from=earliest&slow=pause", "");
    READ_UNTIL(bare, bare->head_done);
    struct subscriber *idle = subscriber_open(gateway->port, 0);
    WAIT_UNTIL(shard_connections(gateway->shard) == 5);
    fixture_publish(gateway, 400, 300);
    shard_drain(gateway->shard);
    for (int i = 0; i < 3; i++) {
        READ_UNTIL(readers[i], i == TRANSPORT_WS ? readers[i]->close_code : readers[i]->eof);
        ck_assert(i == TRANSPORT_WS ? readers[i]->close_code == 1001 : readers[i]->whole);
        ck_assert_ptr_nonnull(strstr(readers[i]->last, "{\"event\":\"closing\""));
        ck_assert_ptr_nonnull(strstr(readers[i]->last, "\"shutdown\""));
        subscriber_close(readers[i]);
    }
    READ_UNTIL(bare, bare->eof);
    ck_assert(!bare->whole); /* a part is not taken for the whole */
    READ_UNTIL(idle, idle->eof);
    subscriber_close(bare);
    subscriber_close(idle);
    WAIT_UNTIL(shard_connections(gateway->shard) == 0);
    ck_assert_uint_eq(fixture_ended(gateway, DISCONNECT_SHUTDOWN), 4);
    fixture_stop(gateway);
}
END_TEST

START_TEST(a_gateway_that_stops_under_load_frees_everything)
{
    struct gateway *gateway = fixture_run();
    struct subscriber *readers[9];
    for (int i = 0; i < 9; i++) {
        readers[i] = fixture_subscribe(gateway, (enum transport)(i % 3),
            i % 2 == 0 ? "slow=pause&queue=50" : "slow=drop_oldest", SMALL_RCVBUF);
    }
    fixture_publish_until_held(gateway, 50000);
    fixture_stop(gateway);
    for (int i = 0; i < 9; i++) {
        subscriber_close(readers[i]);
    }
}
END_TEST

UNIT_MAIN("session", a_reader_resumes_where_it_left_on_every_transport,
    a_bounded_read_ends_where_it_was_asked_to, a_read_up_to_a_token_that_is_to_come_waits_for_it,
    a_loss_of_the_source_is_told_to_everyone, an_idle_subscriber_hears_a_heartbeat,
    a_client_that_answers_no_ping_is_gone_and_one_that_does_stays,
    a_websocket_client_may_ping_and_close, a_flood_of_pings_from_one_who_reads_nothing_is_bounded,
    a_byte_after_a_streamed_request_ends_the_connection,
    http_1_0_gets_the_bytes_without_chunks_until_the_close,
    requests_in_a_row_and_all_at_once_are_answered_in_order,
    a_client_beyond_the_limit_is_refused_and_others_are_served,
    a_drain_says_goodbye_in_each_transports_way, a_gateway_that_stops_under_load_frees_everything)
