"""Tokens of topics that are no longer what they were: deleted, made again, cut. Never silence."""

import json

import pytest

from harness import wait_for

pytestmark = pytest.mark.real_only
FAST_METADATA = {"discover": "1s", "librdkafka_options": {"topic.metadata.refresh.interval.ms": 1000}}
# With and without the second lane.
each_lane = pytest.mark.parametrize("readers", [0, 4])


def numbers(messages):
    return [json.loads(message.text)["data"] for message in messages]


def config(readers):
    return {"catchup": {"readers": readers}}


def token_after(gateway, count, stream="s"):
    """The token of the count'th record."""
    messages = gateway.subscribe(stream, "ndjson", **{"from": "earliest"}).records(count)
    return json.loads(messages[-1].text)["id"]


def remake(kafka, topic, *records):
    kafka.broker.delete_topic(topic)

    def made():
        try:
            kafka.create_topic(topic, 1)
            return True
        except Exception:  # it is still being deleted
            return False

    wait_for(made, "the topic again", 30, 0.5)
    kafka.produce(topic, *records)


def assert_told(sub):
    """What cannot be honoured is said: by hello with a reason, or by a gap."""
    if sub.hello["resumed"]:
        assert [gap["reason"] for gap in sub.gaps] == ["reset"]
    else:
        assert sub.hello["reason"] == "the token is past the end of the source"


@each_lane
def test_a_token_of_a_topic_made_again_is_told_after_a_restart(kafka, gateways, readers):
    topic = kafka.topic()
    kafka.produce(topic, *[str(n) for n in range(10)])
    first = gateways(config(readers), s={"source": kafka.source(topic)})
    token = token_after(first, 8)
    first.stop()
    remake(kafka, topic, "100", "101")
    gateway = gateways(config(readers), s={"source": kafka.source(topic)})
    gateway.wait_metric("records_in_total", 2, stream="s")
    sub = gateway.subscribe("s", "sse", **{"from": token})
    if readers:  # read from its new beginning; without a reader, from now on
        assert numbers(sub.records(2)) == [100, 101]
    kafka.produce(topic, "102")
    assert numbers(sub.records(1)) == [102]
    assert_told(sub)


@each_lane
def test_a_token_of_a_topic_made_again_meanwhile_is_told(kafka, gateways, readers):
    topic = kafka.topic()
    kafka.produce(topic, *[str(n) for n in range(10)])
    gateway = gateways(config(readers), s={"source": kafka.source(topic, **FAST_METADATA)})
    token = token_after(gateway, 8)
    remake(kafka, topic, "100", "101")
    gateway.wait_metric("records_in_total", 12, 40, stream="s")
    sub = gateway.subscribe("s", "sse", **{"from": token})
    if readers:
        assert numbers(sub.records(2)) == [100, 101]
    kafka.produce(topic, "102")
    assert numbers(sub.records(1)) == [102]
    assert_told(sub)


@each_lane
def test_records_cut_before_a_token_came_back_are_counted(kafka, gateways, readers):
    topic = kafka.topic()
    kafka.produce(topic, *[str(n) for n in range(50)])
    first = gateways(config(readers), s={"source": kafka.source(topic)})
    token = token_after(first, 5)
    first.stop()
    kafka.broker.delete_records(topic, 0, 30)
    gateway = gateways(config(readers), s={"source": kafka.source(topic)})
    gateway.wait_metric("records_in_total", 20, stream="s")
    sub = gateway.subscribe("s", "sse", **{"from": token})
    assert sub.hello["resumed"] is True
    assert numbers(sub.records(20)) == list(range(30, 50))
    assert [(gap["reason"], gap["count"]) for gap in sub.gaps] == [
        ("retention" if readers else "expired", 25)]


def test_what_is_unread_of_a_deleted_topic_is_sent_or_counted(kafka, gateways):
    kept, lost = kafka.topic(), kafka.topic()
    kafka.produce(lost, *[str(n) for n in range(100)])
    gateway = gateways(s={
        "source": kafka.source([kept, lost], **FAST_METADATA),
        "ring": {"records": 50}, "slow": {"queue": {"records": 50}}})
    gateway.wait_metric("records_in_total", 100, stream="s")
    token = token_after(gateway, 10)
    kafka.broker.delete_topic(lost)
    wait_for(lambda: gateway.metric("source_up", stream="s") == 0, "source_up 0", 30)
    kafka.produce(kept, "100")
    gateway.wait_metric("records_in_total", 101, stream="s")
    sub = gateway.subscribe("s", "sse", **{"from": token})
    found = numbers(sub.records(50))
    assert found == [*range(51, 101)]
    assert [(gap["reason"], gap["count"]) for gap in sub.gaps] == [("expired", 41)]
