"""Viewers of answers that are cut after any byte and go on: what each transport's bytes say, and one
that keeps its connections, since thousands are asked for."""

import json
import struct
import time
from collections import namedtuple

from wire import Ended, Http, WebSocket

ACCEPT = {"sse": "text/event-stream", "ndjson": "application/x-ndjson"}
TIMEOUT_S = 60
ENDS = {"end", "failed", "cancelled"}

# text: the message as it stands on the wire; data: its JSON; end: the place behind it; token: to go on
# behind it, as a client of that transport knows it; control: its event, None for a record.
Told = namedtuple("Told", "text data end token control")


def event_of(text):
    """A control message has it first."""
    return json.loads(text)["event"] if text.startswith(b'{"event":') else None


def _token(text, control):
    if control:
        return json.loads(text)["from"] if control == "hello" else None
    return json.loads(text)["id"]


def _blocks(body):
    at = 0
    for block in body.split(b"\n\n")[:-1]:
        at += len(block) + 2
        lines = block.split(b"\n")
        data = [line[6:] for line in lines if line.startswith(b"data: ")]
        ids = [line[4:].decode() for line in lines if line.startswith(b"id: ")]
        if data:  # else it is retry:, a heartbeat
            yield Told(block, data[0], at, ids[0] if ids else None, event_of(data[0]))


def _lines(body):
    at = 0
    for line in body.split(b"\n")[:-1]:
        at += len(line) + 1
        if line:
            control = event_of(line)
            yield Told(line, line, at, _token(line, control), control)


def _frames(body):
    at = 0
    while len(body) >= at + 2:
        opcode, length, head = body[at] & 15, body[at + 1], 2
        if length == 126:
            (length,), head = struct.unpack(">H", body[at + 2:at + 4].ljust(2, b"\xff")), 4
        elif length == 127:
            (length,), head = struct.unpack(">Q", body[at + 2:at + 10].ljust(8, b"\xff")), 10
        text = body[at + head:at + head + length]
        if len(body) < at + head + length:
            return
        at += head + length
        if opcode == 1:
            control = event_of(text)
            yield Told(text, text, at, _token(text, control), control)
        elif opcode == 8:
            yield Told(text, text, at, None, "close")


PARSERS = {"sse": _blocks, "ndjson": _lines, "ws": _frames}


def parse(transport, body):
    """What the complete messages of a body, or of a part of one, say."""
    return list(PARSERS[transport](body))


def behind_hello(transport, body):
    """Its messages as they stand on the wire; the hello, which says from where, is looked at."""
    first, *rest = parse(transport, body)
    assert first.control == "hello", first
    return first, rest


def _part(http, deadline):
    """Bytes of a body; none at its end, be it a cut."""
    try:
        return http.body_part(deadline)
    except Ended:
        return b""


def body_bytes(http):
    """All of a body, also of one that a failure cuts short."""
    deadline, body = time.monotonic() + TIMEOUT_S, b""
    while part := _part(http, deadline):
        body += part
    return body


class Viewer:
    """Of one gateway by one transport."""

    def __init__(self, gateway, transport):
        self.gateway, self.transport, self._http = gateway, transport, None

    def _headers(self, token):
        """EventSource says where it stands with a header, the others with a parameter."""
        headers = {"Accept": ACCEPT[self.transport]}
        return {**headers, "Last-Event-ID": token} if token and self.transport == "sse" else headers

    def _open(self, url, token):
        if self.transport == "ws":
            http = WebSocket(self.gateway.port).open(url + (f"?from={token}" if token else ""))
            assert http.status == 101, http.status
            return http
        http = self._http or Http(self.gateway.port)
        self._http = None
        target = url if self.transport == "sse" or not token else f"{url}?from={token}"
        try:
            http.get(target, self._headers(token))
        except (Ended, OSError):
            http = Http(self.gateway.port).get(target, self._headers(token))
        assert http.status == 200, (target, http.status, http.body())
        return http

    def _part(self, http, deadline):
        """b"" at the end, however that is told."""
        if self.transport == "ws":
            if not http.buffer and not http.fill(deadline):
                return b""
            part, http.buffer = http.buffer, b""
            return part
        return _part(http, deadline)

    def read(self, url, token=None, most=None):
        """The body, as the transport has it: all of it, or its first bytes and then a cut."""
        http = self._open(url, token)
        deadline, body = time.monotonic() + TIMEOUT_S, b""
        whole = False
        while not whole and (most is None or len(body) < most):
            part = self._part(http, deadline)
            body += part
            whole = not part or (self.transport == "ws" and self._has_close(body))
        if whole and http._ended:
            self._http = http  # it takes another request
        else:
            http.close()
        return body if most is None else body[:most]

    @staticmethod
    def _has_close(body):
        found = parse("ws", body)
        return bool(found) and found[-1].control == "close"

    def close(self):
        if self._http:
            self._http.close()
