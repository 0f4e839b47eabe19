"""Signed resume tokens: who holds no key makes none, and a token is worth something at its stream only."""

import base64
import hashlib
import hmac
import json

import pytest

from wire import TRANSPORTS, Http

KEY, NEXT_KEY = "0123456789abcdef0123456789abcdef", "another key, of thirty-two bytes or more"


def with_keys(*keys, **more):
    return {"tokens": {"keys": list(keys), **more}}


def raw(token):
    return base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))


def text(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def sign(data, stream, key=KEY):
    """What token_keys.h and token.h say, said again."""
    own = hmac.new(key.encode(), b"headgate resume token\0" + stream.encode(), hashlib.sha256).digest()
    return text(data + hmac.new(own, data, hashlib.sha256).digest()[:16])


def ids(messages):
    return [json.loads(message.text)["id"] for message in messages]


def numbers(messages):
    return [json.loads(message.text)["data"]["n"] for message in messages]


def refusal(gateway, token, stream="s", header=None):
    headers = {"Accept": "text/event-stream", **({"Last-Event-ID": token} if header else {})}
    http = Http(gateway.port).get(
        f"/streams/{stream}" + ("" if header else f"?from={token}"), headers
    )
    assert http.status == 400, http.status
    return json.loads(http.body())["detail"]


@pytest.fixture
def topic(kafka):
    topic = kafka.topic(2)
    kafka.burst(topic, 20, partitions=2)
    return topic


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_every_token_that_goes_out_is_signed_and_resumes(kafka, gateways, topic, transport):
    gateway = gateways(with_keys(KEY), s={"source": kafka.source(topic)})
    sub = gateway.subscribe("s", transport, **{"from": "earliest"})
    messages = sub.records(20)
    for token in [sub.hello["from"], *ids(messages)]:
        assert token == sign(raw(token)[:-16], "s")
    again = gateway.subscribe("s", transport, **{"from": ids(messages)[7]})
    assert again.hello["resumed"] is True and again.hello["from"] == ids(messages)[7]
    assert numbers(again.records(12)) == numbers(messages)[8:]


def test_a_gap_names_its_range_with_signed_tokens(kafka, gateways, topic):
    gateway = gateways(with_keys(KEY) | {"catchup": {"readers": 0}}, s={
        "source": kafka.source(topic), "ring": {"records": 16}, "slow": {"queue": {"records": 16}}})
    gateway.wait_metric("records_in_total", 20, stream="s")
    token = gateway.subscribe("s", "ndjson").hello["from"]
    kafka.burst(topic, 100, partitions=2, first=20)
    gateway.wait_metric("records_in_total", 120, stream="s")
    sub = gateway.subscribe("s", "ndjson", **{"from": token, "follow": "false"})
    records, _ = sub.until_end()
    (gap,) = sub.gaps
    assert gap["from"] == token and gap["count"] + len(records) == 100
    for name in ("from", "to"):
        assert gap[name] == sign(raw(gap[name])[:-16], "s")


def test_what_is_not_signed_for_this_stream_is_400(kafka, gateways, topic):
    gateway = gateways(with_keys(KEY), s={"source": kafka.source(topic)}, t={"source": kafka.source(topic)})
    good = ids(gateway.subscribe("s", "ndjson", **{"from": "earliest"}).records(3))[2]
    body = raw(good)[:-16]
    assert "not signed" in refusal(gateway, text(b"\x01" + body[1:]))
    assert "signature" in refusal(gateway, sign(body, "s", NEXT_KEY))
    assert "signature" in refusal(gateway, good, stream="t")
    assert "signature" in refusal(gateway, text(body[:-1] + b"\x77" + raw(good)[-16:]))
    assert "signature" in refusal(gateway, text(body + bytes(16)))
    assert refusal(gateway, good[:-1]).startswith("from: not a resume token")
    assert refusal(gateway, text(b"\x01" + body[1:]), header=True).startswith("Last-Event-ID: ")
    assert gateway.subscribe("s", "ndjson", **{"from": good}).hello["resumed"] is True


def test_keys_are_turned_on_and_rotated_without_losing_a_client(kafka, gateways, topic):
    """One client's token, carried over gateways as an operator would change them one after another."""
    steps = [
        {},
        with_keys(KEY, accept_unsigned=True),
        with_keys(KEY),
        with_keys(KEY, NEXT_KEY),
        with_keys(NEXT_KEY, KEY),
        with_keys(NEXT_KEY),
        {},
    ]
    place, seen = "earliest", []
    for config in steps:
        gateway = gateways(config, s={"source": kafka.source(topic)})
        sub = gateway.subscribe("s", "ndjson", envelope="full", **{"from": place})
        if place != "earliest":
            assert sub.hello["resumed"] is True
        messages = sub.records(2)
        seen += numbers(messages)
        place = ids(messages)[-1]
        gateway.stop()
    assert len(seen) == len(set(seen)) == 2 * len(steps)
