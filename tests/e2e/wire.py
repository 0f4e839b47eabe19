"""Subscribers on raw sockets: each transport read as its standard says, and strictly.

They block, with a deadline on each step, so that a test decides when a client reads and when it
stalls. `Subscription` reads messages alike over ws, sse and ndjson; `Http` is what it stands on, for
tests that look at bytes.
"""

import base64
import collections
import hashlib
import json
import os
import socket
import struct
import time
import zlib

from zstd import ZstdDecoder

TRANSPORTS = ("ws", "sse", "ndjson")
TIMEOUT_S = 20

# text: the message's bytes; event: SSE's event name, or the control message's; id: SSE's id.
Message = collections.namedtuple("Message", "text event id")


class Ended(Exception):
    """The stream is over. clean: it ended as its transport ends one."""

    def __init__(self, clean, code=None, reason=""):
        super().__init__(f"clean={clean} code={code} reason={reason!r}")
        self.clean, self.code, self.reason = clean, code, reason


class Connection:
    """A socket with a buffer and deadlines. port: a number, or (number, ssl.SSLContext) for TLS."""

    def __init__(self, port, rcvbuf=None):
        port, context = port if isinstance(port, tuple) else (port, None)
        self.sock = socket.socket()
        if rcvbuf:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, rcvbuf)
        self.sock.settimeout(TIMEOUT_S)
        self.sock.connect(("127.0.0.1", port))
        if context:
            self.sock = context.wrap_socket(self.sock)
        self.buffer = b""

    def send(self, data):
        self.sock.sendall(data.encode() if isinstance(data, str) else data)

    def fill(self, deadline):
        """More bytes into the buffer; False at the end of the connection."""
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError(f"nothing more came; so far {self.buffer[:300]!r}")
        self.sock.settimeout(left)
        try:
            part = self.sock.recv(65536)
        except socket.timeout:
            raise TimeoutError(f"nothing more came; so far {self.buffer[:300]!r}") from None
        except ConnectionError:
            return False
        self.buffer += part
        return bool(part)

    def take(self, count, deadline):
        while len(self.buffer) < count:
            if not self.fill(deadline):
                raise Ended(clean=False)
        data, self.buffer = self.buffer[:count], self.buffer[count:]
        return data

    def take_until(self, mark, deadline):
        while mark not in self.buffer:
            if not self.fill(deadline):
                raise Ended(clean=False)
        data, self.buffer = self.buffer.split(mark, 1)
        return data

    def rest(self, timeout_s=TIMEOUT_S):
        """What comes until the peer closes."""
        deadline = time.monotonic() + timeout_s
        while self.fill(deadline):
            pass
        data, self.buffer = self.buffer, b""
        return data

    def closed_within(self, seconds):
        """True when the peer closes in time, whatever it sends before."""
        deadline = time.monotonic() + seconds
        try:
            while self.fill(deadline):
                self.buffer = b""
        except TimeoutError:
            return False
        return True

    def close(self):
        self.sock.close()


class GzipDecoder:
    """Strict: one member, its checksum, and nothing behind."""

    def __init__(self):
        self._inflate = zlib.decompressobj(16 + zlib.MAX_WBITS)

    def decode(self, part):
        assert not self._inflate.eof, "bytes behind the end"
        data = self._inflate.decompress(part)
        assert not self._inflate.unused_data, "bytes behind the end"
        return data

    def whole(self):
        return self._inflate.eof


def decoder_of(coding):
    if coding is None:
        return None
    return {"gzip": GzipDecoder, "zstd": ZstdDecoder}[coding]()


class Http(Connection):
    """One HTTP/1.x exchange after another on a connection."""

    def __init__(self, port, rcvbuf=None):
        super().__init__(port, rcvbuf)
        self.status, self.headers, self.version = None, {}, None
        self._chunk_left, self._ended, self._decoder = 0, False, None

    def request(self, method, target, headers=None, version="1.1", body=b""):
        lines = [f"{method} {target} HTTP/{version}"]
        headers = {"Host": "127.0.0.1", **(headers or {})}
        lines += [f"{name}: {value}" for name, value in headers.items() if value is not None]
        self.send("\r\n".join(lines) + "\r\n\r\n")
        if body:
            self.send(body)
        return self.response()

    def get(self, target, headers=None, version="1.1"):
        return self.request("GET", target, headers, version)

    def response(self, timeout_s=TIMEOUT_S):
        """Read a response head."""
        head = self.take_until(b"\r\n\r\n", time.monotonic() + timeout_s).decode("latin-1")
        first, *lines = head.split("\r\n")
        self.version, status, _ = (first + "  ").split(" ", 2)
        self.status = int(status)
        self.headers = {}
        for line in lines:
            name, value = line.split(":", 1)
            assert name.lower() not in self.headers or name.lower() == "vary", f"{name} twice"
            before = self.headers.get(name.lower())
            self.headers[name.lower()] = f"{before}, {value.strip()}" if before else value.strip()
        self._chunk_left, self._ended = 0, False
        self._decoder = decoder_of(self.headers.get("content-encoding"))
        return self

    @property
    def chunked(self):
        return self.headers.get("transfer-encoding") == "chunked"

    def body_part(self, deadline):
        """Some bytes of the decoded body; b"" at its clean end; Ended when it is cut."""
        if self._decoder is None:
            return self._coded_part(deadline)
        while True:
            part = self._coded_part(deadline)
            if not part:
                if not self._decoder.whole():
                    raise Ended(clean=False)
                return b""
            data = self._decoder.decode(part)
            if data:
                return data

    def _coded_part(self, deadline):
        if self._ended:
            return b""
        if self.chunked:
            return self._chunk_part(deadline)
        if not self.buffer and not self.fill(deadline):
            self._ended = True
            return b""
        data, self.buffer = self.buffer, b""
        return data

    def _chunk_part(self, deadline):
        if self._chunk_left == 0:
            size = self.take_until(b"\r\n", deadline)
            self._chunk_left = int(size, 16)
            if self._chunk_left == 0:
                assert self.take(2, deadline) == b"\r\n", "no trailer is expected"
                self._ended = True
                return b""
        if not self.buffer and not self.fill(deadline):
            raise Ended(clean=False)
        data = self.buffer[: self._chunk_left]
        self.buffer = self.buffer[len(data) :]
        self._chunk_left -= len(data)
        if self._chunk_left == 0:
            assert self.take(2, deadline) == b"\r\n", "a chunk ends with CRLF"
        return data

    def body(self, timeout_s=TIMEOUT_S):
        """The whole body."""
        deadline = time.monotonic() + timeout_s
        if "content-length" in self.headers:
            return self.take(int(self.headers["content-length"]), deadline)
        data = b""
        while True:
            part = self.body_part(deadline)
            if not part:
                return data
            data += part

    def json(self):
        return json.loads(self.body())


def ws_frame(opcode, payload=b"", masked=True, fin=True, rsv=0):
    """A client's frame."""
    first = (0x80 if fin else 0) | rsv << 4 | opcode
    mask_bit = 0x80 if masked else 0
    if len(payload) < 126:
        head = struct.pack(">BB", first, mask_bit | len(payload))
    elif len(payload) < 65536:
        head = struct.pack(">BBH", first, mask_bit | 126, len(payload))
    else:
        head = struct.pack(">BBQ", first, mask_bit | 127, len(payload))
    if not masked:
        return head + payload
    mask = os.urandom(4)
    return head + mask + bytes(byte ^ mask[i % 4] for i, byte in enumerate(payload))


class WebSocket(Http):
    """A WebSocket; frames of the server are checked as they come."""

    deflates, compressed = False, 0  # negotiated; the compressed messages that came

    def open(self, target, headers=None, protocol=None):
        key = base64.b64encode(os.urandom(16)).decode()
        self.request("GET", target, {
            "Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": key, "Sec-WebSocket-Protocol": protocol, **(headers or {}),
        })
        if self.status == 101:
            digest = hashlib.sha1((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest()
            assert self.headers["sec-websocket-accept"] == base64.b64encode(digest).decode()
            self.deflates = "sec-websocket-extensions" in self.headers
        return self

    def frame(self, deadline):
        """(opcode, payload)"""
        first, second = self.take(2, deadline)
        coded = bool(first & 0x40)
        assert first & (0x30 if self.deflates and first & 0x0F == 1 else 0x70) == 0, "reserved bits"
        assert second & 0x80 == 0, "a server does not mask"
        length = second & 0x7F
        if length == 126:
            (length,) = struct.unpack(">H", self.take(2, deadline))
            assert length >= 126, "the shortest length form"
        elif length == 127:
            (length,) = struct.unpack(">Q", self.take(8, deadline))
            assert length >= 65536, "the shortest length form"
        assert first & 0x80, "one frame a message"
        payload = self.take(length, deadline)
        if coded:
            payload = zlib.decompressobj(-zlib.MAX_WBITS).decompress(payload + b"\0\0\xff\xff")
            self.compressed += 1
        return first & 0x0F, payload

    def text(self, deadline):
        """The next text message; answers pings; Ended at the close frame."""
        while True:
            opcode, payload = self.frame(deadline)
            if opcode == 1:
                return payload
            if opcode == 9:
                self.send(ws_frame(10, payload))
            elif opcode == 8:
                code = struct.unpack(">H", payload[:2])[0] if len(payload) >= 2 else 1005
                try:
                    self.send(ws_frame(8, payload[:2]))
                except OSError:
                    pass
                raise Ended(True, code, payload[2:].decode())
            else:
                assert opcode == 10, f"opcode {opcode}"


class Subscription:
    """A subscriber over any transport.

        sub = Subscription(port, "/streams/orders", "sse", envelope="full")
        assert sub.hello["resumed"] is False
        sub.next()                    # a Message
        sub.records(10)               # ten record messages, gaps collected on the way
    """

    def __init__(self, port, path, transport, headers=None, rcvbuf=None, **params):
        self.transport = transport
        self.gaps, self.controls = [], []
        query = "&".join(f"{name}={value}" for name, value in params.items())
        self.target = path + ("?" + query if query else "")
        self.http = self._open(port, rcvbuf, headers or {})
        expected = 101 if transport == "ws" else 200
        assert self.http.status == expected, (self.http.status, self.http.buffer)
        self._lines = b""
        self.retry = None
        self.hello = None
        if params.get("envelope") != "data" or transport != "ndjson":
            self.hello = json.loads(self.next().text)
            assert self.hello["event"] == "hello", self.hello

    def _open(self, port, rcvbuf, headers):
        if self.transport == "ws":
            return WebSocket(port, rcvbuf).open(self.target, headers)
        accept = {"sse": "text/event-stream", "ndjson": "application/x-ndjson"}[self.transport]
        return Http(port, rcvbuf).get(self.target, {"Accept": accept, **headers})

    def next(self, timeout_s=TIMEOUT_S):
        deadline = time.monotonic() + timeout_s
        if self.transport == "ws":
            text = self.http.text(deadline)
            return Message(text, _event(text), None)
        if self.transport == "sse":
            return self._next_sse(deadline)
        while True:
            text = self._line(deadline)
            if text:
                return Message(text, _event(text), None)

    def line(self, timeout_s=TIMEOUT_S):
        """The next line of SSE or NDJSON as it is."""
        return self._line(time.monotonic() + timeout_s)

    def _line(self, deadline):
        while b"\n" not in self._lines:
            part = self.http.body_part(deadline)
            if not part:
                raise Ended(clean=not self._lines)
            self._lines += part
        line, self._lines = self._lines.split(b"\n", 1)
        return line

    def _next_sse(self, deadline):
        data, event, last_id = [], None, None
        while True:
            line = self._line(deadline)
            assert b"\r" not in line
            name, _, value = line.partition(b": ")
            if line == b"":
                if data:
                    return Message(b"\n".join(data), event, last_id)
                event = None
            elif name == b"data":
                data.append(value)
            elif name == b"event":
                event = value.decode()
            elif name == b"id":
                last_id = value.decode()
            elif name == b"retry":
                self.retry = int(value)
            else:
                assert line.startswith(b":"), line

    def records(self, count, timeout_s=TIMEOUT_S):
        """The next records; control messages go to .controls, gaps to .gaps too."""
        deadline = time.monotonic() + timeout_s
        found = []
        while len(found) < count:
            message = self.next(deadline - time.monotonic())
            if not _is_control(message):
                found.append(message)
            else:
                self._control(message)
        return found

    def _control(self, message):
        control = json.loads(message.text)
        self.controls.append(control)
        if control["event"] == "gap":
            self.gaps.append(control)

    def until_end(self, timeout_s=TIMEOUT_S):
        """(records, Ended): everything until the stream is over."""
        deadline = time.monotonic() + timeout_s
        found = []
        while True:
            try:
                message = self.next(deadline - time.monotonic())
            except Ended as ended:
                return found, ended
            if not _is_control(message):
                found.append(message)
            else:
                self._control(message)

    def close(self):
        self.http.close()


def _is_control(message):
    """Not a record, which on SSE may have an event name of its own."""
    return message.event is not None and _event(message.text) == message.event


def _event(text):
    """The event of a control message, which has it first; None for a record."""
    if not text.startswith(b'{"event":'):
        return None
    return json.loads(text)["event"]
