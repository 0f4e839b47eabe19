"""Clients that others wrote: what they make of our streams."""

import asyncio
import json
import subprocess

import httpx
import pytest
import websockets

from conftest import needs
from harness import ROOT

VALUES = [{"n": 1}, "grün\n\u2028", None, 1.5, [True]]
FORGERY = "x\n\ndata: forged\n\nid: forged\r\revent: forged\r\r"


@pytest.fixture
def stream(kafka, gateways):
    """A stream of a few values and one that looks like a forged event."""
    topic = kafka.topic()
    kafka.produce(topic, *[json.dumps(value, ensure_ascii=False) for value in VALUES])
    kafka.produce(topic, {"value": FORGERY, "key": FORGERY, "headers": [(FORGERY[:9], FORGERY.encode())]})
    gateway = gateways({"cors": {"origins": ["*"]}}, s={"source": kafka.source(topic)})
    gateway.wait_metric("records_in_total", len(VALUES) + 1, stream="s")
    gateway.url = f"http://127.0.0.1:{gateway.port}/streams/s"
    gateway.ws_url = gateway.url.replace("http", "ws", 1)
    return gateway


EXPECTED = VALUES + [FORGERY]


def assert_messages(messages):
    """hello, then the records."""
    hello, *records = [json.loads(text) for text in messages]
    assert hello["event"] == "hello"
    assert [record["data"] for record in records] == EXPECTED


def test_python_websockets(stream):
    async def read():
        async with websockets.connect(
            stream.ws_url + "?from=earliest", subprotocols=["headgate.v1.json"]
        ) as ws:
            assert ws.subprotocol == "headgate.v1.json"
            return [await asyncio.wait_for(ws.recv(), 10) for _ in range(len(EXPECTED) + 1)]

    assert_messages(asyncio.run(read()))


def test_python_websockets_sees_a_clean_end_of_a_bounded_read(stream):
    async def read():
        async with websockets.connect(stream.ws_url + "?from=earliest&follow=false") as ws:
            messages = [text async for text in ws]
            return messages, ws.close_code

    messages, code = asyncio.run(read())
    assert json.loads(messages[-1]) == {"event": "end"} and code == 1000
    assert_messages(messages[:-1])


def test_httpx_lines(stream):
    headers = {"Accept": "application/x-ndjson"}
    with httpx.stream("GET", stream.url + "?from=earliest&follow=false", headers=headers) as answer:
        lines = list(answer.iter_lines())
    assert json.loads(lines[-1]) == {"event": "end"}
    assert_messages(lines[:-1])


def test_curl_sse(stream):
    done = subprocess.run(
        ["curl", "-sSN", "-H", "Accept: text/event-stream", stream.url + "?from=earliest&follow=false"],
        capture_output=True, check=True, timeout=20,
    )
    assert done.stdout.count(b"\ndata: ") == len(EXPECTED) + 2
    assert b"\r" not in done.stdout and b"\ndata: forged" not in done.stdout


def test_curl_and_jq(stream):
    needs("jq", "jq")
    line = f"curl -sSN '{stream.url}?from=earliest&follow=false&envelope=data' | jq -c ."
    done = subprocess.run(["sh", "-c", line], capture_output=True, check=True, timeout=20)
    assert [json.loads(text) for text in done.stdout.splitlines()] == EXPECTED


def test_node_ws(stream, node):
    out = node("ws.js", stream.ws_url + "?from=earliest", str(len(EXPECTED) + 1))
    assert_messages(json.loads(out))


@pytest.mark.parametrize("script", ["eventsource.js", "eventsource_parser.js"])
def test_node_sse(stream, node, script):
    out = json.loads(node(script, stream.url + "?from=earliest", str(len(EXPECTED) + 1)))
    assert [event["event"] for event in out] == ["hello"] + ["message"] * len(EXPECTED)
    assert_messages([event["data"] for event in out])
    assert [event["id"] for event in out[1:]] == [json.loads(e["data"])["id"] for e in out[1:]]


def test_eventsource_reconnects_with_its_last_id_and_misses_nothing(kafka, gateways, node, tmp_path):
    """The gateway ends and comes back on its port while the client watches."""
    topic = kafka.topic(2)
    gateway = gateways({"drain": {"timeout": "2s"}}, s={"source": kafka.source(topic)})
    script = subprocess.Popen(
        ["node", f"{ROOT}/tests/e2e/node/eventsource_resume.js",
         f"http://127.0.0.1:{gateway.port}/streams/s?from=earliest", "200"],
        stdout=subprocess.PIPE, text=True,
    )
    try:
        gateway.wait_subscribers(1)
        kafka.burst(topic, 100, partitions=2)
        gateway.wait_metric("records_out_total", 100, transport="sse")
        gateway.stop()
        kafka.burst(topic, 50, partitions=2, first=100)
        gateway.start()
        kafka.burst(topic, 50, partitions=2, first=150)
        out, _ = script.communicate(timeout=30)
    finally:
        script.kill()
    assert sorted(json.loads(out)) == list(range(200))


def test_chromium_eventsource_and_websocket(stream, node):
    needs("chromium", "chromium")
    out = json.loads(node(
        "chromium.js", stream.url + "?from=earliest", stream.ws_url + "?from=earliest",
        str(len(EXPECTED)), timeout_s=90,
    ))
    for transport in ("sse", "ws"):
        assert [json.loads(text)["data"] for text in out[transport]] == EXPECTED, transport


def test_kcat_produces_what_a_subscriber_sees(kafka, gateways):
    needs("kcat", "kcat")
    topic = kafka.topic()
    gateway = gateways(s={"source": kafka.source(topic)})
    sub = gateway.subscribe("s", "ndjson")
    subprocess.run(
        ["kcat", "-P", "-b", kafka.bootstrap, "-t", topic, "-K", "|", "-Z", "-H", "h=v"],
        input=b'k1|{"a":1}\nk2|\n', check=True, timeout=20,
    )
    first, second = [json.loads(message.text) for message in sub.records(2)]
    assert (first["key"], first["data"], first["headers"]) == ("k1", {"a": 1}, {"h": "v"})
    assert (second["key"], second["data"], second["tombstone"]) == ("k2", None, True)


