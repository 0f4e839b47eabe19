"""What one connection costs beside many that are silent."""
import resource
import socket
import time

import pytest

pytestmark = pytest.mark.mock_only

MANY = 1000
CHATTY = 50
SECONDS = 2
PINGS_A_SECOND = 600
REQUEST = (b"GET /streams/s HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
           b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
PING, PONG = b"\x89\x81\x00\x00\x00\x00x", b"\x8a\x01x"


def connect(gateway):
    sock = socket.create_connection(("127.0.0.1", gateway.port), 20)
    sock.sendall(REQUEST)
    sock.settimeout(20)
    answer = b""
    while b'"hello"' not in answer:
        answer += sock.recv(4096)
    return sock


def cost_of_a_ping(gateway, socks):
    """In seconds of the gateway's CPU time; one ping at a time, at an even pace."""
    begun, cpu, sent = time.monotonic(), gateway.cpu_s(), 0
    while time.monotonic() < begun + SECONDS:
        sock = socks[sent % len(socks)]
        sock.sendall(PING)
        while not sock.recv(4096).endswith(PONG):
            pass
        sent += 1
        time.sleep(max(0, begun + sent / PINGS_A_SECOND - time.monotonic()))
    return (gateway.cpu_s() - cpu) / sent


def test_what_a_client_says_costs_no_more_beside_a_thousand_others(kafka, gateways):
    """libwebsockets by itself looks at all of them each time: that was five to ten times as much."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    silent = []
    try:
        gateway = gateways(s={"source": kafka.source(kafka.topic(1))})
        chatty = [connect(gateway) for _ in range(CHATTY)]
        alone = max(cost_of_a_ping(gateway, chatty) for _ in range(2))
        silent = [connect(gateway) for _ in range(MANY)]
        gateway.wait_rest(left_s=20)
        beside = min(cost_of_a_ping(gateway, chatty) for _ in range(3))
        print(f"{alone * 1e6:.0f} us alone, {beside * 1e6:.0f} us beside {MANY}")
        assert beside < 2 * alone
    finally:
        for sock in silent:
            sock.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
