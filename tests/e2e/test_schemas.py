"""Recorded output of every transport is valid by the published schemas."""

import json
import os

import pytest

from harness import ROOT
from test_transports import AWKWARD, PAYLOADS
from wire import TRANSPORTS

SCHEMAS = os.path.join(ROOT, "schemas")

pytestmark = pytest.mark.mock_only


def validate(node, messages):
    lines = [message.decode() if isinstance(message, bytes) else message for message in messages]
    count = node(
        "validate.js", os.path.join(SCHEMAS, "record.schema.json"),
        os.path.join(SCHEMAS, "control.schema.json"), input="\n".join(lines),
    )
    assert int(count) == len(lines) > 0


@pytest.mark.parametrize("envelope", ["record", "full"])
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_records_and_control_messages_are_valid(kafka, gateways, node, transport, envelope):
    topic = kafka.topic()
    kafka.produce(topic, *[sent for sent, _ in PAYLOADS], {"value": None, "key": "k"})
    kafka.produce(topic, *[
        {"value": "1", "key": raw, "headers": [("h", raw), ("h", None)]} for raw in AWKWARD
    ], b"x" * 5000)
    count = len(PAYLOADS) + len(AWKWARD) + 2
    gateway = gateways(s={"source": kafka.source(topic), "max_record": "4KiB"})
    gateway.wait_metric("records_in_total", count - 1, stream="s")
    sub = gateway.subscribe(
        "s", transport, envelope=envelope, **{"from": "earliest", "follow": "false"}
    )
    records, _ = sub.until_end()
    assert len(records) == count - 1
    controls = [json.dumps(control, separators=(",", ":")) for control in [sub.hello, *sub.controls]]
    assert [control["event"] for control in sub.controls] == ["gap", "end"]
    validate(node, [message.text for message in records] + controls)


def test_a_gap_of_a_slow_subscriber_is_valid(kafka, gateways, node):
    topic = kafka.topic()
    gateway = gateways(s={
        "source": kafka.source(topic), "ring": {"records": 64}, "slow": {"queue": {"records": 64}},
    })
    sub = gateway.subscribe("s", "sse", rcvbuf=4096)
    kafka.burst(topic, 3000, size=1000)
    gateway.wait_metric("records_in_total", 3000, stream="s")
    while not sub.gaps:
        sub.records(1)
    validate(node, [json.dumps(gap, separators=(",", ":")) for gap in sub.gaps])
