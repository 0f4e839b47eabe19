"""headgate tail against a server that does as the test says: it cuts, refuses, stalls and floods."""

import json
import os
import signal
import socketserver
import subprocess
import threading
from urllib.parse import parse_qs, urlsplit

import pytest

from harness import HEADGATE

OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n"
LAST = b"0\r\n\r\n"
END = b'{"event":"end"}\n'


def chunk(data):
    return b"%x\r\n%s\r\n" % (len(data), data)


def record(number, pad=""):
    body = {"id": f"T{number}", "time": "2026-01-31T12:00:00.000Z", "key": None, "data": {"n": number, "pad": pad}}
    return json.dumps(body, separators=(",", ":")).encode() + b"\n"


def hello(number):
    return chunk(b'{"event":"hello","stream":"s","from":"T%d","resumed":false}\n' % number)


def refusal(status, detail, headers=b""):
    body = json.dumps({"title": "No", "detail": detail}).encode()
    head = b"HTTP/1.1 %d No\r\nContent-Type: application/problem+json\r\nContent-Length: %d\r\n"
    return head % (status, len(body)) + headers + b"\r\n" + body


class Script(socketserver.ThreadingTCPServer):
    """Answers request after request with the next of steps: bytes, or a function of its query and the socket."""

    allow_reuse_address = daemon_threads = True

    def __init__(self, *steps):
        super().__init__(("127.0.0.1", 0), Handler)
        self.steps = list(steps)
        self.queries = []
        self.heads = []
        self.release = threading.Event()
        threading.Thread(target=self.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server_address[1]}/streams/s"


class Handler(socketserver.BaseRequestHandler):
    def handle(self):
        head = b""
        while b"\r\n\r\n" not in head:
            head += self.request.recv(65536)
        server = self.server
        server.heads.append(head.decode())
        server.queries.append({k: v[-1] for k, v in parse_qs(urlsplit(head.split()[1].decode()).query).items()})
        step = server.steps.pop(0) if server.steps else refusal(404, "the script is over")
        try:
            self.request.sendall(step) if isinstance(step, bytes) else step(server, self.request)
        except OSError:
            pass  # tail went away, as some tests want


@pytest.fixture
def script():
    servers = []

    def start(*steps):
        servers.append(Script(*steps))
        return servers[-1]

    yield start
    for server in servers:
        server.release.set()
        server.shutdown()
        server.server_close()


def tail(*args, **kwargs):
    return subprocess.run([HEADGATE, "tail", *args], capture_output=True, text=True, timeout=60, check=False, **kwargs)


def numbers(out):
    return [json.loads(line)["data"]["n"] for line in out.splitlines()]


def test_cut_connection_resumes_after_the_last_whole_record(script):
    server = script(
        OK + hello(0) + chunk(record(1) + record(2)[:20]) + chunk(record(2)[20:] + record(3)[:9]),
        OK + hello(2) + chunk(record(3)),
        OK + chunk(record(4) + END) + LAST,
    )
    done = tail(server.url + "?from=earliest&slow=pause")
    assert (done.returncode, numbers(done.stdout)) == (0, [1, 2, 3, 4]), done.stderr
    assert [query["from"] for query in server.queries] == ["earliest", "T2", "T3"]
    assert all(query["slow"] == "pause" for query in server.queries)


def test_hello_and_gap_move_the_place_to_resume_from(script):
    gap = chunk(b'{"event":"gap","reason":"slow","count":7,"from":"T1","to":"T8"}\n')
    server = script(OK + hello(5), OK + hello(5) + gap, OK + chunk(END) + LAST)
    done = tail(server.url)
    assert done.returncode == 0
    assert [query.get("from") for query in server.queries] == [None, "T5", "T8"]
    assert "gap: 7 records were skipped (slow)" in done.stderr


def test_limit_counts_over_reconnects(script):
    server = script(OK + chunk(record(1) + record(2)), OK + chunk(record(3) + END) + LAST)
    done = tail(server.url, "--limit", "3")
    assert (done.returncode, numbers(done.stdout)) == (0, [1, 2, 3])
    assert [query["limit"] for query in server.queries] == ["3", "1"]


def test_data_envelope_prints_payloads_and_still_resumes(script):
    server = script(OK + chunk(record(1)), OK + chunk(record(2) + END) + LAST)
    done = tail(server.url, "--envelope", "data")
    assert [json.loads(line)["n"] for line in done.stdout.splitlines()] == [1, 2]
    assert [query["envelope"] for query in server.queries] == ["record", "record"]
    assert server.queries[1]["from"] == "T1"


def test_503_is_tried_again_and_4xx_is_not(script):
    server = script(refusal(503, "draining", b"Retry-After: 1\r\n"), refusal(404, "no such stream"))
    done = tail(server.url)
    assert done.returncode == 1
    assert "draining" in done.stderr and "404 No: no such stream" in done.stderr
    assert len(server.queries) == 2


def test_no_reconnect_fails_on_a_cut_and_ends_well_on_an_end(script):
    server = script(OK + chunk(record(1)), OK + chunk(record(1) + END) + LAST)
    assert tail(server.url, "--no-reconnect").returncode == 1
    assert tail(server.url, "--no-reconnect").returncode == 0


def test_bounded_read_may_end_without_a_word(script):
    server = script(OK + chunk(record(1)) + LAST)
    assert tail(server.url, "--to", "T1").returncode == 0


def test_headers_and_parameters_are_sent(script):
    server = script(OK + chunk(END) + LAST)
    done = tail(server.url, "--header", "Authorization: Bearer x", "--where", "/a>=1", "--key", "k&", "--from", "-10m")
    assert done.returncode == 0
    assert "\r\nAuthorization: Bearer x\r\n" in server.heads[0]
    assert "\r\nAccept: application/x-ndjson\r\n" in server.heads[0]
    assert (server.queries[0]["where"], server.queries[0]["key"], server.queries[0]["from"]) == ("/a>=1", "k&", "-10m")


def test_lines_of_16_mib_pass(script):
    big = record(1, "x" * (16 << 20))
    server = script(OK + chunk(big) + chunk(record(2) + END) + LAST)
    done = tail(server.url)
    assert done.returncode == 0
    assert done.stdout.encode() == big + record(2)


def stall(server, sock):
    sock.sendall(OK + hello(0) + chunk(record(1)))
    server.release.wait(30)


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_signal_ends_it_well(script, name):
    server = script(stall)
    with subprocess.Popen([HEADGATE, "tail", server.url], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout.readline() == record(1)
        process.send_signal(getattr(signal, name))
        assert process.wait(10) == 0


def flood(_server, sock):
    sock.sendall(OK)
    lines = chunk(b"".join(record(n) for n in range(1000)))
    for _ in range(200):
        sock.sendall(lines)
    sock.sendall(chunk(END) + LAST)


@pytest.mark.parametrize("step", [stall, flood])
def test_closed_output_ends_it_well(script, step):
    server = script(step)
    process = subprocess.Popen([HEADGATE, "tail", server.url], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    os.read(process.stdout.fileno(), 10)
    process.stdout.close()
    assert process.wait(20) == 0


@pytest.mark.parametrize("before", ["", '{"n":1}\n', '{"n":1}\n{"n'])
@pytest.mark.parametrize("mode", ["ab", "r+b"])
def test_a_line_that_a_killed_one_left_torn_is_ended_first(script, tmp_path, before, mode):
    path = tmp_path / "out"
    path.write_text(before)
    with open(path, mode) as out:
        out.seek(0, os.SEEK_END)
        server = script(OK + chunk(record(1)) + chunk(END) + LAST)
        assert subprocess.run([HEADGATE, "tail", server.url], stdout=out, check=False, timeout=20).returncode == 0
    torn = "" if before.endswith("\n") or not before else "\n"
    assert path.read_text() == before + torn + record(1).decode()


def test_stats_tell_the_total(script):
    server = script(flood)
    done = tail(server.url, "--stats")
    assert done.returncode == 0
    assert len(done.stdout.splitlines()) == 200000
    assert "total 200000  gaps 0" in done.stderr


@pytest.mark.parametrize("args", [[], ["a", "b"], ["--bogus", "u"], ["ftp://h/"], ["--header", "x", "u"], ["--limit", "x", "u"]])
def test_wrong_usage_is_status_2(args):
    done = tail(*args)
    assert (done.returncode, done.stdout) == (2, "")
    assert "--help" in done.stderr
