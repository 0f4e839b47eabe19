"""The page in Chromium: it streams, is reloaded in the middle, opened in a second tab, and stops; the terminal client."""

import functools
import http.server
import os
import shutil
import signal
import subprocess
import sys
import threading

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(HERE)), "tests", "llm"))
from upstream import SSE, Upstream  # noqa: E402

WORD = 'data: {"choices":[{"index":0,"delta":{"content":"%s"}}]}\n\n'
FINISH = 'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture
def page_origin():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=HERE))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield "http://127.0.0.1:%d" % server.server_port
    server.shutdown()


@pytest.fixture
def upstream():
    found = Upstream()
    yield found
    found.close()


class Browser:
    def __init__(self, node_modules, url):
        self.process = subprocess.Popen(
            ["node", os.path.join(HERE, "browse.mjs"), node_modules, url],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )

    def do(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline() == "done\n", line

    def close(self):
        self.process.stdin.close()
        assert self.process.wait(60) == 0


@pytest.fixture
def browser(node_modules):
    if not shutil.which("chromium"):
        pytest.skip("needs chromium")
    started = []

    def start(url):
        started.append(Browser(node_modules, url))
        return started[-1]

    yield start
    for one in started:
        one.process.kill()


def write(visit, *words):
    for word in words:
        visit.chunk(WORD % word)


def test_an_answer_survives_a_reload_and_is_seen_in_a_second_tab(example, upstream, browser, page_origin):
    gateway = example(HERE, PAGE_ORIGIN=page_origin, MODEL_URL=upstream.url)
    chrome = browser("%s/?gateway=http://127.0.0.1:%d" % (page_origin, gateway.port))
    chrome.do("ask Why?")
    visit = upstream.accept()
    assert '"content":"Why?"' in visit.body
    visit.send(SSE)
    write(visit, "one ", "two ")
    chrome.do("wait one two ")
    chrome.do("reload")
    write(visit, "three ")
    chrome.do("wait one two three ")
    chrome.do("tab")
    write(visit, "four")
    chrome.do("wait one two three four")
    visit.chunk(FINISH)
    visit.end()
    chrome.do("state end")
    chrome.do("reload")
    chrome.do("wait one two three four")
    chrome.close()
    assert gateway.metric("generations_started_total", stream="chat") == 1


def test_stop_ends_it_at_the_model(example, upstream, browser, page_origin):
    gateway = example(HERE, PAGE_ORIGIN=page_origin, MODEL_URL=upstream.url)
    chrome = browser("%s/?gateway=http://127.0.0.1:%d" % (page_origin, gateway.port))
    chrome.do("ask Why?")
    visit = upstream.accept()
    visit.send(SSE)
    write(visit, "one ")
    chrome.do("wait one ")
    chrome.do("stop")
    visit.wait_closed()
    chrome.do("state cancelled")
    chrome.close()


@pytest.fixture
def terminal(example, upstream):
    gateway = example(HERE, MODEL_URL=upstream.url)
    process = subprocess.Popen(
        [sys.executable, os.path.join(HERE, "client.py"), "http://127.0.0.1:%d" % gateway.port, "m", "Why?"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        # A background job ignores it, and so would Python then.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    visit = upstream.accept()
    visit.send(SSE)
    write(visit, "one ")
    assert process.stdout.read(4) == "one "
    yield process, visit
    process.kill()


def test_the_terminal_prints_the_answer(terminal):
    process, visit = terminal
    write(visit, "two")
    visit.chunk(FINISH)
    visit.end()
    assert process.communicate(timeout=60)[0] == "two\n"
    assert process.returncode == 0


def test_ctrl_c_stops_it_at_the_model(terminal):
    process, visit = terminal
    process.send_signal(signal.SIGINT)
    visit.wait_closed()
    assert process.wait(60) == 1
