"""How streams end: JSON arrays, whole or so that no parser takes them for whole; and what ends with a client that goes away."""

import gzip
import json
import os
import socket
import subprocess
import threading

import pytest

from conftest import needs
from harness import wait_for
from test_sql import ENDLESS, both, busy, numbered, walk_of
from test_sql import database, postgres, server  # noqa: F401: fixtures
from wire import TRANSPORTS, Http

pytestmark = pytest.mark.mock_only
COUNT = 5000


# ---- JSON arrays

def curl(gateway, target, *options):
    """(exit status, body)"""
    done = subprocess.run(["curl", "-sN", "-m", "30", *options, f"http://127.0.0.1:{gateway.port}{target}"],
                          capture_output=True, timeout=60, check=False)
    return done.returncode, done.stdout


def jq_takes(body):
    """A parser that streams: it sees the records before it knows how the text ends."""
    done = subprocess.run(["jq", "--stream", "-c", "."], input=body, capture_output=True, timeout=60, check=False)
    return done.returncode == 0, done.stdout


def node_takes(node, gateway, target):
    return json.loads(node("json_array.js", f"http://127.0.0.1:{gateway.port}{target}"))


VERSIONS = (("--http1.1",), ("--http1.0",))


def test_an_array_that_ends_is_whole_for_every_parser(gateways, node):
    needs("jq", "jq")
    gateway = gateways(s={"source": {"synthetic": {"on_request": True, "count": COUNT, "rate": 0}}})
    for options in VERSIONS:
        status, body = curl(gateway, "/streams/s?envelope=data", "-H", "Accept: application/json", *options)
        assert status == 0 and [row["n"] for row in json.loads(body)] == list(range(COUNT))
        good, events = jq_takes(body)
        assert good and events.count(b'"n"],') == COUNT
    _, body = curl(gateway, "/streams/s?format=json&limit=1")
    (record,) = json.loads(body)
    assert list(record) == ["id", "time", "key", "data"]
    assert node_takes(node, gateway, "/streams/s?format=json") == {"whole": COUNT}


@both
def test_an_empty_array_is_one(database, gateways):  # noqa: F811
    needs("jq", "jq")
    numbered(database, 3)
    gateway = gateways(walk=walk_of(database, "select * from t where id > 99"))
    for options in VERSIONS:
        status, body = curl(gateway, "/streams/walk?format=json", *options)
        assert status == 0 and json.loads(body) == [] and jq_takes(body)[0]


@pytest.mark.parametrize("fail_after", (1, 7, COUNT - 1))
def test_a_failure_cuts_the_array_for_every_parser(gateways, node, fail_after):
    needs("jq", "jq")
    gateway = gateways(s={"source": {"synthetic": {
        "on_request": True, "count": COUNT, "rate": 0, "fail_after": fail_after}}})
    for options in VERSIONS:
        status, body = curl(gateway, "/streams/s?format=json&envelope=data", *options)
        assert (status == 18) == (options == VERSIONS[0])  # of HTTP/1.0 only the text can say it
        assert body.count(b'"n":') == fail_after
        with pytest.raises(json.JSONDecodeError):
            json.loads(body)
        assert not jq_takes(body)[0]
    assert "whole" not in node_takes(node, gateway, "/streams/s?format=json")


@both
def test_a_query_that_fails_before_its_first_row_is_no_empty_array(database, gateways):  # noqa: F811
    gateway = gateways(walk=walk_of(database, "select id from nowhere"))
    for options in VERSIONS:
        _, body = curl(gateway, "/streams/walk?format=json", *options)
        with pytest.raises(json.JSONDecodeError):
            json.loads(body)


def test_a_route_says_what_a_message_holds_where_the_request_does_not(gateways):
    gateway = gateways(
        {"routes": {"/rows": {"stream": "s", "envelope": "data"}, "/array": {"stream": "s", "format": "json", "envelope": "full"}}},
        s={"source": {"synthetic": {"on_request": True, "count": 2, "rate": 0}}})
    assert [list(json.loads(line))[0] for line in gateway.get("/rows").body().splitlines()] == ["n", "n"]
    assert b'"event":"hello"' in gateway.get("/rows?envelope=record").body()
    assert [list(record)[-1] for record in json.loads(gateway.get("/array").body())] == ["source", "source"]
    assert json.loads(gateway.get("/array?envelope=data").body())[1]["n"] == 1


# ---- a client that goes away

def begin(gateway, target, transport):
    """A subscriber of one of the transports, whose answer is not waited for."""
    http = Http(gateway.port, rcvbuf=16384)
    upgrade = ("Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
               "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n")
    accept = {"ws": upgrade, "sse": "Accept: text/event-stream\r\n", "ndjson": "", "json": "Accept: application/json\r\n"}
    http.send(f"GET {target} HTTP/1.1\r\nHost: a\r\n{accept[transport]}\r\n")
    return http


def open_below(gateway, directory):
    links = []
    for fd in os.listdir(f"/proc/{gateway.pid}/fd"):
        try:
            links.append(os.readlink(f"/proc/{gateway.pid}/fd/{fd}"))
        except OSError:
            pass
    return [link for link in links if link.startswith(str(directory))]


def gone(gateway, http):
    """Close it; its stream must end soon, far sooner than anything else would end it."""
    http.close()
    gateway.wait_metric("request_streams", 0, timeout_s=10)


@both
def test_its_query_is_cancelled_whatever_its_transport(database, kind, gateways):  # noqa: F811
    gateway = gateways(walk=walk_of(database, ENDLESS[kind], statement_timeout="10m"))
    for transport in (*TRANSPORTS, "json"):
        http = begin(gateway, "/streams/walk", transport)
        wait_for(lambda: busy(database, kind, gateway), "the query")
        gone(gateway, http)
        wait_for(lambda: not busy(database, kind, gateway), "the query's end", 10)


def test_a_page_that_waits_for_it_is_thrown_away(postgres, gateways):  # noqa: F811
    postgres.sql("create table t (id int primary key, body text);"
                 "insert into t select n, repeat('x', 2000) from generate_series(1, 4000) n")
    gateway = gateways({"limits": {"send_buffer": "16KiB"}}, walk=walk_of(postgres, "select * from t", connections=1))
    for transport in TRANSPORTS:
        before = gateway.metric("records_in_total", stream="walk")
        http = begin(gateway, "/streams/walk", transport)
        wait_for(lambda: gateway.metric("records_in_total", stream="walk") > before + 100, "its page")
        gone(gateway, http)
    assert len(postgres.activity()) <= 1


def test_who_waits_for_a_connection_or_for_a_server_that_says_nothing_goes_too(postgres, gateways):  # noqa: F811
    deaf = socket.create_server(("127.0.0.1", 0))  # it accepts, and never answers
    silent = {"source": {"sql": {"postgres": f"postgresql://u@127.0.0.1:{deaf.getsockname()[1]}/db", "query": "select 1 as id",
                                 "key": "id"}}}
    gateway = gateways(walk=walk_of(postgres, ENDLESS["postgres"], connections=1, statement_timeout="10m"), silent=silent)
    first = begin(gateway, "/streams/walk", "ndjson")
    wait_for(lambda: busy(postgres, "postgres", gateway), "the query")
    second = begin(gateway, "/streams/walk", "sse")
    third = begin(gateway, "/streams/silent", "ws")
    gateway.wait_metric("request_streams", 3)
    second.close()
    third.close()
    gateway.wait_metric("request_streams", 1, timeout_s=10)
    assert busy(postgres, "postgres", gateway)  # it has not taken the other one's with it
    gone(gateway, first)
    deaf.close()


def test_its_replay_ends_and_the_file_is_closed(gateways, tmp_path):
    directory = tmp_path / "replay"
    directory.mkdir()
    with open(directory / "plain", "w", encoding="utf-8") as file:
        file.writelines(f'{{"n":{n},"pad":"{"x" * 100}"}}\n' for n in range(100000))
    with open(directory / "plain", "rb") as file, gzip.open(directory / "packed", "wb", 1) as packed:
        packed.write(file.read())
    gateway = gateways(s={"source": {"file": {"mode": "replay", "path": f"{directory}/{{name}}"}}})
    for name in ("plain", "packed"):
        for transport, pace in (("ws", "&rate=1/h"), ("sse", "&rate=10/s"), ("ndjson", ""), ("json", "")):
            http = begin(gateway, f"/streams/s?name={name}{pace}", transport)
            wait_for(lambda: open_below(gateway, directory), "the file to be opened")
            gone(gateway, http)
            assert not open_below(gateway, directory)


def test_many_at_once_leave_nothing(postgres, gateways):  # noqa: F811
    numbered(postgres, 2000)
    gateway = gateways({"requests": {"streams": 64}}, walk=walk_of(postgres, "select * from t", page=50))
    before = gateway.descriptors()

    def come_and_go(n):
        for turn in range(10):
            http = begin(gateway, "/streams/walk", (*TRANSPORTS, "json")[(n + turn) % 4])
            if turn % 2:
                http.sock.recv(1000)
            http.close()

    threads = [threading.Thread(target=come_and_go, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    gateway.wait_metric("request_streams", 0)
    gateway.wait_metric("subscribers", 0)
    # What is left are the pooled connections and their events.
    wait_for(lambda: gateway.descriptors() <= before + 8, "descriptors to be closed")
    assert len(postgres.activity()) <= 4
    assert all(state == "idle" for state, _, _ in postgres.activity())
