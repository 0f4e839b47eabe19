"""Compression: negotiated, shared, at once, and never a part that looks whole. The source is the
synthetic one: what comes from where makes no difference here."""

import asyncio
import json
import subprocess
import time
import zlib

import httpx
import pytest
import websockets

from conftest import needs
from harness import wait_for
from wire import Ended, Http, Subscription, WebSocket, ws_frame

OFFER = {"Sec-WebSocket-Extensions": "permessage-deflate; client_max_window_bits"}
# transport, headers that ask, the coding in metrics
CODED = [
    ("sse", {"Accept-Encoding": "gzip"}, "gzip"),
    ("sse", {"Accept-Encoding": "zstd"}, "zstd"),
    ("ndjson", {"Accept-Encoding": "gzip"}, "gzip"),
    ("ndjson", {"Accept-Encoding": "zstd"}, "zstd"),
    ("ws", OFFER, "permessage-deflate"),
]
each_coded = pytest.mark.parametrize("transport,headers,coding", CODED)
TYPES = {"sse": "text/event-stream", "ndjson": "application/x-ndjson", "json": "application/json"}


def streams(gateways, config=None, **synthetic):
    """A gateway with one thread and the stream s of records of some 700 bytes."""
    source = {"size": 700, **synthetic}
    return gateways({"threads": 1, **(config or {})}, s={"source": {"synthetic": source}})


def finished(gateways, count=400, **synthetic):
    """The same, all records of which are in the ring."""
    gateway = streams(gateways, count=count, rate=0, **synthetic)
    gateway.wait_metric("records_in_total", count, stream="s")
    return gateway


def bounded(gateway, transport, headers=None, **params):
    sub = Subscription(gateway.port, "/streams/s", transport, headers,
                       **{"from": "earliest", "follow": "false", **params})
    records, ended = sub.until_end()
    assert ended.clean
    return sub, [record.text for record in records]


def test_what_accept_encoding_likes_best_is_sent_and_named(gateways):
    gateway = gateways(s={"source": {"synthetic": {}}},
                       off={"source": {"synthetic": {}}, "compression": False})
    cases = [
        (None, None), ("", None), ("gzip", "gzip"), ("br, zstd", "zstd"), ("br", None),
        ("deflate, gzip, br, zstd", "zstd"), ("gzip;q=0.9, zstd;q=0.5", "gzip"),
        ("gzip;q=0.5, identity", None), ("*", "gzip"), ("identity;q=0, gzip", "gzip"),
    ]
    for method in ("HEAD", "GET"):
        for asked, coding in cases:
            for name, expected in (("s", coding), ("off", None)):
                http = Http(gateway.port)
                if name == "off" and "identity;q=0" in (asked or ""):
                    assert http.request(method, "/streams/off", {"Accept-Encoding": asked}).status == 406
                else:
                    http.request(method, f"/streams/{name}", {"Accept-Encoding": asked})
                    assert (http.status, http.headers.get("content-encoding")) == (200, expected), asked
                assert "Accept-Encoding" in http.headers["vary"]
                http.close()
    refused = Http(gateway.port).get("/streams/s", {"Accept-Encoding": "*;q=0"})
    assert refused.status == 406 and b"Accept-Encoding" in refused.body()


@each_coded
def test_what_is_compressed_says_the_same(gateways, transport, headers, coding):
    gateway = finished(gateways)
    for params in ({}, {"envelope": "data"}, {"envelope": "cloudevents"}, {"limit": 7}):
        _, plain = bounded(gateway, transport, **params)
        _, coded = bounded(gateway, transport, headers, **params)
        assert coded == plain and len(plain) == params.get("limit", 400)
    assert gateway.metric("compressions_total", stream="s", coding=coding) > 0
    before = gateway.metric("compression_bytes_in_total", stream="s", coding=coding)
    assert before > gateway.metric("compression_bytes_out_total", stream="s", coding=coding) > 0


@pytest.mark.parametrize("coding", ("gzip", "zstd"))
def test_json_array_is_compressed_and_the_same(gateways, coding):
    gateway = finished(gateways)
    target = "/streams/s?from=earliest&follow=false"
    bodies = []
    for asked in (None, coding):
        http = gateway.get(target, {"Accept": TYPES["json"], "Accept-Encoding": asked})
        assert http.headers.get("content-encoding") == asked
        bodies.append(http.body())
    assert bodies[0] == bodies[1] and len(json.loads(bodies[0])) == 400


def test_http_1_0_gets_gzip_to_the_end_of_the_connection(gateways):
    gateway = finished(gateways)
    target = "/streams/s?from=earliest&follow=false"
    plain = gateway.get(target, version="1.0").body()
    coded = gateway.get(target, {"Accept-Encoding": "zstd, gzip;q=0.1"}, version="1.0")
    assert coded.headers["content-encoding"] == "gzip" and not coded.chunked
    assert coded.body() == plain
    alone = gateway.get(target, {"Accept-Encoding": "zstd"}, version="1.0")
    assert "content-encoding" not in alone.headers, "a cut between frames could not be seen"


@each_coded
def test_lone_record_is_not_held_back(gateways, transport, headers, coding):
    """The next one comes half a second later: what waits for it would be that late, each time."""
    gateway = streams(gateways, rate=2)
    sub = gateway.subscribe("s", transport, headers=headers)
    late_s = []
    while len(late_s) < 8 and min(late_s, default=1) > 0.3:
        (record,) = sub.records(1)
        late_s.append(time.monotonic() - json.loads(record.text)["data"]["sent_ns"] / 1e9)
    assert min(late_s) < 0.3, late_s
    assert gateway.metric("compressions_total", stream="s", coding=coding) >= 1


@each_coded
def test_a_hundred_share_one_compression(gateways, transport, headers, coding):
    gateway = streams(gateways, rate=20)
    subs = [gateway.subscribe("s", transport, headers=headers) for _ in range(100)]
    for sub in subs:
        sub.records(1)

    def counts():
        found = gateway.metrics()  # one answer; what is compressed was in before
        pieces = found["headgate_compressions_total"][f'stream="s",coding="{coding}"']
        return pieces, sum(found["headgate_records_in_total"].values()), sum(
            found["headgate_records_out_total"].values())

    pieces, produced, sent = counts()
    for sub in subs:
        sub.records(30)  # of which some were sent before the first look, on a busy machine
    more_pieces, more_produced, more_sent = (now - then for now, then in zip(counts(), (pieces, produced, sent)))
    assert more_sent >= 100 * 18
    # The counters of one answer are read one after the other: one record may be between them.
    assert 18 <= more_pieces <= more_produced + 2, (more_pieces, more_produced, more_sent)


@each_coded
def test_those_who_read_on_from_the_ring_share_too(gateways, transport, headers, coding):
    """Only where each begins it compresses by itself: a sixth of what is there."""
    gateway = finished(gateways)

    def pieces():
        return gateway.metric("compressions_total", stream="s", coding=coding)

    counts = []
    for _ in range(20):
        sub = gateway.subscribe("s", transport, headers=headers, **{"from": "earliest"})
        assert len(sub.records(400)) == 400
        counts.append(pieces())
    alone = counts[0]
    assert 0 < alone <= counts[-1] < 20 * alone / 2


@pytest.mark.parametrize("transport", ("json", "ndjson"))
@pytest.mark.parametrize("coding", ("gzip", "zstd"))
def test_failure_cuts_the_body_so_that_nobody_takes_it_for_whole(gateways, transport, coding):
    gateway = streams(gateways, on_request=True, rate=0, count=100, fail_after=50)
    target = "/streams/s?envelope=data"
    http = gateway.get(target, {"Accept": TYPES[transport], "Accept-Encoding": coding})
    assert http.headers["content-encoding"] == coding
    with pytest.raises(Ended) as ended:
        http.body()
    assert not ended.value.clean


def test_gzip_that_is_cut_is_not_whole_on_http_1_0(gateways):
    gateway = streams(gateways, on_request=True, rate=0, count=100, fail_after=50)
    http = gateway.get("/streams/s?envelope=data", {"Accept-Encoding": "gzip"}, version="1.0")
    body = http.rest()
    decoder = zlib.decompressobj(16 + zlib.MAX_WBITS)
    assert decoder.decompress(body).count(b"\n") == 50
    assert not decoder.eof


def stalled(gateways, transport, headers, min_bytes):
    """A subscriber that stalls until it has gaps, then goes on to the end of the gateway."""
    gateway = streams(gateways, {"compression": {"min": min_bytes}}, rate=4000, batch=40, size=3000)
    sub = Subscription(gateway.port, "/streams/s", transport, headers, rcvbuf=4096)
    first = json.loads(sub.records(1)[0].text)["data"]["n"]
    wait_for(lambda: gateway.metric("records_in_total", stream="s") > 16000, "records", 60)
    records = sub.records(3000, 60)
    gateway.terminate()
    more, ended = sub.until_end(60)
    return first, [json.loads(record.text) for record in records + more], sub, ended


@pytest.mark.parametrize("transport,headers,coding", [CODED[0], CODED[3], CODED[4]])
def test_slow_subscriber_is_told_all_that_it_lacks(gateways, transport, headers, coding):
    """Nothing is compressed here, so that there is enough to stall on; the checksum holds."""
    first, records, sub, ended = stalled(gateways, transport, headers, "1MiB")
    assert sub.gaps, "it was not slow"
    ids = {gap["from"]: gap for gap in sub.gaps}
    expected = first + 1
    last_id = None
    for record in records:
        gap = ids.get(last_id)
        if gap:
            expected += gap["count"]
        assert record["data"]["n"] == expected, coding
        expected += 1
        last_id = record["id"]
    assert ended.clean


@each_coded
def test_resume_goes_on_at_the_next_record(gateways, transport, headers, coding):
    gateway = finished(gateways)
    sub, plain = bounded(gateway, transport)
    head = Subscription(gateway.port, "/streams/s", transport, headers, **{"from": "earliest"})
    token = json.loads(head.records(150)[-1].text)["id"]
    head.close()
    resumed, rest = bounded(gateway, transport, headers, **{"from": token})
    assert resumed.hello["resumed"] and rest == plain[150:]
    assert not resumed.gaps and sub.hello is not None and coding


# ---- WebSocket ----


def compressed(payload):
    deflate = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return (deflate.compress(payload) + deflate.flush(zlib.Z_SYNC_FLUSH))[:-4]


def opened(gateway, headers=None):
    ws = WebSocket(gateway.port).open("/streams/s", headers)
    assert ws.status == 101
    assert json.loads(ws.text(time.monotonic() + 20))["event"] == "hello"
    return ws


def close_code(ws):
    with pytest.raises(Ended) as ended:
        while True:
            ws.text(time.monotonic() + 20)
    return ended.value.code


def test_websocket_answers_offers_and_keeps_small_messages_plain(gateways):
    gateway = streams(gateways, count=20, rate=0)
    ws = WebSocket(gateway.port).open("/streams/s?from=earliest", OFFER)
    assert ws.headers["sec-websocket-extensions"] == (
        "permessage-deflate; server_no_context_takeover; client_no_context_takeover")
    texts = [ws.text(time.monotonic() + 20) for _ in range(21)]
    assert len(texts) == 21 and ws.compressed == 20, "the greeting is small"
    plain = WebSocket(gateway.port).open("/streams/s?from=earliest")
    assert "sec-websocket-extensions" not in plain.headers
    unknown = {"Sec-WebSocket-Extensions": "permessage-deflate; server_max_window_bits=9, x-other"}
    assert "sec-websocket-extensions" not in opened(gateway, unknown).headers


def test_websocket_takes_compressed_messages_and_refuses_bombs(gateways):
    gateway = streams(gateways, {"limits": {"message": "1KiB"}}, count=0, rate=1)
    ws = opened(gateway, OFFER)
    ws.send(ws_frame(1, compressed(b'{"op":"ping"}'), rsv=4))
    while json.loads(ws.text(time.monotonic() + 20)).get("event") != "pong":
        pass
    ws.send(ws_frame(1, compressed(b" " * 1000000), rsv=4))
    assert close_code(ws) == 1009
    for first, code in ((dict(opcode=1, rsv=4), 1007), (dict(opcode=9, rsv=4), 1002)):
        ws = opened(gateway, OFFER)
        ws.send(ws_frame(payload=b"no deflate", **first))
        assert close_code(ws) == code
    ws = opened(gateway)
    ws.send(ws_frame(1, compressed(b'{"op":"ping"}'), rsv=4))
    assert close_code(ws) == 1002, "it was not negotiated"


def test_head_does_not_open_a_websocket(gateways):
    gateway = streams(gateways)
    http = Http(gateway.port).request("HEAD", "/streams/s", {
        "Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==", **OFFER})
    assert http.status == 405 and http.headers["allow"] == "GET"


# ---- clients that others wrote ----


@pytest.mark.parametrize("transport", ("sse", "ndjson", "json"))
@pytest.mark.parametrize("asked", ("gzip", "zstd", "all"))
def test_curl(gateways, transport, asked):
    needs("curl", "curl")
    gateway = finished(gateways)
    url = f"http://127.0.0.1:{gateway.port}/streams/s?from=earliest&follow=false&envelope=data"
    accept = ["-H", f"Accept: {TYPES[transport]}"]
    # curl decodes what it is sent, whatever it asked for.
    coded = ["--compressed"] + ([] if asked == "all" else ["-H", f"Accept-Encoding: {asked}"])
    texts = [
        subprocess.run(["curl", "-sS", "--fail", *extra, *accept, url], capture_output=True,
                       timeout=60, check=True).stdout for extra in ([], coded)
    ]
    lines = [[line for line in text.splitlines() if not line.startswith(b"retry:")] for text in texts]
    assert lines[0] == lines[1] and len(lines[0]) >= 400
    coding = "zstd" if asked == "all" else asked
    assert gateway.metric("compressions_total", stream="s", coding=coding) > 0


@pytest.mark.parametrize("coding", ("gzip", "zstd"))
def test_curl_says_that_a_cut_body_is_not_whole(gateways, coding):
    needs("curl", "curl")
    gateway = streams(gateways, on_request=True, rate=0, count=100, fail_after=50)
    url = f"http://127.0.0.1:{gateway.port}/streams/s?envelope=data"
    done = subprocess.run(
        ["curl", "-sS", "--compressed", "-H", f"Accept-Encoding: {coding}", url],
        capture_output=True, timeout=60, check=False)
    assert done.returncode != 0 and done.stdout.count(b"\n") == 50


def test_httpx(gateways):
    gateway = finished(gateways)
    url = f"http://127.0.0.1:{gateway.port}/streams/s?from=earliest&follow=false&envelope=data"
    with httpx.stream("GET", url) as answer:
        assert answer.headers["content-encoding"] == "gzip"
        assert [json.loads(line)["n"] for line in answer.iter_lines()] == list(range(400))


def test_node_fetch(gateways, node):
    gateway = finished(gateways)
    url = f"http://127.0.0.1:{gateway.port}/streams/s?from=earliest&follow=false&envelope=data"
    answer = json.loads(node("fetch.js", url, TYPES["json"]))
    assert answer["coding"] == "gzip"
    assert [one["n"] for one in json.loads(answer["text"])] == list(range(400))


def test_websocket_libraries(gateways, node):
    gateway = finished(gateways)
    url = f"ws://127.0.0.1:{gateway.port}/streams/s?from=earliest"
    messages = [json.loads(text) for text in json.loads(node("ws.js", url, "41"))]
    assert [message["data"]["n"] for message in messages[1:]] == list(range(40))
    by_ws = gateway.metric("compressions_total", coding="permessage-deflate")
    assert by_ws >= 40

    async def read():
        async with websockets.connect(url + "&follow=false") as ws:
            await ws.send(json.dumps({"op": "ping", "pad": " " * 500}))
            return [json.loads(text) async for text in ws]

    numbers = [message["data"]["n"] for message in asyncio.run(read()) if "data" in message]
    assert numbers == list(range(400))
    assert gateway.metric("compressions_total", coding="permessage-deflate") >= by_ws + 400


@pytest.mark.parametrize("coding", ("gzip", "zstd"))
def test_chromium(gateways, node, coding):
    """A page gets both compressed, and each record while the stream goes on."""
    needs("chromium", "chromium")
    config = {"cors": {"origins": ["*"]}, "compression": {"codings": [coding, "permessage-deflate"]}}
    gateway = streams(gateways, config, rate=40)
    base = f"127.0.0.1:{gateway.port}/streams/s?from=earliest"
    received = json.loads(node("chromium.js", "http://" + base, "ws://" + base, "60"))
    for texts in received.values():
        assert [json.loads(text)["data"]["n"] for text in texts[:60]] == list(range(60))
    for used in (coding, "permessage-deflate"):
        assert gateway.metric("compressions_total", coding=used) > 0
