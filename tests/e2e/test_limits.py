"""Limits of connections, descriptors, request heads and kernel memory; time-outs; and bursts."""

import os
import random
import re
import resource
import socket
import struct
import subprocess
import threading
import time

import pytest

from conftest import needs
from harness import SANITIZED, wait_for
from payloads import BAD_REQUESTS, FRAMES
from wire import Connection, Ended, Http, Subscription, WebSocket, ws_frame

pytestmark = pytest.mark.mock_only

GET = "GET /streams HTTP/1.1\r\nHost: a\r\n\r\n"
FUZZ_S = float(os.environ.get("FUZZ_E2E_SECONDS") or (10 if os.environ.get("CI") else 20))


@pytest.fixture
def served(gateways):
    """A function that starts a gateway with one thread and a stream of 100 records."""

    def start(config=None, source=None, limits=(), **stream):
        source = source or {"rate": 0, "count": 100}
        gateway = gateways(
            {"threads": 1, **(config or {})}, limits=limits, s={"source": {"synthetic": source}, **stream}
        )
        if source.get("count"):
            gateway.wait_metric("records_in_total", source["count"])
        return gateway

    return start


def assert_serves(gateway):
    http = gateway.get("/streams/s?from=earliest&limit=1&envelope=data")
    assert http.body().startswith(b'{"n":')
    http.close()


def wait_serves(gateway):
    """Again, after a flood whose clients it may still be counting."""

    def serves():
        try:
            return gateway.get("/streams").status == 200
        except (Ended, OSError):
            return False

    wait_for(serves, "service after the flood")


# -- connections and descriptors


@pytest.mark.parametrize("asks", ["at once", "later"])
def test_at_the_limit_each_client_reads_503_whole(served, asks):
    gateway = served({"limits": {"connections": 4}})
    held = [gateway.subscribe("s", "sse") for _ in range(4)]
    for _ in range(50):
        http = Http(gateway.port)
        if asks == "later":
            time.sleep(0.01)
        try:
            http.send(GET)
        except OSError:
            pass
        assert http.response(5).status == 503
        assert http.headers["retry-after"]
        assert http.json()["status"] == 503
        assert http.closed_within(5)
        http.close()
    gateway.wait_rest()
    held[0].close()
    gateway.wait_subscribers(3)
    assert_serves(gateway)


def test_with_no_descriptor_left_to_give_up_nothing_spins_and_service_comes_back(served):
    """As when other threads take the last ones: even refusing needs a descriptor."""
    gateway = served()
    before = resource.prlimit(gateway.pid, resource.RLIMIT_NOFILE)
    # poll(2) fails of more descriptors than the limit allows: those that asked for metrics must be gone.
    wait_for(lambda: gateway.connections() == 0, "only the listeners are left")
    # Below all that are open, so that not even closing one helps; not below what poll(2) watches.
    resource.prlimit(gateway.pid, resource.RLIMIT_NOFILE, (3, before[1]))
    held = [Connection(gateway.port) for _ in range(20)]
    gateway.wait_rest(0.3, 1.5)
    resource.prlimit(gateway.pid, resource.RLIMIT_NOFILE, before)
    wait_serves(gateway)
    for one in held:
        one.close()
    # Again, within reach of the spare one.
    limit = gateway.descriptors() + 10
    resource.prlimit(gateway.pid, resource.RLIMIT_NOFILE, (limit, before[1]))
    held = [Connection(gateway.port) for _ in range(100)]
    gateway.wait_rest(0.3, 1.5)
    for one in held:
        one.close()
    wait_serves(gateway)


def test_a_stuck_reader_holds_little_kernel_memory(served):
    gateway = served(source={"rate": 0, "count": 20000, "size": 1000}, ring={"records": 20000, "bytes": "64MiB"})
    subs = [
        Subscription(gateway.port, "/streams/s", transport, rcvbuf=4096, **{"from": "earliest"})
        for transport in ("ws", "sse", "ndjson")
    ]
    time.sleep(0.5)
    needs("ss", "iproute2")
    text = subprocess.run(
        ["ss", "-Htmn", f"sport = :{gateway.port}"], capture_output=True, text=True, check=True
    ).stdout
    held = [int(value) for value in re.findall(r"skmem:\(.*?,w(\d+)", text)]
    limits = [int(value) for value in re.findall(r"skmem:\(.*?,tb(\d+)", text)]
    assert len(held) >= 3
    assert max(held) < 300000 and max(limits) <= 2 * 65536, text
    assert sorted(held)[-3] > 10000, "they are stuck"
    for sub in subs:
        sub.close()


def test_three_hundred_connects_and_resets_leave_nothing(served):
    gateway = served()
    assert_serves(gateway)
    before = gateway.descriptors()
    for round_ in range(3):
        held = []
        for n in range(100):
            http = Connection(gateway.port)
            if n % 3:
                http.send(GET[: n % 40] if n % 3 == 1 else "GET /streams/s HTTP/1.1\r\nHost: a\r\n\r\n")
            http.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            held.append(http)
            if round_ < 2:
                http.close()
        for http in held:
            http.close()
    gateway.wait_subscribers(0)
    wait_for(lambda: gateway.descriptors() <= before, "all descriptors back")
    gateway.wait_rest()
    assert_serves(gateway)


# -- heads and time-outs


def test_sixty_four_kilobytes_of_headers_are_431(served):
    gateway = served()
    http = Http(gateway.port)
    try:
        http.send("GET /streams HTTP/1.1\r\nHost: a\r\n" + "X: " + "y" * 65536 + "\r\n\r\n")
    except OSError:
        pass
    assert http.response().status == 431
    assert http.closed_within(5)
    http = Http(gateway.port)
    http.send("GET /streams HTTP/1.1\r\nHost: a\r\n" + "X: y\r\n" * 10000 + "\r\n")
    assert http.response().status == 431
    http = Http(gateway.port)
    http.send("GET /" + "x" * 65536 + " HTTP/1.1\r\nHost: a\r\n\r\n")
    assert http.response().status == 414
    assert_serves(gateway)


def test_a_slow_head_is_408_also_on_a_kept_connection_and_behind_another_request(served):
    gateway = served({"timeouts": {"header": "1s", "idle": "30s"}})
    for before in ("", GET):
        http = Http(gateway.port)
        http.send(before + GET[:30])
        if before:
            assert http.response().status == 200
            http.body()
        assert http.response(5).status == 408
        assert http.headers["connection"] == "close"
        http.body()
        assert http.closed_within(5)


def test_each_of_many_slow_heads_is_408_though_a_part_of_them_is_looked_at_at_a_time(served):
    gateway = served({"timeouts": {"header": "1s"}, "limits": {"connections": 1000}})
    slow = [Http(gateway.port) for _ in range(400)]
    for http in slow:
        http.send(GET[:30])
    began = time.monotonic()
    assert {http.response(20).status for http in slow} == {408}
    assert time.monotonic() - began > 0.5
    assert_serves(gateway)


def test_a_kept_connection_is_closed_after_the_idle_timeout_and_not_before(served):
    gateway = served({"timeouts": {"idle": "2s", "header": "30s"}})
    http = Http(gateway.port)
    for _ in range(6):
        time.sleep(0.5)
        assert http.get("/streams").status == 200
        http.body()
    assert http.closed_within(8)
    assert http.buffer == b""


def test_pipelined_requests_are_answered_in_order(served):
    gateway = served()
    http = Http(gateway.port)
    http.send(GET + "HEAD /streams HTTP/1.1\r\nHost: a\r\n\r\n" + GET.replace("streams", "nothing") + GET)
    assert http.response().status == 200
    http.body()
    assert http.response().status == 200  # HEAD: no body follows
    assert http.response().status == 404
    http.body()
    assert http.response().status == 200
    assert http.json()["streams"]


def test_a_thousand_pipelined_requests_of_a_client_that_reads_late_are_answered_or_refused(served):
    gateway = served()
    http = Http(gateway.port, rcvbuf=4096)
    http.sock.settimeout(2)
    try:
        http.send(GET * 1000)
    except OSError:
        pass
    time.sleep(0.3)
    answered = 0
    try:
        while http.response(5).status == 200:
            http.body()
            answered += 1
    except (Ended, TimeoutError, OSError):
        pass
    assert answered > 50
    assert_serves(gateway)


def test_requests_may_come_before_and_after_a_stream_that_ends_but_none_after_one_that_does_not(served):
    gateway = served()
    http = Http(gateway.port)
    http.send(GET + "GET /streams/s?from=earliest&limit=3&envelope=data HTTP/1.1\r\nHost: a\r\n\r\n" + GET)
    for _ in range(3):
        assert http.response().status == 200
        assert http.body().count(b"\n") == (3 if http.chunked else 1)
    http.send("GET /streams/s HTTP/1.1\r\nHost: a\r\n\r\n" + GET)
    assert http.closed_within(5)


@pytest.mark.parametrize("path", ["/streams", "/streams/s", "/nothing"])
def test_a_request_with_a_body_is_answered_and_the_connection_closed(served, path):
    gateway = served()
    for body in ("Content-Length: 200000\r\n\r\n" + "x" * 200000, "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"):
        for method in ("GET", "POST"):
            http = Http(gateway.port)
            try:
                http.send(f"{method} {path} HTTP/1.1\r\nHost: a\r\n{body}")
            except OSError:
                pass
            assert http.response(5).status in (200, 400, 404, 405)
            assert http.headers["connection"] == "close"
            assert http.closed_within(5)


@pytest.mark.parametrize("format_", ["sse", "ndjson", "json"])
def test_head_of_a_stream_has_the_head_and_no_body(served, format_):
    gateway = served()
    http = Http(gateway.port)
    for headers in ({}, {"Connection": "close"}):
        http.request("HEAD", f"/streams/s?format={format_}{'&limit=1' if format_ == 'json' else ''}", headers)
        assert http.status == 200
    assert http.rest(5) == b""
    assert gateway.metric("subscribers") == 0


def test_a_client_that_goes_at_each_byte_of_a_request_leaves_nothing(served):
    gateway = served()
    assert_serves(gateway)
    before = gateway.descriptors()
    request = (
        "GET /streams/s HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    ).encode() + ws_frame(1, b'{"op":"ping"}')
    for end in range(len(request) + 1):
        for how in ("close", "reset", "half-close"):
            http = Connection(gateway.port)
            http.send(request[:end])
            if how == "half-close":
                http.sock.shutdown(socket.SHUT_WR)
                assert http.closed_within(5), end
            elif how == "reset":
                http.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            http.close()
    gateway.wait_subscribers(0)
    wait_for(lambda: gateway.descriptors() <= before, "all descriptors back")
    gateway.wait_rest()
    assert_serves(gateway)


# -- bytes of any kind


def mutated(rng, seeds):
    """One of the seeds, cut, repeated, spliced, with bytes changed."""
    data = bytearray(rng.choice(seeds))
    for _ in range(rng.randrange(6)):
        at = rng.randrange(len(data) + 1)
        kind = rng.randrange(5)
        if kind == 0 and data:
            data[at % len(data)] = rng.randrange(256)
        elif kind == 1:
            del data[at : at + rng.randrange(1, 20)]
        elif kind == 2:
            data[at:at] = rng.choice((b"\r\n", b"\n", b":", b"\0", b"%", b" ", b"\r\n\r\n", b"GET / ", rng.randbytes(9)))
        elif kind == 3:
            data[at:at] = data[rng.randrange(len(data) + 1) :][: rng.randrange(200)]
        else:
            other = rng.choice(seeds)
            data[at:] = other[rng.randrange(len(other) + 1) :]
    return bytes(data)


def test_random_bytes_and_mutated_requests_never_end_it(served):
    gateway = served({"timeouts": {"header": "1s", "idle": "1s"}})
    seed = int(os.environ.get("FUZZ_E2E_SEED") or 1)
    rng = random.Random(seed)
    upgrade = (
        "GET /streams/s?from=earliest HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    ).encode()
    seeds = [text.encode("latin-1") for text in BAD_REQUESTS.values()]
    seeds += [upgrade + frame for frame, _ in FRAMES.values()]
    seeds += [GET.encode() * 3, upgrade + ws_frame(1, b'{"op":"ping"}') * 3 + ws_frame(8, b"\x03\xe8")]
    seeds += [
        f"GET /streams/s?{query} HTTP/1.1\r\nHost: a\r\nAccept: text/event-stream\r\n\r\n".encode()
        for query in ("from=earliest&limit=3", "from=%41QE&envelope=full&queue=7", "slow=drop_newest&heartbeat=1s")
    ]
    ends, sent, held = time.monotonic() + FUZZ_S, 0, []
    while time.monotonic() < ends:
        data = rng.randbytes(rng.randrange(2000)) if rng.random() < 0.2 else mutated(rng, seeds)
        http = Connection(gateway.port)
        try:
            for cut in range(rng.randrange(1, 4)):
                http.send(data[cut * 200 :] if cut else data)
        except OSError:
            pass
        held.append(http)
        sent += 1
        if len(held) > 50:
            held.pop(rng.randrange(len(held))).close()
        if sent % 1000 == 0:
            assert gateway.process.poll() is None, f"seed {seed}, about connection {sent}:\n{gateway.log()[-4000:]}"
    for http in held:
        http.close()
    assert gateway.process.poll() is None, f"seed {seed}:\n{gateway.log()[-4000:]}"
    assert sent > (20 if SANITIZED else 100)
    gateway.wait_subscribers(0)
    gateway.wait_rest()
    assert_serves(gateway)


# -- many threads


def test_connections_that_come_and_go_on_every_thread_do_not_end_it(gateways):
    """What the library counts without a lock, each thread must count for itself."""
    gateway = gateways({"threads": 8}, s={"source": {"synthetic": {"rate": 0, "count": 100}}})

    def churn():
        for _ in range(1500):
            sock = socket.create_connection(("127.0.0.1", gateway.port))
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            sock.close()

    threads = [threading.Thread(target=churn) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    wait_serves(gateway)
    gateway.stop()  # which asserts the exit status
