"""Slow subscribers: each policy does what it says, and every loss is counted exactly."""

import time

import pytest

COUNT = 12000
SIZE = 1000
PARTITIONS = 4
# Smaller than what is produced by far, so that a stalled reader meets its policy.
RING = {"records": 4096, "bytes": "16MiB"}
QUEUE = {"records": 500, "bytes": "1MiB"}

EACH = {"ws": 1, "sse": 1, "ndjson": 1}


def slow_stream(kafka, gateways, policy, config=None, **slow):
    topic = kafka.topic(PARTITIONS)
    stream = {
        "source": kafka.source(topic), "ring": RING,
        "slow": {"policy": policy, "queue": QUEUE, **slow},
    }
    return gateways(config, s=stream), topic


def stall(kafka, gateway, topic, subs, expect=COUNT):
    """Three subscribers that read nothing while everything is produced."""
    stalled = subs(gateway, "s", **EACH, expect=expect, stall=True)
    kafka.burst(topic, COUNT, PARTITIONS, SIZE)
    gateway.wait_metric("records_in_total", COUNT, stream="s")
    return stalled


def assert_accounts(report, produced=COUNT):
    assert report["order_errors"] == 0 and report["bad"] == 0, report
    assert report["records"] + report["gap_records"] == produced, report


def test_drop_oldest_counts_exactly_what_it_dropped(kafka, gateways, subs):
    gateway, topic = slow_stream(kafka, gateways, "drop_oldest")
    stalled = stall(kafka, gateway, topic, subs)
    stalled.read()
    dropped = 0
    for report in stalled.wait():
        assert_accounts(report)
        assert report["gaps"] >= 1 and report["reason"] == "slow", report
        assert COUNT // PARTITIONS - 1 in [last for _, last in report["lanes"].values()], report
        dropped += report["gap_records"]
    assert gateway.metric("records_dropped_total", stream="s", reason="slow") == dropped


def test_drop_newest_keeps_the_oldest_and_counts_the_rest(kafka, gateways, subs):
    gateway, topic = slow_stream(kafka, gateways, "drop_newest")
    stalled = stall(kafka, gateway, topic, subs)
    stalled.read()
    for report in stalled.wait():
        assert_accounts(report)
        assert report["gaps"] >= 1, report
        assert 0 in [first for first, _ in report["lanes"].values()], report


def test_disconnect_ends_the_slow_one_and_says_why(kafka, gateways, subs):
    gateway, topic = slow_stream(kafka, gateways, "disconnect")
    stalled = stall(kafka, gateway, topic, subs, expect=0)
    gateway.wait_metric("disconnects_total", 3, stream="s", reason="too_slow")
    gateway.wait_subscribers(0)
    stalled.read()
    for report in stalled.wait():
        assert report["order_errors"] == 0 and report["holes"] == 0
        assert report["records"] < COUNT
        assert report["end"] in ("clean", "cut")
        if report["transport"] == "ws" and report["end"] == "clean":
            assert report["close"] == 4001


def test_pause_holds_the_source_and_loses_nothing(kafka, gateways, subs):
    topic = kafka.topic(PARTITIONS)
    gateway = gateways(s={
        "source": kafka.source(topic), "ring": RING,
        "slow": {"policy": "pause", "queue": QUEUE, "pause_limit": "1m"},
    })
    stalled = subs(gateway, "s", **EACH, expect=COUNT, stall=True)
    kafka.burst(topic, COUNT, PARTITIONS, SIZE)
    gateway.wait_metric("source_paused", 1, stream="s")
    held = gateway.metric("records_in_total", stream="s")
    assert held < COUNT
    time.sleep(1)
    assert gateway.metric("records_in_total", stream="s") == held, "the source is held"
    stalled.read()
    for report in stalled.wait():
        assert_accounts(report)
        assert report["gap_records"] == 0 and report["holes"] == 0
    gateway.wait_metric("source_paused", 0, stream="s")


def test_pause_lets_go_when_the_slow_one_leaves(kafka, gateways, subs):
    gateway, topic = slow_stream(kafka, gateways, "pause", pause_limit="1m")
    stalled = subs(gateway, "s", **EACH, stall=True)
    kafka.burst(topic, COUNT, PARTITIONS, SIZE)
    gateway.wait_metric("source_paused", 1, stream="s")
    stalled.kill()
    gateway.wait_metric("records_in_total", COUNT, stream="s")
    gateway.wait_metric("source_paused", 0, stream="s")


def test_pause_lets_go_at_its_limit_and_closes_with_4001(kafka, gateways, subs):
    gateway, topic = slow_stream(kafka, gateways, "pause", pause_limit="2s")
    stalled = subs(gateway, "s", **EACH, stall=True)
    healthy = subs(gateway, "s", **EACH, expect=COUNT)
    kafka.burst(topic, COUNT, PARTITIONS, SIZE)
    gateway.wait_metric("records_in_total", COUNT, stream="s")
    for report in healthy.wait():
        assert_accounts(report)
        assert report["gap_records"] == 0
    gateway.wait_subscribers(0)
    assert gateway.metric("disconnects_total", stream="s") >= 3
    stalled.read()
    for report in stalled.wait():
        assert report["end"] != "open" and report["holes"] == 0
        if report["transport"] == "ws" and report["end"] == "clean":
            assert report["close"] == 4001


def test_a_slow_subscriber_costs_the_others_nothing(kafka, gateways, subs):
    gateway, topic = slow_stream(kafka, gateways, "drop_oldest")
    stalled = subs(gateway, "s", ws=10, sse=10, ndjson=10, stall=True)
    healthy = subs(gateway, "s", **EACH, expect=COUNT, queue=QUEUE["records"])
    for first in range(0, COUNT, 400):
        kafka.burst(topic, 400, PARTITIONS, SIZE, first=first)
    for report in healthy.wait():
        assert_accounts(report)
    stalled.kill()


@pytest.mark.mock_only
def test_a_subscriber_chooses_what_the_stream_allows(kafka, gateways):
    gateway, topic = slow_stream(kafka, gateways, "drop_oldest", allow=["disconnect"])
    kafka.produce(topic, "1")
    for policy in ("drop_oldest", "disconnect"):
        gateway.subscribe("s", "ws", slow=policy, **{"from": "earliest"}).records(1)
    answer = gateway.get("/streams/s?slow=pause")
    assert answer.status == 400 and "slow" in answer.json()["detail"]


@pytest.mark.mock_only
def test_memory_of_stalled_subscribers_is_the_ring_and_little_more(kafka, gateways, subs):
    gateway, topic = slow_stream(kafka, gateways, "drop_oldest")
    few = subs(gateway, "s", **EACH, expect=COUNT)
    kafka.burst(topic, COUNT, PARTITIONS, SIZE)
    few.wait()
    base = gateway.rss_bytes()
    stalled = subs(gateway, "s", ws=100, sse=100, ndjson=100, stall=True)
    kafka.burst(topic, COUNT, PARTITIONS, SIZE, first=COUNT)
    gateway.wait_metric("records_in_total", 2 * COUNT, stream="s")
    grown = gateway.rss_bytes() - base
    assert grown < 300 * 64 * 1024, f"{grown / 300:.0f} bytes a stalled subscriber"
    stalled.kill()
