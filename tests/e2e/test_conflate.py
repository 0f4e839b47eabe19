"""slow=conflate: the newest record of each key, the rest told, exactly."""

import json

import pytest

from wire import Subscription

KEYS = 50
TRANSPORTS = ("ws", "sse", "ndjson")


def start(kafka, gateways, **slow):
    topic = kafka.topic(1)
    gateway = gateways({"limits": {"send_buffer": "4KiB"}}, s={
        "source": kafka.source(topic), "ring": {"records": 4096, "bytes": "16MiB"},
        "slow": {"policy": "conflate", "queue": {"records": 100, "bytes": "1MiB"}, **slow},
    })
    return gateway, topic


def values(first, count, size=400, keys=KEYS):
    return [
        {"key": f"k{n % keys}", "value": json.dumps({"n": n, "pad": "x" * size})}
        for n in range(first, first + count)
    ]


def read_to(sub, last):
    got = []
    while not got or got[-1]["data"]["n"] != last:
        got += [json.loads(record.text) for record in sub.records(1)]
    return got


def settle(sub):
    """The gap of the last batch comes behind it: read until nothing comes for a moment."""
    while True:
        try:
            message = sub.next(0.7)
        except (TimeoutError, AssertionError):
            return
        assert message.event is not None
        sub._control(message)


def counts(sub, reason):
    return sum(gap["count"] for gap in sub.gaps if gap["reason"] == reason)


def assert_exact(sub, got, produced):
    numbers = [record["data"]["n"] for record in got]
    assert numbers == sorted(set(numbers)), "in order, none twice"
    told = counts(sub, "conflated") + counts(sub, "slow")
    assert len(got) + told == produced, (len(got), sub.gaps[-3:])


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_stalled_one_gets_the_last_value_of_every_key(kafka, gateways, transport):
    gateway, topic = start(kafka, gateways)
    sub = Subscription(gateway.port, "/streams/s", transport, rcvbuf=4096)
    produced = 12000  # thrice what the ring holds
    for first in range(0, produced, 1000):
        kafka.produce(topic, *values(first, 1000))
        gateway.wait_metric("records_in_total", first + 1000, stream="s")
    got = read_to(sub, produced - 1)
    settle(sub)
    assert_exact(sub, got, produced)
    assert counts(sub, "conflated") > produced / 2 and counts(sub, "slow") == 0
    last = {record["key"]: record["data"]["n"] for record in got}
    assert sorted(last.values()) == list(range(produced - KEYS, produced))
    assert gateway.metric("records_dropped_total", stream="s", reason="conflated") == \
        counts(sub, "conflated")
    kafka.produce(topic, *values(produced, 10))
    assert [json.loads(record.text)["data"]["n"] for record in sub.records(10)] == \
        list(range(produced, produced + 10)), "it goes on as any other"


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_one_that_keeps_up_gets_everything(kafka, gateways, transport):
    gateway, topic = start(kafka, gateways)
    sub = gateway.subscribe("s", transport)
    for first in range(0, 1000, 50):
        kafka.produce(topic, *values(first, 50))
        assert [json.loads(record.text)["data"]["n"] for record in sub.records(50)] == \
            list(range(first, first + 50))
    assert not sub.gaps


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_paced_one_gets_a_sampled_view(kafka, gateways, transport):
    gateway, topic = start(kafka, gateways)
    sub = gateway.subscribe("s", transport, max_rate=100)
    produced = 3000
    for first in range(0, produced, 500):
        kafka.produce(topic, *values(first, 500, size=10))
    got = read_to(sub, produced - 1)
    settle(sub)
    assert_exact(sub, got, produced)
    assert counts(sub, "conflated") > 0
    last = {record["key"]: record["data"]["n"] for record in got}
    assert sorted(last.values()) == list(range(produced - KEYS, produced))


def test_beyond_its_bound_the_oldest_is_told_as_slow(kafka, gateways):
    gateway, topic = start(kafka, gateways, conflate_keys=20)
    sub = Subscription(gateway.port, "/streams/s", "ndjson", rcvbuf=4096)
    produced = 4000
    kafka.produce(topic, *values(0, produced))
    gateway.wait_metric("records_in_total", produced, stream="s")
    got = read_to(sub, produced - 1)
    settle(sub)
    assert_exact(sub, got, produced)
    assert counts(sub, "slow") > 0


def test_records_without_a_key_are_never_merged(kafka, gateways):
    gateway, topic = start(kafka, gateways)
    sub = Subscription(gateway.port, "/streams/s", "ndjson", rcvbuf=4096)
    kafka.produce(topic, *({"value": one["value"]} for one in values(0, 1500)))
    gateway.wait_metric("records_in_total", 1500, stream="s")
    got = read_to(sub, 1499)
    settle(sub)
    assert_exact(sub, got, 1500)
    assert counts(sub, "conflated") == 0


def test_a_filter_and_conflation_go_together(kafka, gateways):
    gateway, topic = start(kafka, gateways)
    sub = Subscription(gateway.port, "/streams/s", "ndjson", rcvbuf=4096, key="k1&key=k2")
    produced = 40000
    for first in range(0, produced, 2000):
        kafka.produce(topic, *values(first, 2000, size=1000))
        gateway.wait_metric("records_in_total", first + 2000, stream="s")
    want = [n for n in range(produced) if n % KEYS in (1, 2)]
    got = read_to(sub, want[-1])
    settle(sub)
    assert_exact(sub, got, len(want))
    assert {record["key"] for record in got} == {"k1", "k2"}


def test_a_token_of_a_conflated_read_misses_no_last_value(kafka, gateways):
    gateway, topic = start(kafka, gateways)
    sub = Subscription(gateway.port, "/streams/s", "sse", rcvbuf=4096)
    produced = 4000
    kafka.produce(topic, *values(0, produced))
    gateway.wait_metric("records_in_total", produced, stream="s")
    last, token = {}, None
    while not sub.gaps:
        message = sub.next()
        token = message.id or token
        if message.event is None:
            record = json.loads(message.text)
            last[record["key"]] = record["data"]["n"]
        else:
            sub._control(message)
    sub.close()
    back = gateway.subscribe("s", "ndjson", slow="conflate", **{"from": token})
    for record in read_to(back, produced - 1):
        last[record["key"]] = record["data"]["n"]
    assert sorted(last.values()) == list(range(produced - KEYS, produced))
