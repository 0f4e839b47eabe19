"""view: table: the newest record of each key, snapshot_end, then changes."""

import json

import pytest

from harness import wait_for
from wire import Http, Subscription

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
