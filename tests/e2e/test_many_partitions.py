"""Streams of 200 partitions: an id at times, a resume that loses nothing and repeats little."""

import json

import pytest

from wire import TRANSPORTS

each_transport = pytest.mark.parametrize("transport", TRANSPORTS)
PARTITIONS, COUNT = 200, 6000
MOST_REPEATS = 63  # gateway/track.h: TRACK_RECORDS - 1
PATIENT = {"slow": {"queue": {"records": 10000, "bytes": "16MiB"}}}  # Python reads no faster
KEYS = {"tokens": {"keys": ["0123456789abcdef0123456789abcdef"]}}


def parsed(messages):
    return [json.loads(message.text) for message in messages]


def place(record):
    return record["source"]["partition"], record["source"]["offset"]


def assert_ordered(records):
    """Each partition in order, nothing twice: one connection."""
    last = {}
    for partition, offset in map(place, records):
        assert offset > last.get(partition, -1)
        last[partition] = offset


@pytest.fixture(scope="module")
def topic(kafka):
    topic = kafka.topic(PARTITIONS)
    kafka.burst(topic, COUNT, partitions=PARTITIONS, size=200)
    return topic


@each_transport
def test_few_records_show_an_id_and_all_have_their_four_members(kafka, gateways, topic, transport):
    gateway = gateways(KEYS, s={"source": kafka.source(topic), **PATIENT})
    messages = gateway.subscribe("s", transport, **{"from": "earliest"}).records(COUNT)
    run, shown = MOST_REPEATS + 1, 0
    for message, record in zip(messages, parsed(messages)):
        assert list(record) == ["id", "time", "key", "data"]
        run = 1 if record["id"] else run + 1
        shown += record["id"] is not None
        if transport == "sse":
            assert message.id == record["id"]
    # More than one in 64: the time that has passed brings an id too, and a busy machine takes longer.
    assert 0 < shown < COUNT / 4 and run <= MOST_REPEATS + 1
    assert sum(len(record["id"] or "") for record in parsed(messages)) < COUNT * 200 / 2


@each_transport
def test_reconnects_lose_nothing_and_repeat_less_than_a_run(kafka, gateways, topic, transport):
    gateway = gateways(KEYS, s={"source": kafka.source(topic), **PATIENT})
    token, seen = "earliest", set()
    for _ in range(25):
        sub = gateway.subscribe("s", transport, envelope="full", **{"from": token})
        records = parsed(sub.records(200))
        sub.close()
        assert_ordered(records)
        assert sub.hello["resumed"] is (token != "earliest")
        assert sum(place(record) in seen for record in records) <= MOST_REPEATS
        seen.update(map(place, records))
        token = next(record["id"] for record in reversed(records) if record["id"])
    sub = gateway.subscribe("s", transport, envelope="full", **{"from": token})
    while len(seen) < COUNT:
        seen.update(map(place, parsed(sub.records(1))))
    each = range(COUNT // PARTITIONS)
    assert seen == {(partition, offset) for partition in range(PARTITIONS) for offset in each}


def test_a_token_goes_on_at_another_replica(kafka, gateways, topic):
    """Each replica has the partitions in an order of its own."""
    replicas = [gateways(KEYS, s={"source": kafka.source(topic), **PATIENT}) for _ in range(2)]
    token, seen = "earliest", set()
    for turn in range(16):
        sub = replicas[turn % 2].subscribe("s", "ndjson", envelope="full", **{"from": token})
        records = parsed(sub.records(300))
        sub.close()
        assert_ordered(records)
        assert sum(place(record) in seen for record in records) <= MOST_REPEATS
        seen.update(map(place, records))
        token = next(record["id"] for record in reversed(records) if record["id"])
    sub = replicas[0].subscribe("s", "ndjson", envelope="full", **{"from": token})
    while len(seen) < COUNT:
        seen.update(map(place, parsed(sub.records(1))))


def test_what_has_left_the_ring_is_handed_over_without_a_repeat(kafka, gateways, topic):
    gateway = gateways(s={"source": kafka.source(topic), "ring": {"records": 1024},
                          "slow": {"queue": {"records": 512}}})
    gateway.wait_metric("records_in_total", COUNT, stream="s")
    sub = gateway.subscribe("s", "ndjson", envelope="full", **{"from": "earliest"})
    records = parsed(sub.records(COUNT))
    assert_ordered(records)
    assert len(set(map(place, records))) == COUNT and not sub.gaps
    gateway.wait_metric("catchup_readers", 0)


def position(sub):
    """What comes next, which must be the token that a heartbeat brings."""
    if sub.transport != "sse":
        message = json.loads(sub.next().text)
        assert list(message) == ["event", "id"] and message["event"] == "position"
        return message["id"]
    while True:
        line = sub.line()
        if line.startswith(b"id: "):
            return line[4:].decode()
        assert line == b"" or line.startswith(b":"), line


@each_transport
def test_a_quiet_stream_tells_where_its_last_record_stands(kafka, gateways, transport):
    """The position that comes with the heartbeat is exact: who comes back with it gets no repeat."""
    topic = kafka.topic(PARTITIONS)
    kafka.burst(topic, 1000, partitions=PARTITIONS)
    gateway = gateways(s={"source": kafka.source(topic), **PATIENT})
    sub = gateway.subscribe("s", transport, heartbeat="1s", envelope="full", **{"from": "earliest"})
    sub.records(1000)
    again = gateway.subscribe("s", transport, envelope="full", **{"from": position(sub)})
    kafka.produce(topic, {"value": "1", "partition": 7})
    (record,) = parsed(again.records(1))
    assert place(record) == (7, 1000 // PARTITIONS) and record["id"]
