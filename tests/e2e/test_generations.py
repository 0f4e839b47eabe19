"""Answers as streams that many see: one request, any number of viewers, an end that is always told."""

import json
import subprocess
import threading
import time

import pytest

from harness import HEADGATE, wait_for
from test_llm import FINISH, FIXTURES, KEY, SSE, aimock, base_of, delta, upstream  # noqa: F401
from wire import TRANSPORTS, Ended, Http, Subscription, ws_frame

pytestmark = pytest.mark.mock_only
each_transport = pytest.mark.parametrize("transport", TRANSPORTS)
ACCEPT = {"sse": "text/event-stream", "ndjson": "application/x-ndjson", "json": "application/json"}
UNKNOWN = "/streams/chat/" + "A" * 22


def question(text="x", **more):
    return json.dumps({"model": "m", "messages": [{"role": "user", "content": text}], **more})


def post(gateway, body, accept="sse", path="/api/chat", **headers):
    body = body.encode()
    headers = {"Accept": ACCEPT[accept], "Content-Type": "application/json",
               "Content-Length": str(len(body)), **headers}
    return Http(gateway.port).request("POST", path, headers, body=body)


class Asked(Subscription):
    """The one whose POST begins the answer."""

    def __init__(self, gateway, text="x", transport="sse", path="/api/chat"):
        self._gateway, self._body = gateway, question(text)
        super().__init__(gateway.port, path, transport)
        gateway._subscriptions.append(self)
        self.url = self.http.headers["location"]

    def _open(self, port, rcvbuf, headers):
        return post(self._gateway, self._body, self.transport, self.target)


@pytest.fixture
def chat(gateways):
    """A function that starts a gateway whose answers are asked for at /api/chat."""

    def start(*upstreams, generations=None, slow=None, drain=None, timeouts=None, requests=None,
              **more):
        named = [{"name": f"up-{n}", "key": KEY, **one} for n, one in enumerate(upstreams)]
        source = {"upstreams": named, "retries": {"most": 0}, **more}
        stream = {"source": {"llm": source}}
        stream.update({"generations": generations} if generations else {})
        stream.update({"slow": slow} if slow else {})
        config = {"threads": 2, "routes": {"/api/chat": {"stream": "chat"}}}
        config.update({"drain": drain} if drain else {})
        config.update({"timeouts": timeouts} if timeouts else {})
        config.update({"requests": requests} if requests else {})
        return gateways(config, chat=stream)

    return start


def join(gateway, url, transport, **params):
    sub = Subscription(gateway.port, url, transport, **params)
    gateway._subscriptions.append(sub)
    return sub


def texts(messages):
    return "".join(event.get("text", "") for event in data_of(messages))


def data_of(messages):
    return [json.loads(message.text)["data"] for message in messages]


def last_control(sub):
    return sub.controls[-1]


def answering(upstream, *words):  # noqa: F811
    """The upstream's side of one request, with these words of the answer sent."""
    visit = upstream.accept()
    visit.send(SSE)
    for word in words:
        visit.chunk(delta(word))
    return visit


def finish(visit):
    """Its end; the next request then comes on a connection of its own."""
    visit.chunk(FINISH)
    visit.end()
    visit.close()


def test_one_request_is_seen_by_all_who_join_it(chat, upstream):  # noqa: F811
    gateway = chat({"base_url": upstream.url})
    asked = Asked(gateway)
    assert asked.http.headers["headgate-stream"] == asked.url
    assert asked.url.startswith("/streams/chat/") and len(asked.url.rsplit("/", 1)[1]) >= 22
    assert asked.hello["generation"] == asked.url.rsplit("/", 1)[1]
    assert Http(gateway.port).request("HEAD", asked.url).headers["headgate-stream"] == asked.url
    visit = answering(upstream, "one ", "two ")
    assert texts(asked.records(3)) == "one two "
    early = [join(gateway, asked.url, transport) for transport in TRANSPORTS * 2]
    for sub in early:  # from the first token, whenever they come
        assert texts(sub.records(3)) == "one two " and sub.hello["resumed"] is False
    now = join(gateway, asked.url, "ws", **{"from": "latest"})
    visit.chunk(delta("three "))
    assert texts(now.records(1)) == "three "
    finish(visit)
    whole = None
    for sub in early + [asked]:
        messages, ended = sub.until_end()
        assert texts(messages) == "three " and ended.clean
        assert data_of(messages)[-1]["type"] == "done" and last_control(sub)["event"] == "end"
    for transport in TRANSPORTS:  # and after its end
        late = join(gateway, asked.url, transport)
        messages, ended = late.until_end()
        assert texts(messages) == "one two three " and ended.clean
        assert whole in (None, data_of(messages))
        whole = data_of(messages)
    assert gateway.metric("generations_started_total", stream="chat") == 1
    gateway.wait_metric("generations_ended_total", 1, stream="chat", reason="done")
    assert gateway.metric("generation_joins_total", stream="chat") == 10
    gateway.wait_metric("generation_viewers", 0, stream="chat")
    assert gateway.metric("first_token_seconds_count", stream="chat") == 1


@each_transport
def test_an_answer_goes_on_behind_every_token(chat, upstream, transport):  # noqa: F811
    gateway = chat({"base_url": upstream.url})
    asked = Asked(gateway)
    visit = answering(upstream, *(f"word-{n} " for n in range(12)))
    first = asked.records(8)
    half = [asked.hello["from"]] + [json.loads(message.text)["id"] for message in first]
    ends = {}
    for n in (0, 3, 8):  # while it runs
        ends[n] = join(gateway, asked.url, transport, **{"from": half[n]})
    finish(visit)
    rest, _ = asked.until_end()
    whole = [json.loads(message.text) for message in first + rest]
    for n, sub in ends.items():
        messages, ended = sub.until_end()
        assert [json.loads(message.text) for message in messages] == whole[n:] and ended.clean
    tokens = [asked.hello["from"]] + [record["id"] for record in whole]
    for n, token in enumerate(tokens):  # and when it has ended
        if transport == "sse":
            sub = Subscription(gateway.port, asked.url, "sse", {"Last-Event-ID": token})
        else:
            sub = Subscription(gateway.port, asked.url, transport, **{"from": token})
        messages, ended = sub.until_end()
        assert [json.loads(message.text) for message in messages] == whole[n:] and ended.clean
        assert sub.hello["resumed"] is True
        sub.close()


def test_a_token_of_another_answer_gets_all_of_this_one(chat, upstream):  # noqa: F811
    gateway = chat({"base_url": upstream.url})
    one = Asked(gateway, "one")
    finish(answering(upstream, "of the one"))
    messages, _ = one.until_end()
    other = Asked(gateway, "other")
    finish(answering(upstream, "of the other"))
    other.until_end()
    token = json.loads(messages[1].text)["id"]
    sub = join(gateway, other.url, "ndjson", **{"from": token})
    assert sub.hello["resumed"] is False and sub.hello["reason"]
    assert texts(sub.until_end()[0]) == "of the other"


def test_accept_chooses_lines_events_or_one_document(chat, upstream):  # noqa: F811
    gateway = chat({"base_url": upstream.url})
    for accept in ("json", "ndjson", "sse"):
        found = {}
        body = question(accept)
        asking = threading.Thread(
            target=lambda: found.update(http=post(gateway, body, accept)))  # noqa: B023
        asking.start()
        finish(answering(upstream, "a", "b"))
        asking.join()
        http = found["http"]
        assert http.status == 200 and http.headers["content-type"].startswith(ACCEPT[accept])
        text = http.body()
        if accept == "json":
            assert "".join(one["data"].get("text", "") for one in json.loads(text)) == "ab"
        else:
            assert b'"text":"b"' in text and b'"event":"end"' in text
        url = http.headers["location"]
        http.close()
        whole = Http(gateway.port).get(url, {"Accept": "application/json"}).json()
        assert [one["data"]["type"] for one in whole] == ["start", "text", "text", "usage", "done"]


def test_delete_stops_the_upstream_and_tells_everyone(chat, upstream):  # noqa: F811
    gateway = chat({"base_url": upstream.url})
    asked = Asked(gateway)
    visit = answering(upstream, "so far ")
    subs = [asked] + [join(gateway, asked.url, transport) for transport in TRANSPORTS]
    for sub in subs:
        sub.records(2)
    assert Http(gateway.port).request("DELETE", asked.url).status == 204
    visit.wait_closed()
    for sub in subs:
        messages, ended = sub.until_end()
        assert last_control(sub)["event"] == last_control(sub)["code"] == "cancelled"
        assert [one["exact"] for one in data_of(messages) if one["type"] == "usage"] == [False]
        assert ended.code == 4500 if sub.transport == "ws" else not ended.clean
    late = join(gateway, asked.url, "sse")
    assert texts(late.until_end()[0]) == "so far " and last_control(late)["event"] == "cancelled"
    assert Http(gateway.port).request("DELETE", asked.url).status == 204
    gone = Http(gateway.port).request("DELETE", UNKNOWN)
    assert (gone.status, gone.json()["status"]) == (404, 404)
    assert gateway.metric("generations_ended_total", stream="chat", reason="cancelled") == 1


def test_a_viewer_cancels_over_its_websocket(chat, upstream):  # noqa: F811
    gateway = chat({"base_url": upstream.url})
    asked = Asked(gateway)
    visit = answering(upstream, "a")
    ws = join(gateway, asked.url, "ws")
    ws.records(2)
    ws.http.send(ws_frame(1, b'{"op":"cancel"}'))
    visit.wait_closed()
    for sub in (asked, ws):
        sub.until_end()
        assert last_control(sub)["event"] == "cancelled"


def test_when_the_last_viewer_leaves_the_policy_decides(chat, upstream):  # noqa: F811
    at_once = {"grace": "0s", "retain": "10m"}
    gateway = chat({"base_url": upstream.url}, generations=at_once)
    asked = Asked(gateway)
    visit = answering(upstream, "a")
    other = join(gateway, asked.url, "ws")
    other.records(2)
    asked.close()  # one is left
    gateway.wait_metric("generation_viewers", 1, stream="chat")
    visit.chunk(delta("b"))
    assert texts(other.records(1)) == "b"
    other.close()
    visit.wait_closed()
    gateway.wait_metric("generations_ended_total", 1, stream="chat", reason="left")
    late = join(gateway, asked.url, "ndjson")
    assert texts(late.until_end()[0]) == "ab" and last_control(late)["event"] == "cancelled"


def test_delete_stops_the_upstream_within_100_ms(chat, upstream):  # noqa: F811
    """By the upstream's own log. Of a few, since the machine may be at something else."""
    gateway = chat({"base_url": upstream.url})
    taken_s = []
    while min(taken_s, default=1) > 0.1 and len(taken_s) < 3:
        asked = Asked(gateway)
        visit = answering(upstream, "a")
        asked.records(2)
        visit.watch()
        since_s = time.monotonic()
        assert Http(gateway.port).request("DELETE", asked.url).status == 204
        taken_s.append(visit.closed_s() - since_s)
    assert min(taken_s) <= 0.1, taken_s
    assert [what for _, _, what in upstream.log] == ["asked", "closed"] * len(taken_s)


def test_who_comes_back_within_the_grace_finds_it_running(chat, upstream):  # noqa: F811
    gateway = chat({"base_url": upstream.url}, generations={"grace": "1h"})
    asked = Asked(gateway)
    visit = answering(upstream, "a")
    asked.records(2)
    asked.close()
    gateway.wait_metric("generation_viewers", 0, stream="chat")
    visit.chunk(delta("b"))
    back = join(gateway, asked.url, "sse")
    assert texts(back.records(3)) == "ab"
    finish(visit)
    assert back.until_end()[1].clean


def test_an_answer_that_nobody_sees_is_cancelled_after_the_grace(chat, upstream):  # noqa: F811
    """By the upstream's own log: never before, and soon after."""
    grace_s, taken_s = 0.6, []
    gateway = chat({"base_url": upstream.url}, generations={"grace": "600ms"})
    while min(taken_s, default=9) > grace_s + 0.5 and len(taken_s) < 3:
        asked = Asked(gateway)
        visit = answering(upstream, "a")
        asked.records(2)
        visit.watch()
        since_s = time.monotonic()
        asked.close()
        taken_s.append(visit.closed_s() - since_s)
        assert taken_s[-1] >= grace_s - 0.002  # milliseconds, cut off
    assert min(taken_s) <= grace_s + 0.5, taken_s
    gateway.wait_metric("generations_ended_total", len(taken_s), stream="chat", reason="left")


def test_with_finish_it_goes_on_unseen(chat, upstream):  # noqa: F811
    gateway = chat({"base_url": upstream.url}, generations={"when_left": "finish", "grace": "0s"})
    asked = Asked(gateway)
    visit = answering(upstream, "a")
    asked.records(2)
    asked.close()
    gateway.wait_metric("generation_viewers", 0, stream="chat")
    visit.chunk(delta("b"))
    finish(visit)
    gateway.wait_metric("generations_ended_total", 1, stream="chat", reason="done")
    assert texts(join(gateway, asked.url, "ws").until_end()[0]) == "ab"


def test_what_is_kept_is_forgotten(chat, upstream):  # noqa: F811
    gateway = chat({"base_url": upstream.url}, generations={"kept": 1})
    urls = []
    for n in range(2):
        asked = Asked(gateway, str(n))
        finish(answering(upstream, str(n)))
        asked.until_end()
        urls.append(asked.url)
    gateway.wait_metric("generations_kept", 1, stream="chat")
    gone = Http(gateway.port).get(urls[0])
    assert gone.status == 404 and "retain" in gone.json()["detail"]
    assert gone.headers["content-type"].startswith("application/problem+json")
    assert texts(join(gateway, urls[1], "sse").until_end()[0]) == "1"


@pytest.mark.parametrize("bound", ("max", "per_caller"))
def test_above_a_bound_it_is_too_many_requests(chat, upstream, bound):  # noqa: F811
    gateway = chat({"base_url": upstream.url}, generations={bound: 2})
    first, second = Asked(gateway), Asked(gateway)
    visits = [answering(upstream, "a") for _ in range(2)]
    for _ in range(2):
        refused = post(gateway, question())
        problem = refused.json()
        assert refused.status == problem["status"] == 429 and int(refused.headers["retry-after"])
        assert f"generations.{bound}" in problem["detail"]
    finish(visits[0]), finish(visits[1])
    first.until_end(), second.until_end()
    third = Asked(gateway)  # at once, not when the keeper looks next
    finish(answering(upstream, "b"))
    assert third.until_end()[1].clean
    assert gateway.metric("generations_refused_total", stream="chat") == 2


def test_a_body_that_cannot_be_asked_names_what_and_where(chat):
    gateway = chat({"base_url": "http://127.0.0.1:1", "models": ["gpt-*"]}, request="4KiB")
    for body, status, words in (
        ("", 400, "line 1, column 0"),
        ('{"model":"gpt-5",\n  "messages":]}', 400, "line 2, column"),
        ("[]", 400, "the body must be a JSON object"),
        ('{"model":"gpt-5","messages":[]}', 400, "messages:"),
        ('{"model":"gpt-5","messages":[{"role":"me","content":"x"}]}', 400, "messages: role"),
        (question(), 404, "no upstream answers for 'm'"),
        ("x" * 5000, 413, "4096 bytes"),
    ):
        http = post(gateway, body)
        assert http.status == status, body[:60]
        problem = http.json()
        assert problem["status"] == status, problem
        assert words in problem["detail"], problem
        assert "location" not in http.headers
    for headers, status in (({"Content-Type": "text/plain"}, 415),
                            ({"Content-Encoding": "gzip"}, 415),
                            ({"Origin": "https://elsewhere.example"}, 403)):
        assert post(gateway, question(), **headers).status == status
    assert post(gateway, question(), path="/api/chat?request=x").status == 400
    assert gateway.metric("generations_started_total", stream="chat") == 0
    assert gateway.metric("generations_active", stream="chat") == 0
    for method, path, allowed in (("PUT", "/api/chat", "POST"), ("POST", UNKNOWN, "DELETE")):
        refused = Http(gateway.port).request(method, path)
        assert refused.status == 405 and allowed in refused.headers["allow"]
    unknown = Http(gateway.port).get(UNKNOWN)
    assert unknown.status == 404 and "no such answer" in unknown.json()["detail"]


def test_a_body_in_chunks_is_the_same(chat, upstream):  # noqa: F811
    gateway = chat({"base_url": upstream.url})
    http = Http(gateway.port)
    http.send("POST /streams/chat HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
              "Accept: application/x-ndjson\r\n\r\n")
    body = question("in pieces").encode()
    for at in range(0, len(body), 7):
        part = body[at:at + 7]
        http.send(b"%x\r\n%s\r\n" % (len(part), part))
    http.send(b"0\r\n\r\n")
    visit = upstream.accept()
    assert json.loads(visit.body)["messages"][0]["content"] == "in pieces"
    visit.send(SSE)
    finish(visit)
    assert http.response().status == 200 and b'"event":"end"' in http.body()


def test_a_refused_request_lets_the_connection_live(chat, upstream):  # noqa: F811
    gateway = chat({"base_url": upstream.url})
    http = Http(gateway.port)
    for body, status in (("[]", 400), ("{", 400), (question(), 200)):
        headers = {"Accept": "application/json", "Content-Length": str(len(body))}
        assert http.request("POST", "/api/chat", headers, body=body.encode()).status == status
        if status != 200:
            assert http.json()["status"] == status
    finish(answering(upstream, "a"))
    assert [one["data"]["type"] for one in http.json()][-1] == "done"


def test_a_body_that_does_not_come_gives_its_place_back(chat):
    gateway = chat({"base_url": "http://127.0.0.1:1"}, timeouts={"body": "300ms"})
    part = "POST /api/chat HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{"
    late = Http(gateway.port)
    late.send(part)
    assert late.response().status == 408 and late.headers["connection"] == "close"
    late.close()
    gone = Http(gateway.port)
    gone.send(part)
    gateway.wait_metric("connections", 1)
    gone.close()
    gateway.wait_metric("connections", 0)
    assert gateway.metric("generations_active", stream="chat") == 0


@each_transport
def test_a_failure_is_told_to_all_and_cuts_what_shows_no_controls(
        chat, upstream, transport):  # noqa: F811
    gateway = chat({"base_url": upstream.url})
    asked = Asked(gateway)
    visit = answering(upstream, "a")
    sub = join(gateway, asked.url, transport)
    asked.records(2), sub.records(2)
    visit.close()  # without its terminal event
    for one in (asked, sub):
        messages, ended = one.until_end()
        assert last_control(one)["event"] == "failed" and last_control(one)["code"] == "truncated"
        assert not ended.clean or ended.code == 1011
    gateway.wait_metric("generations_ended_total", 1, stream="chat", reason="failed")
    cut = Http(gateway.port).get(asked.url, {"Accept": "application/json"})
    with pytest.raises(Ended):
        cut.body()


def test_an_answer_beyond_its_bytes_fails_and_leaves_the_upstream(chat, upstream):  # noqa: F811
    gateway = chat({"base_url": upstream.url}, generations={"bytes": "64KiB"})
    asked = Asked(gateway, transport="ndjson")
    visit = answering(upstream)

    def write():
        try:
            for n in range(1000):
                visit.chunk(delta(f"{n}-" + "x" * 1000))
        except OSError:
            pass

    writer = threading.Thread(target=write)
    writer.start()
    messages, _ = asked.until_end()
    writer.join()
    visit.wait_closed()
    assert last_control(asked)["code"] == "too_large"
    assert "generations.bytes" in last_control(asked)["message"]
    late = join(gateway, asked.url, "ws")  # nothing of it is lost
    assert data_of(late.until_end()[0]) == data_of(messages) and not late.gaps


def test_an_answer_over_its_time_fails(chat, upstream):  # noqa: F811
    gateway = chat({"base_url": upstream.url}, generations={"max_time": "1s"})
    asked = Asked(gateway)
    visit = answering(upstream, "a")
    assert texts(asked.until_end()[0]) == "a"
    assert last_control(asked)["event"] == "failed" and last_control(asked)["code"] == "timeout"
    visit.wait_closed()
    gateway.wait_metric("generations_ended_total", 1, stream="chat", reason="max_time")


def test_an_answer_beyond_its_tokens_fails_and_leaves_the_upstream(chat, upstream):  # noqa: F811
    """Counted as they come, or as the upstream counts them on the way; what it counts at its end is late."""
    gateway = chat({"base_url": upstream.url}, generations={"max_tokens": 3})
    counting = json.loads(delta("b").removeprefix("data: "))
    counting["usage"] = {"prompt_tokens": 7, "completion_tokens": 4}
    for words, over in (("abc", delta("d")), ("a", f"data: {json.dumps(counting)}\n\n")):
        asked = Asked(gateway)
        visit = answering(upstream, *words)
        assert texts(asked.records(1 + len(words))) == words
        visit.chunk(over)
        messages, _ = asked.until_end()
        visit.wait_closed()
        assert [(one["type"], one["exact"]) for one in data_of(messages)] == [("usage", False)]
        assert last_control(asked)["code"] == "too_large"
        assert "generations.max_tokens" in last_control(asked)["message"]
        late = join(gateway, asked.url, "ws")
        assert texts(late.until_end()[0]) == words and last_control(late)["code"] == "too_large"
    asked = Asked(gateway)
    finish(answering(upstream, *"abc"))
    messages, ended = asked.until_end()
    assert texts(messages) == "abc" and ended.clean


def test_a_viewer_that_stalls_holds_nobody_up(chat, upstream):  # noqa: F811
    gateway = chat({"base_url": upstream.url})
    asked = Asked(gateway)
    visit = answering(upstream)
    stalled = Subscription(gateway.port, asked.url, "ndjson", rcvbuf=4096)
    gateway._subscriptions.append(stalled)
    size, count = 4000, 400

    def write():
        for n in range(count):
            visit.chunk(delta(f"{n}-" + "x" * size))
        finish(visit)

    writer = threading.Thread(target=write)
    writer.start()
    messages, ended = asked.until_end()
    writer.join()
    assert len(messages) == count + 3 and ended.clean
    slow, ended = stalled.until_end()  # it has all, later
    assert data_of(slow) == data_of(messages) and ended.clean and not stalled.gaps


def test_a_viewer_that_takes_nothing_is_let_go(chat, upstream):  # noqa: F811
    gateway = chat({"base_url": upstream.url}, requests={"stall": "300ms"})
    asked = Asked(gateway)
    visit = answering(upstream)
    stalled = Subscription(gateway.port, asked.url, "ws", rcvbuf=4096)
    gateway._subscriptions.append(stalled)
    for n in range(400):
        visit.chunk(delta("x" * 4000))
    asked.records(400)
    gateway.wait_metric("disconnects_total", 1, stream="chat", reason="too_slow")
    finish(visit)
    assert asked.until_end()[1].clean


def test_a_viewer_holds_the_upstream_only_where_that_is_allowed(chat, upstream):  # noqa: F811
    gateway = chat({"base_url": upstream.url}, generations={"bytes": "64MiB"},
                   slow={"allow": ["pause"]}, answer="64MiB")
    asked = Asked(gateway, transport="ndjson")
    visit = answering(upstream, "a")
    asked.records(2)
    pausing = Subscription(gateway.port, asked.url + "?slow=pause", "ndjson", rcvbuf=65536)
    gateway._subscriptions.append(pausing)

    def write():
        for n in range(450):
            visit.chunk(delta(f"{n}-" + "x" * 40000))
        finish(visit)

    writer = threading.Thread(target=write)
    writer.start()
    writer.join(1)
    assert writer.is_alive(), "18 MB went upstream to a viewer that is 1 MiB behind"
    found = {}
    reader = threading.Thread(target=lambda: found.update(asked=asked.until_end(150)))
    reader.start()
    held, ended = pausing.until_end(150)
    reader.join(), writer.join()
    assert len(held) == 454 and ended.clean and not pausing.gaps
    assert data_of(found["asked"][0]) == data_of(held)[2:]


def test_slow_policies_are_the_viewers_own(chat, upstream):  # noqa: F811
    gateway = chat({"base_url": upstream.url}, slow={"allow": ["drop_oldest"]})
    asked = Asked(gateway)
    visit = answering(upstream, "a")
    url = asked.url
    assert Http(gateway.port).get(url + "?slow=pause").status == 400
    assert Http(gateway.port).get(url + "?follow=false").status == 400
    dropping = join(gateway, url, "sse", slow="drop_oldest", queue=16)
    assert texts(dropping.records(2)) == "a"
    finish(visit)
    assert dropping.until_end()[1].clean


def test_at_sigterm_an_answer_may_end_and_the_rest_is_told(chat, upstream):  # noqa: F811
    gateway = chat({"base_url": upstream.url}, drain={"grace": "0s", "timeout": "12s"})
    one, two = Asked(gateway, "one"), Asked(gateway, "two")
    visits = [answering(upstream, "a") for _ in range(2)]
    ends_well, cut = (one, two) if '"one"' in visits[0].body else (two, one)
    for sub in (one, two):
        sub.records(2)
    gateway.terminate()
    wait_for(lambda: "draining" in gateway.log(), "the drain")
    visits[0].chunk(delta("b"))
    finish(visits[0])
    messages, ended = ends_well.until_end()
    assert texts(messages) == "b" and ended.clean and last_control(ends_well)["event"] == "end"
    cut.until_end()
    assert last_control(cut)["event"] == "failed" and last_control(cut)["code"] == "shutdown"
    assert "cannot be resumed" in last_control(cut)["message"]
    visits[1].wait_closed()
    assert gateway.wait_exit() == 0


def test_a_mock_of_a_provider_is_shared_alike(chat, aimock):  # noqa: F811
    gateway = chat({"dialect": "anthropic", "base_url": base_of(aimock, "anthropic"),
                    "models": ["m*"]})
    asked = Asked(gateway, "greet")
    subs = [join(gateway, asked.url, transport) for transport in TRANSPORTS]
    for sub in [asked] + subs:
        messages, ended = sub.until_end()
        assert texts(messages) == FIXTURES["fixtures"][0]["response"]["content"] and ended.clean
    assert gateway.metric("generations_ended_total", stream="chat", reason="done") == 1
    assert KEY not in gateway.log()


def test_what_an_answer_cost_and_how_fast_it_came_is_counted(chat, upstream):  # noqa: F811
    gateway = chat({"base_url": upstream.url, "models": ["m*"]})
    asked = Asked(gateway)
    visit = answering(upstream, "one ")
    asked.records(2)
    time.sleep(0.3)
    visit.chunk('data: {"choices":[{"index":0,"delta":{"content":"two"},"finish_reason":"stop"}],'
                '"usage":{"prompt_tokens":7,"completion_tokens":4}}\n\n')
    finish(visit)
    assert asked.until_end()[1].clean
    assert gateway.metric("input_tokens_total", stream="chat", model="m*") == 7
    assert gateway.metric("output_tokens_total", stream="chat", model="m*") == 4
    assert gateway.metric("output_token_seconds_count", stream="chat") == 1
    assert 0.1 <= gateway.metric("output_token_seconds_sum", stream="chat") < 60


def test_refusals_of_upstreams_are_counted_by_status(chat, upstream):  # noqa: F811
    gateway = chat({"base_url": upstream.url})
    asked = Asked(gateway)
    visit = upstream.accept()
    visit.send(b"HTTP/1.1 529 x\r\nContent-Length: 0\r\n\r\n")
    visit.close()
    asked.until_end()
    assert last_control(asked)["code"] == "overloaded"
    assert gateway.metric("upstream_errors_total", stream="chat", status="529") == 1


def test_the_terminal_subscriber_ends_with_the_answer(chat, upstream):  # noqa: F811
    gateway = chat({"base_url": upstream.url})
    for end, status, words in (
        (finish, 0, "end of the stream"),
        (lambda visit: visit.close(), 1, "failed: the upstream"),
        (lambda _: Http(gateway.port).request("DELETE", asked.url), 1, "cancelled: "),
    ):
        asked = Asked(gateway)
        visit = answering(upstream, "word")
        tail = subprocess.Popen(
            [HEADGATE, "tail", f"http://127.0.0.1:{gateway.port}{asked.url}"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert '"start"' in tail.stdout.readline() and '"word"' in tail.stdout.readline()
        end(visit)
        told = tail.communicate(timeout=60)[1]
        assert words in told and tail.returncode == status, told


def test_the_list_says_that_it_answers(chat):
    gateway = chat({"base_url": "http://127.0.0.1:1"})
    (stream,) = Http(gateway.port).get("/streams").json()["streams"]
    assert stream["answers"] is True
    options = Http(gateway.port).request("OPTIONS", UNKNOWN)
    assert options.status == 204 and options.headers["allow"] == "DELETE, GET, HEAD, OPTIONS"
