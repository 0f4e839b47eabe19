"""HEAD: the status and the headers that GET would begin with, and nothing is begun."""
import json
import os
import sqlite3
import sys
import urllib.parse

import pytest

from harness import ROOT
from wire import Http

sys.path.insert(0, os.path.join(ROOT, "tests", "llm"))
from corpus_server import CorpusServer  # noqa: E402

pytestmark = pytest.mark.mock_only
ASKED = urllib.parse.quote(json.dumps({"model": "status/429/3600", "messages": [{"role": "user", "content": "x"}]}))
BAD = urllib.parse.quote(json.dumps({"model": "m", "messages": []}))


@pytest.fixture
def upstream():
    server = CorpusServer()
    yield server
    server.shutdown()


@pytest.fixture
def gateway(kafka, gateways, upstream, tmp_path):
    base = sqlite3.connect(tmp_path / "shop.db")
    base.execute("create table orders (id integer primary key, region text)")
    base.commit()
    base.close()
    (tmp_path / "a.log").write_text('{"n":1}\n')
    (tmp_path / "page.html").write_text("<p>x</p>")
    routes = {"/ask": {"stream": "chat"}, "/v1": {"kind": "openai", "stream": "chat"},
              "/files/{name}": {"kind": "download", "directory": str(tmp_path)}, "/file/{id}": {"stream": "file"}}
    sql = {"sqlite": str(tmp_path / "shop.db"), "query": "SELECT * FROM orders WHERE region = :region",
           "params": {"region": "text"}, "key": "id"}
    llm = {"upstreams": [{"name": "up", "base_url": upstream.url}], "retries": {"most": 0}}
    return gateways({"routes": routes},
                    live={"source": kafka.source(kafka.topic(1))},
                    sql={"source": {"sql": sql}},
                    file={"source": {"file": {"path": str(tmp_path / "{id}.log"), "mode": "replay"}}},
                    chat={"source": {"llm": llm}})


def asked(gateway, method, target, headers):
    """Status and headers; of a HEAD also that nothing stands behind it, by a request on the same connection."""
    http = Http(gateway.port)
    http.request(method, target, headers)
    status, told = http.status, dict(http.headers)
    if method == "HEAD" and told.get("connection") != "close":
        http.get("/streams")
        assert http.status == 200 and "streams" in http.json(), target
    elif method == "HEAD":
        assert http.rest() == b"", target
    http.close()
    return status, {name: value for name, value in told.items() if name not in ("date", "connection", "etag")}


TARGETS = {
    "/streams": 200, "/streams/live": 200, "/streams/live?from=nonsense": 400, "/streams/live?colour=red": 400,
    "/streams/none": 404, "/nowhere": 404, "/streams/live?key=": 200, "/streams/live?follow=false&format=xml": 400,
    "/streams/sql?region=north": 200, "/streams/sql": 400, "/streams/sql?region=north&least=1": 400,
    "/streams/sql?region=north&from=2026-01-01T00:00:00Z": 400,
    "/streams/file?id=a": 200, "/file/a": 200, "/streams/file": 400, "/file/zz": 404, "/streams/file?id=..%2fb": 400,
    f"/streams/chat?request={ASKED}": 200, "/streams/chat": 400, f"/streams/chat?request={BAD}": 400,
    "/streams/chat?request=hello": 400, "/streams/chat/no-such-answer": 404, "/v1/chat/completions": 405,
    "/files/page.html": 200, "/files/none.html": 404, "/%zz": 400,
}


def test_head_says_what_get_would(gateway, upstream):
    gateway.wait_metric("source_up", 1, stream="live")
    each = [(target, headers) for target in TARGETS
            for headers in ({}, {"Accept": "text/event-stream"}, {"Accept": "application/x-ndjson"})]
    heads = [asked(gateway, "HEAD", target, headers) for target, headers in each]
    assert Http(gateway.port).get(f"/streams/chat?request={ASKED}").closed_within(20)
    assert len(upstream.visits) == 1, "GET asks, HEAD does not"
    for (target, headers), head in zip(each, heads):
        assert head[0] == TARGETS[target], (target, headers, head)
        assert head == asked(gateway, "GET", target, headers), (target, headers)
