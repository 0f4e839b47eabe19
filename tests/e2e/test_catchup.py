"""The second lane: what the ring no longer holds comes from Kafka itself, then the live lane goes on."""

import json
import os
import pathlib
import threading
import time

import pytest

from wire import TRANSPORTS, Http, Subscription, WebSocket

each_transport = pytest.mark.parametrize("transport", TRANSPORTS)
SMALL = {"ring": {"records": 1024}, "slow": {"queue": {"records": 512}}}
PARTITIONS, COUNT = 3, 6000


def place(message):
    source = json.loads(message.text)["source"]
    return source["partition"], source["offset"]


def in_partitions(messages):
    """Their places, by partition, in the order of arrival."""
    places = [place(message) for message in messages]
    return [[offset for p, offset in places if p == partition] for partition in range(PARTITIONS)]


def assert_whole(places, count):
    """Every record once, each partition in order."""
    assert len(places) == len(set(places)) == count
    for partition in range(PARTITIONS):
        offsets = [offset for p, offset in places if p == partition]
        assert offsets == list(range(len(offsets)))


def nices_of(gateway, thread):
    """How nice the threads of a name are."""
    nices = []
    for stat in pathlib.Path(f"/proc/{gateway.pid}/task").glob("*/stat"):
        name, _, rest = stat.read_text().partition("(")[2].rpartition(")")
        nices += [int(rest.split()[16])] if name == thread else []
    return sorted(nices)


@pytest.fixture
def old(kafka, gateways):
    """A stream whose ring has left most of its topic behind."""
    topic = kafka.topic(PARTITIONS)
    gateway = gateways(s={"source": kafka.source(topic), **SMALL})
    kafka.burst(topic, COUNT, partitions=PARTITIONS)
    gateway.wait_metric("records_in_total", COUNT, stream="s")
    return gateway, topic


@each_transport
def test_earliest_is_the_topics_beginning_and_the_live_lane_goes_on(kafka, old, transport):
    gateway, topic = old
    sub = gateway.subscribe("s", transport, envelope="full", **{"from": "earliest"})
    assert sub.hello["resumed"] is False
    places = [place(message) for message in sub.records(COUNT)]
    kafka.burst(topic, 300, partitions=PARTITIONS, first=COUNT)
    places += [place(message) for message in sub.records(300)]
    assert_whole(places, COUNT + 300)
    assert not sub.gaps
    gateway.wait_metric("catchup_readers", 0)


@each_transport
def test_a_token_that_the_ring_has_left_resumes_exactly(kafka, old, transport):
    gateway, _ = old
    first = gateway.subscribe("s", transport, envelope="full", **{"from": "earliest"})
    messages = first.records(1000)
    first.close()
    seen = [place(message) for message in messages]
    token = json.loads(messages[-1].text)["id"]
    again = gateway.subscribe("s", transport, envelope="full", **{"from": token})
    assert again.hello["resumed"] is True and again.hello["from"] == token
    assert_whole(seen + [place(message) for message in again.records(COUNT - 1000)], COUNT)


def test_a_bounded_read_of_a_range_is_precisely_that_range(kafka, old):
    gateway, _ = old
    whole = gateway.subscribe("s", "ndjson", envelope="full", follow="false", **{"from": "earliest"})
    records, _ = whole.until_end()
    assert_whole([place(message) for message in records], COUNT)
    ids = [json.loads(message.text)["id"] for message in records]
    part = gateway.subscribe("s", "ndjson", envelope="full", **{"from": ids[99], "to": ids[599]})
    got, _ = part.until_end()
    # Two reads may take the partitions in another order: exact is what comes, and the order in each.
    assert in_partitions(got) == in_partitions(records[100:600])


def test_records_keep_coming_while_many_catch_up(kafka, gateways, subs):
    """More subscribers than readers: they wait in line, and each gets all, or is told what it was too slow for."""
    topic = kafka.topic(PARTITIONS)
    gateway = gateways({"catchup": {"readers": 2}}, s={"source": kafka.source(topic), **SMALL})
    kafka.burst(topic, COUNT, partitions=PARTITIONS)
    gateway.wait_metric("records_in_total", COUNT, stream="s")
    first = gateway.subscribe("s", "ndjson", envelope="full", limit=500, **{"from": "earliest"})
    tokens = [json.loads(message.text)["id"] for message in first.records(500)][::50]
    results = {}

    def follow(i, token):
        sub = gateway.subscribe("s", TRANSPORTS[i % 3], envelope="full", **{"from": token})
        places, missed = [], 0
        while len(places) + missed < COUNT - i * 50 - 1 + 200:
            places += [place(message) for message in sub.records(1)]
            gaps = [control for control in sub.controls if control["event"] == "gap"]
            assert all(gap["reason"] == "slow" for gap in gaps), gaps
            missed = sum(gap["count"] for gap in gaps)
        results[i] = len(set(places)) + missed

    threads = [threading.Thread(target=follow, args=item) for item in enumerate(tokens)]
    for thread in threads:
        thread.start()
    gateway.wait_subscribers(len(tokens))
    kafka.burst(topic, 200, partitions=PARTITIONS, first=COUNT)
    for thread in threads:
        thread.join()
    for i in range(len(tokens)):
        assert results[i] == COUNT - i * 50 - 1 + 200


def test_who_comes_later_goes_with_a_reader_that_runs_already(kafka, gateways):
    """There is one reader, and its first subscriber has stopped reading: the second one is served all the same."""
    topic = kafka.topic(PARTITIONS)
    gateway = gateways({"threads": 1, "catchup": {"readers": 1}}, s={"source": kafka.source(topic), **SMALL})
    kafka.burst(topic, COUNT, partitions=PARTITIONS, size=1000)
    gateway.wait_metric("records_in_total", COUNT, stream="s")
    first = gateway.subscribe("s", "ndjson", envelope="full", rcvbuf=4096, **{"from": "earliest"})
    seen = first.records(1000)
    token = json.loads(seen[-1].text)["id"]
    assert gateway.metric("catchup_readers") == 1
    base = os.nice(0)
    assert nices_of(gateway, "kafka") == [base, base + 5]  # live subscribers go before those that catch up
    second = gateway.subscribe("s", "ndjson", envelope="full", **{"from": token})
    places = [place(message) for message in second.records(COUNT - 1000)]
    assert_whole([place(message) for message in seen] + places, COUNT)
    assert gateway.metric("catchup_waiting") == 0
    assert_whole([place(message) for message in seen + first.records(COUNT - 1000)], COUNT)


def test_slow_ones_do_not_take_the_readers_of_the_others(kafka, gateways):
    """Of four readers two are for those that want one alone: a third one waits, and who keeps up does not."""
    topic = kafka.topic(PARTITIONS)
    gateway = gateways({"threads": 1, "catchup": {"readers": 4}}, s={"source": kafka.source(topic), **SMALL})
    kafka.burst(topic, COUNT, partitions=PARTITIONS)
    gateway.wait_metric("records_in_total", COUNT, stream="s")
    first = gateway.subscribe("s", "ndjson", envelope="full", limit=1, **{"from": "earliest"}).records(1)
    gateway.wait_metric("catchup_readers", 0)
    behind = {"envelope": "full", "from": json.loads(first[0].text)["id"]}
    slow = [gateway.subscribe("s", "ndjson", max_rate=2000, **behind) for _ in range(3)]
    gateway.wait_metric("catchup_readers", 2)
    gateway.wait_metric("catchup_waiting", 1)
    keeps_up = gateway.subscribe("s", "ndjson", **behind)
    for sub in (keeps_up, *slow):
        assert_whole([place(message) for message in first + sub.records(COUNT - 1)], COUNT)
        assert not sub.gaps


def test_without_readers_the_gap_is_told(kafka, gateways):
    topic = kafka.topic(PARTITIONS)
    gateway = gateways({"catchup": {"readers": 0}}, s={"source": kafka.source(topic), **SMALL})
    first = gateway.subscribe("s", "ndjson")
    token = first.hello["from"]
    first.close()
    kafka.burst(topic, 5000, partitions=PARTITIONS)
    gateway.wait_metric("records_in_total", 5000, stream="s")
    again = gateway.subscribe("s", "ndjson", **{"from": token, "follow": "false"})
    records, _ = again.until_end()
    assert len(records) + sum(gap["count"] for gap in again.gaps) == 5000
    assert len(again.gaps) == 1 and again.gaps[0]["reason"] == "expired"


@pytest.mark.parametrize("slow", ["drop_oldest", "pause"])
def test_a_bounded_read_that_the_ring_leaves_still_ends_where_it_was_to(kafka, gateways, slow):
    """The part of its range that the ring no longer holds comes from Kafka, and then it is complete."""
    topic = kafka.topic(2)
    gateway = gateways(s={
        "source": kafka.source(topic), "ring": {"records": 2000},
        "slow": {"queue": {"records": 500}, "allow": ["pause", "drop_oldest"]}})
    kafka.burst(topic, 2000, partitions=2, size=1000)
    gateway.wait_metric("records_in_total", 2000, stream="s")
    token = gateway.subscribe("s", "ndjson", **{"from": "earliest", "limit": 1}).hello["from"]
    reader = gateway.subscribe(
        "s", "ndjson", rcvbuf=4096, envelope="full", **{"from": token, "follow": "false", "slow": slow})
    if slow == "drop_oldest":  # who pauses holds the source
        kafka.burst(topic, 3000, partitions=2, size=1000, first=2000)
        gateway.wait_metric("records_in_total", 5000, stream="s")
    records, _ = reader.until_end()
    assert not reader.gaps and len(records) == 2000
    assert sorted(json.loads(m.text)["data"]["n"] for m in records) == list(range(2000))


def test_with_full_refuse_nobody_waits_for_a_reader(kafka, gateways):
    topic = kafka.topic(PARTITIONS)
    gateway = gateways(
        {"threads": 1, "limits": {"send_buffer": "4KiB"}, "catchup": {"readers": 1, "full": "refuse"}},
        s={"source": kafka.source(topic), **SMALL})
    kafka.burst(topic, COUNT, partitions=PARTITIONS, size=600)
    gateway.wait_metric("records_in_total", COUNT, stream="s")
    stalled = Subscription(gateway.port, "/streams/s", "ndjson", rcvbuf=4096,
                           **{"from": "earliest"})
    gateway.wait_metric("catchup_readers", 1)
    answer = Http(gateway.port).get("/streams/s?from=earliest")
    assert answer.status == 503 and answer.headers["retry-after"] == "5"
    assert "left the ring" in answer.json()["detail"]
    assert WebSocket(gateway.port).open("/streams/s?from=earliest").status == 503
    assert gateway.metric("catchup_waiting") == 0
    live = gateway.subscribe("s", "sse")
    token = live.hello["from"]
    assert gateway.subscribe("s", "sse", **{"from": token}).hello["resumed"] is True, "it is in the ring"
    stalled.close()
    gateway.wait_metric("catchup_readers", 0)
    assert len(gateway.subscribe("s", "ndjson", **{"from": "earliest"}).records(COUNT)) == COUNT


@pytest.mark.parametrize("policy", ("disconnect", "drop_oldest", "pause"))
def test_one_that_stalls_does_not_hold_up_those_who_share_its_reader(kafka, gateways, policy):
    """Both ask for the beginning at once. The one who stalls loses nothing either."""
    topic = kafka.topic(PARTITIONS)
    stream = {**SMALL, "slow": {**SMALL["slow"], "allow": ["disconnect", "pause"]}}
    gateway = gateways(
        {"catchup": {"readers": 1}, "threads": 1, "limits": {"send_buffer": "4KiB"}},
        s={"source": kafka.source(topic), **stream},
    )
    count = 45000  # more than a reader's ring
    kafka.burst(topic, count, partitions=PARTITIONS)
    gateway.wait_metric("records_in_total", count, stream="s")
    first = gateway.subscribe("s", "ndjson", max_rate=1, **{"from": "earliest"})
    head = {"Accept": "application/x-ndjson"}
    target = f"/streams/s?envelope=full&from=earliest&slow={policy}"
    stalls = Http(gateway.port, rcvbuf=4096).get(target, head)
    reads = Http(gateway.port).get(target, head)
    gateway.wait_metric("catchup_waiting", 2)
    first.close()
    for http in (reads, stalls):
        places, gaps = read_places(http, count)
        assert_whole(places, count)
        assert gaps == 0


def read_places(http, count):
    """Of count records behind the hello; and how many gaps came."""
    places, gaps, rest = [], 0, b""
    deadline = time.monotonic() + 60
    while len(places) < count:
        part = http.body_part(deadline)
        assert part, rest
        *lines, rest = (rest + part).split(b"\n")
        for line in lines:
            if line.startswith(b'{"event":'):
                gaps += b'"gap"' in line
            elif line:
                source = json.loads(line)["source"]
                places.append((source["partition"], source["offset"]))
    return places, gaps


def payloads(first, count):
    """(what is produced, the line that shows it): most are JSON as it stands."""
    for n in range(first, first + count):
        kind = n % 50
        if kind == 7:
            yield f"text {n}", json.dumps(f"text {n}")
        elif kind == 17:
            yield f'{{\n"n": {n} }}', f'{{"n":{n}}}'
        elif kind == 27:
            yield None, "null"
        elif kind == 37:
            yield f' [{n}, "{"x" * 6000}"] ', f'[{n}, "{"x" * 6000}"]'
        else:
            yield f'{{"n":{n}, "pad":"{"x" * (n % 300)}"}}', f'{{"n":{n}, "pad":"{"x" * (n % 300)}"}}'


def test_payloads_alone_are_read_in_pieces_and_each_comes_once_in_its_place(kafka, gateways):
    """envelope=data over NDJSON: what the ring has left comes as pieces of several lines, from the beginning, from a
    token in the middle, and then the live lane goes on."""
    topic = kafka.topic(1)
    gateway = gateways({"threads": 1}, s={"source": kafka.source(topic), **SMALL})
    whole = list(payloads(0, COUNT))
    kafka.produce(topic, *({"value": value, "partition": 0} for value, _ in whole))
    gateway.wait_metric("records_in_total", COUNT, stream="s")
    marked = gateway.subscribe("s", "ndjson", limit=1234, **{"from": "earliest"}).records(1234)
    token = json.loads(marked[-1].text)["id"]
    data = {"envelope": "data", "heartbeat": "off"}
    bounds = {"from": "earliest", "to": token}
    part = gateway.subscribe("s", "ndjson", **data, **bounds)
    records, _ = part.until_end()
    assert [message.text for message in records] == [line.encode() for _, line in whole[:1234]]
    both = [(0, gateway.subscribe("s", "ndjson", **data, **{"from": "earliest"})),
            (1234, gateway.subscribe("s", "ndjson", **data, **{"from": token}))]
    shown = [line.encode() for _, line in whole]
    for first, sub in both:
        assert [sub.line() for _ in range(COUNT - first)] == shown[first:]
    gateway.wait_metric("catchup_readers", 0)
    later = list(payloads(COUNT, 100))
    kafka.produce(topic, *({"value": value, "partition": 0} for value, _ in later))
    for _, sub in both:
        assert [sub.line() for _ in range(100)] == [line.encode() for _, line in later]
    gateway.wait_metric("records_out_total", 2 * COUNT + 1434, stream="s", transport="ndjson")


@pytest.mark.parametrize("rate", [{}, {"max_rate": 3000}])
def test_who_takes_some_keys_alone_gets_them_all_and_comes_to_the_live_lane(kafka, gateways, rate):
    """Its reader leaves the other keys out, and passes on how far it has come: the last records are all of those."""
    topic = kafka.topic(PARTITIONS)
    gateway = gateways(s={"source": kafka.source(topic), **SMALL})
    keys = ["a", "b \u20ac", "c", None]
    kafka.produce(topic, *(
        {"value": f'{{"n":{n}}}', "key": keys[n % 4 if n < COUNT // 2 else 2 + n % 2], "partition": n % PARTITIONS}
        for n in range(COUNT)))
    gateway.wait_metric("records_in_total", COUNT, stream="s")
    query = {"key": "a", "where": "/n%3E=100", **rate}
    sub = gateway.subscribe("s", "ndjson", **query, **{"from": "earliest"})
    wanted = [n for n in range(100, COUNT // 2) if n % 4 == 0]
    messages = sub.records(len(wanted))
    assert sorted(json.loads(m.text)["data"]["n"] for m in messages) == wanted
    gateway.wait_metric("catchup_readers", 0)
    kafka.produce(topic, *({"value": f'{{"n":{n}}}', "key": keys[n % 4], "partition": 0} for n in range(COUNT, COUNT + 8)))
    assert [json.loads(m.text)["data"]["n"] for m in sub.records(2)] == [COUNT, COUNT + 4]
    again = gateway.subscribe("s", "sse", **query, **{"from": json.loads(messages[99].text)["id"]})
    rest = [json.loads(m.text)["data"]["n"] for m in again.records(len(wanted) - 100 + 2)]
    assert sorted(rest) == sorted(json.loads(m.text)["data"]["n"] for m in messages[100:]) + [COUNT, COUNT + 4]
    assert not sub.gaps and not again.gaps
