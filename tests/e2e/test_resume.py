"""Resume tokens: a new connection goes on exactly where the last one was."""

import json

import pytest

from wire import TRANSPORTS

each_transport = pytest.mark.parametrize("transport", TRANSPORTS)


def data(messages):
    return [json.loads(message.text)["data"] for message in messages]


def place(message):
    source = json.loads(message.text)["source"]
    return source["partition"], source["offset"]


@pytest.fixture
def stream(kafka, gateways):
    topic = kafka.topic(3)
    gateway = gateways(s={"source": kafka.source(topic)})
    return gateway, topic


@each_transport
def test_the_token_of_a_record_resumes_with_the_next(kafka, stream, transport):
    gateway, topic = stream
    first = gateway.subscribe("s", transport)
    kafka.burst(topic, 30, partitions=3)
    messages = first.records(30)
    for at in (0, 11, 29):
        token = json.loads(messages[at].text)["id"]
        second = gateway.subscribe("s", transport, **{"from": token})
        assert second.hello["resumed"] is True and second.hello["from"] == token
        kafka_next = data(messages)[at + 1 :]
        assert data(second.records(len(kafka_next))) == kafka_next
        second.close()


def test_last_event_id_wins_over_from(kafka, stream):
    gateway, topic = stream
    first = gateway.subscribe("s", "sse")
    kafka.burst(topic, 10, partitions=3)
    messages = first.records(10)
    again = gateway.subscribe(
        "s", "sse", headers={"Last-Event-ID": messages[4].id}, **{"from": "earliest"}
    )
    assert data(again.records(5)) == data(messages)[5:]


@each_transport
def test_the_token_of_hello_resumes_before_the_first_record(kafka, stream, transport):
    gateway, topic = stream
    first = gateway.subscribe("s", transport)
    token = first.hello["from"]
    first.close()
    kafka.burst(topic, 10, partitions=3)
    again = gateway.subscribe("s", transport, **{"from": token})
    assert sorted(record["n"] for record in data(again.records(10))) == list(range(10))


def test_a_token_resumes_on_another_gateway(kafka, gateways):
    topic = kafka.topic(3)
    one = gateways(s={"source": kafka.source(topic)})
    sub = one.subscribe("s", "ndjson", envelope="full")
    kafka.burst(topic, 60, partitions=3)
    messages = sub.records(60)
    token = json.loads(messages[20].text)["id"]
    one.stop()
    other = gateways(s={"source": kafka.source(topic)})
    again = other.subscribe("s", "ndjson", envelope="full", **{"from": token})
    rest = [place(message) for message in again.records(39)]
    assert sorted(rest) == sorted(place(message) for message in messages[21:])


def test_fifty_reconnects_lose_nothing_and_repeat_nothing(kafka, stream):
    gateway, topic = stream
    token, seen = "earliest", []
    for turn in range(50):
        kafka.burst(topic, 6, partitions=3, first=turn * 6)
        transport = TRANSPORTS[turn % 3]
        sub = gateway.subscribe("s", transport, envelope="full", **{"from": token})
        messages = sub.records(4)
        seen += [place(message) for message in messages]
        token = json.loads(messages[-1].text)["id"]
        sub.close()
    sub = gateway.subscribe("s", "ndjson", envelope="full", **{"from": token})
    seen += [place(message) for message in sub.records(100)]
    assert len(seen) == len(set(seen)) == 300
    for partition in range(3):
        assert [offset for p, offset in seen if p == partition] == list(range(100))


@each_transport
def test_a_token_older_than_the_ring_tells_the_gap(kafka, gateways, transport):
    """Delivered and counted in the gap is what was produced since the token."""
    topic = kafka.topic(2)
    gateway = gateways({"catchup": {"readers": 0}}, s={
        "source": kafka.source(topic), "ring": {"records": 64}, "slow": {"queue": {"records": 64}}})
    first = gateway.subscribe("s", transport)
    token = first.hello["from"]
    first.close()
    kafka.burst(topic, 500, partitions=2)
    gateway.wait_metric("records_in_total", 500, stream="s")
    again = gateway.subscribe("s", transport, **{"from": token, "follow": "false"})
    records, _ = again.until_end()
    counted = sum(gap["count"] for gap in again.gaps)
    assert len(records) + counted == 500


@each_transport
@pytest.mark.parametrize("token", ["x", "AAAA", "a" * 3000, "%00", "AQ", "AQAA"])
def test_a_forged_token_is_400(stream, transport, token):
    gateway, _ = stream
    from wire import Http, WebSocket

    target = f"/streams/s?from={token}"
    if transport == "ws":
        http = WebSocket(gateway.port).open(target)
    else:
        http = Http(gateway.port).get(target, {"Accept": "text/event-stream"})
    # "AQAA" is the token of no lane at all: it may begin like a stream without history.
    assert http.status == 400 or token == "AQAA"
