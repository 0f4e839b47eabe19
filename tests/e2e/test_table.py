"""view: table: the newest record of each key, snapshot_end, then changes."""

import json
import random
import threading
import time

import pytest

from harness import wait_for
from wire import Ended, Http, Subscription

TRANSPORTS = ("ws", "sse", "ndjson")


def start(kafka, gateways, topic, more=None, config=None, **stream):
    return gateways(config or {}, s={
        "source": kafka.source(topic, start="latest"), "view": "table", **stream,
    }, **(more or {}))


def put(key, n, **more):
    return {"key": key, "value": json.dumps({"n": n}), **more}


def remove(key, **more):
    return {"key": key, "value": None, **more}


class Map:
    """What a client makes of a table: a map, and where each record came from."""

    def __init__(self, sub):
        self.sub, self.values, self.seen = sub, {}, set()
        self.complete, self.ends = None, 0

    def take(self, message):
        """One message: a record, or what a control message says."""
        record = json.loads(message.text)
        if message.event is None:
            source = record["source"]
            place = (source["topic"], source["partition"], source["offset"])
            assert place not in self.seen, f"{place} twice"
            self.seen.add(place)
            if record.get("tombstone"):
                self.values.pop(record["key"], None)
            else:
                self.values[record["key"]] = record["data"]["n"]
        else:
            self.sub._control(message)
            if message.event == "snapshot_end":
                self.complete = record.get("complete", True)
                self.ends += 1
            elif message.event == "gap" and record["reason"] == "reset":
                self.values, self.seen = {}, set()
        return message.event

    def snapshot(self):
        while self.take(self.sub.next()) != "snapshot_end":
            pass
        return self

    def until(self, values):
        while self.values != values:
            self.take(self.sub.next())
        return self


def table(gateway, transport="ndjson", **params):
    params.setdefault("envelope", "full")
    return Map(Subscription(gateway.port, "/streams/s", transport, **params))


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_snapshot_then_changes(kafka, gateways, transport):
    topic = kafka.topic(2)
    kafka.produce(topic, *(put(f"k{n % 5}", n) for n in range(20)), remove("k4"))
    gateway = start(kafka, gateways, topic)
    one = table(gateway, transport)
    assert one.sub.hello["snapshot"] is True and one.sub.hello["resumed"] is False
    one.snapshot()
    assert one.values == {"k0": 15, "k1": 16, "k2": 17, "k3": 18} and one.complete
    assert len(one.seen) == 4, "nothing but the newest of each key, and no tombstone"
    kafka.produce(topic, put("k4", 21), remove("k0"), put("k1", 22))
    one.until({"k1": 22, "k2": 17, "k3": 18, "k4": 21})
    again = table(gateway, transport).snapshot()
    assert again.values == one.values and len(again.seen) == 4


def test_the_table_as_a_json_array(kafka, gateways):
    topic = kafka.topic(1)
    kafka.produce(topic, put("a", 1), put("b", 2), put("a", 3), {"value": '{"n":9}'})
    gateway = start(kafka, gateways, topic)
    rows = wait_for(
        lambda: (got := Http(gateway.port).get(
            "/streams/s?follow=false", {"Accept": "application/json"})).status == 200 and got.json(),
        "the table is loaded")
    assert [(row["key"], row["data"]["n"]) for row in rows] == [("b", 2), ("a", 3)]
    sub = Subscription(gateway.port, "/streams/s", "ndjson", follow="false")
    records, ended = sub.until_end()
    assert len(records) == 2 and ended.clean
    assert [control["event"] for control in sub.controls] == ["snapshot_end", "end"]
    assert gateway.metric("table_keys", stream="s") == 2
    assert gateway.metric("table_keyless_records_total", stream="s") == 1


def test_a_token_in_the_ring_brings_changes_alone(kafka, gateways):
    topic = kafka.topic(1)
    kafka.produce(topic, *(put(f"k{n}", n) for n in range(10)))
    gateway = start(kafka, gateways, topic)
    one = table(gateway).snapshot()
    token = one.sub.controls[-1]["id"]
    one.sub.close()
    kafka.produce(topic, put("k3", 30), remove("k4"))
    gateway.wait_metric("records_in_total", 12, stream="s")
    two = table(gateway, **{"from": token})
    assert two.sub.hello["resumed"] is True and "snapshot" not in two.sub.hello
    two.snapshot()
    assert two.values == {"k3": 30} and len(two.seen) == 2 and two.ends == 1
    kafka.produce(topic, put("k3", 31))
    two.until({"k3": 31})


def test_a_token_that_the_ring_has_left_brings_a_new_snapshot(kafka, gateways):
    topic = kafka.topic(1)
    kafka.produce(topic, put("a", 1))
    gateway = start(kafka, gateways, topic, ring={"records": 64, "bytes": "4MiB"},
                    slow={"queue": {"records": 16}})
    token = table(gateway).snapshot().sub.controls[-1]["id"]
    kafka.produce(topic, *(put("b", n) for n in range(200)))
    gateway.wait_metric("records_in_total", 201, stream="s")
    one = table(gateway, **{"from": token})
    assert one.sub.hello["resumed"] is False and one.sub.hello["snapshot"] is True
    assert "ring" in one.sub.hello["reason"]
    assert one.snapshot().values == {"a": 1, "b": 199} and len(one.seen) == 2
    kafka.produce(topic, put("c", 1))
    assert one.until({"a": 1, "b": 199, "c": 1})


def test_snapshot_false_is_a_plain_stream(kafka, gateways):
    topic = kafka.topic(1)
    kafka.produce(topic, put("a", 1), put("a", 2))
    gateway = start(kafka, gateways, topic)
    gateway.wait_metric("records_in_total", 2, stream="s")
    live = gateway.subscribe("s", "ndjson", snapshot="false")
    history = gateway.subscribe("s", "ndjson", snapshot="false", **{"from": "earliest"})
    assert [json.loads(m.text)["data"]["n"] for m in history.records(2)] == [1, 2]
    kafka.produce(topic, put("a", 3))
    assert json.loads(live.records(1)[0].text)["data"]["n"] == 3
    assert not live.controls


def test_what_it_cannot_do_is_refused(kafka, gateways):
    topic = kafka.topic(1)
    kafka.produce(topic, put("a", 1))
    gateway = start(kafka, gateways, topic, more={"plain": {"source": kafka.source(topic)}})

    def status(target):
        answer = Http(gateway.port).get(target)
        return answer.status, answer.json()["detail"] if answer.status != 200 else ""

    assert status("/streams/plain?snapshot=true") == (400, "snapshot: this stream is no table")
    code, why = status("/streams/s?from=earliest")
    assert code == 400 and "snapshot=false" in why
    code, why = status("/streams/s?to=2030-01-01T00:00:00Z")
    assert code == 400 and "snapshot=false" in why


def test_beyond_its_bounds_it_is_given_up(kafka, gateways):
    topic = kafka.topic(1)
    kafka.produce(topic, *(put(f"k{n}", n) for n in range(50)))
    gateway = start(kafka, gateways, topic, table={"keys": 20})
    gateway.wait_metric("records_in_total", 50, stream="s")
    answer = Http(gateway.port).get("/streams/s")
    assert answer.status == 503 and answer.headers["retry-after"] == "60"
    assert gateway.metric("table_given_up", stream="s") == 1
    sub = gateway.subscribe("s", "ndjson", snapshot="false")
    kafka.produce(topic, put("a", 1))
    assert len(sub.records(1)) == 1


def test_or_the_oldest_is_evicted_and_that_is_told(kafka, gateways):
    topic = kafka.topic(1)
    kafka.produce(topic, *(put(f"k{n}", n) for n in range(50)))
    gateway = start(kafka, gateways, topic, table={"keys": 20, "full": "evict"})
    one = table(gateway).snapshot()
    assert one.values == {f"k{n}": n for n in range(30, 50)} and one.complete is False
    assert gateway.metric("table_evicted_keys_total", stream="s") == 30


def test_a_filter_by_payload_lets_tombstones_through(kafka, gateways):
    topic = kafka.topic(1)
    kafka.produce(topic, put("a", 1), put("b", 20))
    gateway = start(kafka, gateways, topic)
    one = table(gateway, where="/n%3E=10").snapshot()
    assert one.values == {"b": 20}
    kafka.produce(topic, put("a", 2), put("c", 30), remove("b"))
    one.until({"c": 30})


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_filters_limits_and_rates_hold_for_the_snapshot(kafka, gateways, transport):
    topic = kafka.topic(1)
    kafka.produce(topic, *(put(f"k{n}", n) for n in range(100)))
    gateway = start(kafka, gateways, topic)
    assert table(gateway, transport, key="k7&key=k9").snapshot().values == {"k7": 7, "k9": 9}
    assert len(table(gateway, transport, where="/n%3E=90").snapshot().values) == 10
    records, _ = Subscription(gateway.port, "/streams/s", transport, limit=30).until_end()
    assert len(records) == 30
    paced = table(gateway, transport, max_rate=200).snapshot()
    assert len(paced.values) == 100
    kafka.produce(topic, put("k7", 700), put("k50", 5))
    paced.until({**{f"k{n}": n for n in range(100)}, "k7": 700, "k50": 5})


def stalled(gateway, transport, **params):
    return Map(Subscription(gateway.port, "/streams/s", transport, rcvbuf=4096, envelope="full", **params))


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_whom_the_ring_has_left_is_told_what_changed(kafka, gateways, transport):
    """The snapshot does not fit into the socket; meanwhile the ring goes round many times."""
    topic = kafka.topic(1)
    pad = "x" * 300
    big = lambda key, n: {"key": key, "value": json.dumps({"n": n, "pad": pad})}
    kafka.produce(topic, *(big(f"k{n}", n) for n in range(1000)))
    gateway = start(kafka, gateways, topic, config={"limits": {"send_buffer": "4KiB"}},
                    ring={"records": 256, "bytes": "4MiB"}, slow={"queue": {"records": 100}})
    gateway.wait_metric("records_in_total", 1000, stream="s")
    one = stalled(gateway, transport)
    gateway.wait_metric("table_snapshots", 1, stream="s")
    want = {f"k{n}": n for n in range(1000)}
    for n in range(1000, 4000):
        want[f"k{n % 300}"] = n
    kafka.produce(topic, *(big(f"k{n % 300}", n) for n in range(1000, 4000)),
                  *(remove(f"k{n}") for n in range(50)))
    gateway.wait_metric("records_in_total", 4050, stream="s")
    for n in range(50):
        del want[f"k{n}"]
    one.snapshot()
    assert one.values == {f"k{n}": n for n in range(1000)}, "the table as it was when it asked"
    one.until(want)
    kafka.produce(topic, big("new", 1))
    one.until({**want, "new": 1})
    told = [gap["count"] for gap in one.sub.gaps]
    assert {gap["reason"] for gap in one.sub.gaps} == {"conflated"}
    assert len(one.seen) - 1000 + sum(told) == 3051, "sent and counted is what was produced"
    gateway.wait_metric("table_snapshots", 0, stream="s")


def test_who_is_too_slow_for_the_history_is_sent_away(kafka, gateways):
    topic = kafka.topic(1)
    big = lambda key, n: {"key": key, "value": json.dumps({"n": n, "pad": "x" * 1000})}
    kafka.produce(topic, *(big(f"k{n}", n) for n in range(500)))
    gateway = start(kafka, gateways, topic, config={"limits": {"send_buffer": "4KiB"}},
                    table={"history": "64KiB"})
    gateway.wait_metric("records_in_total", 500, stream="s")
    one = stalled(gateway, "ws")
    gateway.wait_metric("table_snapshots", 1, stream="s")
    kafka.produce(topic, *(big(f"k{n}", 1000 + n) for n in range(500)))
    gateway.wait_metric("table_snapshots_cut_total", 1, stream="s")
    _, ended = one.sub.until_end()
    assert ended.code == 4001 and one.sub.controls[-1]["event"] == "closing"
    one.sub.close()
    gateway.wait_metric("disconnects_total", 1, stream="s", reason="too_slow")
    assert len(table(gateway).snapshot().values) == 500


@pytest.mark.mock_only
def test_who_comes_before_the_table_is_loaded_waits(kafka, gateways):
    topic = kafka.topic(1)
    kafka.produce(topic, *(put(f"k{n}", n) for n in range(10)))
    kafka.down()
    try:
        gateway = start(kafka, gateways, topic, more={"ready": False})
        assert Http(gateway.port).get("/streams/s?follow=false").status == 503
        http = Http(gateway.port).get("/streams/s?envelope=full", {"Accept": "text/event-stream"})
        assert http.status == 200, "its head comes at once"
        assert gateway.get("/streams").json()["streams"][0]["table"]["loaded"] is False
    finally:
        kafka.up()
    text, deadline = b"", time.monotonic() + 20
    while b"snapshot_end" not in text:
        text += http.body_part(deadline)
    assert text.index(b"event: hello") < text.index(b'"key":"k0"')
    assert text.count(b'"key":') == 10


@pytest.mark.real_only
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_topic_that_is_made_again_is_a_new_table(kafka, gateways, transport):
    topic, other = kafka.topic(2), kafka.topic(1)
    kafka.produce(topic, *(put(f"k{n}", n) for n in range(20)))
    kafka.produce(other, put("stays", 1))
    gateway = gateways(s={"source": kafka.source([topic, other]), "view": "table"})
    one = table(gateway, transport).snapshot()
    token = one.sub.controls[-1]["id"]
    assert len(one.values) == 21
    kafka.broker.delete_topic(topic)
    wait_for(lambda: gateway.metric("source_up", stream="s") == 0, "the deletion is seen", 30)
    kafka.create_topic(topic, 2)
    kafka.produce(topic, put("k1", 100), put("k2", 200))
    one.until({"stays": 1, "k1": 100, "k2": 200})
    assert "reset" in {gap["reason"] for gap in one.sub.gaps}
    assert one.ends >= 2, "a new snapshot"
    again = table(gateway, transport, **{"from": token})
    assert again.sub.hello["resumed"] is False
    assert again.snapshot().values == one.values


@pytest.mark.real_only
def test_a_compacted_topic(kafka, gateways):
    topic = kafka.topic(1, config={
        "cleanup.policy": "compact", "segment.ms": "100", "min.cleanable.dirty.ratio": "0.01",
        "delete.retention.ms": "100", "max.compaction.lag.ms": "500"})
    for n in range(2000):
        kafka.producer.produce(topic, key=f"k{n % 20}", value=json.dumps({"n": n}))
    kafka.produce(topic, remove("k0"))
    gateway = start(kafka, gateways, topic)
    want = {f"k{n % 20}": n for n in range(1980, 2000) if n % 20}
    assert table(gateway).snapshot().values == want


class Churner(threading.Thread):
    """A client that comes and goes, slow now and then, and keeps its map as the documentation says."""

    def __init__(self, gateway, seed, until):
        super().__init__()
        self.gateway, self.random, self.until = gateway, random.Random(seed), until
        self.want, self.error, self.map = None, None, None
        self.token, self.values, self.seen = None, {}, set()
        self.resumed = self.fresh = self.gaps = self.away = 0

    def run(self):
        try:
            while self.want is None or self.values != self.want:
                assert time.monotonic() < self.until, self.difference()
                self.session()
        except Exception as error:  # pylint: disable=broad-except
            self.error = error

    def difference(self):
        keys = {*self.want, *self.values}
        return [(k, self.want.get(k), self.values.get(k)) for k in sorted(keys)
                if self.want.get(k) != self.values.get(k)][:10]

    def open(self):
        transport = self.random.choice(TRANSPORTS)
        policy = self.random.choice(("drop_oldest", "drop_newest", "conflate", "pause", "disconnect"))
        params = {"envelope": "full", "slow": policy}
        if self.token:
            params["from"] = self.token
        if self.random.random() < 0.2 and self.want is None:
            params["max_rate"] = 2000
        sub = Subscription(self.gateway.port, "/streams/s", transport,
                           rcvbuf=self.random.choice((None, 4096)), **params)
        self.map = Map(sub)
        if sub.hello["resumed"]:
            self.resumed += 1
            self.map.values, self.map.seen = self.values, self.seen
        else:
            self.fresh += 1
            assert sub.hello["snapshot"] is True
        self.token = sub.hello["from"]

    def session(self):
        self.open()
        stay = time.monotonic() + self.random.uniform(0.1, 3)
        try:
            while time.monotonic() < stay or self.want is not None:
                if self.want is not None and self.map.values == self.want and self.map.ends:
                    break
                assert time.monotonic() < self.until, self.difference()
                if self.random.random() < 0.002 and self.want is None:
                    time.sleep(self.random.uniform(0, 0.5))
                if not self.step():
                    break
        except Ended:
            self.away += 1
        self.map.sub.close()
        self.values, self.seen = self.map.values, self.map.seen

    def step(self):
        """One message. False: a gap of a slow one: its map may be wrong for good, it begins anew."""
        sub = self.map.sub
        if not sub.http.buffer and b"\n" not in sub._lines:
            try:
                sub.http.fill(time.monotonic() + 0.2)
            except TimeoutError:
                return True
        message = sub.next()
        self.map.take(message)
        body = json.loads(message.text)
        if body.get("event") == "gap":
            self.gaps += 1
            if body["reason"] == "slow":
                self.token = None
                return False
        self.token = body.get("id") or body.get("to") or self.token
        return True


def test_maps_are_right_whoever_comes_and_goes_however_slow(kafka, gateways):
    """Keys change fast while clients with every policy come, stall, leave and come back with their
    token: at the end each has the producer's map, and none had a record twice."""
    partitions, keys = 3, 200
    topic = kafka.topic(partitions)
    rng = random.Random(1)
    final, n = {}, 0
    gateway = start(
        kafka, gateways, topic, config={"limits": {"send_buffer": "4KiB"}, "threads": 2},
        ring={"records": 2048, "bytes": "8MiB"}, table={"history": "1MiB"},
        slow={"queue": {"records": 256, "bytes": "256KiB"}, "pause_limit": "20s",
              "allow": ["drop_oldest", "drop_newest", "conflate", "pause", "disconnect"]})

    def churn(count):
        nonlocal n
        for _ in range(count):
            key = f"k{int(rng.random() ** 3 * keys)}"
            n += 1
            if rng.random() < 0.1:
                final.pop(key, None)
                record = remove(key)
            else:
                final[key] = n
                record = {"key": key, "value": json.dumps({"n": n, "pad": "x" * rng.randrange(300)})}
            kafka.producer.produce(topic, partition=int(key[1:]) % partitions, **record)
        kafka.producer.poll(0)

    churn(2000)
    kafka.producer.flush(10)
    gateway.wait_metric("records_in_total", n, stream="s")
    seconds = 12
    clients = [Churner(gateway, seed, time.monotonic() + seconds + 60) for seed in range(10)]
    for client in clients:
        client.start()
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        churn(100)
        time.sleep(0.05)
    kafka.producer.flush(20)
    gateway.wait_metric("records_in_total", n, timeout_s=60, stream="s")
    for client in clients:
        client.want = dict(final)
    for client in clients:
        client.join(90)
        assert client.error is None, client.error
        assert not client.is_alive()
    sums = {what: sum(getattr(client, what) for client in clients)
            for what in ("resumed", "fresh", "gaps", "away")}
    print(n, sums)
    assert sums["resumed"] > 5 and sums["fresh"] > 10 and sums["gaps"] > 0, sums
    gateway.wait_metric("table_snapshots", 0, stream="s")
