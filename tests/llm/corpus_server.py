"""An upstream that answers with the recorded shapes of tests/llm/corpus.

A request's model names what it gets: DIALECT/NAME, all of it; DIALECT/NAME@N, its first N bytes and
then a clean end of the body; DIALECT/NAME!N, N bytes and then the connection's end; DIALECT/NAME%N, N
bytes and then nothing until the client has gone; DIALECT/NAME~N, all of it with N milliseconds between
its pieces; status/N, an error with that status. DIALECT/NAME=ID, of a response: with that id in the place of
the recorded one, which is the same in all.
"""

import http.server
import json
import os
import re
import threading
import time

CORPUS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "corpus")
ERROR = {"type": "error", "error": {"type": "invalid_request_error", "message": "as it was asked"}}


def recorded(name, suffix="in"):
    with open(os.path.join(CORPUS, f"{name}.{suffix}"), "rb") as file:
        return file.read()


def names(dialect):
    found = os.listdir(os.path.join(CORPUS, dialect))
    return sorted(f"{dialect}/{name[:-3]}" for name in found if name.endswith(".in"))


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.visits.append((self.path, dict(self.headers), body))
        kind, _, what = body["model"].partition("/")
        if kind == "status":
            status, _, retry_after = what.partition("/")
            return self.refuse(int(status), retry_after)
        name, id_, how, count = re.fullmatch(
            r"([^@!%~=]+)(?:=(\w+))?([@!%~]?)(\d*)", body["model"]).groups()
        data = recorded(name)
        data = data.replace(b'"resp_1"', f'"{id_}"'.encode()) if id_ else data
        data = data[:int(count)] if how and how in "@!%" else data
        self.send_response(200)
        ndjson = kind == "ollama"
        self.send_header(
            "Content-Type", "application/x-ndjson" if ndjson else "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.send_header("Connection", "close")
        self.end_headers()
        for at in range(0, len(data), 97):
            piece = data[at:at + 97]
            self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
            if how == "~":
                time.sleep(int(count) / 1000)
        if how == "%":
            self.connection.settimeout(60)
            self.server.gone.append(self.rfile.read(1))
        elif how != "!":
            self.wfile.write(b"0\r\n\r\n")
        self.close_connection = True

    def refuse(self, status, retry_after):
        data = json.dumps(ERROR).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        if retry_after:
            self.send_header("Retry-After", retry_after)
        else:
            self.send_header("retry-after-ms", "1")
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        pass


class CorpusServer(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.visits = []  # (path, headers, body), in their order
        self.gone = []
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def handle_error(self, *_):
        pass  # a client that has gone
