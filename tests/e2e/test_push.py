"""Records that clients post: alone, and with a Kafka topic beneath."""

import json
import socket
import subprocess
import threading

import pytest

from harness import HEADGATE, wait_for
from wire import TRANSPORTS, Http

NDJSON = {"Content-Type": "application/x-ndjson"}
JSON = {"Content-Type": "application/json"}
TEXT = {"Content-Type": "text/plain"}


def memory(**more):
    return {"source": {"push": more}}


def topic_source(kafka, topic, **more):
    """A push source with a topic beneath."""
    return {"source": {"push": {"kafka": {
        "brokers": kafka.bootstrap, "topic": topic,
        "librdkafka_options": kafka.client_options, **more,
    }}}}


def post(gateway, body, headers=None, query="", path="/streams/s", http=None):
    """The answer, whose .said is its body. http: a connection that stays."""
    one = http or Http(gateway.port)
    body = body.encode() if isinstance(body, str) else body
    one.request("POST", path + query, {"Content-Length": str(len(body)), **(headers or {})}, body=body)
    one.said = one.json()
    if not http:
        one.close()
    return one


def chunk(data):
    data = data.encode() if isinstance(data, str) else data
    return b"%x\r\n%s\r\n" % (len(data), data)


def begin_chunked(gateway, headers=NDJSON, query=""):
    http = Http(gateway.port)
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    http.send(f"POST /streams/s{query} HTTP/1.1\r\nHost: a\r\n{lines}Transfer-Encoding: chunked\r\n\r\n")
    return http


def data_of(messages):
    return [json.loads(message.text)["data"] for message in messages]


def numbers(first, count):
    return "".join(f'{{"n":{n}}}\n' for n in range(first, first + count))


# ---- alone


def test_each_kind_of_body_is_what_it_says_on_every_transport(gateways):
    gateway = gateways(s=memory())
    subs = {transport: gateway.subscribe("s", transport) for transport in TRANSPORTS}
    plain = gateway.subscribe("s", "sse", envelope="data")
    event = gateway.subscribe("s", "ndjson", envelope="cloudevents")
    full = gateway.subscribe("s", "ws", envelope="full")
    posts = [
        (post(gateway, '{"a": 1}\n', JSON, "?event=start&key=k%201"), 1),
        (post(gateway, '[{"a":1},{"a":2}]', JSON), 1),
        (post(gateway, '1\n\n"two"\r\n{"three":3}', NDJSON, "?event=progress"), 3),
        (post(gateway, "hello", TEXT, "?event=complete"), 1),
        (post(gateway, b"\xff\x00"), 1),
        (post(gateway, "", NDJSON), 0),
    ]
    for answer, count in posts:
        assert answer.status == 202 and answer.said["count"] == count
        assert (answer.said["id"] is None) == (count == 0)
    expected = [
        ("start", "k 1", {"a": 1}), (None, None, [{"a": 1}, {"a": 2}]), ("progress", None, 1),
        ("progress", None, "two"), ("progress", None, {"three": 3}), ("complete", None, "hello"),
        (None, None, None),
    ]
    for transport, sub in subs.items():
        got = sub.records(7)
        records = [json.loads(message.text) for message in got]
        assert [(one.get("type"), one["key"], one.get("data")) for one in records] == expected
        assert list(records[0]) == ["id", "time", "key", "data", "type"]
        assert records[6]["data_base64"] == "/wA="
        assert records[4]["id"] == posts[2][0].said["id"], "the token of the last record"
        if transport == "sse":
            assert [message.event for message in got] == [event for event, _, _ in expected]
    assert plain.next().event == "start"
    assert json.loads(full.records(1)[0].text)["type"] == "start"
    assert json.loads(event.records(1)[0].text)["type"] == "start"
    again = gateway.subscribe("s", "ndjson", **{"from": posts[1][0].said["id"]})
    assert again.hello["resumed"] and data_of(again.records(2)) == [1, "two"]
    assert gateway.metric("pushed_records_total", stream="s") == 7


def test_lines_are_records_while_the_body_still_comes(gateways):
    gateway = gateways(s=memory())
    sub = gateway.subscribe("s", "ndjson")
    http = begin_chunked(gateway, query="?event=token")
    http.send(chunk('{"n":0}\n{"n"'))
    assert data_of(sub.records(1)) == [{"n": 0}]
    http.send(chunk(":1}\n"))
    assert data_of(sub.records(1)) == [{"n": 1}]
    http.send(chunk('{"n":2}') + b"0\r\n\r\n")
    assert http.response().status == 202 and http.json()["count"] == 3
    assert data_of(sub.records(1)) == [{"n": 2}]
    assert post(gateway, "1", JSON, http=http).status == 202, "the connection lives"


@pytest.mark.plain_only
def test_a_long_body_is_not_held(gateways):
    """64 MiB through a megabyte, and two requests in one go on the connection that it kept."""
    gateway = gateways(s={**memory(memory="1MiB"), "max_record": "64KiB"})
    before = gateway.rss_bytes()
    lines = ('"' + "x" * 4000 + '"\n') * 256
    http = begin_chunked(gateway)
    for _ in range(64):
        http.send(chunk(lines))
    peak = gateway.rss_bytes()
    http.send(b"0\r\n\r\n")
    assert http.response().status == 202 and http.json()["count"] == 64 * 256
    ring = 64 * 1024 * 1024  # the default bound, which these records may fill
    assert peak - before < ring * 1.3 + 32 * 1024 * 1024
    one = "POST /streams/s HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 1\r\n\r\n1"
    http.send(one + one)
    assert [http.response().json()["count"] for _ in range(2)] == [1, 1]


def test_a_bad_line_is_named_and_what_was_taken_is_said(gateways):
    gateway = gateways(s={**memory(), "max_record": "1KiB"})
    sub = gateway.subscribe("s", "ndjson")
    answer = post(gateway, '{"n":0}\n\n{"n":1}\n{"n":\n{"n":3}\n', NDJSON)
    assert answer.status == 400 and answer.said["line"] == 4 and answer.said["count"] == 2
    assert "line 4" in answer.said["detail"] and answer.headers["content-type"] == "application/problem+json"
    records = [json.loads(message.text) for message in sub.records(2)]
    assert records[1]["id"] == answer.said["id"]
    answer = post(gateway, '{"n":4}\n"' + "x" * 2000 + '"\n{"n":5}\n', NDJSON)
    assert answer.status == 413 and answer.said["line"] == 2 and answer.said["count"] == 1
    assert post(gateway, "x" * 2000, TEXT).status == 413
    assert post(gateway, "{", JSON).said.get("count") == 0
    answer = post(gateway, "", JSON)
    assert answer.status == 400 and answer.said["id"] is None
    assert data_of(sub.records(1)) == [{"n": 4}]
    assert gateway.metric("push_rejects_total", stream="s", reason="malformed") == 3
    assert gateway.metric("push_rejects_total", stream="s", reason="too_large") == 2


def test_what_is_not_taken_is_refused(gateways):
    gateway = gateways(
        {"cors": {"origins": ["https://app.example"]}, "routes": {"/chat": {"stream": "s"}}},
        s=memory(), other={"source": {"synthetic": {}}},
    )
    assert post(gateway, "a=b", {"Content-Type": "application/x-www-form-urlencoded"}).status == 415
    gzip = post(gateway, "x", {**JSON, "Content-Encoding": "gzip"})
    assert gzip.status == 415 and gzip.headers["accept-encoding"] == "identity"
    for query in ("?event=hello", "?event=a%0aid:x", "?colour=red", "?event=", "?key=a&key=b"):
        assert post(gateway, "1", JSON, query).status == 400, query
    assert post(gateway, "1", JSON, path="/streams/other").status == 405
    assert post(gateway, "1", JSON, path="/streams/none").status in (404, 405)
    wrong = Http(gateway.port).request("PUT", "/streams/s", {"Content-Length": "0"})
    assert wrong.status == 405 and "POST" in wrong.headers["allow"]
    assert "POST" not in Http(gateway.port).request("PUT", "/streams/other").headers["allow"]
    assert post(gateway, "1", {**JSON, "Origin": "https://evil.example"}).status == 403
    good = post(gateway, "1", {**JSON, "Origin": "https://app.example"}, path="/chat")
    assert good.status == 202 and good.headers["access-control-allow-origin"] == "https://app.example"
    asked = Http(gateway.port).request("OPTIONS", "/chat", {
        "Origin": "https://app.example", "Access-Control-Request-Method": "POST"})
    assert asked.status == 204 and "POST" in asked.headers["access-control-allow-methods"]
    assert "Content-Type" in asked.headers["access-control-allow-headers"]
    listed = {one["name"]: one.get("posts", False) for one in gateway.get("/streams").json()["streams"]}
    assert listed == {"s": True, "other": False}
    for reason, count in (("type", 2), ("invalid", 5), ("origin", 1)):
        assert gateway.metric("push_rejects_total", stream="s", reason=reason) == count


def test_a_body_framed_wrongly_leaves_whole_records_only(gateways):
    gateway = gateways({"timeouts": {"body": "300ms"}}, s=memory())
    sub = gateway.subscribe("s", "ndjson")
    http = begin_chunked(gateway)
    http.send(chunk('1\n2\n"half') + b"nonsense\r\n")
    assert http.response().status == 400 and http.json()["count"] == 2
    http = begin_chunked(gateway)
    http.send(chunk('3\n"half'))
    assert http.response().status == 408 and http.json()["count"] == 1
    http = begin_chunked(gateway)
    http.send(chunk('4\n"half'))
    assert data_of(sub.records(4)) == [1, 2, 3, 4]
    http.close()
    assert post(gateway, "5", JSON).status == 202
    assert data_of(sub.records(1)) == [5]
    assert gateway.metric("push_rejects_total", stream="s", reason="stalled") == 1


def test_who_waits_for_100_continue_is_told_to_go_on(gateways):
    gateway = gateways(s=memory())
    http = Http(gateway.port)
    http.send("POST /streams/s HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
              "Content-Length: 1\r\nExpect: 100-continue\r\n\r\n")
    assert http.response().status == 100
    http.send("1")
    assert http.response().status == 202


def test_a_pause_subscriber_holds_posts_back_with_429(gateways):
    """What 429 says was taken is all that was: whoever goes on behind it repeats and loses nothing."""
    gateway = gateways(
        {"limits": {"send_buffer": "4KiB"}},
        s={**memory(wait="200ms"), "slow": {
            "policy": "drop_oldest", "allow": ["pause"], "queue": {"records": 50, "bytes": "256KiB"},
            "pause_limit": "5m"}},
    )
    sub = gateway.subscribe("s", "ndjson", slow="pause", rcvbuf=4096)
    pad, taken, refused, answer = "x" * 1000, 0, 0, None

    def lines(first, count):
        return "".join(f'{{"n":{n},"pad":"{pad}"}}\n' for n in range(first, first + count))

    while refused < 2:  # one that was taken in part, and one of which nothing was
        answer = post(gateway, lines(taken, 40), NDJSON)
        taken += answer.said["count"]
        refused += answer.status == 429
        assert answer.status in (202, 429) and taken < 100000
    assert answer.headers["retry-after"] == "1"
    single = post(gateway, "1", JSON)
    assert single.status == 429 and single.said["count"] == 0 and single.said["id"] is None
    assert gateway.metric("source_paused", stream="s") == 1
    # One that waits in the middle of a long body is held back by TCP, and taken as far as it says.
    http = begin_chunked(gateway)
    http.send(chunk(lines(taken, 10)))
    assert http.response().status == 429 and http.json()["count"] == 0
    seen = [json.loads(message.text)["data"]["n"] for message in sub.records(taken)]
    assert seen == list(range(taken))
    assert post(gateway, lines(taken, 5), NDJSON).status == 202
    assert [one["n"] for one in data_of(sub.records(5))] == list(range(taken, taken + 5))
    assert gateway.metric("push_rejects_total", stream="s", reason="held") == refused + 2


def test_posts_that_wait_for_room_cost_nothing(gateways):
    """Three that wait for long, each in another place: nobody spins, and all goes on."""
    gateway = gateways(
        {"limits": {"send_buffer": "4KiB"}, "threads": 2},
        s={**memory(wait="5m", memory="256KiB"), "max_record": "64KiB", "slow": {
            "policy": "drop_oldest", "allow": ["pause"], "queue": {"records": 50, "bytes": "256KiB"},
            "pause_limit": "5m"}},
    )
    sub = gateway.subscribe("s", "ndjson", slow="pause", rcvbuf=4096)
    posters = [begin_chunked(gateway) for _ in range(3)]
    failures = []

    def run(poster, first):
        try:
            for n in range(first, first + 300):
                poster.send(chunk(f'{{"n":{n},"pad":"{"x" * 3000}"}}\n'))
            poster.send(b"0\r\n\r\n")
        except OSError as error:
            failures.append(error)

    threads = [threading.Thread(target=run, args=(one, 1000 * i)) for i, one in enumerate(posters)]
    for thread in threads:
        thread.start()
    gateway.wait_metric("source_paused", 1, stream="s")
    gateway.wait_rest()
    seen = [one["n"] for one in data_of(sub.records(900, 120))]
    for thread in threads:
        thread.join()
    assert failures == []
    for poster in posters:
        assert poster.response().status == 202 and poster.json()["count"] == 300
    assert [n for n in seen if n < 1000] == list(range(300))
    assert [n for n in seen if n >= 2000] == list(range(2000, 2300)) and len(set(seen)) == 900


def test_a_token_of_a_life_before_is_told_apart(gateways):
    gateway = gateways(s=memory())
    token = post(gateway, "1", JSON).said["id"]
    gateway.terminate()
    gateway.wait_exit()
    gateway.start()
    assert post(gateway, numbers(0, 3), NDJSON).status == 202
    sub = gateway.subscribe("s", "ndjson", **{"from": token})
    assert sub.hello["resumed"] is False and "reason" in sub.hello


def many_clients(gateway, clients, posts):
    """Each posts on a connection of its own; what failed."""
    failures = []

    def run(client):
        http = Http(gateway.port)
        http.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for n in range(posts):
            answer = post(gateway, json.dumps({"c": client, "n": n}), JSON, f"?key={client}", http=http)
            if answer.status != 202 or answer.said["count"] != 1:
                failures.append((answer.status, answer.said))

    threads = [threading.Thread(target=run, args=(client,)) for client in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return failures


def in_order(records, clients, posts):
    seen = {client: [] for client in range(clients)}
    for record in records:
        seen[record["c"]].append(record["n"])
    return all(of_one == list(range(posts)) for of_one in seen.values())


def test_many_clients_at_once_each_in_its_order(gateways):
    gateway = gateways({"threads": 2}, s=memory())
    sub = gateway.subscribe("s", "ws")
    assert many_clients(gateway, 8, 125) == []
    assert in_order(data_of(sub.records(1000)), 8, 125)


def test_sigterm_lets_a_post_end_and_refuses_new_ones(gateways):
    gateway = gateways({"drain": {"grace": "0s", "timeout": "10s"}}, s=memory())
    kept = Http(gateway.port)
    assert post(gateway, "1", JSON, http=kept).status == 202
    http = begin_chunked(gateway)
    http.send(chunk("1\n"))
    gateway.wait_metric("pushed_records_total", 2, stream="s")
    gateway.terminate()
    wait_for(lambda: "draining" in gateway.log(), "the drain")
    http.send(chunk("2\n") + b"0\r\n\r\n")
    assert http.response().status == 202 and http.json()["count"] == 2
    assert gateway.wait_exit() == 0


# ---- with Kafka beneath


def test_posts_go_to_the_topic_and_come_from_there(kafka, gateways):
    topic = kafka.topic(3)
    stream = topic_source(kafka, topic)
    gateway, replica = gateways({"threads": 2}, s=stream), gateways(s=stream)
    subs = [gateway.subscribe("s", "sse"), replica.subscribe("s", "ws", envelope="full")]
    answer = post(gateway, '{"a": [1]}', JSON, "?event=start&key=k")
    assert answer.status == 202, answer.said
    records = [json.loads(sub.records(1)[0].text) for sub in subs]
    for record in records:
        assert (record["type"], record["key"], record["data"]) == ("start", "k", {"a": [1]})
    assert records[1]["headers"] == {}, "the header of the type is shown as the type alone"
    # Right behind that record, on either gateway, even when it has not read it back yet.
    last = post(gateway, numbers(0, 50), NDJSON, "?key=k&event=progress").said
    assert last["count"] == 50
    after = post(gateway, '"after"', JSON, "?key=k").said
    for one in (gateway, replica):
        sub = one.subscribe("s", "ndjson", **{"from": last["id"]})
        assert sub.hello["resumed"], sub.hello
        assert data_of(sub.records(1)) == ["after"]
    assert after["count"] == 1
    everything = gateway.subscribe("s", "ndjson", **{"from": "earliest", "follow": "false"})
    types = [json.loads(message.text).get("type") for message in everything.records(52)]
    assert sorted(map(str, types)) == ["None"] + ["progress"] * 50 + ["start"]


def test_types_outlive_the_ring(kafka, gateways):
    """The catch-up lane, and records of other producers with the header."""
    topic = kafka.topic()
    gateway = gateways(s={**topic_source(kafka, topic), "ring": {"records": 16, "bytes": "4MiB"},
                          "slow": {"queue": {"records": 8, "bytes": "1MiB"}}})
    start = post(gateway, numbers(0, 100), NDJSON, "?event=token").said["id"]
    kafka.produce(topic, {"value": '"other"', "headers": [("headgate-type", "made"), ("h", "1")]},
                  {"value": '"bad"', "headers": [("headgate-type", "hello")]})
    gateway.wait_metric("records_in_total", 102, stream="s")  # who is there before falls behind a ring so small
    sub = gateway.subscribe("s", "sse", **{"from": "earliest"})
    got = sub.records(102)
    assert [message.event for message in got] == ["token"] * 100 + ["made", None]
    assert json.loads(got[100].text)["headers"] == {"h": "1"}
    assert json.loads(got[101].text)["headers"] == {"headgate-type": "hello"}
    assert data_of(gateway.subscribe("s", "ndjson", **{"from": start}).records(2)) == ["other", "bad"]


def test_many_clients_at_once_through_kafka(kafka, gateways):
    topic = kafka.topic(4)
    gateway = gateways({"threads": 2}, s=topic_source(kafka, topic))
    sub = gateway.subscribe("s", "ws")
    assert many_clients(gateway, 8, 125) == []
    assert in_order(data_of(sub.records(1000)), 8, 125)
    assert gateway.metric("pushed_records_total", stream="s") == 1000


def test_a_broker_that_is_down_is_503_and_what_was_refused_is_not_there(kafka, gateways):
    topic = kafka.topic()
    gateway = gateways(s=topic_source(kafka, topic, timeout="2s"))
    sub = gateway.subscribe("s", "ndjson")
    assert post(gateway, '"before"', JSON).status == 202
    kafka.down()
    try:
        first = post(gateway, '"while down"', JSON)
        gateway.wait_metric("source_up", 0, stream="s", timeout_s=60)
        second = post(gateway, '"while down"', JSON)
    finally:
        kafka.up()
    assert first.status == second.status == 503
    assert first.headers["retry-after"] and second.headers["retry-after"]
    assert first.said.get("count", 0) == 0
    gateway.wait_metric("source_up", 1, stream="s", timeout_s=60)

    def again():
        answer = post(gateway, '"after"', JSON)
        assert answer.status in (202, 503)
        return answer.status == 202

    wait_for(again, "a post that is taken", 60)
    seen = data_of(sub.records(2))
    assert seen == ["before", "after"], seen
    assert gateway.metric("push_rejects_total", stream="s", reason="unavailable") >= 2


@pytest.mark.real_only
def test_a_record_over_the_brokers_bound_is_413(kafka, gateways):
    topic = kafka.topic(config={"max.message.bytes": "100000"})
    gateway = gateways(s=topic_source(kafka, topic))
    answer = post(gateway, json.dumps("x" * 200000), JSON)
    assert answer.status == 413 and answer.said["count"] == 0
    assert post(gateway, "1", JSON).status == 202


def test_a_durable_consumer_reads_what_was_posted(kafka, gateways):
    topic = kafka.topic(2)
    gateway = gateways(s={**topic_source(kafka, topic), "consumers": {"allow": True}})
    assert post(gateway, numbers(0, 20), NDJSON).status == 202
    sub = gateway.subscribe("s", "ndjson", consumer="c", **{"from": "earliest"})
    assert sorted(one["n"] for one in data_of(sub.records(20))) == list(range(20))


def test_a_table_of_what_was_posted(kafka, gateways):
    topic = kafka.topic()
    gateway = gateways(s={**topic_source(kafka, topic), "view": "table"})
    for n in range(6):
        assert post(gateway, str(n), JSON, f"?key={n % 3}&event=set").status == 202
    gateway.wait_metric("records_in_total", 6, stream="s")
    table = gateway.subscribe("s", "ndjson", follow="false")
    records = [json.loads(message.text) for message in table.records(3)]
    assert [(one["key"], one["data"], one["type"]) for one in records] == [
        ("0", 3, "set"), ("1", 4, "set"), ("2", 5, "set")]


# ---- the configuration


@pytest.mark.parametrize("stream, message", [
    ({"source": {"push": {"memory": "1MiB"}}}, "memory is less than four times max_record"),
    ({"source": {"push": {"kafka": {"topic": "t"}}}}, "kafka: needs brokers and topic"),
    ({"source": {"push": {"kafka": {"brokers": "a:1"}}}}, "kafka: needs brokers and topic"),
    ({"source": {"push": {"kafka": {"brokers": "a:1", "topic": "^t"}}}}, "must be one topic's name"),
    ({"source": {"push": {"kafka": {"brokers": "a:1", "topic": "t", "librdkafka_options": {"acks": "1"}}}}},
     "acks cannot be set"),
    ({"source": {"push": {"kafka": {"brokers": "a:1", "topic": "t", "librdkafka_options": {
        "max.in.flight.requests.per.connection": "100"}}}}}, "max.in.flight"),
    ({"source": {"push": {}}, "view": "table"}, "a table needs a source that can be read from its beginning"),
    ({"source": {"push": {}}, "consumers": {"allow": True}}, "keeps no progress of its readers"),
])
def test_a_configuration_that_cannot_be_is_refused(tmp_path, stream, message):
    path = tmp_path / "gateway.yaml"
    path.write_text(json.dumps({"streams": {"s": stream}}))
    done = subprocess.run([HEADGATE, "check", "-c", str(path)], capture_output=True, text=True, check=False)
    assert done.returncode == 1 and message in done.stderr, done.stderr
