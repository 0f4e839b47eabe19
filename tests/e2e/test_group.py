"""A consumer group as the source: replicas share the partitions, commits follow delivery."""

import contextlib
import json
import signal
import time

import confluent_kafka
import pytest

from harness import wait_for

FAST = {"commit_interval": "100ms", "session_timeout": "6s", "discover": "200ms"}


def committed(kafka, group, topic, partitions):
    """The group's commits, asked as any tool would; None where there is none."""
    consumer = confluent_kafka.Consumer({
        "bootstrap.servers": kafka.bootstrap, "group.id": group, "log_level": 0,
    })
    asked = [confluent_kafka.TopicPartition(topic, p) for p in range(partitions)]
    try:
        return [p.offset if p.offset >= 0 else None for p in consumer.committed(asked, timeout=10)]
    finally:
        consumer.close()


def wait_committed(kafka, group, topic, offsets, timeout_s=30):
    wait_for(
        lambda: committed(kafka, group, topic, len(offsets)) == offsets,
        f"commits {offsets}", timeout_s, 0.2,
    )


def stream(kafka, topic, group, **more):
    return {
        "source": kafka.source(topic, group=group, **{**FAST, **more}),
        "slow": {"policy": "pause", "queue": {"records": 100}, "pause_limit": "5m"},
    }


def kill(gateway):
    """SIGKILL, and nothing is asked of it any more."""
    gateway.process.send_signal(signal.SIGKILL)
    gateway.process.wait()
    gateway.process = None


def numbers(messages):
    return [json.loads(message.text)["data"]["n"] for message in messages]


class Reader:
    """Takes what comes, with time-outs, into .seen."""

    def __init__(self, subscription):
        self.subscription, self.seen = subscription, []

    def take(self, timeout_s=0.3):
        with contextlib.suppress(TimeoutError):
            while True:
                message = self.subscription.next(timeout_s)
                if message.event is None:
                    self.seen += numbers([message])
        return self.seen


def wait_all(readers, count, timeout_s=60):
    wait_for(
        lambda: len({n for reader in readers for n in reader.take()}) == count,
        f"{count} records", timeout_s,
    )


def test_two_gateways_share_the_partitions_and_commit_what_they_sent(kafka, gateways):
    topic = kafka.topic(4)
    group = "workers-" + topic
    one = gateways(s=stream(kafka, topic, group))
    two = gateways(s=stream(kafka, topic, group))
    for gateway in (one, two):
        gateway.wait_metric("source_lanes", 2, stream="s", timeout_s=40)
    readers = [Reader(one.subscribe("s", "ndjson")), Reader(two.subscribe("s", "ws"))]
    kafka.burst(topic, 2000, 4)
    wait_all(readers, 2000)
    assert sum(len(reader.seen) for reader in readers) == 2000, "each record has one reader"
    assert [len(reader.seen) for reader in readers] == [1000, 1000]
    wait_committed(kafka, group, topic, [500] * 4)
    assert one.metric("source_commits_total", stream="s") > 0
    assert one.metric("source_rebalances_total", stream="s") >= 1


def test_a_gateway_that_is_killed_leaves_its_records_to_the_other(kafka, gateways):
    topic = kafka.topic(2)
    group = "workers-" + topic
    one = gateways(s=stream(kafka, topic, group))
    two = gateways(s=stream(kafka, topic, group))
    for gateway in (one, two):
        gateway.wait_metric("source_lanes", 1, stream="s", timeout_s=40)
    survivor = Reader(one.subscribe("s", "sse"))
    stalled = two.subscribe("s", "ndjson")  # reads only its hello
    kafka.burst(topic, 8000, 2, 1000)
    two.wait_metric("source_paused", 1, stream="s", timeout_s=30)
    kill(two)
    stalled.close()
    kafka.burst(topic, 1000, 2, first=8000)
    seen = wait_for(
        lambda: set(survivor.take()) if len(set(survivor.take())) > 8000 else None,
        "the other half", 60,
    )
    wait_committed(kafka, group, topic, [4500] * 2)
    seen = set(survivor.take())
    # What the other one was sent, it was sent: at most what its socket and its queue hold.
    missing = set(range(9000)) - seen
    assert all(n % 2 == min(missing) % 2 for n in missing), "only of the partition that was taken over"
    assert len(missing) < 1000


def test_what_a_subscriber_was_not_sent_is_not_committed(kafka, gateways):
    topic = kafka.topic(1)
    group = "workers-" + topic
    gateway = gateways(s=stream(kafka, topic, group))
    stalled = gateway.subscribe("s", "ndjson", envelope="record", rcvbuf=4096)
    kafka.burst(topic, 4000, 1, 1000)
    gateway.wait_metric("source_paused", 1, stream="s", timeout_s=30)
    time.sleep(1)
    (offset,) = committed(kafka, group, topic, 1)
    sent = gateway.metric("records_out_total", stream="s")
    assert 0 < offset <= sent < 4000, (offset, sent)
    kill(gateway)
    got = numbers(stalled.until_end()[0])
    stalled.close()
    again = gateways(s=stream(kafka, topic, group))
    rest = Reader(again.subscribe("s", "ndjson"))
    wait_for(lambda: rest.take()[-1:] == [3999], "the last record", 60)
    assert rest.seen == list(range(offset, 4000)), "from the commit on, without a hole"
    assert got == list(range(len(got)))
    wait_committed(kafka, group, topic, [4000])


def test_without_a_subscriber_records_wait_and_the_membership_stays(kafka, gateways):
    topic = kafka.topic(1)
    group = "workers-" + topic
    gateway = gateways(s=stream(kafka, topic, group, librdkafka_options={
        "max.poll.interval.ms": 6000,
    }))
    gateway.wait_metric("source_lanes", 1, stream="s", timeout_s=30)
    kafka.burst(topic, 100, 1)
    time.sleep(8)  # longer than max.poll.interval.ms
    wait_committed(kafka, group, topic, [0])
    assert gateway.metric("records_in_total", stream="s") == 0
    reader = Reader(gateway.subscribe("s", "ndjson"))
    wait_all([reader], 100)
    assert gateway.metric("source_rebalances_total", stream="s") == 1
    wait_committed(kafka, group, topic, [100])


def test_the_next_subscriber_begins_where_the_last_one_stopped(kafka, gateways):
    topic = kafka.topic(1)
    group = "workers-" + topic
    gateway = gateways(s=stream(kafka, topic, group))
    first = gateway.subscribe("s", "ndjson", rcvbuf=4096)
    kafka.burst(topic, 4000, 1, 1000)
    gateway.wait_metric("source_paused", 1, stream="s", timeout_s=30)
    first.close()  # with much of it sent, and a queue that it never got
    gateway.wait_subscribers(0)
    sent = gateway.metric("records_out_total", stream="s")
    second = Reader(gateway.subscribe("s", "ndjson"))
    wait_for(lambda: second.take()[-1:] == [3999], "the last record", 60)
    assert second.seen == list(range(second.seen[0], 4000))
    assert second.seen[0] <= sent, "nothing that was not sent is left out"
    wait_committed(kafka, group, topic, [4000])


@pytest.mark.real_only  # the mock cluster knows no static members
def test_a_static_member_that_restarts_moves_no_partition(kafka, gateways):
    topic = kafka.topic(2)
    group = "workers-" + topic
    one = gateways(s=stream(kafka, topic, group, group_instance_id="one", session_timeout="20s"))
    two = gateways(s=stream(kafka, topic, group, group_instance_id="two", session_timeout="20s"))
    for gateway in (one, two):
        gateway.wait_metric("source_lanes", 1, stream="s", timeout_s=60)
    before = two.metric("source_rebalances_total", stream="s")
    one.terminate()
    assert one.wait_exit() == 0
    one.start()
    one.wait_metric("source_lanes", 1, stream="s", timeout_s=30)
    assert two.metric("source_rebalances_total", stream="s") == before
    readers = [Reader(gateway.subscribe("s", "ndjson")) for gateway in (one, two)]
    kafka.burst(topic, 100, 2)
    wait_all(readers, 100)


@pytest.mark.real_only
def test_a_second_gateway_with_the_same_instance_id_is_told_about_it(kafka, gateways):
    topic = kafka.topic(1)
    group = "workers-" + topic
    one = gateways(s=stream(kafka, topic, group, group_instance_id="same"))
    one.wait_metric("source_lanes", 1, stream="s", timeout_s=30)
    two = gateways(s=stream(kafka, topic, group, group_instance_id="same"))
    two.wait_metric("source_lanes", 1, stream="s", timeout_s=30)
    one.wait_metric("source_errors_total", 1, stream="s", reason="fenced", timeout_s=40)
    one.wait_metric("source_up", 0, stream="s")
    assert "group_instance_id" in one.log()
