"""A streamed answer that comes to its whole end leaves the connection to the next request; one that is cut does not."""

import json

import pytest

from wire import Ended, Http

pytestmark = pytest.mark.mock_only

SSE, NDJSON, JSON = "text/event-stream", "application/x-ndjson", "application/json"
READ = "/streams/old?from=earliest&envelope=data"


@pytest.fixture
def gateway(gateways):
    """old: 100 records that are there; live: some more all the time; made: 30 for each request; broken: 30 and a failure."""
    gateway = gateways(
        {"timeouts": {"idle": "2s"}},
        old={"source": {"synthetic": {"rate": 0, "count": 100}}},
        live={"source": {"synthetic": {"rate": 50}}},
        made={"source": {"synthetic": {"on_request": True, "rate": 0, "count": 30}}},
        slow={"source": {"synthetic": {"on_request": True, "rate": 100, "count": 50}}},
        broken={"source": {"synthetic": {"on_request": True, "rate": 0, "count": 100, "fail_after": 30}}},
    )
    gateway.wait_metric("records_in_total", 100, stream="old")
    return gateway


def numbers(body):
    return [json.loads(line)["n"] for line in body.splitlines()]


def line_of(target, accept=NDJSON, method="GET"):
    return f"{method} {target} HTTP/1.1\r\nHost: a\r\nAccept: {accept}\r\n\r\n"


def test_reads_of_all_kinds_and_a_live_stream_follow_each_other_on_one_connection(gateway):
    http = Http(gateway.port)
    for target, accept, count in ((f"{READ}&limit=2", NDJSON, 2), (f"{READ}&follow=false", JSON, 100),
                                  ("/streams/made?envelope=data", NDJSON, 30), ("/streams/made?envelope=data", JSON, 30)):
        http.get(target, {"Accept": accept})
        assert http.status == 200 and "connection" not in http.headers and http.chunked
        body = http.body()
        assert (numbers(body) if accept == NDJSON else [row["n"] for row in json.loads(body)]) == list(range(count))
    body = http.get(f"{READ}&limit=3", {"Accept": SSE}).body()
    assert body.count(b"\ndata: {\"n\"") == 3 and body.rstrip().endswith(b'data: {"event":"end"}')
    assert http.get("/streams").json()["streams"]
    body = http.get(f"{READ}&limit=50", {"Accept-Encoding": "gzip"}).body()
    assert http.headers["content-encoding"] == "gzip" and numbers(body) == list(range(50))
    gateway.wait_metric("subscribers", 0)
    gateway.wait_metric("request_streams", 0)
    http.get("/streams/live", {"Accept": SSE})
    assert http.status == 200 and "connection" not in http.headers
    assert gateway.metric("subscribers", stream="live") == 1
    http.close()
    gateway.wait_metric("subscribers", 0)


def test_pipelined_requests_are_answered_one_by_one(gateway):
    http = Http(gateway.port)
    http.send(line_of(f"{READ}&limit=2") + line_of(f"{READ}&limit=2", method="HEAD") + line_of("/streams/made?envelope=data", JSON)
              + line_of("/streams") + line_of("/nothing") + line_of("/streams/slow?envelope=data") + line_of(f"{READ}&limit=4"))
    assert numbers(http.response().body()) == [0, 1]
    assert http.response().status == 200 and http.chunked
    assert len(http.response().json()) == 30
    assert http.response().json()["streams"]
    assert http.response().status == 404 and http.json()
    assert numbers(http.response().body()) == list(range(50))
    assert numbers(http.response().body()) == list(range(4))


def test_a_request_that_comes_while_an_answer_is_streamed_waits_for_its_end(gateway):
    http = Http(gateway.port).get("/streams/slow?envelope=data", {"Accept": NDJSON})
    following = line_of(f"{READ}&limit=2")
    for part in (following[:10], following[10:], following):
        http.send(part)
        gateway.metrics()  # it has seen the bytes by now, whole or not
    assert numbers(http.body()) == list(range(50))
    assert numbers(http.response().body()) == [0, 1]
    assert numbers(http.response().body()) == [0, 1]


def test_too_much_behind_a_request_ends_the_connection(gateway):
    http = Http(gateway.port).get("/streams/slow?envelope=data")
    try:
        for _ in range(50):
            http.send("x" * 4096)
    except OSError:
        pass
    assert http.closed_within(10)
    gateway.wait_metric("subscribers", 0)


@pytest.mark.parametrize("accept", [NDJSON, JSON])
def test_a_cut_answer_has_no_end_and_nothing_follows_it(gateway, accept):
    http = Http(gateway.port)
    http.send(line_of("/streams/broken?envelope=data", accept) + line_of(f"{READ}&limit=2", accept))
    with pytest.raises(Ended) as ended:
        http.response().body()
    assert not ended.value.clean


def test_who_asks_for_it_is_closed_and_who_says_nothing_more_too(gateway):
    http = Http(gateway.port).get(f"{READ}&limit=2", {"Connection": "close"})
    assert http.headers["connection"] == "close" and numbers(http.body()) == [0, 1]
    assert http.closed_within(10)
    http = Http(gateway.port).get(f"{READ}&limit=2")
    assert numbers(http.body()) == [0, 1]
    assert http.closed_within(20), "timeouts.idle"


def test_node_fetch_takes_whole_bodies_and_no_cut_one(gateway, node):
    url = f"http://127.0.0.1:{gateway.port}/streams"
    whole = f"{url}/old?from=earliest&envelope=data&limit=3"
    answers = json.loads(node("fetch_all.js", whole, f"{url}/broken?envelope=data", whole, f"{url}/broken?format=json", whole))
    assert [list(answer) for answer in answers] == [["text"], ["error"], ["text"], ["error"], ["text"]]
    assert all(numbers(answer["text"]) == [0, 1, 2] for answer in answers[::2])
