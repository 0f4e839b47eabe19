"""The page in Chromium, from an origin of its own, shows the table and its changes; curl shows the table."""

import functools
import http.server
import json
import os
import shutil
import subprocess
import threading

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture
def page_origin():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=HERE))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield "http://127.0.0.1:%d" % server.server_port
    server.shutdown()


def price(key, value):
    return {"key": key, "value": None if value is None else json.dumps({"price": value})}


def shown(**prices):
    return json.dumps(prices, separators=(",", ":"), sort_keys=True) + "\n"


def test_page_shows_the_table(kafka, example, node_modules, page_origin):
    if not shutil.which("chromium"):
        pytest.skip("needs chromium")
    kafka.topic(name="prices", partitions=1)
    kafka.produce("prices", price("A", 1), price("B", 2), price("A", 3), price("C", 4), price("C", None))
    gateway = example(HERE, PAGE_ORIGIN=page_origin)
    url = "%s/?gateway=http://127.0.0.1:%d" % (page_origin, gateway.port)
    browser = subprocess.Popen(
        ["node", os.path.join(HERE, "browse.mjs"), node_modules, url],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )
    try:
        assert browser.stdout.readline() == "live\n"
        for changes, rows in (
            ((), shown(A="3", B="2")),
            ((price("B", None), price("D", 7.5)), shown(A="3", D="7.5")),
        ):
            kafka.produce("prices", *changes)
            browser.stdin.write(rows)
            browser.stdin.flush()
            assert browser.stdout.readline() == "seen\n"
        browser.stdin.close()
        assert browser.wait(30) == 0
    finally:
        browser.kill()


def test_curl_shows_the_table(kafka, example):
    kafka.topic(name="prices", partitions=1)
    kafka.produce("prices", price("A", 1), price("B", 2), price("A", 3))
    gateway = example(HERE)
    done = subprocess.run(
        ["curl", "-s", "--retry", "10", "--retry-connrefused", "-H", "Accept: application/json",
         "http://127.0.0.1:%d/streams/prices?follow=false" % gateway.port],
        capture_output=True, text=True, timeout=60, check=True,
    )
    assert [(row["key"], row["data"]["price"]) for row in json.loads(done.stdout)] == [("B", 2), ("A", 3)]
