"""What happens to a Kafka and to its topics is survived, counted, and shown."""

import json
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from harness import wait_for
from wire import TRANSPORTS

FAST_METADATA = {"discover": "1s", "librdkafka_options": {
    "topic.metadata.refresh.interval.ms": 1000, "reconnect.backoff.max.ms": 500,
}}


def data(messages):
    return [json.loads(message.text)["data"] for message in messages]


@pytest.fixture
def up_again(kafka):
    """Whatever the test does to the broker, the next test finds it up."""
    yield kafka
    kafka.up()


def test_a_broker_that_is_down_at_the_start_is_waited_for(up_again, gateways):
    kafka, topic = up_again, up_again.topic()
    kafka.produce(topic, "1")
    kafka.down()
    gateway = gateways(ready=False, s={"source": kafka.source(topic, **FAST_METADATA)})
    wait_for(lambda: gateway.metric("source_up", stream="s") == 0, "source_up 0")
    assert gateway.admin("/livez").status == 200
    assert gateway.admin("/readyz").status == 200, "the stream is not required"
    with ThreadPoolExecutor() as waiting:
        # Its hello waits too: only the source knows where earliest is.
        subs = [waiting.submit(gateway.subscribe, "s", t, **{"from": "earliest"}) for t in TRANSPORTS]
        time.sleep(1)
        kafka.up()
        for sub in subs:
            assert data(sub.result(90).records(1, 90)) == [1]
    gateway.wait_metric("source_up", 1, stream="s")


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_token_that_comes_before_the_source_is_up_loses_nothing(up_again, gateways, transport):
    """A gateway that restarts in an outage and begins at the end must not begin there for one who was
    further back."""
    kafka, topic = up_again, up_again.topic(2)
    kafka.burst(topic, 20, partitions=2)
    first = gateways(s={"source": kafka.source(topic, **FAST_METADATA)})
    messages = first.subscribe("s", transport, **{"from": "earliest"}).records(20)
    first.stop()
    kafka.down()
    gateway = gateways(ready=False, s={"source": kafka.source(topic, "latest", **FAST_METADATA)})
    token = json.loads(messages[4].text)["id"]
    with ThreadPoolExecutor() as waiting:
        sub = waiting.submit(gateway.subscribe, "s", transport, heartbeat="1s", **{"from": token})
        gateway.wait_subscribers(1)
        time.sleep(1.5)  # a heartbeat
        kafka.up()
        sub = sub.result(90)
    assert sub.hello["resumed"] is True and sub.hello["from"] == token
    assert sorted(n["n"] for n in data(sub.records(15))) == sorted(n["n"] for n in data(messages[5:]))


def test_readyz_fails_during_an_outage_only_where_the_stream_is_required(up_again, gateways):
    kafka, topic = up_again, up_again.topic()
    gateway = gateways(
        s={"source": kafka.source(topic, **FAST_METADATA), "required": True},
    )
    kafka.down()
    wait_for(lambda: gateway.admin("/readyz").status == 503, "/readyz 503")
    assert gateway.admin("/livez").status == 200
    assert "s" in gateway.admin("/readyz").text
    kafka.up()
    gateway.wait_ready()


def test_a_broker_restart_loses_nothing_and_repeats_nothing(up_again, gateways, subs):
    kafka, topic = up_again, up_again.topic(3)
    # After an outage more comes at once than a queue holds: here nobody may be slow.
    gateway = gateways(
        s={"source": kafka.source(topic, **FAST_METADATA), "slow": {"policy": "pause"}}
    )
    watching = subs(gateway, "s", ws=1, sse=1, ndjson=1, expect=4000)
    for turn in range(4):
        kafka.burst(topic, 1000, 3, first=turn * 1000)
        if turn < 3:
            kafka.down()
            time.sleep(0.3)
            kafka.up()
    for report in watching.wait():
        assert report["records"] == 4000, report
        assert report["holes"] == report["order_errors"] == report["gap_records"] == 0, report


def test_an_outage_is_logged_once_not_again_and_again(up_again, gateways):
    kafka, topic = up_again, up_again.topic()
    gateway = gateways(s={"source": kafka.source(topic, **FAST_METADATA)})
    before = len(gateway.log().splitlines())
    kafka.down()
    gateway.wait_metric("source_up", 0, stream="s")
    time.sleep(3)
    lines = gateway.log().splitlines()[before:]
    assert 1 <= len(lines) <= 3, lines
    kafka.up()
    gateway.wait_metric("source_up", 1, stream="s", timeout_s=90)


def test_a_record_over_the_maximum_is_a_counted_gap(kafka, gateways):
    topic = kafka.topic()
    gateway = gateways(s={"source": kafka.source(topic), "max_record": "1KiB"})
    sub = gateway.subscribe("s", "ws")
    kafka.produce(topic, "1", b"x" * 1025, b"y" * 1024, "2")
    assert data(sub.records(3)) == [1, "y" * 1024, 2]
    (gap,) = sub.gaps
    assert gap["reason"] == "too_large" and gap["count"] == 1
    assert gateway.metric("records_dropped_total", stream="s", reason="too_large") == 1


def test_start_latest_skips_what_was_there_before(kafka, gateways):
    topic = kafka.topic()
    kafka.produce(topic, "1", "2")
    gateway = gateways(s={"source": kafka.source(topic, start="latest")})
    sub = gateway.subscribe("s", "ndjson")
    kafka.produce(topic, "3")
    assert data(sub.records(1)) == [3]
    assert gateway.metric("records_in_total", stream="s") == 1


def test_lag_of_a_held_source_shows_in_the_metrics(kafka, gateways, subs):
    topic = kafka.topic()
    gateway = gateways(s={
        "source": kafka.source(topic), "ring": {"records": 1024},
        "slow": {"policy": "pause", "queue": {"records": 100}},
    })
    stalled = subs(gateway, "s", ndjson=1, stall=True)
    kafka.burst(topic, 4000, 1, 1000)
    gateway.wait_metric("source_paused", 1, stream="s")
    wait_for(
        lambda: gateway.metric("kafka_lag_records", stream="s", topic=topic, partition=0) > 0, "lag"
    )
    stalled.kill()
    gateway.wait_metric("kafka_lag_records", 0, stream="s", topic=topic)


# -- only with a real Kafka


@pytest.mark.real_only
def test_start_at_a_time_begins_with_the_first_record_from_then(kafka, gateways):
    topic = kafka.topic()
    now = int(time.time() * 1000)
    kafka.produce(
        topic, {"value": "1", "timestamp": now - 3600000}, {"value": "2", "timestamp": now - 60000}
    )
    gateway = gateways(s={"source": kafka.source(topic, start="-15m")})
    sub = gateway.subscribe("s", "ndjson", **{"from": "-15m"})
    assert data(sub.records(1)) == [2]
    assert gateway.metric("records_in_total", stream="s") == 1


@pytest.mark.real_only
def test_a_topic_that_is_not_there_yet_is_waited_for(kafka, gateways):
    name = kafka.new_name() + "-later"
    gateway = gateways(ready=False, s={"source": kafka.source(name, **FAST_METADATA)})
    wait_for(lambda: gateway.metric("source_up", stream="s") == 0, "source_up 0")
    early = gateway.subscribe("s", "ndjson")
    with ThreadPoolExecutor() as waiting:
        earliest = waiting.submit(gateway.subscribe, "s", "ndjson", **{"from": "earliest"})
        kafka.create_topic(name, 2)
        kafka.produce(name, "1")
        for sub in (early, earliest.result(90)):
            assert data(sub.records(1, 90)) == [1]


@pytest.mark.real_only
def test_a_topic_that_is_deleted_and_made_again_is_followed(kafka, gateways):
    topic = kafka.topic()
    gateway = gateways(s={"source": kafka.source(topic, **FAST_METADATA)})
    sub = gateway.subscribe("s", "sse")
    kafka.produce(topic, "1", "2", "3")
    assert data(sub.records(3)) == [1, 2, 3]
    kafka.broker.delete_topic(topic)
    wait_for(lambda: gateway.metric("source_up", stream="s") == 0, "source_up 0", 90)
    assert gateway.admin("/livez").status == 200
    kafka.create_topic(topic, 1)
    kafka.produce(topic, "4")
    assert data(sub.records(1, 40)) == [4]


@pytest.mark.real_only
def test_partitions_that_are_added_are_found(kafka, gateways):
    topic = kafka.topic(1)
    gateway = gateways(s={"source": kafka.source(topic, **FAST_METADATA)})
    sub = gateway.subscribe("s", "sse", envelope="full")
    kafka.broker.add_partitions(topic, 3)
    kafka.produce(topic, *[{"value": str(p), "partition": p} for p in range(3)])
    assert sorted(data(sub.records(3, 90))) == [0, 1, 2]


@pytest.mark.real_only
def test_a_pattern_follows_topics_that_appear_later(kafka, gateways):
    prefix = kafka.new_name() + "-many-"
    kafka.create_topic(prefix + "a", 1)
    gateway = gateways(s={"source": kafka.source(f"^{prefix}.*", **FAST_METADATA)})
    sub = gateway.subscribe("s", "ndjson")
    kafka.produce(prefix + "a", "1")
    assert data(sub.records(1)) == [1]
    kafka.create_topic(prefix + "b", 1)
    kafka.produce(prefix + "b", "2")
    assert data(sub.records(1, 90)) == [2]


@pytest.mark.real_only
def test_records_that_retention_took_are_a_counted_gap(kafka, gateways, subs):
    """The source is held while the records that it has not yet read are deleted."""
    topic = kafka.topic()
    gateway = gateways(s={
        "source": kafka.source(topic, librdkafka_options={
            "fetch.message.max.bytes": 65536, "fetch.max.bytes": 65536,
            "message.max.bytes": 65536, "receive.message.max.bytes": 1000000,
        }),
        "ring": {"records": 256}, "slow": {"policy": "pause", "queue": {"records": 100}},
    })
    stalled = subs(gateway, "s", ndjson=1, expect=20000, stall=True)
    kafka.burst(topic, 19999, 1, 1000)
    gateway.wait_metric("source_paused", 1, stream="s")
    kafka.broker.delete_records(topic, 0, 19000)
    kafka.burst(topic, 1, 1, 1000, first=19999)
    stalled.read()
    (report,) = stalled.wait()
    assert report["order_errors"] == 0 and report["bad"] == 0, report
    assert report["gaps"] >= 1 and report["reason"] == "retention", report
    assert report["records"] + report["gap_records"] == 20000, report
    assert report["lanes"]["0"][1] == 19999


@pytest.mark.real_only
def test_a_broker_that_hangs_holds_nobody_up(kafka, gateways):
    topic = kafka.topic()
    gateway = gateways(s={"source": kafka.source(topic, **FAST_METADATA)})
    sub = gateway.subscribe("s", "sse")
    kafka.produce(topic, "1")
    assert data(sub.records(1)) == [1]
    kafka.broker.pause()
    try:
        time.sleep(2)
        assert gateway.admin("/livez").status == 200
        assert gateway.get("/streams").status == 200
    finally:
        kafka.broker.resume()
    kafka.produce(topic, "2")
    assert data(sub.records(1, 90)) == [2]


@pytest.mark.real_only
def test_aborted_transactions_are_not_seen(kafka, gateways):
    import confluent_kafka

    topic = kafka.topic()
    gateway = gateways(s={"source": kafka.source(topic)})
    sub = gateway.subscribe("s", "ndjson", envelope="full")
    producer = confluent_kafka.Producer({
        "bootstrap.servers": kafka.bootstrap, "transactional.id": topic, "log_level": 0,
    })
    producer.init_transactions(20)
    for value, finish in (("1", "abort"), ("2", "commit")):
        producer.begin_transaction()
        producer.produce(topic, value)
        getattr(producer, finish + "_transaction")(20)
    (record,) = [json.loads(message.text) for message in sub.records(1)]
    assert record["data"] == 2
    assert sub.gaps == [], "the holes of control records are no loss"
