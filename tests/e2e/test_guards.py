"""What is known of the HTTP and WebSocket roles of Debian 12's libwebsockets 4.1.6, none of which the
gateway uses. Each probe returns whether its harm came about. It is tried on the gateway, where it must
not, and on lws_naive, a server on these roles, where it must: so each of these tests can fail. Other
versions of the library have mended some; there the outcome is printed only."""

import os
import re
import shutil
import signal
import socket
import subprocess
import time

import pytest

from conftest import missing
from harness import SANITIZED, TOOLS, Program, free_port, wait_for
from payloads import BAD_REQUESTS, SMUGGLED
from wire import Connection, Ended, Http, WebSocket, ws_frame

pytestmark = pytest.mark.mock_only

SPIN_SHARE = 0.4  # of a core; a spin wants all of it, an idle gateway next to nothing
VALGRIND = ["valgrind", "-q", "--error-exitcode=9"]
MEMORY_ERROR = re.compile(r"Invalid (read|write)|AddressSanitizer|uninitialised")


class Naive(Program):
    plain, sse, ws, protocol = "/streams", "/events", "/", "echo"
    descriptors_limit = 64

    def __init__(self, directory, limits=(), under=()):
        self.port = free_port()
        self.log_path = os.path.join(directory, f"naive-{self.port}.log")
        command = [*under, os.path.join(TOOLS, "lws_naive"), str(self.port)]
        if limits:
            command = ["prlimit", *limits, *command]
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
        self.version = self.process.stdout.readline().strip()

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()


@pytest.fixture
def gateway(gateways):
    """A function that starts a gateway as the probes want it."""

    def start(limits=(), under=()):
        one = gateways(
            {"threads": 1}, limits=limits, under=under,
            s={"source": {"synthetic": {"rate": 0, "count": 1}}},
        )
        one.plain, one.sse, one.ws, one.protocol = "/streams", "/streams/s?format=sse", "/streams/s", None
        one.descriptors_limit = 192  # it wants some for itself
        return one

    start.sanitized = SANITIZED
    return start


@pytest.fixture
def naive(tmp_path):
    started = []

    def start(limits=(), under=()):
        started.append(Naive(tmp_path, limits, under))
        return started[-1]

    start.sanitized = False  # the tools are built without, whatever the gateway is
    yield start
    for one in started:
        one.stop()


def spins(server):
    """It is at rest at no time of some seconds."""
    return all(server.wanted_share() > SPIN_SHARE for _ in range(3))


# -- the probes: start is one of the two fixtures


def a_stray_byte_on_sse_spins(start):
    server = start()
    http = Http(server.port).get(server.sse)
    assert http.status == 200
    http.send(b"x")
    return spins(server)


def a_half_closed_sse_client_spins(start):
    server = start()
    http = Http(server.port).get(server.sse)
    assert http.status == 200
    http.sock.shutdown(socket.SHUT_WR)
    return spins(server)


def an_unknown_upgrade_on_a_kept_connection_reads_freed_memory(start):
    if not start.sanitized and not shutil.which("valgrind"):
        missing("no valgrind: install the package valgrind")
    server = start(under=() if start.sanitized else VALGRIND)
    for upgrade in ("foo", "h2c, foo", "websocket2"):
        http = Http(server.port)
        http.get(server.plain).body()
        http.send(f"GET {server.plain} HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: {upgrade}\r\n\r\n")
        try:
            http.response(10)
        except (Ended, TimeoutError):
            pass
        http.close()
    server.process.send_signal(signal.SIGTERM)
    server.process.wait(60)
    return server.process.returncode != 0 or MEMORY_ERROR.search(server.log()) is not None


def h2c_is_switched_to(start):
    http = Http(start().port)
    http.get("/streams", {
        "Connection": "Upgrade, HTTP2-Settings", "Upgrade": "h2c", "HTTP2-Settings": "AAMAAABkAAQAAP__",
    })
    return http.status == 101


def connect_is_held_open(start):
    http = Connection(start().port)
    http.send("CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n")
    return not http.closed_within(12)


def serves(server):
    try:
        return Http(server.port).get(server.plain).status == 200
    except (Ended, OSError):
        return False


def out_of_descriptors_it_spins_or_floods_the_log(start):
    server = start()
    limit = server.descriptors_limit
    subprocess.run(["prlimit", f"--pid={server.pid}", f"--nofile={limit}:{limit}"], check=True)
    lines = len(server.log().splitlines())
    held = [Connection(server.port) for _ in range(limit + 50)]
    spinning = spins(server)
    lines = len(server.log().splitlines()) - lines
    for one in held:
        one.close()
    wait_for(lambda: serves(server), "service after the flood")
    return spinning or lines > 100


def an_unmasked_frame_is_taken(start):
    server = start()
    ws = WebSocket(server.port).open(server.ws, protocol=server.protocol)
    assert ws.status == 101
    ws.send(ws_frame(1, b'{"op":"ping"}', masked=False))
    deadline = time.monotonic() + 10
    while True:
        opcode, payload = ws.frame(deadline)
        if b'"hello"' in payload or b'"id"' in payload:
            continue  # what the gateway sends first
        return opcode != 8


def the_last_of_many_pings_has_no_pong(start):
    server = start()
    ws = WebSocket(server.port).open(server.ws, protocol=server.protocol)
    ws.send(b"".join(ws_frame(9, b"%d" % n) for n in range(10)))
    try:
        while True:
            if ws.frame(time.monotonic() + 2) == (10, b"9"):
                return False
    except (Ended, TimeoutError):
        return True


def served(start, payload):
    """200 or 101 to what must be refused."""
    http = Http(start().port)
    http.send(payload.encode("latin-1"))
    try:
        return http.response(5).status in (200, 101)
    except (Ended, TimeoutError):
        return False


def refused(name):
    payload = BAD_REQUESTS[name].replace("POST", "GET")
    return lambda start: served(start, payload)


def handshake(method="GET", version=13):
    return (
        f"{method} /streams/s HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        f"Sec-WebSocket-Version: {version}\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )


def a_chunk_is_served_as_a_request(start):
    """Content-Length ends the body before the chunk's data, Transfer-Encoding behind it."""
    http = Connection(start().port)
    size = f"{len(SMUGGLED):x}\r\n"
    http.send(
        f"POST /streams HTTP/1.1\r\nHost: a\r\nContent-Length: {len(size)}\r\nTransfer-Encoding: chunked\r\n\r\n"
        f"{size}{SMUGGLED}\r\n0\r\n\r\n"
    )
    try:
        while http.fill(time.monotonic() + 2):
            if http.buffer.count(b" 200 OK\r\n") == 2:
                return True
    except TimeoutError:
        pass
    return False


PROBES = {
    "A: a stray byte on SSE spins": a_stray_byte_on_sse_spins,
    "A: a half-closed SSE client spins": a_half_closed_sse_client_spins,
    "B: an unknown Upgrade on a kept connection reads freed memory":
        an_unknown_upgrade_on_a_kept_connection_reads_freed_memory,
    "C: h2c is switched to": h2c_is_switched_to,
    "D: CONNECT is held open": connect_is_held_open,
    "E: out of descriptors it spins or floods the log": out_of_descriptors_it_spins_or_floods_the_log,
    "F: an unmasked frame is taken": an_unmasked_frame_is_taken,
    **{f"G: served: {name}": refused(name) for name in (
        "no Host", "two Hosts", "bare LF everywhere", "space before the colon",
        "a negative CL", "a huge CL", "a signed CL", "CL and TE",
    )},
    "G: a chunk is served as a request": a_chunk_is_served_as_a_request,
    "G: a WebSocket by POST": lambda start: served(start, handshake("POST")),
    "G: a WebSocket of version 99": lambda start: served(start, handshake(version=99)),
    "H: the last of many pings has no pong": the_last_of_many_pings_has_no_pong,
}


@pytest.mark.parametrize("name", PROBES)
def test_the_harm_does_not_come_about_in_the_gateway(gateway, name):
    assert not PROBES[name](gateway)


@pytest.mark.parametrize("name", PROBES)
def test_the_harm_comes_about_in_libwebsockets_own_roles(naive, name):
    harm = PROBES[name](naive)
    version = naive().version
    print(f"libwebsockets {version}: {name}: {harm}")
    if version.startswith("4.1."):
        assert harm
