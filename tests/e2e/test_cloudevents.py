"""envelope=cloudevents: CloudEvents 1.0 in JSON, by the rules of the specification."""

import json
import os
import re
import sys

import pytest

from harness import ROOT
from test_transports import AWKWARD, PAYLOADS
from wire import TRANSPORTS, Http

sys.path.insert(0, os.path.join(ROOT, "tests", "schemas"))
import validators  # noqa: E402  pylint: disable=wrong-import-position

EVENT = {"specversion": "1.0", "id": "e1", "source": "/shop", "type": "order.placed", "data": {"total": 7}}
RFC_3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")
URI_REFERENCE = re.compile(r"([A-Za-z0-9._~!$&'()*+,;=:@/?#-]|%[0-9A-F]{2})+")


def assert_event(event):
    """What section 3.1 of the specification and the JSON format's section 3 say of it."""
    assert event["specversion"] == "1.0"
    for name in ("id", "source", "type"):
        assert isinstance(event[name], str) and event[name], name
    assert URI_REFERENCE.fullmatch(event["source"])
    for name, value in event.items():
        assert name == "data_base64" or re.fullmatch(r"[a-z0-9]{1,20}", name), name
        assert name == "data" or isinstance(value, (str, bool, int)), name
    assert "event" not in event and not {"data", "data_base64"} <= set(event)
    assert "time" not in event or RFC_3339.fullmatch(event["time"])
    assert event.get("subject", "x") and event.get("datacontenttype", "x/y")


def read(gateway, transport, **params):
    sub = gateway.subscribe("s", transport, envelope="cloudevents", **{
        "from": "earliest", "follow": "false", **params})
    records, ended = sub.until_end()
    assert ended.clean
    assert [control["event"] for control in sub.controls][-1] == "end", "control messages are as ever"
    return records


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_every_payload_key_and_header_makes_a_valid_event(kafka, gateways, transport):
    topic = kafka.topic()
    kafka.produce(topic, *[sent for sent, _ in PAYLOADS], *[
        {"value": "1", "key": raw, "headers": [("h", raw), ("h", None)]} for raw in AWKWARD])
    count = len(PAYLOADS) + len(AWKWARD)
    gateway = gateways(s={"source": kafka.source(topic)})
    gateway.wait_metric("records_in_total", count, stream="s")
    records = read(gateway, transport)
    events = [json.loads(message.text) for message in records]
    assert len(events) == count and len({event["id"] for event in events}) == count
    for n, (event, message) in enumerate(zip(events, records)):
        assert_event(event)
        assert event["id"] == f"0/{n}" and event["source"] == topic
        assert transport != "sse" or message.id == event["headgatetoken"]
    schema = "record.schema.json#/definitions/cloudevent"
    plain = [json.loads(message.text, parse_float=str) for message in records]
    verdicts = validators.verdicts([{"schema": schema, "value": event} for event in plain])
    assert set(verdicts) == {""}


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_events_in_either_mode_keep_what_they_are(kafka, gateways, transport):
    topic = kafka.topic()
    text = json.dumps(EVENT, separators=(", ", " : "))
    kafka.produce(topic, text, {"value": '{"total": 8}', "key": "k", "headers": [
        ("ce_specversion", b"1.0"), ("ce_id", b"e2"), ("ce_source", b"/shop"), ("ce_type", b"order.paid"),
        ("ce_subject", "\u00e4".encode()), ("content-type", b"application/json"), ("other", b"x")]},
        {"value": None, "key": "k"})
    gateway = gateways(s={"source": kafka.source(topic)})
    gateway.wait_metric("records_in_total", 3, stream="s")
    structured, binary, tombstone = read(gateway, transport)
    assert structured.text.decode() == text, "byte for byte"
    event = json.loads(binary.text)
    token = event.pop("headgatetoken")
    assert event == {
        "specversion": "1.0", "id": "e2", "source": "/shop", "type": "order.paid", "subject": "\u00e4",
        "datacontenttype": "application/json", "data": {"total": 8}}
    last = json.loads(tombstone.text)
    assert last["subject"] == "k" and not {"data", "data_base64", "datacontenttype"} & set(last)
    again = read(gateway, transport, **{"from": token})
    assert [message.text for message in again] == [tombstone.text], "the token resumes"
    if transport == "sse":
        assert len(read(gateway, transport, **{"from": structured.id})) == 2


def test_a_json_array_of_events(kafka, gateways):
    topic = kafka.topic()
    kafka.produce(topic, "1", "2")
    gateway = gateways(s={"source": kafka.source(topic)})
    gateway.wait_metric("records_in_total", 2, stream="s")
    target = "/streams/s?envelope=cloudevents&from=earliest&follow=false&format=json"
    assert [event["data"] for event in Http(gateway.port).get(target).json()] == [1, 2]
