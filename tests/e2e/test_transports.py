"""What subscribers receive: every transport, every envelope, the bytes."""

import base64
import json
import re
import subprocess

import pytest

from wire import TRANSPORTS, Ended, Http, Subscription

TIME_MS = 1769860800123
TIME = "2026-01-31T12:00:00.123Z"
ID = r"[A-Za-z0-9_-]+"

each_transport = pytest.mark.parametrize("transport", TRANSPORTS)


def texts(messages):
    return [message.text.decode() for message in messages]


def one_stream(kafka, gateways, *records, partitions=1, stream=None):
    """A gateway with the stream s, whose topic holds the records; (gateway, topic)."""
    topic = kafka.topic(partitions)
    if records:
        kafka.produce(topic, *records)
    gateway = gateways(s={"source": kafka.source(topic), **(stream or {})})
    gateway.wait_metric("records_in_total", len(records), stream="s")
    return gateway, topic


def test_every_transport_gets_the_same_records_in_order(kafka, gateways):
    gateway, topic = one_stream(kafka, gateways, partitions=3)
    subscribers = [gateway.subscribe("s", t, envelope="full") for t in TRANSPORTS]
    kafka.burst(topic, 300, partitions=3)
    received = [texts(sub.records(300)) for sub in subscribers]
    assert received[0] == received[1] == received[2]
    for partition in range(3):
        offsets = [
            record["source"]["offset"] for record in map(json.loads, received[0])
            if record["source"]["partition"] == partition
        ]
        assert offsets == list(range(100))


@each_transport
def test_the_first_message_is_hello_with_the_stream_and_a_token(kafka, gateways, transport):
    gateway, _ = one_stream(kafka, gateways)
    sub = gateway.subscribe("s", transport)
    assert list(sub.hello) == ["event", "stream", "from", "resumed"]
    assert sub.hello["stream"] == "s" and sub.hello["resumed"] is False
    assert re.fullmatch(ID, sub.hello["from"])
    if transport == "sse":
        assert sub.retry is not None, "retry: comes before the first event"


@each_transport
def test_a_record_has_four_members_in_order_and_headers_where_there_are_some(
    kafka, gateways, transport
):
    gateway, topic = one_stream(kafka, gateways)
    sub = gateway.subscribe("s", transport)
    kafka.produce(
        topic,
        {"value": '{"b":1,"a":2}', "key": "k", "timestamp": TIME_MS},
        {"value": "7", "timestamp": TIME_MS, "headers": [("h", b"v"), ("n", None)]},
    )
    plain, headed = sub.records(2)
    assert re.fullmatch(
        rf'{{"id":"{ID}","time":"{TIME}","key":"k","data":{{"b":1,"a":2}}}}', plain.text.decode()
    )
    assert re.fullmatch(
        rf'{{"id":"{ID}","time":"{TIME}","key":null,"data":7,"headers":{{"h":"v","n":null}}}}',
        headed.text.decode(),
    )
    if transport == "sse":
        assert plain.id == json.loads(plain.text)["id"], "id: is the record's token"


@each_transport
def test_envelope_full_adds_headers_and_source(kafka, gateways, transport):
    gateway, topic = one_stream(kafka, gateways)
    sub = gateway.subscribe("s", transport, envelope="full")
    kafka.produce(topic, {"value": "1", "key": "k", "timestamp": TIME_MS})
    kafka.produce(topic, {"value": "2", "timestamp": TIME_MS, "headers": [("h", b"v")]})
    expected = [
        rf'{{"id":"{ID}","time":"{TIME}","key":"k","data":1,"headers":{{}},'
        rf'"source":{{"topic":"{topic}","partition":0,"offset":0}}}}',
        rf'{{"id":"{ID}","time":"{TIME}","key":null,"data":2,"headers":{{"h":"v"}},'
        rf'"source":{{"topic":"{topic}","partition":0,"offset":1}}}}',
    ]
    for pattern, text in zip(expected, texts(sub.records(2))):
        assert re.fullmatch(pattern, text), text


@each_transport
def test_envelope_data_is_the_payload_alone(kafka, gateways, transport):
    gateway, topic = one_stream(kafka, gateways)
    sub = gateway.subscribe("s", transport, envelope="data")
    kafka.produce(topic, '{"a":1}', "1.50", "plain words", {"value": None, "key": "k"})
    assert texts(sub.records(4)) == ['{"a":1}', "1.50", '"plain words"', "null"]


PAYLOADS = [
    # sent, the member that stands for it
    (b'{"z":1,"a":{"b":[1,2]},"z":3}', '"data":{"z":1,"a":{"b":[1,2]},"z":3}'),
    (b"[1e400,12345678901234567890,-0.0,1.10,1E-7]", '"data":[1e400,12345678901234567890,-0.0,1.10,1E-7]'),
    (b"null", '"data":null'),
    (b'"text"', '"data":"text"'),
    (b"", '"data":""'),
    (b'a "quoted"\nline', '"data":"a \\"quoted\\"\\nline"'),
    (b"{broken", '"data":"{broken"'),
    (b"data: x\r\n\r\nevent: forged\r\rid: 1", '"data":"data: x\\r\\n\\r\\nevent: forged\\r\\rid: 1"'),
    ("grün \u2028 \U0001f600".encode(), '"data":"grün \u2028 \U0001f600"'),
    (b"\xff\xfe\x00", '"data_base64":"' + base64.b64encode(b"\xff\xfe\x00").decode() + '"'),
]


@each_transport
def test_payloads_keep_what_they_say(kafka, gateways, transport):
    gateway, topic = one_stream(kafka, gateways)
    sub = gateway.subscribe("s", transport)
    kafka.produce(topic, *[sent for sent, _ in PAYLOADS])
    for (sent, member), text in zip(PAYLOADS, texts(sub.records(len(PAYLOADS)))):
        assert text.endswith(f'"key":null,{member}}}'), (sent, text)


@each_transport
def test_json_over_many_lines_becomes_one_line_with_the_same_tokens(kafka, gateways, transport):
    gateway, topic = one_stream(kafka, gateways)
    sub = gateway.subscribe("s", transport, envelope="data")
    kafka.produce(topic, b' {\n\t"a b" : [ 1.0 ,\r\n 2 ] }\n')
    (text,) = texts(sub.records(1))
    assert re.sub(r'\s(?=([^"]*"[^"]*")*[^"]*$)', "", text) == '{"a b":[1.0,2]}'


@each_transport
def test_a_tombstone_is_null_data_and_says_so(kafka, gateways, transport):
    gateway, topic = one_stream(kafka, gateways)
    sub = gateway.subscribe("s", transport)
    kafka.produce(topic, {"value": None, "key": "k", "timestamp": TIME_MS})
    (text,) = texts(sub.records(1))
    assert text.endswith('"key":"k","data":null,"tombstone":true}')


AWKWARD = [b"a\nb", b"a\r\nb\r\rc", b"\x00", b"a\x00b", b"\xff\xfe", b"", b'"},{"', b"\xe2\x80\xa8", b"id: x"]


@each_transport
@pytest.mark.parametrize("envelope", ["record", "full"])
def test_no_key_and_no_header_can_break_a_frame(kafka, gateways, transport, envelope):
    gateway, topic = one_stream(kafka, gateways)
    sub = gateway.subscribe("s", transport, envelope=envelope)
    kafka.produce(topic, *[
        {"value": "1", "key": raw, "headers": [("h", raw), ("h", b"twice")]} for raw in AWKWARD
    ])
    for raw, message in zip(AWKWARD, sub.records(len(AWKWARD))):
        record = json.loads(message.text)
        for shown in (record["key"], record["headers"]["h"][0]):
            if isinstance(shown, dict):
                assert base64.b64decode(shown["base64"]) == raw
            else:
                assert shown.encode() == raw
        assert b"\n" not in message.text and b"\r" not in message.text and b"\0" not in message.text


@each_transport
def test_limit_ends_a_read_after_that_many_records(kafka, gateways, transport):
    gateway, _ = one_stream(kafka, gateways, *[str(n) for n in range(10)])
    sub = gateway.subscribe("s", transport, **{"from": "earliest", "limit": 3})
    records, ended = sub.until_end()
    assert [json.loads(text)["data"] for text in texts(records)] == [0, 1, 2]
    assert sub.controls == [{"event": "end"}] and ended.clean
    assert transport != "ws" or ended.code == 1000


@each_transport
def test_follow_false_ends_at_the_present_end(kafka, gateways, transport):
    gateway, _ = one_stream(kafka, gateways, *[str(n) for n in range(10)], partitions=1)
    sub = gateway.subscribe("s", transport, **{"from": "earliest", "follow": "false"})
    records, ended = sub.until_end()
    assert [json.loads(text)["data"] for text in texts(records)] == list(range(10))
    assert sub.controls == [{"event": "end"}] and ended.clean


@each_transport
def test_follow_false_on_an_empty_topic_ends_at_once(kafka, gateways, transport):
    gateway, _ = one_stream(kafka, gateways)
    sub = gateway.subscribe("s", transport, **{"from": "earliest", "follow": "false"})
    records, ended = sub.until_end()
    assert records == [] and ended.clean and sub.controls == [{"event": "end"}]


def test_json_is_one_array_of_the_records(kafka, gateways):
    gateway, _ = one_stream(kafka, gateways, *[str(n) for n in range(5)])
    answer = gateway.get(
        "/streams/s?from=earliest&follow=false", {"Accept": "application/json"}
    )
    assert answer.headers["content-type"].startswith("application/json")
    assert [record["data"] for record in answer.json()] == list(range(5))


def test_an_empty_json_read_is_an_empty_array(kafka, gateways):
    gateway, _ = one_stream(kafka, gateways)
    answer = gateway.get("/streams/s?follow=false", {"Accept": "application/json"})
    assert answer.json() == []


def test_bare_ndjson_holds_nothing_but_payloads(kafka, gateways):
    gateway, _ = one_stream(kafka, gateways, "1", "2")
    answer = gateway.get("/streams/s?from=earliest&follow=false&envelope=data")
    assert answer.body() == b"1\n2\n"


def test_curl_without_options_gets_ndjson(kafka, gateways):
    gateway, _ = one_stream(kafka, gateways, "1", "2")
    url = f"http://127.0.0.1:{gateway.port}/streams/s?from=earliest&limit=2"
    done = subprocess.run(["curl", "-sSN", url], capture_output=True, check=True, timeout=20)
    lines = done.stdout.decode().splitlines()
    assert [json.loads(line).get("data") for line in lines[1:3]] == [1, 2]
    assert json.loads(lines[0])["event"] == "hello" and done.stdout.endswith(b"\n")


@pytest.mark.parametrize("accept", ["text/event-stream", "application/x-ndjson"])
def test_an_http_1_0_client_reads_until_the_connection_closes(kafka, gateways, accept):
    gateway, _ = one_stream(kafka, gateways, "1", "2")
    http = Http(gateway.port)
    http.get("/streams/s?from=earliest&limit=2", {"Accept": accept}, version="1.0")
    assert http.status == 200 and "transfer-encoding" not in http.headers
    body = http.body().decode()
    assert body.count('"key":null') == 2 and body.count('{"event":"end"}') == 1


def test_a_bounded_read_keeps_the_connection_or_says_that_it_does_not(kafka, gateways):
    gateway, _ = one_stream(kafka, gateways, "1", "2")
    http = Http(gateway.port)
    for _ in range(3):
        http.get("/streams/s?from=earliest&limit=2&envelope=data")
        assert http.body() == b"1\n2\n"
        if http.headers.get("connection") == "close":
            assert http.closed_within(10)
            http = Http(gateway.port)


@pytest.mark.parametrize("size", [0, 125, 126, 65535, 65536, 1 << 20])
@each_transport
def test_payloads_of_every_frame_length_arrive_whole(kafka, gateways, transport, size):
    gateway, topic = one_stream(kafka, gateways)
    sub = gateway.subscribe("s", transport, envelope="data")
    kafka.produce(topic, b"x" * size)
    (message,) = sub.records(1)
    assert message.text == b'"' + b"x" * size + b'"'


@pytest.mark.real_only  # the mock cluster keeps 5 MiB
@each_transport
def test_a_payload_of_16_mib_arrives_whole(kafka, gateways, transport):
    topic = kafka.topic()
    gateway = gateways(s={
        "source": kafka.source(topic), "max_record": "16MiB",
        "ring": {"bytes": "128MiB"}, "slow": {"policy": "drop_oldest", "queue": {"bytes": "64MiB"}},
    })
    sub = gateway.subscribe("s", transport, envelope="data")
    payload = b"y" * (16 << 20)
    kafka.produce(topic, payload)
    (message,) = sub.records(1)
    assert message.text == b'"' + payload + b'"'


@each_transport
def test_a_heartbeat_comes_when_asked_for(kafka, gateways, transport):
    gateway, _ = one_stream(kafka, gateways)
    sub = gateway.subscribe("s", transport, heartbeat="1s")
    if transport == "ws":
        assert sub.http.frame(deadline_in(5))[0] == 9
    elif transport == "sse":
        assert sub._line(deadline_in(5)).startswith(b":")
    else:
        assert sub._line(deadline_in(5)) == b""


def test_a_websocket_that_does_not_pong_is_closed(kafka, gateways):
    topic = kafka.topic()
    gateway = gateways({"timeouts": {"pong": "1s"}}, s={"source": kafka.source(topic)})
    sub = gateway.subscribe("s", "ws", heartbeat="1s")
    assert sub.http.closed_within(10)


def test_ping_messages_of_a_websocket_client_are_welcome(kafka, gateways):
    from wire import ws_frame

    gateway, topic = one_stream(kafka, gateways)
    sub = gateway.subscribe("s", "ws")
    sub.http.send(ws_frame(1, b'{"op":"ping"}'))
    sub.http.send(ws_frame(9, b"abc"))
    while sub.http.frame(deadline_in(5)) != (10, b"abc"):
        pass
    kafka.produce(topic, "1")
    assert json.loads(sub.records(1)[0].text)["data"] == 1


def test_a_client_that_closes_gets_its_close_code_back(kafka, gateways):
    from wire import ws_frame

    gateway, _ = one_stream(kafka, gateways)
    sub = gateway.subscribe("s", "ws")
    sub.http.send(ws_frame(8, b"\x03\xe8bye"))
    with pytest.raises(Ended) as ended:
        sub.next(5)
    assert ended.value.code == 1000
    sub.close()
    gateway.wait_subscribers(0)


def test_latest_begins_after_what_is_there(kafka, gateways):
    gateway, topic = one_stream(kafka, gateways, "1", "2")
    sub = gateway.subscribe("s", "ndjson")
    kafka.produce(topic, "3")
    assert json.loads(sub.records(1)[0].text)["data"] == 3


def test_several_topics_are_one_stream(kafka, gateways):
    first, second = kafka.topic(2), kafka.topic()
    gateway = gateways(s={"source": kafka.source([first, second])})
    sub = gateway.subscribe("s", "sse", envelope="full")
    kafka.produce(first, {"value": "1", "partition": 0}, {"value": "2", "partition": 1})
    kafka.produce(second, "3")
    seen = {json.loads(text)["source"]["topic"] for text in texts(sub.records(3))}
    assert seen == {first, second}


def test_a_route_fixes_stream_and_format(kafka, gateways):
    topic = kafka.topic()
    kafka.produce(topic, "1")
    gateway = gateways(
        {"routes": {"/stream/data": {"stream": "s", "format": "ndjson"}}},
        s={"source": kafka.source(topic)},
    )
    gateway.wait_metric("records_in_total", 1, stream="s")
    answer = gateway.get("/stream/data?from=earliest&limit=1", {"Accept": "text/event-stream"})
    assert answer.headers["content-type"].startswith("application/x-ndjson")
    sub = Subscription(gateway.port, "/stream/data", "ndjson", **{"from": "earliest"})
    assert json.loads(sub.records(1)[0].text)["data"] == 1


def deadline_in(seconds):
    import time

    return time.monotonic() + seconds
