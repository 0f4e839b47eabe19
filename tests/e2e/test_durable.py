"""Durable consumers: progress in a Kafka consumer group, by what was sent or by acks."""

import contextlib
import json
import time

import pytest

from harness import wait_for
from test_group import Reader, committed, kill, numbers, wait_all, wait_committed
from wire import TRANSPORTS, Ended, Http, ws_frame

FAST = {"commit_interval": "100ms", "session_timeout": "6s", "discover": "200ms"}


def stream(kafka, topic, source=None, **consumers):
    return {
        "source": kafka.source(topic, **FAST, **(source or {})),
        "consumers": {"allow": True, **consumers},
    }


def group_of(name, stream_name="s"):
    return f"headgate.{stream_name}.{name}"


def consume(gateway, transport, name, **params):
    return gateway.subscribe("s", transport, consumer=name, **{"from": "earliest", **params})


def post_ack(port, name, body, headers=None, path="/streams/s/consumers/{}/ack"):
    text = body if isinstance(body, str) else json.dumps(body)
    http = Http(port).request(
        "POST", path.format(name),
        {"Content-Type": "application/json", "Content-Length": str(len(text)), **(headers or {})},
        body=text.encode(),
    )
    http.text = http.body().decode() if http.status != 204 else ""
    http.close()
    return http


def ids(messages):
    return [json.loads(message.text)["id"] for message in messages]


def unique(kafka):
    return "c-" + kafka.new_name()


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_what_was_sent_is_committed_and_the_next_connection_goes_on_there(
    kafka, gateways, transport
):
    topic, name = kafka.topic(2), unique(kafka)
    gateway = gateways(s=stream(kafka, topic))
    kafka.burst(topic, 100, 2)
    sub = consume(gateway, transport, name)
    assert sub.hello["consumer"] == name and sub.hello["resumed"] is False
    assert sorted(numbers(sub.records(100))) == list(range(100))
    wait_committed(kafka, group_of(name), topic, [50, 50])
    sub.close()
    kafka.burst(topic, 20, 2, first=100)
    again = consume(gateway, transport, name)
    assert again.hello["resumed"] is True
    assert sorted(numbers(again.records(20))) == list(range(100, 120))
    gateway.wait_metric("consumer_connections", 1, stream="s")


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_only_what_was_acked_is_committed(kafka, gateways, transport):
    topic, name = kafka.topic(1), unique(kafka)
    gateway = gateways(s=stream(kafka, topic))
    kafka.burst(topic, 100, 1)
    sub = consume(gateway, transport, name, ack="client")
    found = sub.records(100)
    time.sleep(1)
    assert committed(kafka, group_of(name), topic, 1) in ([0], [None])
    token = ids(found)[39]
    if transport == "ws":
        sub.http.send(ws_frame(1, json.dumps({"op": "ack", "id": token}).encode()))
    else:
        assert post_ack(gateway.port, name, {"id": token}).status == 204
    wait_committed(kafka, group_of(name), topic, [40])
    assert gateway.metric("consumer_in_flight_records", stream="s") == 60
    sub.close()
    again = consume(gateway, transport, name, ack="client")
    assert numbers(again.records(60)) == list(range(40, 100)), "what was not acked comes again"


def test_an_ack_in_the_moment_of_the_close_counts(kafka, gateways):
    topic, name = kafka.topic(1), unique(kafka)
    gateway = gateways(s=stream(kafka, topic))
    kafka.burst(topic, 10, 1)
    sub = consume(gateway, "ws", name, ack="client")
    token = ids(sub.records(10))[-1]
    sub.http.send(
        ws_frame(1, json.dumps({"op": "ack", "id": token}).encode()) + ws_frame(8, b"\x03\xe8")
    )
    wait_committed(kafka, group_of(name), topic, [10])


def test_in_flight_is_bounded_and_an_ack_lets_more_through(kafka, gateways):
    topic, name = kafka.topic(1), unique(kafka)
    gateway = gateways(s=stream(kafka, topic, max_in_flight=10))
    kafka.burst(topic, 100, 1)
    sub = consume(gateway, "ndjson", name, ack="client")
    first = sub.records(10)
    with pytest.raises(TimeoutError):
        sub.next(1.5)
    assert post_ack(gateway.port, name, {"id": ids(first)[-1]}).status == 204
    assert numbers(sub.records(10)) == list(range(10, 20))
    wait_committed(kafka, group_of(name), topic, [10])


def test_a_client_that_does_not_ack_is_closed(kafka, gateways):
    topic, name = kafka.topic(1), unique(kafka)
    gateway = gateways(s=stream(kafka, topic, ack_timeout="1s"))
    kafka.burst(topic, 5, 1)
    sub = consume(gateway, "ws", name, ack="client")
    sub.records(5)
    _, ended = sub.until_end()
    assert ended.code == 4001 and "ack" in ended.reason
    gateway.wait_metric("disconnects_total", 1, stream="s", reason="ack_timeout")


def test_two_connections_of_a_name_share_the_partitions(kafka, gateways):
    topic, name = kafka.topic(4), unique(kafka)
    gateway = gateways({"threads": 2}, s=stream(kafka, topic))
    readers = [Reader(consume(gateway, "ndjson", name)), Reader(consume(gateway, "sse", name))]
    wait_for(lambda: shared(kafka, name, 2), "two members", 40)
    kafka.burst(topic, 400, 4)
    wait_all(readers, 400)
    assert all(len(reader.seen) > 0 for reader in readers)
    wait_committed(kafka, group_of(name), topic, [100] * 4)


def shared(kafka, name, members):
    """The group is stable with that many members. The mock cluster cannot say: then by waiting."""
    if kafka.name == "mock":
        time.sleep(8)
        return True
    import confluent_kafka.admin

    admin = confluent_kafka.admin.AdminClient({"bootstrap.servers": kafka.bootstrap})
    (found,) = admin.list_groups(group_of(name), timeout=10)
    return found.state == "Stable" and len(found.members) == members


def test_two_connections_share_the_partitions_over_replicas_and_a_kill_loses_nothing(
    kafka, gateways
):
    topic, name = kafka.topic(4), unique(kafka)
    one, two = (gateways(s=stream(kafka, topic)) for _ in range(2))
    survivor = Reader(consume(one, "ndjson", name, ack="client"))
    lost = consume(two, "ndjson", name, ack="client")
    wait_for(lambda: shared(kafka, name, 2), "two members", 40)
    kafka.burst(topic, 400, 4)
    got = lost.records(100)
    assert post_ack(one.port, name, {"id": ids(got)[9]}).status == 409, "it is in flight elsewhere"
    assert post_ack(two.port, name, {"id": ids(got)[9]}).status == 204
    time.sleep(0.5)
    kill(two)
    wait_all([survivor], 390, 60)  # its own, and what the other did not ack
    seen = set(survivor.seen)
    assert seen | set(numbers(got)[:10]) == set(range(400))


def test_a_killed_gateway_loses_nothing_of_a_consumer(kafka, gateways):
    topic, name = kafka.topic(2), unique(kafka)
    gateway = gateways(s=stream(kafka, topic))
    kafka.burst(topic, 2000, 2, 500)
    sub = consume(gateway, "ndjson", name, ack="client")
    got = sub.records(500)
    assert post_ack(gateway.port, name, {"id": ids(got)[299]}).status == 204
    kill(gateway)
    gateway.start()
    again = Reader(consume(gateway, "ndjson", name))
    wait_for(lambda: len(set(again.take()) | set(numbers(got)[:300])) == 2000, "all", 60)


def test_a_slow_consumer_holds_up_only_itself(kafka, gateways):
    topic, name = kafka.topic(1), unique(kafka)
    gateway = gateways(s={
        **stream(kafka, topic, source={"librdkafka_options": {"max.poll.interval.ms": 6000}}),
        "slow": {"pause_limit": "1s", "queue": {"records": 8192, "bytes": "16MiB"}},
    })
    slow = gateway.subscribe("s", "ndjson", consumer=name, rcvbuf=4096, **{"from": "earliest"})
    live = gateway.subscribe("s", "ndjson")
    kafka.burst(topic, 4000, 1, 1000)
    assert numbers(live.records(4000)) == list(range(4000))
    assert gateway.metric("source_paused", stream="s") == 0
    time.sleep(8)  # longer than max.poll.interval.ms, the session and pause_limit
    assert numbers(slow.records(4000, 60)) == list(range(4000))
    assert gateway.metric("consumer_rebalances_total", stream="s") == 1
    wait_committed(kafka, group_of(name), topic, [4000])


def test_acks_that_cannot_be_are_refused(kafka, gateways):
    topic, name = kafka.topic(1), unique(kafka)
    other = kafka.topic(1)
    gateway = gateways(s=stream(kafka, topic), o={"source": kafka.source(other)})
    kafka.burst(topic, 20, 1)
    sub = consume(gateway, "ndjson", name, ack="client")
    token = ids(sub.records(20))[9]
    port = gateway.port
    kafka.burst(other, 1, 1)
    foreign = ids(gateway.subscribe("o", "ndjson", **{"from": "earliest"}).records(1))[0]
    for body in ("", "x", "[]", '{"id":1}', '{"id":"nonsense"}', '{"id":"%s","x":1}' % token):
        assert post_ack(port, name, body).status == 400, body
    assert post_ack(port, name, {"id": foreign}).status == 409
    assert post_ack(port, name, {"id": sub.hello["from"]}).status == 409
    assert post_ack(port, "nobody", {"id": token}).status == 404
    assert post_ack(port, name, {"id": token}, path="/streams/o/consumers/{}/ack").status == 404
    assert post_ack(port, name, {"id": token}, path="/streams/x/consumers/{}/ack").status == 404
    assert post_ack(port, name, {"id": token}, {"Origin": "https://evil.example"}).status == 403
    http = Http(port).request("POST", f"/streams/s/consumers/{name}/ack", {"Content-Length": "9000"})
    assert http.status == 413
    http = Http(port).request(
        "POST", f"/streams/s/consumers/{name}/ack", {"Transfer-Encoding": "chunked"})
    assert http.status == 411
    http = Http(port).get(f"/streams/s/consumers/{name}/ack")
    assert http.status == 405 and http.headers["allow"] == "POST, OPTIONS"
    time.sleep(1)
    assert committed(kafka, group_of(name), topic, 1) in ([0], [None])
    assert post_ack(port, name, {"id": token}).status == 204
    assert post_ack(port, name, {"id": token}).status == 204, "an ack may come twice"
    wait_committed(kafka, group_of(name), topic, [10])


def test_a_websocket_with_a_wrong_ack_is_told_and_closed(kafka, gateways):
    topic, name = kafka.topic(1), unique(kafka)
    gateway = gateways(s=stream(kafka, topic))
    kafka.burst(topic, 5, 1)
    for number, message in enumerate([{"op": "ack", "id": "AQA"}, {"op": "ack"}]):
        sub = consume(gateway, "ws", f"{name}-{number}", ack="client")
        sub.records(5)
        sub.http.send(ws_frame(1, json.dumps(message).encode()))
        with pytest.raises(Ended) as ended:
            sub.next()
        assert ended.value.code == 1008 and ended.value.reason.startswith("ack:")


def test_what_a_consumer_cannot_have_is_refused_by_name(kafka, gateways):
    gateway = gateways(s=stream(kafka, kafka.topic(1), max=1), o={"source": kafka.source(kafka.topic(1))})
    for query, word in (
        ("consumer=c&limit=1", "limit"), ("consumer=c&follow=false", "follow"),
        ("consumer=c&to=latest", "to"), ("consumer=c&slow=pause", "slow"),
        ("consumer=c&queue=5", "queue"), ("consumer=c&format=json", "format"),
        ("consumer=a%2Fb", "consumer"), ("ack=client", "ack"), ("consumer=c&ack=x", "ack"),
        ("consumer=c&ack=client&envelope=data", "envelope"),
    ):
        http = gateway.get(f"/streams/s?{query}")
        assert http.status == 400, query
        assert http.json()["detail"].startswith(word + ":"), query
    assert gateway.get("/streams/o?consumer=c").status == 400, "not allowed there"
    consume(gateway, "ndjson", unique(kafka))
    http = gateway.get("/streams/s?consumer=c")
    assert http.status == 503 and "retry-after" in http.headers


def test_from_decides_only_where_nothing_is_committed(kafka, gateways):
    topic, name = kafka.topic(1), unique(kafka)
    gateway = gateways(s=stream(kafka, topic))
    kafka.burst(topic, 10, 1)
    sub = consume(gateway, "ndjson", name, **{"from": "latest"})
    kafka.burst(topic, 5, 1, first=10)
    assert numbers(sub.records(5)) == list(range(10, 15))
    token = ids(gateway.subscribe("s", "ndjson", **{"from": "earliest"}).records(3))[-1]
    wait_committed(kafka, group_of(name), topic, [15])
    sub.close()
    kafka.burst(topic, 1, 1, first=15)
    again = consume(gateway, "ndjson", name)
    assert numbers(again.records(1)) == [15], "not from=earliest"
    other = consume(gateway, "ndjson", name + "-2", **{"from": token})
    assert numbers(other.records(13)) == list(range(3, 16))


def test_a_filtered_consumer_goes_on_behind_what_was_passed_over(kafka, gateways):
    topic, name = kafka.topic(1), unique(kafka)
    gateway = gateways(s=stream(kafka, topic, max_in_flight=10))
    kafka.burst(topic, 1000, 1)
    sub = consume(gateway, "ndjson", name, ack="client", where="/n%3E=990")
    found = sub.records(10)
    assert numbers(found) == list(range(990, 1000))
    wait_committed(kafka, group_of(name), topic, [990])
    assert post_ack(gateway.port, name, {"id": ids(found)[-1]}).status == 204
    wait_committed(kafka, group_of(name), topic, [1000])


def test_what_is_too_large_is_told_and_committed_past(kafka, gateways):
    topic, name = kafka.topic(1), unique(kafka)
    gateway = gateways(s={**stream(kafka, topic), "max_record": "1KiB"})
    kafka.produce(topic, '{"n":0}', '{"n":1,"x":"%s"}' % ("x" * 2000))
    sub = consume(gateway, "ndjson", name, ack="client")
    (first,) = sub.records(1)
    gap = json.loads(sub.next().text)
    assert gap["reason"] == "too_large" and gap["count"] == 1
    assert post_ack(gateway.port, name, {"id": ids([first])[0]}).status == 204
    wait_committed(kafka, group_of(name), topic, [2])


def test_a_drain_keeps_what_was_acked(kafka, gateways):
    topic, name = kafka.topic(1), unique(kafka)
    gateway = gateways(s=stream(kafka, topic))
    kafka.burst(topic, 100, 1)
    sub = consume(gateway, "sse", name, ack="client")
    token = ids(sub.records(100))[69]
    assert post_ack(gateway.port, name, {"id": token}).status == 204
    gateway.terminate()
    with contextlib.suppress(Ended, TimeoutError):
        sub.until_end(5)
    sub.close()
    assert gateway.wait_exit() == 0
    assert committed(kafka, group_of(name), topic, 1) == [70]
