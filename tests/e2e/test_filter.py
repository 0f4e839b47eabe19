"""Filters: who asks for some records gets exactly those, and a position all the same."""

import json
import time
from urllib.parse import quote

import pytest

from harness import wait_for
from wire import Subscription

TRANSPORTS = ("ws", "sse", "ndjson")
COUNT = 600


def where(*texts):
    """The value of where= for Subscription, which joins parameters with &."""
    return "&where=".join(quote(text, safe="/") for text in texts)


def order(number):
    return {
        "key": f"k{number % 5}", "partition": number % 3,
        "value": json.dumps({"n": number, "user": {"name": f"u{number % 7}", "tags": [number]}}),
    }


def numbers(records):
    return sorted(json.loads(record.text)["data"]["n"] for record in records)


@pytest.fixture
def orders(kafka, gateways):
    topic = kafka.topic(3)
    gateway = gateways(s={"source": kafka.source(topic)})
    gateway.topic = topic
    return gateway


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_only_what_matches_is_sent_live(kafka, orders, transport):
    by_key = orders.subscribe("s", transport, key="k1&key=k3")
    by_value = orders.subscribe(
        "s", transport, where=where("/user/name==u2", "/n>=100", "/user/tags/0<400"))
    both = orders.subscribe("s", transport, key="k0", where=where("/n!=0"))
    kafka.produce(orders.topic, *map(order, range(COUNT)))
    expected = {
        by_key: [n for n in range(COUNT) if n % 5 in (1, 3)],
        by_value: [n for n in range(100, 400) if n % 7 == 2],
        both: [n for n in range(1, COUNT) if n % 5 == 0],
    }
    for sub, want in expected.items():
        assert numbers(sub.records(len(want))) == want
        assert not sub.gaps


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_bounded_and_paced_reads_are_filtered_too(kafka, orders, transport):
    kafka.produce(orders.topic, *map(order, range(COUNT)))
    orders.wait_metric("records_in_total", COUNT, stream="s")
    some = {"from": "earliest", "where": where("/user/name==u2")}
    want = [n for n in range(COUNT) if n % 7 == 2]
    records, end = orders.subscribe("s", transport, follow="false", **some).until_end()
    assert end.clean and numbers(records) == want
    limited, end = orders.subscribe("s", transport, limit=10, **some).until_end()
    assert end.clean and len(limited) == 10
    assert numbers(orders.subscribe("s", transport, max_rate=1000, **some).records(len(want))) == want


def test_a_json_array_holds_what_matches(kafka, orders):
    kafka.produce(orders.topic, *map(order, range(COUNT)))
    orders.wait_metric("records_in_total", COUNT, stream="s")
    answer = orders.get("/streams/s?from=earliest&follow=false&format=json&key=k4")
    assert sorted(record["data"]["n"] for record in answer.json()) == list(range(4, COUNT, 5))
    answer = orders.get("/streams/s?from=earliest&follow=false&format=json&key=none")
    assert answer.json() == []


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_quiet_filtered_stream_tells_where_it_is(kafka, orders, transport):
    sub = orders.subscribe("s", transport, heartbeat="1s", key="seldom")
    kafka.produce(orders.topic, *map(order, range(COUNT)))
    if transport == "sse":
        token = sse_id(sub)
    else:
        message = json.loads(sub.next().text)
        assert list(message) == ["event", "id"] and message["event"] == "position"
        token = message["id"]
    back = orders.subscribe("s", transport, **{"from": token})
    assert back.hello["resumed"] is True
    kafka.produce(orders.topic, order(COUNT))
    assert numbers(back.records(1)) == [COUNT], "what was passed over does not come again"


def sse_id(sub):
    """The id of the first block that has an id and nothing else, after the hello."""
    block = []
    deadline = time.monotonic() + 10
    while True:
        line = sub._line(deadline)
        if line:
            block.append(line)
            continue
        if len(block) == 1 and block[0].startswith(b"id: "):
            return block[0][4:].decode()
        block = []


def test_a_quiet_position_is_told_once_until_it_moves(kafka, orders):
    sub = orders.subscribe("s", "ws", heartbeat="1s", key="seldom")
    kafka.produce(orders.topic, order(1))
    assert sub.next().event == "position"
    with pytest.raises((TimeoutError, AssertionError)):
        sub.next(2.5)
    kafka.produce(orders.topic, order(2))
    assert sub.next().event == "position"


def test_a_token_resumes_behind_what_was_passed_over(kafka, orders):
    sub = orders.subscribe("s", "ndjson", key="last")
    kafka.produce(orders.topic, *map(order, range(COUNT)))
    orders.wait_metric("records_in_total", COUNT, stream="s")
    kafka.produce(orders.topic, {**order(COUNT), "key": "last"})
    token = json.loads(sub.records(1)[0].text)["id"]
    sub.close()
    back = orders.subscribe("s", "ndjson", **{"from": token})
    kafka.produce(orders.topic, order(COUNT + 1))
    assert numbers(back.records(1)) == [COUNT + 1]


def test_a_slow_one_is_told_how_many_matching_records_it_missed(kafka, gateways):
    topic = kafka.topic(1)
    gateway = gateways({"limits": {"send_buffer": "4KiB"}}, s={
        "source": kafka.source(topic),
        "slow": {"queue": {"records": 200, "bytes": "1MiB"}},
    })
    sub = Subscription(gateway.port, "/streams/s", "ndjson", rcvbuf=4096, where=where("/even==true"))
    kafka.produce(topic, *(
        {"value": json.dumps({"n": n, "even": n % 2 == 0, "pad": "x" * 300})} for n in range(4000)
    ))
    gateway.wait_metric("records_in_total", 4000, stream="s")
    got = []
    while not got or json.loads(got[-1].text)["data"]["n"] != 3998:
        got += sub.records(1)
    assert sub.gaps and all("filtered" not in gap for gap in sub.gaps)
    assert len(got) + sum(gap["count"] for gap in sub.gaps) == 2000


def test_a_count_that_cannot_be_exact_says_so(kafka, gateways):
    topic = kafka.topic(1)
    gateway = gateways({"limits": {"send_buffer": "4KiB"}}, s={
        "source": kafka.source(topic), "ring": {"records": 500, "bytes": "16MiB"},
        "slow": {"queue": {"records": 200, "bytes": "1MiB"}},
    })
    sub = Subscription(gateway.port, "/streams/s", "ndjson", rcvbuf=4096, where=where("/even==true"))
    kafka.produce(topic, *(
        {"value": json.dumps({"n": n, "even": n % 2 == 0, "pad": "x" * 300})} for n in range(4000)
    ))
    gateway.wait_metric("records_in_total", 4000, stream="s")
    got = []
    while not got or json.loads(got[-1].text)["data"]["n"] != 3998:
        got += sub.records(1)
    assert any(gap.get("filtered") is True for gap in sub.gaps)
    assert len(got) + sum(gap["count"] for gap in sub.gaps) >= 2000


def test_different_filters_are_bounded_and_given_back(kafka, gateways):
    topic = kafka.topic(1)
    gateway = gateways({"threads": 1, "limits": {"filters": 2}}, s={"source": kafka.source(topic)})
    first = gateway.subscribe("s", "ws", key="a")
    gateway.subscribe("s", "ws", key="a")
    gateway.subscribe("s", "ws", key="b")
    answer = gateway.get("/streams/s?key=c")
    assert answer.status == 503 and "retry-after" in answer.headers, answer.headers
    assert answer.json()["detail"].startswith("key, where: ")
    gateway.subscribe("s", "ws")
    first.close()
    gateway.wait_subscribers(3)
    assert gateway.get("/streams/s?key=c").status == 503, "another one still has it"
    for sub in gateway._subscriptions:
        sub.close()
    gateway.wait_subscribers(0)
    wait_for(lambda: gateway.get("/streams/s?key=c&follow=false").status == 200, "room for c")


@pytest.mark.parametrize("query, start", [
    ("where=/a", "where: needs one of"), ("where=a==1", "where: the pointer must begin with /"),
    ("where=/a=={}", "where: objects and arrays"), ("where=/a~==1", "where: in the pointer ~"),
    ("&".join(f"key={n}" for n in range(17)), "key: at most 16"),
    ("&".join(f"where=/a=={n}" for n in range(9)), "where: at most 8"),
])
def test_what_cannot_be_compiled_is_a_400(orders, query, start):
    answer = orders.get("/streams/s?" + query.replace("{}", "%7B%7D"))
    assert answer.status == 400 and answer.json()["detail"].startswith(start), answer.json()


def test_tombstones_and_text_match_no_where(kafka, orders):
    sub = orders.subscribe("s", "ndjson", where=where("/a!=1"))
    kafka.produce(orders.topic, {"value": None, "key": "k"}, {"value": "text"}, {"value": '{"a":1}'},
                  {"value": '{"a":2}'}, {"value": "[]"})
    got = [json.loads(record.text)["data"] for record in sub.records(2)]
    assert sorted(got, key=str) == sorted([{"a": 2}, []], key=str)
