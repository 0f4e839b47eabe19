"""An upstream of models whose every byte a test writes, while it runs."""

import socket
import threading
import time

SSE = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


class Visit:
    """One request, and the connection that is to answer it."""

    def __init__(self, connection, head, body, log):
        self.connection, self.head, self.body, self._log = connection, head, body, log
        log.append((time.monotonic(), self, "asked"))

    def send(self, data):
        self.connection.sendall(data)

    def chunk(self, text):
        data = text.encode()
        self.send(b"%x\r\n%s\r\n" % (len(data), data))

    def end(self):
        self.send(b"0\r\n\r\n")

    def wait_closed(self, timeout_s=30):
        """Until the gateway has closed it; fails after timeout_s."""
        self.connection.settimeout(timeout_s)
        try:
            while self.connection.recv(4096):
                pass
        except ConnectionError:
            pass

    def watch(self):
        """From now on the gateway's close goes to the log when it comes: closed_s waits for it."""
        self._watcher = threading.Thread(target=self._watch)
        self._watcher.start()

    def _watch(self):
        self.wait_closed()
        self._log.append((time.monotonic(), self, "closed"))

    def closed_s(self):
        """When that was, monotonic."""
        self._watcher.join()
        return next(at_s for at_s, visit, what in self._log if (visit, what) == (self, "closed"))

    def close(self):
        self.connection.close()


class Upstream:
    """Listens on a free port. Requests are taken one after another with accept(). Its log has when each
    was asked, and when one that is watched was closed by the gateway."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        self._visits, self.log = [], []

    def accept(self, timeout_s=30):
        self.listener.settimeout(timeout_s)
        connection, _ = self.listener.accept()
        connection.settimeout(timeout_s)
        data = b""
        while b"\r\n\r\n" not in data:
            data += self._read(connection)
        head, body = data.split(b"\r\n\r\n", 1)
        length = 0
        for line in head.split(b"\r\n")[1:]:
            name, value = line.split(b":", 1)
            if name.lower() == b"content-length":
                length = int(value)
        while len(body) < length:
            body += self._read(connection)
        visit = Visit(connection, head.decode(), body.decode(), self.log)
        self._visits.append(visit)
        return visit

    @staticmethod
    def _read(connection):
        data = connection.recv(65536)
        assert data, "the gateway closed in the middle of its request"
        return data

    def close(self):
        self.listener.close()
        for visit in self._visits:
            visit.close()
