"""Filters and conflation in the second lane."""

import json

import pytest

from test_catchup import COUNT, PARTITIONS, assert_whole, old, place  # noqa: F401  (old is a fixture)
from wire import TRANSPORTS


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_filter_holds_in_the_second_lane_and_after_it(kafka, old, transport):  # noqa: F811
    gateway, topic = old
    sub = gateway.subscribe(
        "s", transport, envelope="full", where="/n<3000", **{"from": "earliest"}
    )
    records = sub.records(3000)
    assert sorted(json.loads(message.text)["data"]["n"] for message in records) == list(range(3000))
    again = gateway.subscribe(
        "s", transport, envelope="full", where="/n>=5990", **{"from": "earliest"}
    )
    kafka.burst(topic, 50, partitions=PARTITIONS, first=COUNT)
    records = again.records(60)
    assert sorted(json.loads(m.text)["data"]["n"] for m in records) == list(range(5990, COUNT + 50))
    assert not sub.gaps and not again.gaps


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_conflating_subscriber_catches_up_whole(kafka, gateways, transport):
    topic = kafka.topic(PARTITIONS)
    slow = {"queue": {"records": 512}, "allow": ["conflate"]}
    gateway = gateways(s={"source": kafka.source(topic), "ring": {"records": 1024}, "slow": slow})
    kafka.burst(topic, COUNT, partitions=PARTITIONS)
    gateway.wait_metric("records_in_total", COUNT, stream="s")
    sub = gateway.subscribe("s", transport, envelope="full", slow="conflate", **{"from": "earliest"})
    places = [place(message) for message in sub.records(COUNT)]
    kafka.burst(topic, 300, partitions=PARTITIONS, first=COUNT)
    places += [place(message) for message in sub.records(300)]
    assert_whole(places, COUNT + 300)
