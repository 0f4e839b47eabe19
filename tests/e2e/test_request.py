"""Streams that a request makes for itself: to their end, cut and resumed, refused, given up, held."""

import json
import time

import pytest

from harness import SANITIZED, wait_for
from wire import TRANSPORTS, Ended, Http

pytestmark = pytest.mark.mock_only
each_transport = pytest.mark.parametrize("transport", TRANSPORTS)
COUNT = 5000


@pytest.fixture
def walk(gateways):
    """A function that starts a gateway whose stream `walk` has COUNT records for each request."""

    def start(config=None, **source):
        source = {"on_request": True, "count": COUNT, "rate": 0, "partitions": 3, **source}
        config = {"threads": 2, "routes": {"/walk/{count}/x": {"stream": "walk"}}, **(config or {})}
        return gateways(config, walk={"source": {"synthetic": source}})

    return start


def numbers(records):
    return [json.loads(message.text)["data"]["n"] for message in records]


def problem(gateway, target):
    http = gateway.get(target)
    answer = json.loads(http.body())
    assert answer["status"] == http.status
    return http, answer["detail"]


@each_transport
def test_each_request_has_it_from_its_beginning_to_its_end(walk, transport):
    gateway = walk()
    for _ in range(2):
        sub = gateway.subscribe("walk", transport)
        assert sub.hello["resumed"] is False
        records, _ = sub.until_end()
        assert numbers(records) == list(range(COUNT))
        assert not sub.gaps
    gateway.wait_metric("request_streams", 0)
    assert gateway.metric("records_in_total", stream="walk") == 2 * COUNT
    assert gateway.metric("records_out_total", stream="walk", transport=transport) == 2 * COUNT


@each_transport
def test_a_cut_one_resumes_at_the_next_record(walk, transport):
    gateway = walk()
    first = gateway.subscribe("walk", transport)
    messages = first.records(1234)
    first.close()
    token = json.loads(messages[-1].text)["id"]
    again = gateway.subscribe("walk", transport, **{"from": token})
    assert again.hello["resumed"] is True and again.hello["from"] == token
    records, _ = again.until_end()
    assert numbers(messages + records) == list(range(COUNT))


@each_transport
def test_a_failure_is_told_and_never_taken_for_the_end(walk, transport):
    gateway = walk(fail_after=7)
    sub = gateway.subscribe("walk", transport)
    assert numbers(sub.records(7)) == list(range(7))
    with pytest.raises(Ended) as ended:
        while True:
            message = sub.next()
            if message.event == "failed":
                told = json.loads(message.text)
    assert told["code"] == "source_failed" and "configured" in told["message"]
    assert not ended.value.clean or ended.value.code == 1011


def test_a_json_array_is_whole_or_cut(walk):
    gateway = walk()
    http = gateway.get("/streams/walk?format=json&envelope=data")
    assert [record["n"] for record in json.loads(http.body())] == list(range(COUNT))
    gateway = walk(fail_after=7)
    http = gateway.get("/streams/walk?format=json")
    with pytest.raises(Ended):
        http.body()


def test_progress_ends_at_the_whole(walk):
    gateway = walk(rate=COUNT, batch=50)
    sub = gateway.subscribe("walk", "ndjson")
    told, came = [], 0
    with pytest.raises(Ended):
        while True:
            message = sub.next()
            came += message.event is None
            if message.event == "progress":
                told.append(json.loads(message.text))
                assert told[-1]["done"] <= came
    assert [one["total"] for one in told] == [COUNT] * len(told)
    done = [one["done"] for one in told]
    assert done == sorted(set(done)) and done[-1] == COUNT
    assert 2 <= len(told) <= 12  # once in 250 ms


@each_transport
def test_progress_is_of_what_was_sent(walk, transport):
    gateway = walk(batch=100)
    sub = gateway.subscribe("walk", transport, limit=5)
    assert len(sub.until_end()[0]) == 5
    assert all(one["done"] <= 5 for one in sub.controls if one["event"] == "progress")
    sub = gateway.subscribe("walk", transport, max_rate=1000, limit=700)
    came = sub.records(700)
    told = [one["done"] for one in sub.controls if one["event"] == "progress"]
    assert len(came) == 700 and told and told == sorted(set(told)) and told[-1] <= 700


def test_parameters_come_from_the_query_and_from_the_path(walk):
    gateway = walk()
    for target in ("/streams/walk?count=3&envelope=data", "/walk/3/x?envelope=data"):
        assert gateway.get(target).body().count(b'"n":') == 3
    for target, status, text in (
        ("/streams/walk?count=0", 400, "count: must be a number from 1"),
        ("/streams/walk?count=1&count=1", 400, "count: given more than once"),
        ("/walk/3/x?count=3", 400, "count: given more than once"),
        ("/streams/walk?cuont=1", 400, '"count"'),
        ("/streams/walk?slow=drop_oldest", 400, "slow, queue"),
        ("/streams/walk?from=AQEAAAAAAQE", 400, "another stream"),
        ("/streams/walk?to=latest", 400, "to: this stream ends by itself"),
        ("/walk//x", 404, "no such"),
        ("/walk/3/x/y", 404, "no such"),
        ("/walk/3", 404, "no such"),
    ):
        http, detail = problem(gateway, target)
        assert http.status == status and text in detail, (target, detail)
    listed = json.loads(gateway.get("/streams").body())["streams"][0]
    assert listed["on_request"] is True and listed["parameters"] == ["count"]
    assert listed["slow"]["allow"] == ["pause"]
    gateway.wait_metric("request_streams", 0)


def test_beyond_the_limit_503_and_a_client_that_leaves_makes_room(walk):
    gateway = walk({"requests": {"streams": 3}}, rate=10)
    held = [gateway.subscribe("walk", transport) for transport in TRANSPORTS]
    http, detail = problem(gateway, "/streams/walk")
    assert http.status == 503 and int(http.headers["retry-after"]) > 0 and "limit" in detail
    held[0].close()
    gateway.wait_metric("request_streams", 2)
    assert gateway.subscribe("walk", "sse").records(1)


def test_a_reader_that_stands_still_holds_its_source_and_loses_nothing(walk):
    gateway = walk(size=20000)
    http = Http(gateway.port, rcvbuf=8192)
    http.request("GET", "/streams/walk?envelope=data")

    def held():
        before = gateway.metric("records_in_total", stream="walk")
        time.sleep(0.5)
        return before > 0 and gateway.metric("records_in_total", stream="walk") == before

    wait_for(held, "the source to be held")
    if not SANITIZED:
        assert gateway.rss_bytes() < 50 << 20  # of 100 MB
    sub = gateway.subscribe("walk", "ws", limit=100)
    assert numbers(sub.until_end()[0]) == list(range(100))
    assert http.status == 200
    lines = 0
    while part := http.body_part(time.monotonic() + 10):
        lines += part.count(b"\n")
    assert lines == COUNT


def test_a_drain_says_goodbye_to_them_too(walk):
    gateway = walk(rate=10)
    sub = gateway.subscribe("walk", "sse")
    sub.records(1)
    gateway.terminate()
    with pytest.raises(Ended):
        while sub.next().event != "closing":
            pass
        sub.next()
    assert gateway.wait_exit() == 0
