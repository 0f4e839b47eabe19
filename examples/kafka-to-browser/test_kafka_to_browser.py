"""The page in Chromium, from an origin of its own, shows what was produced."""

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


def test_page_shows_the_topic(kafka, example, node_modules, page_origin):
    if not shutil.which("chromium"):
        pytest.skip("needs chromium")
    kafka.topic(name="orders", partitions=1)
    gateway = example(HERE, PAGE_ORIGIN=page_origin)
    regions = ["north", "south", "west"]
    for n in range(30):
        order = {"order": n, "region": regions[n % 3], "amount": 1000 + n}
        kafka.produce("orders", {"key": "k%d" % n, "value": json.dumps(order)})
    url = "%s/?gateway=http://127.0.0.1:%d" % (page_origin, gateway.port)
    done = subprocess.run(
        ["node", os.path.join(HERE, "browse.mjs"), node_modules, url, "30", os.environ.get("SCREENSHOT", "")],
        capture_output=True, text=True, timeout=90, check=False,
    )
    assert done.returncode == 0, done.stderr + gateway.log()[-2000:]
    amounts = [sum(1000 + n for n in range(30) if n % 3 == r) for r in range(3)]
    assert json.loads(done.stdout) == {
        "state": "live",
        "skipped": "0",
        "regions": [[name, "10", "%.2f" % (amount / 100)] for name, amount in zip(regions, amounts)],
        "latest": "k29: order 29, west, 10.29",
    }
