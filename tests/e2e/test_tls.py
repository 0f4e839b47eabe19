"""The TLS listener: each transport over it, clients that speak something else, and slow readers."""

import asyncio
import json
import random
import socket
import ssl
import subprocess
import time

import pytest
import websockets

from conftest import needs
from harness import free_port
from wire import Connection, Ended, Http, Subscription, ws_frame

pytestmark = pytest.mark.mock_only


@pytest.fixture(scope="session")
def certificate(tmp_path_factory):
    needs("openssl", "openssl")
    directory = tmp_path_factory.mktemp("tls")
    cert, key = str(directory / "cert.pem"), str(directory / "key.pem")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
         "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
         "-keyout", key, "-out", cert],
        check=True, capture_output=True,
    )
    return {"cert": cert, "key": key}


@pytest.fixture
def tls(gateways, certificate):
    """A function that starts a gateway with a TLS listener: .tls is what Connection takes for a port."""

    def start(config=None, **streams):
        streams = streams or {"s": {"source": {"synthetic": {"rate": 0, "count": 100}}}}
        port = free_port()
        listen = [{"address": f"127.0.0.1:{port}", "tls": certificate}]
        gateway = gateways({"listen": listen, "threads": 1, **(config or {})}, **streams)
        context = ssl.create_default_context(cafile=certificate["cert"])
        context.check_hostname = False
        gateway.port, gateway.tls = port, (port, context)
        gateway.cert = certificate["cert"]
        return gateway

    return start


def curl(gateway, target, *args):
    """What curl reads; it fails on a missing close_notify where the end of the connection ends the body."""
    needs("curl", "curl")
    command = ["curl", "-sS", "-N", "--max-time", "20", "-k", *args, f"https://127.0.0.1:{gateway.port}{target}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout



@pytest.mark.parametrize("version", ["--http1.1", "--http1.0"])
def test_curl_reads_ndjson_and_sse_to_their_clean_end(tls, version):
    gateway = tls()
    gateway.wait_metric("records_in_total", 100)
    text = curl(gateway, "/streams/s?from=earliest&limit=100&envelope=data", version)
    assert len(text.splitlines()) == 100
    text = curl(gateway, "/streams/s?from=earliest&limit=100&format=sse&envelope=data", version)
    assert text.count("data: ") >= 100


def test_python_websockets_reads_wss(tls):
    gateway = tls()
    gateway.wait_metric("records_in_total", 100)

    async def read():
        uri = f"wss://127.0.0.1:{gateway.port}/streams/s?from=earliest&limit=100"
        messages = []
        async with websockets.connect(uri, ssl=gateway.tls[1]) as ws:
            async for message in ws:
                messages.append(json.loads(message))
        return messages, ws.close_code

    messages, code = asyncio.run(asyncio.wait_for(read(), 20))
    assert code == 1000
    assert len([message for message in messages if "event" not in message]) == 100


def test_kept_alive_and_pipelined_requests_over_tls(tls):
    gateway = tls()
    http = Http(gateway.tls)
    for _ in range(3):
        assert http.get("/streams").status == 200
        http.body()
    http.send("GET /streams HTTP/1.1\r\nHost: a\r\n\r\n" * 50)
    for _ in range(50):
        assert http.response().status == 200
        http.body()


def test_a_long_post_is_held_back_and_taken_whole_over_tls(tls):
    gateway = tls(s={"source": {"push": {"memory": "64KiB", "wait": "1m"}}, "max_record": "16KiB"})
    http = Http(gateway.tls)
    http.send("POST /streams/s HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-ndjson\r\n"
              "Transfer-Encoding: chunked\r\n\r\n")
    lines = ('"' + "x" * 9000 + '"\n') * 20
    for _ in range(20):
        http.send(f"{len(lines):x}\r\n{lines}\r\n")
    http.send("0\r\n\r\n")
    assert http.response(60).status == 202 and http.json()["count"] == 400
    gateway.wait_rest()


def test_clear_text_and_garbage_on_the_tls_port_are_cut_and_cost_nothing(tls):
    gateway = tls({"timeouts": {"header": "2s"}})
    lines = len(gateway.log().splitlines())
    for data in (b"GET /streams HTTP/1.1\r\nHost: a\r\n\r\n", random.Random(1).randbytes(3000), b"\x16\x03\x01\xff\xff"):
        http = Connection(gateway.port)
        http.send(data)
        assert http.closed_within(6), data[:20]
    assert Connection(gateway.port).closed_within(6), "no handshake at all"
    for _ in range(100):
        http = Connection(gateway.port)
        http.send(b"GET / HTTP/1.1\r\n\r\n")
        http.closed_within(3)
    gateway.wait_rest(0.1)
    assert len(gateway.log().splitlines()) - lines < 20
    assert Http(gateway.tls).get("/streams").status == 200


@pytest.mark.parametrize("transport", ["ws", "sse", "ndjson"])
def test_a_bounded_read_reaches_a_slow_reader_whole(tls, transport):
    """What waits for the socket when the stream ends is not lost with the connection."""
    gateway = tls(s={"source": {"synthetic": {"rate": 0, "count": 4000, "size": 1000}}})
    gateway.wait_metric("records_in_total", 4000)
    sub = Subscription(
        gateway.tls, "/streams/s", transport, rcvbuf=4096, limit=4000, slow="drop_oldest", **{"from": "earliest"}
    )
    time.sleep(1)
    records, ended = sub.until_end(60)
    assert len(records) == 4000 and ended.clean


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_the_last_bytes_reach_readers_that_stall_at_every_fill_of_the_buffers(tls, version):
    """Ends that fall before, within and behind what the kernel takes from the gateway."""
    gateway = tls(s={"source": {"synthetic": {"rate": 0, "count": 400, "size": 1000}}})
    gateway.wait_metric("records_in_total", 400)
    readers = []
    for limit in range(100, 180, 3):
        http = Http(gateway.tls, rcvbuf=4096)
        http.get(f"/streams/s?from=earliest&envelope=data&limit={limit}", version=version)
        readers.append((limit, http))
    time.sleep(1)
    for limit, http in readers:
        assert http.body().count(b"\n") == limit
        http.sock.unwrap()  # raises without a close_notify


def stalled(gateway, transport):
    """A TLS subscriber for whom bytes wait, also in the gateway."""
    sub = Subscription(gateway.tls, "/streams/s", transport, rcvbuf=4096, **{"from": "earliest"})
    time.sleep(1.5)
    return sub


@pytest.mark.parametrize("what", ["ping", "stray bytes", "half-close", "reset"])
def test_a_stalled_tls_reader_that_sends_does_not_spin(tls, what):
    gateway = tls(s={"source": {"synthetic": {"rate": 2000, "size": 1000}}})
    sub = stalled(gateway, "sse" if what == "stray bytes" else "ws")
    quiet = gateway.cpu_share()
    if what == "ping":
        sub.http.send(ws_frame(9, b"hello"))
    elif what == "stray bytes":
        sub.http.send(b"x")
    elif what == "half-close":
        sub.http.sock.shutdown(socket.SHUT_WR)
    else:
        sub.close()
    gateway.wait_rest(quiet + 0.4)
    sub.close()
    gateway.wait_subscribers(0)


@pytest.mark.parametrize("transport", ["ws", "sse", "ndjson"])
def test_what_a_slow_tls_reader_gets_and_its_gaps_add_up(tls, transport):
    gateway = tls(s={
        "source": {"synthetic": {"rate": 20000, "count": 40000, "size": 500}},
        "slow": {"queue": {"records": 100}}, "ring": {"records": 1000},
    })
    sub = Subscription(
        gateway.tls, "/streams/s", transport, rcvbuf=4096, slow="drop_oldest", **{"from": "earliest"}
    )
    gateway.wait_metric("records_in_total", 40000, timeout_s=60)
    following, dropped = None, 0  # unknown before the first record: the ring may have gone on
    while following != 40000:
        message = sub.next()
        body = json.loads(message.text)
        if message.event == "gap":
            dropped += body["count"]
            following = following and following + body["count"]
        elif message.event is None:
            assert following in (None, body["data"]["n"])
            following = body["data"]["n"] + 1
    assert dropped > 1000
